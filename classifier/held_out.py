"""What models say of examples that they were not trained on, and what may be concluded from it.

Every calibration rests on held-out examples. Where examples are few, each is predicted by one of
several models that were trained on the others (cross-fitting): so all of them speak, and none is
lost to the fit, since the model that serves is trained on all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer

from classifier import scope as scopes
from classifier.arrays import Float64, Indices
from classifier.backends.torch_backend import torch_backend
from classifier.calibration import Calibration, fit_temperature, softmax
from classifier.data import DataError, Example
from classifier.engine import Classifier
from classifier.folds import folds, without
from classifier.language import main_languages
from classifier.likeness import normalised, seen_first
from classifier.model import TwoHeadedBert
from classifier.neighbours import Neighbours
from classifier.predicting import Outputs, familiarity, strangeness
from classifier.recipe import Recipe, SettledRecipe
from classifier.scope import Layer, Scope, fit_layers
from classifier.thresholds import NEVER, choose_thresholds
from classifier.vocabulary import OUT_OF_SCOPE, Labels

NOBODY = {"version": "none"}
"""The manifest of a model that is asked and thrown away."""
Round = tuple[list[Example], list[Example]]
"""Examples to train on, and examples to ask the model about."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Examples, and what was said of them by models that were not trained on them."""

    examples: list[Example]
    outputs: Outputs


def plan_rounds(examples: Sequence[Example], recipe: SettledRecipe) -> list[Round]:
    """The rounds of a recipe; of every label at least one example stays to train on.

    Examples that don't measure are trained on in each round and asked about in none, so that no
    figure and no threshold rests on them. No round where there are too few different texts to hold
    any out.
    """
    try:
        dealt = folds(examples, recipe.folds, recipe.seed)
    except DataError:
        return []
    rounds = []
    for rows in dealt[: recipe.rounds]:
        others = without(examples, rows)
        intents = {None, *(e.intent for e in others)}
        sentiments = {None, *(e.sentiment for e in others)}
        # Of a label that it has never seen, a model can say nothing that would count; and an intent
        # head whose vector starts at nothing gets gradients that drown all others'.
        back = {
            normalised(example.text)
            for example in examples
            if example.intent not in intents or example.sentiment not in sentiments
        }
        out = [row for row in rows if normalised(examples[row].text) not in back]
        if out:
            rounds.append((without(examples, out), [examples[row] for row in out]))
    return rounds


def hold_out(
    model: TwoHeadedBert,
    tokenizer: Tokenizer,
    labels: Labels,
    kept: Sequence[Example],
    asked: Sequence[Example],
    device: torch.device,
) -> HeldOut:
    """What a model that was trained on `kept` says of `asked`; its encoder is rounded."""
    backend = torch_backend(model, device)
    plain = Classifier(backend, tokenizer, labels, Calibration(), NOBODY)
    layers, _ = remember(plain, kept)
    knowing = Classifier(backend, tokenizer, labels, Calibration(), NOBODY, Scope(layers=layers))
    return HeldOut(list(asked), knowing.outputs([example.text for example in asked]))


def remember(
    classifier: Classifier, examples: Sequence[Example]
) -> tuple[tuple[Layer, ...], Neighbours | None]:
    """A model's own view of the examples it was trained on: the scope's layers, and who is near to
    whom; neither where no example has an intent. Those that are private are nobody's neighbours."""
    known = [example for example in examples if example.intent is not None]
    if not known:
        return (), None
    pooled = classifier.forward([example.text for example in known]).pooled
    names = classifier.labels.intents
    layers = fit_layers(pooled, indices(known, names), names)
    rows = [row for row, example in enumerate(known) if not example.private]
    if not rows:
        return layers, None
    texts, intents = [known[row].text for row in rows], [known[row].intent or "" for row in rows]
    return layers, Neighbours.of(texts, intents, pooled[-1][rows])


