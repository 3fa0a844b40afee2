"""What a user sees of a job: what is waited for, how much there is, how fast it comes, and its end."""

from typing import Any

import pytest

from assistant.requests import Loading, Started, Token
from lsp.progress import Meter, render_loading, render_writing
from tests.lsp.conftest import Connect
from tests.lsp.connected import Connected
from tests.lsp.fakes import FakeBackend, GatedGenerator
from tests.lsp.raw_client import CAPABILITIES, JsonObject

START = "a = 1\nb = 2\nc = 3\n"
WITHOUT_PROGRESS = CAPABILITIES | {"window": {}}


def values(editor: Connected) -> list[JsonObject]:
    return [message["params"]["value"] for message in editor.client.methods("$/progress")]


def test_a_job_is_shown_from_its_begin_to_its_end(connect: Connect) -> None:
    loading = tuple(Loading(stage="loading weights", fraction=n / 4) for n in range(4))
    generator = GatedGenerator(["x = 1"], loading=loading)
    editor = connect(FakeBackend(generator))
    editor.client.initialize()
    editor.open(START)
    editor.choose("Rewrite")
    begin = editor.wait_progress("begin")
    editor.client.wait_until(lambda: any(v.get("message") == "reading the code" for v in values(editor)))
    generator.allow()
    editor.make_edit(editor.wait_edit())
    end = editor.wait_progress("end")
    assert (
        begin["token"]
        == end["token"]
        == editor.client.wait_method("window/workDoneProgress/create")["params"]["token"]
    )
    assert begin["value"]["title"] == "Rewrite"
    assert begin["value"]["cancellable"] is True
    assert end["value"]["message"] == "done"
    assert [value["kind"] for value in values(editor)][-1] == "end"


def test_nothing_of_the_code_is_in_the_progress(editor: Connected, generator: GatedGenerator) -> None:
    generator.pieces = ["secret = 1\n"] * 5
    editor.choose("Rewrite")
    generator.wait_streams(1)
    generator.allow()
    editor.make_edit(editor.wait_edit())
    editor.wait_progress("end")
    assert "secret" not in str(values(editor))


def test_a_token_of_the_client_is_used_where_it_makes_none_for_servers(
    connect: Connect, generator: GatedGenerator
) -> None:
    editor = connect(FakeBackend(generator))
    editor.client.initialize(WITHOUT_PROGRESS)
    editor.open(START)
    editor.choose("Rewrite", workDoneToken="mine")
    generator.wait_streams(1)
    generator.allow()
    editor.make_edit(editor.wait_edit())
    assert editor.wait_progress("end")["token"] == "mine"
    assert editor.client.methods("window/workDoneProgress/create") == []


def test_a_token_of_the_client_can_be_used_to_cancel(connect: Connect, generator: GatedGenerator) -> None:
    editor = connect(FakeBackend(generator))
    editor.client.initialize(WITHOUT_PROGRESS)
    editor.open(START)
    editor.choose("Rewrite", workDoneToken=7)
    generator.wait_streams(1)
    editor.client.notify("window/workDoneProgress/cancel", {"token": 7})
    generator.wait(lambda: generator.streams[0].is_closed)


def test_an_editor_without_progress_is_sent_none(connect: Connect, generator: GatedGenerator) -> None:
    editor = connect(FakeBackend(generator))
    editor.client.initialize(WITHOUT_PROGRESS)
    editor.open(START)
    editor.choose("Rewrite")
    generator.wait_streams(1)
    generator.allow()
    editor.make_edit(editor.wait_edit())
    assert editor.text == "x = 1\nb = 2\nc = 3\n"
    assert values(editor) == []


@pytest.mark.parametrize("answer", [{"error": {"code": 1, "message": "no"}}, None])
def test_an_editor_that_makes_no_place_for_progress_gets_its_edit(
    editor: Connected, generator: GatedGenerator, answer: Any
) -> None:
    editor.client.answers.pop("window/workDoneProgress/create")
    editor.choose("Rewrite")
    if answer is not None:
        editor.answer_edit(editor.client.wait_method("window/workDoneProgress/create"), **answer)
    generator.wait_streams(1)
    generator.allow()
    editor.make_edit(editor.wait_edit())
    assert editor.text == "x = 1\nb = 2\nc = 3\n"
    assert values(editor) == []


def test_a_place_that_is_made_after_the_end_is_ended(editor: Connected, generator: GatedGenerator) -> None:
    # Helix turns a wheel from the creation on.
    editor.client.answers.pop("window/workDoneProgress/create")
    editor.choose("Rewrite")
    created = editor.client.wait_method("window/workDoneProgress/create")
    generator.wait_streams(1)
    editor.choose("Cancel generation")
    generator.wait(lambda: generator.streams[0].is_closed)
    editor.wait_titles(lambda titles: "Cancel generation" not in titles)
    editor.answer_edit(created, None)
    assert editor.wait_progress("end")["value"]["message"] == "cancelled"
    assert [value["kind"] for value in values(editor)] == ["begin", "end"]


def test_each_job_has_a_token_of_its_own(editor: Connected, generator: GatedGenerator) -> None:
    editor.choose("Rewrite", (0, 0))
    editor.choose("Rewrite", (2, 0))
    tokens = {editor.wait_progress("begin", number)["token"] for number in (1, 2)}
    assert len(tokens) == 2
    generator.wait_streams(2)


def test_loading_is_shown_with_its_fraction_where_it_is_known() -> None:
    assert render_loading(Loading(stage="loading weights", fraction=0.4)) == "loading weights, 40%"
    assert render_loading(Loading(stage="starting the generator")) == "starting the generator"


@pytest.mark.parametrize(
    ("text", "pieces", "seconds", "shown"),
    [
        ("x", 1, 0.0, "1 line"),
        ("x\ny\n", 2, 0.0, "2 lines"),
        ("x\ny\nz", 40, 2.0, "3 lines, 20 tokens/s"),
        ("", 0, 0.0, "0 lines"),
    ],
)
def test_writing_is_shown_in_lines_and_speed(text: str, pieces: int, seconds: float, shown: str) -> None:
    assert render_writing(text, pieces, seconds) == shown


def test_a_meter_shows_no_more_than_an_eye_can_follow() -> None:
    now = 0.0

    def clock() -> float:
        return now

    meter = Meter(clock)
    assert meter.take(Loading(stage="loading", fraction=0.5)) == "loading, 50%"
    assert meter.take(Started(request_id="1", model="m")) == "reading the code"
    shown: list[str] = []
    for _ in range(1000):
        message = meter.take(Token(text="x\n"))
        now += 0.01
        shown += [message] if message is not None else []
    assert 40 <= len(shown) <= 51
    assert shown[0] == "1 line"
    assert shown[-1].endswith("lines, 100 tokens/s")
