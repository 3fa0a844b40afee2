"""The code of a whole reply, and the reply as parts of prose and code."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from assistant.errors import AssistantError
from assistant.replies.checking import Checker, Verdict
from assistant.replies.lines import (
    HEADINGS,
    RESPONSE_HEADINGS,
    Block,
    begins_with_code,
    clean_lines,
    ends_a_sentence,
    find_blocks,
    find_prose_lines,
    find_string_lines,
    is_code,
    match_fence,
)
from assistant.wording import WORDINGS

_MAX_LAYERS = 4
"""Code within code within code: a reply nested deeper is taken whole."""


class ReplyError(AssistantError):
    """A reply has nothing in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The code of a reply."""

    text: str
    """Ends with one line end. Empty where the reply is prose alone."""
    tag: str = ""
    """What the code's fence calls its language, in lower case."""
    is_complete: bool = True
    """Not seen to be cut off: its fence is closed, or what stands without one does not break off."""
    parses: bool = False
    """Whether it is valid Python."""
    syntax_error: str = ""
    """Where and why it does not parse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stretch of a reply."""

    text: str
    """Without fences, and without blank lines around it."""
    is_code: bool
    tag: str = ""
    is_complete: bool = True


def extract_code(reply: str, prompt_echo: str = "") -> Code:
    """Return the code of a reply.

    - A reply that parses as it is, is code. Otherwise fenced blocks are: those tagged as Python, else those
      without a tag, else any.
    - Several blocks that parse one after another and define nothing twice are parts of one program and are
      joined; of other ones the longest that parses is taken, and of those that do not parse, the longest.
    - Without a fence, prose before and after is left away, and of several stretches of code the longest that
      parses is taken.
    - A repeated prompt, and a new task that the model begins after its answer, are cut off.
    - What does not parse is mended where that is enough to make it parse: indentation of the whole,
      characters of no width, the prompts of an interpreter session.

    What came out is looked at again until nothing changes, so that code extracted from code is the same code.

    Args:
        reply: The model's text.
        prompt_echo: The prompt, where the model may repeat it.

    Raises:
        ReplyError: The reply is empty, or white space alone.
    """
    if not reply.strip():
        raise ReplyError("the model answered with nothing")
    checker = Checker()
    text = _cut_echo(reply, prompt_echo)
    code = _extract_once(text, checker)
    if code.text == _clean(text):
        return code
    for _ in range(_MAX_LAYERS):
        inner = _extract_once(code.text, checker) if code.text else code
        if inner.text == code.text:
            return code
        code = replace(inner, tag=inner.tag or code.tag, is_complete=inner.is_complete and code.is_complete)
    return Code(text=_clean(text), is_complete=False, syntax_error="the reply is fences within fences")


def extract_parts(reply: str) -> tuple[Part, ...]:
    """Take a reply apart into prose and code, in their order. An empty reply has no parts."""
    lines = _answer_lines(clean_lines(reply))
    checker = Checker()
    parts: list[Part] = []
    shown = 0
    for block in _find_code(lines, checker):
        is_fenced = block.start > 0 and not block.inline and match_fence(lines[block.start - 1]) is not None
        parts.append(Part(text="\n".join(lines[shown : block.start - is_fenced]), is_code=False))
        text, _ = checker.mend(_end_once(block.text(lines)))
        parts.append(Part(text=text, is_code=True, tag=block.tag, is_complete=block.is_closed))
        shown = block.end
        if block.is_closed and not block.inline and shown < len(lines) and match_fence(lines[shown]):
            shown += 1
    parts.append(Part(text="\n".join(lines[shown:]), is_code=False))
    trimmed = (replace(part, text=_end_once(part.text).removesuffix("\n")) for part in parts)
    return tuple(part for part in trimmed if part.text)


