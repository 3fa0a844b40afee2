"""Which tests of a folder are of which function: by what they are called and by what they use.

A test belongs to a function that it uses and whose name its own name, or its class's, begins with; where
several do, to the one with the longest name. Knows pytest's functions and unittest's classes; runs nothing.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from finetune.mining.functions import FunctionNode, UnusableFunctionError, first_line_of
from finetune.mining.modules import Module
from finetune.mining.naming import find_surroundings

MAX_LINES = 150
_FIXTURES = frozenset(
    {"self", "capfd", "caplog", "capsys", "monkeypatch", "recwarn", "request", "tmp_path", "tmpdir"}
)
_SETUP = frozenset({"setUp", "tearDown", "setup_method", "teardown_method", "setUpClass", "setup_class"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTest:
    """One test function."""

    module: Module
    node: FunctionNode
    owner: ast.ClassDef | None
    labels: tuple[str, ...]
    """What it says it tests: its name and its class's, without `test`, case and signs."""
    uses: frozenset[str]
    """Every name and attribute in it."""


def is_test_file(file: str) -> bool:
    """Whether a file holds tests, by its name and its folders'."""
    path = PurePosixPath(file)
    is_named = path.name.startswith("test_") or path.stem.endswith("_test") or path.stem in ("test", "tests")
    return is_named or bool({"test", "tests", "testing"} & set(path.parts[:-1])) or path.name == "conftest.py"


def list_tests(module: Module) -> Iterator[OwnTest]:
    """Yield the tests of a file that need no fixture but pytest's own."""
    for node in module.tree.body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        owner = node if isinstance(node, ast.ClassDef) else None
        for one in inner:
            if isinstance(one, FunctionNode) and one.name.startswith("test") and _needs_nothing(one):
                names = [one.name, *([owner.name] if owner else [])]
                yield OwnTest(
                    module=module,
                    node=one,
                    owner=owner,
                    labels=tuple(filter(None, map(_label, names))),
                    uses=frozenset(_used(one)),
                )


def assign_tests(tests: Sequence[OwnTest], functions: Iterable[str]) -> dict[str, list[OwnTest]]:
    """Return the tests of each function, by its name."""
    by_label = {_label(name): name for name in sorted(functions)}
    found: dict[str, list[OwnTest]] = defaultdict(list)
    for test in tests:
        fitting = [
            name
            for label, name in by_label.items()
            if label and name in test.uses and any(one.startswith(label) for one in test.labels)
        ]
        if fitting:
            found[max(fitting, key=len)].append(test)
    return found


def render_tests(tests: Sequence[OwnTest]) -> str:
    """Return tests as one module with its imports; empty where they need what cannot be shown."""
    module = tests[0].module
    mine = [test for test in tests if test.module is module]
    parts: list[str] = []
    for owner in dict.fromkeys(test.owner for test in mine):
        nodes = [test.node for test in mine if test.owner is owner]
        parts.append(_cut(module, owner, nodes))
    text = "\n\n\n".join(parts)
    if text.count("\n") >= MAX_LINES:
        return ""
    try:
        around = find_surroundings(module, text)
    except UnusableFunctionError:
        return ""
    lines = [*around.imports, *(line for line in around.shown if line.startswith(("import ", "from ")))]
    if len(lines) < len(around.imports) + len(around.shown):
        return ""  # a helper of the test file, which would have to come along
    return "\n".join(sorted(lines)) + "\n\n\n" + text if lines else text


def _cut(module: Module, owner: ast.ClassDef | None, nodes: Sequence[FunctionNode]) -> str:
    texts = ["\n".join(module.lines[first_line_of(node) - 1 : node.end_lineno]) for node in nodes]
    if owner is None:
        return "\n\n\n".join(texts)
    setup = [
        "\n".join(module.lines[first_line_of(node) - 1 : node.end_lineno])
        for node in owner.body
        if isinstance(node, FunctionNode) and node.name in _SETUP
    ]
    bases = ", ".join(ast.unparse(base) for base in owner.bases)
    head = f"class {owner.name}({bases}):" if bases else f"class {owner.name}:"
    return "\n".join([head, "\n\n".join([*setup, *texts])])


def _label(name: str) -> str:
    return re.sub(r"^tests?|tests?$", "", name.replace("_", "").lower())


def _used(node: FunctionNode) -> Iterator[str]:
    for one in ast.walk(node):
        if isinstance(one, ast.Name):
            yield one.id
        elif isinstance(one, ast.Attribute):
            yield one.attr


def _needs_nothing(node: FunctionNode) -> bool:
    given = {
        name.strip()
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and "parametrize" in ast.unparse(decorator.func)
        for argument in decorator.args[:1]
        for constant in ast.walk(argument)
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
        for name in constant.value.split(",")
    }
    wanted = {argument.arg for argument in [*node.args.args, *node.args.kwonlyargs]}
    return wanted <= given | _FIXTURES
