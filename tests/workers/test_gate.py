"""The gate between a candidate and the champion."""

from __future__ import annotations

import pytest

from workers.gate import judge

TRUTH = ["a"] * 100


def errors(number: int, start: int = 0) -> list[str]:
    """Predictions for `TRUTH` with so many errors, the first at `start`."""
    return ["b" if start <= index < start + number else "a" for index in range(100)]


def test_the_first_model_is_promoted_whatever_it_scores() -> None:
    verdict = judge(TRUTH, errors(40), None)
    assert verdict.promoted
    assert (verdict.candidate_accuracy, verdict.champion_accuracy) == (0.6, None)


def test_a_candidate_that_is_equal_or_better_is_promoted() -> None:
    assert judge(TRUTH, errors(10), errors(10)).promoted
    assert judge(TRUTH, errors(5), errors(10)).promoted


def test_both_names_of_what_is_out_of_scope_are_one_intent() -> None:
    truth = ["a"] * 50 + ["oos"] * 50
    renamed = ["a"] * 50 + ["out_of_scope"] * 50
    for pair in ((truth, renamed), (renamed, truth)):
        verdict = judge(truth, *pair)
        assert verdict.promoted
        assert (verdict.candidate_accuracy, verdict.champion_accuracy) == (1, 1)


def test_one_text_more_among_a_hundred_is_noise() -> None:
    verdict = judge(TRUTH, errors(11), errors(10))
    assert verdict.promoted
    assert verdict.only_champion_right == 1
    assert verdict.p_worse == pytest.approx(0.5)


def test_a_candidate_that_loses_more_than_a_hundredth_is_rejected() -> None:
    verdict = judge(TRUTH, errors(12), errors(10))
    assert (verdict.promoted, verdict.reason) == (False, "accuracy")


def test_losses_that_chance_does_not_explain_are_rejected_even_when_small() -> None:
    truth = ["a"] * 1000
    champion = ["a"] * 1000
    candidate = ["b"] * 8 + ["a"] * 992
    verdict = judge(truth, candidate, champion)
    assert verdict.champion_accuracy is not None
    assert verdict.champion_accuracy - verdict.candidate_accuracy < 0.01
    assert verdict.p_worse == pytest.approx(0.5**8)
    assert not verdict.promoted


def test_nothing_is_promoted_on_an_empty_test_set() -> None:
    with pytest.raises(ValueError, match="empty"):
        judge([], [], None)


def test_small_losses_do_not_add_up_below_the_best_accuracy_so_far() -> None:
    assert judge(TRUTH, errors(11), errors(10), best=0.9).promoted
    verdict = judge(TRUTH, errors(11), errors(10), best=0.91)
    assert not verdict.promoted
    assert (verdict.reason, verdict.best_accuracy) == ("best", 0.91)


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ((0.88, 0.90), None),
        ((0.87, 0.90), "sentiment"),
        ((None, 0.90), None),
        ((0.10, None), None),
    ],
)
def test_a_candidate_that_is_worse_at_sentiments_is_rejected_when_both_know_them(
    figures: tuple[float | None, float | None], reason: str | None
) -> None:
    verdict = judge(TRUTH, errors(0), errors(10), sentiment=figures)
    assert (verdict.promoted, verdict.reason) == (reason is None, reason)
