from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from classifier.base import find_base, load_tokenizer
from classifier.calibration import Calibration
from classifier.data import Example
from classifier.fitting import fit
from classifier.held_out import HeldOut, calibrate, hold_out, indices, plan_rounds, together
from classifier.predicting import Outputs
from classifier.recipe import Recipe
from classifier.scope import Scope
from classifier.thresholds import NEVER
from classifier.training import find_labels
from classifier.vocabulary import Labels
from tests.classifier.tiny import TINY, make_examples

ALL = Recipe(folds=5, rounds=5).settle(100)
LABELS = Labels(("a", "b"), ())


def test_with_as_many_rounds_as_folds_each_example_is_asked_about_once() -> None:
    rows = make_examples(each=12)
    rounds = plan_rounds(rows, ALL)
    assert len(rounds) == 5
    assert sorted(e.text for _, asked in rounds for e in asked) == sorted(e.text for e in rows)
    for kept, asked in rounds:
        assert not {e.text for e in kept} & {e.text for e in asked}
        assert len(kept) + len(asked) == len(rows)
    assert len(plan_rounds(rows, replace(ALL, rounds=2))) == 2


def test_texts_that_differ_in_case_and_spaces_alone_are_held_out_together() -> None:
    rows = [Example(f"text {n}", "ab"[n % 2]) for n in range(20)]
    rows += [Example(f"TEXT  {n}", "ab"[n % 2]) for n in range(20)]
    for kept, asked in plan_rounds(rows, ALL):
        plain = [{e.text.lower().replace("  ", " ") for e in part} for part in (kept, asked)]
        assert not plain[0] & plain[1]


def test_what_measures_no_model_is_trained_on_in_each_round_and_asked_about_in_none() -> None:
    rows = [Example(f"text {n}", "ab"[n % 2]) for n in range(20)]
    liked = [Example(f"liked {n}", "ab"[n % 2], measures=False) for n in range(20)]
    again = Example("TEXT  7", "b", measures=False)
    rounds = plan_rounds([*liked, *rows, again], ALL)
    assert sorted(e.text for _, asked in rounds for e in asked) == sorted(e.text for e in rows)
    for kept, asked in rounds:
        assert {e for e in kept if not e.measures} >= set(liked)
        # It would tell the model what it is to be asked.
        assert (again in kept) is (rows[7] not in asked)
    assert plan_rounds(liked, ALL) == []
    # Nor is a label lost that nothing else has.
    for kept, _ in plan_rounds([*rows, replace(again, intent="lone")], ALL):
        assert "lone" in {e.intent for e in kept}


def test_of_every_label_at_least_one_example_stays_to_train_on() -> None:
    rows = [Example(f"{n}", "big", "neutral") for n in range(20)]
    rows += [Example("lone", "small", "neutral"), Example("sad", "big", "negative")]
    for seed in range(5):
        rounds = plan_rounds(rows, replace(ALL, seed=seed))
        assert len(rounds) == 5
        for kept, asked in rounds:
            assert {e.intent for e in kept} == {"big", "small"}
            assert {e.sentiment for e in kept} == {"neutral", "negative"}
            assert not {"lone", "sad"} & {e.text for e in asked}
            assert len(kept) + len(asked) == len(rows)


def test_a_text_that_goes_back_to_the_training_is_not_held_out_under_another_label() -> None:
    rows = [Example(f"{n}", "big", "neutral") for n in range(20)]
    rows += [Example("lone", "small", "neutral"), Example("Lone!", "big", "neutral")]
    rounds = plan_rounds(rows, ALL)
    assert len(rounds) == 5
    for _, asked in rounds:
        assert not {"lone", "Lone!"} & {e.text for e in asked}


@pytest.mark.parametrize(
    "rows",
    [
        [Example("x", "a"), Example("y", "b")],
        [Example("x", "a"), Example("X ", "b")] * 20,
        [Example(f"{n}", f"intent{n}") for n in range(30)],
    ],
)
def test_where_nothing_can_be_held_out_there_is_no_round(rows: list[Example]) -> None:
    assert plan_rounds(rows, ALL) == []


