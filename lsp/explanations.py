"""Explanations as files that an editor can open: in a directory of their own, gone when the server ends."""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
import tempfile
from pathlib import Path

from assistant import files
from lsp.actions.interface import Explanation

MAX_NAME_CHARS = 60


class Explanations:
    """Writes explanations. Nothing is made before the first one."""

    def __init__(self) -> None:
        self._directory: Path | None = None
        self._numbers = itertools.count(1)

    def write(self, explanation: Explanation) -> Path:
        """Write one and return its file.

        Raises:
            StorageError: It cannot be written.
        """
        try:
            if self._directory is None:
                self._directory = Path(tempfile.mkdtemp(prefix="assistant-"))  # mode 0700
        except OSError as error:
            raise files.storage_error(error, Path(tempfile.gettempdir())) from error
        name = re.sub(r"[^\w.-]+", "-", explanation.title).strip("-.")[:MAX_NAME_CHARS] or "explanation"
        path = self._directory / f"{name}-{next(self._numbers)}.md"
        files.write_atomic(path, explanation.markdown.encode("utf-8", "replace"), mode=0o600)
        return path

    def close(self) -> None:
        """Remove them all."""
        if self._directory is not None:
            with contextlib.suppress(OSError):
                shutil.rmtree(self._directory)
