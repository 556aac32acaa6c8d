"""Which processor, and which number format runs fastest on it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

GPU_FILES = ("/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/dxg", "/dev/kfd")
"""One of them is there where torch could use a GPU: NVIDIA's, a Jetson's, in WSL, AMD's."""


def find_device(name: str | torch.device = "auto") -> str:
    """`cpu` or `cuda:N`, for a setting `auto`, `cpu`, `cuda` or `cuda:N`, or torch's own device.

    `auto` is the first CUDA device where there is one, else the CPU. Torch is imported only
    where a GPU is in question. Raises ValueError for another setting, or for a CUDA device
    that is not there.
    """
    if not isinstance(name, str):
        name = "cpu" if name.type == "cpu" else str(name)  # to torch `cpu:0` is the CPU, too
    if name == "auto":
        if not any(Path(file).exists() for file in GPU_FILES):
            return "cpu"
        try:
            import torch
        except ImportError:
            return "cpu"
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind not in {"cpu", "cuda"} or (index and not (kind == "cuda" and index.isdecimal())):
        raise ValueError(f"the device is {name!r}; it must be auto, cpu, cuda or cuda:N")
    if kind == "cpu":
        return "cpu"
    import torch

    if int(index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"the device is {name!r}, but torch sees {torch.cuda.device_count()} CUDA devices "
            "here; use auto or cpu, or install the CUDA build of torch"
        )
    return f"cuda:{int(index or 0)}"


def pick_device(name: str | torch.device = "auto") -> torch.device:
    """As `find_device`, as torch's own kind of thing."""
    import torch

    return torch.device(find_device(name))


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the device multiplies it in hardware, else float32.

    Decided by the processor's features and not by a stopwatch, so that the same machine always
    computes the same numbers. Where a CPU has AVX512-BF16 or AMX, bf16 was 2.8 times as fast as
    fp32; where it has neither, torch emulates it and is slower.
    """
    import torch

    if device.type == "cuda":
        # `is_bf16_supported` says yes to cards that emulate it, which is slower than float32.
        capable = torch.version.hip or torch.cuda.get_device_properties(device).major >= 8
        return torch.bfloat16 if capable else torch.float32
    features = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    # Private names of torch: where they are gone, the slower format is still right.
    if any(getattr(torch.cpu, name, lambda: False)() for name in features):
        return torch.bfloat16
    return torch.float32


def out_of_memory(error: BaseException) -> bool:
    """Whether a device had no room for what it was to compute. Does not import torch."""
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    if isinstance(error, torch.OutOfMemoryError):
        return True
    # What is not allocated by torch itself: CUDA's own word, and cuBLAS's.
    return _of_device(error) and any(
        word in str(error) for word in ("out of memory", "ALLOC_FAILED")
    )


_STICKY = (
    "illegal memory access",
    "illegal address",
    "illegal instruction",
    "misaligned address",
    "device-side assert",
    "launch failure",
    "launch timed out",
    "hardware stack error",
    "uncorrectable",
    "unknown error",
    "device is lost",
    "fallen off",
    "EXECUTION_FAILED",
)
"""Words of the errors after which CUDA answers every call of a process with the same error."""


def device_broke(error: BaseException) -> bool:
    """Whether a GPU failed for the rest of this process: an illegal access, an assertion in a
    kernel, a lost device.

    Only a new process can use the device again, if anybody can. Other errors of CUDA, such as a
    call that it refuses, are errors of that call alone. Does not import torch.
    """
    return _of_device(error) and any(word in str(error) for word in _STICKY)


def _of_device(error: BaseException) -> bool:
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(error, RuntimeError):
        return False
    # Libraries on top of CUDA, such as cuBLAS, are told by the words alone.
    return isinstance(error, torch.AcceleratorError) or str(error).startswith("CUDA error")


def free_memory() -> None:
    """Give back what torch keeps of a device's memory for later."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
