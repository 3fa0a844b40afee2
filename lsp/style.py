r"""How a file is written: indentation, line ends, first and last characters. And code put in that style.

Code is indented by what Python's own tokenizer says of its lines, so that no character within a string is
moved; only strings that stand alone, as docstrings do, move with the code around them.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from lsp.positions import Lines, Span

BYTE_ORDER_MARK = "\ufeff"
DEFAULT_UNIT = "    "
_TAB_WIDTH = 4
"""Of a tab that aligns a continued line; Python itself never reads it."""
_MAX_UNIT = 8
_LINE_END = re.compile(r"\r\n?|\n")
_SKIPPED = {tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a file is written."""

    unit: str = DEFAULT_UNIT
    """One step of indentation."""
    line_end: str = "\n"


def find_style(lines: Lines) -> Style:
    """Look at how a file is written; what it does not tell is four spaces and a line feed."""
    ends = Counter(match[0] for match in _LINE_END.finditer(lines.text))
    line_end = ends.most_common(1)[0][0] if ends else "\n"
    steps: Counter[str] = Counter()
    above = ""
    for number in range(len(lines.starts)):
        line = lines.line_text(number)
        if not line.strip():
            continue
        indent = leading_space(line)
        if len(indent) > len(above) and indent.startswith(above):
            steps["\t" if indent[-1] == "\t" else indent[len(above) :][:_MAX_UNIT]] += 1
        above = indent
    unit = steps.most_common(1)[0][0] if steps else DEFAULT_UNIT
    return Style(unit=unit, line_end=line_end)


def text_start(text: str) -> int:
    """The offset of the first character after a byte order mark."""
    return 1 if text.startswith(BYTE_ORDER_MARK) else 0


def leading_space(line: str) -> str:
    """The spaces and tabs that a line begins with."""
    return line[: len(line) - len(line.lstrip(" \t"))]


def normalize_breaks(text: str) -> str:
    r"""Return a text whose lines all end with `\n`."""
    return _LINE_END.sub("\n", text) if "\r" in text else text


def set_breaks(text: str, style: Style) -> str:
    r"""Return a text whose lines end as the file's do. Takes text whose lines end with `\n`."""
    return text if style.line_end == "\n" else text.replace("\n", style.line_end)


def shared_indent(lines: Iterable[str]) -> str:
    """The indentation that all lines have in common, blank ones aside."""
    indents = [leading_space(line) for line in lines if line.strip()]
    if not indents:
        return ""
    low, high = min(indents), max(indents)
    size = next(
        (n for n, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high))
    )
    return low[:size]


def dedent(text: str) -> str:
    r"""Take the indentation that all lines share off each, strings that are not alone excepted.

    Takes text whose lines end with `\n`, whether it parses or not.
    """
    lines = text.split("\n")
    fixed = _string_lines(text)
    indent = shared_indent(line for number, line in enumerate(lines) if number not in fixed)
    if not indent:
        return text
    return "\n".join(
        line if number in fixed else line.removeprefix(indent) if line.strip() else ""
        for number, line in enumerate(lines)
    )


def cut_code(lines: Lines, span: Span, *, keep_indent: bool = False) -> str:
    r"""The text of a span, its first line with the indentation that it has; all lines end with `\n`.

    Args:
        lines: The text that the span is of.
        span: What to cut.
        keep_indent: Whether the indentation that its lines share stays.
    """
    before = lines.text[lines.starts[lines.line_at(span.start)] : span.start]
    text = normalize_breaks((before if not before.strip(" \t") else "") + span.cut(lines.text))
    return text if keep_indent else dedent(text)


