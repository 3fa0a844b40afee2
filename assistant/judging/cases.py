# pyright: basic
"""Runs the tests one after the other in one namespace, and reports each as it ends. Runs in the referee."""

from __future__ import annotations

import builtins
import sys

from assistant.judging.crossing import text_of
from assistant.judging.decoding import Decoder
from assistant.judging.examples import expect_example, run_test
from assistant.judging.handles import Handle
from assistant.judging.referee import TESTS, CannotCrossError, Discarded, Referee
from assistant.judging.wire import Gone, ProtocolError, parse_json, read_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

PASSED, FAILED, NOT_RUN, BROKEN = "passed", "failed", "not run", "broken"
MAX_ERROR = 500


class Cases:
    """The tests of one suite."""

    def __init__(self, referee: Referee, task: dict[str, Any], nonce: str) -> None:
        self._referee = referee
        self._nonce = nonce
        self._names: list[str] = task["names"]
        self._module: str = task["module"]
        self._setup = _compile(task["setup"], "<setup>")
        self._codes = [_compile(source, f"<test {number}>") for number, source in enumerate(task["cases"], 1)]
        self._used: list[set[str]] = [_names_in(code) for code in self._codes]
        self._defined: dict[str, Any] = {}
        self._space = type(sys)(TESTS)
        vars(self._space).update(__example__=expect_example, __run_test__=run_test)
        sys.modules[TESTS] = self._space

    def define(self, defined: dict[str, Any]) -> None:
        """Let the tests use what the code defines."""
        self._defined = {name: value for name, value in defined.items() if self._is_wanted(name)}
        if self._module:
            module: Any = type(sys)(self._module)
            module.__all__ = [name for name in defined if not hasattr(builtins, name)]
            vars(module).update(self._defined)
            path = ""
            for part in self._module.split("."):
                path = f"{path}.{part}" if path else part
                sys.modules.setdefault(path, type(sys)(path))
            sys.modules[self._module] = module
        else:
            vars(self._space).update(self._defined)

    def _is_wanted(self, name: str) -> bool:
        """Whether the code may define this: not what the tests compare with, unless they ask for it."""
        if self._names:
            return name in self._names
        return not name.startswith("_") and (bool(self._module) or not hasattr(builtins, name))

    def run(self) -> None:
        """Run all of them, and report."""
        standing, error = self._run(self._setup, set())
        if standing != PASSED:
            blame = BROKEN if standing == BROKEN else NOT_RUN
            for _ in self._codes:
                self._report(blame, f"{error} (before the tests)")
        else:
            for code, used in zip(self._codes, self._used, strict=True):
                self._report(*self._run(code, used))
        self._referee.report(self._nonce, "done")

    def _report(self, standing: str, error: str) -> None:
        self._referee.report(self._nonce, "case", standing, error[:MAX_ERROR])

    def _run(self, code: CodeType | str, used: set[str]) -> tuple[str, str]:
        """Run one, and return how it came out and why."""
        if isinstance(code, str):
            return BROKEN, code
        missing = sorted(used & (set(self._names) - set(self._defined)))
        if missing:
            return NOT_RUN, _say_missing(missing[0])
        referee = self._referee
        referee.calls, referee.last = 0, None
        referee.fault = ""
        was_gone = referee.gone
        try:
            exec(code, vars(self._space))  # noqa: S102
        except BaseException as error:  # noqa: BLE001 - whatever ends a test says how it came out
            standing, text = self._blame(error, used)
        else:
            standing, text = PASSED, ""
        if referee.fault:
            standing, text = FAILED, referee.fault
        return (NOT_RUN, was_gone) if was_gone and text == was_gone else (standing, text)

    def _blame(self, error: BaseException, used: set[str]) -> tuple[str, str]:
        is_own = error is not self._referee.raised
        if is_own and isinstance(error, (NameError, ImportError)):
            name = getattr(error, "name", None) or ""
            if isinstance(error, ImportError):
                name = str(error).partition("name '")[2].partition("'")[0]
            if not self._defines(error, name):
                return NOT_RUN, _say_missing(name)
        text = last_line(error)
        if text == "AssertionError":
            text = self._say_last(text)
        has_asked = self._referee.calls or used & set(self._defined)
        is_broken = not has_asked or (is_own and isinstance(error, (CannotCrossError, NameError)))
        return (BROKEN if is_broken and not isinstance(error, Gone) else FAILED), text

    def _defines(self, error: BaseException, name: str) -> bool:
        """Whether a name that a test lacks is none of the code's business."""
        if isinstance(error, ImportError):
            return not (self._module and self._module in str(error)) or name in self._defined
        return bool(self._names or self._module) or not name

    def _say_last(self, text: str) -> str:
        if self._referee.last is None:
            return text
        name, value = self._referee.last
        shown = f"an object ({value._h_name})" if isinstance(value, Handle) else _show(value)
        return f"{text}: {name} gave {shown}"


def _show(value: Any) -> str:
    try:
        text = repr(value)
    except BaseException:  # noqa: BLE001 - an object of the code within it, or its end meanwhile
        return f"a {type(value).__name__}"
    return text if len(text) <= 200 else f"{text[:200]}…"


def _say_missing(name: str) -> str:
    return f"NameError: the code does not define `{name}`"


def _compile(source: str, name: str) -> CodeType | str:
    try:
        return compile(source, name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return last_line(error)


def _names_in(code: CodeType | str) -> set[str]:
    if isinstance(code, str):
        return set()
    inner = [part for part in code.co_consts if isinstance(part, type(code))]
    return set(code.co_names).union(*map(_names_in, inner))


def last_line(error: BaseException) -> str:
    """Return what Python would print of an exception at the end."""
    text = text_of(error).strip()
    name = type(error).__name__
    return (f"{name}: {text.splitlines()[-1]}" if text else name)[:MAX_ERROR]


def main(channel: int) -> None:
    """Run the tests of one judgement."""
    task = parse_json(read_frame(channel)[1])
    nonce = task.pop("nonce")
    sys.stdout = Discarded()
    referee = Referee(channel)
    if task["code"] is not None:
        judge_alone(referee, task, nonce)
        return
    cases = Cases(referee, task, nonce)
    try:
        message = referee.receive()
        if message[0] == "load":
            referee.report(nonce, "load", f"{message[1]}: {message[2]}"[:MAX_ERROR])
            return
        defined = Decoder(referee.read_object, message[2]).decode(message[1])
        cases.define({name: value for name, value in defined.items() if type(name) is str})
    except (Gone, ProtocolError, LookupError, AttributeError) as error:
        referee.report(nonce, "load", str(error)[:MAX_ERROR])
        return
    cases.run()


def judge_alone(referee: Referee, task: dict[str, Any], nonce: str) -> None:
    """Run code and tests in this one process: what comes of that is the code's own word."""
    from assistant.judging.candidate import MODULE, choose_names

    cases = Cases(referee, task, nonce)
    module = type(sys)(task["module"] or MODULE)
    sys.modules[module.__name__] = module
    try:
        exec(compile(task["code"], "<code>", "exec", dont_inherit=True), vars(module))  # noqa: S102
    except BaseException as error:  # noqa: BLE001 - whatever it is, the code cannot be loaded
        referee.report(nonce, "load", last_line(error))
        return
    cases.define(choose_names(module, task["names"]))
    sys.modules[module.__name__] = module
    cases.run()
