from __future__ import annotations

import pytest
from editing import ENCODINGS, Buffer, Keystroke, documents, keystrokes, strike
from hypothesis import given, settings
from hypothesis import strategies as st

from lsp.edits import TextEdit, apply_edits
from lsp.mirror import ContentChange, Mirror
from lsp.moving import find_moved, follow_loosely
from lsp.positions import Lines, Position, PositionEncoding, Range, Span
from lsp.syntax import SyntaxTree

UTF16 = PositionEncoding.UTF16


def open_mirror(text: str, encoding: PositionEncoding = UTF16) -> Mirror:
    return Mirror(uri="file:///a.py", version=1, text=text, encoding=encoding)


def insert(line: int, character: int, text: str) -> ContentChange:
    place = Position(line=line, character=character)
    return ContentChange(text=text, range=Range(start=place, end=place))


def check_the_mirror_follows(text: str, encoding: PositionEncoding, keys: list[Keystroke]) -> None:
    buffer = Buffer(text=text, encoding=encoding)
    mirror = open_mirror(text, encoding)
    for key in keys:
        mirror.apply(buffer.version, [strike(buffer, key)])
    assert mirror.snapshot.text == buffer.text
    assert mirror.snapshot.lines.starts == Lines(buffer.text).starts
    assert mirror.tree.lines.text == buffer.text
    assert mirror.tree.masked == SyntaxTree(Lines(buffer.text)).masked


@settings(max_examples=200, deadline=None)
@given(documents(), st.sampled_from(ENCODINGS), st.lists(keystrokes(), max_size=6))
def test_the_mirror_equals_the_buffer(text: str, encoding: PositionEncoding, keys: list[Keystroke]) -> None:
    check_the_mirror_follows(text, encoding, keys)


@pytest.mark.slow
@settings(max_examples=5000, deadline=None)
@given(documents(), st.sampled_from(ENCODINGS), st.lists(keystrokes(), max_size=12))
def test_the_mirror_equals_the_buffer_at_length(
    text: str, encoding: PositionEncoding, keys: list[Keystroke]
) -> None:
    check_the_mirror_follows(text, encoding, keys)


def check_an_edit_lands_on_its_text_or_nowhere(
    text: str, encoding: PositionEncoding, ends: tuple[float, float], keys: list[Keystroke]
) -> None:
    buffer = Buffer(text=text, encoding=encoding)
    mirror = open_mirror(text, encoding)
    places = [buffer.place(round(end * len(text))) for end in sorted(ends)]
    target = mirror.snapshot.lines.span_at(Range(start=places[0], end=places[1]), encoding)
    made_for = mirror.snapshot
    for key in keys:
        mirror.apply(buffer.version, [strike(buffer, key)])
    moved = find_moved(target, made_for, mirror.since(made_for))
    if moved is None:
        return
    assert moved.cut(buffer.text) == target.cut(text)
    old, new = made_for.lines.whole_lines(target), mirror.snapshot.lines.whole_lines(moved)
    assert new.cut(buffer.text) == old.cut(text)
    edit = TextEdit(span=moved, text="<new>")
    after = apply_edits(buffer.text, [edit])
    buffer.replace(moved.start, moved.end, "<new>")
    assert buffer.text == after


LINES = st.lists(
    st.sampled_from(["a = 1", "b = 2", "def f():", "    pass", "", "# 😀", "日本 = 3"]), max_size=8
)


@settings(max_examples=200, deadline=None)
@given(
    LINES.map("\n".join) | documents(),
    st.sampled_from(ENCODINGS),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.lists(keystrokes(), max_size=4),
)
def test_an_edit_lands_on_the_text_it_was_made_for_or_is_not_made(
    text: str, encoding: PositionEncoding, ends: tuple[float, float], keys: list[Keystroke]
) -> None:
    check_an_edit_lands_on_its_text_or_nowhere(text, encoding, ends, keys)


@pytest.mark.slow
@settings(max_examples=5000, deadline=None)
@given(
    LINES.map("\n".join) | documents(),
    st.sampled_from(ENCODINGS),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.lists(keystrokes(), max_size=8),
)
def test_an_edit_lands_on_the_text_it_was_made_for_or_is_not_made_at_length(
    text: str, encoding: PositionEncoding, ends: tuple[float, float], keys: list[Keystroke]
) -> None:
    check_an_edit_lands_on_its_text_or_nowhere(text, encoding, ends, keys)


TEXT = "import os\n\ndef f():\n    pass\n\ndef g():\n    pass\n"
BODY_OF_G = Span(start=TEXT.rindex("pass"), end=TEXT.rindex("pass") + 4)


