"""What train says of its data and of its test, before minutes are spent on them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from classifier.data import Example
from tests.cli.conftest import Place, Result, make_examples, write_jsonl

Command = Callable[..., Result]


def test_a_test_that_would_flatter_the_model_is_told_before_the_training(
    place: Place, frontdesk: Command
) -> None:
    examples = make_examples(each=6)
    data = write_jsonl(place.folder / "data.jsonl", examples)
    seen = [replace(e, text=f"{e.text.upper()}!") for e in examples[:3]]
    unseen = Example("zxcv qwer uiop", "refund")
    test = write_jsonl(place.folder / "test.jsonl", [*seen, unseen])
    train = ("train", "--data", str(data), "--out", "m", "--epochs", "1", "--test")
    result = frontdesk(*train, str(test))
    assert result.code == 0, result.err
    said = f"3 of the 4 texts of {test} are in {data} too, or nearly so"
    assert result.err.index(said) < result.err.index("epoch 1")
    shutil.rmtree("m")
    assert "or nearly so" not in frontdesk(*train, str(write_jsonl(test, [unseen]))).err


@pytest.mark.parametrize("with_moods", [False, True])
def test_a_test_whose_labels_the_examples_do_not_have_is_refused(
    place: Place, frontdesk: Command, with_moods: bool
) -> None:
    examples = make_examples(each=6)
    data = write_jsonl(place.folder / "data.jsonl", examples)
    others = [replace(e, intent=f"{e.intent}s") for e in examples]
    if not with_moods:
        others = [replace(e, sentiment=None) for e in others]
    test = write_jsonl(place.folder / "test.jsonl", others)
    result = frontdesk("train", "--data", str(data), "--out", "m", "--test", str(test))
    assert result.code == 2
    assert ("none of the intents" if with_moods else "none of the labels") in result.err
    assert not Path("m").exists()


def test_a_test_of_texts_out_of_scope_measures_how_many_would_be_answered(
    place: Place, frontdesk: Command
) -> None:
    known = [e for e in make_examples(each=6) if e.intent != "out_of_scope"]
    data = write_jsonl(place.folder / "data.jsonl", known)
    strangers = [Example("what a day", "oos"), Example("sing to me", "oos")]
    test = write_jsonl(place.folder / "test.jsonl", strangers)
    result = frontdesk(
        *("train", "--data", str(data), "--out", "m", "--test", str(test)),
        *("--epochs", "1", "--quiet"),
    )
    assert result.code == 0, result.err


def test_a_model_of_sentiments_alone_gets_no_advice_on_answers(
    place: Place, frontdesk: Command
) -> None:
    moods = [replace(e, intent=None) for e in make_examples(each=6)]
    data = write_jsonl(place.folder / "moods.jsonl", moods)
    said = frontdesk("train", "--data", str(data), "--out", "m", "--epochs", "1").out
    assert "it knows no intents, so nothing is answered automatically" in said
    assert "thresholds" not in said


def test_labels_that_are_sure_to_mislead_are_counted_before_the_training(
    place: Place, frontdesk: Command
) -> None:
    examples = list({e.text: e for e in make_examples(each=6)}.values())
    first = next(e for e in examples if e.intent == "refund")
    odd = [
        replace(first, text=f"{first.text.upper()}!", intent="where"),
        Example("what a day", "chat"),
        Example("sing to me", "oos"),
    ]
    data = write_jsonl(place.folder / "data.jsonl", [*examples, *odd])
    train = ("train", "--data", str(data), "--out", "m", "--epochs", "1", "--quiet")
    said = frontdesk(*train).err
    assert said == (
        "texts under more than one intent: 1; intents with one text: 1 (which the validation "
        f"leaves out). See frontdesk validate {data}\n"
        f"1 of the 26 rows of {data} repeat a text (case, spaces and punctuation aside): what is "
        "proven counts it once under each label.\n"
    )
    shutil.rmtree("m")
    write_jsonl(data, examples)
    assert frontdesk(*train).err == ""


def test_an_intent_that_is_nearly_called_out_of_scope_is_told_before_the_training(
    place: Place, frontdesk: Command
) -> None:
    rows = [replace(e, intent="OOS") if e.intent == "where" else e for e in make_examples(each=6)]
    data = write_jsonl(place.folder / "data.jsonl", rows)
    said = frontdesk("train", "--data", str(data), "--out", "m", "--epochs", "1", "--quiet").err
    assert "intent OOS is an intent like others; for what is out of scope write oos\n" in said
    assert "intent out_of_scope" not in said
