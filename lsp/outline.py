"""Functions and classes of a document, found in its error-tolerant tree around a place or by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lsp.positions import Span
from lsp.style import leading_space
from lsp.syntax import SyntaxTree, span_of

if TYPE_CHECKING:
    from tree_sitter import Node

DEFINITIONS = ("function_definition", "class_definition")
_INTERFACE_MARKS = {"overload", "abstractmethod"}
_INTERFACE_BASES = {"Protocol"}
_TYPED = {"typed_parameter", "typed_default_parameter"}
_UNTYPED = {"identifier", "default_parameter", "list_splat_pattern", "dictionary_splat_pattern"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a function."""

    name: str
    """Without stars."""
    node: Node
    name_end: int
    """Where its annotation belongs."""
    annotation: str
    """Empty where it has none."""
    default: Node | None
    stars: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Definition:
    """A function or a class."""

    tree: SyntaxTree
    node: Node
    """From `def`, `async` or `class` to the end of its body."""
    outer: Node
    """The same with its decorators."""
    owner: Definition | None
    """The class that it is directly in."""

    @property
    def name(self) -> str:
        """Empty where it has none yet."""
        node = self.node.child_by_field_name("name")
        return self.tree.text_of(node) if node is not None else ""

    @property
    def is_class(self) -> bool:
        """Whether it is a class."""
        return self.node.type == "class_definition"

    @property
    def kind(self) -> str:
        """What a person calls it."""
        return "class" if self.is_class else "method" if self.owner is not None else "function"

    @property
    def is_sound(self) -> bool:
        """Whether it has a name, a header and a body, and no syntax error."""
        return (
            bool(self.name) and self.header is not None and bool(self.statements) and not self.node.has_error
        )

    @property
    def span(self) -> Span:
        """All of it, decorators included."""
        return span_of(self.outer)

    @property
    def indent(self) -> str:
        """What its first line begins with."""
        lines = self.tree.lines
        return leading_space(lines.line_text(lines.line_at(self.outer.start_byte)))

    @property
    def header(self) -> Span | None:
        """From its keyword to its colon, or None where there is no colon."""
        colon = next((child for child in self.node.children if child.type == ":"), None)
        if colon is None or colon.is_missing:
            return None
        return Span(start=self.node.start_byte, end=colon.end_byte)

    @property
    def statements(self) -> list[Node]:
        """Of its body, comments left out."""
        body = self.node.child_by_field_name("body")
        return [child for child in body.named_children if child.type != "comment"] if body else []

    @property
    def docstring(self) -> Node | None:
        """The statement that documents it."""
        first = next(iter(self.statements), None)
        return first if first is not None and is_string_statement(first) else None

    @property
    def working_statements(self) -> list[Node]:
        """Of its body, the docstring left out."""
        docstring = self.docstring
        return [node for node in self.statements if node != docstring]

    @property
    def parameters(self) -> list[Parameter]:
        """Of a function, in their order; marks of position and keyword left out."""
        node = self.node.child_by_field_name("parameters")
        found = [_read_parameter(self.tree, child) for child in node.named_children] if node else []
        return [parameter for parameter in found if parameter is not None]

    @property
    def hintable(self) -> list[Parameter]:
        """The parameters that a type hint can be given to: not the object or class that a method is of."""
        parameters = self.parameters
        is_bound = self.owner is not None and "staticmethod" not in self.decorators
        return parameters[1:] if is_bound and parameters and not parameters[0].stars else parameters

    @property
    def result(self) -> Node | None:
        """The annotation of what a function returns."""
        return self.node.child_by_field_name("return_type")

    @property
    def decorators(self) -> list[str]:
        """What its decorators are called, without module and arguments."""
        nodes = [child for child in self.outer.children if child.type == "decorator"]
        return [_bare_name(self.tree.text_of(node).lstrip("@")) for node in nodes]

    @property
    def bases(self) -> list[str]:
        """What a class is derived from, without module and arguments."""
        node = self.node.child_by_field_name("superclasses")
        return [_bare_name(self.tree.text_of(child)) for child in node.named_children] if node else []

    @property
    def is_interface(self) -> bool:
        """Whether its body is meant to be empty."""
        marks = _INTERFACE_MARKS.intersection(self.decorators)
        return bool(marks) or (
            self.owner is not None and bool(_INTERFACE_BASES.intersection(self.owner.bases))
        )

    @property
    def lacks_hints(self) -> bool:
        """Whether a parameter or the result of a function has no type hint."""
        if any(not parameter.annotation for parameter in self.hintable):
            return True
        return self.result is None and self.name != "__init__"

    def members(self) -> Iterator[Definition]:
        """The functions and classes directly in a class."""
        for statement in self.statements:
            member = build_definition(self.tree, statement, owner=self if self.is_class else None)
            if member is not None:
                yield member


