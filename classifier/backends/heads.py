"""The heads of `classifier.model`, in numpy: for the engine that runs without torch.

A test holds them to the torch modules. They cost nothing beside the encoder, and stay in fp32 while
that is quantised, so that a confidence does not move by their rounding.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from classifier.arrays import Float32
from classifier.batching import Mask

INTENT = "intent."
SENTIMENT = "sentiment."


def mean_pool(states: Float32, mask: Mask) -> Float32:
    """As `classifier.model.mean_pool`: `states` (texts, tokens, hidden) to (texts, hidden)."""
    weights = mask / mask.sum(axis=1, keepdims=True)
    return _weigh(states, weights.astype(np.float32))


class IntentHead:
    """As `classifier.model.IntentHead`. `tensors` are the model's, by the names they are stored
    under. Raises KeyError where one is missing."""

    def __init__(self, tensors: Mapping[str, Float32]) -> None:
        weight = _directions(np.asarray(tensors[INTENT + "weight"]))
        self._weight = (weight * np.exp(tensors[INTENT + "log_scale"])).T.copy()
        self.labels = self._weight.shape[1]

    def __call__(self, mean: Float32) -> Float32:
        logits: Float32 = _directions(mean) @ self._weight
        return logits


class SentimentHead:
    """As `classifier.model.SentimentHead`."""

    def __init__(self, tensors: Mapping[str, Float32]) -> None:
        def copy(name: str) -> Float32:
            return np.array(tensors[SENTIMENT + name], dtype=np.float32)

        self._look, self._look_bias = copy("look.weight")[0], copy("look.bias")
        self._hidden, self._hidden_bias = copy("hidden.weight").T.copy(), copy("hidden.bias")
        self._out, self._out_bias = copy("out.weight").T.copy(), copy("out.bias")
        self.labels = self._out.shape[1]

    def __call__(self, states: Float32, mask: Mask, mean: Float32) -> Float32:
        scores = np.where(mask, states @ self._look + self._look_bias, -np.inf)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        looked = _weigh(states, weights / weights.sum(axis=1, keepdims=True))
        both = np.concatenate([looked, mean], axis=1)
        logits: Float32 = np.tanh(both @ self._hidden + self._hidden_bias) @ self._out
        return logits + self._out_bias


def _weigh(states: Float32, weights: Float32) -> Float32:
    """The sum over tokens of (texts, tokens, hidden) states, each times its (texts, tokens)."""
    summed: Float32 = (weights[:, None, :] @ states)[:, 0]
    return summed


def _directions(vectors: Float32) -> Float32:
    # Torch's F.normalize divides by at least 1e-12, for a vector of zeros.
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions: Float32 = vectors / np.maximum(lengths, 1e-12)
    return directions
