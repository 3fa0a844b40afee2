"""One client's connection from its first byte to the last: read, handle, write, and end on time.

Reading and writing have threads of their own, so that the event loop only ever handles messages. Every way to
the end, the client's `exit`, the end of the stream, a broken stream, a dead editor, is taken within a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from lsp.framing import FramingError, frame_body, read_body
from lsp.lifetime import watch_process
from lsp.stdio import QueuedWriter, Streams

if TYPE_CHECKING:
    from lsp.editor import EditorServer

GRACE_S = 0.6
"""What the event loop is doing may take so long when the process has to end."""
FLUSH_S = 0.3
"""The client gets so long to read what it was sent last."""


def serve(server: EditorServer, streams: Streams, *, abort: Callable[[int], object]) -> int:
    """Serve one client to its end and return the process's exit code.

    Args:
        server: What handles the messages.
        streams: The connection.
        abort: Ends the process at once. Called where the event loop does not come to its end.
    """
    return asyncio.run(_Connection(server, streams, abort).run())


class _Connection:
    def __init__(self, server: EditorServer, streams: Streams, abort: Callable[[int], object]) -> None:
        self._server = server
        self._streams = streams
        self._abort = abort
        self._is_over = threading.Event()

    async def run(self) -> int:
        self._loop = asyncio.get_running_loop()
        self._code: asyncio.Future[int] = self._loop.create_future()
        self._loop.set_exception_handler(lambda _, context: self._server.report_bug(context.get("exception")))
        protocol, session = self._server.wire, self._server.session
        writer = QueuedWriter(self._streams.outgoing, lambda: self._end_from_thread(1))
        protocol.set_writer(_FramedWriter(writer), include_headers=False)
        protocol.on_exit = self._end
        session.on_editor_process = lambda pid: watch_process(pid, lambda: self._end_from_thread(1))
        threading.Thread(target=self._read, name="lsp-reader", daemon=True).start()
        try:
            return await self._code
        finally:
            session.close()
            writer.join(FLUSH_S)
            self._is_over.set()

    def _read(self) -> None:
        stream: BinaryIO = self._streams.incoming
        try:
            while (body := read_body(stream)) is not None:
                self._loop.call_soon_threadsafe(self._server.wire.receive, body)
        except FramingError as error:
            self._complain(f"what the editor sends cannot be read: {error}")
            self._end_from_thread(1)
        except (OSError, ValueError, RuntimeError):  # the pipe broke, or the event loop has ended
            self._end_from_thread(1)
        else:
            self._end_from_thread(0 if self._server.wire.is_shut_down else 1)

    def _end_from_thread(self, code: int) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: that is the end, too
            self._loop.call_soon_threadsafe(self._end, code)
        if not self._is_over.wait(GRACE_S):
            self._abort(code)

    def _end(self, code: int) -> None:
        if not self._code.done():
            self._code.set_result(code)

    def _complain(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            print(f"assistant lsp: {text}", file=sys.stderr, flush=True)  # noqa: T201


class _FramedWriter:
    def __init__(self, writer: QueuedWriter) -> None:
        self._writer = writer

    def write(self, data: bytes) -> None:
        self._writer.write(frame_body(data))

    def close(self) -> None:
        self._writer.close()
