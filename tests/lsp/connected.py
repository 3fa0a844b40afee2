"""A server in this process and a raw client, with pipes between them."""

from __future__ import annotations

import os
import threading

from lsp.actions.registry import ActionSet
from lsp.backend import Backend
from lsp.connection import serve
from lsp.editor import EditorServer
from lsp.server import create_server
from lsp.stdio import Streams
from tests.lsp.raw_client import DEADLINE_S, JsonObject, RawClient

URI = "file:///project/shapes.py"


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
        self.server: EditorServer = create_server(actions, backend)
        streams = Streams(
            incoming=os.fdopen(to_server, "rb"), outgoing=os.fdopen(to_client, "wb", buffering=0)
        )
        self._streams = streams
        self.client = RawClient(os.fdopen(from_client, "wb"), os.fdopen(from_server, "rb"))
        self._thread = threading.Thread(target=self._serve, args=(streams,), daemon=True)
        self._thread.start()

    def end(self, *, shutdown: bool = True) -> int:
        """End the session as an editor does and return the exit code."""
        if self._thread.is_alive():
            if shutdown:
                self.client.request("shutdown")
            self.client.notify("exit")
        return self.wait()

    def wait(self) -> int:
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the server goes on"
        assert self.code is not None
        return self.code

    def close(self) -> None:
        """End it, however it is."""
        if self._thread.is_alive():
            self.client.close()
        self._thread.join(DEADLINE_S)

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
        text = text[:start] + new + text[end:]
    return text


def _offset(text: str, place: JsonObject) -> int:
    import re

    starts = [0, *(match.end() for match in re.finditer("\r\n?|\n", text))]
    start, units = starts[place["line"]], place["character"]
    end = start
    while units > 0:
        units -= 2 if ord(text[end]) > 0xFFFF else 1
        end += 1
    assert units == 0
    return end
