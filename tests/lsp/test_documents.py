"""What is open in the editor: buffers without a file, several folders, notebooks, odd names, odd changes."""

from pathlib import Path
from typing import Any

import pytest

from lsp.documents import Documents
from tests.lsp.conftest import Connect
from tests.lsp.connected import URI, Connected
from tests.lsp.fakes import FakeBackend, GatedGenerator, build_actions
from tests.lsp.raw_client import CAPABILITIES, JsonObject

START = "a = 1\nb = 2\nc = 3\n"


def rewrite(
    editor: Connected, generator: GatedGenerator, uri: str, place: tuple[int, int] = (0, 0)
) -> JsonObject:
    count = len(generator.streams)
    edits = len(editor.client.methods("workspace/applyEdit"))
    editor.choose("Rewrite", place, uri=uri)
    generator.wait_streams(count + 1)
    generator.allow()
    return editor.wait_edit(edits + 1)


@pytest.mark.parametrize(
    "uri",
    [
        "untitled:Untitled-1",
        "untitled:/home/me/new file.py",
        "untitled:%F0%9F%91%8D",
        "vscode-remote://ssh-remote%2Bhost/home/me/shapes.py",
        "git:/shapes.py?%7B%22ref%22%3A%22HEAD%22%7D",
        "buffer://12",
        "no-colon-at-all",
        "file:///home/me/%5Bodd%5D%20%23name.py",
        "file://host/share/shapes.py",
    ],
)
def test_a_document_of_any_name_is_served(editor: Connected, generator: GatedGenerator, uri: str) -> None:
    # llm-vscode#119: an untitled buffer crashed the server; positron#12268, LSP-pyright#281: odd names.
    editor.open(START, uri)
    message = rewrite(editor, generator, uri)
    assert message["params"]["edit"]["documentChanges"][0]["textDocument"]["uri"] == uri
    editor.make_edit(message, uri)
    assert editor.text == "x = 1\nb = 2\nc = 3\n"


def test_a_name_is_known_in_another_quoting_and_given_back_as_it_was_opened(
    editor: Connected, generator: GatedGenerator
) -> None:
    editor.open(START, "file:///c%3A/my%20work/shapes.py")
    editor.type("# new\n" + START, "file:///c:/my%20work/shapes.py")
    message = rewrite(editor, generator, "file:///c%3A/my work/shapes.py", (1, 0))
    uri = message["params"]["edit"]["documentChanges"][0]["textDocument"]["uri"]
    assert uri == "file:///c%3A/my%20work/shapes.py"


def test_a_change_before_the_opening_asks_for_a_new_opening_once(editor: Connected) -> None:
    for version in (2, 3):
        editor.client.change("file:///other.py", version, {"text": "x"})
    editor.wait_shown("file:///other.py was changed before it was opened")
    editor.menu()
    assert len(editor.messages()) == 1
    editor.open(START, "file:///other.py")
    assert editor.titles(uri="file:///other.py") != []


def test_a_change_that_cannot_be_understood_takes_the_document_out_of_service(editor: Connected) -> None:
    place = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 4_294_967_295}}
    editor.client.change(URI, 2, {"range": place, "text": "x"})
    editor.wait_shown("close it and open it again")
    assert editor.titles() == []


def test_closing_what_is_not_open_does_nothing(editor: Connected) -> None:
    editor.client.notify("textDocument/didClose", {"textDocument": {"uri": "file:///other.py"}})
    assert editor.titles() != []


