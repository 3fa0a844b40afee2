"""From a model's reply to code that can be worked with: clean, parsing, without indentation of its own.

Knows nothing of where the code goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from assistant.replies import ReplyError, extract_code
from lsp.parsing import Fault, parse_module
from lsp.positions import Lines
from lsp.style import dedent, leading_space, normalize_breaks
from lsp.syntax import SyntaxTree

MIN_REPEATS = 10
"""So often a stretch of lines has to stand at the end of a reply, one after another, to be a loop."""
_MAX_PERIOD = 12
_TAIL_CHARS = 2000
_LOOP_IN_LINE = re.compile(r"([^\n]{1,60}?)\1{20,}[^\n]{0,60}\Z")
_UNCLEAN = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff\ufffd]")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """Code that parses."""

    code: str
    r"""Lines end with `\n`, the last one included."""
    tree: SyntaxTree
    """Of the code."""
    is_cut: bool = False
    """The model was cut off: what stands at the end may be half of something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Useless:
    """A reply that no code can be taken from."""

    reason: str
    """What is wrong with it; follows "the answer"."""
    code: str = ""
    """What can be kept all the same."""


def extract_answer(reply: str, prompt_echo: str, *, is_cut: bool = False) -> Answer | Useless:
    """Take the code out of a reply.

    Args:
        reply: All that the model wrote.
        prompt_echo: What the model may repeat before its answer.
        is_cut: It was stopped by the limit of its tokens.
    """
    unclean = find_unclean(reply)
    if unclean:
        return Useless(reason=unclean)
    try:
        code = extract_code(reply, prompt_echo)
    except ReplyError:
        return Useless(reason="is empty")
    text = normalize_breaks(code.text)
    if not text.strip():
        return Useless(reason="holds no code")
    if is_looping(text):
        return Useless(reason="repeats itself without an end", code=text)
    fault: Fault | None = None
    for candidate in _mend_indentation(text):
        tree = parse_module(candidate)
        if not isinstance(tree, Fault):
            return Answer(code=candidate, tree=SyntaxTree(Lines(candidate)), is_cut=is_cut)
        fault = fault or tree
    if _LOOP_IN_LINE.search(text.rstrip()[-_TAIL_CHARS:]):
        return Useless(reason="repeats itself without an end", code=text)
    cut = " and was cut off" if is_cut or not code.is_complete else ""
    return Useless(reason=f"is not valid Python{cut} ({fault})", code=text)


def find_unclean(reply: str) -> str:
    """Say what is wrong with the characters of a reply; empty where nothing is."""
    match = _UNCLEAN.search(reply)
    if match is None:
        return ""
    return f"holds a character that is no text (U+{ord(match[0]):04X})"


def is_looping(text: str) -> bool:
    """Whether a text ends with the same lines over and over, as a model does that has lost its way."""
    lines = [line.rstrip() for line in text.split("\n") if line.strip()]
    for end in (len(lines), len(lines) - 1):  # the last line may be cut off
        for period in range(1, _MAX_PERIOD + 1):
            size = period * MIN_REPEATS
            tail = lines[max(end - size, 0) : end]
            if len(tail) == size and tail == tail[:period] * MIN_REPEATS:
                return True
    return False


def _mend_indentation(text: str) -> Iterator[str]:
    """The text, and what it may have meant where its indentation is wrong."""
    yield dedent(text)
    lines = text.split("\n")
    for width in (4, 8):
        if any("\t" in leading_space(line) for line in lines):
            yield dedent("\n".join(leading_space(line).expandtabs(width) + line.lstrip() for line in lines))
    rest = dedent("\n".join(lines[1:]))
    if leading_space(lines[0]) == "" and rest != "\n".join(lines[1:]):
        yield f"{lines[0]}\n{rest}"  # the first line continued one that had the indentation already
