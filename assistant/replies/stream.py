"""The code of a reply while it comes, for a screen. A guess: `extract_code` has the last word."""

from __future__ import annotations

from assistant.replies.lines import (
    HEADINGS,
    RESPONSE_HEADINGS,
    ZERO_WIDTH,
    QuoteTracker,
    is_prose,
    match_fence,
)

_DOUBT_CHARS = 200
"""No fence and no heading is longer."""


class CodeStream:
    """Takes a reply in pieces and gives the code in it that can be shown already.

    That is what stands in the first fenced block; or the whole reply, where its first line is neither a fence
    nor prose. It ends at the block's end, or where the model begins a new task. A line that is still coming
    is given as far as it came, unless it may become the fence or the heading that ends the code.
    """

    def __init__(self) -> None:
        self._pieces: list[str] = []
        """The line that is still coming."""
        self._is_sure = False
        """That line is code, and given as far as it came."""
        self._state = "before"
        """`before` the code, in the `code`, or `after` it."""
        self._talked = False
        """Prose came: what is no fence after it is prose too."""
        self._fence: tuple[str, str] | None = None
        """Indentation and marks of the fence around the code."""
        self._quotes = QuoteTracker()

    def feed(self, text: str) -> str:
        """Take some more of the reply and return some more of the code."""
        if self._state == "after":
            return ""
        first, *lines = text.replace("\r", "").split("\n")
        shown = [self._take(first)]
        for line in lines:
            shown += [self._end_line(), self._take(line)]
        return "".join(shown)

    def finish(self) -> str:
        """Return what was held back: there is no more of the reply."""
        shown = "" if not self._pieces else self._end_line().removesuffix("\n")
        self._state = "after"
        return shown

    def _take(self, text: str) -> str:
        """Take some more of a line."""
        if not text:
            return ""
        self._pieces.append(text)
        if self._is_sure:
            return text
        if self._state != "code":
            return ""
        line = "".join(self._pieces)
        if not self._quotes.is_inside and len(line) < _DOUBT_CHARS and _may_end_code(line):
            self._pieces = [line]
            return ""
        self._is_sure = True
        return line

    def _end_line(self) -> str:
        line, is_sure = "".join(self._pieces), self._is_sure
        self._pieces, self._is_sure = [], False
        if self._state == "before":
            self._begin(line)
            if self._state == "before" or self._fence is not None:
                return ""
        if self._state == "after":
            return ""
        if self._ends_code(line):
            self._state = "after"
            return ""
        self._quotes.advance(line)
        return "\n" if is_sure else f"{line}\n"

    def _begin(self, line: str) -> None:
        """Decide with a line whether the code begins."""
        fence = match_fence(line)
        if fence is not None:
            self._fence = fence[:2]
            self._state = "code"
        elif line.strip(ZERO_WIDTH).strip() and line.rstrip() not in RESPONSE_HEADINGS:
            self._talked = self._talked or is_prose(line) or line.rstrip() in HEADINGS
            self._state = "before" if self._talked else "code"

    def _ends_code(self, line: str) -> bool:
        if self._quotes.is_inside:
            return False
        fence = match_fence(line)
        if self._fence is None or fence is None:
            return line.rstrip() in HEADINGS or (fence is not None and self._fence is None)
        indent, marks, info = fence
        return (
            marks.startswith(self._fence[1]) and not info.strip() and len(indent) <= len(self._fence[0]) + 3
        )


def _may_end_code(line: str) -> bool:
    bare = line.strip()
    return not bare.strip("`") or not bare.strip("~") or any(heading.startswith(line) for heading in HEADINGS)
