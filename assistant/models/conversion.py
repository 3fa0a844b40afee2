"""Runs a converter of `assistant.engine`, or what measures a model, as a process; reads what it reports.

Named by its module's name alone: torch is never in this process.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from assistant.errors import (
    AssistantError,
    ConfigError,
    ModelError,
    OutOfMemoryError,
    StorageError,
    UnsafeModelError,
)
from assistant.files import write_atomic
from assistant.models.progress import PullProgress, ReportPull

GGUF = "assistant.engine.convert_gguf"
PICKLE = "assistant.engine.convert_pickle"
MEASURE = "assistant.engine.measure"
SPEED = "assistant.engine.speed"
KEPT_VARIABLES = frozenset(
    {
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "TMPDIR",
        "TEMP",
        "TMP",
        "SYSTEMROOT",
        "LD_LIBRARY_PATH",
        "VIRTUAL_ENV",
    }
    | {"PYTHONHOME", "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE"}
)
"""Tokens and proxies are none of a converter's business."""
KEPT_FOR_MEASURING = ("ASSISTANT_", "CUDA_", "NVIDIA_", "PYTORCH_", "OMP_")
"""How the names of variables begin that say how a model is run."""
THREADS = "2"

_KINDS: Mapping[str, type[AssistantError]] = {
    kind.__name__: kind
    for kind in (ModelError, StorageError, UnsafeModelError, OutOfMemoryError, ConfigError)
}


def run_conversion(
    module: str,
    source: Path,
    target: Path,
    report: ReportPull,
    *,
    what: str = "converting",
    environment: Mapping[str, str] | None = None,
) -> None:
    """Convert a model's weights, or measure it, in a process of its own.

    Args:
        module: `GGUF`, `PICKLE`, `MEASURE` or `SPEED`.
        source: A file, or a directory for `PICKLE`.
        target: An empty directory.
        report: Told what is being done.
        what: How that is called.
        environment: What the process may see; by default next to nothing.

    Raises:
        ModelError: The source cannot be converted.
        StorageError: The disk is full.
    """
    log = target.parent / "conversion.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, str(source), str(target)],
            stdin=subprocess.PIPE,  # its end tells the child that we are gone
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=target,
            env=child_environment(os.environ) if environment is None else dict(environment),
            start_new_session=True,
        )
        try:
            failure, is_done = _follow(process, report, what)
            code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
    if failure is not None:
        raise failure
    if code != 0 or not is_done:
        raise _broken_error(f"{what} {source.name}", code, log)
    log.unlink(missing_ok=True)


def run_measuring(
    module: str, job: Mapping[str, Any], parent: Path | None, report: ReportPull, *, what: str, result: str
) -> str:
    """Have a model run in a process of its own, as the generator would run it, and return what it wrote.

    Args:
        module: `MEASURE` or `SPEED`.
        job: As the module describes it; plain values.
        parent: A directory for what is needed on the way, or None for the system's own.
        report: Told what is being done.
        what: How that is called.
        result: The name of the file that it writes.

    Raises:
        ModelError: The model cannot be run.
        OutOfMemoryError: The device has no room for it.
        ConfigError: The settings ask for what this machine does not have.
        StorageError: The disk is full.
    """
    place = Path(tempfile.mkdtemp(prefix=".measure-", dir=parent))
    try:
        target = place / "result"
        target.mkdir(mode=0o700)
        write_atomic(place / "job.json", json.dumps(job).encode(), mode=0o600)
        environment = measuring_environment(os.environ)
        run_conversion(module, place / "job.json", target, report, what=what, environment=environment)
        return (target / result).read_text(encoding="utf-8")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def child_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Return what a converter may see of our environment, and what keeps it off the network and the cores."""
    theirs = {name: value for name, value in ours.items() if name.upper() in KEPT_VARIABLES}
    package = Path(__file__).resolve().parents[2]
    if package.name not in ("site-packages", "dist-packages"):
        theirs["PYTHONPATH"] = str(package)
    theirs |= dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"), "1")
    theirs |= dict.fromkeys(("DO_NOT_TRACK", "HF_HUB_DISABLE_PROGRESS_BARS", "TQDM_DISABLE"), "1")
    return theirs | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), THREADS)


def measuring_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Return what a process may see that runs a model as the generator does: settings, devices, no tokens."""
    kept = {
        name: value
        for name, value in ours.items()
        if name.startswith(KEPT_FOR_MEASURING) and "TOKEN" not in name
    }
    return child_environment(ours) | kept


def _follow(
    process: subprocess.Popen[bytes], report: ReportPull, what: str
) -> tuple[AssistantError | None, bool]:
    assert process.stdout is not None
    failure: AssistantError | None = None
    is_done = False
    for line in process.stdout:
        message = _parse_message(line)
        if "stage" in message:
            report(PullProgress(stage=f"{what}: {message['stage']}"))
        if "error" in message:
            kind = _KINDS.get(str(message.get("kind")), ModelError)
            failure = kind(str(message["error"]), hint=str(message.get("hint", "")))
        is_done = is_done or message.get("done") is True
    return failure, is_done


def _parse_message(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return cast("dict[str, Any]", message) if isinstance(message, dict) else {}


def _broken_error(what: str, code: int, log: Path) -> ModelError:
    if code < 0:
        return ModelError(
            f"{what} was ended by signal {-code}",
            hint="the system may have run out of memory: close other programs, or take a smaller model",
        )
    lines = log.read_bytes()[-4000:].decode("utf-8", errors="replace").strip().splitlines() or [""]
    return ModelError(f"{what} failed with exit code {code}: {lines[-1][:500]}")
