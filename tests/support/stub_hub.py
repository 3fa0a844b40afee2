"""A hub on this machine: repositories of small files, spoken to as the hub is."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = ".safetensors", ".bin"


@dataclass
class StubRepository:
    """Files, and how the hub answers for them."""

    files: dict[str, bytes]
    commit: str = COMMIT
    revisions: tuple[str, ...] = ("main",)
    tags: tuple[str, ...] = ("license:apache-2.0",)
    refusal: tuple[int, str] | None = None
    """A status and an error code, for whoever asks without the right token."""
    token: str = ""
    lies: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """What is sent in place of a file."""
    is_private: bool = False
    before: Callable[[str], int] | None = None
    """Called with each path before its content is sent; returns the status to answer with."""


class StubHub:
    """Answers on loopback until it is closed."""

    def __init__(self) -> None:
        self.repositories: dict[str, StubRepository] = {}
        self.users: dict[str, dict[str, Any]] = {}
        """By token: what the hub says of whoever sends it. They write to what is theirs."""
        self.requests: list[tuple[str, str]] = []
        """Method and path of every request, oldest first."""
        hub = self

        class Handler(_Handler):
            stub = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def sent(self) -> list[str]:
        """The paths of all files whose content was asked for."""
        return [
            path.split("/", 5)[5] for method, path in self.requests if method == "GET" and "/resolve/" in path
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    stub: StubHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class named it
        return

    def do_GET(self) -> None:
        if urlsplit(self.path).path != "/api/whoami-v2":
            self._answer()
            return
        user = self._find_user()
        self.stub.requests.append((self.command, self.path))
        if user is None:
            self._refuse(401, "")
        else:
            self._send_json(user)

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.stub.requests.append((self.command, path))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        user = self._find_user()
        parts = path.strip("/").split("/")
        if path == "/api/validate-yaml":
            self._send_json({"errors": [], "warnings": []})
        elif user is None:
            self._refuse(401, "")
        elif path == "/api/repos/create":
            wanted = json.loads(body)
            self._create(user, f"{wanted.get('organization') or user['name']}/{wanted['name']}", wanted)
        elif parts[2] != user["name"]:
            self._refuse(403, "")
        elif parts[4] == "preupload":
            names = [one["path"] for one in json.loads(body)["files"]]
            files = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]
            self._send_json({"files": files})
        else:
            self._commit("/".join(parts[2:4]), body)

    def _find_user(self) -> dict[str, Any] | None:
        return self.stub.users.get((self.headers.get("Authorization") or "").removeprefix("Bearer "))

    def _create(self, user: dict[str, Any], name: str, wanted: dict[str, Any]) -> None:
        if name.partition("/")[0] != user["name"]:
            self._refuse(403, "")
        elif name in self.stub.repositories:
            self._send_json({"error": "it is there", "url": f"{self.stub.url}/{name}"}, status=409)
        else:
            private = wanted.get("private") or wanted.get("visibility") == "private"
            self.stub.repositories[name] = StubRepository(files={}, is_private=bool(private))
            self._send_json({"url": f"{self.stub.url}/{name}"})

    def _commit(self, name: str, body: bytes) -> None:
        for line in body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                content = base64.b64decode(entry["value"]["content"])
                self.stub.repositories[name].files[entry["value"]["path"]] = content
        self._send_json({"commitUrl": f"{self.stub.url}/{name}/commit/{COMMIT}", "commitOid": COMMIT})

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.stub.requests.append((self.command, path))
        parts = path.strip("/").split("/")
        if parts[:2] in (["api", "models"], ["api", "datasets"]):
            name, rest = "/".join(parts[2:4]), parts[4:]
        else:
            parts = parts[parts[0] == "datasets" :]
            name, rest = "/".join(parts[:2]), parts[2:]
        repository = self.stub.repositories.get(name)
        if repository is None:
            self._refuse(401, "RepoNotFound")
        elif repository.refusal and self.headers.get("Authorization") != f"Bearer {repository.token}":
            self._refuse(*repository.refusal)
        elif len(rest) > 1 and unquote(rest[1]) not in (*repository.revisions, repository.commit):
            self._refuse(404, "RevisionNotFound")
        elif not rest or rest[0] == "revision":
            self._send_json(_describe(name, repository))
        elif rest[0] == "tree":
            folder = "/".join([*rest[2:], ""])
            files = {path: content for path, content in repository.files.items() if path.startswith(folder)}
            if files:
                self._send_json([_describe_file(path, content) for path, content in files.items()])
            else:
                self._refuse(404, "EntryNotFound")
        else:
            self._send_file(repository, "/".join(rest[2:]))

    def _send_file(self, repository: StubRepository, path: str) -> None:
        content = repository.lies.get(path, repository.files.get(path))
        if content is None:
            self._refuse(404, "EntryNotFound")
            return
        status = repository.before(path) if self.command == "GET" and repository.before else 200
        if status != 200:
            self._refuse(status, "")
            return
        self.send_response(200)
        self.send_header("X-Repo-Commit", repository.commit)
        self.send_header("ETag", f'"{_etag(path, repository.files.get(path, content))}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def _send_json(self, document: object, *, status: int = 200) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _describe(name: str, repository: StubRepository) -> dict[str, Any]:
    siblings: list[dict[str, Any]] = []
    for path, content in repository.files.items():
        file = _describe_file(path, content)
        large = file.get("lfs")
        lfs = {"lfs": {"sha256": large["oid"], "size": large["size"], "pointerSize": 134}} if large else {}
        siblings.append({"rfilename": path, "size": file["size"], "blobId": file["oid"], **lfs})
    return {
        "_id": "1",
        "id": name,
        "sha": repository.commit,
        "private": repository.is_private,
        "tags": list(repository.tags),
        "siblings": siblings,
    }


def _describe_file(path: str, content: bytes) -> dict[str, Any]:
    header = f"blob {len(content)}\0".encode()
    file: dict[str, Any] = {
        "type": "file",
        "path": path,
        "size": len(content),
        "oid": hashlib.sha1(header + content, usedforsecurity=False).hexdigest(),
    }
    if path.endswith(LARGE):
        file["lfs"] = {"oid": _etag(path, content), "size": len(content), "pointerSize": 134}
    return file


def _etag(path: str, content: bytes) -> str:
    if path.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()
