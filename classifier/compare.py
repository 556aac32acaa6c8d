"""Two models on the same labelled texts: which is better, and is it more than chance?

Both predict every text, so the tests are paired: what both get right or wrong says nothing of
their difference. McNemar 1947 asks whether the texts that only one of them gets right lean to one
side; in its exact form, as Dietterich 1998 ("Approximate Statistical Tests for Comparing
Supervised Classification Learning Algorithms") recommends for two classifiers that were trained
once. How large the difference may be is read from resampled rows (percentile bootstrap, Efron and
Tibshirani 1993).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from classifier.arrays import Float64
from classifier.bounds import chance_of_at_least
from classifier.data import DataError, Example
from classifier.evaluate import (
    Outcomes,
    intent_outcomes,
    label_table,
    mean_f1,
    sentiment_outcomes,
)
from classifier.vocabulary import Prediction

RESAMPLES = 2000
AT_ONCE = 100
"""Resamples (a divisor of them) in one matrix product: memory stays bounded for large data."""
SEED = 1


def chance_of_losing(gained: int, lost: int) -> float:
    """The exact one-sided p-value: the chance of `lost` or more if both models were as good.

    `gained` texts only the second model gets right, `lost` ones only the first.
    """
    return chance_of_at_least(lost, lost + gained, 0.5)


def chance_of_differing(gained: int, lost: int) -> float:
    """The exact two-sided p-value of McNemar's test, arguments as of `chance_of_losing`."""
    return min(1.0, 2 * chance_of_losing(min(gained, lost), max(gained, lost)))


def compare(
    a: Sequence[Prediction], b: Sequence[Prediction], examples: Sequence[Example]
) -> dict[str, Any]:
    """How predictions `b` differ from `a` for `examples`, all in the same order; ready for JSON.

    Of rows that repeat a text under one label, the first alone counts: the tests are of rows that
    are right or wrong independently of each other. `intents` and `sentiments`, each where both
    models and the data have it, hold:

    rows: number of rows with that label that count
    accuracy, macro_f1: `a`, `b`, `difference` (b - a) and its 95 % `interval` (2,)
    gained, lost: number of rows that only b, only a gets right
    p: McNemar's exact two-sided p-value
    labels: by label its `support`, and of a and of b `right` (true positives) and `predicted`, with
        `precision` and `recall`
    changed: the rows whose prediction differs, as `text`, `true`, `a` and `b` (name, confidence)
        and `kind`: gained, lost, or other where both are wrong

    Raises `DataError` where there is nothing that both models and the data have.
    """
    if not len(a) == len(b) == len(examples):
        raise ValueError(f"{len(a)} and {len(b)} predictions for {len(examples)} examples")
    found: dict[str, Any] = {"rows": len(examples)}
    # A row counts where both predict; within a model a head predicts all rows or none.
    for head, outcomes in (("intents", intent_outcomes), ("sentiments", sentiment_outcomes)):
        first, second = outcomes(a, examples), outcomes(b, examples)
        if first and second:
            found[head] = _compare(first.each_once(), second.each_once())
    if len(found) == 1:
        raise DataError(
            "there is nothing to compare: the two models and the data have neither intents nor "
            "sentiments in common"
        )
    return found


def _compare(a: Outcomes, b: Outcomes) -> dict[str, Any]:
    gained, lost = int((b.correct & ~a.correct).sum()), int((a.correct & ~b.correct).sum())
    tables = label_table(a), label_table(b)
    accuracy = [float(outcomes.correct.mean()) for outcomes in (a, b)]
    macro_f1 = [mean_f1(table) for table in tables]
    intervals = intervals_of_difference(a, b)
    support = Counter(a.truth)
    return {
        "rows": len(a.truth),
        "accuracy": _difference(accuracy, intervals[0]),
        "macro_f1": _difference(macro_f1, intervals[1]),
        "gained": gained,
        "lost": lost,
        "p": chance_of_differing(gained, lost),
        "labels": {
            label: {
                "support": support[label],
                "a": _counts(tables[0].get(label)),
                "b": _counts(tables[1].get(label)),
            }
            for label in sorted(tables[0].keys() | tables[1].keys())
        },
        "changed": [
            _changed(a, b, row) for row in range(len(a.truth)) if a.first[row] != b.first[row]
        ],
    }


