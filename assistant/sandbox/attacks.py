"""Programs that try to get out of a sandbox. Run only inside one, to see whether it holds.

Each attack returns when it got through, and raises OSError, MemoryError or Held when it was stopped; anything
else is a fault of ours and counts as got through. The text of this module is the source of a job, so it
imports the standard library alone. What it is to reach is the bait: see `probes`.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import signal
import socket
import threading
import time
from pathlib import Path

Bait = dict[str, str]
GIB, MIB = 1024**3, 1024**2
CLONE_NEWUSER = 0x10000000
TIOCSTI = 0x5412
PTRACE_ATTACH = 16
MANY = 400
"""More processes and threads than a probe is allowed."""


class Held(Exception):  # noqa: N818 (no error: the good end)
    """The attack was stopped."""


def _hold_if(is_held: bool) -> None:
    if is_held:
        raise Held


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def read_secret(bait: Bait) -> None:
    """A file of the user's."""
    Path(bait["secret"]).read_bytes()


def list_home(bait: Bait) -> None:
    """The names in a directory of the user's."""
    list(Path(bait["private"]).iterdir())


def read_passwd(bait: Bait) -> None:
    """The host's users."""
    Path("/etc/passwd").read_bytes()


def write_outside(bait: Bait) -> None:
    """Files where the host has directories that all may write to, and others. A job's scratch may be one."""
    name = bait["name"]
    for place in ("/", "/usr", "/etc", "/var/tmp", "/dev", "/run"):
        try:
            (Path(place) / name).write_bytes(b"")
        except OSError:
            continue
        return
    raise Held


def write_beside_secret(bait: Bait) -> None:
    """A file in a directory of the user's."""
    Path(bait["private"], "written").write_bytes(b"")


def write_readable(bait: Bait) -> None:
    """A file that may be read alone, and its mode."""
    given = Path(bait["given"])
    assert given.read_bytes() == b"given", "what is given cannot be read"
    for change in (lambda: given.write_bytes(b""), lambda: given.chmod(0o600), lambda: given.unlink()):
        try:
            change()
        except OSError:
            continue
        return
    raise Held


def connect_tcp(bait: Bait) -> None:
    """The host's loopback."""
    socket.create_connection(("127.0.0.1", int(bait["tcp"])), timeout=1)


def connect_unix(bait: Bait) -> None:
    """A socket with a path, as the generator's is."""
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(bait["unix"])


def connect_abstract(bait: Bait) -> None:
    """A socket that has a name and no path."""
    with socket.socket(socket.AF_UNIX) as end:
        end.connect("\0" + bait["abstract"])


def send_by_pair(bait: Bait) -> None:
    """A datagram to a path, from a socket that was made as one of a pair."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with near, far:
        near.sendto(b"x", bait["datagrams"])


def send_udp(bait: Bait) -> None:
    """A datagram to the host. Whether one arrived is seen there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.sendto(b"x", ("127.0.0.1", int(bait["udp"])))
    raise Held


def signal_host(bait: Bait) -> None:
    """A process outside."""
    number = int(bait["pid"])
    _hold_if(number in (1, os.getpid(), os.getppid()) and Path("/proc").is_dir() is False)
    os.kill(number, 0)


def read_host_process(bait: Bait) -> None:
    """A process outside, as files."""
    Path(f"/proc/{bait['pid']}/status").read_bytes()


def trace_parent(bait: Bait) -> None:
    """The memory of a process outside."""
    _call("ptrace", PTRACE_ATTACH, int(bait["pid"]), 0, 0)


def read_environment(bait: Bait) -> None:
    """A secret in a variable."""
    content = " ".join(os.environ.values()).encode()
    for number in ("self", "1", str(os.getppid())):
        try:
            content += Path(f"/proc/{number}/environ").read_bytes()
        except OSError:
            continue
    _hold_if(bait["variable"].encode() not in content)


def keep_descriptors(bait: Bait) -> None:
    """A descriptor of the host's beside the standard streams."""
    for number in range(3, 1024):
        try:
            os.fstat(number)
        except OSError:
            continue
        return
    raise Held


def mount(bait: Bait) -> None:
    """A file system."""
    _call("mount", b"none", b"/tmp", b"tmpfs", 0, None)


def become_root(bait: Bait) -> None:
    """All rights of the host."""
    for change in (os.setuid, os.setgid):
        try:
            change(0)
        except OSError:
            continue
    _hold_if(os.geteuid() != 0 and os.getegid() != 0)


def nest_namespace(bait: Bait) -> None:
    """A user namespace, in which all rights come back."""
    _call("unshare", CLONE_NEWUSER)


def push_input(bait: Bait) -> None:
    """Keys typed into the user's terminal."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        terminal = 0
    fcntl.ioctl(terminal, TIOCSTI, b"x")


def raise_limits(bait: Bait) -> None:
    """The limits, taken away again."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    for kind in (resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE):
        if resource.getrlimit(kind) == unlimited:
            return
        try:
            resource.setrlimit(kind, unlimited)
        except (OSError, ValueError):
            continue
        return
    raise Held


def take_memory(bait: Bait) -> None:
    """3 GiB."""
    bytearray(3 * GIB)


def take_shared_memory(bait: Bait) -> None:
    """3 GiB that belong to no process."""
    number = ctypes.CDLL(None, use_errno=True).shmget(0, ctypes.c_size_t(3 * GIB), 0o600)
    _hold_if(number < 0)


def write_one_file(bait: Bait) -> None:
    """200 MiB in one file."""
    path = Path("large")
    try:
        with path.open("wb", buffering=0) as file:
            for _ in range(200):
                file.write(bytes(MIB))
    finally:
        _remove(path)


def write_many_files(bait: Bait) -> None:
    """200 MiB in files that are each within the limit."""
    paths = [Path(f"part{number}") for number in range(800)]
    try:
        for path in paths:
            path.write_bytes(bytes(MIB // 4))
    finally:
        for path in paths:
            _remove(path)


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        return


def fork_bomb(bait: Bait) -> None:
    """More processes than allowed."""
    children: list[int] = []
    try:
        for _ in range(MANY):
            child = os.fork()
            if child == 0:
                signal.pause()
            children.append(child)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def thread_bomb(bait: Bait) -> None:
    """More threads than allowed."""
    threading.stack_size(64 * 1024)
    try:
        for _ in range(MANY):
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    except RuntimeError as error:
        raise Held from error


ATTACKS = (
    *(read_secret, list_home, read_passwd, write_outside, write_beside_secret, write_readable, connect_tcp),
    *(connect_unix, connect_abstract, send_by_pair, send_udp, signal_host, read_host_process, trace_parent),
    *(read_environment, keep_descriptors, mount, become_root, nest_namespace, push_input, raise_limits),
    *(take_memory, take_shared_memory, write_one_file, write_many_files, fork_bomb, thread_bomb),
)


def main(bait: Bait, names: list[str]) -> None:
    """Try attacks and write a line on each: its name and `held` or what went wrong."""
    for attack in [attack for attack in ATTACKS if attack.__name__ in names]:
        try:
            attack(bait)
        except (Held, OSError, MemoryError):
            verdict = "held"
        except BaseException as error:  # noqa: BLE001 (a probe that fails says so)
            verdict = f"broken: {error!r}"
        else:
            verdict = "through"
        os.write(1, f"{attack.__name__} {verdict}\n".encode())
    os._exit(0)  # threads are still asleep