def _find_code(lines: Sequence[str], checker: Checker) -> list[Block]:
    whole = Block(start=0, end=len(lines), tag="", indent="", is_closed=True)
    if checker.mend(_end_once("\n".join(lines)))[1].is_program and not _has_open_fence(lines):
        return [whole]
    blocks = _choose_blocks(lines, checker)
    if blocks:
        return blocks
    start, end = _code_span(lines, checker)
    return [replace(whole, start=start, end=end)] if start < end else []


def _cut_echo(reply: str, prompt: str) -> str:
    stripped, echo = reply.lstrip(), prompt.strip()
    return stripped[len(echo) :] if echo and stripped.startswith(echo) else reply


def _extract_once(reply: str, checker: Checker) -> Code:
    lines = _answer_lines(clean_lines(reply))
    text, verdict = checker.mend(_end_once("\n".join(lines)))
    if (verdict.parses and not _has_open_fence(lines)) or not text:
        return _build_code(text, verdict)
    blocks = _choose_blocks(lines, checker)
    if blocks:
        return _join_blocks(lines, blocks, checker)
    start, end = _code_span(lines, checker)
    if start == end:
        return Code(text="", syntax_error="the reply holds no code")
    return _build_code(*checker.mend(_end_once("\n".join(lines[start:end]))))


def _has_open_fence(lines: Sequence[str]) -> bool:
    """Whether there is a fence outside of strings. Python reads `~~~python` as an expression."""
    fences = [number for number, line in enumerate(lines) if match_fence(line)]
    if not fences:
        return False
    inside = find_string_lines(lines)
    return not all(inside[number] for number in fences)


def _build_code(text: str, verdict: Verdict, *, tag: str = "", is_complete: bool | None = None) -> Code:
    is_complete = not verdict.ends_early if is_complete is None else is_complete
    if not text:
        return Code(text="", tag=tag, is_complete=is_complete, syntax_error="the reply holds no code")
    return Code(
        text=text,
        tag=tag,
        is_complete=is_complete,
        parses=verdict.parses,
        syntax_error=verdict.error,
    )


def _clean(reply: str) -> str:
    return _end_once("\n".join(clean_lines(reply)))


def _end_once(text: str) -> str:
    """Leave blank lines at both ends away, and end with one line end unless nothing is left."""
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    start = next((number for number, line in enumerate(lines) if line.strip()), 0)
    return "\n".join(lines[start:]) + "\n" if lines else ""


def _answer_lines(lines: list[str]) -> list[str]:
    """Leave away what our prompt's headings show to be no answer: an echo before it, a new task after it."""
    if not any(line.rstrip() in HEADINGS for line in lines):
        return lines
    inside = find_string_lines(lines)
    places = [n for n, line in enumerate(lines) if line.rstrip() in HEADINGS and not inside[n]]
    if not places:
        return lines
    before = lines[: places[0]]
    sections = [
        (lines[place].rstrip() in RESPONSE_HEADINGS, lines[place + 1 : end])
        for place, end in zip(places, [*places[1:], len(lines)], strict=True)
    ]
    written = [(is_response, section) for is_response, section in sections if _is_written(section)]
    response = next((section for is_response, section in written if is_response), None)
    if _is_written(before) and (response is None or not _is_preamble(before, is_answered=sections[0][0])):
        return before
    return response if response is not None else written[-1][1] if written else []


def _is_written(lines: Sequence[str]) -> bool:
    return any(line.strip() for line in lines)


def _is_preamble(lines: Sequence[str], *, is_answered: bool) -> bool:
    """Whether what stands before a heading only leads to it: some prose, or the end of our instruction."""
    if any(match_fence(line) or is_code(line) for line in lines):
        return False
    text = "\n".join(lines).strip()
    return is_answered or any(wording.directive.endswith(text) for wording in WORDINGS.values())


