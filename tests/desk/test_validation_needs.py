"""What validating a pack says of what a desk needs and a pack loads without."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from desk.pack import load
from desk.validation import check_pack, small_talk
from desk.validation.needs import asks_for_person, lacking
from tests.conftest import FLORIST


def _about(folder: Path) -> list[str]:
    return [found.message for found in check_pack(folder).findings if found.file == "pack.yml"]


def _swapped(folder: Path, old: str, new: str) -> Path:
    path = folder / "pack.yml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return folder


def _without(folder: Path, intent: str) -> Path:
    for name in ("examples.jsonl", "test.jsonl"):
        rows = (folder / name).read_text().splitlines(keepends=True)
        kept = [row for row in rows if json.loads(row).get("intent") != intent]
        (folder / name).write_text("".join(kept))
    return folder


@pytest.mark.parametrize("name", ["retail", "insurance"])
def test_a_pack_in_which_nobody_can_ask_for_a_person_is_told_and_no_other(
    tmp_path: Path, name: str
) -> None:
    folder = Path(shutil.copytree(Path("packs") / name, tmp_path / name))
    assert not [told for told in _about(folder) if "asks for a person" in told]
    (told,) = [told for told in _about(_without(folder, "talk_to_person")) if "asks for a" in told]
    assert told.startswith("intents: no example under `escalate: always` asks for a person")


@pytest.mark.parametrize("name", ["florist", "retail", "insurance"])
def test_a_whole_pack_lacks_nothing(name: str) -> None:
    folder = FLORIST if name == "florist" else Path("packs") / name
    rows = map(json.loads, (folder / "examples.jsonl").read_text().splitlines())
    assert [*lacking(load(folder), [(row["text"], row.get("intent")) for row in rows])] == []


def test_a_person_asked_for_under_an_intent_that_is_answered_is_told(pack_folder: Path) -> None:
    path = pack_folder / "examples.jsonl"
    path.write_text(path.read_text().replace('"talk_to_person"', '"greeting"'))
    assert [told for told in _about(pack_folder) if "asks for a person" in told]


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("I want to talk to a human", True),
        ("agent please", True),
        ("can someone call me", True),
        ("put me through to one of your team", True),
        ("give me a real person", True),
        ("my internet is down", False),
        ("cancel my contract", False),
        ("how do i become an agent of yours in the north of the country", False),
        ("for two people", False),
        ("i need a gift for someone", False),
        ("is there any staff discount", False),
        ("is there any team discount", False),
    ],
)
def test_english_words_ask_for_a_person_or_not(text: str, asks: bool) -> None:
    assert asks_for_person(text) is asks


def test_a_few_words_that_only_look_like_it_are_no_way_to_a_person(pack_folder: Path) -> None:
    _without(pack_folder, "talk_to_person")
    rows = [f"it broke on day {n}" for n in range(9)] + ["pass my booking on to another person"]
    with (pack_folder / "examples.jsonl").open("a") as file:
        file.writelines(f"{json.dumps({'text': row, 'intent': 'complaint'})}\n" for row in rows)
    assert [told for told in _about(pack_folder) if "asks for a person" in told]


def test_without_hours_the_promise_that_is_made_at_night_is_told(pack_folder: Path) -> None:
    text = (pack_folder / "pack.yml").read_text()
    (pack_folder / "pack.yml").write_text(text[: text.index("\nhours:")])
    (told,) = [told for told in _about(pack_folder) if told.startswith("hours: ")]
    assert "always open" in told
    assert "within 30 minutes" in told


def test_an_empty_menu_and_buttons_that_nobody_sees_are_told(pack_folder: Path) -> None:
    _swapped(pack_folder, "menu: [opening_hours, order_status, complaint]", "menu: []")
    button = '\n    buttons: [{text: {en: "A", zh: "B"}, person: true}]\n    escalate: always'
    _swapped(pack_folder, "\n    escalate: always", button)
    said = {told.partition(":")[0] for told in _about(pack_folder)}
    assert {"menu", "intents.complaint.buttons"} <= said


@pytest.mark.parametrize(
    ("name", "talk"),
    [
        *((name, {"greeting"}) for name in ("hello", "greet", "say_hi")),
        *((name, {"thanks"}) for name in ("thanks", "thank_you")),
        ("say_goodbye", {"goodbye"}),
        ("hello_goodbye", {"greeting", "goodbye"}),
        *((name, set()) for name in ("thank_you_card", "order_status", "you", "hi_fi", "small")),
    ],
)
def test_small_talk_is_known_by_its_name(name: str, talk: set[str]) -> None:
    assert small_talk(name) == talk


def test_small_talk_that_asks_for_thumbs_or_calls_a_person_is_told(pack_folder: Path) -> None:
    def told() -> list[str]:
        return [each for each in _about(pack_folder) if each.startswith("intents.greeting: ")]

    assert not [each for each in told() if "small talk" in each]
    _swapped(pack_folder, "    thumbs: false\n", "")
    assert [each for each in told() if "write `thumbs: false`" in each]
    answer = '    answer: {en: "Hello {customer}!", zh: "{customer}您好！"}\n'
    _swapped(pack_folder, answer, "    escalate: always\n")
    assert [each for each in told() if "whoever says this gets a person" in each]
