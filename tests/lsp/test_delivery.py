"""An edit's way into the editor: acknowledged at once, proved current when it is sent, seen to arrive."""

from pathlib import Path

import pytest

from assistant.errors import GeneratorError
from lsp.actions.registry import ActionSet
from tests.lsp.conftest import Connect
from tests.lsp.connected import URI, Connected, apply_to, pick
from tests.lsp.fakes import FakeBackend, GatedGenerator, LineAction
from tests.lsp.raw_client import CAPABILITIES, JsonObject

START = "a = 1\nb = 2\nc = 3\n"


def finish(generator: GatedGenerator, streams: int = 1) -> None:
    generator.wait_streams(streams)
    generator.allow(stream=streams - 1)


def test_a_command_is_acknowledged_before_anything_is_generated(
    editor: Connected, generator: GatedGenerator
) -> None:
    identifier = editor.choose("Rewrite")
    received = editor.client.received
    acknowledged = next(n for n, m in enumerate(received) if m.get("id") == identifier)
    asked = [n for n, m in enumerate(received) if "method" in m and "id" in m]
    assert all(n > acknowledged for n in asked), "the editor may be waiting, and was asked something"
    generator.wait_streams(1)
    assert generator.streams[0].steps == 0


def test_the_edit_arrives_versioned_and_in_the_place_it_was_made_for(
    editor: Connected, generator: GatedGenerator
) -> None:
    editor.choose("Rewrite", (1, 0))
    finish(generator)
    message = editor.wait_edit()
    change = message["params"]["edit"]["documentChanges"][0]
    assert change["textDocument"] == {"uri": URI, "version": 1}
    editor.make_edit(message)
    assert editor.text == "a = 1\nx = 1\nc = 3\n"
    assert editor.wait_progress("end")["value"]["message"] == "done"
    assert editor.messages() == []


def test_an_editor_without_document_changes_gets_plain_ones(
    connect: Connect, generator: GatedGenerator
) -> None:
    workspace = {"applyEdit": True, "workspaceEdit": {}}
    editor = connect(FakeBackend(generator))
    editor.client.initialize(CAPABILITIES | {"workspace": workspace})
    editor.open(START)
    editor.choose("Rewrite")
    finish(generator)
    edit = editor.wait_edit()["params"]["edit"]
    assert list(edit) == ["changes"]
    assert apply_to(START, edit) == "x = 1\nb = 2\nc = 3\n"


def test_an_edit_follows_what_is_typed_above_it(editor: Connected, generator: GatedGenerator) -> None:
    editor.choose("Rewrite", (1, 0))
    generator.wait_streams(1)
    generator.allow(1)
    editor.type("import os\n\n" + START)
    editor.titles()  # what was typed has arrived when a later question is answered
    generator.allow()
    message = editor.wait_edit()
    assert message["params"]["edit"]["documentChanges"][0]["textDocument"]["version"] == 2
    editor.make_edit(message)
    assert editor.text == "import os\n\na = 1\nx = 1\nc = 3\n"


def test_an_edit_whose_text_was_changed_is_not_made_and_kept(
    editor: Connected, generator: GatedGenerator
) -> None:
    editor.choose("Rewrite", (1, 0))
    generator.wait_streams(1)
    editor.type("a = 1\nb = 22\nc = 3\n")
    editor.titles()
    generator.allow()
    assert "Insert last result" in editor.wait_shown("The text has changed.")
    assert editor.client.methods("workspace/applyEdit") == []
    assert "Insert last result" in editor.titles()


def test_a_change_that_comes_while_the_edit_is_worked_out_is_not_missed(
    connect: Connect, generator: GatedGenerator
) -> None:
    """The text changes between the moment that the edit is made and the moment that it is sent."""
    action = LineAction()
    editor = connect(FakeBackend(generator), ActionSet([action]))
    editor.client.initialize()
    editor.open(START)
    real, rounds = action.finish, []

    def finish_late(*arguments):
        outcome = real(*arguments)
        rounds.append(1)
        if len(rounds) <= 4:  # the next is worked out where nothing can come in between
            editor.type(f"# {len(rounds)}\n{editor.text}")
            editor.menu()  # answered after the change was taken
        return outcome

    action.finish = finish_late  # pyright: ignore[reportAttributeAccessIssue]
    editor.choose("Rewrite", (1, 0))
    finish(generator)
    message = editor.wait_edit()
    assert message["params"]["edit"]["documentChanges"][0]["textDocument"]["version"] == editor.version
    editor.make_edit(message)
    assert editor.text.endswith("\na = 1\nx = 1\nc = 3\n")


