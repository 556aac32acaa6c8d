"""The gate between a candidate and the champion."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from classifier.arrays import Bools
from classifier.calibration import Calibration
from classifier.evaluate import Outcomes
from workers.gate import Earlier, Measured, judge


def flags(*numbers: int, of: int = 100) -> Bools:
    """(of,) true at these rows."""
    found = np.zeros(of, dtype=bool)
    found[list(numbers)] = True
    return found


def model(right: Bools, answered: Bools, asked: Calibration | None = None) -> Measured:
    asked = asked or Calibration()
    rows = len(right)
    allowed, once = np.full(rows, asked.target_error), np.ones(rows, dtype=bool)
    none = np.zeros(rows, dtype=bool)
    return Measured(right, answered, allowed, once, ["hours"] * rows, none, none, asked)


def errors(number: int, start: int = 0, of: int = 100) -> Measured:
    """A model with so many errors, the first at `start`, that answers nothing by itself."""
    return model(~flags(*range(start, start + number), of=of), flags(of=of))


def answering(answered: int, wrong: int = 0, asked: Calibration | None = None) -> Measured:
    """A model that is right but for `wrong` of the `answered` texts that it would answer."""
    return model(~flags(*range(wrong)), flags(*range(answered)), asked)


def earlier(missed: Iterable[int], answered: int = 0, asked: Calibration | None = None) -> Earlier:
    """What was kept of a model that missed these rows and would answer so many."""
    return Earlier([*missed], [*range(answered)], answering(0, asked=asked).promise)


def of_crises(right: Bools, handed: Bools | None = None) -> Measured:
    """A model of texts of which the first 20 are crises, which can't wait, and the next 30
    complaints: both always get a person, unless told otherwise where the model is right."""
    always = flags(*range(50), of=len(right))
    truth = ["crisis"] * 20 + ["complaint"] * 30 + ["hours"] * (len(right) - 50)
    return replace(
        model(right, flags(of=len(right))),
        truth=truth,
        urgent=flags(*range(20), of=len(right)),
        handed=always & (right if handed is None else handed),
    )


@pytest.mark.parametrize("won", [range(500, 540), [*range(20, 40), *range(500, 520)]])
def test_gains_elsewhere_outweigh_no_loss_of_what_always_gets_a_person(won: Iterable[int]) -> None:
    won = [*won]
    champion = of_crises(~flags(*won, of=1000))
    candidate = of_crises(~flags(*range(20), of=1000))
    verdict = judge(candidate, champion)
    assert (verdict.promoted, verdict.reason) == (False, "person")
    assert verdict.candidate_accuracy > champion.right.mean()
    few = of_crises(~flags(0, 1, 2, 3, of=1000))
    assert judge(few, champion).promoted, "four are chance"


def test_what_gets_a_person_under_another_name_is_no_loss() -> None:
    champion = of_crises(~flags(*range(500, 540), of=1000))
    right = ~flags(*range(20), of=1000)
    assert judge(of_crises(right, handed=flags(*range(50), of=1000)), champion).promoted


def test_a_verdict_names_the_intents_that_fell_most() -> None:
    champion = of_crises(~flags(*range(500, 540), of=1000))
    assert judge(of_crises(~flags(*range(3), 20, 21, of=1000)), champion).fell == (
        {"intent": "crisis", "rows": 20, "candidate": 17, "champion": 20},
    )
    assert judge(of_crises(~flags(0, 1, *range(20, 30), of=1000)), champion).fell == (
        {"intent": "complaint", "rows": 30, "candidate": 20, "champion": 30},
    )
    many = model(flags(of=100), flags())
    truth = [f"intent {row // 5}" for row in range(100)]
    fell = judge(replace(many, truth=truth), replace(errors(0), truth=truth)).fell
    assert [each["intent"] for each in fell] == ["intent 0", "intent 1", "intent 10"]


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


@pytest.mark.parametrize("rows", [60, 100, 200, 586])
def test_of_two_equally_good_models_neither_is_rejected_for_a_few_texts(rows: int) -> None:
    # Of six texts on which they differ each may win some: two more or less are a throw of a coin.
    candidate, champion = errors(4, of=rows), errors(2, start=4, of=rows)
    assert judge(candidate, champion, [earlier([0, 1])]).promoted
    assert judge(errors(round(0.05 * rows), of=rows), errors(0, of=rows)).promoted == (rows < 100)


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
    champion = model(~flags(*range(5)), flags(*range(5, 55)))
    candidate = model(~flags(*range(5)), flags(*range(50)))
    verdict = judge(candidate, champion)
    assert (verdict.promoted, verdict.reason) == (False, "wrong")
    assert (verdict.candidate_wrong, verdict.champion_wrong) == (5, 0)
    assert judge(replace(candidate, answered=flags(*range(1, 51))), champion).promoted


def test_more_answers_may_have_as_many_more_wrong_as_was_promised_and_chance_explains() -> None:
    def answers(wrong: int) -> Measured:
        return model(~flags(*range(wrong), of=400), flags(*range(300), of=400))

    def none(wrong: int) -> Measured:
        return replace(answers(wrong), answered=flags(of=400))

    # Of 300 answers 5 % may be wrong: 15, and by chance up to 21.
    assert judge(answers(21), none(21)).promoted
    assert judge(answers(23), none(23)).reason == "wrong"


def test_what_may_be_wrong_is_counted_by_the_intent_that_is_answered() -> None:
    asked = Calibration(target_error=0.02, target_errors={"smalltalk": 0.3})
    champion = model(~flags(*range(6)), flags(), asked)
    candidate = replace(champion, answered=flags(*range(30)))
    assert judge(candidate, champion).reason == "wrong"
    smalltalk = np.where(flags(*range(30)), 0.3, 0.02)
    assert judge(replace(candidate, allowed=smalltalk), champion).promoted


def test_wrong_answers_do_not_add_up_beyond_the_promise() -> None:
    def answers(wrong: int) -> Measured:
        return model(~flags(*range(40), of=600), flags(*range(40 - wrong, 340), of=600))

    champion = answers(0)
    for wrong in range(4, 40, 4):  # a loss that chance explains each night
        candidate = answers(wrong)
        verdict = judge(candidate, champion)
        if not verdict.promoted:
            break
        champion = candidate
    assert (verdict.reason, verdict.champion_wrong) == ("wrong", 20)
    # A champion that breaks it already may be replaced by one that is no worse.
    assert judge(answers(36), answers(36)).promoted


def test_coverage_does_not_dwindle_from_night_to_night() -> None:
    kept = [earlier([], answered=60)]
    assert judge(answering(51), answering(60), kept).promoted
    assert judge(answering(45), answering(51), [*kept, earlier([], answered=51)]).promoted
    verdict = judge(answering(44), answering(51), kept)
    assert (verdict.promoted, verdict.reason) == (False, "best_coverage")
    assert verdict.best_coverage == 0.6


def test_coverage_of_a_model_that_was_promised_to_err_more_is_no_measure() -> None:
    bold = earlier([], answered=90, asked=Calibration(target_error=0.2))
    verdict = judge(answering(45), answering(50), [bold])
    assert verdict.promoted
    assert verdict.best_coverage is None


def test_a_few_answers_less_in_a_small_test_are_noise() -> None:
    # 8 of 60 texts are more than a tenth; of 22 on which the models differ they are chance.
    champion = model(~flags(of=60), flags(*range(15), of=60))
    assert judge(replace(champion, answered=flags(*range(15, 22), of=60)), champion).promoted
    assert judge(replace(champion, answered=flags(*range(7), of=60)), champion).reason == "coverage"


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
    champion = model(~flags(*range(5)), flags(*range(5, 55)))
    candidate = replace(champion, answered=flags(*range(50)), calibration=asked)
    assert judge(candidate, champion).promoted


def test_small_losses_do_not_add_up_below_the_best_model_so_far() -> None:
    kept = [earlier(range(start, start + errs)) for start, errs in ((0, 40), (200, 50), (300, 50))]
    champion = errors(57, start=40, of=1000)
    assert judge(errors(60, start=40, of=1000), champion, kept).promoted
    verdict = judge(errors(61, start=40, of=1000), champion, kept)
    assert not verdict.promoted
    assert (verdict.reason, verdict.best_accuracy) == ("best", 0.96)


def test_a_loss_against_the_best_that_chance_does_not_explain_is_rejected() -> None:
    candidate, champion = errors(8, of=1000), errors(4, of=1000)
    assert judge(candidate, champion, [earlier(range(4))]).promoted
    assert judge(candidate, champion, [earlier(range(3))]).reason == "best"


def test_the_best_of_many_is_taken_for_lucky() -> None:
    # Seven texts lost and none gained: one chance in 128 against one model, not against one of ten.
    candidate, champion = errors(7, of=1000), errors(3, of=1000)
    assert judge(candidate, champion, [earlier([])]).reason == "best"
    assert judge(candidate, champion, [earlier(range(number)) for number in range(10)]).promoted


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


def feeling(wrong: int, of: int) -> Outcomes:
    """Sentiments of a model that takes the first `wrong` of the texts, all sad ones, for happy."""
    truth = ["negative"] * (of // 2) + ["positive"] * (of // 2)
    first = ["positive"] * wrong + truth[wrong:]
    return Outcomes([""] * of, truth, first, np.ones(of), np.full(of, True))


@pytest.mark.parametrize(
    ("candidate", "champion", "reason"),
    [
        (feeling(24, of=400), feeling(20, of=400), None),  # a point
        (feeling(34, of=400), feeling(20, of=400), "sentiment"),  # three and a half
        (feeling(5, of=60), feeling(3, of=60), None),  # as much, but of two texts
        (None, feeling(3, of=60), None),
        (feeling(30, of=60), None, None),
    ],
)
def test_a_candidate_that_is_worse_at_sentiments_than_chance_explains_is_rejected(
    candidate: Outcomes | None, champion: Outcomes | None, reason: str | None
) -> None:
    new, old = replace(errors(0), sentiments=candidate), replace(errors(10), sentiments=champion)
    verdict = judge(new, old)
    assert (verdict.promoted, verdict.reason) == (reason is None, reason)
    assert (verdict.candidate_sentiment is None) == (candidate is None)
    assert (verdict.champion_sentiment is None) == (champion is None)


def test_a_mood_that_the_test_lacks_costs_no_more_than_the_texts_that_it_is_wrong_for() -> None:
    champion = replace(errors(0), sentiments=feeling(0, of=400))
    felt = feeling(0, of=400)
    first = ["neutral"] * 4 + felt.truth[4:]
    verdict = judge(replace(errors(0), sentiments=replace(felt, first=first)), champion)
    assert (verdict.promoted, verdict.reason) == (True, None)
    assert verdict.candidate_sentiment == pytest.approx((2 * 196 / (196 + 200) + 1) / 2)
    # As many more as would be too many under another name are too many under this one.
    first = ["neutral"] * 20 + felt.truth[20:]
    assert judge(replace(errors(0), sentiments=replace(felt, first=first)), champion).reason


def test_the_sentiment_figures_are_macro_f1() -> None:
    verdict = judge(replace(errors(0), sentiments=feeling(20, of=400)), errors(0))
    sad, happy = 2 * 180 / (180 + 200), 2 * 200 / (220 + 200)
    assert verdict.candidate_sentiment == pytest.approx((sad + happy) / 2)


MISSED = ~flags(*range(12))


@pytest.mark.parametrize(
    ("candidate", "champion", "reason"),
    [
        (errors(12), errors(0), "accuracy"),
        (errors(12), errors(12), "best"),
        (model(MISSED, flags(*range(60))), model(MISSED, flags(*range(12, 60))), "wrong"),
        (
            model(~flags(), flags(*range(12, 60))),
            model(~flags(), flags(*range(60))),
            "coverage",
        ),
        (answering(0), answering(0), "best_coverage"),
        (
            replace(errors(0), sentiments=feeling(34, of=400)),
            replace(errors(0), sentiments=feeling(20, of=400)),
            "sentiment",
        ),
    ],
)
def test_rows_that_repeat_a_text_are_a_reason_only_once(
    candidate: Measured, champion: Measured, reason: str
) -> None:
    def copied(measured: Measured) -> Measured:
        felt = measured.sentiments
        again = felt and replace(felt, once=~flags(*range(1, 40), of=400))
        return replace(measured, once=~flags(*range(1, 20)), sentiments=again)

    kept = {"best": [earlier([])], "best_coverage": [earlier([], answered=20)]}.get(reason, [])
    verdict = judge(candidate, champion, kept)
    assert verdict.reason == reason
    alike = judge(copied(candidate), copied(champion), kept)
    assert (alike.promoted, alike.reason) == (True, None)
    assert alike.candidate_accuracy == verdict.candidate_accuracy, "figures are of all rows"
    assert alike.candidate_missed == verdict.candidate_missed, "and so are their numbers"
