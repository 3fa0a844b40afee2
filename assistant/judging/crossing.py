# pyright: basic
"""Exceptions on their way from one side to the other: a builtin one stays itself, another keeps its name.

Runs inside both sandboxes. The other side chooses a name and a text, never a class of this side's own.
"""

from __future__ import annotations

import builtins

from assistant.judging.wire import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_TEXT = 2000
MAX_CLASSES = 20
MODULE = "code under test"


def find_builtin_exception(name: str) -> type[BaseException]:
    """Return the builtin exception of that name, or Exception."""
    kind = getattr(builtins, name, None)
    return kind if isinstance(kind, type) and issubclass(kind, BaseException) else Exception


def describe_class(kind: type, number_of: Any) -> list[Any]:
    """Write an exception class: what stands between it and a builtin one, and that one's name."""
    made: list[list[Any]] = []
    for parent in type.__dict__["__mro__"].__get__(kind):
        if getattr(builtins, parent.__name__, None) is parent:
            return [made[:MAX_CLASSES], parent.__name__]
        made.append([number_of(parent), parent.__name__])
    return [made[:MAX_CLASSES], "Exception"]


def text_of(error: BaseException) -> str:
    """Return an exception's text, whatever its class makes of that."""
    try:
        return str(error)[:MAX_TEXT]
    except BaseException:  # noqa: BLE001 - the code's own __str__, or its end meanwhile
        return ""


class Classes:
    """Exception classes that stand for those of the other side, one for each."""

    def __init__(self) -> None:
        self._made: dict[int, type[BaseException]] = {}

    def build(self, described: Any) -> type[BaseException]:
        """Return the class that is described.

        Raises:
            ProtocolError: Nothing is.
        """
        try:
            parents, base = described
            kind: type[BaseException] = find_builtin_exception(base)
            for number, name in reversed(parents):
                if type(number) is not int or type(name) is not str:
                    raise ProtocolError("no exception class")
                kind = self._made.get(number) or self._made.setdefault(number, self._derive(name, kind))
        except (TypeError, ValueError) as error:
            raise ProtocolError("no exception class") from error
        return kind

    def _derive(self, name: str, parent: type[BaseException]) -> type[BaseException]:
        attributes = {
            "__module__": MODULE,
            "_h_object": None,
            "_h_text": None,
            "__getattr__": _ask,
            "__str__": _say,
        }
        return type(name, (parent,), attributes)

    def revive(self, described: Any, args: Any, text: str, origin: Any) -> BaseException:
        """Return an exception like the one that was raised on the other side."""
        kind = self.build(described)
        arguments = args if type(args) is tuple else (text,)
        if issubclass(kind, BaseExceptionGroup):
            return RuntimeError(f"{kind.__name__}: {text}")
        try:
            error = kind(*arguments)
        except Exception:  # noqa: BLE001 - some take other arguments than they keep
            error = type(
                kind.__name__, (kind,), {"__init__": _take_anything, "__str__": _say, "_h_text": text}
            )()
        if kind.__module__ == MODULE:
            error._h_object = origin  # type: ignore[attr-defined]  # it is asked there for what it holds
            error._h_text = text  # type: ignore[attr-defined]
        return error


def _take_anything(self: BaseException, *args: Any) -> None:
    pass


def _say(self: Any) -> str:
    return self._h_text if type(self._h_text) is str else Exception.__str__(self)


def _ask(self: Any, name: str) -> Any:
    origin = self.__dict__.get("_h_object")
    if origin is None or name.startswith("__"):
        raise AttributeError(name)
    return getattr(origin, name)
