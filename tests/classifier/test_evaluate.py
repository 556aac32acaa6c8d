from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest

from classifier.data import Example
from classifier.evaluate import evaluate
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


def test_out_of_scope_rows_alone_have_neither_scope_measure() -> None:
    measures = evaluate([sure("out_of_scope")], [Example("t", "oos")])
    assert measures["accuracy"] == 1.0
    assert not {"in_scope_accuracy", "ece", "ood_auroc"} & measures.keys()


def test_predictions_and_examples_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="1 predictions for 0 examples"):
        evaluate([sure("a")], [])