def test_a_model_is_asked_about_texts_with_the_view_of_those_it_was_trained_on(
    tiny_base: Path,
) -> None:
    rows = make_examples(each=24)
    labels = find_labels(rows)
    recipe = replace(TINY, epochs=4).settle(len(rows))
    ((kept, asked),) = plan_rounds(rows, recipe)
    base = find_base(str(tiny_base))
    tokenizer, cpu = load_tokenizer(base), torch.device("cpu")
    model = fit(kept, labels, base, tokenizer, recipe, cpu, lambda *_: None)
    found = hold_out(model, tokenizer, labels, kept, asked, cpu)
    assert found.examples == asked
    outputs = found.outputs
    assert outputs.intent is not None
    assert outputs.sentiment is not None
    assert outputs.nearness is not None
    assert outputs.intent.shape == (len(asked), 4)
    assert outputs.sentiment.shape == (len(asked), 3)
    assert outputs.nearness.shape == (len(asked), 2)
    near = {neighbour.text for shown in outputs.neighbours for neighbour in shown}
    assert near <= {e.text for e in kept}


def part(rows: int, *, nearness: bool = True, intent: bool = True) -> HeldOut:
    numbers = np.arange(2.0 * rows).reshape(rows, 2)
    outputs = Outputs(numbers if intent else None, -numbers, numbers + 100 if nearness else None)
    return HeldOut([Example(f"{rows} {row}", "a") for row in range(rows)], outputs)


def test_rounds_are_joined_in_their_order() -> None:
    found = together([part(2), part(3)])
    assert found is not None
    assert [e.text for e in found.examples] == ["2 0", "2 1", "3 0", "3 1", "3 2"]
    assert found.outputs.intent is not None
    assert found.outputs.sentiment is not None
    assert found.outputs.nearness is not None
    assert found.outputs.intent[:, 0].tolist() == [0, 2, 0, 2, 4]
    assert found.outputs.sentiment[:, 0].tolist() == [0, -2, 0, -2, -4]
    assert found.outputs.nearness[:, 0].tolist() == [100, 102, 100, 102, 104]


def test_what_one_round_lacks_the_whole_lacks() -> None:
    found = together([part(2), part(3, nearness=False)])
    assert found is not None
    assert found.outputs.nearness is None
    found = together([part(2, intent=False), part(3, intent=False)])
    assert found is not None
    assert found.outputs.intent is None
    assert together([]) is None


def test_what_is_held_out_sets_temperature_thresholds_and_scope() -> None:
    rng = np.random.default_rng(0)
    rows = 3000
    logits = rng.normal(0, 3, (rows, 2))
    chance = 1 / (1 + np.exp(-(logits[:, 0] - logits[:, 1])))
    examples = [
        Example(f"text {row}", "ab"[int(other)])
        for row, other in enumerate(rng.random(rows) > chance)
    ]
    outputs = Outputs(logits * 2, None, rng.normal(size=(rows, 2)))
    recipe = Recipe(target_error=0.05, target_errors={"b": 0.2})
    calibration, scope = calibrate(HeldOut(examples, outputs), examples, LABELS, recipe)
    assert calibration.intent_temperature == pytest.approx(2.0, rel=0.1)
    assert calibration.sentiment_temperature == 1.0
    assert calibration.thresholds["a"] > calibration.thresholds["b"] >= 0.5
    assert calibration.held_out == rows
    assert (calibration.target_error, calibration.target_errors) == (0.05, {"b": 0.2})
    assert len(scope.offset) == 2
    assert scope.layers == ()
    left = replace(recipe, never_answered=("a", "unknown"))
    calibration, _ = calibrate(HeldOut(examples, outputs), examples, LABELS, left)
    assert calibration.never_answered == ("a",)
    assert calibration.threshold_for("a") == NEVER
    assert calibration.threshold_for("b") < NEVER


def test_texts_that_are_refused_as_unfamiliar_do_not_count_against_the_thresholds() -> None:
    # Among 400 texts that the model is right about, 60 that it is sure of and wrong about.
    rows = 460
    odd = np.arange(rows) >= 400
    logits = np.stack([np.full(rows, 4.0) + np.arange(rows) % 7, np.zeros(rows)], axis=1)
    logits = np.concatenate([logits, np.full((rows, 1), -9.0)], axis=1)
    examples = [Example(f"text {row}", "oos" if far else "a") for row, far in enumerate(odd)]
    nearness = np.random.default_rng(0).normal(size=(rows, 2))

    def threshold(far: float) -> float:
        near = nearness - far * odd[:, None]
        held_out = HeldOut(examples, Outputs(logits, None, near))
        calibration, _ = calibrate(held_out, [], Labels(("a", "b", "oos"), ()), Recipe())
        return calibration.threshold_for("a")

    assert threshold(20.0) < NEVER
    assert threshold(0.0) == NEVER


