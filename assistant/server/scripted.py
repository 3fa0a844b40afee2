"""A server without a model: it says what a file tells it to. For tests of front ends, and demonstrations."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.engine.interface import LoadModel, LoadProgress
from assistant.engine.scripted import ScriptedModel
from assistant.errors import UsageError

LOAD_STEPS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What the file says. It is the whole catalog of such a server, too, and its one manifest."""

    path: Path
    name: str
    pieces: tuple[str, ...]
    step_s: float
    slots: int
    context_tokens: int
    load_s: float
    prompt_format: str = "chat"
    created: str = ""

    def active(self) -> str:
        """The model's name."""
        return self.name

    def find(self, name: str) -> Path:
        """Any name has the same directory; only one name is ever asked for."""
        return self.path.parent

    def resolve(self, name: str) -> Path:
        """There is nothing to check."""
        return self.path.parent

    def list_models(self) -> list[Script]:
        """The one model."""
        return [self]

    def build_loader(self) -> LoadModel:
        """Return the function that loads the scripted model, as slowly as the file says."""

        def load(_: Path, report: Callable[[LoadProgress], None]) -> ScriptedModel:
            for step in range(LOAD_STEPS if self.load_s else 0):
                report(LoadProgress(stage="loading weights", fraction=step / LOAD_STEPS))
                time.sleep(self.load_s / LOAD_STEPS)
            return ScriptedModel(
                self.name,
                self.pieces,
                step_s=self.step_s,
                slots=self.slots,
                context_tokens=self.context_tokens,
            )

        return load


def read_script(path: Path) -> Script:
    """Read a script: an object with `pieces` and, where the defaults are not meant, the other fields.

    Raises:
        UsageError: It cannot be read, or is none.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Script(
            path=path.absolute(),
            name=str(content.pop("model", "scripted")),
            pieces=tuple(str(piece) for piece in content.pop("pieces")),
            step_s=float(content.pop("step_s", 0.01)),
            slots=int(content.pop("slots", 4)),
            context_tokens=int(content.pop("context_tokens", 4096)),
            load_s=float(content.pop("load_s", 0.0)),
            **content,
        )
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no script: {type(error).__name__}: {error}") from error
