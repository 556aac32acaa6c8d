"""The gate: whether a candidate may take the champion's place.

Both predict the pack's frozen test set. Training is noisy, so a candidate that errs on a text or
two more is not thereby worse: it is rejected when it loses more than `LARGEST_LOSS` of accuracy,
or when its losses against the champion are significant in an exact one-sided McNemar test
(McNemar 1947; Dietterich 1998, "Approximate statistical tests", for comparing classifiers).

So that many small losses don't add up over many runs, it may not fall more than `LARGEST_LOSS`
below the best accuracy of earlier champions on the same test set either. And the sentiments'
macro-F1 may not fall by more than `LARGEST_SENTIMENT_LOSS` against the champion's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from classifier.compare import chance_of_losing
from classifier.evaluate import one_label

LARGEST_LOSS = 0.01
LARGEST_SENTIMENT_LOSS = 0.02
SIGNIFICANCE = 0.05


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's word and what it rests on; accuracies are shares of the frozen test set.

    `reason` says why a candidate was rejected: its `accuracy` against the champion's, or against
    the `best` so far, or its `sentiment`. The sentiment figures are macro-F1.
    """

    promoted: bool
    candidate_accuracy: float
    champion_accuracy: float | None
    only_candidate_right: int = 0
    only_champion_right: int = 0
    p_worse: float | None = None
    best_accuracy: float | None = None
    candidate_sentiment: float | None = None
    champion_sentiment: float | None = None
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def judge(
    truth: Sequence[str],
    candidate: Sequence[str],
    champion: Sequence[str] | None,
    best: float | None = None,
    sentiment: tuple[float | None, float | None] = (None, None),
) -> Verdict:
    """Compare predicted with true intents, text by text; without a champion all is promoted.

    `oos` and `out_of_scope` are one intent.

    `best` is the best accuracy of earlier champions on this test set, `sentiment` the candidate's
    and the champion's macro-F1 on it; what is None holds nothing back.

    Raises ValueError for an empty test set: nothing may be promoted unseen.
    """
    if not truth:
        raise ValueError("the frozen test set is empty: nothing can be judged on it")
    right = _right(truth, candidate)
    accuracy = sum(right) / len(truth)
    if champion is None:
        return Verdict(True, accuracy, None, candidate_sentiment=sentiment[0])
    was_right = _right(truth, champion)
    old = sum(was_right) / len(truth)
    gained = sum(a and not b for a, b in zip(right, was_right, strict=True))
    lost = sum(b and not a for a, b in zip(right, was_right, strict=True))
    p_worse = chance_of_losing(gained, lost)
    # In texts, not shares: those don't subtract exactly.
    allowed = LARGEST_LOSS * len(truth)
    reason = None
    if lost - gained > allowed or p_worse < SIGNIFICANCE:
        reason = "accuracy"
    elif best is not None and round(best * len(truth)) - sum(right) > allowed:
        reason = "best"
    elif _fell(*sentiment):
        reason = "sentiment"
    return Verdict(
        reason is None, accuracy, old, gained, lost, p_worse, best, *sentiment, reason=reason
    )


def _right(truth: Sequence[str], predicted: Sequence[str]) -> list[bool]:
    return [one_label(a) == one_label(b) for a, b in zip(truth, predicted, strict=True)]


def _fell(candidate: float | None, champion: float | None) -> bool:
    if candidate is None or champion is None:
        return False
    return champion - candidate > LARGEST_SENTIMENT_LOSS + 1e-9
