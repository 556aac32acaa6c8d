"""What a GPU classifies: texts a second, tokenising included, beside what it could do.

    python benchmarks/gpu.py [--data FILE] [--base NAME] [--texts 100000] [--rounds 5] [--json]

The base (default: the packaged MiniLM) gets heads of random numbers, which cost the same as trained
ones. Measured in turn, round by round, the medians given:

    scores          texts to calibrated probabilities as arrays: for bulk work
    predictions     texts to `Prediction` objects, with scope and neighbours: what a worker does
    pipeline        transformers' pipeline on the same GPU in batches of 256, fp32 as it comes, bf16
    model alone     the captured graphs again, nothing copied or tokenised: the ceiling of this code
    tokenising alone, and a large matrix product in bf16: what the parts could do
"""

from __future__ import annotations

# Before torch: it sets how torch's threads wait.
from classifier import threads  # noqa: F401

# isort: split

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import circumstances
from benchmarks.engine import INTENTS, ROOT, made
from classifier import artifact
from classifier.backends.cuda_backend import CudaBackend, Shape, lay_out
from classifier.base import DEFAULT_BASE
from classifier.data import read_examples
from classifier.engine import Classifier, _Count
from classifier.tokenising import tokenise

MEMORY = 1540
"""Texts that the model remembers as its neighbours."""
ALONE = 300
PREDICTED = 16_384
PIPELINE_TEXTS = 4096
PIPELINE_BATCH = 256
SIZE = 8192


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT / "packs/retail/examples.jsonl")
    parser.add_argument("--base", default=DEFAULT_BASE)
    parser.add_argument("--texts", type=int, default=100_000, help="repeated where there are fewer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("benchmarks/gpu.py needs a CUDA device; torch sees none here")
    known = [example.text for example in read_examples(arguments.data, labelled=False)]
    texts = (known * -(-arguments.texts // len(known)))[: arguments.texts]
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        artifact.save(model, made(known[:MEMORY], arguments.base), {"version": "benchmark"})
        found = measure(model, texts, arguments.rounds)
    found |= {"texts": len(texts), "rounds": arguments.rounds} | circumstances("tokenizers")
    print(json.dumps(found, indent=2) if arguments.json else table(found))


def measure(model: Path, texts: list[str], rounds: int) -> dict[str, Any]:
    began = time.perf_counter()
    ours = Classifier.load(model, "cuda")
    ours(texts[:1])
    start_s = time.perf_counter() - began
    backend = ours.backend
    assert isinstance(backend, CudaBackend)
    sample = texts[:PIPELINE_TEXTS]
    contestants: dict[str, tuple[Callable[[list[str]], Any], list[str]]] = {
        "scores": (ours.scores, texts),
        "predictions": (ours, texts[:PREDICTED]),
        "pipeline_fp32": (pipeline(model, torch.float32), sample),
        "pipeline_bf16": (pipeline(model, torch.bfloat16), sample),
        "tokenising": (lambda own: tokenise(ours._tokenizer, own), texts),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, (run, own) in contestants.items():
            spent = timed(run, own) / len(own)
            if number:  # the first round warms up, and captures the graphs
                seconds[name].append(spent)
    rates = {name: 1 / statistics.median(spent) for name, spent in seconds.items()}
    ours.scores(texts)
    timings, shapes = ours.timings, shapes_of(ours, texts)
    alone = [1000 * timed(ours, [text]) for text in [*texts[:ALONE], *texts[:ALONE]]][ALONE:]
    return {
        "texts_per_s": round(rates["scores"]),
        "predictions_per_s": round(rates["predictions"]),
        "ratio_to_pipeline": round(rates["predictions"] / rates["pipeline_fp32"], 2),
        "ratio_to_pipeline_bf16": round(rates["predictions"] / rates["pipeline_bf16"], 2),
        "pipeline_per_s": round(rates["pipeline_fp32"]),
        "pipeline_bf16_per_s": round(rates["pipeline_bf16"]),
        "tokenising_per_s": round(rates["tokenising"]),
        "model_alone_per_s": round(len(texts) / replay(backend, shapes)),
        "mean_tokens": round(timings.tokens / timings.texts, 2),
        "padded_to_tokens": round(timings.padded_tokens / timings.tokens, 2),
        "waited_for_tokens": round(timings.tokenise_s / (timings.tokenise_s + timings.model_s), 2),
        "graphs": len(backend._graphs),
        "one_text_p50_ms": round(float(np.percentile(alone, 50)), 3),
        "one_text_p99_ms": round(float(np.percentile(alone, 99)), 3),
        "start_s": round(start_s, 2),
        "product_tflop_per_s": round(product_rate() / 1e12),
        "gpu_memory_mb": round(torch.cuda.max_memory_allocated() / 2**20),
        "gpu_reserved_mb": round(torch.cuda.max_memory_reserved() / 2**20),
        "process_memory_mb": round(resident_mb()),
    }


def shapes_of(ours: Classifier, texts: Sequence[str]) -> list[Shape]:
    """Those of the graphs that a call with these texts replays."""
    return [lay_out(batch.sequences)[0] for batch in ours._batches(texts, _Count())]


def replay(backend: CudaBackend, shapes: Sequence[Shape]) -> float:
    """Seconds that the shapes' graphs take, one after the other."""
    captured = [backend._graphs[shape] for shape in shapes]
    torch.cuda.synchronize()
    begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begun.record()
    for one in captured:
        assert one.graph is not None
        one.graph.replay()
    ended.record()
    torch.cuda.synchronize()
    return begun.elapsed_time(ended) / 1000


def pipeline(model: Path, dtype: torch.dtype) -> Callable[[list[str]], Any]:
    from transformers import BertForSequenceClassification, PreTrainedTokenizerFast
    from transformers import pipeline as transformers_pipeline
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(model / "tokenizer.json"),
        pad_token="[PAD]",  # noqa: S106 (no secret)
        model_max_length=512,
    )
    # Unless told so, the pipeline turns the tokenizers' threads off in the whole process, ours too.
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    piped = transformers_pipeline(
        "text-classification",
        model=BertForSequenceClassification.from_pretrained(
            model, num_labels=INTENTS, dtype=dtype
        ).eval(),
        tokenizer=tokenizer,
        device="cuda:0",
    )
    return lambda texts: piped(texts, batch_size=PIPELINE_BATCH)


def product_rate() -> float:
    """Operations per second of a large product in bf16, on random numbers."""
    left, right = (torch.randn(SIZE, SIZE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        left @ right
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(20):
        left @ right
    torch.cuda.synchronize()
    return 20 * 2 * SIZE**3 / (time.perf_counter() - began)


def resident_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def timed(run: Callable[[Any], Any], argument: Any) -> float:
    began = time.perf_counter()
    run(argument)
    torch.cuda.synchronize()
    return time.perf_counter() - began


def table(found: dict[str, Any]) -> str:
    machine = found["machine"]
    return "\n".join(
        [
            f"{machine['gpu']}, {machine['cores']} cores, load {os.getloadavg()[0]:.1f}",
            *(f"{name:24} {value}" for name, value in found.items() if not isinstance(value, dict)),
        ]
    )


if __name__ == "__main__":
    main()
