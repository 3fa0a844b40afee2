"""What the lines of a reply are: fences, headings of our prompt, code, prose. Decides by look alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from assistant.wording import WORDINGS

ZERO_WIDTH = "\u200b\u2060\ufeff"
RESPONSE_HEADINGS = frozenset(wording.response for wording in WORDINGS.values())
HEADINGS = frozenset(heading for wording in WORDINGS.values() for heading in wording.headings)
_LOOK_CHARS = 300
"""So much of a line's beginning tells what it is."""
_FENCE = re.compile(rf"([ \t{ZERO_WIDTH}]*)(`{{3,}}|~{{3,}})(.*)")
_ONE_LINE_FENCE = re.compile(r"\s*(`{3,})(?:([\w+#.-]+)\s)?(?!`)(.+?)\1\s*")
_TAG = re.compile(r"[\s{.]*([\w+#.-]+)")
_PYTHON_TAG = re.compile(r"i?python[\d.]*|py[\d.]*|pyi|pycon|python-?repl")
_QUOTES = re.compile(r"""\\.|\"\"\"|'''|"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|#.*""")
_CODE = re.compile(
    r"""
    (?: from\s+[\w.]+\s+import\s | import\s+[\w.]+(?:\s+as\s+\w+)?(?:\s*,.*)?\s*$
    | (?:async\s+)?def\s+\w+\s*[(\[] | class\s+\w+\s*[(:\[] | @[\w.]+(?:\(.*)?$
    | (?:if|elif|while|for|with|async\s+(?:for|with)|match|except|lambda)\b.*:\s*(?:\#.*)?$
    | (?:else|try|finally)\s*:
    | (?:return|raise|assert|del|global|nonlocal|yield|await)\b.*[\w)\]}'"]$ | (?:pass|break|continue)$
    | [A-Za-z_][\w.]*(?:\[[^\]]*\])*(?:\s*,\s*[A-Za-z_][\w.]*)*\s*(?::\s*[\w\[\]., |]+)?
      \s*(?:[-+*/%&|^@<>]|//|\*\*|<<|>>)?=(?!=)
    | [A-Za-z_][\w.]*\(.*[)(,\[\]{}:\\'"]\s*(?:\#.*)?$
    | >>>(?:\s|$) | [rbfuRBFU]{0,2}(?:\"\"\"|''')
    )""",
    re.VERBOSE,
)
_PROSE_START = re.compile(r"(?:[-*+•]\s+|\d+[.)]\s+|#{1,6}\s+)?[*_]{0,2}[A-Za-zÀ-ÿ¡¿`]")
_WORDS = re.compile(r"(?<!\S)[*_`(\"]{0,3}[^\W\d_][\w'\u2019-]*[,.;:!?)*_`]{0,3}(?=\s|$)")
_SENTENCE_ENDS = ".!?:…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block: the lines `start` to before `end`, between its fences."""

    start: int
    end: int
    tag: str
    """The first word after the fence, in lower case; empty where there is none."""
    indent: str
    is_closed: bool
    inline: str = ""
    """What a block holds that begins and ends on one line."""

    @property
    def is_python(self) -> bool:
        """Whether its tag says Python."""
        return _PYTHON_TAG.fullmatch(self.tag) is not None

    def text(self, lines: Sequence[str]) -> str:
        """Return what is between the fences, without the indentation they have."""
        if self.inline:
            return self.inline
        body = list(lines[self.start : self.end])
        first = next((line for line in body if line.strip()), "")
        if self.indent and first.startswith(self.indent):
            body = [strip_indent(line, self.indent) for line in body]
        return "\n".join(body)


def strip_indent(line: str, indent: str) -> str:
    """Take an indentation off a line, or as much of it as is there."""
    if line.startswith(indent):
        return line[len(indent) :]
    return line.lstrip(" \t") if len(line) - len(line.lstrip(" \t")) <= len(indent) else line


def clean_lines(reply: str) -> list[str]:
    """Split a reply into lines, whatever ends them, without marks of invisible width at its ends."""
    text = reply.replace("\r\n", "\n").replace("\r", "\n")
    return text.strip(ZERO_WIDTH).split("\n")


def find_blocks(lines: Sequence[str], shadowed: Sequence[bool], *, any_indent: bool = False) -> list[Block]:
    """Find the fenced blocks.

    A block ends with a fence of the same characters, at least as long, with nothing after it, that is not
    indented more than the opening one by four (CommonMark's rule) unless `any_indent`.

    Args:
        lines: The reply.
        shadowed: The lines on which no fence counts.
        any_indent: Whether a closing fence may stand anywhere.
    """
    blocks: list[Block] = []
    opened: Block | None = None
    fence = ""
    for number, line in enumerate(lines):
        match = None if shadowed[number] else match_fence(line)
        if match is None:
            continue
        indent, marks, info = match
        if opened is None:
            single = _ONE_LINE_FENCE.fullmatch(line) if "`" in info else None
            if single:
                blocks.append(_one_line_block(number, indent, single))
            elif marks[0] == "~" or "`" not in info:
                opened = Block(
                    start=number + 1, end=len(lines), tag=_tag(info), indent=indent, is_closed=False
                )
                fence = marks
            continue
        near = any_indent or len(indent.expandtabs(4)) <= len(opened.indent.expandtabs(4)) + 3
        if marks.startswith(fence) and not info.strip() and near:
            blocks.append(
                Block(start=opened.start, end=number, tag=opened.tag, indent=opened.indent, is_closed=True)
            )
            opened = None
    return [*blocks, opened] if opened else blocks


