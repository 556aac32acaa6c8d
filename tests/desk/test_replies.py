"""Yes and no: what counts as such, and what says more."""

from __future__ import annotations

import pytest

from desk.replies import yes_or_no
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


def test_no_word_means_both() -> None:
    words = {
        key: {word.strip() for each in LANGUAGES for word in say(key, each).split(",")}
        for key in ("reply-yes", "reply-no")
    }
    assert "" not in words["reply-yes"] | words["reply-no"]
    assert words["reply-yes"].isdisjoint(words["reply-no"])
