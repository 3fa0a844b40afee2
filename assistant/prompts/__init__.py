"""The prompt contract: how a conversation becomes what a model reads, in training and in answering alike.

The formats `python-task`, `python-task-es` and `python-task-2023` are text:

    ### Instruction:
    Use the Task below and … that can solve the following Task:

    ### Task:
    {task}

    ### Input:
    {input}

    ### Response:
    {code}

- The input's heading stays where there is no input. Line ends become line feeds; nothing else of a text is
  changed.
- In a longer conversation every answered task is such a block, its answer and the model's end-of-sequence
  token; the next block follows at once, as it would at the beginning.
- What is said before an answer goes into its block: system and user texts, joined by a blank line, are the
  task, and their inputs, joined likewise, the input. An answer to nothing, a greeting, gets an empty block.
- A prompt's token ids are the tokenizer's opening tokens (`<s>`, where it adds one), then each block with its
  answer tokenized in one piece, special-token strings in it taken apart, then the end-of-sequence token's id.
- A training row is the prompt's ids, the code's ids as they follow a line end, and the end-of-sequence id.

`chat` is the model's own chat template, with a short system prompt where the conversation has none.

Knows no engine, and no tokenizer library: whoever calls brings a tokenizer.
"""

from assistant.prompts.chat_template import build_chat_template
from assistant.prompts.rendering import CHAT, build_chat_messages, render_prompt
from assistant.prompts.token_ids import Tokenizer, build_training_ids, encode_text, encode_turns

__all__ = [
    "CHAT",
    "Tokenizer",
    "build_chat_messages",
    "build_chat_template",
    "build_training_ids",
    "encode_text",
    "encode_turns",
    "render_prompt",
]
