"""The editor as the rest of the server speaks to it: words, edits, documents, settings. Event loop only.

Errors turn into words here and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInternalError
from pygls.lsp.server import LanguageServer

from assistant import __version__
from assistant.commands.crash_log import write_crash_log
from assistant.errors import AssistantError
from lsp.protocol import EditorProtocol

if TYPE_CHECKING:
    from lsp.session import Session

NOTEBOOKS = types.NotebookDocumentSyncOptions(
    notebook_selector=[
        types.NotebookDocumentFilterWithCells(cells=[types.NotebookCellLanguage(language="python")])
    ]
)


class EditorServer(LanguageServer):
    """pygls's server with our protocol. What it says to the user is short and has none of their text."""

    session: Session
    """Set by `lsp.server.create_server`."""

    def __init__(self) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            "assistant",
            __version__,
            text_document_sync_kind=types.TextDocumentSyncKind.Incremental,
            notebook_document_sync=NOTEBOOKS,
            protocol_cls=EditorProtocol,
        )
        self._said: set[str] = set()

    @property
    def wire(self) -> EditorProtocol:
        """The protocol, as what it is."""
        assert isinstance(self.protocol, EditorProtocol)
        return self.protocol

    def show_error(self, error: AssistantError) -> None:
        """Say what failed and what to do about it."""
        self.show(render_error(error), types.MessageType.Error)

    def show(self, text: str, kind: types.MessageType = types.MessageType.Info) -> None:
        """Say something to the user."""
        self.window_show_message(types.ShowMessageParams(type=kind, message=text))

    def warn_once(self, text: str) -> None:
        """Say something that is wrong for as long as nobody changes it, one time."""
        if text not in self._said:
            self._said.add(text)
            self.show(text, types.MessageType.Warning)

    def log(self, text: str) -> None:
        """Write a line to the editor's log of this server. Never any of the user's text."""
        self.window_log_message(types.LogMessageParams(type=types.MessageType.Info, message=text))

    def send_edit(self, title: str, edit: types.WorkspaceEdit) -> asyncio.Future[Any]:
        """Ask the editor to make an edit, now. Read the answer with `read_edit_answer`."""
        params = types.ApplyWorkspaceEditParams(label=title, edit=edit)
        return self.protocol.send_request_async(types.WORKSPACE_APPLY_EDIT, params)

    async def read_edit_answer(self, answer: asyncio.Future[Any]) -> str | None:
        """Wait for the editor's answer and return why it did not make the edit, or None where it did."""
        try:
            result = await answer
        except JsonRpcException as error:
            return error.message or "it gives no reason"
        if not isinstance(result, types.ApplyWorkspaceEditResult) or result.applied:
            return None  # an editor may answer nothing at all
        return result.failure_reason or "it gives no reason"

    async def show_document(self, uri: str) -> bool:
        """Open a document in the editor and return whether it did."""
        params = types.ShowDocumentParams(uri=uri, take_focus=True)
        with contextlib.suppress(JsonRpcException):
            return bool((await self.window_show_document_async(params)).success)
        return False

    async def fetch_settings(self, section: str) -> object:
        """Ask for a section of the editor's settings; None where it has none."""
        items = [types.ConfigurationItem(section=section)]
        with contextlib.suppress(JsonRpcException, IndexError, TypeError):
            return (await self.workspace_configuration_async(types.ConfigurationParams(items=items)))[0]
        return None

    async def register(self, method: str) -> None:
        """Ask the editor to send a notification that it sends only when asked to."""
        registration = types.Registration(id=f"assistant:{method}", method=method)
        with contextlib.suppress(JsonRpcException):
            await self.client_register_capability_async(
                types.RegistrationParams(registrations=[registration])
            )

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Report what pygls caught. What the editor did wrong is its own business, and it has been told."""
        if isinstance(error, JsonRpcException) and not isinstance(error, JsonRpcInternalError):
            return
        self.report_bug(sys.exc_info()[1] or error)

    def report_bug(self, error: BaseException | None) -> None:
        """Write a bug's traceback, without the user's text, to a file and say where it is."""
        if error is None or isinstance(error, asyncio.CancelledError):
            return
        kind = type(error).__name__
        try:
            place = f"its traceback, without your text, is in {write_crash_log(error)}"
        except AssistantError as failure:
            place = f"its log cannot be written: {failure}"
        self.show(f"a bug in assistant ({kind}); {place}", types.MessageType.Error)


def render_error(error: AssistantError) -> str:
    """Return an error's message and its hint in one line."""
    return f"{error.message} ({error.hint})" if error.hint else error.message
