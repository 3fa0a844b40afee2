"""A language server beside libraries that print, write to descriptor 1 and read standard input."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

from lsp.stdio import claim_streams

streams = claim_streams()


def pollute() -> None:
    print("printed")  # noqa: T201
    sys.stdout.write("written\n")
    sys.stdout.flush()
    sys.__stdout__.write("written to the first one\n")  # pyright: ignore[reportOptionalMemberAccess]
    sys.__stdout__.flush()  # pyright: ignore[reportOptionalMemberAccess]
    os.write(1, b"by descriptor\n")
    libc = ctypes.CDLL(None)
    libc.puts(b"by C")
    libc.fflush(None)
    subprocess.run([sys.executable, "-c", "print('by a child')"], check=True)
    assert os.read(0, 10) == b""


pollute()

from lsp.command import run_server  # noqa: E402 - as late as in a program that imports libraries first
from tests.lsp.fakes import FakeBackend, GatedGenerator, LineAction  # noqa: E402


class Loud(LineAction):
    """Prints whenever a menu is asked for."""

    def offer(self, view):
        pollute()
        return super().offer(view)


from lsp.actions.registry import ActionSet  # noqa: E402

os._exit(run_server(streams, ActionSet([Loud()]), FakeBackend(GatedGenerator([]))))
