"""What a model is shown beside the code it works on: imports, the signatures it calls, the class it is in.

The code itself always comes whole. What does not fit into the budget is left away, the least needed first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lsp.outline import Definition, find_definitions
from lsp.positions import Lines
from lsp.style import dedent, find_style, normalize_breaks
from lsp.syntax import SyntaxTree

if TYPE_CHECKING:
    from tree_sitter import Node

RESERVED_TOKENS = 96
"""For what a second attempt says of the first, and for what counting in pieces misses."""
_MAX_SIGNATURES = 24
_IMPORTS = ("import_statement", "import_from_statement", "future_import_statement")
_NAME = re.compile(r"[^\W\d]\w*")
_MEMBER = re.compile(r"\b(?:self|cls)\s*\.\s*([^\W\d]\w*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What stands around a piece of code, in the order in which it is shown."""

    imports: tuple[str, ...] = ()
    """The needed ones first."""
    signatures: tuple[str, ...] = ()
    """Of functions and classes of the file that the code names."""
    owner: str = ""
    """The first lines of the class that the code is in, and the members that it names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overflow:
    """The code does not fit, even alone."""

    tokens: int
    budget: int

    def __str__(self) -> str:
        return f"it has {self.tokens} tokens with its task, and the model has room for {self.budget}"


def find_surroundings(
    tree: SyntaxTree,
    code: str,
    *,
    owner: Definition | None = None,
    name: str = "",
    before: Sequence[str] = (),
) -> Surroundings:
    """Find what belongs to a piece of code.

    Args:
        tree: Of the document.
        code: The piece.
        owner: The class that it is in.
        name: What the piece defines: not shown twice.
        before: The notebook's earlier cells.
    """
    trees = [*(SyntaxTree(Lines(cell), is_cell=True) for cell in before), tree]
    named = set(_NAME.findall(code)) - {name}
    imports = [text for each in trees for text in find_imports(each)]
    imports.sort(key=lambda text: named.isdisjoint(_NAME.findall(text)))  # stable: otherwise in their order
    definitions = {each.name: each for tree in trees for each in find_definitions(tree.whole)}
    shown = [each for key, each in definitions.items() if key in named and (not owner or key != owner.name)]
    signatures = (render_signature(each) for each in shown[:_MAX_SIGNATURES])
    return Surroundings(
        imports=tuple(dict.fromkeys(imports)),
        signatures=tuple(signature for signature in signatures if signature),
        owner=_render_owner(owner, code, name) if owner is not None else "",
    )


def build_input(
    code: str,
    surroundings: Surroundings,
    task: str,
    tokens_budget: int,
    count_tokens: Callable[[str], int],
) -> str | Overflow:
    """Put code and surroundings together, as much of them as fits.

    Args:
        code: What the task is about, indented as where it stands.
        surroundings: What belongs to it.
        task: Counted with the code.
        tokens_budget: What task and input may have together.
        count_tokens: In the model's own tokens.
    """
    room = tokens_budget - RESERVED_TOKENS - count_tokens(task)
    whole = _join(code, surroundings)
    if count_tokens(whole) <= room:
        return whole
    needed = count_tokens(_join(code, Surroundings()))
    room -= needed
    if room < 0:
        return Overflow(tokens=tokens_budget - room, budget=tokens_budget)
    owner = surroundings.owner
    cost = count_tokens(owner) + 2 if owner else 0
    owner, room = (owner, room - cost) if cost <= room else ("", room)
    signatures, room = _take(surroundings.signatures, room, count_tokens)
    imports, room = _take(surroundings.imports, room, count_tokens)
    return _join(code, Surroundings(imports=imports, signatures=signatures, owner=owner))


def find_imports(tree: SyntaxTree) -> Iterator[str]:
    """The imports of a document's top level, those under `if` and `try` included."""
    for node in _import_nodes(tree.whole.root):
        yield dedent(normalize_breaks(tree.text_of(node)))


def render_signature(definition: Definition) -> str:
    """A definition's first lines with nothing in it, as a stub file has them."""
    header = definition.header
    if header is None:
        return ""
    text = dedent(normalize_breaks(header.cut(definition.tree.lines.text)))
    if not definition.is_class:
        return f"{text} ..."
    init = next((member for member in definition.members() if member.name == "__init__"), None)
    inner = render_signature(init) if init is not None else ""
    return f"{text}\n    {inner}" if inner else f"{text} ..."


def _import_nodes(node: Node) -> Iterator[Node]:
    for child in node.named_children:
        if child.type in _IMPORTS:
            yield child
        elif child.type in ("if_statement", "try_statement", "block", "else_clause", "except_clause"):
            yield from _import_nodes(child)


def _render_owner(owner: Definition, code: str, name: str) -> str:
    header = owner.header
    if header is None:
        return ""
    unit = find_style(owner.tree.lines).unit
    rows = [dedent(normalize_breaks(header.cut(owner.tree.lines.text)))]
    named = {*_MEMBER.findall(code), "__init__"} - {name}
    for member in owner.members():
        signature = render_signature(member) if member.name in named and not member.is_class else ""
        if signature:
            rows.append("\n".join(unit + row for row in signature.split("\n")))
    return "\n".join(rows)


def _take(texts: Sequence[str], room: int, count_tokens: Callable[[str], int]) -> tuple[tuple[str, ...], int]:
    """As many texts from the start as there is room for, and the room that is left."""
    taken: list[str] = []
    for text in texts:
        cost = count_tokens(text) + 1
        if cost > room:
            break
        taken.append(text)
        room -= cost
    return tuple(taken), room


def _join(code: str, surroundings: Surroundings) -> str:
    parts = ["\n".join(surroundings.imports), "\n".join(surroundings.signatures), surroundings.owner, code]
    return "\n\n".join(part.rstrip() for part in parts if part.strip())
