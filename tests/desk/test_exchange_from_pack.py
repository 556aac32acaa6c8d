"""Intents taken out of another pack: what comes along, what stays there, and what is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from desk import pack as packs
from desk.exchange import from_pack, merge
from desk.exchange.material import Answer, ExchangeError, Labelled, Material

RETAIL = Path("packs/retail")


def rows(name: str) -> list[Labelled]:
    lines = (RETAIL / name).read_text().splitlines()
    return [
        Labelled(f"{name}:{number}", row["text"], row.get("intent"), row.get("sentiment"))
        for number, row in enumerate(map(json.loads, lines), 1)
    ]


def taken(*only: str) -> Material:
    return from_pack.read(RETAIL, only, rows("examples.jsonl"), rows("test.jsonl"))


def said(plan: merge.Plan) -> str:
    return "\n".join(f"{notice.where}: {notice.message}" for notice in plan.notices)


def test_an_intent_comes_with_its_rows_its_rules_and_what_is_filled_in(pack_folder: Path) -> None:
    before = packs.load(pack_folder)
    plan = merge.plan(pack_folder, taken("danger", "thanks"))
    plan.write("{}\n", "{}\n")
    pack, retail = packs.load(pack_folder), packs.load(RETAIL)
    assert plan.intents == ("danger", "thanks")
    assert {row.intent for row in plan.added} == {row.intent for row in plan.tests}
    assert [len(plan.added), len(plan.tests)] == [
        sum(row.intent in ("danger", "thanks") for row in rows(f"{name}.jsonl"))
        for name in ("examples", "test")
    ]
    assert pack.intents["danger"] == retail.intents["danger"]
    assert pack.intents["thanks"] == retail.intents["thanks"]
    values = {name: retail.values[name] for name in ("emergency", "gas_emergency", "health_line")}
    assert pack.values == {**before.values, **values}
    assert "new values: emergency, gas_emergency, health_line. They are the" in said(plan)
    assert f"{RETAIL / 'pack.yml'}: read the answers and descriptions" in said(plan)
    assert {name: pack.intents[name] for name in before.intents} == before.intents


def test_a_value_that_the_pack_has_stays_its_own(pack_folder: Path) -> None:
    plan = merge.plan(pack_folder, taken("are_you_a_bot"))
    plan.write("", "")
    pack = packs.load(pack_folder)
    assert pack.values == {"shop": "Fern &amp; Petal", "days": "2"}
    assert "{shop}" in (pack.intents["are_you_a_bot"].answer or {})["en"]


def test_buttons_to_pages_and_topics_of_the_other_desk_stay_there_and_are_told(
    pack_folder: Path,
) -> None:
    plan = merge.plan(pack_folder, taken("newsletter", "goodbye"))
    plan.write("", "")
    buttons = packs.load(pack_folder).intents["newsletter"].buttons
    assert [button.person for button in buttons] == [True]
    assert "buttons of newsletter to that desk's pages and topics stay there (2)" in said(plan)


def test_a_new_pack_is_made_of_them_too_and_what_has_no_answer_calls_a_person(
    tmp_path: Path,
) -> None:
    merge.plan(tmp_path / "mine", taken("talk_to_person", "size_help")).write("", "")
    pack = packs.load(tmp_path / "mine")
    assert pack.intents["talk_to_person"] == packs.load(RETAIL).intents["talk_to_person"]
    assert (pack.menu, pack.values["phone"]) == (("size_help",), "+44 20 7946 0142")


def test_a_second_time_adds_nothing_and_what_the_pack_has_stays(pack_folder: Path) -> None:
    plan = merge.plan(pack_folder, taken("talk_to_person"))
    assert (plan.intents, plan.pack_yml) == ((), None)
    assert "talk_to_person is in pack.yml and stays as it is, without an answer" in said(plan)
    assert "read the answers" not in said(plan)  # rows alone came
    again = merge.plan(pack_folder, taken("talk_to_person"), plan.added, plan.tests)
    assert again.empty


def test_an_answer_of_ones_own_goes_before_the_other_packs(pack_folder: Path) -> None:
    material = Material(answers=[Answer("canned.csv:2", "danger", "Call 112.", makes_reply=True)])
    material.add(taken("danger"))
    merge.plan(pack_folder, material).write("", "")
    danger = packs.load(pack_folder).intents["danger"]
    assert (danger.answer, danger.priority) == ({"en": "Call 112."}, True)


def test_a_pack_of_another_language_takes_none_and_a_wrong_name_is_told(
    pack_folder: Path,
) -> None:
    path = pack_folder / "pack.yml"
    path.write_text(path.read_text().replace("languages: [en, zh]", "languages: [zh, en]"))
    with pytest.raises(ExchangeError, match="its first language is 'en', in which danger would"):
        merge.plan(pack_folder, taken("danger"))
    with pytest.raises(ExchangeError, match="no intent 'dangr'; did you mean danger"):
        taken("dangr")
    with pytest.raises(ExchangeError, match="no intent 'nothere'; it has order_status, "):
        taken("nothere")
    with pytest.raises(ExchangeError, match="--only talk_to_person,complaint,danger,crisis"):
        taken()


def test_what_every_desk_needs_is_in_the_packaged_pack() -> None:
    assert packs.load(RETAIL).intents.keys() >= set(from_pack.EVERY_DESK)
