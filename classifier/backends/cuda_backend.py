"""The torch engine for CUDA: several texts in a row, captured graphs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its customary name)

from classifier.backends import Batch, Output
from classifier.backends.torch_backend import TorchBackend, to_output
from classifier.bert import BertEncoder, BertLayer
from classifier.devices import out_of_memory
from classifier.model import TwoHeadedBert
from classifier.tokenising import Lengths, Rows, Sequences

WIDTHS = (128, 256, 512)
"""Tokens of a row, that graphs are captured for; a longer text runs without a graph."""
LEAST_TOKENS = 8
"""Tokens that a text has at least, on average, in a row that is to be full."""
TOKENS = 131_072
"""Tokens a batch: twice what fills an H200, so that a chunk of messages is one."""
FEW = 64
"""Rows from which on a batch is worth a shape closer to its own."""

Layout = NDArray[np.int32]
"""As `lay_out` gives it."""


class Shape(NamedTuple):
    """Of a grid that texts are laid into: `rows` of `width` tokens, `slots` texts each at most."""

    rows: int
    width: int

    @property
    def slots(self) -> int:
        return self.width // LEAST_TOKENS

    @property
    def size(self) -> int:
        """How long a layout is."""
        return self.rows * (3 * self.width + self.slots)


@dataclass(slots=True)
class _Captured:
    """A graph and the memory that it reads and writes."""

    layout: Tensor
    outputs: list[Tensor | None]
    graph: torch.cuda.CUDAGraph | None


@dataclass(slots=True)
class _Pending:
    batch: Batch
    shape: Shape
    outputs: list[Tensor | None]
    done: torch.cuda.Event | None


class CudaBackend(TorchBackend):
    """A GPU kept busy: each shape's kernels are captured once and launched as one graph, and the
    next batch is prepared while this one computes.

    Fused attention works in tiles of 64 tokens and more, and a message has a quarter of that. So
    several texts share a row, each seeing itself alone (packing, Krell et al. 2021). A graph has
    one shape, so rows are of few widths and numbers (`fit_shape`). With `capture=False` the same
    runs without graphs, which is how it is tested where no GPU is.
    """

    def __init__(self, model: TwoHeadedBert, device: torch.device, capture: bool = True) -> None:
        super().__init__(model, device)
        self.token_budget = TOKENS
        self._capture = capture
        self._cuda = device.type == "cuda"
        self._graphs: dict[Shape, _Captured] = {}
        self._pool: Any = None

    def plan(self, lengths: Lengths, budget: int) -> Iterator[Rows]:
        """`budget` tokens a batch, not counting what is left empty at the rows' ends."""
        order = np.argsort(-lengths, kind="stable")
        # One long text must not widen the rows of all.
        widths = np.searchsorted(WIDTHS, lengths[order])
        for alike in np.split(order, np.flatnonzero(np.diff(widths)) + 1):
            tokens = np.cumsum(lengths[alike])
            start = before = 0
            while start < len(alike):
                stop = max(start + 1, int(np.searchsorted(tokens, before + budget, side="right")))
                yield alike[start:stop]
                start, before = stop, int(tokens[stop - 1])

    def forward(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Output]]:
        self.check_process()
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
        shape, layout = lay_out(batch.sequences)
        captured = self._graphs.get(shape)
        if captured is None:
            captured = self._prepare(shape)
            # A shape beyond the set is rare, and its graph would only hold memory.
            if shape.width <= WIDTHS[-1]:
                self._graphs[shape] = captured
        with torch.inference_mode():
            captured.layout.copy_(self._pinned(layout), non_blocking=True)
            if captured.graph is not None:
                captured.graph.replay()
            else:
                captured.outputs = self._compute(captured.layout, shape)
            # Copied to the host before the next replay writes over them: one stream, one order.
            texts = len(batch.rows)
            outputs = [
                None if output is None else self._to_host(output[:texts])
                for output in captured.outputs
            ]
            done = None
            if self._cuda:
                done = torch.cuda.Event()  # type: ignore[no-untyped-call]
                done.record()
        return _Pending(batch, shape, outputs, done)

    def _finish(self, pending: _Pending) -> tuple[Batch, Output]:
        if pending.done is not None:
            pending.done.synchronize()
        return pending.batch, to_output(pending.outputs, pending.shape.rows * pending.shape.width)

    def _prepare(self, shape: Shape) -> _Captured:
        with torch.inference_mode():
            layout = torch.zeros(shape.size, dtype=torch.int32, device=self.device)
            if not (self._capture and self._cuda) or shape.width > WIDTHS[-1]:
                return _Captured(layout, [], None)
            # Once before capture, on a stream of its own: libraries set themselves up in their
            # first call, and that cannot be captured.
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                self._compute(layout, shape)
            torch.cuda.current_stream().wait_stream(side)
            # One memory for all graphs: they run one after the other, and what one leaves is copied
            # to the host before the next begins.
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool):
                outputs = self._compute(layout, shape)
        return _Captured(layout, outputs, graph)

    def _compute(self, layout: Tensor, shape: Shape) -> list[Tensor | None]:
        """Each slot's pooled states and logits, in the order of the texts."""
        rows, width, slots = shape.rows, shape.width, shape.slots
        grid, places = layout[: 3 * rows * width], layout[3 * rows * width :]
        ids, slot, position = grid.view(3, rows, width).unbind(0)
        both = encode_rows(self.model.encoder, ids, slot, position)
        before, states = (states.float() for states in both)
        # (rows, slots, width): which tokens are a slot's.
        own = slot[:, None] == torch.arange(slots, dtype=slot.dtype, device=slot.device)[:, None]
        mean_weights = own.float() / own.sum(-1, keepdim=True).clamp(min=1)

        def weigh(states: Tensor, weights: Tensor) -> Tensor:
            return (weights @ states).flatten(0, 1).index_select(0, places)

        mean = weigh(states, mean_weights)
        intent, sentiment = self.model.intent, self.model.sentiment
        mood = None
        if sentiment is not None:
            looks = sentiment.look(states).squeeze(-1)[:, None]
            # The least number, not minus infinity: an empty slot's weights must be numbers.
            looks = looks.masked_fill(~own, torch.finfo(looks.dtype).min)
            mood = sentiment.decide(weigh(states, looks.softmax(-1)), mean)
        return [weigh(before, mean_weights), mean, intent(mean) if intent else None, mood]

    def _pinned(self, layout: Layout) -> Tensor:
        tensor = torch.from_numpy(layout)
        # Only from pinned memory does a copy run beside the computing; torch keeps such memory
        # until the copy is done.
        return tensor.pin_memory() if self._cuda else tensor

    def _to_host(self, output: Tensor) -> Tensor:
        host = torch.empty(output.shape, dtype=output.dtype, pin_memory=self._cuda)
        return host.copy_(output, non_blocking=True)


