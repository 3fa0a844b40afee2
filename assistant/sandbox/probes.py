"""Tries a backend out: lays bait on this side, lets attacks go for it from inside, looks what they got."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import tempfile
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import SandboxError
from assistant.sandbox.attacks import ATTACKS
from assistant.sandbox.interface import Backend, Job, Limits, Outcome

MIB = 1024**2
PROBE_LIMITS = Limits(
    wall_s=20.0,  # on a machine that is busy otherwise
    cpu_s=10,
    processes=12,
    file_bytes=MIB,
    scratch_bytes=4 * MIB,
)
LOOP_S = 0.2
SURVIVOR = """
import os, sys, time
try:
    child = os.fork()
except PermissionError:
    sys.exit()
if child == 0:
    os.setsid()
    time.sleep(600)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bait:
    """What attacks are told to go for."""

    places: dict[str, str]
    """By what it is."""
    listeners: tuple[socket.socket, ...]
    """None of them may hear of a job."""
    directory: Path
    given: Path

    def find_touched(self) -> list[str]:
        """Say what of it was reached, as seen from this side."""
        found = ["write_beside_secret"] if (self.directory / "private" / "written").exists() else []
        if not self.given.is_file() or self.given.read_bytes() != b"given":
            found.append("write_readable")
        for listener in self.listeners:
            with contextlib.suppress(BlockingIOError):
                if listener.type == socket.SOCK_DGRAM:
                    listener.recv(16)
                else:
                    listener.accept()[0].close()
                found.append("a connection")
        return found


def find_leaks(backend: Backend) -> list[str]:
    """Attack a backend for a second or less. Returns what got through: nothing, where it holds.

    Raises:
        SandboxError: It does not start.
    """
    with lay_bait() as bait, ThreadPoolExecutor(3) as threads:
        checks = [
            threads.submit(_attack, backend, bait),
            threads.submit(_loop, backend),
            threads.submit(_survive, backend),
        ]
        found = [leak for check in checks for leak in check.result()]
        return sorted({*found, *bait.find_touched()})


def build_attack(bait: Bait, names: Sequence[str]) -> str:
    """The source of a job that tries attacks."""
    text = Path(__file__).with_name("attacks.py").read_text(encoding="utf-8")
    return f"{text}\n\nmain({bait.places!r}, {list(names)!r})\n"


@contextmanager
def lay_bait() -> Generator[Bait]:
    """Lay out a secret, sockets and a file to read; take all away at the end."""
    variable = f"ASSISTANT_BAIT_{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory(prefix="asbait") as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        private, open_to_all = directory / "private", directory / "open"
        private.mkdir()
        open_to_all.mkdir()
        directory.chmod(0o755)
        (private / "secret").write_bytes(b"secret")
        given = open_to_all / "given"
        given.write_bytes(b"given")
        unix, datagrams = str(directory / "sock"), str(directory / "dgram")
        abstract = f"asbait-{secrets.token_hex(8)}"
        tcp = _listen(stack, socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        udp = _listen(stack, socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        others = (
            _listen(stack, socket.AF_UNIX, socket.SOCK_STREAM, unix),
            _listen(stack, socket.AF_UNIX, socket.SOCK_DGRAM, datagrams),
            _listen(stack, socket.AF_UNIX, socket.SOCK_STREAM, "\0" + abstract),
        )
        os.environ[variable] = variable.lower()
        stack.callback(os.environ.pop, variable, None)
        places = {
            "name": f"asbait-{secrets.token_hex(4)}",
            "secret": str(private / "secret"),
            "private": str(private),
            "given": str(given),
            "unix": unix,
            "datagrams": datagrams,
            "abstract": abstract,
            "tcp": str(tcp.getsockname()[1]),
            "udp": str(udp.getsockname()[1]),
            "pid": str(os.getpid()),
            "variable": variable.lower(),
        }
        yield Bait(places=places, listeners=(tcp, udp, *others), directory=directory, given=given)


def _listen(
    stack: contextlib.ExitStack, family: socket.AddressFamily, kind: socket.SocketKind, address: object
) -> socket.socket:
    listener = stack.enter_context(socket.socket(family, kind))
    listener.setblocking(False)
    listener.bind(address)  # pyright: ignore[reportArgumentType]
    if kind == socket.SOCK_STREAM:
        listener.listen()
    return listener


def _attack(backend: Backend, bait: Bait) -> list[str]:
    names = [attack.__name__ for attack in ATTACKS]
    job = Job(source=build_attack(bait, names), readable=(bait.given.parent,))
    ended = backend.start(job, PROBE_LIMITS).wait()
    verdicts = dict(line.split(" ", 1) for line in ended.output.decode("utf-8", "replace").splitlines())
    return [f"{name} ({verdicts.get(name, 'not tried')})" for name in names if verdicts.get(name) != "held"]


def _loop(backend: Backend) -> list[str]:
    ended = backend.start(Job(source="while True: pass"), Limits(wall_s=LOOP_S)).wait()
    return [] if ended.outcome is Outcome.TIMED_OUT else [f"endless loop ({ended.outcome})"]


def _survive(backend: Backend) -> list[str]:
    """A process that is left over would still hold its end of the channel."""
    process = backend.start(Job(source=SURVIVOR, channel=True), PROBE_LIMITS)
    channel = process.channel
    if channel is None:
        raise SandboxError(f"{backend.name} gives no channel")
    with channel:
        process.wait()
        channel.setblocking(False)
        try:
            is_left = bool(channel.recv(1))
        except BlockingIOError:
            is_left = True
    return ["a process that outlives its job"] if is_left else []
