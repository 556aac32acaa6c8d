"""Training: examples in, a verified model directory out.

`train_to_directory` and `train_version` are what the command and the training worker call. The
loop itself is `fitting.fit`; what is proven of the model comes from examples that it was not
trained on (`held_out.py`).
"""

from __future__ import annotations

import functools
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import safetensors.torch
import tokenizers
import torch

from classifier import artifact, registry
from classifier.agreement import add_up
from classifier.backends.torch_backend import torch_backend
from classifier.base import (
    DEFAULT_BASE,
    BaseModel,
    BaseModelError,
    find_base,
    load_tokenizer,
)
from classifier.calibration import Calibration
from classifier.card import held_out_remarks, model_card
from classifier.data import DataError, Example, content_hash
from classifier.devices import pick_device
from classifier.engine import INT8, Classifier
from classifier.evaluate import evaluate, intent_outcomes
from classifier.export import export_int8, try_int8
from classifier.fitting import fit, steps_of
from classifier.held_out import HeldOut, calibrate, hold_out, plan_rounds, remember, together
from classifier.model import TwoHeadedBert
from classifier.predicting import predictions
from classifier.recipe import Recipe, SettledRecipe
from classifier.report import html_report
from classifier.thresholds import evidence, taken_together
from classifier.unread import unread
from classifier.vocabulary import OUT_OF_SCOPE, SENTIMENTS, Labels, Prediction

log = logging.getLogger(__name__)

PRIVATE = "(private)"
"""Stands in a report for what nobody may quote."""

Progress = Callable[[str, int, int, float], None]
"""Called after each step with (where, step, of, loss): where it is, such as `model 2 of 6, epoch 1`
(`epoch 1` where there is one model), the step from 1 to `of` over the whole run, and its loss."""


def train_to_directory(
    examples: Iterable[Example],
    out: str | Path,
    *,
    base: str = DEFAULT_BASE,
    recipe: Recipe | None = None,
    progress: Progress | None = None,
    test: Iterable[Example] | None = None,
    device: str = "auto",
    notes: dict[str, Any] | None = None,
    version: str | None = None,
) -> dict[str, Any]:
    """Train on `examples` and write the model to `out`, a new or empty directory.

    `base` is what `find_base` takes. `test` is measured at the end and has no influence on the
    model. `notes` goes into the manifest as it is (it must be JSON). `version` is the model's name
    for itself, a new one where it is None. Returns the content of metrics.json:

    version: the name
    validation: measures on the examples held out for calibration, by models trained without them;
        empty where there are too few to hold any out
    test: the same on `test`, by the model itself; None without one
    test_hash: the `content_hash` of `test`, or None: figures compare where it is the same
    int8: whether the int8 form may serve, and why
    threshold, promise, target_error: what `Calibration` says of automatic answers
    evidence: what held-out texts there are to prove `target_error` by (`thresholds.evidence`);
        intents with a target of their own left out
    unread: how much of the examples the base can't read (`Unread`); a warning is logged if it is
        much
    examples, held_out, epochs: how many
    seconds: the whole training, with all that is measured

    Raises `DataError` for examples that cannot be trained on, `BaseModelError` for the base and
    for a loss that is no number, `ModelError` where `out` is taken or cannot be written, ValueError
    for the device. Nothing is left of `out` on failure.
    """
    started = time.perf_counter()
    out, version = Path(out), version or registry.new_version_name()
    # All that can be refused is refused before the minutes of training, not after.
    artifact.check_target(out)
    place = pick_device(device)
    examples = _one_out_of_scope(_checked(examples, "examples"))
    test = None if test is None else _checked(test, "test")
    labels = find_labels(examples)
    pretrained = find_base(base)
    longest = int(pretrained.config.get("max_position_embeddings", 512))
    settled = (recipe or Recipe()).settle(
        len(examples), len(labels.intents), longest, sum(e.measures for e in examples)
    )
    tokenizer = load_tokenizer(pretrained)
    tokenizer.enable_truncation(settled.max_tokens)
    missing = unread(tokenizer, examples)
    if (warning := missing.sentence(pretrained.name)) is not None:
        log.warning(warning)

    rounds = plan_rounds(examples, settled)
    sizes = [*(len(kept) for kept, _ in rounds), len(examples)]
    steps = sum(steps_of(size, labels, settled) for size in sizes)
    report = _Reporter(progress, len(sizes), steps, pretrained)

    def fitted(rows: Sequence[Example]) -> TwoHeadedBert:
        report.model += 1
        return fit(rows, labels, pretrained, tokenizer, settled, place, report)

    parts, agreed = [], []
    for kept, asked in rounds:
        trial = fitted(kept)
        # Before `hold_out`, which rounds the encoder.
        agreed.append(try_int8(trial, tokenizer, labels, kept, asked))
        parts.append(hold_out(trial, tokenizer, labels, kept, asked, place))
    held_out = together(parts)
    asked_of = held_out.examples if held_out else []
    model = fitted(examples)
    # Before anything is computed with it: a backend rounds the encoder to its own format.
    tensors = model.tensors()

    calibration, scope = calibrate(held_out, examples, labels, settled)
    int8 = export_int8(
        model,
        tokenizer,
        [e.text for e in examples],
        [e.text for e in asked_of],
        (calibration.intent_temperature, calibration.sentiment_temperature),
        add_up(agreed),
    )
    about = _about(version, pretrained, examples, labels, settled, notes)
    backend = torch_backend(model, place)
    plain = Classifier(backend, tokenizer, labels, calibration, about)
    layers, neighbours = remember(plain, examples)
    if len(layers) == len(scope.offset):
        scope = replace(scope, layers=layers)
    final = Classifier(backend, tokenizer, labels, calibration, about, scope, neighbours)
    validated = _predicted(held_out, final)
    measured = functools.partial(evaluate, negative_confidence=settled.negative_confidence)
    metrics = {
        "version": version,
        "validation": measured(validated, asked_of) if validated else {},
        "test": measured(final([e.text for e in test]), test) if test else None,
        "test_hash": content_hash(test) if test else None,
        "int8": int8.as_dict(),
        "threshold": calibration.threshold,
        "promise": calibration.promise,
        "target_error": calibration.target_error,
        "evidence": _evidence(validated, asked_of, calibration),
        "unread": missing.as_dict(),
        "examples": len(examples),
        "held_out": len(asked_of),
        "epochs": settled.epochs,
        "seconds": round(time.perf_counter() - started, 2),
    }
    config = pretrained.config | {"vocab_size": model.encoder.shape.vocab_size}
    files = {
        "config.json": artifact.as_json(config),
        "tokenizer.json": tokenizer.to_str().encode(),
        "model.safetensors": safetensors.torch.save(tensors, {"format": "pt"}),
        **_knowledge(final),
        "metrics.json": artifact.as_json(metrics),
        "MODEL_CARD.md": model_card(about, metrics, calibration, warning).encode(),
        "report.html": _report(version, validated, asked_of, calibration),
    }
    if int8.onnx is not None:
        files[INT8] = int8.onnx
    artifact.save(out, files, about)
    return metrics


