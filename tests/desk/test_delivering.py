"""Deliveries: in order per chat, looked at once more, each with one end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event, select, update

from desk.domain import Action, ConversationState, DeliveryState, Person
from desk.flow import customers, delivering, dispatching, operators, recovering, topics
from desk.flow.composing import add_delivery
from desk.flow.desk import Desk
from desk.tables import DeliveryRow
from desk.texts import say
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, OSCAR, STRANGER, Stage


def _queue(stage: Stage, *keys: str, chat_id: int = 1, method: str = "sendMessage") -> list[int]:
    with stage.desk.store.writing() as session:
        for key in keys:
            add_delivery(session, key, chat_id, method, {"text": key})
    return [row.id for row in stage.deliveries() if row.key in keys]


def _taken(stage: Stage, busy: tuple[int, ...] = (), limit: int = 10) -> list[str]:
    taken = dispatching.take(stage.desk, busy, limit)
    return [delivery.payload["text"] for delivery in taken]


def test_a_chat_has_one_delivery_under_way_at_a_time_and_in_order(stage: Stage) -> None:
    first, _ = _queue(stage, "one", "two")
    assert _taken(stage) == ["one"]
    assert _taken(stage) == []
    delivering.sent(stage.desk, first, 1, 99)
    assert _taken(stage) == ["two"]


def test_chats_do_not_wait_for_each_other(stage: Stage) -> None:
    _queue(stage, "a", "b", chat_id=1)
    _queue(stage, "c", chat_id=2)
    assert _taken(stage) == ["a", "c"]


def test_a_busy_chat_is_left_alone(stage: Stage) -> None:
    _queue(stage, "a", chat_id=1)
    _queue(stage, "b", chat_id=2)
    assert _taken(stage, busy=(1,)) == ["b"]


@pytest.mark.parametrize(("limit", "expected"), [(0, []), (-1, []), (1, ["a"]), (2, ["a", "b"])])
def test_no_more_are_taken_than_wanted(stage: Stage, limit: int, expected: list[str]) -> None:
    for chat_id, key in enumerate("abc", 1):
        _queue(stage, key, chat_id=chat_id)
    assert _taken(stage, limit=limit) == expected


def test_the_oldest_delivery_holds_back_the_younger_ones_while_it_waits(
    stage: Stage, clock: Clock
) -> None:
    first, _ = _queue(stage, "one", "two")
    assert _taken(stage) == ["one"]
    delivering.again(stage.desk, first, 1, 30, "429")
    assert _taken(stage) == []
    clock.move(seconds=29)
    assert _taken(stage) == []
    clock.move(seconds=1)
    assert _taken(stage) == ["one"]


def test_a_failed_delivery_lets_the_next_one_pass(stage: Stage) -> None:
    first, _ = _queue(stage, "one", "two")
    _taken(stage)
    delivering.failed(stage.desk, first, 1, "400")
    assert _taken(stage) == ["two"]


def test_a_sent_delivery_knows_its_message_and_time(stage: Stage, clock: Clock) -> None:
    (first,) = _queue(stage, "one")
    _taken(stage)
    delivering.again(stage.desk, first, 1, 0, "timeout")
    _taken(stage)
    clock.move(seconds=3)
    delivering.sent(stage.desk, first, 2, 4711)
    row = stage.row(DeliveryRow, first)
    assert (row.state, row.telegram_id, row.sent_at) == (DeliveryState.SENT, 4711, clock())
    assert (row.attempts, row.error) == (2, None)


def test_a_delivery_with_the_same_key_is_added_once(stage: Stage) -> None:
    _queue(stage, "one", "one")
    assert len(stage.deliveries()) == 1


def test_what_was_being_sent_at_a_crash_is_sent_again_and_marked(stage: Stage) -> None:
    _queue(stage, "one")
    _taken(stage)
    assert recovering.recover(stage.desk) == 1
    (again,) = dispatching.take(stage.desk, (), 10)
    assert again.uncertain
    assert again.attempts == 2


@pytest.mark.parametrize("method", ["editMessageText", "editMessageReplyMarkup"])
def test_an_edit_can_be_repeated_and_is_not_uncertain(stage: Stage, method: str) -> None:
    (row_id,) = _queue(stage, "one", method=method)
    _taken(stage)
    assert recovering.recover(stage.desk) == 0
    (again,) = dispatching.take(stage.desk, (), 10)
    assert not again.uncertain
    delivering.again(stage.desk, row_id, 1, 0, "timeout", uncertain=True)
    assert not stage.row(DeliveryRow, row_id).uncertain


def test_a_lost_answer_of_telegram_is_counted(stage: Stage) -> None:
    (row_id,) = _queue(stage, "one")
    _taken(stage)
    delivering.again(stage.desk, row_id, 1, 0, "timeout", uncertain=True)
    _taken(stage)
    delivering.sent(stage.desk, row_id, 2, 1)
    assert delivering.counts(stage.desk) == {"sent": 1, "uncertain": 1, "given_up": 0, "untold": 0}


SETTLE: list[Callable[[Desk, int, int], None]] = [
    lambda desk, id_, attempt: delivering.sent(desk, id_, attempt, 7),
    lambda desk, id_, attempt: delivering.again(desk, id_, attempt, 60, "late", uncertain=True),
    lambda desk, id_, attempt: delivering.failed(desk, id_, attempt, "late"),
    lambda desk, id_, attempt: delivering.customer_gone(desk, id_, attempt, "late"),
]


@pytest.mark.parametrize("settle", SETTLE)
def test_an_older_attempt_changes_nothing_once_a_later_one_has_begun(
    stage: Stage, settle: Callable[[Desk, int, int], None]
) -> None:
    stage.ask("roses?")
    (first,) = dispatching.take(stage.desk, (), 10)
    recovering.recover(stage.desk)
    (second,) = dispatching.take(stage.desk, (), 10)
    settle(stage.desk, first.id, first.attempts)
    row = stage.row(DeliveryRow, first.id)
    assert (row.state, row.telegram_id, row.error) == (DeliveryState.SENDING, None, None)
    assert not stage.customer().gone
    assert len(stage.deliveries()) == 1
    delivering.sent(stage.desk, second.id, second.attempts, 8)
    settle(stage.desk, second.id, second.attempts)
    assert stage.row(DeliveryRow, first.id).state is DeliveryState.SENT


def test_what_arrived_after_all_before_it_is_taken_again_is_not_sent_twice(stage: Stage) -> None:
    (row_id,) = _queue(stage, "one")
    _taken(stage)
    recovering.recover(stage.desk)
    delivering.sent(stage.desk, row_id, 1, 7)
    assert _taken(stage) == []
    assert stage.row(DeliveryRow, row_id).telegram_id == 7


def test_a_delivery_during_which_the_sender_died_twice_is_given_up_and_operators_hear_of_it(
    stage: Stage,
) -> None:
    message_id = stage.ask("roses?")
    key = f"answer:{message_id}"
    for expected in (DeliveryState.PENDING, DeliveryState.FAILED, DeliveryState.FAILED):
        dispatching.take(stage.desk, (OPERATOR_CHAT,), 10)
        recovering.recover(stage.desk)
        (row,) = stage.deliveries(key=key)
        assert row.state is expected
    assert (row.attempts, row.uncertain) == (2, True)
    assert stage.conversation().state is ConversationState.WAITING
    assert any("may have arrived" in text for text in stage.told())
    assert "could not be delivered" in stage.told()[-1]


def test_a_call_for_help_goes_before_older_chatter_of_others_and_after_its_own(
    stage: Stage, clock: Clock
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.send_all()
    for number in range(3):
        stage.ask(f"chatter {number}")
    stage.ask("I am angry", BEN, intent="complaint")
    stage.ask("chatter of Ben", BEN)
    (first,) = _taken(stage, (ANA.chat_id, BEN.chat_id))
    assert "I am angry" in first
    assert _taken(stage, (ANA.chat_id, BEN.chat_id)) == [], "one at a time"
    (row,) = stage.deliveries(OPERATOR_CHAT, state=DeliveryState.SENDING)
    delivering.again(stage.desk, row.id, row.attempts, 30, "429")
    assert _taken(stage, (ANA.chat_id, BEN.chat_id)) == [], "Telegram said to wait"
    clock.move(seconds=30)
    sent = [row.payload["text"] for row in stage.send_all() if row.chat_id == OPERATOR_CHAT]
    order = ["I am angry", "chatter 0", "chatter 1", "chatter 2", "chatter of Ben"]
    assert len(sent) == len(order)
    assert all(said in text for said, text in zip(order, sent, strict=True))


def _to_operators(stage: Stage, clock: Clock, error: str = "") -> str:
    """What goes to the operators next; Telegram takes it, unless with an `error`, within 3 s."""
    busy = (ANA.chat_id, BEN.chat_id)
    (delivery,) = dispatching.take(stage.desk, busy, 10)
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
    _two_called(stage, clock)
    posts = [stage.ask(f"and {number}") for number in range(2)]
    moved = Stage(replace(stage.desk, operator_chat_id=-100999), first_update=1000)
    operators.announce_waiting(moved.desk)
    sent = [_to_operators(moved, clock) for _ in range(4)]
    (bens,) = moved.deliveries(-100999, conversation_id=moved.conversation(BEN).id)
    assert sent == [bens.key, *(f"post:{post}" for post in posts), f"card:{posts[-1]}"]


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
    called = stage.ask("you are rude", intent="complaint", others=[("order_status", 0.02)])
    assert _to_operators(stage, clock) == f"card:{called}"
    flood = [f"post:{stage.ask(f'and {number}')}" for number in range(3)]
    operators.help_wanted(stage.desk, stage.update(), None)
    call = f"card:{stage.ask('I am angry', BEN, intent='complaint')}"
    for button in ("relabel", "send"):
        stage.press(stage.token(button, message_id=called), by=OSCAR)
    sent = [_to_operators(stage, clock) for _ in range(8)]
    assert [key.partition(":")[0] for key in sent[:2]] == ["keyboard", "edit"], "no messages"
    assert sent[2] == call
    assert [key.partition(":")[0] for key in sent[3:5]] == ["told", "note"]
    assert sent[5:] == flood


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
    said: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_more: object) -> None:
        said.append(statement)

    def statements() -> int:
        said.clear()
        _to_operators(stage, clock)
        return len(said)

    _two_called(stage, clock)
    stage.ask("and 0")
    event.listen(stage.desk.store.engine, "before_cursor_execute", note)
    try:
        alone = statements()
        for number in range(20):
            stage.ask(f"and {number}", (ANA, BEN)[number % 2])
        assert statements() == alone
    finally:
        event.remove(stage.desk.store.engine, "before_cursor_execute", note)


def test_what_was_sent_lately_or_may_have_been_is_known_to_the_next_sender(
    stage: Stage, clock: Clock
) -> None:
    for chat_id in (1, 2):
        (row_id,) = _queue(stage, f"to {chat_id}", chat_id=chat_id)
        _taken(stage)
        delivering.sent(stage.desk, row_id, 1, 7)
        clock.move(seconds=40)
    _queue(stage, "an edit", chat_id=3, method="editMessageText")
    _queue(stage, "under way", chat_id=4)
    _queue(stage, "waiting", chat_id=4)
    _taken(stage)
    assert recovering.recently_sent(stage.desk, 60) == [(2, 40.0), (4, 0.0)]


def test_what_never_began_is_not_uncertain_after_a_crash(stage: Stage) -> None:
    _queue(stage, "one")
    assert recovering.recover(stage.desk) == 0
    assert not dispatching.take(stage.desk, (), 1)[0].uncertain


def test_a_delivery_to_a_topic_names_its_thread(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    (card,) = [d for d in dispatching.take(stage.desk, (), 9) if d.chat_id == OPERATOR_CHAT]
    assert (card.topic_of, card.thread_id) == (stage.customer().id, None)
    stage.topic(ANA, 77)
    delivering.again(stage.desk, card.id, card.attempts, 0, "no topic")
    (card,) = [d for d in dispatching.take(stage.desk, (), 9) if d.chat_id == OPERATOR_CHAT]
    assert card.thread_id == 77


def test_a_refused_message_is_reported_to_the_operators(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic()
    (delivery,) = dispatching.take(stage.desk, (), 9)
    delivering.failed(stage.desk, delivery.id, delivery.attempts, "can't parse <entities>")
    assert stage.told()[-1] == (
        "⚠️ A message to the customer could not be delivered: can't parse &lt;entities&gt;"
    )


def test_operators_hear_of_a_customers_file_that_could_not_be_copied(stage: Stage) -> None:
    stage.ask("i want a person", intent="complaint")
    stage.topic()
    stage.send_all()
    customers.sent_file(stage.desk, stage.update(), ANA, 4711, "")
    (copy,) = dispatching.take(stage.desk, (), 9)
    delivering.failed(stage.desk, copy.id, copy.attempts, "message to copy not found")
    assert stage.told()[-1] == (
        "⚠️ The customer sent a file that could not be passed on: message to copy not found. "
        "Ask them to send it again."
    )


def test_a_retry_sends_no_answer_of_the_bot_after_a_persons_and_none_of_yesterday(
    stage: Stage, clock: Clock
) -> None:
    def refused(person: Person) -> None:
        stage.ask("roses?", person)
        (delivery,) = dispatching.take(stage.desk, (OPERATOR_CHAT,), 9)
        delivering.failed(stage.desk, delivery.id, delivery.attempts, "bad request")

    refused(ANA)
    stage.topic()
    stage.reply("I am here")
    stage.send_all()
    assert delivering.retry_failed(stage.desk) == 0
    refused(BEN)
    assert delivering.retry_failed(stage.desk) == 1
    stage.send_all()
    refused(Person(chat_id=503, name="Cy"))
    with stage.desk.store.writing() as session:
        session.execute(update(DeliveryRow).values(created_at=stage.desk.clock()))
    clock.move(hours=25)
    assert delivering.retry_failed(stage.desk) == 0


def test_a_retry_sends_nothing_for_a_third_time_that_may_have_arrived(stage: Stage) -> None:
    lost, died, refused, broken = _queue(stage, "lost", "died", "refused", "broken")
    reasons = {
        lost: f"sent twice without an answer, and {delivering.PERHAPS_ARRIVED} (no answer)",
        died: None,
        refused: "bad request",
        broken: "tried 20 times in vain (502)",
    }
    for row_id, reason in reasons.items():
        for uncertain in (False, True):
            (delivery,) = dispatching.take(stage.desk, (), 9)
            assert (delivery.id, delivery.uncertain) == (row_id, uncertain)
            if reason is None:
                recovering.recover(stage.desk)
            elif uncertain:
                delivering.failed(stage.desk, row_id, delivery.attempts, reason)
            else:
                delivering.again(stage.desk, row_id, delivery.attempts, 0, "?", uncertain=True)
    assert delivering.counts(stage.desk)["given_up"] == 2
    assert delivering.retry_failed(stage.desk) == 2
    waiting = stage.deliveries(state=DeliveryState.PENDING)
    assert [row.key for row in waiting] == ["refused", "broken"]


@pytest.mark.parametrize("chat", [OPERATOR_CHAT, None])
def test_what_was_given_up_without_a_word_to_the_operators_is_counted(
    stage: Stage, chat: int | None
) -> None:
    desk = replace(stage.desk, operator_chat_id=chat)
    reason = f"sent twice, and {delivering.PERHAPS_ARRIVED}"

    def give_up(key: str) -> None:
        with desk.store.writing() as session:
            row = session.scalars(select(DeliveryRow).where(DeliveryRow.key == key)).one()
            row.state, row.attempts, row.uncertain = DeliveryState.SENDING, 2, True
        delivering.failed(desk, row.id, 2, reason)

    answered = stage.ask("roses?")
    called = stage.ask("I am angry", intent="complaint")
    operators.help_wanted(stage.desk, stage.update(), None)
    (told,) = (row.key for row in stage.deliveries() if row.key.startswith("told:"))
    give_up(f"answer:{answered}")
    before = delivering.counts(desk)
    assert (before["given_up"], before["untold"]) == (1, int(chat is None))
    give_up(f"card:{called}")
    give_up(told)
    after = delivering.counts(desk)
    assert (after["given_up"], after["untold"]) == (3, 3 if chat is None else 1)


def test_a_refused_edit_of_a_keyboard_is_nobodys_business(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic()
    stage.send_all()
    stage.press(stage.token("up"), telegram_id=1000 + 1)
    with stage.desk.store.writing() as session:
        add_delivery(
            session,
            "edit",
            ANA.chat_id,
            "editMessageReplyMarkup",
            {"message_id": 1},
            conversation=stage.conversation(),
        )
    for delivery in dispatching.take(stage.desk, (), 9):
        delivering.failed(stage.desk, delivery.id, delivery.attempts, "message to edit not found")
    assert stage.told() == []


def test_operators_hear_once_that_a_customer_has_blocked_the_bot(stage: Stage) -> None:
    stage.ask("roses?")
    stage.ask("open?", intent="opening_hours")
    stage.topic()
    for _ in range(2):
        (delivery,) = [d for d in dispatching.take(stage.desk, (), 9) if d.chat_id == ANA.chat_id]
        delivering.customer_gone(stage.desk, delivery.id, delivery.attempts, "403")
    assert stage.customer().gone
    assert stage.told() == ["⚠️ The customer has blocked the bot; nothing was sent."]
    assert all(row.state is DeliveryState.FAILED for row in stage.deliveries(ANA.chat_id))


def test_a_topic_that_is_gone_can_be_forgotten(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic()
    topics.topic_made(stage.desk, stage.customer().id, None)
    assert stage.customer().topic_id is None


def test_forgetting_a_topic_touches_no_other_customer(stage: Stage) -> None:
    for number in range(5):
        stage.ask("roses?", Person(chat_id=600 + number, name="P"))
    stage.ask("roses?")
    stage.topic()
    changed: list[int] = []

    def count(_: object, cursor: Any, statement: str, *__: object) -> None:
        if statement.startswith("UPDATE customers"):
            changed.append(cursor.rowcount)

    event.listen(stage.desk.store.engine, "after_cursor_execute", count)
    topics.topic_made(stage.desk, stage.customer().id, None)
    assert changed == [1]


def test_a_topic_has_the_customers_name_or_number(stage: Stage) -> None:
    stage.write("hi", ANA)
    nameless = type(BEN)(chat_id=503, name=" ")
    long = type(BEN)(chat_id=504, name="x" * 200)
    stage.write("hi", nameless)
    stage.write("hi", long)
    assert topics.topic_name(stage.desk, stage.customer(ANA).id) == "Ana"
    assert topics.topic_name(stage.desk, stage.customer(nameless).id) == "503"
    assert topics.topic_name(stage.desk, stage.customer(long).id) == "x" * 128


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
    taken = [d for d in dispatching.take(stage.desk, (), 9) if d.chat_id == ANA.chat_id]
    assert [delivery.method for delivery in taken] == ["copyMessage"]


@pytest.mark.parametrize(
    ("act", "command"), [(customers.asked_for_help, "/help"), (customers.started, "/start")]
)
def test_a_command_while_a_person_is_in_charge_is_shown_to_them_and_not_answered(
    stage: Stage, act: Callable[[Desk, int, Person], None], command: str
) -> None:
    stage.ask("roses?")
    stage.topic()
    stage.reply("I'm here")
    act(stage.desk, stage.update(), ANA)
    sent = [row.method for row in stage.send_all() if row.chat_id == ANA.chat_id]
    assert sent == ["copyMessage"]
    assert f"<blockquote>{command}</blockquote>" in stage.told()[-1]


@pytest.mark.parametrize("act", [customers.asked_for_help, customers.started])
def test_what_a_command_was_answered_is_void_once_a_person_takes_over(
    stage: Stage, act: Callable[[Desk, int, Person], None]
) -> None:
    stage.ask("roses?")
    stage.topic()
    act(stage.desk, stage.update(), ANA)
    stage.reply("I'm here")
    sent = [row.method for row in stage.send_all() if row.chat_id == ANA.chat_id]
    assert sent == ["copyMessage"]


def test_start_while_a_person_is_awaited_offers_no_topics(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    customers.started(stage.desk, stage.update(), ANA)
    answer = stage.deliveries(ANA.chat_id)[-1]
    assert answer.payload["text"].startswith("A colleague already has your message")
    assert "reply_markup" not in answer.payload


# ---- Refused for good ----


def _refuse(stage: Stage, chat_id: int) -> None:
    (delivery,) = [d for d in dispatching.take(stage.desk, (), 9) if d.chat_id == chat_id]
    delivering.failed(stage.desk, delivery.id, delivery.attempts, "MESSAGE_TOO_STRANGE")


def test_an_answer_that_telegram_refuses_calls_a_person(stage: Stage) -> None:
    message_id = stage.ask("roses?")
    _refuse(stage, ANA.chat_id)
    assert stage.conversation().state is ConversationState.WAITING
    decision = stage.decision(message_id)
    assert (decision.action, decision.rule) == (Action.ESCALATE, "not_delivered")
    card, notice = stage.told()
    assert "<blockquote>roses?</blockquote>" in card
    assert "the bot's message could not be delivered" in card
    assert "MESSAGE_TOO_STRANGE" in notice
    assert stage.heard() == [], "another text would be refused, too"
    assert say("rule-not_delivered", "zh") != say("rule-not_delivered")


def test_a_refused_message_calls_nobody_where_a_person_is_in_charge(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic()
    stage.reply("I'm here")
    _refuse(stage, ANA.chat_id)
    assert stage.conversation().state is ConversationState.HUMAN
    assert [text for text in stage.told() if "could not be delivered" in text] == stage.told()


def test_a_card_that_telegram_refuses_is_replaced_by_a_bare_text_once(stage: Stage) -> None:
    message_id = stage.ask("<b>you</b> are rude " + "!" * 3000, intent="complaint")
    _refuse(stage, OPERATOR_CHAT)
    (bare,) = stage.deliveries(OPERATOR_CHAT, state=DeliveryState.PENDING)
    assert bare.key == f"bare:card:{message_id}"
    assert "&lt;b&gt;you&lt;/b&gt; are rude" in bare.payload["text"]
    assert len(bare.payload["text"]) < 1200
    assert "reply_markup" not in bare.payload
    assert bare.topic_of == stage.customer().id
    _refuse(stage, OPERATOR_CHAT)
    assert stage.deliveries(OPERATOR_CHAT, state=DeliveryState.PENDING) == []


# ---- Topics of another chat ----


def test_a_topics_number_means_nothing_in_another_chat(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic(ANA, 77)
    moved = Stage(replace(stage.desk, operator_chat_id=-100999), first_update=1000)
    moved.reply("for whoever has topic 77 here", thread_id=77)
    assert moved.deliveries(ANA.chat_id, method="copyMessage") == []
    assert moved.told() == ["This topic belongs to no customer."]
    moved.send_all()
    moved.ask("you are rude", intent="complaint")
    (card,) = [d for d in dispatching.take(moved.desk, (), 9) if "Needs" in str(d.payload)]
    assert (card.chat_id, card.thread_id) == (-100999, None)


def test_a_topic_that_telegram_numbers_anew_has_one_customer_only(stage: Stage) -> None:
    stage.ask("roses?", ANA)
    stage.ask("roses?", BEN)
    stage.topic(ANA, 77)
    stage.topic(BEN, 77)
    stage.reply("hello Ben", thread_id=77)
    assert len(stage.deliveries(BEN.chat_id, method="copyMessage")) == 1
    assert stage.deliveries(ANA.chat_id, method="copyMessage") == []
    assert (stage.customer().topic_id, stage.customer().topic_chat_id) == (None, None)


def test_no_topic_is_made_in_a_chat_that_is_no_longer_the_operators(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    desk = replace(stage.desk, operator_chat_id=-100999)
    (card,) = [d for d in dispatching.take(desk, (), 9) if d.chat_id == OPERATOR_CHAT]
    assert card.topic_of is None
    delivering.again(desk, card.id, card.attempts, 0, "not yet")
    operators.announce_waiting(desk)
    (card,) = [d for d in dispatching.take(desk, (), 9) if "Needs" in str(d.payload)]
    assert (card.chat_id, card.topic_of) == (-100999, stage.customer().id)
