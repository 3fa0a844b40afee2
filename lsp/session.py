"""One editor's session: what it can do, what it set, has open and is offered. Event loop only."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from lsprotocol import types

from lsp.actions.interface import Offer, View
from lsp.actions.registry import ActionSet
from lsp.asking import Made
from lsp.assignment import Assignment
from lsp.backend import Backend
from lsp.clients import Client, read_client
from lsp.delivery import to_range
from lsp.documents import Documents
from lsp.editor import EditorServer
from lsp.menu import Choice, Entry, Menus, read_choice, read_diagnostics, read_kinds, read_place
from lsp.mirror import ContentChange
from lsp.positions import PositionEncoding
from lsp.progress import ProgressToken
from lsp.settings import SECTION, LspSettings, parse_settings
from lsp.work import Work

STALE_MENU = "The text has changed since the menu was opened. Open it again."


class Session:
    """What the handlers of `lsp.server` call.

    Args:
        server: Speaks to the editor.
        actions: What is offered.
        backend: Who answers.
    """

    work: Work
    """Set by `initialize`; the protocol lets nothing else come before it."""
    menus: Menus
    """As `work`."""

    def __init__(self, server: EditorServer, actions: ActionSet, backend: Backend) -> None:
        self._server = server
        self._actions = actions
        self._backend = backend
        self._initial_settings: object = None
        self._is_ready = False
        self.settings = LspSettings()
        self.resolves = False
        """Whether edits are asked for with `codeAction/resolve`. Decided once: the handshake says it."""
        self.client = Client()
        self.documents = Documents()
        self.on_editor_process: Callable[[int], object] = lambda _: None
        """Told the editor's process, to watch it."""

    def initialize(self, params: types.InitializeParams) -> None:
        """Get to know the editor."""
        self.client = read_client(params)
        self._initial_settings = params.initialization_options
        self._take_settings(None)
        self.documents = Documents(self._choose_encoding(params))
        folders = [folder.uri for folder in params.workspace_folders or ()]
        for uri in folders or filter(None, [params.root_uri]):
            self.documents.add_folder(uri)
        self.work = Work(
            self._server, self.client, self.documents, self._actions, self._backend, lambda: self.settings
        )
        self.resolves = self.settings.delivery == "resolve" and self.client.may_resolve
        self.menus = Menus(self.client, resolves=self.resolves)
        self._is_ready = True
        if params.process_id is not None:
            self.on_editor_process(params.process_id)

    async def begin(self) -> None:
        """Say what is wrong with the user's actions and first settings, and ask the editor for the rest."""
        for complaint in (*self._actions.complaints, *parse_settings(self._initial_settings).complaints):
            self._server.warn_once(complaint)
        if self.client.has_configuration:
            self._take_settings(await self._server.fetch_settings(SECTION))
        if self.settings.delivery == "resolve" and not self.resolves:
            freezes = f"{self.client.name or 'this editor'} may freeze while it waits"
            why = "it counts in initializationOptions alone" if self.client.may_resolve else freezes
            self._server.warn_once(f"assistant.delivery = resolve is not used: {why}")
        if self.client.tells_configuration:
            await self._server.register(types.WORKSPACE_DID_CHANGE_CONFIGURATION)

    async def change_settings(self, content: object) -> None:
        """Take new settings: those that came along, or those that the editor says when it is asked."""
        if self.client.has_configuration:
            content = await self._server.fetch_settings(SECTION)
        self._take_settings(content)

    def open(self, item: types.TextDocumentItem) -> None:
        """Take a document over from the editor."""
        self.documents.open(item.uri, item.version, item.text, item.language_id)

    def change(self, params: types.DidChangeTextDocumentParams) -> None:
        """Follow a change."""
        document = params.text_document
        self._change(document.uri, document.version, params.content_changes)

    def note_dropped(self, message: dict[str, Any]) -> None:
        """Forget a document whose change could not be understood: an edit of it would go astray."""
        if message.get("method") == types.TEXT_DOCUMENT_DID_CHANGE:
            with contextlib.suppress(KeyError, TypeError):
                uri = str(message["params"]["textDocument"]["uri"])
                self.close_document(uri)
                self._server.warn_once(f"a change of {uri} was not understood: close it and open it again.")

    def close_document(self, uri: str) -> None:
        """Stop what runs for a document, and forget it."""
        document = self.documents.find(uri)
        if document is not None:
            self.work.note_close(document.mirror.snapshot.uri)
        self.documents.close(uri)

    def open_notebook(self, params: types.DidOpenNotebookDocumentParams) -> None:
        """Take a notebook over."""
        cells = [cell.document for cell in params.notebook_document.cells]
        self.documents.open_notebook(params.notebook_document.uri, cells)
        for item in params.cell_text_documents:
            self._open_cell(item)

    def change_notebook(self, params: types.DidChangeNotebookDocumentParams) -> None:
        """Follow a change of a notebook's cells, or of their texts."""
        cells = params.change.cells
        if cells is None:
            return
        if cells.structure is not None:
            array = cells.structure.array
            new = [cell.document for cell in array.cells or ()]
            self.documents.splice_notebook(params.notebook_document.uri, array.start, array.delete_count, new)
            for item in cells.structure.did_open or ():
                self._open_cell(item)
            for closed in cells.structure.did_close or ():
                self.close_document(closed.uri)
        for text in cells.text_content or ():
            self._change(text.document.uri, text.document.version, text.changes)

    def close_notebook(self, params: types.DidCloseNotebookDocumentParams) -> None:
        """Forget a notebook and its cells."""
        for cell in params.cell_text_documents:
            self.close_document(cell.uri)
        self.documents.close_notebook(params.notebook_document.uri)

    def change_folders(self, event: types.WorkspaceFoldersChangeEvent) -> None:
        """Follow a change of the workspace's folders."""
        for folder in event.removed:
            self.documents.remove_folder(folder.uri)
        for folder in event.added:
            self.documents.add_folder(folder.uri)

    def build_menu(self, params: types.CodeActionParams) -> list[Entry]:
        """Say what can be done at a place."""
        view = self._look(params.text_document.uri, params.range, params.context.diagnostics)
        if view is None:
            return []
        automatic = params.context.trigger_kind is types.CodeActionTriggerKind.Automatic
        offers = self._actions.offer(
            view,
            only=read_kinds(params.context),
            is_automatic=automatic,
            hidden=self.settings.hidden_actions,
        )
        return self.menus.build(view, offers, self.work.controls(view), params)

    def run(
        self, choice: Choice, *, request_id: int | str | None = None, token: ProgressToken | None = None
    ) -> None:
        """Start what was chosen from a menu."""
        found = self._find_choice(choice)
        if found is None:
            self._server.show(STALE_MENU, types.MessageType.Warning)
            return
        self.work.start(*found, request_id=request_id, token=token)

    async def resolve(self, action: types.CodeAction, request_id: int | str | None) -> types.CodeAction:
        """Return an action with its edit, where the editor waits for that. Any other comes back as it is."""
        choice = read_choice(action.data) if self.resolves else None
        found = self._find_choice(choice) if choice is not None else None
        if found is None:
            return action
        assignment = self.work.start(*found, request_id=request_id, waits=True)
        action.edit = await self._wait_edit(assignment)
        return action

    def insert_last_result(self, choice: Choice) -> None:
        """Put the last result of a document where the user stands."""
        view = self._look_again(choice)
        if view is None or not self.work.insert_last_result(view):
            self._server.show("There is no result to insert.")

    def try_again(self, choice: Choice) -> None:
        """Ask for another answer."""
        view = self._look_again(choice)
        if view is None or not self.work.try_again(view):
            self._server.show("The text has changed: undo the last result, then try again.")

    def close(self) -> None:
        """Stop everything."""
        if self._is_ready:
            self.work.close()

    async def _wait_edit(self, assignment: Assignment) -> types.WorkspaceEdit | None:
        assert assignment.edit is not None
        try:
            made: Made | None = await assignment.edit
        except asyncio.CancelledError:
            self.work.cancel(assignment.job.number)
            raise
        return assignment.build_current_edit(made) if made is not None else None

    def _find_choice(self, choice: Choice) -> tuple[View, Offer] | None:
        """What was chosen, in the text that it was offered for."""
        view = self.menus.find_view(choice)
        if view is None or self.documents.since(view.snapshot) is None:
            view = self._look_again(choice)
            if view is not None and view.snapshot.version != choice.get("version"):
                return None
        offer = self._actions.find_offer(view, str(choice.get("key"))) if view is not None else None
        return (view, offer) if view is not None and offer is not None else None

    def _look_again(self, choice: Choice) -> View | None:
        place = read_place(choice)
        return self._look(str(choice.get("uri")), place, ()) if place is not None else None

    def _look(self, uri: str, place: types.Range, diagnostics: Sequence[types.Diagnostic]) -> View | None:
        document = self.documents.find(uri)
        if document is None:
            return None
        lines, encoding = document.mirror.snapshot.lines, self.documents.encoding
        known = read_diagnostics(diagnostics, lines, encoding)
        return self.documents.build_view(uri, lines.span_at(to_range(place), encoding), known)

    def _open_cell(self, item: types.TextDocumentItem) -> None:
        self.documents.open(item.uri, item.version, item.text, item.language_id, is_cell=True)

    def _change(
        self, uri: str, version: int, changes: Sequence[types.TextDocumentContentChangeEvent]
    ) -> None:
        mirror = self.documents.change(uri, version, map(_read_change, changes))
        if mirror is None:
            self._server.warn_once(f"{uri} was changed before it was opened: close it and open it again.")
            return
        self.work.delivery.note_change(mirror)

    def _take_settings(self, content: object) -> None:
        parsed = parse_settings(self._initial_settings, content)
        self.settings = parsed.settings
        if self._is_ready:
            for complaint in parsed.complaints:
                self._server.warn_once(complaint)

    def _choose_encoding(self, params: types.InitializeParams) -> PositionEncoding:
        general = params.capabilities.general
        offered = [
            str(getattr(each, "value", each)) for each in (general and general.position_encodings) or ()
        ]
        wanted = self.settings.position_encoding
        if wanted in offered:
            return PositionEncoding(wanted)
        known = [each for each in offered if each in set(PositionEncoding)]
        return PositionEncoding(known[0]) if known and wanted == "auto" else PositionEncoding.UTF16


def _read_change(change: types.TextDocumentContentChangeEvent) -> ContentChange:
    if isinstance(change, types.TextDocumentContentChangePartial):
        return ContentChange(text=change.text, range=to_range(change.range))
    return ContentChange(text=change.text)
