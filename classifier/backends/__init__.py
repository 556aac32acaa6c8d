"""What computes: a backend takes batches of token ids and gives embeddings and logits.

    torch_backend   fp32 or bf16 on the CPU
    cuda_backend    the device's fast format on CUDA, bf16 where it has it
    onnx_backend    int8 on the CPU; needs onnxruntime and no torch

The rest of the package sees the protocol below and nothing else of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from classifier.arrays import Float32
from classifier.tokenising import Lengths, Rows, Sequences


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts that are computed together.

    `rows` (texts,) says where their results belong; `sequences` has their token ids.
    """

    rows: Rows
    sequences: Sequences


class Output(NamedTuple):
    """Of one batch, in its order: the mean of each text's hidden states (texts, hidden) in the last
    layer but one and in the last, and the logits (texts, labels) of each head; None where the model
    has no such head. `padded_tokens` counts the tokens of the grid, padding included."""

    pooled: tuple[Float32, Float32]
    intent: Float32 | None
    sentiment: Float32 | None
    padded_tokens: int


class Backend(Protocol):
    """A loaded model on a device.

    `name` is for people ("onnxruntime", "torch"), `device` is cpu or cuda:N, `dtype` the number
    format of the encoder's products (int8, bfloat16, float32), `hidden` the embedding's width.
    `token_budget` is how many tokens a batch may have, for this backend to be at its fastest.
    """

    name: str
    device: str
    dtype: str
    hidden: int
    token_budget: int

    def plan(self, lengths: Lengths, budget: int) -> Iterator[Rows]:
        """Texts of so many tokens (texts,) as batches for `forward`, by their indices, longest
        first. A text longer than `budget` tokens is a batch of its own."""
        ...

    def forward(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Output]]:
        """Each batch with its results, in order; a result may come after later batches were taken
        from `batches`, which keeps a GPU busy."""
        ...
