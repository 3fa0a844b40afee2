from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from small_models import build_model, split_model
from stub_hub import COMMIT, StubHub, StubRepository

from assistant.errors import DownloadError, ModelError, StorageError, UnsafeModelError
from assistant.models import pull_hub
from assistant.models.manifest import Manifest
from assistant.models.progress import PullProgress
from assistant.models.pull import pull
from assistant.models.store import ModelStore

Pull = Callable[..., Manifest]
NAME = "org/tiny"
SOURCE = f"hub:{NAME}"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StubHub]:
    stub = StubHub()
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HF_ENDPOINT", stub.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    yield stub
    stub.close()


def read_files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture
def repository(hub: StubHub, model: Path) -> StubRepository:
    """A repository with a whole model on the hub."""
    hub.repositories[NAME] = StubRepository(files=read_files(model))
    return hub.repositories[NAME]


def test_a_repository_becomes_a_model_of_a_known_commit(
    store: ModelStore, model: Path, repository: StubRepository, pull_model: Pull
) -> None:
    manifest = pull_model(SOURCE)
    assert manifest.name == "tiny"
    assert (manifest.source, manifest.base, manifest.base_revision) == (SOURCE, NAME, COMMIT)
    assert manifest.license == "apache-2.0"
    assert manifest.prompt_format == "chat"
    place = store.resolve("tiny")
    for name, content in read_files(model).items():
        assert (place / name).read_bytes() == content
    assert {entry.name for entry in store.root.iterdir()} == {"tiny", ".lock", ".verified.json"}


def test_only_what_a_model_needs_is_fetched(
    hub: StubHub, model: Path, repository: StubRepository, pull_model: Pull
) -> None:
    repository.files |= {
        "pytorch_model.bin": b"\x80\x04.",
        "consolidated.safetensors": b"twice",
        "modeling_tiny.py": b"raise SystemExit",
        "onnx/model.onnx": b"x",
        "original/model.safetensors": b"x",
        ".gitattributes": b"x",
        "picture.png": b"x",
        "LICENSE": b"free",
    }
    pull_model(SOURCE)
    assert set(hub.sent()) == {*read_files(model), "LICENSE"}


def test_a_model_in_shards_is_fetched_with_its_index(
    hub: StubHub, store: ModelStore, model: Path, pull_model: Pull
) -> None:
    hub.repositories[NAME] = StubRepository(files=read_files(split_model(model)))
    pull_model(SOURCE)
    assert len(list(store.resolve("tiny").glob("*.safetensors"))) == 3


def test_a_revision_is_resolved_to_a_commit_first(
    hub: StubHub, repository: StubRepository, pull_model: Pull
) -> None:
    repository.revisions = ("v1", "main")
    manifest = pull_model(f"{SOURCE}@v1")
    assert manifest.source == f"{SOURCE}@v1"
    assert manifest.base_revision == COMMIT
    assert {path.split("/")[4] for method, path in hub.requests if "/resolve/" in path} == {COMMIT}


def test_a_commit_that_is_there_already_is_not_asked_for_again(
    hub: StubHub, repository: StubRepository, pull_model: Pull
) -> None:
    first = pull_model(f"{SOURCE}@{COMMIT}")
    hub.requests.clear()
    assert pull_model(f"{SOURCE}@{COMMIT}") == first
    assert hub.requests == []


def test_the_model_of_the_article_is_asked_in_its_own_words(
    hub: StubHub, model: Path, pull_model: Pull
) -> None:
    name = "edumunozsala/llama-2-7b-int4-python-code-20k"
    hub.repositories[name] = StubRepository(files=read_files(model))
    assert pull_model(f"hub:{name}").prompt_format == "python-task-2023"


def test_a_gated_repository_says_how_to_get_in_and_where_else_to_go(
    hub: StubHub, model: Path, pull_model: Pull
) -> None:
    name = "meta-llama/Llama-2-7b-hf"
    hub.repositories[name] = StubRepository(files=read_files(model), refusal=(403, "GatedRepo"), token="t")
    with pytest.raises(DownloadError, match="agreed to its terms") as caught:
        pull_model(f"hub:{name}")
    assert "HF_TOKEN" in caught.value.hint
    assert "hub:NousResearch/Llama-2-7b-hf" in caught.value.hint


