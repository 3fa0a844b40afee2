"""A process in the place of our generator: `python stub_daemon.py [--version V] [--stubborn]`."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import threading

from assistant import files, paths
from tests.client.stub_server import StubServer, answer_reply, json_reply

LIFETIME_S = 60.0
"""Whatever becomes of the test, this process ends."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", default="99.0")
    parser.add_argument("--stubborn", action="store_true", help="do not end when asked, nor at SIGTERM")
    options = parser.parse_args()
    directory = files.make_private_dir(paths.runtime_dir())
    with (directory / "starts").open("a", encoding="ascii") as starts:
        starts.write(f"{os.getpid()}\n")
    lock = os.open(paths.lock_path(), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # another one serves
    ended = threading.Event()
    if options.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: ended.set())
    paths.token_path().write_text("token", encoding="ascii")
    paths.socket_path().unlink(missing_ok=True)
    server = _Stub(ended, is_stubborn=options.stubborn)
    server.on("GET /health", json_reply({"status": "ready", "protocol": 1, "version": options.version}))
    server.on("POST /v1/shutdown", json_reply({}))
    server.on("POST /v1/chat/completions", answer_reply("hello"))
    ended.wait(LIFETIME_S)
    paths.socket_path().unlink(missing_ok=True)
    server.close()


class _Stub(StubServer):
    def __init__(self, ended: threading.Event, *, is_stubborn: bool) -> None:
        self._ended = ended
        self._is_stubborn = is_stubborn
        super().__init__(paths.socket_path())

    def take_reply(self, request):
        if request.path == "/v1/shutdown" and not self._is_stubborn:
            threading.Timer(0.05, self._ended.set).start()
        return super().take_reply(request)


if __name__ == "__main__":
    main()
