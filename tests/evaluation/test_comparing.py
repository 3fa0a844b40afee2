from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from typing import Any

import pytest
from fake_evaluation import build_record

from assistant.errors import UsageError
from assistant.evaluation.answers import Key, Reply, Score
from assistant.evaluation.comparing import Side, Verdict, compare, comparison_to_json, render_comparison
from assistant.evaluation.plots import render_plot
from assistant.evaluation.statistics import wilson_interval
from assistant.evaluation.summary import Nll, build_summary, render_summary, summary_to_json


def build_scores(outcomes: Sequence[Sequence[bool]]) -> dict[Key, Score]:
    scores: dict[Key, Score] = {}
    for problem, each in enumerate(outcomes):
        for sample, passed in enumerate(each):
            score = Score(
                problem=f"p{problem:03}",
                sample=sample,
                passed=passed,
                tests=2,
                tests_passed=2 if passed else 1,
                parses=True,
                broken=False,
                error="" if passed else "assert f() == 1: AssertionError",
                sandbox="fake",
                seconds=0.1,
            )
            scores[score.key] = score
    return scores


def build_replies(scores: dict[Key, Score]) -> dict[Key, Reply]:
    return {
        key: Reply(problem=key[0], sample=key[1], seed=0, reply="x", finish="stop", tokens=10)
        for key in scores
    }


def build_side(name: str, outcomes: Sequence[Sequence[bool]], **changes: Any) -> Side:
    samples = len(outcomes[0])
    record = build_record(problems=len(outcomes), samples=samples, **changes)
    return Side(name=name, record=record, scores=build_scores(outcomes))


def single(
    passed: int, failed: int, gained: int = 0, lost: int = 0
) -> tuple[list[list[bool]], list[list[bool]]]:
    before = [[True]] * passed + [[False]] * failed + [[False]] * gained + [[True]] * lost
    after = [[True]] * passed + [[False]] * failed + [[True]] * gained + [[False]] * lost
    return before, after


def test_many_gained_and_few_lost_are_better() -> None:
    before, after = single(20, 60, gained=15, lost=3)
    found = compare(build_side("a", before), build_side("b", after))
    assert (found.verdict, found.gained, found.lost) == (Verdict.BETTER, 15, 3)
    assert found.p == pytest.approx(2 * sum((1, 18, 153, 816)) / 2**18)
    assert found.difference.low > 0
    assert "better: pass@1 23.5% -> 35.7%, +12.2 points" in render_comparison(found)[0]


def test_the_other_way_round_is_worse() -> None:
    before, after = single(20, 60, gained=15, lost=3)
    found = compare(build_side("b", after), build_side("a", before))
    assert found.verdict is Verdict.WORSE
    assert found.difference.high < 0


def test_a_few_changes_are_no_difference() -> None:
    before, after = single(20, 60, gained=5, lost=3)
    found = compare(build_side("a", before), build_side("b", after))
    assert found.verdict is Verdict.SAME
    assert any("no difference is shown" in line for line in render_comparison(found))


def test_nothing_changed_is_the_same_for_certain() -> None:
    before, after = single(3, 5)
    found = compare(build_side("a", before), build_side("b", after))
    assert (found.verdict, found.p, found.changes) == (Verdict.SAME, 1.0, ())


def test_several_answers_are_compared_by_drawing_problems() -> None:
    before = [[True, False, False, False]] * 40
    after = [[True, True, False, False]] * 40
    found = compare(build_side("a", before), build_side("b", after))
    assert (found.verdict, found.p) == (Verdict.BETTER, None)
    assert found.difference.value == pytest.approx(0.25)
    assert "25% -> 50%  assert f()" in render_comparison(found)[2]


def test_the_problems_that_changed_are_named() -> None:
    before, after = single(1, 1, gained=1, lost=1)
    found = compare(build_side("a", before), build_side("b", after))
    lines = render_comparison(found)
    assert any(line.split() == ["gained", "p002"] for line in lines)
    assert any(line.startswith("  lost   p003  assert f() == 1") for line in lines)


def test_only_problems_that_are_judged_in_both_count() -> None:
    before, after = single(2, 2)
    partial = build_side("b", after)
    scores = {key: score for key, score in partial.scores.items() if key[0] != "p000"}
    found = compare(build_side("a", before), Side(name="b", record=partial.record, scores=scores))
    assert found.problems == 3
    assert found.notes == ("only 3 of 4 problems are judged in both",)


