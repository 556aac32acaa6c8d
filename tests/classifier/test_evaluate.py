from __future__ import annotations

import json
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from classifier.bounds import binomial_upper_bound
from classifier.calibration import reliability
from classifier.data import Example
from classifier.evaluate import evaluate, intent_outcomes, risk_coverage, risks
from classifier.vocabulary import Prediction, Scored

INTENTS = ("a", "b", "c", "out_of_scope")


def predict(
    probabilities: dict[str, float], sentiment: str | None = None, threshold: float = 0.5
) -> Prediction:
    ranking = tuple(
        Scored(name, p) for name, p in sorted(probabilities.items(), key=lambda item: -item[1])
    )
    return Prediction(
        text="t",
        intent=ranking[0] if ranking else None,
        intent_ranking=ranking,
        sentiment=Scored(sentiment, 0.9) if sentiment else None,
        threshold=threshold if ranking else None,
        model="m",
    )


def sure(name: str, confidence: float = 0.9, **more: Any) -> Prediction:
    rest = (1 - confidence) / (len(INTENTS) - 1)
    return predict({n: confidence if n == name else rest for n in INTENTS}, **more)


def test_measures_of_a_hand_made_case() -> None:
    truth = ["a", "a", "b", "b", "oos", "out_of_scope", "oos"]
    first = ["a", "b", "b", "out_of_scope", "out_of_scope", "a", "out_of_scope"]
    measures = evaluate([sure(name) for name in first], [Example("t", intent) for intent in truth])
    assert measures["rows"] == 7
    assert measures["accuracy"] == pytest.approx(4 / 7)
    assert measures["in_scope_accuracy"] == pytest.approx(2 / 4)
    assert measures["ece"] == pytest.approx(0.4)
    assert measures["coverage"] == pytest.approx(4 / 7)
    assert measures["coverage_error"] == pytest.approx(2 / 4)
    assert measures["intents"]["a"] == {
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "support": 2,
        "predicted": 2,
        "answered": 1.0,
    }
    assert measures["confusions"] == [
        {"true": "a", "predicted": "b", "count": 1},
        {"true": "b", "predicted": "out_of_scope", "count": 1},
        {"true": "out_of_scope", "predicted": "a", "count": 1},
    ]
    json.dumps(measures)


