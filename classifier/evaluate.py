"""What a model's predictions are worth against known labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from classifier.calibration import Floats, expected_calibration_error
from classifier.data import Example
from classifier.vocabulary import OUT_OF_SCOPE, Prediction

OOS = "out_of_scope"
WORST_CONFUSIONS = 20


def evaluate(predictions: Sequence[Prediction], examples: Sequence[Example]) -> dict[str, Any]:
    """Measures of `predictions` for `examples`, in the same order, ready for JSON.

    Each head is measured on the rows that carry its label; `oos` and `out_of_scope` count as one
    label. Of intent:

    rows, accuracy: number of rows, share whose first intent is the true one
    in_scope_accuracy: the same over rows whose true intent is not out of scope; the prediction is
        made among all intents, so an answerable text taken for out of scope counts as wrong
    macro_f1, weighted_f1: mean of the F1 of all intents that are true or predicted, plain and
        weighted by support
    ece: expected calibration error over the in-scope rows, 15 bins
    coverage, coverage_error: share of all rows whose prediction is in scope and reaches its
        threshold (they could be answered automatically), and the share of these that is wrong
    ood_auroc: area under the ROC for telling in-scope rows from out-of-scope ones by the largest
        probability of an in-scope intent; only where the data has both kinds
    intents: precision, recall, f1, support and predicted by intent
    confusions: the most frequent pairs of true and predicted intent, with their count

    and `sentiment_rows`, `sentiment_accuracy`, `sentiment_macro_f1`, `sentiment_ece`,
    `sentiments`. A head without rows, or that the model lacks, has none of its measures.
    """
    if len(predictions) != len(examples):
        raise ValueError(f"{len(predictions)} predictions for {len(examples)} examples")
    measures: dict[str, Any] = {"examples": len(examples)}
    pairs = list(zip(predictions, examples, strict=True))
    intents = [(p, e.intent) for p, e in pairs if e.intent is not None and p.intent]
    if intents:
        measures |= _intent_measures([p for p, _ in intents], [_one(t) for _, t in intents])
    sentiments = [(p.sentiment, e.sentiment) for p, e in pairs if p.sentiment and e.sentiment]
    if sentiments:
        truth = [true for _, true in sentiments]
        first = [scored.name for scored, _ in sentiments]
        table = _table(truth, first)
        correct = np.array([a == b for a, b in zip(truth, first, strict=True)])
        confidence = np.array([scored.confidence for scored, _ in sentiments])
        measures |= {
            "sentiment_rows": len(truth),
            "sentiment_accuracy": float(correct.mean()),
            "sentiment_macro_f1": _mean_f1(table),
            "sentiment_ece": expected_calibration_error(confidence, correct),
            "sentiments": table,
        }
    return measures


def _intent_measures(predictions: Sequence[Prediction], truth: Sequence[str]) -> dict[str, Any]:
    scored = [p.intent for p in predictions if p.intent]
    first = [_one(s.name) for s in scored]
    confidence = np.array([s.confidence for s in scored])
    correct = np.array([a == b for a, b in zip(truth, first, strict=True)])
    in_scope = np.array([true != OOS for true in truth])
    answered = np.array(
        [
            name != OOS and s.confidence >= (p.threshold or 0.0)
            for name, s, p in zip(first, scored, predictions, strict=True)
        ]
    )
    table = _table(truth, first)
    support = sum(row["support"] for row in table.values())
    wrong = Counter((t, f) for t, f in zip(truth, first, strict=True) if t != f)
    measures: dict[str, Any] = {
        "rows": len(truth),
        "accuracy": float(correct.mean()),
        "macro_f1": _mean_f1(table),
        "weighted_f1": sum(row["f1"] * row["support"] for row in table.values()) / support,
        "coverage": float(answered.mean()),
        "coverage_error": float((~correct[answered]).mean()) if answered.any() else 0.0,
    }
    if in_scope.any():
        measures["in_scope_accuracy"] = float(correct[in_scope].mean())
        measures["ece"] = expected_calibration_error(confidence[in_scope], correct[in_scope])
    if in_scope.any() and not in_scope.all():
        known = np.array(
            [
                max(
                    (s.confidence for s in p.intent_ranking if s.name not in OUT_OF_SCOPE),
                    default=0,
                )
                for p in predictions
            ]
        )
        measures["ood_auroc"] = _auroc(known[in_scope], known[~in_scope])
    measures["intents"] = table
    measures["confusions"] = [
        {"true": true, "predicted": predicted, "count": count}
        for (true, predicted), count in sorted(wrong.items(), key=lambda item: (-item[1], item[0]))
    ][:WORST_CONFUSIONS]
    return measures


def _one(label: str) -> str:
    return OOS if label in OUT_OF_SCOPE else label


def _table(truth: Sequence[str], first: Sequence[str]) -> dict[str, dict[str, float]]:
    support, predicted = Counter(truth), Counter(first)
    right = Counter(t for t, f in zip(truth, first, strict=True) if t == f)
    table = {}
    for label in sorted(support | predicted):
        hits = right[label]
        precision = hits / predicted[label] if predicted[label] else 0.0
        recall = hits / support[label] if support[label] else 0.0
        table[label] = {
            "precision": precision,
            "recall": recall,
            "f1": 2 * hits / (predicted[label] + support[label]),
            "support": support[label],
            "predicted": predicted[label],
        }
    return table


def _mean_f1(table: dict[str, dict[str, float]]) -> float:
    return sum(row["f1"] for row in table.values()) / len(table)


def _auroc(positive: Floats, negative: Floats) -> float:
    """The chance that a positive scores above a negative, ties counted half (Mann-Whitney)."""
    negative = np.sort(negative)
    below = np.searchsorted(negative, positive, side="left")
    up_to = np.searchsorted(negative, positive, side="right")
    return float((below + up_to).mean() / 2 / len(negative))
