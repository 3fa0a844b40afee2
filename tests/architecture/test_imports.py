"""What is loaded when: the static graph cannot see that an import is late, so processes are asked."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from assistant.commands.group import ENTRIES

ROOT = Path(__file__).resolve().parents[2]
ENGINE_STACK = frozenset(
    {"torch", "transformers", "peft", "trl", "bitsandbytes", "datasets", "accelerate", "numpy", "safetensors"}
)
FRONT_ENDS = frozenset({"textual", "rich", "pygls", "lsprotocol"})
SERVER_STACK = frozenset({"starlette", "uvicorn", "pydantic", "watchdog", "asyncio"})
HEAVY = ENGINE_STACK | FRONT_ENDS | SERVER_STACK


def loaded_by(code: str, home: Path, **environment: str) -> set[str]:
    """Run Python in a new process and return the top-level modules that this code has loaded.

    What Python itself loads at its start is not counted: an editable installation adds some to it.
    """
    before = "import sys; at_start = {name.partition('.')[0] for name in sys.modules}"
    report = "print('\\n' + ' '.join({name.partition('.')[0] for name in sys.modules} - at_start))"
    done = subprocess.run(
        [sys.executable, "-c", f"{before}\n{code}\n{report}"],
        cwd=ROOT,
        env={"ASSISTANT_HOME": str(home), "PATH": "", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


def run_code(*arguments: str) -> str:
    return f"from assistant.cli import main; code = main({list(arguments)!r}); assert code == 0, code"


def modules_of_ours(code: str, home: Path) -> set[str]:
    report = "import sys; print('\\n' + ' '.join(name for name in sys.modules if 'assistant' in name))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        cwd=ROOT,
        env={"ASSISTANT_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


class OneAnswer(BaseHTTPRequestHandler):
    """An OpenAI-compatible server with one model and one answer."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send("application/json", json.dumps({"data": [{"id": "tiny"}]}).encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        chunks = [
            {"model": "tiny", "choices": [{"index": 0, "delta": {"content": "x = 1\n"}}]},
            {"model": "tiny", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        ]
        lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
        self._send("text/event-stream", "".join([*lines, "data: [DONE]\n\n"]).encode())

    def _send(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        pass


@pytest.fixture
def generator_url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), OneAnswer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def test_importing_the_edge_loads_nothing_heavy_and_not_even_click(tmp_path: Path) -> None:
    assert (
        loaded_by("import assistant.cli", tmp_path) & (HEAVY | {"click", "dataclasses", "pathlib"}) == set()
    )


def test_the_version_costs_no_more_than_the_edge(tmp_path: Path) -> None:
    assert loaded_by(run_code("--version"), tmp_path) & (HEAVY | {"click", "dataclasses"}) == set()


def test_help_loads_no_command(tmp_path: Path) -> None:
    code = run_code("--help")
    assert loaded_by(code, tmp_path) & (HEAVY | {"httpx2", "pygments"}) == set()
    modules = {f"assistant.commands.{name}" for name in ENTRIES} | {
        entry.module for entry in ENTRIES.values()
    }
    assert modules_of_ours(code, tmp_path) & modules == set()


@pytest.mark.parametrize("name", ENTRIES)
def test_a_commands_help_loads_nothing_heavy(name: str, tmp_path: Path) -> None:
    assert loaded_by(run_code(name, "--help"), tmp_path) & (HEAVY | {"httpx2"}) == set()


def test_a_question_to_a_warm_generator_loads_nothing_heavy(tmp_path: Path, generator_url: str) -> None:
    loaded = loaded_by(run_code("ask", "x"), tmp_path, ASSISTANT_GENERATOR_URL=generator_url)
    assert "httpx2" in loaded
    assert loaded & (HEAVY | {"pygments", "tomlkit", "psutil", "platformdirs", "filelock"}) == set()


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name.partition(".")[0]) for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield node.lineno, module.partition(".")[0]
            case _:
                pass


def test_only_the_engine_names_the_engines_libraries() -> None:
    files = [path for path in (ROOT / "assistant").rglob("*.py") if "engine" not in path.parts]
    libraries = ENGINE_STACK - {"numpy", "safetensors"}
    named = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files
        for line, name in imports_of(path)
        if name in libraries
    ]
    assert len(files) > 20
    assert named == []


def test_the_core_names_no_user_interface() -> None:
    named = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in (ROOT / "assistant").rglob("*.py")
        for line, name in imports_of(path)
        if name in FRONT_ENDS
    ]
    assert named == []
