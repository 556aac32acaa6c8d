"""Who was silent for long is erased, unless something is owed to them; old updates are emptied."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from desk.domain import (
    ConversationState,
    FeedbackKind,
    InboxState,
    Incoming,
)
from desk.flow import customers, delivering, edits, erasing, intake, leases, operators
from desk.flow.lessons import learned
from desk.tables import Customer, Feedback, Inbox, Message
from tests.conftest import Clock
from tests.desk.acting import ANA, BEN, BOT, OLGA, OSCAR, Stage, hold_lease
from tests.desk.leavings import (
    UMA,
    left_of_uma,
    uma_asks,
    uma_presses,
    uma_says,
)


def silence(stage: Stage, days: float, clock: Clock) -> int:
    """So many days later, what is older than thirty is erased; returns how many customers."""
    clock.move(seconds=86400 * days)
    before = clock() - timedelta(days=30)
    return erasing.erase_silent(stage.desk, before, limit=10)


def test_after_so_many_days_of_silence_a_customer_is_erased(uma: Stage, clock: Clock) -> None:
    assert silence(uma, 29.9, clock) == 0
    uma.ask("still there?", BEN)
    assert silence(uma, 0.2, clock) == 1
    assert uma.customer(BEN).name == "Ben"
    (uma_row,) = [row for row in uma.all(select(Customer)) if row.erased]
    assert uma_row.name == ""
    assert silence(uma, 0.1, clock) == 0


def test_one_who_can_not_be_erased_holds_up_nobody(
    stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for person in (ANA, BEN):
        stage.ask("where is my order", person)
    stage.send_all()
    forget = erasing._forget

    def broken(session: Session, customer: Customer, *more: Any) -> Any:
        if customer.name == "Ana":
            raise ValueError("nobody foresaw that")
        return forget(session, customer, *more)

    monkeypatch.setattr(erasing, "_forget", broken)
    with pytest.raises(ValueError, match="nobody foresaw"):
        silence(stage, 31, clock)
    assert {row.name for row in stage.all(select(Customer))} == {"Ana", ""}


def test_what_a_silent_customer_taught_stays_masked(stage: Stage, clock: Clock) -> None:
    uma_asks(stage, "where are my peonies? Umbrielle Quill, uma@quill.example")
    uma_presses(stage, "up")
    uma_asks(stage, "and a rose for Quill", intent="refund")
    customers.sent_file(stage.desk, uma_says(stage, ""), UMA, 43, "a photo of Quill")
    photo = stage.said()[-1].id
    with stage.desk.store.writing() as session:
        row = Feedback(message_id=photo, kind=FeedbackKind.RELABEL, intent="refund", by=OLGA)
        row.created_at = clock()
        session.add(row)
    stage.topic(UMA)
    stage.resolve()
    stage.send_all()
    before, nobody = learned(stage.desk), -stage.customer(UMA).id
    assert silence(stage, 31, clock) == 1
    assert learned(stage.desk) == [replace(lesson, by=nobody) for lesson in before]
    assert [lesson.text for lesson in before] == ["where are my peonies? [name] [name], [email]"]
    texts = [row.text for row in stage.all(select(Message)) if row.text]
    assert texts == ["where are my peonies? [name] [name], [email]"]


def test_who_waits_where_there_are_no_operators_is_erased_in_the_end(
    stage: Stage, clock: Clock
) -> None:
    nobody = Stage(replace(stage.desk, operator_chat_id=None), first_update=100)
    customers.asked_for_person(nobody.desk, uma_says(nobody, "/human"), UMA, "/human")
    nobody.send_all()
    assert nobody.conversation(UMA).state is ConversationState.WAITING
    assert silence(nobody, 31, clock) == 1


def test_what_was_disliked_in_the_end_is_no_lesson_to_keep(stage: Stage, clock: Clock) -> None:
    uma_asks(stage, "where are my peonies")
    uma_presses(stage, "up")
    clock.move(seconds=5)
    uma_presses(stage, "down")
    stage.resolve(stage.topic(UMA))
    stage.send_all()
    assert silence(stage, 31, clock) == 1
    assert not any(row.text for row in stage.all(select(Message)))


def test_a_thumb_of_another_customer_keeps_nobody(stage: Stage, clock: Clock) -> None:
    uma_asks(stage, "where are my peonies")
    clock.move(days=20)
    stage.ask("where is my order", BEN)
    stage.send_all()
    stage.press(stage.token("up"), by=BEN.chat_id)
    stage.send_all()
    assert silence(stage, 11, clock) == 1
    assert stage.customer(BEN).name == "Ben"


def test_a_reply_to_another_customer_is_none_to_who_was_never_answered(
    stage: Stage, clock: Clock
) -> None:
    for person, thread_id in ((UMA, 77), (BEN, 78)):
        stage.ask("my roses are dead", person, intent="complaint")
        stage.topic(person, thread_id)
        operators.took(stage.desk, stage.update(), OSCAR, thread_id)
    stage.reply("I am sorry", thread_id=78)
    stage.send_all()
    assert silence(stage, 31, clock) == 1
    assert stage.customer(UMA).name


WHY_KEPT = (
    *("waits", "banned", "parked", "undecided", "taken lately"),
    *("not answered", "not answered anew", "not sent", "thumb lately"),
)


@pytest.mark.parametrize("thanks", [True, False])
def test_who_was_answered_is_not_kept_by_a_last_word_of_thanks(
    stage: Stage, clock: Clock, thanks: bool
) -> None:
    uma_asks(stage, "the peonies are dead", intent="complaint")
    stage.topic(UMA)
    stage.reply("I am sorry, new ones are on their way")
    if thanks:
        uma_asks(stage, "thanks!", intent="greeting")
    stage.send_all()
    assert stage.conversation(UMA).state is ConversationState.HUMAN
    assert silence(stage, 31, clock) == 1


@pytest.mark.parametrize("replied", [False, True])
def test_who_blocked_the_bot_while_waiting_is_waited_for_no_more(
    stage: Stage, clock: Clock, replied: bool
) -> None:
    uma_asks(stage, "the peonies are dead", intent="complaint")
    stage.send_all()
    if replied:  # by a word that finds no way
        stage.topic(UMA)
        operators.took(stage.desk, stage.update(), OSCAR, 77)
        stage.send_all()
        stage.reply("I am sorry")
        for row in stage.take():  # the copy, and an edit of the card
            if row.method == "copyMessage":
                delivering.customer_gone(stage.desk, row.id, row.attempts, "403")
            else:
                delivering.sent(stage.desk, row.id, row.attempts, None)
    customers.blocked(stage.desk, uma_says(stage, ""), UMA.chat_id, gone=True)
    stage.send_all()
    assert silence(stage, 31, clock) == 1


def test_what_was_taken_back_may_have_been_learned_before(stage: Stage, clock: Clock) -> None:
    uma_asks(stage, "where are my peonies")
    uma_presses(stage, "up")
    clock.move(seconds=86400)
    uma_presses(stage, "down")
    stage.resolve(stage.topic(UMA))
    stage.send_all()
    erased = erasing.erase(stage.desk, stage.customer(UMA).id)
    assert erased.taught_since == stage.said()[0].created_at


@pytest.mark.parametrize("why", WHY_KEPT)
def test_silent_or_not_some_are_kept(stage: Stage, clock: Clock, why: str) -> None:
    if why == "undecided":
        stage.write("hello?", UMA)
    else:
        uma_asks(stage, "you are rude", intent="complaint")
        stage.topic(UMA)
        stage.send_all()
    if why == "parked":
        intake.failed(stage.desk, uma_says(stage, "hm"), "ValueError", final=True)
    if why == "banned":
        operators.banned(stage.desk, stage.update(), OLGA, 77)
    elif why == "parked":
        stage.resolve()
    stage.send_all()
    if why in ("taken lately", "not sent"):
        stage.reply("I am sorry")
    if why == "taken lately":
        stage.send_all()
        clock.move(seconds=86400 * 20)
        operators.took(stage.desk, stage.update(), OLGA, 77)
        stage.send_all()
        clock.move(seconds=-86400 * 9)
    if why == "not answered":
        operators.took(stage.desk, stage.update(), OSCAR, 77)
        stage.send_all()
    if why == "not answered anew":
        stage.resolve()
        operators.took(stage.desk, stage.update(), OSCAR, 77)  # opens another
        uma_asks(stage, "and my peonies?")
        stage.send_all()
    if why == "thumb lately":
        stage.resolve()
        uma_asks(stage, "where are my roses")
        stage.send_all()
        clock.move(seconds=86400 * 20)
        uma_presses(stage, "up")
        clock.move(seconds=-86400 * 9)
    assert silence(stage, 31, clock) == 0
    assert stage.customer(UMA).name == "Umbrielle Quill"


def test_a_customer_who_is_being_answered_holds_up_no_other(stage: Stage, clock: Clock) -> None:
    uma_asks(stage, "where are my peonies")
    stage.take()
    stage.ask("and mine", BEN)
    stage.send_all()
    assert silence(stage, 31, clock) == 1
    assert stage.customer(UMA).name == "Umbrielle Quill"


def test_a_conversation_that_an_operator_forgot_to_resolve_does_not_keep_them(
    uma: Stage, clock: Clock
) -> None:
    operators.took(uma.desk, uma.update(), OSCAR, 77)
    uma.send_all()
    assert silence(uma, 31, clock) == 2
    with uma.desk.store.writing() as session:
        session.execute(update(Inbox).values(received_at=clock() - timedelta(days=31)))
    erasing.empty_updates(uma.desk, clock() - timedelta(days=30), 0)
    # Of the one text that taught something: masking finds neither flowers nor streets.
    assert left_of_uma(uma) == ["peonies", "17 Elm Road"]


def test_old_updates_are_emptied_and_keep_their_keys(
    uma: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "CHUNK", 4)
    clock.move(seconds=86400)
    parked, fresh = uma_says(uma, "odd"), uma_says(uma, "new")
    intake.failed(uma.desk, parked, "ValueError", final=True)
    said, unchanged = uma_says(uma, "words"), uma.update(UMA.chat_id)
    customers.wrote(uma.desk, said, UMA, 4711, "words")
    edits.customer_changed(uma.desk, unchanged, UMA, 4711, "words")
    assert uma.row(Inbox, unchanged).chat_id == UMA.chat_id, "of which no words are kept"
    clock.move(seconds=86400)
    before, number = clock() - timedelta(days=0.5), len(uma.all(select(Inbox)))
    late = uma_says(uma, "later")
    at: int | None = 0
    while at is not None:
        at = erasing.empty_updates(uma.desk, before, at)
    rows = uma.all(select(Inbox).order_by(Inbox.id))
    full = [row.id for row in rows if row.payload or row.chat_id]
    assert full == [parked, fresh, late]
    assert len(rows) == number + 1
    assert {row.state for row in rows if row.id not in full} == {InboxState.DONE}

    def writes() -> None:
        raise AssertionError("nothing is left to be emptied")

    monkeypatch.setattr(uma.desk.store, "writing", writes)
    at = 0
    while at is not None:
        at = erasing.empty_updates(uma.desk, before, at)


@pytest.mark.parametrize("days", [10, 31])
def test_what_was_left_of_a_former_bot_says_only_when_they_last_wrote(
    stage: Stage, clock: Clock, days: int
) -> None:
    uma_asks(stage, "where are my peonies")
    stage.send_all()
    clock.move(seconds=86400 * (31 - days))
    words = {"message": {"text": "peonies of late"}}
    intake.store_updates(stage.desk, [Incoming(BOT + 1, 1, UMA.chat_id, words)])
    clock.move(seconds=86400 * days)
    hold_lease(stage.desk, leases.bot_lease(BOT))
    before = clock() - timedelta(days=30)
    assert erasing.erase_silent(stage.desk, before, 20) == (1 if days == 31 else 0)
    erasing.empty_updates(stage.desk, before, 0)
    left = stage.one(select(Inbox).where(Inbox.bot_id == BOT + 1))
    if days == 31:
        assert (left.state, left.payload, left.chat_id) == (InboxState.DONE, {}, None)
    else:
        assert (left.state, left.payload) == (InboxState.NEW, words)


def test_while_no_bot_runs_nothing_that_waits_for_one_is_emptied(
    stage: Stage, clock: Clock
) -> None:
    uma_asks(stage, "where are my peonies")
    stage.send_all()
    waits = uma_says(stage, "and my roses")
    leases.release(stage.desk, stage.lease)
    assert silence(stage, 31, clock) == 0
    with stage.desk.store.writing() as session:
        session.execute(update(Inbox).values(received_at=clock() - timedelta(days=31)))
    erasing.empty_updates(stage.desk, clock() - timedelta(days=30), 0)
    assert "roses" in str(stage.row(Inbox, waits).payload)