def train_version(
    examples: Iterable[Example],
    models: str | Path,
    *,
    base: str = DEFAULT_BASE,
    recipe: Recipe | None = None,
    progress: Progress | None = None,
    test: Iterable[Example] | None = None,
    device: str = "auto",
    notes: dict[str, Any] | None = None,
) -> tuple[str, dict[str, Any]]:
    """As `train_to_directory`, to a new version of a models directory: (its name, metrics).

    No pointer is moved: that is for the caller (`registry.promote`, `registry.set_candidate`).
    """
    version = registry.new_version_name()
    metrics = train_to_directory(
        examples,
        Path(models) / version,
        base=base,
        recipe=recipe,
        progress=progress,
        test=test,
        device=device,
        notes=notes,
        version=version,
    )
    return version, metrics


def _predicted(held_out: HeldOut | None, model: Classifier) -> list[Prediction]:
    """What was said of the held-out examples, by the calibration and the scope of the model."""
    if held_out is None:
        return []
    return predictions(
        [e.text for e in held_out.examples],
        held_out.outputs,
        model.labels,
        model.calibration,
        model.scope,
        model.version,
    )


def _evidence(
    predicted: Sequence[Prediction], asked: Sequence[Example], calibration: Calibration
) -> dict[str, int]:
    target = calibration.target_error
    outcomes = intent_outcomes(predicted, asked)
    if outcomes is None:
        return evidence(np.empty(0), np.empty(0, dtype=bool), target)
    rows = np.flatnonzero(outcomes.answerable & outcomes.once)
    counted, risk = taken_together(
        [outcomes.first[row] for row in rows],
        target,
        calibration.target_errors,
        calibration.never_answered,
    )
    told = rows[counted]
    return evidence(outcomes.confidence[told], outcomes.correct[told], target, risk)


def _report(
    version: str,
    predicted: Sequence[Prediction],
    asked: Sequence[Example],
    calibration: Calibration,
) -> bytes:
    """The page about the held-out examples, which quotes none that is private."""
    shown = [
        replace(said, text=PRIVATE) if e.private else said
        for said, e in zip(predicted, asked, strict=True)
    ]
    remarks = held_out_remarks(len(asked), calibration)
    return html_report(shown, asked, f"Model {version}", remarks=remarks)


