from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hub_stub import COMMIT, HubStub
from safetensors.torch import load_file

from assistant.errors import DownloadError, UnsafeModelError
from assistant.models.manifest import Manifest
from assistant.models.store import ModelStore

REPOSITORY = "somebody/tiny-model"
Pull = Callable[..., Manifest]
Serve = Callable[..., HubStub]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Serve]:
    """Serve a repository, and make it the hub that is asked."""
    stubs: list[HubStub] = []
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)

    def start(files: dict[str, bytes], repository: str = REPOSITORY, **options: object) -> HubStub:
        stub = HubStub(repository, files, **options)  # type: ignore[arg-type]
        stubs.append(stub)
        monkeypatch.setenv("HF_ENDPOINT", stub.url)
        return stub

    yield start
    for stub in stubs:
        stub.close()


@pytest.fixture
def files(model: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in model.iterdir()}


def test_a_repository_is_pulled_at_the_commit_that_it_has_now(
    serve: Serve, files: dict[str, bytes], pull_model: Pull, store: ModelStore
) -> None:
    serve(files)
    manifest = pull_model(f"hub:{REPOSITORY}")
    assert (manifest.base, manifest.base_revision) == (REPOSITORY, COMMIT)
    assert manifest.license == "apache-2.0"
    assert store.verify(manifest.name) == manifest
    published = store.resolve(manifest.name)
    assert (published / "model.safetensors").read_bytes() == files["model.safetensors"]


def test_only_the_files_of_a_model_are_fetched(
    serve: Serve, files: dict[str, bytes], pull_model: Pull, store: ModelStore
) -> None:
    others = {
        "evil.py": b"raise SystemExit",
        "pytorch_model.bin": b"\x80\x02pickle",
        "training_args.bin": b"\x80\x02pickle",
        "optimizer.pt": b"\x80\x02pickle",
        "onnx/model.onnx": b"x",
        "picture.png": b"x",
    }
    stub = serve({**files, **others})
    manifest = pull_model(f"hub:{REPOSITORY}")
    assert set(stub.fetched) & set(others) == set()
    assert set(manifest.files) & set(others) == set()


def test_a_revision_that_is_not_there_is_named(
    serve: Serve, files: dict[str, bytes], pull_model: Pull
) -> None:
    serve(files)
    with pytest.raises(DownloadError, match="no revision v9"):
        pull_model(f"hub:{REPOSITORY}@v9")


def test_a_repository_that_is_not_there_is_named(
    serve: Serve, files: dict[str, bytes], pull_model: Pull
) -> None:
    serve(files, status=404, error_code="RepoNotFound")
    with pytest.raises(DownloadError, match=REPOSITORY):
        pull_model(f"hub:{REPOSITORY}")


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_repository_names_an_ungated_mirror(
    status: int, serve: Serve, files: dict[str, bytes], pull_model: Pull
) -> None:
    gated = "meta-llama/Llama-2-7b-hf"
    serve(files, gated, status=status, error_code="GatedRepo")
    with pytest.raises(DownloadError, match=gated) as caught:
        pull_model(f"hub:{gated}")
    assert "HF_TOKEN" in caught.value.hint
    assert "NousResearch/Llama-2-7b-hf" in caught.value.hint


def test_a_hub_that_is_not_reached_is_no_traceback(
    pull_model: Pull, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="cannot be downloaded") as caught:
        pull_model(f"hub:{REPOSITORY}")
    assert "models pull" in caught.value.hint


def test_content_that_is_not_what_the_hub_names_is_refused(
    serve: Serve, files: dict[str, bytes], pull_model: Pull, store: ModelStore
) -> None:
    stub = serve(files)
    honest = stub.describe()
    weights = bytearray(files["model.safetensors"])
    weights[-1] ^= 1
    stub.describe = lambda: honest  # type: ignore[method-assign]
    stub.files["model.safetensors"] = bytes(weights)
    with pytest.raises(DownloadError, match=r"model\.safetensors"):
        pull_model(f"hub:{REPOSITORY}")
    assert store.list_models() == []


def pickled(files: dict[str, bytes], tmp_path: Path) -> dict[str, bytes]:
    """The same repository with its weights as a pickle."""
    source = tmp_path / "weights.safetensors"
    source.write_bytes(files["model.safetensors"])
    target = tmp_path / "pytorch_model.bin"
    torch.save(load_file(source), target)
    rest = {name: content for name, content in files.items() if not name.endswith(".safetensors")}
    return {**rest, "pytorch_model.bin": target.read_bytes()}


def test_pickled_weights_are_refused(
    serve: Serve, files: dict[str, bytes], pull_model: Pull, tmp_path: Path
) -> None:
    stub = serve(pickled(files, tmp_path))
    with pytest.raises(UnsafeModelError, match=r"pytorch_model\.bin") as caught:
        pull_model(f"hub:{REPOSITORY}")
    assert "--allow-pickle" in caught.value.hint
    assert stub.fetched == []


def test_pickled_weights_are_converted_where_the_user_says_so(
    serve: Serve, files: dict[str, bytes], pull_model: Pull, store: ModelStore, tmp_path: Path
) -> None:
    serve(pickled(files, tmp_path))
    manifest = pull_model(f"hub:{REPOSITORY}", allow_pickle=True)
    published = store.resolve(manifest.name)
    assert not list(published.glob("*.bin"))
    source = tmp_path / "weights.safetensors"
    expected, got = load_file(source), load_file(next(published.glob("*.safetensors")))
    assert set(got) <= set(expected)
    assert all(torch.equal(got[name], expected[name]) for name in got)
