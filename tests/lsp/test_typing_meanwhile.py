"""A user who types while the model writes: the edit lands on the text it was made for, or is refused."""

from __future__ import annotations

import pytest
from acting import build_actions, offer_of
from editing import ENCODINGS, Buffer, Keystroke, documents, keystrokes, strike
from hypothesis import event, given, settings
from hypothesis import strategies as st

from lsp.actions.interface import Edits, FileEdit, Plan, Refused, View
from lsp.edits import apply_edits
from lsp.mirror import Mirror
from lsp.positions import PositionEncoding, Span

FUNCTIONS = {
    "implement": ("def add(a, b):\n    pass\n", "def add(a, b):\n    return a + b\n"),
    "optimize": ("def add(a, b):\n    c = a + b\n    return c\n", "def add(a, b):\n    return a + b\n"),
    "docstring": (
        "def add(a, b):\n    return a + b\n",
        'def add(a, b):\n    """Add 😀."""\n    return a + b\n',
    ),
    "hints": ("def add(a, b=1):\n    return a + b\n", "def add(a: int, b: int = 1) -> int:\n    return a\n"),
    "write": ("# add both 日本 numbers\n", "total = 1 + 2\n"),
}


@st.composite
def situations(draw: st.DrawFn, most_keys: int) -> tuple[str, str, str, PositionEncoding, list[Keystroke]]:
    action = draw(st.sampled_from(sorted(FUNCTIONS)))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    before = draw(documents(6)) + end + end
    after = draw(st.sampled_from(["", end, end + "x = '😀'" + end])) + draw(documents(6))
    keys = draw(st.lists(keystrokes(), max_size=most_keys))
    return action, before, after, draw(st.sampled_from(ENCODINGS)), keys


def as_the_editor_does_it(buffer: Buffer, file: FileEdit) -> str:
    """Carry edits out by their ranges in the editor's units, last one first."""
    for edit in reversed(file.edits):
        place = file.lines.range_at(edit.span, buffer.encoding)
        span = Mirror(uri="", version=0, text=buffer.text, encoding=buffer.encoding).snapshot.lines.span_at(
            place, buffer.encoding
        )
        buffer.replace(span.start, span.end, edit.text)
    return buffer.text


def check_situation(
    action: str, before: str, after: str, encoding: PositionEncoding, keys: list[Keystroke]
) -> None:
    code, reply = FUNCTIONS[action]
    end = "\r\n" if "\r\n" in before else "\r" if "\r" in before else "\n"
    text = before + code.replace("\n", end) + after
    buffer = Buffer(text=text, encoding=encoding)
    mirror = Mirror(uri="file:///a.py", version=0, text=text, encoding=encoding)
    at = text.index(code[:5], len(before))
    view = View(snapshot=mirror.snapshot, tree=mirror.tree, selection=Span(start=at + 4, end=at + 4))
    actions = build_actions()
    if action not in {each.action for each in actions.offer(view)}:
        event("not offered: the rest of the document swallows it")
        return
    plan = actions.prepare(offer_of(view, action, actions), view, 10_000, len)
    assert isinstance(plan, Plan)
    for key in keys:
        mirror.apply(buffer.version, [strike(buffer, key)])
    outcome = actions.finish(plan, reply, mirror.since(view.snapshot))
    event(f"{action}: {type(outcome).__name__}")
    if isinstance(outcome, Refused):
        return
    assert isinstance(outcome, Edits)
    (file,) = outcome.files
    assert file.lines.text == buffer.text
    target = plan.target.cut(text)
    first, last = file.edits[0].span.start, file.edits[-1].span.end
    places = [place for place in range(first + 1) if buffer.text.startswith(target, place)]
    assert any(place <= first and last <= place + len(target) for place in places)
    expected = apply_edits(buffer.text, file.edits)
    assert as_the_editor_does_it(buffer, file) == expected


@settings(max_examples=200, deadline=None)
@given(situations(4))
def test_an_edit_lands_on_its_text_or_is_refused(
    situation: tuple[str, str, str, PositionEncoding, list[Keystroke]],
) -> None:
    check_situation(*situation)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=5000, deadline=None)
@given(situations(10))
def test_an_edit_lands_on_its_text_or_is_refused_at_length(
    situation: tuple[str, str, str, PositionEncoding, list[Keystroke]],
) -> None:
    check_situation(*situation)
