"""Virtual environments of the peers: made once under the cache, from the package index. Knows no peer."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.speed.running import UnavailableError

DONE_NAME = "installed.txt"


def ensure_environment(
    cache: Path,
    name: str,
    requirements: Sequence[str],
    tell: Callable[[str], None],
    *,
    build: Mapping[str, str] | None = None,
    sees_ours: bool = False,
) -> Path:
    """Return the interpreter of an environment with these packages.

    Prebuilt packages are taken where the index has them, and built from source where it has not.

    Args:
        cache: Where environments are kept.
        name: Of the environment.
        requirements: As pip takes them, with exact versions.
        tell: Told what takes long.
        build: Variables for what is built from source.
        sees_ours: Our own packages can be imported too, where it has none of that name.

    Raises:
        UnavailableError: They cannot be installed.
    """
    key = hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()[:12]
    place = cache / "environments" / f"{name}-{key}"
    python = place / "bin" / "python"
    if (place / DONE_NAME).is_file():
        return python
    log = cache / f"{name}-install.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    tell(f"installing {', '.join(requirements)}; what is built from source takes minutes")
    _run([sys.executable, "-m", "venv", "--clear", str(place)], log)
    install = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    try:
        _run([*install, "--only-binary", ":all:", *requirements], log)
    except UnavailableError:
        jobs = {"CMAKE_BUILD_PARALLEL_LEVEL": str(os.cpu_count() or 1)}
        _run([*install, *requirements], log, {**jobs, **(build or {})})
    if sees_ours:
        _add_path(place)
    (place / DONE_NAME).write_text("\n".join(requirements), encoding="utf-8")
    return python


def _run(command: Sequence[str], log: Path, variables: Mapping[str, str] | None = None) -> None:
    environment = {**os.environ, **(variables or {})}
    with log.open("ab") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=environment, check=False)
    if done.returncode:
        raise UnavailableError(f"`{' '.join(command[1:])}` failed: {find_reason(log)}; see {log}")


def find_reason(log: Path) -> str:
    """Return the last line of a log that names an error, else the last line."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    lines = [line for line in lines if line]
    errors = [line for line in lines if line.startswith(("ERROR", "error:"))]
    return (errors or lines or ["it said nothing"])[-1][:300]


def _add_path(place: Path) -> None:
    ours = next(path for path in map(Path, sys.path) if (path / "torch").is_dir())
    theirs = next(place.glob("lib/python*/site-packages"))
    (theirs / "ours.pth").write_text(f"{ours}\n", encoding="utf-8")