def _difference(values: Sequence[float], interval: tuple[float, float]) -> dict[str, Any]:
    a, b = values
    return {"a": a, "b": b, "difference": b - a, "interval": list(interval)}


def _counts(row: dict[str, float] | None) -> dict[str, float]:
    if row is None:
        return {"right": 0, "predicted": 0, "precision": 0.0, "recall": 0.0}
    return {
        "right": round(row["recall"] * row["support"]),
        "predicted": row["predicted"],
        "precision": row["precision"],
        "recall": row["recall"],
    }


def _changed(a: Outcomes, b: Outcomes, row: int) -> dict[str, Any]:
    true = a.truth[row]
    kind = "gained" if b.first[row] == true else "lost" if a.first[row] == true else "other"
    return {
        "text": a.texts[row],
        "true": true,
        "kind": kind,
        "a": {"name": a.first[row], "confidence": float(a.confidence[row])},
        "b": {"name": b.first[row], "confidence": float(b.confidence[row])},
    }


def intervals_of_difference(
    a: Outcomes, b: Outcomes, *, true_only: bool = False
) -> list[tuple[float, float]]:
    """95 % intervals of the differences (b - a) in accuracy and in macro-F1.

    With `true_only` the mean is of the labels that are true of a row. `a` and `b` are of the same
    rows. A resample draws rows with replacement, each with its truth and both predictions; the same
    data and predictions give the same intervals.
    """
    # Rows with the same truth and predictions are one kind: to draw rows is to draw kinds.
    drawn = Counter(zip(a.truth, a.first, b.first, strict=True))
    kinds = sorted(drawn)
    rows = len(a.truth)
    shares = np.array([drawn[kind] for kind in kinds]) / rows
    index = {label: n for n, label in enumerate(sorted({*a.truth, *a.first, *b.first}))}
    meant = sorted(index[label] for label in (set(a.truth) if true_only else index))
    truth, *predicted = (_one_hot([kind[n] for kind in kinds], index) for n in range(3))
    right = [p * truth for p in predicted]
    rng = np.random.default_rng(SEED)
    differences = np.empty((2, RESAMPLES))
    for start in range(0, RESAMPLES, AT_ONCE):
        at = slice(start, start + AT_ONCE)
        weights = rng.multinomial(rows, shares, size=AT_ONCE).astype(np.float64)
        support = weights @ truth
        hits = [weights @ each for each in right]
        differences[0, at] = (hits[1].sum(axis=1) - hits[0].sum(axis=1)) / rows
        f1 = [
            _macro_f1(support[:, meant], (weights @ p)[:, meant], h[:, meant])
            for p, h in zip(predicted, hits, strict=True)
        ]
        differences[1, at] = f1[1] - f1[0]
    low, high = np.quantile(differences, (0.025, 0.975), axis=1)
    return [(float(low[n]), float(high[n])) for n in range(2)]


def _macro_f1(support: Float64, predicted: Float64, right: Float64) -> Float64:
    """(resamples,) mean F1 of the labels that are true or predicted, from (resamples, labels)."""
    total = support + predicted
    f1 = np.divide(2 * right, total, out=np.zeros_like(total), where=total > 0)
    mean: Float64 = f1.sum(axis=1) / (total > 0).sum(axis=1)
    return mean


def _one_hot(labels: Sequence[str], index: dict[str, int]) -> Float64:
    """(rows, labels)"""
    matrix = np.zeros((len(labels), len(index)))
    matrix[np.arange(len(labels)), [index[label] for label in labels]] = 1
    return matrix
