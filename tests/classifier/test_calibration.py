from __future__ import annotations

import json

import numpy as np
import pytest

from classifier.calibration import (
    FALLBACK_THRESHOLD,
    LOWEST_THRESHOLD,
    Calibration,
    choose_thresholds,
    expected_calibration_error,
    fit_temperature,
    softmax,
)


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


def test_the_temperature_stays_in_bounds_where_everything_is_right() -> None:
    assert 0.05 <= fit_temperature(np.eye(4), np.arange(4)) < 0.1


def test_the_calibration_error_is_that_of_a_hand_made_case() -> None:
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    correct = np.array([True, False, True, True])
    assert expected_calibration_error(confidence, correct) == pytest.approx(0.45)
    assert expected_calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0.0
    assert expected_calibration_error(np.empty(0), np.empty(0, dtype=bool)) == 0.0


def two_intents(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Intent a is right from 0.8 up, intent b from 0.6 up, and wrong below."""
    confidence = np.linspace(0.51, 0.99, rows)
    probabilities = np.concatenate(
        [
            np.stack([confidence, 1 - confidence], axis=1),
            np.stack([1 - confidence, confidence], axis=1),
        ]
    )
    truth = np.concatenate([np.where(confidence >= 0.8, 0, 1), np.where(confidence >= 0.6, 1, 0)])
    return probabilities, truth


def test_thresholds_are_the_lowest_that_keep_the_target_by_intent() -> None:
    probabilities, truth = two_intents(400)
    _, own = choose_thresholds(probabilities, truth, ["a", "b"], 0.03)
    assert own["a"] == pytest.approx(0.8, abs=0.02)
    assert own["b"] == pytest.approx(0.6, abs=0.02)
    for index, name in enumerate("ab"):
        first = probabilities.argmax(axis=1) == index
        let_in = first & (probabilities[:, index] >= own[name])
        assert (truth[let_in] != index).mean() <= 0.03


def test_a_stricter_target_asks_for_more_confidence() -> None:
    probabilities, truth = two_intents(400)
    strict, _ = choose_thresholds(probabilities, truth, ["a", "b"], 0.0)
    loose, _ = choose_thresholds(probabilities, truth, ["a", "b"], 0.2)
    assert strict > loose


def test_too_few_predictions_fall_back_to_the_common_threshold() -> None:
    probabilities, truth = two_intents(26)
    overall, own = choose_thresholds(probabilities, truth, ["a", "b"], 0.03)
    assert own == {}
    assert overall == pytest.approx(0.8, abs=0.03)
    probabilities, truth = two_intents(20)
    assert choose_thresholds(probabilities, truth, ["a", "b"], 0.03) == (FALLBACK_THRESHOLD, {})


def test_an_intent_that_is_never_right_is_never_answered() -> None:
    probabilities, _ = two_intents(40)
    _, own = choose_thresholds(probabilities, np.zeros(80, dtype=np.int64), ["a", "b"], 0.03)
    assert own["b"] == 1.0
    assert own["a"] == pytest.approx(0.51)


def test_a_threshold_never_falls_below_the_floor() -> None:
    probabilities = np.full((60, 4), 0.2) + np.eye(4)[np.zeros(60, dtype=int)] * 0.2
    overall, own = choose_thresholds(probabilities, np.zeros(60, dtype=np.int64), list("abcd"), 0.1)
    assert overall == own["a"] == LOWEST_THRESHOLD


def test_a_tie_is_let_in_whole_or_not_at_all() -> None:
    confidence = np.array([0.9] * 40 + [0.7] * 40)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    truth = np.array([0] * 40 + [0, 1] * 20)
    assert choose_thresholds(probabilities, truth, ["a", "b"], 0.03)[0] == 0.9


def test_out_of_scope_predictions_do_not_move_the_threshold() -> None:
    probabilities, truth = two_intents(400)
    overall, own = choose_thresholds(probabilities, truth, ["out_of_scope", "b"], 0.03)
    assert set(own) == {"b"}
    assert overall == own["b"]


def test_calibration_survives_json_and_refuses_what_is_out_of_range() -> None:
    calibration = Calibration(0.5, 2.0, 0.8, {"a": 0.9}, 0.05, 70)
    again = Calibration.from_dict(json.loads(json.dumps(calibration.as_dict())))
    assert again == calibration
    assert (again.threshold_for("a"), again.threshold_for("b")) == (0.9, 0.8)
    for change in ({"threshold": 1.5}, {"temperature": {"intent": 0, "sentiment": 1}}):
        with pytest.raises(ValueError, match="calibration has"):
            Calibration.from_dict(calibration.as_dict() | change)
    with pytest.raises(ValueError, match="calibration lacks"):
        Calibration.from_dict({})