def test_several_changes_in_one_message_are_taken_in_their_order(
    editor: Connected, generator: GatedGenerator
) -> None:
    def put(line: int, character: int, text: str) -> JsonObject:
        place = {"line": line, "character": character}
        return {"range": {"start": place, "end": place}, "text": text}

    editor.client.change(URI, 2, put(0, 0, "# one\n"), put(0, 5, "\n# two"), put(5, 0, "# end\n"))
    editor.text = "# one\n# two\n" + START + "# end\n"
    message = rewrite(editor, generator, URI, (3, 0))
    editor.make_edit(message)
    assert editor.text == "# one\n# two\na = 1\nx = 1\nc = 3\n# end\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("'a\x0cb'\nhere = 1\n", 1),
        ("'a\u2028b'\nhere = 1\n", 1),
        ("a\r\nhere = 1\r\n", 1),
        ("a\rhere = 1\rb\r", 1),
        ("\ufeffhere = 1\n", 0),
        ("here = 1", 0),
    ],
)
def test_lines_are_those_of_the_editor(
    editor: Connected, generator: GatedGenerator, text: str, line: int
) -> None:
    # pygls splits at form feeds and Unicode separators: the edit hit another line.
    editor.open(text)
    editor.make_edit(rewrite(editor, generator, URI, (line, 0)))
    assert "here" not in editor.text
    assert editor.text.endswith(text[text.index("here") + len("here = 1") :])


def test_a_document_that_is_opened_anew_gets_no_edit_for_the_old_one(
    editor: Connected, generator: GatedGenerator
) -> None:
    editor.choose("Rewrite")
    generator.wait_streams(1)
    editor.open(START, version=1)
    generator.allow()
    assert editor.wait_progress("end")["value"]["message"] == "the file was closed"
    assert editor.client.methods("workspace/applyEdit") == []


def build_folders(root: Path) -> tuple[Documents, Path, Path]:
    documents = Documents()
    outer, inner = root / "work", root / "work" / "lib"
    for folder in (outer, inner):
        folder.mkdir(parents=True)
        documents.add_folder(folder.as_uri())
    return documents, outer, inner


def test_the_innermost_of_several_folders_is_a_files_root(tmp_path: Path) -> None:
    documents, outer, inner = build_folders(tmp_path)
    assert documents.find_root(inner / "a.py") == inner
    assert documents.find_root(outer / "a.py") == outer
    assert documents.find_root(tmp_path / "a.py") is None
    documents.remove_folder(inner.as_uri())
    assert documents.find_root(inner / "a.py") == outer