def test_an_editor_that_refuses_gets_the_edit_again_where_the_text_has_moved_on(
    editor: Connected, generator: GatedGenerator
) -> None:
    editor.choose("Rewrite", (1, 0))
    finish(generator)
    first = editor.wait_edit()
    editor.type("# new\n" + START)
    editor.answer_edit(first, {"applied": False, "failureReason": "outdated"})
    second = editor.wait_edit(2)
    editor.make_edit(second)
    assert editor.text == "# new\na = 1\nx = 1\nc = 3\n"
    editor.wait_progress("end")
    assert editor.messages() == []


@pytest.mark.parametrize(
    "answer",
    [
        {"result": {"applied": False, "failureReason": "the buffer is read-only"}},
        {"result": {"applied": False}},
        {"error": {"code": -32603, "message": "require version"}},
    ],
)
def test_an_editor_that_refuses_for_another_reason_is_not_asked_again(
    editor: Connected, generator: GatedGenerator, answer: JsonObject
) -> None:
    editor.choose("Rewrite")
    finish(generator)
    editor.answer_edit(editor.wait_edit(), **answer)
    shown = editor.wait_shown("The editor did not make the edit")
    assert "Insert last result" in shown
    assert len(editor.client.methods("workspace/applyEdit")) == 1
    assert "Insert last result" in editor.titles()


