"""A small stand-in for a model hub's HTTP interface, on a loopback port."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubStub:
    """Serves one repository in one state.

    Args:
        repository: Its name, `org/name`.
        files: Path and content of each file.
        status: What every request is answered with; 200 serves.
        error_code: The hub's word for a refusal, such as `GatedRepo`.
    """

    def __init__(
        self, repository: str, files: Mapping[str, bytes], *, status: int = 200, error_code: str = ""
    ) -> None:
        self.repository = repository
        self.files = dict(files)
        self.status = status
        self.error_code = error_code
        self.fetched: list[str] = []
        """Files whose content was asked for."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def describe(self) -> dict[str, Any]:
        siblings: list[dict[str, Any]] = []
        for path, content in self.files.items():
            sibling: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": blob_sha1(content)}
            if path.endswith((".safetensors", ".bin")):
                sha256 = hashlib.sha256(content).hexdigest()
                sibling["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 130}
            siblings.append(sibling)
        return {
            "id": self.repository,
            "modelId": self.repository,
            "sha": COMMIT,
            "private": False,
            "tags": ["license:apache-2.0"],
            "siblings": siblings,
        }

    def list_tree(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        for sibling in self.describe()["siblings"]:
            entry: dict[str, Any] = {"type": "file", "path": sibling["rfilename"], "size": sibling["size"]}
            entry["oid"] = sibling["blobId"]
            if "lfs" in sibling:
                size = sibling["lfs"]["size"]
                entry["lfs"] = {"oid": sibling["lfs"]["sha256"], "size": size, "pointerSize": 130}
            entries.append(entry)
        return entries


def blob_sha1(content: bytes) -> str:
    """git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _handler(hub: HubStub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            if hub.status != 200:
                return self._send(hub.status, b"{}", {"X-Error-Code": hub.error_code}, with_body=with_body)
            if path.startswith(f"/api/models/{hub.repository}"):
                rest = path.removeprefix(f"/api/models/{hub.repository}")
                if rest in ("", "/revision/main", f"/revision/{COMMIT}"):
                    content = json.dumps(hub.describe()).encode()
                    return self._send(200, content, {"Content-Type": "application/json"}, with_body=with_body)
                if rest == f"/tree/{COMMIT}":
                    content = json.dumps(hub.list_tree()).encode()
                    return self._send(200, content, {"Content-Type": "application/json"}, with_body=with_body)
                return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, with_body=with_body)
            prefix = f"/{hub.repository}/resolve/{COMMIT}/"
            name = path.removeprefix(prefix)
            if not path.startswith(prefix) or name not in hub.files:
                return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, with_body=with_body)
            if with_body:
                hub.fetched.append(name)
            content = hub.files[name]
            large = name.endswith((".safetensors", ".bin"))
            etag = hashlib.sha256(content).hexdigest() if large else blob_sha1(content)
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            return self._send(200, content, headers, with_body=with_body)

        def _send(self, status: int, body: bytes, headers: dict[str, str], *, with_body: bool) -> None:
            self.send_response(status)
            for key, value in headers.items():
                if value:
                    self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    return Handler
