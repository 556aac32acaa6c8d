"""From a model's raw outputs to predictions that people and policies can use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from classifier.arrays import Float64
from classifier.calibration import Calibration, softmax
from classifier.language import languages
from classifier.scope import Scope
from classifier.vocabulary import OUT_OF_SCOPE, Labels, Neighbour, Prediction, Scored

HALF_FAMILIAR = 0.5
"""A text in another language also looks unfamiliar; the letters of one that doesn't mislead."""
ENGLISH = ("en",)
_BEYOND_ENGLISH = re.compile(r"[^\W\d_\x00-\x7f]")
"""A letter that English itself does not write."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a model says of texts, before calibration.

    intent, sentiment: logits (texts, labels) of each head; None where the model has no such head
    nearness: (texts, layers) as of `scope.nearness`; None where the model knows no scope
    neighbours: the nearest examples of each text; empty where the model has none
    """

    intent: Float64 | None
    sentiment: Float64 | None
    nearness: Float64 | None = None
    neighbours: Sequence[tuple[Neighbour, ...]] = ()


RANKED = 10
"""Intents in a ranking: nobody offers or reads the eleventh."""
AT_ONCE = 4096
"""Texts whose whole order of labels is in memory at a time."""


def predictions(
    texts: Sequence[str],
    outputs: Outputs,
    labels: Labels,
    calibration: Calibration,
    scope: Scope,
    version: str,
) -> list[Prediction]:
    """A prediction for each text, from what the model said of them in the same order."""
    intent = outputs.intent
    probabilities = None if intent is None else softmax(intent, calibration.intent_temperature)
    moods = (
        None
        if outputs.sentiment is None
        else softmax(outputs.sentiment, calibration.sentiment_temperature)
    )
    scores = familiarity(probabilities, outputs.nearness, labels, scope)
    spoken = _foreign(texts, scores, calibration)
    intents, sentiments = _ranked(probabilities, labels.intents), _ranked(moods, labels.sentiments)
    found = []
    for row, text in enumerate(texts):
        ranking = intents[row] if intents else ()
        first = ranking[0] if ranking else None
        found.append(
            Prediction(
                text=text,
                intent=first,
                intent_ranking=ranking,
                sentiment=sentiments[row][0] if sentiments else None,
                threshold=calibration.threshold_for(first.name) if first else None,
                model=version,
                scope=None if scores is None else float(scores[row]),
                scope_threshold=None if scores is None else scope.threshold,
                language=spoken[row],
                neighbours=outputs.neighbours[row] if outputs.neighbours else (),
            )
        )
    return found


def familiarity(
    probabilities: Float64 | None, nearness: Float64 | None, labels: Labels, scope: Scope
) -> Float64 | None:
    """The scope's scores (texts,) from calibrated probabilities (texts, intents) and nearness."""
    if probabilities is None or nearness is None or not scope.offset:
        return None
    return scope.scores(nearness, strangeness(probabilities, labels))


def strangeness(probabilities: Float64, labels: Labels) -> Float64:
    """The probability (texts,) of all out-of-scope labels together."""
    outside = [name in OUT_OF_SCOPE for name in labels.intents]
    found: Float64 = probabilities[:, np.array(outside, dtype=bool)].sum(axis=1)
    return found


def _foreign(
    texts: Sequence[str], scores: Float64 | None, calibration: Calibration
) -> list[str | None]:
    """Each text's language where it is none of the model's."""
    found: list[str | None] = [None] * len(texts)
    if scores is None or not calibration.languages:
        return found
    english = calibration.languages == ENGLISH
    # A word like "cancelación" looks familiar, being so near to an English one.
    odd = [
        row
        for row, (text, score) in enumerate(zip(texts, scores.tolist(), strict=True))
        if score < HALF_FAMILIAR or (english and _BEYOND_ENGLISH.search(text))
    ]
    for row, language in zip(odd, languages([texts[row] for row in odd]), strict=True):
        if language not in calibration.languages:
            found[row] = language
    return found


def _ranked(probabilities: Float64 | None, names: Sequence[str]) -> list[tuple[Scored, ...]]:
    if probabilities is None:
        return []
    found = []
    for start in range(0, len(probabilities), AT_ONCE):
        block = probabilities[start : start + AT_ONCE]
        order = np.argsort(-block, axis=1, kind="stable")[:, :RANKED]
        confidences = np.take_along_axis(block, order, axis=1).tolist()
        found += [
            tuple(Scored(names[label], own) for label, own in zip(row, values, strict=True))
            for row, values in zip(order.tolist(), confidences, strict=True)
        ]
    return found
