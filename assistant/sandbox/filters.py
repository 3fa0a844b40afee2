"""System call filters for seccomp, assembled by hand: what no job needs and what would widen a sandbox.

A filter names what is refused; all else is left to the namespaces or to Landlock. Numbers are those of Linux'
`arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi/asm-generic/unistd.h` (aarch64); calls newer than
both tables were when this was written are refused as unknown. Layout of the data that a filter sees:
`struct seccomp_data` in `include/uapi/linux/seccomp.h`.
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass

NEWEST_CALL = 462  # mseal, Linux 6.10; both tables are one from 424 on
SOCKETS = {"socket": (41, 198), "connect": (42, 203), "bind": (49, 200)}
WIDENING = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "personality": (135, 92),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "acct": (163, 89),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "vhangup": (153, 58),
    "iopl": (172, -1),
    "ioperm": (173, -1),
    "modify_ldt": (154, -1),
    "uselib": (134, -1),
}
UNCOUNTED_MEMORY = {
    # memory that belongs to no process, so that no limit of a process counts it
    "shmget": (29, 194),
    "shmat": (30, 196),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
}
SHARED_WITH_OTHERS = {
    # without namespaces these reach the user's other processes and files, and Landlock is silent about them
    "shmctl": (31, 195),
    "msgget": (68, 186),
    "msgctl": (71, 187),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "semget": (64, 190),
    "semctl": (66, 191),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "get_robust_list": (274, 100),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "sched_setaffinity": (203, 122),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "inotify_add_watch": (254, 27),
    "chmod": (90, -1),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, -1),
    "fchown": (93, 55),
    "lchown": (94, -1),
    "fchownat": (260, 54),
    "utime": (132, -1),
    "utimes": (235, -1),
    "futimesat": (261, -1),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "fork": (57, -1),
    "vfork": (58, -1),
    "execve": (59, 221),
    "execveat": (322, 281),
}
CLONE = (56, 220)
CLONE3 = (435, 435)
IOCTL = (16, 29)
PRCTL = (157, 167)
PRLIMIT64 = (302, 261)
SOCKETPAIR = (53, 199)

CLONE_THREAD = 0x00010000
CLONE_NEW_ANYTHING = 0x7E020080
"""All of `CLONE_NEW*` in `include/uapi/linux/sched.h`: user, process, network, mount… namespaces."""
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
PR_SET_PDEATHSIG = 1
SOCK_STREAM, SOCK_TYPE_MASK = 1, 0xF


@dataclass(frozen=True, slots=True)
class _Machine:
    column: int
    audit: int
    """`AUDIT_ARCH_*` in `include/uapi/linux/audit.h`."""


MACHINES = {"x86_64": _Machine(0, 0xC000003E), "aarch64": _Machine(1, 0xC00000B7)}

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ARCH, _NUMBER = 4, 0  # offsets of what a filter may load
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000


def build_filter(*, is_alone: bool) -> bytes | None:
    """Assemble a filter for this machine, or return None where its numbers are not known here.

    Args:
        is_alone: There are no namespaces around the job: refuse also what reaches other processes, and any
            new process or program.
    """
    machine = MACHINES.get(platform.machine())
    if machine is None:
        return None
    refused = WIDENING | SOCKETS | UNCOUNTED_MEMORY | (SHARED_WITH_OTHERS if is_alone else {})
    numbers = sorted({row[machine.column] for row in refused.values()} - {-1})
    parts = [_word(_LOAD, _ARCH), _word(_EQUAL, machine.audit, 1, 0), _word(_RETURN, _KILL)]
    parts += [_word(_LOAD, _NUMBER), *_refuse_unknown()]
    for number in numbers:
        parts += [_word(_EQUAL, number, 0, 1), _refuse()]
    parts += _rule(CLONE3[machine.column], [_refuse(errno.ENOSYS)])  # its flags lie where no filter can look
    parts += _rule(CLONE[machine.column], _clone_checks(is_alone=is_alone))
    parts += _rule(IOCTL[machine.column], [*_load(1), *_refuse_equal(TIOCSTI), *_refuse_equal(TIOCLINUX)])
    parts += _rule(SOCKETPAIR[machine.column], _stream_check())
    if is_alone:
        parts += _rule(PRCTL[machine.column], [*_load(0), *_refuse_equal(PR_SET_PDEATHSIG)])
        parts += _rule(PRLIMIT64[machine.column], [*_load(0), _word(_EQUAL, 0, 1, 0), _refuse()])
    return b"".join([*parts, _word(_RETURN, _ALLOW)])


def _word(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)  # struct sock_filter


def _refuse(error: int = errno.EPERM) -> bytes:
    return _word(_RETURN, _ERRNO | error)


def _load(argument: int) -> list[bytes]:
    return [_word(_LOAD, 16 + 8 * argument)]  # its low half: both machines are little-endian


def _rule(number: int, checks: list[bytes]) -> list[bytes]:
    """Checks for one call; what passes them is allowed."""
    body = [*checks, _word(_RETURN, _ALLOW)]
    return [_word(_EQUAL, number, 0, len(body)), *body]


def _refuse_equal(value: int) -> list[bytes]:
    return [_word(_EQUAL, value, 0, 1), _refuse()]


def _refuse_unknown() -> list[bytes]:
    """Calls newer than the tables, and those of the x32 convention, whose numbers are beyond all."""
    known = _word(_AT_LEAST, NEWEST_CALL + 1, 0, 1)
    return [known, _refuse(errno.ENOSYS)]


def _clone_checks(*, is_alone: bool) -> list[bytes]:
    checks = [*_load(0), _word(_ANY_BIT, CLONE_NEW_ANYTHING, 0, 1), _refuse()]
    return [*checks, _word(_ANY_BIT, CLONE_THREAD, 1, 0), _refuse()] if is_alone else checks


def _stream_check() -> list[bytes]:
    """A pair of datagram sockets could send to any socket that has a path."""
    return [*_load(1), _word(_AND, SOCK_TYPE_MASK), _word(_EQUAL, SOCK_STREAM, 1, 0), _refuse()]
