"""Reads an answer as it is written and says where its code cannot be Python any more. Text in, verdict out.

Each line of code is checked when it ends: the code so far is compiled as incomplete input, so that an error
that more text could mend is none. Where the code ends, it must be complete. What this interpreter does not
parse is no Python here. Knows no tokens and no tensors; what is done about a fault, `retrying` decides.
"""

from __future__ import annotations

import ast
import codeop
import io
import re
import tokenize
import warnings
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, NamedTuple, cast

from assistant.replies.lines import (
    HEADINGS,
    RESPONSE_HEADINGS,
    ZERO_WIDTH,
    QuoteTracker,
    begins_with_code,
    find_blocks,
    is_prose,
    match_fence,
    strip_indent,
)

LONGEST_CHARS = 10_000
"""Code that goes on for longer without the end of a statement is not checked: each check reads it again."""
SHED_CHARS = 2000
"""Functions that are finished are left out of the checks from this length on."""

_FILE = "<answer>"
_FLAGS: Any = codeop  # typeshed does not list them
_INCOMPLETE: int = _FLAGS.PyCF_ALLOW_INCOMPLETE_INPUT | _FLAGS.PyCF_DONT_IMPLY_DEDENT | ast.PyCF_ONLY_AST
_INDENTED = "if 1:\n"
"""Code that is indented as a whole is read under this."""
_QUIET = ("ignore", None, Warning, re.compile(re.escape(_FILE)), 0)


class _Mode(Enum):
    """What the next line may be."""

    PROSE = auto()
    FIRST = auto()
    """Code or not: the first line with something on it decides."""
    CODE = auto()
    OTHER = auto()
    """In a fenced block that is not checked."""
    OVER = auto()
    """Nothing that comes is checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Code that cannot become Python by anything that is appended."""

    message: str
    end: int | None = None
    """The fault lies in so many characters of the last line; None where it may lie anywhere."""


class Reading(NamedTuple):
    """How far an answer has been read. Never changes: to go back, keep the one from before.

    A tuple, since one is made for every token: to replace a value of a data class takes ten times as long.
    """

    mode: _Mode
    is_all_code: bool
    line: str = ""
    """The line that is still coming."""
    fence: tuple[str, str] | None = None
    """Indentation and marks of the fence around the code."""
    tag: str = ""
    code: str = ""
    """The code's finished lines, without statements at its beginning that are over."""
    quote: str = ""
    """The marks of the string that the next line begins in."""
    is_open: bool = False
    """Whether the next line is within brackets: whether they must be closed may show much later."""

    @property
    def is_code(self) -> bool:
        """Whether what comes now is code, and may have to be taken back."""
        return self.mode in (_Mode.FIRST, _Mode.CODE)


def open_reading(*, is_all_code: bool) -> Reading:
    """Return the reading of an answer that has not begun.

    Args:
        is_all_code: Whether answers are meant to be code alone. Otherwise code is what stands in the first
            fenced block of Python, or the whole where it begins with what is clearly code.
    """
    return Reading(mode=_Mode.FIRST, is_all_code=is_all_code)


def close_reading(reading: Reading) -> Reading:
    """Check nothing more."""
    return reading._replace(mode=_Mode.OVER, code="", line="", is_open=False)


def read_on(reading: Reading, text: str) -> Reading | Fault:
    """Read more text; the fault is in the last line that it ends."""
    if reading.mode is _Mode.OVER:
        return reading
    first, *rest = text.split("\n")
    line = reading.line + first
    for following in rest:
        after = _end_line(reading, line)
        if isinstance(after, Fault):
            return after
        reading, line = after, following
    is_talk = reading.mode is _Mode.FIRST and reading.fence is None and is_prose(line)
    return reading._replace(line=line, mode=_Mode.PROSE if is_talk else reading.mode)


def find_unfinished(reading: Reading) -> Fault | None:
    """Say what is wrong with ending the answer here."""
    after = _end_line(reading, reading.line) if reading.line else reading
    if isinstance(after, Fault):
        return after
    return find_fault(after.code, is_whole=True) if after.mode is _Mode.CODE else None


def find_fault(code: str, *, is_whole: bool = False) -> Fault | None:
    """Say why code cannot be Python, or return None.

    Args:
        code: Whole lines.
        is_whole: Whether it ends here; otherwise it is the beginning of a program.
    """
    parsed = _parse(code, is_whole=is_whole)
    return parsed if isinstance(parsed, Fault) else None


def _end_line(reading: Reading, line: str) -> Reading | Fault:
    line = line.rstrip("\r").translate(_INVISIBLE)
    match reading.mode:
        case _Mode.PROSE:
            return _open_block(reading, line)
        case _Mode.FIRST:
            return _begin(reading, line)
        case _Mode.CODE:
            return _extend(reading, line)
        case _Mode.OTHER:
            return reading._replace(mode=_Mode.PROSE) if _closes(reading, line) else reading
        case _Mode.OVER:
            return reading


_INVISIBLE = str.maketrans("", "", ZERO_WIDTH)


