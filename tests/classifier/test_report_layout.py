"""The report's page as a browser shows it: on a wide and a narrow screen, and on paper."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from classifier.report import html_report
from tests.classifier.test_report import HOSTILE, make

CHROMIUM = "/usr/bin/chromium"
PAPER = 718
"""An A4 page between its margins, in CSS pixels."""
LONG = "x" * 250

pytestmark = pytest.mark.skipif(
    not shutil.which(CHROMIUM) and not os.environ.get("CI"),
    reason=f"there is no {CHROMIUM} here (in CI this fails instead)",
)


@pytest.fixture
def opened() -> Iterator[Page]:
    """A tab of a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser.new_page()
        browser.close()


def overhang(opened: Page, parts: str) -> int:
    """By how many pixels the content of a part is wider than the part, at most."""
    script = "(all) => Math.max(...all.map((one) => one.scrollWidth - one.clientWidth))"
    return int(opened.locator(parts).evaluate_all(script))


def broken_words(opened: Page) -> list[str]:
    """Words of the names in tables that stand in more than one line."""
    found: list[str] = opened.locator("td:not(:has(ul))").evaluate_all(
        """(cells) => cells.flatMap((cell) => [...cell.childNodes]).filter((word) => {
            const range = document.createRange()
            range.selectNodeContents(word)
            const one = word.nodeValue && !/\\s/.test(word.nodeValue)
            return one && range.getClientRects().length > 1
        }).map((word) => word.nodeValue)"""
    )
    return found


@pytest.mark.parametrize("count", [12, 40])
def test_paper_shows_all_columns_of_every_table(opened: Page, tmp_path: Path, count: int) -> None:
    page = html_report(*make(count, 400, text=LONG + " {}", name="asked_of_delivery_{}"), "m")
    (tmp_path / "page.html").write_bytes(page)
    opened.set_viewport_size({"width": PAPER, "height": 1000})
    opened.goto((tmp_path / "page.html").as_uri())
    assert overhang(opened, ".wide") > 0, "or nothing is tried"
    opened.emulate_media(media="print")
    assert overhang(opened, ".wide") == 0
    matrix = opened.locator("svg:has(.cell)").first.bounding_box()
    assert matrix is not None
    assert matrix["x"] + matrix["width"] <= PAPER
    assert broken_words(opened) == []


def test_a_phone_scrolls_within_tables_and_never_the_page(opened: Page, tmp_path: Path) -> None:
    page = html_report(*make(12, 300, text=LONG + " {}", name="asked_of_delivery_{}"), "m")
    (tmp_path / "page.html").write_bytes(page)
    opened.set_viewport_size({"width": 360, "height": 800})
    opened.goto((tmp_path / "page.html").as_uri())
    assert overhang(opened, "html") == 0
    assert broken_words(opened) == []
    texts = opened.locator("ul.texts").first.bounding_box()
    assert texts is not None
    assert 200 < texts["width"] < 360


@pytest.mark.parametrize(
    "name", ["number_{}_of_some_more", "MY_WAREHOUSE_WWWW_{}", "退款申请查询{}"]
)
def test_the_names_beside_a_matrix_are_seen_whole(opened: Page, tmp_path: Path, name: str) -> None:
    (tmp_path / "page.html").write_bytes(html_report(*make(name=name), "page"))
    opened.goto((tmp_path / "page.html").as_uri())
    found = opened.evaluate(
        """() => {
            const matrix = document.querySelector("svg:has(.cell)")
            const edge = matrix.getBoundingClientRect()
            const names = [...matrix.querySelectorAll("text.end, text.start")]
            const boxes = names.map((name) => name.getBoundingClientRect())
            return boxes.map((box) => Math.max(edge.left - box.left, edge.top - box.top))
        }"""
    )
    assert len(found) == 10
    assert max(found) <= 0


def test_in_a_browser_the_table_sorts_and_no_text_runs(opened: Page, tmp_path: Path) -> None:
    predictions, examples = make(12, 300, text=HOSTILE + " {}")
    page = html_report(predictions, examples, "honest")
    # Even where a text had got through: the page's own policy keeps it from running.
    leaky = page.replace(b"</body>", HOSTILE.encode() + b"</body>")
    for name, content in (("sound.html", page), ("leaky.html", leaky)):
        (tmp_path / name).write_bytes(content)
    opened.goto((tmp_path / "leaky.html").as_uri())
    assert opened.title() == "honest"
    troubles: list[str] = []
    opened.on("console", lambda line: troubles.append(line.text))
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    opened.goto((tmp_path / "sound.html").as_uri())
    table = opened.locator("table", has=opened.get_by_role("button", name="threshold"))

    def column(number: int) -> list[str]:
        return table.locator(f"tbody tr td:nth-child({number})").all_inner_texts()

    def sorted_by(head: str, number: int) -> list[str]:
        table.get_by_role("button", name=head, exact=True).click()
        return column(number)

    names = column(1)
    f1 = [float(shown.split()[0]) for shown in sorted_by("F1", 2)]
    assert f1 == sorted(f1, reverse=True)
    assert f1[0] > f1[-1]
    f1 = [float(shown.split()[0]) for shown in sorted_by("F1", 2)]
    assert f1 == sorted(f1)
    assert column(1) != names
    assert sorted_by("intent", 1) == names
    assert opened.title() == "honest"
    assert troubles == []
