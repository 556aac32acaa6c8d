"""The classifier's words for its results: plain data, free of torch, shared with every process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SENTIMENTS = ("negative", "neutral", "positive")
OUT_OF_SCOPE = frozenset({"out_of_scope", "oos"})
"""Labels under which data files mark texts that belong to no intent."""
OOS = "out_of_scope"
"""The one of them under which both count."""


_MOODS = {
    "negative": "angry annoyed bad cross disappointed frustrated furious mad neg sad unhappy upset",
    "neutral": "calm fine mixed neu none normal ok okay",
    "positive": "glad good grateful happy pleased pos satisfied",
}


def sentiment_of(mood: str) -> str | None:
    """The one of `SENTIMENTS` that a common word for a mood means; None for any other word."""
    word = mood.strip().lower()
    return next((name for name, words in _MOODS.items() if word in words.split()), None)


def one_label(label: str) -> str:
    """A label as it counts: `oos` and `out_of_scope` are one."""
    return OOS if label in OUT_OF_SCOPE else label


@dataclass(frozen=True, slots=True)
class Labels:
    """The names of each head's outputs, in order; empty where the model has no such head."""

    intents: tuple[str, ...]
    sentiments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """A label with the model's calibrated probability for it, between 0 and 1."""

    name: str
    confidence: float

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "confidence": self.confidence}


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A training example near a text: `similarity` is the cosine of their embeddings, -1 to 1."""

    text: str
    intent: str
    similarity: float

    def as_dict(self) -> dict[str, Any]:
        return {"text": self.text, "intent": self.intent, "similarity": self.similarity}


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one text.

    A head that the model's training data never fed is absent: `intent` (and its ranking) or
    `sentiment` is then None (empty). `intent_ranking` holds the ten most probable intents, in
    order.
    `threshold` is the confidence that calibration asks of the first intent before it may be
    answered automatically. `model` is the model directory's version.

    `scope` says how much the text is of the kind that the model was trained on (between 0 and 1,
    higher is more so), `scope_threshold` what calibration asks of it; `language` is the text's
    ISO 639-1 code where it could be told and is none that the model was trained on.
    `neighbours` are the nearest training examples, nearest first.
    """

    text: str
    intent: Scored | None
    intent_ranking: tuple[Scored, ...]
    sentiment: Scored | None
    threshold: float | None
    model: str
    scope: float | None = None
    scope_threshold: float | None = None
    language: str | None = None
    neighbours: tuple[Neighbour, ...] = ()

    @property
    def in_scope(self) -> bool:
        """Whether the text is of a kind that the model can be trusted on at all."""
        if self.language is not None:
            return False
        if self.scope is None or self.scope_threshold is None:
            return True
        return self.scope >= self.scope_threshold

    def as_dict(self) -> dict[str, Any]:
        """The documented JSON shape of a result."""
        return {
            "text": self.text,
            "intent": self.intent.as_dict() if self.intent else None,
            "intent_ranking": [scored.as_dict() for scored in self.intent_ranking],
            "sentiment": self.sentiment.as_dict() if self.sentiment else None,
            "threshold": self.threshold,
            "scope": self.scope,
            "scope_threshold": self.scope_threshold,
            "in_scope": self.in_scope,
            "language": self.language,
            "neighbours": [neighbour.as_dict() for neighbour in self.neighbours],
            "model": self.model,
        }
