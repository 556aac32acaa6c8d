"""A saved model at work: texts in, predictions out.

What costs is padded tokens (longest × count), so a call's texts are sorted by length and cut into
sub-batches under a token budget; results come back in the order of the input.
"""

from __future__ import annotations

from classifier import threads  # noqa: F401 (before torch: OpenMP reads its setting only once)

# isort: split

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from classifier import registry
from classifier.bert import BertEncoder, BertShape
from classifier.calibration import Calibration, Floats, softmax
from classifier.data import MAX_CHARACTERS
from classifier.devices import fast_dtype, pick_device
from classifier.model import Labels, TwoHeadedBert, pad
from classifier.registry import ModelError
from classifier.vocabulary import Prediction, Scored

TOKEN_BUDGET = {"cpu": 2048, "cuda": 65536}
"""Padded tokens a sub-batch: on a CPU what its caches hold, on a GPU what fills it."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Of one call: seconds spent, texts, their tokens, and tokens computed with padding."""

    tokenise_s: float = 0.0
    model_s: float = 0.0
    texts: int = 0
    tokens: int = 0
    padded_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Scores:
    """Calibrated probabilities (texts, labels) of each head; None where the model has none."""

    intent: Floats | None
    sentiment: Floats | None


class Classifier:
    """One loaded model version. Not to be called from several threads at once.

    `version` is its manifest's; `labels`, `calibration` and `manifest` are what was saved;
    `device` and `dtype` say where and how it computes; `timings` is of the last call.
    """

    def __init__(
        self,
        model: TwoHeadedBert,
        tokenizer: Tokenizer,
        labels: Labels,
        calibration: Calibration,
        manifest: dict[str, Any],
        device: torch.device,
        token_budget: int | None = None,
    ) -> None:
        self.labels = labels
        self.calibration = calibration
        self.manifest = manifest
        self.version: str = manifest["version"]
        self.device = device
        self.dtype = fast_dtype(device)
        self.token_budget = token_budget or TOKEN_BUDGET[device.type]
        self.timings = Timings()
        self._tokenizer = tokenizer
        self._pad_id: int = tokenizer.token_to_id("[PAD]") or 0
        self._model = model.to(device).eval()
        self._model.encoder.to(self.dtype)

    @classmethod
    def load(
        cls, directory: str | Path, device: str = "auto", token_budget: int | None = None
    ) -> Classifier:
        """Load a version directory, or a pointer to one such as `models/champion`.

        Every file is checked against the manifest first. `device` is auto, cpu, cuda or cuda:N.
        Raises `ModelError` for a model that is missing or damaged, ValueError for the device.
        """
        place = pick_device(device)
        # Resolved once: a pointer that moves while we read must not mix two versions.
        path = registry.resolve(directory)
        manifest = registry.verify(path)
        try:
            config = json.loads((path / "config.json").read_text(encoding="utf-8"))
            names = json.loads((path / "labels.json").read_text(encoding="utf-8"))
            labels = Labels(tuple(names["intents"]), tuple(names["sentiments"]))
            calibration = Calibration.from_dict(
                json.loads((path / "calibration.json").read_text(encoding="utf-8"))
            )
            # On the meta device nothing is allocated or initialised just to be overwritten.
            with torch.device("meta"):
                model = TwoHeadedBert(BertEncoder(BertShape.from_config(config)), labels)
            model.load_tensors(load_file(path / "model.safetensors"))
            tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        except ModelError:
            raise
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise ModelError(f"{path}: cannot be loaded: {error}") from error
        return cls(model, tokenizer, labels, calibration, manifest, place, token_budget)

    def __call__(self, texts: Sequence[str]) -> list[Prediction]:
        """A prediction for each text, in order. Any text will do, empty and emoji-only ones too.

        A text gets the same labels in a batch as alone, and confidences within the rounding of
        `dtype` (in bfloat16 about 0.01).
        """
        scores = self.scores(texts)
        intents = _ranked(scores.intent, self.labels.intents)
        sentiments = _ranked(scores.sentiment, self.labels.sentiments)
        predictions = []
        for row, text in enumerate(texts):
            ranking = intents[row] if intents else ()
            first = ranking[0] if ranking else None
            predictions.append(
                Prediction(
                    text=text,
                    intent=first,
                    intent_ranking=ranking,
                    sentiment=sentiments[row][0] if sentiments else None,
                    threshold=self.calibration.threshold_for(first.name) if first else None,
                    model=self.version,
                )
            )
        return predictions

    def scores(self, texts: Sequence[str]) -> Scores:
        """The calibrated probabilities alone, as arrays: for bulk work."""
        intent, sentiment = self.logits(texts)
        return Scores(
            None if intent is None else softmax(intent, self.calibration.intent_temperature),
            None
            if sentiment is None
            else softmax(sentiment, self.calibration.sentiment_temperature),
        )

    def logits(self, texts: Sequence[str]) -> tuple[Floats | None, Floats | None]:
        """Both heads' raw outputs (texts, labels), before the temperature; sets `timings`."""
        started = time.perf_counter()
        sequences = tokenise(self._tokenizer, texts)
        tokenised = time.perf_counter()
        intent = np.empty((len(texts), len(self.labels.intents)))
        sentiment = np.empty((len(texts), len(self.labels.sentiments)))
        padded = 0
        for rows in plan_batches([len(s) for s in sequences], self.token_budget):
            ids, mask = pad([sequences[row] for row in rows], self._pad_id)
            padded += ids.numel()
            with torch.inference_mode():
                out = self._model(ids.to(self.device), mask.to(self.device))
            if out.intent is not None:
                intent[rows] = _array(out.intent)
            if out.sentiment is not None:
                sentiment[rows] = _array(out.sentiment)
        self.timings = Timings(
            tokenise_s=tokenised - started,
            model_s=time.perf_counter() - tokenised,
            texts=len(texts),
            tokens=sum(map(len, sequences)),
            padded_tokens=padded,
        )
        return (
            intent if self.labels.intents else None,
            sentiment if self.labels.sentiments else None,
        )


def tokenise(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, unpadded, cut as the tokenizer is set to; at least one token each."""
    cleaned = [_encodable(text[:MAX_CHARACTERS]) for text in texts]
    # A tokenizer that adds no [CLS] gives nothing for an empty text, and attention over nothing
    # is not a number.
    return [encoding.ids or [0] for encoding in tokenizer.encode_batch_fast(cleaned)]


def plan_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices in batches, longest texts first, each at most `budget` padded tokens.

    A text longer than the budget is a batch of its own.
    """
    # Longest first, so that memory peaks at once and not at the end of a long run.
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    start = 0
    while start < len(order):
        count = max(1, budget // max(1, lengths[order[start]]))
        yield order[start : start + count]
        start += count


def _encodable(text: str) -> str:
    """The text with half surrogate pairs replaced: they have no UTF-8, and tokenisers refuse."""
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode()


def _ranked(probabilities: Floats | None, names: Sequence[str]) -> list[tuple[Scored, ...]]:
    if probabilities is None:
        return []
    order = np.argsort(-probabilities, axis=1, kind="stable")
    confidences = np.take_along_axis(probabilities, order, axis=1).tolist()
    return [
        tuple(Scored(names[label], confidence) for label, confidence in zip(row, own, strict=True))
        for row, own in zip(order.tolist(), confidences, strict=True)
    ]


def _array(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.cpu().numpy()
    return array
