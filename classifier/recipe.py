"""The settings of a training run, and how they follow the size of the data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from classifier.upset import NEGATIVE_CONFIDENCE

FEW = 400
"""Below this many examples the sentiment counts twice."""
SMALL = 1200
"""Below this many examples the fit takes each of them twice a step, and more epochs."""
FEW_EACH = 25
"""The same below this many examples an intent, as long as there are fewer than `LARGE`."""
VERY_FEW, VERY_FEW_EACH = 200, 8
"""Below this many examples, or this many an intent, the rate of the other small ones overfits."""
HELD_OUT = 2000
"""At least so many are held out, for the thresholds; where there are fewer, all of them."""
LARGE = 5000
"""From this many on batches are larger, epochs more and slower, and steps sharpness-aware."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of a training run. Where a field is None, `settle` chooses it by the data.

    epochs: passes over the examples
    batch_size: examples a step
    encoder_rate, head_rate: peak learning rates of AdamW
    warmup: share of the steps during which the rates rise from 0; then they fall to 0 linearly
    averaged: share of the steps, the last ones, whose weights are averaged into the result
    radius: Euclidean distance, over all weights together, that a step climbs before it takes the
        gradient to go down by; 0: none
    weight_decay: of weight matrices (not of biases and norms)
    label_smoothing: share of an intent's weight as a target that is spread over all intents
    contrast: weight of the contrastive loss beside the others, which have weight 1
    contrast_temperature: of that loss
    views: how often a step computes each text, each time with other dropout
    cutoff: share of its tokens that a text lacks in its views after the first
    group: examples of one intent that share a batch, where there are so many
    sentiment_weight: of the sentiment loss beside the intent loss, which has weight 1
    names: whether an intent's name is one more example of it
    dropout: share of activations dropped in the encoder and the heads
    max_grad_norm: gradients are scaled down to this Euclidean norm
    max_tokens: a text is cut to this many tokens, in training and in use
    folds, rounds: for calibration the examples are dealt into `folds`; `rounds` of these are
        predicted by models trained on the others. The model itself is trained on all examples.
    target_error: share of automatic answers that may be wrong, which sets the thresholds
    target_errors: the same for single intents
    never_answered: intents that people answer, however sure the model is of them
    negative_confidence: from where a text counts as upset; figures are of it, the model is not
    seed: of shuffling, initial heads and dropout
    """

    epochs: int | None = None
    batch_size: int | None = None
    encoder_rate: float | None = None
    head_rate: float = 1e-3
    warmup: float = 0.1
    averaged: float = 0.3
    radius: float | None = None
    weight_decay: float = 0.01
    label_smoothing: float = 0.1
    contrast: float = 1.0
    contrast_temperature: float = 0.07
    views: int | None = None
    cutoff: float = 0.15
    group: int | None = None
    sentiment_weight: float | None = None
    names: bool | None = None
    dropout: float = 0.1
    max_grad_norm: float = 1.0
    max_tokens: int = 128
    folds: int | None = None
    rounds: int | None = None
    target_error: float = 0.05
    target_errors: Mapping[str, float] = field(default_factory=dict)
    never_answered: tuple[str, ...] = ()
    negative_confidence: float = NEGATIVE_CONFIDENCE
    seed: int = 1

    def __post_init__(self) -> None:
        def check(name: str, good: bool, must: str) -> None:
            if not good:
                raise ValueError(f"recipe: {name} is {getattr(self, name)!r}; it must be {must}")

        for name in ("epochs", "batch_size", "views", "group", "rounds"):
            value = getattr(self, name)
            check(name, value is None or value >= 1, "at least 1")
        for name in ("encoder_rate", "head_rate", "max_grad_norm", "contrast_temperature"):
            value = getattr(self, name)
            check(name, value is None or value > 0, "above 0")
        for name in ("warmup", "averaged", "label_smoothing", "cutoff", "dropout"):
            check(name, 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        for name in ("weight_decay", "sentiment_weight", "contrast", "radius"):
            value = getattr(self, name)
            check(name, value is None or value >= 0, "at least 0")
        check("folds", self.folds is None or self.folds >= 2, "at least 2")
        check("max_tokens", self.max_tokens >= 4, "at least 4")
        check("negative_confidence", 0 < self.negative_confidence <= 1, "above 0 and at most 1")
        for name, error in {"": self.target_error, **self.target_errors}.items():
            if not 0 < error < 0.5:
                of = f" of {name}" if name else ""
                raise ValueError(
                    f"recipe: the target error{of} is {error!r}; it must be above 0 and below 0.5"
                )

    def settle(
        self, examples: int, intents: int = 0, longest: int = 512, measuring: int | None = None
    ) -> SettledRecipe:
        """The same recipe with nothing left open, for that many examples of that many intents
        (0: of sentiments alone), of which `measuring` (None: all) may be held out.

        `longest` is the most tokens that the base model can read. docs/classifier.md has the
        measurements behind these choices.
        """
        small = examples < SMALL or examples < min(FEW_EACH * intents, LARGE)
        views = self.views or (2 if small else 1)
        # Few examples need many passes: the number of steps matters more than that of epochs.
        if small:
            passes, rate = min(round(280 / math.sqrt(max(examples, 1))), 30), 6e-5
            if intents and examples >= max(VERY_FEW, VERY_FEW_EACH * intents):
                passes, rate = max(passes, 16), 1e-4
            elif intents:
                passes = max(passes, 10)
        elif examples < LARGE:
            passes, rate = 5, 1.5e-4
        else:
            passes, rate = 6, 1e-4
        if not small and not intents:
            # Three sentiments are learnt sooner than many intents, and overfitted sooner.
            passes, rate = 3, 1e-4
        measuring = examples if measuring is None else measuring
        folds = self.folds or 5
        needed = math.ceil(folds * HELD_OUT / max(measuring, 1))
        chosen = {
            "epochs": max(1, passes // views),
            "batch_size": 32 if examples < LARGE else 64,
            "encoder_rate": rate,
            "radius": 0.05 if examples >= LARGE and intents else 0.0,
            # So few take few steps in batches of 32, and a mood hangs on fewer words than a topic.
            "sentiment_weight": 2.0 if examples < FEW else 1.0,
            "views": views,
            "group": 1 if small else 4,
            "names": examples < 30 * intents,
            "folds": folds,
            "rounds": min(folds, needed),
        }
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return SettledRecipe(**{**chosen, **given, "max_tokens": min(self.max_tokens, longest)})

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"target_errors": dict(self.target_errors)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledRecipe(Recipe):
    """A recipe that leaves nothing open: what `Recipe.settle` makes, and what a training takes."""

    epochs: int
    batch_size: int
    encoder_rate: float
    radius: float
    views: int
    group: int
    sentiment_weight: float
    names: bool
    folds: int
    rounds: int