def test_what_else_differs_is_said() -> None:
    before, after = single(2, 2)
    found = compare(build_side("a", before), build_side("b", after, max_tokens=512))
    assert found.notes == ("max-tokens is 64 in the one and 512 in the other",)


def test_other_problems_cannot_be_compared() -> None:
    before, after = single(2, 2)
    with pytest.raises(UsageError, match="not of the same problems"):
        compare(build_side("a", before), build_side("b", after, suite_sha256="2" * 64))


def test_nothing_judged_cannot_be_compared() -> None:
    side = build_side("a", [[True]])
    with pytest.raises(UsageError, match="no problem is judged"):
        compare(side, Side(name="b", record=side.record, scores={}))


def test_a_comparison_is_json() -> None:
    before, after = single(1, 1, gained=1)
    document = json.loads(
        json.dumps(comparison_to_json(compare(build_side("a", before), build_side("b", after))))
    )
    assert document["verdict"] == "same"
    assert document["changes"] == [{"problem": "p002", "before": 0.0, "after": 1.0, "error": ""}]


def test_one_answer_each_gets_the_interval_of_counted_trials() -> None:
    scores = build_scores([[True]] * 3 + [[False]] * 7)
    summary = build_summary("s", build_record(problems=10), build_replies(scores), scores)
    assert summary.pass_at == {1: wilson_interval(3, 10)}
    assert summary.is_complete
    assert (summary.parse_rate, summary.stop_rate, summary.mean_tokens) == (1.0, 1.0, 10.0)


def test_several_answers_give_pass_at_k_for_each_k() -> None:
    scores = build_scores([[True, False, False, False], [False] * 4])
    record = build_record(problems=2, samples=4)
    summary = build_summary("s", record, build_replies(scores), scores)
    assert {k: rate.value for k, rate in summary.pass_at.items()} == pytest.approx(
        {1: 0.125, 2: 0.25, 4: 0.5}
    )


def test_the_order_of_rows_changes_no_number() -> None:
    outcomes = [[number % 3 == 0, number % 2 == 0] for number in range(30)]
    scores = build_scores(outcomes)
    backwards = dict(reversed(scores.items()))
    record = build_record(problems=30, samples=2)
    assert build_summary("s", record, build_replies(scores), scores) == build_summary(
        "s", record, build_replies(backwards), backwards
    )


def test_half_judged_problems_are_left_out_and_told() -> None:
    scores = build_scores([[True, True], [True, False]])
    del scores["p001", 1]
    summary = build_summary("s", build_record(problems=2, samples=2), build_replies(scores), scores)
    assert (summary.complete_problems, summary.is_complete) == (1, False)
    assert "not finished: 3 of 4 answered, 3 judged; the rates are those of 1 problems" in render_summary(
        summary
    )


def test_an_evaluation_without_a_row_has_no_rates() -> None:
    summary = build_summary("s", build_record(), {}, {})
    assert (summary.pass_at, summary.parse_rate, summary.stop_rate) == ({}, None, None)
    assert json.loads(json.dumps(summary_to_json(summary)))["pass_at"] == {}


def test_a_summary_is_json_with_all_its_numbers() -> None:
    scores = build_scores([[True], [False]])
    nll = Nll(problems=2, nats_per_token=1.25)
    summary = build_summary("s", build_record(problems=2), build_replies(scores), scores, nll)
    document = json.loads(json.dumps(summary_to_json(summary)))
    assert document["pass_at"]["1"]["value"] == 0.5
    assert document["interval"] == "wilson"
    assert document["nll"] == {"problems": 2, "nats_per_token": 1.25}
    assert document["record"]["model"] == "fake-model"
    assert any("1.250" in line for line in render_summary(summary))


def test_a_plot_is_a_picture_with_a_bar_for_each_rate() -> None:
    scores = build_scores([[True, False], [False, False]])
    record = build_record(problems=2, samples=2, model="a<b&c")
    summary = build_summary("s", record, build_replies(scores), scores)
    root = ElementTree.fromstring(render_plot([summary, summary]))
    space = "{http://www.w3.org/2000/svg}"
    texts = [text.text or "" for text in root.iter(f"{space}text")]
    assert sum(text.startswith("a<b&c, suite, pass@") for text in texts) == 4
    assert len(list(root.iter(f"{space}rect"))) == 5
    for bar in root.iter(f"{space}rect"):
        assert float(bar.get("width", "-1")) >= 0


def test_a_plot_of_nothing_is_still_a_picture() -> None:
    summary = build_summary("s", build_record(), {}, {})
    assert ElementTree.fromstring(render_plot([summary])).tag.endswith("svg")
