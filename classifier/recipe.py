"""The settings of a training run, and how they follow the size of the data."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of a training run. Where a field is None, `settle` chooses it by the data.

    epochs: passes over the examples
    batch_size: examples a step
    encoder_rate, head_rate: peak learning rates of AdamW
    warmup: share of the steps during which the rates rise from 0; then they fall to 0 linearly
    weight_decay: of weight matrices (not of biases and norms)
    label_smoothing: share of the target's weight that is spread over all labels
    sentiment_weight: of the sentiment loss beside the intent loss, which has weight 1
    dropout: share of activations dropped in the encoder and the heads
    max_grad_norm: gradients are scaled down to this Euclidean norm
    max_tokens: a text is cut to this many tokens, in training and in use
    held_out: share of the examples kept for calibration
    refit: whether, after calibration, the model is trained anew on all examples
    target_error: share of automatic answers that may be wrong, which sets the thresholds
    seed: of shuffling, initial heads and dropout
    """

    epochs: int | None = None
    batch_size: int | None = None
    encoder_rate: float = 1e-4
    head_rate: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 0.01
    label_smoothing: float = 0.1
    sentiment_weight: float = 1.0
    dropout: float = 0.1
    max_grad_norm: float = 1.0
    max_tokens: int = 128
    held_out: float | None = None
    refit: bool | None = None
    target_error: float = 0.03
    seed: int = 1

    def __post_init__(self) -> None:
        def check(name: str, good: bool, must: str) -> None:
            if not good:
                raise ValueError(f"recipe: {name} is {getattr(self, name)!r}; it must be {must}")

        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            check(name, value is None or value >= 1, "at least 1")
        for name in ("encoder_rate", "head_rate", "max_grad_norm"):
            check(name, getattr(self, name) > 0, "above 0")
        for name in ("warmup", "label_smoothing", "dropout", "target_error"):
            check(name, 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        for name in ("weight_decay", "sentiment_weight"):
            check(name, getattr(self, name) >= 0, "at least 0")
        held_out = self.held_out
        check("held_out", held_out is None or 0 < held_out <= 0.5, "above 0 and at most 0.5")
        check("max_tokens", self.max_tokens >= 4, "at least 4")

    def settle(self, examples: int, longest: int = 512) -> Recipe:
        """The same recipe with nothing left open, for that many examples.

        `longest` is the most tokens that the base model can read.

        Few examples need many passes: the number of steps matters more than that of epochs.
        From 30 epochs for two hundred examples to 5 for 10,000, they fall with the square root of
        the size.
        """
        epochs = round(450 / math.sqrt(max(examples, 1)))
        small = examples < 1200
        return replace(
            self,
            epochs=self.epochs or min(max(epochs, 5), 30),
            batch_size=self.batch_size or (16 if examples < 400 else 32),
            held_out=self.held_out or (0.2 if small else 0.1),
            refit=small if self.refit is None else self.refit,
            max_tokens=min(self.max_tokens, longest),
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
