"""What a threshold would mean: how much is answered automatically from it on, and how wrong."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from classifier.arrays import Bools
from classifier.bounds import binomial_upper_bound
from classifier.data import DataError
from classifier.evaluate import IntentOutcomes
from classifier.thresholds import RISK, evidence, proven_threshold

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99)


def preview(
    outcomes: IntentOutcomes,
    target: float,
    intent: str | None = None,
    at: float | None = None,
    never: Collection[str] = (),
) -> dict[str, Any]:
    """What thresholds would mean on rows that the model was not trained on; ready for JSON.

    With `intent`, only the rows that the model takes for that intent count. What it takes for one
    of `never` is not answered, whatever its confidence. Returned are

    rows: how many count
    own: the model's own thresholds, each intent with its own, all together
    intents: the same for each intent, among the rows that the model takes for it
    thresholds: for each of `THRESHOLDS` and for `at`, if it were the one for all
    target, chosen: the lowest threshold for all that is proven to keep errors within `target`
        (`proven_threshold`); None where there is none. With `intent`, at half the risk: a training
        proves an intent's own threshold beside that of the others, and each proof more there is
        lowers the risk further
    evidence: what rows there are to prove the target by (`thresholds.evidence`)

    Each is a dict of `threshold` (None where several are in force), `answered` (rows), `wrong` (of
    these), `coverage` (share of the rows that count), `error` (share of the answered; None where
    nothing is) and `bound`, which the error on other data of the same kind does not exceed, with
    95 % confidence (`binomial_upper_bound`). Of rows that repeat a text under one intent, the first
    alone counts for the bounds and for `chosen`.

    Raises `DataError` where no row is taken for the intent, or for any, and for one of `never`.
    """
    if intent in never:
        raise DataError(f"the intent {intent!r} always goes to a person: it has no threshold")
    first = np.array(outcomes.first, dtype=object)
    can = outcomes.answerable & ~np.isin(first, list(never))
    counted = np.full(len(first), True) if intent is None else first == intent
    if not (counted & can).any():
        seen = ", ".join(sorted(set(first[can]))) or "none"
        what = "any intent" if intent is None else f"the intent {intent!r}"
        raise DataError(f"the model takes no text for {what} (those it does: {seen})")
    correct, answered = outcomes.correct, outcomes.answered
    rows = int(counted.sum())

    def of(threshold: float | None, answered: Bools, rows: int) -> dict[str, Any]:
        wrong = answered & ~correct
        return {
            "threshold": threshold,
            "answered": (answers := int(answered.sum())),
            "wrong": (errors := int(wrong.sum())),
            "coverage": answers / rows,
            "error": errors / answers if answers else None,
            "bound": binomial_upper_bound(
                int((wrong & outcomes.once).sum()), int((answered & outcomes.once).sum())
            ),
        }

    def of_all(threshold: float) -> dict[str, Any]:
        return of(threshold, counted & can & (outcomes.confidence >= threshold), rows)

    own = []
    for name in sorted(set(first[counted & can])):
        taken = counted & (first == name)
        threshold = float(outcomes.threshold[taken][0])
        own.append({"intent": name, **of(threshold, taken & answered, int(taken.sum()))})
    thresholds = {row["threshold"] for row in own}
    told = counted & can & outcomes.once
    risk = RISK if intent is None else RISK / 2
    proven = proven_threshold(outcomes.confidence[told], correct[told], target, risk)
    named = THRESHOLDS if at is None else sorted({*THRESHOLDS, at})
    return {
        "rows": rows,
        "own": of(thresholds.pop() if len(thresholds) == 1 else None, counted & answered, rows),
        "intents": own,
        "thresholds": [of_all(threshold) for threshold in named],
        "target": target,
        "chosen": None if proven is None else of_all(proven),
        "evidence": evidence(outcomes.confidence[told], correct[told], target, risk),
    }
