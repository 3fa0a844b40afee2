from __future__ import annotations

import pytest
from editing import documents
from hypothesis import given
from hypothesis import strategies as st

from lsp.edits import TextEdit, apply_edits, trim_equal_ends
from lsp.positions import Span


@given(documents(), documents())
def test_a_trimmed_edit_makes_the_old_text_the_new_one(old: str, new: str) -> None:
    span, text = trim_equal_ends(old, new)
    assert apply_edits(old, [TextEdit(span=span, text=text)]) == new


@given(documents(), st.data())
def test_a_trimmed_edit_is_no_longer_than_the_change(old: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(old)))
    end = data.draw(st.integers(place, len(old)))
    span, text = trim_equal_ends(old, old[:place] + "<new>" + old[end:])
    assert span.end - span.start <= end - place + 2
    assert len(text) <= len("<new>") + 2


@given(documents(), documents())
def test_no_edit_begins_or_ends_within_a_line_break(old: str, new: str) -> None:
    span, _ = trim_equal_ends(old, new)
    assert "\r\n" not in (old[at - 1 : at + 1] for at in (span.start, span.end))


def test_equal_texts_leave_nothing_to_do() -> None:
    span, text = trim_equal_ends("a\r\nb", "a\r\nb")
    assert span.is_empty
    assert text == ""


@pytest.mark.parametrize("spans", [[(0, 2), (1, 3)], [(3, 2)], [(0, 99)]])
def test_edits_that_overlap_or_leave_the_text_are_a_bug(spans: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="overlap or leave"):
        apply_edits("abcdef", [TextEdit(span=Span(start=a, end=b), text="") for a, b in spans])
