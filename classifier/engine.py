"""A saved model at work: texts in, predictions out.

A call's texts are sorted by length and cut into batches under a token budget, as the backend plans
them; results come back in the order of the input. What computes is a backend: int8 in onnxruntime
where the model has it and the device is the CPU, else torch.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from weakref import WeakSet

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from classifier import artifact, registry
from classifier.arrays import Float32, Float64
from classifier.artifact import ModelError
from classifier.backends import Backend, Batch
from classifier.calibration import Calibration, softmax
from classifier.devices import find_device
from classifier.neighbours import Neighbours
from classifier.predicting import Outputs, predictions
from classifier.scope import Scope, nearness
from classifier.threads import count_threads, lone_numpy
from classifier.tokenising import Sequences, tokenise
from classifier.vocabulary import Labels, Neighbour, Prediction

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

INT8 = "model.int8.onnx"
"""The file of a model directory that the int8 engine runs, where `classifier.export` made one."""
CHUNK = 4096
"""Texts that are sorted together; while one chunk computes, a thread tokenises the next."""
LEAST_SHARE = 64
"""Texts that a thread is worth starting for, to compare them with the training examples."""

Nearest = tuple[Neighbour, ...]


@dataclass(frozen=True, slots=True)
class Timings:
    """Of one call: seconds spent, texts, their tokens, and tokens computed with padding.

    `tokenise_s` is the time that the model waited for tokens: with more than `CHUNK` texts, most
    of them are tokenised while it computes.
    """

    tokenise_s: float = 0.0
    model_s: float = 0.0
    texts: int = 0
    tokens: int = 0
    padded_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Scores:
    """Calibrated probabilities (texts, labels) of each head; None where the model has none."""

    intent: Float64 | None
    sentiment: Float64 | None


class Forward(NamedTuple):
    """What the model makes of texts: their pooled states (texts, hidden) float32 in the last layer
    but one and in the last, and the logits (texts, labels) of each head before the temperature;
    None where the model has no such head."""

    pooled: tuple[Float32, Float32]
    intent: Float64 | None
    sentiment: Float64 | None


class Classifier:
    """One loaded model version. Several threads may call it: on the CPU they compute side by side,
    on CUDA one after the other.

    `texts` are always several, of any kind that can be gone through: a list, a generator, an array
    or a column of a table. One text alone, or what is no text, such as None or NaN, is a TypeError.

    With torch (not with onnxruntime) it works in the process that loaded it alone: in one forked
    since it raises RuntimeError. It can't be pickled.

    `version` is its manifest's; `labels`, `calibration`, `manifest`, `scope` and `neighbours` are
    what was saved; `backend` is what computes, `device` and `dtype` say where and how, and
    `token_budget` (to be lowered where memory is short) in batches of how many tokens; `timings` is
    of the call that ended last.
    """

    def __init__(
        self,
        backend: Backend,
        tokenizer: Tokenizer,
        labels: Labels,
        calibration: Calibration,
        manifest: dict[str, Any],
        scope: Scope | None = None,
        neighbours: Neighbours | None = None,
    ) -> None:
        self.backend = backend
        self.labels = labels
        self.calibration = calibration
        self.manifest = manifest
        self.scope = scope or Scope()
        self.neighbours = neighbours
        self.version: str = manifest["version"]
        self.device = backend.device
        self.dtype = backend.dtype
        self.token_budget = backend.token_budget
        self.timings = Timings()
        self._tokenizer = tokenizer
        self._limit = tokenizer.truncation
        self._renew_locks()
        _LOADED.add(self)

    def _renew_locks(self) -> None:
        # `tokenise` changes the tokenizer meanwhile, and a graph of CUDA has one place for its
        # inputs.
        self._tokenising = Lock()
        self._computing: AbstractContextManager[object] = (
            nullcontext() if self.device == "cpu" else Lock()
        )

    def _begin_in_child(self) -> None:
        """In a process that was forked just now: nobody is left who would release a lock."""
        if self._tokenising.locked():
            # Nor anybody who would give the tokenizer back, and switch its truncation on again.
            self._tokenizer = Tokenizer.from_str(self._tokenizer.to_str())
            self._tokenizer.no_truncation()
            if self._limit is not None:
                self._tokenizer.enable_truncation(**self._limit)
        self._renew_locks()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Classifier can't be pickled or copied: load it in each process that uses it, as in "
            "ProcessPoolExecutor(initializer=…)"
        )

    @classmethod
    def load(cls, directory: str | Path, device: str | torch.device = "auto") -> Classifier:
        """Load a version directory, or a pointer to one such as `models/champion`.

        Every file is checked against the manifest first. `device` is auto, cpu, cuda, cuda:N, or
        torch's own of these. On the CPU a model that has an int8 file is computed by onnxruntime,
        and torch is not imported; where that cannot load it, a warning is logged and torch
        computes.
        Raises `ModelError` for a model that is missing or damaged, ValueError for the device.
        """
        place = find_device(device)
        # Resolved once: a pointer that moves while we read must not mix two versions.
        path = registry.resolve(directory)
        manifest = artifact.verify(path)
        try:
            names = json.loads((path / "labels.json").read_text(encoding="utf-8"))
            labels = Labels(_label_names(names["intents"]), _label_names(names["sentiments"]))
            calibrated = json.loads((path / "calibration.json").read_text(encoding="utf-8"))
            calibration = Calibration.from_dict(calibrated)
            scope = Scope.from_parts(calibrated["scope"], load_file(path / "scope.safetensors"))
            directions = load_file(path / "neighbours.safetensors").get("directions")
            examples = (path / "neighbours.jsonl").read_bytes()
            neighbours = None if directions is None else Neighbours.from_parts(examples, directions)
            tokenizer = _load_tokenizer(path / "tokenizer.json")
            backend = None
            if place == "cpu" and INT8 in manifest["files"]:
                backend = _load_int8(path, labels)
            backend = backend or _load_torch(path, labels, place)
        except ModelError:
            raise
        except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
            raise ModelError(f"{path}: cannot be loaded: {error}") from error
        return cls(backend, tokenizer, labels, calibration, manifest, scope, neighbours)

    def __call__(self, texts: Iterable[str]) -> list[Prediction]:
        """A prediction for each text, in order. Any text will do, empty and emoji-only ones too.

        A text gets the same labels in a batch as alone, and confidences within the rounding of
        `dtype` (in bfloat16 about 0.01).
        """
        texts = _listed(texts)
        return predictions(
            texts,
            self.outputs(texts),
            self.labels,
            self.calibration,
            self.scope,
            self.version,
        )

    def outputs(self, texts: Iterable[str]) -> Outputs:
        """What the model says of each text before calibration; sets `timings`."""
        texts = _listed(texts)
        found = self.forward(texts)
        near, nearest = self._compare_all(found.pooled, len(texts))
        return Outputs(found.intent, found.sentiment, near, nearest)

    @lone_numpy()
    def _compare_all(
        self, pooled: tuple[Float32, Float32], texts: int
    ) -> tuple[Float64 | None, list[Nearest]]:
        # Numpy multiplies with one thread and lets go of Python's lock, so the threads share texts.
        threads = count_threads() if self.scope.layers or self.neighbours else 1
        share = max(LEAST_SHARE, -(-texts // threads))
        starts = range(0, max(1, texts), share)
        parts = [[states[at : at + share] for states in pooled] for at in starts]
        if len(parts) == 1:
            compared = [self._compare(parts[0])]
        else:
            with ThreadPoolExecutor(len(parts), thread_name_prefix="compare") as pool:
                compared = list(pool.map(self._compare, parts))
        near = [own for own, _ in compared if own is not None]
        nearest = list(chain.from_iterable(own for _, own in compared))
        return np.concatenate(near) if near else None, nearest

    def _compare(self, pooled: list[Float32]) -> tuple[Float64 | None, Sequence[Nearest]]:
        """How near texts are to the training examples by their pooled states, and to which."""
        near = nearness(self.scope.layers, pooled) if self.scope.layers else None
        return near, self.neighbours.nearest(pooled[-1]) if self.neighbours else ()

    def scores(self, texts: Iterable[str]) -> Scores:
        """The calibrated probabilities alone, as arrays: for bulk work."""
        intent, sentiment = self.logits(texts)
        return Scores(
            None if intent is None else softmax(intent, self.calibration.intent_temperature),
            None
            if sentiment is None
            else softmax(sentiment, self.calibration.sentiment_temperature),
        )

    def logits(self, texts: Iterable[str]) -> tuple[Float64 | None, Float64 | None]:
        """Both heads' outputs (texts, labels), before the temperature; sets `timings`."""
        return self._forward(_listed(texts), None)

    def embed(self, texts: Iterable[str]) -> Float32:
        """The mean of each text's last hidden states (texts, hidden) float32; sets `timings`."""
        return self.forward(texts).pooled[-1]

    def forward(self, texts: Iterable[str]) -> Forward:
        """Pooled states and both heads' logits in one pass of the model; sets `timings`."""
        texts = _listed(texts)
        pooled = np.empty((2, len(texts), self.backend.hidden), dtype=np.float32)
        intent, sentiment = self._forward(texts, pooled)
        return Forward((pooled[0], pooled[1]), intent, sentiment)

    @lone_numpy()
    def _forward(
        self, texts: Sequence[str], pooled: Float32 | None
    ) -> tuple[Float64 | None, Float64 | None]:
        """Both heads' logits, and the pooled states into `pooled` where somebody wants them."""
        started = time.perf_counter()
        intent = np.empty((len(texts), len(self.labels.intents)))
        sentiment = np.empty((len(texts), len(self.labels.sentiments)))
        count = _Count()
        with self._computing:
            for batch, output in self.backend.forward(self._batches(texts, count)):
                if pooled is not None:
                    pooled[0, batch.rows], pooled[1, batch.rows] = output.pooled
                if output.intent is not None:
                    intent[batch.rows] = output.intent
                if output.sentiment is not None:
                    sentiment[batch.rows] = output.sentiment
                count.padded_tokens += output.padded_tokens
        self.timings = Timings(
            tokenise_s=count.waited_s,
            model_s=time.perf_counter() - started - count.waited_s,
            texts=len(texts),
            tokens=count.tokens,
            padded_tokens=count.padded_tokens,
        )
        return (
            intent if self.labels.intents else None,
            sentiment if self.labels.sentiments else None,
        )

    def _batches(self, texts: Sequence[str], count: _Count) -> Iterator[Batch]:
        asked = time.perf_counter()
        for start, sequences in _tokenised(self._tokenise, texts):
            count.waited_s += time.perf_counter() - asked
            count.tokens += len(sequences.ids)
            for rows in self.backend.plan(sequences.lengths, self.token_budget):
                yield Batch(start + rows, sequences.take(rows))
            asked = time.perf_counter()

    def _tokenise(self, texts: Sequence[str]) -> Sequences:
        with self._tokenising:
            return tokenise(self._tokenizer, texts)


