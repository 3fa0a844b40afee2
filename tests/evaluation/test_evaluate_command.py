from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fake_evaluation import MODEL, SeededGenerator, install, number_for, write_model, write_suite

from assistant.cli import main
from assistant.errors import OutOfMemoryError, SandboxError


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        return json.loads(self.out)["evaluations"]


Evaluate = Callable[..., Result]


@pytest.fixture
def generator() -> SeededGenerator:
    return SeededGenerator()


@pytest.fixture
def evaluate(
    home: Path,
    generator: SeededGenerator,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Evaluate:
    install(generator, patch=monkeypatch.setattr)

    def run(*arguments: object) -> Result:
        code = main(["evaluate", *map(str, arguments)])
        captured = capfd.readouterr()
        return Result(code, captured.out, captured.err)

    return run


def numbers_of(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in ("name", "record")}


def results_of(home: Path, name: str) -> Path:
    return home / "data" / "evaluations" / name


def passing(count: int) -> int:
    return sum(number_for(f"task {number}", 0) % 2 == 0 for number in range(count))


def test_a_model_is_measured_and_shown(evaluate: Evaluate, suite: Path) -> None:
    done = evaluate(MODEL, "--suite", suite)
    assert done.code == 0
    assert f"{MODEL} on suite: 12 problems, one answer each, greedy, judged in fake" in done.out
    assert f"pass@1    {passing(12) / 12:>6.1%}   95 % interval" in done.out


def test_the_json_has_every_number_and_what_was_measured(evaluate: Evaluate, suite: Path) -> None:
    (found,) = evaluate("--suite", suite, "--json").evaluations
    assert found["pass_at"]["1"]["value"] == passing(12) / 12
    assert found["pass_at"]["1"]["low"] < found["pass_at"]["1"]["value"] < found["pass_at"]["1"]["high"]
    assert (found["parse_rate"], found["is_complete"], found["judged"]) == (1.0, True, 12)
    record = found["record"]
    assert (record["model"], record["prompt_format"], record["sandbox"]) == (MODEL, "chat", "fake")
    assert (record["temperature"], record["max_tokens"], record["samples"]) == (0.0, 512, 1)


def test_the_same_command_again_asks_nothing(
    evaluate: Evaluate, suite: Path, generator: SeededGenerator
) -> None:
    first = evaluate("--suite", suite, "--json")
    asked = len(generator.requests)
    assert evaluate("--suite", suite, "--json").evaluations == first.evaluations
    assert len(generator.requests) == asked == 12


def test_what_failed_in_the_middle_goes_on_with_the_same_numbers(
    evaluate: Evaluate, suite: Path, generator: SeededGenerator, home: Path
) -> None:
    whole = evaluate("--suite", suite, "--n", 4, "--json", "--name", "whole")
    generator.fail_after(5, OutOfMemoryError("no room"))
    broken = evaluate("--suite", suite, "--n", 4, "--json", "--name", "parts")
    assert (broken.code, "error: no room" in broken.err) == (5, True)
    assert "what is done is kept; go on with: assistant evaluate --resume --name parts\n" in broken.err
    kept = (results_of(home, "parts") / "replies.jsonl").read_text(encoding="utf-8").count("\n")
    assert 4 <= kept < 48
    resumed = evaluate("--resume", "--name", "parts", "--json")
    assert numbers_of(resumed.evaluations[0]) == numbers_of(whole.evaluations[0])


def test_torn_lines_are_made_again(evaluate: Evaluate, suite: Path, home: Path) -> None:
    whole = evaluate("--suite", suite, "--name", "a", "--json")
    for name in ("replies.jsonl", "scores.jsonl"):
        path = results_of(home, "a") / name
        path.write_bytes(path.read_bytes()[:-15])
    assert evaluate("--suite", suite, "--name", "a", "--json").evaluations == whole.evaluations


def test_scores_without_their_answers_count_for_nothing(evaluate: Evaluate, suite: Path, home: Path) -> None:
    whole = evaluate("--suite", suite, "--name", "a", "--json")
    (results_of(home, "a") / "replies.jsonl").unlink()
    assert evaluate("--suite", suite, "--name", "a", "--json").evaluations == whole.evaluations


def test_several_answers_give_pass_at_k(evaluate: Evaluate, suite: Path) -> None:
    (found,) = evaluate("--suite", suite, "--n", 8, "--json").evaluations
    assert list(found["pass_at"]) == ["1", "2", "4", "8"]
    assert (found["record"]["temperature"], found["record"]["top_p"]) == (0.8, 0.95)
    values = [rate["value"] for rate in found["pass_at"].values()]
    assert values == sorted(values)


def test_another_seed_is_another_evaluation(evaluate: Evaluate, suite: Path) -> None:
    evaluate("--suite", suite, "--n", 4, "--name", "a")
    done = evaluate("--suite", suite, "--n", 4, "--name", "a", "--seed", 1)
    assert (done.code, "seed (0 then, 1 now)" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "change"),
    [
        (("--temperature", 0.5), "temperature (0.0 then, 0.5 now)"),
        (("--max-tokens", 9), "max-tokens (512 then, 9 now)"),
        (("--n", 2, "--temperature", 0.8), "n (1 then, 2 now)"),
        (("--limit", 3), "the problems (12 of suite then, 3 of suite now)"),
    ],
)
def test_what_changed_is_named(
    evaluate: Evaluate, suite: Path, arguments: tuple[object, ...], change: str
) -> None:
    evaluate("--suite", suite, "--name", "a")
    done = evaluate("--suite", suite, "--name", "a", "--resume", *arguments)
    assert done.code == 2
    assert change in done.err


