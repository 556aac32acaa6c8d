from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from classifier.bounds import binomial_upper_bound
from classifier.data import DataError, Example
from classifier.evaluate import IntentOutcomes, intent_outcomes
from classifier.preview import THRESHOLDS, preview
from classifier.thresholds import RISK, fewest, proven_threshold
from classifier.vocabulary import Prediction, Scored

Row = tuple[str, str, float]
OWN = {"a": 0.6, "b": 0.9}


def outcomes(rows: Sequence[Row], texts: Sequence[str] | None = None) -> IntentOutcomes:
    """Of (true intent, predicted intent, confidence); without `texts`, all are different."""
    predictions = [
        Prediction("t", Scored(first, c), (Scored(first, c),), None, OWN.get(first, 0.7), "m")
        for _, first, c in rows
    ]
    texts = texts or [f"t {row}" for row in range(len(rows))]
    examples = [Example(text, true) for text, (true, _, _) in zip(texts, rows, strict=True)]
    found = intent_outcomes(predictions, examples)
    assert found is not None
    return found


ROWS: list[Row] = [
    *[("a", "a", 0.95)] * 60,
    *[("a", "a", 0.72)] * 20,
    ("b", "a", 0.72),
    *[("b", "b", 0.85)] * 10,
    *[("a", "b", 0.55)] * 5,
    *[("oos", "oos", 0.99)] * 4,
]


def test_a_threshold_answers_what_reaches_it_and_never_out_of_scope() -> None:
    found = preview(outcomes(ROWS), 0.03)
    rows = {row["threshold"]: row for row in found["thresholds"]}
    assert list(rows) == list(THRESHOLDS)
    assert found["rows"] == 100
    assert rows[0.9] == {
        "threshold": 0.9,
        "answered": 60,
        "wrong": 0,
        "coverage": 0.6,
        "error": 0.0,
        "bound": pytest.approx(binomial_upper_bound(0, 60)),
    }
    assert (rows[0.7]["answered"], rows[0.7]["wrong"]) == (91, 1)
    assert rows[0.7]["error"] == pytest.approx(1 / 91)
    assert (rows[0.5]["answered"], rows[0.5]["wrong"]) == (96, 6)
    assert (rows[0.97]["answered"], rows[0.97]["error"], rows[0.97]["bound"]) == (0, None, 1.0)
    json.dumps(found, allow_nan=False)


def test_the_models_own_thresholds_are_shown_together_and_by_intent() -> None:
    found = preview(outcomes(ROWS), 0.03)
    own = found["own"]
    assert (own["threshold"], own["answered"], own["wrong"]) == (None, 81, 1)
    by_intent = {row["intent"]: row for row in found["intents"]}
    assert set(by_intent) == {"a", "b"}
    assert (by_intent["a"]["threshold"], by_intent["a"]["coverage"]) == (0.6, 1.0)
    assert (by_intent["b"]["threshold"], by_intent["b"]["answered"]) == (0.9, 0)


def test_the_chosen_threshold_is_proven_as_in_training_and_not_the_best_of_many() -> None:
    rows = outcomes(ROWS)
    found = preview(rows, 0.052)["chosen"]
    # From 0.72 on one of 91 is wrong, which the plain bound allows.
    assert binomial_upper_bound(1, 91) <= 0.052
    assert (found["threshold"], found["answered"]) == (0.85, 70)
    can = rows.answerable
    assert found["threshold"] == proven_threshold(rows.confidence[can], rows.correct[can], 0.052)
    assert preview(rows, 0.01)["chosen"] is None


def test_a_text_that_stands_there_twice_counts_once_for_bounds_and_proof() -> None:
    texts = [f"t {row}" for row in range(len(ROWS))]
    once = preview(outcomes(ROWS), 0.052)
    twice = preview(
        outcomes([*ROWS, *ROWS], texts + [f" {text.upper()}!" for text in texts]), 0.052
    )
    for one, two in zip(once["thresholds"], twice["thresholds"], strict=True):
        assert (two["answered"], two["wrong"]) == (2 * one["answered"], 2 * one["wrong"])
        assert (two["coverage"], two["error"]) == (one["coverage"], one["error"])
        assert two["bound"] == one["bound"]
    assert twice["own"]["bound"] == once["own"]["bound"]
    assert [row["bound"] for row in twice["intents"]] == [row["bound"] for row in once["intents"]]
    assert twice["chosen"]["threshold"] == once["chosen"]["threshold"]
    # Were the others texts of their own, they would prove a lower one.
    more = preview(outcomes([*ROWS, *ROWS]), 0.052)["chosen"]
    assert more["threshold"] < once["chosen"]["threshold"]


def test_a_threshold_of_ones_own_stands_among_the_usual_ones() -> None:
    found = {row["threshold"]: row for row in preview(outcomes(ROWS), 0.03, at=0.73)["thresholds"]}
    assert list(found) == sorted({*THRESHOLDS, 0.73})
    assert (found[0.73]["answered"], found[0.73]["wrong"]) == (70, 0)


def test_no_threshold_below_a_half_is_chosen() -> None:
    found = preview(outcomes([("a", "a", 0.2)] * 100 + [("a", "a", 0.9)] * 100), 0.05)
    assert found["chosen"]["threshold"] == 0.9
    assert found["chosen"]["answered"] == 100


def test_a_target_that_only_guesses_could_meet_is_met_by_none() -> None:
    rows = [("a", "a", 0.2)] * 300 + [("a", "a", 0.9)] * 47 + [("b", "a", 0.9)] * 3
    assert preview(outcomes(rows), 0.05)["chosen"] is None


def test_an_intent_alone_counts_the_texts_that_are_taken_for_it() -> None:
    found = preview(outcomes(ROWS), 0.5, "b")
    assert found["rows"] == 15
    assert found["own"]["threshold"] == 0.9
    assert [row["intent"] for row in found["intents"]] == ["b"]
    assert found["chosen"]["answered"] == 10


def test_an_intent_alone_is_asked_for_as_many_texts_as_a_training_asks_at_least() -> None:
    # A training proves beside it what all others may do, which takes its share of the risk.
    needed = fewest(0.03, RISK / 2)
    for rows in (needed - 1, needed):
        found = preview(outcomes([("a", "a", 0.9)] * rows), 0.03, "a")
        assert found["evidence"]["needed"] == needed
        assert (found["chosen"] is not None) is (rows == needed)


def test_a_text_out_of_the_models_scope_is_not_answered_at_any_threshold() -> None:
    found = outcomes(ROWS)
    outside = replace(found, answerable=found.answerable & (np.array(found.first) != "b"))
    assert preview(outside, 0.03)["thresholds"][0]["answered"] == 81


def test_what_always_goes_to_a_person_is_not_answered_at_any_threshold() -> None:
    found = preview(outcomes(ROWS), 0.03, never=["b"])
    assert found["thresholds"][0]["answered"] == 81
    assert [row["intent"] for row in found["intents"]] == ["a"]
    assert found["rows"] == 100
    with pytest.raises(DataError, match="'b' always goes to a person"):
        preview(outcomes(ROWS), 0.03, "b", never=["b"])


def test_an_intent_that_no_text_is_taken_for_is_told_with_those_that_are() -> None:
    with pytest.raises(DataError, match=r"the intent 'c' \(those it does: a, b\)"):
        preview(outcomes(ROWS), 0.03, "c")
    with pytest.raises(DataError, match=r"any intent \(those it does: none\)"):
        preview(outcomes([("a", "oos", 0.9)]), 0.03)
