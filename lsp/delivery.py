"""Edits on their way into the editor: proved current at the last moment, versioned, and seen to have arrived.

An editor's word is not enough. One drops an outdated edit and says that it was made; another makes it in the
wrong place. So the text that an edit must lead to is computed first, and the editor's next changes are
compared with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from lsprotocol import types

from lsp.actions.interface import Edits, FileEdit
from lsp.clients import Client
from lsp.documents import Documents
from lsp.edits import TextEdit, apply_edits
from lsp.mirror import Mirror, Snapshot
from lsp.positions import Lines, Position, PositionEncoding, Range

ARRIVAL_S = 3.0
"""An editor that has made an edit tells of the change within this time; Neovim waits 0.15 s."""
ANNOTATION = "assistant"


class Arrival(Enum):
    """What became of an edit that was sent."""

    SEEN = auto()
    """The editor's text is what the edit leads to, or there is no text to compare."""
    UNSEEN = auto()
    """The editor says that it made the edit, and its text says otherwise."""


@dataclass(eq=False, kw_only=True)
class Expected:
    """The text that a document will have once an edit has arrived."""

    uri: str
    before: Snapshot
    text: str
    arrived: asyncio.Event


Watched = Sequence[Expected]


class Delivery:
    """Sends edits and watches them arrive. Event loop only.

    Args:
        documents: What the editor has open.
        client: What the editor can do.
    """

    def __init__(self, documents: Documents, client: Client) -> None:
        self._documents = documents
        self._client = client
        self._expected: list[Expected] = []

    def is_current(self, edits: Edits) -> bool:
        """Whether every file is still what the edits were made for."""
        current = self._documents.since(edits.snapshot)
        if current is None or current.snapshot.revision != edits.snapshot.revision:
            return False
        return all(self._is_current_file(file) for file in edits.files)

    def can_send(self, edits: Edits) -> bool:
        """Whether the editor can make such edits."""
        return self._client.can_create_files or not any(file.creates for file in edits.files)

    def build_edit(self, edits: Edits, *, confirm: bool) -> types.WorkspaceEdit:
        """Build what is sent. Call `is_current` first, and let nothing come between."""
        for file in edits.files:
            apply_edits(file.lines.text, file.edits)  # raises where a range is outside, or two overlap
        annotates = confirm and self._client.has_annotations
        # Neovim takes them without saying so; nothing else can create a file.
        if not (self._client.has_document_changes or any(file.creates for file in edits.files)):
            return types.WorkspaceEdit(changes={file.uri: self._text_edits(file) for file in edits.files})
        changes: list[types.CreateFile | types.TextDocumentEdit] = []
        for file in edits.files:
            if file.creates:
                changes.append(types.CreateFile(uri=file.uri))
            place = types.OptionalVersionedTextDocumentIdentifier(uri=file.uri, version=self._version(file))
            plain = self._text_edits(file)
            changes.append(
                types.TextDocumentEdit(
                    text_document=place, edits=[_annotated(edit) for edit in plain] if annotates else plain
                )
            )
        note = types.ChangeAnnotation(label=edits.title, needs_confirmation=True)
        return types.WorkspaceEdit(
            document_changes=changes, change_annotations={ANNOTATION: note} if annotates else None
        )

    def expect(self, edits: Edits) -> Watched:
        """Begin to watch for what the edits lead to. Call it before they are sent."""
        expected: list[Expected] = []
        for file in edits.files:
            document = self._documents.find(file.uri)
            if document is not None:
                text = apply_edits(file.lines.text, file.edits)
                before = document.mirror.snapshot
                expected.append(Expected(uri=file.uri, before=before, text=text, arrived=asyncio.Event()))
        self._expected += expected
        return expected

    async def wait_arrival(self, edits: Edits, expected: Watched) -> Arrival:
        """Wait until the editor's text is what the edits lead to, but not for ever."""
        try:
            async with asyncio.timeout(ARRIVAL_S):
                for each in expected:
                    await each.arrived.wait()
        except TimeoutError:
            # Somebody types at the same time: then the text is never exactly what was computed.
            return Arrival.SEEN if self._holds_all(edits) else Arrival.UNSEEN
        finally:
            self.forget(expected)
        return Arrival.SEEN

    def forget(self, expected: Watched) -> None:
        """Watch no longer."""
        self._expected = [each for each in self._expected if each not in expected]

    def note_change(self, mirror: Mirror) -> None:
        """Compare a document that has changed with what is expected of it."""
        for each in self._expected:
            snapshot = mirror.snapshot
            if each.before.mirror is mirror and _normalized(snapshot.text) == _normalized(each.text):
                each.arrived.set()

    def _is_current_file(self, file: FileEdit) -> bool:
        document = self._documents.find(file.uri)
        if document is None:
            return file.version is None
        return document.mirror.snapshot.lines.text == file.lines.text

    def _version(self, file: FileEdit) -> int | None:
        document = self._documents.find(file.uri)
        return document.mirror.snapshot.version if document is not None else None

    def _holds_all(self, edits: Edits) -> bool:
        for file in edits.files:
            document = self._documents.find(file.uri)
            if document is None:
                continue
            before, now = _normalized(file.lines.text), _normalized(document.mirror.snapshot.text)
            if not all(_has_grown(_normalized(edit.text), before, now) for edit in file.edits):
                return False
        return True

    def _text_edits(self, file: FileEdit) -> list[types.TextEdit]:
        edits = file.edits
        if file.creates and self._client.ends_new_files:
            edits = tuple(replace(edit, text=edit.text.removesuffix("\n")) for edit in edits)
        return [_text_edit(file.lines, edit, self._documents.encoding) for edit in edits]


def to_range(place: types.Range) -> Range:
    """Take a place from the protocol."""
    return Range(
        start=Position(line=place.start.line, character=place.start.character),
        end=Position(line=place.end.line, character=place.end.character),
    )


def from_range(place: Range) -> types.Range:
    """Hand a place to the protocol."""
    return types.Range(
        start=types.Position(line=place.start.line, character=place.start.character),
        end=types.Position(line=place.end.line, character=place.end.character),
    )


def _text_edit(lines: Lines, edit: TextEdit, encoding: PositionEncoding) -> types.TextEdit:
    return types.TextEdit(range=from_range(lines.range_at(edit.span, encoding)), new_text=edit.text)


def _annotated(edit: types.TextEdit) -> types.AnnotatedTextEdit:
    return types.AnnotatedTextEdit(annotation_id=ANNOTATION, range=edit.range, new_text=edit.new_text)


def _has_grown(text: str, before: str, now: str) -> bool:
    return now.count(text) > before.count(text) if text else now != before


def _normalized(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
