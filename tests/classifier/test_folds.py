from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from classifier import folds as folds_module
from classifier import training
from classifier.data import DataError, Example
from classifier.evaluate import evaluate
from classifier.folds import cross_validate, folds
from tests.classifier.tiny import TINY, make_examples


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def folders(temporary: Path) -> list[Path]:
    """Ours: torch keeps one there too."""
    return list(temporary.glob("frontdesk-*"))


@contextmanager
def quiet(number: int) -> Iterator[None]:
    yield None


def overheard(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is trained on, as ever, from now on."""
    seen: list[Any] = []
    train = training.train_to_directory

    def heard(examples: Any, out: Any, **options: Any) -> Any:
        seen.append(examples)
        return train(examples, out, **options)

    monkeypatch.setattr(training, "train_to_directory", heard)
    return seen


def test_each_row_is_in_one_fold_and_labels_are_shared_out() -> None:
    examples = [Example(f"text {n}", "ab"[n % 7 == 0], "neutral") for n in range(103)]
    found = folds(examples, 5)
    assert sorted(row for rows in found for row in rows) == list(range(103))
    assert {len(rows) for rows in found} == {20, 21}
    for label, count in Counter(e.intent for e in examples).items():
        shares = {sum(examples[row].intent == label for row in rows) for rows in found}
        assert shares <= {count // 5, count // 5 + 1}


def test_sentiments_are_shared_out_within_an_intent_and_without_one() -> None:
    examples = [Example(f"t {n}", "a", ("negative", "positive")[n % 2]) for n in range(20)]
    examples += [Example(f"u {n}", None, ("neutral", "positive")[n % 2]) for n in range(20)]
    for rows in folds(examples, 5):
        moods = Counter((examples[row].intent, examples[row].sentiment) for row in rows)
        assert set(moods.values()) == {2}
        assert len(moods) == 4


def test_texts_that_differ_in_case_and_spaces_alone_stay_together() -> None:
    examples = [Example(("Hi  there ", "hi there ")[n % 2] + str(n // 2), "a") for n in range(40)]
    for rows in folds(examples, 4):
        assert len(rows) == 10
        assert all((row ^ 1) in rows for row in rows)


def test_texts_that_differ_in_punctuation_alone_stay_together_and_emoji_tell_them_apart() -> None:
    ends = ("", "!", " ?", "．")
    examples = [Example(f"text {n // 4}{ends[n % 4]}", "a") for n in range(40)]
    for rows in folds(examples, 5):
        assert all({row // 4 * 4 + end for end in range(4)} <= set(rows) for row in rows)
    apart = ("thanks 😀", "thanks 😡", "thanks", "?", "??", ":)", ":(", "…")
    assert len(folds([Example(text, "a") for text in apart], len(apart))) == len(apart)


def test_the_same_seed_gives_the_same_folds_and_another_gives_others() -> None:
    examples = [Example(f"text {n}", "ab"[n % 2]) for n in range(40)]
    assert folds(examples, 4) == folds(examples, 4)
    assert folds(examples, 4) != folds(examples, 4, seed=2)


@pytest.mark.parametrize(
    ("count", "sentence"), [(1, "at least 2"), (4, "4 folds of 3 different texts")]
)
def test_folds_that_cannot_be_are_refused(count: int, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        folds([Example(text, "a") for text in ("x", "y", "z", "Z")], count)


def test_every_text_is_predicted_by_a_model_that_has_not_read_it(
    tiny_base: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = make_examples(each=8)
    seen = overheard(monkeypatch)
    steps: list[tuple[int, int]] = []

    @contextmanager
    def progress(number: int) -> Iterator[Callable[..., None]]:
        yield lambda where, step, of, loss: steps.append((number, step))

    predictions, measures = cross_validate(
        examples, 2, base=str(tiny_base), recipe=TINY, device="cpu", progress=progress
    )
    assert [p.text for p in predictions] == [e.text for e in examples]
    assert len({p.model for p in predictions}) == 2
    for kept in seen:
        read = {e.text for e in kept}
        unread = [p for p in predictions if p.text not in read]
        assert len(unread) == len(examples) - len(kept)
        assert len({p.model for p in unread}) == 1
    assert {number for number, _ in steps} == {1, 2}
    found = measures.pop("cross_validation")
    assert measures == evaluate(predictions, examples)
    accuracy = [fold["accuracy"] for fold in found["each"]]
    assert found["folds"] == len(accuracy) == 2
    assert found["mean"]["accuracy"] == pytest.approx(sum(accuracy) / 2)
    assert found["sd"]["accuracy"] == pytest.approx(abs(accuracy[0] - accuracy[1]) / 2**0.5)
    assert folders(temporary) == []


def test_what_measures_no_model_is_read_by_all_and_asked_of_none(
    tiny_base: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = make_examples(each=8)
    liked = [replace(e, text=f"{e.text} indeed", measures=False) for e in examples[:3]]
    seen = overheard(monkeypatch)
    predictions, measures = cross_validate(
        [*liked, *examples], 2, base=str(tiny_base), recipe=TINY, device="cpu", progress=quiet
    )
    assert [p.text for p in predictions] == [e.text for e in examples]
    assert all(set(liked) <= set(kept) for kept in seen)
    measures.pop("cross_validation")
    assert measures == evaluate(predictions, examples)


def test_where_no_example_may_measure_a_model_fewer_folds_are_no_way_out() -> None:
    liked = [replace(e, measures=False) for e in make_examples(each=2)]
    with pytest.raises(DataError, match=f"none of the {len(liked)} examples may measure a model"):
        folds(liked, 2)


def test_a_fold_that_answered_nothing_is_not_counted_as_right(
    tiny_base: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = iter([(0.5, 0.2), (0.0, None)])

    def measured(predictions: Any, examples: Any, *more: float) -> dict[str, Any]:
        coverage, wrong = next(shares, (0.25, 0.2))
        measures = evaluate(predictions, examples, *more)
        return measures | {"coverage": coverage, "coverage_error": wrong}

    monkeypatch.setattr(folds_module, "evaluate", measured)
    recipe = replace(TINY, negative_confidence=0.7)
    _, measures = cross_validate(
        make_examples(each=8), 2, base=str(tiny_base), recipe=recipe, device="cpu", progress=quiet
    )
    assert measures["upset"]["confidence"] == 0.7
    found = measures["cross_validation"]
    assert found["mean"]["coverage"] == 0.25
    assert found["mean"]["coverage_error"] == 0.2
    assert "coverage_error" not in found["each"][1]


def test_a_cross_validation_that_is_interrupted_leaves_nothing(
    tiny_base: Path, temporary: Path
) -> None:
    there: list[int] = []

    @contextmanager
    def progress(number: int) -> Iterator[Callable[..., None]]:
        def stop(*_step: Any) -> None:
            there.append(len(folders(temporary)))
            raise KeyboardInterrupt

        yield stop

    with pytest.raises(KeyboardInterrupt):
        cross_validate(
            make_examples(each=8), 2, base=str(tiny_base), recipe=TINY, progress=progress
        )
    assert there == [1]
    assert folders(temporary) == []


def test_folds_that_leave_nothing_to_learn_are_told(tiny_base: Path, temporary: Path) -> None:
    examples = [Example("x", "a"), Example("y", "b")]
    with pytest.raises(DataError, match="nothing to tell apart"):
        cross_validate(examples, 2, base=str(tiny_base), progress=quiet)
    assert folders(temporary) == []
