from __future__ import annotations

import json
import random
import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from classifier import artifact, registry
from classifier.artifact import ModelError
from classifier.base import BaseModelError
from classifier.data import DataError, Example, content_hash
from classifier.engine import Classifier
from classifier.recipe import Recipe
from classifier.training import PRIVATE, find_labels, train_to_directory, train_version
from tests.classifier.disks import fill_disk
from tests.classifier.tiny import TINY, make_examples

SHORT = replace(TINY, epochs=2, folds=2)


def test_training_learns_both_labels_of_made_up_rows(trained: Any) -> None:
    test = trained[1]["test"]
    assert test["accuracy"] > 0.9
    assert test["sentiment_accuracy"] > 0.9
    assert trained[1]["validation"]["rows"] == trained[1]["held_out"] > 0


def test_progress_counts_every_step_of_every_fit_once(trained: Any) -> None:
    _, metrics, steps = trained
    assert TINY.epochs is not None
    assert TINY.batch_size is not None
    fits = [metrics["examples"] - metrics["held_out"], metrics["examples"]]
    each = [TINY.epochs * -(-rows // TINY.batch_size) for rows in fits]
    assert [step for _, step, _, _ in steps] == list(range(1, sum(each) + 1))
    assert {total for _, _, total, _ in steps} == {sum(each)}
    assert [where for where, *_ in steps][:: each[0] - 1][:2] == [
        "model 1 of 2, epoch 1",
        f"model 1 of 2, epoch {TINY.epochs}",
    ]
    assert steps[each[0]][0] == "model 2 of 2, epoch 1"
    assert steps[-1][0] == f"model 2 of 2, epoch {TINY.epochs}"
    assert steps[-1][3] < steps[0][3]


def test_where_one_model_alone_is_trained_progress_tells_its_epochs_alone(
    tiny_base: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    two = [Example("where is it", "where"), Example("pay me back", "refund")]
    train_to_directory(
        two,
        tmp_path / "out",
        base=str(tiny_base),
        recipe=replace(SHORT, epochs=2),
        progress=lambda where, *_: said.append(where),
        device="cpu",
    )
    assert set(said) == {"epoch 1", "epoch 2"}


def test_progress_counts_the_names_of_intents_and_every_round(
    tiny_base: Path, tmp_path: Path, examples: list[Example]
) -> None:
    steps: list[tuple[int, int]] = []
    recipe = replace(SHORT, epochs=1, names=True, rounds=2, batch_size=5)
    metrics = train_to_directory(
        examples,
        tmp_path / "out",
        base=str(tiny_base),
        recipe=recipe,
        progress=lambda _where, step, of, _loss: steps.append((step, of)),
        device="cpu",
    )
    assert metrics["held_out"] == len(examples)
    assert steps == [(number, len(steps)) for number in range(1, len(steps) + 1)]


def test_the_model_directory_holds_all_that_the_manifest_lists(trained: Any) -> None:
    out, metrics, _ = trained
    manifest = artifact.verify(out)
    assert set(manifest["files"]) == {p.name for p in out.iterdir()} - {"manifest.json"}
    assert manifest["data"]["hash"] == content_hash(make_examples())
    assert manifest["recipe"]["max_tokens"] == 32
    assert set(manifest["files"]) == {*artifact.FILES, "model.int8.onnx"}
    assert metrics["int8"]["exported"]
    for head in ("intent", "sentiment"):
        assert metrics["int8"]["unread"][head]["texts"] == metrics["held_out"]
    assert json.loads((out / "metrics.json").read_text()) == json.loads(json.dumps(metrics))
    assert "| Intent accuracy |" in (out / "MODEL_CARD.md").read_text()
    assert "(4 intents and 3 sentiments)" in (out / "MODEL_CARD.md").read_text()
    assert "<html" in (out / "report.html").read_text()


def test_what_was_held_out_calibrates_the_model_that_saw_all(trained: Any) -> None:
    out, metrics, _ = trained
    classifier = Classifier.load(out, device="cpu")
    # Of the rows some repeat a text, which counts once.
    assert 0 < classifier.calibration.held_out <= metrics["held_out"]
    assert len(classifier.scope.offset) == len(classifier.scope.layers) == 2
    assert classifier.neighbours is not None
    # All examples, not only those that the last round was trained on.
    assert set(classifier.neighbours.texts) == {e.text for e in make_examples()}


@pytest.mark.parametrize("public", [True, False])
def test_private_examples_are_learned_from_and_quoted_in_no_file(
    tiny_base: Path, tmp_path: Path, public: bool
) -> None:
    wrong = [f"quill number {number}" for number in range(12)]
    rows = [Example(text, intent) for text in wrong for intent in ("refund", "where")]
    theirs = [replace(row, private=True) for row in rows]
    ours = make_examples(each=12) if public else []
    out = tmp_path / "out"
    metrics = train_to_directory(
        [*ours, *theirs], out, base=str(tiny_base), recipe=SHORT, device="cpu"
    )
    assert metrics["examples"] == len(ours) + len(theirs)
    for path in out.iterdir():
        assert b"quill" not in path.read_bytes(), path.name
    assert PRIVATE in (out / "report.html").read_text(encoding="utf-8")
    near = Classifier.load(out, "cpu")(["quill number 3"])[0].neighbours
    assert len(near) == (3 if public else 0)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    tiny_base: Path, tmp_path: Path, examples: list[Example]
) -> None:
    def weights(name: str, seed: int) -> bytes:
        torch.rand(seed)  # the global random state must not matter
        random.seed(name)
        out = tmp_path / name
        recipe = replace(SHORT, epochs=1, seed=seed)
        train_to_directory(examples, out, base=str(tiny_base), recipe=recipe, device="cpu")
        files = ("model.safetensors", "calibration.json", "scope.safetensors", "model.int8.onnx")
        return b"".join((out / file).read_bytes() for file in files if (out / file).exists())

    first = weights("first", 1)
    assert weights("second", 1) == first
    assert weights("third", 2) != first


def test_both_names_of_what_is_out_of_scope_train_one_label(
    tiny_base: Path, tmp_path: Path, examples: list[Example]
) -> None:
    strange = [number for number, e in enumerate(examples) if e.intent == "out_of_scope"]
    rows = list(examples)
    for number in strange[1:]:  # a pack may call it so, and one row does not
        rows[number] = replace(rows[number], intent="oos")
    train_to_directory(rows, tmp_path / "out", base=str(tiny_base), recipe=SHORT, device="cpu")
    labels = Classifier.load(tmp_path / "out", device="cpu").labels.intents
    assert set(labels) == {"oos", "refund", "thanks", "where"}


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


CHINESE = [
    Example(text, intent)
    for intent, texts in {
        "refund": ("我想退款", "我要退货", "请退款给我"),
        "order": ("我想订购", "我要购买", "请帮我下单"),
    }.items()
    for text in texts
]


def test_a_base_that_cannot_read_the_examples_is_told_in_the_log_and_on_the_card(
    tiny_base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = train_to_directory(
        CHINESE,
        tmp_path / "out",
        base=str(tiny_base),
        recipe=replace(SHORT, epochs=1),
        device="cpu",
    )
    says = f"The base model {tiny_base} can't read 100 % of the words of the examples"
    [told] = caplog.messages
    assert told.startswith(says)
    assert "with --base (or BASE_MODEL), such as google-bert/bert-base-chinese" in told
    assert told in (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert metrics["unread"] == {"words": 1.0, "alike": 6}


def test_of_a_base_that_can_read_them_nothing_is_told(trained: Any) -> None:
    assert trained[1]["unread"] == {"words": 0.0, "alike": 0}
    assert "can't read" not in (trained[0] / "MODEL_CARD.md").read_text()


def test_examples_come_out_of_a_generator_too(
    tiny_base: Path, tmp_path: Path, examples: list[Example]
) -> None:
    few = examples[::8]
    metrics = train_to_directory(
        (e for e in few),
        tmp_path / "out",
        base=str(tiny_base),
        recipe=replace(SHORT, epochs=1),
        test=(e for e in few),
        device="cpu",
    )
    assert metrics["examples"] == len(few)
    assert metrics["test_hash"] == content_hash(few)


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        (Example(None, "x"), r"examples\[2\]: its text is NoneType and must be str"),
        (Example("a", float("nan")), r"examples\[2\]: its intent is float and must be str"),
        (Example("a", 0), r"examples\[2\]: its intent is int and must be str"),
        (Example("a", None, float("nan")), r"examples\[2\]: its sentiment is float"),
        (("a", "x"), r"examples\[2\] is tuple and not Example"),
    ],
)
def test_what_a_table_has_in_place_of_a_text_or_a_label_is_refused_by_its_place(
    tmp_path: Path, odd: Any, says: str
) -> None:
    rows = [Example("a", "x"), Example("b", "y"), odd]
    with pytest.raises(DataError, match=says):
        train_to_directory(rows, tmp_path / "out")


def test_a_hundred_thousand_characters_and_odd_texts_train(
    tiny_base: Path, tmp_path: Path, examples: list[Example]
) -> None:
    rows = [
        *examples[:40],
        Example("a " * 50_000, "refund"),
        Example("x" * 100_000, "where"),
        Example("🙂🙂", "thanks"),
        Example("refund\0the lamp", "refund"),
    ]
    out = tmp_path / "out"
    train_to_directory(
        rows, out, base=str(tiny_base), recipe=replace(SHORT, epochs=1), device="cpu"
    )
    assert Classifier.load(out, device="cpu")([e.text for e in rows])[-1].intent is not None


@pytest.mark.parametrize("at", [1, 5, 11])
def test_a_disk_that_fills_while_the_model_is_saved_leaves_nothing_of_it(
    tiny_base: Path,
    tmp_path: Path,
    examples: list[Example],
    monkeypatch: pytest.MonkeyPatch,
    at: int,
) -> None:
    fill_disk(monkeypatch, at)
    with pytest.raises(ModelError, match=r"could not be saved \(No space left"):
        train_version(
            examples[::4],
            tmp_path / "models",
            base=str(tiny_base),
            recipe=replace(SHORT, epochs=1),
            device="cpu",
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "no examples"),
        ([Example("a", "x"), Example("b", "x")], "all 2 examples that have an intent .* 'x'"),
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


def test_a_loss_that_is_no_number_ends_the_training_and_names_the_base(
    tiny_base: Path, tmp_path: Path, examples: list[Example]
) -> None:
    huge = Path(shutil.copytree(tiny_base, tmp_path / "huge"))
    tensors = safetensors.torch.load_file(huge / "model.safetensors")
    tensors["encoder.layer.0.attention.self.value.weight"] *= 1e38  # a number still
    safetensors.torch.save_file(tensors, huge / "model.safetensors")
    out = tmp_path / "a" / "b"
    with pytest.raises(BaseModelError, match="huge: the loss of step 1 is nan"):
        train_to_directory(examples, out, base=str(huge), recipe=SHORT, device="cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["huge"]


def test_a_trained_version_is_named_as_its_directory_and_moves_no_pointer(
    tiny_base: Path, tmp_path: Path, examples: list[Example]
) -> None:
    name, metrics = train_version(
        examples, tmp_path / "models", base=str(tiny_base), recipe=SHORT, device="cpu"
    )
    assert metrics["version"] == name == artifact.verify(tmp_path / "models" / name)["version"]
    assert registry.champion(tmp_path / "models") is None
    assert [v.name for v in registry.versions(tmp_path / "models")] == [name]


@pytest.mark.parametrize(
    ("examples", "intents", "batch_size", "rate", "sentiment_weight"),
    [
        (199, 20, 32, 6e-5, 2.0),
        (200, 20, 32, 1e-4, 2.0),
        (400, 20, 32, 1e-4, 1.0),
        (1199, 0, 32, 6e-5, 1.0),
        (399, 50, 32, 6e-5, 2.0),
        (1199, 150, 32, 6e-5, 1.0),
        (1200, 150, 32, 1e-4, 1.0),
        (1200, 48, 32, 1.5e-4, 1.0),
        (1924, 77, 32, 1e-4, 1.0),
        (1925, 77, 32, 1.5e-4, 1.0),
        (4999, 250, 32, 1e-4, 1.0),
        (5000, 250, 64, 1e-4, 1.0),
        (1200, 0, 32, 1e-4, 1.0),
        (4999, 77, 32, 1.5e-4, 1.0),
        (5000, 77, 64, 1e-4, 1.0),
        (5000, 0, 64, 1e-4, 1.0),
    ],
)
def test_a_recipe_settles_by_the_measurements_in_the_documentation(
    examples: int, intents: int, batch_size: int, rate: float, sentiment_weight: float
) -> None:
    settled = Recipe().settle(examples, intents)
    assert (settled.batch_size, settled.encoder_rate) == (batch_size, rate)
    assert settled.sentiment_weight == sentiment_weight
    mine = Recipe(batch_size=7, encoder_rate=1e-3, sentiment_weight=0.0).settle(examples, intents)
    assert (mine.batch_size, mine.encoder_rate, mine.sentiment_weight) == (7, 1e-3, 0.0)


@pytest.mark.parametrize(
    ("examples", "intents", "views", "epochs"),
    [
        (770, 77, 2, 8),
        (1540, 77, 2, 8),
        (1924, 77, 2, 8),
        (1925, 77, 1, 5),
        (385, 77, 2, 7),
        (1500, 300, 2, 5),
        (100, 5, 2, 14),
        (1199, 0, 2, 4),
        (1200, 0, 1, 3),
        (5000, 250, 1, 6),
    ],
)
def test_few_examples_an_intent_are_seen_twice_a_step_and_more_often(
    examples: int, intents: int, views: int, epochs: int
) -> None:
    settled = Recipe().settle(examples, intents)
    assert (settled.views, settled.epochs) == (views, epochs)
    assert settled.group == (1 if views == 2 else 4)


def test_a_settled_recipe_leaves_nothing_open_and_stays_as_it_is() -> None:
    recipe = Recipe(names=False, radius=0.0, target_errors={"a": 0.01}, seed=7)
    settled = recipe.settle(200, intents=20)
    assert None not in settled.as_dict().values()
    assert list(settled.as_dict()) == list(recipe.as_dict())
    assert (settled.names, settled.radius, settled.seed) == (False, 0.0, 7)
    assert settled.settle(10_000, intents=77) == settled


@pytest.mark.parametrize(
    ("examples", "intents", "radius"), [(4999, 77, 0.0), (5000, 77, 0.05), (5000, 0, 0.0)]
)
def test_a_recipe_looks_around_where_many_examples_have_intents(
    examples: int, intents: int, radius: float
) -> None:
    assert Recipe().settle(examples, intents).radius == radius
    assert Recipe(radius=0.0).settle(examples, intents).radius == 0.0


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 0},
        {"encoder_rate": 0.0},
        {"label_smoothing": 1.0},
        {"cutoff": 1.0},
        {"radius": -0.1},
        {"folds": 1},
        {"target_error": 0.0},
        {"target_errors": {"a": 0.5}},
    ],
)
def test_a_recipe_out_of_range_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings)).rstrip("s").replace("_", ".")):
        Recipe(**settings)


