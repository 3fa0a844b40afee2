"""Settings as editors send them: at the start, when asked, on a change. A mistake never ends the server."""

import pytest

from tests.lsp.conftest import Connect
from tests.lsp.connected import Connected
from tests.lsp.fakes import FakeBackend, GatedGenerator
from tests.lsp.raw_client import CAPABILITIES, JsonObject

START = "a = 1\n"
PULLS = CAPABILITIES | {
    "workspace": CAPABILITIES["workspace"]
    | {"configuration": True, "didChangeConfiguration": {"dynamicRegistration": True}}
}


def answer_settings(editor: Connected, content: object) -> None:
    editor.client.answers["workspace/configuration"] = lambda params: [content] * len(params["items"])


def test_settings_are_asked_for_and_asked_for_again_when_they_change(connect: Connect) -> None:
    editor = connect()
    answer_settings(editor, {"hiddenActions": ["explain"]})
    editor.client.initialize(PULLS)
    editor.open(START)
    editor.wait_titles(lambda titles: titles == ["Rewrite"])
    registration = editor.client.wait_method("client/registerCapability")["params"]["registrations"][0]
    assert registration["method"] == "workspace/didChangeConfiguration"
    answer_settings(editor, {"hiddenActions": ["rewrite"]})
    editor.client.notify("workspace/didChangeConfiguration", {"settings": None})
    editor.wait_titles(lambda titles: titles == ["Explain"])
    asked = editor.client.methods("workspace/configuration")
    assert [item["section"] for item in asked[0]["params"]["items"]] == ["assistant"]


def test_an_editor_that_pushes_its_settings_is_not_asked(connect: Connect) -> None:
    editor = connect()
    editor.client.initialize()
    editor.open(START)
    settings = {"assistant": {"hiddenActions": ["explain"]}}
    editor.client.notify("workspace/didChangeConfiguration", {"settings": settings})
    editor.wait_titles(lambda titles: titles == ["Rewrite"])
    assert editor.client.methods("workspace/configuration") == []


@pytest.mark.parametrize("content", [None, {}, [], "x", 3])
def test_settings_that_are_none_leave_the_first_ones(connect: Connect, content: object) -> None:
    editor = connect()
    answer_settings(editor, content)
    editor.client.initialize(PULLS, initializationOptions={"hiddenActions": ["explain"]})
    editor.open(START)
    editor.client.wait_method("client/registerCapability")
    assert editor.titles() == ["Rewrite"]


def test_an_editor_that_refuses_to_say_its_settings_is_served(connect: Connect) -> None:
    editor = connect()
    editor.client.answers.pop("workspace/configuration")
    editor.client.initialize(PULLS)
    question = editor.client.wait_method("workspace/configuration")
    editor.answer_edit(question, error={"code": -32601, "message": "no"})
    editor.open(START)
    editor.client.wait_method("client/registerCapability")
    assert editor.titles() == ["Rewrite", "Explain"]


def test_an_editor_that_never_says_its_settings_is_served(connect: Connect) -> None:
    editor = connect()
    editor.client.answers.clear()
    editor.client.initialize(PULLS)
    editor.open(START)
    assert editor.titles() == ["Rewrite", "Explain"]
    assert editor.end() == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"delivery": "push"}, "assistant.delivery must be one of auto, command, resolve, got 'push'"),
        ({"delivry": "auto"}, "did you mean delivery?"),
        ({"model": "/tmp/evil"}, "assistant.model cannot be set by an editor"),
        ({"generator": {"url": "http://evil.example"}}, "assistant.generator cannot be set by an editor"),
        ([1], "the settings must be an object"),
    ],
)
def test_a_mistake_in_the_settings_is_told_once_with_what_is_possible(
    connect: Connect, generator: GatedGenerator, options: object, said: str
) -> None:
    # lsp-ai#87, lsp-ai#104: any mistake in the configuration killed the server; users saw "broken pipe".
    editor = connect(FakeBackend(generator))
    editor.client.initialize(initializationOptions=options)
    editor.open(START)
    editor.wait_shown(said)
    editor.client.notify("workspace/didChangeConfiguration", {"settings": options})
    assert editor.titles() == ["Rewrite", "Explain"]
    assert len(editor.messages()) == 1
    editor.choose("Rewrite")
    generator.wait_streams(1)
    generator.allow()
    editor.make_edit(editor.wait_edit())


def test_settings_may_lower_the_length_of_answers_at_any_time(
    connect: Connect, generator: GatedGenerator
) -> None:
    editor = connect(FakeBackend(generator))
    editor.client.initialize()
    editor.open(START)
    settings: JsonObject = {"assistant": {"maxTokens": 9}}
    editor.client.notify("workspace/didChangeConfiguration", {"settings": settings})
    editor.choose("Rewrite")
    generator.wait_streams(1)
    assert generator.requests[0].sampling.max_tokens == 9


def test_delivery_by_resolving_counts_from_the_handshake_on_alone(connect: Connect) -> None:
    editor = connect()
    answer_settings(editor, {"delivery": "resolve"})
    editor.client.initialize(PULLS, clientInfo={"name": "Visual Studio Code"})
    editor.open(START)
    editor.wait_shown("it counts in initializationOptions alone")
    assert all("command" in entry for entry in editor.menu())
