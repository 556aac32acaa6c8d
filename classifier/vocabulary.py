"""The classifier's words for its results: plain data, free of torch, shared with every process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SENTIMENTS = ("negative", "neutral", "positive")
OUT_OF_SCOPE = frozenset({"out_of_scope", "oos"})
"""Labels under which data files mark texts that belong to no intent."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A label with the model's calibrated probability for it, between 0 and 1."""

    name: str
    confidence: float

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "confidence": self.confidence}


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one text.

    A head that the model's training data never fed is absent: `intent` (and its ranking) or
    `sentiment` is then None (empty). `intent_ranking` holds all intents, most probable first.
    `threshold` is the confidence that calibration asks of the first intent before it may be
    answered automatically. `model` is the model directory's version.
    """

    text: str
    intent: Scored | None
    intent_ranking: tuple[Scored, ...]
    sentiment: Scored | None
    threshold: float | None
    model: str

    def as_dict(self) -> dict[str, Any]:
        """The documented JSON shape of a result."""
        return {
            "text": self.text,
            "intent": self.intent.as_dict() if self.intent else None,
            "intent_ranking": [scored.as_dict() for scored in self.intent_ranking],
            "sentiment": self.sentiment.as_dict() if self.sentiment else None,
            "model": self.model,
        }