def test_an_editor_that_says_yes_and_does_nothing_is_not_believed(
    editor: Connected, generator: GatedGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Neovim drops an edit of another version with a print, and answers that it was applied.
    monkeypatch.setattr("lsp.delivery.ARRIVAL_S", 0.05)
    editor.choose("Rewrite")
    finish(generator)
    editor.answer_edit(editor.wait_edit(), {"applied": True})
    editor.wait_shown("its text is another")
    assert "Insert last result" in editor.titles()


def test_an_edit_that_arrives_together_with_typing_is_believed(
    editor: Connected, generator: GatedGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lsp.delivery.ARRIVAL_S", 0.05)
    editor.choose("Rewrite", (1, 0))
    finish(generator)
    message = editor.wait_edit()
    editor.type("# typed\na = 1\nx = 1\nc = 3\n")
    editor.answer_edit(message, {"applied": True})
    editor.wait_progress("end")
    assert editor.messages() == []


def test_an_edit_that_an_editor_writes_with_other_line_ends_is_believed(
    editor: Connected, generator: GatedGenerator
) -> None:
    editor.choose("Rewrite")
    finish(generator)
    message = editor.wait_edit()
    editor.type(apply_to(START, message["params"]["edit"]).replace("\n", "\r\n"))
    editor.answer_edit(message, {"applied": True})
    editor.wait_progress("end")
    assert editor.messages() == []


def test_an_outcome_that_changes_nothing_is_not_sent(connect: Connect) -> None:
    class Idle(LineAction):
        def finish(self, plan, reply, current):
            from dataclasses import replace

            edits = super().finish(plan, reply, current)
            return replace(edits, files=tuple(replace(file, edits=()) for file in edits.files))  # pyright: ignore

    generator = GatedGenerator(["x"])
    editor = connect(FakeBackend(generator), ActionSet([Idle()]))
    editor.client.initialize()
    editor.open(START)
    editor.choose("Rewrite")
    finish(generator)
    editor.wait_shown("there is nothing to change")
    assert editor.client.methods("workspace/applyEdit") == []


def test_a_refused_answer_is_asked_for_once_more_and_no_more(connect: Connect) -> None:
    generator = GatedGenerator(["BAD"])
    editor = connect(FakeBackend(generator))
    editor.client.initialize()
    editor.open(START)
    editor.choose("Rewrite")
    editor.wait_progress("begin")
    finish(generator, 1)
    finish(generator, 2)
    editor.wait_shown("That is no code. “Insert last result”")
    assert [request.turns[0].text for request in generator.requests] == ["rewrite this", "once more"]
    reports = [m["params"]["value"].get("message") for m in editor.client.methods("$/progress")]
    assert "trying once more" in reports


def test_the_second_answer_counts(connect: Connect) -> None:
    generator = GatedGenerator(["BAD"])
    editor = connect(FakeBackend(generator))
    editor.client.initialize()
    editor.open(START)
    editor.choose("Rewrite")
    generator.wait_streams(1)
    generator.pieces = ["good"]
    generator.allow(stream=0)
    finish(generator, 2)
    editor.make_edit(editor.wait_edit())
    assert editor.text == "good\nb = 2\nc = 3\n"


def test_what_was_refused_can_be_inserted(editor: Connected, generator: GatedGenerator) -> None:
    generator.pieces = ["def f():\n    BAD\n"]
    editor.choose("Rewrite")
    finish(generator, 1)
    finish(generator, 2)
    editor.wait_shown("That is no code.")
    editor.choose("Insert last result", (1, 0))
    editor.make_edit(editor.wait_edit())
    assert editor.text == "a = 1\nb = 2\ndef f():\n    BAD\nc = 3\n"
    editor.wait_titles(lambda titles: "Insert last result" not in titles)


def test_the_result_of_one_document_is_not_offered_in_another(
    editor: Connected, generator: GatedGenerator
) -> None:
    generator.pieces = ["BAD"]
    editor.choose("Rewrite")
    finish(generator, 1)
    finish(generator, 2)
    editor.wait_shown("That is no code.")
    other = "file:///project/other.py"
    editor.client.open(other, "d = 4\n")
    assert "Insert last result" not in editor.titles(uri=other)


def test_try_again_asks_for_another_answer_than_the_likeliest(
    editor: Connected, generator: GatedGenerator
) -> None:
    generator.pieces = ["BAD"]
    editor.choose("Rewrite", (1, 0))
    finish(generator, 1)
    finish(generator, 2)
    editor.wait_shown("That is no code.")
    generator.pieces = ["better"]
    editor.type("# moved\n" + START)
    assert "Try again" not in editor.titles((0, 0))
    editor.choose("Try again", (2, 0))
    finish(generator, 3)
    editor.make_edit(editor.wait_edit())
    assert editor.text == "# moved\na = 1\nbetter\nc = 3\n"
    assert generator.requests[0].sampling.temperature == 0
    assert generator.requests[2].sampling.temperature > 0


def test_try_again_is_not_offered_where_the_text_is_another(
    editor: Connected, generator: GatedGenerator
) -> None:
    editor.choose("Rewrite")
    finish(generator)
    editor.make_edit(editor.wait_edit())
    editor.wait_progress("end")
    assert "Try again" not in editor.titles()


def test_an_explanation_is_a_document_and_never_an_edit(editor: Connected, generator: GatedGenerator) -> None:
    generator.pieces = ["# Why\n", "Because."]
    editor.choose("Explain")
    finish(generator)
    shown = editor.client.wait_method("window/showDocument")["params"]
    path = Path(shown["uri"].removeprefix("file://"))
    assert path.read_text() == "# Why\nBecause."
    assert path.suffix == ".md"
    assert path.stat().st_mode & 0o077 == 0
    assert editor.client.methods("workspace/applyEdit") == []
    editor.end()
    assert not path.exists()


@pytest.mark.parametrize("shows", [False, True])
def test_an_explanation_is_a_message_where_no_document_can_be_shown(connect: Connect, *, shows: bool) -> None:
    generator = GatedGenerator(["Because. " * 1000])
    editor = connect(FakeBackend(generator))
    editor.client.answers["window/showDocument"] = lambda _: {"success": False}
    window = {"workDoneProgress": True} | ({"showDocument": {"support": True}} if shows else {})
    editor.client.initialize(CAPABILITIES | {"window": window})
    editor.open(START)
    editor.choose("Explain")
    finish(generator)
    shown = editor.wait_shown("Because.")
    assert len(shown) <= 3000


def test_a_file_is_created_by_the_editor(connect: Connect, tmp_path: Path) -> None:
    generator = GatedGenerator(["x = 1"])
    created = tmp_path / "tests" / "test_new.py"
    editor = connect(FakeBackend(generator), ActionSet([LineAction(creates=created)]))
    editor.client.initialize()
    editor.open(START)
    editor.choose("Rewrite")
    finish(generator)
    changes = editor.wait_edit()["params"]["edit"]["documentChanges"]
    assert changes[1] == {"kind": "create", "uri": created.as_uri()}
    assert changes[2]["textDocument"] == {"uri": created.as_uri(), "version": None}
    assert changes[2]["edits"][0]["newText"] == "new\n"
    assert not created.exists()


def test_an_editor_that_cannot_create_files_is_told_so(connect: Connect, tmp_path: Path) -> None:
    generator = GatedGenerator(["x = 1"])
    action = LineAction(creates=tmp_path / "test_new.py")
    editor = connect(FakeBackend(generator), ActionSet([action]))
    editor.client.initialize(CAPABILITIES | {"workspace": {"workspaceEdit": {"documentChanges": True}}})
    editor.open(START)
    editor.choose("Rewrite")
    finish(generator)
    editor.wait_shown("cannot create files")
    assert editor.client.methods("workspace/applyEdit") == []


def test_the_editor_asks_first_where_the_user_wants_that(connect: Connect) -> None:
    generator = GatedGenerator(["x = 1"])
    editor = connect(FakeBackend(generator))
    workspace = {"workspaceEdit": {"documentChanges": True, "changeAnnotationSupport": {}}}
    editor.client.initialize(
        CAPABILITIES | {"workspace": workspace}, initializationOptions={"confirmEdits": True}
    )
    editor.open(START)
    editor.choose("Rewrite")
    finish(generator)
    edit = editor.wait_edit()["params"]["edit"]
    annotation = edit["documentChanges"][0]["edits"][0]["annotationId"]
    assert edit["changeAnnotations"][annotation]["needsConfirmation"] is True


def test_a_missing_generator_is_one_message_with_its_remedy(connect: Connect) -> None:
    # llm.nvim#79, llm-vscode#93: a missing backend was a Lua nil error, or a dead client.
    backend = FakeBackend(GatedGenerator([]))
    backend.error = GeneratorError("the generator could not start", hint="`assistant doctor` says more")
    editor = connect(backend)
    editor.client.initialize()
    editor.open(START)
    editor.choose("Rewrite")
    editor.wait_shown("the generator could not start (`assistant doctor` says more)")
    editor.wait_progress("end")
    assert len(editor.messages()) == 1
    assert "Rewrite" in editor.titles()


def test_a_failure_in_the_middle_of_an_answer_changes_nothing(connect: Connect) -> None:
    from assistant.generator import ScriptedGenerator

    error = GeneratorError("it went away")
    editor = connect(FakeBackend(ScriptedGenerator([error, ["x = 1"]])))
    editor.client.initialize()
    editor.open(START)
    editor.choose("Rewrite")
    editor.wait_shown("it went away")
    editor.choose("Rewrite")
    editor.make_edit(editor.wait_edit())
    assert editor.text == "x = 1\nb = 2\nc = 3\n"


def test_a_bug_in_a_job_is_told_and_the_server_goes_on(connect: Connect, generator: GatedGenerator) -> None:
    backend = FakeBackend(generator)
    backend.error = ValueError("boom")
    editor = connect(backend)
    editor.client.initialize()
    editor.open(START)
    editor.choose("Rewrite")
    editor.wait_shown("a bug in assistant (ValueError)")
    backend.error = None
    editor.choose("Rewrite")
    finish(generator)
    editor.wait_edit()


def test_a_selection_that_is_too_long_is_refused_with_both_numbers(connect: Connect) -> None:
    editor = connect(FakeBackend(GatedGenerator([]), context_tokens=420))
    editor.client.initialize()
    editor.open("x" * 1000)
    editor.choose("Rewrite")
    editor.wait_shown("1000 tokens are more than 4.")


def test_what_was_chosen_in_an_old_menu_works_on_the_text_that_it_was_offered_for(
    editor: Connected, generator: GatedGenerator
) -> None:
    command = pick(editor.menu((1, 0)), "Rewrite")["command"]
    editor.type("# above\n" + START)
    editor.client.request("workspace/executeCommand", {k: command[k] for k in ("command", "arguments")})
    finish(generator)
    editor.make_edit(editor.wait_edit())
    assert editor.text == "# above\na = 1\nx = 1\nc = 3\n"


def test_what_was_chosen_in_a_forgotten_menu_of_the_same_text_works(
    editor: Connected, generator: GatedGenerator
) -> None:
    command = pick(editor.menu((1, 0)), "Rewrite")["command"]
    arguments = [command["arguments"][0] | {"menu": "long ago"}]
    editor.client.request("workspace/executeCommand", {"command": command["command"], "arguments": arguments})
    finish(generator)
    editor.make_edit(editor.wait_edit())
    assert editor.text == "a = 1\nx = 1\nc = 3\n"


def test_what_was_chosen_in_a_forgotten_menu_of_another_text_is_refused(editor: Connected) -> None:
    command = pick(editor.menu((1, 0)), "Rewrite")["command"]
    arguments = [command["arguments"][0] | {"menu": "long ago"}]
    editor.type("# above\n" + START)
    editor.client.request("workspace/executeCommand", {"command": command["command"], "arguments": arguments})
    editor.wait_shown("Open it again")


def test_an_answer_that_was_cut_off_says_what_its_limit_is(connect: Connect) -> None:
    from assistant.requests import Done, FinishReason

    generator = GatedGenerator(["BAD"])
    generator.last = Done(finish_reasons=(FinishReason.LENGTH,), usage=None, model="gated")
    editor = connect(FakeBackend(generator))
    editor.client.initialize()
    editor.open(START)
    editor.choose("Rewrite")
    finish(generator, 1)
    finish(generator, 2)
    editor.wait_shown("The answer was cut off; `sampling.max_tokens` is its limit.")


@pytest.mark.parametrize(("limit", "expected"), [(0, 256), (100, 100), (1000, 256)])
def test_an_editor_may_lower_the_length_of_an_answer(connect: Connect, limit: int, expected: int) -> None:
    generator = GatedGenerator(["x"])
    editor = connect(FakeBackend(generator))
    editor.client.initialize(initializationOptions={"maxTokens": limit})
    editor.open(START)
    editor.choose("Rewrite")
    finish(generator)
    assert generator.requests[0].sampling.max_tokens == expected
