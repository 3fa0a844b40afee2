"""Text into token ids, so that nothing a user writes is taken for a special token. Loads no tokenizer.

Asks of a tokenizer what transformers' fast ones do. Measured with transformers 5.24: `split_special_tokens`
counts for the call it is given to, but is set on the tokenizer, and so calls are made one at a time.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from assistant.errors import ModelError, RequestRefusedError
from assistant.prompts.rendering import (
    CHAT,
    build_chat_messages,
    normalize_line_ends,
    render_prompt,
    split_at_answers,
)
from assistant.requests import Role, Turn
from assistant.templates import render_template

NO_LABEL = -100
"""What torch's cross-entropy leaves out of the loss."""
_ONE_CALL = threading.Lock()
_MARK, _UNMARK = "\ufdd0", "\ufdd1"
"""Unicode guarantees that these two are no text."""


class AddedToken(Protocol):
    """A string that a tokenizer looks for before anything else."""

    content: str
    special: bool
    lstrip: bool
    rstrip: bool


class Tokenizer(Protocol):
    """What is needed of a transformers fast tokenizer."""

    chat_template: str | dict[str, str] | None
    bos_token: str | None
    eos_token: str
    eos_token_id: int

    @property
    def added_tokens_decoder(self) -> Mapping[int, AddedToken]:
        """Every added token by its id, special or not."""
        ...

    def encode(
        self, text: str, *, add_special_tokens: bool, split_special_tokens: bool, verbose: bool
    ) -> list[int]:
        """Turn a text into ids."""
        ...

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        """Return each id's token."""
        ...


def encode_turns(tokenizer: Tokenizer, prompt_format: str, turns: Sequence[Turn]) -> list[int]:
    """Render a conversation in a model's format and tokenize it, special-token strings in it taken apart.

    Raises:
        RequestRefusedError: The format cannot render these turns.
        UsageError: There is no such format.
        ModelError: The model's chat template is missing, broken or unsafe.
    """
    if prompt_format == CHAT:
        return _encode_chat(tokenizer, build_chat_messages(turns))
    ids = find_opening_ids(tokenizer)
    *answered, prompt = split_at_answers(prompt_format, turns)
    for piece in answered:
        ids += [*encode_bare(tokenizer, piece), tokenizer.eos_token_id]
    return ids + encode_bare(tokenizer, prompt)


def encode_text(tokenizer: Tokenizer, text: str) -> list[int]:
    """Tokenize a prompt that the caller rendered, after the tokenizer's opening tokens."""
    return find_opening_ids(tokenizer) + encode_bare(tokenizer, text)


def build_training_ids(
    tokenizer: Tokenizer, prompt_format: str, task: str, input_text: str, code: str
) -> tuple[list[int], list[int]]:
    """Return the ids of one training row and their labels: the prompt is not learnt, code and end are.

    The code is tokenized apart from the prompt, so that no token spans the two; as text that follows a line
    end, so that SentencePiece does not put a space before it.

    Raises:
        UsageError: There is no such text format.
    """
    turn = Turn(role=Role.USER, text=task, input=input_text)
    prompt = encode_text(tokenizer, render_prompt(prompt_format, [turn]))
    learnt = [*_encode_after(tokenizer, normalize_line_ends(code)), tokenizer.eos_token_id]
    return prompt + learnt, [NO_LABEL] * len(prompt) + learnt


def find_opening_ids(tokenizer: Tokenizer) -> list[int]:
    """Return what the tokenizer puts before every text: the begin-of-sequence id, or nothing."""
    with _ONE_CALL:
        ids = tokenizer.encode("a", add_special_tokens=True, split_special_tokens=True, verbose=False)
    bare = encode_bare(tokenizer, "a")
    ends = (start for start in range(len(ids)) if ids[start : start + len(bare)] == bare)
    return ids[: next(ends, 0)]


def encode_bare(tokenizer: Tokenizer, text: str, *, split_special: bool = True) -> list[int]:
    """Tokenize a text and add nothing; strings of special tokens are text unless told otherwise."""
    if not text.isascii():  # half a surrogate pair, which JSON can bring, is no text to a tokenizer
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    with _ONE_CALL:
        return tokenizer.encode(
            text, add_special_tokens=False, split_special_tokens=split_special, verbose=False
        )


def _encode_after(tokenizer: Tokenizer, text: str) -> list[int]:
    """Tokenize what follows a line end: SentencePiece gives a text at the very beginning a space."""
    line_end = encode_bare(tokenizer, "\n")
    ids = encode_bare(tokenizer, f"\n{text}")
    if ids[: len(line_end)] == line_end:
        return ids[len(line_end) :]
    return encode_bare(tokenizer, text)  # the line end became one token with what follows


