"""What goes to a chat next: in order, and in the operators' chat in fair turns."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from desk.domain import ConversationState, DeliveryState, Person
from desk.flow import announcing, customers, delivering, dispatching, operators
from desk.flow.composing import add_delivery
from desk.tables import Conversation, DeliveryRow
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import (
    ANA,
    BEN,
    OSCAR,
    STRANGER,
    Stage,
    add_deliveries,
    statements,
    take_texts,
)


def test_a_chat_has_one_delivery_under_way_at_a_time_and_in_order(stage: Stage) -> None:
    first, _ = add_deliveries(stage, "one", "two")
    assert take_texts(stage) == ["one"]
    assert take_texts(stage) == []
    delivering.sent(stage.desk, first, 1, 99)
    assert take_texts(stage) == ["two"]


def test_chats_do_not_wait_for_each_other(stage: Stage) -> None:
    add_deliveries(stage, "a", "b", chat_id=1)
    add_deliveries(stage, "c", chat_id=2)
    assert take_texts(stage) == ["a", "c"]


def test_a_busy_chat_is_left_alone(stage: Stage) -> None:
    add_deliveries(stage, "a", chat_id=1)
    add_deliveries(stage, "b", chat_id=2)
    assert take_texts(stage, busy=(1,)) == ["b"]


@pytest.mark.parametrize(("limit", "expected"), [(0, []), (-1, []), (1, ["a"]), (2, ["a", "b"])])
def test_no_more_are_taken_than_wanted(stage: Stage, limit: int, expected: list[str]) -> None:
    for chat_id, key in enumerate("abc", 1):
        add_deliveries(stage, key, chat_id=chat_id)
    assert take_texts(stage, limit=limit) == expected


def test_the_oldest_delivery_holds_back_the_younger_ones_while_it_waits(
    stage: Stage, clock: Clock
) -> None:
    first, _ = add_deliveries(stage, "one", "two")
    assert take_texts(stage) == ["one"]
    delivering.again(stage.desk, first, 1, 30, "429")
    assert take_texts(stage) == []
    clock.move(seconds=29)
    assert take_texts(stage) == []
    clock.move(seconds=1)
    assert take_texts(stage) == ["one"]


@pytest.mark.parametrize("back", [45, 120])
@pytest.mark.parametrize("chat_id", [ANA.chat_id, OPERATOR_CHAT])
def test_what_waits_for_a_moment_does_not_wait_for_a_clock_that_is_put_back(
    stage: Stage, clock: Clock, chat_id: int, back: int
) -> None:
    first, _ = add_deliveries(stage, "one", "two", chat_id=chat_id)
    assert take_texts(stage) == ["one"]
    delivering.again(stage.desk, first, 1, 30, "429")
    clock.move(minutes=-back)
    assert take_texts(stage) == ["one"]
    delivering.again(stage.desk, first, 2, 30, "429")
    assert take_texts(stage) == [], "asked again and again, Telegram would refuse for longer"
    clock.move(seconds=30)
    assert take_texts(stage) == ["one"]
    delivering.sent(stage.desk, first, 3, 99)
    assert take_texts(stage) == ["two"]


def test_who_is_told_to_wait_for_long_asks_again_after_an_hour(stage: Stage, clock: Clock) -> None:
    (first,) = add_deliveries(stage, "one")
    assert take_texts(stage) == ["one"]
    delivering.again(stage.desk, first, 1, 86400, "429")
    clock.move(minutes=59)
    assert take_texts(stage) == []
    clock.move(minutes=1)
    assert take_texts(stage) == ["one"]


def test_a_failed_delivery_lets_the_next_one_pass(stage: Stage) -> None:
    first, _ = add_deliveries(stage, "one", "two")
    take_texts(stage)
    delivering.failed(stage.desk, first, 1, "400")
    assert take_texts(stage) == ["two"]


def test_a_call_for_help_goes_before_older_chatter_of_others_and_after_its_own(
    stage: Stage, clock: Clock
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.send_all()
    for number in range(3):
        stage.ask(f"chatter {number}")
    stage.ask("I am angry", BEN, intent="complaint")
    stage.ask("chatter of Ben", BEN)
    (first,) = take_texts(stage, (ANA.chat_id, BEN.chat_id))
    assert "I am angry" in first
    assert take_texts(stage, (ANA.chat_id, BEN.chat_id)) == [], "one at a time"
    (row,) = stage.deliveries(OPERATOR_CHAT, state=DeliveryState.SENDING)
    delivering.again(stage.desk, row.id, row.attempts, 30, "429")
    assert take_texts(stage, (ANA.chat_id, BEN.chat_id)) == [], "Telegram said to wait"
    clock.move(seconds=30)
    sent = [row.payload["text"] for row in stage.send_all() if row.chat_id == OPERATOR_CHAT]
    order = ["I am angry", "chatter 0", "chatter 1", "chatter 2", "chatter of Ben"]
    assert len(sent) == len(order)
    assert all(said in text for said, text in zip(order, sent, strict=True))


def _to_operators(stage: Stage, clock: Clock, error: str = "") -> str:
    """What goes to the operators next; Telegram takes it, unless with an `error`, within 3 s."""
    busy = (ANA.chat_id, BEN.chat_id)
    (delivery,) = stage.take(busy)
    clock.move(seconds=3)
    if error:
        delivering.failed(stage.desk, delivery.id, delivery.attempts, error)
    else:
        delivering.sent(stage.desk, delivery.id, delivery.attempts, 5000 + delivery.id)
    return stage.row(DeliveryRow, delivery.id).key


def _two_called(stage: Stage, clock: Clock) -> tuple[int, int]:
    """Ana and Ben await a person, and their cards are there; returns their messages' ids."""
    called = (
        stage.ask("you are rude", ANA, intent="complaint"),
        stage.ask("I am angry", BEN, intent="complaint"),
    )
    for message_id in called:
        assert _to_operators(stage, clock) == f"card:{message_id}"
    return called


