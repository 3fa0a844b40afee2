"""One task from request to exit code, with generators that say what they are told to."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from listed import ListedGenerator, answer_events
from streams import COLOR_TERMINAL, PIPE, PLAIN_TERMINAL, TERMINAL_WITH_STATUS, RecordedStreams

from assistant.commands.asking import AskOptions, Form, run_ask
from assistant.errors import ContextOverflowError, GeneratorLostError
from assistant.generator import ScriptedGenerator
from assistant.requests import Event, Failed, FinishReason, Loading, Sampling, Started, Token

FENCED = ("Sure:\n\n```py", "thon\ndef f(x):\n", "    return x\n``", "`\nThat is all.")
CODE = "def f(x):\n    return x\n"
LOST = Failed(error=GeneratorLostError("the generator went away", hint="try again"))


def ask(
    events: list[Event] | ListedGenerator, recorded: RecordedStreams | None = None, **options: Any
) -> tuple[int, RecordedStreams]:
    recorded = recorded or RecordedStreams()
    generator = events if isinstance(events, ListedGenerator) else ListedGenerator(events)
    code = run_ask(AskOptions(**{"task": "identity", **options}), generator, recorded.streams)
    return code, recorded


def test_into_a_pipe_goes_the_code_alone() -> None:
    code, recorded = ask(answer_events(*FENCED))
    assert (code, recorded.out, recorded.err) == (0, CODE, "")


def test_full_is_the_whole_reply_with_one_line_end() -> None:
    _, recorded = ask(answer_events(*FENCED), form=Form.FULL)
    assert recorded.out == "".join(FENCED) + "\n"
    _, recorded = ask(answer_events("text\n\n\n"), form=Form.FULL)
    assert recorded.out == "text\n"


def test_characters_beyond_ascii_come_out_as_utf_8() -> None:
    _, recorded = ask(answer_events("s = '漢字 〽️'\n"))
    assert recorded.out == "s = '漢字 〽️'\n"


def test_half_a_character_is_no_bug() -> None:
    for form in (Form.CODE, Form.FULL, Form.JSON, Form.STREAM_JSON):
        code, recorded = ask(answer_events("s = '\ud83d'\n"), form=form)
        assert code == 0
        assert "s = '" in recorded.out


def test_the_request_is_what_was_asked_for() -> None:
    generator = ScriptedGenerator([["x = 1\n"]])
    sampling = Sampling(temperature=0.5, seed=3, stop=("#",))
    options = AskOptions(task="t", input="i", sampling=sampling, model="m")
    assert run_ask(options, generator, RecordedStreams().streams) == 0
    (request,) = generator.requests
    (turn,) = request.turns
    assert (turn.text, turn.input, request.sampling, request.model) == ("t", "i", sampling, "m")


def test_json_has_every_field() -> None:
    options = {"task": "t", "input": "i", "form": Form.JSON, "sampling": Sampling(temperature=0.5)}
    code, recorded = ask(answer_events(*FENCED), **options)
    assert code == 0
    assert json.loads(recorded.out) == {
        "schema": 1,
        "task": "t",
        "input": "i",
        "code": CODE,
        "text": "".join(FENCED),
        "parses": True,
        "finish_reason": "stop",
        "model": "tiny",
        "tokens": {"prompt": 11, "completion": 4},
        "seconds": 0.5,
        "tok_per_s": 12.34,
        "seed": 7,
        "params": {
            "temperature": 0.5,
            "top_p": 1.0,
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": None,
            "syntax_guard": None,
            "max_tokens": 1024,
            "stop": [],
            "n": 1,
        },
        "error": None,
    }


def test_json_holds_nothing_that_commands_a_terminal() -> None:
    _, recorded = ask(answer_events("x = '\x1b[31m\x9b\x7f'\n"), form=Form.JSON)
    assert recorded.out.replace("\n", "").isprintable()
    assert json.loads(recorded.out)["text"] == "x = '\x1b[31m\x9b\x7f'\n"


def test_several_answers_are_headed_and_all_in_the_json() -> None:
    events = answer_events("x = 1\n", n=2)
    _, recorded = ask(events, sampling=Sampling(n=2))
    assert recorded.out == "# answer 1 of 2\nx = 1\n\n# answer 2 of 2\nx = 1\n"
    _, recorded = ask(events, sampling=Sampling(n=2), form=Form.JSON)
    content = json.loads(recorded.out)
    assert [choice["code"] for choice in content["choices"]] == ["x = 1\n", "x = 1\n"]
    assert content["code"] == "x = 1\n"


def test_stream_json_is_one_event_a_line_and_the_answer_last() -> None:
    events = [Loading(stage="loading", fraction=0.5), *answer_events("x =", " 1\n")]
    _, recorded = ask(events, form=Form.STREAM_JSON)
    lines = [json.loads(line) for line in recorded.out.splitlines()]
    names = ["request", "loading", "started", "token", "token", "done", "answer"]
    assert [line["event"] for line in lines] == names
    assert lines[0]["schema"] == 1
    assert lines[1] == {"event": "loading", "stage": "loading", "fraction": 0.5}
    assert lines[3] == {"event": "token", "text": "x =", "index": 0}
    assert lines[5]["usage"] == {"prompt_tokens": 11, "completion_tokens": 2}
    assert lines[6]["code"] == "x = 1\n"


def test_a_cut_off_answer_is_warned_of_and_fails_only_if_asked_to() -> None:
    events = answer_events("x = (1 +", reason=FinishReason.LENGTH)
    code, recorded = ask(events, sampling=Sampling(max_tokens=5))
    assert (code, recorded.out) == (0, "x = (1 +\n")
    assert recorded.err == (
        "warning: the answer is cut off: it reached --max-tokens 5 or the model's context\n"
    )
    code, recorded = ask(events, fails_on_truncation=True)
    assert (code, recorded.out) == (1, "x = (1 +\n")


def test_code_that_does_not_parse_is_warned_of() -> None:
    code, recorded = ask(answer_events("```python\ndef f(:\n```\n"))
    assert (code, recorded.out) == (0, "def f(:\n")
    assert recorded.err.startswith("warning: the code does not parse: ")
    _, recorded = ask(answer_events("```python\ndef f(:\n```\n"), RecordedStreams(is_quiet=True))
    assert recorded.err == ""


def test_an_empty_answer_is_no_answer() -> None:
    code, recorded = ask(answer_events(" \n"))
    assert (code, recorded.out) == (1, "")
    assert recorded.err.startswith("error: the model answered with nothing\n")


def test_a_refusal_is_an_error_with_its_exit_code_and_no_output() -> None:
    refusal = ContextOverflowError("the prompt has 9000 tokens, the context 8192")
    code, recorded = ask([Failed(error=refusal)])
    assert (code, recorded.out) == (1, "")
    assert recorded.err == "error: the prompt has 9000 tokens, the context 8192\n"


def test_an_answer_that_is_lost_leaves_what_came() -> None:
    events = [*answer_events(*FENCED[:2])[:-1], LOST]
    code, recorded = ask(events)
    assert (code, recorded.out) == (3, "def f(x):\n")
    assert recorded.err == "error: the generator went away\nhint: try again\n"


def test_a_lost_answer_in_json_says_so() -> None:
    events = [*answer_events(*FENCED[:2])[:-1], LOST]
    code, recorded = ask(events, form=Form.JSON)
    content = json.loads(recorded.out)
    assert code == 3
    assert content["finish_reason"] == "cancelled"
    assert content["error"] == {"message": "the generator went away", "hint": "try again", "exit_code": 3}


def test_events_that_just_end_are_a_lost_answer() -> None:
    code, recorded = ask(answer_events(*FENCED[:2])[:-1])
    assert (code, recorded.out) == (3, "def f(x):\n")
    assert recorded.err.startswith("error: the generator ended the answer early\n")


def test_a_deadline_ends_the_answer_and_leaves_what_came() -> None:
    generator = ListedGenerator(answer_events(*FENCED[:2])[:-1], hangs=True)
    code, recorded = ask(generator, timeout_s=0.2)
    assert (code, recorded.out) == (4, "def f(x):\n")
    assert recorded.err == "error: the answer was not whole after 0.2 s\nhint: --timeout gives it longer\n"
    assert generator.is_closed.is_set()


def test_a_deadline_that_is_kept_changes_nothing() -> None:
    code, recorded = ask(answer_events(*FENCED), timeout_s=60)
    assert (code, recorded.out, recorded.err) == (0, CODE, "")


def test_a_file_gets_the_bytes_that_a_pipe_would(tmp_path: Path) -> None:
    target = tmp_path / "out.py"
    code, recorded = ask(answer_events(*FENCED), target=target)
    assert (code, recorded.out, recorded.err) == (0, "", "")
    assert target.read_text(encoding="utf-8") == CODE
    assert list(tmp_path.iterdir()) == [target]


def test_a_person_is_told_what_was_written(tmp_path: Path) -> None:
    recorded = RecordedStreams(out=PLAIN_TERMINAL, err=PLAIN_TERMINAL)
    ask(answer_events(*FENCED), recorded, target=tmp_path / "out.py")
    assert recorded.out == ""
    assert recorded.err == f"wrote {tmp_path / 'out.py'}\ntiny · 4 tokens · 12.3 tok/s · stop\n"


def test_a_lost_answer_goes_beside_the_file(tmp_path: Path) -> None:
    target = tmp_path / "out.py"
    target.write_text("old", encoding="utf-8")
    events = [*answer_events(*FENCED[:2])[:-1], LOST]
    code, recorded = ask(events, target=target, force=True)
    assert (code, recorded.out) == (3, "")
    assert target.read_text(encoding="utf-8") == "old"
    assert (tmp_path / "out.py.partial").read_text(encoding="utf-8") == "def f(x):\n"
    assert f"the answer as far as it came is in {target}.partial\n" in recorded.err


def test_a_lost_answer_without_text_leaves_no_file(tmp_path: Path) -> None:
    code, _ = ask([Started(request_id="r", model="m"), LOST], target=tmp_path / "out.py")
    assert code == 3
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_cannot_be_saved_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    code, recorded = ask(answer_events(*FENCED), target=tmp_path / "out.py")
    assert (code, recorded.out) == (74, CODE)
    assert recorded.err.startswith(f"error: no space left for {tmp_path / 'out.py'}\n")
    assert "warning: the answer goes to standard output instead\n" in recorded.err


def test_on_a_terminal_the_code_comes_line_by_line() -> None:
    recorded = RecordedStreams(out=PLAIN_TERMINAL, err=PLAIN_TERMINAL)
    shown: list[str] = []

    class Watched(ListedGenerator):
        def stream(self, request: Any) -> Any:
            for event in self.events:
                shown.append(recorded.out)
                yield event

    generator = Watched(answer_events("```python\nx", " = 1\ny", " = 2\n```\n"))
    assert run_ask(AskOptions(task="t"), generator, recorded.streams) == 0
    assert shown == ["", "", "", "x = 1\n", "x = 1\ny = 2\n"]
    assert recorded.out == "x = 1\ny = 2\n"
    assert recorded.err == "tiny · 3 tokens · 12.3 tok/s · stop\n"


def test_on_a_terminal_code_has_colours_and_only_ours() -> None:
    recorded = RecordedStreams(out=COLOR_TERMINAL)
    ask(answer_events("```python\nreturn '\x1b[31m'\n```"), recorded)
    assert recorded.out == "\x1b[35mreturn\x1b[0m \x1b[32m'\x1b[0m\x1b[32m[31m\x1b[0m\x1b[32m'\x1b[0m\n"


def test_on_a_terminal_no_form_lets_a_command_through() -> None:
    for form in (Form.CODE, Form.FULL):
        recorded = RecordedStreams(out=PLAIN_TERMINAL)
        ask(answer_events("x = '\x1b]0;title\x07\x9b2J'\rz\n"), recorded, form=form)
        assert not set(recorded.out) & set("\x1b\x07\x9b\r")


def test_several_answers_on_a_terminal_are_shown_when_they_are_whole() -> None:
    recorded = RecordedStreams(out=PLAIN_TERMINAL)
    ask(answer_events("x = '\x1b1'\n", n=2), recorded, sampling=Sampling(n=2))
    assert recorded.out == "# answer 1 of 2\nx = '1'\n\n# answer 2 of 2\nx = '1'\n"


def test_a_last_line_without_an_end_is_shown_with_one() -> None:
    recorded = RecordedStreams(out=PLAIN_TERMINAL)
    ask(answer_events("```python\nx = 1"), recorded)
    assert recorded.out == "x = 1\n"


def test_the_status_line_is_gone_when_the_answer_is_there() -> None:
    recorded = RecordedStreams(out=PIPE, err=TERMINAL_WITH_STATUS)
    generator = ListedGenerator([Loading(stage="loading", fraction=0.5)], hangs=True)
    code, _ = ask(generator, recorded, timeout_s=0.5)
    assert code == 4
    assert "\r\x1b[Kloading 50% · 0." in recorded.err
    assert "\r\x1b[Kerror: the answer was not whole after 0.5 s\n" in recorded.err


def test_a_token_after_the_end_of_the_code_is_not_shown() -> None:
    recorded = RecordedStreams(out=PLAIN_TERMINAL)
    ask([*answer_events(*FENCED)[:-1], Token(text=" More prose."), *answer_events()[-1:]], recorded)
    assert recorded.out == CODE


def shown_on_terminal(*pieces: str) -> RecordedStreams:
    recorded = RecordedStreams(out=PLAIN_TERMINAL)
    ask(answer_events(*pieces), recorded)
    return recorded


def test_code_that_is_only_seen_in_the_whole_reply_is_shown_at_its_end() -> None:
    recorded = shown_on_terminal("Here is what you want:\n\ndef f(x):\n    return x\n\nIt returns x.")
    assert recorded.out == CODE


def test_a_second_block_of_the_same_program_is_shown_too() -> None:
    first, second = "def f(x):\n    return x\n", "print(f(1))\n"
    reply = f"First:\n```python\n{first}```\nThen call it:\n```python\n{second}```\n"
    recorded = shown_on_terminal(reply)
    piped = RecordedStreams()
    ask(answer_events(reply), piped)
    assert recorded.out.replace("\n", "") == piped.out.replace("\n", "") == (first + second).replace("\n", "")


def test_another_code_than_was_shown_is_announced_and_shown_as_a_whole() -> None:
    recorded = shown_on_terminal("```sh\npip install x\n```\n```python\nimport x\nx.run()\n```\n")
    assert recorded.out == "pip install x\nimport x\nx.run()\n"
    assert recorded.err == "seen as a whole, the code of this reply is:\n"


def test_what_was_shown_of_a_lost_answer_is_not_shown_twice() -> None:
    recorded = RecordedStreams(out=PLAIN_TERMINAL)
    ask([*answer_events("```python\nx = (1,\n")[:-1], LOST], recorded)
    assert recorded.out == "x = (1,\n"
