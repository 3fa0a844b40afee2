"""A row's columns into an example, or into the reason why it is none. Knows no file format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from assistant.prompts.rendering import normalize_line_ends
from finetune.examples import Example, Reason, Reject, find_half_character
from finetune.readers.columns import Columns
from finetune.readers.values import Row

_SPEAKERS = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
}


class RowError(Exception):
    """A row is no example."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    task: str
    input: str
    code: str


def build_example(row: Row, columns: Columns) -> Example | Reject:
    """Turn a row into an example. Line ends become line feeds, empty lines around the code go."""
    try:
        parts = _read_parts(row.values, columns)
        if not parts.task.strip():
            raise RowError(Reason.MISSING, f"{columns.task or 'the user message'} is empty")
        code = trim_code(parts.code)
        if not code:
            raise RowError(Reason.NO_ANSWER, f"{columns.code or 'the answer'} is empty: nothing to learn")
        for name, text in (("task", parts.task), ("input", parts.input), ("code", code)):
            half = find_half_character(text)
            if half:
                raise RowError(Reason.SURROGATE, f"{name} has {half}")
    except RowError as error:
        return Reject(place=row.place, reason=error.reason, detail=error.detail)
    return Example(
        task=normalize_line_ends(parts.task).strip(),
        input=normalize_line_ends(parts.input).strip("\n").rstrip(),
        code=code,
        place=row.place,
    )


def trim_code(text: str) -> str:
    """Make line ends line feeds and drop empty lines around; the first line keeps its indentation."""
    lines = normalize_line_ends(text).rstrip().split("\n")
    while lines and not lines[0].strip():
        lines.pop(0)
    return "\n".join(lines)


def _read_parts(values: Mapping[str, object], columns: Columns) -> _Parts:
    if columns.messages:
        return _read_messages(values.get(columns.messages), columns.messages)
    asked, answered = values.get(columns.task), values.get(columns.code)
    if _are_messages(asked) and _are_messages(answered):  # how trainers write prompt and completion of a chat
        return _read_messages([*cast("list[object]", asked), *cast("list[object]", answered)], columns.task)
    return _read_columns(values, columns)


def _are_messages(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in cast("list[object]", value))


def _read_columns(values: Mapping[str, object], columns: Columns) -> _Parts:
    input_value = values.get(columns.input) if columns.input else None
    return _Parts(
        task=_text(values, columns.task, columns),
        input="" if input_value is None else _text(values, columns.input, columns),
        code=_text(values, columns.code, columns),
    )


def _text(values: Mapping[str, object], column: str, columns: Columns) -> str:
    if column not in values:
        raise RowError(Reason.MISSING, f"it has no {column}")
    value = values[column]
    if isinstance(value, str):
        return value
    if value is None:
        raise RowError(Reason.MISSING, f"{column} is null")
    if isinstance(value, list) and column in columns.mapped:
        items = cast("list[object]", value)
        texts = [item for item in items if isinstance(item, str)]
        if len(texts) == len(items):
            return "\n".join(texts)
    raise RowError(Reason.NOT_TEXT, f"{column} must be text and is {_describe(cast('object', value))}")


def _describe(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case list():
            items = cast("list[object]", value)
            hint = "; --map takes one of texts" if all(isinstance(item, str) for item in items) else ""
            return f"a list of {len(items)}{hint}"
        case dict():
            return "an object"
        case _:
            return type(value).__name__


def _read_messages(value: object, column: str) -> _Parts:
    if value is None:
        raise RowError(Reason.MISSING, f"{column} is null or not there")
    if not isinstance(value, list):
        raise RowError(Reason.NOT_TEXT, f"{column} must be a list and is {_describe(value)}")
    said = [_read_message(message) for message in cast("list[object]", value)]
    roles = [role for role, _ in said]
    while roles[:1] == ["system"]:
        roles.pop(0)
    if roles != ["user", "assistant"]:
        detail = f"it must be one user and one assistant message and is {', '.join(roles[:6]) or 'empty'}"
        raise RowError(Reason.CONVERSATION, detail)
    system = [parts[0] for role, parts in said if role == "system"]
    asked, answered = said[-2][1], said[-1][1]
    if len(asked) > 2 or len(answered) != 1:
        raise RowError(Reason.CONVERSATION, "a user message has one or two texts, an assistant message one")
    return _Parts(
        task="\n\n".join([*filter(None, system), asked[0]]),
        input=asked[1] if len(asked) == 2 else "",
        code=answered[0],
    )


def _read_message(message: object) -> tuple[str, list[str]]:
    """Return who says it, and its texts: a task and an input may come as two."""
    if not isinstance(message, Mapping):
        raise RowError(Reason.NOT_TEXT, f"a message must be an object and is {_describe(message)}")
    fields = cast("Mapping[str, object]", message)
    speaker = fields.get("role", fields.get("from"))
    role = _SPEAKERS.get(speaker) if isinstance(speaker, str) else None
    if role is None:
        raise RowError(Reason.CONVERSATION, f"a message is by {speaker!r:.40}, not user or assistant")
    content = fields.get("content", fields.get("value"))
    if isinstance(content, str):
        return role, [content]
    if content is None:
        raise RowError(Reason.MISSING, f"the {role} message has no content")
    parts = cast("list[object]", content) if isinstance(content, list) else []
    texts = [_part_text(part) for part in parts]
    if not texts or None in texts:
        raise RowError(
            Reason.NOT_TEXT, f"the {role} message must be text and is {_describe(cast('object', content))}"
        )
    return role, [text for text in texts if text is not None]


def _part_text(part: object) -> str | None:
    if not isinstance(part, Mapping):
        return None
    text = cast("Mapping[str, object]", part).get("text")
    return text if isinstance(text, str) else None
