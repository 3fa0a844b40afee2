"""The first stage as a whole: what comes in, what is left, what is said of the rest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from planted import plant_secrets

from assistant.errors import UsageError
from finetune.preparing import Prepared, PrepareOptions, prepare_rows, run_prepare
from finetune.readers import ReadOptions, parse_map
from finetune.rows import EVAL, TRAIN, read_rows
from finetune.rundir import new_run
from finetune.sources import parse_source

OPERATIONS = ("sum", "product", "largest difference", "smallest ratio", "median", "harmonic mean", "count")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))


def row(number: int) -> dict[str, str]:
    """A row that is near no other."""
    words = " ".join(f"{name}{number}" for name in ("first", "second", "third", "fourth", "fifth"))
    body = f"    c{number} = a{number} + {number}\n    return c{number}"
    return {
        "instruction": f"Return the {OPERATIONS[number % 7]} of {words}",
        "input": "",
        "output": f"def f{number}(a{number}, b{number}):\n{body}",
    }


def write(name: str, rows: Sequence[dict[str, Any]]) -> str:
    Path(name).write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return name


def options(
    *names: str, held_out: Sequence[str] = (), benchmarks: Sequence[str] = (), **more: Any
) -> PrepareOptions:
    return PrepareOptions(
        sources=tuple(map(parse_source, names)),
        held_out=tuple(map(parse_source, held_out)),
        benchmarks=tuple(map(parse_source, benchmarks)),
        **more,
    )


def prepare(*names: str, **more: Any) -> Prepared:
    return prepare_rows(options(*names, **more), cache_dir=Path("cache"))


def tasks(prepared: Prepared, side: str) -> set[str]:
    return {example.task for example, one in prepared.rows if one == side}


def test_rows_are_divided_and_counted() -> None:
    prepared = prepare(write("d.jsonl", [row(n) for n in range(100)]))
    assert Counter(side for _, side in prepared.rows) == {TRAIN: 95, EVAL: 5}
    assert prepared.numbers["kept"] == 100
    assert prepared.numbers["rejected"] == {}
    assert prepared.numbers["sources"][0]["read"] == 100


def test_several_sources_are_taken_together() -> None:
    write("a.jsonl", [row(n) for n in range(10)])
    write("b.jsonl", [row(n) for n in range(5, 15)])
    prepared = prepare("a.jsonl", "b.jsonl")
    assert prepared.numbers["kept"] == 15
    assert prepared.numbers["rejected"] == {"duplicate": 5}


def test_planted_secrets_are_neither_in_the_rows_nor_in_the_report() -> None:
    planted = plant_secrets()
    assert len(planted) >= 20
    poisoned = [{**row(n), "output": f"{line}\nx = {n}"} for n, line in enumerate(planted.values())]
    poisoned += [{**row(n), "input": line} for n, line in enumerate(planted.values(), start=100)]
    write("d.jsonl", [*poisoned, *(row(n) for n in range(200, 240))])
    run = new_run("a", suggestion="")
    with run.locked():
        record = run_prepare(run, options("d.jsonl", keep_unparsable=True))
    assert record["rejected"] == {"secret": 2 * len(planted)}
    assert record["kept"] == 40
    written = "".join(path.read_text(encoding="utf-8") for path in run.path.rglob("*") if path.is_file())
    for line in planted.values():
        longest = max(line.replace("'", '"').split('"'), key=len)
        assert longest not in written


def test_five_rows_hold_out_one() -> None:
    prepared = prepare(write("d.jsonl", [row(n) for n in range(5)]))
    assert Counter(side for _, side in prepared.rows) == {TRAIN: 4, EVAL: 1}


def test_duplicate_only_data_is_refused_with_the_count() -> None:
    write("d.jsonl", [row(1)] * 50)
    with pytest.raises(UsageError, match="one row is left to learn from: of 50 49 duplicate"):
        prepare("d.jsonl")


def test_all_contaminated_data_is_refused_with_the_count() -> None:
    benchmark = write("own.jsonl", [row(n) for n in range(20)])
    write("d.jsonl", [row(n) for n in range(20)])
    with pytest.raises(UsageError, match="nothing is left to learn from: of 20 20 benchmark"):
        prepare("d.jsonl", benchmarks=[benchmark])


def test_a_benchmark_of_ones_own_is_kept_out_and_named() -> None:
    benchmark = write("own.jsonl", [row(3)])
    prepared = prepare(write("d.jsonl", [row(n) for n in range(20)]), benchmarks=[benchmark])
    assert [(str(one.place), one.detail) for one in prepared.rejects] == [("d.jsonl:4", "own.jsonl:1")]


def test_decontamination_can_be_switched_off() -> None:
    write("own.jsonl", [row(3)])
    prepared = prepare(
        write("d.jsonl", [row(n) for n in range(20)]), benchmarks=["own.jsonl"], decontaminate=False
    )
    assert prepared.numbers["kept"] == 20
    assert prepared.numbers["options"]["decontaminate"] is False


def test_rows_to_measure_with_can_be_given_and_nothing_near_them_is_trained_on() -> None:
    held = write("e.jsonl", [row(1), row(2)])
    same_code = {**row(2), "instruction": "Say the same in quite another way, please, and do it now"}
    same_task = {**row(1), "output": "import operator\nresult = operator.mul(3, 4)\nprint(result)"}
    write("d.jsonl", [same_code, same_task, *(row(n) for n in range(10, 30))])
    prepared = prepare("d.jsonl", held_out=[held])
    assert Counter(side for _, side in prepared.rows) == {TRAIN: 20, EVAL: 2}
    assert tasks(prepared, EVAL) == {row(1)["instruction"], row(2)["instruction"]}
    assert prepared.numbers["rejected"] == {"held out": 2}


def test_a_problem_of_a_benchmark_may_be_measured_with() -> None:
    write("own.jsonl", [row(1)])
    prepared = prepare(
        write("d.jsonl", [row(n) for n in range(10)]), held_out=["own.jsonl"], benchmarks=["own.jsonl"]
    )
    assert Counter(side for _, side in prepared.rows) == {TRAIN: 9, EVAL: 1}


def test_rows_that_are_no_python_are_left_out_unless_they_are_wanted() -> None:
    sql = {**row(1), "output": "SELECT * FROM t;"}
    write("d.jsonl", [sql, *(row(n) for n in range(10, 20))])
    assert prepare("d.jsonl").numbers["rejected"] == {"not Python": 1}
    assert prepare("d.jsonl", keep_unparsable=True).numbers["rejected"] == {}


def test_too_many_faulty_rows_stop_it_with_places() -> None:
    faulty = [{**row(n), "output": None} for n in range(3)]
    write("d.jsonl", [*faulty, *(row(n) for n in range(10, 17))])
    with pytest.raises(UsageError, match=r"3 of 10 rows cannot be used.*d\.jsonl:1: output is null"):
        prepare("d.jsonl")
    assert prepare("d.jsonl", max_dropped=0.5).numbers["rejected"] == {"missing text": 3}


def test_rows_of_which_none_can_be_held_out_are_refused() -> None:
    same = row(1)["output"]
    write("d.jsonl", [{**row(n), "output": same} for n in range(10)])
    with pytest.raises(UsageError, match="none can be held out"):
        prepare("d.jsonl")
    assert prepare("d.jsonl", eval_share=0.0).numbers[TRAIN] == 10


def test_the_same_seed_gives_the_same_rows(tmp_path: Path) -> None:
    write("d.jsonl", [row(n) for n in range(60)])
    records: list[str] = []
    for name in ("a", "b"):
        run = new_run(name, suggestion="")
        with run.locked():
            records.append(run_prepare(run, options("d.jsonl"))["rows_sha256"])
    assert records[0] == records[1]
    assert tasks(prepare("d.jsonl", seed=1), EVAL) != tasks(prepare("d.jsonl", seed=2), EVAL)


def test_rows_are_read_back_as_they_were_written() -> None:
    write("d.jsonl", [{**row(n), "input": "a\tb é"} for n in range(10)])
    run = new_run("a", suggestion="")
    with run.locked():
        run_prepare(run, options("d.jsonl"))
    again = prepare("d.jsonl")
    assert read_rows(run) == again.rows


def test_the_data_is_written_into_the_run_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    write("d.jsonl", [row(n) for n in range(10)])
    run = new_run("a", suggestion="")
    with run.locked():
        run_prepare(run, options("d.jsonl"))
    holding = {path for path in tmp_path.rglob("*") if path.is_file() and b"fourth3" in path.read_bytes()}
    assert holding == {tmp_path / "d.jsonl", run.path / "prepare" / "rows.jsonl"}


def test_columns_are_mapped_for_every_source() -> None:
    write("d.jsonl", [{"q": f"{row(n)['instruction']}", "a": row(n)["output"]} for n in range(10)])
    read = ReadOptions(mapping=parse_map(["instruction=q,output=a"]))
    assert prepare("d.jsonl", read=read).numbers["kept"] == 10


def test_a_folder_of_code_is_divided_by_file() -> None:
    for number in range(10):
        doc = f"Return the {OPERATIONS[number % 7]} of what is given in the list number {number} here."
        body = f"    total{number} = {number}\n    total{number} *= len(values)\n    return total{number}"
        text = f'def compute_{number}(values):\n    """{doc}"""\n{body}\n'
        Path("src").mkdir(exist_ok=True)
        Path(f"src/m{number}.py").write_text(text, encoding="utf-8")
    prepared = prepare("src", eval_share=0.2)
    files = {
        side: {one.families[0] for one, where in prepared.rows if where == side} for side in (TRAIN, EVAL)
    }
    assert files[TRAIN] & files[EVAL] == set()
    assert files[EVAL]
    assert prepared.numbers["kept_together"] == "file"
