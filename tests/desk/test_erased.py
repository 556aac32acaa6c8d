"""Who was erased is known outside the database, and a backup that brings them back brings them to
nothing."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from desk.domain import DeliveryState, InboxState, MessageState
from desk.erased import FILE, FOLDER, Erasures
from desk.flow import customers, erasing
from desk.tables import Customer, DeliveryRow, Inbox, Message
from tests.desk.acting import ANA, BEN, Stage
from tests.desk.leavings import SECRETS, UMA, left_of_uma, uma_says


def bring_back(stage: Stage, customer_id: int, chat_id: int) -> None:
    """What a backup of before the erasure does to the row."""
    with stage.desk.store.writing() as session:
        session.get_one(Customer, customer_id).chat_id = chat_id


def test_a_note_says_which_row_it_was_and_nothing_of_whom(uma: Stage, tmp_path: Path) -> None:
    erasing.erase(uma.desk, uma.customer(UMA).id)
    assert Erasures(tmp_path).note(uma.desk.store) == 1
    file = tmp_path / FOLDER / FILE
    said = file.read_text(encoding="utf-8")
    assert said.startswith('{"id": ')
    assert [secret for secret in SECRETS if secret in said] == []
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_each_is_noted_once_whoever_notes_and_however_often(stage: Stage, tmp_path: Path) -> None:
    erasures = Erasures(tmp_path)
    for person in (ANA, BEN):
        stage.ask("where is my order", person)
    stage.send_all()
    assert erasures.note(stage.desk.store) == 0
    erasing.erase(stage.desk, stage.customer(ANA).id)
    assert [erasures.note(stage.desk.store) for _ in range(2)] == [1, 0]
    erasing.erase(stage.desk, stage.customer(BEN).id)
    assert [Erasures(tmp_path).note(stage.desk.store) for _ in range(2)] == [1, 0]
    assert len(erasures.file.read_text(encoding="utf-8").splitlines()) == 2


def test_who_is_noted_and_stands_there_again_is_found_and_nobody_else(
    stage: Stage, tmp_path: Path
) -> None:
    erasures = Erasures(tmp_path)
    stage.ask("where is my order")
    stage.send_all()
    first = stage.customer().id
    erasing.erase(stage.desk, first)
    erasures.note(stage.desk.store)
    assert erasures.back(stage.desk.store) == []
    bring_back(stage, first, ANA.chat_id)
    assert erasures.back(stage.desk.store) == [first]
    # Another customer to whom a restored database gave the same number.
    with stage.desk.store.writing() as session:
        session.get_one(Customer, first).created_at += timedelta(microseconds=1)
    assert erasures.back(stage.desk.store) == []


def test_half_a_line_of_a_full_disk_spoils_no_other(stage: Stage, tmp_path: Path) -> None:
    erasures = Erasures(tmp_path)
    erasures.file.parent.mkdir()
    erasures.file.write_text('{"id": 1, "si')
    stage.ask("where is my order")
    stage.send_all()
    customer = stage.customer().id
    erasing.erase(stage.desk, customer)
    assert erasures.note(stage.desk.store) == 1
    assert [id_ for id_, _ in erasures.notes()] == [customer]


def test_nothing_of_one_who_came_back_is_left_or_sent_or_read(uma: Stage) -> None:
    """At the moment of the backup an update, a message, and deliveries were under way."""
    customers.asked_for_help(uma.desk, uma_says(uma, "/help"), UMA)
    taken = uma.take(limit=1)
    assert taken
    unread = uma_says(uma, "my peonies again, 17 Elm Road")
    asked = uma_says(uma, "where are they")
    assert customers.wrote(uma.desk, asked, UMA, 90, "where are the peonies of 17 Elm Road")
    with pytest.raises(erasing.UnderWayError):
        erasing.erase(uma.desk, uma.customer(UMA).id, force=True)
    customer_id = uma.customer(UMA).id
    assert erasing.erase_again(uma.desk.store, customer_id).messages > 0
    assert left_of_uma(uma) == []
    assert uma.row(Inbox, unread).state is InboxState.DONE
    states = uma.all(select(Message.state).where(Message.conversation_id.is_not(None)))
    assert MessageState.PENDING not in states
    for delivery in taken:
        assert uma.row(DeliveryRow, delivery.id).state is DeliveryState.CANCELLED
    assert {row.method for row in uma.take(limit=50)} <= {"deleteForumTopic"}
