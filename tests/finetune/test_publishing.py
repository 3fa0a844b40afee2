from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import transformers
from tiny_llama import save_adapter, save_llama

from assistant import paths
from assistant.errors import ModelError, StorageError, UsageError
from assistant.models.pointer import Pointer, read_pointer
from assistant.models.store import ModelStore
from assistant.prompts import encode_turns
from assistant.requests import Role, Turn
from finetune import pipeline
from finetune.base import Base, find_base, load_tokenizer
from finetune.building import PrepareOptions, TokenizeOptions, build_data
from finetune.examples import Example
from finetune.exporting import export_model
from finetune.gate.gate import GateOptions
from finetune.gate.measures import RowResult
from finetune.gate.measuring import Candidate, HeldOut
from finetune.merging import equality
from finetune.merging.stage import hash_adapter
from finetune.pipeline import Finished, FinishOptions, Stages, ensure_merged, finish_run, run_training
from finetune.progress import Report, report_nothing
from finetune.publishing import write_surroundings
from finetune.rundir import RunDir, runs_dir, write_record
from finetune.sources import parse_source
from finetune.training.options import TrainOptions

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def base_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = save_llama(tmp_path_factory.mktemp("base"))
    (directory / "LICENSE").write_text("Do as you like.\n")
    return directory