_LOADED: WeakSet[Classifier] = WeakSet()


def _begin_in_child() -> None:
    for classifier in _LOADED:
        classifier._begin_in_child()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_begin_in_child)


@dataclass(slots=True)
class _Count:
    """What a call cost so far."""

    waited_s: float = 0.0
    tokens: int = 0
    padded_tokens: int = 0


def _listed(texts: Iterable[str]) -> list[str]:
    """The texts as a list. Raises TypeError for one text alone, which is a sequence of letters, and
    for what is no text, by its place and without showing it."""
    if isinstance(texts, (str, bytes)):
        raise TypeError("texts must be several, not one: for one text write classifier([text])[0]")
    listed = texts if type(texts) is list else list(texts)
    if {*map(type, listed)} <= {str}:
        return listed
    for place, text in enumerate(listed):
        if not isinstance(text, str):
            raise TypeError(
                f"texts[{place}] is {type(text).__name__} and not str: leave it out, or give a "
                "text in its place"
            )
    return [str(text) for text in listed]  # numpy's own kind of str


def _tokenised(
    tokenise: Callable[[Sequence[str]], Sequences], texts: Sequence[str]
) -> Iterator[tuple[int, Sequences]]:
    """(index of its first text, token ids) of each chunk, the next tokenised in the meantime."""
    if len(texts) <= CHUNK:
        # One chunk, as nearly always: no thread is worth starting.
        if texts:
            yield 0, tokenise(texts)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="tokenise") as pool:

        def begin(start: int) -> Future[Sequences]:
            return pool.submit(tokenise, texts[start : start + CHUNK])

        following = begin(0)
        for start in range(0, len(texts), CHUNK):
            current = following
            if start + CHUNK < len(texts):
                following = begin(start + CHUNK)
            yield start, current.result()


