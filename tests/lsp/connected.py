"""A server in this process and a raw client, with pipes between them."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from lsp.actions.registry import ActionSet
from lsp.backend import Backend
from lsp.connection import serve
from lsp.editor import EditorServer
from lsp.server import create_server
from lsp.stdio import Streams
from tests.lsp.raw_client import DEADLINE_S, JsonObject, RawClient, encode_message

URI = "file:///project/shapes.py"
Place = tuple[int, int]


class Connected:
    """Serves one client on a thread until it is closed.

    Args:
        actions: What is offered.
        backend: Who answers.
    """

    def __init__(self, actions: ActionSet, backend: Backend) -> None:
        to_server, from_client = os.pipe()
        from_server, to_client = os.pipe()
        self.aborted: list[int] = []
        """Exit codes that the server would have ended the process with by force."""
        self.code: int | None = None
        self.text = ""
        """The buffer, after each edit that was made."""
        self.version = 1
        self.server: EditorServer = create_server(actions, backend)
        streams = Streams(
            incoming=os.fdopen(to_server, "rb"), outgoing=os.fdopen(to_client, "wb", buffering=0)
        )
        self._streams = streams
        self.client = RawClient(os.fdopen(from_client, "wb"), os.fdopen(from_server, "rb"))
        self._thread = threading.Thread(target=self._serve, args=(streams,), daemon=True)
        self._thread.start()

    def open(self, text: str, uri: str = URI, **options: Any) -> None:
        """Open the document."""
        self.text = text
        self.client.open(uri, text, **options)

    def type(self, text: str, uri: str = URI) -> None:
        """Make the document another text."""
        self.text = text
        self.version += 1
        self.client.change(uri, self.version, {"text": text})

    def menu(self, start: Place = (0, 0), end: Place | None = None, uri: str = URI, **context: Any) -> Any:
        """Ask what can be done."""
        return self.client.actions(uri, start, start if end is None else end, **context)

    def titles(self, start: Place = (0, 0), uri: str = URI) -> list[str]:
        """The titles of the menu."""
        return [entry["title"] for entry in self.menu(start, uri=uri)]

    def wait_titles(self, condition: Callable[[list[str]], bool], start: Place = (0, 0)) -> None:
        """Ask for the menu until something is so of it."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition(titles := self.titles(start)):
            assert time.monotonic() < deadline, titles

    def choose(self, title: str, start: Place = (0, 0), uri: str = URI, **fields: Any) -> int:
        """Choose an entry of the menu and return the id of the request."""
        command = pick(self.menu(start, uri=uri), title)["command"]
        identifier = self.client.send_request(
            "workspace/executeCommand",
            {"command": command["command"], "arguments": command.get("arguments"), **fields},
        )
        assert self.client.wait_answer(identifier)["result"] is None
        return identifier

    def wait_edit(self, number: int = 1) -> JsonObject:
        """Wait for the server's edit, the first, second, …"""
        self.client.wait_count("workspace/applyEdit", number)
        return self.client.methods("workspace/applyEdit")[number - 1]

    def answer_edit(self, message: JsonObject, result: object = None, error: object = None) -> None:
        """Answer the server's edit."""
        answer = {"error": error} if error is not None else {"result": result}
        self.client.send_bytes(encode_message({"jsonrpc": "2.0", "id": message["id"], **answer}))

    def make_edit(self, message: JsonObject, uri: str = URI) -> None:
        """Do what an honest editor does with an edit."""
        self.type(apply_to(self.text, message["params"]["edit"], uri), uri)
        self.answer_edit(message, {"applied": True})

    def wait_progress(self, kind: str, number: int = 1) -> JsonObject:
        """Wait for the first, second, … begin, report or end of progress."""

        def find() -> list[JsonObject]:
            values = [message["params"] for message in self.client.methods("$/progress")]
            return [value for value in values if value["value"]["kind"] == kind]

        self.client.wait_until(lambda: len(find()) >= number)
        return find()[number - 1]

    def messages(self) -> list[str]:
        """What was said to the user so far."""
        return [message["params"]["message"] for message in self.client.methods("window/showMessage")]

    def wait_shown(self, part: str) -> str:
        """Wait until something that contains a text is said to the user."""
        self.client.wait_until(lambda: any(part in text for text in self.messages()))
        return next(text for text in self.messages() if part in text)

    def end(self, *, shutdown: bool = True) -> int:
        """End the session as an editor does and return the exit code."""
        if shutdown:
            self.client.request("shutdown")
        self.client.notify("exit")
        return self.wait()

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the server goes on"
        assert self.code is not None
        return self.code

    def close(self) -> None:
        """End it, however it is."""
        self.client.close()
        self._thread.join(DEADLINE_S)
        self._streams.incoming.close()
        self.client.dispose()

    def _serve(self, streams: Streams) -> None:
        self.code = serve(self.server, streams, abort=self.aborted.append)
        streams.outgoing.close()


def pick(entries: list[JsonObject], title: str) -> JsonObject:
    """The one entry of a menu with a title."""
    found = [entry for entry in entries if entry["title"] == title]
    assert len(found) == 1, [entry["title"] for entry in entries]
    return found[0]


def apply_to(text: str, edit: JsonObject, uri: str = URI) -> str:
    """Make a workspace edit, as an editor that counts in UTF-16 does."""
    changes: list[JsonObject] = []
    for change in edit.get("documentChanges") or []:
        if "textDocument" in change and change["textDocument"]["uri"] == uri:
            changes += change["edits"]
    changes += (edit.get("changes") or {}).get(uri, [])
    offsets = [
        (_offset(text, change["range"]["start"]), _offset(text, change["range"]["end"]), change["newText"])
        for change in changes
    ]
    for start, end, new in sorted(offsets, reverse=True):
        assert start <= end
        text = text[:start] + new + text[end:]
    return text


def _offset(text: str, place: JsonObject) -> int:
    starts = [0, *(match.end() for match in re.finditer("\r\n?|\n", text))]
    start, units = starts[place["line"]], place["character"]
    end = start
    while units > 0:
        units -= 2 if ord(text[end]) > 0xFFFF else 1
        end += 1
    assert units == 0
    return end
