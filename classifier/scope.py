"""How familiar a text is: a distance beside the softmax, which is sure of anything.

The measure is the relative Mahalanobis distance (Ren, Fort, Liu, Roy, Padhy and Lakshminarayanan
2021, "A Simple Fix to Mahalanobis Distance for Improving Near-OOD Detection") of a text's pooled
hidden states: how much nearer it is to the nearest intent's examples, measured by how examples
scatter around their intents, than to all examples together, measured by how these scatter. It is
taken in the last two layers and added up. Where out-of-scope examples were trained on, what the
model says of them counts too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from classifier.arrays import Bools, Float32, Float64, Indices, unit_rows
from classifier.vocabulary import OUT_OF_SCOPE

RIDGE = 0.05
"""Of the mean variance, added to each: few examples leave most directions unmeasured."""
REFUSED = 0.02
"""Share of familiar texts that the threshold may refuse."""
STEEPNESS = 1.7
"""With it the logistic function is that of the normal distribution, within a hundredth."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer's view of the training examples, in coordinates whose distances count.

    own (hidden, hidden): to the coordinates in which examples scatter evenly around their intents
    means (intents, hidden): where the intents lie in them
    all, mean (hidden, hidden), (hidden,): the same for all examples around their common mean
    """

    own: Float32
    means: Float32
    all: Float32
    mean: Float32

    def nearness(self, pooled: Float32) -> Float64:
        """The relative distance (texts,), higher is nearer, of pooled states (texts, hidden)."""
        unit = unit_rows(pooled)
        x = unit @ self.own
        # |x - m|² for all pairs at once; the squares of x cancel in no other way.
        to_intents = (x * x).sum(1)[:, None] - 2 * x @ self.means.T + (self.means**2).sum(1)
        y = unit @ self.all - self.mean
        found: Float64 = ((y * y).sum(1) - to_intents.min(1)).astype(np.float64)
        return found


@dataclass(frozen=True, slots=True)
class Scope:
    """How the layers' nearness becomes a number between 0 and 1.

    `offset` and `scale` (layers,) make the held-out examples' nearness mean 0 and variance 1 in
    each layer; empty where nothing was held out, and then there are no scores. `weights` are of
    their sum, of the log-odds against out-of-scope labels, and the constant. From `threshold` on a
    text counts as familiar. `layers` are those of the model that serves.
    """

    offset: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    weights: tuple[float, float, float] = (STEEPNESS, 0.0, 0.0)
    threshold: float = 0.0
    layers: tuple[Layer, ...] = ()

    def scores(self, nearness: Float64, strange: Float64) -> Float64:
        """(texts,) between 0 and 1: how surely each text is of the kind trained on.

        `nearness` (texts, layers) as the function of that name has it; `strange` (texts,) the
        probability of the out-of-scope labels together, 0 where the model has none.
        """
        summed = ((nearness - np.array(self.offset)) / np.array(self.scale)).sum(1)
        summed /= math.sqrt(len(self.offset))
        near, known, constant = self.weights
        odds = near * summed + known * _odds(strange) + constant
        # A text may lie so far off that its exponential would overflow.
        score: Float64 = 1 / (1 + np.exp(np.clip(-odds, -500, 500)))
        return score

    def as_tensors(self) -> dict[str, Float32]:
        """What scope.safetensors holds."""
        tensors: dict[str, Float32] = {}
        for number, layer in enumerate(self.layers):
            for name in ("own", "means", "all", "mean"):
                tensors[f"{number}.{name}"] = np.ascontiguousarray(getattr(layer, name))
        return tensors

    def as_dict(self) -> dict[str, Any]:
        """What calibration.json holds of it."""
        return {
            "offset": list(self.offset),
            "scale": list(self.scale),
            "weights": list(self.weights),
            "threshold": self.threshold,
        }

    @classmethod
    def from_parts(cls, value: Mapping[str, Any], tensors: Mapping[str, Float32]) -> Scope:
        """Read `as_dict()` and `as_tensors()`. Raises ValueError where they don't fit together."""
        try:
            offset, scale, weights = (
                tuple(float(number) for number in value[name])
                for name in ("offset", "scale", "weights")
            )
            near, known, constant = weights
            threshold = float(value["threshold"])
            layers = tuple(
                Layer(*(tensors[f"{number}.{name}"] for name in ("own", "means", "all", "mean")))
                for number in range(len(offset))
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the scope lacks or garbles {error}") from None
        if len(scale) != len(offset) or not all(number > 0 for number in scale):
            raise ValueError(f"the scope has scales {scale}")
        if not all(map(math.isfinite, (*offset, *scale, *weights))):
            raise ValueError("the scope has numbers that are not finite")
        if not 0 <= threshold <= 1:
            raise ValueError("the scope has a threshold outside 0 to 1")
        for layer in layers:
            hidden = layer.mean.size
            shapes = [array.shape for array in (layer.own, layer.all, layer.mean)]
            if shapes != [(hidden, hidden)] * 2 + [(hidden,)] or layer.means.shape[1:] != (hidden,):
                raise ValueError("the scope has a layer whose parts don't fit together")
        return cls(offset, scale, (near, known, constant), threshold, layers)


def fit_layers(
    pooled: Sequence[Float32], truth: Indices, intents: Sequence[str]
) -> tuple[Layer, ...]:
    """Each layer's view of the examples; none where too few have an intent that is in scope.

    `pooled` holds each layer's states (examples, hidden), `truth` (examples,) the index of each
    example's intent, negative for none; examples of out-of-scope labels are left out.
    """
    inside = np.array([name not in OUT_OF_SCOPE for name in intents], dtype=bool)
    counted = [row for row, label in enumerate(truth.tolist()) if label >= 0 and inside[label]]
    if len(counted) < 2:
        return ()
    return tuple(_layer(unit_rows(states[counted]), truth[counted]) for states in pooled)


def nearness(layers: Sequence[Layer], pooled: Sequence[Float32]) -> Float64:
    """(texts, layers): how near each text is by each layer's pooled states (texts, hidden)."""
    pairs = zip(layers, pooled, strict=True)
    return np.stack([layer.nearness(states) for layer, states in pairs], axis=1)


def calibrate(near: Float64, strange: Float64, familiar: Bools) -> Scope:
    """A scope, still without layers, from held-out texts.

    `near` (texts, layers) and `strange` (texts,) as `Scope.scores` takes them, by models that were
    not trained on these texts; `familiar` (texts,) whether a text's true intent is in scope. With
    out-of-scope texts among them, the weights are those of a logistic regression on the two
    measures; without, the score is about the share of familiar texts that look stranger. The
    threshold refuses the share `REFUSED` of the familiar ones; with n of them, fewer than 49, it
    refuses 1 / (n + 1).
    """
    known = near[familiar]
    if len(known) < 2 or not near.shape[1]:
        return Scope()
    offset, scale = known.mean(0), np.maximum(known.std(0), 1e-6)
    summed = ((known - offset) / scale).sum(1) / math.sqrt(near.shape[1])
    # Layers agree more or less; the sum is brought back to variance 1.
    scale = scale * max(float(summed.std()), 1e-6)
    scope = Scope(tuple(offset.tolist()), tuple(scale.tolist()))
    if not familiar.all():
        scope = replace(scope, weights=_regress(scope, near, strange, familiar))
    scores = np.sort(scope.scores(known, strange[familiar]))
    # The finite-sample quantile of conformal prediction (Vovk, Gammerman and Shafer 2005). Where
    # so few can't say what the strangest 2 % are, the strangest of all is the measure.
    rank = max(1, math.floor(REFUSED * (len(scores) + 1)))
    return replace(scope, threshold=float(scores[rank - 1]))


def _regress(
    scope: Scope, near: Float64, strange: Float64, familiar: Bools
) -> tuple[float, float, float]:
    """Weights by logistic regression, both kinds of texts counting alike, slightly shrunk."""
    from scipy.optimize import minimize

    summed = ((near - np.array(scope.offset)) / np.array(scope.scale)).sum(1)
    summed /= math.sqrt(near.shape[1])
    features = np.stack([summed, _odds(strange), np.ones(len(summed))], axis=1)
    sign = np.where(familiar, 1.0, -1.0)
    share = np.where(familiar, familiar.mean(), (~familiar).mean())

    def loss(weights: Float64) -> tuple[float, Float64]:
        margin = sign * (features @ weights)
        pull = -sign / share / (1 + np.exp(np.clip(margin, -500, 500)))
        value = (np.logaddexp(0, -margin) / share).mean() + 0.005 * (weights[:2] ** 2).sum()
        slope = (features * pull[:, None]).mean(0)
        slope[:2] += 0.01 * weights[:2]
        return float(value), slope

    bounds = [(0, None), (0, None), (None, None)]
    found = minimize(loss, np.array([1.0, 0.5, 0.0]), jac=True, bounds=bounds)
    weights: list[float] = found.x.tolist()
    return weights[0], weights[1], weights[2]


def _odds(strange: Float64) -> Float64:
    """Log-odds against being strange, kept within what a rounding can't move."""
    kept = np.clip(strange, 1e-4, 1 - 1e-4)
    odds: Float64 = np.log((1 - kept) / kept)
    return odds


def _layer(unit: Float32, labels: Indices) -> Layer:
    own = np.unique(labels)
    means = np.stack([unit[labels == label].mean(0) for label in own])
    place = np.searchsorted(own, labels)
    mean = unit.mean(0)
    within, whole = _whiten(unit - means[place]), _whiten(unit - mean)
    return Layer(within, means @ within, whole, mean @ whole)


def _whiten(centred: Float32) -> Float32:
    """(hidden, hidden): the matrix after which the centred rows scatter evenly."""
    spread = centred.T.astype(np.float64) @ centred / len(centred)
    spread += np.eye(len(spread)) * max(RIDGE * spread.trace() / len(spread), 1e-9)
    found: Float32 = np.linalg.cholesky(np.linalg.inv(spread)).astype(np.float32)
    return found
