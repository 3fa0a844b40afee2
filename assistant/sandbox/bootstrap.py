"""The first program inside a sandbox: limits this process, then becomes the job.

It comes compiled with the plan that it carries out, and imports little: all that costs each run its
milliseconds.
"""

from __future__ import annotations

import builtins
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # the real one costs an import
    from types import CodeType


def drop_root(user: int) -> None:
    """Become another user: root is held to no number of processes."""
    if user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)


def set_limits(limits: dict[int, tuple[int, int]]) -> None:
    """Set resource limits, none higher than the one in force."""
    import resource

    for kind, (soft, hard) in limits.items():
        _, most = resource.getrlimit(kind)
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        resource.setrlimit(kind, (soft, hard))


def confine(program: CodeType | None, rights: dict[str, object]) -> None:
    """Have this process give up its rights, where no program around it has taken them away."""
    if program:
        namespace: dict[str, object] = {"__name__": "confining"}
        exec(program, namespace)  # noqa: S102 (ours)
        namespace["confine"](**rights)  # type: ignore[operator]


def report_ready(descriptor: int) -> None:
    """Say that the job begins. Whoever started us may have died before we could be told to die with it."""
    try:
        os.write(descriptor, b"+")
    except OSError:
        os._exit(1)
    os.close(descriptor)


def keep_channel(descriptor: int) -> list[str]:
    """Leave the standard streams and the channel open, and nothing else. Returns the job's arguments."""
    first = 3
    if descriptor >= 0:
        if descriptor != first:
            os.dup2(descriptor, first)
        os.set_inheritable(first, False)
        first += 1
    os.closerange(first, 1 << 20)
    return ["3"] if descriptor >= 0 else []


def become(source: str, packages: list[str]) -> None:
    """Run the job as `python -c` would: the same names, and tracebacks that do not show this program."""
    import _sitebuiltins

    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D (i.e. EOF)"))
    main = type(sys)("__main__")
    sys.modules["__main__"] = main
    try:
        if packages:
            import site

            for directory in packages:
                site.addsitedir(directory)
        exec(compile(source, "<string>", "exec", dont_inherit=True), main.__dict__)  # noqa: S102 (the job)
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 (the edge of a process)
        trace = error.__traceback__
        sys.excepthook(type(error), error.with_traceback(trace.tb_next if trace else None), None)
        sys.exit(1)


def begin(plan: dict[str, object]) -> None:
    """Carry out a plan."""
    os.environ.clear()
    drop_root(plan["user"])  # type: ignore[arg-type]
    set_limits(plan["limits"])  # type: ignore[arg-type]
    confine(plan["confining"], plan["rights"])  # type: ignore[arg-type]
    report_ready(plan["ready"])  # type: ignore[arg-type]
    sys.argv[:] = ["-c", *keep_channel(plan["channel"])]  # type: ignore[arg-type]
    become(plan["source"], plan["packages"])  # type: ignore[arg-type]
