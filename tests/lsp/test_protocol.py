"""Whatever an editor sends is answered. Each repair of pygls has its test here."""

from typing import Any

import pytest

from lsp.actions.registry import ActionSet
from tests.lsp.conftest import Connect
from tests.lsp.connected import URI, Connected
from tests.lsp.fakes import FakeBackend, GatedGenerator
from tests.lsp.raw_client import CAPABILITIES, encode_message


def test_the_handshake_says_what_is_offered(connect: Connect) -> None:
    capabilities = connect().client.initialize()["capabilities"]
    assert capabilities["positionEncoding"] == "utf-16"
    assert capabilities["textDocumentSync"]["change"] == 2
    kinds = capabilities["codeActionProvider"]["codeActionKinds"]
    assert kinds == ["quickfix", "refactor", "refactor.rewrite", "refactor.extract"]


def test_no_kind_is_one_that_editors_run_on_saving(connect: Connect) -> None:
    provider = connect().client.initialize()["capabilities"]["codeActionProvider"]
    assert not any(kind.startswith("source") for kind in provider["codeActionKinds"])


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        (None, "utf-16"),
        ([], "utf-16"),
        (["utf-8", "utf-16"], "utf-8"),
        (["utf-32", "utf-8", "utf-16"], "utf-32"),
        (["utf-7", "utf-16"], "utf-16"),
    ],
)
def test_the_editors_first_choice_of_position_encoding_is_taken(
    connect: Connect, offered: Any, taken: str
) -> None:
    capabilities = CAPABILITIES | {"general": {"positionEncodings": offered} if offered is not None else {}}
    assert connect().client.initialize(capabilities)["capabilities"]["positionEncoding"] == taken


def test_a_position_encoding_can_be_forced(connect: Connect) -> None:
    # llm.nvim#81: UTF-8 beside another server's UTF-16 gives warnings and misplaced columns.
    capabilities = CAPABILITIES | {"general": {"positionEncodings": ["utf-8", "utf-16"]}}
    options = {"positionEncoding": "utf-16"}
    result = connect().client.initialize(capabilities, initializationOptions=options)
    assert result["capabilities"]["positionEncoding"] == "utf-16"


def test_a_forced_position_encoding_that_the_editor_lacks_is_utf_16(connect: Connect) -> None:
    options = {"positionEncoding": "utf-8"}
    result = connect().client.initialize(initializationOptions=options)
    assert result["capabilities"]["positionEncoding"] == "utf-16"


def test_a_request_before_the_handshake_is_refused(connect: Connect) -> None:
    client = connect().client
    answer = client.wait_answer(client.send_request("textDocument/codeAction", {}))
    assert answer["error"]["code"] == -32002


def test_a_notification_before_the_handshake_is_dropped(connect: Connect) -> None:
    client = connect().client
    client.open(URI, "x")
    client.notify("$/cancelRequest", {"id": 1})
    client.initialize()
    assert client.methods("window/showMessage") == []


def test_a_second_handshake_is_refused(connect: Connect) -> None:
    client = connect().client
    client.initialize()
    answer = client.wait_answer(client.send_request("initialize", {"capabilities": {}}))
    assert answer["error"]["code"] == -32600


def test_a_request_after_shutdown_is_refused(editor: Connected) -> None:
    editor.client.request("shutdown")
    answer = editor.client.wait_answer(editor.client.send_request("textDocument/codeAction", {}))
    assert answer["error"]["code"] == -32600


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 100_000, -32700),
        (b"null", -32600),
        (b"[]", -32600),
        (b'{"id": 7, "method": "shutdown"}', -32600),
        (b'{"jsonrpc": "1.0", "id": 7, "method": "shutdown"}', -32600),
    ],
)
def test_a_body_that_is_no_message_is_answered_with_an_error(
    editor: Connected, body: bytes, code: int
) -> None:
    editor.client.send_bytes(b"Content-Length: %d\r\n\r\n" % len(body) + body)
    answer = editor.client.wait_message(lambda m: "error" in m)
    assert answer["error"]["code"] == code
    assert editor.titles() != []


