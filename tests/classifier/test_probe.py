"""The frozen encoder's regression: each text predicted without it, and again the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classifier.arrays import Float64
from classifier.base import BaseModelError
from classifier.data import DataError, Example
from classifier.label_errors import label_errors
from classifier.probe import embed, out_of_fold
from tests.classifier.tiny import make_examples


def _probe(examples: list[Example], base: Path) -> tuple[tuple[str, ...], Float64]:
    texts = [example.text for example in examples]
    vectors = embed(texts, base=str(base), device="cpu")
    return out_of_fold(texts, [example.intent or "" for example in examples], vectors)


def _truth(intents: tuple[str, ...], examples: list[Example]) -> np.ndarray:
    return np.array([intents.index(example.intent or "") for example in examples])


def test_it_tells_easy_intents_and_gives_probabilities(tiny_base: Path) -> None:
    examples = make_examples(each=40)
    intents, probabilities = _probe(examples, tiny_base)
    assert intents == ("out_of_scope", "refund", "thanks", "where")
    assert probabilities.shape == (160, 4)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities.argmax(axis=1) == _truth(intents, examples)).mean() > 0.95


def test_the_same_examples_give_the_same_probabilities(tiny_base: Path) -> None:
    examples = make_examples(each=10)
    runs = [_probe(examples, tiny_base)[1] for _ in range(2)]
    assert np.array_equal(*runs)


def test_a_text_is_never_predicted_by_a_fit_that_read_its_label(tiny_base: Path) -> None:
    # Strange words under a label of their own: who has read them knows, who has not cannot.
    odd = [Example("lamp dream recipe", "where"), Example("Lamp  DREAM recipe", "where")]
    examples = [*make_examples(each=20), *odd]
    intents, probabilities = _probe(examples, tiny_base)
    assert (probabilities[-2:, intents.index("where")] < 0.5).all()


def test_planted_wrong_labels_are_found(tiny_base: Path) -> None:
    texts = sorted({(e.text, e.intent) for e in make_examples(each=150)})  # each text once
    examples = [Example(text, intent) for text, intent in texts]
    rng = np.random.default_rng(3)
    planted = rng.choice(len(examples), 24, replace=False).tolist()
    names = sorted({example.intent or "" for example in examples})
    wrong = list(examples)
    for row in planted:
        others = [name for name in names if name != examples[row].intent]
        wrong[row] = replace(examples[row], intent=others[int(rng.integers(len(others)))])
    intents, probabilities = _probe(wrong, tiny_base)
    found = label_errors(probabilities, _truth(intents, wrong))
    hits = [suspect for suspect in found if suspect.row in planted]
    assert len(hits) >= 18  # of the 24
    assert len(found) <= len(hits) + 1
    assert all(intents[suspect.suggested] == examples[suspect.row].intent for suspect in hits)


def test_vectors_have_unit_length_and_take_any_text(tiny_base: Path) -> None:
    vectors = embed(["", "🙂", "where is it", "x" * 9000], base=str(tiny_base), device="cpu")
    assert vectors.shape == (4, 64)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([Example(f"hi {n}", "a") for n in range(9)], "two labels"),
        ([Example(f"hi {n}", "ab"[n % 2]) for n in range(4)], "folds"),
    ],
)
def test_examples_that_say_too_little_are_refused(
    tiny_base: Path, examples: list[Example], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        _probe(examples, tiny_base)


def test_a_base_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="no such directory"):
        embed(["hi"], base=str(tmp_path / "none"), device="cpu")
