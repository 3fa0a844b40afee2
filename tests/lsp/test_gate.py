from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from acting import FakeWorkspace
from bad_replies import BAD_REPLIES

from lsp.actions.catalog import build_actions
from lsp.actions.interface import Diagnostic, Edits, Offer, Plan, Refused, View
from lsp.edits import apply_edits
from lsp.gate import adds_docstring_alone, adds_hints_alone, find_harm
from lsp.mirror import Mirror
from lsp.outline import Definition, find_definitions, find_stub
from lsp.positions import PositionEncoding, Span
from lsp.style import cut_code
from lsp.syntax import span_of

STDLIB = Path(ast.__file__).parent
ACTIONS = build_actions()
FEW, MANY = 5, 100
MODULE = Path("/project/shapes.py")
TEST_FILE = Path("/project/tests/test_shapes.py")
OWN_TESTS = "import pytest\n\n\nONE = 1\n\n\ndef test_one():\n    assert ONE == pytest.approx(1)\n"


def test_a_whole_file_must_stay_whole() -> None:
    assert "would break the file" in find_harm("x = 1\n", "x = (\n")
    assert "would break the file" in find_harm("x = 1\n", "return 1\n")
    assert find_harm("x = 1\n", "x = 2\n") == ""


def test_a_file_that_only_parses_must_still_parse() -> None:
    assert find_harm("return 1\n", "return 2\n") == ""
    assert "would break the file" in find_harm("return 1\n", "return (\n")


def test_a_broken_file_cannot_be_broken() -> None:
    assert find_harm("x = (\n", "x = ((\n") == ""


def test_a_cell_may_wait_and_command() -> None:
    assert find_harm("%time\nawait f()\n", "%time\nawait g()\n", is_cell=True) == ""
    assert "would break" in find_harm("%time\nawait f()\n", "%time\nawait (\n", is_cell=True)


@pytest.mark.parametrize(
    ("after", "is_alone"),
    [
        ('def f(x):\n    """Doc."""\n    return x\n', True),
        ("def f(x):\n    return x\n", False),
        ('def f(x):\n    """Doc."""\n    return (x)\n', True),
        ('def f(x):\n    """Doc."""\n    return y\n', False),
        ('def f(y):\n    """Doc."""\n    return x\n', False),
        ('def f(x):\n    """Doc."""\n    return x\nz = 1\n', False),
        ('def f(x):\n    """Doc.', False),
    ],
)
def test_a_docstring_alone_is_a_docstring_alone(after: str, is_alone: bool) -> None:
    assert adds_docstring_alone("def f(x):\n    return x\n", after) is is_alone


@pytest.mark.parametrize(
    ("after", "is_alone"),
    [
        ("def f(x: int, y: str) -> int:\n    return x\n", True),
        ("def f(x, y: str):\n    return x\n", True),
        ("def f(x: int, y: int):\n    return x\n", False),
        ("def f(x: int, y: str = ''):\n    return x\n", False),
        ("def f(x: int, y: str):\n    z: int = x\n    return x\n", False),
        ("def f(x: int):\n    return x\n", False),
    ],
)
def test_hints_alone_are_hints_alone(after: str, is_alone: bool) -> None:
    assert adds_hints_alone("def f(x, y: str):\n    return x\n", after) is is_alone


