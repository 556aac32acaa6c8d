"""What computes: a backend takes batches of token ids and gives embeddings and logits.

    torch_backend   fp32 or bf16 on the CPU; CUDA
    onnx_backend    int8 on the CPU; needs onnxruntime and no torch

The rest of the package sees the protocol below and nothing else of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from classifier.batching import Ids, Mask

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts that are computed together.

    `rows` says where their results belong; `ids` and `mask` are (texts, longest), the mask True
    where a token is no padding.
    """

    rows: list[int]
    ids: Ids
    mask: Mask


class Output(NamedTuple):
    """Of one batch, in its order: the mean of each text's hidden states (texts, hidden) in the last
    layer but one and in the last, and the logits (texts, labels) of each head; None where the model
    has no such head."""

    pooled: tuple[Array, Array]
    intent: Array | None
    sentiment: Array | None


class Backend(Protocol):
    """A loaded model on a device.

    `name` is for people ("onnxruntime", "torch"), `device` is cpu or cuda:N, `dtype` the number
    format of the encoder's products (int8, bfloat16, float32), `hidden` the embedding's width.
    `token_budget` and `most_padding` are what `plan_batches` should be given, for this backend
    to be at its fastest.
    """

    name: str
    device: str
    dtype: str
    hidden: int
    token_budget: int
    most_padding: int | None

    def forward(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Output]]:
        """Each batch with its results, in order; a result may come after later batches were taken
        from `batches`, which keeps a GPU busy."""
        ...
