"""A Jinja environment for chat templates, which are code that came with a model.

What Jinja's own sandbox leaves open is how much memory a template takes and how long a single step may
run: nobody can end one `"a" * 10**9`. Here every operation that builds a value is checked, so that no value
outgrows what an honest template needs, and no step is long. Time as such is the caller's to limit.

Importing this imports Jinja, which costs 50 ms: import it where a template is rendered.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, ItemsView, Iterable, KeysView, Mapping, ValuesView
from datetime import datetime
from typing import Any, cast

from jinja2 import nodes
from jinja2.environment import Template
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from assistant import limits

MAX_CHARS = 4 * limits.MAX_BODY_BYTES + 64 * 1024
"""Characters in one value: four times what a request may bring, and room for a small request's framing."""
MAX_ITEMS = 200_000
"""Items in one value, nested ones counted. Jinja allows 100,000 to a `range`."""
MAX_INT_BITS = 4096
MAX_FILTER_NUMBER = 10_000
"""Widths, indents and digits that are passed to a filter."""

_FILTERS = """
    abs capitalize count d default dictsort e escape first float groupby indent int items join last length
    list lower map max min reject rejectattr replace reverse round safe select selectattr sort string sum
    title trim unique upper wordcount
"""
ALLOWED_FILTERS = frozenset(_FILTERS.split())
"""Jinja's filters that chat templates use and whose cost can be told beforehand; `tojson` is our own."""


class TemplateTooLargeError(Exception):
    """A template tried to build a value that no prompt needs."""


class TemplateRefusal(Exception):  # noqa: N818 the template's own decision, not a fault of it
    """A template called `raise_exception`: it cannot render these messages."""


@functools.lru_cache(maxsize=4)
def compile_template(source: str) -> Template:
    """Compile a chat template as transformers does, for `Template.generate`.

    Raises:
        jinja2.TemplateSyntaxError: It is no template, or uses a filter beyond `ALLOWED_FILTERS`.
    """
    environment = _Environment(
        trim_blocks=True, lstrip_blocks=True, optimized=False, extensions=[_GenerationTag, loopcontrols]
    )
    tree = environment.parse(source)
    return environment.from_string(cast("nodes.Template", _CheckedValues().visit(tree)))


def checked(value: Any) -> Any:
    """Return the value if it is of a size that a template may build.

    Raises:
        TemplateTooLargeError: It is not.
    """
    chars = items = 0
    left: list[Any] = [value]
    while left:
        item = left.pop()
        items += 1
        match item:
            case str() | bytes():
                chars += len(item)
            case int() if item.bit_length() > MAX_INT_BITS:
                raise TemplateTooLargeError("a number is too large")
            case dict():
                left.extend(cast("dict[Any, Any]", item).keys())
                left.extend(cast("dict[Any, Any]", item).values())
            case list() | tuple() | KeysView() | ValuesView() | ItemsView():
                left.extend(cast("Iterable[Any]", item))
            case _:
                pass
        if chars > MAX_CHARS or items + len(left) > MAX_ITEMS:
            raise TemplateTooLargeError("a value is too large")
    return value


def _refuse_beyond(chars: int) -> None:
    if chars > MAX_CHARS:
        raise TemplateTooLargeError("a text is too long")


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**", "%", "+"})
    globals: dict[str, Any]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.concat = _join_checked
        self.checked = checked
        self.join_values = _join_values
        plain = {name: self.filters[name] for name in ALLOWED_FILTERS}
        self.filters = {name: _checked_filter(name, function) for name, function in plain.items()}
        self.filters["tojson"] = _tojson
        del self.globals["lipsum"]
        self.globals |= {
            "raise_exception": _raise_exception,
            "strftime_now": _strftime_now,
            "dict": _build_dict,
            "namespace": _Namespace,
        }

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        match operator, left, right:
            case "*", int() | float(), int() | float():
                pass
            case "*", _, int():
                _refuse_beyond(len(left) * right)
            case "*", int(), _:
                _refuse_beyond(len(right) * left)
            case "**", int(), int() if left.bit_length() * abs(right) > MAX_INT_BITS:
                raise TemplateTooLargeError("a power is too large")
            case "%", str(), _:
                _refuse_wide_format(left)
            case _:
                pass
        return checked(super().call_binop(context, operator, left, right))

    def call(self, *arguments: Any, **keywords: Any) -> Any:  # type: ignore[override]  # names stay free
        function, values = arguments[1], (*arguments[2:], *keywords.values())
        for value in values:
            if isinstance(value, int):
                _refuse_beyond(abs(value))
        _refuse_growth(getattr(function, "__name__", ""), getattr(function, "__self__", None), values)
        return checked(super().call(*arguments, **keywords))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        if wrapped is not None:
            _refuse_wide_format(value.__self__)
        return wrapped


