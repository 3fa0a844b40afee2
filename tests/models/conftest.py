from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from homes import Home
from small_models import build_model, publish

from assistant.models.manifest import Manifest
from assistant.models.progress import PullProgress
from assistant.models.pull import pull
from assistant.models.store import ModelStore

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """A store that does not exist yet."""
    return ModelStore(tmp_path / "store")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The directory of a whole model, outside of any store."""
    return build_model(tmp_path / "model")


@pytest.fixture
def add_model(store: ModelStore, tmp_path: Path) -> Callable[..., Path]:
    """Publish a small model of a name; another seed gives other weights."""

    def add(name: str, *, seed: int = 0, replace: bool = False) -> Path:
        source = tmp_path / f"source-{seed}"
        if not source.exists():
            build_model(source, seed=seed)
        return publish(store, name, source, replace=replace)

    return add


@pytest.fixture
def stages() -> list[PullProgress]:
    """What the pulls of a test reported."""
    return []


@pytest.fixture
def pull_model(store: ModelStore, stages: list[PullProgress]) -> Callable[..., Manifest]:
    """Pull into the test's store."""

    def run(source: object, **options: Any) -> Manifest:
        return pull(str(source), store, report=stages.append, **options)

    return run


@pytest.fixture
def child_environment(tmp_path: Path) -> dict[str, str]:
    """For Python processes that use the code under test."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name == "ASSISTANT_CACHE" or not name.startswith("ASSISTANT_")
    }
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    return {**kept, "PYTHONPATH": path, "ASSISTANT_HOME": str(tmp_path / "home")}


@pytest.fixture
def make_wheel(tmp_path: Path) -> Callable[..., Path]:
    """Write a wheel that pip takes for one; with a small model inside unless other contents are given."""

    def make(
        directory: Path,
        package: str = "tiny-model",
        version: str = "1.0",
        contents: dict[str, bytes] | None = None,
    ) -> Path:
        if contents is None:
            unpacked = build_model(tmp_path / f"in-{package}-{version}")
            contents = {f"tiny_model/weights/{path.name}": path.read_bytes() for path in unpacked.iterdir()}
            contents["tiny_model/__init__.py"] = b"raise SystemExit('nobody must import this')\n"
        stem = f"{package.replace('-', '_')}-{version}"
        metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        wheel = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        path = directory / f"{stem}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
            archive.writestr(f"{stem}.dist-info/METADATA", metadata)
            archive.writestr(f"{stem}.dist-info/WHEEL", wheel)
            archive.writestr(f"{stem}.dist-info/RECORD", "")
        return path

    return make


@pytest.fixture
def local_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is all that pip knows to download from."""
    directory = tmp_path / "index"
    directory.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory


@pytest.fixture(scope="session")
def embedded_store(pulled_home: Home) -> ModelStore:
    """A store with the embedded model, fetched and converted for real. It is everybody's: only to look at."""
    return ModelStore(pulled_home.path / "data" / "models")
