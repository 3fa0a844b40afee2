"""The chat template that a fine-tuned model is saved with, so that other servers prompt it as we do."""

from __future__ import annotations

import json
import re

from assistant.errors import ModelError
from assistant.prompts.rendering import find_wording
from assistant.prompts.token_ids import Tokenizer, encode_bare, find_opening_ids

_TEMPLATE = r"""
{%- set ns = namespace(text='', input='', parts=0, task='', task_input='', asked=false, lead=LEAD) -%}
{{- OPENING -}}
{%- for message in messages -%}
    {%- set ns.text = '' -%}
    {%- set ns.input = '' -%}
    {%- if message['content'] is string -%}
        {%- set ns.text = message['content'] -%}
    {%- else -%}
        {%- set ns.parts = 0 -%}
        {%- for part in message['content'] -%}
            {%- set ns.parts = ns.parts + 1 -%}
            {%- if part['type'] != 'text' or ns.parts > 2 or ns.parts > 1 and message['role'] != 'user' -%}
                {{- raise_exception('a message is text, and a user may send two: the task and its input') -}}
            {%- elif ns.parts == 1 -%}
                {%- set ns.text = part['text'] -%}
            {%- else -%}
                {%- set ns.input = part['text'] -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {%- set ns.text = ns.text | replace('\r\n', '\n') | replace('\r', '\n') -%}
    {%- set ns.input = ns.input | replace('\r\n', '\n') | replace('\r', '\n') -%}
    {%- if message['role'] == 'user' or message['role'] == 'system' -%}
        {%- if message['role'] == 'user' -%}
            {%- set ns.asked = true -%}
        {%- endif -%}
        {%- if ns.text -%}
            {%- set ns.task = (ns.task + '\n\n' if ns.task else '') + ns.text -%}
        {%- endif -%}
        {%- if ns.input -%}
            {%- set ns.task_input = (ns.task_input + '\n\n' if ns.task_input else '') + ns.input -%}
        {%- endif -%}
    {%- elif message['role'] == 'assistant' -%}
        {{- ns.lead + BEFORE_TASK -}}
        {%- if ns.asked -%}
            {{- ns.task + BEFORE_INPUT + ns.task_input -}}
            {%- set ns.task = '' -%}
            {%- set ns.task_input = '' -%}
            {%- set ns.asked = false -%}
        {%- else -%}
            {{- BEFORE_INPUT -}}
        {%- endif -%}
        {{- BEFORE_RESPONSE + ns.text + EOS -}}
        {%- set ns.lead = SEPARATOR -%}
    {%- else -%}
        {{- raise_exception('a message comes from the system, the user or the assistant') -}}
    {%- endif -%}
{%- endfor -%}
{%- if ns.asked -%}
    {{- ns.lead + BEFORE_TASK + ns.task + BEFORE_INPUT + ns.task_input -}}
    {%- if add_generation_prompt -%}
        {{- BEFORE_RESPONSE -}}
    {%- endif -%}
{%- elif add_generation_prompt -%}
    {{- raise_exception('the conversation has no task to answer: its last message must be the user\'s') -}}
{%- endif -%}
"""


def build_chat_template(prompt_format: str, tokenizer: Tokenizer) -> str:
    """Build the Jinja chat template that gives the ids of `encode_turns`, for one model's tokenizer.

    A user message of two text parts is a task and its input; a plain string is a task alone. Texts that hold
    special-token strings are the one difference: only our own encoding takes those apart.

    Raises:
        UsageError: There is no such text format; a `chat` model keeps its own template.
        ModelError: No template can give the same ids with this tokenizer.
    """
    wording = find_wording(prompt_format)
    opening = "".join(tokenizer.convert_ids_to_tokens(find_opening_ids(tokenizer)))
    separator = _find_separator(tokenizer, wording.before_task)
    words = {
        "OPENING": opening,
        "LEAD": separator if opening else "",
        "SEPARATOR": separator,
        "BEFORE_TASK": wording.before_task,
        "BEFORE_INPUT": wording.before_input,
        "BEFORE_RESPONSE": wording.before_response,
        "EOS": tokenizer.eos_token,
    }
    template = re.sub("|".join(words), lambda name: json.dumps(words[name[0]], ensure_ascii=False), _TEMPLATE)
    return template.strip()


def _find_separator(tokenizer: Tokenizer, opening: str) -> str:
    """Return what must stand after a special token for a block to get the ids it has at the very beginning.

    SentencePiece puts a space before a text. Some tokenizers do so after every special token, some only
    once: those need the space written.
    """
    wanted = [tokenizer.eos_token_id, *encode_bare(tokenizer, opening)]
    for separator in ("", " "):
        text = f"{tokenizer.eos_token}{separator}{opening}"
        if encode_bare(tokenizer, text, split_special=False) == wanted:
            return separator
    raise ModelError(
        "no chat template can prompt this model as it is trained: its tokenizer reads a text differently "
        f"after {tokenizer.eos_token!r} than at the beginning",
        hint="fine-tune another base model",
    )
