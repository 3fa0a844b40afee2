"""What users of other servers of this kind reported, each seen from the editor, with our own actions.

Reports that need a process, a terminal or another kind of editor have their tests beside those.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from lsp.actions.catalog import build_actions
from tests.lsp.conftest import Connect
from tests.lsp.connected import URI, Connected, apply_to, pick
from tests.lsp.fakes import FakeBackend, GatedGenerator
from tests.lsp.raw_client import CAPABILITIES, JsonObject

STUB = "def area(w, h):\n    pass\n"
BODY = "def area(w, h):\n    return w * h\n"


class Desk:
    """An editor with one document, whose model answers with one text."""

    def __init__(self, editor: Connected, generator: GatedGenerator) -> None:
        self.editor = editor
        self.generator = generator

    def act(
        self,
        title: str,
        text: str,
        reply: str,
        start: tuple[int, int] = (0, 0),
        end: Any = None,
        **context: Any,
    ) -> JsonObject:
        """Choose an action on a text and return the edit."""
        self.generator.pieces = [reply]
        self.editor.open(text)
        entries = self.editor.menu(start, end, **context)
        command = next(entry for entry in entries if entry["title"].startswith(title))["command"]
        streams, edits = len(self.generator.streams), len(self.editor.client.methods("workspace/applyEdit"))
        self.editor.client.request("workspace/executeCommand", command)
        self.generator.wait_streams(streams + 1)
        self.generator.allow()
        message = self.editor.wait_edit(edits + 1)
        return message["params"]["edit"]

    def asked(self) -> str:
        """All that the model was asked last."""
        return "\n".join(turn.text + turn.input for turn in self.generator.requests[-1].turns)


@pytest.fixture
def desk(connect: Connect) -> Desk:
    generator = GatedGenerator([])
    editor = connect(FakeBackend(generator), build_actions())
    editor.client.initialize()
    return Desk(editor, generator)


def ranges(edit: JsonObject) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    changes = [each for change in edit["documentChanges"] for each in change["edits"]]
    places = [(change["range"]["start"], change["range"]["end"]) for change in changes]
    return [((s["line"], s["character"]), (e["line"], e["character"])) for s, e in places]


@pytest.mark.parametrize(
    "text", ["# list the files", "x = 1\n# list the files", "x = 1\r\n# list the files", "# list the files\n"]
)
def test_no_edit_lies_beyond_the_end_of_the_document(desk: Desk, text: str) -> None:
    # lsp-ai#105: line 299 of 297, and the editor inserted nothing.
    lines = re.split("\r\n|\n|\r", text)
    line = next(number for number, each in enumerate(lines) if each.startswith("#"))
    edit = desk.act("Write code", text, "import os\nfiles = os.listdir()\n", (line, 0))
    for place in (each for span in ranges(edit) for each in span):
        assert place[0] < len(lines)
        assert place[1] <= len(lines[place[0]])


def test_no_edit_ends_before_it_starts_or_overlaps_another(desk: Desk) -> None:
    # helix-gpt#23: a long completion made an edit that ended before it started; the editor crashed.
    long = "def area(w, h):\n" + "".join(f"    v{n} = {n}\n" for n in range(200)) + "    return w * h\n"
    spans = ranges(desk.act("Implement", f"import os\n\n\n{STUB}", long, (3, 0)))
    assert all(start <= end for start, end in spans)
    assert all(one[1] <= two[0] for one, two in itertools.pairwise(spans))


def test_one_model_serves_all_editors(connect: Connect) -> None:
    # lsp-ai#81: a second copy of the model for every editor.
    generator = GatedGenerator([BODY])
    backend = FakeBackend(generator)
    for number in (1, 2):
        editor = connect(backend, build_actions())
        editor.client.initialize()
        editor.open(STUB)
        editor.choose("Implement `area`")
        generator.wait_streams(number)
        generator.allow()
        editor.make_edit(editor.wait_edit())
        assert editor.text == BODY


def test_a_selection_is_exactly_what_was_selected(desk: Desk) -> None:
    # helix-assist#13: partial selections were widened to lines.
    text = "total = sum(n for n in [x for x in xs])\nrest = 1\n"
    edit = desk.act("Optimize", text, "sum(xs)\n", (0, 8), (0, 39))
    assert apply_to(text, edit) == "total = sum(xs)\nrest = 1\n"


def test_only_problems_of_the_selected_lines_are_offered_and_sent(desk: Desk) -> None:
    # helix-assist#13: all problems of the file were sent.
    text = "import os\n\n\ndef area(w, h):\n    return w * x\n"

    def problem(line: int, start: int, end: int, message: str) -> JsonObject:
        place = {"start": {"line": line, "character": start}, "end": {"line": line, "character": end}}
        return {"range": place, "message": message}

    near, far = problem(4, 15, 16, "undefined name `x`"), problem(0, 0, 9, "`os` is not used")
    desk.editor.open(text)
    titles = [entry["title"] for entry in desk.editor.menu((4, 15), diagnostics=[near, far])]
    assert "Fix: undefined name `x`" in titles
    assert not any("os" in title for title in titles)
    edit = desk.act("Fix", text, "def area(w, h):\n    return w * h\n", (4, 15), diagnostics=[near, far])
    assert apply_to(text, edit) == text.replace("w * x", "w * h")
    assert "`os` is not used" not in desk.asked()


def test_nothing_is_offered_on_a_blank_line(desk: Desk) -> None:
    desk.editor.open("x = 1\n\n\ny = 2\n")
    assert desk.editor.menu((1, 0)) == []


@pytest.mark.parametrize("character", ["👍", "汉字", "é", "👩‍👩‍👧", "\u2028", "\x0c"])
@pytest.mark.parametrize(("encoding", "codec", "unit"), [("utf-8", "utf-8", 1), ("utf-16", "utf-16-le", 2)])
def test_a_character_of_any_width_does_not_shift_an_edit(
    connect: Connect, character: str, encoding: str, codec: str, unit: int
) -> None:
    # claude-code-zed#11, pygls#116, pygls#302.
    generator = GatedGenerator(["sum(xs)\n"])
    editor = connect(FakeBackend(generator), build_actions())
    editor.client.initialize(CAPABILITIES | {"general": {"positionEncodings": [encoding]}})
    before, selected, behind = f"print('{character}', ", "sum([x for x in xs])", f")  # {character}"
    editor.open(before + selected + behind + "\n")
    start, end = (len(part.encode(codec)) // unit for part in (before, before + selected))
    command = pick(editor.menu((0, start), (0, end)), "Optimize selection")["command"]
    editor.client.request("workspace/executeCommand", command)
    generator.wait_streams(1)
    generator.allow()
    change = editor.wait_edit()["params"]["edit"]["documentChanges"][0]["edits"][0]
    line = (before + selected + behind).encode(codec)
    first, last = (change["range"][side]["character"] * unit for side in ("start", "end"))
    made = line[:first] + change["newText"].encode(codec) + line[last:]
    assert made.decode(codec) == f"{before}sum(xs){behind}"


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_a_byte_order_mark_stay(desk: Desk, mark: str) -> None:
    # codex#4003, opencode#9443: line feeds written into CRLF files.
    text = mark + STUB.replace("\n", "\r\n")
    assert apply_to(text, desk.act("Implement", text, BODY)) == mark + BODY.replace("\n", "\r\n")


@pytest.mark.parametrize("indent", ["    ", "\t", "  "])
def test_the_first_line_is_indented_once_and_the_others_as_well(desk: Desk, indent: str) -> None:
    # cody#4362, vscode-copilot-release#1223: the first line twice, or the first line alone.
    text = f"class Shape:\n{indent}def area(self):\n{indent}{indent}pass\n"
    reply = "    def area(self):\n        w = self.w\n        return w * w\n"
    inner = indent * 2
    assert apply_to(text, desk.act("Implement", text, reply, (1, 8))) == (
        f"class Shape:\n{indent}def area(self):\n{inner}w = self.w\n{inner}return w * w\n"
    )


def test_a_last_line_that_follows_anyway_is_not_doubled(desk: Desk) -> None:
    # cody#3032, vscode#253582.
    text = "def f(rows):\n    # sort the rows\n    return rows\n"
    edit = desk.act("Write code", text, "rows.sort()\nreturn rows\n", (1, 6))
    assert apply_to(text, edit) == "def f(rows):\n    # sort the rows\n    rows.sort()\n    return rows\n"


def test_a_fence_within_the_code_does_not_end_it(desk: Desk) -> None:
    # aider#866, aider#22: the code itself held backticks.
    code = 'def area(w, h):\n    text = """\n```\narea(2, 3)\n```\n"""\n    return text\n'
    assert apply_to(STUB, desk.act("Implement", STUB, f"Sure:\n\n```python\n{code}```\nDone.")) == code


def test_forty_jobs_do_not_keep_the_menu_waiting(desk: Desk) -> None:
    # vim-tabby#34, tabby#3641: the editor froze while something was completed.
    text = "".join(f"def area_{n}(w, h):\n    pass\n\n\n" for n in range(40))
    desk.generator.pieces = [BODY]
    desk.editor.open(text)
    for number in range(40):
        desk.editor.choose(f"Implement `area_{number}`", (number * 4, 4))
    desk.generator.wait_streams(4)
    assert "Implement `area_7`" in desk.editor.titles((28, 4))
    assert len(desk.generator.streams) == 4
    assert desk.editor.end() == 0


def test_own_problems_are_found_where_the_editor_sends_none(desk: Desk) -> None:
    # neovim#30001: an editor that sends each server only its own problems sends us none.
    text = "def area(w, h:\n    return w * h\n"
    assert apply_to(text, desk.act("Fix", text, BODY)) == BODY


def test_an_outdated_edit_is_not_made_however_the_editor_counts(desk: Desk) -> None:
    # nvim-jdtls#67: Neovim opens documents as version 0, and makes edits of that version unchecked.
    desk.generator.pieces = [BODY]
    desk.editor.client.open(URI, STUB, version=0)
    desk.editor.choose("Implement `area`")
    desk.generator.wait_streams(1)
    desk.editor.client.change(URI, 0, {"text": "def area(w, h):\n    return 1\n"})
    desk.editor.titles((0, 4))  # its answer says that the change has been read
    desk.generator.allow()
    desk.editor.wait_shown("Insert last result")
    assert desk.editor.client.methods("workspace/applyEdit") == []


def test_a_selection_that_is_too_long_says_both_numbers(connect: Connect) -> None:
    generator = GatedGenerator([])
    editor = connect(FakeBackend(generator, context_tokens=600), build_actions())
    editor.client.initialize()
    editor.open("".join(f"value_{n} = {n}\n" for n in range(100)))
    command = pick(editor.menu((0, 0), (99, 0)), "Optimize selection")["command"]
    editor.client.request("workspace/executeCommand", command)
    editor.client.wait_count("window/showMessage", 1)
    assert len(re.findall(r"\d+", editor.messages()[0])) >= 2
    assert generator.requests == []
