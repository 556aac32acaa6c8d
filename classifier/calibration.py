"""Confidence that means what it says: temperature scaling, and the thresholds for acting on it.

Temperature scaling divides a head's logits by one number, fitted on held-out examples
(Guo et al. 2017, "On Calibration of Modern Neural Networks"). It never changes which label comes
first. Thresholds are chosen on the same held-out examples, after scaling.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.vocabulary import OUT_OF_SCOPE

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

BINS = 15
FALLBACK_THRESHOLD = 0.75
"""Where there are too few held-out predictions to choose by."""
LOWEST_THRESHOLD = 0.5
"""Below it an answer is as likely wrong as right, whatever a small held-out set says."""
FEWEST_OVERALL = 50
FEWEST_PER_INTENT = 30


@dataclass(frozen=True, slots=True)
class Calibration:
    """What calibration.json holds: temperatures (above 0), thresholds (between 0 and 1).

    `thresholds` has the intents that had enough held-out predictions for one of their own;
    `threshold` is for all others. `target_error` is the share of automatic answers that may be
    wrong, `held_out` the number of examples that all of this was fitted on.
    """

    intent_temperature: float = 1.0
    sentiment_temperature: float = 1.0
    threshold: float = FALLBACK_THRESHOLD
    thresholds: Mapping[str, float] = field(default_factory=dict)
    target_error: float = 0.03
    held_out: int = 0

    def threshold_for(self, intent: str) -> float:
        """The confidence from which this intent may be answered automatically."""
        return self.thresholds.get(intent, self.threshold)

    def as_dict(self) -> dict[str, Any]:
        return {
            "temperature": {
                "intent": self.intent_temperature,
                "sentiment": self.sentiment_temperature,
            },
            "threshold": self.threshold,
            "thresholds": dict(sorted(self.thresholds.items())),
            "target_error": self.target_error,
            "held_out": self.held_out,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Calibration:
        """Read `as_dict()`. Raises ValueError where an entry is missing or out of range."""
        try:
            calibration = cls(
                intent_temperature=float(value["temperature"]["intent"]),
                sentiment_temperature=float(value["temperature"]["sentiment"]),
                threshold=float(value["threshold"]),
                thresholds={str(k): float(v) for k, v in value["thresholds"].items()},
                target_error=float(value["target_error"]),
                held_out=int(value["held_out"]),
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"calibration lacks or garbles {error}") from None
        temperatures = (calibration.intent_temperature, calibration.sentiment_temperature)
        if not all(math.isfinite(t) and t > 0 for t in temperatures):
            raise ValueError(f"calibration has temperatures {temperatures}")
        if not all(0 <= t <= 1 for t in (calibration.threshold, *calibration.thresholds.values())):
            raise ValueError("calibration has a threshold outside 0 to 1")
        return calibration


def softmax(logits: Floats, temperature: float = 1.0) -> Floats:
    """Probabilities (texts, labels) from logits of that shape."""
    scaled = logits / temperature
    exponent = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    result: Floats = exponent / exponent.sum(axis=1, keepdims=True)
    return result


def fit_temperature(logits: Floats, truth: Indices) -> float:
    """The temperature with the least log loss; `logits` (texts, labels), `truth` (texts,).

    1.0 where there is nothing to fit on. Kept between 0.05 and 20: where all held-out examples
    are right, the loss has no minimum, and certainty is not to be concluded from that.
    """
    if len(truth) < 2:
        return 1.0
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        scaled = logits / math.exp(log_temperature)
        top = scaled.max(axis=1)
        log_sum = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float((log_sum - scaled[rows, truth]).mean())

    bounds = (math.log(0.05), math.log(20))
    found = minimize_scalar(loss, bounds=bounds, method="bounded")
    return math.exp(float(found.x))


def expected_calibration_error(confidence: Floats, correct: NDArray[np.bool_]) -> float:
    """Mean distance of confidence from accuracy over 15 equal bins, weighted by their size.

    `confidence` (texts,) of the first label, `correct` (texts,) whether it was right; 0.0 for none.
    """
    if not len(confidence):
        return 0.0
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    error = 0.0
    for number in range(BINS):
        inside = bins == number
        if inside.any():
            gap = abs(float(confidence[inside].mean()) - float(correct[inside].mean()))
            error += gap * float(inside.mean())
    return error


def choose_thresholds(
    probabilities: Floats, truth: Indices, intents: Sequence[str], target_error: float
) -> tuple[float, dict[str, float]]:
    """(threshold for all, thresholds of single intents) that keep errors within the target.

    `probabilities` (texts, intents) are calibrated, `truth` (texts,) indexes `intents`. Each is
    the lowest confidence from which at most `target_error` of the held-out answers were wrong,
    and 1.0 where none does; predictions of out-of-scope labels are never answered and so not
    counted. This is the plain empirical choice, without a guarantee for fresh data.
    """
    first = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(len(truth)), first]
    correct = first == truth
    answered = np.array([intents[i] not in OUT_OF_SCOPE for i in first], dtype=bool)
    overall = FALLBACK_THRESHOLD
    if answered.sum() >= FEWEST_OVERALL:
        overall = _lowest(confidence[answered], correct[answered], target_error)
    own = {}
    for index, intent in enumerate(intents):
        mine = answered & (first == index)
        if mine.sum() >= FEWEST_PER_INTENT:
            own[intent] = _lowest(confidence[mine], correct[mine], target_error)
    return overall, own


def _lowest(confidence: Floats, correct: NDArray[np.bool_], target_error: float) -> float:
    order = np.argsort(-confidence, kind="stable")
    confidence, wrong = confidence[order], ~correct[order]
    error = np.cumsum(wrong) / np.arange(1, len(wrong) + 1)
    # A threshold lets all equal confidences in: only the last of each run can be the cut.
    last = np.append(confidence[1:] < confidence[:-1], True)
    fine = np.flatnonzero((error <= target_error) & last)
    return max(float(confidence[fine[-1]]), LOWEST_THRESHOLD) if len(fine) else 1.0
