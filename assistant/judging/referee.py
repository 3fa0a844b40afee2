# pyright: basic
"""The process that holds the tests: asks the code, reports, and trusts nothing that it is answered.

A test that hands an expected value to the code and believes what it says of it (`f(x) - 3.5 < 0.1`, where
`f` gives an object of its own) would let the code judge itself. Such a test fails, and says why.
"""

from __future__ import annotations

import builtins
import io
import sys

from assistant.judging.crossing import find_builtin_exception
from assistant.judging.handles import ORDERINGS, Handle
from assistant.judging.operations import perform
from assistant.judging.peer import Peer
from assistant.judging.wire import REPORT, Gone, ProtocolError, render_json, write_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TESTS = "judged_tests"
ENDS = (StopIteration, StopAsyncIteration, GeneratorExit)
FAULTS = (AssertionError, SystemExit, KeyboardInterrupt)
PREDICATES = frozenset(
    name
    for kind in (str, bytes, float, set, frozenset, dict)
    for name in dir(kind)
    if name.startswith(("is", "startswith", "endswith"))
) | {"equals", "__contains__", *(f"__{name}__" for name in ("eq", "ne", "bool", *ORDERINGS))}
"""What asks a builtin whether something holds: an object that stands in its place may say yes to all."""
GIVEN = frozenset(
    {
        "call",
        "iter",
        "next",
        "len",
        "getitem",
        "setitem",
        "delitem",
        "bool",
        "str",
        "repr",
        "hash",
        "eq",
        "op",
        "int",
        "float",
        "index",
        "abs",
        "neg",
        "round",
    }
)
"""What the code may ask of an object that a test gave it."""


class OwnWordError(TypeError):
    """A test would believe the code's own word."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: the code under test would judge itself")


class CannotCrossError(TypeError):
    """A test gives the code something that has no form outside its process."""


class Discarded(io.StringIO):
    """Where prints of tests go."""

    def write(self, text: str) -> int:
        """Forget a text."""
        return len(text)


class Referee(Peer):
    """Asks for the tests."""

    def __init__(self, channel: int) -> None:
        super().__init__(channel)
        self.calls = 0
        """How often the code was asked for anything."""
        self.fault = ""
        """Why the test fails, whatever it makes of it."""
        self.gone = ""
        """Why nothing can be asked any more."""
        self.last: tuple[str, Any] | None = None
        """The last call, and what it gave."""
        self._tainted: set[int] = set()

    def ask(self, op: str, *parts: Any) -> Any:
        """Have the code do something; return or raise what came of it."""
        if self.gone:
            self.fault = self.fault or self.gone
            raise Gone(self.gone)
        self.calls += 1
        if op == "get" and parts[1] in PREDICATES:
            raise self._refuse(f"{parts[1]} of an object that is no builtin")
        try:
            value = super().ask(op, *parts)
        except (Gone, ProtocolError) as error:
            self.gone = self.gone or str(error)
            self.fault = self.fault or self.gone
            raise Gone(self.gone) from error
        if op == "call" and isinstance(parts[0], Handle):
            self.last = (parts[0]._h_name, value)
        return self._mark(op, parts, value) if self._tainted else value

    def _refuse(self, what: str) -> OwnWordError:
        error = OwnWordError(what)
        self.fault = self.fault or f"TypeError: {error}"
        return error

    def _mark(self, op: str, parts: tuple[Any, ...], value: Any) -> Any:
        if op not in ("eq", "repr") and any(self._is_tainted(part) for part in parts):
            self._taint(op, value)
        return value

    def _is_tainted(self, part: Any) -> bool:
        if isinstance(part, Handle):
            return part._h_number in self._tainted
        if type(part) is dict:
            part = part.values()
        return type(part) in (tuple, list, type({}.values())) and any(map(self._is_tainted, part))

    def _taint(self, op: str, value: Any) -> None:
        if not isinstance(value, Handle):
            raise self._refuse(f"a test's value and the code's object give a {type(value).__name__} by {op}")
        self._tainted.add(value._h_number)

    def operate(self, name: str, left: Any, right: Any) -> Any:
        """Have the code combine two values: never one of the test's with one of its own into a plain one."""
        is_mixed = not (isinstance(left, Handle) and isinstance(right, Handle))
        if is_mixed and name in ORDERINGS:
            raise self._refuse(f"an object of the code is compared by {name} with a test's value")
        value = self.ask("op", name, left, right)
        if is_mixed:
            self._taint(name, value)
        return value

    def take_printed(self, text: str) -> None:
        """Print what the code has printed, for a test that looks at it."""
        if text:
            sys.stdout.write(text)

    def take_failure(self, op: str, described: Any) -> None:
        """Remember what is a failure whatever the test makes of it."""
        kind = find_builtin_exception(str(described[1]))
        if issubclass(kind, FAULTS):
            self.fault = self.fault or f"the code raised {kind.__name__}"
        if issubclass(kind, ENDS) and op != "next":
            # It would end a loop of the test that goes over several calls.
            described[:] = [[], "RuntimeError"]
        elif issubclass(kind, (SystemExit, KeyboardInterrupt)):
            described[:] = [[], "RuntimeError"]

    def perform(self, op: str, parts: list[Any]) -> Any:
        """Do what the code asks of an object that a test gave it: nothing else is within its reach."""
        if op in ("get", "set") and type(parts[1]) is str and not parts[1].startswith("_"):
            is_method = callable(getattr(type(parts[0]), parts[1], None))
            if type(parts[0]).__module__ == TESTS and not (op == "set" and is_method):
                return perform(op, parts)
        elif op == "get" and parts[1] == "__name__" and callable(parts[0]):
            return str(parts[0].__name__)
        elif op in GIVEN:
            try:
                return perform(op, parts)
            except AssertionError as error:
                self.fault = self.fault or f"AssertionError: {error}"
                raise
        raise AttributeError("this object of a test can only be called")

    def export(self, value: Any) -> list[Any]:
        """Write an object that is no plain value, if a test may give it away."""
        kind = type(value)
        if isinstance(value, Handle) or (isinstance(value, type) and issubclass(value, BaseException)):
            return super().export(value)
        name = getattr(value, "__name__", "")
        if kind is _BUILTIN and getattr(builtins, name, None) is value:
            return ["bf", name]
        if callable(value) or kind.__module__ == TESTS or hasattr(kind, "__next__"):
            return super().export(value)
        raise CannotCrossError(f"a {kind.__name__} of the test cannot be given to code that runs elsewhere")

    def report(self, *verdict: Any) -> None:
        """Tell the runner."""
        write_frame(self._channel, REPORT, render_json(list(verdict)))


_BUILTIN: Any = type(len)
