"""A reply that is still coming, as blocks of prose and of code. Knows no widgets.

It guesses from what is there: the whole reply is taken apart by `assistant.replies` when it has come.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tui.shown import shown_text

BLOCK_LINES = 40
"""A block is closed after so many lines, so that showing one more line costs the same at any length."""
MAX_LIVE_LINE_CHARS = 4000

_FENCE = re.compile(r"^\s{0,3}(`{3,}|~{3,})")
_CODE_START = re.compile(
    r"^(\s{4}|\t|#|@|import\s|from\s\S+\simport|def\s|class\s|async\sdef|if\s|for\s|while\s|with\s|try:"
    r"|print\(|return\s|\"\"\"|'''|[\w.\[\]]+\s*(=|\())"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Some lines of a reply."""

    is_code: bool
    lines: tuple[str, ...]
    """Without line ends. The last may be incomplete in a block that is still open."""
    begins_code: bool = False
    """It is the first block of a stretch of code."""


class LiveReply:
    """Takes a reply in pieces of any size."""

    def __init__(self) -> None:
        self._line = ""
        self._lines: list[str] = []
        self._is_code: bool | None = None
        self._begins_code = True
        self._fence = ""

    def feed(self, text: str) -> list[Block]:
        """Take a piece; return the blocks that are complete now."""
        *complete, self._line = (self._line + text).split("\n")
        closed: list[Block] = []
        for line in complete:
            closed += self._take_line(line)
        return closed

    def open_block(self) -> Block:
        """Return the block that is still open."""
        line = self._line[:MAX_LIVE_LINE_CHARS]
        is_fence = bool(_FENCE.match(line))
        lines = [*self._lines, *([shown_text(line)] if line and not is_fence else [])]
        is_code = _looks_like_code(line) if self._is_code is None else self._is_code
        return Block(is_code=is_code, lines=tuple(lines), begins_code=self._begins_code)

    def _take_line(self, line: str) -> list[Block]:
        fence = _FENCE.match(line)
        if fence and not self._fence:
            closed = self._close()
            self._fence, self._is_code, self._begins_code = fence.group(1), True, True
            return closed
        if fence and fence.group(1).startswith(self._fence) and not line.strip().strip("`~"):
            closed = self._close()
            self._fence, self._is_code, self._begins_code = "", False, True
            return closed
        if self._is_code is None:
            if not line.strip():
                return []
            self._is_code = _looks_like_code(line)
        self._lines.append(shown_text(line[:MAX_LIVE_LINE_CHARS]))
        return self._close() if len(self._lines) >= BLOCK_LINES else []

    def _close(self) -> list[Block]:
        if not self._lines:
            return []
        block = Block(is_code=bool(self._is_code), lines=tuple(self._lines), begins_code=self._begins_code)
        self._lines = []
        self._begins_code = False
        return [block]


def _looks_like_code(line: str) -> bool:
    return bool(_CODE_START.match(line))
