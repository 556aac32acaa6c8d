"""What a model's predictions are worth against known labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from classifier.arrays import Bools, Float64
from classifier.bounds import binomial_upper_bound
from classifier.calibration import expected_calibration_error, reliability
from classifier.data import Example
from classifier.likeness import seen_first
from classifier.thresholds import falling_threshold
from classifier.upset import NEGATIVE, NEGATIVE_CONFIDENCE, upset
from classifier.vocabulary import OOS, OUT_OF_SCOPE, Prediction, one_label

WORST_CONFUSIONS = 20
IN_SCOPE_RECALL = 0.95
CURVE_POINTS = 20

Table = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """One head's predictions beside the truth, for the rows that carry its label, in their order.

    `first` is the label predicted first, `confidence` (rows,) its probability; `once` (rows,):
    no row before has the same text and truth, as `seen_first` has it. `oos` and `out_of_scope` are
    one label.
    """

    texts: list[str]
    truth: list[str]
    first: list[str]
    confidence: Float64
    once: Bools

    @property
    def correct(self) -> Bools:
        """(rows,) whether the first label is the true one."""
        return np.array([a == b for a, b in zip(self.truth, self.first, strict=True)], dtype=bool)

    def each_once(self) -> Outcomes:
        """Without the rows that repeat one before them."""
        rows = np.flatnonzero(self.once)
        texts, truth, first = (
            [values[row] for row in rows] for values in (self.texts, self.truth, self.first)
        )
        return Outcomes(texts, truth, first, self.confidence[rows], self.once[rows])


@dataclass(frozen=True, slots=True)
class IntentOutcomes(Outcomes):
    """Of the intent head, with what decides about an automatic answer.

    `threshold` (rows,) is what calibration asks of the first intent. `scope` (rows,) is higher the
    more a text is of the model's kind. `answerable` (rows,): the model takes the text for one of
    its intents, so that its confidence alone decides.
    """

    threshold: Float64
    scope: Float64
    answerable: Bools

    @property
    def answered(self) -> Bools:
        """(rows,) whether the text could be answered without a person."""
        return self.answerable & (self.confidence >= self.threshold)

    @property
    def in_scope(self) -> Bools:
        """(rows,) whether the true intent is not out of scope."""
        return np.array([true != OOS for true in self.truth], dtype=bool)


def intent_outcomes(
    predictions: Sequence[Prediction], examples: Sequence[Example]
) -> IntentOutcomes | None:
    """The intents of `predictions` for `examples`, in the same order; None where no row has both.

    Where a prediction carries no scope score, the largest probability of an in-scope intent
    stands in for all.
    """
    rows = [
        (p, p.intent, one_label(e.intent), e.text)
        for p, e in zip(predictions, examples, strict=True)
        if p.intent and e.intent is not None
    ]
    if not rows:
        return None
    first = [one_label(scored.name) for _, scored, _, _ in rows]
    scores = [p.scope for p, *_ in rows]
    known = [score for score in scores if score is not None]
    if len(known) < len(rows):
        known = [_largest_in_scope(p) for p, *_ in rows]
    return IntentOutcomes(
        texts=[p.text for p, *_ in rows],
        truth=[true for _, _, true, _ in rows],
        first=first,
        confidence=np.array([scored.confidence for _, scored, _, _ in rows]),
        once=_once((text, true) for _, _, true, text in rows),
        threshold=np.array([p.threshold or 0.0 for p, *_ in rows]),
        scope=np.array(known),
        answerable=np.array(
            [name != OOS and p.in_scope for name, (p, *_) in zip(first, rows, strict=True)]
        ),
    )


def sentiment_outcomes(
    predictions: Sequence[Prediction], examples: Sequence[Example]
) -> Outcomes | None:
    """As `intent_outcomes`, of the sentiments."""
    rows = [
        (p.text, p.sentiment, e.sentiment, e.text)
        for p, e in zip(predictions, examples, strict=True)
        if p.sentiment and e.sentiment
    ]
    if not rows:
        return None
    return Outcomes(
        texts=[text for text, *_ in rows],
        truth=[true for _, _, true, _ in rows],
        first=[scored.name for _, scored, _, _ in rows],
        confidence=np.array([scored.confidence for _, scored, _, _ in rows]),
        once=_once((text, true) for _, _, true, text in rows),
    )


def _once(rows: Iterable[tuple[str, str]]) -> Bools:
    # By the examples' own texts: a report's predictions have one stand-in for all that is private.
    return np.array(seen_first(rows), dtype=bool)


def evaluate(
    predictions: Sequence[Prediction],
    examples: Sequence[Example],
    negative_confidence: float = NEGATIVE_CONFIDENCE,
) -> dict[str, Any]:
    """Measures of `predictions` for `examples`, in the same order, ready for JSON.

    Each head is measured on the rows that carry its label; `oos` and `out_of_scope` count as one
    label. Of intent:

    rows, accuracy: number of rows, share whose first intent is the true one
    in_scope_accuracy: the same over rows whose true intent is not out of scope; the prediction is
        made among all intents, so an answerable text taken for out of scope counts as wrong
    macro_f1, weighted_f1: mean of the F1 of all intents that are true or predicted, plain and
        weighted by support
    ece: expected calibration error over the in-scope rows, 15 bins
    reliability: those bins that hold rows, as from `reliability`
    coverage, coverage_error: share of all rows whose prediction is in scope and reaches its
        threshold (they could be answered automatically), and the share of these that is wrong, None
        where there are none
    coverage_error_bound: what that share is at most, with 95 % confidence (`binomial_upper_bound`);
        of rows that repeat a text under one intent, the first alone counts
    risk_coverage: coverage, the share of wrong answers (`risk`) and the threshold, if one
        threshold for all intents were lowered from 1 on; about 20 points
    aurc: area under the risk-coverage curve over the in-scope rows, all of which are answered in
        the end, the surest first (Geifman and El-Yaniv 2017)
    ood_auroc: area under the ROC for telling in-scope rows from out-of-scope ones by the scope
        score, or by the largest probability of an in-scope intent where the model has no such
        score; only where the data has both kinds, as the following
    ood_fpr95: share of out-of-scope rows that pass where 95 % of the in-scope rows do
    ood_recall, ood_false_alarms: share of the out-of-scope rows, and of the in-scope ones, that
        the model takes for out of scope
    ood_answered: share of out-of-scope rows that could be answered automatically
    intents: precision, recall, f1, support and predicted by intent, and `answered`: the share of
        its rows that could be answered automatically, rightly or not
    confusions: the most frequent pairs of true and predicted intent, with their count

    and `sentiment_rows`, `sentiment_accuracy`, `sentiment_macro_f1`, `sentiment_ece`,
    `sentiments`; where a row is negative `upset`, which is what `upset` finds at
    `negative_confidence`. A head without rows, or that the model lacks, has none of its measures.
    """
    if len(predictions) != len(examples):
        raise ValueError(f"{len(predictions)} predictions for {len(examples)} examples")
    measures: dict[str, Any] = {"examples": len(examples)}
    if intents := intent_outcomes(predictions, examples):
        measures |= _intent_measures(intents)
    if sentiments := sentiment_outcomes(predictions, examples):
        table = label_table(sentiments)
        measures |= {
            "sentiment_rows": len(sentiments.truth),
            "sentiment_accuracy": float(sentiments.correct.mean()),
            "sentiment_macro_f1": mean_f1(table),
            "sentiment_ece": expected_calibration_error(sentiments.confidence, sentiments.correct),
            "sentiments": table,
        }
        if NEGATIVE in sentiments.truth:
            measures["upset"] = upset(sentiments, negative_confidence)
    return measures


def _intent_measures(intents: IntentOutcomes) -> dict[str, Any]:
    correct, confidence = intents.correct, intents.confidence
    in_scope, answered = intents.in_scope, intents.answered
    table = label_table(intents)
    support = sum(row["support"] for row in table.values())
    wrong = int((~correct[answered]).sum())
    told = answered & intents.once
    measures: dict[str, Any] = {
        "rows": len(intents.truth),
        "accuracy": float(correct.mean()),
        "macro_f1": mean_f1(table),
        "weighted_f1": sum(row["f1"] * row["support"] for row in table.values()) / support,
        "coverage": float(answered.mean()),
        "coverage_error": wrong / int(answered.sum()) if answered.any() else None,
        "coverage_error_bound": binomial_upper_bound(int((~correct[told]).sum()), int(told.sum())),
    }
    if in_scope.any():
        measures["in_scope_accuracy"] = float(correct[in_scope].mean())
        measures["ece"] = expected_calibration_error(confidence[in_scope], correct[in_scope])
        measures["aurc"] = float(risks(confidence[in_scope], correct[in_scope]).mean())
        measures["reliability"] = reliability(confidence[in_scope], correct[in_scope])
    measures["risk_coverage"] = _thinned(risk_coverage(intents))
    if in_scope.any() and not in_scope.all():
        taken_out = ~intents.answerable
        measures |= {
            "ood_auroc": _auroc(intents.scope[in_scope], intents.scope[~in_scope]),
            "ood_fpr95": _false_positives(intents.scope[in_scope], intents.scope[~in_scope]),
            "ood_recall": float(taken_out[~in_scope].mean()),
            "ood_false_alarms": float(taken_out[in_scope].mean()),
            "ood_answered": float(answered[~in_scope].mean()),
        }
    truth = np.array(intents.truth, dtype=object)
    for name, row in table.items():
        row["answered"] = int(answered[truth == name].sum()) / max(row["support"], 1)
    measures["intents"] = table
    measures["confusions"] = [
        {"true": true, "predicted": predicted, "count": count}
        for (true, predicted), count in confusions(intents)[:WORST_CONFUSIONS]
    ]
    return measures


def risks(confidence: Float64, correct: Bools) -> Float64:
    """(rows,) the share of wrong rows among the 1, 2, … surest; equal ones share their errors."""
    values, group = np.unique(-confidence, return_inverse=True)
    size = np.bincount(group, minlength=len(values))
    mean_error = np.bincount(group, weights=~correct, minlength=len(values)) / size
    rates: Float64 = np.cumsum(np.repeat(mean_error, size)) / np.arange(1, len(confidence) + 1)
    return rates


def risk_coverage(intents: IntentOutcomes) -> list[dict[str, float]]:
    """Coverage (of all rows) and risk (share of wrong answers) at each threshold that could be.

    The threshold is one for all intents and falls from point to point; rows that the model takes
    for out of scope are never answered.
    """
    can = intents.answerable
    points = falling_threshold(intents.confidence[can], intents.correct[can])
    return [
        {
            "coverage": int(answered) / len(intents.truth),
            "risk": int(wrong) / int(answered),
            "threshold": float(threshold),
        }
        for threshold, answered, wrong in zip(*points, strict=True)
    ]


def confusions(outcomes: Outcomes) -> list[tuple[tuple[str, str], int]]:
    """Pairs of true and (other) predicted label with their count, the most frequent first."""
    pairs = zip(outcomes.truth, outcomes.first, strict=True)
    return sorted(
        Counter((t, f) for t, f in pairs if t != f).items(), key=lambda item: (-item[1], item[0])
    )


def label_table(outcomes: Outcomes) -> Table:
    """`precision`, `recall`, `f1`, `support` and `predicted` of each label, true or predicted."""
    support, predicted = Counter(outcomes.truth), Counter(outcomes.first)
    right = Counter(t for t, f in zip(outcomes.truth, outcomes.first, strict=True) if t == f)
    table = {}
    for label in sorted(support | predicted):
        hits = right[label]
        table[label] = {
            "precision": hits / predicted[label] if predicted[label] else 0.0,
            "recall": hits / support[label] if support[label] else 0.0,
            "f1": 2 * hits / (predicted[label] + support[label]),
            "support": support[label],
            "predicted": predicted[label],
        }
    return table


def mean_f1(table: Table) -> float:
    """Macro-F1 of a `label_table`."""
    return sum(row["f1"] for row in table.values()) / len(table)


def _largest_in_scope(prediction: Prediction) -> float:
    return max(
        (s.confidence for s in prediction.intent_ranking if s.name not in OUT_OF_SCOPE),
        default=0.0,
    )


def _thinned(curve: list[dict[str, float]]) -> list[dict[str, float]]:
    """The last point within each twentieth of coverage."""
    kept = {int(point["coverage"] * CURVE_POINTS + 1e-9): point for point in curve}
    return list(kept.values())


def _auroc(positive: Float64, negative: Float64) -> float:
    """The chance that a positive scores above a negative, ties counted half (Mann-Whitney)."""
    negative = np.sort(negative)
    below = np.searchsorted(negative, positive, side="left")
    up_to = np.searchsorted(negative, positive, side="right")
    return float((below + up_to).mean() / 2 / len(negative))


def _false_positives(positive: Float64, negative: Float64) -> float:
    """The share of negatives at or above the highest score that 95 % of positives reach."""
    descending = np.sort(positive)[::-1]
    score = descending[int(np.ceil(IN_SCOPE_RECALL * len(positive) - 1e-9)) - 1]
    return float((negative >= score).mean())
