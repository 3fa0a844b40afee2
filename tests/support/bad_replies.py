"""What models answer when they answer badly: twelve kinds, each made from the code of a good answer."""

from __future__ import annotations

import re
from collections.abc import Callable


def _prompt_again(code: str) -> str:
    return (
        "### Instruction:\nUse the Task below and the Input given to write the Response, which is a"
        " programming code that can solve the following Task:\n\n### Task:\nOptimize this function.\n\n"
        f"### Input:\n{code}\n\n### Response:\n{code}"
    )


def _wrong_indentation(code: str) -> str:
    rows = code.split("\n")
    return "\n".join(f"   {row}" if number % 3 == 2 else row for number, row in enumerate(rows))


def _mixed_tabs(code: str) -> str:
    rows = code.split("\n")
    return "\n".join(
        re.sub(r"^(?: {4})+", lambda match: "\t" * (len(match[0]) // 4), row) if number % 2 else row
        for number, row in enumerate(rows)
    )


BAD_REPLIES: dict[str, Callable[[str], str]] = {
    "empty": lambda code: "",
    "prose only": lambda code: (
        "I would simplify this function and add a docstring. Let me know if you want that!"
    ),
    "fenced twice": lambda code: (
        f"First:\n```python\n{code}\n```\nBetter:\n```python\n{code}\n    return None\n```\n"
    ),
    "unclosed fence": lambda code: f"```python\n{code}",
    "the prompt again": _prompt_again,
    "the selection again": lambda code: code,
    "endless repetition": lambda code: f"{code}\n" + "    value = value + 1\n" * 200,
    "not UTF-8 clean": lambda code: code.replace("e", "\ufffd", 3) + "\ud83d",
    "wrong indentation": _wrong_indentation,
    "deletes the function": lambda code: "result = 1\nprint(result)\n",
    "a syntax error": lambda code: code.replace(":", "", 1).replace("(", "((", 1),
    "tabs and spaces mixed": _mixed_tabs,
}
