from __future__ import annotations

import errno
import json
import math
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_runs import make_codes, make_run
from tiny_llama import save_llama

from assistant.commands.room import Memory
from assistant.errors import AssistantError, ModelError, OutOfMemoryError, StorageError, UsageError
from finetune.base import Base
from finetune.merging.adapter import read_adapter
from finetune.progress import Step
from finetune.rundir import RunDir
from finetune.training.checkpoints import Checkpoints
from finetune.training.interrupting import TrainingInterrupted
from finetune.training.options import TrainOptions, build_options
from finetune.training.result import TrainResult
from finetune.training.train import check_run, train_run

SMALL = ("r=4", "batch_size=4", "device=cpu", "max_steps=6", "eval_steps=2", "lr=5e-3", "threads=1")
Trained = tuple[RunDir, Base, TrainResult, list[Step]]


def options(*sets: str) -> TrainOptions:
    return build_options(sets=(*SMALL, *sets))


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def tokenized(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDir, Base]:
    return make_run(tmp_path_factory.mktemp("runs") / "small", base, make_codes(24), held_out=4)


@pytest.fixture
def fresh(tokenized: tuple[RunDir, Base], tmp_path: Path) -> tuple[RunDir, Base]:
    run, found = tokenized
    shutil.copytree(run.path, tmp_path / "run")
    return RunDir(tmp_path / "run"), found


