"""Who waits from before there was this operators' chat is announced in it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import event

from desk.domain import (
    ConversationState,
    DeliveryState,
    Person,
)
from desk.flow import announcing, customers, delivering, dispatching
from desk.tables import Conversation, Customer
from tests.conftest import OPERATOR_CHAT
from tests.desk.acting import ANA, Stage


def test_who_waits_from_before_there_was_an_operators_chat_is_announced_once(stage: Stage) -> None:
    alone = Stage(replace(stage.desk, operator_chat_id=None), first_update=1000)
    message_id = alone.ask("you are rude", intent="complaint")
    announcing.announce_waiting(alone.desk)
    assert alone.deliveries(key=f"card:{message_id}") == []

    for _ in range(2):
        announcing.announce_waiting(stage.desk)
        (card,) = stage.deliveries(OPERATOR_CHAT)
        assert card.key == f"card:{message_id}"
        assert "you are rude" in card.payload["text"]


def test_who_waits_is_announced_in_the_new_group_when_the_operators_move(stage: Stage) -> None:
    message_id = stage.ask("you are rude", intent="complaint")
    stage.send_all()
    for chat in (-100999, -100888, -100999):
        moved = replace(stage.desk, operator_chat_id=chat)
        before = len(stage.deliveries())
        for _ in range(2):
            announcing.announce_waiting(moved)
        (card,) = stage.deliveries(key=f"card:{message_id}")
        assert (card.chat_id, card.state) == (chat, DeliveryState.PENDING)
        assert len(stage.deliveries()) == before + 1
        (taken,) = dispatching.take(moved, (), 9, stage.lease)
        delivering.sent(moved, taken.id, taken.attempts, 5)


def test_files_from_before_there_was_an_operators_chat_are_copied_behind_the_card(
    stage: Stage,
) -> None:
    alone = Stage(replace(stage.desk, operator_chat_id=None), first_update=1000)
    alone.ask("roses?")
    customers.sent_file(alone.desk, alone.update(), ANA, 55, "[photo]")
    alone.ask("well?")
    customers.sent_file(alone.desk, alone.update(), ANA, 57, "[photo]")
    announcing.announce_waiting(stage.desk)
    announcing.announce_waiting(stage.desk)
    first, second = [m.id for m in stage.said() if m.text == "[photo]"]
    shown = stage.deliveries(OPERATOR_CHAT)
    assert [row.key for row in shown] == [f"card:{second}", f"file:{first}", f"file:{second}"]
    assert [row.payload for row in shown[1:]] == [
        {"from_chat_id": ANA.chat_id, "message_id": 55},
        {"from_chat_id": ANA.chat_id, "message_id": 57},
    ]
    assert shown[1].topic_of == stage.customer().id


def test_files_go_along_when_the_operators_move(stage: Stage) -> None:
    customers.sent_file(stage.desk, stage.update(), ANA, 55, "[photo]")
    stage.ask("well?")
    stage.send_all()
    for chat in range(-100999, -100980):  # each time there is one more that it was shown in
        moved = Stage(replace(stage.desk, operator_chat_id=chat))
        announcing.announce_waiting(moved.desk)
        assert [row.method for row in moved.send_all()] == ["sendMessage", "copyMessage"]


def test_however_many_wait_a_transaction_announces_some_and_the_last_one_ends(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcing, "AT_ONCE", 2)
    alone = Stage(replace(stage.desk, operator_chat_id=None), first_update=1000)
    people = [Person(chat_id=700 + number, name=f"P{number}") for number in range(5)]
    for person in people:
        alone.ask("you are rude", person, intent="complaint")
    with stage.desk.store.writing() as session:
        # One that has no words to show stays unannounced.
        wordless = Customer(chat_id=799, name="W")
        session.add(wordless)
        session.flush()
        session.add(Conversation(customer_id=wordless.id, state=ConversationState.WAITING))
    commits: list[object] = []
    event.listen(stage.desk.store.engine, "commit", commits.append)
    announcing.announce_waiting(stage.desk)
    assert len(commits) == 4, "three with conversations, and one that finds no more"
    cards = [row for row in stage.deliveries(OPERATOR_CHAT) if row.key.startswith("card:")]
    assert len(cards) == 5