def _refuse_growth(name: str, text: Any, values: tuple[Any, ...]) -> None:
    """Refuse a method call on a text whose result is longer than its arguments together."""
    if not isinstance(text, str):
        return
    match name, values:
        case "replace", (str() as old, str() as new, *_):
            _refuse_beyond(text.count(old) * len(new))
        case "expandtabs", (int() as size, *_):
            _refuse_beyond(text.count("\t") * size)
        case "join", (pieces, *_):
            checked(pieces)
            _refuse_beyond(len(pieces) * len(text) if hasattr(pieces, "__len__") else 0)
        case "translate" | "format_map", _:
            raise TemplateTooLargeError(f"str.{name} is not for templates")
        case _:
            pass


def _refuse_wide_format(text: str) -> None:
    plain = text.replace("{{", "").replace("}}", "")
    if re.search(r"\d{5}|%[-#0 +]*\*|\{[^{}]*\{", plain):
        raise TemplateTooLargeError("a format is too wide")


def _checked_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)  # keeps what tells Jinja to pass its environment first
    def filtered(*arguments: Any, **keywords: Any) -> Any:
        passed = 1 if hasattr(function, "jinja_pass_arg") else 0
        values = [*arguments[passed:], *keywords.values()]
        for value in values[1:]:
            if isinstance(value, int) and abs(value) > MAX_FILTER_NUMBER:
                raise TemplateTooLargeError(f"{value} is too large for the filter {name}")
        match name, values:
            case "join", [subject, *rest] if not isinstance(subject, str):
                pieces = list(checked(subject))
                _refuse_beyond(len(pieces) * sum(len(each) for each in rest if isinstance(each, str)))
                arguments = (*arguments[:passed], checked(pieces), *arguments[passed + 1 :])
            case "indent", [str() as subject, *rest]:
                width = max((_width(each) for each in rest), default=4)
                _refuse_beyond((subject.count("\n") + 1) * width)
            case "replace", [subject, str() as old, str() as new, *_]:
                _refuse_beyond(str(subject).count(old) * len(new))
            case _:
                pass
        return checked(function(*arguments, **keywords))

    return filtered


def _width(value: Any) -> int:
    return len(value) if isinstance(value, str) else int(value)


def _join_checked(pieces: Iterable[str]) -> str:
    """What Jinja calls to put a macro's or a block's output together."""
    collected = list(pieces)
    _refuse_beyond(sum(map(len, collected)))
    return "".join(collected)


def _join_values(*values: Any) -> str:
    return _join_checked(str(checked(value)) for value in values)


class _CheckedValues(NodeTransformer):
    """Passes what literals and `~` build through the checks; calls, filters and operators have theirs."""

    def _check(self, node: nodes.Expr) -> nodes.Node:
        return self._call("checked", [cast("nodes.Expr", self.generic_visit(node))], node)

    visit_List = visit_Dict = _check  # noqa: N815 Jinja's naming

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802
        return self._check(node) if node.ctx == "load" else self.generic_visit(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return self._call("join_values", list(node.nodes), node)

    def _call(self, name: str, arguments: list[nodes.Expr], node: nodes.Node) -> nodes.Node:
        return nodes.Call(
            nodes.EnvironmentAttribute(name), arguments, [], None, None, lineno=node.lineno
        ).set_environment(cast("Any", node.environment))


class _GenerationTag(Extension):
    """`{% generation %}` marks the assistant's words for training; here it means nothing."""

    tags = frozenset({"generation"})  # type: ignore[assignment]  # Jinja says set, and only asks whether in it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


class _Namespace(Namespace):
    """Without names that lead into Python, and without showing its contents, which may be vast."""

    def __init__(*arguments: Any, **keywords: Any) -> None:  # so that `self` stays free as a name
        attributes = dict(*arguments[1:], **keywords)
        for name in attributes:
            _refuse_private(name)
        Namespace.__init__(arguments[0], attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_private(name)
        super().__setitem__(name, value)

    def __repr__(self) -> str:
        return "<namespace>"


def _refuse_private(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace takes no attribute {name!r}")


def _build_dict(*pairs: Any, **items: Any) -> dict[Any, Any]:
    """`dict` without the type's own attributes."""
    return dict(*pairs, **items)


def _raise_exception(message: object) -> None:
    raise TemplateRefusal(str(message))


def _strftime_now(pattern: str) -> str:
    _refuse_wide_format(pattern[:200])
    return datetime.now().strftime(pattern[:200])


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Unlike Jinja's own, leaves <, > and & as they are."""
    if indent is not None and _width(indent) > 16:
        raise TemplateTooLargeError("a JSON indent is too wide")
    plain = dict(cast("Mapping[Any, Any]", value)) if isinstance(value, Mapping) else value
    text = json.dumps(
        checked(plain), ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
    return cast("str", checked(text))
