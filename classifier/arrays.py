"""The arrays that the package passes around, by what stands in them; shapes are in docstrings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Indices = NDArray[np.int64]
Bools = NDArray[np.bool_]


def unit_rows(states: Float32) -> Float32:
    """Each row (rows, hidden) at length 1; one of zeros stays as it is."""
    rows: Float32 = states / np.maximum(np.linalg.norm(states, axis=1, keepdims=True), 1e-9)
    return rows
