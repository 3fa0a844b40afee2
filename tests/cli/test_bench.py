from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from small_models import build_model, publish

from assistant.cli import main
from assistant.commands.bench_speed import Speed, build_speed
from assistant.commands.bench_view import render_speed
from assistant.errors import ModelError, OutOfMemoryError
from assistant.models import conversion
from assistant.models.progress import PullProgress
from assistant.models.store import ModelStore

RUN = {"prompt_tokens": 50, "cached_tokens": 0, "warm_cached_tokens": 48, "tokens": 101, "decode_s": 1.0}
RUN |= {"first_s": 0.2, "warm_first_s": 0.05}
MEASURED: dict[str, Any] = {
    "device": "cpu",
    "quantization": "int4",
    "slots": 8,
    "context_tokens": 8192,
    "decode_threads": 1,
    "prefill_threads": 2,
    "load_s": 4.0,
    "model_bytes": 3 * 2**29,
    "process_bytes": 2**30,
    "gpu_bytes": 0,
    "token_bytes": 100_000_000,
    "bandwidth": 40e9,
    "runs": [
        {"kind": "write", **RUN},
        {"kind": "write", **RUN, "decode_s": 0.5},
        {"kind": "write", **RUN, "decode_s": 0.1},
        {"kind": "edit", **RUN, "decode_s": 0.25},
    ],
    "batches": [{"size": 8, "tokens": 808, "decode_s": 2.0}],
}


class Result(NamedTuple):
    code: int
    out: str
    err: str


class Process:
    """Stands for the engine's process: what it is asked, and what it does."""

    def __init__(self) -> None:
        self.jobs: list[dict[str, Any]] = []
        self.environment: dict[str, str] = {}
        self.places: list[Path] = []
        self.failure: BaseException | None = None

    def run(self, _: str, source: Path, target: Path, report: Callable[[PullProgress], None], **more: Any):
        self.jobs.append(json.loads(source.read_text(encoding="utf-8")))
        self.environment = dict(more["environment"])
        self.places.append(target)
        report(PullProgress(stage=f"{more['what']}: answering 0/9"))
        if self.failure is not None:
            raise self.failure
        (target / "speed.json").write_text(json.dumps(MEASURED), encoding="utf-8")


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    process = Process()
    monkeypatch.setattr(conversion, "run_conversion", process.run)
    return process


Bench = Callable[..., Result]


