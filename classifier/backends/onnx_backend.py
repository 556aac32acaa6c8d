"""The int8 engine: onnxruntime on the CPU, without torch.

A worker with it starts faster and takes less memory than one with torch, since importing torch
is most of both.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]

from classifier.arrays import Float32
from classifier.backends import Batch, Output
from classifier.backends.heads import INTENT, SENTIMENT, IntentHead, SentimentHead, mean_pool
from classifier.batching import Ids, Mask, pad, plan_batches
from classifier.threads import count_threads
from classifier.tokenising import Lengths, Rows

EMBEDDINGS = "bert.embeddings"
PROBE = "probe"
"""The entry of the file's metadata with what `OnnxBackend.probe` gave where it was exported."""
PROBE_TOKENS = 24
PROBE_COSINE = 0.999
MOST_PADDING = 8
"""Tokens of padding: a call of its own costs a group of texts about what eight tokens cost in
another's."""


class OnnxBackend:
    """An int8 encoder in onnxruntime, with the embeddings and the heads in numpy.

    `model` is the content of model.int8.onnx or its path; `tensors` are those of
    model.safetensors by name. Raises an error of onnxruntime's, of many classes, for a file
    that it cannot load; KeyError where a tensor is missing; `WrongResultsError` where this
    processor computes other results than the one that the file was exported on.
    """

    name = "onnxruntime"
    device = "cpu"
    dtype = "int8"
    token_budget = 256

    def __init__(self, model: bytes | Path, tensors: Mapping[str, Float32]) -> None:
        self._session = _session(model)
        self._threads = count_threads()
        self._words = tensors[f"{EMBEDDINGS}.word_embeddings.weight"]
        types = tensors[f"{EMBEDDINGS}.token_type_embeddings.weight"]
        self._places: Float32 = tensors[f"{EMBEDDINGS}.position_embeddings.weight"] + types[0]
        self.hidden = self._words.shape[1]
        self.intent = IntentHead(tensors) if f"{INTENT}weight" in tensors else None
        self.sentiment = SentimentHead(tensors) if f"{SENTIMENT}out.weight" in tensors else None
        self._check()

    def plan(self, lengths: Lengths, budget: int) -> Iterator[Rows]:
        return plan_batches(lengths, budget, MOST_PADDING)

    def forward(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Output]]:
        # A batch is computed by one thread, and several batches side by side: threads that share
        # one batch wait for each other in every operator, all the more where other processes want
        # the cores too.
        batches = iter(batches)
        lone, second = next(batches, None), next(batches, None)
        if lone is None or second is None:
            if lone is not None:
                yield lone, self._compute(lone)
            return
        waiting: deque[tuple[Batch, Future[Output]]] = deque()
        with ThreadPoolExecutor(self._threads, thread_name_prefix="int8") as pool:
            for batch in chain((lone, second), batches):
                waiting.append((batch, pool.submit(self._compute, batch)))
                if len(waiting) > 2 * self._threads:
                    first, future = waiting.popleft()
                    yield first, future.result()
            for batch, future in waiting:
                yield batch, future.result()

    def _compute(self, batch: Batch) -> Output:
        ids, mask = pad(batch.sequences)
        before, states = self.states(ids, mask)
        earlier, mean = mean_pool(before, mask), mean_pool(states, mask)
        intent = self.intent(mean) if self.intent else None
        sentiment = self.sentiment(states, mask, mean) if self.sentiment else None
        return Output((earlier, mean), intent, sentiment, ids.size)

    def states(self, ids: Ids, mask: Mask) -> tuple[Float32, Float32]:
        """The hidden states (texts, tokens, hidden) of the last layer but one, and of the last."""
        x = self._words[ids]
        x += self._places[: ids.shape[1]]
        before, states = self._session.run(None, {"x": x, "mask": mask.astype(np.int32)})
        return before, states

    def probe(self) -> list[float]:
        """The embedding of a text of words from all over the vocabulary, which is no one's text."""
        ids = np.arange(PROBE_TOKENS, dtype=np.int64)[None] * 997 % len(self._words)
        mask = np.ones(ids.shape, dtype=np.bool_)
        return [round(float(value), 5) for value in mean_pool(self.states(ids, mask)[1], mask)[0]]

    def _check(self) -> None:
        # Processors without VNNI multiply int8 by an instruction that saturates at 16 bits: no
        # error, only wrong numbers.
        wanted = self._session.get_modelmeta().custom_metadata_map.get(PROBE)
        if wanted is not None:
            expected, found = np.array(json.loads(wanted)), np.array(self.probe())
            cosine = expected @ found / np.linalg.norm(expected) / np.linalg.norm(found)
            if not cosine >= PROBE_COSINE:
                raise WrongResultsError(
                    f"int8 results here differ from those at export (cosine {cosine:.3f})"
                )


class WrongResultsError(RuntimeError):
    """The file loads, but this processor computes something else with it."""


def _session(model: bytes | Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # The extended optimisations would fuse operators into the slower ones that the graph avoids.
    basic = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.graph_optimization_level = basic
    # No slower, and the memory of the longest batch so far is not kept for good.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model if isinstance(model, bytes) else str(model),
        options,
        providers=["CPUExecutionProvider"],
    )
