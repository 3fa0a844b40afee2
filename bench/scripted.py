"""A generator that follows a script, for benchmarks in which no model's speed is to be seen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def scripted_generator(**script: Any) -> Iterator[Path]:
    """A home with an active model, whose generator is there and follows a script (`assistant.server`)."""
    home = Path(tempfile.mkdtemp(prefix="as", dir="/tmp"))  # sockets need short paths
    models = home / "data" / "models"
    (models / "scripted").mkdir(parents=True)
    models.chmod(0o700)
    pointer = {"schema": 1, "active": "scripted", "previous": []}
    (models / "active.json").write_text(json.dumps(pointer), encoding="utf-8")
    file = home / "script.json"
    file.write_text(json.dumps({"model": "scripted", **script}), encoding="utf-8")
    program = [sys.executable, "-m", "assistant.server", "--scripted", str(file)]
    environment = {**os.environ, "ASSISTANT_HOME": str(home), "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(program, env=environment)
    try:
        while not (home / "run" / "generator.sock").exists():
            time.sleep(0.02)
        yield home
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(home, ignore_errors=True)
