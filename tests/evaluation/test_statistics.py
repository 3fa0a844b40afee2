from __future__ import annotations

import itertools
import math

import pytest

from assistant.evaluation.statistics import (
    Z_95,
    bootstrap_mean,
    choose_ks,
    estimate_pass_at_k,
    find_quantile,
    mcnemar_p,
    wilson_interval,
)


def count_pass_at_k(outcomes: tuple[bool, ...], k: int) -> float:
    """By the definition: the share of all choices of k answers of which one passes."""
    chosen = list(itertools.combinations(outcomes, k))
    return sum(any(one) for one in chosen) / len(chosen)


@pytest.mark.parametrize("samples", range(1, 8))
def test_pass_at_k_is_the_share_of_all_choices_that_hold_a_passing_answer(samples: int) -> None:
    for passed, k in itertools.product(range(samples + 1), range(1, samples + 1)):
        outcomes = (True,) * passed + (False,) * (samples - passed)
        assert estimate_pass_at_k(samples, passed, k) == pytest.approx(count_pass_at_k(outcomes, k))


def test_pass_at_1_is_the_share_that_passes() -> None:
    assert estimate_pass_at_k(200, 17, 1) == pytest.approx(17 / 200)


def test_pass_at_k_of_many_samples_agrees_with_the_products_of_the_paper() -> None:
    product = 1.0
    for number in range(200 - 13 + 1, 200 + 1):
        product *= 1.0 - 100 / number
    assert estimate_pass_at_k(200, 13, 100) == pytest.approx(1.0 - product)


@pytest.mark.parametrize(("samples", "passed", "k"), [(4, 5, 1), (4, -1, 1), (4, 1, 5), (4, 1, 0)])
def test_impossible_counts_have_no_pass_at_k(samples: int, passed: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass@"):
        estimate_pass_at_k(samples, passed, k)


def test_the_score_interval_of_a_tenth_agrees_with_the_formula_worked_by_hand() -> None:
    rate = wilson_interval(10, 100)
    assert (rate.value, rate.low, rate.high) == pytest.approx((0.1, 0.0552, 0.1744), abs=5e-5)


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (10, 10), (1, 1), (7, 20), (163, 164)])
def test_the_ends_of_a_score_interval_are_where_the_score_test_turns(successes: int, trials: int) -> None:
    rate = wilson_interval(successes, trials)
    for end in {rate.low, rate.high} - {0.0, 1.0}:
        score = abs(successes / trials - end) / math.sqrt(end * (1 - end) / trials)
        assert score == pytest.approx(Z_95)
    assert 0.0 <= rate.low <= rate.value <= rate.high <= 1.0


def test_no_trials_have_no_interval() -> None:
    with pytest.raises(ValueError, match="0 in 0"):
        wilson_interval(0, 0)


def binomial_two_sided(gained: int, lost: int) -> float:
    """By listing every way that the changed problems could have gone."""
    changed = gained + lost
    ways = [sum(way) for way in itertools.product((0, 1), repeat=changed)]
    limit = abs(gained - lost)
    return sum(abs(2 * ones - changed) >= limit for ones in ways) / len(ways)


@pytest.mark.parametrize(("gained", "lost"), itertools.product(range(6), range(6)))
def test_mcnemar_counts_the_ways_that_are_at_least_as_uneven(gained: int, lost: int) -> None:
    assert mcnemar_p(gained, lost) == pytest.approx(binomial_two_sided(gained, lost))


def test_ten_gained_and_two_lost_are_hardly_chance() -> None:
    assert mcnemar_p(10, 2) == pytest.approx(2 * (1 + 12 + 66) / 4096)


def test_quantiles_lie_on_straight_lines_between_values() -> None:
    assert [find_quantile([0, 1, 2, 3, 4], share) for share in (0, 0.25, 0.6, 1)] == [0, 1, 2.4, 4]


def test_a_bootstrap_of_equal_values_has_no_width() -> None:
    rate = bootstrap_mean([0.5] * 20)
    assert (rate.low, rate.value, rate.high) == (0.5, 0.5, 0.5)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = [number / 50 for number in range(50)]
    assert bootstrap_mean(values, seed=3) == bootstrap_mean(values, seed=3)
    assert bootstrap_mean(values, seed=3) != bootstrap_mean(values, seed=4)


def test_a_bootstrap_comes_near_the_spread_of_all_possible_draws() -> None:
    values = [0.0, 0.0, 1.0, 1.0, 1.0]
    means = sorted(sum(drawn) / 5 for drawn in itertools.product(values, repeat=5))
    rate = bootstrap_mean(values, resamples=4000)
    assert rate.low == pytest.approx(find_quantile(means, 0.025), abs=0.1)
    assert rate.high == pytest.approx(find_quantile(means, 0.975), abs=0.1)


def test_a_pass_at_k_is_shown_for_powers_of_two_and_for_all() -> None:
    assert [choose_ks(samples) for samples in (1, 2, 8, 10)] == [[1], [1, 2], [1, 2, 4, 8], [1, 2, 4, 8, 10]]
