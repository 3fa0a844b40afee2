from __future__ import annotations

import pytest
from acting import after, fenced, names_of, plan_of, view_of

MARKED = (
    "def f(xs):\n    «# use a set instead of a list\n    seen = []\n"
    "    for x in xs:\n        seen.append(x)»\n    return seen\n"
)


def test_the_code_is_changed_and_the_instruction_is_gone() -> None:
    reply = fenced("seen = set()\nfor x in xs:\n    seen.add(x)")
    assert after(view_of(MARKED), "apply", reply) == (
        "def f(xs):\n    seen = set()\n    for x in xs:\n        seen.add(x)\n    return seen\n"
    )


def test_an_instruction_that_the_answer_repeats_is_gone_as_well() -> None:
    reply = fenced("# use a set instead of a list\nseen = set(xs)")
    assert after(view_of(MARKED), "apply", reply) == "def f(xs):\n    seen = set(xs)\n    return seen\n"


def test_the_instruction_is_the_task_and_not_a_part_of_the_input() -> None:
    turn = plan_of(view_of(MARKED), "apply").request.turns[0]
    assert turn.text == "Change this code: use a set instead of a list"
    assert turn.input == "seen = []\nfor x in xs:\n    seen.append(x)"


def test_a_function_may_get_another_name_where_that_is_asked_for() -> None:
    view = view_of("«# call this function area instead\ndef f(a, b):\n    return a * b\n»")
    assert (
        after(view, "apply", "def area(a, b):\n    return a * b\n") == "def area(a, b):\n    return a * b\n"
    )


@pytest.mark.parametrize(
    "marked", ["«x = 1\n»", "# use a set‸ here\nx = 1\n", "«# only some words\n»", "«\n\n»"]
)
def test_it_takes_a_selection_with_code_and_an_instruction(marked: str) -> None:
    assert "apply" not in names_of(view_of(marked))
