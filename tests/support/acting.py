"""Runs code actions without an editor: a text with marks, a reply, and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lsp.actions.catalog import build_actions
from lsp.actions.interface import (
    Diagnostic,
    Edits,
    Explanation,
    FileState,
    Offer,
    Outcome,
    Plan,
    Refused,
    View,
)
from lsp.actions.registry import ActionSet
from lsp.edits import apply_edits
from lsp.mirror import Mirror
from lsp.positions import Lines, PositionEncoding, Span

CURSOR, FIRST, LAST = "‸", "«", "»"
URI = "file:///project/shapes.py"
ROOMY = 100_000


@dataclass
class FakeWorkspace:
    """Files by their path, below one folder."""

    files: dict[str, str] = field(default_factory=dict)
    root: Path = Path("/project")
    unreadable: set[str] = field(default_factory=set)

    def find_root(self, path: Path) -> Path | None:
        return self.root if path.is_relative_to(self.root) else None

    def read_file(self, path: Path) -> FileState:
        text = self.files.get(str(path))
        return FileState(uri=path.as_uri(), version=None, lines=None if text is None else Lines(text))

    def exists(self, path: Path) -> bool:
        names = [*self.files, *self.unreadable]
        return any(Path(name) == path or path in Path(name).parents for name in names)


def view_of(
    marked: str,
    *,
    problems: Sequence[str | Diagnostic] = (),
    path: str | None = "/project/shapes.py",
    workspace: FakeWorkspace | None = None,
    is_cell: bool = False,
    cells_before: tuple[str, ...] = (),
) -> View:
    """Look at a text in which ‸ is the cursor, or « and » are around what is selected.

    A problem given as text is reported for the selection.
    """
    if FIRST in marked:
        start = marked.index(FIRST)
        end = marked.index(LAST) - 1
        text = marked.replace(FIRST, "").replace(LAST, "")
    else:
        start = end = marked.index(CURSOR)
        text = marked.replace(CURSOR, "")
    mirror = Mirror(uri=URI, version=1, text=text, encoding=PositionEncoding.UTF16, is_cell=is_cell)
    span = Span(start=start, end=end)
    return View(
        snapshot=mirror.snapshot,
        tree=mirror.tree,
        selection=span,
        diagnostics=tuple(
            Diagnostic(span=span, message=each) if isinstance(each, str) else each for each in problems
        ),
        path=Path(path) if path else None,
        workspace=workspace or FakeWorkspace(),
        cells_before=cells_before,
    )


def offer_of(view: View, action: str, actions: ActionSet | None = None) -> Offer:
    """The offer of one action; fails where it makes none."""
    return next(each for each in (actions or build_actions()).offer(view) if each.action == action)


def names_of(view: View) -> set[str]:
    """The names of the actions that are offered."""
    return {offer.action for offer in build_actions().offer(view)}


def plan_of(view: View, action: str, actions: ActionSet | None = None, *, budget: int = ROOMY) -> Plan:
    """What an action asks."""
    actions = actions or build_actions()
    plan = actions.prepare(offer_of(view, action, actions), view, budget, len)
    assert isinstance(plan, Plan), plan
    return plan


def finish(view: View, action: str, reply: str, actions: ActionSet | None = None) -> Outcome:
    """What an action makes of a reply, nothing having been typed meanwhile."""
    actions = actions or build_actions()
    mirror = view.snapshot.mirror
    assert isinstance(mirror, Mirror)
    return actions.finish(plan_of(view, action, actions), reply, mirror.since(view.snapshot))


def after(view: View, action: str, reply: str, actions: ActionSet | None = None) -> str:
    """The document after an action."""
    outcome = finish(view, action, reply, actions)
    assert isinstance(outcome, Edits), outcome
    assert len(outcome.files) == 1
    return apply_edits(outcome.files[0].lines.text, outcome.files[0].edits)


def refusal(view: View, action: str, reply: str, actions: ActionSet | None = None) -> Refused:
    """Why an action changes nothing."""
    outcome = finish(view, action, reply, actions)
    assert isinstance(outcome, Refused), outcome
    return outcome


def explanation(view: View, action: str, reply: str, actions: ActionSet | None = None) -> Explanation:
    """What an action shows."""
    outcome = finish(view, action, reply, actions)
    assert isinstance(outcome, Explanation), outcome
    return outcome


def fenced(code: str) -> str:
    """A reply as models write it."""
    return f"Here is the code:\n\n```python\n{code.rstrip()}\n```\n"
