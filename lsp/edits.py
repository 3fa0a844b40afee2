"""Changes to a text, as small as they can be. Knows no protocol library, and nothing of Python."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lsp.positions import Span

_HAS_WORD = re.compile(r"\w{3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEdit:
    """Characters of a text, and what to put in their place."""

    span: Span
    text: str


def trim_equal_ends(old: str, new: str) -> tuple[Span, str]:
    r"""Return the part of the old text that differs from the new one, and what replaces it.

    Trimming equal ends instead of diffing is linear, and an editor needs no more. No cut is made between `\r`
    and `\n`, which many editors take for one place.
    """
    limit = min(len(old), len(new))
    head = _equal_prefix(old, new, limit)
    while head > 0 and _splits_break(old, head, new, head):
        head -= 1
    tail = _equal_prefix(old[::-1], new[::-1], limit - head)
    while tail > 0 and _splits_break(old, len(old) - tail, new, len(new) - tail):
        tail -= 1
    return Span(start=head, end=len(old) - tail), new[head : len(new) - tail]


def count_repeated_lines(new: list[str], before: list[str], after: list[str]) -> tuple[int, int]:
    """Count the lines at both ends of new text that repeat what stands before and after it.

    Blank lines and indentation do not count; neither do repeated lines without a word in them, for brackets
    end many things.

    Returns:
        How many lines to leave away at the start, and how many at the end.
    """
    written = [(number, line.strip()) for number, line in enumerate(new) if line.strip()]
    above = [line.strip() for line in before if line.strip()]
    below = [line.strip() for line in after if line.strip()]
    texts = [text for _, text in written]
    head = _longest(min(len(texts), len(above)), lambda size: texts[:size] == above[-size:])
    rest = texts[head:]
    tail = _longest(min(len(rest), len(below)), lambda size: rest[-size:] == below[:size])
    head = head if any(_HAS_WORD.search(text) for text in texts[:head]) else 0
    tail = tail if any(_HAS_WORD.search(text) for text in texts[len(texts) - tail :]) else 0
    first = written[head][0] if head < len(written) else len(new)
    last = written[len(written) - tail - 1][0] + 1 if tail < len(written) else 0
    return first if head else 0, len(new) - last if tail else 0


def apply_edits(text: str, edits: Iterable[TextEdit]) -> str:
    """Return the text after edits that do not overlap, given in the order of their places."""
    pieces: list[str] = []
    done = 0
    for edit in edits:
        if not done <= edit.span.start <= edit.span.end <= len(text):
            raise ValueError(f"edits overlap or leave the text at {edit.span}")
        pieces += text[done : edit.span.start], edit.text
        done = edit.span.end
    return "".join(pieces) + text[done:]


def _longest(limit: int, fits: Callable[[int], bool]) -> int:
    return next((size for size in range(limit, 0, -1) if fits(size)), 0)


def _equal_prefix(old: str, new: str, limit: int) -> int:
    # Halving: comparing slices is much faster than comparing characters one by one.
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _splits_break(old: str, at_old: int, new: str, at_new: int) -> bool:
    return any(text[at - 1 : at + 1] == "\r\n" for text, at in ((old, at_old), (new, at_new)))
