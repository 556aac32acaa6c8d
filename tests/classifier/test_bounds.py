from __future__ import annotations

import math

import pytest

from classifier.bounds import binomial_upper_bound


@pytest.mark.parametrize(("wrong", "answered"), [(1, 10), (0, 100), (7, 200), (99, 100)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_at_the_bound_so_few_errors_have_just_the_chance_that_is_left(
    wrong: int, answered: int, confidence: float
) -> None:
    bound = binomial_upper_bound(wrong, answered, confidence)
    chance = sum(
        math.comb(answered, k) * bound**k * (1 - bound) ** (answered - k) for k in range(wrong + 1)
    )
    assert chance == pytest.approx(1 - confidence)


def test_without_an_error_it_is_the_rule_of_three() -> None:
    assert binomial_upper_bound(0, 100) == pytest.approx(1 - 0.05 ** (1 / 100))


@pytest.mark.parametrize(("wrong", "answered"), [(0, 0), (5, 5)])
def test_where_nothing_is_known_or_all_was_wrong_nothing_is_ruled_out(
    wrong: int, answered: int
) -> None:
    assert binomial_upper_bound(wrong, answered) == 1.0


@pytest.mark.parametrize("arguments", [(-1, 5), (6, 5), (1, 5, 0.0), (1, 5, 1.0)])
def test_counts_and_confidences_that_cannot_be_are_refused(
    arguments: tuple[int, int] | tuple[int, int, float],
) -> None:
    with pytest.raises(ValueError, match=r"wrong of|between 0 and 1"):
        binomial_upper_bound(*arguments)
