"""The gate between a candidate and the champion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from classifier.arrays import Bools
from classifier.calibration import Calibration
from workers.gate import Measured, judge


def flags(*numbers: int, of: int = 100) -> Bools:
    """(of,) true at these rows."""
    found = np.zeros(of, dtype=bool)
    found[list(numbers)] = True
    return found


def errors(number: int, start: int = 0, of: int = 100) -> Measured:
    """A model with so many errors, the first at `start`, that answers nothing by itself."""
    return Measured(~flags(*range(start, start + number), of=of), flags(of=of))


def answering(answered: int, wrong: int = 0) -> Measured:
    """A model that is right but for `wrong` of the `answered` texts that it would answer."""
    return Measured(~flags(*range(wrong)), flags(*range(answered)))


def test_the_first_model_is_promoted_whatever_it_scores() -> None:
    verdict = judge(errors(40), None)
    assert verdict.promoted
    assert (verdict.candidate_accuracy, verdict.champion_accuracy) == (0.6, None)


def test_a_candidate_that_is_equal_or_better_is_promoted() -> None:
    assert judge(errors(10), errors(10)).promoted
    assert judge(errors(5), errors(10)).promoted


def test_one_text_more_among_a_hundred_is_noise() -> None:
    verdict = judge(errors(11), errors(10))
    assert verdict.promoted
    assert verdict.only_champion_right == 1
    assert verdict.p_worse == pytest.approx(0.5)


def test_a_candidate_that_loses_more_than_a_hundredth_is_rejected() -> None:
    verdict = judge(errors(12), errors(10))
    assert (verdict.promoted, verdict.reason) == (False, "accuracy")


def test_losses_that_chance_does_not_explain_are_rejected_even_when_small() -> None:
    verdict = judge(errors(8, of=1000), errors(0, of=1000))
    assert verdict.champion_accuracy is not None
    assert verdict.champion_accuracy - verdict.candidate_accuracy < 0.01
    assert verdict.p_worse == pytest.approx(0.5**8)
    assert not verdict.promoted


def test_nothing_is_promoted_on_an_empty_test_set() -> None:
    with pytest.raises(ValueError, match="empty"):
        judge(errors(0, of=0), None)


def test_a_candidate_that_answers_next_to_nothing_is_rejected_however_accurate() -> None:
    assert judge(answering(40), answering(50)).promoted
    verdict = judge(answering(0), answering(50))
    assert (verdict.promoted, verdict.reason) == (False, "coverage")
    assert (verdict.candidate_coverage, verdict.champion_coverage) == (0, 0.5)
    assert judge(answering(39), answering(50)).reason == "coverage"


def test_a_candidate_that_answers_more_texts_wrongly_than_chance_explains_is_rejected() -> None:
    # Both have the same five intents wrong; the champion left those texts to people.
    champion = Measured(~flags(*range(5)), flags(*range(5, 55)))
    candidate = Measured(~flags(*range(5)), flags(*range(50)))
    verdict = judge(candidate, champion)
    assert (verdict.promoted, verdict.reason) == (False, "wrong")
    assert (verdict.candidate_wrong, verdict.champion_wrong) == (5, 0)
    assert judge(replace(candidate, answered=flags(*range(1, 51))), champion).promoted


def test_more_answers_may_have_as_many_more_wrong_as_was_promised() -> None:
    champion = Measured(~flags(*range(5)), flags(), Calibration(target_error=0.05))
    assert judge(replace(champion, answered=~flags()), champion).promoted
    assert judge(replace(champion, answered=flags(*range(99))), champion).reason == "wrong"


@pytest.mark.parametrize(
    "asked",
    [
        Calibration(target_error=0.03),
        Calibration(target_errors={"refund": 0.01}),
        Calibration(never_answered=("refund",)),
    ],
)
def test_answers_that_change_because_people_asked_for_it_hold_nothing_back(
    asked: Calibration,
) -> None:
    assert judge(replace(answering(10), calibration=asked), answering(50)).promoted
    champion = Measured(~flags(*range(5)), flags(*range(5, 55)))
    candidate = Measured(~flags(*range(5)), flags(*range(50)), calibration=asked)
    assert judge(candidate, champion).promoted


def test_small_losses_do_not_add_up_below_the_best_model_so_far() -> None:
    assert judge(errors(11), errors(10), [range(10)]).promoted
    verdict = judge(errors(11), errors(10), [range(10), range(8)])
    assert not verdict.promoted
    assert (verdict.reason, verdict.best_accuracy) == ("best", 0.92)


def test_a_loss_against_the_best_that_chance_does_not_explain_is_rejected() -> None:
    candidate, champion = errors(8, of=1000), errors(4, of=1000)
    assert judge(candidate, champion, [range(4)]).promoted
    assert judge(candidate, champion, [range(3)]).reason == "best"


def test_the_best_of_many_is_taken_for_lucky() -> None:
    # Seven texts lost and none gained: one chance in 128 against one model, not against one of ten.
    candidate, champion = errors(7, of=1000), errors(3, of=1000)
    assert judge(candidate, champion, [range(0)]).reason == "best"
    assert judge(candidate, champion, [range(number) for number in range(10)]).promoted


def test_a_candidate_that_is_worse_on_labels_set_aside_is_rejected() -> None:
    champion = replace(errors(0), gold=~flags(of=40))
    verdict = judge(replace(errors(0), gold=~flags(*range(5), of=40)), champion)
    assert (verdict.promoted, verdict.reason) == (False, "gold")
    assert (verdict.gold, verdict.candidate_gold, verdict.champion_gold) == (40, 35, 40)
    assert judge(replace(errors(0), gold=~flags(*range(4), of=40)), champion).promoted


def test_labels_that_the_champion_may_have_trained_on_are_not_compared() -> None:
    verdict = judge(replace(errors(0), gold=flags(of=40)), errors(0))
    assert verdict.promoted
    assert (verdict.gold, verdict.candidate_gold, verdict.champion_gold) == (None, None, None)


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
    new, old = figures
    verdict = judge(replace(errors(0), sentiment=new), replace(errors(10), sentiment=old))
    assert (verdict.promoted, verdict.reason) == (reason is None, reason)
    assert (verdict.candidate_sentiment, verdict.champion_sentiment) == figures
