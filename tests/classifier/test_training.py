from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from classifier import registry
from classifier.base import BaseModelError
from classifier.data import DataError, Example, content_hash
from classifier.engine import Classifier
from classifier.recipe import Recipe
from classifier.registry import ModelError
from classifier.training import (
    batches,
    find_labels,
    split,
    train_to_directory,
    train_version,
)
from tests.classifier.tiny import TINY, make_examples

SHORT = Recipe(epochs=2, batch_size=8, held_out=0.2, refit=False)


def test_training_learns_both_labels_of_made_up_rows(trained: Any) -> None:
    test = trained[1]["test"]
    assert test["accuracy"] > 0.9
    assert test["sentiment_accuracy"] > 0.9
    assert trained[1]["validation"]["rows"] == trained[1]["held_out"] > 0


def test_progress_counts_every_step_of_the_run_once(trained: Any) -> None:
    _, metrics, steps = trained
    of = TINY.epochs * -(-(metrics["examples"] - metrics["held_out"]) // TINY.batch_size)
    assert [step for _, step, _, _ in steps] == list(range(1, of + 1))
    assert {total for _, _, total, _ in steps} == {of}
    assert (steps[0][0], steps[-1][0]) == (1, TINY.epochs)
    assert steps[-1][3] < steps[0][3]


def test_a_refitted_run_counts_the_steps_of_both_fits(
    tiny_base: Path, tmp_path: Path, examples: list[Example]
) -> None:
    steps: list[tuple[int, int]] = []
    recipe = Recipe(epochs=1, batch_size=8, held_out=0.2, refit=True)
    metrics = train_to_directory(
        examples,
        tmp_path / "out",
        base=str(tiny_base),
        recipe=recipe,
        progress=lambda _epoch, step, of, _loss: steps.append((step, of)),
        device="cpu",
    )
    assert metrics["refitted"]
    of = -(-(96 - metrics["held_out"]) // 8) + 96 // 8
    assert steps == [(step, of) for step in range(1, of + 1)]


def test_the_model_directory_holds_all_that_the_manifest_lists(trained: Any) -> None:
    out, metrics, _ = trained
    manifest = registry.verify(out)
    assert set(manifest["files"]) == {p.name for p in out.iterdir()} - {"manifest.json"}
    assert manifest["data"]["hash"] == content_hash(make_examples())
    assert manifest["recipe"]["max_tokens"] == 32
    assert json.loads((out / "metrics.json").read_text()) == json.loads(json.dumps(metrics))
    assert "| Intent accuracy |" in (out / "MODEL_CARD.md").read_text()


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    tiny_base: Path, tmp_path: Path, examples: list[Example]
) -> None:
    def weights(name: str, seed: int) -> bytes:
        torch.rand(seed)  # the global random state must not matter
        random.seed(name)
        recipe = Recipe(epochs=2, batch_size=8, seed=seed, held_out=0.2, refit=False)
        out = tmp_path / name
        train_to_directory(examples, out, base=str(tiny_base), recipe=recipe, device="cpu")
        return (out / "model.safetensors").read_bytes()

    first = weights("first", 1)
    assert weights("second", 1) == first
    assert weights("third", 2) != first


def test_training_leaves_the_callers_random_state_alone(
    tiny_base: Path, tmp_path: Path, examples: list[Example]
) -> None:
    before = torch.random.get_rng_state()
    train_to_directory(examples, tmp_path / "out", base=str(tiny_base), recipe=SHORT, device="cpu")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_words_that_never_occur_keep_their_pretrained_weights(
    tiny_base: Path, tmp_path: Path
) -> None:
    rows = [Example("refund", "a"), Example("thanks", "b")] * 8
    train_to_directory(rows, tmp_path / "out", base=str(tiny_base), recipe=SHORT, device="cpu")
    name = "embeddings.word_embeddings.weight"
    before = safetensors.torch.load_file(tiny_base / "model.safetensors")[name]
    after = safetensors.torch.load_file(tmp_path / "out" / "model.safetensors")["bert." + name]
    changed = (before != after).any(dim=1)
    assert after.shape == before.shape
    assert 2 <= int(changed.sum()) <= 16


def test_intents_alone_train_a_model_without_a_sentiment(
    tiny_base: Path, tmp_path: Path, examples: list[Example]
) -> None:
    rows = [Example(e.text, e.intent) for e in examples]
    metrics = train_to_directory(
        rows, tmp_path / "out", base=str(tiny_base), recipe=SHORT, device="cpu"
    )
    prediction = Classifier.load(tmp_path / "out", device="cpu")(["where is my cup"])[0]
    assert prediction.sentiment is None
    assert prediction.intent is not None
    assert len(prediction.intent_ranking) == 4
    assert "sentiment_accuracy" not in metrics["validation"]


def test_sentiments_alone_train_a_model_without_an_intent(
    tiny_base: Path, tmp_path: Path, examples: list[Example]
) -> None:
    rows = [Example(e.text, None, e.sentiment) for e in examples if e.sentiment != "neutral"]
    metrics = train_to_directory(
        rows, tmp_path / "out", base=str(tiny_base), recipe=SHORT, device="cpu"
    )
    prediction = Classifier.load(tmp_path / "out", device="cpu")(["where is my cup"])[0]
    assert prediction.intent is None
    assert prediction.intent_ranking == ()
    assert prediction.threshold is None
    assert prediction.sentiment is not None
    assert prediction.sentiment.name in {"negative", "positive"}
    assert "accuracy" not in metrics["validation"]


def test_rows_of_one_label_each_train_both_heads(
    tiny_base: Path, tmp_path: Path, examples: list[Example]
) -> None:
    rows = [
        Example(e.text, e.intent) if i % 2 else Example(e.text, None, e.sentiment)
        for i, e in enumerate(examples)
    ]
    losses: list[float] = []
    metrics = train_to_directory(
        rows,
        tmp_path / "out",
        base=str(tiny_base),
        recipe=TINY,
        progress=lambda *step: losses.append(step[3]),
        test=make_examples(seed=7, each=6),
        device="cpu",
    )
    assert all(loss == loss for loss in losses)
    assert metrics["test"]["accuracy"] > 0.8
    assert metrics["test"]["sentiment_accuracy"] > 0.8


def test_a_batch_that_lacks_one_label_altogether_does_not_spoil_the_weights(
    tiny_base: Path, tmp_path: Path, examples: list[Example]
) -> None:
    # Batches are of like length: short texts with an intent only, long ones with a sentiment only.
    rows = [Example(e.text, e.intent) for e in examples]
    rows += [Example(e.text * 4, None, e.sentiment) for e in examples]
    losses: list[float] = []
    train_to_directory(
        rows,
        tmp_path / "out",
        base=str(tiny_base),
        recipe=SHORT,
        progress=lambda *step: losses.append(step[3]),
        device="cpu",
    )
    assert all(0 < loss < 10 for loss in losses)


def test_one_example_an_intent_trains_without_held_out_examples(
    tiny_base: Path, tmp_path: Path
) -> None:
    rows = [Example("refund", "a"), Example("thanks", "b")]
    metrics = train_to_directory(
        rows, tmp_path / "out", base=str(tiny_base), recipe=SHORT, device="cpu"
    )
    assert metrics["held_out"] == 0
    classifier = Classifier.load(tmp_path / "out", device="cpu")
    assert classifier.calibration.intent_temperature == 1.0


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "no examples"),
        ([Example("a", "x"), Example("b", "x")], "all 2 examples that have a intent .* 'x'"),
        ([Example("a", "x", "neutral"), Example("b", "y", "neutral")], "'neutral'"),
        ([Example("a")], "no example carries"),
        ([Example("a", None, "meh"), Example("b", None, "neutral")], "unknown sentiment 'meh'"),
    ],
)
def test_examples_with_nothing_to_learn_are_refused(rows: list[Example], says: str) -> None:
    with pytest.raises(DataError, match=says):
        find_labels(rows)


