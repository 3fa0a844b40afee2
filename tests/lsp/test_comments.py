from __future__ import annotations

import pytest
from acting import view_of

from lsp.comments import Wish, find_comment, find_instruction, find_lone_string, find_sentence, is_prose
from lsp.regions import probe, trim


def comment_at(marked: str) -> Wish | None:
    view = view_of(marked)
    return find_comment(view.tree, view.lines.line_at(view.selection.start))


def words_at(marked: str) -> str:
    wish = comment_at(marked)
    return wish.words if wish else ""


def string_at(marked: str) -> str:
    view = view_of(marked)
    wish = find_lone_string(view.tree, probe(view.lines, view.selection.start))
    return wish.words if wish else ""


def test_a_block_of_comments_is_one_task() -> None:
    assert words_at("x = 1\n\n# read the file\n# and sort‸ it\n\ny = 2\n") == "read the file and sort it"


def test_comments_indented_otherwise_are_another_block() -> None:
    assert words_at("def f():\n    # read‸ the file\n# sort it all\n") == "read the file"


def test_a_blank_comment_parts_paragraphs() -> None:
    assert words_at("# read the file‸\n#\n# sort it then\n") == "read the file\nsort it then"


@pytest.mark.parametrize("mark", ["TODO", "TODO:", "FIXME", "todo:", "TODO(ana):"])
def test_a_todo_loses_its_mark(mark: str) -> None:
    wish = comment_at(f"# {mark} sort‸ the rows\n")
    assert wish is not None
    assert wish.is_todo
    assert wish.words == "sort the rows"


def test_a_todo_behind_code_is_a_task() -> None:
    wish = comment_at("x = f()  # TODO: handle‸ None\n")
    assert wish is not None
    assert wish.is_trailing
    assert wish.words == "handle None"


@pytest.mark.parametrize(
    "marked",
    [
        "x = 1  # of no‸ interest\n",
        "#!/usr/bin/env python‸ -u\n",
        "# -*- coding: utf-8‸ -*-\n",
        "# noqa: E501 because‸ so\n",
        "# type: ignore because‸\n",
        "# x = f(1)‸\n",
        "# ----------‸\n",
        "# helpers‸\n",
        '"""\n# not a comment‸ at all\n"""\n',
        "‸\n",
        "x‸ = 1\n",
    ],
)
def test_what_asks_for_nothing_is_no_task(marked: str) -> None:
    assert comment_at(marked) is None


def test_a_comment_without_spaces_between_words_is_a_task() -> None:
    assert words_at("# 读取文件并‸排序\n") == "读取文件并排序"


def test_a_lone_string_is_a_task() -> None:
    assert string_at('x = 1\nprint(x)\n"sort x by‸ name"\n') == "sort x by name"
    assert string_at('x = 1\nf()\n"""Read a file\nand sort‸ it."""\n') == "Read a file and sort it."


def test_a_string_that_is_all_there_is_is_a_task() -> None:
    assert string_at('"write a function‸ that adds"') == "write a function that adds"


@pytest.mark.parametrize(
    "marked",
    [
        '"""The module‸ doc."""\nx = 1\n',
        'def f():\n    """Do‸ it now."""\n',
        'class A:\n    x = 1\n    """What x‸ is for."""\n',
        'LIMIT = 1\n"""What it‸ is for."""\n',
        'x = "some words‸ here"\n',
        'f("some words‸ here")\n',
    ],
)
def test_a_string_that_documents_or_is_used_is_no_task(marked: str) -> None:
    assert string_at(marked) == ""


@pytest.mark.parametrize(
    "text",
    ["read a csv and sum the third column", "Sort the rows (descending) by name.", "¿cómo sumo dos números?"],
)
def test_sentences_are_prose(text: str) -> None:
    assert is_prose(text)


@pytest.mark.parametrize(
    "text",
    ["x = 1", "return a", "f(a, b)", "a b", "not a in b", "import os", "def f(x)", "# some words here", ""],
)
def test_code_is_no_prose(text: str) -> None:
    assert not is_prose(text)


def test_a_selected_sentence_is_taken_without_blanks_around() -> None:
    view = view_of("x = 1\n«  read a csv and sum it\n»y = 2\n")
    wish = find_sentence(view.lines, view.selection)
    assert wish is not None
    assert wish.span.cut(view.text) == "read a csv and sum it"


def test_an_instruction_is_a_comment_among_code() -> None:
    view = view_of("«# use a set here\nx = []\n»")
    wish = find_instruction(view.tree, trim(view.lines, view.selection))
    assert wish is not None
    assert wish.words == "use a set here"


@pytest.mark.parametrize("marked", ["«# only words here\n»", "«x = 1\ny = 2\n»", "«# noqa: E1 E2\nx = 1\n»"])
def test_a_selection_without_both_holds_no_instruction(marked: str) -> None:
    view = view_of(marked)
    assert find_instruction(view.tree, trim(view.lines, view.selection)) is None
