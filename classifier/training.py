"""Training: examples in, a verified model directory out. It reads from top to bottom.

`train_to_directory` and `train_version` are what the command and the training worker call;
`fit` is the loop.
"""

from __future__ import annotations

from classifier import threads  # noqa: F401 (before torch: OpenMP reads its setting only once)

# isort: split

import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import tokenizers
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its customary name)

from classifier import registry
from classifier.base import DEFAULT_BASE, BaseModel, find_base, load_encoder, load_tokenizer
from classifier.calibration import (
    FALLBACK_THRESHOLD,
    Calibration,
    choose_thresholds,
    fit_temperature,
    softmax,
)
from classifier.card import model_card
from classifier.data import DataError, Example, content_hash
from classifier.devices import fast_dtype, pick_device
from classifier.engine import TOKEN_BUDGET, Classifier, plan_batches, tokenise
from classifier.evaluate import evaluate
from classifier.model import Labels, TwoHeadedBert, mean_pool, pad
from classifier.recipe import Recipe
from classifier.vocabulary import SENTIMENTS

Progress = Callable[[int, int, int, float], None]
"""Called after each step with (epoch, step, of, loss): the epoch from 1, the step from 1 to `of`
over the whole run, and that step's loss."""

IGNORE = -100
"""The label of a row that has none for a head: cross-entropy leaves it out."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Examples as numbers: token ids, and a label index (or `IGNORE`) for each head."""

    ids: list[list[int]]
    intents: list[int]
    sentiments: list[int]