@pytest.fixture
def bench(home: Path, process: Process, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Bench:
    store = ModelStore(home / "data" / "models")
    publish(store, "tiny", build_model(tmp_path / "model"))
    publish(store, "other", build_model(tmp_path / "other", seed=1))
    store.use("tiny")

    def run(*arguments: object) -> Result:
        code = main(["bench", *map(str, arguments)])
        captured = capfd.readouterr()
        return Result(code, captured.out, captured.err)

    return run


def test_the_active_model_is_measured_with_the_users_settings(
    bench: Bench, process: Process, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTANT_ENGINE_QUANTIZATION", "int8")
    monkeypatch.setenv("HF_TOKEN", "secret")
    done = bench()
    assert done.code == 0
    (job,) = process.jobs
    assert job["directory"] == str(home / "data" / "models" / "tiny")
    assert (job["max_tokens"], job["rounds"], job["batch"]) == (128, 2, 8)
    assert process.environment["ASSISTANT_ENGINE_QUANTIZATION"] == "int8"
    assert "HF_TOKEN" not in process.environment


def test_another_model_can_be_named(bench: Bench, process: Process) -> None:
    assert bench("other", "--tokens", 32, "--rounds", 1).code == 0
    assert [(job["name"], job["max_tokens"], job["rounds"]) for job in process.jobs] == [("other", 32, 1)]


def test_every_kind_has_prompts_that_end_with_a_task_and_chats_have_three(
    bench: Bench, process: Process
) -> None:
    bench()
    prompts = process.jobs[0]["prompts"]
    assert list(prompts) == ["write", "edit", "chat"]
    assert all(turns[-1]["role"] == "user" for kind in prompts.values() for turns in kind)
    assert {len(turns) for turns in prompts["chat"]} == {5}
    assert all(turns[0]["input"] for turns in prompts["edit"])


def test_the_lines_say_what_was_measured(bench: Bench) -> None:
    lines = bench().out.splitlines()
    assert lines[0] == "tiny: weights int4, on cpu, 1 of 2 threads decode"
    assert "write new code            50        200 ms       50 ms      200.0" in lines
    assert "8 answers at once                                           400.0" in lines
    assert "ready after  4.0 s" in lines
    assert "used of it   50% when it writes new code" in lines


def test_the_json_is_one_object_with_the_computed_numbers(bench: Bench) -> None:
    found = json.loads(bench("--json").out)
    assert (found["schema"], found["model"]) == (1, "tiny")
    assert found["kinds"]["edit"]["tokens_per_s"] == 400.0
    assert (found["limit_tokens_per_s"], found["bandwidth_share"]) == (400.0, 0.5)


def test_the_picture_shows_every_kind_the_batch_and_the_limit(bench: Bench, tmp_path: Path) -> None:
    assert bench("--plot", tmp_path / "speed.svg").code == 0
    root = ElementTree.parse(tmp_path / "speed.svg").getroot()
    texts = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"write new code", "change code", "8 answers at once", "one stream at the memory's limit"} <= texts
    assert {"write new code, cold", "write new code, warm", "200 ms", "400.0"} <= texts


def test_a_picture_that_cannot_be_written_costs_no_minute(bench: Bench, process: Process) -> None:
    done = bench("--plot", "/no/such/place/speed.svg")
    assert (done.code, process.jobs) == (2, [])
    assert "error: there is no directory /no/such/place" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--tokens", "7"), "--tokens must be a whole number from 8 to 4096, got 7"),
        (("--rounds", "many"), "--rounds must be a whole number from 1 to 100, got many"),
    ],
)
def test_a_wrong_value_is_named(bench: Bench, arguments: tuple[str, ...], message: str) -> None:
    done = bench(*arguments)
    assert (done.code, f"error: {message}" in done.err) == (2, True)


def test_an_unknown_model_is_named_with_the_nearest(bench: Bench) -> None:
    done = bench("tinny")
    assert (done.code, "did you mean tiny?" in done.err) == (3, True)


def test_a_foreign_server_is_not_measured_unless_a_model_is_named(
    bench: Bench, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTANT_GENERATOR_URL", "http://127.0.0.1:9/v1")
    refused = bench()
    assert (refused.code, process.jobs) == (2, [])
    assert "only models of the store can be measured" in refused.err
    assert bench("tiny").code == 0


@pytest.mark.parametrize(("failure", "code"), [(OutOfMemoryError("no room"), 5), (KeyboardInterrupt(), 130)])
def test_a_failure_or_ctrl_c_leaves_nothing_behind(
    bench: Bench, process: Process, failure: BaseException, code: int
) -> None:
    process.failure = failure
    done = bench()
    assert (done.code, done.out) == (code, "")
    assert [place.parent.exists() for place in process.places] == [False]


def test_answers_of_one_token_have_no_speed() -> None:
    runs = [{**run, "tokens": 1} for run in MEASURED["runs"]]
    with pytest.raises(ModelError, match="no answer to write had more than one token"):
        build_speed("tiny", {**MEASURED, "runs": runs})


def test_a_gpus_memory_is_shown_where_there_is_one() -> None:
    speed: Speed = build_speed("tiny", {**MEASURED, "device": "cuda:0", "gpu_bytes": 2**31})
    lines = list(render_speed(speed))
    assert lines[0] == "tiny: weights int4, on cuda:0"
    assert any("1.0 GiB, 2.0 GiB on the GPU; weights" in line for line in lines)
