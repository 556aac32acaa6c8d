from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from classifier.arrays import Bools, Float32, Float64, Indices
from classifier.scope import REFUSED, Scope, calibrate, fit_layers, nearness

HIDDEN = 16
INTENTS = ("a", "b", "c", "out_of_scope")
CENTRES = np.eye(4, HIDDEN) * 3 + 0.5


def around(label: int, count: int, seed: int) -> Float32:
    """Pooled states around an intent's centre, wide in some directions and narrow in others."""
    rng = np.random.default_rng(seed)
    width = np.linspace(0.05, 0.5, HIDDEN)
    found: Float32 = (CENTRES[label] + rng.normal(0, 1, (count, HIDDEN)) * width).astype(np.float32)
    return found


def clusters(each: int, seed: int) -> tuple[Float32, Indices]:
    """Pooled states of the three intents that are in scope, and their labels."""
    states = np.concatenate([around(label, each, 10 * seed + label) for label in range(3)])
    return states, np.repeat(np.arange(3), each)


def fitted(each: int = 200) -> Scope:
    """A scope of two layers (the second is the first, turned round), fitted and calibrated."""
    states, truth = clusters(each, seed=1)
    layers = fit_layers((states, states[:, ::-1]), truth, INTENTS)
    held_out, _ = clusters(each, seed=2)
    near = nearness(layers, (held_out, held_out[:, ::-1]))
    scope = calibrate(near, np.zeros(len(near)), np.full(len(near), True))
    return replace(scope, layers=layers)


def scored(scope: Scope, states: Float32) -> Float64:
    near = nearness(scope.layers, (states, states[:, ::-1]))
    return scope.scores(near, np.zeros(len(near)))


def test_texts_far_from_all_examples_and_between_intents_score_lower() -> None:
    scope = fitted()
    familiar = scored(scope, clusters(100, seed=3)[0])
    far = scored(scope, around(3, 100, seed=4))
    between = scored(scope, np.float32(0.5) * (around(0, 100, seed=5) + around(1, 100, seed=6)))
    assert np.median(far) < np.median(between) < np.quantile(familiar, 0.02)
    assert (far < scope.threshold).mean() > 0.99
    assert (between < scope.threshold).mean() > 0.9


def test_the_distance_is_measured_by_how_an_intents_examples_scatter() -> None:
    layers = fit_layers((clusters(500, seed=1)[0],), clusters(500, seed=1)[1], INTENTS)
    step = np.zeros((2, HIDDEN), dtype=np.float32)
    step[0, 5], step[1, HIDDEN - 1] = 1.0, 1.0  # where they scatter little, and where much
    across, along = nearness(layers, (CENTRES[:1].astype(np.float32) + step,))[:, 0]
    assert across < along


def test_the_nearness_is_the_difference_of_two_mahalanobis_distances() -> None:
    states, truth = clusters(300, seed=1)
    (layer,) = fit_layers((states,), truth, INTENTS)
    text = around(1, 1, seed=9)

    def unit(rows: Float32) -> Float64:
        found: Float64 = rows.astype(np.float64)
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return found

    def squared(x: Float64, centred: Float64) -> float:
        spread = centred.T @ centred / len(centred)
        spread += np.eye(HIDDEN) * 0.05 * np.trace(spread) / HIDDEN
        return float(x @ np.linalg.inv(spread) @ x)

    x, examples = unit(text)[0], unit(states)
    means = np.stack([examples[truth == label].mean(0) for label in range(3)])
    own = min(squared(x - mean, examples - means[truth]) for mean in means)
    expected = squared(x - examples.mean(0), examples - examples.mean(0)) - own
    assert layer.nearness(text)[0] == pytest.approx(expected, rel=1e-3)


def test_the_threshold_refuses_two_percent_of_fresh_familiar_texts() -> None:
    refused = scored(fitted(2000), clusters(2000, seed=3)[0]) < fitted(2000).threshold
    assert refused.mean() == pytest.approx(REFUSED, abs=0.01)


def test_scores_of_familiar_texts_are_about_the_share_that_looks_stranger() -> None:
    rng = np.random.default_rng(0)
    # Two layers that agree more or less, each in its own unit.
    near = rng.normal(size=(5000, 2)) @ np.array([[30.0, 2.0], [0.0, 1.0]]) + [900.0, -4.0]
    scope = calibrate(near, np.zeros(5000), np.full(5000, True))
    scores = scope.scores(near, np.zeros(5000))
    for share in (0.02, 0.25, 0.5, 0.75):
        assert (scores < share).mean() == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("count", [2, 10, 48, 49, 98])
def test_of_few_held_out_texts_the_strangest_is_the_measure(count: int) -> None:
    near = np.random.default_rng(0).normal(size=(count, 2))
    scope = calibrate(near, np.zeros(count), np.full(count, True))
    scores = scope.scores(near, np.zeros(count))
    assert scope.threshold == scores.min() > 0
    assert scope.scores(near.min(axis=0, keepdims=True) - 5, np.zeros(1)) < scope.threshold