def modules(count: int) -> list[Path]:
    """Of the standard library, spread over all of it; not too small to matter, not too large for the time."""
    fitting = [path for path in sorted(STDLIB.rglob("*.py")) if 1500 < path.stat().st_size < 25_000]
    fitting = [
        path for path in fitting if not {"test", "tests", "lib2to3", "site-packages"} & set(path.parts)
    ]
    names = [path for path in fitting if path.read_bytes().count(b"def ") > 5]
    return names[:: max(len(names) // count, 1)][:count]


def functions_of(text: str) -> Iterator[Definition]:
    mirror = Mirror(uri="", version=0, text=text, encoding=PositionEncoding.UTF8)
    for definition in find_definitions(mirror.tree):
        members = definition.members() if definition.is_class else iter([definition])
        yield from (each for each in members if not each.is_class and each.is_sound)


def views_of(text: str, function: Definition) -> Iterator[tuple[str, View]]:
    """Each editing action with a document that it fits: as it is, without a body, with a comment."""
    name = function.node.child_by_field_name("name")
    assert name is not None
    cursor = Span(start=name.start_byte, end=name.start_byte)
    problem = Diagnostic(span=span_of(name), message="this name is misleading")
    for action in ("optimize", "docstring", "hints", "fix"):
        yield action, view_at(text, cursor, problem)
    yield "tests", view_at(text, cursor)
    yield "tests", view_at(text, cursor, files={str(TEST_FILE): OWN_TESTS})
    body = [each for each in function.statements if each != function.docstring]
    lines = function.tree.lines
    if not body or find_stub(function) is not None:
        return
    first, last = body[0].start_byte, body[-1].end_byte
    if lines.text[lines.starts[lines.line_at(first)] : first].strip():
        return
    yield "implement", view_at(f"{text[:first]}...{text[last:]}", cursor)
    indent = text[lines.starts[lines.line_at(first)] : first]
    comment = f"# sort the values by name\n{indent}"
    wished = f"{text[:first]}{comment}{text[first:]}"
    yield "write", view_at(wished, Span(start=first, end=first))
    yield "apply", view_at(wished, Span(start=first, end=last + len(comment)))


def view_at(
    text: str, selection: Span, *problems: Diagnostic, files: Mapping[str, str] | None = None
) -> View:
    mirror = Mirror(uri=MODULE.as_uri(), version=0, text=text, encoding=PositionEncoding.UTF8)
    return View(
        snapshot=mirror.snapshot,
        tree=mirror.tree,
        selection=selection,
        diagnostics=problems,
        path=MODULE,
        workspace=FakeWorkspace(files=dict(files or {})),
    )


def answer_to(code: str) -> str:
    """Code as of a model that does too much: documented, hinted, formatted and changed all at once."""
    tree = ast.parse(code)
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    function.returns = ast.Name(id="str")
    for each in ast.walk(function.args):
        if isinstance(each, ast.arg):
            each.annotation = ast.Name(id="int")
    documented = ast.parse('"""Do what the name says.\n\nAnd no more.\n"""\nvalue = 0\n').body
    function.body = [*documented, *function.body]
    return ast.unparse(ast.fix_missing_locations(tree))


def check_bad_replies(text: str, function: Definition) -> Counter[str]:
    """Run every action with every bad reply on one function, and count the edits that each made."""
    rewritten = answer_to(cut_code(function.tree.lines, function.span))
    edits, known = Counter[str](), dict[str, bool]()
    for action, view in views_of(text, function):
        offer = next((each for each in ACTIONS.offer(view) if each.action == action), None)
        if offer is None:
            continue
        plan = ACTIONS.prepare(offer, view, 10**6, len)
        assert isinstance(plan, Plan)
        mirror = view.snapshot.mirror
        assert isinstance(mirror, Mirror)
        code = calls_of(function.name) if action == "tests" else rewritten
        for kind, make in BAD_REPLIES.items():
            outcome = ACTIONS.finish(plan, make(code), mirror.since(view.snapshot))
            if isinstance(outcome, Edits):
                edits[action] += 1
                check = check_tests if action == "tests" else check_edit
                check(view, offer, plan, outcome, known, f"{action}: {kind}")
            else:
                assert isinstance(outcome, Refused)
    return edits


def calls_of(name: str) -> str:
    """Code as of a model that was asked for tests: with a call at the end."""
    test = f"def test_{name}():\n    assert {name}(1) is None\n"
    return f"from shapes import {name}\n\n\n{test}\n\ntest_{name}()\n"


def check_tests(
    view: View, offer: Offer, plan: Plan, outcome: Edits, known: dict[str, bool], what: str
) -> None:
    (file,) = outcome.files
    before = file.lines.text
    assert file.uri == TEST_FILE.as_uri(), what
    assert (before == "") == file.creates, what
    after = apply_edits(before, file.edits)
    if after not in known:
        known[after] = _compiles(after)
    assert known[after], what
    assert _definitions(before) <= _definitions(after), what


def _definitions(text: str) -> set[str]:
    return {ast.dump(node) for node in ast.parse(text).body}


def check_edit(
    view: View, offer: Offer, plan: Plan, outcome: Edits, known: dict[str, bool], what: str
) -> None:
    (file,) = outcome.files
    after = apply_edits(view.text, file.edits)
    target = plan.target
    grown = len(after) - len(view.text)
    assert after[: target.start] == view.text[: target.start], what
    assert after[target.end + grown :] == view.text[target.end :], what
    for text in (view.text, after):
        if text not in known:
            known[text] = _compiles(text)
    assert known[after] or not known[view.text], what
    if offer.action in ("docstring", "hints"):
        pieces = [edit.span.cut(view.text).strip(" =\r\n") for edit in file.edits]
        assert not any(pieces), what
        assert _bare(after, offer.action) == _bare(view.text, offer.action), what


def _compiles(text: str) -> bool:
    try:
        compile(text, "<document>", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


def _bare(text: str, action: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if action == "hints":
                node.returns = None
                for each in ast.walk(node.args):
                    if isinstance(each, ast.arg):
                        each.annotation = None
            elif ast.get_docstring(node) is not None:
                node.body = node.body[1:]
    return ast.dump(tree)


@pytest.mark.parametrize("path", modules(FEW), ids=lambda path: path.stem)
def test_no_bad_reply_breaks_a_real_module(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    functions = list(functions_of(text))[:6]
    edits = sum((check_bad_replies(text, function) for function in functions), Counter[str]())
    assert edits.total() > 10 * len(functions)
    assert edits["tests"] > len(functions)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_bad_reply_breaks_any_of_a_hundred_modules() -> None:
    edits, functions = Counter[str](), 0
    for path in modules(MANY):
        text = path.read_text(encoding="utf-8")
        for function in functions_of(text):
            edits += check_bad_replies(text, function)
            functions += 1
    assert functions > 1000
    editing = {"optimize", "docstring", "hints", "fix", "implement", "write", "apply", "tests"}
    assert {action for action, count in edits.items() if count > functions / 2} == editing
