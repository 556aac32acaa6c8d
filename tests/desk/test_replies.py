"""Yes, no and which of several: what counts as such, and what says more."""

from __future__ import annotations

import pytest

from desk.replies import MEANT, MOST, OFFER, means_both, place, says_something, yes_or_no
from desk.texts import LANGUAGES, say


@pytest.mark.parametrize(
    "text",
    [
        *("yes", "Yes!", "YES PLEASE :)", "yesss", "ok", "that’s it", "That's right.", "yep 👍"),
        *("👍👍", "👍🏽", "✔️", "✅", "是的！", "嗯嗯嗯", "对"),
    ],
)
def test_a_yes_is_heard_however_it_is_typed(text: str) -> None:
    assert yes_or_no(text, LANGUAGES) is True


@pytest.mark.parametrize("text", ["ok", "OK!", "okay", "Yes", "嗯好", "這個", "是這個", "就是這個"])
def test_a_yes_is_heard_from_who_writes_chinese(text: str) -> None:
    assert yes_or_no(text, ["zh"]) is True


@pytest.mark.parametrize(
    "text",
    ["No", "以上都不是", "都没有", "都沒有。", "不是这些", "都不是的", "沒有一個"],
)
def test_a_no_is_heard_from_who_writes_chinese(text: str) -> None:
    assert yes_or_no(text, ["zh"]) is False


@pytest.mark.parametrize(
    "text",
    ["no", "Nope.", "nooo!!", "No, it's not", "none of these", "👎🏿", "❌", "no 👎", "不是。"],
)
def test_a_no_is_heard_however_it_is_typed(text: str) -> None:
    assert yes_or_no(text, LANGUAGES) is False


@pytest.mark.parametrize(
    "text",
    [
        *(
            "yes but where is it",
            "no parcel came",
            "not yet",
            "yes 👎",
            "👍👎",
            "🙂",
            "1",
            "??",
            "",
        ),
        *("no thanks", "my roses 👍", "yes\nand the red ones?", "是的，但是还没到"),
    ],
)
def test_what_says_more_or_both_or_neither_is_left_to_the_model(text: str) -> None:
    assert yes_or_no(text, LANGUAGES) is None


def test_a_word_counts_in_the_languages_asked_for_alone() -> None:
    assert yes_or_no("是的", ["en"]) is None
    assert yes_or_no("是的", ["en", "zh"]) is True


@pytest.mark.parametrize(
    ("text", "meant", "offered"),
    [
        *[(text, True, True) for text in ("yes", "Ok!", "sure", "👍", "好的", "是的。")],
        *[(text, False, False) for text in ("no", "Nope.", "not really", "❌", "不", "不是")],
        *[(text, None, True) for text in ("go on then", "Please do.", "麻烦您了", "叫吧")],
        *[(text, None, False) for text in ("no thanks", "Don’t", "never mind", "不用了，谢谢")],
        *[(text, True, None) for text in ("that's it", "this one", "没错")],
        *[(text, False, None) for text in ("wrong", "something else", "not that", "错了")],
    ],
)
def test_what_takes_up_or_declines_an_offer_need_not_say_what_was_meant(
    text: str, meant: bool | None, offered: bool | None
) -> None:
    assert (yes_or_no(text, LANGUAGES), yes_or_no(text, LANGUAGES, OFFER)) == (meant, offered)


@pytest.mark.parametrize("keys", [MEANT, OFFER])
def test_no_word_means_both(keys: tuple[str, str]) -> None:
    yes, no = (
        {word.strip() for each in LANGUAGES for word in say(key, each).split(",")} for key in keys
    )
    assert "" not in yes | no
    assert yes.isdisjoint(no)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("1", 1), ("1st", 1), ("First!", 1), ("the first one", 1), ("yes the first", 1)),
        *(("option 2", 2), ("#2", 2), ("I'd like the second one please", 2), ("number three", 3)),
        *(("第二个！", 2), ("选项3", 3), ("四", 4), ("fifth", 5)),
        *(("it's the 1st", 1), ("number one", 1), ("I'll take option one", 1), ("two", 2)),
        *(("one", None), ("I need one", None), ("the one", None), ("I'd like two please", None)),
        *(("i want 2", None), ("一", 1)),
        *(("6", None), ("not the first", None), ("first roses", None), ("", None), ("yes", None)),
    ],
)
def test_one_of_several_is_named_by_its_place(text: str, number: int | None) -> None:
    assert place(text, LANGUAGES) == number


@pytest.mark.parametrize(
    ("text", "both"),
    [("Both", True), ("both of them please", True), ("两个都要！", True), ("both late", False)],
)
def test_both_are_meant_by_a_word_for_both_alone(text: str, both: bool) -> None:
    assert means_both(text, LANGUAGES) is both


@pytest.mark.parametrize(
    ("words", "something"),
    [
        *(
            ("what is it", False),
            ("i can t", False),
            ("want to", False),
            ("为什么", False),
            ("gone", False),
        ),
        *(("my refund", True), ("i paid", True), ("理赔", True), ("", False)),
    ],
)
def test_words_that_stand_in_any_title_say_nothing(words: str, something: bool) -> None:
    assert says_something(words.split(), LANGUAGES) is something


def test_no_word_names_two_places() -> None:
    keys = [*(f"reply-place-{number}" for number in range(1, MOST + 1)), "reply-both"]
    words = [
        {word.strip() for each in LANGUAGES for word in say(key, each).split(",")} for key in keys
    ]
    assert "" not in set().union(*words)
    assert len(set().union(*words)) == sum(map(len, words))
