"""Confines the process that it runs in, for good: Landlock, a system call filter, the death of the parent.

Runs inside the job's process before the job, from its text, so it imports the standard library alone. What it
cannot do it raises as OSError, and the job does not begin. Structures and constants: `linux/landlock.h`,
`linux/prctl.h`, `linux/capability.h`.
"""

from __future__ import annotations

import ctypes
import os
import struct

PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 8, 22, 38
SECCOMP_MODE_FILTER = 2
SIGKILL = 9
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_READ_SEARCH = 2
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # system calls, the same on all machines
RULE_PATH_BENEATH = 1
READ_FILE, READ_DIR, WRITE_FILE = 1 << 2, 1 << 3, 1 << 1
ALL_FILE_RIGHTS = (1 << 16) - 1
"""Landlock's 16 rights on files; the last, on devices, came with its version 5."""
ALL_NET_RIGHTS = 0b11
ALL_SCOPES = 0b11
"""No abstract sockets and no signals out of the sandbox: version 6."""


def confine(parent: int, user: int, readable: list[str], writable: list[str], program: bytes) -> None:
    """Give up all rights that the job shall not have.

    Args:
        parent: The number of the process that started us.
        user: The number of the user to become where we are root, or 0.
        readable: Files and directories.
        writable: Devices.
        program: The system call filter.

    Raises:
        OSError: The kernel refuses, or our parent has died already.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    ruleset = _build_ruleset(libc, readable, writable)
    if user:
        _drop_root(libc, user)
    _check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _check(libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
    if os.getppid() != parent:
        raise ProcessLookupError("the program that started this has gone")
    _check(libc.syscall(RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)
    _apply_filter(libc, program)


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _build_ruleset(libc: ctypes.CDLL, readable: list[str], writable: list[str]) -> int:
    handled = struct.pack("=QQQ", ALL_FILE_RIGHTS, ALL_NET_RIGHTS, ALL_SCOPES)
    ruleset = _check(libc.syscall(CREATE_RULESET, handled, len(handled), 0))
    for paths, file_rights in ((readable, READ_FILE), (writable, READ_FILE | WRITE_FILE)):
        for path in paths:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            rights = file_rights | (READ_DIR if os.path.isdir(path) else 0)  # noqa: PTH112 (costs an import)
            rule = struct.pack("=Qi", rights, descriptor)
            _check(libc.syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, rule, 0))
            os.close(descriptor)
    return ruleset


def _drop_root(libc: ctypes.CDLL, user: int) -> None:
    """Become another user who may still read what Landlock lets him: Python may lie in root's home."""
    _check(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    kept = 1 << CAP_DAC_READ_SEARCH
    header = struct.pack("=Ii", CAPABILITY_VERSION_3, 0)
    _check(libc.capset(header, struct.pack("=6I", kept, kept, 0, 0, 0, 0)))


def _apply_filter(libc: ctypes.CDLL, program: bytes) -> None:
    instructions = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))  # struct sock_fprog
    _check(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.c_char_p(head), 0, 0))