def test_a_target_moves_with_lines_typed_above_it() -> None:
    mirror = open_mirror(TEXT)
    made_for = mirror.snapshot
    mirror.apply(2, [insert(1, 0, "import re\n"), insert(0, 0, "# 😀\n")])
    moved = find_moved(BODY_OF_G, made_for, mirror.since(made_for))
    assert moved == Span(start=BODY_OF_G.start + 14, end=BODY_OF_G.end + 14)


def test_a_target_stays_where_it_is_when_lines_below_change() -> None:
    mirror = open_mirror(TEXT)
    made_for = mirror.snapshot
    mirror.apply(2, [insert(7, 0, "x = 1\n")])
    assert find_moved(BODY_OF_G, made_for, mirror.since(made_for)) == BODY_OF_G


@pytest.mark.parametrize("column", [0, 2, 4, 6, 8])
def test_a_target_whose_line_was_typed_in_is_lost(column: int) -> None:
    mirror = open_mirror(TEXT)
    made_for = mirror.snapshot
    mirror.apply(2, [insert(6, column, "x")])
    assert find_moved(BODY_OF_G, made_for, mirror.since(made_for)) is None


def test_a_line_that_stands_elsewhere_as_well_is_not_taken_for_the_changed_one() -> None:
    mirror = open_mirror(TEXT)
    made_for = mirror.snapshot
    mirror.apply(2, [insert(6, 8, "x")])
    assert TEXT.count("    pass") == 2
    assert find_moved(BODY_OF_G, made_for, mirror.since(made_for)) is None


def test_a_whole_new_document_counts_as_the_change_that_it_is() -> None:
    mirror = open_mirror(TEXT)
    made_for = mirror.snapshot
    mirror.apply(2, [ContentChange(text=TEXT.replace("import os", "import os, re"))])
    moved = find_moved(BODY_OF_G, made_for, mirror.since(made_for))
    assert moved == Span(start=BODY_OF_G.start + 4, end=BODY_OF_G.end + 4)


def test_a_target_that_was_cut_and_pasted_elsewhere_is_found_there() -> None:
    mirror = open_mirror(TEXT)
    made_for = mirror.snapshot
    span = Span(start=TEXT.index("def f"), end=TEXT.index("def f") + 8)
    mirror.apply(2, [ContentChange(text="import os\n\ndef g():\n    pass\n\ndef f():\n    pass\n")])
    moved = find_moved(span, made_for, mirror.since(made_for))
    assert moved is not None
    assert moved.start == mirror.snapshot.text.index("def f")


def test_what_a_document_was_before_it_was_opened_again_says_nothing_of_its_changes() -> None:
    old = open_mirror(TEXT)
    assert open_mirror(TEXT).since(old.snapshot).changes is None


def test_changes_that_are_not_remembered_any_more_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lsp.mirror.MAX_REMEMBERED_CHANGES", 2)
    mirror = open_mirror(TEXT)
    made_for = mirror.snapshot
    mirror.apply(2, [insert(0, 0, "x")] * 3)
    assert mirror.since(made_for).changes is None
    assert len(mirror.since(made_for).snapshot.text) == len(TEXT) + 3


def test_two_halves_of_a_character_sent_one_by_one_become_the_character() -> None:
    mirror = open_mirror("ab")
    mirror.apply(2, [insert(0, 1, "\ud83d"), insert(0, 2, "\ude00")])
    assert mirror.snapshot.text == "a😀b"


def test_deleting_what_stands_between_two_halves_joins_them() -> None:
    mirror = open_mirror("\ud83dx\ude00")
    gap = Range(start=Position(line=0, character=1), end=Position(line=0, character=2))
    mirror.apply(2, [ContentChange(text="", range=gap)])
    assert mirror.snapshot.text == "😀"


def test_a_snapshot_is_not_touched_by_later_changes() -> None:
    mirror = open_mirror(TEXT)
    snapshot, tree = mirror.snapshot, mirror.tree
    before = str(tree.root)
    mirror.apply(2, [ContentChange(text="class A:\n    x = (\n")])
    assert str(mirror.tree.root) != before
    assert str(tree.root) == before
    assert snapshot.text == TEXT


def test_a_selection_that_a_change_touches_shrinks_to_what_is_left() -> None:
    mirror = open_mirror("0123456789")
    made_for = mirror.snapshot
    cut = Range(start=Position(line=0, character=1), end=Position(line=0, character=4))
    mirror.apply(2, [ContentChange(text="xx", range=cut)])
    changes = mirror.since(made_for).changes
    assert changes is not None
    assert follow_loosely(Span(start=3, end=6), changes) == Span(start=1, end=5)
    assert follow_loosely(Span(start=5, end=6), changes) == Span(start=4, end=5)
