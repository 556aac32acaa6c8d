"""The encoder as an int8 ONNX graph, built operator by operator from its weights.

Written out rather than exported and then optimised, because the encoder is fixed and what is fast
on a CPU is known operator by operator (240 tokens on one core): onnxruntime's fused
SkipLayerNormalization takes 458 µs where Add and LayerNormalization take 70, and QAttention does
the work of nine operators.

Every product is of int8 weights, one scale per output, with uint8 inputs of a fixed range
(Jacob et al. 2018). A fixed range saves a pass over the inputs, and makes a text's result
independent of the texts in its batch. Some channels of a BERT's states are twenty times as large as
the others, which would leave the rest few steps; so inputs are divided by a factor per channel, and
the weights multiplied by it (SmoothQuant, Xiao et al. 2023). One or two channels of what enters
`down` are so large that this doesn't help: these stay in fp32 (LLM.int8(), Dettmers et al. 2022).
The word embeddings stay out of the graph: a table look-up gains nothing from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from classifier.arrays import Float32, Indices
from classifier.backends.ranges import Range
from classifier.bert import BertShape

MICROSOFT = "com.microsoft"
OPSET = 21
IR_VERSION = 10
"""Older than what onnxruntime knows, so that a somewhat older one loads the file too."""

SMOOTHING = {"qkv": 0.85, "mix": 0.85, "up": 0.6, "down": 0.65}
"""How much of the inputs' unevenness moves to the weights, between 0 and 1, for each product."""
IN_FP32 = 2
"""Channels of `down` that stay in fp32. More of them bring little, and the same for `up` takes a
tenth of the whole time (docs/classifier.md has the figures)."""


def build(
    weights: Mapping[str, Float32], shape: BertShape, ranges: Mapping[str, Range], steps: int
) -> ModelProto:
    """The graph of an encoder.

    `weights` is the state of a `BertEncoder` as arrays, `ranges` has what enters the products
    qkv, mix, up and down of each layer, by names such as `layers.0.qkv`. The weights are rounded to
    so many `steps` on either side of 0 (`classifier.backends.steps`).

    Inputs: `x` (texts, tokens, hidden) float32, the summed embeddings before their norm; `mask`
    (texts, tokens) int32, 1 where a token is no padding. Outputs: `before`
    and `states` (texts, tokens, hidden), the hidden states of the last layer but one and of the
    last.
    """
    graph = _Graph(weights, ranges, shape.layer_norm_eps, steps)
    before = x = graph.norm("x", "norm")
    for number in range(shape.num_hidden_layers):
        before, x = x, graph.layer(x, f"layers.{number}", shape.num_attention_heads)
    graph.add("Identity", [before], output="before")
    graph.add("Identity", [x], output="states")
    grid: list[str | int | None] = ["texts", "tokens"]
    states = [*grid, shape.hidden_size]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "encoder",
            [
                helper.make_tensor_value_info("x", TensorProto.FLOAT, states),
                helper.make_tensor_value_info("mask", TensorProto.INT32, grid),
            ],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, states)
                for name in ("before", "states")
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)],
        producer_name="frontdesk",
    )
    model.ir_version = IR_VERSION
    return model