def test_measures_agree_with_scikit_learn() -> None:
    from sklearn import metrics

    rng = np.random.default_rng(0)
    truth = rng.choice(["a", "b", "c", "oos"], 300)
    first = np.where(rng.random(300) < 0.7, truth, rng.choice(["a", "b", "out_of_scope"], 300))
    first = np.where(first == "oos", "out_of_scope", first)
    confidence = rng.uniform(0.3, 1, 300)
    moods = rng.choice(["negative", "neutral", "positive"], (2, 300))
    predictions = [
        sure(name, c, sentiment=mood)
        for name, c, mood in zip(first, confidence, moods[0], strict=True)
    ]
    measures = evaluate(
        predictions,
        [Example("t", intent, mood) for intent, mood in zip(truth, moods[1], strict=True)],
    )
    truth = np.where(truth == "oos", "out_of_scope", truth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert measures["macro_f1"] == pytest.approx(
            metrics.f1_score(truth, first, average="macro")
        )
        assert measures["weighted_f1"] == pytest.approx(
            metrics.f1_score(truth, first, average="weighted")
        )
    assert measures["sentiment_macro_f1"] == pytest.approx(
        metrics.f1_score(moods[1], moods[0], average="macro")
    )
    assert measures["sentiment_accuracy"] == pytest.approx((moods[0] == moods[1]).mean())
    known = [
        max(s.confidence for s in p.intent_ranking if s.name != "out_of_scope") for p in predictions
    ]
    assert measures["ood_auroc"] == pytest.approx(
        metrics.roc_auc_score(truth != "out_of_scope", known)
    )


def test_a_row_counts_only_for_the_heads_it_has_a_label_for() -> None:
    measures = evaluate(
        [sure("a", sentiment="neutral"), sure("a", sentiment="negative")],
        [Example("t", "a"), Example("t", None, "neutral")],
    )
    assert (measures["rows"], measures["sentiment_rows"]) == (1, 1)
    assert (measures["accuracy"], measures["sentiment_accuracy"]) == (1.0, 0.0)
    assert "ood_auroc" not in measures


def test_a_head_that_the_model_lacks_has_no_measures() -> None:
    measures = evaluate([predict({}, sentiment="neutral")], [Example("t", "a", "neutral")])
    assert "accuracy" not in measures
    assert measures["sentiment_accuracy"] == 1.0


def test_an_equal_score_counts_half_in_the_area_under_the_roc() -> None:
    predictions = [sure("a", 0.9), sure("a", 0.7), sure("b", 0.7)]
    measures = evaluate(predictions, [Example("t", "a"), Example("t", "a"), Example("t", "oos")])
    assert measures["ood_auroc"] == pytest.approx((1 + 0.5) / 2)


def test_the_bins_of_the_reliability_diagram_add_up_to_the_calibration_error() -> None:
    rng = np.random.default_rng(3)
    confidence = rng.uniform(0.2, 1, 500)
    first = np.where(rng.random(500) < confidence**2, "a", "b")
    measures = evaluate(
        [sure(name, c) for name, c in zip(first, confidence, strict=True)],
        [Example("t", "a")] * 500,
    )
    bins = measures["reliability"]
    assert sum(each["rows"] for each in bins) == 500
    assert all(each["above"] < each["confidence"] <= each["to"] for each in bins)
    gaps = [each["rows"] * abs(each["confidence"] - each["accuracy"]) for each in bins]
    assert sum(gaps) / 500 == pytest.approx(measures["ece"])


def test_an_edge_of_a_bin_belongs_below() -> None:
    bins = reliability(np.array([3 / 15, 3 / 15 + 1e-9, 1.0]), np.array([True, False, True]))
    assert [(each["above"], each["rows"]) for each in bins] == [
        (2 / 15, 1),
        (3 / 15, 1),
        (14 / 15, 1),
    ]


def test_the_area_under_the_risk_coverage_curve_is_the_mean_risk_of_the_surest() -> None:
    predictions = [sure("a", c) for c in (0.5, 0.9, 0.8, 0.7)]
    truth = ["a", "a", "b", "a"]
    measures = evaluate(predictions, [Example("t", intent) for intent in truth])
    assert measures["aurc"] == pytest.approx((0 / 1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert measures["risk_coverage"] == [
        {"coverage": 0.25, "risk": 0.0, "threshold": 0.9},
        {"coverage": 0.5, "risk": 0.5, "threshold": 0.8},
        {"coverage": 0.75, "risk": pytest.approx(1 / 3), "threshold": 0.7},
        {"coverage": 1.0, "risk": 0.25, "threshold": 0.5},
    ]


def test_the_area_is_that_of_the_in_scope_rows() -> None:
    predictions = [sure("a", 0.9), sure("a", 0.8), sure("b", 0.95)]
    measures = evaluate(predictions, [Example("t", "a"), Example("t", "b"), Example("t", "oos")])
    assert measures["aurc"] == pytest.approx((0 + 1 / 2) / 2)


def test_equal_confidences_are_one_point_of_the_curve() -> None:
    curve = evaluate([sure("a")] * 4, [Example("t", "a")] * 3 + [Example("t", "b")])
    assert curve["risk_coverage"] == [{"coverage": 1.0, "risk": 0.25, "threshold": 0.9}]
    outcomes = intent_outcomes([sure("a")] * 4, [Example("t", "a")] * 4)
    assert outcomes is not None
    assert len(risk_coverage(outcomes)) == 1


def test_equal_confidences_have_the_same_risk_in_any_order() -> None:
    confidence = np.array([0.9, 0.9, 0.5])
    for correct in ([True, False, True], [False, True, True]):
        assert risks(confidence, np.array(correct)).tolist() == pytest.approx([1 / 2, 1 / 2, 1 / 3])


def test_the_curve_has_few_points_and_ends_where_no_more_can_be_answered() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1, 400)
    predictions = [sure("a", c) for c in confidence] + [sure("out_of_scope")] * 100
    curve = evaluate(predictions, [Example("t", "a")] * 500)["risk_coverage"]
    assert len(curve) <= 21
    assert curve[-1]["coverage"] == pytest.approx(0.8)
    assert curve[-1]["threshold"] == pytest.approx(confidence.min())


def test_scope_scores_tell_out_of_scope_texts_where_the_model_gives_them() -> None:
    predictions = [
        replace(sure("a", confidence), scope=scope, scope_threshold=0.5)
        for confidence, scope in ((0.6, 0.9), (0.6, 0.8), (0.9, 0.7), (0.9, 0.1))
    ]
    examples = [Example("t", intent) for intent in ("a", "a", "oos", "oos")]
    measures = evaluate(predictions, examples)
    assert measures["ood_auroc"] == 1.0
    assert measures["ood_fpr95"] == 0.0
    assert measures["ood_recall"] == 0.5
    assert measures["ood_false_alarms"] == 0.0
    assert measures["ood_answered"] == 0.5
    # One prediction without a score: the scales must not be mixed.
    mixed = [replace(predictions[0], scope=None), *predictions[1:]]
    assert evaluate(mixed, examples)["ood_auroc"] == 0.0


def test_the_false_positives_are_those_that_pass_where_95_of_100_do() -> None:
    known = [replace(sure("a"), scope=score / 100) for score in range(1, 101)]
    others = [replace(sure("a"), scope=score) for score in (0.05, 0.06, 0.9, 0.01)]
    examples = [Example("t", "a")] * 100 + [Example("t", "oos")] * 4
    assert evaluate(known + others, examples)["ood_fpr95"] == 0.5


@pytest.mark.parametrize(
    "foreign", [{"language": "fr"}, {"scope": 0.4, "scope_threshold": 0.5}], ids=str
)
def test_a_text_that_the_model_takes_for_out_of_scope_is_not_answered(foreign: Any) -> None:
    predictions = [replace(sure("a"), **foreign), sure("a")]
    measures = evaluate(predictions, [Example("t", "a")] * 2)
    assert measures["coverage"] == 0.5
    assert measures["accuracy"] == 1.0
    outcomes = intent_outcomes(predictions, [Example("t", "a")] * 2)
    assert outcomes is not None
    assert outcomes.answered.tolist() == [False, True]


def test_the_bound_on_wrong_answers_is_that_of_the_binomial() -> None:
    examples = [Example(f"t {row}", "a" if row < 98 else "b") for row in range(100)]
    measures = evaluate([sure("a")] * 100, examples)
    assert measures["coverage_error"] == 0.02
    assert measures["coverage_error_bound"] == pytest.approx(binomial_upper_bound(2, 100))


def test_a_text_that_stands_there_twice_counts_once_for_the_bound() -> None:
    rows = [Example(f"t {row}", "a" if row < 98 else "b") for row in range(100)]
    again = [Example(f"T {e.text[2:]}!", e.intent) for e in rows]
    measures = evaluate([sure("a")] * 200, rows + again)
    assert (measures["rows"], measures["coverage_error"]) == (200, 0.02)
    assert measures["coverage_error_bound"] == pytest.approx(binomial_upper_bound(2, 100))
    # A report has one stand-in for all texts that are private: that does not make them one.
    hidden = [replace(sure("a"), text="(private)")] * 100
    assert evaluate(hidden, rows)["coverage_error_bound"] == binomial_upper_bound(2, 100)


def test_without_any_answer_nothing_is_wrong_and_nothing_is_promised() -> None:
    measures = evaluate([sure("a", 0.4)], [Example("t", "a")])
    assert (measures["coverage"], measures["coverage_error"]) == (0.0, None)
    assert measures["coverage_error_bound"] == 1.0
    json.dumps(measures, allow_nan=False)


def test_out_of_scope_rows_alone_have_neither_scope_measure() -> None:
    measures = evaluate([sure("out_of_scope")], [Example("t", "oos")])
    assert measures["accuracy"] == 1.0
    assert not {"in_scope_accuracy", "ece", "ood_auroc"} & measures.keys()


def test_a_text_counts_as_seen_to_be_upset_from_the_confidence_on_that_is_asked_for() -> None:
    said = (("negative", 0.8), ("negative", 0.6), ("neutral", 0.9), ("negative", 0.7))
    moods = ("negative", "negative", "negative", "neutral")
    predictions = [replace(sure("a"), sentiment=Scored(*each)) for each in said]
    examples = [Example(f"t{n}", "a", mood) for n, mood in enumerate(moods)]
    found = evaluate(predictions, examples)["upset"]
    assert (found["texts"], found["others"]) == (3, 1)
    assert (found["confidence"], found["seen"], found["mistaken"]) == (0.8, 1, 0)
    assert [(row["seen"], row["mistaken"]) for row in found["at"]] == [
        *((2, 1), (2, 1), (1, 1), (1, 0), (0, 0))
    ]
    found = evaluate(predictions, examples, 0.65)["upset"]
    assert (found["seen"], found["mistaken"]) == (1, 1)
    assert "upset" not in evaluate(predictions[3:], examples[3:]), "nobody is"


def test_of_each_intent_the_share_is_told_that_would_be_answered() -> None:
    rows = [("a", 0.9), ("a", 0.4), ("b", 0.9), ("b", 0.9)]
    predictions = [sure("a", confidence, threshold=0.5) for _, confidence in rows]
    examples = [Example(f"t{n}", intent) for n, (intent, _) in enumerate(rows)]
    found = evaluate([*predictions, sure("c", 0.4)], [*examples, Example("t", "a")])["intents"]
    answered = {name: row["answered"] for name, row in found.items()}
    assert answered == {"a": pytest.approx(1 / 3), "b": 1.0, "c": 0.0}, "wrongly counts, too"


def test_predictions_and_examples_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="1 predictions for 0 examples"):
        evaluate([sure("a")], [])
