from __future__ import annotations

import pytest
from acting import after, fenced, names_of, plan_of, refusal, view_of


def test_code_comes_below_the_comment_that_asks_for_it() -> None:
    view = view_of("import os\n\n# list‸ the files\n\nx = 1\n")
    assert after(view, "write", fenced("files = os.listdir()")) == (
        "import os\n\n# list the files\nfiles = os.listdir()\n\nx = 1\n"
    )


def test_the_comment_is_not_repeated() -> None:
    view = view_of("# list the files‸\n# of this folder\n")
    reply = fenced("# list the files\n# of this folder\nimport os\nfiles = os.listdir()")
    assert after(view, "write", reply) == (
        "# list the files\n# of this folder\nimport os\nfiles = os.listdir()\n"
    )


def test_a_todo_that_is_done_is_gone() -> None:
    view = view_of("def f(rows):\n    # TODO: sort‸ the rows\n    return rows\n")
    assert after(view, "write", fenced("rows.sort()")) == "def f(rows):\n    rows.sort()\n    return rows\n"


def test_a_todo_behind_code_stays_with_its_code() -> None:
    view = view_of("def f(rows):\n    x = g(rows)  # TODO: handle None‸\n    return x\n")
    reply = fenced("if x is None:\n    x = []")
    assert after(view, "write", reply) == (
        "def f(rows):\n    x = g(rows)  # TODO: handle None\n"
        "    if x is None:\n        x = []\n    return x\n"
    )


def test_a_selected_sentence_becomes_code() -> None:
    view = view_of("x = 1\n«read a csv and sum the third column»\ny = 2\n")
    assert after(view, "write", fenced("import csv\nz = 3")) == "x = 1\nimport csv\nz = 3\ny = 2\n"


def test_a_lone_string_becomes_code() -> None:
    view = view_of('rows = f()\nprint(rows)\n"sort the‸ rows"\n')
    assert after(view, "write", "rows.sort()\n") == "rows = f()\nprint(rows)\nrows.sort()\n"


def test_the_whole_function_in_the_answer_is_reduced_to_what_is_new() -> None:
    view = view_of("def f(p):\n    rows = load(p)\n    # sort the‸ rows\n    return rows\n")
    reply = fenced("def f(p):\n    rows = load(p)\n    # sort the rows\n    rows.sort()\n    return rows")
    assert after(view, "write", reply) == (
        "def f(p):\n    rows = load(p)\n    # sort the rows\n    rows.sort()\n    return rows\n"
    )


def test_a_last_line_that_follows_anyway_is_left_away() -> None:
    view = view_of("def f(rows):\n    # sort the‸ rows\n    return rows\n")
    assert after(view, "write", "rows.sort()\nreturn rows\n") == (
        "def f(rows):\n    # sort the rows\n    rows.sort()\n    return rows\n"
    )


def test_tabs_stay_tabs_and_line_ends_stay() -> None:
    view = view_of("class A:\r\n\tdef f(self, rows):\r\n\t\t# sort and‸ print rows\r\n\t\treturn rows\r\n")
    assert after(view, "write", "for row in sorted(rows):\n    print(row)\n") == (
        "class A:\r\n\tdef f(self, rows):\r\n\t\t# sort and print rows\r\n"
        "\t\tfor row in sorted(rows):\r\n\t\t\tprint(row)\r\n\t\treturn rows\r\n"
    )


def test_at_the_end_of_a_file_without_a_last_line_end_none_is_added() -> None:
    assert after(view_of("# print the date‸"), "write", "print(1)\n") == "# print the date\nprint(1)"


def test_a_comment_at_the_end_of_a_function_belongs_to_it() -> None:
    view = view_of("def f(rows):\n    x = 1\n    # sort the‸ rows\n\n\ny = 1\n")
    assert "This belongs into `f`" in plan_of(view, "write").request.turns[0].text
    assert after(view, "write", "rows.sort()\n") == (
        "def f(rows):\n    x = 1\n    # sort the rows\n    rows.sort()\n\n\ny = 1\n"
    )


def test_the_words_are_the_task_and_what_they_name_is_the_input() -> None:
    view = view_of("import csv\n\ndef load(path):\n    return []\n\n# print all that load gives‸\n")
    turn = plan_of(view, "write").request.turns[0]
    assert turn.text == "Write Python code: print all that load gives"
    assert turn.input == "import csv\n\ndef load(path): ..."


def test_a_task_that_is_an_order_already_stays_as_it_is() -> None:
    view = view_of("# Write a function that adds‸ two numbers\n")
    assert plan_of(view, "write").request.turns[0].text == "Write a function that adds two numbers"


def test_a_function_too_long_for_the_model_is_not_shown() -> None:
    view = view_of("def f(rows):\n" + "    x = 1\n" * 200 + "    # sort the‸ rows\n    return rows\n")
    plan = plan_of(view, "write", budget=500)
    assert plan.request.turns[0].input == ""


def test_a_sentence_amid_code_is_not_taken_for_a_task() -> None:
    assert "write" not in names_of(view_of('x = f("«read a csv and sum it»")\n'))


def test_in_a_bracket_no_code_can_come() -> None:
    view = view_of("x = [\n    1,\n    # add some‸ more numbers\n]\n")
    refused = refusal(view, "write", "y = 2\n")
    assert "would break the file" in refused.reason
    assert refused.code == "y = 2\n"


@pytest.mark.parametrize("marked", ["x = 1‸\n", "‸", "\n‸\n", '"""The module‸ doc."""\nx = 1\n'])
def test_nothing_is_offered_where_nothing_is_asked(marked: str) -> None:
    assert "write" not in names_of(view_of(marked))