def _label_names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError("labels.json lists no names")
    return tuple(value)


def _load_tokenizer(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 (tokenizers raises Exception itself)
        raise ValueError(f"{path.name} is no tokenizer ({error})") from None


def _load_int8(path: Path, labels: Labels) -> Backend | None:
    """The int8 engine, or None where it cannot run here: a model must serve, if more slowly."""
    try:
        from classifier.backends.mapped import map_tensors
        from classifier.backends.onnx_backend import OnnxBackend

        backend = OnnxBackend(path / INT8, map_tensors(path / "model.safetensors"))
    except Exception as error:  # noqa: BLE001 (onnxruntime's classes derive from Exception alone)
        reason = str(error).partition("\n")[0]
        log.warning("%s: %s cannot be used, torch computes instead: %s", path, INT8, reason)
        return None
    for name, head, wanted in (
        ("intent", backend.intent, labels.intents),
        ("sentiment", backend.sentiment, labels.sentiments),
    ):
        if (head.labels if head else 0) != len(wanted):
            raise ModelError(f"{path}: the {name} head does not fit the {len(wanted)} labels")
    return backend


def _load_torch(path: Path, labels: Labels, place: str) -> Backend:
    import torch
    from safetensors.torch import load_file as load_tensors

    from classifier.backends.torch_backend import torch_backend
    from classifier.bert import BertEncoder, BertShape
    from classifier.model import TwoHeadedBert

    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    # On the meta device nothing is allocated or initialised just to be overwritten.
    with torch.device("meta"):
        model = TwoHeadedBert(BertEncoder(BertShape.from_config(config)), labels)
    model.load_tensors(load_tensors(path / "model.safetensors"))
    return torch_backend(model, torch.device(place))
