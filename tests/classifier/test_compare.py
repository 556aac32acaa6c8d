from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import binomtest

from classifier.compare import chance_of_differing, chance_of_losing, compare
from classifier.data import DataError, Example
from classifier.evaluate import evaluate
from classifier.vocabulary import Prediction, Scored


def predictions(names: Sequence[str], sentiment: str | None = None) -> list[Prediction]:
    return [
        Prediction(
            text=f"text {row}",
            intent=Scored(name, 0.9),
            intent_ranking=(Scored(name, 0.9),),
            sentiment=Scored(sentiment, 0.8) if sentiment else None,
            threshold=0.5,
            model="m",
        )
        for row, name in enumerate(names)
    ]


def examples(truth: Sequence[str]) -> list[Example]:
    return [Example(f"text {row}", name) for row, name in enumerate(truth)]


@pytest.mark.parametrize(("gained", "lost"), [(3, 9), (9, 3), (0, 1), (5, 5), (120, 150)])
def test_the_chances_are_those_of_an_exact_binomial_test(gained: int, lost: int) -> None:
    n = gained + lost
    assert chance_of_losing(gained, lost) == pytest.approx(
        binomtest(lost, n, 0.5, alternative="greater").pvalue
    )
    assert chance_of_differing(gained, lost) == pytest.approx(binomtest(lost, n, 0.5).pvalue)


def test_models_that_agree_differ_by_chance() -> None:
    assert chance_of_losing(0, 0) == 1.0
    assert chance_of_differing(0, 0) == 1.0


def test_a_hand_made_comparison() -> None:
    truth = ["x", "x", "y", "y", "z"]
    a, b = ["x", "y", "y", "y", "x"], ["x", "x", "y", "x", "y"]
    found = compare(predictions(a), predictions(b), examples(truth))["intents"]
    assert (found["rows"], found["gained"], found["lost"]) == (5, 1, 1)
    assert found["accuracy"]["a"] == found["accuracy"]["b"] == pytest.approx(3 / 5)
    assert found["accuracy"]["difference"] == 0
    assert found["p"] == 1.0
    assert found["labels"]["x"] == {
        "support": 2,
        "a": {"right": 1, "predicted": 2, "precision": 0.5, "recall": 0.5},
        "b": {"right": 2, "predicted": 3, "precision": pytest.approx(2 / 3), "recall": 1.0},
    }
    assert [(row["text"], row["kind"]) for row in found["changed"]] == [
        ("text 1", "gained"),
        ("text 3", "lost"),
        ("text 4", "other"),
    ]
    assert found["changed"][0] == {
        "text": "text 1",
        "true": "x",
        "kind": "gained",
        "a": {"name": "y", "confidence": 0.9},
        "b": {"name": "x", "confidence": 0.9},
    }
    json.dumps(found, allow_nan=False)


def test_copies_of_a_text_make_no_difference_surer() -> None:
    truth, a = ["x"] * 7, ["y"] * 6 + ["x"]
    b = ["x"] * 6 + ["y"]
    once = compare(predictions(a), predictions(b), examples(truth))["intents"]
    assert (once["gained"], once["lost"], once["p"]) == (6, 1, 0.125)
    copies = [Example(f"TEXT {row}{end}", "x") for end in ("", "!", "?") for row in range(7)]
    thrice = compare(predictions(a * 3), predictions(b * 3), copies)
    assert thrice["rows"] == 21
    assert thrice["intents"] == once


def test_a_label_that_only_one_model_predicts_counts_nothing_for_the_other() -> None:
    found = compare(predictions(["x", "w"]), predictions(["x", "x"]), examples(["x", "x"]))
    assert found["intents"]["labels"]["w"] == {
        "support": 0,
        "a": {"right": 0, "predicted": 1, "precision": 0.0, "recall": 0.0},
        "b": {"right": 0, "predicted": 0, "precision": 0.0, "recall": 0.0},
    }


def test_intervals_hold_the_difference_and_are_as_wide_as_theory_says() -> None:
    rng = np.random.default_rng(5)
    truth = rng.choice(list("abcdef"), 1000)
    a = np.where(rng.random(1000) < 0.7, truth, "a")
    b = np.where(rng.random(1000) < 0.8, truth, "b")
    first, second, known = (
        predictions(a.tolist()),
        predictions(b.tolist()),
        examples(truth.tolist()),
    )
    found = compare(first, second, known)["intents"]
    steps = (b == truth).astype(float) - (a == truth)
    margin = 1.96 * steps.std() / np.sqrt(1000)
    low, high = found["accuracy"]["interval"]
    assert low == pytest.approx(steps.mean() - margin, abs=0.004)
    assert high == pytest.approx(steps.mean() + margin, abs=0.004)
    f1 = [evaluate(p, known)["macro_f1"] for p in (first, second)]
    assert found["macro_f1"]["difference"] == pytest.approx(f1[1] - f1[0])
    low, high = found["macro_f1"]["interval"]
    assert low < f1[1] - f1[0] < high
    assert high - low < 0.12


def test_the_macro_f1_of_a_resample_is_that_of_its_rows() -> None:
    # All rows alike: every resample is the data itself, so the interval is a point.
    same = compare(predictions(["x"] * 4), predictions(["y"] * 4), examples(["x"] * 4))
    found = same["intents"]
    assert found["macro_f1"] == {"a": 1.0, "b": 0.0, "difference": -1.0, "interval": [-1.0, -1.0]}
    assert found["accuracy"]["interval"] == [-1.0, -1.0]


def test_the_same_comparison_gives_the_same_intervals() -> None:
    truth = ["x", "y"] * 20
    arguments = predictions(["x"] * 40), predictions(["y", "x"] * 20), examples(truth)
    assert compare(*arguments) == compare(*arguments)


def test_a_head_counts_where_both_models_have_it() -> None:
    labelled = [Example("t", "x", "neutral")]
    found = compare(predictions(["x"]), predictions(["x"], "neutral"), labelled)
    assert "sentiments" not in found
    found = compare(predictions(["x"], "negative"), predictions(["x"], "neutral"), labelled)
    assert (found["sentiments"]["gained"], found["sentiments"]["lost"]) == (1, 0)


def test_where_nothing_is_in_common_there_is_nothing_to_compare() -> None:
    with pytest.raises(DataError, match="nothing to compare"):
        compare(predictions(["x"]), predictions(["x"]), [Example("t", None, "neutral")])


def test_as_many_predictions_as_examples_are_needed() -> None:
    with pytest.raises(ValueError, match="1 and 2 predictions for 1 examples"):
        compare(predictions(["x"]), predictions(["x", "x"]), examples(["x"]))