def restyle(code: str, *, indent: str, unit: str) -> str:
    r"""Return code indented into place, each step of its indentation as the file's are.

    Args:
        code: Parses. Its lines end with `\n`; its first line has no indentation.
        indent: Of the place; put before every line, the first one included.
        unit: One step of the file's indentation.
    """
    lines = code.split("\n")
    for number, place in _read_layout(code).items():
        line = lines[number]
        space = leading_space(line)
        rest = (
            space[len(place.old_indent) :]
            if place.is_continued and space.startswith(place.old_indent)
            else ""
        )
        if unit.startswith("\t"):
            width = len(rest.expandtabs(_TAB_WIDTH))
            rest = "\t" * (width // _TAB_WIDTH) + " " * (width % _TAB_WIDTH)
        lines[number] = indent + unit * place.depth + rest + line.lstrip(" \t") if line.strip() else ""
    return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    depth: int
    old_indent: str
    """Of the statement that the line belongs to."""
    is_continued: bool = False


def _read_layout(code: str) -> dict[int, _Place]:
    """Say where each line belongs that is not fixed by a string. Lines count from 0."""
    lines = code.split("\n")
    places: dict[int, _Place] = {}
    stack = [""]
    for first, last in _statement_lines(code):
        indent = leading_space(lines[first])
        while len(stack) > 1 and len(indent) < len(stack[-1]):
            stack.pop()
        if len(indent) > len(stack[-1]):
            stack.append(indent)
        places[first] = _Place(depth=len(stack) - 1, old_indent=indent)
        for number in range(first + 1, last + 1):
            places[number] = _Place(depth=len(stack) - 1, old_indent=indent, is_continued=True)
    _place_comments(lines, places)
    for number in _string_lines(code):
        places.pop(number, None)
    return places


def _place_comments(lines: list[str], places: dict[int, _Place]) -> None:
    """A comment belongs to the statement after it where both are indented alike, else to one before it."""
    statements = {number: place for number, place in places.items() if not place.is_continued}
    followed_by: dict[int, _Place] = {}
    following: _Place | None = None
    for number in reversed(range(len(lines))):
        if number in statements:
            following = statements[number]
        if number not in places and following is not None:
            followed_by[number] = following
    latest: dict[int, int] = {}  # the last line so far of each width of indentation
    for number, line in enumerate(lines):
        if number in statements:
            latest[len(statements[number].old_indent)] = number
        if number in places:
            continue
        width = len(leading_space(line))
        below = followed_by.get(number)
        above = max((at for indent, at in latest.items() if indent <= width), default=None)
        if below is not None and (len(below.old_indent) == width or above is None):
            places[number] = below
        else:
            places[number] = statements[above] if above is not None else _Place(depth=0, old_indent="")


def _statement_lines(code: str) -> list[tuple[int, int]]:
    """The first and last line of each statement, or of each header of a compound one."""
    statements: list[tuple[int, int]] = []
    first: int | None = None
    for token in _tokens(code):
        if token.type == tokenize.NEWLINE:
            if first is not None:
                statements.append((first, token.start[0] - 1))
            first = None
        elif first is None and token.type not in _SKIPPED:
            first = token.start[0] - 1
    return statements


def _string_lines(code: str) -> set[int]:
    """The lines that begin within a string, unless the string is a statement of its own."""
    inside: set[int] = set()
    statement: list[tokenize.TokenInfo] = []
    for token in _tokens(code):
        if token.type == tokenize.NEWLINE:
            if not all(each.type == tokenize.STRING for each in statement):
                inside |= _lines_within_strings(statement)
            statement = []
        elif token.type not in _SKIPPED:
            statement.append(token)
    return inside | _lines_within_strings(statement)


def _lines_within_strings(tokens: Iterable[tokenize.TokenInfo]) -> set[int]:
    inside: set[int] = set()
    open_at: list[int] = []  # since Python 3.12 an f-string is several tokens
    for token in tokens:
        name = tokenize.tok_name[token.type]
        if name.endswith("STRING_START"):
            open_at.append(token.start[0])
        elif name.endswith("STRING_END"):
            inside.update(range(open_at.pop(), token.end[0]))
        elif token.type == tokenize.STRING:
            inside.update(range(token.start[0], token.end[0]))
    return inside


def _tokens(code: str) -> list[tokenize.TokenInfo]:
    """The tokens of a text, as far as it has any."""
    found: list[tokenize.TokenInfo] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            found.append(token)
    except (tokenize.TokenError, SyntaxError):
        pass
    return found
