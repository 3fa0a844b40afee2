from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.errors import ModelError, StorageError, UnsafeModelError
from assistant.models import conversion
from assistant.models.progress import PullProgress

CONVERTER = """
import errno, os, sys
from assistant.engine.conversion import run_converter
from assistant.errors import UnsafeModelError

def convert(source, target, report):
    print("what a library prints")
    report("beginning")
{body}

sys.exit(run_converter(convert, sys.argv[1:]))
"""

Convert = Callable[[str], None]


@pytest.fixture
def convert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stages: list[PullProgress]) -> Convert:
    """Run a converter whose work is a line of Python."""
    environment = conversion.child_environment(os.environ)
    path = os.pathsep.join([str(tmp_path), environment.get("PYTHONPATH", "")])
    monkeypatch.setattr(conversion, "child_environment", lambda ours: environment | {"PYTHONPATH": path})  # pyright: ignore[reportUnknownLambdaType]
    (tmp_path / "model").mkdir()

    def run(body: str) -> None:
        (tmp_path / "some_converter.py").write_text(CONVERTER.format(body=f"    {body}"))
        conversion.run_conversion(
            "some_converter", tmp_path / "source.gguf", tmp_path / "model", stages.append
        )

    return run


def test_what_a_converter_does_is_reported(convert: Convert, stages: list[PullProgress]) -> None:
    convert("report('ending')")
    assert [progress.stage for progress in stages] == ["converting: beginning", "converting: ending"]


def test_a_converter_works_in_the_directory_it_fills(convert: Convert, tmp_path: Path) -> None:
    convert("open('made', 'w').close()")
    assert (tmp_path / "model" / "made").exists()
    assert not (tmp_path / "conversion.log").exists()


@pytest.mark.parametrize(
    "error",
    [
        "OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))",
        "RuntimeError('[enforce fail] . PytorchStreamWriter: No space left on device')",
        "ValueError('Error while serializing: I/O error: No space left on device (os error 28)')",
    ],
)
def test_a_full_disk_is_told_as_one_whoever_notices_it(convert: Convert, error: str) -> None:
    with pytest.raises(StorageError, match="no space left"):
        convert(f"raise {error}")


def test_a_refusal_keeps_its_kind_and_its_hint(convert: Convert) -> None:
    with pytest.raises(UnsafeModelError, match="it bites") as caught:
        convert("raise UnsafeModelError('it bites', hint='run')")
    assert caught.value.hint == "run"


def test_whatever_else_goes_wrong_is_told_in_a_line(convert: Convert) -> None:
    with pytest.raises(ModelError, match=r"^KeyError: 'weights'$"):
        convert("raise KeyError('weights')")


@pytest.mark.parametrize("ending", ["os._exit(0)", "os._exit(9)"])
def test_a_converter_that_just_ends_has_failed(convert: Convert, ending: str) -> None:
    with pytest.raises(ModelError, match=r"converting source\.gguf failed"):
        convert(ending)


def test_a_converter_that_is_killed_points_to_memory(convert: Convert) -> None:
    with pytest.raises(ModelError, match="signal 9") as caught:
        convert("os.kill(os.getpid(), 9)")
    assert "memory" in caught.value.hint