def together(parts: Sequence[HeldOut]) -> HeldOut | None:
    """All rounds as one; None where there was none."""
    if not parts:
        return None

    def stacked(arrays: list[Float64 | None]) -> Float64 | None:
        found = [array for array in arrays if array is not None]
        return np.concatenate(found) if len(found) == len(parts) else None

    outputs = Outputs(
        stacked([part.outputs.intent for part in parts]),
        stacked([part.outputs.sentiment for part in parts]),
        stacked([part.outputs.nearness for part in parts]),
    )
    return HeldOut([example for part in parts for example in part.examples], outputs)


def calibrate(
    held_out: HeldOut | None, examples: Sequence[Example], labels: Labels, recipe: Recipe
) -> tuple[Calibration, Scope]:
    """Temperatures, thresholds and scope by what is held out; `examples` are all there are.

    Of rows that repeat a text under one label, the first alone counts.
    """
    known = [example for example in examples if example.intent not in OUT_OF_SCOPE]
    # Which languages the desk answers in is for the pack to decide, not for who writes to it: a few
    # dozen lessons in another one would end that their like get a person.
    packs_own = [example for example in known if not example.private]
    spoken = main_languages(example.text for example in packs_own or known)
    never = tuple(name for name in recipe.never_answered if name in labels.intents)
    if held_out is None:
        calibration = Calibration(
            target_error=recipe.target_error,
            target_errors=recipe.target_errors,
            never_answered=never,
            languages=spoken,
        )
        return calibration, Scope()
    outputs = held_out.outputs
    temperature = sentiment_temperature = 1.0
    overall: float = NEVER
    own: dict[str, float] = {}
    scope = Scope()
    if outputs.intent is not None:
        truth = indices(held_out.examples, labels.intents)
        rows = _counted(held_out.examples, truth)
        temperature = fit_temperature(outputs.intent[rows], truth[rows])
        probabilities = softmax(outputs.intent[rows], temperature)
        near = None if outputs.nearness is None else outputs.nearness[rows]
        inside = np.array([name not in OUT_OF_SCOPE for name in labels.intents], dtype=bool)
        if near is not None:
            strange = strangeness(probabilities, labels)
            scope = scopes.calibrate(near, strange, inside[truth[rows]])
        scores = familiarity(probabilities, near, labels, scope)
        passed = np.full(len(rows), True) if scores is None else scores >= scope.threshold
        first = probabilities.argmax(axis=1)
        overall, own = choose_thresholds(
            probabilities.max(axis=1)[passed],
            [labels.intents[label] for label in first[passed]],
            (first == truth[rows])[passed],
            recipe.target_error,
            recipe.target_errors,
            never,
        )
    if outputs.sentiment is not None:
        truth = indices(held_out.examples, labels.sentiments, sentiment=True)
        rows = _counted(held_out.examples, truth)
        sentiment_temperature = fit_temperature(outputs.sentiment[rows], truth[rows])
    calibration = Calibration(
        intent_temperature=temperature,
        sentiment_temperature=sentiment_temperature,
        threshold=overall,
        thresholds=own,
        target_error=recipe.target_error,
        target_errors=recipe.target_errors,
        never_answered=never,
        held_out=len({normalised(e.text) for e in held_out.examples}),
        languages=spoken,
    )
    return calibration, scope


def _counted(examples: Sequence[Example], truth: Indices) -> Indices:
    """The rows with a label that repeat none before them; `truth` as from `indices`."""
    first = seen_first((e.text, label) for e, label in zip(examples, truth.tolist(), strict=True))
    return np.flatnonzero((truth >= 0) & np.array(first, dtype=bool))


def indices(
    examples: Sequence[Example], labels: Sequence[str], *, sentiment: bool = False
) -> Indices:
    """Each example's label as an index (examples,) into `labels`; -1 where it has none."""
    index = {name: number for number, name in enumerate(labels)}
    names = (e.sentiment if sentiment else e.intent for e in examples)
    return np.array([index.get(name or "", -1) for name in names], dtype=np.int64)