def _knowledge(model: Classifier) -> dict[str, bytes]:
    """The files that say what a model's numbers mean, and what it was trained on."""
    scope, neighbours = model.scope, model.neighbours
    calibration = model.calibration.as_dict() | {"scope": scope.as_dict()}
    directions = {"directions": neighbours.directions.astype(np.float16)} if neighbours else {}
    return {
        "labels.json": artifact.as_json(
            {"intents": model.labels.intents, "sentiments": model.labels.sentiments}
        ),
        "calibration.json": artifact.as_json(calibration),
        "scope.safetensors": safetensors.numpy.save(scope.as_tensors()),
        "neighbours.jsonl": neighbours.as_lines() if neighbours else b"",
        "neighbours.safetensors": safetensors.numpy.save(directions),
    }


def _checked(examples: Iterable[Example], name: str) -> list[Example]:
    """The examples as a list; raises `DataError` for one that is not made of what it says.

    Tables give None and NaN for what is missing, and numbers for labels. No text is shown.
    """
    listed = list(examples)
    for place, one in enumerate(listed):
        if not isinstance(one, Example):
            raise DataError(f"{name}[{place}] is {type(one).__name__} and not Example")
        for field, value in (
            ("text", one.text),
            ("intent", "" if one.intent is None else one.intent),
            ("sentiment", "" if one.sentiment is None else one.sentiment),
        ):
            if not isinstance(value, str):
                raise DataError(
                    f"{name}[{place}]: its {field} is {type(value).__name__} and must be str; "
                    "leave the example out, or mend it"
                )
    return listed


def _one_out_of_scope(examples: list[Example]) -> list[Example]:
    """`oos` and `out_of_scope` under the commoner of the two names: they must not compete."""
    found = Counter(e.intent for e in examples if e.intent in OUT_OF_SCOPE)
    if len(found) < 2:
        return examples
    ((one, _),) = found.most_common(1)
    return [replace(e, intent=one) if e.intent in found else e for e in examples]


def find_labels(examples: Sequence[Example]) -> Labels:
    """The labels that occur: intents sorted by name, sentiments in the order of `SENTIMENTS`.

    Raises `DataError` where there is nothing to learn: no examples, or a kind of label with one
    value only.
    """
    if not examples:
        raise DataError("there are no examples to train on")
    intents = Counter(e.intent for e in examples if e.intent is not None)
    sentiments = Counter(e.sentiment for e in examples if e.sentiment is not None)
    for one, counts in (("an intent", intents), ("a sentiment", sentiments)):
        if len(counts) == 1:
            only, count = next(iter(counts.items()))
            raise DataError(
                f"all {count} examples that have {one} have the same one, {only!r}: "
                "there is nothing to tell apart; add examples of another"
            )
    if not intents and not sentiments:
        raise DataError("no example carries an intent or a sentiment")
    for example in examples:
        if example.sentiment is not None and example.sentiment not in SENTIMENTS:
            raise DataError(f"unknown sentiment {example.sentiment!r}")
    return Labels(tuple(sorted(intents)), tuple(s for s in SENTIMENTS if s in sentiments))


class _Reporter:
    """Counts steps over all loops of a run, and ends one that no longer learns."""

    def __init__(self, progress: Progress | None, models: int, of: int, base: BaseModel) -> None:
        self.progress, self.models, self.of, self.base = progress, models, of, base
        self.model = self.step = 0

    def __call__(self, epoch: int, loss: float) -> None:
        self.step += 1
        if not math.isfinite(loss):
            raise BaseModelError(
                f"base model {self.base.name}: the loss of step {self.step} is {loss}, so nothing "
                "more is learned; its weights, or the recipe's rates, are too large: change them"
            )
        if self.progress:
            # Epochs alone would look as if the run began anew with each model.
            which = f"model {self.model} of {self.models}, " if self.models > 1 else ""
            self.progress(f"{which}epoch {epoch}", self.step, self.of, loss)


def _about(
    version: str,
    base: BaseModel,
    examples: Sequence[Example],
    labels: Labels,
    recipe: SettledRecipe,
    notes: dict[str, Any] | None,
) -> dict[str, Any]:
    return {
        "version": version,
        "created": datetime.now(UTC).isoformat("T", "seconds"),
        "base": {"name": base.name, "sha256": base.sha256},
        "data": {
            "hash": content_hash(examples),
            "examples": len(examples),
            "intents": dict(sorted(Counter(e.intent for e in examples if e.intent).items())),
            "sentiments": dict(
                sorted(Counter(e.sentiment for e in examples if e.sentiment).items())
            ),
        },
        "labels": {"intents": len(labels.intents), "sentiments": len(labels.sentiments)},
        "recipe": recipe.as_dict(),
        "libraries": {"torch": torch.__version__, "tokenizers": tokenizers.__version__},
        "notes": notes or {},
    }
