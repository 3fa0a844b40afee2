"""What starting costs, as multiples of a bare Python: `python bench/startup.py [--rounds N] [--json]`.

`--version`, `--help` and a warm `ask` up to the moment its request arrives, each run alternately with
`python -c pass` and divided by its median. The generator is a stub on a Unix socket that notes when a
request arrives, so that no model's speed is in the numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from assistant import __version__, paths
from assistant.client.calls import PROTOCOL

LIMITS = {"--version": 6.0, "warm ask": 15.0}
CHUNK = {
    "id": "chatcmpl-0",
    "object": "chat.completion.chunk",
    "model": "stub",
    "choices": [{"index": 0, "delta": {"content": "pass\n"}, "finish_reason": None}],
}
LAST = {**CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


class StubGenerator:
    """Answers /health and any POST at once, and notes when each POST arrived."""

    def __init__(self, home: Path) -> None:
        self.arrivals: list[float] = []
        run = home / "run"
        run.mkdir(mode=0o700)
        (run / "token").write_text("stub", encoding="ascii")
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(run / "generator.sock"))
        self._socket.listen(16)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        received = b""
        while data := connection.recv(65536):
            received += data
            head, separator, body = received.partition(b"\r\n\r\n")
            if not separator or len(body) < _content_length(head):
                continue
            if head.startswith(b"POST"):
                self.arrivals.append(time.monotonic())
                events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in (CHUNK, LAST))
                _reply(connection, "text/event-stream", events + "data: [DONE]\n\n")
            else:
                health = {"status": "ready", "protocol": PROTOCOL, "version": __version__}
                _reply(connection, "application/json", json.dumps(health))
            received = b""


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def _reply(connection: socket.socket, kind: str, text: str) -> None:
    body = text.encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)


def measure(rounds: int) -> dict[str, float]:
    """Return medians in seconds: of a bare Python and of each command."""
    # The runtime directory's path must fit into a socket's name.
    home = Path(tempfile.mkdtemp(prefix="as"))
    os.environ["ASSISTANT_HOME"] = str(home)
    stub = StubGenerator(home)
    _pretend_active_model()
    program = [sys.executable, "-m", "assistant"]
    commands = {
        "bare": [sys.executable, "-c", "pass"],
        "--version": [*program, "--version"],
        "--help": [*program, "--help"],
        "warm ask": [*program, "ask", "x", "--input", "y"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for round_number in range(rounds + 1):
        for name, command in commands.items():
            started = time.monotonic()
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            ended = stub.arrivals[-1] if name == "warm ask" else time.monotonic()
            if round_number:  # the first warms the disk cache
                seconds[name].append(ended - started)
    shutil.rmtree(home)
    return {name: statistics.median(values) for name, values in seconds.items()}


def _pretend_active_model() -> None:
    """A store whose pointer names a model: `ask` looks no further, the generator is the one to load it."""
    models = paths.models_dir()
    models.mkdir(parents=True, mode=0o700)
    (models / "stub").mkdir()
    pointer = {"schema": 1, "active": "stub", "previous": []}
    (models / "active.json").write_text(json.dumps(pointer), encoding="utf-8")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    medians = measure(options.rounds)
    multiples = {name: value / medians["bare"] for name, value in medians.items() if name != "bare"}
    if options.json:
        print(json.dumps({"bare_s": medians["bare"], "multiples": multiples, "limits": LIMITS}))
        return
    print(f"bare Python: {medians['bare'] * 1000:.1f} ms (median of {options.rounds})")
    for name, multiple in multiples.items():
        limit = f"  (goal: at most {LIMITS[name]:g}x)" if name in LIMITS else ""
        print(f"{name:>10}: {multiple:5.1f}x  {medians[name] * 1000:6.1f} ms{limit}")


if __name__ == "__main__":
    main()
