from __future__ import annotations

from pathlib import Path

import pytest
from acting import FakeWorkspace, after, fenced, finish, names_of, offer_of, plan_of, refusal, view_of

from lsp.actions.catalog import build_actions
from lsp.actions.interface import Edits, Refused
from lsp.testfiles import find_test_place

AREA = "def area(w, h):‸\n    return w * h\n"
TESTS = "from shapes import area\n\n\ndef test_area():\n    assert area(2, 3) == 6\n"
PLACE = "/project/tests/test_shapes.py"


def test_a_missing_test_file_is_created() -> None:
    outcome = finish(view_of(AREA), "tests", fenced(TESTS))
    assert isinstance(outcome, Edits)
    (file,) = outcome.files
    assert file.creates
    assert file.uri == f"file://{PLACE}"
    assert (file.version, file.lines.text) == (None, "")
    assert file.edits[0].text == TESTS


def test_what_is_no_test_is_left_away() -> None:
    reply = fenced(
        "import pytest\nfrom your_module import area\nfrom shapes import *\n\n\n"
        "def area(w, h):\n    return w * h\n\n\nSIDES = [(2, 3)]\n\n\n"
        "@pytest.fixture\ndef sides():\n    return SIDES\n\n\n"
        "def test_area(sides):\n    assert area(*sides[0]) == 6\n\n\nprint(area(1, 2))\n"
        "if __name__ == '__main__':\n    pytest.main()"
    )
    assert after(view_of(AREA), "tests", reply) == (
        "from shapes import area\nimport pytest\n\n\nSIDES = [(2, 3)]\n\n\n"
        "@pytest.fixture\ndef sides():\n    return SIDES\n\n\n"
        "def test_area(sides):\n    assert area(*sides[0]) == 6\n"
    )


def test_assertions_in_no_function_become_one() -> None:
    reply = "def area(w, h):\n    return w * h\n\nassert area(1, 1) == 1\nassert area(\n    1, 2) == 2\n"
    assert after(view_of(AREA), "tests", reply) == (
        "from shapes import area\n\n\n"
        "def test_area():\n    assert area(1, 1) == 1\n    assert area(\n        1, 2) == 2\n"
    )


def test_pytest_is_imported_where_it_is_used() -> None:
    reply = "def test_area():\n    with pytest.raises(TypeError):\n        area(1)\n"
    assert after(view_of(AREA), "tests", reply).startswith(
        "from shapes import area\nimport pytest\n\n\ndef test_area"
    )


def test_a_method_is_tested_by_way_of_its_class() -> None:
    view = view_of("class Box:\n    def area(self):\n        return 1‸\n")
    assert plan_of(view, "tests").request.turns[0].text == (
        "Write a test function named `test_area` that calls the method `area` and checks its results with"
        " `assert`. Begin with `from shapes import Box`."
    )
    reply = "class TestBox:\n    def test_area(self):\n        assert Box().area() == 1\n"
    assert after(view, "tests", reply).startswith("from shapes import Box\n")


def existing(text: str, reply: str) -> str:
    view = view_of(AREA, workspace=FakeWorkspace(files={PLACE: text}))
    return after(view, "tests", reply)


def test_tests_are_added_to_a_file_that_is_there() -> None:
    text = '"""Tests."""\nimport os\n\n\ndef test_os():\n    assert os\n'
    assert existing(text, fenced(TESTS)) == (
        '"""Tests."""\nimport os\nfrom shapes import area\n\n\ndef test_os():\n    assert os\n'
        "\n\ndef test_area():\n    assert area(2, 3) == 6\n"
    )


def test_only_tests_with_new_names_are_added() -> None:
    reply = fenced(TESTS + "\n\ndef test_none():\n    assert not area(0, 0)\n")
    assert existing(TESTS, reply) == TESTS + "\n\ndef test_none():\n    assert not area(0, 0)\n"


def test_the_style_of_the_test_file_counts() -> None:
    text = "from shapes import area\r\n\r\n\r\ndef test_x():\r\n\tassert area"
    assert existing(text, fenced(TESTS)) == text + "\r\n\r\n\r\ndef test_area():\r\n\tassert area(2, 3) == 6"


def test_an_empty_file_and_one_without_imports_get_them_at_the_top() -> None:
    assert existing("", fenced(TESTS)).startswith("from shapes import area\n")
    assert existing("\ufeffX = 1\n", fenced(TESTS)).startswith(
        "\ufefffrom shapes import area\n\n\nX = 1\n\n\ndef test_area"
    )
    assert existing('"""Doc."""\n', fenced(TESTS)).startswith('"""Doc."""\n\nfrom shapes import area\n')


def test_tests_that_are_there_already_are_no_edit() -> None:
    view = view_of(AREA, workspace=FakeWorkspace(files={PLACE: TESTS}))
    refused = refusal(view, "tests", fenced(TESTS))
    assert "only tests that are there already" in refused.reason
    assert refused.retry is None


def test_an_answer_without_tests_is_refused() -> None:
    assert "has no tests" in refusal(view_of(AREA), "tests", "def area(w, h):\n    return w * h\n").reason


def test_a_file_that_cannot_be_read_is_not_written_over() -> None:
    view = view_of(AREA, workspace=FakeWorkspace(unreadable={PLACE}))
    plan = build_actions().prepare(offer_of(view, "tests"), view, 1000, len)
    assert isinstance(plan, Refused)
    assert "cannot be read as text" in plan.reason


@pytest.mark.parametrize(
    ("path", "files", "place", "module"),
    [
        ("/project/shapes.py", [], "/project/tests/test_shapes.py", "shapes"),
        ("/project/src/pkg/shapes.py", [], "/project/tests/test_shapes.py", "pkg.shapes"),
        ("/project/pkg/__init__.py", [], "/project/tests/test_pkg.py", "pkg"),
        ("/project/one/pkg/a.py", ["/project/one/pyproject.toml"], "/project/one/tests/test_a.py", "pkg.a"),
        ("/project/one/pkg/a.py", ["/project/one/tests/test_b.py"], "/project/one/tests/test_a.py", "pkg.a"),
        ("/elsewhere/a.py", [], "/elsewhere/tests/test_a.py", "a"),
        ("/project/my-script.py", [], "/project/tests/test_my-script.py", ""),
        ("/project/src/__init__.py", [], "/project/tests/test___init__.py", "__init__"),
    ],
)
def test_tests_belong_into_the_project_of_the_module(
    path: str, files: list[str], place: str, module: str
) -> None:
    found = find_test_place(Path(path), FakeWorkspace(files=dict.fromkeys(files, "")))
    assert (str(found.path), found.module) == (place, module)


def test_what_cannot_be_imported_is_not_asked_about() -> None:
    view = view_of(AREA, path="/project/my-script.py")
    plan = build_actions().prepare(offer_of(view, "tests"), view, 1000, len)
    assert isinstance(plan, Refused)
    assert "cannot be imported" in plan.reason


@pytest.mark.parametrize("path", [None, "/project/tests/test_shapes.py", "/project/shapes_test.py"])
def test_a_buffer_without_a_file_and_tests_themselves_get_none(path: str | None) -> None:
    assert "tests" not in names_of(view_of(AREA, path=path))


@pytest.mark.parametrize(
    "marked",
    [
        "def f():\n    pass‸\n",
        "class A:‸\n    x = 1\n",
        "def f():\n    def g():\n        return 1‸\n    return g\n",
    ],
)
def test_it_takes_a_function_that_a_test_can_import(marked: str) -> None:
    assert "tests" not in names_of(view_of(marked))
