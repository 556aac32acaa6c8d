"""Operators write, take over, resolve; what the bot had not yet said is void then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from desk.domain import (
    ConversationState,
    Delivery,
    DeliveryState,
    DeskError,
    Person,
)
from desk.flow import customers, delivering, operators, runs
from desk.texts import say
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, OLGA, OSCAR, STRANGER, Stage, labels, predict


def test_what_an_operator_writes_in_a_topic_reaches_its_customer(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    thread = stage.topic()
    stage.reply("I am sorry, Ana", thread_id=thread)
    copy = stage.deliveries(ANA.chat_id)[-1]
    assert copy.method == "copyMessage"
    assert copy.payload["from_chat_id"] == OPERATOR_CHAT
    assert not copy.from_bot
    conversation = stage.conversation()
    assert conversation.state is ConversationState.HUMAN
    assert conversation.operator_id == OSCAR


def test_an_operators_message_handled_twice_goes_out_once(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic()
    inbox_id = stage.update()
    for _ in range(2):
        operators.operator_wrote(stage.desk, inbox_id, OSCAR, 77, 5, "hello")
    assert len(stage.deliveries(ANA.chat_id, method="copyMessage")) == 1


def test_taking_over_cancels_the_bots_pending_answers(stage: Stage) -> None:
    message_id = stage.ask("roses?")
    stage.topic()
    stage.reply("I'll look into it")
    (answer,) = stage.deliveries(key=f"answer:{message_id}")
    assert answer.state is DeliveryState.CANCELLED
    sent = stage.send_all()
    assert [row.method for row in sent if row.chat_id == ANA.chat_id] == ["copyMessage"]


def test_taking_over_leaves_other_conversations_alone(stage: Stage) -> None:
    stage.ask("roses?", ANA)
    stage.ask("roses?", BEN)
    stage.topic(ANA)
    stage.reply("hello Ana")
    assert len(stage.heard(BEN)) == 1


def test_after_a_person_took_over_the_bot_stays_silent(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    heard = stage.heard()
    message_id = stage.ask("where are my roses", intent="order_status", confidence=0.99)
    assert stage.decision(message_id).rule == "person_in_charge"
    assert stage.heard() == heard
    assert "<blockquote>where are my roses</blockquote>" in stage.told()[-1]


def test_human_while_a_person_is_in_charge_says_nothing_more(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    heard = stage.heard()
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    assert stage.heard() == heard
    assert "the customer asked for a person" in stage.told()[-1]


def test_a_delivery_already_under_way_goes_back_cancelled_once_a_person_is_there(
    stage: Stage,
) -> None:
    message_id = stage.ask("roses?")
    (taken,) = stage.take()
    stage.topic()
    stage.reply("I'm on it")
    delivering.again(stage.desk, taken.id, taken.attempts, 0, "429")
    sent = stage.send_all()
    assert stage.deliveries(key=f"answer:{message_id}")[0].state is DeliveryState.CANCELLED
    assert [row.method for row in sent if row.chat_id == ANA.chat_id] == ["copyMessage"]


def test_an_answer_that_goes_back_after_a_person_resolved_is_void_all_the_same(
    stage: Stage,
) -> None:
    message_id = stage.ask("roses?")
    (taken,) = stage.take()
    stage.topic()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    stage.resolve()
    delivering.again(stage.desk, taken.id, taken.attempts, 0, "429")
    stage.send_all()
    assert stage.deliveries(key=f"answer:{message_id}")[0].state is DeliveryState.CANCELLED


def test_an_answer_to_what_nobody_took_is_sent_though_it_was_resolved(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic()
    stage.resolve()
    assert [row.chat_id for row in stage.send_all()] == [ANA.chat_id]


def test_a_conversation_that_is_opened_again_keeps_that_a_person_had_taken_it(
    stage: Stage,
) -> None:
    stage.ask("roses?")
    stage.topic()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    job = stage.write("and my refund?")
    stage.resolve()
    assert job is not None
    stage.decide((job, predict("and my refund?", intent="complaint")))
    # What was left unsaid before then was left to that person, and is not to be said again.
    assert stage.conversation().taken_at is not None
    assert [row.key for row in stage.send_all() if row.chat_id == ANA.chat_id] == [
        f"handover:{job[0]}"
    ]


def test_the_card_of_a_conversation_that_is_opened_again_says_that_the_bot_answers(
    stage: Stage,
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.send_all()
    job = stage.write("where are my roses?")
    stage.resolve()
    assert job is not None
    stage.decide((job, predict("where are my roses?")))
    assert stage.conversation().state is ConversationState.BOT
    stage.press(stage.token("why"), by=OSCAR)
    card = stage.told()[-1]
    assert "the bot answers again" in card
    assert "waiting for a person" not in card


def test_a_bots_answer_that_slips_in_late_is_cancelled_before_sending(stage: Stage) -> None:
    message_id = stage.ask("roses?")
    stage.topic()
    stage.reply("I'm on it")
    with stage.desk.store.writing() as session:
        row = session.get_one(
            type(stage.deliveries()[0]), stage.deliveries(key=f"answer:{message_id}")[0].id
        )
        row.state = DeliveryState.PENDING
    stage.take()
    assert stage.deliveries(key=f"answer:{message_id}")[0].state is DeliveryState.CANCELLED


def test_resolving_hands_the_next_message_to_the_bot_in_a_new_conversation(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.reply("sorry!")
    stage.resolve()
    assert stage.conversation().state is ConversationState.RESOLVED
    message_id = stage.ask("where are my roses")
    assert len(stage.conversations()) == 2
    assert stage.conversation().state is ConversationState.BOT
    assert stage.decision(message_id).rule == "confident"


def test_a_new_conversation_forgets_what_the_old_one_counted(stage: Stage) -> None:
    stage.ask("blorp", confidence=0.2)
    stage.ask("bah", intent="opening_hours", sentiment="negative")
    stage.topic()
    stage.resolve()
    message_id = stage.ask("blorp", intent="refund", confidence=0.2, sentiment="negative")
    assert stage.decision(message_id).rule == "unsure"


def test_resolving_twice_says_so(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic()
    for _ in range(2):
        operators.resolved(stage.desk, stage.update(), OSCAR, 77)
    assert stage.told()[-1] == "This conversation is already resolved."


def test_taking_what_one_has_says_so(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic()
    for _ in range(2):
        operators.took(stage.desk, stage.update(), OSCAR, 77)
    assert stage.told()[-1] == "Oscar has already taken this."


def test_a_colleague_takes_over_with_the_command(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.send_all()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    operators.took(stage.desk, stage.update(), OLGA, 77)
    assert stage.conversation().operator_id == OLGA
    assert "Olga took over from Oscar." in stage.told()
    edit = stage.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert "taken by Olga" in edit.payload["text"]


def reopen_by_writing(stage: Stage) -> None:
    stage.reply("one more thing")


def reopen_by_taking(stage: Stage) -> None:
    operators.took(stage.desk, stage.update(), OSCAR, 77)


@pytest.mark.parametrize("reopen", [reopen_by_writing, reopen_by_taking])
def test_a_conversation_that_an_operator_opens_again_has_a_card_to_resolve(
    stage: Stage, reopen: Callable[[Stage], None]
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.send_all()
    stage.resolve()
    reopen(stage)
    assert len(stage.conversations()) == 2
    assert stage.conversation().state is ConversationState.HUMAN
    card = next(row for row in stage.send_all() if row.key.startswith("card:"))
    head = "💬 <b>Opened again</b> · Ana (@ana) · <code>501</code>"
    assert card.payload["text"] == f"{head}\n\n🧑‍💼 taken by Oscar"
    assert card.topic_of == stage.customer().id
    assert labels(card) == ["Take", "Resolve"]
    stage.ask("ah, good")
    assert "<blockquote>ah, good</blockquote>" in stage.told()[-1]
    assert not stage.deliveries(OPERATOR_CHAT, state=DeliveryState.PENDING, key=card.key)
    stage.reply("glad to hear it")
    stage.press(stage.token("resolve", conversation_id=stage.conversation().id), by=OSCAR)
    assert stage.conversation().state is ConversationState.RESOLVED
    edit = stage.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert (edit.payload["message_id"], labels(edit)) == (card.telegram_id, [])
    assert "resolved by Oscar" in edit.payload["text"]


def test_the_sent_card_shows_who_took_it_and_then_that_it_is_resolved(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.send_all()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    stage.send_all()
    stage.resolve()
    edits = stage.deliveries(OPERATOR_CHAT, method="editMessageText")
    assert "taken by Oscar" in edits[0].payload["text"]
    assert "resolved by Oscar" in edits[1].payload["text"]
    assert labels(edits[1]) == ["Relabel…", "Why?"]


def test_a_colleague_who_replies_has_the_conversation_from_then_on(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.send_all()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    stage.send_all()
    told = len(stage.told())
    stage.reply("let me", user_id=OLGA)
    assert stage.conversation().operator_id == OLGA
    edit, line = stage.told()[told:]
    assert "taken by Olga" in edit
    assert line == "Olga took over from Oscar."


def test_who_writes_where_a_colleague_has_the_conversation_takes_over_once_and_that_is_said(
    stage: Stage,
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    for text in ("hello Ana", "one moment"):
        stage.reply(text, user_id=OLGA)
    assert not [text for text in stage.told() if "took over" in text], "she took it from nobody"
    for text in ("let me", "and another thing"):
        stage.reply(text)
    stage.reply("no, me", user_id=OLGA)
    lines = [row for row in stage.deliveries() if "took over" in row.payload.get("text", "")]
    assert [row.payload["text"] for row in lines] == [
        "Oscar took over from Olga.",
        "Olga took over from Oscar.",
    ]
    assert {row.topic_of for row in lines} == {stage.customer().id}
    operators.resolved(stage.desk, stage.update(), OLGA, 77)
    stage.reply("one more thing")
    assert sum("took over" in text for text in stage.told()) == 2, "it was over"


@pytest.mark.parametrize("act", ["wrote", "took", "resolved"])
def test_strangers_in_the_operators_chat_can_do_nothing(stage: Stage, act: str) -> None:
    stage.ask("roses?")
    stage.topic()
    heard = stage.heard()
    if act == "wrote":
        stage.reply("haha", user_id=STRANGER)
    else:
        getattr(operators, act)(stage.desk, stage.update(), STRANGER, 77)
    assert stage.heard() == heard
    assert stage.conversation().state is ConversationState.BOT
    assert stage.told()[-1] == say("operators-only", "en", user="666")


@pytest.mark.parametrize("act", ["wrote", "took", "resolved"])
def test_a_topic_that_is_no_customers_says_so(stage: Stage, act: str) -> None:
    if act == "wrote":
        stage.reply("anybody here?", thread_id=12345)
    else:
        getattr(operators, act)(stage.desk, stage.update(), OSCAR, 12345)
    assert stage.told() == ["This topic belongs to no customer."]


def test_writing_to_a_customer_who_blocked_the_bot_says_so(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic()
    customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=True)
    stage.reply("hello?")
    assert stage.told()[-1] == "The customer has blocked the bot; nothing was sent."
    assert stage.deliveries(ANA.chat_id, method="copyMessage") == []


def _taken_for(stage: Stage, person: Person) -> Delivery:
    """What the sender takes for a customer now."""
    (taken,) = [d for d in stage.take(limit=10) if d.chat_id == person.chat_id]
    return taken


def test_operators_learn_once_that_a_waiting_customer_has_blocked_the_bot(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    said = len(stage.told())
    customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=True)
    (note,) = stage.deliveries(OPERATOR_CHAT)[said:]
    assert note.payload["text"].startswith("⚠️ The customer has blocked the bot while waiting")
    assert note.topic_of == stage.customer().id
    taken = _taken_for(stage, ANA)
    delivering.customer_gone(stage.desk, taken.id, taken.attempts, "403")
    customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=True)
    assert len(stage.told()) == said + 1


def test_operators_who_learned_it_from_a_refused_message_are_not_told_again(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    taken = _taken_for(stage, ANA)
    delivering.customer_gone(stage.desk, taken.id, taken.attempts, "403")
    said = len(stage.told())
    assert "blocked the bot" in stage.told()[-1]
    customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=True)
    assert len(stage.told()) == said


def test_a_customer_who_waits_for_nobody_blocks_the_bot_without_a_word(stage: Stage) -> None:
    stage.ask("where are my roses")
    customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=True)
    customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=False)
    assert stage.told() == []


def _comes_back(stage: Stage, how: str) -> None:
    """A customer who has blocked the bot unblocks it, or is first heard of by what they write."""
    if how == "unblocks":
        customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=False)
    else:
        stage.write("are you there?")


@pytest.mark.parametrize("how", ["unblocks", "writes"])
@pytest.mark.parametrize("taken", [False, True])
def test_operators_learn_that_a_customer_of_theirs_can_be_reached_again(
    stage: Stage, how: str, taken: bool
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    if taken:
        stage.reply("I am sorry")
    customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=True)
    stage.reply("hello?")
    said = len(stage.told())
    _comes_back(stage, how)
    (note,) = stage.deliveries(OPERATOR_CHAT)[said:]
    assert note.payload["text"] == (
        "👋 The customer has unblocked the bot: answers reach them again."
    )
    assert note.topic_of == stage.customer().id


def test_operators_learn_that_one_who_was_taken_without_a_word_has_blocked_the_bot(
    stage: Stage,
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=True)
    assert "has blocked the bot while waiting" in stage.told()[-1]


def test_who_comes_back_when_the_conversation_is_long_over_is_told_of_to_nobody(
    stage: Stage, clock: Clock
) -> None:
    clock.set(datetime.now(UTC))  # the bot's words have the real clock's time
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.reply("I am sorry")
    customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=True)
    clock.move(days=90)
    customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=False)
    assert not any("unblocked" in text for text in stage.told())
    assert stage.conversation().state is ConversationState.RESOLVED


def test_who_blocks_the_bot_and_unblocks_it_again_and_again_is_told_of_once_a_call(
    stage: Stage, clock: Clock
) -> None:
    for calls in (1, 2):
        stage.ask("you are rude", intent="complaint")
        stage.topic()
        for _ in range(5):
            customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=True)
            clock.move(seconds=1)
            customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=False)
        told = " ".join(stage.told())
        assert told.count("has blocked the bot") == calls
        assert told.count("has unblocked the bot") == calls
        stage.resolve()


def test_an_admin_orders_training_and_only_one_run_at_a_time(stage: Stage) -> None:
    run = operators.ordered_training(stage.desk, stage.update(), OLGA)
    assert run is not None
    assert run[1] == 1
    assert operators.ordered_training(stage.desk, stage.update(), OLGA) is None
    assert stage.told() == [
        f"Training run {run[0]} is queued.",
        f"Training run {run[0]} is already under way.",
    ]
    with pytest.raises(DeskError, match="already queued"):
        runs.order_run(stage.desk, "cli")


def test_an_agent_can_not_order_training(stage: Stage) -> None:
    assert operators.ordered_training(stage.desk, stage.update(), OSCAR) is None
    assert stage.told() == ["Only admins can do that."]


# ---- Training runs ----


def test_a_persons_reply_comes_after_the_answer_that_was_already_leaving(stage: Stage) -> None:
    job = stage.write("roses?")
    assert job is not None
    stage.decide((job, predict()))
    (leaving,) = stage.take()
    stage.topic()
    stage.reply("hello")
    assert [d for d in stage.take() if d.chat_id == ANA.chat_id] == []
    delivering.sent(stage.desk, leaving.id, leaving.attempts, 1)
    later = stage.take()
    assert [d.method for d in later if d.chat_id == ANA.chat_id] == ["copyMessage"]


# ---- One card shows the state ----


def test_the_first_card_alone_shows_the_state_whatever_is_written_after_it(stage: Stage) -> None:
    first = stage.ask("you are rude", intent="complaint", others=[("refund", 0.01)])
    second = stage.ask("money??", intent="refund")
    stage.topic()
    stage.send_all()
    (card,) = stage.deliveries(key=f"card:{first}")
    (post,) = stage.deliveries(key=f"post:{second}")
    assert labels(card)[-3:] == ["Take", "Resolve", "Why?"]
    assert labels(post) == ["Answer: I want my money back", "Relabel…"]
    assert "Ana wrote" in post.payload["text"]
    stage.press(stage.token("take"), by=OSCAR, telegram_id=card.telegram_id or 0)
    stage.send_all()
    stage.resolve()
    edits = stage.deliveries(OPERATOR_CHAT, method="editMessageText")
    assert [edit.payload["message_id"] for edit in edits] == [card.telegram_id] * 2
    assert "you are rude" in edits[0].payload["text"]
    assert "taken by Oscar" in edits[0].payload["text"]
    assert "resolved by Oscar" in edits[1].payload["text"]


def test_a_card_still_in_the_queue_is_rewritten_and_not_edited(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    card, _ = stage.deliveries(OPERATOR_CHAT)
    assert "taken by Oscar" in card.payload["text"]
    assert labels(card) == ["Relabel…", "Take", "Resolve", "Why?"]


def test_a_card_that_was_being_sent_at_the_take_over_is_brought_up_to_date(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    (card,) = [d for d in stage.take() if d.chat_id == OPERATOR_CHAT]
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    delivering.sent(stage.desk, card.id, card.attempts, 4711)
    (edit,) = stage.deliveries(OPERATOR_CHAT, method="editMessageText")
    assert edit.payload["message_id"] == 4711
    assert "taken by Oscar" in edit.payload["text"]


def test_a_person_who_came_without_being_called_gets_a_card_to_resolve(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic()
    stage.reply("I'm here")
    stage.reply("What can I do?")
    (card,) = [row for row in stage.deliveries(OPERATOR_CHAT) if row.key.startswith("card:")]
    assert "👤 roses?" in card.payload["text"]
    assert "taken by Oscar" in card.payload["text"]
    assert labels(card) == ["Take", "Resolve"]
    thanks = stage.ask("thanks")
    (post,) = stage.deliveries(key=f"post:{thanks}")
    assert "Ana wrote" in post.payload["text"]
    assert labels(post)[-1] == "Relabel…"
