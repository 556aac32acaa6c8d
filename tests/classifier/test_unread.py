from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE

from classifier.base import find_base, load_tokenizer
from classifier.data import Example
from classifier.unread import Unread, unread, unreadable


def test_words_that_a_base_lacks_are_counted_and_texts_that_it_cannot_tell_apart(
    tiny_base: Path,
) -> None:
    tokenizer = load_tokenizer(find_base(str(tiny_base)))
    examples = [
        Example("unspellable refund", "refund"),  # spelled out, and so read
        Example("退款 parcel", "refund"),
        Example("订购 parcel", "where"),
        Example("订 parcel", "refund"),
        Example("订购", "where"),
        Example("购买", "where"),
    ]
    # Two words, then three of which two, the same, two of which one, and twice two.
    assert unread(tokenizer, examples) == Unread(words=9 / 14, alike=2)


def test_one_text_under_two_intents_is_no_fault_of_the_base(tiny_base: Path) -> None:
    tokenizer = load_tokenizer(find_base(str(tiny_base)))
    examples = [Example("退款", "refund"), Example("退款", "where")]
    assert unread(tokenizer, examples) == Unread(words=1.0, alike=0)


def test_english_can_be_read_with_its_slips_and_emoji() -> None:
    tokenizer = load_tokenizer(find_base())
    texts = ["wheres my pacrel?? 😡", "Où est mon colis", "refnd pls 🙏🏽", "FRONTDESK-4711"]
    assert unread(tokenizer, [Example(text, "where") for text in texts]) == Unread(0.0, 0)


def test_a_text_counts_as_one_that_cannot_be_read_from_half_of_its_words_on() -> None:
    tokenizer = load_tokenizer(find_base())
    texts = [
        "where is my parcel",
        "我想退款",
        "price of 退款 please",
        "退款 please 退货",
        "",
        "где посылка",
    ]
    assert unreadable(tokenizer, texts) == [1, 3]
    assert unreadable(tokenizer, []) == []


def test_a_tokenizer_that_knows_no_unknown_token_reads_all() -> None:
    assert unread(Tokenizer(BPE({"a": 0}, [])), [Example("退款", "refund")]) == Unread(0.0, 0)


def test_a_tokenizer_that_joins_pieces_without_a_sign_has_unknown_ones_too() -> None:
    tokenizer = Tokenizer(BPE({"[UNK]": 0, "a": 1}, [], unk_token="[UNK]"))
    assert unread(tokenizer, [Example("ab", "refund")]) == Unread(0.5, 0)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (Unread(0.099, 3), None),
        (Unread(0.5, 0), "can't read 50 % of the words of the examples. Name a base"),
        (Unread(0.5, 1200), "of the examples, and 1,200 texts look to it like one of another"),
    ],
)
def test_it_is_said_from_a_tenth_of_the_words_on(found: Unread, says: str | None) -> None:
    sentence = found.sentence("minilm")
    assert sentence is None if says is None else says in str(sentence)
