"""Erasure: nothing that says who a customer was or what they wrote is left in any table."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import ANY

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from desk.domain import (
    ConversationState,
    DeliveryState,
    DeskError,
    InboxState,
    Incoming,
    MessageState,
)
from desk.flow import (
    bans,
    buttons,
    customers,
    delivering,
    erasing,
    forwarding,
    intake,
    leases,
    operators,
)
from desk.flow.lessons import learned
from desk.flow.mentions import Mentions
from desk.tables import Conversation, Customer, DeliveryRow, Inbox, Message
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import BEN, BOT, OLGA, OSCAR, Stage, add_deliveries, hold_lease, predict
from tests.desk.leavings import (
    SECRETS,
    UMA,
    everything,
    left_of_uma,
    store,
    uma_asks,
    uma_presses,
    uma_says,
)


def test_nothing_that_names_them_or_that_they_wrote_is_left(uma: Stage) -> None:
    assert left_of_uma(uma) == list(SECRETS)
    erasing.erase(uma.desk, uma.customer(UMA).id)
    assert left_of_uma(uma) == []


def test_whose_words_they_forwarded_is_not_left_either(stage: Stage) -> None:
    forwarding.forwarded(stage.desk, stage.update(), UMA, 41, "look", "Quill and sons")
    stage.send_all()
    assert "Quill and sons" in everything(stage)
    erasing.erase(stage.desk, stage.customer(UMA).id, force=True)
    assert left_of_uma(stage) == []


def test_what_comes_of_one_who_was_erased_is_not_kept(uma: Stage) -> None:
    token = uma.token("resolve")
    erasing.erase(uma.desk, uma.customer(UMA).id, force=True)
    block, press = (
        store(uma, 9300 + number, UMA.chat_id, {what: {"from": {"first_name": "Umbrielle"}}})
        for number, what in enumerate(("my_chat_member", "callback_query"))
    )
    customers.blocked(uma.desk, block, UMA.chat_id, gone=True)
    buttons.pressed(uma.desk, press, token, UMA.chat_id, UMA.chat_id, 1)
    for id_ in (block, press):
        assert (uma.row(Inbox, id_).payload, uma.row(Inbox, id_).chat_id) == ({}, None)


def _handled(stage: Stage, inbox_id: int) -> None:
    with stage.desk.store.writing() as session:
        assert intake.claim(session, stage.desk, inbox_id)


def test_updates_about_them_from_the_operators_chat_are_emptied_wherever_they_stand(
    uma: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    (card,) = {row.telegram_id for row in uma.deliveries(OPERATOR_CHAT) if row.key[:5] == "card:"}
    about = {
        "a press at their card": {
            "callback_query": {"message": {"chat": {}, "message_id": card, "text": "peonies"}}
        },
        "a reply to it, without a topic": {
            "message": {"text": "who is Uma?", "reply_to_message": {"message_id": card}}
        },
        "a card of theirs that was pinned": {
            "message": {"pinned_message": {"message_id": card, "text": "peonies"}}
        },
        "a quotation in another topic": {
            "message": {
                "message_thread_id": 78,
                "external_reply": {"chat": {"id": OPERATOR_CHAT}, "message_id": card},
                "quote": {"text": "peonies"},
            }
        },
        "a note in their topic of before": {
            "message": {"message_thread_id": 77, "text": "// Quill"}
        },
        "a note in their topic": {"message": {"message_thread_id": 99, "text": "/note Quill"}},
        "an edit there": {"edited_message": {"message_thread_id": 99, "text": "peonies!"}},
    }
    theirs = [
        store(uma, 9100 + number, OPERATOR_CHAT, payload)
        for number, payload in enumerate(about.values())
    ]
    others = store(uma, 9200, OPERATOR_CHAT, {"message": {"message_thread_id": 78, "text": "hi"}})
    press = {"callback_query": {"message": {"message_thread_id": 78, "message_id": 3}}}
    another = store(uma, 9201, OPERATOR_CHAT, press)
    for id_ in (*theirs, others, another):
        _handled(uma, id_)
    # One of theirs that never arrived, and so has no number.
    (cancelled,) = add_deliveries(uma, "never", chat_id=OPERATOR_CHAT)
    with uma.desk.store.writing() as session:
        row = session.get_one(DeliveryRow, cancelled)
        row.state, row.conversation_id = DeliveryState.CANCELLED, uma.conversation(UMA).id
    uma.topic(UMA, 99)
    in_the_new_topic = {"message": {"message_thread_id": 99, "text": "peonies"}}

    def somebody_acts() -> None:
        theirs.append(store(uma, 9300, OPERATOR_CHAT, in_the_new_topic))
        _handled(uma, theirs[-1])

    _between_the_looks(monkeypatch, somebody_acts)
    erasing.erase(uma.desk, uma.customer(UMA).id)
    assert [uma.row(Inbox, id_).payload for id_ in theirs] == [{}] * (len(about) + 1)
    assert left_of_uma(uma) == [], "what an operator wrote in the topic of before, too"
    assert uma.row(Inbox, others).payload == {"message": {"message_thread_id": 78, "hash": ANY}}
    assert uma.row(Inbox, another).payload == press


COMMAND = "/Zebratoaster_Elm_Road_17"
"""Somebody began with a slash what they had to say about her."""


def _mistyped(stage: Stage, thread_id: int | None = 77) -> None:
    operators.mistyped(stage.desk, stage.update(OPERATOR_CHAT), OSCAR, thread_id, COMMAND)


@pytest.mark.parametrize("thread_id", [77, 78, None], ids=["her topic", "another", "General"])
@pytest.mark.parametrize("end", ["sent", "barely sent", "failed"])
def test_a_word_that_was_typed_as_a_command_is_not_kept_once_that_was_told(
    uma: Stage, thread_id: int | None, end: str
) -> None:
    _mistyped(uma, thread_id)
    (delivery,) = uma.take()
    assert COMMAND in delivery.payload["text"]
    if end == "failed":
        delivering.failed(uma.desk, delivery.id, delivery.attempts, "Bad Request")
    else:
        done = delivering.sent if end == "sent" else delivering.sent_barely
        done(uma.desk, delivery.id, delivery.attempts, 1)
    assert "Zebratoaster" not in everything(uma)
    assert delivering.retry_failed(uma.desk) == 0, "nothing is left of it to be said again"
    told = len(uma.deliveries())
    _mistyped(uma, thread_id)
    assert len(uma.deliveries()) == told, "it is known all the same, and told once in a while"


def test_a_word_that_was_typed_as_a_command_is_erased_before_it_is_told(uma: Stage) -> None:
    _mistyped(uma)
    (notice,) = uma.deliveries(state=DeliveryState.PENDING)
    assert COMMAND in notice.payload["text"]
    erasing.erase(uma.desk, uma.customer(UMA).id)
    assert uma.row(DeliveryRow, notice.id).state is DeliveryState.CANCELLED
    assert "Zebratoaster" not in everything(uma)


def _between_the_looks(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Have something happen after the first look of an erasure and before the last."""
    look, looks = Mentions.look, 0

    def and_act(self: Mentions, session: Session) -> None:
        nonlocal looks
        look(self, session)
        looks += 1
        if looks == 1:
            act()

    monkeypatch.setattr(Mentions, "look", and_act)


