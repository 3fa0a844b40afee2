"""The first start on a machine: torch answers while the kernels are compiled, then they do."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jobs import Collected
from tiny_llama import save_llama

from assistant import paths
from assistant.config import Config
from assistant.engine import loading
from assistant.engine.batch import BatchedModel
from assistant.engine.kernels.compiling import CannotCompileError, find_obstacle, library_path
from assistant.models.manifest import Manifest
from assistant.models.store import ModelStore
from assistant.requests import FinishReason

pytestmark = pytest.mark.skipif(bool(find_obstacle()), reason=find_obstacle() or "can be compiled here")

SHARED = Path(os.environ["ASSISTANT_CACHE"]) / "kernels"
"""What all tests share."""

Start = Callable[[], BatchedModel]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Start]:
    """Start a model of the store where nothing was compiled yet."""
    monkeypatch.setattr(loading, "usable_cores", lambda: 1)
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ASSISTANT_CACHE", str(tmp_path / "cache"))
    store = ModelStore(paths.models_dir())
    source = save_llama(tmp_path / "tiny", num_attention_heads=2, num_key_value_heads=1)
    with store.open_staging() as staging:
        for path in source.iterdir():
            os.link(path, staging.model / path.name)
        directory = store.publish(
            staging.model, Manifest(name="tiny", source="a test", prompt_format="python-task")
        )
    started: list[BatchedModel] = []

    def build() -> BatchedModel:
        started.append(loading.load_model(directory, Config(), lambda _: None))
        return started[-1]

    yield build
    for model in started:
        model.close()


def is_answered(model: BatchedModel) -> bool:
    done = Collected(model.encode_text("fold the list"), max_tokens=12, syntax_guard=False)
    model.submit(done.job)
    return done.wait().end().error is None and done.reasons() != {0: FinishReason.CANCELLED}


def test_torch_answers_until_the_kernels_are_there(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, renewed = threading.Event(), threading.Event()

    def compile_slowly() -> Path:
        assert asked.wait(20)
        path = library_path()
        shutil.copytree(SHARED, path.parent)
        return path

    taken = BatchedModel._take_network

    def take(model: BatchedModel, load: Callable[[], loading.Network]) -> None:
        taken(model, load)
        renewed.set()

    monkeypatch.setattr(loading, "compile_kernels", compile_slowly)
    monkeypatch.setattr(BatchedModel, "_take_network", take)
    model = start()
    assert not model._network.is_invariant
    assert is_answered(model)
    asked.set()
    assert renewed.wait(20)
    assert model._network.is_invariant
    assert is_answered(model)
    assert [path.name for path in (paths.models_dir() / ".packed" / "tiny").iterdir()] == ["int4.safetensors"]


def test_without_a_compiler_it_goes_on_and_says_so_once(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried = threading.Event()

    def fail() -> Path:
        tried.set()
        raise CannotCompileError("the compiler failed: no room")

    monkeypatch.setattr(loading, "compile_kernels", fail)
    model = start()
    assert tried.wait(20)
    for thread in threading.enumerate():
        if thread.name == "kernels":
            thread.join(20)
    assert is_answered(model)
    assert not model._network.is_invariant
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "answers come slower, without compiled kernels: the compiler failed: no room"
    ]
