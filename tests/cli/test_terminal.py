from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from assistant.commands.highlight import LineHighlighter
from assistant.commands.messages import Messages
from assistant.commands.terminal import ColorChoice, Screen, find_screen, visible_text, wants_color
from assistant.errors import UsageError

CAPABLE = Screen(is_terminal=True, has_color=False, can_rewrite=True)


class TerminalStream(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("choice", "is_capable", "environment", "wanted"),
    [
        ("auto", True, {}, True),
        ("auto", False, {}, False),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"NO_COLOR": "0"}, False),
        ("auto", True, {"NO_COLOR": ""}, True),
        ("auto", False, {"FORCE_COLOR": "1"}, True),
        ("auto", False, {"FORCE_COLOR": "0"}, False),
        ("auto", False, {"FORCE_COLOR": ""}, False),
        ("auto", True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ("always", False, {"NO_COLOR": "1"}, True),
        ("never", True, {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_is_the_flags_then_the_environments_then_the_terminals(
    choice: str, is_capable: bool, environment: dict[str, str], wanted: bool
) -> None:
    got = wants_color(ColorChoice(choice), is_capable=is_capable, environment=environment)
    assert got is wanted


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {}])
def test_a_dumb_terminal_is_one_without_colours_and_without_rewriting(environment: dict[str, str]) -> None:
    screen = find_screen(TerminalStream(), environment=environment)
    assert screen == Screen(is_terminal=True)


def test_a_closed_or_missing_stream_shows_nothing() -> None:
    stream = TerminalStream()
    stream.close()
    assert find_screen(stream, environment={"TERM": "xterm"}) == Screen()
    assert find_screen(None, environment={"TERM": "xterm"}) == Screen()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\x1b]0;title\x07", "]0;title"),
        ("\x9b31m\x90", "31m"),
        ("a\rb\x08\x7f\x00", "ab"),
        ("x = 'a\u202eb\u2066'", "x = 'ab'"),
        ("漢字 〽️ é", "漢字 〽️ é"),
        ("[x for x in y] [/b]", "[x for x in y] [/b]"),
    ],
)
def test_what_commands_a_terminal_is_not_shown(text: str, shown: str) -> None:
    assert visible_text(text) == shown


def test_colours_leave_the_code_as_it_is() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    highlighter = LineHighlighter()
    colored = "".join(highlighter.color_line(line) for line in source.splitlines(keepends=True))
    assert re.sub(r"\x1b\[\d+m", "", colored) == source
    assert colored != source


def test_a_string_over_several_lines_keeps_its_colour() -> None:
    highlighter = LineHighlighter()
    lines = [highlighter.color_line(line) for line in ('x = """a\n', "def b\n", '"""\n', "def c(): pass\n")]
    assert lines[1] == "\x1b[32mdef b\x1b[0m\n"
    assert lines[3].startswith("\x1b[35mdef\x1b[0m")


def test_code_that_does_not_parse_is_shown_all_the_same() -> None:
    highlighter = LineHighlighter()
    colored = highlighter.color_line("def def ( ''' $ ` \\\n") + highlighter.color_line("?? é\n")
    assert re.sub(r"\x1b\[\d+m", "", colored) == "def def ( ''' $ ` \\\n?? é\n"


def test_without_a_terminal_there_are_no_notes_and_no_status() -> None:
    stream = io.StringIO()
    messages = Messages(stream)
    messages.note("good to know")
    messages.show_status("working")
    assert stream.getvalue() == ""


def test_quiet_leaves_errors_alone() -> None:
    stream = io.StringIO()
    messages = Messages(stream, CAPABLE, is_quiet=True)
    messages.note("a")
    messages.warn("b")
    messages.show_status("c")
    messages.report(UsageError("d", hint="e"))
    assert stream.getvalue() == "error: d\nhint: e\n"


def test_a_message_takes_the_status_line_away_and_puts_it_back() -> None:
    stream = io.StringIO()
    messages = Messages(stream, CAPABLE)
    messages.show_status("working")
    messages.warn("careful")
    messages.show_status("")
    assert stream.getvalue() == "\r\x1b[Kworking\r\x1b[Kwarning: careful\n\r\x1b[Kworking\r\x1b[K"


def test_a_status_fits_on_its_line_and_commands_nothing() -> None:
    stream = io.StringIO()
    Messages(stream, CAPABLE).show_status("\x1b[2J" + "x" * 500)
    shown = stream.getvalue().removeprefix("\r\x1b[K")
    assert len(shown) == 79
    assert "\x1b" not in shown


def test_a_standard_error_that_cannot_be_written_is_no_failure() -> None:
    Messages(None).warn("nobody hears it")
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        Messages(full).warn("nobody hears it")


def test_labels_are_coloured_where_there_are_colours() -> None:
    stream = io.StringIO()
    Messages(stream, Screen(is_terminal=True, has_color=True)).warn("x")
    assert stream.getvalue() == "\x1b[33mwarning:\x1b[0m x\n"
