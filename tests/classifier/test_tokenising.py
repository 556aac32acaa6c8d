from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer
from tokenizers.models import WordLevel

from classifier import tokenising
from classifier.base import find_base, load_tokenizer
from classifier.tokenising import MANY, Sequences, tokenise

PACKAGED = load_tokenizer(find_base())
ODD = (
    "",
    " ",
    "🙂🙂",
    "Où est mon colis ?!",
    "ＦＵＬＬ width",
    "我的包裹在哪里",
    "e\u0301\u0301 combining",
    "\u0301begins with one",
    "no\x00break\x07 here",
    "\ud83d half a pair",
    "unaffable" * 40,
    "x" * 300,
    "[MASK] [cls] [SEP",
    "]",
    "ends in spaces  ",
    "\n\n",
)


def one_by_one(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    return [ids for text in texts for ids in tokenise(tokenizer, [text]).lists()]


def joined(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    """Of texts enough that they are joined."""
    found = tokenise(tokenizer, texts + ["thanks"] * MANY)
    return found.lists()[: len(texts)]


def test_texts_tokenised_together_get_the_tokens_that_each_gets_alone() -> None:
    texts = [*ODD, "where is my parcel", *ODD]
    assert joined(PACKAGED, texts) == one_by_one(PACKAGED, texts)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=20))
def test_so_does_any_text(texts: list[str]) -> None:
    assert joined(PACKAGED, texts) == one_by_one(PACKAGED, texts)


def test_they_are_joined() -> None:
    strings: list[str] = []

    class Spy:
        def __getattr__(self, name: str) -> object:
            return getattr(PACKAGED, name)

        def encode_batch_fast(self, texts: list[str], **options: bool) -> object:
            strings.extend(texts)
            return PACKAGED.encode_batch_fast(texts, **options)

    tokenise(Spy(), ["thanks"] * MANY)
    assert len(strings) == MANY // tokenising.JOINED
    assert strings[0].startswith("[CLS]thanks[SEP][CLS]thanks[SEP]")


@pytest.mark.parametrize("mark", ["[CLS]", "[SEP]", "[SEP][CLS]"])
def test_a_text_that_has_such_a_mark_itself_costs_no_other_its_tokens(mark: str) -> None:
    texts = ["where is", f"my {mark} parcel", "thanks"]
    assert joined(PACKAGED, texts) == one_by_one(PACKAGED, texts)


@pytest.mark.parametrize("limit", [3, 8, 50])
def test_each_text_is_cut_as_the_tokenizer_is_set_to(limit: int) -> None:
    tokenizer = copy.deepcopy(PACKAGED)
    tokenizer.enable_truncation(limit)
    texts = [*ODD, "where is my parcel and who has it now"]
    assert joined(tokenizer, texts) == one_by_one(tokenizer, texts)
    assert tokenizer.truncation is not None
    assert tokenizer.truncation["max_length"] == limit


def test_a_tokenizer_that_cuts_at_the_left_goes_on_to() -> None:
    tokenizer = copy.deepcopy(PACKAGED)
    tokenizer.enable_truncation(4, direction="left")
    texts = ["where is my parcel"]
    assert joined(tokenizer, texts) == one_by_one(tokenizer, texts)


def test_a_tokenizer_that_adds_no_special_tokens_still_gives_one_for_an_empty_text() -> None:
    built = BertWordPieceTokenizer()
    built.train_from_iterator(["thanks"], show_progress=False)
    tokenizer: Tokenizer = built._tokenizer
    assert tokenise(tokenizer, ["", "🙂"]).lengths.tolist() == [1, 1]
    assert joined(tokenizer, ["", "thanks"]) == one_by_one(tokenizer, ["", "thanks"])


def test_a_tokenizer_of_another_kind_takes_texts_one_by_one() -> None:
    tokenizer = Tokenizer(WordLevel({"thanks": 5, "?": 1}, unk_token="?"))
    assert joined(tokenizer, ["thanks", "you"]) == [[5], [1]]


def test_sequences_can_be_taken_in_any_order() -> None:
    sequences = Sequences.of([[2, 3], [2, 7, 8, 3], [5]])
    assert len(sequences) == 3
    assert sequences.take(np.array([2, 0, 0])).lists() == [[5], [2, 3], [2, 3]]
    assert sequences.places().tolist() == [0, 1, 0, 1, 2, 3, 0]
    assert Sequences.of([]).lists() == []