def encode_rows(
    encoder: BertEncoder, ids: Tensor, slot: Tensor, position: Tensor
) -> tuple[Tensor, Tensor]:
    """The states (rows, width, hidden) of the last layer but one, and of the last, of several texts
    in a row. `ids`, `slot` and `position` are (rows, width): the token, which of its row's texts it
    belongs to, and where in that text it stands. A token sees those of its own slot."""
    rows, width = ids.shape
    x: Tensor = encoder.words(ids) + encoder.positions(position) + encoder.types.weight[0]
    before = x = encoder.norm(x)
    # Added to the scores: made once, where each layer would turn a mask of bools into it.
    apart = torch.zeros(rows, 1, width, width, dtype=x.dtype, device=x.device)
    apart.masked_fill_((slot[:, :, None] != slot[:, None, :])[:, None], float("-inf"))
    for module in encoder.layers:
        layer, before = cast("BertLayer", module), x
        qkv = layer.qkv(x).view(rows, width, 3, layer.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=apart)
        x = layer.mix_norm(x + layer.mix(mixed.transpose(1, 2).reshape(rows, width, -1)))
        x = layer.down_norm(x + layer.down(F.gelu(layer.up(x))))
    return before, x


def fit_shape(rows: int, longest: int) -> Shape:
    """The shape that so many rows are computed in: the next of `WIDTHS` tokens, and the next power
    of two of rows; from `FEW` on the next eighth of one, where rounding up could double the work.
    """
    width = next((width for width in WIDTHS if width >= longest), longest)
    power = 1 << (rows - 1).bit_length()
    step = power // 8 if rows > FEW else power
    return Shape(-(-rows // step) * step, width)


def lay_out(sequences: Sequences) -> tuple[Shape, Layout]:
    """Texts laid into rows one after the other, a new row where the next does not fit.

    The array is what `CudaBackend._compute` reads: the grid's token ids, its slots (-1 where
    no text is) and its positions, then the slot of each text, counted over all rows.
    """
    lengths = sequences.lengths
    longest = int(lengths.max())
    one = fit_shape(1, longest)
    width, most = one.width, one.slots
    starts: list[int] = []
    places: list[int] = []
    row = used = slot = 0
    for length in lengths.tolist():
        if used + length > width or slot == most:
            row, used, slot = row + 1, 0, 0
        starts.append(row * width + used)
        places.append(row * most + slot)
        used, slot = used + length, slot + 1
    shape = fit_shape(row + 1, longest)
    layout = np.zeros(shape.size, dtype=np.int32)
    ids, slots, positions = layout[: 3 * shape.rows * width].reshape(3, -1)
    position = sequences.places()
    at = np.repeat(np.array(starts), lengths) + position
    ids[at] = sequences.ids
    slots.fill(-1)
    slots[at] = np.repeat(np.array(places) % most, lengths)
    positions[at] = position
    layout[3 * shape.rows * width :][: len(places)] = places
    return shape, layout