def test_the_users_token_opens_a_gated_repository(
    hub: StubHub, repository: StubRepository, pull_model: Pull, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.refusal, repository.token = (401, "GatedRepo"), "hf_mine"
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    assert pull_model(SOURCE).name == "tiny"


def test_an_unknown_repository_is_named(hub: StubHub, pull_model: Pull) -> None:
    with pytest.raises(DownloadError, match="no repository org/nothing"):
        pull_model("hub:org/nothing")


def test_an_unknown_revision_is_named(repository: StubRepository, pull_model: Pull) -> None:
    with pytest.raises(DownloadError, match="no revision v9"):
        pull_model(f"{SOURCE}@v9")


@pytest.mark.parametrize(("status", "words"), [(403, "status 403"), (404, "status 404"), (410, "status 410")])
def test_another_refusal_is_told_with_its_status(
    repository: StubRepository, pull_model: Pull, status: int, words: str
) -> None:
    repository.refusal = (status, "Whatever")
    with pytest.raises(DownloadError, match=words):
        pull_model(SOURCE)


def test_without_a_network_the_way_out_is_named(
    hub: StubHub, store: ModelStore, pull_model: Pull, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = hub.url
    hub.close()
    monkeypatch.setenv("HF_ENDPOINT", url)
    with pytest.raises(DownloadError, match="not reached") as caught:
        pull_model(SOURCE)
    assert "models pull" in caught.value.hint
    assert store.names() == []


def test_pickled_weights_are_refused_before_they_are_fetched(
    hub: StubHub, repository: StubRepository, pull_model: Pull
) -> None:
    repository.files["pytorch_model.bin"] = repository.files.pop("model.safetensors")
    with pytest.raises(UnsafeModelError) as caught:
        pull_model(SOURCE)
    assert "--allow-pickle" in caught.value.hint
    assert hub.sent() == []


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a.Q4.gguf": b"x", "b.Q8.gguf": b"x"}, "GGUF files"),
        ({"adapter_config.json": b"{}", "adapter_model.bin": b"x"}, "is an adapter"),
        ({"README.md": b"x"}, "holds no weights"),
    ],
)
def test_a_repository_without_weights_says_what_it_holds(
    hub: StubHub, pull_model: Pull, files: dict[str, bytes], words: str
) -> None:
    hub.repositories[NAME] = StubRepository(files=files)
    with pytest.raises(ModelError, match=words):
        pull_model(SOURCE)


@pytest.mark.parametrize("path", ["model.safetensors", "tokenizer.json"])
def test_a_file_that_arrives_other_than_promised_is_refused_and_fetched_anew(
    hub: StubHub, store: ModelStore, repository: StubRepository, pull_model: Pull, path: str
) -> None:
    content = bytearray(repository.files[path])
    content[-3] ^= 1
    repository.lies[path] = bytes(content)
    with pytest.raises(DownloadError, match="arrived damaged"):
        pull_model(SOURCE)
    assert store.names() == []
    repository.lies.clear()
    assert pull_model(SOURCE).name == "tiny"
    assert hub.sent().count("config.json") == 1


def test_an_interrupted_download_goes_on_with_the_files_that_are_missing(
    hub: StubHub,
    store: ModelStore,
    repository: StubRepository,
    pull_model: Pull,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pull_hub, "WORKERS", 1)
    others = threading.Semaphore(2)

    repository.before = lambda path: 200 if others.acquire(blocking=False) else 403
    with pytest.raises(DownloadError):
        pull_model(SOURCE)
    arrived = hub.sent()[:2]
    assert store.names() == []
    hub.requests.clear()
    repository.before = None
    assert pull_model(SOURCE).name == "tiny"
    assert set(hub.sent()) == set(repository.files) - set(arrived)


def test_a_full_disk_gives_back_what_was_downloaded(
    hub: StubHub,
    store: ModelStore,
    repository: StubRepository,
    pull_model: Pull,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    hub_module = pull_hub.import_hub()
    monkeypatch.setattr(hub_module, "snapshot_download", full)
    with pytest.raises(StorageError, match="no space left"):
        pull_model(SOURCE)
    assert not list(store.root.glob(".partial-*"))
    assert not list(store.root.glob(".tmp-*"))


def test_too_little_room_is_said_before_anything_is_downloaded(
    hub: StubHub,
    repository: StubRepository,
    pull_model: Pull,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)  # pyright: ignore[reportUnknownLambdaType]
    with pytest.raises(StorageError, match="GB left"):
        pull_model(SOURCE)
    assert hub.sent() == []


def test_a_hostile_repository_is_refused_after_it_was_fetched(
    hub: StubHub, store: ModelStore, pull_model: Pull, tmp_path: Path
) -> None:
    hostile = build_model(tmp_path / "hostile")
    (hostile / "config.json").write_text('{"auto_map": {"AutoModel": "x.y"}}')
    hub.repositories[NAME] = StubRepository(files=read_files(hostile))
    with pytest.raises(UnsafeModelError, match="auto_map"):
        pull_model(SOURCE)
    assert store.names() == []


def test_a_file_name_that_leads_elsewhere_is_never_fetched(
    hub: StubHub, repository: StubRepository, pull_model: Pull
) -> None:
    repository.files |= {"../evil.json": b"{}", "additional_chat_templates/../../x.jinja": b"x"}
    with pytest.raises(DownloadError, match="no file of a model"):
        pull_model(SOURCE)
    assert hub.sent() == []


def test_the_download_reports_how_far_it_is(
    repository: StubRepository, pull_model: Pull, stages: list[PullProgress]
) -> None:
    pull_model(SOURCE)
    names = list(dict.fromkeys(progress.stage for progress in stages))
    assert names == ["asking the hub", "downloading", "checking the files", "checking the model"]


def test_nothing_is_reported_to_the_hub(hub: StubHub, repository: StubRepository, pull_model: Pull) -> None:
    pull_model(SOURCE)
    kinds = {path.split("/")[1] for method, path in hub.requests}
    assert kinds <= {"api", "org"}
    assert not [path for _, path in hub.requests if "telemetry" in path]


def test_two_pulls_of_a_repository_at_once_do_not_disturb_each_other(
    hub: StubHub, store: ModelStore, repository: StubRepository, stages: list[PullProgress]
) -> None:
    names = ["one", "two"]
    with ThreadPoolExecutor() as pool:
        pulls = [pool.submit(pull, SOURCE, store, name=name, report=stages.append) for name in names]
        assert [done.result().name for done in pulls] == names
    for name in names:
        store.verify(name)
    assert not list(store.root.glob(".partial-*"))