def _open_block(reading: Reading, line: str) -> Reading:
    fence = match_fence(line)
    blocks = find_blocks([line], [False]) if fence else []
    if fence is None or not blocks or blocks[0].inline:
        return reading
    is_ours = blocks[0].is_python or not blocks[0].tag
    mode = _Mode.FIRST if is_ours else _Mode.OTHER
    return reading._replace(mode=mode, fence=fence[:2], tag=blocks[0].tag, code="", quote="")


def _begin(reading: Reading, line: str) -> Reading | Fault:
    """Decide with a line whether the code begins."""
    if not line.strip():
        return reading
    if reading.fence is not None:
        if _closes(reading, line):
            return reading._replace(mode=_Mode.PROSE)
        is_other = line.lstrip().startswith(">>>") or not (reading.tag or begins_with_code([line]))
        return reading._replace(mode=_Mode.OTHER) if is_other else _extend(reading, line)
    if match_fence(line) is not None:
        return _open_block(reading, line)
    if line.rstrip() in RESPONSE_HEADINGS:
        return reading
    is_talk = is_prose(line) or not (reading.is_all_code or begins_with_code([line]))
    if line.rstrip() in HEADINGS or is_talk:
        return reading._replace(mode=_Mode.PROSE)
    return _extend(reading, line)


def _extend(reading: Reading, line: str) -> Reading | Fault:
    """Add a line to the code, unless it ends it."""
    if not reading.quote:
        if _closes(reading, line):
            return find_fault(reading.code, is_whole=True) or close_reading(reading)
        if reading.fence is None and (line.rstrip() in HEADINGS or match_fence(line) is not None):
            return close_reading(reading)
    indent = reading.fence[0] if reading.fence else ""
    stripped = strip_indent(line, indent)
    before = reading.code
    if not before:
        before = _INDENTED if stripped[:1] in (" ", "\t") else ""
    code = f"{before}{stripped}\n"
    if len(code) > LONGEST_CHARS:
        return close_reading(reading)
    parsed = _parse(code, is_whole=False)
    if isinstance(parsed, Fault):
        if reading.fence is None and not reading.quote and is_prose(line):
            return close_reading(reading)  # what follows the code is said about it
        end = parsed.end if parsed.end is None else parsed.end + len(line) - len(stripped)
        return replace(parsed, end=end)
    quotes = QuoteTracker()
    quotes.quote = reading.quote
    quotes.advance(stripped)
    if parsed is None and len(code) > SHED_CHARS and not reading.quote and stripped[:1].strip():
        parsed = _parse(before, is_whole=True)
    code = _shed(code, parsed) if isinstance(parsed, ast.Module) else code
    is_open = parsed is None and not quotes.quote and _has_open_bracket(code)
    return reading._replace(mode=_Mode.CODE, code=code, quote=quotes.quote, is_open=is_open)


def _closes(reading: Reading, line: str) -> bool:
    fence = match_fence(line)
    if fence is None or reading.fence is None:
        return False
    indent, marks, rest = fence
    is_near = len(indent.expandtabs(4)) <= len(reading.fence[0].expandtabs(4)) + 3
    return marks.startswith(reading.fence[1]) and not rest.strip() and is_near


def _shed(code: str, tree: ast.Module) -> str:
    """Leave out the statements before the last: no later line changes what they are."""
    if len(tree.body) < 2:
        return code
    last = tree.body[-1]
    decorators = getattr(last, "decorator_list", [])
    start = min(node.lineno for node in (last, *decorators))
    return "".join(code.splitlines(keepends=True)[start - 1 :])


def _has_open_bracket(code: str) -> bool:
    try:
        for _ in tokenize.generate_tokens(io.StringIO(code).readline):
            pass
    except tokenize.TokenError as error:
        return "multi-line statement" in str(error)
    except SyntaxError:
        pass
    return False


def _parse(code: str, *, is_whole: bool) -> ast.Module | Fault | None:
    """Return the tree of code, why there can be none, or None where more of the code must tell."""
    if warnings.filters[:1] != [_QUIET]:  # a program with "\d" in it is a program
        warnings.filterwarnings("ignore", module=_QUIET[3].pattern)
    flags = ast.PyCF_ONLY_AST if is_whole else _INCOMPLETE
    try:
        return cast("ast.Module", compile(code, _FILE, "exec", flags, dont_inherit=True))
    except SyntaxError as error:
        if error.msg == "incomplete input":
            return None
        return _build_fault(error, code)
    except (RecursionError, MemoryError, ValueError, OverflowError):  # too deep to check, a NUL character
        return None


def _build_fault(error: SyntaxError, code: str) -> Fault:
    message = str(error.msg)
    is_last = error.lineno == error.end_lineno == code.count("\n")
    # Within f-strings places are counted from elsewhere; a quote or bracket is missed after where it opens.
    if (
        not is_last
        or message.startswith("f-string")
        or "never closed" in message
        or "unterminated" in message
    ):
        return Fault(message=message)
    return Fault(message=message, end=max(error.end_offset or 0, error.offset or 0) or None)
