from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file
from small_models import make_tensors, split_model

from assistant.errors import ModelError, UnsafeModelError
from assistant.models.conversion import PICKLE, child_environment, run_conversion
from assistant.models.manifest import Manifest
from assistant.models.progress import PullProgress
from assistant.models.store import ModelStore

Pull = Callable[..., Manifest]
WRITE = """
import sys, torch
from pathlib import Path
from safetensors.torch import load_file
directory = Path(sys.argv[1])
for path in sorted(directory.glob("*.safetensors")):
    tensors = load_file(path)
    first = next(iter(tensors))
    if sys.argv[2] == "tied":
        tensors["lm_head.weight"] = tensors[first]
    if sys.argv[2] == "strided":
        tensors[first] = tensors[first].t().contiguous().t()
    target = directory / path.name.replace("model", "pytorch_model", 1).replace(".safetensors", ".bin")
    torch.save(tensors, target, _use_new_zipfile_serialization=sys.argv[2] != "legacy")
    path.unlink()
"""


def pickle_weights(directory: Path, kind: str = "plain") -> Path:
    """Turn a model's safetensors into what torch.save writes."""
    subprocess.run([sys.executable, "-c", WRITE, str(directory), kind], check=True)
    index = directory / "model.safetensors.index.json"
    if index.exists():
        text = index.read_text().replace("model-", "pytorch_model-").replace(".safetensors", ".bin")
        (directory / "pytorch_model.bin.index.json").write_text(text)
        index.unlink()
    return directory


class Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_pickled_weights_are_refused_unless_they_are_allowed(
    store: ModelStore, model: Path, pull_model: Pull
) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(UnsafeModelError) as caught:
        pull_model(model)
    assert "--allow-pickle" in caught.value.hint
    assert store.names() == []


@pytest.mark.parametrize("kind", ["plain", "legacy", "tied", "strided"])
def test_pickled_weights_become_the_same_safetensors(
    store: ModelStore, model: Path, pull_model: Pull, kind: str
) -> None:
    manifest = pull_model(pickle_weights(model, kind), allow_pickle=True)
    assert not [path for path in manifest.files if path.endswith(".bin")]
    found = load_file(store.resolve("model") / "model.safetensors")
    for name, tensor in make_tensors().items():
        assert np.array_equal(found[name], tensor)
    if kind == "tied":
        assert np.array_equal(found["lm_head.weight"], found["model.embed_tokens.weight"])


def test_pickled_shards_become_shards_with_an_index(store: ModelStore, model: Path, pull_model: Pull) -> None:
    pull_model(pickle_weights(split_model(model)), allow_pickle=True)
    place = store.resolve("model")
    weight_map = json.loads((place / "model.safetensors.index.json").read_text())["weight_map"]
    assert weight_map.keys() == make_tensors().keys()
    for name, tensor in make_tensors().items():
        assert np.array_equal(load_file(place / weight_map[name])[name], tensor)


def test_a_pickle_that_would_run_code_is_refused_and_does_not(
    store: ModelStore, model: Path, pull_model: Pull, tmp_path: Path
) -> None:
    (model / "model.safetensors").unlink()
    hostile = {"model.embed_tokens.weight": Canary(tmp_path / "canary")}
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(hostile))
    with pytest.raises(ModelError, match=r"pytorch_model\.bin"):
        pull_model(model, allow_pickle=True)
    assert not (tmp_path / "canary").exists()
    assert store.names() == []


def test_a_damaged_pickle_is_told_of(store: ModelStore, model: Path, pull_model: Pull) -> None:
    path = pickle_weights(model) / "pytorch_model.bin"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ModelError, match=r"pytorch_model\.bin"):
        pull_model(model, allow_pickle=True)
    assert store.names() == []
    assert not list(store.root.glob(".tmp-*"))


PROBE = """
import socket, subprocess, os, sys
from assistant.engine.conversion import forbid_escapes, leave_network
print(leave_network())
forbid_escapes()
for act in (
    lambda: socket.socket(),
    lambda: socket.create_connection(("127.0.0.1", 9)),
    lambda: subprocess.run(["true"]),
    lambda: os.system("true"),
    lambda: os.fork(),
    lambda: os.execv("/bin/true", ["true"]),
    lambda: os.posix_spawn("/bin/true", ["true"], {}),
):
    try:
        act()
        print("allowed")
    except PermissionError:
        print("refused")
"""


def test_a_converter_opens_no_socket_and_starts_no_program() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        env=child_environment(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[1:] == ["refused"] * 7


LONELY = """
import os
from assistant.engine.conversion import leave_network
if leave_network():
    with open("/proc/net/dev") as table:
        print(sorted(line.split(":")[0].strip() for line in table.readlines()[2:]), os.getuid())
"""


def test_a_converter_has_no_network_where_the_system_allows_that() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LONELY],
        env=child_environment(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    if not done.stdout:
        pytest.skip("this system lets nobody make namespaces")
    assert done.stdout.split() == ["['lo']", str(os.getuid())]


def test_secrets_are_kept_from_a_converter() -> None:
    ours = {"HF_TOKEN": "secret", "AWS_KEY": "secret", "https_proxy": "secret", "PATH": "/bin", "HOME": "/h"}
    theirs = child_environment(ours)
    assert "secret" not in theirs.values()
    assert theirs["PATH"] == "/bin"
    assert theirs["HF_HUB_OFFLINE"] == "1"


ORPHAN = """
import sys
from pathlib import Path
from assistant.models import conversion

environment = conversion.child_environment
conversion.child_environment = lambda ours: environment(ours) | {"PYTHONPATH": sys.argv[2]}
conversion.run_conversion(
    "slow_converter", Path("source"), Path(sys.argv[1]), lambda progress: print(progress.stage, flush=True)
)
"""
SLOW = """
import sys, threading
from assistant.engine.conversion import run_converter

def convert(source, target, report):
    import os
    report(str(os.getpid()))
    threading.Event().wait()

sys.exit(run_converter(convert, sys.argv[1:]))
"""


def test_a_converter_ends_when_its_parent_is_killed(
    tmp_path: Path, child_environment: dict[str, str]
) -> None:
    (tmp_path / "slow_converter.py").write_text(SLOW)
    (tmp_path / "out" / "model").mkdir(parents=True)
    path = child_environment["PYTHONPATH"] + os.pathsep + str(tmp_path)
    command = [sys.executable, "-c", ORPHAN, str(tmp_path / "out" / "model"), path]
    with subprocess.Popen(command, env=child_environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline().split()[-1]))
        parent.kill()
        child.wait(timeout=30)


def test_a_converter_that_crashes_is_an_error_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stages: list[PullProgress]
) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(ModelError, match=r"No module named assistant\.engine\.missing"):
        run_conversion("assistant.engine.missing", tmp_path / "x.gguf", tmp_path / "model", stages.append)


def test_a_directory_without_weights_cannot_be_converted(tmp_path: Path, stages: list[PullProgress]) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(ModelError, match=r"no pytorch_model"):
        run_conversion(PICKLE, tmp_path, tmp_path / "model", stages.append)
