from __future__ import annotations

import pytest
from acting import explanation, names_of, offer_of, refusal, view_of

AREA = "def area(w, h):‸\n    return w * h\n"


def test_the_answer_is_shown_and_nothing_is_changed() -> None:
    shown = explanation(view_of(AREA), "explain", "It **multiplies**.\r\n\r\n```python\nw * h\n```\n")
    assert shown.title == "Explain `area`"
    assert shown.markdown == "# Explain `area`\n\nIt **multiplies**.\n\n```python\nw * h\n```\n"


def test_a_repeated_input_is_left_away() -> None:
    shown = explanation(view_of(AREA), "explain", AREA.replace("‸", "") + "\nIt multiplies.")
    assert shown.markdown == "# Explain `area`\n\nIt multiplies.\n"


def test_characters_that_are_no_text_are_left_away() -> None:
    assert "It is\n" in explanation(view_of(AREA), "explain", "It\x00 i\ud800s\ufffd").markdown


@pytest.mark.parametrize("reply", ["", "  \n ", "def area(w, h):\n    return w * h\n", "it is so\n" * 50])
def test_nothing_to_show_is_told(reply: str) -> None:
    assert refusal(view_of(AREA), "explain", reply).retry is not None


def test_it_is_offered_on_functions_classes_and_selected_code() -> None:
    assert offer_of(view_of(AREA), "explain").title == "Explain `area`"
    assert offer_of(view_of("class A:‸\n    x = 1\n"), "explain").title == "Explain `A`"
    assert offer_of(view_of("«x = f(1)\ny = 2\n»"), "explain").title == "Explain selection"
    assert "explain" not in names_of(view_of("x = 1‸\n"))
    assert "explain" not in names_of(view_of("«read a csv and sum it»\n"))
