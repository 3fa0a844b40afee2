from __future__ import annotations

import ast
from pathlib import Path

import pytest

from lsp.positions import Lines, Span
from lsp.style import Style, cut_code, dedent, find_style, restyle, set_breaks, text_start

STDLIB = Path(ast.__file__).parent


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("", Style()),
        ("x = 1\n", Style()),
        ("def f():\n  return 1\n", Style(unit="  ")),
        ("class A:\r\n\tdef f(self):\r\n\t\tpass\r\n", Style(unit="\t", line_end="\r\n")),
        ("if x:\r   y\r", Style(unit="   ", line_end="\r")),
        ("if x:\n\ty\nif x:\n    y\nif x:\n    y\n", Style(unit="    ")),
        ("a\r\nb\r\nc\n", Style(line_end="\r\n")),
    ],
)
def test_a_file_tells_its_style(text: str, style: Style) -> None:
    assert find_style(Lines(text)) == style


def test_code_is_indented_into_place_once() -> None:
    assert (
        restyle("def f():\n    return 1\n", indent="    ", unit="    ") == "    def f():\n        return 1\n"
    )


def test_tabs_stay_tabs() -> None:
    code = "if x:\n    y = (1,\n         2)\n    # why\n    z\n"
    assert restyle(code, indent="\t", unit="\t") == "\tif x:\n\t\ty = (1,\n\t\t\t 2)\n\t\t# why\n\t\tz\n"


def test_two_spaces_stay_two() -> None:
    assert restyle("for x in y:\n    if x:\n        z()\n", indent="", unit="  ") == (
        "for x in y:\n  if x:\n    z()\n"
    )


def test_no_character_within_a_string_is_moved() -> None:
    code = "sql = \"\"\"\n  select 1\n\"\"\"\nx = f('''\na\n''')\n"
    assert restyle(code, indent="    ", unit="    ") == (
        "    sql = \"\"\"\n  select 1\n\"\"\"\n    x = f('''\na\n''')\n"
    )


def test_no_character_within_a_formatted_string_is_moved() -> None:
    code = 'x = f"""\n  {a}\n b"""\n'
    assert restyle(code, indent="        ", unit="    ").split("\n")[1:] == ["  {a}", ' b"""', ""]


def test_a_docstring_moves_with_its_function() -> None:
    code = 'def f():\n    """Do.\n\n    More.\n    """\n'
    assert restyle(code, indent="  ", unit="  ") == '  def f():\n    """Do.\n\n    More.\n    """\n'


def test_comments_go_with_the_statement_they_stand_before() -> None:
    code = "if a:\n    b\n    # of b\n# of c\nc\n"
    assert restyle(code, indent="", unit="\t") == "if a:\n\tb\n\t# of b\n# of c\nc\n"


def test_blank_lines_have_no_indentation() -> None:
    assert restyle("a\n\n   \nb\n", indent="    ", unit="    ") == "    a\n\n\n    b\n"


def test_dedent_takes_what_all_lines_share_and_leaves_strings() -> None:
    text = '    a = """\n  x\n"""\n\n    if a:\n\tb\n'
    assert dedent('    a = """\n  x\n"""\n    if a:\n        b\n') == 'a = """\n  x\n"""\nif a:\n    b\n'
    assert dedent(text) == text


def test_a_cut_has_the_indentation_of_its_first_line() -> None:
    text = "class A:\r\n    def f(self):\r\n        pass\r\n"
    span = Span(start=text.index("def"), end=len(text) - 2)
    assert cut_code(Lines(text), span) == "def f(self):\n    pass"
    assert cut_code(Lines(text), span, keep_indent=True) == "    def f(self):\n        pass"


def test_line_ends_are_those_of_the_file() -> None:
    assert set_breaks("a\nb\n", Style(line_end="\r\n")) == "a\r\nb\r\n"


def test_text_starts_after_a_byte_order_mark() -> None:
    assert text_start("\ufeffx") == 1
    assert text_start("x") == 0


def meaning(tree: ast.AST) -> str:
    """A tree in which strings that stand alone count by their words: they are indented as their place is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = str(node.value.value).split()  # type: ignore[assignment]
    return ast.dump(tree)


NAMES = ["argparse", "textwrap", "dataclasses", "json/decoder", "asyncio/base_events", "inspect"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("indent", "unit"), [("    ", "    "), ("\t", "\t"), ("      ", "   ")])
def test_restyled_code_means_what_it_meant(name: str, indent: str, unit: str) -> None:
    code = (STDLIB / f"{name}.py").read_text(encoding="utf-8")
    placed = restyle(code, indent=indent, unit=unit)
    whole = f"if 1:\n{indent}pass\n{placed}\n"
    statement = ast.parse(whole).body[0]
    assert isinstance(statement, ast.If)
    assert meaning(ast.Module(body=statement.body[1:], type_ignores=[])) == meaning(ast.parse(code))


@pytest.mark.parametrize("name", NAMES)
def test_indenting_and_dedenting_gives_the_same_code(name: str) -> None:
    code = (STDLIB / f"{name}.py").read_text(encoding="utf-8")
    back = dedent(restyle(code, indent="        ", unit="    "))
    assert meaning(ast.parse(back)) == meaning(ast.parse(code))
