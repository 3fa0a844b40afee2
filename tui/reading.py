"""A whole answer taken apart for the screen: prose and code in their order, and the code that it comes to.

What the code is, `assistant.replies` says, for every front end alike. Knows no widgets.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from assistant.replies import Part, extract_code, extract_parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An answer, taken apart."""

    parts: tuple[Part, ...] = ()
    code: str = ""
    """What is copied, saved and run. It ends with one line end."""
    parses: bool = True
    syntax_error: str = ""


@lru_cache(maxsize=64)
def read_answer(answer: str) -> Reading:
    """Take an answer apart. The empty answer has no parts."""
    if not answer.strip():
        return Reading()
    code = extract_code(answer)
    return Reading(
        parts=extract_parts(answer),
        code=code.text,
        parses=code.parses,
        syntax_error=code.syntax_error,
    )
