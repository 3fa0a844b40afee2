"""A module's functions and methods, cut into signature, docstring and body. Knows no pairs."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from finetune.examples import Reason
from finetune.mining.modules import Module

LEAST_STATEMENTS = 3
MAX_LINES = 150
_UNFINISHED = re.compile(r"\b(?:todo|fixme|xxx|hack)\b|NotImplemented|your code here", re.IGNORECASE)
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


class UnusableFunctionError(Exception):
    """A function is not learnt from."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function. Its texts begin at the left margin and end without a line end."""

    name: str
    owner: ast.ClassDef | None
    """The class it is a method of."""
    line: int
    signature: str
    """With decorators, up to the colon and comments after it."""
    docstring: str
    """As `inspect.cleandoc` gives it; empty where there is none."""
    quoted_docstring: str
    """As it stands there, indented."""
    body: str
    """Without the docstring, indented."""

    @property
    def qualified_name(self) -> str:
        """The name, with the class's before it."""
        return f"{self.owner.name}.{self.name}" if self.owner else self.name

    @property
    def bare(self) -> str:
        """All of it without the docstring."""
        return f"{self.signature}\n{self.body}"

    @property
    def whole(self) -> str:
        """All of it."""
        return "\n".join(filter(None, (self.signature, self.quoted_docstring, self.body)))


def list_function_nodes(module: Module) -> Iterator[tuple[FunctionNode, ast.ClassDef | None]]:
    """Yield the functions of a module and the methods of its classes; not what stands inside functions."""
    for node in module.tree.body:
        if isinstance(node, FunctionNode):
            yield node, None
        elif isinstance(node, ast.ClassDef):
            yield from ((inner, node) for inner in node.body if isinstance(inner, FunctionNode))


def first_line_of(node: FunctionNode | ast.ClassDef) -> int:
    """Return the line a definition begins at, its decorators included."""
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def cut_function(module: Module, node: FunctionNode, owner: ast.ClassDef | None) -> Function:
    """Cut a function out of its module.

    Raises:
        UnusableFunctionError: It teaches little, or cannot be cut out unchanged.
    """
    start, end = first_line_of(node), node.end_lineno or node.lineno
    if end - start + 1 > MAX_LINES:
        raise UnusableFunctionError(Reason.TOO_LARGE, f"{end - start + 1} lines, more than {MAX_LINES}")
    has_docstring = ast.get_docstring(node) is not None
    statements = node.body[1:] if has_docstring else node.body
    count = sum(isinstance(inner, ast.stmt) for one in statements for inner in ast.walk(one))
    if count < LEAST_STATEMENTS:
        raise UnusableFunctionError(Reason.TOO_SMALL, f"{count} statements, fewer than {LEAST_STATEMENTS}")
    text = textwrap.dedent("\n".join(module.lines[start - 1 : end]))
    if ast.dump(_clean(_parse_one(text))) != ast.dump(_clean(node)):
        raise UnusableFunctionError(Reason.UNPARSABLE, "it cannot be moved to the left margin unchanged")
    if _UNFINISHED.search(text):
        raise UnusableFunctionError(Reason.UNFINISHED, "it says that it is not done")
    lines = text.split("\n")
    body_at = _first_line(node.body[0]) - start
    code_at = (node.body[0].end_lineno or 0) - start + 1 if has_docstring else body_at
    if body_at < 1 or (has_docstring and _first_line(statements[0]) - start < code_at):
        raise UnusableFunctionError(Reason.TOO_SMALL, "it shares a line with its signature or docstring")
    return Function(
        name=node.name,
        owner=owner,
        line=start,
        signature="\n".join(lines[:body_at]).rstrip(),
        docstring=inspect.cleandoc(ast.get_docstring(node) or ""),
        quoted_docstring="\n".join(lines[body_at:code_at]) if has_docstring else "",
        body="\n".join(lines[code_at:]).strip("\n"),
    )


def _first_line(statement: ast.stmt) -> int:
    if isinstance(statement, FunctionNode | ast.ClassDef):
        return first_line_of(statement)
    return statement.lineno


def _parse_one(text: str) -> FunctionNode:
    try:
        node = ast.parse(text).body[0]
    except SyntaxError as error:
        raise UnusableFunctionError(Reason.UNPARSABLE, str(error.msg)) from error
    assert isinstance(node, FunctionNode)
    return node


def _clean(node: FunctionNode) -> FunctionNode:
    """Return a function with its docstring as everybody reads it: its indentation is not what counts."""
    docstring = ast.get_docstring(node)
    if docstring is None:
        return node
    fields = {name: getattr(node, name) for name in node._fields}
    fields["body"] = [ast.Expr(value=ast.Constant(value=docstring)), *node.body[1:]]
    return type(node)(**fields)
