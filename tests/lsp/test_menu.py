"""The menu as editors of different abilities get it. No entry needs the model, the disk or the editor."""

from typing import Any

import pytest

from tests.lsp.conftest import Connect
from tests.lsp.connected import Connected, pick
from tests.lsp.fakes import FakeBackend, GatedGenerator
from tests.lsp.raw_client import CAPABILITIES, JsonObject

START = "a = 1\nb = 2\nc = 3\n"


def with_action(**abilities: Any) -> JsonObject:
    """An editor with other abilities for code actions."""
    action = CAPABILITIES["textDocument"]["codeAction"] | abilities
    kept = {name: value for name, value in action.items() if value is not None}
    return CAPABILITIES | {"textDocument": {"codeAction": kept}}


def test_the_menu_is_answered_without_a_question_to_the_editor_or_the_generator(
    editor: Connected, generator: GatedGenerator
) -> None:
    assert editor.titles() == ["Rewrite", "Explain"]
    assert [m for m in editor.client.received if "method" in m] == []
    assert generator.requests == []


def test_the_menu_is_answered_while_a_generation_runs(editor: Connected, generator: GatedGenerator) -> None:
    editor.choose("Rewrite")
    generator.wait_streams(1)
    assert editor.titles((2, 0)) == ["Rewrite", "Explain", "Cancel generation"]


@pytest.mark.parametrize(
    ("only", "titles"),
    [
        (None, ["Rewrite", "Explain"]),
        ([], ["Rewrite", "Explain"]),
        (["refactor"], ["Rewrite", "Explain"]),
        (["refactor.rewrite"], ["Rewrite"]),
        (["refactor.re"], []),
        (["quickfix"], []),
        (["source", "source.fixAll"], []),
        (["quickfix", "refactor.rewrite"], ["Rewrite"]),
    ],
)
def test_the_editor_gets_only_the_kinds_that_it_asks_for(
    editor: Connected, only: Any, titles: list[str]
) -> None:
    context = {} if only is None else {"only": only}
    assert [entry["title"] for entry in editor.menu(**context)] == titles


def test_an_automatic_question_gets_quick_fixes_alone(editor: Connected, generator: GatedGenerator) -> None:
    editor.type("wrong = 1\n")
    assert [entry["title"] for entry in editor.menu(triggerKind=2)] == ["Fix it"]
    editor.choose("Rewrite")
    generator.wait_streams(1)
    assert [entry["title"] for entry in editor.menu(triggerKind=2)] == ["Fix it", "Cancel generation"]


def test_no_entry_is_preferred(editor: Connected) -> None:
    editor.type("wrong = 1\n")
    assert not any(entry.get("isPreferred") for entry in editor.menu())


def test_hidden_actions_are_not_offered(connect: Connect) -> None:
    editor = connect()
    editor.client.initialize(initializationOptions={"hiddenActions": ["explain"]})
    editor.open(START)
    assert editor.titles() == ["Rewrite"]


def test_an_editor_without_literals_gets_bare_commands(connect: Connect, generator: GatedGenerator) -> None:
    editor = connect(FakeBackend(generator))
    editor.client.initialize(with_action(codeActionLiteralSupport=None))
    editor.open(START)
    entry = pick(editor.menu(), "Rewrite")
    assert entry["command"] == "assistant.run"
    editor.client.request(
        "workspace/executeCommand", {"command": entry["command"], "arguments": entry["arguments"]}
    )
    generator.wait_streams(1)
    generator.allow()
    editor.make_edit(editor.wait_edit())
    assert editor.text == "x = 1\nb = 2\nc = 3\n"


@pytest.mark.parametrize(("tags", "expected"), [(None, None), ({"valueSet": [1]}, [1])])
def test_what_the_model_does_is_marked_where_the_editor_knows_the_mark(
    connect: Connect, tags: Any, expected: Any
) -> None:
    editor = connect()
    editor.client.initialize(with_action(tagSupport=tags))
    editor.open(START)
    assert pick(editor.menu(), "Rewrite").get("tags") == expected


