"""What only a GPU can show: skipped where there is none.

Where the project's other packages are missing, these run alone:

    python -m pytest -c /dev/null --confcutdir tests/classifier tests/classifier/test_cuda.py
"""

from __future__ import annotations

import copy
import gc
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from classifier.backends.cuda_backend import CudaBackend
from classifier.backends.torch_backend import TorchBackend
from classifier.base import find_base, load_tokenizer
from classifier.bert import BertEncoder
from classifier.data import Example
from classifier.devices import free_memory, out_of_memory
from classifier.engine import Classifier
from classifier.fitting import fit
from classifier.model import TwoHeadedBert
from classifier.training import train_to_directory
from classifier.vocabulary import Labels
from tests.classifier.tiny import TINY, arrays, make_batch, make_examples

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
GPU = torch.device("cuda:0")


def texts_of_all_lengths(seed: int, count: int) -> list[list[int]]:
    rng = random.Random(seed)
    return [[2, *rng.choices(range(5, 50), k=rng.randrange(1, 30)), 3] for _ in range(count)]


def test_captured_graphs_give_each_text_its_own_results_run_after_run(
    model: TwoHeadedBert,
) -> None:
    expected = TorchBackend(model, torch.device("cpu"), torch.float32)
    sequences = texts_of_all_lengths(1, 300)
    parts = [sequences[at : at + size] for size in (1, 3, 40, 100) for at in range(0, 300, size)]
    batches = [make_batch(*part) for part in parts]
    alone = [arrays(output) for _, output in expected.forward(batches)]
    backend = CudaBackend(model, GPU)
    for _ in range(2):  # at first they are captured, then replayed
        for (_, output), theirs in zip(backend.forward(batches), alone, strict=True):
            for mine, exact in zip(arrays(output), theirs, strict=True):
                assert mine.shape == exact.shape
                assert np.allclose(mine, exact, atol=0.1)


def test_a_text_longer_than_any_graph_is_computed_too(model: TwoHeadedBert) -> None:
    shape = replace(model.encoder.shape, max_position_embeddings=1024)
    long = TwoHeadedBert(BertEncoder(shape), Labels(("a", "b"), ("negative", "positive")))
    sequences = [[2, *[7] * length, 3] for length in (150, 300, 500, 600, 700)]
    batches = [make_batch(sequence) for sequence in sequences]
    expected = TorchBackend(copy.deepcopy(long), torch.device("cpu"), torch.float32)
    alone = [arrays(output) for _, output in expected.forward(batches)]
    backend = CudaBackend(long, GPU)
    for (_, output), theirs in zip(backend.forward(batches), alone, strict=True):
        for mine, exact in zip(arrays(output), theirs, strict=True):
            assert np.allclose(mine, exact, atol=0.1)
    assert sorted(shape.width for shape in backend._graphs) == [256, 512]


def test_a_gpu_without_room_says_so_and_serves_again_when_there_is_some(
    trained: Any,
) -> None:
    classifier = Classifier.load(trained[0], "cuda")
    texts = [example.text for example in make_examples(seed=3, each=20)] * 200
    few = texts[:50]
    before = classifier(few)
    gc.collect()
    free_memory()
    total = torch.cuda.get_device_properties(GPU).total_memory
    torch.cuda.set_per_process_memory_fraction(
        (torch.cuda.memory_reserved() + 2_000_000) / total, GPU
    )
    try:
        with pytest.raises(Exception) as caught:  # noqa: PT011 (which one is what is asked)
            classifier(texts)
        assert out_of_memory(caught.value)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, GPU)
    del caught
    free_memory()
    assert [p.intent and p.intent.name for p in classifier(few)] == [
        p.intent and p.intent.name for p in before
    ]
    assert len(classifier(texts)) == len(texts)


def test_training_on_a_gpu_repeats_exactly(tiny_base: Path) -> None:
    base = find_base(str(tiny_base))
    tokenizer = load_tokenizer(base)
    examples: list[Example] = make_examples()
    intents = sorted({e.intent for e in examples if e.intent})
    labels = Labels(tuple(intents), ("negative", "neutral", "positive"))
    recipe = replace(TINY, dropout=0.1, contrast=1.0, views=2, epochs=2, radius=0.05)
    recipe = recipe.settle(len(examples), len(intents), 128)
    first, second = (
        fit(examples, labels, base, tokenizer, recipe, GPU, lambda *_: None).tensors()
        for _ in range(2)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_model_trained_on_a_gpu_says_the_same_there_and_on_the_cpu(
    tiny_base: Path, tmp_path: Path
) -> None:
    out = tmp_path / "trained"
    metrics = train_to_directory(
        make_examples(), out, base=str(tiny_base), recipe=TINY, device="cuda"
    )
    assert metrics["validation"]["accuracy"] > 0.5
    texts = [example.text for example in make_examples(seed=9, each=5)]
    there, here = (Classifier.load(out, device)(texts) for device in ("cuda", "cpu"))
    agreed = [
        mine.intent.name == theirs.intent.name
        for mine, theirs in zip(there, here, strict=True)
        if mine.intent and theirs.intent
    ]
    assert len(agreed) == len(texts)
    assert np.mean(agreed) > 0.95
