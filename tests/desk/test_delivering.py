"""How a delivery ends: sent, failed, retried, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from desk import metrics
from desk.domain import Action, Author, ConversationState, DeliveryState, Person
from desk.flow import customers, delivering, edits, operators, topics
from desk.flow.composing import add_delivery
from desk.flow.desk import Desk
from desk.flow.edits import Rewritten
from desk.tables import DeliveryRow, Message
from desk.texts import say
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, OSCAR, Stage, add_deliveries, predict, take_texts


def test_a_sent_delivery_knows_its_message_and_time(stage: Stage, clock: Clock) -> None:
    (first,) = add_deliveries(stage, "one")
    take_texts(stage)
    delivering.again(stage.desk, first, 1, 0, "timeout")
    take_texts(stage)
    clock.move(seconds=3)
    delivering.sent(stage.desk, first, 2, 4711)
    row = stage.row(DeliveryRow, first)
    assert (row.state, row.telegram_id, row.sent_at) == (DeliveryState.SENT, 4711, clock())
    assert (row.attempts, row.error) == (2, None)


def test_a_delivery_with_the_same_key_is_added_once(stage: Stage) -> None:
    add_deliveries(stage, "one", "one")
    assert len(stage.deliveries()) == 1


def test_a_lost_answer_of_telegram_is_counted(stage: Stage) -> None:
    (row_id,) = add_deliveries(stage, "one")
    take_texts(stage)
    delivering.again(stage.desk, row_id, 1, 0, "timeout", uncertain=True)
    take_texts(stage)
    delivering.sent(stage.desk, row_id, 2, 1)
    assert delivering.counts(stage.desk) == {"sent": 1, "uncertain": 1, "given_up": 0, "untold": 0}


def test_what_may_have_arrived_stays_in_doubt_when_it_is_told_to_wait(stage: Stage) -> None:
    """Else it would go out a third time once an answer is lost again."""
    add_deliveries(stage, "roses")
    for uncertain in (True, False):
        (delivery,) = stage.take()
        delivering.again(stage.desk, delivery.id, delivery.attempts, 0, "?", uncertain=uncertain)
    (delivery,) = stage.take()
    assert delivery.uncertain


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
    (first,) = stage.take()
    stage.recover()
    (second,) = stage.take()
    settle(stage.desk, first.id, first.attempts)
    row = stage.row(DeliveryRow, first.id)
    assert (row.state, row.telegram_id, row.error) == (DeliveryState.SENDING, None, None)
    assert not stage.customer().gone
    assert len(stage.deliveries()) == 1
    delivering.sent(stage.desk, second.id, second.attempts, 8)
    settle(stage.desk, second.id, second.attempts)
    assert stage.row(DeliveryRow, first.id).state is DeliveryState.SENT


def test_a_refused_message_is_reported_to_the_operators(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic()
    (delivery,) = stage.take()
    delivering.failed(stage.desk, delivery.id, delivery.attempts, "can't parse <entities>")
    assert stage.told()[-1] == (
        "⚠️ A message to the customer could not be delivered: can't parse &lt;entities&gt;"
    )


def test_operators_hear_of_a_customers_file_that_could_not_be_copied(stage: Stage) -> None:
    stage.ask("i want a person", intent="complaint")
    stage.topic()
    stage.send_all()
    customers.sent_file(stage.desk, stage.update(), ANA, 4711, "")
    (copy,) = stage.take()
    delivering.failed(stage.desk, copy.id, copy.attempts, "message to copy not found")
    assert stage.told()[-1] == (
        "⚠️ The customer sent a file that could not be passed on: message to copy not found. "
        "Ask them to send it again."
    )


@pytest.mark.parametrize("what", ["copy", "change", "gone"])
def test_what_is_refused_of_a_colleagues_words_is_told_as_a_reply_to_them(
    stage: Stage, what: str
) -> None:
    stage.ask("i want a person", intent="complaint")
    stage.topic()
    stage.reply("Hello")
    stage.send_all()
    stage.reply("They come on Monday")
    ordered = select(Message).where(Message.author == Author.OPERATOR).order_by(Message.id)
    theirs = stage.all(ordered)[-1].telegram_id
    if what == "change":
        stage.send_all()
        rewritten = Rewritten("on Tuesday", "editMessageText", {"text": "on Tuesday"})
        edits.operator_changed(stage.desk, stage.update(), OSCAR, 77, theirs, rewritten)
    (delivery,) = [taken for taken in stage.take() if taken.chat_id == ANA.chat_id]
    if what == "gone":
        delivering.customer_gone(stage.desk, delivery.id, delivery.attempts, "403")
    else:
        delivering.failed(stage.desk, delivery.id, delivery.attempts, "MESSAGE_TOO_STRANGE")
    notice = stage.deliveries(OPERATOR_CHAT, method="sendMessage")[-1].payload
    assert notice["text"].startswith("⚠️")
    assert notice["reply_parameters"] == {
        "message_id": theirs,
        "allow_sending_without_reply": True,
    }


def test_a_retry_sends_no_answer_of_the_bot_after_a_persons_and_none_of_yesterday(
    stage: Stage, clock: Clock
) -> None:
    def refused(person: Person) -> None:
        stage.ask("roses?", person)
        (delivery,) = stage.take((OPERATOR_CHAT,))
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


def test_a_retry_undoes_no_later_change_of_a_card(stage: Stage) -> None:
    stage.ask("the roses are dead", intent="complaint")
    stage.send_all()
    stage.topic()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    while batch := stage.take(limit=50):
        for one in batch:
            end = delivering.failed if one.method == "editMessageText" else delivering.sent
            end(stage.desk, one.id, one.attempts, *(["502"] if end is delivering.failed else [9]))
    assert stage.deliveries(method="editMessageText", state=DeliveryState.CANCELLED)
    assert delivering.retry_failed(stage.desk) == 0


def test_operators_hear_of_what_is_refused_once_more(stage: Stage) -> None:
    stage.ask("the roses are dead", intent="complaint")
    stage.topic()
    stage.send_all()
    stage.reply("I am sorry")
    for _ in range(2):
        (copy,) = stage.take((OPERATOR_CHAT,))
        delivering.failed(stage.desk, copy.id, copy.attempts, "bad request")
        assert delivering.retry_failed(stage.desk) == 1
    assert len([text for text in stage.told() if "could not be delivered" in text]) == 2


def test_a_retry_sends_nothing_for_a_third_time_that_may_have_arrived(stage: Stage) -> None:
    lost, died, refused, broken = add_deliveries(stage, "lost", "died", "refused", "broken")
    reasons = {
        lost: f"sent twice without an answer, and {delivering.PERHAPS_ARRIVED} (no answer)",
        died: None,
        refused: "bad request",
        broken: "tried 20 times in vain (502)",
    }
    for row_id, reason in reasons.items():
        for uncertain in (False, True):
            (delivery,) = stage.take()
            assert (delivery.id, delivery.uncertain) == (row_id, uncertain)
            if reason is None:
                stage.recover()
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
    operators.help_wanted(stage.desk, stage.update(), OSCAR, None)
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
            stage.desk,
            "edit",
            ANA.chat_id,
            "editMessageReplyMarkup",
            {"message_id": 1},
            conversation=stage.conversation(),
        )
    for delivery in stage.take():
        delivering.failed(stage.desk, delivery.id, delivery.attempts, "message to edit not found")
    assert stage.told() == []


def test_operators_hear_once_that_a_customer_has_blocked_the_bot(stage: Stage) -> None:
    stage.ask("roses?")
    stage.ask("open?", intent="opening_hours")
    stage.topic()
    for _ in range(2):
        (delivery,) = [d for d in stage.take() if d.chat_id == ANA.chat_id]
        delivering.customer_gone(stage.desk, delivery.id, delivery.attempts, "403")
    assert stage.customer().gone
    assert stage.told() == ["⚠️ The customer has blocked the bot; nothing was sent."]
    assert all(row.state is DeliveryState.FAILED for row in stage.deliveries(ANA.chat_id))


def test_a_group_in_which_they_have_no_topic_does_not_hear_it_unasked(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic()
    stage.desk = replace(stage.desk, operator_chat_id=-100999)  # the operators have moved
    (delivery,) = [d for d in stage.take() if d.chat_id == ANA.chat_id]
    delivering.customer_gone(stage.desk, delivery.id, delivery.attempts, "403")
    assert stage.customer().gone
    assert stage.deliveries(-100999) == []


def test_a_group_hears_it_of_one_who_waits_for_a_person_without_a_topic_there(
    stage: Stage,
) -> None:
    stage.ask("i want a person", intent="complaint")
    stage.desk = replace(stage.desk, operator_chat_id=-100999)  # the operators have moved
    (delivery,) = [d for d in stage.take() if d.chat_id == ANA.chat_id]
    delivering.customer_gone(stage.desk, delivery.id, delivery.attempts, "403")
    told = [row.payload["text"] for row in stage.deliveries(-100999)]
    assert told[1:] == ["⚠️ The customer has blocked the bot; nothing was sent."], "behind the card"


def test_one_who_wrote_again_before_a_refusal_is_noted_is_not_gone(
    stage: Stage, clock: Clock
) -> None:
    stage.ask("roses?")
    (delivery,) = [d for d in stage.take() if d.chat_id == ANA.chat_id]
    refused = clock()
    clock.move(seconds=9)  # the database is slow
    stage.write("I am back")
    delivering.customer_gone(stage.desk, delivery.id, delivery.attempts, "403", at=refused)
    assert stage.row(DeliveryRow, delivery.id).state is DeliveryState.FAILED
    assert not stage.customer().gone


def test_operators_hear_of_each_word_of_theirs_that_a_customer_has_blocked(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic()
    for text in ("I am here", "Are you?"):
        stage.reply(text)
    # Telegram says so before the copies that wait are refused.
    customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=True)
    for _ in range(2):
        (delivery,) = [d for d in stage.take() if d.chat_id == ANA.chat_id]
        delivering.customer_gone(stage.desk, delivery.id, delivery.attempts, "403")
    told = [text for text in stage.told() if "blocked" in text]
    assert told == ["⚠️ The customer has blocked the bot; nothing was sent."] * 2


def test_a_keyboard_of_one_who_has_blocked_the_bot_is_nobodys_word(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic()
    stage.send_all()
    stage.press(stage.token("up"), telegram_id=stage.deliveries()[0].telegram_id or 0)
    customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=True)
    (edit,) = stage.take()
    assert edit.method == "editMessageReplyMarkup"
    delivering.customer_gone(stage.desk, edit.id, edit.attempts, "403")
    assert stage.told() == []


def _refuse(stage: Stage, chat_id: int) -> None:
    (delivery,) = [d for d in stage.take() if d.chat_id == chat_id]
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


def test_a_greeting_that_telegram_refuses_calls_a_person_about_the_words_that_wait(
    stage: Stage,
) -> None:
    customers.started(stage.desk, stage.update(), ANA)
    (greeting,) = stage.take()
    job = stage.write("where are my roses")
    assert job is not None
    delivering.failed(stage.desk, greeting.id, greeting.attempts, "400 no")
    assert stage.pending_count() == 0
    stage.decide((job, predict()))
    assert stage.decision(job[0]).rule == "not_delivered"


def test_a_refused_message_calls_nobody_where_a_person_is_in_charge(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic()
    stage.reply("I'm here")
    _refuse(stage, ANA.chat_id)
    assert stage.conversation().state is ConversationState.HUMAN
    card, notice = stage.told()
    assert "Opened again" in card
    assert "could not be delivered" in notice


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


@pytest.mark.parametrize("odd", ["\x00", "\ud83d"])
@pytest.mark.parametrize("settle", [delivering.failed, delivering.customer_gone, "again"])
def test_words_of_telegram_that_a_database_refuses_keep_no_delivery_from_its_end(
    stage: Stage, settle: Callable[[Desk, int, int, str], None] | str, odd: str
) -> None:
    stage.ask("roses?")
    stage.topic()
    (delivery,) = stage.take()
    words = f"Unsupported start tag {odd}{'x' * 3000}"
    if isinstance(settle, str):
        delivering.again(stage.desk, delivery.id, delivery.attempts, 9, words)
    else:
        settle(stage.desk, delivery.id, delivery.attempts, words)
    row = stage.row(DeliveryRow, delivery.id)
    assert row.state is not DeliveryState.SENDING
    assert row.error is not None
    assert row.error.startswith("Unsupported start tag ")
    assert len(row.error) == 2000
    assert all(odd not in text for text in stage.told())


def _seconds_observed() -> float:
    (family,) = metrics.DELIVERY_SECONDS.collect()
    return sum(sample.value for sample in family.samples if sample.name.endswith("_sum"))


def test_what_is_sent_once_more_counts_from_when_it_was_due_again(
    stage: Stage, clock: Clock
) -> None:
    asked = stage.ask("you are rude", intent="complaint")
    stage.topic()
    _refuse(stage, ANA.chat_id)
    stage.recover()  # the card was taken with it
    stage.send_all()
    with stage.desk.store.writing() as session:
        session.execute(update(DeliveryRow).values(created_at=clock()))
    clock.move(hours=9)
    before = _seconds_observed()
    assert delivering.retry_failed(stage.desk) == 1
    assert topics.topic_made(stage.desk, stage.customer().id, 78, again=True)
    clock.move(seconds=2)
    sent = [row for row in stage.send_all() if row.method == "sendMessage"]
    assert {f"card:{asked}", f"handover:{asked}"} == {row.key for row in sent}
    assert _seconds_observed() - before == 2 * len(sent)


@pytest.mark.parametrize("end", [delivering.failed, delivering.failed_barely])
def test_a_refused_edit_counts_as_what_it_becomes(
    stage: Stage, end: Callable[[Desk, int, int, str], None]
) -> None:
    add_deliveries(stage, "edit", method="editMessageText")
    (edit,) = stage.take()
    outcomes = ("failed", "cancelled")
    before = {name: metrics.DELIVERIES.labels(name)._value.get() for name in outcomes}
    end(stage.desk, edit.id, edit.attempts, "message to edit not found")
    assert stage.row(DeliveryRow, edit.id).state is DeliveryState.CANCELLED
    after = {name: metrics.DELIVERIES.labels(name)._value.get() for name in outcomes}
    assert after == before | {"cancelled": before["cancelled"] + 1}
