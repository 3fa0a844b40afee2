from __future__ import annotations

import pytest
from acting import ROOMY, fenced, finish, offer_of, plan_of, view_of
from editing import Buffer

from assistant.requests import Sampling
from lsp.actions.catalog import build_actions
from lsp.actions.interface import Edits, Plan, Refused
from lsp.edits import apply_edits
from lsp.mirror import Current, Mirror
from lsp.positions import PositionEncoding, Span

FUNCTION = "def add(a, b):\n    return a + b‸\n"


@pytest.mark.parametrize(
    ("only", "kinds"),
    [
        ((), {"quickfix", "refactor", "refactor.rewrite"}),
        (("refactor",), {"refactor", "refactor.rewrite"}),
        (("refactor.rewrite",), {"refactor.rewrite"}),
        (("quickfix",), {"quickfix"}),
        (("source", "ref"), set()),
    ],
)
def test_kinds_are_filtered_with_their_sub_kinds(only: tuple[str, ...], kinds: set[str]) -> None:
    view = view_of(FUNCTION, problems=["wrong"])
    assert {offer.kind.value for offer in build_actions().offer(view, only=only)} == kinds


def test_nobody_is_bothered_with_more_than_fixes_unasked() -> None:
    view = view_of(FUNCTION, problems=["wrong"])
    assert [offer.action for offer in build_actions().offer(view, is_automatic=True)] == ["fix"]


def test_a_hidden_action_is_not_offered() -> None:
    offers = build_actions().offer(view_of(FUNCTION), hidden={"explain", "tests"})
    assert {"explain", "tests"}.isdisjoint(offer.action for offer in offers)


def test_no_kind_runs_on_saving() -> None:
    view = view_of(FUNCTION, problems=["wrong"])
    assert not [offer for offer in build_actions().offer(view) if offer.kind.startswith("source")]


def test_an_offer_is_found_again_by_its_key() -> None:
    actions, view = build_actions(), view_of(FUNCTION, problems=["a", "b"])
    for offer in actions.offer(view):
        assert actions.find_offer(view, offer.key) == offer
    assert actions.find_offer(view_of("x = 1‸\n"), "optimize") is None
    assert actions.find_offer(view, "no such") is None


def test_plans_ask_as_the_settings_say() -> None:
    view, actions = view_of(FUNCTION), build_actions()
    sampling = Sampling(temperature=0.5, max_tokens=7)
    plan = actions.prepare(offer_of(view, "optimize"), view, ROOMY, len, sampling=sampling, model="m")
    assert isinstance(plan, Plan)
    assert (plan.request.sampling, plan.request.model) == (sampling, "m")
    refused = actions.finish(plan, "", _current(plan))
    assert isinstance(refused, Refused)
    assert refused.retry is not None
    assert refused.retry.request.sampling == sampling


def test_what_is_around_is_cut_to_the_budget_the_least_needed_first() -> None:
    above = "import os\nimport re\n\n\ndef g(x): return x\n\n\n"
    view = view_of(f"{above}class A:\n    def f(self):\n        return re.sub(g(1))‸\n")
    code = "    def f(self):\n        return re.sub(g(1))"
    task = len(plan_of(view, "optimize").request.turns[0].text)
    sizes = {
        budget: plan_of(view, "optimize", budget=task + 96 + budget).request.turns[0].input
        for budget in (48, 62, 74, 86, 999)
    }
    assert [sizes[size] for size in sorted(sizes)] == [
        code,
        f"class A:\n\n{code}",
        f"def g(x): ...\n\nclass A:\n\n{code}",
        f"import re\n\ndef g(x): ...\n\nclass A:\n\n{code}",
        f"import re\nimport os\n\ndef g(x): ...\n\nclass A:\n\n{code}",
    ]


def test_code_that_does_not_fit_is_refused_with_both_numbers() -> None:
    view = view_of("def f():\n" + "    x = 1\n" * 100 + "    return x‸\n")
    plan = build_actions().prepare(offer_of(view, "optimize"), view, 500, len)
    assert isinstance(plan, Refused)
    assert "has room for 500" in plan.reason
    assert "tokens" in plan.reason
    assert plan.retry is None


def test_an_edit_moves_with_its_function() -> None:
    view = view_of("x = 1\n\ndef add(a, b):\n    pass‸\n")
    mirror, buffer = _mirror(view.snapshot.mirror), Buffer(text=view.text, encoding=PositionEncoding.UTF16)
    plan = plan_of(view, "implement")
    mirror.apply(2, [buffer.replace(0, 0, "import os\n# 😀\n")])
    outcome = build_actions().finish(
        plan, fenced("def add(a, b):\n    return a + b"), mirror.since(view.snapshot)
    )
    assert isinstance(outcome, Edits)
    assert outcome.snapshot is mirror.snapshot
    assert outcome.files[0].version == 2
    assert apply_edits(buffer.text, outcome.files[0].edits) == (
        "import os\n# 😀\nx = 1\n\ndef add(a, b):\n    return a + b\n"
    )