def test_a_recipe_settles_on_more_epochs_for_fewer_examples_and_keeps_what_is_set() -> None:
    few, many = Recipe().settle(200, intents=20), Recipe().settle(10_000, intents=77)
    assert few.epochs is not None
    assert many.epochs is not None
    assert few.epochs > many.epochs
    moods = Recipe().settle(10_000)
    assert moods.epochs is not None
    assert moods.epochs < many.epochs, "sentiments alone are overfitted sooner"
    assert Recipe(epochs=3, rounds=2).settle(200).epochs == 3
    assert Recipe(epochs=3, rounds=2).settle(200).rounds == 2
    assert all(getattr(few, f.name) is not None for f in fields(few))
    assert Recipe(max_tokens=900).settle(200, longest=512).max_tokens == 512


@pytest.mark.parametrize(
    ("examples", "held_out"),
    [
        *((10, 10), (1200, 1200), (2499, 2499), (2500, 2000), (3000, 2400), (4999, 2999)),
        *((5000, 2000), (5001, 2000), (8622, 3449), (9999, 4000), (10_000, 2000)),
        (100_000, 20_000),
    ],
)
def test_at_least_2000_examples_are_held_out_or_all(examples: int, held_out: int) -> None:
    settled = Recipe().settle(examples, intents=20)
    assert round(examples * settled.rounds / settled.folds) == held_out


def test_as_many_are_held_out_whatever_there_is_beside_that_measures_no_model() -> None:
    settled = Recipe().settle(5000, intents=20, measuring=2000)
    assert (settled.rounds, settled.folds) == (5, 5)
    assert settled.epochs == Recipe().settle(5000, intents=20).epochs
