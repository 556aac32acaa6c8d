"""How many upset texts would be seen as such.

Accuracy and macro-F1 count the label that comes first. A desk acts on `negative` only from a
confidence on, so both may look well where hardly an upset customer is noticed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from classifier.evaluate import Outcomes

NEGATIVE = "negative"
NEGATIVE_CONFIDENCE = 0.8
"""From where a desk takes a customer for upset, unless its pack says otherwise."""
STEPS = (0.5, 0.6, 0.7, 0.8, 0.9)


def upset(sentiments: Outcomes, confidence: float = NEGATIVE_CONFIDENCE) -> dict[str, Any]:
    """What would be noticed if a text counted as upset from that confidence on; ready for JSON.

    texts, others: rows that are negative, rows that are not
    confidence, seen, mistaken: that confidence, how many of `texts` count as upset from it on, and
        how many of `others`
    at: the same three at each of `STEPS`
    """

    def of(least: float) -> dict[str, Any]:
        taken = [
            true == NEGATIVE
            for true, first, sure in zip(
                sentiments.truth, sentiments.first, sentiments.confidence, strict=True
            )
            if first == NEGATIVE and sure >= least
        ]
        return {"confidence": least, "seen": sum(taken), "mistaken": len(taken) - sum(taken)}

    texts = sentiments.truth.count(NEGATIVE)
    others = len(sentiments.truth) - texts
    return {"texts": texts, "others": others, **of(confidence), "at": [of(at) for at in STEPS]}


def upset_sentence(found: dict[str, Any]) -> str:
    """What `upset` found, in words, at the confidence it was asked of."""
    return (
        f"of {found['texts']:,} upset texts {found['seen']:,} would be seen as such "
        f"(negative_confidence {found['confidence']:g}), of {found['others']:,} others "
        f"{found['mistaken']:,}"
    )
