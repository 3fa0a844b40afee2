"""Every road to the end of a generation, which is seen at the generator, not in what the editor is told."""

from collections.abc import Callable

import pytest

from assistant.requests import Loading
from tests.lsp.conftest import Connect
from tests.lsp.connected import URI, Connected
from tests.lsp.fakes import FakeBackend, GatedGenerator

START = "a = 1\nb = 2\nc = 3\n"
ROUNDS = 20
Road = Callable[[Connected, int], None]


def by_request(editor: Connected, identifier: int) -> None:
    editor.client.notify("$/cancelRequest", {"id": identifier})


def by_progress(editor: Connected, _: int) -> None:
    begins = [m for m in editor.client.methods("$/progress") if m["params"]["value"]["kind"] == "begin"]
    token = begins[-1]["params"]["token"]
    editor.client.notify("window/workDoneProgress/cancel", {"token": token})


def by_command(editor: Connected, _: int) -> None:
    editor.choose("Cancel generation")


def by_closing(editor: Connected, _: int) -> None:
    editor.client.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
    editor.open(START, version=editor.version)


def by_a_newer_job_for_the_place(editor: Connected, _: int) -> None:
    editor.choose("Rewrite", (1, 0))


ROADS = [by_request, by_progress, by_command, by_closing]


def begin(editor: Connected, generator: GatedGenerator, steps: int = 1) -> int:
    """Start a job that has made some steps, and return the id of its request."""
    count = len(generator.streams)
    begun = len([m for m in editor.client.methods("$/progress") if m["params"]["value"]["kind"] == "begin"])
    identifier = editor.choose("Rewrite", (1, 0))
    generator.wait_streams(count + 1)
    generator.allow(steps)
    generator.wait(lambda: generator.streams[-1].steps == steps)
    editor.wait_progress("begin", begun + 1)
    return identifier


def assert_stopped(generator: GatedGenerator, number: int, steps: int) -> None:
    stream = generator.streams[number]
    generator.wait(lambda: stream.is_closed)
    generator.allow(stream=number)
    assert stream.steps == steps


@pytest.mark.parametrize("road", ROADS)
def test_generation_stops_at_once_and_the_next_request_starts(
    editor: Connected, generator: GatedGenerator, road: Road
) -> None:
    identifier = begin(editor, generator)
    road(editor, identifier)
    assert_stopped(generator, 0, 1)
    begin(editor, generator)
    generator.allow()
    editor.make_edit(editor.wait_edit())
    assert editor.text == "a = 1\nx = 1\nc = 3\n"
    assert len(editor.client.methods("workspace/applyEdit")) == 1


def check_rounds(editor: Connected, generator: GatedGenerator, rounds: int) -> None:
    for number in range(rounds):
        road = ROADS[number % len(ROADS)]
        steps = number % 3
        identifier = begin(editor, generator, steps)
        road(editor, identifier)
        assert_stopped(generator, number, steps)
    begin(editor, generator)
    generator.allow()
    editor.make_edit(editor.wait_edit())
    assert len(editor.client.methods("workspace/applyEdit")) == 1


def test_no_round_of_cancelling_gets_stuck(editor: Connected, generator: GatedGenerator) -> None:
    generator.pieces = ["x", " =", " 1"]
    check_rounds(editor, generator, ROUNDS)


@pytest.mark.slow
def test_no_round_of_many_gets_stuck(editor: Connected, generator: GatedGenerator) -> None:
    generator.pieces = ["x", " =", " 1"]
    check_rounds(editor, generator, 200)


def test_a_shutdown_stops_generation(editor: Connected, generator: GatedGenerator) -> None:
    begin(editor, generator)
    assert editor.end() == 0
    assert_stopped(generator, 0, 1)
    assert editor.aborted == []


def test_the_end_of_the_stream_stops_generation(editor: Connected, generator: GatedGenerator) -> None:
    begin(editor, generator)
    editor.client.close()
    assert editor.wait() == 1
    assert_stopped(generator, 0, 1)


def test_a_newer_job_for_the_same_place_wins(editor: Connected, generator: GatedGenerator) -> None:
    begin(editor, generator)
    editor.choose("Rewrite", (1, 0))
    assert_stopped(generator, 0, 1)
    generator.wait_streams(2)
    generator.allow()
    editor.make_edit(editor.wait_edit())
    assert len(editor.client.methods("workspace/applyEdit")) == 1


def test_a_newer_job_for_the_same_place_wins_after_typing_above_it(
    editor: Connected, generator: GatedGenerator
) -> None:
    begin(editor, generator)
    editor.type("# above\n" + START)
    editor.choose("Rewrite", (2, 0))
    assert_stopped(generator, 0, 1)


def test_jobs_for_different_places_run_side_by_side(editor: Connected, generator: GatedGenerator) -> None:
    editor.choose("Rewrite", (0, 0))
    editor.choose("Rewrite", (2, 0))
    generator.wait_streams(2)
    generator.allow(stream=1)
    editor.make_edit(editor.wait_edit(1))
    generator.allow(stream=0)
    editor.make_edit(editor.wait_edit(2))
    assert editor.text == "x = 1\nb = 2\nx = 1\n"


