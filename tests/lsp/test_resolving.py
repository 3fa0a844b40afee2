"""Edits by `codeAction/resolve`, for editors that wait without freezing; an instant answer for all others."""

import statistics
import time

import pytest

from assistant.errors import GeneratorError
from lsp.actions.registry import ActionSet
from tests.lsp.conftest import Connect
from tests.lsp.connected import URI, Connected, apply_to, pick
from tests.lsp.fakes import FakeBackend, GatedGenerator, LineAction
from tests.lsp.raw_client import CAPABILITIES, JsonObject

START = "a = 1\nb = 2\nc = 3\n"

HELIX: JsonObject = {
    "general": {"positionEncodings": ["utf-8", "utf-32", "utf-16"]},
    "textDocument": {
        "codeAction": {
            "codeActionLiteralSupport": {
                "codeActionKind": {"valueSet": ["", "quickfix", "refactor", "refactor.rewrite", "source"]}
            },
            "isPreferredSupport": True,
            "disabledSupport": True,
            "dataSupport": True,
            "resolveSupport": {"properties": ["edit", "command"]},
        }
    },
    "window": {"workDoneProgress": True, "showDocument": {"support": True}},
    "workspace": {
        "applyEdit": True,
        "configuration": True,
        "didChangeConfiguration": {"dynamicRegistration": False},
        "workspaceEdit": {
            "documentChanges": True,
            "resourceOperations": ["create", "rename", "delete"],
            "failureHandling": "abort",
            "normalizesLineEndings": False,
        },
    },
}


def connect_as(
    connect: Connect, name: str, generator: GatedGenerator, capabilities: JsonObject = CAPABILITIES
) -> Connected:
    """An editor of some name whose user wants `delivery = resolve`."""
    editor = connect(FakeBackend(generator))
    editor.client.initialize(
        capabilities, clientInfo={"name": name}, initializationOptions={"delivery": "resolve"}
    )
    editor.open(START)
    return editor


@pytest.fixture
def patient(connect: Connect, generator: GatedGenerator) -> Connected:
    return connect_as(connect, "Visual Studio Code", generator)


def send_resolve(editor: Connected, title: str = "Rewrite", line: int = 1) -> int:
    action = pick(editor.menu((line, 0)), title)
    assert "command" not in action
    return editor.client.send_request("codeAction/resolve", action)


def test_an_editor_that_blocks_while_it_resolves_never_waits(
    connect: Connect, generator: GatedGenerator
) -> None:
    # helix#11493, helix#4714: it resolves every action before it runs its command. It freezes meanwhile, and
    # answers nothing that it is asked.
    editor = connect_as(connect, "helix", generator, HELIX)
    editor.client.answers.clear()
    waited: list[float] = []
    for line in (0, 1, 2, 0, 1):
        action = pick(editor.menu((line, 0)), "Rewrite")
        for method, params, answer in (
            ("codeAction/resolve", action, action),
            ("workspace/executeCommand", action["command"], None),
        ):
            begun = time.monotonic()
            assert editor.client.request(method, params) == answer
            waited.append(time.monotonic() - begun)
    assert statistics.median(waited) < 0.1
    generator.wait_streams(1)
    assert all(stream.steps == 0 for stream in generator.streams)


def test_resolving_is_not_announced_where_it_would_freeze(
    connect: Connect, generator: GatedGenerator
) -> None:
    for name in ("helix", "Emacs", ""):
        editor = connect(FakeBackend(generator))
        result = editor.client.initialize(
            HELIX, clientInfo={"name": name}, initializationOptions={"delivery": "resolve"}
        )
        assert not result["capabilities"]["codeActionProvider"]["resolveProvider"]
        editor.wait_shown("assistant.delivery = resolve is not used")


@pytest.mark.parametrize("delivery", ["auto", "command"])
def test_no_editor_is_asked_to_resolve_by_itself(connect: Connect, delivery: str) -> None:
    editor = connect()
    result = editor.client.initialize(
        clientInfo={"name": "Visual Studio Code"}, initializationOptions={"delivery": delivery}
    )
    assert not result["capabilities"]["codeActionProvider"]["resolveProvider"]
    editor.open(START)
    assert "command" in pick(editor.menu(), "Rewrite")
    assert editor.messages() == []


def test_an_editor_that_cannot_resolve_edits_gets_commands(
    connect: Connect, generator: GatedGenerator
) -> None:
    action = CAPABILITIES["textDocument"]["codeAction"] | {"resolveSupport": {"properties": ["command"]}}
    capabilities = CAPABILITIES | {"textDocument": {"codeAction": action}}
    editor = connect_as(connect, "Visual Studio Code", generator, capabilities)
    assert "command" in pick(editor.menu(), "Rewrite")


def test_resolving_returns_the_edit(patient: Connected, generator: GatedGenerator) -> None:
    identifier = send_resolve(patient)
    generator.wait_streams(1)
    generator.allow()
    action = patient.client.wait_answer(identifier)["result"]
    assert apply_to(START, action["edit"]) == "a = 1\nx = 1\nc = 3\n"
    assert action["edit"]["documentChanges"][0]["textDocument"]["version"] == 1
    assert patient.client.methods("workspace/applyEdit") == []