@pytest.mark.parametrize("telling", ["distance", "label"])
def test_out_of_scope_texts_show_which_measure_tells_them(telling: str) -> None:
    rng = np.random.default_rng(0)
    familiar = np.arange(600) < 400
    away = np.where(familiar, 0.0, -4.0)
    near = rng.normal(size=(600, 2)) + (away[:, None] if telling == "distance" else 0)
    odd = 1 / (1 + np.exp(-(rng.normal(size=600) - (away if telling == "label" else 0) - 2)))
    scope = calibrate(near, odd, familiar)
    distance, label, _ = scope.weights
    assert (distance > 4 * label) if telling == "distance" else (label > 4 * distance)
    assert min(distance, label) >= 0
    scores = scope.scores(near, odd)
    assert (scores[familiar] < scope.threshold).mean() == pytest.approx(REFUSED, abs=0.01)
    assert (scores[~familiar] < scope.threshold).mean() > 0.9


def test_scores_do_not_hang_on_where_nearness_begins() -> None:
    random = np.random.default_rng(5)
    near, odd = random.normal(size=(200, 2)), random.uniform(size=200)
    familiar = np.arange(200) % 4 > 0
    near[~familiar] -= 2.0
    scope, shifted = calibrate(near, odd, familiar), calibrate(near + 50.0, odd, familiar)
    scores = scope.scores(near, odd)
    np.testing.assert_allclose(shifted.scores(near + 50.0, odd), scores, atol=1e-3)
    assert scores[familiar].mean() > 0.7 > 0.3 > scores[~familiar].mean()


def test_without_out_of_scope_texts_the_label_counts_for_nothing() -> None:
    near = np.random.default_rng(0).normal(size=(100, 2))
    scope = calibrate(near, np.full(100, 0.3), np.full(100, True))
    assert scope.weights[1:] == (0.0, 0.0)
    assert (scope.scores(near, np.zeros(100)) == scope.scores(near, np.ones(100))).all()


def test_a_text_however_far_off_has_a_score() -> None:
    scope = Scope(offset=(0.0,), scale=(1e-6,))
    scores = scope.scores(np.array([[-1e6], [0.0], [1e6]]), np.zeros(3))
    assert scores.tolist() == pytest.approx([0.0, 0.5, 1.0])


@pytest.mark.parametrize("familiar", [np.full(5, False), np.arange(5) < 1])
def test_too_few_familiar_texts_give_no_scores(familiar: Bools) -> None:
    assert calibrate(np.zeros((5, 2)), np.zeros(5), familiar) == Scope()


def test_texts_that_all_look_alike_can_be_calibrated_on() -> None:
    scope = calibrate(np.ones((60, 2)), np.zeros(60), np.full(60, True))
    assert np.isfinite(scope.scores(np.ones((1, 2)), np.zeros(1))).all()
    assert (scope.scores(np.ones((60, 2)), np.zeros(60)) >= scope.threshold).all()


def test_examples_out_of_scope_or_without_an_intent_take_no_part_in_the_layers() -> None:
    states, truth = clusters(50, seed=1)
    strange = around(3, 50, seed=2)
    mixed = np.concatenate([states, strange, strange])
    labels = np.concatenate([truth, np.full(50, 3), np.full(50, -1)])
    (alone,), (among,) = (
        fit_layers((states,), truth, INTENTS),
        fit_layers((mixed,), labels, INTENTS),
    )
    assert (alone.means == among.means).all()
    assert (alone.all == among.all).all()


@pytest.mark.parametrize("truth", [[-1, -1, 3], [3, 3, 3], [0, 3, -1]])
def test_fewer_than_two_examples_in_scope_make_no_layers(truth: list[int]) -> None:
    states = around(0, 3, seed=1)
    assert fit_layers((states, states), np.array(truth), INTENTS) == ()


def test_one_example_an_intent_makes_layers_that_compute() -> None:
    states = np.concatenate([around(label, 1, label) for label in range(3)])
    layers = fit_layers((states,), np.arange(3), INTENTS)
    assert np.isfinite(nearness(layers, (around(3, 5, seed=4),))).all()


def test_a_scope_survives_being_saved() -> None:
    scope = fitted()
    again = Scope.from_parts(scope.as_dict(), scope.as_tensors())
    states = clusters(10, seed=3)[0]
    assert replace(again, layers=()) == replace(scope, layers=())
    assert (scored(again, states) == scored(scope, states)).all()
    assert Scope.from_parts(Scope().as_dict(), {}) == Scope()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d, t: d.pop("offset"), "lacks or garbles 'offset'"),
        (lambda d, t: d.update(weights=[1.0]), "lacks or garbles"),
        (lambda d, t: d.update(offset=["x", "y"]), "lacks or garbles"),
        (lambda d, t: d.update(threshold=None), "lacks or garbles"),
        (lambda d, t: d.update(threshold=1.5), "threshold outside"),
        (lambda d, t: d.update(scale=[1.0]), "has scales"),
        (lambda d, t: d.update(scale=[1.0, 0.0]), "has scales"),
        (lambda d, t: d.update(offset=[float("nan"), 0.0]), "not finite"),
        (lambda d, t: t.pop("1.mean"), "lacks or garbles '1.mean'"),
        (lambda d, t: t.update({"0.own": t["0.own"][:, :3]}), "don't fit together"),
        (lambda d, t: t.update({"0.means": t["0.means"][:, :3]}), "don't fit together"),
        (lambda d, t: t.update({"1.mean": t["1.mean"][:3]}), "don't fit together"),
        (lambda d, t: t.update({"1.mean": t["1.all"]}), "don't fit together"),
    ],
)
def test_a_damaged_scope_is_refused(change: Callable[[Any, Any], Any], says: str) -> None:
    parts, tensors = fitted(20).as_dict(), fitted(20).as_tensors()
    change(parts, tensors)
    with pytest.raises(ValueError, match=says):
        Scope.from_parts(parts, tensors)