def train_to_directory(
    examples: Sequence[Example],
    out: str | Path,
    *,
    base: str = DEFAULT_BASE,
    recipe: Recipe | None = None,
    progress: Progress | None = None,
    test: Sequence[Example] | None = None,
    device: str = "auto",
    notes: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Train on `examples` and write the model to `out`, a new or empty directory.

    `base` is what `find_base` takes. `test` is measured at the end and has no influence on the
    model. `notes` goes into the manifest as it is (it must be JSON). Returns the content of
    metrics.json: `validation` (of the calibrated model on examples held out; where `refitted`,
    by the model before it was trained anew on all of them), `test` (None without one), `seconds`,
    `examples`, `held_out`, `epochs`, `version`.

    Raises `DataError` for examples that cannot be trained on, `BaseModelError` for the base,
    `ModelError` where `out` is taken or cannot be written, ValueError for the device. Nothing is
    left of `out` on failure.
    """
    return _train(
        examples,
        Path(out),
        registry.new_version_name(),
        base,
        recipe or Recipe(),
        progress,
        test,
        device,
        notes,
    )


def train_version(
    examples: Sequence[Example],
    models: str | Path,
    *,
    base: str = DEFAULT_BASE,
    recipe: Recipe | None = None,
    progress: Progress | None = None,
    test: Sequence[Example] | None = None,
    device: str = "auto",
    notes: dict[str, Any] | None = None,
) -> tuple[str, dict[str, Any]]:
    """As `train_to_directory`, to a new version of a models directory: (its name, metrics).

    No pointer is moved: that is for the caller (`registry.promote`, `registry.set_candidate`).
    """
    version = registry.new_version_name()
    settled = recipe or Recipe()
    target = Path(models) / version
    return version, _train(examples, target, version, base, settled, progress, test, device, notes)


def _train(
    examples: Sequence[Example],
    out: Path,
    version: str,
    base_name: str,
    recipe: Recipe,
    progress: Progress | None,
    test: Sequence[Example] | None,
    device_name: str,
    notes: dict[str, Any] | None,
) -> dict[str, Any]:
    started = time.perf_counter()
    # All that can be refused is refused before the minutes of training, not after.
    registry.check_target(out)
    device = pick_device(device_name)
    labels = find_labels(examples)
    base = find_base(base_name)
    recipe = recipe.settle(len(examples), _limit(base))
    tokenizer = load_tokenizer(base)
    tokenizer.enable_truncation(recipe.max_tokens)

    kept, held_out = split(examples, recipe.held_out or 0.0, recipe.seed)
    runs = [kept, examples] if recipe.refit and held_out else [kept]
    steps = sum(len(run) for run in _plan(runs, recipe))
    report = _Reporter(progress, steps)
    model = fit(kept, labels, base, tokenizer, recipe, device, report)
    # Before a Classifier is made of it: that one rounds the encoder to what the device computes in.
    tensors = model.tensors()

    about = _about(version, base, examples, labels, recipe, notes)
    calibration = Calibration(target_error=recipe.target_error)
    trial = Classifier(model, tokenizer, labels, calibration, about, device)
    calibration = calibrate(trial, held_out, recipe.target_error)
    trial.calibration = calibration
    validation = evaluate(trial([e.text for e in held_out]), held_out) if held_out else {}
    if len(runs) > 1:
        model = fit(examples, labels, base, tokenizer, recipe, device, report)
        tensors = model.tensors()

    final = Classifier(model, tokenizer, labels, calibration, about, device)
    metrics = {
        "version": version,
        "validation": validation,
        "test": evaluate(final([e.text for e in test]), test) if test else None,
        "refitted": len(runs) > 1,
        "examples": len(examples),
        "held_out": len(held_out),
        "epochs": recipe.epochs,
        "seconds": round(time.perf_counter() - started, 2),
    }
    files = {
        "config.json": _json(base.config),
        "tokenizer.json": tokenizer.to_str().encode(),
        "model.safetensors": safetensors.torch.save(tensors, {"format": "pt"}),
        "labels.json": _json({"intents": labels.intents, "sentiments": labels.sentiments}),
        "calibration.json": _json(calibration.as_dict()),
        "metrics.json": _json(metrics),
        "MODEL_CARD.md": model_card(about, metrics, calibration).encode(),
    }
    registry.save(out, files, about)
    return metrics


def find_labels(examples: Sequence[Example]) -> Labels:
    """The labels that occur: intents sorted by name, sentiments in the order of `SENTIMENTS`.

    Raises `DataError` where there is nothing to learn: no examples, or a kind of label with one
    value only.
    """
    if not examples:
        raise DataError("there are no examples to train on")
    intents = Counter(e.intent for e in examples if e.intent is not None)
    sentiments = Counter(e.sentiment for e in examples if e.sentiment is not None)
    for kind, counts in (("intent", intents), ("sentiment", sentiments)):
        if len(counts) == 1:
            only, count = next(iter(counts.items()))
            raise DataError(
                f"all {count} examples that have a {kind} have the same one, {only!r}: "
                "there is nothing to tell apart; add examples of another"
            )
    if not intents and not sentiments:
        raise DataError("no example carries an intent or a sentiment")
    for example in examples:
        if example.sentiment is not None and example.sentiment not in SENTIMENTS:
            raise DataError(f"unknown sentiment {example.sentiment!r}")
    return Labels(tuple(sorted(intents)), tuple(s for s in SENTIMENTS if s in sentiments))


def split(
    examples: Sequence[Example], share: float, seed: int
) -> tuple[list[Example], list[Example]]:
    """(examples to train on, examples held out), the share taken of each intent.

    Rows without an intent are shared out by sentiment. Of every label at least one example stays
    to train on, so a label with one example has none held out. Order is kept.
    """
    groups: dict[tuple[bool, str | None], list[int]] = defaultdict(list)
    for row, example in enumerate(examples):
        has_intent = example.intent is not None
        groups[has_intent, example.intent if has_intent else example.sentiment].append(row)
    rng = random.Random(seed)
    out: set[int] = set()
    for rows in groups.values():
        out.update(rng.sample(rows, min(int(share * len(rows) + 0.5), len(rows) - 1)))
    # A sentiment may live in few rows, scattered over intents: it too must stay to train on.
    trained = {e.sentiment for row, e in enumerate(examples) if row not in out}
    for row in sorted(out):
        if examples[row].sentiment not in trained:
            trained.add(examples[row].sentiment)
            out.discard(row)
    return (
        [e for row, e in enumerate(examples) if row not in out],
        [examples[row] for row in sorted(out)],
    )


def fit(
    examples: Sequence[Example],
    labels: Labels,
    base: BaseModel,
    tokenizer: Tokenizer,
    recipe: Recipe,
    device: torch.device,
    report: Callable[[int, float], None],
) -> TwoHeadedBert:
    """The training loop. `recipe` is settled; `report` is called with (epoch, loss) each step.

    The same examples, recipe and machine give the same weights, bit by bit.
    """
    epochs, batch_size = recipe.epochs or 1, recipe.batch_size or 32
    data = encode(examples, labels, tokenizer)
    dtype = fast_dtype(device)
    # The caller's random state is its own: training must neither depend on it nor move it.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.seed)
        rng = random.Random(recipe.seed)
        model = TwoHeadedBert(load_encoder(base, recipe.dropout), labels, recipe.dropout)
        # Only the words that occur get gradients; to update the others' rows, with nothing, took
        # about a fifth of the time of a step.
        words, vocabulary, ids_of = _occurring(model.encoder.words.weight.data, data.ids)
        model.encoder.words = words
        model.to(device)
        _start_intents(model, ids_of, data.intents, device)
        model.train()
        optimizer = torch.optim.AdamW(_groups(model, recipe), fused=True)
        peaks = [group["lr"] for group in optimizer.param_groups]
        steps = epochs * -(-len(examples) // batch_size)
        warmup = max(1, round(recipe.warmup * steps))
        step = 0
        for epoch in range(1, epochs + 1):
            for rows in batches([len(ids) for ids in data.ids], batch_size, rng):
                factor = min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))
                for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                    group["lr"] = peak * factor
                ids, mask = pad([ids_of[row] for row in rows])
                with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                    logits = model(ids.to(device), mask.to(device))
                    loss = _loss(
                        logits.intent,
                        torch.tensor([data.intents[row] for row in rows], device=device),
                        recipe.label_smoothing,
                    ) + recipe.sentiment_weight * _loss(
                        logits.sentiment,
                        torch.tensor([data.sentiments[row] for row in rows], device=device),
                        recipe.label_smoothing,
                    )
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.max_grad_norm)
                optimizer.step()
                optimizer.zero_grad()
                step += 1
                report(epoch, loss.item())
        vocabulary[sorted({i for ids in data.ids for i in ids})] = words.weight.data.cpu()
        model.encoder.words = _embedding(vocabulary)
    return model.eval()


def _embedding(weight: Tensor) -> torch.nn.Embedding:
    return torch.nn.Embedding(weight.shape[0], weight.shape[1], _weight=weight)


def _occurring(
    vocabulary: Tensor, sequences: Sequence[Sequence[int]]
) -> tuple[torch.nn.Embedding, Tensor, list[list[int]]]:
    """(embedding of the words that occur, the whole vocabulary, the texts in the former's ids)."""
    known = sorted({i for ids in sequences for i in ids})
    place = {word: row for row, word in enumerate(known)}
    return _embedding(vocabulary[known]), vocabulary, [[place[i] for i in ids] for ids in sequences]


def _start_intents(
    model: TwoHeadedBert, sequences: list[list[int]], intents: list[int], device: torch.device
) -> None:
    """Start the intent head from the pretrained encoder's view of the examples."""
    if model.intent is None:
        return
    dtype = fast_dtype(device)
    model.eval()
    means = torch.empty(len(sequences), model.encoder.shape.hidden_size)
    for rows in plan_batches([len(ids) for ids in sequences], TOKEN_BUDGET[device.type]):
        ids, mask = (tensor.to(device) for tensor in pad([sequences[row] for row in rows]))
        with torch.no_grad(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            means[rows] = mean_pool(model.encoder(ids, mask).float(), mask).cpu()
    model.intent.start(means.to(device), torch.tensor(intents, device=device))


def encode(examples: Sequence[Example], labels: Labels, tokenizer: Tokenizer) -> Encoded:
    """Examples as token ids and label indices."""
    intents = {name: index for index, name in enumerate(labels.intents)}
    sentiments = {name: index for index, name in enumerate(labels.sentiments)}
    return Encoded(
        ids=tokenise(tokenizer, [e.text for e in examples]),
        intents=[intents.get(e.intent or "", IGNORE) for e in examples],
        sentiments=[sentiments.get(e.sentiment or "", IGNORE) for e in examples],
    )


def batches(lengths: Sequence[int], size: int, rng: random.Random) -> Iterator[list[int]]:
    """Indices in random batches of `size` texts of like length.

    All are shuffled, cut into pools of eight batches, and sorted by length within a pool only:
    little padding, and still other batches in each epoch.
    """
    order = list(range(len(lengths)))
    rng.shuffle(order)
    found: list[list[int]] = []
    for start in range(0, len(order), 8 * size):
        pool = sorted(order[start : start + 8 * size], key=lengths.__getitem__)
        found += [pool[at : at + size] for at in range(0, len(pool), size)]
    rng.shuffle(found)
    yield from found


def calibrate(
    classifier: Classifier, held_out: Sequence[Example], target_error: float
) -> Calibration:
    """Temperatures and thresholds by examples that the classifier was not trained on."""
    if not held_out:
        return Calibration(target_error=target_error)
    labels = classifier.labels
    intent, sentiment = classifier.logits([e.text for e in held_out])
    temperature, sentiment_temperature = 1.0, 1.0
    threshold = FALLBACK_THRESHOLD
    thresholds: dict[str, float] = {}
    if intent is not None:
        rows, truth = _truth([e.intent for e in held_out], labels.intents)
        if len(rows):
            temperature = fit_temperature(intent[rows], truth)
            threshold, thresholds = choose_thresholds(
                softmax(intent[rows], temperature), truth, labels.intents, target_error
            )
    if sentiment is not None:
        rows, truth = _truth([e.sentiment for e in held_out], labels.sentiments)
        if len(rows):
            sentiment_temperature = fit_temperature(sentiment[rows], truth)
    return Calibration(
        intent_temperature=temperature,
        sentiment_temperature=sentiment_temperature,
        threshold=threshold,
        thresholds=thresholds,
        target_error=target_error,
        held_out=len(held_out),
    )


class _Reporter:
    """Counts steps over all loops of a run."""

    def __init__(self, progress: Progress | None, of: int) -> None:
        self.progress, self.of, self.step = progress, of, 0

    def __call__(self, epoch: int, loss: float) -> None:
        self.step += 1
        if self.progress:
            self.progress(epoch, self.step, self.of, loss)


def _plan(runs: Sequence[Sequence[Example]], recipe: Recipe) -> list[range]:
    size = recipe.batch_size or 32
    return [range((recipe.epochs or 1) * -(-len(run) // size)) for run in runs]


def _loss(logits: Tensor | None, labels: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy over the rows that have a label; 0 where none has, or there is no head."""
    # Asked of the labels, since the mean over no rows would be NaN and poison the weights.
    if logits is None or bool((labels == IGNORE).all()):
        return torch.zeros((), device=labels.device)
    return F.cross_entropy(logits, labels, ignore_index=IGNORE, label_smoothing=smoothing)


def _groups(model: TwoHeadedBert, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters by learning rate and decay: biases and norms (one-dimensional) do not decay."""
    groups: dict[tuple[bool, bool], list[Tensor]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        groups[name.startswith("encoder."), parameter.dim() > 1].append(parameter)
    return [
        {
            "params": parameters,
            "lr": recipe.encoder_rate if encoder else recipe.head_rate,
            "weight_decay": recipe.weight_decay if matrix else 0.0,
        }
        for (encoder, matrix), parameters in groups.items()
    ]


def _truth(
    names: Sequence[str | None], labels: Sequence[str]
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int64]]]:
    """(rows that have a label, its index)."""
    index = {name: number for number, name in enumerate(labels)}
    found = [(row, index[name]) for row, name in enumerate(names) if name is not None]
    rows, truth = [row for row, _ in found], [label for _, label in found]
    return np.array(rows, dtype=np.int64), np.array(truth, dtype=np.int64)


def _limit(base: BaseModel) -> int:
    return int(base.config.get("max_position_embeddings", 512))


def _about(
    version: str,
    base: BaseModel,
    examples: Sequence[Example],
    labels: Labels,
    recipe: Recipe,
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


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
