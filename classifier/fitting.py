"""The training loop: examples and a pretrained encoder in, a fine-tuned model out."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (its customary name)

from classifier.base import BaseModel, load_encoder
from classifier.batching import TOKEN_BUDGET, pad, plan_batches
from classifier.data import Example
from classifier.devices import fast_dtype
from classifier.model import Logits, TwoHeadedBert, mean_pool
from classifier.recipe import SettledRecipe
from classifier.tokenising import Sequences, tokenise
from classifier.vocabulary import OUT_OF_SCOPE, Labels

IGNORE = -100
"""The label of a row that has none for a head: cross-entropy leaves it out."""

Report = Callable[[int, float], None]
"""Called after each step with (epoch, loss)."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Examples as numbers: token ids, and a label index (or `IGNORE`) for each head."""

    ids: list[list[int]]
    intents: list[int]
    sentiments: list[int]


def fit(
    examples: Sequence[Example],
    labels: Labels,
    base: BaseModel,
    tokenizer: Tokenizer,
    recipe: SettledRecipe,
    device: torch.device,
    report: Report,
) -> TwoHeadedBert:
    """A model of `labels`, fine-tuned on `examples` by the recipe.

    The same examples, recipe and machine give the same weights, bit by bit.
    """
    if recipe.names:
        examples = [*examples, *name_examples(labels.intents)]
    data = encode(examples, labels, tokenizer)
    dtype = fast_dtype(device)
    # The caller's random state is its own: training must neither depend on it nor move it.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.seed)
        rng = random.Random(recipe.seed)
        encoder = load_encoder(base, tokenizer, recipe.dropout)
        model = TwoHeadedBert(encoder, labels, recipe.dropout)
        # Only the words that occur get gradients; to update the others' rows, with nothing, took
        # about a fifth of the time of a step.
        vocabulary = model.encoder.words.weight.data
        words, ids_of = _occurring(vocabulary, data.ids)
        model.encoder.words = words
        model.to(device)
        _start_intents(model, ids_of, data.intents, device)
        model.train()
        optimizer = torch.optim.AdamW(_groups(model, recipe), fused=True)
        peaks = [group["lr"] for group in optimizer.param_groups]
        steps = _steps(len(examples), recipe)
        warmup = max(1, round(recipe.warmup * steps))
        average = _Average(model, round((1 - recipe.averaged) * steps))

        def loss_of(texts: list[int]) -> Tensor:
            rows = texts * recipe.views
            sequences = [ids_of[row] for row in texts]
            sequences += [cut(ids_of[row], recipe.cutoff, rng) for row in rows[len(texts) :]]
            ids, mask = map(torch.from_numpy, pad(Sequences.of(sequences)))
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                logits, mean = model.with_mean(ids.to(device), mask.to(device))
            # Outside, lest the contrastive loss compute its cosines in bf16.
            return _loss(
                logits,
                mean,
                torch.tensor([data.intents[row] for row in rows], device=device),
                torch.tensor([data.sentiments[row] for row in rows], device=device),
                recipe,
            )

        step = 0
        for epoch in range(1, recipe.epochs + 1):
            for texts in batches(data.intents, recipe.batch_size, recipe.group, rng):
                factor = min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))
                for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                    group["lr"] = peak * factor
                if recipe.radius:
                    # A quarter says well enough where up is, for a quarter of the time.
                    loss_of(texts[: -(-len(texts) // 4)]).backward()  # type: ignore[no-untyped-call]
                with climbed(model, recipe.radius) if recipe.radius else nullcontext():
                    loss = loss_of(texts)
                    loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.max_grad_norm)
                optimizer.step()
                optimizer.zero_grad()
                step += 1
                average.update(step)
                report(epoch, loss.item())
        average.put_in_place()
        vocabulary[sorted({i for ids in data.ids for i in ids})] = words.weight.data.cpu()
        model.encoder.words = _embedding(vocabulary)
    return model.eval()


def steps_of(examples: int, labels: Labels, recipe: SettledRecipe) -> int:
    """Optimiser steps that `fit` takes, given that many examples."""
    names = len(name_examples(labels.intents)) if recipe.names else 0
    return _steps(examples + names, recipe)


def _steps(rows: int, recipe: SettledRecipe) -> int:
    return recipe.epochs * -(-rows // recipe.batch_size)


def name_examples(intents: Sequence[str]) -> list[Example]:
    """Each intent's name as one more example of it, where words of its own make it up.

    `card_not_working` says as much as a short message does; labels carry meaning (Müller, Pérez-
    Torró and Franco-Salvador 2022, "Few-Shot Learning with Siamese Networks and Label Tuning").
    """
    texts = {}
    for intent in intents:
        words = re.sub(r"([a-z])([A-Z])", r"\1 \2", intent).replace("/", " ")
        texts[intent] = re.sub(r"[_\-\s]+", " ", words).strip().lower()
    # `label_7` and `label_8` would be one text under two intents.
    meant = {intent: re.sub(r"\S*\d\S*", "", text).strip() for intent, text in texts.items()}
    shared = Counter(meant.values())
    return [
        Example(text, intent)
        for intent, text in texts.items()
        if intent not in OUT_OF_SCOPE
        and re.search(r"[^\W\d_]{3}", meant[intent])
        and shared[meant[intent]] == 1
    ]


def encode(examples: Sequence[Example], labels: Labels, tokenizer: Tokenizer) -> Encoded:
    """Examples as token ids and label indices."""
    intents = {name: index for index, name in enumerate(labels.intents)}
    sentiments = {name: index for index, name in enumerate(labels.sentiments)}
    return Encoded(
        ids=tokenise(tokenizer, [e.text for e in examples]).lists(),
        intents=[intents.get(e.intent or "", IGNORE) for e in examples],
        sentiments=[sentiments.get(e.sentiment or "", IGNORE) for e in examples],
    )


def batches(
    intents: Sequence[int], size: int, group: int, rng: random.Random
) -> Iterator[list[int]]:
    """Indices in random batches of `size`, each once; the last one may be smaller.

    Examples of one intent come in groups of `group`, so that the contrastive loss finds pairs in a
    batch; `intents` has each example's, negative for none. Texts of all lengths share a batch: the
    encoder packs them, so none pays for another's length.
    """
    rows_of: dict[int, list[int]] = defaultdict(list)
    for row, intent in enumerate(intents):
        rows_of[intent].append(row)
    groups: list[list[int]] = []
    for intent, rows in rows_of.items():
        rng.shuffle(rows)
        step = group if intent >= 0 else 1
        groups += [rows[start : start + step] for start in range(0, len(rows), step)]
    rng.shuffle(groups)
    order = [row for rows in groups for row in rows]
    for start in range(0, len(order), size):
        yield order[start : start + size]


def cut(ids: list[int], share: float, rng: random.Random) -> list[int]:
    """A text's token ids without about `share` of them, the first and the last one kept.

    Token cutoff (Shen et al. 2020, "A Simple but Tough-to-Beat Data Augmentation Approach for
    Natural Language Understanding and Generation"): a view that lacks a word keeps the model from
    leaning on it. A text of which nothing else would be left stays whole.
    """
    inner = [i for i in ids[1:-1] if rng.random() >= share]
    return [ids[0], *inner, ids[-1]] if inner else ids


class _Average:
    """The mean of a model's weights from a step on (Izmailov et al. 2018, "Averaging Weights
    Leads to Wider Optima and Better Generalization")."""

    def __init__(self, model: TwoHeadedBert, start: int) -> None:
        self._parameters = list(model.parameters())
        self._start, self._count = start, 0
        self._means: list[Tensor] = []

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Count the weights after `step`, from 1."""
        if step <= self._start:
            return
        self._count += 1
        if not self._means:
            self._means = [parameter.detach().clone() for parameter in self._parameters]
            return
        torch._foreach_lerp_(self._means, [p.detach() for p in self._parameters], 1 / self._count)

    @torch.no_grad()
    def put_in_place(self) -> None:
        for parameter, mean in zip(self._parameters, self._means, strict=False):
            parameter.copy_(mean)


@contextmanager
def climbed(model: nn.Module, radius: float) -> Iterator[None]:
    """The weights `radius` up the loss, as their gradients point, which are spent by it.

    Sharpness-aware minimisation (Foret et al. 2021) goes down by the gradient that it meets up
    there, and so ends where the loss is low all around. `radius` is the Euclidean distance, over
    all weights together.
    """
    with torch.no_grad():
        moved: list[Tensor] = []
        way: list[Tensor] = []
        for parameter in model.parameters():
            if parameter.grad is not None:
                moved.append(parameter)
                way.append(parameter.grad)
                parameter.grad = None
        torch._foreach_mul_(way, radius / (torch.nn.utils.get_total_norm(way) + 1e-12))
        torch._foreach_add_(moved, way)
    yield
    with torch.no_grad():
        torch._foreach_sub_(moved, way)


def _loss(
    logits: Logits, mean: Tensor, intents: Tensor, sentiments: Tensor, recipe: SettledRecipe
) -> Tensor:
    loss = _cross_entropy(logits.intent, intents, recipe.label_smoothing)
    # Of three labels a tenth is much: confidences went wrong in a way that no temperature mends.
    mood = _cross_entropy(logits.sentiment, sentiments, 0.0)
    loss = loss + recipe.sentiment_weight * mood
    if recipe.contrast and logits.intent is not None:
        loss = loss + recipe.contrast * contrastive(mean, intents, recipe.contrast_temperature)
    return loss


def contrastive(mean: Tensor, intents: Tensor, temperature: float) -> Tensor:
    """The supervised contrastive loss (Khosla et al. 2020) over a batch, a number.

    It draws the pooled states (texts, hidden) of one intent together and pushes those of others
    away. Two views of a text, with other dropout, are a pair too (Gao, Yao and Chen 2021, SimCSE).
    `intents` (texts,) are label indices; rows without one take no part.
    """
    known = intents >= 0
    directions = F.normalize(mean[known].float(), dim=-1)
    truth = intents[known]
    itself = torch.eye(len(truth), dtype=torch.bool, device=truth.device)
    alike = (truth[:, None] == truth[None, :]) & ~itself
    likely = (directions @ directions.T / temperature).masked_fill(itself, -1e9).log_softmax(-1)
    partners = alike.sum(1)
    paired = partners > 0
    if not bool(paired.any()):
        return torch.zeros((), device=mean.device)
    each: Tensor = -(likely * alike).sum(1)[paired] / partners[paired]
    return each.mean()


def _cross_entropy(logits: Tensor | None, labels: Tensor, smoothing: float) -> Tensor:
    """Over the rows that have a label; 0 where none has, or there is no head."""
    # Asked of the labels, since the mean over no rows would be NaN and poison the weights.
    if logits is None or bool((labels == IGNORE).all()):
        return torch.zeros((), device=labels.device)
    return F.cross_entropy(logits, labels, ignore_index=IGNORE, label_smoothing=smoothing)


def _embedding(weight: Tensor) -> torch.nn.Embedding:
    return torch.nn.Embedding(weight.shape[0], weight.shape[1], _weight=weight)


def _occurring(
    vocabulary: Tensor, sequences: Sequence[Sequence[int]]
) -> tuple[torch.nn.Embedding, list[list[int]]]:
    """(embedding of the words that occur, the texts in its ids)."""
    known = sorted({i for ids in sequences for i in ids})
    place = {word: row for row, word in enumerate(known)}
    return _embedding(vocabulary[known]), [[place[i] for i in ids] for ids in sequences]


def _start_intents(
    model: TwoHeadedBert, sequences: list[list[int]], intents: list[int], device: torch.device
) -> None:
    """Start the intent head from the pretrained encoder's view of the examples."""
    if model.intent is None:
        return
    dtype = fast_dtype(device)
    model.eval()
    means = torch.empty(len(sequences), model.encoder.shape.hidden_size)
    known = Sequences.of(sequences)
    for rows in plan_batches(known.lengths, TOKEN_BUDGET[device.type]):
        padded = pad(known.take(rows))
        ids, mask = (torch.from_numpy(array).to(device) for array in padded)
        with torch.no_grad(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            means[rows] = mean_pool(model.encoder(ids, mask).float(), mask).cpu()
    model.intent.start(means.to(device), torch.tensor(intents, device=device))


def _groups(model: TwoHeadedBert, recipe: SettledRecipe) -> list[dict[str, Any]]:
    """Parameters by learning rate and decay: biases and norms (one-dimensional) do not decay."""
    rates = {True: recipe.encoder_rate, False: recipe.head_rate}
    groups: dict[tuple[bool, bool], list[Tensor]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        groups[name.startswith("encoder."), parameter.dim() > 1].append(parameter)
    return [
        {
            "params": parameters,
            "lr": rates[encoder],
            "weight_decay": recipe.weight_decay if matrix else 0.0,
        }
        for (encoder, matrix), parameters in groups.items()
    ]
