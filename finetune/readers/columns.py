"""Which columns are the task, the input and the code: what the user says, else what the names say.

    instruction  input  output    alpaca, with the usual other names of each
    prompt  completion            the prompt is the task
    messages                      a conversation of one exchange

Knows no file format.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from assistant.errors import UsageError

TASK, INPUT, CODE, MESSAGES = "instruction", "input", "output", "messages"
ROLES = {
    TASK: TASK,
    "task": TASK,
    "prompt": TASK,
    INPUT: INPUT,
    CODE: CODE,
    "code": CODE,
    "completion": CODE,
    "response": CODE,
    MESSAGES: MESSAGES,
}
"""What may stand before the = of `--map`, and what it means."""
_TASK_NAMES = ("instruction", "task", "question", "problem", "prompt")
_INPUT_NAMES = ("input", "context")
_CODE_NAMES = ("output", "response", "answer", "solution", "completion", "code")
_MESSAGE_NAMES = ("messages", "conversations", "conversation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which column is what. Either `messages` is set, or `task` and `code` are."""

    task: str = ""
    input: str = ""
    """Empty where there is none."""
    code: str = ""
    messages: str = ""
    mapped: frozenset[str] = frozenset()
    """Those that the user named: a list of texts in one becomes lines."""


def parse_map(texts: Sequence[str]) -> dict[str, str]:
    """Turn `instruction=question,output=answer` into columns by role.

    Raises:
        UsageError: A part is no pair, or names a role that is none or twice.
    """
    columns: dict[str, str] = {}
    for pair in (part.strip() for text in texts for part in text.split(",")):
        left, equals, column = (part.strip() for part in pair.partition("="))
        if not equals or not left or not column:
            raise UsageError(
                f"--map {pair!r} is no pair", hint="write --map instruction=question,output=answer"
            )
        if left not in ROLES:
            nearest = difflib.get_close_matches(left, ROLES, n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]}?" if nearest else f"one of {', '.join(ROLES)}"
            raise UsageError(f"--map {pair}: there is no part {left!r} of an example", hint=hint)
        if ROLES[left] in columns:
            raise UsageError(f"--map names a column for {ROLES[left]} twice: {pair}")
        columns[ROLES[left]] = column
    return columns


def find_columns(names: Iterable[str], mapping: dict[str, str], place: str) -> Columns:
    """Decide which of the columns that there are is what.

    Args:
        names: The columns.
        mapping: What the user says, by role.
        place: The file, for the error.

    Raises:
        UsageError: A column is missing, or nothing says which is the task or the code.
    """
    there = list(dict.fromkeys(names))
    for role, column in mapping.items():
        if column not in there:
            nearest = difflib.get_close_matches(column, there, n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(there)}"
            raise UsageError(f"{place} has no column {column!r} for {role}", hint=hint)
    mapped = frozenset(mapping.values())
    if MESSAGES in mapping:
        return Columns(messages=mapping[MESSAGES], mapped=mapped)
    task = mapping.get(TASK) or _find(_TASK_NAMES, there, mapped)
    code = mapping.get(CODE) or _find(_CODE_NAMES, there, mapped)
    if task and code:
        return Columns(
            task=task,
            input=mapping.get(INPUT) or _find(_INPUT_NAMES, there, mapped),
            code=code,
            mapped=mapped,
        )
    messages = "" if mapping else _find(_MESSAGE_NAMES, there, mapped)
    if messages:
        return Columns(messages=messages)
    missing = "task" if not task else "code"
    raise UsageError(
        f"{place}: no column is known to hold the {missing}; there are {', '.join(there)}",
        hint="name them: --map instruction=COLUMN,input=COLUMN,output=COLUMN",
    )


def _find(candidates: Sequence[str], there: Sequence[str], taken: frozenset[str]) -> str:
    by_lower = {name.lower(): name for name in reversed(there) if name not in taken}
    return next((by_lower[name] for name in candidates if name in by_lower), "")