def test_a_flood_of_one_customer_holds_up_no_other_conversation(stage: Stage, clock: Clock) -> None:
    _two_called(stage, clock)
    flood = [f"post:{stage.ask(f'and {number}')}" for number in range(100)]
    first, second = (f"post:{stage.ask(text, BEN)}" for text in ("my order?", "hello?"))
    sent = [_to_operators(stage, clock) for _ in range(6)]
    assert sent == [flood[0], first, flood[1], second, flood[2], flood[3]]


def test_a_call_for_help_stays_behind_what_its_customer_wrote_before(
    stage: Stage, clock: Clock
) -> None:
    called, _ = _two_called(stage, clock)
    posts = [stage.ask(f"and {number}") for number in range(2)]
    moved = Stage(replace(stage.desk, operator_chat_id=-100999), first_update=1000)
    announcing.announce_waiting(moved.desk, stage.lease)
    sent = [_to_operators(moved, clock) for _ in range(4)]
    (bens,) = moved.deliveries(-100999, conversation_id=moved.conversation(BEN).id)
    assert sent == [bens.key, *(f"post:{post}" for post in posts), f"card:{called}"]


def test_nothing_overtakes_what_is_under_way_to_the_operators(stage: Stage) -> None:
    add_deliveries(stage, "one", chat_id=OPERATOR_CHAT)
    assert take_texts(stage) == ["one"]
    add_deliveries(stage, "card:1", chat_id=OPERATOR_CHAT)
    assert take_texts(stage) == [], "though a call for help goes first"


def test_an_edit_in_a_conversation_takes_no_turn_from_it(stage: Stage, clock: Clock) -> None:
    _two_called(stage, clock)
    flood = [f"post:{stage.ask(f'and {number}')}" for number in range(3)]
    post = f"post:{stage.ask('my order?', BEN)}"
    assert _to_operators(stage, clock) == flood[0]
    stage.press(stage.token("take", conversation_id=stage.conversation(BEN).id), by=OSCAR)
    assert "edit:" in _to_operators(stage, clock)
    assert _to_operators(stage, clock) == post


def test_files_that_can_not_be_copied_take_their_turn_too(stage: Stage, clock: Clock) -> None:
    _two_called(stage, clock)
    for number in (4711, 4712):
        customers.sent_file(stage.desk, stage.update(), ANA, number, "")
    post = f"post:{stage.ask('my order?', BEN)}"
    assert _to_operators(stage, clock, error="message to copy not found").startswith("file:")
    assert _to_operators(stage, clock).startswith("failed:")
    assert _to_operators(stage, clock) == post
    assert _to_operators(stage, clock).startswith("file:")


def test_operators_see_what_they_did_before_what_customers_wrote(
    stage: Stage, clock: Clock
) -> None:
    called = stage.ask("you are rude", intent="complaint", others=[("order_status", 0.15)])
    assert _to_operators(stage, clock) == f"card:{called}"
    flood = [f"post:{stage.ask(f'and {number}')}" for number in range(3)]
    operators.help_wanted(stage.desk, stage.update(), OSCAR, None)
    call = f"card:{stage.ask('I am angry', BEN, intent='complaint')}"
    (card,) = stage.deliveries(key=f"card:{called}")
    for button in ("relabel", "send"):
        token = stage.token(button, message_id=called)
        stage.press(token, by=OSCAR, telegram_id=card.telegram_id or 0)
    sent = [_to_operators(stage, clock) for _ in range(7)]
    assert sent[0] == call
    assert [key.partition(":")[0] for key in sent[1:4]] == ["told", "note", "keyboard"]
    assert sent[4:] == flood


