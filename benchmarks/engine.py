"""The serving engines beside transformers' pipeline and the article's loop.

    python benchmarks/engine.py [--data FILE] [--model DIRECTORY] [--rounds 5] [--json]

All classify the same texts on the CPU, in turn, round by round, and the medians are compared: the
ratios mean something on a shared machine, the times do not. Our figures are of whole calls,
tokenising and `Prediction` objects included.

With `--model` the model's own int8 file is measured, where it has one. Without, the packaged MiniLM
gets heads of random numbers, which costs the same as a trained one; its labels then have no
margins, so the gate of the export is left aside. The pipeline has the same encoder. Default texts:
the examples of the retail pack.
"""

from __future__ import annotations

# Before torch: it sets how torch's threads wait.
from classifier import threads  # isort: split

import argparse
import copy
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch

from classifier import artifact
from classifier.backends.torch_backend import TorchBackend
from classifier.base import DEFAULT_BASE, find_base, load_encoder, load_tokenizer
from classifier.bert import BertEncoder, BertShape
from classifier.calibration import Calibration
from classifier.data import Example, read_examples
from classifier.engine import INT8, Classifier
from classifier.held_out import remember
from classifier.model import TwoHeadedBert
from classifier.scope import Scope
from classifier.tokenising import tokenise
from classifier.vocabulary import Labels

