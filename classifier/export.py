"""The int8 file of a trained model, made only where it proves to agree with the fp32 model.

The products' input ranges are measured on training texts, the graph is built with them
(`classifier.backends.onnx_graph`), run by onnxruntime, and compared with torch in fp32
(`classifier.agreement`). A model whose int8 form is not good enough is served without one.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from classifier.agreement import Unread, compare, judge
from classifier.arrays import Float32, Float64
from classifier.backends import Backend, Batch
from classifier.backends.ranges import Range
from classifier.backends.torch_backend import TorchBackend
from classifier.batching import TOKEN_BUDGET, pad, plan_batches
from classifier.bert import BertEncoder
from classifier.data import Example
from classifier.held_out import indices
from classifier.model import TwoHeadedBert
from classifier.tokenising import tokenise
from classifier.vocabulary import Labels

if TYPE_CHECKING:
    from onnx import ModelProto

T = TypeVar("T")

RANGE_TEXTS = 256
VALIDATION_TEXTS = 1000

PRODUCTS = ("qkv", "mix", "up", "down")
ODD_TEXTS = ("", "1234", "🙂🙂", "?!?!?!", "你好，我的包裹在哪里", "xkqz vvv asdf", "a " * 600)
"""What customers also send; their values must lie within the ranges too."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """`onnx` is the content of model.int8.onnx, or None with the `reason`.

    `agreement` is the share of the `texts` validation texts that got the same label from both, for
    each head that the model has, and `drift` the mean absolute change of the first label's
    confidence; both empty where nothing could be compared. `unread` has what int8 changes on texts
    that a model has not read, and is empty where there were none.
    """

    onnx: bytes | None
    reason: str | None
    agreement: Mapping[str, float]
    drift: Mapping[str, float]
    texts: int
    unread: Mapping[str, Unread]

    def as_dict(self) -> dict[str, Any]:
        """For metrics.json: everything but the file."""
        return {
            "exported": self.onnx is not None,
            "reason": self.reason,
            "agreement": {name: round(value, 5) for name, value in self.agreement.items()},
            "drift": {name: round(value, 5) for name, value in self.drift.items()},
            "texts": self.texts,
            "unread": {name: found.as_dict() for name, found in self.unread.items()},
        }


def export_int8(
    model: TwoHeadedBert,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    validation: Sequence[str],
    temperatures: tuple[float, float] = (1.0, 1.0),
    unread: Mapping[str, Unread] | None = None,
) -> ExportReport:
    """Make and judge the int8 file of a trained model.

    `model` must be in fp32, as it is before a `Classifier` is made of it; it is left as it was.
    `texts` are what it was trained on: the input ranges come from `RANGE_TEXTS` of them.
    `validation` are texts of the same kind, on which int8 is compared with fp32; the training
    texts serve for that where there are none. `temperatures` are those of the intents and the
    sentiments, by which confidences are compared. `unread` is what `try_int8` found, by heads. The
    same model and texts give the same bytes on one machine. Raises ValueError for a model that is
    not in fp32.
    """
    unread = unread or {}
    compared = _some(validation or texts, VALIDATION_TEXTS)
    if not compared:
        return _refused("there are no texts to compare on")
    try:
        content, fp32, int8 = _both(model, tokenizer, texts, compared)
    except _NoInt8Error as error:
        return _refused(str(error))
    agreement, drift = compare(fp32, int8, temperatures)
    reason = judge(agreement, drift, unread)
    return ExportReport(
        content if reason is None else None, reason, agreement, drift, len(compared), unread
    )


def try_int8(
    model: TwoHeadedBert,
    tokenizer: Tokenizer,
    labels: Labels,
    kept: Sequence[Example],
    asked: Sequence[Example],
) -> dict[str, Unread]:
    """What int8 changes on `asked`, which a model trained on `kept` has not read, by heads.

    A head without labels is left out, and all are where there is no int8 form. The model is left
    as it was. Raises ValueError for a model that is not in fp32.
    """
    asked = _some(asked, VALIDATION_TEXTS)
    try:
        texts = [example.text for example in kept]
        _, fp32, int8 = _both(model, tokenizer, texts, [example.text for example in asked])
    except _NoInt8Error:
        return {}
    truth = {
        "intent": indices(asked, labels.intents),
        "sentiment": indices(asked, labels.sentiments, sentiment=True),
    }
    found = {name: Unread.of(fp32[name], int8[name], truth[name]) for name in fp32}
    return {name: counts for name, counts in found.items() if counts.texts}


def find_ranges(encoder: BertEncoder, batches: Iterable[Batch]) -> dict[str, Range]:
    """The range of each channel of what enters the encoder's products, by the products' names."""
    lows: dict[str, Tensor] = {}
    highs: dict[str, Tensor] = {}

    def watch(name: str, module: nn.Module) -> RemovableHandle:
        def look(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            low, high = inputs[0].flatten(0, -2).aminmax(dim=0)
            lows[name] = torch.minimum(lows[name], low) if name in lows else low
            highs[name] = torch.maximum(highs[name], high) if name in highs else high

        return module.register_forward_pre_hook(look)

    hooks = [
        watch(f"layers.{number}.{product}", getattr(layer, product))
        for number, layer in enumerate(encoder.layers)
        for product in PRODUCTS
    ]
    try:
        with torch.inference_mode():
            for batch in batches:
                encoder(*(torch.from_numpy(array) for array in pad(batch.sequences)))
    finally:
        for hook in hooks:
            hook.remove()
    return {name: Range(low.numpy(), highs[name].numpy()) for name, low in lows.items()}


class _NoInt8Error(Exception):
    """There is no int8 form; the text is the reason."""


def _both(
    model: TwoHeadedBert, tokenizer: Tokenizer, texts: Sequence[str], asked: Sequence[str]
) -> tuple[bytes, dict[str, Float64], dict[str, Float64]]:
    """(the int8 file, each head's logits of `asked` in fp32, and in int8)."""
    if any(parameter.dtype != torch.float32 for parameter in model.parameters()):
        raise ValueError("the model is not in fp32: export it before a Classifier is made of it")
    try:
        from classifier.backends import onnx_backend, onnx_graph, steps
    except ImportError as error:
        raise _NoInt8Error(f"{error.name} is not installed") from None
    # Of its own, so that the caller's stays on its device and in its mode.
    model = copy.deepcopy(model).to("cpu").eval()
    encoder, tensors = model.encoder, {k: t.numpy() for k, t in model.tensors().items()}
    ranges = find_ranges(encoder, _batches(tokenizer, [*_some(texts, RANGE_TEXTS), *ODD_TEXTS]))
    weights = {name: tensor.numpy() for name, tensor in encoder.state_dict().items()}
    try:
        graph = onnx_graph.build(weights, encoder.shape, ranges, steps.weight_steps())
        probe = onnx_backend.OnnxBackend(_bytes(graph), tensors).probe()
        graph.metadata_props.add(key=onnx_backend.PROBE, value=json.dumps(probe))
        content = _bytes(graph)
        int8 = onnx_backend.OnnxBackend(content, tensors)
        reference = TorchBackend(model, torch.device("cpu"), torch.float32)
        return content, _logits(reference, tokenizer, asked), _logits(int8, tokenizer, asked)
    except Exception as error:  # (onnxruntime's classes derive from Exception alone)
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise _NoInt8Error(reason) from error


def _refused(reason: str) -> ExportReport:
    return ExportReport(None, reason, {}, {}, 0, {})


def _some(values: Sequence[T], count: int) -> list[T]:
    """At most `count` of the values, evenly from all over them."""
    if len(values) <= count:
        return list(values)
    return [values[row * len(values) // count] for row in range(count)]


def _batches(tokenizer: Tokenizer, texts: Sequence[str]) -> Iterator[Batch]:
    """Without any padding, whose values would widen the ranges."""
    sequences = tokenise(tokenizer, texts)
    for rows in plan_batches(sequences.lengths, TOKEN_BUDGET["cpu"], most_padding=0):
        yield Batch(rows, sequences.take(rows))


def _logits(engine: Backend, tokenizer: Tokenizer, texts: Sequence[str]) -> dict[str, Float64]:
    """Each head's logits (texts, labels), by the head's name."""
    parts: dict[str, list[Float32]] = {}
    rows: list[int] = []
    for batch, output in engine.forward(_batches(tokenizer, texts)):
        rows += batch.rows.tolist()
        for name, logits in (("intent", output.intent), ("sentiment", output.sentiment)):
            if logits is not None:
                parts.setdefault(name, []).append(logits)
    order = np.argsort(rows)
    return {name: np.concatenate(part)[order].astype(float) for name, part in parts.items()}


def _bytes(graph: ModelProto) -> bytes:
    content: bytes = graph.SerializeToString(deterministic=True)
    return content
