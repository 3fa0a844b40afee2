"""The extension for VS Code: what it says of itself, and that it can be built."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assistant import __version__
from lsp.menu import COMMANDS
from lsp.settings import LspSettings, parse_settings, setting_names
from tests.lsp.test_profiles import SERVER

ROOT = Path(__file__).resolve().parents[2]
EXTENSION = ROOT / "editors" / "vscode"
DESCRIBED: dict[str, Any] = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))
PROPERTIES: dict[str, Any] = DESCRIBED["contributes"]["configuration"]["properties"]


def needs_node(test: Callable[..., None]) -> Callable[..., None]:
    """What fetches the extension's parts from the npm registry."""
    is_missing = shutil.which("npm") is None
    return pytest.mark.slow(pytest.mark.skipif(is_missing, reason="Node is not installed")(test))


def test_it_has_the_version_of_the_program() -> None:
    assert DESCRIBED["version"] == __version__


def test_its_settings_are_those_of_the_server() -> None:
    names = [name.removeprefix("assistant.") for name in PROPERTIES if name.startswith("assistant.")]
    assert names == [name for name in setting_names() if name != "positionEncoding"]  # it has but one


def test_its_defaults_are_those_of_the_server() -> None:
    defaults = {
        name.removeprefix("assistant."): each["default"]
        for name, each in PROPERTIES.items()
        if name.startswith("assistant.")
    }
    parsed = parse_settings(defaults)
    assert parsed.settings == LspSettings()
    assert parsed.complaints == ()


def test_no_workspace_can_set_the_program() -> None:
    assert PROPERTIES["assistantServer.command"]["scope"] == "machine"


def test_its_commands_are_the_servers_or_its_own() -> None:
    own = {"assistantServer.restart"}
    commands = {each["command"] for each in DESCRIBED["contributes"]["commands"]}
    assert commands - own <= set(COMMANDS)
    source = (EXTENSION / "src" / "extension.ts").read_text(encoding="utf-8")
    assert all(f'"{command}"' in source for command in own)


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((EXTENSION / "package-lock.json").read_text(encoding="utf-8"))
    assert lock["version"] == __version__
    assert not any("resolved" in package for package in lock["packages"].values())


def test_the_description_in_the_package_is_that_of_the_extension() -> None:
    spec = importlib.util.spec_from_file_location("build_extension", EXTENSION / "build.py")
    assert spec is not None
    assert spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    manifest = ElementTree.fromstring(build.render_manifest(DESCRIBED | {"displayName": "A & <B>"}))
    space = {"v": "http://schemas.microsoft.com/developer/vsx-schema/2011"}
    identity = manifest.find(".//v:Identity", space)
    assert identity is not None
    assert identity.attrib["Version"] == __version__
    assert manifest.findtext(".//v:DisplayName", namespaces=space) == "A & <B>"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension's directory, copied and built."""
    root = tmp_path_factory.mktemp("source")
    copy = root / "editors" / "vscode"
    shutil.copytree(EXTENSION, copy, ignore=shutil.ignore_patterns("node_modules", "dist", "*.vsix"))
    shutil.copy(EXTENSION.parents[1] / "LICENSE", root)
    subprocess.run([sys.executable, str(copy / "build.py")], check=True, timeout=250)
    return copy


@needs_node
def test_it_is_built_from_its_source(built: Path) -> None:
    with zipfile.ZipFile(built / "assistant-lsp.vsix") as package:
        assert package.testzip() is None
        names = set(package.namelist())
        bundle = package.read("extension/dist/extension.js").decode()
    assert {"extension.vsixmanifest", "[Content_Types].xml", "extension/package.json"} <= names
    assert "assistantServer.command" in bundle
    assert 'require("vscode")' in bundle


@needs_node
def test_the_protocol_library_of_vscode_carries_an_action_through(built: Path, tmp_path: Path) -> None:
    client = Path(__file__).with_name("node_client.cjs")
    environment = {"ASSISTANT_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["node", str(client), str(built), sys.executable, "-c", SERVER],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    (change,) = json.loads(done.stdout)["documentChanges"]
    assert change["textDocument"] == {"uri": "file:///project/shapes.py", "version": 1}
    assert change["edits"][0]["newText"] == "return w * h"