def test_a_call_for_help_does_not_wait_for_edits_of_what_others_do(
    stage: Stage, clock: Clock
) -> None:
    called = stage.ask("you are rude", intent="complaint")
    _to_operators(stage, clock)
    stage.press(stage.token("take", message_id=called), by=OSCAR)
    call = f"card:{stage.ask('I am angry', BEN, intent='complaint')}"
    assert [_to_operators(stage, clock) for _ in range(2)] == [call, f"edit:{called}:0"]


def test_where_the_operators_chat_is_scarce_only_calls_for_help_go_there(
    stage: Stage, clock: Clock
) -> None:
    called, _ = _two_called(stage, clock)
    stage.press(stage.token("take", message_id=called), by=OSCAR)
    stage.ask("and one more", BEN)
    here = (OPERATOR_CHAT,)
    busy = (ANA.chat_id, BEN.chat_id)
    assert dispatching.take(stage.desk, busy, 9, stage.lease, here) == []
    cleo = Person(chat_id=503, name="Cleo")
    call = stage.ask("awful", cleo, intent="complaint")
    (card,) = dispatching.take(stage.desk, (*busy, cleo.chat_id), 9, stage.lease, here)
    assert card.key == f"card:{call}"


def test_the_edit_of_a_conversation_that_is_over_waits_for_what_customers_write(
    stage: Stage, clock: Clock
) -> None:
    called, other = _two_called(stage, clock)
    stage.topic(ANA, 77)
    stage.resolve()
    post = f"post:{stage.ask('hello?', BEN)}"
    stage.press(stage.token("take", message_id=other), by=OSCAR)
    sent = [_to_operators(stage, clock) for _ in range(3)]
    assert sent == [f"edit:{other}:0", post, f"edit:{called}:0"]


def test_colleagues_who_chat_in_the_operators_group_hold_up_no_customers_words(
    stage: Stage, clock: Clock
) -> None:
    _two_called(stage, clock)
    post = f"post:{stage.ask('my order?', BEN)}"
    for number in range(30):
        stage.reply(f"lunch {number}?", user_id=STRANGER, thread_id=12345)
        stage.reply(f"pizza {number}!", user_id=STRANGER + 1, thread_id=12345)
        stage.reply(f"at {number}", user_id=OSCAR, thread_id=12345)
    sent = [_to_operators(stage, clock) for _ in range(3)]
    assert [key.split(":")[1] for key in sent[:2]] == ["operators-only", "nothing-here"]
    assert sent[2] == post


def test_however_much_waits_for_the_operators_it_takes_as_many_statements(
    stage: Stage, clock: Clock
) -> None:
    _two_called(stage, clock)
    stage.ask("and 0")
    alone = statements(stage, lambda: _to_operators(stage, clock))
    for number in range(20):
        stage.ask(f"and {number}", (ANA, BEN)[number % 2])
    assert statements(stage, lambda: _to_operators(stage, clock)) == alone