ROOT = Path(__file__).resolve().parents[1]
INTENTS = 77
PIPELINE_TEXTS = 256
ARTICLE_TEXTS = 64
ARTICLE_BATCH = 16
START = """
import json, sys, time
import workers.inference
from classifier import Classifier
Classifier.load(sys.argv[1], "cpu")(["where is my parcel"])
first = time.time()
status = dict(line.split(":", 1) for line in open("/proc/self/status") if line.startswith("VmRSS"))
print(json.dumps({"at": first, "rss_mb": int(status["VmRSS"].split()[0]) / 1024}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT / "packs/retail/examples.jsonl")
    parser.add_argument("--model", type=Path, help="a trained model directory (default: made)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    arguments = parser.parse_args()
    torch.set_num_threads(threads.count_threads())
    texts = [e.text for e in read_examples(arguments.data, labelled=False)][:1540]
    with tempfile.TemporaryDirectory() as folder:
        plain, int8, agreement = directories(arguments.model, texts, Path(folder))
        found = measure(plain, int8, texts, arguments.rounds)
    found |= {
        "agreement": agreement,
        "data": str(arguments.data),
        "texts": len(texts),
        "rounds": arguments.rounds,
        "cores": threads.count_threads(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        print(table(found))


def directories(
    source: Path | None, texts: Sequence[str], folder: Path
) -> tuple[Path, Path, dict[str, Any]]:
    """(model directory without int8, the same with it, the export's report)."""
    from classifier import agreement, export

    plain, int8 = folder / "plain", folder / "int8"
    onnx: bytes | None = None
    if source is None:
        # Heads of random numbers: nearly every text is near a border, and no label says anything.
        agreement.LEAST_AGREEMENT, agreement.MOST_DRIFT = 0.0, 1.0
        files = made(texts)
    else:
        manifest = artifact.verify(source)
        files = {name: (source / name).read_bytes() for name in manifest["files"]}
        # What serves is what is measured; on other texts than its own the gate might refuse it.
        onnx = files.pop(INT8, None)
    artifact.save(plain, files, {"version": "benchmark"})
    told = json.loads(files["metrics.json"]).get("int8", {})
    if onnx is None:
        model = read_model(plain)
        report = export.export_int8(model, Classifier.load(plain, "cpu")._tokenizer, texts, texts)
        if report.onnx is None:
            raise SystemExit(f"there is no int8 engine to measure: {report.reason}")
        onnx, told = report.onnx, report.as_dict()
    artifact.save(int8, files | {INT8: onnx}, {"version": "benchmark"})
    return plain, int8, {"of_a_trained_model": source is not None, **told}


def made(texts: Sequence[str], base_name: str = DEFAULT_BASE) -> dict[str, bytes]:
    """The files of a model with a base's encoder and heads of random numbers."""
    base = find_base(base_name)
    tokenizer = load_tokenizer(base)
    tokenizer.enable_truncation(128)
    names = [f"intent {number}" for number in range(INTENTS)]
    labels = Labels(tuple(names), ("negative", "neutral", "positive"))
    torch.manual_seed(1)
    model = TwoHeadedBert(load_encoder(base, tokenizer, 0.0), labels)
    content = {"intents": labels.intents, "sentiments": labels.sentiments}
    # A memory of its own as a trained one has it, since looking things up there costs time too.
    examples = [Example(text, names[row % INTENTS]) for row, text in enumerate(texts)]
    backend = TorchBackend(copy.deepcopy(model), torch.device("cpu"))
    about = {"version": "benchmark"}
    layers, neighbours = remember(
        Classifier(backend, tokenizer, labels, Calibration(), about), examples
    )
    assert neighbours is not None
    scope = Scope(offset=(0.0,) * len(layers), scale=(1.0,) * len(layers), layers=layers)
    return {
        "config.json": json.dumps(
            base.config | {"vocab_size": model.encoder.shape.vocab_size}
        ).encode(),
        "tokenizer.json": tokenizer.to_str().encode(),
        "model.safetensors": safetensors.torch.save(model.tensors(), {"format": "pt"}),
        "labels.json": json.dumps(content).encode(),
        "calibration.json": json.dumps(
            Calibration().as_dict() | {"scope": scope.as_dict()}
        ).encode(),
        "scope.safetensors": safetensors.numpy.save(scope.as_tensors()),
        "neighbours.jsonl": neighbours.as_lines(),
        "neighbours.safetensors": safetensors.numpy.save(
            {"directions": neighbours.directions.astype(np.float16)}
        ),
        "report.html": b"",
        "metrics.json": b"{}",
        "MODEL_CARD.md": b"",
    }


def read_model(directory: Path) -> TwoHeadedBert:
    config = config_of(directory)
    names = json.loads((directory / "labels.json").read_text())
    labels = Labels(tuple(names["intents"]), tuple(names["sentiments"]))
    model = TwoHeadedBert(BertEncoder(BertShape.from_config(config)), labels)
    model.load_tensors(safetensors.torch.load_file(directory / "model.safetensors"))
    return model.eval()


def measure(plain: Path, int8: Path, texts: Sequence[str], rounds: int) -> dict[str, Any]:
    pipeline, article = transformers_contestants(plain)
    ours = Classifier.load(int8, "cpu")
    assert ours.dtype == "int8"
    fp32 = Classifier.load(plain, "cpu")
    fp32.backend = TorchBackend(read_model(plain), torch.device("cpu"), torch.float32)
    bf16 = Classifier.load(plain, "cpu")
    bf16.backend = TorchBackend(read_model(plain), torch.device("cpu"), torch.bfloat16)
    every = len(texts) // PIPELINE_TEXTS or 1
    # The same texts for all in each ratio: from all over the file, in the file's order.
    sample = list(texts[::every][:PIPELINE_TEXTS])
    contestants: dict[str, tuple[Callable[[list[str]], Any], list[str]]] = {
        "article": (article, sample[:ARTICLE_TEXTS]),
        "pipeline": (pipeline, sample),
        "torch_fp32": (fp32, sample),
        "torch_bf16": (bf16, sample),
        "int8": (ours, list(texts)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, (run, own) in contestants.items():
            spent = timed(run, own) / len(own)
            if number:  # the first round warms up
                seconds[name].append(spent)
    rates = {name: 1 / statistics.median(spent) for name, spent in seconds.items()}
    alone = one_by_one(lambda text: pipeline([text], 1), ours, bf16, sample, rounds)
    started = [start(int8) for _ in range(3)]
    with_torch = [start(plain) for _ in range(3)]
    tokens = float(tokenise(ours._tokenizer, texts).lengths.mean())
    return {
        "texts_per_s": round(rates["int8"], 1),
        "ratio_to_pipeline": round(rates["int8"] / rates["pipeline"], 2),
        "ratio_to_article": round(rates["int8"] / rates["article"], 2),
        **alone,
        "engines_texts_per_s": {name: round(rate, 1) for name, rate in rates.items()},
        "start_s": round(statistics.median(s for s, _ in started), 2),
        "rss_mb": round(statistics.median(mb for _, mb in started)),
        "torch_start_s": round(statistics.median(s for s, _ in with_torch), 2),
        "torch_rss_mb": round(statistics.median(mb for _, mb in with_torch)),
        "mean_tokens": round(tokens, 2),
        "ceiling": ceiling(BertShape.from_config(config_of(plain)), tokens, rates),
    }


def transformers_contestants(
    plain: Path,
) -> tuple[Callable[..., Any], Callable[[list[str]], Any]]:
    """(the pipeline, the article's loop) over one model with our encoder."""
    from transformers import BertForSequenceClassification, PreTrainedTokenizerFast, pipeline
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model = BertForSequenceClassification.from_pretrained(plain, num_labels=INTENTS).eval()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(plain / "tokenizer.json"),
        pad_token="[PAD]",  # noqa: S106 (no secret)
        model_max_length=512,
    )
    # Unless told so, the pipeline turns the tokenizers' threads off in the whole process, ours too.
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    piped = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")

    def run(texts: list[str], batch_size: int = 32) -> Any:
        return piped(texts, batch_size=batch_size)

    def article(texts: list[str]) -> list[int]:
        found: list[int] = []
        for at in range(0, len(texts), ARTICLE_BATCH):
            batch = tokenizer(
                texts[at : at + ARTICLE_BATCH],
                padding="max_length",
                truncation=True,
                max_length=128,
                return_tensors="pt",
            )
            with torch.no_grad():
                found += model(**batch).logits.softmax(-1).argmax(-1).tolist()
        return found

    return run, article


def one_by_one(
    pipeline: Callable[[str], Any],
    ours: Classifier,
    bf16: Classifier,
    texts: Sequence[str],
    rounds: int,
) -> dict[str, float]:
    """Latencies of single texts, text by text in turn."""
    runs: dict[str, Callable[[str], Any]] = {
        "pipeline": pipeline,
        "int8": lambda text: ours([text]),
        "bf16": lambda text: bf16([text]),
    }
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for text in list(texts)[: 60 * rounds]:
        for name, run in runs.items():
            run(text)  # what the one before left in the caches is not this one's doing
            spent[name].append(1000 * timed(run, text))
    p50 = {name: float(np.percentile(times, 50)) for name, times in spent.items()}
    p99 = float(np.percentile(spent["int8"], 99))
    return {
        "p50_ms": round(p50["int8"], 3),
        "p99_ms": round(p99, 3),
        "p99_to_p50": round(p99 / p50["int8"], 2),
        "ratio_one_to_pipeline": round(p50["pipeline"] / p50["int8"], 2),
        "pipeline_p50_ms": round(p50["pipeline"], 3),
        "torch_bf16_p50_ms": round(p50["bf16"], 3),
    }


def start(directory: Path) -> tuple[float, float]:
    """(seconds from the start of a worker's process to its first prediction, its MiB then)."""
    began = time.time()
    run = subprocess.run(
        [sys.executable, "-c", START, str(directory)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(run.stdout)
    return told["at"] - began, told["rss_mb"]


def ceiling(shape: BertShape, tokens: float, rates: dict[str, float]) -> dict[str, Any]:
    """What the matrix products alone would allow, at the rate that one of them reaches here."""
    hidden, wide = shape.hidden_size, shape.intermediate_size
    weights = shape.num_hidden_layers * (4 * hidden * hidden + 2 * hidden * wide)
    operations = 2 * weights * tokens
    found = {}
    for name, rate in product_rates(hidden, wide).items():
        allowed = rate / operations
        found[name] = {
            "gop_per_s": round(rate / 1e9),
            "texts_per_s": round(allowed),
            "reached": round(rates[name] / allowed, 2),
        }
    return found


def product_rates(inputs: int, outputs: int, rows: int = 240) -> dict[str, float]:
    """Operations per second of one product (rows, inputs) × (inputs, outputs), by format."""
    x, layer = torch.randn(rows, inputs), torch.nn.Linear(inputs, outputs)
    x16, layer16 = x.bfloat16(), torch.nn.Linear(inputs, outputs).bfloat16()
    session = int8_product(inputs, outputs)
    x8 = {"x": np.random.default_rng(1).integers(0, 256, (rows, inputs)).astype(np.uint8)}
    runs: dict[str, Callable[[], Any]] = {
        "torch_fp32": lambda: layer(x),
        "torch_bf16": lambda: layer16(x16),
        "int8": lambda: session.run(None, x8),
    }
    with torch.inference_mode():
        fastest = {
            name: min(timed(lambda _, run=run: run(), None) for _ in range(200))
            for name, run in runs.items()
        }
    return {name: 2 * rows * inputs * outputs / spent for name, spent in fastest.items()}


def int8_product(inputs: int, outputs: int) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    from classifier.backends.onnx_backend import _session

    weight = np.random.default_rng(2).integers(-127, 128, (inputs, outputs)).astype(np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w", "z"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [None, inputs])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [None, outputs])],
        [
            numpy_helper.from_array(weight, "w"),
            numpy_helper.from_array(np.array(128, dtype=np.uint8), "z"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    return _session(model.SerializeToString())


def timed(run: Callable[[Any], Any], argument: Any) -> float:
    began = time.perf_counter()
    run(argument)
    return time.perf_counter() - began


def config_of(directory: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((directory / "config.json").read_text())
    return config


def table(found: dict[str, Any]) -> str:
    lines = ["| engine | texts/s | to the pipeline | of its ceiling |", "| --- | --- | --- | --- |"]
    rates, ceilings = found["engines_texts_per_s"], found["ceiling"]
    for name, rate in rates.items():
        share = f"{ceilings[name]['reached']:.0%}" if name in ceilings else ""
        lines.append(f"| {name} | {rate:,.0f} | {rate / rates['pipeline']:.1f} × | {share} |")
    rest = {
        name: value
        for name, value in found.items()
        if name not in {"engines_texts_per_s", "ceiling", "agreement"}
    }
    return "\n".join([*lines, "", *(f"{name}: {value}" for name, value in rest.items())])


if __name__ == "__main__":
    main()