@pytest.fixture(scope="module")
def adapter_dir(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_adapter(base_dir, tmp_path_factory.mktemp("adapter"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    monkeypatch.setenv("ASSISTANT_HOME", str(path))
    return path


@pytest.fixture
def base(base_dir: Path, home: Path) -> Base:
    return find_base(str(base_dir))


@pytest.fixture(scope="module")
def built(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 40 rows, 12 held out, with nothing but its data."""
    place = tmp_path_factory.mktemp("built")
    rows = [
        {"instruction": f"number {n} {n * n} {n**3}", "output": f"def f{n}(a):\n    return a * {n} + {n * 7}"}
        for n in range(40)
    ]
    path = place / "d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = RunDir(place / "runs" / "mine")
    run.path.parent.mkdir(mode=0o700)
    prepare = PrepareOptions(sources=(parse_source(str(path)),), eval_share=0.3)
    base = Base(name=str(base_dir), directory=base_dir, context_tokens=1024)
    build_data(run, base, prepare, TokenizeOptions())
    return run.path


@pytest.fixture
def run(base: Base, built: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    # Random weights: many tokens are equally likely to within rounding.
    monkeypatch.setattr(equality, "MIN_TOP1", 0.9)
    runs_dir().mkdir(parents=True, mode=0o700)
    return RunDir(Path(shutil.copytree(built, runs_dir() / "mine")))


class Fakes:
    """A training that copies an adapter, and a measurement by the name of the model."""

    def __init__(self, adapter: Path) -> None:
        self.adapter = adapter
        self.nats = {"mine": 1.0}
        self.trained = 0
        self.measured: list[str] = []

    @property
    def stages(self) -> Stages:
        return Stages(train=self.train, merge=self.merge, measure=self.measure)

    def merge(self, run: RunDir, base: Base, report: Report, *, for_16_bits: bool = False) -> dict[str, Any]:
        """A merge that changes nothing, in a tenth of the time."""
        with run.open_stage("merge") as directory:
            model = directory / "model"
            model.mkdir()
            shutil.copy(base.directory / "model.safetensors", model)
            write_surroundings(base, model, load_tokenizer(base.directory), "python-task")
            equality = {"onto": "original", "rows": 1, "kl": 0.0, "top1": 1.0}
            digest = hash_adapter(run)
            record = {"adapter_sha256": digest, "quantization": "nf4", "equality": equality}
            write_record(directory, "merge", record)
        return run.read_record("merge")

    def train(
        self, run: RunDir, base: Base, options: TrainOptions, report: Report, *, resume: bool = False
    ) -> None:
        self.trained += 1
        with run.open_stage("adapter") as directory:
            for path in self.adapter.iterdir():
                (directory / path.name).write_bytes(path.read_bytes())
            write_record(directory, "adapter", {})
        record: dict[str, Any] = {"quantization": {"kind": "nf4", "double": True, "dtype": "fp32"}}
        record |= {"adapter_sha256": hash_adapter(run), "started": {"options": {"r": 4}}}
        record |= {"result": {"steps": 3}}
        with run.open_stage("train") as directory:
            write_record(directory, "train", record)

    def measure(
        self, candidate: Candidate, held_out: HeldOut, most: int, work: Path, report: Report
    ) -> list[RowResult]:
        self.measured.append(candidate.name)
        nats = self.nats.get(candidate.name, 2.0)
        return [self._answer(one, nats) for one in held_out.examples]

    def circle(
        self, candidate: Candidate, held_out: HeldOut, most: int, work: Path, report: Report
    ) -> list[RowResult]:
        """A measurement of a model whose answers end with a penalty alone."""
        results = self.measure(candidate, held_out, most, work, report)
        ends = candidate.name != "mine" or candidate.repetition_penalty is not None
        return [replace(one, has_ended=ends or place > 0) for place, one in enumerate(results)]

    def _answer(self, example: Example, nats: float) -> RowResult:
        return RowResult(example=example, nats=10 * nats, tokens=10, right=5, reply="x = 1", has_ended=True)


@pytest.fixture
def fakes(adapter_dir: Path) -> Fakes:
    return Fakes(adapter_dir)


def finish(run: RunDir, base: Base, fakes: Fakes, **options: Any) -> Finished:
    run_training(run, base, TrainOptions(), stages=fakes.stages)
    return finish_run(run, base, FinishOptions(**{"name": "mine", **options}), stages=fakes.stages)


def store() -> ModelStore:
    return ModelStore(paths.models_dir())


def test_a_better_model_is_published_and_in_service(run: RunDir, base: Base, fakes: Fakes) -> None:
    finished = finish(run, base, fakes)
    assert finished.is_better
    assert finished.is_active
    assert store().active() == "mine"
    manifest = store().verify("mine")
    assert manifest.source == "finetune:mine"
    assert manifest.prompt_format == "python-task"
    assert manifest.quantization == "nf4"
    assert manifest.metrics["nll_before"] == 2.0
    assert manifest.metrics["nll_after"] == 1.0
    assert manifest.metrics["merge_kl"] == 0.0
    assert not (run.path / "merge" / "model").exists()


def test_a_model_that_is_not_better_is_published_and_the_old_one_serves(
    run: RunDir, base: Base, fakes: Fakes
) -> None:
    assert finish(run, base, fakes).is_active
    fakes.nats["worse"] = 1.5
    (run.path / "publish" / "record.json").unlink()
    finished = finish(run, base, fakes, name="worse")
    assert not finished.is_better
    assert not finished.is_active
    assert store().active() == "mine"
    assert store().names() == ["mine", "worse"]
    assert fakes.measured[-3:] == [base.name, "mine", "worse"]
    assert finished.gate is not None
    assert finished.gate["compared_with"] == "mine"


def test_rollback_goes_back_to_what_served_before(run: RunDir, base: Base, fakes: Fakes) -> None:
    finish(run, base, fakes)
    fakes.nats["better"] = 0.5
    (run.path / "publish" / "record.json").unlink()
    assert finish(run, base, fakes, name="better").is_active
    assert read_pointer(paths.models_dir()) == Pointer(active="better", previous=("mine",))
    assert store().rollback() == "mine"


def test_without_activation_nothing_is_put_in_service(run: RunDir, base: Base, fakes: Fakes) -> None:
    finished = finish(run, base, fakes, activate=False)
    assert finished.is_better
    assert store().active() is None


def test_a_run_that_is_done_is_not_done_again(run: RunDir, base: Base, fakes: Fakes) -> None:
    first = finish(run, base, fakes)
    measured = list(fakes.measured)
    assert finish_run(run, base, FinishOptions(name="mine"), stages=fakes.stages) == first
    assert fakes.measured == measured


def test_a_merge_is_not_repeated_after_a_failed_measurement(
    run: RunDir, base: Base, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> list[RowResult]:
        raise ModelError("the device burns")

    run_training(run, base, TrainOptions(), stages=fakes.stages)
    with pytest.raises(ModelError, match="burns"):
        finish_run(run, base, FinishOptions(name="mine"), stages=Stages(merge=fakes.merge, measure=fail))
    assert store().names() == []
    merged = run.read_record("merge")["created"]

    def forbidden(*_: object, **__: object) -> dict[str, Any]:
        raise AssertionError("merged again")

    stages = Stages(merge=forbidden, measure=fakes.measure)
    assert finish_run(run, base, FinishOptions(name="mine"), stages=stages).is_active
    assert run.read_record("merge")["created"] == merged


def test_a_merge_that_is_another_model_fails_and_leaves_nothing(
    run: RunDir, base: Base, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(equality, "MAX_KL", -1.0)
    run_training(run, base, TrainOptions(), stages=fakes.stages)
    with pytest.raises(ModelError, match="is not the one that was trained"):
        finish_run(run, base, FinishOptions(name="mine"), stages=Stages(measure=fakes.measure))
    assert run.find_stage("merge") is None
    assert store().names() == []
    assert [path.name for path in run.path.iterdir() if path.name.startswith(".")] == []


def test_a_real_merge_is_whole_and_holds_what_was_trained(run: RunDir, base: Base, fakes: Fakes) -> None:
    run_training(run, base, TrainOptions(), stages=fakes.stages)
    finished = finish_run(run, base, FinishOptions(name="mine"), stages=Stages(measure=fakes.measure))
    record = run.read_record("merge")
    assert record["equality"]["onto"] == "original"
    assert record["merged"]["matrices"] == 14
    transformers.AutoModelForCausalLM.from_pretrained(finished.directory)


def test_a_full_disk_while_publishing_leaves_the_store_as_it_was(
    run: RunDir, base: Base, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    run_training(run, base, TrainOptions(), stages=fakes.stages)
    with run.locked():
        ensure_merged(run, base, report_nothing, stages=fakes.stages)
    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(StorageError, match="no space left"):
        finish_run(run, base, FinishOptions(name="mine"), stages=fakes.stages)
    assert store().names() == []
    assert store().active() is None


def test_a_name_that_is_taken_is_refused_before_anything_is_merged(
    run: RunDir, base: Base, fakes: Fakes
) -> None:
    finish(run, base, fakes)
    (run.path / "publish" / "record.json").unlink()
    fakes.measured.clear()
    with pytest.raises(ModelError, match="there is a model mine"):
        finish_run(run, base, FinishOptions(name="mine"), stages=fakes.stages)
    assert fakes.measured == []


def test_without_an_adapter_the_hint_trains_one(run: RunDir, base: Base) -> None:
    with pytest.raises(UsageError, match="no train stage"):
        finish_run(run, base, FinishOptions())


def test_a_default_name_tells_base_and_run_and_is_free(run: RunDir, base: Base, fakes: Fakes) -> None:
    finished = finish(run, base, fakes, name="")
    assert finished.name.startswith("base")
    assert finished.name.endswith("-mine")


def test_the_published_model_is_prompted_by_transformers_as_by_us(
    run: RunDir, base: Base, fakes: Fakes
) -> None:
    directory = finish(run, base, fakes).directory
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(directory)
    task = [{"type": "text", "text": "add"}, {"type": "text", "text": "1 2"}]
    theirs = tokenizer.apply_chat_template(
        [{"role": "user", "content": task}], add_generation_prompt=True, return_dict=False
    )
    ours = encode_turns(tokenizer, "python-task", [Turn(role=Role.USER, text="add", input="1 2")])
    assert theirs == ours
    config = json.loads((directory / "generation_config.json").read_text())
    assert config == {"do_sample": False, "eos_token_id": tokenizer.eos_token_id}
    assert (directory / "LICENSE").read_text() == "Do as you like.\n"


def test_a_penalty_that_was_kept_is_published_where_others_read_it(
    run: RunDir, base: Base, fakes: Fakes
) -> None:
    run_training(run, base, TrainOptions(), stages=fakes.stages)
    stages = Stages(merge=fakes.merge, measure=fakes.circle)
    finished = finish_run(run, base, FinishOptions(name="mine"), stages=stages)
    theirs: Any = transformers.GenerationConfig.from_pretrained(finished.directory)
    assert theirs.repetition_penalty == 1.05
    store().verify("mine")
    card = (finished.directory / "README.md").read_text()
    assert "with a repetition penalty of 1.05" in card
    assert "12 end" in card


def test_an_older_gates_record_is_made_anew_for_a_model_that_is_not_published(
    run: RunDir, base: Base, fakes: Fakes
) -> None:
    finish(run, base, fakes, activate=False)
    path = run.get_stage("gate") / "record.json"
    record = json.loads(path.read_text())
    del record["repetition_penalty"]
    path.write_text(json.dumps(record))
    store().remove("mine")
    stages = Stages(merge=fakes.merge, measure=fakes.circle)
    finish_run(run, base, FinishOptions(name="mine"), stages=stages)
    assert run.read_record("gate")["repetition_penalty"] == 1.05


def test_the_card_tells_base_data_settings_and_measures_and_no_row(
    run: RunDir, base: Base, fakes: Fakes
) -> None:
    card = (finish(run, base, fakes).directory / "README.md").read_text()
    for part in ("## Base", "Licence:", "held-out rows: 12", "r: 4", "improved: completion NLL fell by 50"):
        assert part in card
    assert "def f" not in card


def test_an_export_in_16_bits_is_what_was_trained_and_is_made_once(
    run: RunDir, base: Base, fakes: Fakes
) -> None:
    finish(run, base, fakes)
    exported = export_model(run, base, "mine", "merged16", report_nothing)
    record = run.read_record("merged16")
    assert record["equality"]["onto"] == "nf4"
    assert record["equality"]["kl"] < 0.001
    for name in ("README.md", "generation_config.json"):
        assert (exported.path / name).read_bytes() == (store().get_directory("mine") / name).read_bytes()
    transformers.AutoModelForCausalLM.from_pretrained(exported.path)
    assert export_model(run, base, "mine", "merged16", report_nothing) == exported
    assert run.read_record("merged16")["created"] == record["created"]


def test_no_row_held_out_means_not_measured_and_not_activated(
    base: Base, fakes: Fakes, run: RunDir, built: Path
) -> None:
    other = RunDir(runs_dir() / "other")
    prepare = PrepareOptions(sources=(parse_source(str(built.parents[1] / "d.jsonl")),), eval_share=0)
    build_data(other, base, prepare, TokenizeOptions())
    finished = finish(other, base, fakes, gate=GateOptions())
    assert finished.gate is None
    assert not finished.is_active
    assert pipeline.NOT_BETTER == 6