@pytest.fixture(scope="module")
def trained(tokenized: tuple[RunDir, Base], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    run, found = tokenized
    path = tmp_path_factory.mktemp("trained") / "run"
    shutil.copytree(run.path, path)
    steps: list[Step] = []
    result = train_run(RunDir(path), found, options(), steps.append)
    return RunDir(path), found, result, steps


def read_metrics(run: RunDir, name: str = "loss") -> list[float]:
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    return [one[name] for one in map(json.loads, lines) if name in one]


def strike(step: int, action: Callable[[], Any]) -> Callable[[Step], None]:
    """Return a report that acts once a step is made."""

    def report(seen: Step) -> None:
        if seen.stage == "training" and seen.done == step and seen.detail:
            action()

    return report


def test_the_loss_falls(trained: Trained) -> None:
    run, _, result, _ = trained
    losses = read_metrics(run)
    assert losses[-1] < losses[0] - 0.2
    assert result.loss == losses[-1]
    assert result.eval_loss == min(read_metrics(run, "eval_loss"))


def test_the_learning_rate_really_decays(trained: Trained) -> None:
    rates = read_metrics(trained[0], "lr")
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(5e-3)
    assert rates[-1] < 0.1 * rates[0]


def test_the_adapter_is_one_that_can_be_merged(trained: Trained) -> None:
    adapter = read_adapter(trained[0].path / "adapter")
    assert (adapter.rank, adapter.kind) == (4, "lora")
    assert len(adapter.updates) == 14  # seven matrices in each of two layers
    assert any(bool(one.up.any()) for one in adapter.updates.values())


def test_what_was_done_stands_in_the_record(trained: Trained) -> None:
    run, found, result, _ = trained
    record = run.read_record("train")
    assert record["quantization"] == {"kind": "nf4", "double": True, "dtype": "fp32"}
    assert record["base"]["name"] == found.name
    assert record["started"]["options"]["lr"] == 5e-3
    assert record["result"]["steps"] == result.steps == 6
    assert result.peak_memory > 10_000_000
    assert result.tokens_per_s > 0


def test_nothing_but_the_products_is_left(trained: Trained) -> None:
    names = {path.name for path in trained[0].path.iterdir()}
    assert names == {"prepare", "tokens", "lock", "adapter", "train", "metrics.jsonl", "curves.svg"}
    files = {path.name for path in (trained[0].path / "adapter").iterdir()}
    assert files == {"adapter_model.safetensors", "adapter_config.json"}


def test_progress_tells_loss_and_speed(trained: Trained) -> None:
    last = [one for one in trained[3] if one.stage == "training"][-1]
    assert (last.done, last.total) == (6, 6)
    assert "loss" in last.detail
    assert "tokens/s" in last.detail


def test_a_training_that_has_ended_is_not_repeated_on_resume(trained: Trained) -> None:
    run, found, result, _ = trained
    before = (run.path / "train" / "record.json").stat().st_mtime_ns
    assert train_run(run, found, options(), resume=True) == result
    assert (run.path / "train" / "record.json").stat().st_mtime_ns == before


def test_ctrl_c_leaves_a_checkpoint_and_resuming_ends_as_if_nothing_was(
    trained: Trained, fresh: tuple[RunDir, Base]
) -> None:
    run, found = fresh
    with pytest.raises(TrainingInterrupted) as caught:
        train_run(run, found, options(), strike(3, lambda: os.kill(os.getpid(), signal.SIGINT)))
    step = caught.value.step
    assert step in (3, 4)  # a signal that comes while a step is written down counts for the next
    assert caught.value.resume_command == "assistant finetune train run --resume"
    assert Checkpoints(run.path / "checkpoints").find_newest() == step
    result = train_run(run, found, options(), resume=True)
    assert read_metrics(run) == pytest.approx(read_metrics(trained[0]), abs=1e-6)
    assert result.eval_loss == pytest.approx(trained[2].eval_loss, abs=1e-6)
    new, old = (one.path / "adapter" / "adapter_model.safetensors" for one in (run, trained[0]))
    assert new.read_bytes() == old.read_bytes()


class EndedError(Exception):
    """A process that is no more."""


def end() -> None:
    raise EndedError


@pytest.fixture(scope="module")
def ended(tokenized: tuple[RunDir, Base], tmp_path_factory: pytest.TempPathFactory) -> Path:
    run, found = tokenized
    path = tmp_path_factory.mktemp("ended") / "run"
    shutil.copytree(run.path, path)
    with pytest.raises(EndedError):
        train_run(RunDir(path), found, options(), strike(5, end))
    return path


@pytest.fixture
def broken_off(ended: Path, tokenized: tuple[RunDir, Base], tmp_path: Path) -> tuple[RunDir, Base]:
    """A training that ended in its fifth step, with checkpoints after the second and the fourth."""
    shutil.copytree(ended, tmp_path / "run")
    return RunDir(tmp_path / "run"), tokenized[1]


def test_a_half_written_newest_checkpoint_is_passed_over(
    broken_off: tuple[RunDir, Base], trained: Trained
) -> None:
    run, found = broken_off
    checkpoints = Checkpoints(run.path / "checkpoints")
    assert checkpoints.find_steps() == [2, 4]
    optimizer = checkpoints.get_path(4) / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:100])
    train_run(run, found, options(), resume=True)
    assert read_metrics(run) == pytest.approx(read_metrics(trained[0]), abs=1e-6)


def test_a_changed_option_is_named_on_resume(broken_off: tuple[RunDir, Base]) -> None:
    with pytest.raises(UsageError, match=r"lr was 0\.005 and is 0\.001; seed was 42 and is 7"):
        train_run(*broken_off, options("lr=1e-3", "seed=7"), resume=True)


def test_changed_data_and_a_changed_base_are_named_on_resume(
    broken_off: tuple[RunDir, Base], tmp_path: Path
) -> None:
    run, _ = broken_off
    checkpoints = run.path / "checkpoints"
    other = save_llama(tmp_path / "other", seed=9, num_hidden_layers=1)
    again, found = make_run(tmp_path / "again", other, make_codes(20), held_out=4)
    shutil.copytree(checkpoints, again.path / "checkpoints")
    with pytest.raises(UsageError, match="the base model is another; the run's data was built anew"):
        train_run(again, found, options(), resume=True)


def test_an_interrupted_training_is_not_overwritten_by_accident(broken_off: tuple[RunDir, Base]) -> None:
    with pytest.raises(UsageError, match="was interrupted after step 4") as caught:
        train_run(*broken_off, options())
    assert "--resume" in caught.value.hint
    assert train_run(*broken_off, options("max_steps=2"), replace=True).steps == 2


