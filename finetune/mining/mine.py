"""From a folder of Python code to examples: walk, parse, cut, pair. Nothing of it is imported or run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from assistant.errors import UsageError
from finetune.examples import Example, Place, Reason, Reject, find_half_character
from finetune.mining.functions import FunctionNode, UnusableFunctionError, cut_function, list_function_nodes
from finetune.mining.licenses import find_license
from finetune.mining.modules import Module, UnusableModuleError, read_module
from finetune.mining.own_tests import OwnTest, assign_tests, is_test_file, list_tests, render_tests
from finetune.mining.pairs import build_pairs
from finetune.mining.walking import walk_code
from finetune.progress import Report, report_nothing, track
from finetune.sources import CodeSource


def mine_examples(source: CodeSource, report: Report = report_nothing) -> Iterator[Example | Reject]:
    """Yield the examples of a folder, file by file, and what gives none.

    Raises:
        UsageError: There is no Python file in it.
    """
    found = list(walk_code(source.path, source.text))
    paths = [one for one in found if isinstance(one, Path)]
    if not paths:
        raise UsageError(
            f"{source.text} holds no Python file to learn from", hint="is everything ignored by git?"
        )
    yield from (one for one in found if isinstance(one, Reject))
    modules: list[Module] = []
    for path in track(paths, "reading code", report):
        file = _name(path, source)
        try:
            modules.append(read_module(path, file))
        except UnusableModuleError as error:
            yield Reject(place=Place(file=file, row=error.line), reason=error.reason, detail=error.detail)
    license_name = find_license(source.path)
    tests = _gather_tests(modules)
    for module in track([one for one in modules if not is_test_file(one.file)], "pairing functions", report):
        yield from _mine_module(module, tests, license_name)


def _name(path: Path, source: CodeSource) -> str:
    if not source.path.is_dir():
        return source.text
    inner = path.relative_to(source.path.resolve()).as_posix()
    return inner if source.text in (".", "./") else f"{source.text.rstrip('/')}/{inner}"


def _gather_tests(modules: list[Module]) -> dict[str, list[OwnTest]]:
    tests = [test for module in modules if is_test_file(module.file) for test in list_tests(module)]
    if not tests:
        return {}
    counts: dict[str, int] = defaultdict(int)
    for module in modules:
        if not is_test_file(module.file):
            for node, _ in list_function_nodes(module):
                counts[node.name] += 1
    # Where several functions have one name, nothing says which of them a test means.
    return assign_tests(tests, [name for name, count in counts.items() if count == 1])


def _mine_module(
    module: Module, tests: dict[str, list[OwnTest]], license_name: str
) -> Iterator[Example | Reject]:
    for node, owner in list_function_nodes(module):
        if _is_special(node):
            continue
        name = f"{owner.name}.{node.name}" if owner else node.name
        place = Place(file=module.file, row=node.lineno)
        try:
            function = cut_function(module, node, owner)
        except UnusableFunctionError as error:
            yield Reject(place=place, reason=error.reason, detail=f"{name}: {error.detail}")
            continue
        own = tests.get(node.name, [])
        made = build_pairs(module, function, render_tests(own) if own else "", module.license or license_name)
        yield from map(_check, made)


def _is_special(node: FunctionNode) -> bool:
    """Whether a function means something only where it stands: `__init__`, an overload, a setter."""
    if node.name.startswith("__") and node.name.endswith("__"):
        return True
    for decorator in node.decorator_list:
        name = getattr(decorator, "attr", getattr(decorator, "id", ""))
        if name in ("overload", "setter", "deleter", "abstractmethod"):
            return True
    return False


def _check(made: Example | Reject) -> Example | Reject:
    if isinstance(made, Reject):
        return made
    half = find_half_character(made.text)
    return Reject(place=made.place, reason=Reason.SURROGATE, detail=half, kind=made.kind) if half else made
