# pyright: basic
"""Runs doctest examples and test functions as their own programs would, without those programs.

Runs in the referee: to import `doctest` would take longer than a judgement does.
"""

from __future__ import annotations

import io
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ELLIPSIS, NORMALIZE_WHITESPACE, IGNORE_DETAIL, SKIP = 1, 2, 4, 8
"""What an example may ask for."""


def expect_example(source: str, want: str, message: str | None = None, flags: int = 0) -> None:
    """Run one example, and compare what it shows with what is wanted.

    Args:
        source: A statement.
        want: What it shows.
        message: The last line of the traceback that it shows instead, or None.
        flags: Some of the four above.

    Raises:
        AssertionError: It shows something else.
    """
    if flags & SKIP:
        return
    space = sys._getframe(1).f_globals
    shown, hook, out = io.StringIO(), sys.displayhook, sys.stdout
    sys.displayhook = sys.__displayhook__
    sys.stdout = shown
    try:
        exec(compile(source, "<example>", "single", dont_inherit=True), space)  # noqa: S102
    except Exception as error:
        if message is None:
            raise
        _compare_error(error, message, flags)
        return
    finally:
        sys.displayhook, sys.stdout = hook, out
    if message is not None:
        raise AssertionError(f"expected {message.strip()}, nothing was raised")
    got = shown.getvalue()
    if not is_as_wanted(want, got, flags):
        raise AssertionError(f"got {got.strip()[:200] or 'nothing'}")


def _compare_error(error: Exception, message: str, flags: int) -> None:
    kind = type(error)
    name = (
        kind.__name__
        if kind.__module__ in ("builtins", "code under test")
        else f"{kind.__module__}.{kind.__name__}"
    )
    text = str(error)
    got = f"{name}: {text}\n" if text else f"{name}\n"
    if flags & IGNORE_DETAIL:
        got, message = (line.partition(":")[0].rpartition(".")[2].strip() for line in (got, message))
    elif message.partition(":")[0].rpartition(".")[2] == kind.__name__:
        message = message.partition(":")[0].rpartition(".")[2] + "".join(message.partition(":")[1:])
    if not is_as_wanted(message, got, flags):
        raise AssertionError(f"raised {got.strip()[:200]}")


def is_as_wanted(want: str, got: str, flags: int) -> bool:
    """Whether what is shown is what is wanted, as `doctest` compares."""
    if got == want or (want, got) in (("1\n", "True\n"), ("0\n", "False\n")):
        return True
    want = "\n".join("" if line.strip() == "<BLANKLINE>" else line for line in want.split("\n"))
    got = "\n".join("" if not line.strip() else line for line in got.split("\n"))
    if flags & NORMALIZE_WHITESPACE:
        want, got = " ".join(want.split()), " ".join(got.split())
    return got == want or bool(flags & ELLIPSIS and _matches(want, got))


def _matches(want: str, got: str) -> bool:
    pieces = want.split("...")
    if len(pieces) == 1:
        return want == got
    first, last = pieces[0], pieces[-1]
    if not (got.startswith(first) and got.endswith(last)) or len(first) + len(last) > len(got):
        return False
    start, end = len(first), len(got) - len(last)
    for piece in pieces[1:-1]:
        at = got.find(piece, start, end)
        if at < 0:
            return False
        start = at + len(piece)
    return True


def run_test(name: str) -> None:
    """Run one test function, or one method `Class.test`, with all its parameters.

    Raises:
        LookupError: It needs a fixture, which only its own program can give.
    """
    space = sys._getframe(1).f_globals
    owner, _, method = name.rpartition(".")
    if not owner:
        _run_with_parameters(space[name], getattr(space[name], "pytestmark", []), name)
        return
    kind = space[owner]
    if hasattr(kind, "assertEqual"):
        _run_unittest(kind, method)
        return
    instance = kind()
    test = getattr(instance, method)
    getattr(instance, "setup_method", lambda *_: None)(test)
    _run_with_parameters(test, [*getattr(kind, "pytestmark", []), *getattr(test, "pytestmark", [])], name)


def _run_unittest(kind: Any, method: str) -> None:
    case = kind(method)
    kind.setUpClass()
    case.setUp()
    try:
        getattr(case, method)()
    finally:
        case.tearDown()
        case.doCleanups()
        kind.tearDownClass()


def _run_with_parameters(test: Any, marks: list[Any], name: str) -> None:
    calls: list[dict[str, Any]] = [{}]
    for mark in marks:
        if mark.name in ("skip", "skipif", "xfail"):
            raise LookupError(f"{name} is marked {mark.name}")
        if mark.name == "parametrize":
            calls = [{**old, **new} for old in calls for new in _read_parameters(mark)]
    wanted = test.__code__.co_varnames[: test.__code__.co_argcount]
    has_self = hasattr(test, "__self__")
    given = len(test.__defaults__ or ())
    needed = wanted[has_self : len(wanted) - given]
    lacking = [argument for argument in needed if argument not in calls[0]]
    if lacking:
        raise LookupError(f"{name} needs the fixture {lacking[0]}")
    for call in calls:
        test(**call)


def _read_parameters(mark: Any) -> list[dict[str, Any]]:
    names, rows = mark.args[0], mark.args[1]
    names = [part.strip() for part in names.split(",")] if isinstance(names, str) else list(names)
    read: list[dict[str, Any]] = []
    for row in rows:
        values = getattr(row, "values", row) if type(row).__name__ == "ParameterSet" else row
        is_single = len(names) == 1 and values is row
        read.append(dict(zip(names, [values] if is_single else values, strict=True)))
    return read
