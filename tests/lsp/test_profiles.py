"""Editors as pytest-lsp recorded them, and pytest-lsp's own client, which warns of what they cannot take."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import converters, types
from pytest_lsp import LanguageClient, client_capabilities, make_test_lsp_client

from lsp.actions.catalog import build_actions
from tests.lsp.conftest import Connect
from tests.lsp.connected import URI, Connected
from tests.lsp.fakes import FakeBackend, GatedGenerator
from tests.lsp.raw_client import DEADLINE_S, JsonObject

EDITORS = {
    "visual_studio_code": "Visual Studio Code",
    "neovim@0.11.0": "Neovim",
    "neovim@0.7.0": "Neovim",
    "emacs@29.1": "Emacs",
}
ROOT = Path(__file__).resolve().parents[2]
STUB = "def area(w, h):\n    pass\n"
BODY = "def area(w, h):\n    return w * h\n"
SERVER = f"""
import os
from lsp.stdio import claim_streams
streams = claim_streams()
from assistant.generator import ScriptedGenerator
from lsp.actions.catalog import build_actions
from lsp.command import run_server
from tests.lsp.fakes import FakeBackend
os._exit(run_server(streams, build_actions(), FakeBackend(ScriptedGenerator([[{BODY!r}]]))))
"""

editors = pytest.mark.parametrize("profile", EDITORS)


def read_profile(profile: str) -> JsonObject:
    return converters.get_converter().unstructure(client_capabilities(profile), types.ClientCapabilities)


@pytest.fixture
def start(connect: Connect) -> Callable[[str], tuple[Connected, GatedGenerator]]:
    def start_one(profile: str) -> tuple[Connected, GatedGenerator]:
        generator = GatedGenerator([BODY])
        editor = connect(FakeBackend(generator), build_actions())
        editor.client.answers["workspace/configuration"] = lambda params: [{} for _ in params["items"]]
        editor.client.initialize(read_profile(profile), clientInfo={"name": EDITORS[profile]})
        editor.open(STUB)
        return editor, generator

    return start_one


Start = Callable[[str], tuple[Connected, GatedGenerator]]


@editors
def test_an_editor_gets_its_edit_in_the_form_that_it_takes(start: Start, profile: str) -> None:
    editor, generator = start(profile)
    editor.choose("Implement `area`")
    generator.wait_streams(1)
    generator.allow()
    message = editor.wait_edit()
    editor.make_edit(message)
    assert editor.text == BODY
    announced = read_profile(profile)["workspace"]["workspaceEdit"].get("documentChanges")
    assert ("documentChanges" in message["params"]["edit"]) == bool(announced)


@editors
def test_an_editor_is_asked_only_for_what_it_announced(start: Start, profile: str) -> None:
    editor, generator = start(profile)
    editor.choose("Explain `area`")
    generator.wait_streams(1)
    generator.allow()
    window = read_profile(profile).get("window") or {}
    wanted = (
        "window/showDocument" if (window.get("showDocument") or {}).get("support") else "window/showMessage"
    )
    editor.client.wait_method(wanted)
    asked = {message["method"] for message in editor.client.received if "method" in message}
    if not window.get("workDoneProgress"):
        assert "window/workDoneProgress/create" not in asked
        assert "$/progress" not in asked
    if not read_profile(profile)["workspace"].get("configuration"):
        assert "workspace/configuration" not in asked


@editors
def test_an_editor_that_cannot_create_files_is_told_why_there_are_no_tests(
    start: Start, profile: str, tmp_path: Path
) -> None:
    editor, generator = start(profile)
    uri = (tmp_path / "shapes.py").as_uri()
    editor.open(BODY, uri)
    generator.pieces = ["from shapes import area\n\n\ndef test_area():\n    assert area(2, 3) == 6\n"]
    editor.choose("Write tests for `area`", uri=uri)
    generator.wait_streams(1)
    generator.allow()
    operations = read_profile(profile)["workspace"]["workspaceEdit"].get("resourceOperations") or []
    if "create" in operations:
        changes = editor.wait_edit()["params"]["edit"]["documentChanges"]
        assert [change.get("kind") for change in changes] == ["create", None]
    else:
        editor.wait_shown("cannot create files")


@editors
def test_the_client_of_pytest_lsp_carries_an_action_through(
    profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    asyncio.run(asyncio.wait_for(carry_through(profile), DEADLINE_S))


async def carry_through(profile: str) -> None:
    client: Any = make_test_lsp_client()
    arrived: asyncio.Future[types.ApplyWorkspaceEditParams] = asyncio.get_running_loop().create_future()

    @client.feature(types.WORKSPACE_APPLY_EDIT)
    def take(params: types.ApplyWorkspaceEditParams) -> types.ApplyWorkspaceEditResult:
        arrived.set_result(params)
        return types.ApplyWorkspaceEditResult(applied=True)

    await client.start_io(sys.executable, "-c", SERVER)
    await client.initialize_session(
        types.InitializeParams(capabilities=client_capabilities(profile), root_uri=None, workspace_folders=[])
    )
    item = types.TextDocumentItem(uri=URI, language_id="python", version=1, text=STUB)
    client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=item))
    command = await find_command(client)
    assert await client.workspace_execute_command_async(command) is None
    await arrived
    await client.shutdown_session()


async def find_command(client: LanguageClient) -> types.ExecuteCommandParams:
    raw: Any = client.protocol
    raw.get_result_type = lambda _: None  # lsprotocol takes an action with a command for a command
    start = types.Position(line=0, character=0)
    params = types.CodeActionParams(
        text_document=types.TextDocumentIdentifier(uri=URI),
        range=types.Range(start=start, end=start),
        context=types.CodeActionContext(diagnostics=[]),
    )
    entries: Any = await raw.send_request_async(types.TEXT_DOCUMENT_CODE_ACTION, params)
    del raw.get_result_type
    chosen = next(entry for entry in entries if entry["title"] == "Implement `area`")["command"]
    return types.ExecuteCommandParams(command=chosen["command"], arguments=chosen["arguments"])
