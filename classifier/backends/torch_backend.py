"""The torch engines: fp32 or bf16 on the CPU, bf16 with captured graphs on CUDA."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its customary name)

from classifier.backends import Array, Backend, Batch, Output
from classifier.batching import TOKEN_BUDGET, Ids, Mask
from classifier.bert import BertEncoder, BertLayer
from classifier.devices import fast_dtype, out_of_memory
from classifier.model import TwoHeadedBert, mean_pool

LENGTHS = (8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 192, 256, 384, 512)
"""The lengths that graphs are captured for; a longer text runs without a graph."""
MOST_PADDING = 4096
"""Tokens of padding from which another launch costs a GPU less."""
FEW = 64
"""Texts from which on a batch is worth a shape closer to its own."""


def torch_backend(model: TwoHeadedBert, device: torch.device) -> Backend:
    """The fastest torch engine for a model on a device. The model is moved there and its encoder
    rounded to the device's fast format."""
    return CudaBackend(model, device) if device.type == "cuda" else TorchBackend(model, device)


class TorchBackend:
    """Any model on any device, batch by batch; in the device's fast format unless told `dtype`."""

    name = "torch"
    most_padding: int | None = None

    def __init__(
        self, model: TwoHeadedBert, device: torch.device, dtype: torch.dtype | None = None
    ) -> None:
        self.device = str(device)
        dtype = dtype or fast_dtype(device)
        self.dtype = str(dtype).removeprefix("torch.")
        self.token_budget = TOKEN_BUDGET[device.type]
        self.hidden = model.encoder.shape.hidden_size
        self.model = model.to(device).eval()
        self.model.encoder.to(dtype)

    def forward(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Output]]:
        for batch in batches:
            with torch.inference_mode():
                ids = torch.from_numpy(batch.ids).to(self.device)
                mask = torch.from_numpy(batch.mask).to(self.device)
                states = self.model.encoder.last_two(ids, mask)
                found = _arrays(self._heads(states, mask), len(batch.rows))
            yield batch, found

    def _heads(self, both: tuple[Tensor, Tensor], mask: Tensor) -> list[Tensor | None]:
        before, states = (states.float() for states in both)
        mean = mean_pool(states, mask)
        return [
            mean_pool(before, mask),
            mean,
            self.model.intent(mean) if self.model.intent else None,
            self.model.sentiment(states, mask, mean) if self.model.sentiment else None,
        ]


@dataclass(slots=True)
class _Captured:
    """A graph and the memory that it reads and writes."""

    ids: Tensor
    mask: Tensor
    outputs: list[Tensor | None]
    graph: torch.cuda.CUDAGraph | None


@dataclass(slots=True)
class _Pending:
    batch: Batch
    outputs: list[Tensor | None]
    done: torch.cuda.Event | None


