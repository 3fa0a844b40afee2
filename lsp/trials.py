"""The tests of one function: its doctests, those in its file and in its module's test file. Runs nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lsp.actions.interface import Trial, View
from lsp.outline import Definition
from lsp.parsing import Fault, parse_module
from lsp.style import dedent
from lsp.testfiles import ModulePlace, find_test_place, is_test_file

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Tests from one place."""

    setup: str
    cases: tuple[tuple[str, str], ...]
    """Name and source of each."""
    names: frozenset[str]
    """What they use of the file under test."""
    shown: str
    """Their source, for the model; empty where it stands in the function already."""
    source: str
    """Where they are, in words."""
    module: str = ""
    """They import it; empty where they stand beside what they test."""


def may_have_tests(view: View, definition: Definition) -> bool:
    """Whether tests can be looked for, judged by what is in sight: for a menu, which reads no file."""
    if view.tree.is_cell:
        return False
    has_file = view.path is not None and view.workspace is not None and not is_test_file(view.path)
    text = view.text
    return has_file or ">>>" in definition.span.cut(text) or "def test" in text or "\nassert " in text


def find_trial(view: View, definition: Definition) -> Trial | None:
    """Find the tests of a function; None where there are none. Reads the module's test file."""
    from assistant.judging.interface import Case, Suite  # late: the handshake needs none of it

    place = _find_place(view)
    found = [
        each
        for each in (
            _find_doctests(view, definition),
            _find_beside(view, definition),
            _find_in_test_file(view, definition, place),
        )
        if each is not None
    ]
    if not found:
        return None
    module = next((each.module for each in found if each.module), "")
    names = sorted({name for each in found for name in each.names})
    beside = [f"from {module} import {', '.join(names)}"] if module and names else []
    suite = Suite(
        cases=tuple(Case(name=name, source=source) for each in found for name, source in each.cases),
        setup="\n".join([*beside, *(each.setup for each in found if each.setup)]),
        names=() if module else tuple(names),
        module=module,
    )
    root = _find_root(view, place)
    return Trial(
        suite=suite,
        shown="\n\n".join(each.shown for each in found if each.shown),
        source=" and ".join(each.source for each in found),
        root=root,
    )


def place_search_path(text: str, root: Path | None) -> str:
    """Let a file find the modules of its project, by a line that comes before all that it imports."""
    tree = parse_module(text)
    if root is None or isinstance(tree, Fault):
        return text
    futures = [
        statement.end_lineno or 0
        for statement in tree.body
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
    ]
    rows = text.split("\n")
    folders = [str(root), str(root / "src")]
    rows.insert(max(futures, default=0), f"__import__('sys').path[:0] = {folders!r}")
    return "\n".join(rows)


def _find_place(view: View) -> ModulePlace | None:
    if view.path is None or view.workspace is None or is_test_file(view.path):
        return None
    return find_test_place(view.path, view.workspace)


def _find_root(view: View, place: ModulePlace | None) -> Path | None:
    """The project, where the editor has it open and it is not more than that: its files become readable."""
    if place is None or view.path is None or view.workspace is None:
        return None
    root, home = place.path.parent.parent, Path.home()
    is_open = view.workspace.find_root(view.path) is not None
    return root if is_open and root not in (home, *home.parents) else None


def _find_doctests(view: View, definition: Definition) -> _Found | None:
    from assistant.judging.suites import find_own_tests

    code = dedent(definition.span.cut(view.text).replace("\r\n", "\n"))
    suite = find_own_tests(code) if ">>>" in code else None
    if suite is None:
        return None
    cases = tuple((case.name, case.source) for case in suite.cases)
    return _Found(
        setup=suite.setup, cases=cases, names=frozenset(suite.names), shown="", source="its doctests"
    )


def _find_beside(view: View, definition: Definition) -> _Found | None:
    """Test functions and bare asserts of the same file that name the function."""
    tree = parse_module(view.text)
    if isinstance(tree, Fault):
        return None
    tests = [test for test in _functions(tree.body) if _is_test_of(test, definition.name)]
    asserts = [
        statement
        for statement in tree.body
        if isinstance(statement, ast.Assert) and _mentions(statement, definition.name)
    ]
    if not tests and not asserts:
        return None
    used = {name for statement in (*tests, *asserts) for name in _names_in(statement)}
    imports = [
        ast.unparse(statement)
        for statement in tree.body
        if isinstance(statement, ast.Import | ast.ImportFrom)
        and {alias.asname or alias.name.partition(".")[0] for alias in statement.names} & used
    ]
    texts = [ast.unparse(test) for test in tests]
    checks = [ast.unparse(check) for check in asserts]
    return _Found(
        setup="\n".join([*imports, *texts]),
        cases=(
            *((f"line {test.lineno}: {test.name}", _run(test.name)) for test in tests),
            *((f"line {check.lineno}: {text}", text) for check, text in zip(asserts, checks, strict=True)),
        ),
        names=frozenset(used & _defined_names(tree) - {test.name for test in tests}),
        shown="\n\n".join([*texts, *checks]),
        source="tests in this file",
    )


def _find_in_test_file(view: View, definition: Definition, place: ModulePlace | None) -> _Found | None:
    if place is None or not place.module or view.workspace is None:
        return None
    state = view.workspace.read_file(place.path)
    tree = parse_module(state.lines.text) if state.lines is not None else None
    if tree is None or isinstance(tree, Fault):
        return None
    wanted, names, kept = list[str](), list[str](), list[ast.stmt]()
    for statement in tree.body:
        mine = list(_tests_of(statement, definition.name))
        names += mine
        wanted += [ast.unparse(statement)] if mine else []
        if mine or not any(True for _ in _tests_of(statement, "")):
            kept.append(statement)
    if not names:
        return None
    return _Found(
        setup=ast.unparse(ast.Module(body=kept, type_ignores=[])),
        cases=tuple((f"{place.path.name}: {name}", _run(name)) for name in names),
        names=frozenset(),
        shown="\n\n".join(wanted),
        source=place.path.name,
        module=place.module,
    )


def _tests_of(statement: ast.stmt, name: str) -> Iterator[str]:
    """Name the tests of a statement that mention a name; the empty name for all."""
    if isinstance(statement, Function) and _is_test_of(statement, name):
        yield statement.name
    elif isinstance(statement, ast.ClassDef) and statement.name.startswith("Test"):
        for method in _functions(statement.body):
            if _is_test_of(method, name):
                yield f"{statement.name}.{method.name}"


def _functions(statements: Sequence[ast.stmt]) -> list[Function]:
    return [statement for statement in statements if isinstance(statement, Function)]


def _is_test_of(function: Function, name: str) -> bool:
    return function.name.startswith("test") and (not name or _mentions(function, name))


def _mentions(node: ast.AST, name: str) -> bool:
    return any(
        (isinstance(each, ast.Name) and each.id == name)
        or (isinstance(each, ast.Attribute) and each.attr == name)
        for each in ast.walk(node)
    )


def _names_in(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _defined_names(tree: ast.Module) -> set[str]:
    """What a module defines at its top level, imports left out."""
    names: set[str] = set()
    for statement in tree.body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case _:
                pass
    return names


def _run(name: str) -> str:
    return f"__run_test__({name!r})"
