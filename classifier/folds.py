"""Cross-validation: every example is predicted by a model that was not trained on it."""

from __future__ import annotations

import random
import statistics
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from classifier.data import DataError, Example
from classifier.evaluate import evaluate
from classifier.likeness import normalised
from classifier.recipe import Recipe
from classifier.vocabulary import OUT_OF_SCOPE, Prediction

HEADLINES = (
    "accuracy",
    "in_scope_accuracy",
    "macro_f1",
    "weighted_f1",
    "ece",
    "coverage",
    "coverage_error",
    "aurc",
    "ood_auroc",
    "sentiment_accuracy",
    "sentiment_macro_f1",
)
SEED = 1

FoldProgress = Callable[
    [int], AbstractContextManager[Callable[[str, int, int, float], None] | None]
]
"""Called with the number of a fold, from 1; gives, for its training, what `Progress` is."""


def folds(examples: Sequence[Example], count: int, seed: int = SEED) -> list[list[int]]:
    """Rows that measure in `count` folds of like size, the intents, and within them the
    sentiments, shared out.

    Rows of one text, `normalised`, stay together: to be asked what it has read would flatter a
    model. The same examples and seed give the same folds.

    Raises `DataError` where fewer different texts measure than there are folds, or for fewer than
    two folds.
    """
    if count < 2:
        raise DataError(f"{count} folds: cross-validation takes at least 2")
    same: dict[str, list[int]] = defaultdict(list)
    for row, example in enumerate(examples):
        if example.measures:
            same[normalised(example.text)].append(row)
    if examples and not same:
        raise DataError(f"none of the {len(examples)} examples may measure a model")
    if len(same) < count:
        raise DataError(f"{count} folds of {len(same)} different texts; take fewer folds")
    groups = list(same.values())
    random.Random(seed).shuffle(groups)
    groups.sort(key=lambda rows: _label(examples[rows[0]]))
    # Dealt like cards, through all labels: neither a label nor a fold gets more than its share.
    found: list[list[int]] = [[] for _ in range(count)]
    for number, rows in enumerate(groups):
        found[number % count] += rows
    return [sorted(rows) for rows in found]


def without(examples: Sequence[Example], rows: Iterable[int]) -> list[Example]:
    """The examples to train on where the model is to be asked about `rows`: no text of these, also
    none that does not measure."""
    asked = {normalised(examples[row].text) for row in rows}
    return [example for example in examples if normalised(example.text) not in asked]


def cross_validate(
    examples: Sequence[Example],
    count: int,
    *,
    base: str,
    recipe: Recipe | None = None,
    device: str = "auto",
    progress: FoldProgress,
) -> tuple[list[Prediction], dict[str, Any]]:
    """(a prediction for each example that measures, in their order; measures), by `count` models of
    a recipe (the default one).

    Each model is trained in a temporary directory, one at a time, which is removed however the
    training ends. The measures are those of `evaluate` on all predictions together, and
    `cross_validation` with `folds`, the `mean` and standard deviation `sd` of the main measures
    over the folds, and these measures of `each` fold. Where an intent has rows in one fold only, no
    model that is asked about them knows it: `unknown_labels` has such intents with their rows, all
    of which count as wrong.

    Raises what `train_to_directory` does, and `DataError` as `folds`.
    """
    from classifier.engine import Classifier
    from classifier.training import find_labels, train_to_directory

    found: dict[int, Prediction] = {}
    each: list[dict[str, float]] = []
    unknown: Counter[str] = Counter()
    dealt = []
    for number, rows in enumerate(folds(examples, count), 1):
        kept = without(examples, rows)
        try:
            find_labels(kept)  # of all folds, before the minutes of the first training
        except DataError as error:
            raise DataError(f"without the rows of fold {number} of {count}, {error}") from None
        known = {example.intent for example in kept} | OUT_OF_SCOPE
        intents = (examples[row].intent for row in rows)
        unknown.update(intent for intent in intents if intent and intent not in known)
        dealt.append((rows, kept))
    for number, (rows, kept) in enumerate(dealt, 1):
        asked = [examples[row] for row in rows]
        with tempfile.TemporaryDirectory(prefix="frontdesk-fold-") as folder:
            out = Path(folder) / "model"
            with progress(number) as step:
                train_to_directory(
                    kept, out, base=base, recipe=recipe, device=device, progress=step
                )
            predictions = Classifier.load(out, device)([example.text for example in asked])
        measures = evaluate(predictions, asked)
        # A fold that answered nothing has no share of wrong answers.
        each.append({n: measures[n] for n in HEADLINES if measures.get(n) is not None})
        found |= dict(zip(rows, predictions, strict=True))
    pooled = [found[row] for row in sorted(found)]
    summary: dict[str, Any] = {"folds": count, "mean": {}, "sd": {}, "each": each}
    for name in HEADLINES:
        values = [measures[name] for measures in each if name in measures]
        if values:
            summary["mean"][name] = statistics.fmean(values)
            summary["sd"][name] = statistics.stdev(values) if len(values) > 1 else 0.0
    measuring = [example for example in examples if example.measures]
    measures = {
        **evaluate(pooled, measuring, (recipe or Recipe()).negative_confidence),
        "cross_validation": summary,
    }
    if unknown:
        measures["unknown_labels"] = dict(unknown.most_common())
    return pooled, measures


def _label(example: Example) -> tuple[bool, str, bool, str]:
    return (
        example.intent is None,
        example.intent or "",
        example.sentiment is None,
        example.sentiment or "",
    )
