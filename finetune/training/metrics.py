"""What a training measured, one JSON object a line: while it goes on, and read again. Knows no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assistant.errors import UsageError
from assistant.files import storage_error, write_atomic


class MetricsFile:
    """A file of measurements, each with the step that it was made after.

    Args:
        path: The file. It is made when first written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, step: int) -> None:
        """Forget what was measured after a step: it will be measured again.

        Raises:
            StorageError: It could not be written.
        """
        kept = [one for one in self.read() if one["step"] <= step] if step else []
        text = "".join(json.dumps(one) + "\n" for one in kept)
        write_atomic(self.path, text.encode(), mode=0o600)

    def append(self, values: Mapping[str, Any]) -> None:
        """Add a measurement.

        Raises:
            StorageError: It could not be written.
        """
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(values) + "\n")
        except OSError as error:
            raise storage_error(error, self.path) from error

    def read(self) -> list[dict[str, Any]]:
        """Return all measurements. A line that was not written to its end is passed over.

        Raises:
            UsageError: The file cannot be read.
        """
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise UsageError(f"{self.path} cannot be read: {error}") from error
        found: list[dict[str, Any]] = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found