class CudaBackend(TorchBackend):
    """A GPU kept busy: each shape's kernels are captured once and launched as one graph, and the
    next batch is prepared while this one computes.

    Batches are padded to shapes of a small set (`bucket`), since a graph has one shape. With
    `capture=False` the same runs without graphs, which is how it is tested where no GPU is.
    """

    def __init__(self, model: TwoHeadedBert, device: torch.device, capture: bool = True) -> None:
        super().__init__(model, device)
        self.most_padding = MOST_PADDING
        self._capture = capture
        self._cuda = device.type == "cuda"
        self._graphs: dict[tuple[int, int], _Captured] = {}
        self._pool: Any = None

    def forward(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Output]]:
        try:
            yield from self._each(batches)
        except Exception as error:
            if out_of_memory(error):
                # What graphs hold can't be given back to anything else, and a smaller budget has
                # other shapes.
                self._graphs.clear()
                self._pool = None
            raise

    def _each(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Output]]:
        pending: deque[_Pending] = deque()
        for batch in batches:
            with torch.cuda.device(self.device) if self._cuda else nullcontext():
                pending.append(self._launch(batch))
            # One batch ahead: its launch overlaps with the computing of the one before.
            if len(pending) > 1:
                yield self._finish(pending.popleft())
        while pending:
            yield self._finish(pending.popleft())

    def _launch(self, batch: Batch) -> _Pending:
        shape = bucket(*batch.ids.shape)
        ids, mask = (self._host(array) for array in fill(batch.ids, batch.mask, shape))
        captured = self._graphs.get(shape)
        if captured is None:
            captured = self._prepare(shape)
            # A shape beyond the set is rare, and its graph would only hold memory.
            if shape[1] <= LENGTHS[-1]:
                self._graphs[shape] = captured
        with torch.inference_mode():
            captured.ids.copy_(ids, non_blocking=True)
            captured.mask.copy_(mask, non_blocking=True)
            if captured.graph is not None:
                captured.graph.replay()
            else:
                captured.outputs = self._compute(captured.ids, captured.mask)
            # Copied to the host before the next replay writes over them: one stream, one order.
            outputs = [
                None if output is None else self._to_host(output) for output in captured.outputs
            ]
            done = None
            if self._cuda:
                done = torch.cuda.Event()  # type: ignore[no-untyped-call]
                done.record()
        return _Pending(batch, outputs, done)

    def _finish(self, pending: _Pending) -> tuple[Batch, Output]:
        if pending.done is not None:
            pending.done.synchronize()
        return pending.batch, _arrays(pending.outputs, len(pending.batch.rows))

    def _prepare(self, shape: tuple[int, int]) -> _Captured:
        with torch.inference_mode():
            ids = torch.zeros(shape, dtype=torch.int64, device=self.device)
            mask = torch.ones(shape, dtype=torch.bool, device=self.device)
            if not (self._capture and self._cuda) or shape[1] > LENGTHS[-1]:
                return _Captured(ids, mask, [], None)
            # Once before capture, on a stream of its own: libraries set themselves up in their
            # first call, and that cannot be captured.
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                self._compute(ids, mask)
            torch.cuda.current_stream().wait_stream(side)
            # One memory for all graphs: they run one after the other, and what one leaves is copied
            # to the host before the next begins.
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool):
                outputs = self._compute(ids, mask)
        return _Captured(ids, mask, outputs, graph)

    def _compute(self, ids: Tensor, mask: Tensor) -> list[Tensor | None]:
        return self._heads(encode_padded(self.model.encoder, ids, mask), mask)

    def _host(self, array: Ids | Mask) -> Tensor:
        tensor = torch.from_numpy(array)
        # Only from pinned memory does a copy run beside the computing; torch keeps such memory
        # until the copy is done.
        return tensor.pin_memory() if self._cuda else tensor

    def _to_host(self, output: Tensor) -> Tensor:
        host = torch.empty(output.shape, dtype=output.dtype, pin_memory=self._cuda)
        return host.copy_(output, non_blocking=True)


def encode_padded(encoder: BertEncoder, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """As `encoder.last_two(ids, mask)`, with every product on the padded grid: no step's shape
    depends on the mask's content, which a captured graph could not follow."""
    texts, length = ids.shape
    x: Tensor = encoder.words(ids) + encoder.positions.weight[:length] + encoder.types.weight[0]
    before = x = encoder.norm(x)
    attend = mask[:, None, None, :]
    for module in encoder.layers:
        layer, before = cast("BertLayer", module), x
        qkv = layer.qkv(x).view(texts, length, 3, layer.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=attend)
        x = layer.mix_norm(x + layer.mix(mixed.transpose(1, 2).reshape(texts, length, -1)))
        x = layer.down_norm(x + layer.down(F.gelu(layer.up(x))))
    return before, x


def bucket(texts: int, longest: int) -> tuple[int, int]:
    """The shape that a batch is padded to: the next of `LENGTHS` tokens, and the next power of two
    of texts; from `FEW` on the next eighth of one, where rounding up could double the work."""
    length = next((length for length in LENGTHS if length >= longest), longest)
    power = 1 << (texts - 1).bit_length()
    step = power // 8 if texts > FEW else power
    return -(-texts // step) * step, length


def fill(ids: Ids, mask: Mask, shape: tuple[int, int]) -> tuple[Ids, Mask]:
    """A batch in the corner of a larger shape. Texts that are none get one token, since attention
    over nothing is not a number."""
    filled_ids = np.zeros(shape, dtype=np.int64)
    filled_mask = np.zeros(shape, dtype=np.bool_)
    filled_mask[:, 0] = True
    texts, longest = ids.shape
    filled_ids[:texts, :longest] = ids
    filled_mask[:texts, :longest] = mask
    return filled_ids, filled_mask


def _arrays(outputs: Sequence[Tensor | None], texts: int) -> Output:
    before, mean, intent, sentiment = (
        None if output is None else _array(output[:texts]) for output in outputs
    )
    assert before is not None and mean is not None  # noqa: S101, PT018 (always computed)
    return Output((before, mean), intent, sentiment)


def _array(tensor: Tensor) -> Array:
    array: Array = tensor.cpu().numpy()
    return array
