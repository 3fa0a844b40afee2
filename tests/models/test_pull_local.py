from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from small_models import build_model, change_json

from assistant.errors import ModelError, StorageError, UnsafeModelError, UsageError
from assistant.models import pull_local
from assistant.models.manifest import Manifest
from assistant.models.progress import PullProgress
from assistant.models.store import ModelStore

Pull = Callable[..., Manifest]


def test_a_directory_is_copied_checked_and_published(
    store: ModelStore, model: Path, pull_model: Pull
) -> None:
    manifest = pull_model(model)
    assert manifest.name == "model"
    assert manifest.source == str(model)
    assert (store.resolve("model") / "model.safetensors").read_bytes() == (
        model / "model.safetensors"
    ).read_bytes()


def test_what_changes_in_the_source_later_changes_nothing_in_the_store(
    store: ModelStore, model: Path, pull_model: Pull
) -> None:
    pull_model(model)
    with (model / "model.safetensors").open("r+b") as file:
        file.write(b"\0" * 100)
    store.verify("model")


def test_the_progress_ends_at_one(model: Path, pull_model: Pull, stages: list[PullProgress]) -> None:
    pull_model(model)
    fractions = [progress.fraction for progress in stages if progress.stage == "copying"]
    assert fractions == sorted(fraction for fraction in fractions if fraction is not None)
    assert fractions[-1] == 1.0


def test_a_model_with_a_chat_template_is_asked_through_it(model: Path, pull_model: Pull) -> None:
    assert pull_model(model).prompt_format == "chat"


def test_a_model_without_a_chat_template_is_asked_for_tasks(model: Path, pull_model: Pull) -> None:
    change_json(model / "tokenizer_config.json", chat_template=None)
    assert pull_model(model).prompt_format == "python-task"


def test_the_user_says_how_a_model_is_asked(model: Path, pull_model: Pull) -> None:
    assert pull_model(model, prompt_format="python-task-es").prompt_format == "python-task-es"


def test_a_model_without_a_chat_template_cannot_be_asked_through_one(
    store: ModelStore, model: Path, pull_model: Pull
) -> None:
    change_json(model / "tokenizer_config.json", chat_template=None)
    with pytest.raises(ModelError, match="no chat template"):
        pull_model(model, prompt_format="chat")
    assert store.names() == []


def test_an_unknown_prompt_format_is_refused(model: Path, pull_model: Pull) -> None:
    with pytest.raises(UsageError) as caught:
        pull_model(model, prompt_format="alpaca")
    assert "python-task" in caught.value.hint


def test_a_name_that_is_taken_is_refused_before_anything_is_copied(
    model: Path, pull_model: Pull, stages: list[PullProgress]
) -> None:
    pull_model(model)
    stages.clear()
    with pytest.raises(ModelError, match="there is a model model") as caught:
        pull_model(model)
    assert "--name" in caught.value.hint
    assert stages == []


def test_a_model_is_replaced_when_that_is_asked_for(
    store: ModelStore, model: Path, pull_model: Pull, tmp_path: Path
) -> None:
    before = pull_model(model)
    after = pull_model(build_model(tmp_path / "other" / "model", seed=1), replace=True)
    assert after.files != before.files
    store.verify("model")


def test_a_manifest_of_ours_keeps_what_is_known(
    store: ModelStore, model: Path, pull_model: Pull, tmp_path: Path
) -> None:
    with store.open_staging() as staging:
        shutil.copytree(model, staging.model, dirs_exist_ok=True)
        made = Manifest(
            name="mine",
            source="finetune:run-1",
            prompt_format="python-task",
            base="org/base",
            base_revision="abc",
            quantization="nf4",
            license="MIT",
            metrics={"loss": 1.25},
        )
        exported = shutil.copytree(store.publish(staging.model, made), tmp_path / "exported")
    manifest = pull_model(exported, name="back")
    kept = ("prompt_format", "base", "base_revision", "quantization", "license", "metrics")
    assert {key: getattr(manifest, key) for key in kept} == {key: getattr(made, key) for key in kept}
    assert manifest.source == str(exported)


def test_a_manifest_of_ours_whose_files_have_changed_is_refused(
    store: ModelStore, model: Path, pull_model: Pull, add_model: Callable[..., Path], tmp_path: Path
) -> None:
    exported = shutil.copytree(add_model("a"), tmp_path / "exported")
    shutil.copy(build_model(tmp_path / "x", seed=5) / "model.safetensors", exported)
    with pytest.raises(ModelError, match=r"manifest\.json in the directory does not fit"):
        pull_model(exported)


def test_hidden_and_needless_files_stay_behind(
    store: ModelStore, model: Path, pull_model: Pull, tmp_path: Path
) -> None:
    (model / ".git").mkdir()
    (model / ".git" / "HEAD").symlink_to(tmp_path)
    for name in (".gitattributes", "figure.png", "model.onnx", "trainer.log"):
        (model / name).touch()
    (model / "LICENSE").write_text("free")
    files = pull_model(model).files
    assert set(files) == {
        "LICENSE",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_a_pickle_beside_safetensors_is_left_behind_when_pickles_are_allowed(
    model: Path, pull_model: Pull
) -> None:
    (model / "training_args.bin").write_bytes(b"\x80\x04 anything")
    with pytest.raises(UnsafeModelError) as caught:
        pull_model(model)
    assert "--allow-pickle" in caught.value.hint
    assert "training_args.bin" not in pull_model(model, allow_pickle=True).files


def test_a_4_bit_mark_on_plain_weights_is_taken_off(store: ModelStore, model: Path, pull_model: Pull) -> None:
    change_json(model / "config.json", quantization_config={"load_in_4bit": True})
    pull_model(model)
    config = json.loads((store.resolve("model") / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["hidden_size"] == 4


def test_the_mark_of_another_quantisation_stays(store: ModelStore, model: Path, pull_model: Pull) -> None:
    change_json(model / "config.json", quantization_config={"quant_method": "gptq"})
    pull_model(model)
    assert "gptq" in (store.resolve("model") / "config.json").read_text()


def test_too_little_room_is_said_before_anything_is_written(
    store: ModelStore, model: Path, pull_model: Pull, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(model)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)  # pyright: ignore[reportUnknownLambdaType]
    with pytest.raises(StorageError, match="GB left"):
        pull_model(model)
    assert store.names() == []
    assert not list(store.root.glob(".tmp-*"))


def test_a_source_that_cannot_be_read_is_named(
    store: ModelStore, model: Path, pull_model: Pull, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = pull_local.open_regular

    def refuse(path: Path) -> object:
        if path.name == "tokenizer.json":
            raise PermissionError(errno.EACCES, "Permission denied")
        return original(path)

    monkeypatch.setattr(pull_local, "open_regular", refuse)
    with pytest.raises(ModelError, match=r"cannot read .*tokenizer\.json: Permission denied"):
        pull_model(model)
    assert store.names() == []