def test_resolving_leaves_the_rest_of_the_action_as_it_was(
    patient: Connected, generator: GatedGenerator
) -> None:
    action = pick(patient.menu(), "Rewrite")
    identifier = patient.client.send_request("codeAction/resolve", action)
    generator.wait_streams(1)
    generator.allow()
    resolved = patient.client.wait_answer(identifier)["result"]
    assert {name: value for name, value in resolved.items() if name != "edit"} == action


def test_a_resolved_edit_follows_what_was_typed(patient: Connected, generator: GatedGenerator) -> None:
    identifier = send_resolve(patient)
    generator.wait_streams(1)
    patient.type("# new\n" + START)
    generator.allow()
    action = patient.client.wait_answer(identifier)["result"]
    assert apply_to(patient.text, action["edit"]) == "# new\na = 1\nx = 1\nc = 3\n"
    assert action["edit"]["documentChanges"][0]["textDocument"]["version"] == 2


def test_a_resolved_edit_whose_text_was_changed_is_left_out(
    patient: Connected, generator: GatedGenerator
) -> None:
    identifier = send_resolve(patient)
    generator.wait_streams(1)
    patient.type("a = 1\nb = 22\nc = 3\n")
    generator.allow()
    assert "edit" not in patient.client.wait_answer(identifier)["result"]
    patient.wait_shown("The text has changed.")
    assert "Insert last result" in patient.titles()


def test_cancelling_the_request_stops_the_generation(patient: Connected, generator: GatedGenerator) -> None:
    identifier = send_resolve(patient)
    generator.wait_streams(1)
    generator.allow(1)
    patient.client.notify("$/cancelRequest", {"id": identifier})
    assert patient.client.wait_answer(identifier)["error"]["code"] == -32800
    generator.wait(lambda: generator.streams[0].is_closed)
    patient.wait_progress("end")
    again = send_resolve(patient)
    generator.wait_streams(2)
    generator.allow()
    assert "edit" in patient.client.wait_answer(again)["result"]


def test_another_road_to_cancel_answers_the_request_without_an_edit(
    patient: Connected, generator: GatedGenerator
) -> None:
    identifier = send_resolve(patient)
    generator.wait_streams(1)
    patient.choose("Cancel generation")
    assert "edit" not in patient.client.wait_answer(identifier)["result"]


def test_shutdown_answers_the_request(patient: Connected, generator: GatedGenerator) -> None:
    identifier = send_resolve(patient)
    generator.wait_streams(1)
    assert patient.end() == 0
    answer = patient.client.wait_answer(identifier)
    assert answer.get("error", {}).get("code") == -32800 or "edit" not in answer["result"]
    assert generator.streams[0].is_closed


def test_a_failure_is_told_and_the_request_answered(connect: Connect) -> None:
    backend = FakeBackend(GatedGenerator([]))
    backend.error = GeneratorError("no generator")
    editor = connect(backend)
    editor.client.initialize(clientInfo={"name": "Neovim"}, initializationOptions={"delivery": "resolve"})
    editor.open(START)
    identifier = send_resolve(editor)
    assert "edit" not in editor.client.wait_answer(identifier)["result"]
    editor.wait_shown("no generator")


def test_a_resolved_explanation_is_shown(patient: Connected, generator: GatedGenerator) -> None:
    generator.pieces = ["Because."]
    identifier = send_resolve(patient, "Explain")
    generator.wait_streams(1)
    generator.allow()
    assert "edit" not in patient.client.wait_answer(identifier)["result"]
    patient.client.wait_method("window/showDocument")


@pytest.mark.parametrize("data", [None, 3, {}, {"menu": "99", "uri": URI, "version": 1}])
def test_an_action_that_is_not_ours_comes_back_as_it_is(patient: Connected, data: object) -> None:
    action = {"title": "Another", "data": data} if data is not None else {"title": "Another"}
    assert patient.client.request("codeAction/resolve", action) == action


def test_a_change_between_the_edit_and_the_answer_is_not_missed(connect: Connect) -> None:
    generator = GatedGenerator(["x = 1"])
    action = LineAction()
    editor = connect(FakeBackend(generator), ActionSet([action]))
    editor.client.initialize(clientInfo={"name": "Neovim"}, initializationOptions={"delivery": "resolve"})
    editor.open(START)
    identifier = send_resolve(editor)
    generator.wait_streams(1)
    real, seen = editor.server.session.work.delivery.is_current, []

    def change_after_the_first_look(edits: object) -> bool:
        seen.append(edits)
        if len(seen) == 1:
            assert real(edits)  # pyright: ignore[reportArgumentType]
            mirror = editor.server.session.documents.find(URI)
            assert mirror is not None
            editor.server.session.documents.open(URI, 7, START, "python")
            return True
        return real(edits)  # pyright: ignore[reportArgumentType]

    editor.server.session.work.delivery.is_current = change_after_the_first_look  # pyright: ignore
    generator.allow()
    assert "edit" not in editor.client.wait_answer(identifier)["result"]
