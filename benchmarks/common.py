"""What the training benchmarks share: the article's recipe, and what was measured where."""

from __future__ import annotations

from classifier import threads  # noqa: F401 (before torch: OpenMP reads its setting only once)

# isort: split

import importlib.util
import os
import platform
import random
import subprocess
from collections.abc import Callable, Collection, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812 (its customary name)
from torch.utils.data import DataLoader, TensorDataset
from transformers import AutoTokenizer, BertForSequenceClassification

from classifier.data import DataError, Example
from classifier.folds import folds

ROOT = Path(__file__).resolve().parents[1]
FIFTHS = 5
ARTICLE_LENGTH = 128
ARTICLE_BATCH = 16
ARTICLE_RATE = 2e-5

Probabilities = NDArray[np.float64]
"""(texts, labels), each row adds up to 1."""
Asked = Callable[[Sequence[str]], Probabilities]
"""A trained model: texts in, probabilities out."""


def need(*modules: str) -> None:
    """Exit with a sentence where a package of the `bench` extra is missing: now, not in an hour."""
    if missing := absent(*modules):
        raise SystemExit(f"{', '.join(missing)}: not installed; pip install -e '.[bench]'")


def absent(*modules: str) -> list[str]:
    """Which of these modules are not installed."""
    return [name for name in modules if importlib.util.find_spec(name) is None]


def quiet() -> None:
    """Keep transformers from reporting what it loads; its warnings are about the new head."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def circumstances(*packages: str) -> dict[str, Any]:
    """`machine`, `versions` (of Python, torch, transformers and `packages`) and `commit`."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpu": gpu,
            "load_before": os.getloadavg()[0],
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "transformers", *packages)},
        },
        "commit": _commit(),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _commit() -> str | None:
    """Of the working tree, with `-dirty` where it has changes; None outside a clone."""
    try:
        found = subprocess.run(
            ["git", "--no-optional-locks", "describe", "--always", "--dirty", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def hold_out(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """(to train on, to be asked): one fifth of each label is held out, always the same one."""
    asked = set(folds(examples, FIFTHS)[0])
    kept = [example for row, example in enumerate(examples) if row not in asked]
    return kept, [examples[row] for row in sorted(asked)]


def drawn(examples: Sequence[Example], count: int | None) -> list[Example]:
    """`count` of the examples, always the same ones; all of them for None."""
    if count is None:
        return list(examples)
    if not 0 < count <= len(examples):
        raise DataError(f"--examples {count}: there are {len(examples)} to train on")
    return random.Random(1).sample(list(examples), count)


def train_article(
    texts: Sequence[str],
    truth: Sequence[int],
    labels: int,
    base: Path,
    device: torch.device,
    epochs: int,
    seed: int = 1,
    step: Callable[[], None] = lambda: None,
) -> Asked:
    """The article's recipe, as tutorials have it: every text padded to 128 tokens, AdamW at 2e-5,
    batches of 16, fp32, a plain loop without a schedule.

    `truth` has the texts' label indices; `step` is called after each step.
    """
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = new_bert(base, labels).to(device).train()
    found = tokenizer(
        list(texts),
        padding="max_length",
        max_length=ARTICLE_LENGTH,
        truncation=True,
        return_tensors="pt",
    )
    rows = TensorDataset(found["input_ids"], found["attention_mask"], torch.tensor(truth))
    optimizer = torch.optim.AdamW(model.parameters(), lr=ARTICLE_RATE)
    for _ in range(epochs):
        for ids, mask, wanted in DataLoader(rows, ARTICLE_BATCH, shuffle=True):
            optimizer.zero_grad()
            output = model(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                labels=wanted.to(device),
            )
            output.loss.backward()
            optimizer.step()
            step()
    return asking(model, tokenizer)


def new_bert(base: Path, labels: int) -> BertForSequenceClassification:
    """The base in fp32 under transformers' classification head."""
    return BertForSequenceClassification.from_pretrained(
        base, num_labels=labels, dtype=torch.float32
    )


def asking(model: BertForSequenceClassification, tokenizer: Any) -> Asked:
    """A model of transformers as a function; not timed, so padded to the longest only."""

    def ask(texts: Sequence[str]) -> Probabilities:
        model.eval()
        found = []
        for start in range(0, len(texts), 64):
            batch = tokenizer(
                list(texts[start : start + 64]),
                padding=True,
                truncation=True,
                max_length=ARTICLE_LENGTH,
                return_tensors="pt",
            ).to(model.device)
            with torch.inference_mode():
                found.append(F.softmax(model(**batch).logits.double(), dim=-1).cpu().numpy())
        return np.concatenate(found)

    return ask


def indices(names: Sequence[str], labels: Collection[str]) -> list[int]:
    """Each name's place in `labels`."""
    place = {label: number for number, label in enumerate(labels)}
    return [place[name] for name in names]