def test_a_delivery_to_a_topic_names_its_thread(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    (card,) = [d for d in stage.take() if d.chat_id == OPERATOR_CHAT]
    assert (card.topic_of, card.thread_id) == (stage.customer().id, None)
    stage.topic(ANA, 77)
    delivering.again(stage.desk, card.id, card.attempts, 0, "no topic")
    (card,) = [d for d in stage.take() if d.chat_id == OPERATOR_CHAT]
    assert card.thread_id == 77


def test_a_cancelled_head_makes_way_in_the_same_take(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic()
    stage.reply("I'm here")
    with stage.desk.store.writing() as session:
        session.execute(
            update(DeliveryRow)
            .where(DeliveryRow.from_bot.is_(True))
            .values(state=DeliveryState.PENDING)
        )
    taken = [d for d in stage.take() if d.chat_id == ANA.chat_id]
    assert [delivery.method for delivery in taken] == ["copyMessage"]


def test_a_topics_number_means_nothing_in_another_chat(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic(ANA, 77)
    moved = Stage(replace(stage.desk, operator_chat_id=-100999), first_update=1000)
    moved.reply("for whoever has topic 77 here", thread_id=77)
    assert moved.deliveries(ANA.chat_id, method="copyMessage") == []
    assert moved.told() == ["This topic belongs to no customer."]
    moved.send_all()
    moved.ask("you are rude", intent="complaint")
    (card,) = [d for d in moved.take() if "Needs" in str(d.payload)]
    assert (card.chat_id, card.thread_id) == (-100999, None)


def test_what_another_process_wrote_for_another_operators_chat_goes_into_topics_of_this_one(
    stage: Stage,
) -> None:
    stage.ask("you are rude", intent="complaint")
    (card,) = [d for d in stage.take() if d.chat_id == OPERATOR_CHAT]
    delivering.failed_barely(stage.desk, card.id, card.attempts, "not found")
    stage.ask("hello?")
    stage.ask("I am angry", BEN, intent="complaint")
    moved = Stage(replace(stage.desk, operator_chat_id=-100999), first_update=1000)
    first = [row for row in moved.send_all() if row.topic_of is not None]
    assert ["I am angry" in str(row.payload) for row in first] == [True, False]
    delivering.retry_failed(moved.desk)
    last = [row for row in moved.send_all() if row.topic_of is not None]
    assert [row.id for row in last] == [card.id]
    assert {(row.chat_id, row.topic_of) for row in first + last} == {
        (-100999, moved.customer(person).id) for person in (ANA, BEN)
    }


def test_what_was_shown_in_a_former_operators_chat_is_known_to_stand_there(stage: Stage) -> None:
    called = stage.ask("you are rude", intent="complaint")
    stage.send_all()
    said = stage.ask("hello?")
    moved = Stage(replace(stage.desk, operator_chat_id=-100999), first_update=1000)
    assert [row.key for row in moved.send_all()] == [f"post:{said}"]
    assert [row.key for row in moved.deliveries(OPERATOR_CHAT)] == [f"card:{called}"]


def test_what_is_for_everybody_in_a_former_operators_chat_goes_to_everybody_in_this_one(
    stage: Stage,
) -> None:
    add_deliveries(stage, "a model was promoted", chat_id=OPERATOR_CHAT)
    moved = Stage(replace(stage.desk, operator_chat_id=-100999), first_update=1000)
    operators.noted(moved.desk, moved.update(), OSCAR, 5)
    _, notice = moved.send_all()
    assert (notice.chat_id, notice.payload["text"]) == (-100999, "a model was promoted")
    assert {row.state for row in moved.deliveries()} == {DeliveryState.SENT}


def test_an_edit_of_what_stands_in_a_former_operators_chat_still_goes_there(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.send_all()
    stage.press(stage.token("take"), by=OSCAR)
    moved = Stage(replace(stage.desk, operator_chat_id=-100999), first_update=1000)
    (edit,) = moved.take()
    assert (edit.chat_id, edit.method) == (OPERATOR_CHAT, "editMessageText")


def test_what_is_for_the_operators_waits_for_a_bot_that_has_an_operators_chat(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    add_deliveries(stage, "to everybody", chat_id=OPERATOR_CHAT)
    add_deliveries(stage, "hello", chat_id=BEN.chat_id)
    alone = replace(stage.desk, operator_chat_id=None)
    taken = dispatching.take(alone, (ANA.chat_id,), 9, stage.lease)
    assert [delivery.key for delivery in taken] == ["hello"]
    delivering.sent(alone, taken[0].id, 1, 5)
    (card,) = stage.take((ANA.chat_id,))
    assert (card.chat_id, card.topic_of) == (OPERATOR_CHAT, stage.customer().id)


def test_a_delivery_that_can_not_be_looked_at_is_given_up_and_holds_up_no_chat(
    stage: Stage,
) -> None:
    stage.ask("roses?", ANA)
    stage.ask("roses?", BEN)
    with stage.desk.store.writing() as session:
        mine = Conversation.id == stage.conversation(ANA).id
        session.execute(update(Conversation).where(mine).values(state=text("'paused'")))
        add_delivery(
            session, stage.desk, "next", ANA.chat_id, "sendMessage", {"text": "and on it goes"}
        )
    taken = stage.take()
    assert [delivery.chat_id for delivery in taken] == [BEN.chat_id, ANA.chat_id]
    assert [delivery.attempts for delivery in taken] == [1, 1]
    (row,) = stage.deliveries(state=DeliveryState.FAILED)
    assert row.chat_id == ANA.chat_id
    assert "'paused' is not a valid ConversationState" in (row.error or "")


def test_who_is_left_without_an_answer_that_can_not_be_looked_at_gets_a_person(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_id = stage.ask("roses?", ANA)

    def overtaken(_: Session, row: DeliveryRow) -> bool:
        if row.key == f"answer:{message_id}":
            raise KeyError("odd")
        return False

    monkeypatch.setattr(dispatching, "_overtaken", overtaken)
    stage.take()
    (row,) = stage.deliveries(key=f"answer:{message_id}")
    assert row.state is DeliveryState.FAILED
    assert stage.conversation().state is ConversationState.WAITING
    assert stage.deliveries(key=f"card:{message_id}")