def _encode_chat(tokenizer: Tokenizer, messages: list[dict[str, str]]) -> list[int]:
    template = _find_template(tokenizer)
    controls = _find_controls(tokenizer, template)
    pattern = re.compile("|".join(map(re.escape, sorted(controls, key=len, reverse=True))) or "(?!)")
    if not any(pattern.search(message["content"]) for message in messages):
        rendered = _render_chat(tokenizer, template, messages)
        return encode_bare(tokenizer, rendered, split_special=False)
    marked = [{**message, "content": _mark(message["content"], pattern)} for message in messages]
    rendered = _render_chat(tokenizer, template, marked)
    return _encode_marked(tokenizer, rendered, pattern, controls)


def _find_template(tokenizer: Tokenizer) -> str:
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    if not template:
        raise ModelError(
            "the model has no chat template, and its manifest says prompt format chat",
            hint="give it one of the python-task formats, or a chat_template.jinja",
        )
    return template


def _render_chat(tokenizer: Tokenizer, template: str, messages: list[dict[str, str]]) -> str:
    bos, eos = tokenizer.bos_token, tokenizer.eos_token
    try:
        return render_template(template, messages, bos_token=bos, eos_token=eos)
    except RequestRefusedError:
        if len(messages) < 2 or messages[0]["role"] != "system":
            raise
    # Some templates know no system role: what it says then opens the first message.
    system, first, *rest = messages
    folded = {**first, "content": f"{system['content']}\n\n{first['content']}"}
    return render_template(template, [folded, *rest], bos_token=bos, eos_token=eos)


def _find_controls(tokenizer: Tokenizer, template: str) -> dict[str, tuple[int, AddedToken]]:
    """Return the tokens that steer a model, by their text: special ones and those its template writes."""
    return {
        added.content: (token_id, added)
        for token_id, added in tokenizer.added_tokens_decoder.items()
        if added.special or (len(added.content) > 1 and added.content in template and added.content.strip())
    }


def _mark(text: str, pattern: re.Pattern[str]) -> str:
    unmarked = text.replace(_MARK, "").replace(_UNMARK, "")
    return pattern.sub(f"{_MARK}\\g<0>{_UNMARK}", unmarked)


def _encode_marked(
    tokenizer: Tokenizer,
    rendered: str,
    pattern: re.Pattern[str],
    controls: Mapping[str, tuple[int, AddedToken]],
) -> list[int]:
    """Tokenize a rendered chat whose contents are marked where they hold strings of control tokens."""
    ids: list[int] = []
    restarts = _restarts(tokenizer)
    trim_next = False
    for text, control in _split_at_controls(rendered, pattern):
        added = controls[control][1] if control else None
        text = text.lstrip() if trim_next else text
        text = text.rstrip() if added and added.lstrip else text
        trim_next = bool(added and added.rstrip)
        for number, piece in enumerate(_break_loose(text, controls)):
            fresh = number == 0 and (restarts or not ids)
            ids += encode_bare(tokenizer, piece) if fresh else _encode_after(tokenizer, piece)
        ids += [controls[control][0]] if control else []
    return ids


def _split_at_controls(rendered: str, pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """Yield each text and the control token after it, which is empty at the end; marks are taken off."""
    text, place = "", 0
    for match in re.finditer(
        f"{_MARK}(?:{pattern.pattern}){_UNMARK}|{_MARK}|{_UNMARK}|{pattern.pattern}", rendered
    ):
        text += rendered[place : match.start()]
        place = match.end()
        if match[0].startswith((_MARK, _UNMARK)):
            text += match[0].strip(_MARK + _UNMARK)
        else:
            yield text, match[0]
            text = ""
    yield text + rendered[place:], ""


def _break_loose(text: str, controls: Mapping[str, tuple[int, AddedToken]]) -> list[str]:
    """Cut a text within each control token that a tokenizer finds even when told to split special ones."""
    loose = [content for content, (_, added) in controls.items() if not added.special]
    if not text or not loose:
        return [text] if text else []
    cuts = [match.start() + 1 for match in re.finditer("|".join(map(re.escape, loose)), text)]
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def _restarts(tokenizer: Tokenizer) -> bool:
    """Whether a text after a special token gets the ids it has at the very beginning."""
    after = encode_bare(tokenizer, f"{tokenizer.eos_token}a", split_special=False)
    return after[1:] == encode_bare(tokenizer, "a")
