from __future__ import annotations

import ast
import gc
import sys
from pathlib import Path

import pytest
from editing import Buffer, Keystroke, documents, keystrokes, strike
from hypothesis import given, settings
from hypothesis import strategies as st
from tree_sitter import Node

from lsp.mirror import ContentChange, Mirror
from lsp.outline import Definition, find_definitions, find_enclosing, find_stub
from lsp.positions import Lines, Position, PositionEncoding, Range, Span
from lsp.syntax import LONG_LINES, SyntaxTree

STDLIB = Path(ast.__file__).parent


def tree_of(text: str, *, is_cell: bool = False) -> SyntaxTree:
    return SyntaxTree(Lines(text), is_cell=is_cell)


def only(text: str) -> Definition:
    return find_definitions(tree_of(text))[0]


def shape(node: Node) -> object:
    return node.type, node.start_byte, node.end_byte, [shape(child) for child in node.children]


@given(documents())
def test_each_character_is_one_byte_for_the_parser(text: str) -> None:
    assert len(tree_of(text).masked) == len(text)


@settings(max_examples=100, deadline=None)
@given(documents(), st.lists(keystrokes(), max_size=5))
def test_a_followed_tree_covers_all_of_the_new_text(text: str, keys: list[Keystroke]) -> None:
    buffer = Buffer(text=text, encoding=PositionEncoding.UTF16)
    mirror = Mirror(uri="", version=0, text=text, encoding=PositionEncoding.UTF16)
    for key in keys:
        _ = mirror.tree.root
        mirror.apply(0, [strike(buffer, key)])
    assert mirror.tree.root.end_byte <= len(buffer.text)
    assert not mirror.tree.root.has_changes


def test_a_tree_that_was_typed_is_the_tree_of_the_text() -> None:
    text = (STDLIB / "bisect.py").read_text(encoding="utf-8")
    mirror = Mirror(uri="", version=0, text=text, encoding=PositionEncoding.UTF16)
    buffer = Buffer(text=text, encoding=PositionEncoding.UTF16)
    at = text.index("    lo = ") if "    lo = " in text else text.index("\n    while")
    for character in "    if x in (1, 2):\n        '''é😀'''\n        return [a for b in c]\n":
        mirror.apply(0, [buffer.replace(at, at, character)])
        _ = mirror.tree.root
        at += 1
    assert shape(mirror.tree.root) == shape(tree_of(buffer.text).root)


def test_offsets_are_those_of_characters() -> None:
    text = "naïve = '😀日本'\ndef 名前(): pass\n"
    definition = only(text)
    assert definition.name == "名前"
    assert definition.span.cut(text) == "def 名前(): pass"


def test_a_lone_return_ends_a_line_of_code() -> None:
    tree = tree_of("# note\rdef f():\r    pass\r")
    assert [each.name for each in find_definitions(tree)] == ["f"]


def test_a_byte_order_mark_is_no_code() -> None:
    assert not tree_of("\ufeffdef f():\n    pass\n").root.has_error


def test_commands_of_a_notebook_are_no_errors() -> None:
    text = "%matplotlib inline\n!ls\nx = 1\n"
    assert not tree_of(text, is_cell=True).root.has_error
    assert tree_of(text).root.has_error


def test_a_document_beyond_all_measure_has_an_empty_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lsp.syntax.MAX_CHARS", 10)
    tree = tree_of("x = 1\ny = 2\n")
    assert tree.root.child_count == 0
    assert find_enclosing(tree, Span(start=3, end=3)) == []


