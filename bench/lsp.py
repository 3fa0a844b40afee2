"""What the language server costs: `python bench/lsp.py [--lines N] [--keys N] [--json]`.

The handshake from the start of the process, its memory, and how long a menu takes after every keystroke in a
long file while an answer is written. The generator is the scripted one, so that no model's speed is in the
numbers. The limits are those of an editor that asks on every movement of the cursor.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

import psutil
from scripted import scripted_generator

ROOT = Path(__file__).resolve().parents[1]
LIMITS = {"menu p95 ms": 20.0, "memory MB": 80.0}
URI = "file:///project/long.py"
FUNCTION = 'def area_{0}(width, height):\n    scale = {0} + 1  # TODO: check it\n    return "…" * scale\n\n\n'
CAPABILITIES = {
    "textDocument": {
        "codeAction": {
            "dataSupport": True,
            "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["quickfix", "refactor"]}},
        }
    },
    "window": {"workDoneProgress": True},
    "workspace": {"applyEdit": True, "workspaceEdit": {"documentChanges": True}},
}


class Client:
    """The least that an editor does: one request at a time.

    Args:
        to_server: Written to.
        from_server: Read from.
    """

    def __init__(self, to_server: IO[bytes], from_server: IO[bytes]) -> None:
        self._to_server = to_server
        self._from_server = from_server
        self._number = 0
        self.reports = 0
        """Reports of progress so far."""

    def request(self, method: str, params: object) -> Any:
        """Return the result."""
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        while True:
            message = self._take()
            if "method" not in message and message.get("id") == self._number:
                return message["result"]

    def notify(self, method: str, params: object) -> None:
        """Send a notification."""
        self._send({"method": method, "params": params})

    def wait_reports(self, count: int) -> None:
        """Wait until so many reports of progress have come."""
        while self.reports < count:
            self._take()

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._to_server.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._to_server.flush()

    def _take(self) -> dict[str, Any]:
        length = 0
        while (line := self._from_server.readline()) != b"\r\n":
            if not line:
                raise SystemExit("the language server has ended")
            if line.startswith(b"Content-Length:"):
                length = int(line.partition(b":")[2])
        message = json.loads(self._from_server.read(length))
        if "method" in message and "id" in message:
            self._send({"id": message["id"], "result": None})
        if message.get("method") == "$/progress" and message["params"]["value"]["kind"] == "report":
            self.reports += 1
        return message


def run_session(home: Path, lines: int, keys: int) -> dict[str, float]:
    """Measure one session of an editor and return its numbers."""
    environment = {**os.environ, "ASSISTANT_HOME": str(home), "PYTHONPATH": str(ROOT)}
    started = time.perf_counter()
    program = [sys.executable, "-m", "assistant", "lsp"]
    server = subprocess.Popen(program, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    client = Client(server.stdin, server.stdout)
    try:
        client.request("initialize", {"processId": None, "rootUri": None, "capabilities": CAPABILITIES})
        handshake_ms = (time.perf_counter() - started) * 1000
        client.notify("initialized", {})
        text = "".join(FUNCTION.format(number) for number in range(lines // 5))
        item = {"uri": URI, "languageId": "python", "version": 1, "text": text}
        client.notify("textDocument/didOpen", {"textDocument": item})
        _start_answer(client)
        times = [_type_key(client, number, lines) for number in range(keys)]
        reports = client.reports
        client.wait_reports(reports + 1)  # the answer was being written all the while
        memory = psutil.Process(server.pid).memory_info().rss / 1e6
        client.request("shutdown", None)
        client.notify("exit", None)
        server.wait(10)
    finally:
        server.kill()
        server.wait()
    return {
        "handshake ms": handshake_ms,
        "memory MB": memory,
        "menu p50 ms": statistics.median(times),
        "menu p95 ms": sorted(times)[math.ceil(0.95 * len(times)) - 1],
    }


def _menu(client: Client, line: int) -> Any:
    place = {"line": line, "character": 6}
    where = {"textDocument": {"uri": URI}, "range": {"start": place, "end": place}}
    return client.request("textDocument/codeAction", {**where, "context": {"diagnostics": []}})


def _start_answer(client: Client) -> None:
    (entry,) = [each for each in _menu(client, 0) if each["title"].startswith("Optimize")]
    client.request("workspace/executeCommand", entry["command"])
    client.wait_reports(2)


def _type_key(client: Client, number: int, lines: int) -> float:
    line = lines // 2 - lines // 2 % 5 + 1
    place = {"line": line, "character": 4 + number % 40}
    change = {"range": {"start": place, "end": place}, "text": "abc (\n"[number % 6]}
    started = time.perf_counter()
    client.notify(
        "textDocument/didChange",
        {"textDocument": {"uri": URI, "version": number + 2}, "contentChanges": [change]},
    )
    _menu(client, line)
    return (time.perf_counter() - started) * 1000


def main() -> int:
    """Print the numbers; 1 where one is over its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=5000, help="of the file")
    parser.add_argument("--keys", type=int, default=200, help="keystrokes, with a menu after each")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with scripted_generator(pieces=["x = 1\n"] * 3000, step_s=0.02, context_tokens=8192) as home:
        numbers = run_session(home, options.lines, options.keys)
    if options.json:
        print(json.dumps(numbers))
    else:
        for name, value in numbers.items():
            limit = f"  (limit {LIMITS[name]:g})" if name in LIMITS else ""
            print(f"{name:14}{value:8.1f}{limit}")
    return int(any(numbers[name] > limit for name, limit in LIMITS.items()))


if __name__ == "__main__":
    sys.exit(main())
