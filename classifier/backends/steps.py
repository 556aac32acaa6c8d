"""How far int8 weights may go on this processor without saturating."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from onnx import TensorProto, helper, numpy_helper

FULL = 127
SAFE = 64
"""Two inputs of at most 255, each times that, and their sum fits into 16 bits."""
INPUTS = 64


@cache
def weight_steps() -> int:
    """`FULL`, or `SAFE` where the processor adds pairs of products in 16 bits that saturate.

    So do those without VNNI (x86 before about 2020, and some servers since). It is asked with a
    product that would. What was made with `SAFE` gives the same everywhere.
    """
    weight = np.full((INPUTS, INPUTS), FULL, dtype=np.int8)
    zero = np.array(0, dtype=np.uint8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "weight", "zero"], ["y"])],
        "pairs",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, INPUTS])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [1, INPUTS])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(zero, "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {"x": np.full((1, INPUTS), 255, dtype=np.uint8)})
    return FULL if (found == INPUTS * 255 * FULL).all() else SAFE
