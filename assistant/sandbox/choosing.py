"""Finds the sandbox of this machine: one that has been tried out and holds, else an error."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
from pathlib import Path
from typing import Protocol

from assistant import __version__
from assistant.config import SandboxSettings
from assistant.errors import AssistantError, SandboxError
from assistant.files import make_private_dir, write_atomic
from assistant.paths import runtime_dir
from assistant.sandbox.advice import find_advice
from assistant.sandbox.bubblewrap import Bubblewrap
from assistant.sandbox.interface import Backend
from assistant.sandbox.landlock import Landlock
from assistant.sandbox.plans import read_interpreter
from assistant.sandbox.probes import find_leaks

VERDICTS = "sandbox.json"


class Candidate(Backend, Protocol):
    """A backend that may or may not work here."""

    def find_version(self) -> str:
        """Its version; empty where there is none."""
        ...


def find_sandbox(settings: SandboxSettings, *, keeps_verdict: bool = True) -> Backend:
    """Return the first backend that holds against all probes, which take a second, once.

    Args:
        settings: Which backends may be taken.
        keeps_verdict: Write down what held, so that it need not be tried again.

    Raises:
        SandboxError: None works. The hint says what makes one work.
    """
    reasons: list[str] = []
    for backend in build_candidates(settings):
        reason = find_fault(backend, keeps_verdict=keeps_verdict)
        if not reason:
            return backend
        reasons.append(f"{backend.name}: {reason}")
    raise SandboxError(
        "there is no sandbox to run code in, so nothing is run (" + "; ".join(reasons) + ")",
        hint=find_advice(shutil.which("bwrap")),
    )


def build_candidates(settings: SandboxSettings) -> list[Candidate]:
    """The backends that the settings allow, the best first."""
    every: list[Candidate] = [Bubblewrap(), Landlock()]
    return [backend for backend in every if settings.backend in ("auto", backend.name)]


def find_fault(backend: Candidate, *, keeps_verdict: bool = True) -> str:
    """Say why a backend cannot be used, or return the empty string. What held once is not tried again."""
    if not backend.find_version():
        return "not there"
    key = _key(backend)
    if key in _read_verdicts():
        return ""
    try:
        leaks = find_leaks(backend)
    except SandboxError as error:
        return error.message.removeprefix(f"{backend.name} does not start: ")
    if leaks:
        return "it does not hold: " + ", ".join(leaks)
    if keeps_verdict:
        _keep_verdict(key)
    return ""


def _key(backend: Candidate) -> str:
    """All that a verdict rests on."""
    parts = (
        *(backend.name, backend.find_version(), __version__, platform.release(), platform.machine()),
        *(str(read_interpreter().program), str(os.geteuid())),
        *(shutil.which("bwrap") or "", _text_digest()),
    )
    return " ".join(parts)


def _text_digest() -> str:
    """A digest of what confines and what attacks: a version that is being worked on stays the same."""
    here = Path(__file__).parent
    content = b"".join(path.read_bytes() for path in sorted(here.glob("*.py")))
    return hashlib.sha256(content).hexdigest()[:16]


def _read_verdicts() -> list[str]:
    try:
        content: object = json.loads((runtime_dir() / VERDICTS).read_bytes())
    except (OSError, ValueError):
        return []
    return [str(key) for key in content] if isinstance(content, list) else []  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]


def _keep_verdict(key: str) -> None:
    """Remember what held. Where that cannot be written, it is tried again the next time."""
    names = key.split(" ", 1)[0]
    others = [old for old in _read_verdicts() if old.split(" ", 1)[0] != names]
    with contextlib.suppress(AssistantError):
        make_private_dir(runtime_dir())
        write_atomic(runtime_dir() / VERDICTS, json.dumps([*others, key]).encode(), mode=0o600)
