"""JSON Lines and JSON arrays into rows, each with the line it begins at. Knows no columns.

A broken row is yielded as a reject with its place: whoever reads decides whether to go on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import cast

from assistant.errors import UsageError
from finetune.examples import Place, Reason, Reject
from finetune.readers.values import Row


def read_json_lines(text: str, name: str) -> Iterator[Row | Reject]:
    """Yield one row for each line that is not blank."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = Place(file=name, row=number)
        try:
            value: object = json.loads(line)
        except json.JSONDecodeError as error:
            yield _broken(place, f"not JSON: {error.msg} at column {error.colno}")
        except (ValueError, RecursionError) as error:
            yield _broken(place, f"not JSON that can be read: {error}")
        else:
            yield _make_row(value, place)


def read_json_document(text: str, name: str) -> Iterator[Row | Reject]:
    """Yield the objects of an array; an object in front means that the file holds JSON Lines.

    What follows a syntax error in an array cannot be told apart, so it ends the reading.

    Raises:
        UsageError: The file is neither, or is broken.
    """
    start = _skip_space(text, 0)
    if text[start] == "{":
        document = _find_wrapped(text)
        if document is None:
            yield from read_json_lines(text, name)
            return
        yield from (_make_row(value, Place(file=name, row=row, unit="row")) for row, value in document)
        return
    if text[start] != "[":
        raise UsageError(f"{name} begins with {text[start]!r}: neither an array nor objects", hint=_WANTED)
    yield from _read_array(text, start, name)


_WANTED = "a JSON file holds an array of objects, [{…}, {…}], a .jsonl file one object a line"


def _read_array(text: str, start: int, name: str) -> Iterator[Row | Reject]:
    decoder = json.JSONDecoder()
    at, line, counted = _skip_space(text, start + 1), text.count("\n", 0, start) + 1, start
    while at < len(text) and text[at] != "]":
        line, counted = line + text.count("\n", counted, at), at
        place = Place(file=name, row=line)
        try:
            value, at = cast("tuple[object, int]", decoder.raw_decode(text, at))
        except json.JSONDecodeError as error:
            raise UsageError(
                f"{name}:{error.lineno}: not JSON: {error.msg} at column {error.colno}", hint=_MEND
            ) from error
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{place}: not JSON that can be read: {error}", hint=_MEND) from error
        yield _make_row(value, place)
        at = _skip_space(text, at)
        if at < len(text) and text[at] == ",":
            at = _skip_space(text, at + 1)
        elif at >= len(text) or text[at] != "]":
            break
    if at >= len(text) or text[at] != "]":
        line = text.count("\n", 0, at) + 1
        raise UsageError(f"{name}:{line}: the array is not closed here, and nothing goes on", hint=_MEND)


_MEND = "mend it there: what follows in an array cannot be told apart"


def _find_wrapped(text: str) -> list[tuple[int, object]] | None:
    """Return the rows of an object whose one value is a list of objects, as some tools write it."""
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    values = list(cast("dict[str, object]", document).values())
    if len(values) != 1 or not isinstance(values[0], list):
        return None
    rows = cast("list[object]", values[0])
    if not rows or not all(isinstance(row, dict) for row in rows):
        return None
    if {"role", "from"} & cast("dict[str, object]", rows[0]).keys():
        return None  # one line of JSON Lines: {"messages": […]}
    return list(enumerate(rows, start=1))


def _make_row(value: object, place: Place) -> Row | Reject:
    if not isinstance(value, dict):
        return _broken(place, f"not an object but {type(value).__name__}")
    return Row(values=cast("dict[str, object]", value), place=place)


def _broken(place: Place, detail: str) -> Reject:
    return Reject(place=place, reason=Reason.BROKEN, detail=detail)


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\n\r":
        at += 1
    return at
