"""Labels set aside to measure models by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from classifier.data import Example
from classifier.likeness import normalised
from desk.domain import FeedbackKind
from desk.flow.lessons import Learned
from tests.conftest import Clock
from tests.desk.acting import OLGA
from workers.gold import FEWEST, LEAST, set_aside

TEXTS = [f"do you have {number} roses" for number in range(400)]


def labels(texts: Iterable[str], kind: FeedbackKind = FeedbackKind.RELABEL) -> list[Learned]:
    return [Learned(text, "hours", kind, Clock()(), OLGA, 1) for text in texts]


def texts(items: Iterable[Learned]) -> set[str]:
    return {item.text for item in items}


def test_about_a_tenth_of_the_operators_labels_is_set_aside_and_not_trained_on() -> None:
    taught, gold = set_aside(labels(TEXTS), [])
    assert 0.06 < len(gold) / len(TEXTS) < 0.14
    assert texts(taught) | texts(gold) == set(TEXTS)
    assert not texts(taught) & texts(gold)


def test_the_same_texts_are_set_aside_whatever_else_is_taught() -> None:
    _, before = set_aside(labels(TEXTS[:300]), [])
    _, after = set_aside(labels(reversed(TEXTS)), [])
    assert texts(before) == texts(after) & set(TEXTS[:300])


def test_a_customers_word_and_a_text_of_the_pack_are_not_set_aside() -> None:
    _, gold = set_aside(labels(TEXTS), [])
    pack = [Example(gold[0].text.upper() + "?", "hours")]
    taught, rest = set_aside(labels(TEXTS), pack)
    assert texts(gold) - texts(rest) == {gold[0].text}
    assert gold[0].text in texts(taught)
    assert set_aside(labels(TEXTS, FeedbackKind.THUMB_UP), [])[1] == []


def test_what_differs_from_a_text_set_aside_by_case_or_punctuation_is_not_trained_on() -> None:
    _, gold = set_aside(labels(TEXTS), [])
    liked = labels([f"{gold[0].text.upper()} :)", "and tulips"], FeedbackKind.THUMB_UP)
    taught, _ = set_aside([*labels(TEXTS), *liked], [])
    kept = {normalised(item.text) for item in taught}
    assert normalised(gold[0].text) not in kept
    assert "and tulips" in kept


def test_what_a_customer_chose_is_not_trained_on_where_an_operators_label_would_be_set_aside() -> (
    None
):
    _, gold = set_aside(labels(TEXTS), [])
    first, rest = gold[0], [item for item in labels(TEXTS) if item.text != gold[0].text]
    chosen = labels([first.text, f"{first.text.upper()}!"], FeedbackKind.CLARIFIED)
    before, measuring = set_aside([*rest, *chosen], [])
    assert normalised(first.text) not in {normalised(item.text) for item in before}
    assert first.text not in texts(measuring), "a customer's word measures nothing"
    _, after = set_aside([*rest, first], [])
    assert first in after, "nor has a model of before seen what an operator says of it now"
    of_the_pack = [Example(first.text, "hours")]
    assert set(chosen) <= set(set_aside([*rest, *chosen], of_the_pack)[0])


@pytest.mark.parametrize(("number", "aside"), [(LEAST, LEAST), (LEAST - 1, 0)])
def test_a_few_labels_that_could_tell_nothing_are_trained_on(number: int, aside: int) -> None:
    _, gold = set_aside(labels(TEXTS), [])
    taught, rest = set_aside(gold[:number], [])
    assert (len(taught), len(rest)) == (number - aside, aside)


def test_spellings_of_one_text_are_set_aside_as_one_label_for_each_intent() -> None:
    _, gold = set_aside(labels(TEXTS), [])
    first, others = gold[0], gold[1 : LEAST - 1]
    spelt = labels([f"{first.text}?", f"{first.text} :)", first.text.upper()])
    few = [first, *others, *spelt]
    assert set_aside(few, []) == (few, []), "four spellings prove no more than one"
    of_another = replace(spelt[0], intent="stock")
    taught, measuring = set_aside([*few, of_another], [])
    assert (taught, measuring) == ([], [first, *others, of_another])


def test_a_tap_that_confirms_what_the_model_suggested_measures_nothing() -> None:
    _, gold = set_aside(labels(TEXTS), [])
    tap = replace(gold[0], kind=FeedbackKind.ONE_TAP_ANSWER, by_outcome=True)
    others = [item for item in labels(TEXTS) if item.text != tap.text]
    taught, measuring = set_aside([tap, *others], [])
    assert texts(gold) - texts(measuring) == {tap.text}
    assert tap not in taught, "an operator may label it anew"
    assert (
        replace(tap, by_outcome=False)
        in set_aside([replace(tap, by_outcome=False), *others], [])[1]
    )


def test_recent_labels_measure_and_older_ones_are_not_trained_on_either() -> None:
    now = Clock()()
    every_tenth = [f"have you {number} roses left" for number in range(4000)]
    drawn = set_aside(labels(every_tenth), [])[1][:300]
    assert len(drawn) == 300

    def of_ages(days: Iterable[int]) -> list[Learned]:
        aged = zip(drawn, days, strict=False)
        return [replace(item, at=now - timedelta(days=age)) for item, age in aged]

    recent, old = of_ages([1] * 150), of_ages([200] * 300)[150:]
    assert set_aside([*old, *recent], []) == ([], recent)
    few = of_ages(range(0, 300 * 30, 30))
    assert set_aside(few, []) == ([], few[:FEWEST]), "of a few the newest, however old"


def test_a_mood_is_not_set_aside_and_is_not_trained_on_where_its_text_is_drawn() -> None:
    _, gold = set_aside(labels(TEXTS), [])
    at, drawn = Clock()(), {item.text for item in gold}
    moods = [Learned(text, None, FeedbackKind.MOOD, at, OLGA, 1, "neutral") for text in TEXTS]
    taught, measuring = set_aside([*labels(TEXTS), *moods], [])
    assert measuring == gold
    assert {item.text for item in taught if item.sentiment} == set(TEXTS) - drawn
    assert set_aside(moods, []) == (moods, []), "there is nothing to measure by"
