"""A pack.yml that is not even YAML: each of the usual slips is told with its line and a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from desk.pack import PackError, load

TITLE = 'title: {en: "I want my money back", zh: "我要退款"}'
ANSWER = '    answer:\n      en: "Send us'
BACK = '"Send us a photo and you get your money back."'
SHOP = 'shop: "Fern &amp; Petal"'
INDENTATION = "look at the indentation here or just above"
SIGN = "put a text that begins with this sign in quotes"
BRACE = "put a text that begins with { in quotes"
WITHIN = r"write \" for a quote within quotes"
OPEN = "is not closed here or just above"


@pytest.mark.parametrize(
    ("old", "new", "below", "hint"),
    [
        (ANSWER, ANSWER.replace("    answer", "   answer"), 0, INDENTATION),
        (ANSWER, ANSWER.replace("    answer", "     answer"), 0, INDENTATION),
        (BACK, '|-\n        Send us a photo\n      and wait.', 3, INDENTATION),
        (f"    {TITLE}", f"\t{TITLE}", 0, "use spaces, not a tab"),
        (SHOP, 'shop: “Fern: Petal”', 0, 'use straight quotes (")'),
        (TITLE, "title: {en: “Where is my money?”}", 0, 'use straight quotes (")'),
        (SHOP, SHOP.removesuffix('"'), 1, f"a quote {OPEN}"),
        (TITLE, "title: {en: “Where is\n      my order: here?}", 1, 'use straight quotes (")'),
        (TITLE, 'title: {en: "Hi",\n      zh: “Where: is”}', 1, 'use straight quotes (")'),
        ('days: "2"', 'days: "2\n  more: "3"', 1, f"a quote {OPEN}"),
        (TITLE, TITLE.replace('back"', "back"), 0, f"a quote {OPEN}"),
        (TITLE, "title: {en: 'Where's my money?'}", 0, f"a quote {OPEN}"),
        (TITLE, TITLE.removesuffix("}"), 1, f"a quote or a bracket {OPEN}"),
        (SHOP, "shop: Fern: Petal", 0, "put a text with a colon in quotes"),
        (SHOP, "shop: @fern", 0, SIGN),
        (SHOP, "shop: & Petal", 0, SIGN),
        (SHOP, SHOP.replace(": ", ":"), 1, "and for a colon and a space after a name"),
        (SHOP, "shop: {customer}, hi", 0, BRACE),
        (SHOP, "shop: {customer} hi", 0, BRACE),
        (SHOP, 'shop: {customer}, hi"', 0, BRACE),
        (TITLE, "title: {en: {customer} order}", 0, BRACE),
        (SHOP, 'shop: "The "best" shop"', 0, WITHIN),
        (SHOP, 'shop: "Fern" and Petal', 0, WITHIN),
        (TITLE, 'title: {en: "The "best" shop", zh: "我"}', 0, WITHIN),
        (TITLE, TITLE.replace(", zh", " zh"), 0, f"a quote or a bracket {OPEN}"),
        (SHOP, "shop: 'Where's my'", 0, f"a quote {OPEN}"),
        (SHOP, f"{SHOP},", 0, "take the comma at the end away"),
        (BACK, "| Send us", 0, "begins on the next line, indented"),
        (BACK, "> Send us", 0, "begins on the next line, indented"),
        (BACK, "- Send us", 0, "put a text that begins with - in quotes"),
        ("languages: [en, zh]", "languages: - en", 0, "a list begins on the next line"),
        (BACK, "? Send us", 0, SIGN),
        (BACK, "!Send us", 0, SIGN),
        (TITLE, "title: {en: !Send it, zh: x}", 0, SIGN),
        (SHOP, "shop: !Olé", 0, SIGN),
        (SHOP, r'shop: "50\% off"', 0, r"write \\ for a \ between quotes"),
        ("first_reply_minutes: 15", 'first_reply_minutes: "15', 1, f"a quote {OPEN}"),
    ],
)  # fmt: skip
def test_a_slip_of_yaml_is_told_with_its_line_and_what_to_look_at(
    pack_folder: Path, old: str, new: str, below: int, hint: str
) -> None:
    path = pack_folder / "pack.yml"
    text = path.read_text()
    before, found, after = text.partition(old)
    assert found
    path.write_text(before + new + after)
    with pytest.raises(PackError) as caught:
        load(pack_folder)
    [problem] = caught.value.problems
    assert hint in problem.message
    assert problem.line == before.count("\n") + 1 + below


def test_a_sign_that_is_escaped_as_json_does_it_is_that_sign(pack_folder: Path) -> None:
    path = pack_folder / "pack.yml"
    path.write_text(path.read_text().replace("Send us", r"\uD83D\uDE0A Send us \u00e9"))
    answer = load(pack_folder).intents["refund"].answer
    assert answer is not None
    assert answer["en"].startswith("😊 Send us é")


@pytest.mark.parametrize(
    ("shop", "message"),
    [
        (r'"\uD83D Fern"', "half of a character stands here; write the sign itself"),
        (r'"Fern \uDE0A\uD83D"', "half of a character stands here; write the sign itself"),
        (r'"Fern \0"', "a NUL character stands here"),
        ('"Fern \0"', "the control character U+0000 stands here; take it out"),
        ('"Fern \a"', "the control character U+0007 stands here; take it out"),
        ("!!timestamp foo", "there is no such date or number as 'foo'"),
        ("!!bool foo", "there is no such date or number as 'foo'"),
        ('!!int ""', "there is no such date or number as ''"),
        ('!!float ""', "there is no such date or number as ''"),
    ],
)
def test_what_yaml_or_a_database_can_not_take_is_told_with_its_line(
    pack_folder: Path, shop: str, message: str
) -> None:
    path = pack_folder / "pack.yml"
    before, found, after = path.read_text().partition(SHOP)
    assert found
    path.write_text(f"{before}shop: {shop}{after}")
    with pytest.raises(PackError) as caught:
        load(pack_folder)
    [problem] = caught.value.problems
    assert message in problem.message
    assert problem.line == before.count("\n") + 1


@pytest.mark.parametrize("number", ["00110000", "FFFFFFFF"])
def test_a_character_that_there_is_not_is_no_valid_yaml(pack_folder: Path, number: str) -> None:
    path = pack_folder / "pack.yml"
    path.write_text(path.read_text().replace(SHOP, f'shop: "\\U{number}"'))
    with pytest.raises(PackError, match="this is not valid YAML"):
        load(pack_folder)


def test_a_quote_that_is_closed_far_below_is_looked_for_from_its_bracket_on(
    pack_folder: Path,
) -> None:
    path = pack_folder / "pack.yml"
    text = path.read_text().replace('title: {en: "Say hello", zh: "打招呼"}', 'title: {en: "Hi}')
    path.write_text(
        text.replace('answer: {en: "Hello {customer}!"', "description: x\n    answer: {en: y")
    )
    with pytest.raises(PackError) as caught:
        load(pack_folder)
    assert "is not closed between line 44 and here" in str(caught.value)