def _choose_blocks(lines: Sequence[str], checker: Checker) -> list[Block]:
    """Find the fenced blocks, and of several readings take the first in which the code parses."""
    if not any(match_fence(line) for line in lines):
        return []
    nothing = [False] * len(lines)
    inside = find_string_lines(lines)
    if begins_with_code(lines) and all(
        inside[number] for number, line in enumerate(lines) if match_fence(line)
    ):
        return []  # examples in the documentation of code that is cut off
    readings = [find_blocks(lines, inside), find_blocks(lines, nothing)]
    if any(not block.is_closed for block in readings[1]):
        readings.append(find_blocks(lines, nothing, any_indent=True))
        readings.append(_read_headless(lines, readings[1]))
    distinct = [reading for number, reading in enumerate(readings) if reading not in readings[:number]]
    if len(distinct) == 1:
        return distinct[0]
    parsing = (blocks for blocks in distinct if blocks and _join_blocks(lines, blocks, checker).parses)
    return next(parsing, readings[1])


def _read_headless(lines: Sequence[str], blocks: list[Block]) -> list[Block]:
    """Read a reply that begins within a block: what seems to open a block may close the code before it."""
    first = blocks[0]
    if len(blocks) > 1 or first.tag or first.inline or not any(map(is_code, lines[: first.start - 1])):
        return blocks
    return [Block(start=0, end=first.start - 1, tag="", indent="", is_closed=True)]


def _join_blocks(lines: Sequence[str], blocks: Sequence[Block], checker: Checker) -> Code:
    chosen = _preferred([block for block in blocks if block.text(lines).strip()])
    is_complete = all(block.is_closed for block in chosen)
    read = [(block, *checker.mend(_end_once(block.text(lines)))) for block in chosen]
    programs = [each for each in read if each[2].is_program]
    read = programs or read
    if not read:
        return Code(text="", syntax_error="the reply holds no code")
    if len(read) > 1 and len(programs) == len(chosen):
        names = [name for _, _, verdict in read for name in verdict.names]
        joined = "\n".join(text for _, text, _ in read)
        verdict = checker.check(joined)
        is_late = any("from __future__" in verdict.names for _, _, verdict in read[1:])
        if verdict.parses and len(names) == len(set(names)) and not is_late:
            return _build_code(joined, verdict, tag=read[0][0].tag, is_complete=is_complete)
    best = max(read, key=lambda each: (each[2].parses, len(each[1])))
    return _build_code(best[1], best[2], tag=best[0].tag, is_complete=is_complete)


def _preferred(blocks: list[Block]) -> list[Block]:
    python = [block for block in blocks if block.is_python]
    return python or [block for block in blocks if not block.tag] or blocks


def _code_span(lines: Sequence[str], checker: Checker) -> tuple[int, int]:
    """Find the code in lines without fences; an empty span where all is prose."""
    prose = find_prose_lines(lines)
    written = [number for number, line in enumerate(lines) if line.strip()]
    if not any(prose):
        return 0, len(lines)
    if all(prose[number] for number in written) and ends_a_sentence(lines[written[-1]]):
        return 0, 0
    breaks = [-1, *(number for number, each in enumerate(prose) if each), len(lines)]
    spans = [(start + 1, end) for start, end in pairwise(breaks)]
    spans = [(start, end) for start, end in spans if any(is_code(line) for line in lines[start:end])]
    sizes = {span: bisect_left(written, span[1]) - bisect_left(written, span[0]) for span in spans}
    for start, end in sorted(spans, key=lambda span: -sizes[span])[:8]:
        verdict = checker.mend(_end_once("\n".join(lines[start:end])))[1]
        if verdict.is_program and (sizes[start, end] > 1 or sum(prose) + 1 == len(written)):
            return start, end
    start, end = max(spans, key=lambda span: sizes[span], default=(0, 0))
    around = [lines[number] for number in breaks[1:-1] if not start <= number < end]
    is_found = sizes.get((start, end), 0) > 1 and any(map(ends_a_sentence, around))
    return (start, end) if is_found else (0, len(lines))
