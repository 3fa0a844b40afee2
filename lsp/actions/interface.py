"""The values between the actions and the protocol. Knows no protocol library, no sockets and no threads.

    offer(view)                       → Offer…      without the model, within milliseconds
    prepare(offer, view, …)           → Plan        what to ask
    finish(plan, reply, current)      → Outcome     what to do with the answer; pure, so it can be asked again

Everything here is safe to hand to another thread. All places are offsets into a snapshot's text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from assistant.requests import Request
from lsp.edits import TextEdit
from lsp.mirror import Current, Snapshot
from lsp.positions import Lines, Span
from lsp.syntax import SyntaxTree

if TYPE_CHECKING:
    from assistant.judging.interface import Suite

CountTokens = Callable[[str], int]
"""How many tokens of the model a text has. May ask the generator, so it is never called for a menu."""


class ActionKind(StrEnum):
    """What an editor sorts actions by. Never `source…`: editors carry those out on saving."""

    QUICK_FIX = "quickfix"
    REFACTOR = "refactor"
    REWRITE = "refactor.rewrite"
    EXTRACT = "refactor.extract"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """A problem that the editor knows of, or that we found ourselves."""

    span: Span
    message: str
    source: str = ""
    """Who reports it, such as `ruff`."""
    code: str = ""
    origin: object = field(default=None, compare=False, repr=False)
    """The editor's own value, handed back with the action. Nothing here looks at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """A file as it is now: the editor's buffer where it is open, else what is on disk."""

    uri: str
    version: int | None
    """The client's number; None where it is not open."""
    lines: Lines | None
    """None where there is no such file."""


class Workspace(Protocol):
    """The files around a document. May read the disk: asked by `prepare` and `finish`, never for a menu."""

    def find_root(self, path: Path) -> Path | None:
        """The innermost workspace folder that holds a file, or None."""
        ...

    def read_file(self, path: Path) -> FileState:
        """A file as it is now."""
        ...

    def exists(self, path: Path) -> bool:
        """Whether there is such a file or directory."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A document at one moment, what is selected in it, and what the editor says about that."""

    snapshot: Snapshot
    tree: SyntaxTree
    """Of the same snapshot; of a long one that is broken, only what is around the selection."""
    selection: Span
    """Empty for a cursor. Exactly what the editor sent."""
    diagnostics: tuple[Diagnostic, ...] = ()
    """As the editor sent them. Those that do not meet the selection's lines are not offered."""
    path: Path | None = None
    """None for a buffer without a file, and for a cell."""
    workspace: Workspace | None = None
    cells_before: tuple[str, ...] = ()
    """A notebook's earlier code cells, in order."""

    @property
    def text(self) -> str:
        """All of the document."""
        return self.snapshot.text

    @property
    def lines(self) -> Lines:
        """The document's lines."""
        return self.snapshot.lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One entry of the menu."""

    action: str
    """Which action, as settings name it: `implement`, `fix`, …"""
    title: str
    kind: ActionKind
    target: Span
    """What it would work on."""
    diagnostic: Diagnostic | None = None
    """What it would fix."""

    @property
    def key(self) -> str:
        """What tells it apart from the others of the same menu; survives edits elsewhere."""
        return f"{self.action}\n{self.diagnostic.message}" if self.diagnostic else self.action


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The tests that an answer must pass before it changes anything."""

    suite: Suite
    shown: str
    """Their source, for the model; empty where the code that it is shown has them."""
    source: str
    """Where they are, in words."""
    root: Path | None = None
    """The project whose files the file under test may read and import; None for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to ask the model, and all that is needed to use its answer."""

    offer: Offer
    view: View
    target: Span
    """The characters of the view's text that may change."""
    request: Request
    attempt: int = 1
    """2 where the request carries what was wrong with the first answer."""
    was_cut: bool = False
    """Set for `finish` where the answer ended because it may not be longer: what it ends with may be half."""
    trial: Trial | None = None
    """Answers are tried until one passes. None where the first that can be used is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEdit:
    """The changes of one file."""

    uri: str
    version: int | None
    """The version that the edits are for; None where the file is not open or is created."""
    lines: Lines
    """The text that the edits are for. Empty where the file is created."""
    edits: tuple[TextEdit, ...]
    """In the order of their places, without overlap. In a file that is created: one, at its start."""
    creates: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """Change files. Made for one revision of the document; ask `finish` again where it has moved on."""

    title: str
    """For the undo list and the editor's question."""
    files: tuple[FileEdit, ...]
    snapshot: Snapshot
    """The document's snapshot that the edits were proved on."""
    code: str
    """What was put in, for "Insert last result"."""
    notes: tuple[str, ...] = ()
    """What the user should know of it, each a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Show a text. Nothing is changed."""

    title: str
    markdown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Change nothing, and say why."""

    reason: str
    """A sentence for the user."""
    code: str = ""
    """What the model wrote, for "Insert last result". Empty where there is nothing to keep."""
    retry: Plan | None = None
    """Ask this before giving up. None where asking again cannot help, or was done."""


Outcome = Edits | Explanation | Refused


class Action(Protocol):
    """One thing to do with code."""

    name: str
    """As settings name it."""

    def offer(self, view: View) -> list[Offer]:
        """Where it fits, without the model, the disk or a look at the whole document."""
        ...

    def prepare(
        self, offer: Offer, view: View, tokens_budget: int, count_tokens: CountTokens
    ) -> Plan | Refused:
        """What to ask.

        Args:
            offer: One that this action made for this view.
            view: The document it is for.
            tokens_budget: What task and input may have together.
            count_tokens: In the model's own tokens.
        """
        ...

    def finish(self, plan: Plan, reply: str, current: Current) -> Outcome:
        """What to do with an answer. Changes nothing itself.

        Args:
            plan: What was asked.
            reply: All that the model wrote.
            current: What became of the plan's snapshot.
        """
        ...
