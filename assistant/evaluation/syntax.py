"""Names in a syntax tree: what it uses, what it binds, what it imports. Knows no problems."""

from __future__ import annotations

import ast
import builtins

KNOWN = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__"}
"""Names that every module has."""


def find_used_names(*trees: ast.AST) -> set[str]:
    """Return every name in some trees."""
    return {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}


def list_bound_names(*trees: ast.AST) -> set[str]:
    """Return every name that something in the trees binds, wherever."""
    bound: set[str] = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                bound.add(name)
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.ExceptHandler(name=str(name)):
                bound.add(name)
            case ast.alias(name=name, asname=asname):
                bound.add(asname or name.partition(".")[0])
            case _:
                pass
    return bound


def find_imports(tree: ast.Module) -> dict[str, str]:
    """Return the line that imports each name at a module's top level; none for what is relative."""
    found: dict[str, str] = {}
    for node in tree.body:
        match node:
            case ast.Import(names=names):
                for alias in names:
                    line = ast.unparse(ast.Import(names=[alias]))
                    found[alias.asname or alias.name.partition(".")[0]] = line
            case ast.ImportFrom(module=str(module), names=names, level=0) if module != "__future__":
                for alias in names:
                    line = ast.unparse(ast.ImportFrom(module=module, names=[alias], level=0))
                    found[alias.asname or alias.name] = line
            case _:
                pass
    return found
