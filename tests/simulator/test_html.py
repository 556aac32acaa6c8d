"""The HTML parser: Telegram's tags, entities and error texts; and that nothing makes it fall."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import utf16
from simulator.entities import format_text
from simulator.errors import ApiError
from simulator.html_markup import parse_html

E = dict[str, Any]
HALF_A_PAIR = (
    "Text contains invalid Unicode characters after decoding HTML entities, "
    "check for unmatched surrogate code units"
)


def entity(kind: str, offset: int, length: int, **more: Any) -> E:
    return {"type": kind, "offset": offset, "length": length} | more


@pytest.mark.parametrize(
    ("html", "text", "entities"),
    [
        ("plain &lt;b&gt; &amp;amp; &quot;", 'plain <b> &amp; "', []),
        ("&nbsp; &copy; &", "&nbsp; &copy; &", []),
        ("&#128512;&#x41;&lt", "😀A<", []),
        ("<b>a<i>b</i></b>", "ab", [entity("italic", 1, 1), entity("bold", 0, 2)]),
        ("🙂<strong>x</strong>", "🙂x", [entity("bold", 2, 1)]),
        ("<em>a</em><ins>b</ins><del>c</del>", "abc",
         [entity("italic", 0, 1), entity("underline", 1, 1), entity("strikethrough", 2, 1)]),
        ("<tg-spoiler>a</tg-spoiler><span class='tg-spoiler'>b</span>", "ab",
         [entity("spoiler", 0, 1), entity("spoiler", 1, 1)]),
        ('<a href="http://a.example?x=1&amp;y=2">a</a>', "a",
         [entity("text_link", 0, 1, url="http://a.example?x=1&y=2")]),
        ("<a href='a.example'>a</a>", "a", [entity("text_link", 0, 1, url="http://a.example/")]),
        ("<a>https://a.example/b</a>", "https://a.example/b",
         [entity("text_link", 0, 19, url="https://a.example/b")]),
        ("<a href='javascript:x'>a</a>", "a", []),
        ("<a href='tg://user?id=7'>a</a>", "a", [entity("text_mention", 0, 1, user={"id": 7})]),
        ("<pre>a</pre>", "a", [entity("pre", 0, 1)]),
        ('<pre><code class="language-py">a</code></pre>', "a",
         [entity("pre", 0, 1, language="py")]),
        ('<code class="language-py">a</code>', "a", [entity("code", 0, 1)]),
        ("<blockquote>a</blockquote><blockquote expandable>b</blockquote>", "ab",
         [entity("blockquote", 0, 1), entity("expandable_blockquote", 1, 1)]),
        ('<tg-emoji emoji-id="5368324170671202286">👍</tg-emoji>', "👍",
         [entity("custom_emoji", 0, 2, custom_emoji_id="5368324170671202286")]),
        ("<B>x</ b></B >", None, None),
        ("<b>x</>", "x", [entity("bold", 0, 1)]),
        ("<b></b>", "", []),
    ],
)  # fmt: skip
def test_tags_become_entities(html: str, text: str | None, entities: list[E] | None) -> None:
    if text is None:
        with pytest.raises(ApiError):
            parse_html(html)
    else:
        assert parse_html(html) == (text, entities)


@pytest.mark.parametrize(
    ("html", "error"),
    [
        ("a <br> b", 'Unsupported start tag "br" at byte offset 2'),
        ("é <p>", 'Unsupported start tag "p" at byte offset 3'),
        ("1 < 2", 'Unsupported start tag "" at byte offset 2'),
        ("x <b", "Unclosed start tag at byte offset 2"),
        ("<a href", 'Unclosed start tag "a" at byte offset 0'),
        ("<a href=", 'Unclosed start tag "a" at byte offset 0'),
        ("<a href='x", "Unclosed start tag at byte offset 0"),
        ("<a ='x'>y</a>", 'Empty attribute name in the tag "a" at byte offset 0'),
        ("<a href=x/>y</a>", "Unexpected end of name token at byte offset 8"),
        ("<span>x</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
        ("x</b>", "Unexpected end tag at byte offset 1"),
        ("<b>x</b", "Unclosed end tag at byte offset 4"),
        ("<b>x</i>", 'Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
        ("<b><i>x</b></i>", 'Unmatched end tag at byte offset 7, expected "</i>", found "</b>"'),
        ("<b>x", 'Can\'t find end tag corresponding to start tag "b"'),
        ("<tg-emoji emoji-id='x'>y</tg-emoji>", "Invalid custom emoji identifier specified"),
        ("&#xD800;", HALF_A_PAIR),
    ],
)  # fmt: skip
def test_broken_markup_is_refused_in_telegrams_words(html: str, error: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_html(html)
    assert caught.value.code == 400
    assert caught.value.description == f"Bad Request: can't parse entities: {error}"


TOKENS = (
    "<b> </b> <i> </i> <a href= <a href='tg://[ > </ </a> <pre> <code class= &lt; & &#x1F600; "
    "&#xD800; &# 🙂 é < > ' \" = / http://a.b/c /start @someone #tag a@b.example <span"
)
PIECES = st.sampled_from([*TOKENS.split(), " ", "\n", "\0", "\r", "x"])
MARKUP = st.lists(PIECES | st.text(max_size=3), max_size=25).map("".join)


@given(html=MARKUP)
def test_any_markup_parses_or_is_refused_and_entities_lie_within_the_text(html: str) -> None:
    try:
        text, entities = format_text(html, "HTML")
    except ApiError:
        return
    places = utf16.boundaries(text)
    for found in entities:
        assert found["length"] > 0
        assert found["offset"] in places
        assert found["offset"] + found["length"] in places
    assert entities == sorted(entities, key=lambda e: (e["offset"], -e["length"]))


@given(text=st.text())
def test_escaped_text_comes_out_as_it_went_in(text: str) -> None:
    text = text.replace("\0", "")
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert parse_html(escaped) == (text, [])


@given(text=st.text())
def test_lengths_are_utf16_code_units(text: str) -> None:
    assert utf16.length(text) == len(text.encode("utf-16-le")) // 2