def test_nothing_is_offered_in_another_language(editor: Connected) -> None:
    other = "file:///project/notes.md"
    editor.client.open(other, "wrong\n", language="markdown")
    assert editor.titles(uri=other) == []


def test_nothing_is_offered_in_a_document_that_is_not_open(editor: Connected) -> None:
    assert editor.titles(uri="file:///project/other.py") == []


@pytest.mark.parametrize("place", [(0, 10_000), (10_000, 0), (2_147_483_647, 2_147_483_647)])
def test_a_place_outside_of_the_document_is_moved_into_it(editor: Connected, place: tuple[int, int]) -> None:
    assert isinstance(editor.titles(place), list)


def test_a_range_that_is_the_wrong_way_round_is_turned(editor: Connected) -> None:
    assert pick(editor.menu((1, 3), (0, 1)), "Rewrite")["kind"] == "refactor.rewrite"


def test_the_entry_of_a_diagnostic_carries_it(connect: Connect) -> None:
    from lsp.actions.interface import ActionKind, Offer, View
    from lsp.actions.registry import ActionSet
    from tests.lsp.fakes import LineAction

    class Fix(LineAction):
        def offer(self, view: View) -> list[Offer]:
            return [
                Offer(
                    action=self.name,
                    title=f"Fix: {each.message}",
                    kind=ActionKind.QUICK_FIX,
                    target=each.span,
                    diagnostic=each,
                )
                for each in view.diagnostics
            ]

    generator = GatedGenerator(["x"])
    editor = connect(FakeBackend(generator), ActionSet([Fix(name="fix")]))
    editor.client.initialize()
    editor.open(START)
    place = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 1}}
    diagnostics = [
        {"range": place, "message": "unused", "source": "ruff", "code": "F841", "severity": 2},
        {"range": place, "message": "untyped", "code": 7, "data": {"a": [1, None]}},
    ]
    entries = editor.menu(diagnostics=diagnostics)
    assert [entry["title"] for entry in entries] == ["Fix: unused", "Fix: untyped"]
    assert [entry["diagnostics"] for entry in entries] == [[each] for each in diagnostics]
    command = entries[1]["command"]
    editor.client.request("workspace/executeCommand", {k: command[k] for k in ("command", "arguments")})
    generator.wait_streams(1)


def test_a_selection_is_taken_in_the_units_of_the_editor(connect: Connect, generator: GatedGenerator) -> None:
    # claude-code-zed#11, pygls#116, pygls#302: an emoji shifts everything behind it.
    for encoding, column in (("utf-8", 9), ("utf-16", 7), ("utf-32", 6)):
        editor = connect(FakeBackend(generator))
        editor.client.initialize(CAPABILITIES | {"general": {"positionEncodings": [encoding]}})
        editor.open("x = '👍 wrong'\n")
        entries = editor.menu((0, column), (0, column + 3))
        assert [entry["title"] for entry in entries][:2] == ["Rewrite", "Fix it"]
        view = list(editor.server.session.menus.views())[-1]
        assert view.selection.cut(view.text) == "👍 wrong"[1:4]


def test_only_so_many_menus_are_remembered(editor: Connected) -> None:
    for _ in range(100):
        editor.menu()
    assert len(editor.server.session.menus.views()) == 8


def test_the_menu_keeps_its_order_and_ends_with_what_is_around_jobs(
    editor: Connected, generator: GatedGenerator
) -> None:
    generator.pieces = ["BAD"]
    editor.choose("Rewrite")
    for number in (1, 2):
        generator.wait_streams(number)
        generator.allow(stream=number - 1)
    editor.wait_shown("That is no code.")
    assert editor.titles() == ["Rewrite", "Explain", "Insert last result", "Try again"]
