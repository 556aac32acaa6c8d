"""The desk speaks its own words to a customer in a language that its pack has."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from desk.flow import customers, deciding
from desk.flow.batch import said_before
from desk.flow.card_history import CardHistory
from tests.desk.acting import ANA, BEN, Stage

CHINESE = re.compile("[\u4e00-\u9fff]")


def _speak(stage: Stage, *languages: str) -> None:
    """Let the pack have just these languages."""
    pack = stage.desk.pack.model_copy(update={"languages": languages})
    stage.desk = replace(stage.desk, pack=pack, flood_per_minute=3)


def _starts(stage: Stage) -> None:
    customers.started(stage.desk, stage.update(), BEN)


def _asks_for_help(stage: Stage) -> None:
    customers.asked_for_help(stage.desk, stage.update(), BEN)


def _asks_for_a_person_twice(stage: Stage) -> None:
    for _ in range(2):
        customers.asked_for_person(stage.desk, stage.update(), BEN, "/human")


def _is_asked_back(stage: Stage) -> None:
    stage.ask("?", BEN, confidence=0.45, others=[("refund", 0.4)])


def _is_not_understood_and_waits_long(stage: Stage) -> None:
    stage.ask("asdf", BEN, scope=0.02)
    job = stage.write("hello?", BEN)
    assert job is not None
    deciding.give_up(stage.desk, [job[0]])


def _dislikes_an_answer(stage: Stage) -> None:
    stage.ask("?", BEN)
    stage.press(stage.token("down"), by=BEN.chat_id)


def _floods(stage: Stage) -> None:
    for _ in range(4):
        stage.write("hello?", BEN)


@pytest.mark.parametrize(
    "act",
    [
        _starts,
        _asks_for_help,
        _asks_for_a_person_twice,
        _is_asked_back,
        _is_not_understood_and_waits_long,
        _dislikes_an_answer,
        _floods,
    ],
)
def test_a_chinese_phone_gets_no_chinese_words_from_a_pack_that_has_none(
    stage: Stage, act: Callable[[Stage], None]
) -> None:
    _speak(stage, "en")
    act(stage)
    said = [str(row.payload) for row in stage.deliveries(BEN.chat_id)]
    assert said
    assert not [text for text in said if CHINESE.search(text)]


def test_what_a_press_is_answered_is_in_the_packs_language_too(stage: Stage) -> None:
    _speak(stage, "en")
    stage.ask("?", BEN)
    assert stage.press(stage.token("up"), by=BEN.chat_id).text == "Thank you!"
    assert "no longer valid" in stage.press("made up", by=BEN.chat_id).text


def test_an_english_phone_reads_the_first_language_of_a_pack_without_english(
    stage: Stage,
) -> None:
    _speak(stage, "zh")
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    (said,) = stage.heard()
    assert said.startswith("我已把您的问题转给同事")


def test_what_was_sent_without_words_is_named_in_the_operators_language(stage: Stage) -> None:
    _speak(stage, "zh", "en")
    customers.sent_file(stage.desk, stage.update(), BEN, 5, "[video note]")
    customers.sent_file(stage.desk, stage.update(), ANA, 7, "[voice]")
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    first, other, *_ = stage.told()
    assert "<blockquote>[视频消息]</blockquote>" in first
    assert "客户发送了视频消息" in first
    assert "<blockquote>[语音消息]</blockquote>" in other
    with stage.desk.store.reading() as session:
        before = CardHistory(
            stage.desk, said_before(session, [stage.said()[-1].id], 5).popitem()[1]
        )
    assert "👤 [语音消息]" in before.fitted("\n".join, 1000)