def test_an_edit_whose_function_was_typed_in_is_not_made_and_its_code_is_kept() -> None:
    view = view_of("def add(a, b):\n    pass‸\n")
    mirror, buffer = _mirror(view.snapshot.mirror), Buffer(text=view.text, encoding=PositionEncoding.UTF16)
    plan = plan_of(view, "implement")
    mirror.apply(2, [buffer.replace(8, 9, "x")])
    reply = "def add(a, b):\n    return a + b\n"
    outcome = build_actions().finish(plan, reply, mirror.since(view.snapshot))
    assert isinstance(outcome, Refused)
    assert "was changed meanwhile" in outcome.reason
    assert outcome.code == reply
    assert outcome.retry is None


def test_a_file_that_the_user_broke_meanwhile_may_still_get_its_function() -> None:
    view = view_of("x = 1\n\ndef add(a, b):\n    pass‸\n")
    mirror, buffer = _mirror(view.snapshot.mirror), Buffer(text=view.text, encoding=PositionEncoding.UTF16)
    plan = plan_of(view, "implement")
    mirror.apply(2, [buffer.replace(0, 5, "x = (")])
    outcome = build_actions().finish(plan, "def add(a, b):\n    return a + b\n", mirror.since(view.snapshot))
    assert isinstance(outcome, Edits)


def test_what_was_cut_off_is_not_taken_for_whole() -> None:
    view = view_of("def add(a, b):\n    pass‸\n")
    plan, reply = plan_of(view, "implement"), "def add(a, b):\n    c = a\n"
    cut = build_actions().finish(plan, reply, _current(plan), was_cut=True)
    assert isinstance(cut, Refused)
    assert "cut off" in cut.reason
    assert isinstance(build_actions().finish(plan, reply, _current(plan)), Edits)


def test_of_an_answer_that_was_cut_off_behind_the_function_the_function_is_whole() -> None:
    view = view_of("def add(a, b):\n    pass‸\n")
    reply = "def add(a, b):\n    return a + b\n\n\nprint(add(\n"
    plan = plan_of(view, "implement")
    outcome = build_actions().finish(plan, reply.replace("(add(", "(add)"), _current(plan), was_cut=True)
    assert isinstance(outcome, Edits)


def test_a_cell_knows_its_earlier_cells() -> None:
    earlier = ("import re\n", "def g(x):\n    return x\n")
    view = view_of("%time\ndef f(x):\n    pass‸\n", path=None, is_cell=True, cells_before=earlier)
    plan = plan_of(view, "implement")
    assert plan.request.turns[0].input.startswith("import re\n\n")
    outcome = finish(view, "implement", "import re\n\ndef f(x):\n    return re.sub('', '', g(x))\n")
    assert isinstance(outcome, Edits)
    assert apply_edits(view.text, outcome.files[0].edits) == (
        "%time\ndef f(x):\n    return re.sub('', '', g(x))\n"
    )


@pytest.mark.parametrize(("first", "is_python"), [("%%time", True), ("%%bash", False), ("%time", True)])
def test_a_cell_in_another_language_is_left_alone(first: str, is_python: bool) -> None:
    view = view_of(f"{first}\ndef f(x):\n    return x‸\n", path=None, is_cell=True)
    assert bool(build_actions().offer(view)) is is_python


def test_an_offer_that_does_not_fit_any_more_asks_nothing() -> None:
    offer = offer_of(view_of(FUNCTION), "optimize")
    plan = build_actions().prepare(offer, view_of("x = 1‸\n"), ROOMY, len)
    assert isinstance(plan, Refused)
    assert plan.reason == "Optimize `add`: this does not fit what stands there now."


def test_an_edit_leaves_the_rest_of_the_document_alone() -> None:
    view = view_of("a\t=1 \r\n\x0c\ndef add(a, b):\r\n    pass‸\r\nb = '\u2028'\r")
    outcome = finish(view, "implement", "def add(a, b):\n    return a + b\n")
    assert isinstance(outcome, Edits)
    (edit,) = outcome.files[0].edits
    assert edit.span.cut(view.text) == "pass"
    assert edit.text == "return a + b"
    assert Span(start=0, end=len(view.text)).covers(edit.span)


def _mirror(mirror: object) -> Mirror:
    assert isinstance(mirror, Mirror)
    return mirror


def _current(plan: Plan) -> Current:
    return _mirror(plan.view.snapshot.mirror).since(plan.view.snapshot)