def _stored_at_last(stage: Stage, id_: int, chat_id: int, text: str) -> int:
    """Store an update with an id below that of others, as PostgreSQL does where a webhook's come
    side by side: the one that takes longer is to be seen after those that have higher ids."""
    body = {"message_id": 900, "message_thread_id": 77, "text": text}
    with stage.desk.store.writing() as session:
        session.add(
            Inbox(id=id_, bot_id=BOT, update_id=id_, chat_id=chat_id, payload={"message": body})
        )
    return id_


def _highest(stage: Stage) -> int:
    """Leave room below the id of the newest update."""
    with stage.desk.store.writing() as session:
        session.add(Inbox(id=9999, bot_id=BOT, update_id=9999, payload={}, state=InboxState.DONE))
    return 9999


def test_an_update_that_comes_to_light_below_the_newest_is_erased_too(
    uma: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = _highest(uma)

    def slip_in() -> None:
        hers = _stored_at_last(uma, newest - 2, UMA.chat_id, "peonies again")
        customers.asked_for_help(uma.desk, hers, UMA)
        about = _stored_at_last(uma, newest - 1, OPERATOR_CHAT, "// peonies")
        operators.noted(uma.desk, about, OSCAR, 77)
        uma.send_all()

    _between_the_looks(monkeypatch, slip_in)
    erasing.erase(uma.desk, uma.customer(UMA).id)
    assert left_of_uma(uma) == []
    for id_ in (newest - 2, newest - 1):
        assert (uma.row(Inbox, id_).payload, uma.row(Inbox, id_).chat_id) == ({}, None)


def test_one_who_has_just_written_is_seen_wherever_their_update_stands(
    uma: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = _highest(uma)
    monkeypatch.setattr("desk.flow.mentions.NEAR", 0)
    _between_the_looks(
        monkeypatch, lambda: _stored_at_last(uma, newest - 1, UMA.chat_id, "peonies again")
    )
    with pytest.raises(erasing.UnderWayError, match="just written"):
        erasing.erase(uma.desk, uma.customer(UMA).id)


def _left_of_another_bot(stage: Stage) -> int:
    """She has written to a bot whose token was replaced before it read that."""
    words = {"message": {"text": "peonies of long ago"}}
    intake.store_updates(stage.desk, [Incoming(BOT + 1, 1, UMA.chat_id, words)])
    return int(stage.one(select(Inbox.id).where(Inbox.bot_id == BOT + 1)))


def test_what_was_left_of_a_former_bot_keeps_nobody_from_being_erased(
    uma: Stage, clock: Clock
) -> None:
    left = _left_of_another_bot(uma)
    hold_lease(uma.desk, leases.bot_lease(BOT))
    clock.move(minutes=9)
    assert intake.stranded(uma.desk) == [], "that bot may just begin anew"
    clock.move(minutes=2)
    assert intake.stranded(uma.desk) == [(BOT + 1, 1)]
    erasing.erase(uma.desk, uma.customer(UMA).id)
    assert left_of_uma(uma) == []
    assert uma.row(Inbox, left).state is InboxState.DONE
    assert intake.stranded(uma.desk) == []


@pytest.mark.parametrize("running", ["none", "both"])
def test_what_a_bot_may_still_handle_is_handled_first(
    uma: Stage, clock: Clock, running: str
) -> None:
    left = _left_of_another_bot(uma)
    clock.move(minutes=11)
    if running == "none":
        leases.release(uma.desk, uma.lease)
    else:
        hold_lease(uma.desk, leases.bot_lease(BOT))
        hold_lease(uma.desk, leases.bot_lease(BOT + 1))
    assert intake.stranded(uma.desk) == []
    with pytest.raises(erasing.UnderWayError, match="just written"):
        erasing.erase(uma.desk, uma.customer(UMA).id)
    assert "long ago" in str(uma.row(Inbox, left).payload)


def test_somebody_else_keeps_everything(uma: Stage) -> None:
    bens = uma.conversation(BEN).id

    def of_ben() -> list[object]:
        messages = uma.all(select(Message).where(Message.conversation_id == bens))
        return [
            uma.customer(BEN).name,
            uma.conversation(BEN).state,
            [(message.text, message.telegram_id) for message in messages],
            [(row.payload, row.chat_id) for row in uma.deliveries(conversation_id=bens)],
        ]

    before = of_ben()
    assert "where is my order" in str(before)
    erasing.erase(uma.desk, uma.customer(UMA).id)
    assert of_ben() == before


def test_what_was_counted_stays(uma: Stage) -> None:
    messages, sent = len(uma.all(select(Message))), len(uma.deliveries(state=DeliveryState.SENT))
    feedback = len(uma.feedback())
    erased = erasing.erase(uma.desk, uma.customer(UMA).id)
    assert (erased.conversations, erased.messages) == (1, 7)
    assert len(uma.all(select(Message))) == messages
    assert len(uma.deliveries(state=DeliveryState.SENT)) == sent
    assert len(uma.feedback()) == feedback


def test_what_they_taught_is_no_example_any_more_and_it_is_told_since_when_it_was(
    uma: Stage, clock: Clock
) -> None:
    (lesson,) = learned(uma.desk)
    assert "peonies" in lesson.text
    erased = erasing.erase(uma.desk, uma.customer(UMA).id)
    assert erased.taught_since is not None
    assert erased.taught_since <= lesson.at
    assert learned(uma.desk) == []


def test_whoever_writes_again_is_a_new_customer_and_old_buttons_are_void(uma: Stage) -> None:
    old = uma.customer(UMA).id
    thumb, take = uma.token("up"), uma.token("take")
    erasing.erase(uma.desk, old)
    before, deliveries = uma.row(Customer, old), len(uma.deliveries())
    assert before.erased
    assert before.topic_id is None
    assert "no longer" in uma.press(thumb, by=UMA.chat_id).text
    assert "no longer" in uma.press(take, by=OSCAR).text
    assert len(uma.deliveries()) == deliveries
    uma.ask("hello again", UMA)
    assert uma.customer(UMA).id != old
    assert uma.conversation(UMA).state is ConversationState.BOT
    assert uma.customer(UMA).topic_id is None


def test_since_when_they_taught_does_not_move_when_they_say_it_again(
    stage: Stage, clock: Clock
) -> None:
    stage.ask("where are my roses", BEN)
    stage.press(stage.token("up"), by=BEN.chat_id)
    clock.move(seconds=86400)
    uma_asks(stage, "where are my peonies")
    first = stage.said()[-1].created_at
    uma_presses(stage, "up")
    clock.move(seconds=86400)
    uma_presses(stage, "up")
    stage.send_all()
    assert erasing.erase(stage.desk, stage.customer(UMA).id).taught_since == first


def test_erased_by_force_is_who_waits_too(stage: Stage) -> None:
    uma_asks(stage, "the peonies are dead", intent="complaint")
    stage.send_all()
    erasing.erase(stage.desk, stage.customer(UMA).id, force=True)
    assert left_of_uma(stage) == []
    (conversation,) = stage.all(select(Conversation))
    assert conversation.state is ConversationState.RESOLVED


def test_a_ban_goes_with_the_rest(uma: Stage) -> None:
    operators.banned(uma.desk, uma.update(), OLGA, 77)
    uma.send_all()
    erasing.erase(uma.desk, uma.customer(UMA).id)
    assert bans.count_banned(uma.desk) == 0


@pytest.mark.parametrize("taken", [False, True])
def test_one_who_waits_for_a_person_or_has_one_is_not_dropped(stage: Stage, taken: bool) -> None:
    uma_asks(stage, "you are rude", intent="complaint")
    stage.topic(UMA)
    if taken:
        operators.took(stage.desk, stage.update(), OSCAR, 77)
    stage.send_all()
    with pytest.raises(DeskError, match="Resolve it first"):
        erasing.erase(stage.desk, stage.customer(UMA).id)
    assert "rude" in everything(stage)


def test_one_who_has_just_written_is_not_dropped(stage: Stage) -> None:
    uma_asks(stage, "where are my roses")
    stage.send_all()
    customer = stage.customer(UMA).id
    arrived = uma_says(stage, "and my peonies?")
    with pytest.raises(erasing.UnderWayError, match="just written"):
        erasing.erase(stage.desk, customer)
    customers.wrote(stage.desk, arrived, UMA, 44, "and my peonies?")
    with pytest.raises(erasing.UnderWayError, match="just written"):
        erasing.erase(stage.desk, customer)
    assert stage.pending_count() == 1


def test_what_an_operator_has_written_to_them_is_handled_first(uma: Stage) -> None:
    words = {"message": {"message_thread_id": 77, "message_id": 12, "text": "peonies on Friday"}}
    arrived = store(uma, 9400, OPERATOR_CHAT, words)
    with pytest.raises(erasing.UnderWayError, match="operator has written"):
        erasing.erase(uma.desk, uma.customer(UMA).id)
    operators.operator_wrote(uma.desk, arrived, OSCAR, 77, 12, "peonies on Friday")
    uma.resolve()
    uma.send_all()
    erasing.erase(uma.desk, uma.customer(UMA).id)
    assert left_of_uma(uma) == []


def test_what_the_bot_still_had_to_say_in_their_topic_is_not_said(uma: Stage) -> None:
    operators.resolved(uma.desk, uma.update(), OSCAR, 77)
    told = uma.deliveries(OPERATOR_CHAT, state=DeliveryState.PENDING)
    assert [row.payload["message_thread_id"] for row in told] == [77]
    erasing.erase(uma.desk, uma.customer(UMA).id)
    assert [row.method for row in uma.send_all()] == ["deleteForumTopic"]


def test_while_a_message_to_them_is_on_its_way_nothing_changes(stage: Stage) -> None:
    uma_asks(stage, "where are my peonies")
    uma_asks(stage, "and my roses")
    (delivery,) = stage.take()
    before = everything(stage)
    with pytest.raises(erasing.UnderWayError, match="being sent"):
        erasing.erase(stage.desk, stage.customer(UMA).id)
    assert everything(stage) == before
    delivering.sent(stage.desk, delivery.id, delivery.attempts, 7)
    erasing.erase(stage.desk, stage.customer(UMA).id)
    assert stage.take() == [], "what still waited is not sent any more"
    (conversation,) = stage.all(select(Conversation))
    assert conversation.state is ConversationState.RESOLVED
    assert "peonies" not in everything(stage)


def test_what_telegram_refused_is_not_tried_again_and_its_notice_is_not_sent(uma: Stage) -> None:
    uma.reply("more peonies")
    (refused,) = uma.take(busy=[OPERATOR_CHAT])
    uma.resolve()
    uma.send_all()
    delivering.failed(uma.desk, refused.id, refused.attempts, "Bad Request: peonies")
    erasing.erase(uma.desk, uma.customer(UMA).id)
    row = uma.row(DeliveryRow, refused.id)
    assert (row.state, row.error) == (DeliveryState.CANCELLED, None)
    assert delivering.retry_failed(uma.desk) == 0
    assert [row.method for row in uma.send_all()] == ["deleteForumTopic"]


def test_a_parked_update_of_theirs_is_over_with_its_words(uma: Stage) -> None:
    parked = uma_says(uma, "peonies at which a handler failed")
    intake.failed(uma.desk, parked, "ValueError: peonies", final=True)
    erasing.erase(uma.desk, uma.customer(UMA).id)
    assert intake.parked(uma.desk) == []
    assert left_of_uma(uma) == []


def test_an_update_that_comes_again_after_it_is_still_known(uma: Stage) -> None:
    update_id = uma.one(select(Inbox.update_id).where(Inbox.chat_id == UMA.chat_id).limit(1))
    erasing.erase(uma.desk, uma.customer(UMA).id)
    assert intake.store_updates(uma.desk, [Incoming(BOT, update_id, UMA.chat_id, {})]) == 0


def test_nobody_is_erased_twice(uma: Stage) -> None:
    customer = uma.customer(UMA).id
    erasing.erase(uma.desk, customer)
    for unknown in (customer, 424242):
        with pytest.raises(DeskError, match="no such customer"):
            erasing.erase(uma.desk, unknown)


def test_a_message_decided_after_its_customer_was_erased_changes_nothing(
    stage: Stage,
) -> None:
    job = customers.wrote(stage.desk, uma_says(stage, "peonies?"), UMA, 41, "peonies?")
    assert job is not None
    stage.decide((job, predict("peonies?")))
    stage.send_all()
    erasing.erase(stage.desk, stage.customer(UMA).id)
    before = everything(stage)
    assert stage.decide((job, predict("peonies?"))) == []
    assert everything(stage) == before
    assert stage.message(job[0]).state is MessageState.DECIDED
