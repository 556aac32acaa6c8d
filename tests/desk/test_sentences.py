"""How a message falls into sentences, each of which the model reads by itself, too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk.domain import PendingMessage, Trial
from desk.sentences import MOST, WITHIN, asks, sentences


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("where is it?? also can i swap it", ("where is it??", "also can i swap it")),
        ("[No parcel came!] Then he left.", ("[No parcel came!]", "Then he left.")),
        ("It broke.\nI want a refund", ("It broke.", "I want a refund")),
        (" where is it \n\n when do you open ", ("where is it", "when do you open")),
        ('He said "no!" Then he left.', ('He said "no!"', "Then he left.")),
        ("He said “no!” (Really?) Then he left.", ("He said “no!”", "(Really?)", "Then he left.")),
        ("two things: 1) no parcel 2) no refund", ("two things:", "1) no parcel", "2) no refund")),
        ("2 things (1) no parcel (2) no refund", ("2 things", "(1) no parcel", "(2) no refund")),
        ("two things: 1. no parcel 2. no refund", ("two things:", "no parcel", "no refund")),
        ("9) no parcel 10) no refund", ("9) no parcel", "10) no refund")),
        ("1. no parcel\n2. no refund", ("no parcel", "no refund")),
        ("订单在哪里？什么时候开门？", ("订单在哪里？", "什么时候开门？")),
        ("订单在哪?什么时候开门?", ("订单在哪?", "什么时候开门?")),
        ("我要退款!什么时候开门?", ("我要退款!", "什么时候开门?")),
        ("1、退款 2、营业时间", ("1、退款", "2、营业时间")),
        ("أين طلبي؟ متى تفتحون؟", ("أين طلبي؟", "متى تفتحون؟")),
        ("it came… broken 😡 refund!!! 😡", ("it came…", "broken 😡 refund!!!")),
    ],
)
def test_sentences_lines_and_points_of_a_list_are_told_apart(
    text: str, parts: tuple[str, ...]
) -> None:
    assert sentences(text) == parts


@pytest.mark.parametrize(
    "text",
    ["where is my order", "where is my order?", "hi?!", "", "?? !!", "v2.0 of shop.example/a?b=c",
     "refund! refund! refund!", "order 4411.\n😡\n£20"],
)  # fmt: skip
def test_a_text_of_one_sentence_has_none_to_be_read_apart(text: str) -> None:
    assert sentences(text) == ()


@pytest.mark.parametrize(
    ("text", "is_asked"),
    [
        ("Is it sparking? Unplug it.", True),
        ("在冒火花吗？请拔掉插头。", True),
        ("هل يخرج منه شرر؟", True),
        ("“Is it sparking?”", True),
        ("Unplug it. See shop.example/help?topic=2", False),
        ("Unplug it!", False),
    ],
)
def test_a_question_mark_within_an_address_asks_nothing(text: str, is_asked: bool) -> None:
    assert asks(text) is is_asked


def test_of_a_long_story_the_first_sentences_are_read_apart() -> None:
    story = " ".join(f"This is sentence {'x' * number}." for number in range(1, 50))
    assert len(sentences(story)) == MOST
    assert sentences(story)[-1] == f"This is sentence {'x' * MOST}."


def test_of_a_letter_no_sentence_is_read_apart_that_ends_further_than_a_list_of_questions() -> None:
    letter = " ".join(
        ["I smell gas.", "Hello there.", "and so on " * 40, "and on " * 30 + ".", "x."]
    )
    assert sentences(letter) == ("I smell gas.", "Hello there.")
    assert sentences("a" * (WITHIN - 3) + ". b") == ("a" * (WITHIN - 3) + ".", "b")
    assert sentences("a" * (WITHIN - 2) + ". bcd") == ()
    assert sentences("a. b. " + "c" * WITHIN) == ("a.", "b.")


def test_all_that_customers_ask_at_once_and_the_packs_hold_is_short_enough() -> None:
    root = Path(__file__).parents[2]
    files = [root / "benchmarks" / "several.jsonl", *root.glob("packs/*/*.jsonl")]
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    assert max(len(json.loads(line)["text"]) for line in lines) <= WITHIN


def test_a_run_of_blanks_takes_no_longer_than_words() -> None:
    assert sentences(f"a{' ' * 200_000}b") == ()


@given(st.text(max_size=300))
def test_sentences_are_parts_of_their_text_with_words_in_them(text: str) -> None:
    parts = sentences(text)
    assert len(parts) != 1
    for part in parts:
        assert part in text
        assert any(map(str.isalpha, part))


def test_what_may_have_ended_a_worker_is_read_as_a_whole_only() -> None:
    text = "where is it? when do you open?"
    assert PendingMessage(1, 1, text).sentences == ("where is it?", "when do you open?")
    assert PendingMessage(1, 1, text, trial=Trial.SUSPECTED).sentences == ()
