"""Confidence that means what it says: temperature scaling, and the thresholds for acting on it.

Temperature scaling divides a head's logits by one number, fitted on held-out examples
(Guo et al. 2017, "On Calibration of Modern Neural Networks"). It never changes which label comes
first. Thresholds are chosen on the same held-out examples, after scaling (`thresholds.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from classifier.arrays import Bools, Float64, Indices
from classifier.thresholds import NEVER

BINS = 15
_BELOW_ONE = np.nextafter(1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What calibration.json holds: temperatures (above 0), thresholds (between 0 and 1).

    `thresholds` has the intents with one of their own, `threshold` is for all others; they keep the
    promise of `target_error`, the share of automatic answers that may be wrong, and of
    `target_errors` for single intents. 1 where nothing is proven: a person answers. So it is for
    `never_answered`, the intents that people answer however sure the model is, which are no part of
    the promise. `held_out` is the number of different texts that all of this was fitted on,
    `languages` those of the training texts.
    """

    intent_temperature: float = 1.0
    sentiment_temperature: float = 1.0
    threshold: float = NEVER
    thresholds: Mapping[str, float] = field(default_factory=dict)
    target_error: float = 0.05
    target_errors: Mapping[str, float] = field(default_factory=dict)
    never_answered: tuple[str, ...] = ()
    held_out: int = 0
    languages: tuple[str, ...] = ()

    def threshold_for(self, intent: str) -> float:
        """The confidence from which this intent may be answered automatically."""
        if intent in self.never_answered:
            return NEVER
        return self.thresholds.get(intent, self.threshold)

    @property
    def promise(self) -> str | None:
        """What is proven of the automatic answers, as a sentence; None where nothing is."""
        if min(self.threshold, *self.thresholds.values(), NEVER) >= NEVER:
            return None
        others = "".join(
            f", of {intent} {100 * aim:.3g} %"
            for intent, aim in sorted(self.target_errors.items())
            if self.threshold_for(intent) < NEVER
        )
        proven = (
            f"Of the automatic answers at most {100 * self.target_error:.3g} % are wrong{others}: "
            "so much is proven, with 95 % confidence, for texts of the kind held out."
        )
        if self.never_answered:
            proven += f" Always left to people: {', '.join(sorted(self.never_answered))}."
        people = sorted(name for name, value in self.thresholds.items() if value >= NEVER)
        if self.threshold >= NEVER:
            people.append("all intents without a threshold of their own")
        return f"{proven} Not proven, so left to people: {', '.join(people)}." if people else proven

    def as_dict(self) -> dict[str, Any]:
        return {
            "temperature": {
                "intent": self.intent_temperature,
                "sentiment": self.sentiment_temperature,
            },
            "threshold": self.threshold,
            "thresholds": dict(sorted(self.thresholds.items())),
            "target_error": self.target_error,
            "target_errors": dict(sorted(self.target_errors.items())),
            "never_answered": list(self.never_answered),
            "held_out": self.held_out,
            "languages": list(self.languages),
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
                target_errors={str(k): float(v) for k, v in value["target_errors"].items()},
                # Older models have none.
                never_answered=tuple(str(name) for name in value.get("never_answered", ())),
                held_out=int(value["held_out"]),
                languages=tuple(str(name) for name in value["languages"]),
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"calibration lacks or garbles {error}") from None
        temperatures = (calibration.intent_temperature, calibration.sentiment_temperature)
        if not all(math.isfinite(t) and t > 0 for t in temperatures):
            raise ValueError(f"calibration has temperatures {temperatures}")
        if not all(0 <= t <= 1 for t in (calibration.threshold, *calibration.thresholds.values())):
            raise ValueError("calibration has a threshold outside 0 to 1")
        return calibration


def softmax(logits: Float64, temperature: float = 1.0) -> Float64:
    """Probabilities (texts, labels) from logits of that shape, each below 1.

    Where rounding would make one exactly 1 it is the next number below: a threshold of 1 means
    that a person answers, always.
    """
    result: Float64 = logits / temperature
    # In place: for many texts, fresh memory costs more than the arithmetic.
    result -= result.max(axis=1, keepdims=True)
    np.exp(result, out=result)
    result /= result.sum(axis=1, keepdims=True)
    return np.minimum(result, _BELOW_ONE, out=result)


def fit_temperature(logits: Float64, truth: Indices) -> float:
    """The temperature with the least log loss; `logits` (texts, labels), `truth` (texts,).

    1.0 where there is nothing to fit on. Of each target the part 1 / (n + 2) is spread over all
    labels (as Platt 1999 does for two): where all held-out examples are right the loss would
    otherwise have no minimum, and certainty is not to be concluded from a few of them.
    """
    if len(truth) < 2:
        return 1.0
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(truth))
    spread = 1 / (len(truth) + 2)

    def loss(log_temperature: float) -> float:
        scaled = logits / math.exp(log_temperature)
        top = scaled.max(axis=1)
        log_sum = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        own = (1 - spread) * scaled[rows, truth] + spread * scaled.mean(axis=1)
        return float((log_sum - own).mean())

    bounds = (math.log(0.05), math.log(20))
    found = minimize_scalar(loss, bounds=bounds, method="bounded")
    return math.exp(float(found.x))


def expected_calibration_error(confidence: Float64, correct: Bools) -> float:
    """Mean distance of confidence from accuracy over 15 equal bins, weighted by their size.

    `confidence` (texts,) of the first label, `correct` (texts,) whether it was right; 0.0 for none.
    """
    return sum(
        (
            abs(row["confidence"] - row["accuracy"]) * (row["rows"] / len(confidence))
            for row in reliability(confidence, correct)
        ),
        0.0,
    )


def reliability(confidence: Float64, correct: Bools) -> list[dict[str, float]]:
    """The bins of the expected calibration error that hold rows, from low to high.

    Each has its limits `above` (excluded) and `to`, its `rows`, and their mean `confidence` and
    `accuracy`.
    """
    number = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    return [
        {
            "above": index / BINS,
            "to": (index + 1) / BINS,
            "rows": int((number == index).sum()),
            "confidence": float(confidence[number == index].mean()),
            "accuracy": float(correct[number == index].mean()),
        }
        for index in sorted(set(number.tolist()))
    ]
