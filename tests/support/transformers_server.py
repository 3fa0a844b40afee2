"""`transformers serve`: a generator that is not ours, on a port of this machine."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from homes import Home, wait_until


@contextmanager
def transformers_serve(model: Path, home: Home, scratch: Path, *flags: str) -> Iterator[str]:
    """Serve a model and yield the beginning of the interface's address; `scratch` is an empty directory."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    program = Path(sys.executable).with_name("transformers")
    place = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    log = scratch / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "serve", str(model), *place, *flags],
            env=home.environment(HF_HUB_OFFLINE="1", HF_HOME=str(scratch / "hf")),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )

    def is_up() -> bool:
        assert process.poll() is None, log.read_text(encoding="utf-8")[-2000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as response:
                return response.status == 200
        except (urllib.error.URLError, OSError):
            return False

    try:
        wait_until(is_up, seconds=240)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()