def test_a_mark_that_is_open_far_above_does_not_hide_the_function_around_the_cursor() -> None:
    functions = "".join(f"def f{n}(x):\n    return x\n\n\n" for n in range(LONG_LINES // 3))
    mirror = Mirror(uri="", version=0, text=functions, encoding=PositionEncoding.UTF16)
    buffer = Buffer(text=functions, encoding=PositionEncoding.UTF16)
    assert mirror.tree.focused(Span(start=0, end=0)) is mirror.tree
    for character in 'x = """':
        _ = mirror.tree.root
        mirror.apply(0, [buffer.replace(0, 0, character)])
    at = buffer.text.index("f200")
    tree = mirror.tree.focused(Span(start=at, end=at))
    assert tree is not mirror.tree
    assert tree.whole is mirror.tree
    assert [each.name for each in find_enclosing(tree, Span(start=at, end=at))] == ["f200"]


def test_a_mended_document_is_read_as_a_whole_again() -> None:
    functions = "".join(f"def f{n}(x):\n    return x\n\n\n" for n in range(LONG_LINES // 3))
    mirror = Mirror(uri="", version=0, text=functions, encoding=PositionEncoding.UTF16)
    buffer = Buffer(text=functions, encoding=PositionEncoding.UTF16)
    for character in "(x":
        mirror.apply(0, [buffer.replace(0, 0, character)])
        _ = mirror.tree.focused(Span(start=1, end=1)).root
    mirror.apply(0, [buffer.replace(0, 2, "")])
    assert mirror.tree.focused(Span(start=0, end=0)) is mirror.tree


def test_methods_know_their_class_and_decorators() -> None:
    text = "class A(B, metaclass=M):\n    @p.setter\n    @q(1)\n    def f(self): pass\n"
    at = text.index("@q")
    around = find_enclosing(tree_of(text), Span(start=at, end=at + 1))
    assert [each.name for each in around] == ["A", "f"]
    method = around[1]
    assert method.owner is not None
    assert method.owner.bases == ["B", "metaclass=M"]
    assert method.decorators == ["setter", "q"]
    assert method.kind == "method"
    assert method.span.cut(text).startswith("@p.setter")


def test_a_function_in_a_method_has_no_class() -> None:
    text = "class A:\n    def f(self):\n        def g(): pass\n"
    at = text.index("pass")
    assert [each.kind for each in find_enclosing(tree_of(text), Span(start=at, end=at))] == [
        "class",
        "method",
        "function",
    ]


@pytest.mark.parametrize(
    ("text", "stub"),
    [
        ("def f(): pass\n", "pass"),
        ("def f():\n    ...\n", "..."),
        ("def f():\n    raise NotImplementedError\n", "raise NotImplementedError"),
        ('def f():\n    raise NotImplementedError("later")\n', 'raise NotImplementedError("later")'),
        ('def f():\n    """Do it."""\n    pass\n', "pass"),
        ('def f():\n    """Do it."""\n', ""),
        ("def f():\n    # read the file\n", ""),
        ("async def f():\n    pass; ...\n", "pass; ..."),
    ],
)
def test_a_placeholder_is_no_body(text: str, stub: str) -> None:
    found = find_stub(only(text))
    assert found is not None
    assert found.cut(text) == stub


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    return 1\n",
        "def f():\n    pass\n    x = 1\n",
        "def f():\n    raise ValueError\n",
        "@overload\ndef f(x): ...\n",
        "@abc.abstractmethod\ndef f(x): ...\n",
        "class A: pass\n",
    ],
)
def test_what_is_meant_to_be_so_is_no_stub(text: str) -> None:
    assert find_stub(only(text)) is None


def test_a_method_of_a_protocol_is_no_stub() -> None:
    members = list(only("class P(typing.Protocol[T]):\n    def f(self): ...\n").members())
    assert find_stub(members[0]) is None


def test_parameters_come_with_stars_hints_and_defaults() -> None:
    found = only("def f(a, /, b: int, *c, d=1, e: str = 'x', **g): pass\n").parameters
    assert [(each.name, each.stars, each.annotation, each.default is not None) for each in found] == [
        ("a", "", "", False),
        ("b", "", "int", False),
        ("c", "*", "", False),
        ("d", "", "", True),
        ("e", "", "str", True),
        ("g", "**", "", False),
    ]


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("def f(a: int) -> int: return a\n", False),
        ("def f(a: int): return a\n", True),
        ("def f(a) -> int: return a\n", True),
        ("def f(*, a) -> int: return a\n", True),
    ],
)
def test_hints_are_lacking_where_one_is(text: str, lacks: bool) -> None:
    assert only(text).lacks_hints is lacks


def test_self_needs_no_hint() -> None:
    text = "class A:\n    def __init__(self, x: int): pass\n    @staticmethod\n    def g(self) -> int: pass\n"
    init, static = only(text).members()
    assert not init.lacks_hints
    assert static.lacks_hints


@pytest.mark.slow
def test_the_tree_finds_no_error_in_the_standard_library() -> None:
    wrong: list[str] = []
    for path in sorted(STDLIB.glob("*.py")):
        text = path.read_text(encoding="utf-8", errors="replace")
        if tree_of(text).root.has_error:
            wrong.append(path.name)
    assert len(wrong) <= 2, f"{wrong} with Python {sys.version}"


def test_a_tree_is_gone_with_the_text_that_it_was_of() -> None:
    """Each holds the whole document: a cycle would keep one for every keystroke until the collector comes."""
    mirror = Mirror(
        uri="x", version=1, text="def only_here():\n    pass\n" * 50, encoding=PositionEncoding.UTF16
    )
    place = Position(line=3, character=4)
    gc.collect()
    gc.disable()
    try:
        for version in range(20):
            mirror.apply(version, [ContentChange(text="(", range=Range(start=place, end=place))])
            mirror.tree.focused(Span(start=30, end=30))
        trees = [each for each in gc.get_objects() if type(each) is SyntaxTree]
    finally:
        gc.enable()
    assert sum("def only_here" in tree.lines.text for tree in trees) <= 2
