"""What passes a guard that lives inside the candidate's own process, tried against each backend."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from assistant.sandbox.choosing import Candidate
from assistant.sandbox.interface import Job, Limits, Outcome

SHELL = "'cat {secret}; rm -f {secret}; echo x > {target}'"
ESCAPES = {
    "write_outside": "open({target!r}, 'w').write('x')",
    "read_passwd": "print(open('/etc/passwd').read())",
    "posix_unlink": "import posix; posix.unlink({secret!r})",
    "reloaded_os": "import importlib, os; importlib.reload(os).unlink({secret!r})",
    "posix_system": f"import posix; posix.system({SHELL})",
    "posix_spawn": f"import os; os.waitpid(os.posix_spawn('/bin/sh', ['sh', '-c', {SHELL}], {{{{}}}}), 0)",
    "ctypes_system": f"import ctypes; ctypes.CDLL(None).system({SHELL}.encode())",
    "posix_fork": "import posix\nif not posix.fork(): open({target!r}, 'w')\nelse: posix.wait()",
    "reloaded_subprocess": (
        f"import importlib, subprocess; importlib.reload(subprocess).run({SHELL}, shell=True)"
    ),
    "posixsubprocess": (
        "import _posixsubprocess as p, os; r, w = os.pipe(); p.fork_exec([b'/bin/cat', {secret!r}.encode()], "
        "[b'/bin/cat'], True, (w,), None, None, -1, -1, -1, -1, -1, -1, r, w, True, False, 0, None, None,"
        " None, -1, None, False); import time; time.sleep(0.2)"
    ),
    "tcp": "import socket; socket.create_connection(('127.0.0.1', {port}), 1)",
    "environment": "import os; print(os.environ, open('/proc/self/environ').read())",
    "signal_parent": "import os, signal; os.kill({pid}, signal.SIGUSR1)",
    "parent_files": "print(open('/proc/{pid}/environ').read())",
    "limits_back": (
        "import importlib, resource; r = importlib.reload(resource)\n"
        "r.setrlimit(r.RLIMIT_AS, (r.RLIM_INFINITY,) * 2); print('secret')"
    ),
    "timer_off": "import signal; signal.setitimer(signal.ITIMER_REAL, 0); signal.alarm(0)\nwhile True: pass",
    "frames": (
        "import sys; f = sys._getframe()\n"
        "while f:\n  [v.append('secret') for v in f.f_locals.values() if isinstance(v, list)]; f = f.f_back"
    ),
    "daemon": (
        "import os, time\nif not os.fork():\n  os.setsid()\n  if not os.fork():\n"
        "    time.sleep(600)\n  os._exit(0)"
    ),
}


@dataclass
class Host:
    secret: Path
    target: Path
    listener: socket.socket


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:

    def fail(*_: object) -> None:
        raise AssertionError("a job signalled us")

    before = signal.signal(signal.SIGUSR1, fail)
    monkeypatch.setenv("TOKEN_OF_OURS", "secret")
    secret = tmp_path / "secret"
    secret.write_text("secret")
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    yield Host(secret, tmp_path / "written", listener)
    listener.close()
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("name", ESCAPES)
def test_no_escape_of_a_guard_reaches_the_host(backend: Candidate, host: Host, name: str) -> None:

    source = ESCAPES[name].format(
        secret=str(host.secret), target=str(host.target), port=host.listener.getsockname()[1], pid=os.getpid()
    )
    process = backend.start(Job(source=source, channel=True), Limits(wall_s=1 if name == "timer_off" else 10))
    ended = process.wait()
    assert process.channel is not None
    with process.channel as channel:
        channel.settimeout(0)
        assert channel.recv(1) == b""  # nothing is left that could hold it
    assert host.secret.read_text() == "secret"
    assert not host.target.exists()
    assert b"secret" not in ended.output.replace(str(host.secret).encode(), b"")
    assert b"root:" not in ended.output
    assert b"SyntaxError" not in ended.output
    assert (ended.outcome is Outcome.TIMED_OUT) == (name == "timer_off")
    with pytest.raises(BlockingIOError):
        host.listener.accept()