def test_each_of_several_jobs_can_be_cancelled(editor: Connected, generator: GatedGenerator) -> None:
    editor.choose("Rewrite", (0, 0))
    editor.choose("Explain", (2, 0))
    generator.wait_streams(2)
    editor.choose("Cancel generation: Explain")
    asked = [request.turns[0].text for request in generator.requests]
    explaining = asked.index("explain this")
    generator.wait(lambda: generator.streams[explaining].is_closed)
    assert not generator.streams[1 - explaining].is_closed


def test_jobs_of_other_documents_go_on_when_one_is_closed(
    editor: Connected, generator: GatedGenerator
) -> None:
    other = "file:///project/other.py"
    editor.client.open(other, "d = 4\n")
    editor.choose("Rewrite", uri=other)
    generator.wait_streams(1)
    begin(editor, generator)
    by_closing(editor, 0)
    assert_stopped(generator, 1, 1)
    assert not generator.streams[0].is_closed


def test_a_superseded_job_that_waits_never_asks(editor: Connected, generator: GatedGenerator) -> None:
    # pygls#517: 70 stale requests were worked through after one slow one.
    lines = 9
    editor.type("".join(f"v{n} = {n}\n" for n in range(lines)))
    for line in range(4):
        editor.choose("Rewrite", (line, 0))
    generator.wait_streams(4)
    for _ in range(70):
        editor.choose("Rewrite", (8, 0))
    for number in range(4):
        generator.allow(stream=number)
        editor.make_edit(editor.wait_edit(number + 1))
    generator.wait_streams(5)
    generator.allow(stream=4)
    editor.make_edit(editor.wait_edit(5))
    assert len(generator.requests) == 5
    assert editor.text == "x = 1\n" * 4 + "v4 = 4\nv5 = 5\nv6 = 6\nv7 = 7\nx = 1\n"


def test_a_job_that_waits_can_be_cancelled(editor: Connected, generator: GatedGenerator) -> None:
    editor.type("".join(f"v{n} = {n}\n" for n in range(9)))
    for line in range(4):
        editor.choose("Rewrite", (line, 0))
    generator.wait_streams(4)
    identifier = editor.choose("Rewrite", (8, 0))
    by_request(editor, identifier)
    ended = [editor.wait_progress("end")["value"]["message"]]
    assert ended == ["cancelled"]
    assert len(generator.requests) == 4


def test_a_cancelled_job_makes_room_at_once(editor: Connected, generator: GatedGenerator) -> None:
    editor.type("".join(f"v{n} = {n}\n" for n in range(9)))
    identifiers = [editor.choose("Rewrite", (line, 0)) for line in range(5)]
    generator.wait_streams(4)
    by_request(editor, identifiers[0])
    generator.wait_streams(5)


def test_cancelling_while_the_model_loads_ends_the_request(connect: Connect) -> None:
    class Endless(GatedGenerator):
        pass

    generator = Endless(["x"], loading=(Loading(stage="loading weights", fraction=0.5),))
    editor = connect(FakeBackend(generator))
    editor.client.initialize()
    editor.open(START)
    identifier = editor.choose("Rewrite")
    generator.wait_streams(1)
    by_request(editor, identifier)
    generator.wait(lambda: generator.streams[0].is_closed)
    editor.wait_progress("end")


def test_cancelling_what_has_ended_does_nothing(editor: Connected, generator: GatedGenerator) -> None:
    identifier = begin(editor, generator)
    generator.allow()
    editor.make_edit(editor.wait_edit())
    editor.wait_progress("end")
    by_request(editor, identifier)
    by_progress(editor, identifier)
    editor.client.request("workspace/executeCommand", {"command": "assistant.cancel"})
    assert editor.messages() == []
    assert editor.titles() != []


def test_cancelling_an_edit_that_is_on_its_way_does_not_lose_it(
    editor: Connected, generator: GatedGenerator
) -> None:
    identifier = begin(editor, generator)
    generator.allow()
    message = editor.wait_edit()
    by_request(editor, identifier)
    editor.make_edit(message)
    assert editor.wait_progress("end")["value"]["message"] == "done"


def test_the_command_without_a_number_cancels_all(editor: Connected, generator: GatedGenerator) -> None:
    editor.choose("Rewrite", (0, 0))
    editor.choose("Rewrite", (2, 0))
    generator.wait_streams(2)
    editor.client.request("workspace/executeCommand", {"command": "assistant.cancel", "arguments": []})
    generator.wait(lambda: all(stream.is_closed for stream in generator.streams))


def test_a_cancelled_job_says_nothing_to_the_user(editor: Connected, generator: GatedGenerator) -> None:
    identifier = begin(editor, generator)
    by_request(editor, identifier)
    assert editor.wait_progress("end")["value"]["message"] == "cancelled"
    assert editor.messages() == []
    assert editor.client.methods("workspace/applyEdit") == []
