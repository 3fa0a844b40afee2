"""The parts of the chat that know no Textual and hold no state."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from assistant.errors import ConfigError, UsageError
from assistant.history.records import Exchange, Outcome
from assistant.requests import Loading, Sampling, Usage
from tui import saving
from tui.answering import Progress
from tui.clipboard import MAX_TERMINAL_BYTES, Tool, copy_text, terminal_sequence
from tui.editor import edit_text, find_editor
from tui.file_search import find_matches, list_files
from tui.keys import ACTIONS, parse_keymap, spelled_keys
from tui.parameter_lines import parse_lines, render_lines
from tui.recall import Recall
from tui.reports import render_loading, render_numbers, render_progress, render_verdict
from tui.shown import describe_size, first_lines, shown_text


class TestShown:
    @pytest.mark.parametrize("text", ["[x for x in y]", "[/b]", "漢字 〽️ e\u0301", "a  b"])
    def test_ordinary_text_stays_as_it_is(self, text: str) -> None:
        assert shown_text(text) == text

    def test_what_commands_a_terminal_is_left_out(self) -> None:
        assert shown_text("\x1b[31mred\x07\0\x9b\u202e") == "[31mred"

    def test_tabs_become_spaces_and_line_ends_one_kind(self) -> None:
        assert shown_text("\tx\r\ny\rz") == "    x\ny\nz"

    def test_a_long_text_shows_its_beginning_and_says_so(self) -> None:
        shown = shown_text("x" * 300, limit=100)
        assert shown.startswith("x" * 100 + "\n")
        assert "200 more characters" in shown

    def test_half_a_surrogate_pair_is_replaced(self) -> None:
        assert shown_text("\udce9") == "?"

    def test_first_lines_say_how_many_follow(self) -> None:
        assert first_lines("a\nb\nc\nd", 2) == "a\nb\n… 2 more lines"

    @pytest.mark.parametrize(
        ("text", "words"),
        [("", "0 lines"), ("a", "1 line"), ("a\nb\n", "2 lines"), ("x" * 5_242_880, "5.2 MB")],
    )
    def test_a_size_is_described(self, text: str, words: str) -> None:
        assert words in describe_size(text)


class TestKeys:
    def test_names_are_each_there_once(self) -> None:
        names = [action.name for action in ACTIONS]
        assert len(names) == len(set(names))

    def test_no_place_has_a_key_twice(self) -> None:
        keys = [(action.place, key) for action in ACTIONS for key in action.keys.split(",")]
        assert len(keys) == len(set(keys))

    def test_a_keymap_is_read(self) -> None:
        assert parse_keymap("send=ctrl+enter newline=enter") == {"send": "ctrl+enter", "newline": "enter"}

    def test_an_unknown_action_names_the_nearest(self) -> None:
        with pytest.raises(ConfigError) as caught:
            parse_keymap("sned=enter")
        assert caught.value.hint == "did you mean send?"

    def test_a_fixed_key_cannot_be_changed(self) -> None:
        with pytest.raises(ConfigError):
            parse_keymap("pick_file=ctrl+f")

    def test_keys_are_spelled_for_people(self) -> None:
        assert spelled_keys("ctrl+j,shift+enter") == "Ctrl+J or Shift+Enter"
        assert spelled_keys("Y") == "Y"
        assert spelled_keys("pageup") == "PgUp"


class TestRecall:
    def test_earlier_tasks_come_newest_first_and_the_half_typed_one_comes_back(self) -> None:
        recall = Recall()
        recall.extend(["two", "one"])
        assert [recall.earlier("half"), recall.earlier("two"), recall.earlier("one")] == ["two", "one", None]
        assert [recall.later(), recall.later(), recall.later()] == ["two", "half", None]

    def test_a_changed_task_is_what_is_half_typed_now(self) -> None:
        recall = Recall()
        recall.extend(["two", "one"])
        recall.earlier("")
        assert recall.earlier("two, changed") == "two"
        assert recall.later() == "two, changed"

    def test_a_task_is_there_once(self) -> None:
        recall = Recall()
        recall.extend(["a", "b"])
        recall.add("b")
        assert [recall.earlier(""), recall.earlier("b"), recall.earlier("a")] == ["b", "a", None]


def tool(tmp_path: Path, name: str, *, works: bool = True, reads: bool = True) -> Tool:
    """A clipboard in a file."""
    clipboard = tmp_path / name
    write = ("sh", "-c", f"cat > {clipboard}" if works else "cat > /dev/null; exit 1")
    return Tool(name=name, write=write, read=("cat", str(clipboard)) if reads else ())


class TestClipboard:
    def test_a_tool_that_holds_the_text_is_named_as_checked(self, tmp_path: Path) -> None:
        copied = copy_text("漢字\n", environment={}, tools=[tool(tmp_path, "board")])
        assert copied.checked == ("board",)
        assert "copied with board" in copied.describe("the code")
        assert (tmp_path / "board").read_text(encoding="utf-8") == "漢字\n"

    def test_a_tool_that_fails_is_followed_by_the_next(self, tmp_path: Path) -> None:
        tools = [tool(tmp_path, "bad", works=False), tool(tmp_path, "good")]
        assert copy_text("x", environment={}, tools=tools).checked == ("good",)

    def test_a_tool_that_keeps_something_else_is_not_believed(self, tmp_path: Path) -> None:
        lying = Tool(name="liar", write=("cat",), read=("echo", "other"))
        copied = copy_text("x", environment={}, tools=[lying])
        assert (copied.checked, copied.unchecked) == ((), ("liar", "the terminal"))

    def test_a_tool_without_its_display_is_not_asked(self, tmp_path: Path) -> None:
        needing = Tool(name="x", write=("false",), read=(), variable="DISPLAY")
        assert copy_text("x", environment={}, tools=[needing]).unchecked == ("the terminal",)

    def test_the_terminal_alone_cannot_confirm(self) -> None:
        copied = copy_text("x", environment={}, tools=[])
        assert copied.sequence == "\x1b]52;c;eA==\x07"
        assert "cannot confirm" in copied.describe("the code")

    def test_a_text_too_long_for_a_terminal_is_not_sent_there(self) -> None:
        copied = copy_text("x" * (MAX_TERMINAL_BYTES + 1), environment={}, tools=[])
        assert copied.sequence == ""
        assert "save it" in copied.describe("the code")

    def test_tmux_gets_the_sequence_bare_and_wrapped(self) -> None:
        sequence = terminal_sequence(b"x", in_tmux=True)
        assert sequence.startswith("\x1b]52;c;eA==\x07\x1bPtmux;\x1b\x1b]52")
        assert sequence.endswith("\x1b\\")


class TestSaving:
    def test_free_names_count_up(self, tmp_path: Path) -> None:
        (tmp_path / "answer.py").touch()
        assert saving.free_name(directory=tmp_path) == "answer-2.py"

    @pytest.mark.parametrize("line", ["", "  ", "a\0b", ".", "/nowhere/at/all/x.py", "/dev/null"])
    def test_a_line_that_names_no_file_is_refused(self, line: str) -> None:
        assert saving.find_fault(line)

    def test_saved_bytes_are_exact(self, tmp_path: Path) -> None:
        assert saving.save_text(tmp_path / "x.py", "a\r\n漢\n") == ""
        assert (tmp_path / "x.py").read_bytes() == "a\r\n漢\n".encode()

    def test_a_place_that_cannot_be_written_is_described(self, tmp_path: Path) -> None:
        assert "cannot write" in saving.save_text(tmp_path / "no" / "x.py", "a")

    def test_a_file_keeps_its_permissions(self, tmp_path: Path) -> None:
        path = tmp_path / "x.py"
        path.touch(mode=0o640)
        path.chmod(0o640)
        saving.save_text(path, "a")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640


class TestParameters:
    def test_lines_come_back_as_they_were_rendered(self) -> None:
        sampling = Sampling(temperature=0.25, top_p=0.9, max_tokens=7, seed=3)
        assert parse_lines(render_lines(sampling)) == sampling

    def test_an_empty_seed_takes_a_fresh_one(self) -> None:
        assert parse_lines({**render_lines(Sampling()), "seed": " "}).seed is None

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            *(("temperature", text) for text in ("nan", "-1", "", "2.1")),
            *(("top_p", text) for text in ("0", "x")),
            *(("max_tokens", text) for text in ("0", "1.5")),
            *(("seed", text) for text in ("-1", "9" * 40)),
        ],
    )
    def test_a_value_out_of_range_is_named(self, name: str, text: str) -> None:
        with pytest.raises(UsageError, match="must be"):
            parse_lines({**render_lines(Sampling()), name: text})


class TestFileSearch:
    def test_hidden_and_generated_files_are_left_out(self, tmp_path: Path) -> None:
        for name in ("a.py", "src/b.py", ".git/config", "src/__pycache__/b.pyc", ".hidden"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        assert list_files(tmp_path) == ["a.py", "src/b.py"]

    def test_a_name_beats_a_path_beats_scattered_letters(self) -> None:
        paths = ["config/other.py", "c_o_n_f_i_g.py", "src/config.py"]
        assert find_matches("config", paths) == ["src/config.py", "config/other.py", "c_o_n_f_i_g.py"]

    def test_letters_must_all_be_there_in_order(self) -> None:
        assert find_matches("ba", ["ab.py"]) == []


class TestReports:
    def test_a_known_fraction_gets_a_bar(self) -> None:
        assert render_loading(Loading(stage="loading", fraction=0.5)) == "loading ━━━━━━────── 50%"

    def test_tokens_and_speed_are_counted(self) -> None:
        text = render_progress(Progress(tokens=1200, seconds=3.21, tokens_per_s=40.04))
        assert text == "1,200 tokens · 40.0 tok/s · 3.2 s"

    @pytest.mark.parametrize(
        ("outcome", "words"),
        [
            (Outcome.STOP, "parses"),
            (Outcome.CANCELLED, "stopped · parses"),
            (Outcome.LENGTH, "cut off"),
            (Outcome.FAILED, "failed: gone"),
            (Outcome.UNFINISHED, "never recorded"),
        ],
    )
    def test_an_end_is_described(self, outcome: Outcome, words: str) -> None:
        exchange = Exchange(
            id="e", conversation="c", started=1, task="t", answer="x", outcome=outcome, error="gone"
        )
        assert words in render_verdict(exchange, parses=True, syntax_error="", has_code=True)

    def test_the_numbers_name_model_cost_and_seed(self) -> None:
        exchange = Exchange(
            id="e",
            conversation="c",
            started=1,
            task="t",
            model="smol",
            usage=Usage(prompt_tokens=1, completion_tokens=22),
            seconds=2.0,
            tokens_per_s=11.0,
            sampling=Sampling(temperature=0.5, seed=7),
        )
        assert render_numbers(exchange) == "smol · 22 tokens · 11.0 tok/s · 2.0 s · temperature 0.5 · seed 7"


class TestEditor:
    def test_visual_comes_before_editor_and_may_have_arguments(self) -> None:
        assert find_editor({"VISUAL": "code --wait", "EDITOR": "vi"}) == ["code", "--wait"]

    def test_the_text_comes_back_as_the_editor_left_it(self, tmp_path: Path) -> None:
        script = tmp_path / "ed"
        script.write_text('#!/bin/sh\nprintf "more\\r\\n" >> "$1"\n')
        script.chmod(0o755)
        assert edit_text("x = 1\n", suffix=".py", command=[str(script)]) == "x = 1\nmore\n"

    def test_an_editor_that_fails_changes_nothing(self) -> None:
        with pytest.raises(UsageError, match="exit code 1"):
            edit_text("x", suffix=".py", command=["false"])

    def test_an_editor_that_is_not_there_is_named(self) -> None:
        with pytest.raises(UsageError, match="no-such-editor"):
            edit_text("x", suffix=".py", command=["no-such-editor"])

    def test_the_file_is_for_this_user_alone(self, tmp_path: Path) -> None:
        script = tmp_path / "ed"
        script.write_text(f'#!/bin/sh\nstat -c %a "$(dirname "$1")" > {tmp_path}/mode\n')
        script.chmod(0o755)
        edit_text("x", suffix=".py", command=[str(script)])
        assert (tmp_path / "mode").read_text().strip() == "700"
        assert os.name == "posix"
