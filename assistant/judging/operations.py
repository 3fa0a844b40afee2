# pyright: basic
"""What can be asked of an object. Runs where the object is; decides nothing about who may ask."""

from __future__ import annotations

import _operator as operator

from assistant.judging.handles import OPERATORS, ORDERINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def perform(op: str, parts: list[Any]) -> Any:
    """Do it, and return or raise what comes of it."""
    return PERFORMED[op](*parts)


def _call(target: Any, args: Any, named: Any) -> Any:
    return target(*args, **named)


def _combine(name: str, left: Any, right: Any) -> Any:
    if name == "divmod":
        return divmod(left, right)
    plain = name[1:] if name[:1] == "i" and name[1:] in OPERATORS else name
    if plain not in OPERATORS and plain not in ORDERINGS:
        raise TypeError(f"no operator {name}")
    return getattr(operator, f"{name}_" if name in ("and", "or") else name)(left, right)


def _convert(name: str) -> Callable[[Any], Any]:
    def convert(target: Any) -> Any:
        import math

        return getattr(math, name)(target)

    return convert


def _copy(name: str) -> Callable[[Any], Any]:
    def copied(target: Any) -> Any:
        import copy

        return getattr(copy, name)(target)

    return copied


def _enter(target: Any) -> Any:
    return type(target).__enter__(target)


def _leave(target: Any, name: str, text: str) -> Any:
    import builtins

    kind = getattr(builtins, name, Exception) if name else None
    if not (isinstance(kind, type) and issubclass(kind, BaseException)):
        kind = Exception if name else None
    error = kind(text) if kind is not None else None
    return bool(type(target).__exit__(target, kind, error, None))


def _await(target: Any) -> Any:
    import asyncio

    async def wait() -> Any:
        return await target

    return asyncio.run(wait())


def _equals(left: Any, right: Any) -> bool:
    return (left == right) is True


PERFORMED: dict[str, Callable[..., Any]] = {
    "call": _call,
    "get": getattr,
    "set": setattr,
    "del": delattr,
    "iter": iter,
    "next": next,
    "getitem": operator.getitem,
    "setitem": operator.setitem,
    "delitem": operator.delitem,
    "op": _combine,
    "eq": _equals,
    "round": round,
    "format": format,
    "enter": _enter,
    "exit": _leave,
    "await": _await,
    "isinstance": isinstance,
    "issubclass": issubclass,
    "dir": dir,
    "bool": bool,
    "int": int,
    "float": float,
    "complex": complex,
    "index": operator.index,
    "len": len,
    "hash": hash,
    "str": str,
    "repr": repr,
    "neg": operator.neg,
    "pos": operator.pos,
    "invert": operator.invert,
    "abs": abs,
    "reversed": reversed,
    "floor": _convert("floor"),
    "ceil": _convert("ceil"),
    "trunc": _convert("trunc"),
    "copy": _copy("copy"),
    "deepcopy": _copy("deepcopy"),
}
