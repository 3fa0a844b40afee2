# pyright: basic
"""What stands on one side for an object of the other: it has no value, and asks for everything.

Runs inside both sandboxes; knows no tests. Each use of a handle is one request of its peer.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class Asking(Protocol):
        """What a handle needs of the peer."""

        def ask(self, op: str, *parts: Any) -> Any:
            """Have the other side do something, and return what came of it."""
            ...

        def operate(self, name: str, left: Any, right: Any) -> Any:
            """Have it combine two values, one of which is its own."""
            ...

        def equals(self, left: Handle, right: object) -> bool:
            """Say whether a handle equals something."""
            ...


ORDERINGS = ("lt", "le", "gt", "ge")
OPERATORS = (
    "add",
    "sub",
    "mul",
    "matmul",
    "truediv",
    "floordiv",
    "mod",
    "divmod",
    "pow",
    "lshift",
    "rshift",
    "and",
    "or",
    "xor",
)
CONVERSIONS = {
    "bool": bool,
    "int": int,
    "float": float,
    "complex": complex,
    "index": int,
    "len": int,
    "hash": int,
    "str": str,
    "repr": str,
}
TOLD = ("__name__", "__qualname__", "__module__", "__doc__", "__dict__", "__annotations__")
CHANGES = ("neg", "pos", "invert", "abs", "floor", "ceil", "trunc", "reversed", "copy")


class Handle:
    """An object of the other side."""

    __slots__ = ("__weakref__", "_h_class", "_h_name", "_h_number", "_h_peer")

    def __init__(self, peer: Asking, number: int, owner: int, name: str) -> None:
        object.__setattr__(self, "_h_peer", peer)
        object.__setattr__(self, "_h_number", number)
        object.__setattr__(self, "_h_class", owner)
        object.__setattr__(self, "_h_name", name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("__", "_h_")) and name not in TOLD:
            # A library that finds `__array_interface__` reads memory where it says.
            raise AttributeError(name)
        return self._h_peer.ask("get", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._h_peer.ask("set", self, name, value)

    def __delattr__(self, name: str) -> None:
        self._h_peer.ask("del", self, name)

    def __iter__(self) -> Any:
        return self._h_peer.ask("iter", self)

    def __next__(self) -> Any:
        return self._h_peer.ask("next", self)

    def __getitem__(self, key: Any) -> Any:
        return self._h_peer.ask("getitem", self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._h_peer.ask("setitem", self, key, value)

    def __delitem__(self, key: Any) -> None:
        self._h_peer.ask("delitem", self, key)

    def __contains__(self, item: Any) -> bool:
        # By what it holds, not by what it says that it holds.
        return any(item is mine or item == mine for mine in self)

    def __eq__(self, other: object) -> bool:
        return self._h_peer.equals(self, other)

    def __ne__(self, other: object) -> bool:
        return not self._h_peer.equals(self, other)

    def __round__(self, *digits: Any) -> Any:
        return self._h_peer.ask("round", self, *digits)

    def __format__(self, spec: str) -> str:
        return _checked(self._h_peer.ask("format", self, spec), str)

    def __enter__(self) -> Any:
        return self._h_peer.ask("enter", self)

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> Any:
        name, text = ("", "") if kind is None else (kind.__name__, str(error))
        return self._h_peer.ask("exit", self, name, text)

    def __await__(self) -> Any:
        yield from ()
        return self._h_peer.ask("await", self)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, Handle) and self._h_peer.ask("isinstance", instance, self) is True

    def __subclasscheck__(self, subclass: object) -> bool:
        return isinstance(subclass, Handle) and self._h_peer.ask("issubclass", subclass, self) is True

    def __deepcopy__(self, memo: Any) -> Any:
        return self._h_peer.ask("deepcopy", self)

    def __dir__(self) -> list[str]:
        return list(self._h_peer.ask("dir", self))


class CallableHandle(Handle):
    """A function or a class of the other side."""

    __slots__ = ()

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Have it called."""
        return self._h_peer.ask("call", self, args, named)


class CoroutineHandle(Handle):
    """What an `async` function of the other side gives: it runs there to its end when it is awaited here."""

    __slots__ = ()

    def __next__(self) -> Any:
        raise StopIteration(self._h_peer.ask("await", self))

    def send(self, value: Any) -> Any:
        """Run it to its end."""
        return next(self)

    def throw(self, error: Any, *more: Any) -> Any:
        """Give it up."""
        raise error

    def close(self) -> None:
        """Give it up."""


def _checked(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__} expected, the code gave {type(value).__name__}")
    return value


def _conversion(name: str, kind: type) -> Callable[[Handle], Any]:
    return lambda self: _checked(self._h_peer.ask(name, self), kind)


def _change(name: str) -> Callable[[Handle], Any]:
    return lambda self: self._h_peer.ask(name, self)


def _operator(name: str) -> Callable[[Handle, Any], Any]:
    return lambda self, other: self._h_peer.operate(name, self, other)


def _reflected(name: str) -> Callable[[Handle, Any], Any]:
    return lambda self, other: self._h_peer.operate(name, other, self)


for _handle in (Handle, CallableHandle, CoroutineHandle):
    _handle.__doc__ = property(lambda self: self._h_peer.ask("get", self, "__doc__"))  # type: ignore[assignment]
for _name, _kind in CONVERSIONS.items():
    setattr(Handle, f"__{_name}__", _conversion(_name, _kind))
for _name in CHANGES:
    setattr(Handle, f"__{_name}__", _change(_name))
for _name in ORDERINGS:
    setattr(Handle, f"__{_name}__", _operator(_name))
for _name in OPERATORS:
    setattr(Handle, f"__{_name}__", _operator(_name))
    setattr(Handle, f"__r{_name}__", _reflected(_name))
    if _name != "divmod":
        setattr(Handle, f"__i{_name}__", _operator(f"i{_name}"))
