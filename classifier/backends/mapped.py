"""A safetensors file's tensors as views into the mapped file.

The word embeddings are more than half of a small BERT, and a batch reads a few hundred rows of
them. Mapped, only the pages that are touched take memory, and processes share them.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from classifier.arrays import Float32


def map_tensors(path: Path) -> dict[str, Float32]:
    """All float32 tensors of the file, read-only, by name. Raises ValueError for a broken header.

    The format is eight bytes of length, a JSON header, then the data. The file must not be
    changed while the views live.
    """
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        if start > path.stat().st_size:
            raise ValueError(f"{path.name}: is no safetensors file")
        header = json.loads(file.read(start - 8))
    data = np.memmap(path, dtype=np.uint8, mode="r", offset=0)
    tensors: dict[str, Float32] = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            if end - begin != 4 * math.prod(entry["shape"]):
                raise ValueError(f"{path.name}: {name} does not have the length of its shape")
            view = data[start + begin : start + end].view(np.float32)
            tensors[name] = view.reshape(entry["shape"])
    return tensors
