"""The torch engine, in fp32 or bf16, for any device; and which torch engine a device gets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from classifier.arrays import Float32
from classifier.backends import Backend, Batch, Output
from classifier.batching import TOKEN_BUDGET, pad, plan_batches
from classifier.devices import fast_dtype
from classifier.model import TwoHeadedBert, mean_pool
from classifier.tokenising import Lengths, Rows

MOST_PADDING = 128
"""Tokens of padding: a call of its own costs what some forty tokens do. A message and its sentences
are the longest text that is read and twelve of the shortest: in one batch, four times the time."""


def torch_backend(model: TwoHeadedBert, device: torch.device) -> Backend:
    """The fastest torch engine for a model on a device. The model is moved there and its encoder
    rounded to the device's fast format."""
    if device.type != "cuda":
        return TorchBackend(model, device)
    from classifier.backends.cuda_backend import CudaBackend  # which derives from the one below

    return CudaBackend(model, device)


class TorchBackend:
    """Any model on any device, batch by batch; in the device's fast format unless told `dtype`."""

    name = "torch"

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
        self._process = os.getpid()

    def plan(self, lengths: Lengths, budget: int) -> Iterator[Rows]:
        return plan_batches(lengths, budget, MOST_PADDING)

    def forward(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Output]]:
        self.check_process()
        for batch in batches:
            padded = pad(batch.sequences)
            with torch.inference_mode():
                ids, mask = (torch.from_numpy(array).to(self.device) for array in padded)
                both = self.model.encoder.last_two(ids, mask)
                before, states = (states.float() for states in both)
                mean, mood = mean_pool(states, mask), None
                if self.model.sentiment:
                    mood = self.model.sentiment(states, mask, mean)
                intent = self.model.intent(mean) if self.model.intent else None
                found = to_output([mean_pool(before, mask), mean, intent, mood], ids.numel())
            yield batch, found

    def check_process(self) -> None:
        """Raise RuntimeError in a process that was forked since: torch's threads, and CUDA, stayed
        with the parent, and it would wait for them for ever."""
        if os.getpid() != self._process:
            raise RuntimeError(
                "this model was loaded before the process was forked, and torch does not work in "
                "both: load it in the process that uses it, or start that with spawn instead of "
                "fork"
            )


def to_output(tensors: Sequence[Tensor | None], tokens: int) -> Output:
    """The parts of an `Output`, in its order, as arrays."""
    before, mean, intent, sentiment = (
        None if tensor is None else _array(tensor) for tensor in tensors
    )
    assert before is not None and mean is not None  # noqa: S101, PT018 (always computed)
    return Output((before, mean), intent, sentiment, tokens)


def _array(tensor: Tensor) -> Float32:
    array: Float32 = tensor.cpu().numpy()
    return array
