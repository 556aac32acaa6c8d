from __future__ import annotations

from typing import Any

import pytest

from classifier.calibration import Calibration
from classifier.card import model_card

ABOUT: dict[str, Any] = {
    "version": "20261123-143000-ab12cd",
    "created": "2026-11-23T14:30:00+00:00",
    "base": {"name": "minilm", "sha256": "53aa"},
    "data": {
        "hash": "ff00",
        "examples": 40,
        "intents": {"a": 20, "b": 20},
        "sentiments": {"negative": 5, "positive": 5},
    },
    "recipe": {"epochs": 4, "batch_size": 16, "seed": 7, "max_tokens": 128},
}
METRICS: dict[str, Any] = {
    "held_out": 40,
    "validation": {"accuracy": 0.91234, "ece": 0.0201},
    "test": {"accuracy": 0.9, "sentiment_accuracy": 0.8},
}


def test_a_card_says_what_the_model_is_and_was_trained_on() -> None:
    card = model_card(ABOUT, METRICS, Calibration())
    assert "# Model 20261123-143000-ab12cd" in card
    assert "(2 intents and 2 sentiments)" in card
    assert "minilm (sha256 53aa)" in card
    assert "40 examples (content hash ff00)" in card
    assert "4 epochs in batches of 16, seed 7" in card


def test_a_head_that_was_not_trained_is_not_named() -> None:
    about = ABOUT | {"data": ABOUT["data"] | {"sentiments": {}}}
    assert "(2 intents)" in model_card(about, METRICS, Calibration())


def test_a_card_has_the_measures_of_both_sets_and_a_dash_for_what_was_not_measured() -> None:
    card = model_card(ABOUT, METRICS, Calibration())
    assert "| | 40 held-out examples | test set |" in card
    assert "| Intent accuracy | 0.9123 | 0.9000 |" in card
    assert "| Expected calibration error | 0.0201 | – |" in card
    assert "| Sentiment accuracy | – | 0.8000 |" in card
    assert "macro-F1" not in card
    assert "| Intent accuracy | 0.9123 | – |" in model_card(
        ABOUT, METRICS | {"test": None}, Calibration()
    )


@pytest.mark.parametrize(
    ("calibration", "says"),
    [
        (
            Calibration(threshold=0.83, target_error=0.025),
            "Of the automatic answers at most 2.5 % are wrong: so much is proven",
        ),
        (
            Calibration(1.0, threshold=1.0, thresholds={"a": 0.7}),
            "at most 5 % are wrong:",
        ),
        (
            Calibration(threshold=0.8, target_errors={"a": 0.3, "b": 0.005}),
            "at most 5 % are wrong, of a 30 %, of b 0.5 %:",
        ),
        (
            Calibration(threshold=0.8, thresholds={"b": 1.0}, target_errors={"a": 0.3, "b": 0.005}),
            "for texts of the kind held out. Not proven, so left to people: b.",
        ),
        (
            Calibration(threshold=1.0, thresholds={"a": 0.7, "b": 1.0}),
            "left to people: b, all intents without a threshold of their own.",
        ),
        (
            Calibration(threshold=0.8, never_answered=("b",)),
            "texts of the kind held out. Always left to people: b.\n",
        ),
        (Calibration(), "prove no promise"),
        (Calibration(threshold=1.0, thresholds={"a": 1.0}), "prove no promise"),
    ],
)
def test_a_card_promises_only_what_is_proven(calibration: Calibration, says: str) -> None:
    card = model_card(ABOUT, METRICS, calibration)
    assert says in card
    assert ("at most" in card) == (says != "prove no promise")
    assert f"none of its own: {calibration.threshold:g}." in card


def test_a_card_shows_a_threshold_close_to_one_as_what_it_is() -> None:
    assert "none of its own: 0.9963." in model_card(ABOUT, METRICS, Calibration(threshold=0.99622))


def test_a_card_says_how_many_held_out_examples_repeat_a_text() -> None:
    card = model_card(ABOUT, METRICS, Calibration(held_out=15))
    assert "25 of them repeat a text, which proves once under each label." in card
    assert "repeat" not in model_card(ABOUT, METRICS, Calibration(held_out=40))


def test_a_card_without_held_out_examples_tells_no_story_of_them() -> None:
    card = model_card(ABOUT, METRICS | {"held_out": 0, "validation": {}}, Calibration())
    assert "Too few of the examples may measure a model for any to be held out." in card
    assert "were predicted by models" not in card
    assert "were predicted by models" in model_card(ABOUT, METRICS, Calibration())
