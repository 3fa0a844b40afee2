"""Where the tests of a module belong, and how new ones go into that file. Writes nothing."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lsp.actions.interface import Workspace
from lsp.borrowing import find_known, read_statement
from lsp.edits import TextEdit
from lsp.extraction import Answer, Useless
from lsp.parsing import Fault, find_free_names, parse_module
from lsp.positions import Lines, Span
from lsp.style import Style, find_style, restyle, set_breaks, text_start
from lsp.syntax import SyntaxTree

_PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg", "tests")
_SOURCE_FOLDERS = ("src", "lib")
_MAX_LEVELS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ModulePlace:
    """Where the tests of a module belong."""

    path: Path
    module: str
    """As an import names it; empty where it cannot be imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredTests:
    """What an answer has of tests, taken apart."""

    imports: tuple[str, ...]
    parts: tuple[tuple[str, str], ...]
    """Name and code of each function, class and constant; the name may be empty."""


def find_test_place(path: Path, workspace: Workspace) -> ModulePlace:
    """Return `tests/test_<module>.py` of the project that a file is in."""
    project = _find_project(path, workspace)
    parts = [*path.relative_to(project).with_suffix("").parts]
    if parts[0] in _SOURCE_FOLDERS and len(parts) > 1:
        parts.pop(0)
    if parts[-1] == "__init__" and len(parts) > 1:
        parts.pop()
    module = ".".join(parts) if all(part.isidentifier() for part in parts) else ""
    return ModulePlace(path=project / "tests" / f"test_{parts[-1]}.py", module=module)


def is_test_file(path: Path) -> bool:
    """Whether a file holds tests itself."""
    return path.stem.startswith("test_") or path.stem.endswith("_test") or path.stem == "conftest"


def read_tests(answer: Answer, tested: str, name: str, module: str) -> AnsweredTests | Useless:
    """Take the tests out of an answer.

    The function under test, which models like to repeat, is left away, and so is what would run at import.
    Assertions in no function become one.

    Args:
        answer: What the model wrote.
        tested: The function that is tested.
        name: What is imported: the function, or its class.
        module: Where it is imported from, whatever the answer says of that.
    """
    tree = parse_module(answer.code)
    assert not isinstance(tree, Fault)
    rows = answer.code.split("\n")
    imports, parts, checks = [f"from {module} import {name}"], list[tuple[str, str]](), list[str]()
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            imports += _render_imports(statement, name)
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            parts += [(statement.name, read_statement(statement, rows))] if statement.name != name else []
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            parts.append(("", read_statement(statement, rows)))
        elif isinstance(statement, ast.Assert):
            checks.append(read_statement(statement, rows))
    if checks:
        body = restyle("\n".join(checks), indent="    ", unit="    ")
        parts.append((f"test_{tested}", f"def test_{tested}():\n{body}"))
    if not any(each.startswith(("test", "Test")) for each, _ in parts):
        return Useless(reason="has no tests", code=answer.code)
    if "pytest" in find_free_names("\n".join(code for _, code in parts)):
        imports.append("import pytest")
    return AnsweredTests(imports=tuple(dict.fromkeys(imports)), parts=tuple(parts))


def render_test_file(tests: AnsweredTests, style: Style) -> str:
    """All of a new file."""
    text = "\n\n\n".join(["\n".join(sorted(tests.imports)), *_restyled(tests.parts, style)])
    return set_breaks(f"{text}\n", style)


def place_tests(lines: Lines, tests: AnsweredTests) -> list[TextEdit]:
    """Build the edits that add tests to the end of a file: those whose names it does not have."""
    tree, style = SyntaxTree(lines), find_style(lines)
    known = find_known(tree)
    parts = [part for part in tests.parts if part[0] not in known]
    if not any(name.startswith(("test", "Test")) for name, _ in parts):
        return []
    there = {" ".join(tree.text_of(node).split()) for node in tree.root.named_children}
    missing = [each for each in tests.imports if each not in there and not _imported_names(each) <= known]
    edits: list[TextEdit] = []
    if missing:
        at, lead, tail = _find_import_place(tree)
        edits.append(
            TextEdit(span=Span(start=at, end=at), text=set_breaks(lead + "\n".join(missing) + tail, style))
        )
    text = lines.text
    bare = text.rstrip("\r\n")
    end = "\n" if len(bare) < len(text) or not text else ""
    added = "\n\n\n".join(_restyled(parts, style))
    gap = "\n\n\n" if bare else ""
    last = Span(start=len(bare), end=len(text))
    return [*edits, TextEdit(span=last, text=set_breaks(f"{gap}{added}{end}", style))]


def _find_project(path: Path, workspace: Workspace) -> Path:
    root = workspace.find_root(path)
    folder = path.parent
    for _ in range(_MAX_LEVELS):
        if any(workspace.exists(folder / name) for name in _PROJECT_FILES):
            return folder
        if folder in (root, folder.parent):
            break
        folder = folder.parent
    return root or path.parent


def _render_imports(statement: ast.Import | ast.ImportFrom, name: str) -> list[str]:
    """One line for each name; none for what is tested, whose module the model can only guess."""
    if isinstance(statement, ast.Import):
        return [ast.unparse(ast.Import(names=[alias])) for alias in statement.names]
    if statement.level or any(alias.name in (name, "*") for alias in statement.names):
        return []
    return [ast.unparse(statement)]


def _imported_names(text: str) -> set[str]:
    return find_known(SyntaxTree(Lines(text)))


def _restyled(parts: Sequence[tuple[str, str]], style: Style) -> list[str]:
    return [restyle(code, indent="", unit=style.unit) for _, code in parts]


def _find_import_place(tree: SyntaxTree) -> tuple[int, str, str]:
    """Where imports go, and what comes before and after them: below the others, else at the top."""
    imports = [
        node for node in tree.root.named_children if node.type.startswith("import") or "future" in node.type
    ]
    lines = tree.lines
    if imports:
        return lines.content(lines.line_at(imports[-1].end_byte)).end, "\n", ""
    first = next(iter(tree.root.named_children), None)
    if (
        first is not None
        and first.type == "expression_statement"
        and first.named_children[0].type == "string"
    ):
        return lines.content(lines.line_at(first.end_byte)).end, "\n\n", ""
    return text_start(lines.text), "", "\n\n\n" if lines.text.strip("\ufeff \r\n") else "\n"