def test_folders_come_and_go_while_the_editor_runs(editor: Connected, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    event: dict[str, Any] = {"added": [{"uri": one.as_uri(), "name": "one"}], "removed": []}
    editor.client.notify("workspace/didChangeWorkspaceFolders", {"event": event})
    event = {
        "added": [{"uri": two.as_uri(), "name": "two"}],
        "removed": [{"uri": one.as_uri(), "name": "one"}],
    }
    editor.client.notify("workspace/didChangeWorkspaceFolders", {"event": event})
    editor.menu()
    assert editor.server.session.documents.find_root(two / "a.py") == two
    assert editor.server.session.documents.find_root(one / "a.py") is None


def test_a_file_that_is_open_is_read_from_the_buffer(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"on disk\r\n")
    documents = Documents()
    state = documents.read_file(path)
    assert (state.version, state.lines.text if state.lines else None) == (None, "on disk\r\n")
    documents.open(path.as_uri(), 3, "in the buffer", "python")
    state = documents.read_file(path)
    assert (state.version, state.lines.text if state.lines else None) == (3, "in the buffer")


def test_a_file_that_is_missing_or_no_text_has_no_lines(tmp_path: Path) -> None:
    documents = Documents()
    (tmp_path / "latin.py").write_bytes(b"\xff")
    assert documents.read_file(tmp_path / "latin.py").lines is None
    assert documents.exists(tmp_path / "latin.py")
    state = documents.read_file(tmp_path / "new.py")
    assert state.lines is None
    assert state.uri == (tmp_path / "new.py").as_uri()
    assert not documents.exists(tmp_path / "new.py")


NOTEBOOK = "file:///project/work.ipynb"
CELLS = [f"vscode-notebook-cell:/project/work.ipynb#{name}" for name in ("one", "two", "three", "four")]
WITH_NOTEBOOKS = CAPABILITIES | {"notebookDocument": {"synchronization": {"dynamicRegistration": True}}}


@pytest.fixture
def notebook(connect: Connect, generator: GatedGenerator) -> Connected:
    editor = connect(FakeBackend(generator), build_actions())
    capabilities = editor.client.initialize(WITH_NOTEBOOKS)["capabilities"]
    assert capabilities["notebookDocumentSync"]["notebookSelector"][0]["cells"] == [{"language": "python"}]
    kinds, languages = (2, 1, 2), ("python", "markdown", "python")
    texts = ("import os\n", "# Title", "%timeit x\ny = 2\n")
    items = [
        {"uri": uri, "languageId": language, "version": 1, "text": text}
        for uri, language, text in zip(CELLS, languages, texts, strict=False)
    ]
    cells = [{"kind": kind, "document": uri} for kind, uri in zip(kinds, CELLS, strict=False)]
    editor.client.notify(
        "notebookDocument/didOpen",
        {
            "notebookDocument": {"uri": NOTEBOOK, "notebookType": "jupyter", "version": 1, "cells": cells},
            "cellTextDocuments": items,
        },
    )
    return editor


def change_cells(editor: Connected, cells: JsonObject) -> None:
    editor.client.notify(
        "notebookDocument/didChange",
        {"notebookDocument": {"uri": NOTEBOOK, "version": 2}, "change": {"cells": cells}},
    )


def view_of(editor: Connected, uri: str) -> Any:
    editor.menu(uri=uri)
    return list(editor.server.session.menus.views())[-1]


def test_an_edit_of_a_cell_goes_to_the_cell(notebook: Connected, generator: GatedGenerator) -> None:
    message = rewrite(notebook, generator, CELLS[2], (1, 0))
    change = message["params"]["edit"]["documentChanges"][0]
    assert change["textDocument"] == {"uri": CELLS[2], "version": 1}
    notebook.text = "%timeit x\ny = 2\n"
    assert notebook.answer_edit(message, {"applied": True}) is None


def test_earlier_code_cells_are_known_in_their_order(notebook: Connected) -> None:
    assert view_of(notebook, CELLS[2]).cells_before == ("import os\n",)
    assert view_of(notebook, CELLS[0]).cells_before == ()


def test_cells_are_followed_as_they_are_typed_in_and_moved(notebook: Connected) -> None:
    place = {"start": {"line": 0, "character": 7}, "end": {"line": 0, "character": 9}}
    text = {"document": {"uri": CELLS[0], "version": 2}, "changes": [{"range": place, "text": "sys"}]}
    change_cells(notebook, {"textContent": [text]})
    new = {"uri": CELLS[3], "languageId": "python", "version": 1, "text": "z = 3\n"}
    array = {"start": 1, "deleteCount": 1, "cells": [{"kind": 2, "document": CELLS[3]}]}
    structure = {"array": array, "didOpen": [new], "didClose": [{"uri": CELLS[1]}]}
    change_cells(notebook, {"structure": structure})
    view = view_of(notebook, CELLS[2])
    assert view.cells_before == ("import sys\n", "z = 3\n")
    assert view.snapshot.mirror.is_cell


def test_a_notebook_that_is_closed_stops_its_jobs(notebook: Connected, generator: GatedGenerator) -> None:
    notebook.choose("Rewrite", (1, 0), uri=CELLS[2])
    generator.wait_streams(1)
    cells = [{"uri": uri} for uri in CELLS[:3]]
    notebook.client.notify(
        "notebookDocument/didClose", {"notebookDocument": {"uri": NOTEBOOK}, "cellTextDocuments": cells}
    )
    generator.wait(lambda: generator.streams[0].is_closed)
    assert notebook.titles(uri=CELLS[2]) == []


def test_a_cell_that_comes_as_a_plain_document_is_a_cell(editor: Connected) -> None:
    editor.open("%timeit x\n", CELLS[0])
    assert view_of(editor, CELLS[0]).snapshot.mirror.is_cell
