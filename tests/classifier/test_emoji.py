"""Emoji are read as words."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer

from classifier.base import find_base, load_tokenizer
from classifier.batching import tokenise
from classifier.emoji import spell_out


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_tokenizer(find_base("minilm"))


def test_moods_that_were_one_unknown_token_are_told_apart(tokenizer: Tokenizer) -> None:
    happy, angry = tokenise(tokenizer, ["my parcel 😍", "my parcel 😡"])
    unknown = tokenizer.token_to_id("[UNK]")
    assert happy != angry
    assert unknown not in happy + angry


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("thanks 👍", "thanks thumbs up"),
        ("thanks👍👍👍", "thanks thumbs up"),
        ("👍🏽 and 👍🏿👍", "thumbs up and thumbs up"),
        ("❤️❤️", "heavy black heart"),
        ("😂😂😭", "face with tears of joy loudly crying face"),
        ("👩‍💻", "woman personal computer"),
        ("late again 😡!!", "late again pouting face !!"),
    ],
)
def test_an_emoji_is_said_once_by_its_name(text: str, read: str, tokenizer: Tokenizer) -> None:
    assert spell_out(text, tokenizer).split() == read.split()


@pytest.mark.parametrize(
    "text", ["", "plain", "Päckchen für 20 €", "你好，我的包裹在哪里", "♥", "a\ud83d", "\U0001f0ff"]
)
def test_all_else_stays_as_it_is(text: str, tokenizer: Tokenizer) -> None:
    assert spell_out(text, tokenizer) == text
