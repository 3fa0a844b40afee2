"""Builds the kernels with the user's C++ compiler, once for a processor and a torch, and finds them again.

Knows files and a compiler. Importing it costs nothing; torch is imported only to load what was built.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from assistant import paths
from assistant.engine.processor import processor_flags
from assistant.errors import AssistantError
from assistant.files import make_private_dir, write_atomic

if TYPE_CHECKING:
    from assistant.engine.kernels.ops import Kernels

SOURCE = Path(__file__).with_name("kernels.cpp")
"""It includes the headers beside it."""
FLAGS = ("-std=c++20", "-O3", "-march=native", "-fopenmp", "-fno-math-errno", "-fno-trapping-math")
NEEDED = frozenset({"avx2", "fma"})
"""Instruction sets without which the source does not compile."""
LIMIT_S = 600.0
"""Compiling takes 10 s on one core, and much longer on one that others use."""

log = logging.getLogger(__name__)


class CannotCompileError(Exception):
    """There will be no kernels on this machine; says why."""


def library_path() -> Path:
    """Where the kernels for this source, torch, compiler and processor are, or would be."""
    parts = [
        *(path.read_bytes() for path in sorted(SOURCE.parent.glob("*.h"))),
        SOURCE.read_bytes(),
        importlib.metadata.version("torch").encode(),
        " ".join([_compiler() or "", *FLAGS]).encode(),
        " ".join(sorted(processor_flags())).encode(),
    ]
    key = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    return paths.cache_dir() / "kernels" / f"kernels-{key}.so"


def find_kernels() -> Kernels | None:
    """Load what was built earlier; None where nothing was, or it is no longer whole or computes wrongly."""
    path = library_path()
    try:
        if not _is_whole(path):
            return None
        from assistant.engine.kernels.ops import load_library

        return load_library(path)
    except (OSError, ArithmeticError) as error:
        log.warning("the compiled kernels in %s are not used: %s", path, error)
        return None


def is_compiled() -> bool:
    """Whether kernels for this machine were built, and are whole."""
    return _is_whole(library_path())


def find_obstacle() -> str:
    """Say why this machine cannot have kernels; empty where it can."""
    if platform.machine() not in ("x86_64", "AMD64") or sys.platform == "win32":
        return f"they are written for x86 on Linux and macOS, this is {platform.machine()} on {sys.platform}"
    if sys.platform == "linux" and not processor_flags() >= NEEDED:
        return "this processor has no AVX2"
    if _compiler() is None:
        return "there is no C++ compiler (c++, g++ or clang++)"
    return ""


def compile_kernels() -> Path:
    """Build the kernels; blocks for about ten seconds, in a process of low priority.

    Raises:
        CannotCompileError: With the reason.
    """
    obstacle = find_obstacle()
    if obstacle:
        raise CannotCompileError(obstacle)
    path = library_path()
    built = path.with_suffix(f".{os.getpid()}.so")
    try:
        make_private_dir(path.parent)
        done = subprocess.run(
            _command(built), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S,
            errors="replace", check=False,
        )  # fmt: skip
        if done.returncode:
            raise CannotCompileError(f"the compiler failed: {_last_line(done.stderr)}")
        write_atomic(_sum_path(path), _hash(built).encode())
        built.replace(path)
    except subprocess.TimeoutExpired as error:
        raise CannotCompileError(f"the compiler took more than {LIMIT_S:.0f} s") from error
    except AssistantError as error:
        raise CannotCompileError(str(error)) from error
    except OSError as error:
        raise CannotCompileError(f"{error.filename or path}: {error.strerror or error}") from error
    finally:
        built.unlink(missing_ok=True)
    return path


def _command(target: Path) -> list[str]:
    spec, compiler = importlib.util.find_spec("torch"), _compiler()
    assert spec is not None
    assert spec.origin is not None
    assert compiler is not None  # `find_obstacle` has seen it
    torch = Path(spec.origin).parent
    includes = [torch / "include", torch / "include" / "torch" / "csrc" / "api" / "include"]
    nice = ["nice", "-n", "19"] if shutil.which("nice") else []
    return [
        *nice, compiler, *FLAGS, "-fPIC", "-shared", "-DAT_PARALLEL_OPENMP=1",
        *(f"-I{path}" for path in includes), str(SOURCE),
        f"-L{torch / 'lib'}", "-ltorch_cpu", "-lc10", "-o", str(target),
    ]  # fmt: skip


def _compiler() -> str | None:
    return next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)


def _is_whole(path: Path) -> bool:
    """A library cut short would end the process that loads it, one that others may write is theirs."""
    try:
        if path.parent.stat().st_mode & 0o022:
            return False
        return _sum_path(path).read_text() == _hash(path)
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def _sum_path(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _last_line(text: str) -> str:
    errors = [line for line in text.splitlines() if "error" in line] or text.splitlines() or ["no message"]
    return errors[0]
