"""Names of models and of the files in them. Nothing from outside becomes part of a path unchecked."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from assistant.errors import UsageError

_MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_FILE_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=@ -]{0,254}")


def is_model_name(text: str) -> bool:
    """Whether a text may be a model's name."""
    return _MODEL_NAME.fullmatch(text) is not None


def check_model_name(text: str) -> str:
    """Return a model's name as it is.

    Raises:
        UsageError: It is none.
    """
    if is_model_name(text):
        return text
    raise UsageError(
        f"{text[:80]!r} cannot be a model's name",
        hint="a name has 1 to 64 lower-case letters, digits, dots, dashes or underscores"
        " and begins with a letter or digit",
    )


def suggest_model_name(text: str) -> str:
    """Make a name of a repository's, a package's or a directory's."""
    name = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:64]
    return name if is_model_name(name) else "model"


def is_inner_path(text: str) -> bool:
    """Whether a text names a file inside a model's directory: relative, no `..`, nothing hidden or odd."""
    parts = PurePosixPath(text).parts
    return 0 < len(parts) <= 4 and "/".join(parts) == text and all(map(_FILE_PART.fullmatch, parts))
