"""pygls's protocol with what an editor needs repaired. All that touches pygls's private parts is here.

Each repair has a test: a new pygls may make it superfluous, or break it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, cast

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.protocol import LanguageServerProtocol
from pygls.protocol.language_server import lsp_method

if TYPE_CHECKING:
    from concurrent.futures import Future

    from pygls.lsp.server import LanguageServer

Identifier = int | str
PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS = -32700, -32600, -32602
NOT_INITIALIZED = -32002

OUR_METHODS = (
    types.TEXT_DOCUMENT_DID_OPEN,
    types.TEXT_DOCUMENT_DID_CHANGE,
    types.TEXT_DOCUMENT_DID_CLOSE,
    types.NOTEBOOK_DOCUMENT_DID_OPEN,
    types.NOTEBOOK_DOCUMENT_DID_CHANGE,
    types.NOTEBOOK_DOCUMENT_DID_CLOSE,
    types.WORKSPACE_EXECUTE_COMMAND,
)
"""pygls keeps copies of documents that break lines where no editor does (ours are in `lsp.documents`), and
does not tell a command who asked for it."""


class EditorProtocol(LanguageServerProtocol):
    """What comes from the client is answered, whatever it is; pygls's own copy of documents is not kept."""

    def __init__(self, server: LanguageServer, converter: Any) -> None:
        super().__init__(server, converter)
        features: Any = self.fm
        for method in OUR_METHODS:
            del features.builtin_features[method]
        self.on_exit: Callable[[int], None] = lambda _: None
        """Told the exit code when the client asks for the end."""
        self.on_cancel: Callable[[Identifier], None] = lambda _: None
        """Told the id of each request that the client cancels, answered or not."""
        self.on_dropped: Callable[[dict[str, Any]], None] = lambda _: None
        """Told each message from the client that could not be understood."""
        self.on_capabilities: Callable[[types.ServerCapabilities], None] = lambda _: None
        """May change what the server says that it can do."""

    @property
    def is_shut_down(self) -> bool:
        """Whether the client has asked for the shutdown."""
        return self._shutdown

    def receive(self, body: bytes) -> None:
        """Handle one message, which may be anything."""
        try:
            message: Any = json.loads(body)
        except (ValueError, RecursionError):
            self._refuse(None, PARSE_ERROR, "the message is not JSON")
            return
        fields = cast("dict[str, Any]", message if isinstance(message, dict) else {})
        if fields.get("jsonrpc") != "2.0":
            self._refuse(_find_id(fields), INVALID_REQUEST, "this is no JSON-RPC 2.0 message")
            return
        if "method" not in fields or self._may_handle(fields):
            self._handle_fields(fields)

    def _may_handle(self, fields: dict[str, Any]) -> bool:
        method, is_initialized = fields["method"], self._workspace is not None
        if method == types.EXIT:
            return True
        if self._shutdown:
            self._refuse_request(fields, INVALID_REQUEST, "the server has been shut down")
        elif not is_initialized and method != types.INITIALIZE:
            self._refuse_request(fields, NOT_INITIALIZED, "the server has not been initialized")
        elif is_initialized and method == types.INITIALIZE:
            self._refuse_request(fields, INVALID_REQUEST, "the server has been initialized already")
        else:
            return True
        return False

    def _handle_fields(self, fields: dict[str, Any]) -> None:
        try:
            message = self.structure_message(fields)
        except JsonRpcException as error:
            # pygls would tell the user, and leave a request or a waiting task without an answer.
            if "method" in fields:
                self._refuse_request(fields, INVALID_PARAMS, f"{fields['method']}: {error.message}")
                self.on_dropped(fields)
            elif (future := self._request_futures.pop(fields.get("id", ""), None)) is not None:
                with contextlib.suppress(Exception):
                    future.set_exception(error)
            return
        self.handle_message(cast("Any", message))

    def _refuse_request(self, fields: dict[str, Any], code: int, text: str) -> None:
        if "id" in fields:
            self._refuse(_find_id(fields), code, text)

    def _refuse(self, identifier: Identifier | None, code: int, text: str) -> None:
        error = {"code": code, "message": text}
        self._send_data({"jsonrpc": "2.0", "id": identifier, "error": error})

    def _handle_cancel_notification(self, msg_id: Identifier) -> None:
        self.on_cancel(msg_id)
        super()._handle_cancel_notification(msg_id)

    def _handle_response(
        self, msg_id: Identifier, result: Any | None = None, error: types.ResponseError | None = None
    ) -> None:
        future: Future[Any] | None = self._request_futures.get(msg_id)
        if future is not None and future.done():  # whoever waited has been cancelled (pygls#621)
            del self._request_futures[msg_id]
            return
        super()._handle_response(msg_id, result, error)

    @lsp_method(types.INITIALIZE)
    def lsp_initialize(self, params: types.InitializeParams) -> Generator[Any, Any, types.InitializeResult]:
        """Let the server have the last word on its capabilities."""
        result = yield from super().lsp_initialize(params)
        self.on_capabilities(result.capabilities)
        return result

    @lsp_method(types.SHUTDOWN)
    def lsp_shutdown(self, *args: Any) -> Generator[Any, Any, None]:
        """Cancel what is in flight; pygls changes the dictionary while it goes through it."""
        features: Any = self.fm
        if (handler := features.features.get(types.SHUTDOWN)) is not None:
            yield handler, args, None
        for identifier, future in list(self._request_futures.items()):
            if identifier != self.msg_id:
                future.cancel()
        self._shutdown = True

    @lsp_method(types.EXIT)
    def lsp_exit(self, *args: Any) -> Generator[Any, Any, None]:
        """Leave the end to whoever runs the server; pygls would raise SystemExit in the event loop."""
        self.on_exit(0 if self._shutdown else 1)
        yield from ()


def _find_id(fields: dict[str, Any]) -> Identifier | None:
    identifier = fields.get("id")
    return identifier if isinstance(identifier, int | str) else None
