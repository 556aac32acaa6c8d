"""The heads of `classifier.model`, in numpy: for the engine that runs without torch.

A test holds them to the torch modules. They cost nothing beside the encoder, and stay in fp32 while
that is quantised, so that a confidence does not move by their rounding.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from classifier.backends import Array
from classifier.batching import Mask

INTENT = "intent."
SENTIMENT = "sentiment."


def mean_pool(states: Array, mask: Mask) -> Array:
    """As `classifier.model.mean_pool`: `states` (texts, tokens, hidden) to (texts, hidden)."""
    weights = mask / mask.sum(axis=1, keepdims=True)
    return _weigh(states, weights.astype(np.float32))


class IntentHead:
    """As `classifier.model.IntentHead`. `tensors` are the model's, by the names they are stored
    under. Raises KeyError where one is missing."""

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        weight = _directions(np.asarray(tensors[INTENT + "weight"]))
        self._weight = (weight * np.exp(tensors[INTENT + "log_scale"])).T.copy()
        self.labels = self._weight.shape[1]

    def __call__(self, mean: Array) -> Array:
        logits: Array = _directions(mean) @ self._weight
        return logits


class SentimentHead:
    """As `classifier.model.SentimentHead`."""

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        def copy(name: str) -> Array:
            return np.array(tensors[SENTIMENT + name], dtype=np.float32)

        self._look, self._look_bias = copy("look.weight")[0], copy("look.bias")
        self._hidden, self._hidden_bias = copy("hidden.weight").T.copy(), copy("hidden.bias")
        self._out, self._out_bias = copy("out.weight").T.copy(), copy("out.bias")
        self.labels = self._out.shape[1]

    def __call__(self, states: Array, mask: Mask, mean: Array) -> Array:
        scores = np.where(mask, states @ self._look + self._look_bias, -np.inf)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        looked = _weigh(states, weights / weights.sum(axis=1, keepdims=True))
        both = np.concatenate([looked, mean], axis=1)
        logits: Array = np.tanh(both @ self._hidden + self._hidden_bias) @ self._out
        return logits + self._out_bias


def _weigh(states: Array, weights: Array) -> Array:
    """The sum over tokens of (texts, tokens, hidden) states, each times its (texts, tokens)."""
    summed: Array = (weights[:, None, :] @ states)[:, 0]
    return summed


def _directions(vectors: Array) -> Array:
    # Torch's F.normalize divides by at least 1e-12, for a vector of zeros.
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions: Array = vectors / np.maximum(lengths, 1e-12)
    return directions
