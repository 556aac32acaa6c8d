"""A customer who comes back often, or is banned, is kept; what they said long ago is not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from desk.domain import ConversationState, DeliveryState
from desk.flow import emptying, forwarding, operators
from desk.flow.lessons import learned
from desk.tables import DeliveryRow, Feedback, Message
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, OLGA, OSCAR, Stage
from tests.desk.leavings import UMA, everything, uma_asks, uma_presses

WORDS = ("peonies", "17 Elm Road", "so sorry")


@pytest.fixture
def regular(stage: Stage, clock: Clock) -> Stage:
    """Uma was answered by a person sixty days ago, and has asked something since."""
    uma_asks(stage, "my peonies are dead, 17 Elm Road", intent="complaint")
    forwarding.forwarded(stage.desk, stage.update(), UMA, 42, "look", "peonies club")
    stage.topic(UMA)
    stage.send_all()
    stage.reply("so sorry")
    stage.send_all()
    stage.resolve()
    stage.send_all()
    clock.move(seconds=86400 * 60)
    stage.ask("are roses in?", UMA)
    stage.send_all()
    return stage


def empty(stage: Stage, days: float = 30) -> None:
    """Empty all that is older, as the scheduler does, a little at a time."""
    at: int | None = 0
    while at is not None:
        at = emptying.empty_conversations(stage.desk, stage.desk.clock() - timedelta(days=days), at)


def words(stage: Stage) -> list[str]:
    """What is left of it in messages and deliveries; updates are emptied by age themselves."""
    found = str([row.text for row in stage.all(select(Message))])
    besides = [(row.quoted, row.forwarded_from, row.links) for row in stage.all(select(Message))]
    found += str(besides)
    found += str([row.payload for row in stage.all(select(DeliveryRow))])
    return [word for word in WORDS if word in found]


def test_conversations_that_go_on_don_t_hide_old_ones_behind_them(
    regular: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emptying, "CHUNK", 1)
    regular.ask("hello", BEN)
    empty(regular)
    assert words(regular) == []


def test_old_words_of_a_regular_go_and_the_regular_stays(regular: Stage) -> None:
    assert words(regular) == list(WORDS)
    empty(regular)
    assert words(regular) == []
    assert regular.customer(UMA).name == "Umbrielle Quill"
    old, new = regular.conversations(UMA)
    texts = {row.text for row in regular.all(select(Message).filter_by(conversation_id=new.id))}
    assert "are roses in?" in texts
    assert {row.text for row in regular.all(select(Message).filter_by(conversation_id=old.id))} == {
        ""
    }


def test_old_words_of_one_who_is_banned_go_and_the_ban_stays(regular: Stage, clock: Clock) -> None:
    operators.banned(regular.desk, regular.update(), OLGA, 77)
    regular.send_all()
    clock.move(seconds=86400 * 31)
    empty(regular)
    assert words(regular) == []
    assert "are roses in?" not in str([row.text for row in regular.all(select(Message))])
    assert regular.customer(UMA).banned_at is not None


def test_what_they_taught_stays_masked_and_is_learned_as_before(stage: Stage, clock: Clock) -> None:
    uma_asks(stage, "where are my peonies? umbrielle quill, write to uma@quill.example")
    uma_presses(stage, "up")
    stage.topic(UMA)
    stage.resolve()
    stage.send_all()
    before = learned(stage.desk)
    clock.move(seconds=86400 * 31)
    for _ in range(2):
        empty(stage)
        texts = [row.text for row in stage.all(select(Message)) if row.text]
        assert texts == ["where are my peonies? [name] [name], write to [email]"]
        assert learned(stage.desk) == before


def test_what_is_younger_or_open_or_still_to_be_sent_waits(stage: Stage, clock: Clock) -> None:
    for person, thread in ((ANA, 77), (BEN, 78), (UMA, 79)):
        stage.ask(f"peonies for {person.name}", person, intent="complaint")
        stage.topic(person, thread)
        stage.send_all()
    for thread in (77, 79):
        stage.resolve(thread)
    stage.send_all()
    clock.move(seconds=86400 * 31)
    with stage.desk.store.writing() as session:
        uma = stage.conversation(UMA).id
        row = session.scalars(select(DeliveryRow).filter_by(conversation_id=uma)).first()
        assert row is not None
        row.state = DeliveryState.PENDING
    empty(stage, days=32)
    assert "peonies for Ana" in everything(stage)
    empty(stage)
    left = [row.text for row in stage.said()]
    assert left == ["", "peonies for Ben", "peonies for Umbrielle Quill"]
    assert stage.conversation(BEN).state is ConversationState.WAITING
    stage.send_all()
    empty(stage)
    assert [row.text for row in stage.said()] == ["", "peonies for Ben", ""]


def test_what_telegram_refused_is_not_tried_again_without_words(
    regular: Stage,
) -> None:
    with regular.desk.store.writing() as session:
        old = regular.conversations(UMA)[0].id
        for row in session.scalars(select(DeliveryRow).filter_by(conversation_id=old)):
            row.state = DeliveryState.FAILED
    empty(regular)
    rows = regular.deliveries(conversation_id=old)
    assert {(row.state, str(row.payload)) for row in rows} == {(DeliveryState.CANCELLED, "{}")}


def test_all_of_them_are_emptied_a_few_at_a_time(
    stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emptying, "CHUNK", 1)
    for _ in range(3):
        stage.ask("peonies", intent="complaint")
        stage.topic()
        stage.send_all()
        stage.resolve()
        stage.send_all()
    clock.move(seconds=86400 * 31)
    empty(stage)
    assert {row.text for row in stage.said()} == {""}


def test_the_card_of_a_conversation_without_words_can_still_be_worked_with(
    regular: Stage,
) -> None:
    message = regular.said()[0].id
    why, relabel = (regular.token(act, message_id=message) for act in ("why", "relabel"))
    empty(regular)
    for token in (why, relabel):
        regular.press(token, by=OSCAR)
        assert [row for row in regular.send_all() if row.chat_id == OPERATOR_CHAT]
    regular.press(regular.token("label", "refund", message_id=message), by=OSCAR)
    assert regular.all(select(Feedback))
    assert learned(regular.desk) == [], "there is no text to learn"