def test_a_directory_that_is_not_empty_is_refused_before_training(
    tmp_path: Path, examples: list[Example]
) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(ModelError, match="is not empty"):
        train_to_directory(examples, tmp_path, base="./nowhere")
    assert (tmp_path / "kept.txt").read_text() == "mine"


def test_a_base_that_cannot_be_had_leaves_nothing_behind(
    tmp_path: Path, examples: list[Example]
) -> None:
    with pytest.raises(BaseModelError):
        train_to_directory(examples, tmp_path / "out", base="./nowhere")
    assert list(tmp_path.iterdir()) == []


def test_a_trained_version_is_named_as_its_directory_and_moves_no_pointer(
    tiny_base: Path, tmp_path: Path, examples: list[Example]
) -> None:
    name, metrics = train_version(
        examples, tmp_path / "models", base=str(tiny_base), recipe=SHORT, device="cpu"
    )
    assert metrics["version"] == name == registry.verify(tmp_path / "models" / name)["version"]
    assert registry.champion(tmp_path / "models") is None
    assert [v.name for v in registry.versions(tmp_path / "models")] == [name]


def test_a_split_takes_its_share_of_every_intent_and_leaves_one_of_each_label() -> None:
    rows = [Example(f"{i}", "big") for i in range(20)]
    rows += [Example(f"s{i}", "small") for i in range(5)] + [Example("o", "one")]
    rows += [Example("n", None, "negative"), Example("p", None, "positive")]
    kept, out = split(rows, 0.2, seed=1)
    assert sorted(e.intent or "" for e in out) == ["big"] * 4 + ["small"]
    assert set(kept) | set(out) == set(rows)
    assert not set(kept) & set(out)


def test_a_sentiment_in_one_row_only_is_never_held_out() -> None:
    rows = [Example(f"{i}", "a", "negative" if i == 3 else "neutral") for i in range(8)]
    for seed in range(20):
        kept, _ = split(rows, 0.5, seed)
        assert "negative" in {e.sentiment for e in kept}


def test_batches_hold_every_row_once_and_texts_of_like_length() -> None:
    rng = random.Random(1)
    lengths = [rng.randint(3, 60) for _ in range(500)]
    found = list(batches(lengths, 16, random.Random(2)))
    assert sorted(row for batch in found for row in batch) == list(range(500))
    padded = sum(max(lengths[row] for row in batch) * len(batch) for batch in found)
    assert padded < 1.2 * sum(lengths)
    assert found != list(batches(lengths, 16, random.Random(3)))


@pytest.mark.parametrize(
    "settings",
    [{"epochs": 0}, {"encoder_rate": 0.0}, {"label_smoothing": 1.0}, {"held_out": 0.9}],
)
def test_a_recipe_out_of_range_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        Recipe(**settings)


def test_a_recipe_settles_on_more_epochs_for_fewer_examples_and_keeps_what_is_set() -> None:
    few, many = Recipe().settle(200), Recipe().settle(10_000)
    assert few.epochs is not None
    assert many.epochs is not None
    assert few.epochs > many.epochs
    assert (few.refit, many.refit) == (True, False)
    assert Recipe(epochs=3, refit=False).settle(200).epochs == 3
    assert Recipe(max_tokens=900).settle(200, longest=512).max_tokens == 512
