"""Asks Python whether a text is a program, and mends what surely only its way here has bent. Runs nothing."""

from __future__ import annotations

import ast
import re
import threading
import warnings
from dataclasses import dataclass

from assistant.replies.lines import ZERO_WIDTH, strip_indent

MAX_PARSED_CHARS = 2_500_000
"""For one reply, all attempts together: Python parses about 1 MB a second."""
_ATTEMPT_CHARS = 50
"""What an attempt costs beside its length."""
_WARNINGS = threading.Lock()
_INVISIBLE = str.maketrans("", "", ZERO_WIDTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What Python says of a text."""

    parses: bool
    error: str = ""
    """Where and why it does not parse."""
    ends_early: bool = False
    """The error is that the text ends: more of it may have been a program."""
    is_program: bool = False
    """It does something: not only words, which may well parse."""
    names: frozenset[str] = frozenset()
    """Functions and classes that it defines; and `from __future__`, which only a beginning may have."""


class Checker:
    """Checks the texts of one reply, each once, and stops parsing when it has cost enough."""

    def __init__(self) -> None:
        self._verdicts: dict[str, Verdict] = {}
        self._room = MAX_PARSED_CHARS

    def check(self, text: str) -> Verdict:
        """Say whether a text parses."""
        verdict = self._verdicts.get(text)
        if verdict is None:
            self._room -= len(text) + _ATTEMPT_CHARS
            verdict = _parse(text) if self._room >= 0 else Verdict(parses=False, error="too long to check")
            self._verdicts[text] = verdict
        return verdict

    def mend(self, text: str) -> tuple[str, Verdict]:
        """Return a text with the smallest change that makes it parse; else cleaned of what is no code."""
        verdict = self.check(text)
        if verdict.parses:
            return text, verdict
        visible = text.translate(_INVISIBLE)
        even = dedent(visible)
        for candidate in (visible, _strip_first_space(visible), even, _unquote_transcript(even)):
            mended = self.check(candidate)
            if mended.parses:
                return candidate, mended
        return even, self.check(even)


def _parse(text: str) -> Verdict:
    try:
        with _WARNINGS, warnings.catch_warnings():  # they are process-wide: one thread at a time
            warnings.simplefilter("ignore")  # a program with "\d" in it is a program
            tree = ast.parse(text)
    except SyntaxError as error:
        last = text.rstrip().count("\n") + 1
        message = str(error.msg)
        early = (error.lineno or 0) >= last or "never closed" in message or "unterminated triple" in message
        return Verdict(parses=False, error=f"line {error.lineno}: {message}", ends_early=early)
    except (RecursionError, MemoryError):
        return Verdict(parses=False, error="too deeply nested to check")
    except ValueError as error:  # null bytes, half surrogate pairs
        return Verdict(parses=False, error=str(error))
    names = {
        statement.name
        for statement in tree.body
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    if any(isinstance(each, ast.ImportFrom) and each.module == "__future__" for each in tree.body):
        names.add("from __future__")
    is_program = any(not _is_idle(statement) for statement in tree.body)
    return Verdict(parses=True, is_program=is_program, names=frozenset(names))


def _is_idle(statement: ast.stmt) -> bool:
    """Whether a statement does nothing, as words do that happen to parse: `Done`, `Note: this`."""
    if isinstance(statement, ast.AnnAssign):
        return statement.value is None
    if not isinstance(statement, ast.Expr):
        return False
    return not isinstance(statement.value, ast.Call | ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr)


def dedent(text: str) -> str:
    """Take off the indentation that all lines share. Unlike `textwrap`'s, leaves blank lines as they are."""
    lines = text.split("\n")
    indents = [line[: len(line) - len(line.lstrip(" \t"))] for line in lines if line.strip()]
    if not indents or not all(indents):
        return text
    low, high = min(indents), max(indents)
    shared = 0
    while shared < len(low) and low[shared] == high[shared]:
        shared += 1
    return "\n".join(strip_indent(line, low[:shared]) for line in lines) if shared else text


def _strip_first_space(text: str) -> str:
    """Take the one space off that SentencePiece decoders leave before the first word."""
    match = re.match(r"\n* (?! )", text)
    return text[: match.end() - 1] + text[match.end() :] if match else text


def _unquote_transcript(text: str) -> str:
    """Return what was typed in an interpreter session."""
    if not text.lstrip().startswith(">>>"):
        return text
    typed = [line[4:] for line in text.split("\n") if re.match(r"(?:>>>|\.\.\.)(?: |$)", line)]
    return "\n".join(typed)
