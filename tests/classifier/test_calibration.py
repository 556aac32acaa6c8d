from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from classifier.calibration import (
    Calibration,
    expected_calibration_error,
    fit_temperature,
    softmax,
)
from classifier.thresholds import NEVER


def synthetic(rows: int = 4000, labels: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is the true distribution that the labels are drawn from."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (rows, labels))
    drawn = [rng.choice(labels, p=row) for row in softmax(logits)]
    return logits, np.array(drawn)


@pytest.mark.parametrize("true_temperature", [0.3, 1.0, 2.5])
def test_the_temperature_that_spoiled_logits_is_found(true_temperature: float) -> None:
    logits, truth = synthetic()
    found = fit_temperature(logits * true_temperature, truth)
    assert found == pytest.approx(true_temperature, rel=0.06)


def test_scaling_lowers_the_calibration_error_and_keeps_the_first_label() -> None:
    logits, truth = synthetic()
    spoiled = logits * 3

    def ece(probabilities: np.ndarray) -> float:
        first = probabilities.argmax(axis=1)
        return expected_calibration_error(probabilities.max(axis=1), first == truth)

    scaled = softmax(spoiled, fit_temperature(spoiled, truth))
    assert ece(softmax(spoiled)) > 0.1
    assert ece(scaled) < 0.02
    assert (scaled.argmax(axis=1) == spoiled.argmax(axis=1)).all()


def test_without_held_out_examples_the_temperature_is_one() -> None:
    assert fit_temperature(np.empty((0, 3)), np.empty(0, dtype=np.int64)) == 1.0


@pytest.mark.parametrize("rows", [19, 200, 2000])
def test_certainty_is_not_concluded_from_some_texts_that_were_all_right(rows: int) -> None:
    truth = np.arange(rows) % 4
    logits = 3 * np.eye(4)[truth]
    sure = softmax(logits, fit_temperature(logits, truth)).max(axis=1)
    assert 1 - 1 / rows < sure[0] < 1 - 0.5 / rows


def test_no_probability_is_1_so_that_a_threshold_of_1_is_never_reached() -> None:
    found = softmax(np.array([[900.0, 0.0], [0.0, 0.0]]))
    assert found[0, 0] < 1
    assert found.tolist() == [[pytest.approx(1), 0], [0.5, 0.5]]


def test_the_calibration_error_is_that_of_a_hand_made_case() -> None:
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    correct = np.array([True, False, True, True])
    assert expected_calibration_error(confidence, correct) == pytest.approx(0.45)
    assert expected_calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0.0
    assert expected_calibration_error(np.empty(0), np.empty(0, dtype=bool)) == 0.0


@pytest.fixture
def calibration() -> Calibration:
    return Calibration(
        intent_temperature=0.5,
        sentiment_temperature=2.0,
        threshold=0.8,
        thresholds={"a": 0.9},
        target_error=0.05,
        target_errors={"a": 0.01},
        never_answered=("c",),
        held_out=70,
        languages=("de", "en"),
    )


def test_calibration_survives_json(calibration: Calibration) -> None:
    again = Calibration.from_dict(json.loads(json.dumps(calibration.as_dict())))
    assert again == calibration
    assert [again.threshold_for(name) for name in "abc"] == [0.9, 0.8, NEVER]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"threshold": 1.5}, "has a threshold outside"),
        ({"threshold": float("nan")}, "has a threshold outside"),
        ({"thresholds": {"a": -0.1}}, "has a threshold outside"),
        ({"temperature": {"intent": 0, "sentiment": 1}}, "has temperatures"),
        ({"temperature": {"intent": 1, "sentiment": float("nan")}}, "has temperatures"),
        ({"temperature": {"intent": float("inf"), "sentiment": 1}}, "has temperatures"),
        ({"temperature": {"intent": 1}}, "lacks or garbles 'sentiment'"),
        ({"temperature": 1.0}, "lacks or garbles"),
        ({"thresholds": [0.5]}, "lacks or garbles"),
        ({"target_errors": None}, "lacks or garbles"),
        ({"languages": None}, "lacks or garbles"),
        ({"held_out": "many"}, "invalid literal"),
    ],
)
def test_calibration_out_of_range_or_garbled_is_refused(
    calibration: Calibration, change: dict[str, object], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        Calibration.from_dict(calibration.as_dict() | change)


def test_calibration_that_lacks_an_entry_is_refused(calibration: Calibration) -> None:
    for name in calibration.as_dict().keys() - {"never_answered"}:
        rest = {key: value for key, value in calibration.as_dict().items() if key != name}
        with pytest.raises(ValueError, match=f"lacks or garbles '{name}'"):
            Calibration.from_dict(rest)


def test_a_model_that_was_trained_before_people_had_intents_of_their_own_is_read(
    calibration: Calibration,
) -> None:
    before = calibration.as_dict()
    del before["never_answered"]
    assert Calibration.from_dict(before) == replace(calibration, never_answered=())
