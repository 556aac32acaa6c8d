"""Which of a stranger's words Telegram would bring to life, and which are left as they are."""

from __future__ import annotations

import pytest

from desk.inert import WORD_JOINER, defused, inert, inert_markup

WHOLE = [
    "https://shop.example/@omar_op/1",
    "see https://www.shop-2.example/a?x=/b&y=@c#/d",
    "two\nhttp://shop.example/@omar_op https://shop.example/-/ban",
    "ann@shop.example or 1/2",
]


@pytest.mark.parametrize("text", WHOLE)
def test_addresses_and_what_is_no_live_word_are_left_whole(text: str) -> None:
    assert defused(text) == text


@pytest.mark.parametrize(
    ("before", "sign"),
    [
        # It is cut where a bracket closes that never opened, and at most of what is no letter.
        ("https://shop.example/)", "@omar_op"),
        ("https://shop.example/]", "/ban"),
        ("https://shop.example/…", "@omar_op"),
        ("https://shop.example/\u200b", "@omar_op"),
        ("https://shop.example/‖", "/ban"),
        # Its host is none, nor its protocol.
        ("https://a.b/", "@omar_op"),
        ("https://a.b_c/", "@omar_op"),
        ("https://a_b.example/", "@omar_op"),
        ("https://shop-.example/", "@omar_op"),
        ("https://" + "a" * 64 + ".example/", "@omar_op"),
        ("https://Teiegram.org/", "@omar_op"),
        ("shttp://shop.example/", "@omar_op"),
        # It is a part of something longer, which is no address, or ends before it.
        ("https://a.b_c/,http://shop.example/", "@omar_op"),
        ("a.b/!http://shop.example/", "@omar_op"),
        ("https://shop.example/)http://shop.example/", "@omar_op"),
    ],
)
def test_what_telegram_takes_for_no_address_is_no_way_round(before: str, sign: str) -> None:
    assert defused(before + sign) == f"{before}{sign[0]}{WORD_JOINER}{sign[1:]}"


def test_an_inert_text_is_safe_inside_html() -> None:
    assert inert("<b> & @omar_op") == f"&lt;b&gt; &amp; @{WORD_JOINER}omar_op"


J = WORD_JOINER


@pytest.mark.parametrize(
    ("markup", "dead"),
    [
        ("@<b>omar_op</b>", f"@{J}<b>omar_op</b>"),
        ("/<b>ban</b>", f"/{J}<b>ban</b>"),
        ("<b>/</b>ban", f"<b>/{J}</b>ban"),
        ("<i>&#64;</i><b></b><u>omar</u>", f"<i>@{J}</i><b></b><u>omar</u>"),
        ("<b>see @</b>omar, /<b>ban</b>", f"<b>see @{J}</b>omar, /{J}<b>ban</b>"),
        # Where a link begins an address may end, though the words alone would go on with it.
        (
            'https://shop.example/<a href="https://a.example">@omar</a>',
            f'https://shop.example/<a href="https://a.example">@{J}omar</a>',
        ),
    ],
)
def test_a_sign_that_stands_apart_from_its_word_is_made_inert_too(markup: str, dead: str) -> None:
    assert inert_markup(markup) == dead


@pytest.mark.parametrize(
    "markup",
    [
        "1/<b>2</b>",
        "ann@<b>shop.example</b>",
        "@<b> omar</b>",
        "https://shop.example/<b>a/b</b>",
        "@ <i>&amp;</i> /",
        "",
    ],
)
def test_of_markup_what_is_no_live_word_is_left_whole(markup: str) -> None:
    assert inert_markup(markup) == markup


def test_of_markup_the_words_are_made_inert_and_the_tags_are_left_alone() -> None:
    link = '<a href="https://shop.example/-/@a">'
    assert inert_markup(f"<b>/ban</b> &#64;omar {link}@ann</a> &lt;b&gt; 1/2") == (
        f"<b>/{WORD_JOINER}ban</b> @{WORD_JOINER}omar {link}@{WORD_JOINER}ann</a> &lt;b&gt; 1/2"
    )
