"""What of a customer's names is masked in their own words, and what is not."""

from __future__ import annotations

from unicodedata import normalize

import pytest

from desk import pack as packs
from desk.masking import mask
from desk.own_names import OwnNames
from desk.tables import Customer
from tests.conftest import FLORIST

NAMES = OwnNames(packs.load(FLORIST))


def own(name: str, first_name: str | None = None, username: str | None = None) -> frozenset[str]:
    return NAMES.of(Customer(name=name, first_name=first_name, username=username))


@pytest.mark.parametrize(
    ("name", "text", "masked"),
    [
        ("Ana María O'Neil", "ANA MARIA oneil O'Neil's", "[name] [name] oneil O'[name]'s"),
        ("José", "jose, JOSÉ, José and Josephine", "[name], [name], [name] and Josephine"),
        ("Jo Li", "Jo and Li", "Jo and Li"),
        ("Mar Ina", "the marina of Mar Ina", "the marina of [name] [name]"),
        ("Анна-Мария 💐", "это Анна, анна", "это [name], [name]"),
        ("राम कुमार", "मैं राम कुमार हूँ", "मैं राम [name] हूँ"),
        ("李明", "我是李明，李先生", "我是[name]，李先生"),
        ("明 李", "我叫李明。明李", "我叫[name]。[name]"),
        ("小红 王", "王小红和小红", "[name]和[name]"),
        ("김철수", "저는 김철수입니다", "저는 [name]입니다"),
        (normalize("NFD", "김 철수"), "김밥, 김철수입니다", "김밥, [name]입니다"),
        ("Zanzi", "我是Zanzi，你好", "我是[name]，你好"),
        ("❤️Zoë❤️", "zoe", "[name]"),
        ("Anna李明", "Anna or 我是李明", "[name] or 我是[name]"),
        ("Ｔｏｍ 𝐐𝐮𝐢𝐥𝐥", "Ｔｏｍ, Tom, Quill", "[name], [name], [name]"),
        ("Link", "Link, see https://a.example", "[name], see [link]"),
    ],
)
def test_a_customers_own_name_is_masked_however_it_is_written(
    name: str, text: str, masked: str
) -> None:
    names = own(name)
    assert mask(text, ["GB"], names) == masked
    assert mask(masked, ["GB"], names) == masked


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Refund Please", "refund please, where is my order"),
        ("Réfund Plèase", "refund please, where is my order"),
        ("退款 请", "请退款"),
        ("Piet van der Meer", "a van ran into my car"),
        ("Fern Petal", "is this fern & petal"),
        ("Cafe Noir", "the cafe is closed"),
    ],
)
def test_a_name_of_the_packs_own_words_takes_none_of_them_away(name: str, text: str) -> None:
    pack = packs.load(FLORIST)
    answer = {
        "en": "Please send it to our café, in noir, for a refund.",
        "zh": "请发照片，我们会退款",
    }
    words = pack.intents["refund"].model_copy(update={"answer": answer})
    names = OwnNames(pack.model_copy(update={"intents": {**pack.intents, "refund": words}}))
    assert mask(text, ["GB"], names.of(Customer(name=name))) == text


@pytest.mark.parametrize(
    ("name", "text", "masked"),
    [
        ("Bill Green", "my bill for the green chair is wrong", None),
        ("Bill Green", "Bill Green here, BILL", "[name] [name] here, [name]"),
        ("Bill Green", "its bill green. bill", "its [name] [name]. bill"),
        ("May Hope", "i hope it comes in may. May", "i hope it comes in may. [name]"),
        ("Don", "i don't know", None),
    ],
)
def test_of_a_name_that_is_a_common_word_only_what_reads_as_a_name_is_masked(
    name: str, text: str, masked: str | None
) -> None:
    assert mask(text, ["GB"], own(name)) == (masked or text)


def test_a_username_is_masked_as_it_is_and_in_its_words() -> None:
    names = own("Al", None, "zanzi_q7")
    text = "al here: zanzi, Zanzi_Q7 or @zanzi_q7 on order 7"
    assert mask(text, ["GB"], names) == "al here: [name], [name] or [name] on order 7"


def test_a_first_name_in_two_parts_is_masked_as_one_word_as_well() -> None:
    assert mask("我是小红", ["GB"], own("小 红 王", "小 红")) == "我是[name]"
    assert mask("我是小红", ["GB"], own("小 红 王")) == "我是小红", "which part is it?"


def test_one_who_was_erased_has_none() -> None:
    assert own("") == frozenset()