class _Graph:
    def __init__(
        self,
        weights: Mapping[str, Float32],
        ranges: Mapping[str, Range],
        epsilon: float,
        steps: int,
    ) -> None:
        self.weights, self.ranges, self.epsilon, self.steps = weights, ranges, epsilon, steps
        self.nodes: list[Any] = []
        self.constants: list[TensorProto] = []

    def layer(self, x: str, name: str, heads: int) -> str:
        mixed = self.attention(x, name, heads)
        x = self.norm(self.add("Add", [self.product(mixed, f"{name}.mix"), x]), f"{name}.mix_norm")
        # The tanh form of GELU is off by less than 0.0005, far less than the rounding to int8.
        up = self.add("Gelu", [self.product(x, f"{name}.up")], approximate="tanh")
        down = self.product(self.smooth(up, f"{name}.down"), f"{name}.down")
        down = self.add("Add", [down, self.apart(up, f"{name}.down")])
        return self.norm(self.add("Add", [down, x]), f"{name}.down_norm")

    def attention(self, x: str, name: str, heads: int) -> str:
        """The three products of query, key and value, and the attention, in one operator."""
        qkv = f"{name}.qkv"
        weight, bias = self.weights[f"{qkv}.weight"].T.copy(), self.weights[f"{qkv}.bias"].copy()
        # What comes out of attention is a mean of values: its smoothing costs nothing if the values
        # are already divided.
        hidden = weight.shape[0]
        factors = self.factors(f"{name}.mix")
        weight[:, 2 * hidden :] /= factors
        bias[2 * hidden :] /= factors
        quantised, weight_scale = _quantise(weight * self.factors(qkv)[:, None], self.steps)
        scale, zero = self.input_scale(qkv)
        inputs = self.add("QuantizeLinear", [self.smooth(x, qkv), scale, zero])
        return self.add(
            "QAttention",
            [
                inputs,
                self.constant(quantised),
                self.constant(bias),
                scale,
                self.constant(weight_scale),
                "mask",
                zero,
                self.constant(np.zeros(len(weight_scale), dtype=np.int8)),
            ],
            domain=MICROSOFT,
            num_heads=heads,
        )

    def product(self, x: str, name: str) -> str:
        """A linear layer in int8; `down` and `mix` take inputs that are already smoothed."""
        weight = self.weights[f"{name}.weight"].T * self.factors(name)[:, None]
        weight[self.outliers(name)] = 0
        quantised, weight_scale = _quantise(weight, self.steps)
        scale, zero = self.input_scale(name)
        if name.endswith(".up"):
            x = self.smooth(x, name)
        return self.add(
            "MatMulIntegerToFloat",
            [
                self.add("QuantizeLinear", [x, scale, zero]),
                self.constant(quantised),
                scale,
                self.constant(weight_scale),
                zero,
                self.constant(np.zeros(len(weight_scale), dtype=np.int8)),
                self.constant(self.weights[f"{name}.bias"]),
            ],
            domain=MICROSOFT,
        )

    def apart(self, x: str, name: str) -> str:
        """What the outliers add to a product, in fp32."""
        outliers = self.outliers(name)
        weight = self.weights[f"{name}.weight"].T[outliers]
        inputs = self.add("Gather", [x, self.constant(outliers)], axis=-1)
        return self.add("MatMul", [inputs, self.constant(weight)])

    def outliers(self, name: str) -> Indices:
        """The channels of a product's inputs that stay in fp32, in order."""
        if not name.endswith(".down"):
            return np.array([], dtype=np.int64)
        inputs, weights = self.reach(name)
        return np.sort(np.argsort(-inputs * weights)[:IN_FP32])

    def smooth(self, x: str, name: str) -> str:
        return self.add("Mul", [x, self.constant(self.shrink(name))])

    def shrink(self, name: str) -> Float32:
        """What each input channel is multiplied by before it is rounded; outliers vanish."""
        shrink = (1 / self.factors(name)).astype(np.float32)
        shrink[self.outliers(name)] = 0
        return shrink

    def factors(self, name: str) -> Float32:
        """What each input channel is divided by, around 1."""
        share = SMOOTHING[name.rpartition(".")[2]]
        inputs, weights = self.reach(name)
        logs = share * np.log(inputs) - (1 - share) * np.log(weights)
        factors: Float32 = np.exp(logs - logs.mean()).astype(np.float32)
        return factors

    def reach(self, name: str) -> tuple[Float32, Float32]:
        """The largest absolute (input, weight) of each input channel of a product."""
        reach = self.ranges[name]
        inputs = np.maximum(np.maximum(np.abs(reach.low), np.abs(reach.high)), 1e-6)
        return inputs, np.maximum(np.abs(self.weights[f"{name}.weight"]).max(axis=0), 1e-6)

    def input_scale(self, name: str) -> tuple[str, str]:
        """(scale, zero point) that map the smoothed inputs' range, 0 included, to 0…255."""
        reach, shrink = self.ranges[name], self.shrink(name)
        low = min(0.0, float((reach.low * shrink).min()))
        high = max(0.0, float((reach.high * shrink).max()))
        scale = max(high - low, 1e-6) / 255
        zero = np.array(round(-low / scale), dtype=np.uint8)
        return self.constant(np.array(scale, dtype=np.float32)), self.constant(zero)

    def norm(self, x: str, name: str) -> str:
        gain = self.constant(self.weights[f"{name}.weight"])
        bias = self.constant(self.weights[f"{name}.bias"])
        return self.add("LayerNormalization", [x, gain, bias], axis=-1, epsilon=self.epsilon)

    def constant(self, value: NDArray[Any]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(
        self,
        operator: str,
        inputs: list[str],
        domain: str = "",
        output: str | None = None,
        **attributes: Any,
    ) -> str:
        output = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], domain=domain, **attributes))
        return output


def _quantise(weight: Float32, steps: int) -> tuple[NDArray[np.int8], Float32]:
    """(int8 weight, scale of each output) of a weight (inputs, outputs)."""
    scale = np.maximum(np.abs(weight).max(axis=0), 1e-12) / steps
    return np.rint(weight / scale).astype(np.int8), scale.astype(np.float32)
