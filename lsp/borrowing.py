"""What new code needs beside itself: imports and definitions of its answer that the file does not have."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lsp.extraction import Answer
from lsp.parsing import Fault, find_free_names, parse_module
from lsp.positions import Lines
from lsp.syntax import SyntaxTree

if TYPE_CHECKING:
    from tree_sitter import Node

_NAME = re.compile(r"[^\W\d]\w*")
_NESTED = ("if_statement", "try_statement", "with_statement", "block", "else_clause", "elif_clause")


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Statements of an answer that belong to the code that is taken from it."""

    imports: tuple[str, ...] = ()
    definitions: tuple[str, ...] = ()
    """Functions, classes and constants, each as the answer has it."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is needed."""
        return not self.imports and not self.definitions


def find_needs(answer: Answer, code: str, known: Collection[str]) -> Needs:
    """Find what a part of an answer needs of the rest, directly or by way of other needs.

    Args:
        answer: The whole answer.
        code: The part.
        known: Names that are there already.
    """
    tree = parse_module(answer.code)
    if isinstance(tree, Fault):
        return Needs()
    rows = answer.code.split("\n")
    offered = dict(_offered_definitions(tree, rows))
    wanted, taken = find_free_names(code) - set(known), dict[str, str]()
    waiting = [name for name in offered if name in wanted]
    while waiting:
        name = waiting.pop()
        taken[name] = offered[name]
        more = find_free_names(offered[name]) - set(known)
        wanted |= more
        waiting += [
            other for other in offered if other in more and other not in taken and other not in waiting
        ]
    definitions = tuple(dict.fromkeys(offered[name] for name in offered if name in taken))
    imports = (text for name, text in _offered_imports(tree) if name in wanted)
    return Needs(imports=tuple(dict.fromkeys(imports)), definitions=definitions)


def find_names(code: str) -> set[str]:
    """Every word of a text that could be a name."""
    return set(_NAME.findall(code))


def find_known(tree: SyntaxTree, cells: Sequence[str] = ()) -> set[str]:
    """The names that a document's top level has, and a notebook's earlier cells."""
    trees = [*(SyntaxTree(Lines(cell), is_cell=True) for cell in cells), tree]
    return {name for each in trees for name in _bound_names(each, each.whole.root, len(each.lines.text))}


def find_bound_before(tree: SyntaxTree, offset: int, cells: Sequence[str] = ()) -> set[str]:
    """The names that Python has bound at the top level when it comes to a place, builtins included."""
    names = set(_bound_names(tree, tree.whole.root, offset, is_running=True))
    for cell in cells:
        names |= find_known(SyntaxTree(Lines(cell), is_cell=True))
    return names | set(dir(builtins))


def _bound_names(tree: SyntaxTree, node: Node, end: int, *, is_running: bool = False) -> Iterator[str]:
    for child in node.named_children:
        if child.end_byte > end:
            return
        if child.type in _NESTED:
            condition = child.child_by_field_name("condition") if is_running else None
            if condition is None or "TYPE_CHECKING" not in tree.text_of(condition):
                yield from _bound_names(tree, child, end, is_running=is_running)
            continue
        statement = child.child_by_field_name("definition") if child.type == "decorated_definition" else child
        if statement is None:
            continue
        if statement.type in ("function_definition", "class_definition"):
            name = statement.child_by_field_name("name")
            yield tree.text_of(name) if name is not None else ""
        elif statement.type in ("import_statement", "import_from_statement"):
            yield from _imported_names(tree, statement)
        elif statement.type == "expression_statement":
            yield from _assigned_names(tree, statement)


def _imported_names(tree: SyntaxTree, statement: Node) -> Iterator[str]:
    for name in statement.children_by_field_name("name"):
        alias = name.child_by_field_name("alias")
        yield tree.text_of(alias) if alias is not None else tree.text_of(name).split(".")[0]


def _assigned_names(tree: SyntaxTree, statement: Node) -> Iterator[str]:
    first = statement.named_children[0] if statement.named_children else None
    if first is not None and first.type == "assignment":
        left = first.child_by_field_name("left")
        yield from find_names(tree.text_of(left)) if left is not None else ()


def _offered_definitions(tree: ast.Module, rows: Sequence[str]) -> Iterator[tuple[str, str]]:
    for statement in tree.body:
        text = read_statement(statement, rows)
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name, text
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            yield from ((target.id, text) for target in targets if isinstance(target, ast.Name))


def _offered_imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield alias.asname or alias.name.split(".")[0], ast.unparse(ast.Import(names=[alias]))
        elif isinstance(statement, ast.ImportFrom) and statement.module != "__future__":
            for alias in statement.names:
                one = ast.ImportFrom(module=statement.module, names=[alias], level=statement.level)
                yield alias.asname or alias.name, ast.unparse(one)


def read_statement(statement: ast.stmt, rows: Sequence[str]) -> str:
    """The lines of a statement of the top level, decorators included."""
    decorators = getattr(statement, "decorator_list", [])
    first = min([statement.lineno, *(decorator.lineno for decorator in decorators)])
    return "\n".join(rows[first - 1 : statement.end_lineno])
