"""The engine for CUDA, on the CPU and so without graphs."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from classifier.backends import Backend, Batch, Output
from classifier.backends.cuda_backend import (
    WIDTHS,
    CudaBackend,
    Shape,
    encode_rows,
    fit_shape,
    lay_out,
)
from classifier.backends.torch_backend import TorchBackend
from classifier.batching import pad
from classifier.bert import BertEncoder, BertShape
from classifier.model import TwoHeadedBert
from classifier.tokenising import Sequences
from classifier.vocabulary import Labels
from tests.classifier.tiny import arrays, make_batch

CPU = torch.device("cpu")
SEQUENCES = [[2, 9, 11, 40, 3], [2, 3], [2, *range(20, 51), 3], [2, 7, 3]]


def one(backend: Backend, *sequences: list[int]) -> Output:
    [(_, output)] = backend.forward([make_batch(*sequences)])
    return output


def many(seed: int, count: int, longest: int = 60) -> list[list[int]]:
    rng = random.Random(seed)
    return [[2, *rng.choices(range(5, 50), k=rng.randrange(longest - 1)), 3] for _ in range(count)]


def read(shape: Shape, words: np.ndarray) -> list[list[int]]:
    """The texts that were laid out, by what the array says."""
    grid = words[: 3 * shape.rows * shape.width].reshape(3, shape.rows, shape.width)
    ids, slot, position = grid
    texts = []
    for place in words[3 * shape.rows * shape.width :]:
        row, own = divmod(int(place), shape.slots)
        tokens = np.flatnonzero(slot[row] == own)
        assert position[row, tokens].tolist() == list(range(len(tokens)))
        texts.append(ids[row, tokens].tolist())
    return texts


@pytest.mark.parametrize("sequences", [SEQUENCES, many(1, 500), [[2, 3]] * 40, many(2, 30, 400)])
def test_each_text_laid_into_rows_can_be_read_there_whole(sequences: list[list[int]]) -> None:
    shape, words = lay_out(Sequences.of(sequences))
    assert words.shape == (shape.size,)
    assert read(shape, words)[: len(sequences)] == sequences
    slots = words[shape.rows * shape.width :][: shape.rows * shape.width]
    assert (slots >= 0).sum() == sum(map(len, sequences))
    assert slots.max() < shape.slots


def test_texts_share_rows_as_far_as_they_fit() -> None:
    def shape(*lengths: int) -> Shape:
        return lay_out(Sequences.of([[5] * length for length in lengths]))[0]

    assert shape(*[16] * 64) == (8, 128)
    assert shape(65, 65) == (2, 128)
    assert shape(*[3] * 16) == (1, 128)
    assert shape(*[3] * 17) == (2, 128)  # a row has slots for sixteen texts
    assert shape(129, 2) == (1, 256)


def test_rows_are_of_few_shapes() -> None:
    assert fit_shape(1, 1) == (1, 128)
    assert fit_shape(5, 129) == (8, 256)
    assert fit_shape(64, 128) == (64, 128)
    assert fit_shape(65, 17) == (80, 128)
    assert fit_shape(553, 15) == (640, 128)
    assert len({fit_shape(rows, 16) for rows in range(1, 2049)}) < 50
    assert fit_shape(3, WIDTHS[-1] + 1) == (4, WIDTHS[-1] + 1)


def test_a_batch_is_planned_by_its_tokens_longest_texts_first(model: TwoHeadedBert) -> None:
    backend = CudaBackend(model, CPU, capture=False)

    def plan(lengths: list[int], budget: int) -> list[list[int]]:
        return [rows.tolist() for rows in backend.plan(np.array(lengths, dtype=int), budget)]

    assert plan([5, 40, 9, 12, 40], 60) == [[1], [4, 3], [2, 0]]
    assert plan([70, 5], 60) == [[0], [1]]
    assert plan([], 60) == []
    # Texts that need wider rows are apart.
    assert plan([5, 200, 40, 513, 129], 1000) == [[3], [1, 4], [2, 0]]
    lengths = [len(sequence) for sequence in many(3, 1000)]
    planned = plan(lengths, 512)
    assert Counter(row for rows in planned for row in rows) == Counter(range(1000))
    assert all(sum(lengths[row] for row in rows) <= 512 for rows in planned)


def test_the_encoder_gives_several_texts_in_a_row_what_it_gives_each_alone(
    model: TwoHeadedBert,
) -> None:
    shape, words = lay_out(Sequences.of(SEQUENCES))
    grid = torch.from_numpy(words[: 3 * shape.rows * shape.width]).view(3, *shape)
    ids, mask = (torch.from_numpy(array) for array in pad(Sequences.of(SEQUENCES)))
    with torch.inference_mode():
        expected = model.encoder.last_two(ids, mask)
        found = encode_rows(model.encoder, *grid)
    text = grid[1] >= 0
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.allclose(mine[text], theirs[mask], atol=1e-4)


def test_texts_in_shared_rows_get_the_results_that_they_get_alone(model: TwoHeadedBert) -> None:
    expected = TorchBackend(model, CPU, torch.float32)
    sequences = many(4, 70)
    alone = [arrays(one(expected, sequence)) for sequence in sequences]
    found = one(CudaBackend(model, CPU, capture=False), *sequences)
    for at, mine in enumerate(arrays(found)):
        assert mine.shape == (len(sequences), alone[0][at].shape[1])
        assert np.allclose(mine, np.concatenate([parts[at] for parts in alone]), atol=0.1)
    assert found.padded_tokens == 32 * 128


def made(labels: Labels, positions: int = 64) -> TwoHeadedBert:
    shape = BertShape(60, 32, 2, 4, 64, positions, 2, 1e-12)
    torch.manual_seed(3)
    return TwoHeadedBert(BertEncoder(shape), labels).eval()


@pytest.mark.parametrize("length", [128, 129, 256, 300, 512, 513, 700])
def test_so_do_long_texts_in_the_wider_rows_that_they_need(length: int) -> None:
    model = made(Labels(("a", "b"), ("negative", "positive")), positions=1024)
    rng = random.Random(length)
    sequences = [rng.choices(range(5, 50), k=size) for size in (length, length // 2, 3, length)]
    expected = [arrays(one(TorchBackend(model, CPU, torch.float32), each)) for each in sequences]
    backend = CudaBackend(model, CPU, capture=False)
    for at, mine in enumerate(arrays(one(backend, *sequences))):
        assert np.allclose(mine, np.concatenate([parts[at] for parts in expected]), atol=0.1)
    (shape,) = backend._graphs or [Shape(0, length)]
    assert shape.width == next((width for width in WIDTHS if width >= length), length)


@pytest.mark.parametrize("labels", [Labels(("a", "b"), ()), Labels((), ("negative", "positive"))])
def test_a_model_without_a_head_says_nothing_of_it(labels: Labels) -> None:
    model = made(labels)
    found = one(CudaBackend(model, CPU, capture=False), *SEQUENCES)
    expected = one(TorchBackend(model, CPU, torch.float32), *SEQUENCES)
    for mine, theirs in zip(found[1:3], expected[1:3], strict=True):
        assert (mine is None) == (theirs is None)
        assert mine is None or np.allclose(mine, theirs, atol=0.1)


def test_the_next_batch_is_launched_before_the_results_of_the_one_before_are_waited_for(
    model: TwoHeadedBert,
) -> None:
    taken: list[int] = []

    def batches() -> Iterator[Batch]:
        for row, sequence in enumerate([*SEQUENCES, *SEQUENCES]):
            taken.append(row)
            yield replace(make_batch(sequence), rows=np.array([row]))

    backend = CudaBackend(model, CPU, capture=False)
    ahead = [len(taken) - 1 - batch.rows[0] for batch, _ in backend.forward(batches())]
    assert ahead == [1] * 7 + [0]


@pytest.mark.parametrize("step", ["_launch", "_finish"])
def test_an_engine_without_room_forgets_what_its_graphs_hold(
    model: TwoHeadedBert, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object) -> None:
        raise torch.AcceleratorError("CUDA error: out of memory")

    backend = CudaBackend(model, CPU, capture=False)
    one(backend, SEQUENCES[0])
    assert backend._graphs
    with monkeypatch.context() as context:
        context.setattr(backend, step, full)
        with pytest.raises(RuntimeError, match="out of memory"):
            one(backend, SEQUENCES[0])
    assert not backend._graphs
    assert np.isfinite(one(backend, SEQUENCES[0]).pooled[1]).all()
