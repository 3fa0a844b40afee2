"""A language client made of bytes: it sends what it is told to, well-formed or not, and keeps what comes.

Nothing here sleeps: every wait is for a message or an end, with a deadline.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, cast

DEADLINE_S = 20.0
JsonObject = dict[str, Any]

CAPABILITIES: JsonObject = {
    "general": {"positionEncodings": ["utf-16"]},
    "textDocument": {
        "codeAction": {
            "dataSupport": True,
            "resolveSupport": {"properties": ["edit"]},
            "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["quickfix", "refactor"]}},
        }
    },
    "window": {"workDoneProgress": True, "showDocument": {"support": True}},
    "workspace": {
        "applyEdit": True,
        "workspaceEdit": {"documentChanges": True, "resourceOperations": ["create"]},
    },
}
"""An editor that can do what most can."""


def encode_message(message: object) -> bytes:
    body = json.dumps(message).encode()
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


class RawClient:
    """Speaks to a server over two binary streams.

    Args:
        to_server: Written to.
        from_server: Read from, on a thread of its own.
    """

    def __init__(self, to_server: IO[bytes], from_server: IO[bytes]) -> None:
        self._to_server = to_server
        self._from_server = from_server
        self._changed = threading.Condition(threading.RLock())
        self._next_id = 0
        self.received: list[JsonObject] = []
        """All messages so far, oldest first."""
        self.has_ended = False
        """The server has closed its end."""
        self.garbage = b""
        """What came that is no message."""
        self.answers: dict[str, Callable[[Any], Any]] = {
            "window/workDoneProgress/create": lambda _: None,
            "workspace/configuration": lambda params: [None] * len(params["items"]),
            "client/registerCapability": lambda _: None,
            "window/showDocument": lambda _: {"success": True},
        }
        """How the server's own requests are answered; those without an entry are not."""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def send_bytes(self, content: bytes) -> None:
        self._to_server.write(content)
        self._to_server.flush()

    def close(self) -> None:
        """Close the server's standard input."""
        with contextlib.suppress(OSError):  # what was not written has no reader any more
            self._to_server.close()

    def dispose(self) -> None:
        """Close everything, once the server has ended."""
        self.close()
        self._thread.join(DEADLINE_S)
        self._from_server.close()

    def notify(self, method: str, params: object = None) -> None:
        self.send_bytes(encode_message({"jsonrpc": "2.0", "method": method, "params": params}))

    def send_request(self, method: str, params: object = None) -> int:
        self._next_id += 1
        message = {"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": params}
        self.send_bytes(encode_message(message))
        return self._next_id

    def request(self, method: str, params: object = None, *, deadline_s: float = DEADLINE_S) -> Any:
        """Send a request and wait for its result; an error is raised."""
        answer = self.wait_answer(self.send_request(method, params), deadline_s=deadline_s)
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["result"]

    def wait_answer(self, identifier: int, *, deadline_s: float = DEADLINE_S) -> JsonObject:
        return self.wait_message(
            lambda m: m.get("id") == identifier and "method" not in m, deadline_s=deadline_s
        )

    def wait_method(self, method: str, *, after: int = 0) -> JsonObject:
        """Wait for the first message of a method, those before a position in `received` left out."""
        return self.wait_message(lambda m: m.get("method") == method, after=after)

    def wait_message(
        self, wanted: Callable[[JsonObject], bool], *, after: int = 0, deadline_s: float = DEADLINE_S
    ) -> JsonObject:
        def find() -> JsonObject | None:
            return next((message for message in self.received[after:] if wanted(message)), None)

        with self._changed:
            self._changed.wait_for(lambda: find() is not None or self.has_ended, deadline_s)
            found = find()
            assert found is not None, f"no such message (ended: {self.has_ended}): {self.received}"
            return found

    def wait_until(self, condition: Callable[[], bool], *, deadline_s: float = DEADLINE_S) -> None:
        """Wait until something is so of what was received."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition() or self.has_ended, deadline_s), self.received
            assert condition(), f"the server has ended: {self.received}"

    def wait_count(self, method: str, count: int) -> None:
        """Wait until so many messages of a method have come."""
        self.wait_until(lambda: len(self.methods(method)) >= count)

    def wait_end(self, *, deadline_s: float = DEADLINE_S) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.has_ended, deadline_s), "the server goes on"

    def methods(self, method: str) -> list[JsonObject]:
        with self._changed:
            return [message for message in self.received if message.get("method") == method]

    def initialize(self, capabilities: JsonObject | None = None, **params: object) -> JsonObject:
        content: JsonObject = {
            "processId": None,
            "rootUri": None,
            "clientInfo": {"name": "raw"},
            "capabilities": CAPABILITIES if capabilities is None else capabilities,
        }
        result = self.request("initialize", content | params)
        self.notify("initialized", {})
        return result

    def open(self, uri: str, text: str, *, version: int = 1, language: str = "python") -> None:
        item = {"uri": uri, "languageId": language, "version": version, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    def change(self, uri: str, version: int, *changes: JsonObject) -> None:
        document = {"uri": uri, "version": version}
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": list(changes)})

    def actions(self, uri: str, start: tuple[int, int], end: tuple[int, int], **context: object) -> Any:
        """Ask for the menu at a range of (line, character) positions."""
        span = {"start": _position(start), "end": _position(end)}
        content = {"diagnostics": []} | context
        return self.request(
            "textDocument/codeAction",
            {"textDocument": {"uri": uri}, "range": span, "context": content},
        )

    def _read(self) -> None:
        try:
            while (message := self._read_message()) is not None:
                with self._changed:
                    self.received.append(message)
                    self._changed.notify_all()
                if "method" in message and "id" in message:
                    self._answer(message)
        finally:
            with self._changed:
                self.has_ended = True
                self._changed.notify_all()

    def _read_message(self) -> JsonObject | None:
        length = 0
        while line := self._from_server.readline():
            if line == b"\r\n":
                return json.loads(self._from_server.read(length))
            name, _, value = line.partition(b":")
            if name == b"Content-Length":
                length = int(value)
            elif name != b"Content-Type":
                self.garbage += line
        return None

    def _answer(self, message: JsonObject) -> None:
        answer = self.answers.get(cast("str", message["method"]))
        if answer is None:
            return
        result = {"result": answer(message.get("params"))}
        try:
            self.send_bytes(encode_message({"jsonrpc": "2.0", "id": message["id"]} | result))
        except (OSError, ValueError):
            return


class ServerProcess:
    """`assistant lsp` in a process of its own.

    Args:
        program: What to run instead, as Python's arguments.
        environment: Added to ours.
        log: Where its standard error goes.
    """

    def __init__(self, program: list[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._log = log.open("wb")
        self.log_path = log
        self.process = subprocess.Popen(
            [sys.executable, *program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=Path(__file__).parents[2],
            env=dict(os.environ) | dict(environment or {}),
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.client = RawClient(self.process.stdin, self.process.stdout)

    def wait(self, *, deadline_s: float = DEADLINE_S) -> int:
        """Wait for the process's end and return its exit code."""
        return self.process.wait(deadline_s)

    def read_log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.client.dispose()
        self._log.close()


def _position(place: tuple[int, int]) -> JsonObject:
    return {"line": place[0], "character": place[1]}
