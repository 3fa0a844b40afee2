"""What an editor may set. All of it is harmless, for the settings may come with somebody's repository.

Programs, models, sockets and addresses are the user's own business and stand in `assistant`'s configuration.
The text under each field is its help. Values come from `initializationOptions`, then from the section
`assistant` of the editor's configuration, later ones winning. Knows no protocol library.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

from assistant import limits, paths

SECTION = "assistant"
DELIVERIES = ("auto", "command", "resolve")
POSITION_ENCODINGS = ("auto", "utf-8", "utf-16", "utf-32")
EDITORS_OWN = frozenset({"trace", "server_command"})
"""Keys of the same section that editors' extensions read themselves."""
_OURS_ALONE = re.compile(r"generator|engine|server|model|path|program|socket|url|home|token", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LspSettings:
    """The settings of one editor."""

    delivery: str = "auto"
    """How an edit arrives: `command` sends it when it is ready; `resolve` answers the editor's own request,
    where the editor is known to wait without freezing. `auto` is `command`."""
    position_encoding: str = "auto"
    """`utf-8`, `utf-16` or `utf-32` where the editor offers it; `auto` takes what it likes best.
    Only in `initializationOptions`."""
    hidden_actions: tuple[str, ...] = ()
    """Names of actions that are not offered."""
    confirm_edits: bool = False
    """Ask before each edit, in editors that can."""
    max_tokens: int = 0
    """New tokens at most for each answer; 0 for what `sampling.max_tokens` says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedSettings:
    """Settings, and what was wrong with the values they come from."""

    settings: LspSettings
    complaints: tuple[str, ...] = ()
    """One sentence for each key that was left out."""


Check = Callable[[object], str]
"""Returns what is wrong with a value, or the empty string."""


def parse_settings(*sources: object) -> ParsedSettings:
    """Read the settings that an editor sent, later sources winning. What cannot be used is left out.

    Args:
        sources: What the editor sent, with or without the section around it; None where it sent nothing.
    """
    values: dict[str, Any] = {}
    complaints: list[str] = []
    for source in sources:
        content = _unwrap_section(source)
        if content is None:
            continue
        if not isinstance(content, Mapping):
            complaints.append(f"the settings must be an object, got {_excerpt(content)}")
            continue
        for name, value in cast("Mapping[object, object]", content).items():
            key = _snake_case(str(name))
            complaint = _find_complaint(key, str(name), value)
            if complaint:
                complaints.append(complaint)
            elif key not in EDITORS_OWN and value is not None:
                values[key] = tuple(cast("list[str]", value)) if isinstance(value, list) else value
    return ParsedSettings(settings=LspSettings(**values), complaints=tuple(dict.fromkeys(complaints)))


def setting_names() -> list[str]:
    """Every key, as editors write it."""
    return [_camel_case(field.name) for field in fields(LspSettings)]


def _one_of(choices: tuple[str, ...]) -> Check:
    return lambda value: "" if value in choices else f"must be one of {', '.join(choices)}"


def _flag(value: object) -> str:
    return "" if isinstance(value, bool) else "must be true or false"


def _names(value: object) -> str:
    is_list = isinstance(value, list) and all(isinstance(item, str) for item in cast("list[object]", value))
    return "" if is_list else "must be a list of names"


def _token_count(value: object) -> str:
    fits = type(value) is int and 0 <= value <= limits.MAX_MAX_TOKENS
    return "" if fits else f"must be a whole number from 0 to {limits.MAX_MAX_TOKENS}"


_CHECKS: Mapping[str, Check] = {
    "delivery": _one_of(DELIVERIES),
    "position_encoding": _one_of(POSITION_ENCODINGS),
    "hidden_actions": _names,
    "confirm_edits": _flag,
    "max_tokens": _token_count,
}


def _find_complaint(key: str, name: str, value: object) -> str:
    if key in EDITORS_OWN or value is None:
        return ""
    check = _CHECKS.get(key)
    if check is not None:
        complaint = check(value)
        return f"{SECTION}.{name} {complaint}, got {_excerpt(value)}" if complaint else ""
    if _OURS_ALONE.search(key):
        return f"{SECTION}.{name} cannot be set by an editor: put it into {paths.config_file()}"
    nearest = difflib.get_close_matches(_camel_case(key), setting_names(), n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(setting_names())}"
    return f"there is no setting {SECTION}.{name}: {hint}"


def _unwrap_section(source: object) -> object:
    if not isinstance(source, Mapping):
        return source
    content = cast("Mapping[str, object]", source)
    return content[SECTION] if list(content) == [SECTION] else content


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).replace("-", "_").lower()


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _excerpt(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