def test_a_loss_that_is_no_number_ends_it_and_the_last_good_checkpoint_stays(
    fresh: tuple[RunDir, Base],
) -> None:
    run, found = fresh
    with pytest.raises(AssistantError, match=r"loss became|not finite") as caught:
        train_run(run, found, options("lr=1e4", "alpha=4096", "eval_steps=1", "patience=0", "max_steps=40"))
    assert "--replace" in caught.value.hint
    newest = Checkpoints(run.path / "checkpoints").find_newest()
    assert newest is not None
    adapter = read_adapter(Checkpoints(run.path / "checkpoints").get_path(newest))
    assert all(bool(one.up.isfinite().all()) for one in adapter.updates.values())
    assert run.find_stage("train") is None


def test_a_full_disk_at_a_checkpoint_leaves_the_earlier_one(
    fresh: tuple[RunDir, Base], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, found = fresh

    def fill() -> None:
        def write(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("torch.save", write)

    with pytest.raises(StorageError, match="no space left for"):
        train_run(run, found, options(), strike(3, fill))
    monkeypatch.undo()
    checkpoints = Checkpoints(run.path / "checkpoints")
    assert [checkpoints.find_newest(), checkpoints.find_steps()] == [2, [2]]


def test_training_ends_early_when_nothing_gets_better(fresh: tuple[RunDir, Base]) -> None:
    result = train_run(*fresh, options("lr=0.5", "patience=1", "max_steps=20", "eval_steps=1"))
    assert result.steps < 20
    assert result.best_step < result.steps
    losses = read_metrics(fresh[0], "eval_loss")
    assert result.eval_loss == min(losses) == losses[result.best_step - 1]


def test_rows_that_are_packed_do_not_see_one_another(base: Path, tmp_path: Path) -> None:
    run, found = make_run(tmp_path / "run", base, make_codes(3))
    alone = find_losses(run, found, "batch_size=3")
    packed = find_losses(run, found, "batch_size=1", "packing=bfd")
    assert packed == pytest.approx(alone, abs=1e-4)


def test_the_size_of_a_micro_batch_changes_no_loss(fresh: tuple[RunDir, Base]) -> None:
    one = find_losses(*fresh, "micro_batch=1")
    assert find_losses(*fresh, "micro_batch=4") == pytest.approx(one, abs=1e-4)


def find_losses(run: RunDir, found: Base, *sets: str) -> list[float]:
    """Return the loss of two steps, without chance."""
    train_run(run, found, options("dropout=0", "max_steps=2", "eval_steps=9", *sets))
    return read_metrics(run)


@pytest.mark.parametrize(
    ("sets", "kind"),
    [
        (("rslora=true", "dora=true", "neftune=5"), "rsdora"),
        (("gradient_checkpointing=on", "quantization=none", "targets=q_proj,v_proj"), "lora"),
        (("loss=full", "schedule=linear", "attention=eager"), "lora"),
    ],
)
def test_variants_train(fresh: tuple[RunDir, Base], sets: tuple[str, ...], kind: str) -> None:
    result = train_run(*fresh, options(*sets, "max_steps=2"))
    assert math.isfinite(result.loss)
    assert read_adapter(fresh[0].path / "adapter").kind == kind


def test_without_held_out_rows_the_last_step_is_kept(base: Path, tmp_path: Path) -> None:
    run, found = make_run(tmp_path / "run", base, make_codes(8))
    result = train_run(run, found, options("max_steps=2"))
    assert (result.eval_loss, result.best_step) == (None, 2)


def test_a_check_tries_everything_and_writes_nothing(fresh: tuple[RunDir, Base]) -> None:
    run, found = fresh
    before = sorted(path.name for path in run.path.iterdir())
    summary = check_run(run, found, options())
    assert (summary["steps"], summary["sequences"]) == (6, 20)
    assert summary["minutes"] > 0
    assert sorted(path.name for path in run.path.iterdir()) == before


def test_five_rows_are_refused_with_the_batch_that_they_allow(base: Path, tmp_path: Path) -> None:
    run, found = make_run(tmp_path / "run", base, make_codes(5))
    with pytest.raises(UsageError, match="a step takes 16 rows and there are 5"):
        train_run(run, found, build_options(sets=["device=cpu"]))
    assert train_run(run, found, options("batch_size=1", "max_steps=1")).steps == 1


def test_rows_that_are_all_the_same_are_refused(base: Path, tmp_path: Path) -> None:
    run, found = make_run(tmp_path / "run", base, ["x = 1"] * 2)
    tokens = run.path / "tokens" / "train.parquet"
    from finetune.tokenizing import read_tokens, write_tokens

    write_tokens(tokens, read_tokens(run, "train")[:1] * 8)
    with pytest.raises(UsageError, match="all 8 rows of run are the same"):
        train_run(run, found, options())


def test_a_row_with_nothing_to_learn_is_named(fresh: tuple[RunDir, Base]) -> None:
    run, found = fresh
    from finetune.tokenizing import TokenRow, read_tokens, write_tokens

    rows = read_tokens(run, "train")
    rows[3] = TokenRow(input_ids=rows[3].input_ids, labels=[-100] * len(rows[3].labels), row=rows[3].row)
    write_tokens(run.path / "tokens" / "train.parquet", rows)
    with pytest.raises(UsageError, match="line 4 of the train rows of run has no token"):
        train_run(run, found, options())


def test_a_base_that_misses_a_shard_is_refused_before_anything_is_loaded(
    fresh: tuple[RunDir, Base], tmp_path: Path
) -> None:
    run, _ = fresh
    other = save_llama(tmp_path / "other", shard_size="50KB")
    next(iter(sorted(other.glob("model-00002-*")))).unlink()
    with pytest.raises(ModelError, match="model-00002-"):
        train_run(run, Base(name="other", directory=other, context_tokens=1024), options())


def test_a_base_with_another_tokenizer_is_refused(fresh: tuple[RunDir, Base], tmp_path: Path) -> None:
    other = save_llama(tmp_path / "other")
    (other / "tokenizer.json").write_text("{}")
    with pytest.raises(UsageError, match="another tokenizer"):
        train_run(fresh[0], Base(name="other", directory=other, context_tokens=1024), options())


def test_layers_that_are_not_there_are_named(fresh: tuple[RunDir, Base]) -> None:
    with pytest.raises(UsageError, match="no layer is called c_attn") as caught:
        train_run(*fresh, options("targets=q_proj,c_attn"))
    assert "q_proj" in caught.value.hint


def test_too_little_memory_is_said_before_the_model_is_loaded(
    fresh: tuple[RunDir, Base], monkeypatch: pytest.MonkeyPatch
) -> None:
    little = Memory(total=500_000_000, available=500_000_000)
    monkeypatch.setattr("finetune.training.hardware.find_memory", lambda: little)
    with pytest.raises(OutOfMemoryError, match=r"has 0\.5 GB free"):
        train_run(*fresh, options())


def test_a_disk_without_room_for_checkpoints_is_said_before_the_model_is_loaded(
    fresh: tuple[RunDir, Base], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))  # pyright: ignore
    with pytest.raises(StorageError, match="0 MB free"):
        train_run(*fresh, options())


def test_a_place_that_cannot_be_written_to_is_named(fresh: tuple[RunDir, Base]) -> None:
    run, found = fresh
    (run.path / "checkpoints").write_text("in the way")
    with pytest.raises(UsageError, match="run/checkpoints"):
        train_run(run, found, options())


def test_tensorboard_that_is_not_installed_is_refused(
    fresh: tuple[RunDir, Base], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finetune.training.preflight.find_spec", lambda _: None)
    with pytest.raises(UsageError, match="tensorboard is not installed"):
        train_run(*fresh, options("tensorboard=true"))