def test_parameters_of_the_wrong_shape_are_answered_with_an_error(editor: Connected) -> None:
    identifier = editor.client.send_request("textDocument/codeAction", {"textDocument": 3})
    assert editor.client.wait_answer(identifier)["error"]["code"] == -32602
    assert editor.messages() == []


def test_a_notification_of_the_wrong_shape_is_dropped(editor: Connected) -> None:
    editor.client.notify("textDocument/didChange", {"textDocument": 3})
    assert editor.titles() != []
    assert editor.messages() == []


def test_an_unknown_request_is_refused_and_an_unknown_notification_dropped(editor: Connected) -> None:
    editor.client.notify("$/other")
    editor.client.notify("other/notice", {"a": 1})
    answer = editor.client.wait_answer(editor.client.send_request("textDocument/other", {}))
    assert answer["error"]["code"] == -32601
    assert editor.messages() == []


@pytest.mark.parametrize(
    "params",
    [
        {"command": "assistant.other", "arguments": []},
        {"command": "assistant.run"},
        {"command": "assistant.run", "arguments": ["x"]},
        {"command": "assistant.tryAgain", "arguments": [3]},
    ],
)
def test_a_command_that_does_not_exist_is_refused(editor: Connected, params: dict[str, Any]) -> None:
    identifier = editor.client.send_request("workspace/executeCommand", params)
    assert editor.client.wait_answer(identifier)["error"]["code"] == -32602


@pytest.mark.parametrize("choice", [{}, {"uri": 3}, {"menu": "1", "range": 5}, {"uri": URI, "key": None}])
def test_a_choice_that_is_none_says_that_the_menu_is_old(editor: Connected, choice: object) -> None:
    arguments = {"command": "assistant.run", "arguments": [choice]}
    assert editor.client.request("workspace/executeCommand", arguments) is None
    editor.wait_shown("Open it again")


def test_an_answer_to_nothing_is_dropped(editor: Connected) -> None:
    for answer in ({"result": 1}, {"error": {"code": 1, "message": "x"}}, {"result": None, "id": None}):
        editor.client.send_bytes(encode_message({"jsonrpc": "2.0", "id": "unknown", **answer}))
    assert editor.titles() != []


def test_an_answer_of_the_wrong_shape_ends_the_waiting(editor: Connected, generator: GatedGenerator) -> None:
    editor.choose("Rewrite")
    generator.wait_streams(1)
    generator.allow()
    editor.answer_edit(editor.wait_edit(), result=[1, 2])
    editor.wait_shown("did not make the edit")


def test_shutdown_while_a_command_is_in_flight_is_answered(
    editor: Connected, generator: GatedGenerator
) -> None:
    # pygls 2.1.1 answers: dictionary changed size during iteration.
    editor.choose("Rewrite")
    generator.wait_streams(1)
    generator.allow()
    editor.wait_edit()
    assert editor.end() == 0


def test_exit_without_shutdown_is_code_1(editor: Connected) -> None:
    assert editor.end(shutdown=False) == 1


def test_the_answer_to_a_request_that_was_given_up_is_dropped(
    editor: Connected, generator: GatedGenerator
) -> None:
    # pygls#621: InvalidStateError when the task that waits was cancelled.
    editor.choose("Rewrite")
    generator.wait_streams(1)
    generator.allow()
    message = editor.wait_edit()
    editor.client.request("shutdown")
    editor.answer_edit(message, {"applied": True})
    editor.client.notify("exit")
    assert editor.wait() == 0
    assert editor.messages() == []


def test_a_bug_is_told_once_without_the_users_text(connect: Connect) -> None:
    class Broken:
        name = "broken"

        def offer(self, view: Any) -> Any:
            raise ValueError(view.text)

    connected = connect(FakeBackend(GatedGenerator([])), ActionSet([Broken()]))  # pyright: ignore
    connected.client.initialize()
    connected.open("secret = 1\n")
    identifier = connected.client.send_request(
        "textDocument/codeAction",
        {
            "textDocument": {"uri": URI},
            "range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}},
            "context": {"diagnostics": []},
        },
    )
    assert connected.client.wait_answer(identifier)["error"]["code"] == -32603
    assert "secret" not in connected.wait_shown("a bug in assistant (ValueError)")