def match_fence(line: str) -> tuple[str, str, str] | None:
    """Take a fence line apart: its indentation, its marks, and what follows them."""
    match = _FENCE.fullmatch(line)
    return (match[1].strip(ZERO_WIDTH), match[2], match[3]) if match else None


def _tag(info: str) -> str:
    match = _TAG.match(info)
    return match[1].lower() if match else ""


def _one_line_block(number: int, indent: str, match: re.Match[str]) -> Block:
    tag = (match[2] or "").lower()
    return Block(start=number, end=number + 1, tag=tag, indent=indent, is_closed=True, inline=match[3])


def find_string_lines(lines: Sequence[str]) -> list[bool]:
    """Tell which lines begin within a triple-quoted string; quotes in prose do not count.

    A string that is never closed is one if the reply begins with code: it was cut off. Elsewhere it is none.
    """
    inside = [False] * len(lines)
    unclosed: set[int] = set()
    is_cut = begins_with_code(lines)
    while True:
        quotes = QuoteTracker()
        opened_at = 0
        for number, line in enumerate(lines):
            inside[number] = quotes.is_inside
            if number in unclosed or (not quotes.is_inside and is_prose(line)):
                continue
            before = quotes.opened
            quotes.advance(line)
            opened_at = number if quotes.opened != before else opened_at
        # After a quote that is never closed there is none of its kind: a few rounds are all that can be.
        if not quotes.is_inside or is_cut or len(unclosed) > 8:
            return inside
        unclosed.add(opened_at)


class QuoteTracker:
    """Follows code line by line and knows whether a triple-quoted string is open."""

    def __init__(self) -> None:
        self.quote = ""
        """The marks that will close it; empty outside."""
        self.opened = 0
        """How many strings there were."""

    @property
    def is_inside(self) -> bool:
        """Whether the next line begins within a string."""
        return bool(self.quote)

    def advance(self, line: str) -> None:
        """Go to the end of a line."""
        if not self.quote and '"""' not in line and "'''" not in line:
            return
        place = 0
        while place < len(line):
            if self.quote:
                end = _find_unescaped(line, self.quote, place)
                if end < 0:
                    return
                place = end + 3
                self.quote = ""
            match = _QUOTES.search(line, place)
            if match is None:
                return
            place = match.end()
            if match[0] in ('"""', "'''"):
                self.quote = str(match[0])
                self.opened += 1


def _find_unescaped(line: str, quote: str, place: int) -> int:
    while (found := line.find(quote, place)) >= 0:
        before = line[place:found]
        if (len(before) - len(before.rstrip("\\"))) % 2 == 0:
            return found
        place = found + 1
    return -1


def is_code(line: str) -> bool:
    """Whether a line that is not indented looks like the beginning of a Python statement."""
    return _CODE.match(line[:_LOOK_CHARS].rstrip()) is not None


def begins_with_code(lines: Sequence[str]) -> bool:
    """Whether the first line with something on it looks like code, or is a comment."""
    first = next((line for line in lines if line.strip()), "")
    return first.startswith("#") or is_code(first)


def is_prose(line: str) -> bool:
    """Whether a line that is not indented looks like a sentence or a part of one, and not like code."""
    head = line[:_LOOK_CHARS].rstrip()
    if not head or head.startswith((" ", "\t", "# ")) or head[-1] in "{};\\([=" or is_code(head):
        return False
    words = len(_WORDS.findall(head))
    if head[-1] == ",":  # as the lines of a paragraph may end, and those of a list of arguments
        return words >= 5 and "(" not in head
    if _PROSE_START.match(head) is None:
        return False
    if head[0].islower():
        return words >= (4 if head[-1] in _SENTENCE_ENDS else 5)
    return words >= (1 if head[-1] in "!:." else 2 if head[-1] in _SENTENCE_ENDS else 3)


def find_prose_lines(lines: Sequence[str]) -> list[bool]:
    """Tell which lines are prose; an indented line is what the line before it is."""
    inside = find_string_lines(lines)
    prose: list[bool] = []
    was_prose = False
    for number, line in enumerate(lines):
        prose.append(not inside[number] and (is_prose(line) or (was_prose and is_prose(line.lstrip()))))
        was_prose = prose[-1] if line.strip() else was_prose
    return prose


def ends_a_sentence(line: str) -> bool:
    """Whether a line ends as prose does."""
    return line.rstrip().rstrip("*_`)\"'")[-1:] in tuple(_SENTENCE_ENDS)
