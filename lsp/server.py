"""The language server: which messages it handles. Each handler unpacks, asks the session, packs."""

from __future__ import annotations

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from lsp import menu
from lsp.actions.registry import ActionSet
from lsp.backend import Backend
from lsp.editor import EditorServer
from lsp.menu import COMMANDS, KINDS, Entry, read_choice
from lsp.session import Session


def create_server(actions: ActionSet, backend: Backend) -> EditorServer:
    """Build a server for one client.

    Args:
        actions: What is offered.
        backend: Who answers.
    """
    server = EditorServer()
    server.session = Session(server, actions, backend)
    server.wire.on_cancel = lambda identifier: server.session.work.cancel_request(identifier)
    server.wire.on_dropped = server.session.note_dropped
    server.wire.on_capabilities = lambda capabilities: _adapt_capabilities(server.session, capabilities)
    _register_lifecycle(server)
    _register_documents(server)
    _register_actions(server)
    return server


def _register_lifecycle(server: EditorServer) -> None:
    session = server.session

    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        session.initialize(params)

    @server.feature(types.INITIALIZED)
    async def initialized(_: types.InitializedParams) -> None:
        await session.begin()

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def change_configuration(params: types.DidChangeConfigurationParams) -> None:
        await session.change_settings(params.settings)

    @server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    def change_folders(params: types.DidChangeWorkspaceFoldersParams) -> None:
        session.change_folders(params.event)

    @server.feature(types.SHUTDOWN)
    def shut_down(_: None) -> None:
        session.close()


def _register_documents(server: EditorServer) -> None:
    session = server.session

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def open_document(params: types.DidOpenTextDocumentParams) -> None:
        session.open(params.text_document)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def change_document(params: types.DidChangeTextDocumentParams) -> None:
        session.change(params)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def close_document(params: types.DidCloseTextDocumentParams) -> None:
        session.close_document(params.text_document.uri)

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_OPEN)
    def open_notebook(params: types.DidOpenNotebookDocumentParams) -> None:
        session.open_notebook(params)

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    def change_notebook(params: types.DidChangeNotebookDocumentParams) -> None:
        session.change_notebook(params)

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_CLOSE)
    def close_notebook(params: types.DidCloseNotebookDocumentParams) -> None:
        session.close_notebook(params)


def _register_actions(server: EditorServer) -> None:
    session = server.session

    @server.feature(types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions(code_action_kinds=list(KINDS)))
    def build_menu(params: types.CodeActionParams) -> list[Entry]:
        return session.build_menu(params)

    @server.feature(types.CODE_ACTION_RESOLVE)
    async def resolve(action: types.CodeAction) -> types.CodeAction:
        return await session.resolve(action, server.protocol.msg_id)

    @server.feature(types.WORKSPACE_EXECUTE_COMMAND)
    def execute(params: types.ExecuteCommandParams) -> None:
        _execute(server, params)

    @server.feature(types.WINDOW_WORK_DONE_PROGRESS_CANCEL)
    def cancel_progress(params: types.WorkDoneProgressCancelParams) -> None:
        session.work.cancel_progress(params.token)


def _execute(server: EditorServer, params: types.ExecuteCommandParams) -> None:
    session = server.session
    argument = params.arguments[0] if params.arguments else None
    choice = read_choice(argument)
    match params.command:
        case menu.CANCEL:
            session.work.cancel(argument if isinstance(argument, int) else None)
        case menu.RUN if choice is not None:
            session.run(choice, request_id=server.protocol.msg_id, token=params.work_done_token)
        case menu.INSERT if choice is not None:
            session.insert_last_result(choice)
        case menu.AGAIN if choice is not None:
            session.try_again(choice)
        case _:
            raise JsonRpcInvalidParams.of(ValueError(f"no command {params.command} with such arguments"))


def _adapt_capabilities(session: Session, capabilities: types.ServerCapabilities) -> None:
    encoding = session.documents.encoding.value
    capabilities.position_encoding = types.PositionEncodingKind(encoding)
    capabilities.execute_command_provider = types.ExecuteCommandOptions(commands=list(COMMANDS))
    provider = capabilities.code_action_provider
    if isinstance(provider, types.CodeActionOptions):
        # Some editors resolve whatever can be, and freeze meanwhile: say so only where it is of use.
        provider.resolve_provider = session.resolves
