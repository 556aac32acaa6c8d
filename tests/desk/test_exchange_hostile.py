"""What a stranger's canned answers can't do: keep an import busy, or lead customers astray."""

from __future__ import annotations

import html
import time
from pathlib import Path

import pytest

from desk.exchange import canned, markup
from desk.exchange.material import ExchangeError
from desk.telegram_html import html_problems


@pytest.mark.parametrize("name", ["short_code", "name"])
def test_a_text_that_is_too_long_is_left_and_told_with_its_line(tmp_path: Path, name: str) -> None:
    most = canned.MOST_CONTENT
    fits, too_long = "x" * most, "x" * (most + 1)
    path = tmp_path / "canned.csv"
    path.write_text(f"{name},content\na,{fits}\nb,{too_long}\n")
    material = canned.read(path)
    assert [answer.name for answer in material.answers] == ["a"]
    (notice,) = material.notices
    assert notice.where == f"{path}:3"
    assert "'b' has 16,385 characters, and at most 16,384 are read" in notice.message
    path.write_text(f"{name},content\nb,{too_long}\n")
    with pytest.raises(ExchangeError, match=r"canned\.csv:2: 'b' has 16,385 characters"):
        canned.read(path)


@pytest.mark.parametrize(
    "part",
    [
        "{{",
        "#{",
        "<b ",
        "<a\n",
        "<a '",
        '<a "',
        "<a =",
        "<http://",
        "</",
        "<!--",
        "`",
        "[a](",
        "**",
    ],
)
def test_no_text_is_read_for_long_whatever_is_repeated_in_it(part: str) -> None:
    text = part * (4 * canned.MOST_CONTENT // len(part))  # so that the square of it is seen
    started = time.process_time()
    for system in (markup.from_chatwoot, markup.from_zammad):
        markup.foreign_variable(system(f"<p>{text}", []))
    markup.foreign_variable(markup.from_plain(f"<p>{text}"))
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("address", "stays"),
    [
        ("https://x.example/a", True),
        ("HTTP://x.example", True),
        ("mailto:ana@x.example", True),
        ("tel:+4420", True),
        ("{orders_url}", True),
        ("javascript:alert(1)", False),
        ("java&#115;cript:alert(1)", False),
        ("tg://user?id=1", False),
        ("data:text/html,x", False),
        ("x.example", False),
        ("{{x}}", False),
        ("", False),
    ],
)
def test_a_link_leads_to_a_page_a_mailbox_or_a_telephone_and_else_is_its_words(
    address: str, stays: bool
) -> None:
    link = f'<b>See <a href="{address}">our <i>page</i></a></b>.'
    meant = link if stays else "<b>See our <i>page</i></b>."
    assert markup.from_plain(link) == meant
    assert markup.from_zammad(link, []) == meant
    assert markup.from_chatwoot(f"**See [our _page_]({html.unescape(address)})**.", []) in (
        meant,
        f"<b>See [our <i>page</i>]({address})</b>.",  # without an address it was no link
    )


@pytest.mark.parametrize("address", ["{}", "https://x.example/{}", "mailto:{}"])
def test_a_link_to_a_customers_name_is_its_words_where_it_would_cost_the_answer(
    address: str,
) -> None:
    name = "#{ticket.customer.fullname}"
    link = f'<a href="{address.format(name)}">you</a>'
    assert markup.from_zammad(f"Hi {name}, {link}", []) == "Hi {customer}, you"
    name = "{{contact.name}}"
    link = f"[you]({address.format(name)})"
    assert markup.from_chatwoot(f"Hi {name}, {link}", []) == "Hi {customer}, you"


def test_a_link_with_two_addresses_or_with_one_hidden_in_another_attribute_is_its_words() -> None:
    for attributes in (
        'href="https://x.example" href="tg://user?id=1"',
        """title=" href='https://x.example" href="javascript:alert(1)" x="'" """,
        """title=' href="https://x.example"'""",
        "HREF='tg://user?id=1'",
    ):
        text = f'<a {attributes}>x</a> <a href="https://y.example">y</a>'
        assert html_problems(text) in ([], ['<a> needs an address: <a href="https://…">'])
        if not html_problems(text):
            assert markup.from_plain(text) == 'x <a href="https://y.example">y</a>'
