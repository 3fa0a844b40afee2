"""Which files of a folder are code that somebody wrote there. Reads no file but `.gitignore`.

Not walked: what git ignores, hidden directories, environments, caches, builds, vendored code; links, which
may lead out of the folder or to what is walked anyway.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pathspec

from finetune.examples import Place, Reason, Reject

_SKIPPED = frozenset(
    {
        "__pycache__",
        "build",
        "dist",
        "env",
        "node_modules",
        "site-packages",
        "venv",
        "_vendor",
        "_vendored",
        "extern",
        "external",
        "third_party",
        "thirdparty",
        "vendor",
        "vendored",
        "vendors",
    }
)
_SKIPPED_ENDS = (".egg-info", ".dist-info", ".egg")
_GENERATED_NAME = re.compile(r".*(_pb2|_pb2_grpc|_rc|_version|\.generated)\.py")
_MARK = "pyvenv.cfg"
"""Stands in every virtual environment, whatever its name."""


def walk_code(root: Path, name: str) -> Iterator[Path | Reject]:
    """Yield the Python files below a folder, sorted, and the links and other things that were passed over.

    Args:
        root: The folder, or one file, which is yielded whatever it is called.
        name: What the user calls it; places begin with it.
    """
    if root.is_file():
        yield root
        return
    root = root.resolve()
    yield from _walk(root, root, name, _read_outer_rules(root))


class _Rules:
    """What one `.gitignore` says of paths below its directory. Lines that git would not take say nothing."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        try:
            lines = (directory / ".gitignore").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        self._spec = pathspec.GitIgnoreSpec.from_lines(filter(_is_pattern, lines))

    def decide(self, path: Path, *, is_dir: bool) -> bool | None:
        """Return True for an ignored path, False for one that is taken back, None for any other."""
        if not path.is_relative_to(self._directory):
            return None
        inner = path.relative_to(self._directory).as_posix() + ("/" if is_dir else "")
        return self._spec.check_file(inner).include


def _is_pattern(line: str) -> bool:
    try:
        pathspec.GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True


def _walk(directory: Path, root: Path, name: str, rules: list[_Rules]) -> Iterator[Path | Reject]:
    if (directory / ".gitignore").is_file():
        rules = [*rules, _Rules(directory)]
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError as error:
        yield _reject(directory, root, name, Reason.UNREADABLE, error.strerror or "cannot be opened")
        return
    for entry in entries:
        path = directory / entry.name
        if entry.is_symlink():
            if path.suffix == ".py" or path.is_dir():
                yield _reject(path, root, name, Reason.LINK, "links are not followed")
        elif entry.is_dir():
            if _is_walked(path) and not _is_ignored(path, rules, is_dir=True):
                yield from _walk(path, root, name, rules)
        elif path.suffix == ".py" and entry.is_file() and not _is_ignored(path, rules, is_dir=False):
            if _GENERATED_NAME.fullmatch(path.name):
                yield _reject(path, root, name, Reason.GENERATED, "by its name")
            else:
                yield path


def _is_walked(path: Path) -> bool:
    name = path.name
    if name.startswith(".") or name in _SKIPPED or name.endswith(_SKIPPED_ENDS):
        return False
    return not (path / _MARK).exists()


def _is_ignored(path: Path, rules: list[_Rules], *, is_dir: bool) -> bool:
    for rule in reversed(rules):
        decided = rule.decide(path, is_dir=is_dir)
        if decided is not None:
            return decided
    return False


def _read_outer_rules(root: Path) -> list[_Rules]:
    """Return the rules of the repository above; none where they ignore the folder that the user named."""
    if (root / ".git").exists():
        return []
    rules: list[_Rules] = []
    for directory in root.parents:
        if (directory / ".gitignore").is_file():
            rules.insert(0, _Rules(directory))
        if (directory / ".git").exists():
            inside = [path for path in (root, *root.parents) if directory in path.parents]
            return [] if any(_is_ignored(path, rules, is_dir=True) for path in inside) else rules
    return []


def _reject(path: Path, root: Path, name: str, reason: Reason, detail: str) -> Reject:
    place = Place(file=f"{name.rstrip('/')}/{path.relative_to(root).as_posix()}")
    return Reject(place=place, reason=reason, detail=detail)