def build_definition(tree: SyntaxTree, node: Node, *, owner: Definition | None = None) -> Definition | None:
    """Read a statement as a definition; None where it is none."""
    inner: Node | None = node
    if node.type == "decorated_definition":
        inner = node.child_by_field_name("definition")
    if inner is None or inner.type not in DEFINITIONS:
        return None
    return Definition(tree=tree, node=inner, outer=node, owner=owner)


def find_enclosing(tree: SyntaxTree, span: Span) -> list[Definition]:
    """The definitions that a span lies in, the innermost last."""
    node: Node | None = tree.root.descendant_for_byte_range(span.start, span.end)
    chain: list[Node] = []
    while node is not None:
        chain.append(node)
        node = node.parent
    found: list[Definition] = []
    owner: Definition | None = None
    for node in reversed(chain):
        if found and found[-1].node == node:
            continue  # what a decorated definition decorates
        definition = build_definition(tree, node, owner=owner)
        if definition is not None:
            found.append(definition)
            owner = definition if definition.is_class else None
    return found


def find_definitions(tree: SyntaxTree) -> list[Definition]:
    """The functions and classes at the top level of a document."""
    found = (build_definition(tree, child) for child in tree.root.named_children)
    return [definition for definition in found if definition is not None]


def find_stub(definition: Definition) -> Span | None:
    """Return what stands for a function's missing body: an empty span where there is nothing but a docstring.

    None where it has a body, or where it is meant to have none.
    """
    header = definition.header
    if definition.is_class or definition.is_interface or header is None or not definition.name:
        return None
    docstring, rest = definition.docstring, definition.working_statements
    if has_body(definition):
        return None
    if not rest:
        at = docstring.end_byte if docstring is not None else header.end
        return Span(start=at, end=at)
    return Span(start=rest[0].start_byte, end=rest[-1].end_byte)


def has_body(definition: Definition) -> bool:
    """Whether a function does something, or a class holds something, beside placeholders and a docstring."""
    return not all(_is_placeholder(definition.tree, node) for node in definition.working_statements)


def is_string_statement(node: Node) -> bool:
    """Whether a statement is a string and nothing else."""
    children = node.named_children
    return node.type == "expression_statement" and len(children) == 1 and children[0].type == "string"


def _is_placeholder(tree: SyntaxTree, node: Node) -> bool:
    if node.type == "pass_statement":
        return True
    if node.type == "expression_statement":
        return tree.text_of(node) == "..."
    return node.type == "raise_statement" and _raised_name(tree, node) == "NotImplementedError"


def _raised_name(tree: SyntaxTree, node: Node) -> str:
    return _bare_name(tree.text_of(node.named_children[0])) if node.named_children else ""


def _bare_name(text: str) -> str:
    return text.split("(")[0].split("[")[0].split(".")[-1].strip()


def _read_parameter(tree: SyntaxTree, node: Node) -> Parameter | None:
    if node.type not in _TYPED and node.type not in _UNTYPED:
        return None
    inner: Node = node
    if node.type in ("default_parameter", "typed_default_parameter"):
        inner = node.child_by_field_name("name") or node
    elif node.type == "typed_parameter":
        inner = node.named_children[0]
    annotation = node.child_by_field_name("type")
    text = tree.text_of(inner)
    return Parameter(
        name=text.lstrip("* "),
        node=node,
        name_end=inner.end_byte,
        annotation=tree.text_of(annotation) if annotation is not None else "",
        default=node.child_by_field_name("value"),
        stars=text[: len(text) - len(text.lstrip("*"))],
    )