def test_a_changed_model_of_the_same_name_is_named(evaluate: Evaluate, suite: Path, home: Path) -> None:
    evaluate("--suite", suite, "--name", "a")
    write_model(home, content="other weights")
    done = evaluate("--resume", "--name", "a")
    assert (done.code, "the model's files" in done.err) == (2, True)


def test_another_quantisation_is_named(
    evaluate: Evaluate, suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate("--suite", suite, "--name", "a")
    monkeypatch.setenv("ASSISTANT_ENGINE_QUANTIZATION", "none")
    done = evaluate("--resume", "--name", "a")
    assert (done.code, "engine (auto/auto then, auto/none now)" in done.err) == (2, True)


def test_a_moved_suite_is_the_same_suite(evaluate: Evaluate, suite: Path, tmp_path: Path) -> None:
    first = evaluate("--suite", suite, "--json", "--name", "a")
    moved = suite.rename(tmp_path / "moved.jsonl")
    again = evaluate("--suite", moved, "--json", "--name", "a")
    assert numbers_of(again.evaluations[0]) == numbers_of(first.evaluations[0])


def test_results_can_be_begun_anew(evaluate: Evaluate, suite: Path, generator: SeededGenerator) -> None:
    evaluate("--suite", suite, "--name", "a")
    done = evaluate("--suite", suite, "--name", "a", "--limit", 3, "--replace", "--json")
    assert (done.code, done.evaluations[0]["judged"]) == (0, 3)


def test_answering_and_judging_can_be_done_apart(
    evaluate: Evaluate, suite: Path, generator: SeededGenerator
) -> None:
    answered = evaluate("--suite", suite, "--generate-only", "--name", "a", "--json").evaluations[0]
    assert (answered["answered"], answered["judged"], answered["pass_at"]) == (12, 0, {})
    asked = len(generator.requests)
    judged = evaluate("--score-only", "--name", "a", "--json").evaluations[0]
    assert (judged["judged"], judged["record"]["sandbox"]) == (12, "fake")
    assert len(generator.requests) == asked
    assert numbers_of(judged) == numbers_of(evaluate("--suite", suite, "--json").evaluations[0])


def test_without_a_sandbox_nothing_is_asked(
    evaluate: Evaluate, suite: Path, generator: SeededGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assistant.sandbox import choosing

    def find(_: object) -> None:
        raise SandboxError("there is no sandbox", hint="install bubblewrap")

    monkeypatch.undo()
    monkeypatch.setattr(choosing, "find_sandbox", find)
    done = evaluate("--suite", suite)
    assert (done.code, done.out, generator.requests) == (3, "", [])
    assert "hint: install bubblewrap" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--n", 2, "--temperature", 0),
        ("--resume", "--replace"),
        ("--generate-only", "--score-only"),
        ("--n", 0),
        ("--limit", 0),
        ("--temperature", 3),
        ("--name", "../up"),
        ("--resume",),
        ("--score-only",),
        ("--suite", "nothing.jsonl"),
        ("--plot", "/no/such/place/rates.svg"),
    ],
)
def test_wrong_usage_is_said(evaluate: Evaluate, arguments: tuple[object, ...]) -> None:
    done = evaluate(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")


def test_a_bad_row_is_named_before_anything_is_asked(
    evaluate: Evaluate, tmp_path: Path, generator: SeededGenerator
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"task": "x", "tests": ["assert f( =="]}\n', encoding="utf-8")
    done = evaluate("--suite", path)
    assert (done.code, generator.requests) == (2, [])
    assert f"{path}:1: the test does not parse" in done.err


def test_a_long_one_is_asked_about_where_a_person_is(
    evaluate: Evaluate, tmp_path: Path, generator: SeededGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def confirm(text: str, **_: object) -> bool:
        asked.append(text)
        return False

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("click.confirm", confirm)
    suite = write_suite(tmp_path / "long.jsonl", 201)
    assert evaluate("--suite", suite).code == 2
    assert (asked, generator.requests) == ([f"Make 201 answers ({MODEL} on long)?"], [])
    assert evaluate("--suite", suite, "--yes", "--limit", 2).code == 0


def test_a_foreign_server_is_asked_for_one_answer_at_a_time(
    evaluate: Evaluate, suite: Path, generator: SeededGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTANT_GENERATOR_URL", "http://127.0.0.1:9/v1")
    (found,) = evaluate("their-model", "--suite", suite, "--n", 3, "--json").evaluations
    record = found["record"]
    assert (record["model"], record["fingerprint"]) == ("their-model", "http://127.0.0.1:9/v1")
    assert [request.sampling.n for request in generator.requests] == [1] * 36


def test_an_unknown_model_is_said(evaluate: Evaluate, suite: Path) -> None:
    done = evaluate("fake-modl", "--suite", suite)
    assert (done.code, f"did you mean {MODEL}?" in done.err) == (3, True)


def test_rates_are_drawn(evaluate: Evaluate, suite: Path, tmp_path: Path) -> None:
    assert evaluate("--suite", suite, "--plot", tmp_path / "rates.svg").code == 0
    assert ElementTree.parse(tmp_path / "rates.svg").getroot().tag.endswith("svg")


def test_results_can_be_kept_elsewhere(evaluate: Evaluate, suite: Path, tmp_path: Path) -> None:
    place = tmp_path / "results"
    place.mkdir(mode=0o755)
    assert evaluate("--suite", suite, "--directory", place, "--name", "a").code == 0
    assert (place / "a" / "replies.jsonl").stat().st_mode & 0o777 == 0o600
    assert (place / "a").stat().st_mode & 0o777 == 0o700


def test_two_at_once_on_the_same_results_are_refused(evaluate: Evaluate, suite: Path, home: Path) -> None:
    from assistant.evaluation.records import ResultsDir

    evaluate("--suite", suite, "--name", "a")
    with ResultsDir(results_of(home, "a")).locked():
        assert evaluate("--suite", suite, "--name", "a").code == 3


def test_models_are_compared_by_their_names(evaluate: Evaluate, tmp_path: Path, home: Path) -> None:
    suite = write_suite(tmp_path / "many.jsonl", 60)
    write_model(home, "other-model")
    done = evaluate(MODEL, "other-model", "--suite", suite, "--json")
    assert [one["record"]["model"] for one in done.evaluations] == [MODEL, "other-model"]
    compared = evaluate("compare", MODEL, "other-model", "--json")
    document = json.loads(compared.out)
    assert (compared.code, document["verdict"], document["changes"]) == (0, "same", [])


def test_a_worse_one_has_an_exit_code_of_its_own(evaluate: Evaluate, tmp_path: Path, home: Path) -> None:
    suite = write_suite(tmp_path / "many.jsonl", 40)
    for name in ("a", "b"):
        evaluate("--suite", suite, "--name", name)
    scores = results_of(home, "b") / "scores.jsonl"
    scores.write_text(
        scores.read_text(encoding="utf-8").replace('"passed": true', '"passed": false'), "utf-8"
    )
    assert evaluate("compare", "a", "b").code == 6
    better = evaluate("compare", "b", "a")
    assert (better.code, better.out.startswith("better: pass@1 0.0% -> ")) == (0, True)


def test_a_name_that_is_not_there_is_said(evaluate: Evaluate, suite: Path) -> None:
    evaluate("--suite", suite, "--name", "mine")
    done = evaluate("compare", "mine", "mime")
    assert (done.code, "did you mean mine?" in done.err) == (2, True)