def test_a_text_that_stands_there_many_times_proves_and_calibrates_no_more_than_once() -> None:
    rng = np.random.default_rng(0)
    logits = np.stack([np.full(40, 4.0) + np.arange(40) % 7, np.zeros(40)], axis=1)
    nearness, moods = rng.normal(size=(40, 2)), rng.normal(size=(40, 2))
    labels = Labels(("a", "b"), ("negative", "positive"))

    def calibrated(copies: int) -> tuple[Calibration, Scope]:
        ends = ("", "!", " ", "?", ".")[:copies]
        examples = [
            Example(f"text {row}{end}", "b" if row == 7 else "a", "positive")
            for end in ends
            for row in range(40)
        ]
        outputs = Outputs(*(np.tile(each, (copies, 1)) for each in (logits, moods, nearness)))
        return calibrate(HeldOut(examples, outputs), [], labels, Recipe(target_error=0.3))

    calibration, _ = calibrated(1)
    assert calibration.threshold_for("a") < NEVER
    assert calibrated(5) == calibrated(1)
    assert calibration.held_out == 40
    # Fifteen texts prove no 5 %, however often each is there.
    few = [Example(f"text {row % 15}", "a") for row in range(90)]
    sure = Outputs(np.tile([9.0, 0.0], (90, 1)), None, None)
    assert calibrate(HeldOut(few, sure), [], LABELS, Recipe())[0].promise is None
    many = [Example(f"text {row}", "a") for row in range(90)]
    assert calibrate(HeldOut(many, sure), [], LABELS, Recipe())[0].promise


def test_a_text_under_two_intents_is_wrong_under_one_of_them() -> None:
    # Of each text the first row is right, the second wrong: that half of them are is no secret.
    rows = [Example(f"text {row // 2}", "ab"[row % 2]) for row in range(400)]
    sure = Outputs(np.tile([9.0, 0.0], (400, 1)), None, None)
    assert calibrate(HeldOut(rows, sure), [], LABELS, Recipe())[0].promise is None


def test_without_held_out_examples_only_the_promise_and_the_languages_are_noted() -> None:
    rows = [Example("where has my parcel gone this week?", "a")] * 3
    recipe = Recipe(target_error=0.05, target_errors={"a": 0.01}, never_answered=("b", "unknown"))
    calibration, scope = calibrate(None, rows, LABELS, recipe)
    assert calibration == Calibration(
        target_error=0.05,
        target_errors={"a": 0.01},
        never_answered=("b",),
        languages=("en",),
    )
    assert calibration.threshold == NEVER
    assert scope == Scope()


def test_texts_out_of_scope_do_not_make_their_language_one_of_the_models() -> None:
    rows = [Example("where has my parcel gone this week?", "a")] * 3
    rows += [Example("wo ist denn mein Paket geblieben?", "oos")] * 3
    assert calibrate(None, rows, LABELS, Recipe())[0].languages == ("en",)


def test_what_customers_wrote_does_not_make_its_language_one_of_the_models() -> None:
    rows = [Example("where has my parcel gone this week?", "a")] * 3
    lessons = [Example("wo ist denn mein Paket geblieben?", "a", private=True)] * 3
    assert calibrate(None, rows + lessons, LABELS, Recipe())[0].languages == ("en",)
    assert calibrate(None, lessons, LABELS, Recipe())[0].languages == ("de",), "there is no other"


def test_held_out_texts_without_an_intent_leave_nothing_to_be_answered_automatically() -> None:
    outputs = Outputs(np.zeros((3, 2)), np.zeros((3, 2)), np.zeros((3, 2)))
    rows = [Example("text", None, "negative")] * 3
    labels = Labels(("a", "b"), ("negative", "positive"))
    calibration, scope = calibrate(HeldOut(rows, outputs), rows, labels, Recipe())
    assert calibration.threshold == NEVER
    assert calibration.intent_temperature == 1.0
    assert scope == Scope()


def test_labels_become_indices() -> None:
    rows = [Example("x", "b", "neutral"), Example("y", None, "negative"), Example("z", "c")]
    assert indices(rows, ("a", "b")).tolist() == [1, -1, -1]
    assert indices(rows, ("negative", "neutral"), sentiment=True).tolist() == [1, 0, -1]
    assert indices([], ("a",)).shape == (0,)
