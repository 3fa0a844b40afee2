"""Reads the user's own actions from TOML. What cannot be used is left out and named by file and line.

[[action]]
title = "Log the arguments"
task = "Log every argument of this function at its start, with the module's `logger`."
where = ["function"]
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any, cast

from lsp.actions.custom import PLACEHOLDERS, PLACES, RESULTS, UserAction

TABLE = "action"
MAX_TITLE_CHARS = 80
_PLACEHOLDER = re.compile(r"\{[a-z_]+\}")
_NAME = re.compile(r"[a-z0-9_-]+")
_KEYS = tuple(field.name for field in fields(UserAction))


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedActions:
    """Actions, and what was wrong with those that are not among them."""

    actions: tuple[UserAction, ...]
    complaints: tuple[str, ...] = ()
    """One sentence for each, with its file and line."""


class _Complaint(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def parse_user_actions(text: str, place: str, *, taken: Collection[str] = ()) -> ParsedActions:
    """Read actions from TOML.

    Args:
        text: The file.
        place: Its name, for complaints.
        taken: Names that actions have already.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return ParsedActions(actions=(), complaints=(f"{place}: this is not TOML: {error}",))
    complaints = [
        f"{place}:{_find_line(text, 0, key)}: there is no {key} here; each action begins with [[{TABLE}]]"
        for key in document
        if key != TABLE
    ]
    tables = document.get(TABLE, [])
    if not isinstance(tables, list):
        return ParsedActions(
            actions=(),
            complaints=(
                *complaints,
                f"{place}:{_find_line(text, 0, TABLE)}: write [[{TABLE}]], with two brackets",
            ),
        )
    actions: list[UserAction] = []
    for number, table in enumerate(cast("list[Any]", tables), start=1):
        try:
            actions.append(_parse_action(table, {*taken, *(action.name for action in actions)}))
        except _Complaint as complaint:
            complaints.append(f"{place}:{_find_line(text, number, complaint.key)}: {complaint}")
    return ParsedActions(actions=tuple(actions), complaints=tuple(complaints))


def _parse_action(table: object, taken: Collection[str]) -> UserAction:
    if not isinstance(table, dict):
        raise _Complaint("", f"an action is a table: [[{TABLE}]]")
    values = cast("dict[str, object]", table)
    for key in values:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1, cutoff=0.5)
            raise _Complaint(key, f"an action has no {key}" + (f"; did you mean {near[0]}?" if near else ""))
    title, task = _read_text(values, "title"), _read_text(values, "task")
    if len(title) > MAX_TITLE_CHARS or "\n" in title:
        raise _Complaint("title", f"a title is one line of at most {MAX_TITLE_CHARS} characters")
    for placeholder in _PLACEHOLDER.findall(task):
        if placeholder not in PLACEHOLDERS:
            raise _Complaint(
                "task", f"there is no {placeholder}; a task may hold {' and '.join(PLACEHOLDERS)}"
            )
    name = _read_text(values, "name") if "name" in values else _slug(title)
    if not _NAME.fullmatch(name):
        raise _Complaint("name", f"a name has small letters, digits, - and _; got {name!r}")
    if name in taken:
        raise _Complaint("name" if "name" in values else "title", f"there is an action {name} already")
    return UserAction(
        name=name, title=title, task=task, where=_read_places(values), result=_read_result(values)
    )


def _read_text(values: dict[str, object], key: str) -> str:
    value = values.get(key)
    if value is None:
        raise _Complaint("", f"this action has no {key}")
    if not isinstance(value, str) or not value.strip():
        raise _Complaint(key, f"{key} must be text, got {value!r}")
    return value.strip()


def _read_places(values: dict[str, object]) -> tuple[str, ...]:
    value = values.get("where")
    if value is None:
        return ("selection", "function")
    given = [value] if isinstance(value, str) else value
    places = tuple(cast("list[str]", given)) if isinstance(given, list) else ()
    if not places or not all(place in PLACES for place in places):
        raise _Complaint("where", f"where must be some of {', '.join(PLACES)}, got {value!r}")
    return places


def _read_result(values: dict[str, object]) -> str:
    value = values.get("result", RESULTS[0])
    if value not in RESULTS:
        raise _Complaint("result", f"result must be one of {', '.join(RESULTS)}, got {value!r}")
    return str(value)


def _slug(title: str) -> str:
    words = re.findall(r"[a-z0-9]+", title.lower())
    return "-".join(words) or "own"


def _find_line(text: str, number: int, key: str) -> int:
    """The line of a key of the so manieth action, or of that action; tomllib keeps no places."""
    seen, found = 0, 1
    for line, row in enumerate(text.splitlines(), start=1):
        bare = row.strip()
        if bare.replace(" ", "").startswith(f"[[{TABLE}]]"):
            seen += 1
            found = line if seen == number else found
        elif seen == number and key and re.match(rf"\[*\s*[\"']?{re.escape(key)}[\"']?\s*[=\].]", bare):
            return line
    return found
