"""What operators do: cards, one-tap answers, their own words, and commands."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis
from sqlalchemy import select

from bot import sender
from desk import queues
from desk.domain import ConversationState, DeliveryState, FeedbackKind, InboxState, Role
from desk.flow import roster
from desk.flow.composing import operators_text
from desk.flow.desk import Desk
from desk.tables import Conversation, Customer, DeliveryRow, Feedback, Inbox, RunRow
from desk.texts import LANGUAGES, say
from simulator import people
from simulator.app import Simulator
from simulator.world import OPERATORS_CHAT
from tests.bot.conftest import (
    OLGA,
    OMAR,
    Decider,
    Rows,
    Running,
    Starter,
    World,
    card_of,
    eventually,
)


def labels(message: dict[str, Any]) -> list[str]:
    rows = message.get("reply_markup", {}).get("inline_keyboard", [])
    return [button["text"] for row in rows for button in row]


async def test_the_card_shows_everything_and_one_tap_answers_and_labels(
    bot: Running, world: World, decider: Decider, rows: Rows
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "this is <b>outrageous</b> & late")
    for shown in (
        "this is <b>outrageous</b> & late",
        "Make a complaint 80%",
        "Where is my order? 15%",
        "neutral 90%",
        "this topic always goes to a person",
        "v1",
        "waiting for a person",
    ):
        assert shown in card["text"]
    assert labels(card) == [
        "Answer: Where is my order?",
        "Relabel…",
        "Take",
        "Resolve",
        "Why?",
    ]
    pressed = await world.press(card, "Answer: Where is my order?", OLGA)
    assert pressed["answered"]
    assert "Bouquets take 2 days" in (await world.said(ann, "Bouquets"))[0]["text"]
    (feedback,) = rows.all(Feedback)
    assert (feedback.kind, feedback.intent, feedback.by) == (
        FeedbackKind.ONE_TAP_ANSWER,
        "order_status",
        OLGA,
    )
    await world.said(OPERATORS_CHAT, "taken by Olga")
    await world.said(OPERATORS_CHAT, "sent the answer")


async def test_relabel_shows_all_intents_and_keeps_the_chosen_one(
    bot: Running, world: World, decider: Decider, rows: Rows
) -> None:
    card = await card_of(world, decider, await world.customer(), "outrageous")
    await world.press(card, "Relabel…", OLGA)

    async def pressed() -> bool:
        shown = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
        if "Say hello" not in labels(shown):
            return False
        return bool((await world.press(shown, "Say hello", OLGA))["answered"])

    await eventually(pressed)
    (feedback,) = rows.all(Feedback)
    assert (feedback.kind, feedback.intent) == (FeedbackKind.RELABEL, "greeting")


async def test_what_an_operator_writes_in_the_topic_reaches_the_customer(
    bot: Running, world: World, decider: Decider, rows: Rows
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    await world.write_topic(card["message_thread_id"], "I am on it, Ann.")
    await world.said(ann, "I am on it, Ann.")
    (conversation,) = rows.all(Conversation)
    assert (conversation.state, conversation.operator_id) == (ConversationState.HUMAN, OLGA)


async def test_the_bot_is_silent_after_a_person_took_over_until_they_resolve(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    thread = card["message_thread_id"]
    await world.write_topic(thread, "I am on it, Ann.")
    theirs = (await world.said(ann, "I am on it"))[0]
    await world.write(ann, "when do you open?")
    await decider.decide(("opening_hours", 0.99))
    await world.said(OPERATORS_CHAT, "when do you open?")
    assert not await world.said(ann, after=theirs["message_id"], count=0)
    await world.write_topic(thread, "/resolve")
    await world.said(OPERATORS_CHAT, "They have written since")
    await world.write_topic(thread, "/resolve")
    await world.said(OPERATORS_CHAT, "resolved by Olga")
    again = await world.write(ann, "when do you open?")
    await decider.decide(("opening_hours", 0.99))
    assert "Monday" in (await world.reply(again))["text"]


async def test_take_and_resolve_work_as_commands_in_the_topic(
    bot: Running, world: World, decider: Decider, rows: Rows
) -> None:
    card = await card_of(world, decider, await world.customer(), "outrageous")
    thread = card["message_thread_id"]
    command = await world.write_topic(thread, "/take@frontdesk_bot")
    await world.said(OPERATORS_CHAT, "taken by Olga")
    (told,) = await world.said(OPERATORS_CHAT, "🙋 Olga has them")
    assert told["reply_to_message"]["message_id"] == command["message_id"]
    await world.write_topic(thread, "/resolve")
    await world.said(OPERATORS_CHAT, "write /resolve again")
    command = await world.write_topic(thread, "/resolve")
    await world.said(OPERATORS_CHAT, "resolved by Olga")
    (told,) = await world.said(OPERATORS_CHAT, "✅ Resolved by Olga")
    assert told["reply_to_message"]["message_id"] == command["message_id"]
    assert rows.all(Conversation)[0].state is ConversationState.RESOLVED


async def test_release_gives_back_a_topics_conversation_or_in_general_all_of_the_writers(
    bot: Running, world: World, decider: Decider, rows: Rows
) -> None:
    card = await card_of(world, decider, await world.customer(), "outrageous")
    thread = card["message_thread_id"]
    for where, answer in ((thread, "Olga has given them back"), (None, "given back one")):
        await world.write_topic(thread, "/take")
        await rows.until(Conversation, state=ConversationState.HUMAN)
        command = await world.write_topic(where, "/release")
        (told,) = await world.said(OPERATORS_CHAT, answer)
        assert told["reply_to_message"]["message_id"] == command["message_id"]
        (conversation,) = rows.all(Conversation)
        assert (conversation.state, conversation.operator_id) == (ConversationState.WAITING, None)
    await world.said(OPERATORS_CHAT, "waiting for a person")


async def change_topic(world: World, card: dict[str, Any], act: str, operator: int = OLGA) -> None:
    await world.ask("POST", f"operators/{operator}/topics/{card['message_thread_id']}/{act}", {})


async def test_closing_a_topic_resolves_and_the_next_card_reopens_it(
    bot: Running, world: World, decider: Decider, rows: Rows
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    await world.write_topic(card["message_thread_id"], "I am on it, Ann.")
    await change_topic(world, card, "close")
    await world.said(OPERATORS_CHAT, "resolved by Olga")
    question = await world.write(ann, "when do you open?")
    await decider.decide(("opening_hours", 0.99))
    assert "Monday" in (await world.reply(question))["text"], "the bot answers again"
    assert (await world.topics())[0]["closed"]
    await card_of(world, decider, ann, "outrageous again")
    again = (await world.said(OPERATORS_CHAT, "outrageous again"))[-1]
    assert again["message_thread_id"] == card["message_thread_id"]
    assert [topic["closed"] for topic in await world.topics()] == [False]
    assert len(await world.calls("reopenForumTopic")) == 1
    await rows.until(Customer, topic_closed=False)


async def test_reopening_a_topic_takes_the_conversation(
    bot: Running, world: World, decider: Decider, rows: Rows
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    await world.write_topic(card["message_thread_id"], "I am on it, Ann.")
    await world.said(ann, "I am on it, Ann.")
    await change_topic(world, card, "close")
    await world.said(OPERATORS_CHAT, "resolved by Olga")
    await change_topic(world, card, "reopen")
    opened = (await world.said(OPERATORS_CHAT, "Opened again"))[-1]
    assert "taken by Olga" in opened["text"]
    assert rows.all(Customer)[0].topic_closed is False
    assert not await world.calls("reopenForumTopic")
    await change_topic(world, card, "close")
    await rows.until(Conversation, count=2, state=ConversationState.RESOLVED)


async def test_a_topic_that_was_closed_by_nobody_of_the_desk_is_reopened_for_what_comes(
    bot: Running, world: World, decider: Decider, rows: Rows, simulator: Simulator
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    simulator.world.groups[OPERATORS_CHAT].members[OMAR].status = "administrator"
    simulator.world.groups[OPERATORS_CHAT].members[OMAR].rights["can_manage_topics"] = True
    await change_topic(world, card, "close", OMAR)
    await rows.until(Customer, topic_closed=True)
    assert rows.all(Conversation)[0].state is ConversationState.WAITING
    await world.ask("POST", f"customers/{ann}/photo", {"caption": "look"})
    await world.said(OPERATORS_CHAT, "look")
    assert not (await world.topics())[0]["closed"]


async def test_an_admin_orders_training_once(
    bot: Running, world: World, rows: Rows, redis: Redis
) -> None:
    await world.write_topic(None, "/retrain")
    await world.said(OPERATORS_CHAT, "is queued")
    await eventually(lambda: queues.queue(queues.TRAIN, redis).job_ids == ["train-1-1"])
    await world.write_topic(None, "/retrain")
    await world.said(OPERATORS_CHAT, "already under way")
    assert len(rows.all(RunRow)) == 1


async def test_retrain_in_a_topic_is_answered_there(
    bot: Running, world: World, decider: Decider, desk: Desk
) -> None:
    roster.add_operator(desk, OMAR, Role.AGENT, "Omar")
    card = await card_of(world, decider, await world.customer("Ann"), "outrageous")
    for operator, answer in ((OMAR, "Only admins"), (OLGA, "is queued"), (OLGA, "under way")):
        await world.write_topic(card["message_thread_id"], "/retrain", operator)
        (told,) = await world.said(OPERATORS_CHAT, answer)
        assert told["message_thread_id"] == card["message_thread_id"]


async def test_help_in_the_operators_chat_lists_what_they_can_do(
    bot: Running, world: World
) -> None:
    await world.write_topic(None, "/help")
    told = (await world.said(OPERATORS_CHAT))[0]["text"]
    for named in (
        "/take",
        "/resolve",
        "/answer",
        "/note",
        "/ban",
        "/queue",
        "/report",
        "/retrain",
        "/id",
        "Relabel…",
        "Answer: …",
    ):
        assert named in told


@pytest.mark.parametrize("command", ["/take", "/answer refund", "/note call her", "/ban"])
async def test_a_command_about_a_customer_that_is_written_in_general_is_told_where_it_works(
    bot: Running, world: World, command: str
) -> None:
    await world.write_topic(None, command)
    (told,) = await world.said(OPERATORS_CHAT)
    assert "write it in the customer's topic" in told["text"]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("/take @omar_desk", "take-alone"),
        ("/resolve thanks", "resolve-alone"),
        ("／queue mine", "queue-alone"),
    ],
)
async def test_a_command_with_words_that_it_would_lose_does_nothing_and_says_so(
    bot: Running, world: World, decider: Decider, rows: Rows, command: str, told: str
) -> None:
    card = await card_of(world, decider, await world.customer("Ann"), "outrageous")
    await world.write_topic(card["message_thread_id"], command)
    await world.said(OPERATORS_CHAT, say(told, "en"))
    assert rows.all(Conversation)[0].state is ConversationState.WAITING
    assert not await world.said(OPERATORS_CHAT, "waiting for a person:", count=0)


async def test_an_answer_in_general_to_who_waits_is_told_that_it_reaches_nobody(
    bot: Running, world: World, decider: Decider, desk: Desk, rows: Rows
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    with desk.store.writing() as session:
        conversation = session.scalars(select(Conversation)).one()
        words = "⏰ 7 customers are waiting"
        operators_text(session, desk, "remind:1:1", words, conversation=conversation)
    (digest,) = await world.said(OPERATORS_CHAT, "7 customers are waiting")
    body = {"text": "on my way, Ann", "thread": None, "reply_to": digest["message_id"]}
    written = await world.ask("POST", f"operators/{OLGA}/send", body)
    (told,) = await world.said(OPERATORS_CHAT, say("reached-nobody", "en"))
    assert told["reply_to_message"]["message_id"] == written["message_id"]
    link = next(mark["url"] for mark in told["entities"] if mark["type"] == "text_link")
    assert link.endswith(f"/{card['message_thread_id']}")
    before, updates = len(rows.all(DeliveryRow)), len(rows.all(Inbox))
    body |= {"reply_to": told["message_id"]}  # of which nothing is said
    await world.ask("POST", f"operators/{OLGA}/send", body)
    await rows.until(Inbox, count=updates + 1, state=InboxState.DONE)
    assert len(rows.all(DeliveryRow)) == before
    assert not await world.calls("copyMessage", ann)


async def test_telegram_lists_operators_commands_in_their_chat_and_customers_in_theirs(
    bot: Running, simulator: Simulator, world: World
) -> None:
    await world.commands_set()
    listed = {
        scope[0]: [command["command"] for command in commands]
        for scope, commands in simulator.world.bots[0].commands.items()
    }
    operators = ["take", "release", "resolve", "answer", "note", "delete", "ban", "unban"]
    operators += ["queue", "report", "retrain", "help", "id"]
    assert listed[f"chat:{OPERATORS_CHAT}"] == operators
    assert listed["all_private_chats"] == ["start", "help", "human", "privacy"]


async def test_a_bot_that_may_not_list_operators_commands_starts_all_the_same(
    world: World, start_bot: Starter
) -> None:
    customers_commands = {"method": "setMyCommands", "times": 1 + len(LANGUAGES)}
    await world.fault("slow", **customers_commands, seconds=0)
    refusal = "Bad Request: chat not found"
    await world.fault("error", method="setMyCommands", status=400, description=refusal)
    await start_bot()
    await world.commands_set()
    assert not (await world.calls("setMyCommands"))[-1]["ok"]
    ann = await world.customer()
    await world.reply(await world.write(ann, "/help"), "/human")


async def test_chatter_in_general_and_commands_for_other_bots_reach_nobody(
    bot: Running, world: World, decider: Decider, rows: Rows
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    before = len(rows.all(DeliveryRow))
    await world.write_topic(None, "coffee, anyone?")
    await world.write_topic(None, "/weather@other_bot")
    await world.write_topic(card["message_thread_id"], "/take@other_bot")
    await eventually(lambda: not rows.all(Inbox, state=InboxState.NEW))
    await rows.until(Inbox, count=4, state=InboxState.DONE)
    assert len(rows.all(DeliveryRow)) == before


async def test_ban_in_a_topic_silences_its_customer_until_unban(
    bot: Running, world: World, decider: Decider, rows: Rows
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "buy my pills")
    await world.write_topic(card["message_thread_id"], "/ban")
    await world.said(OPERATORS_CHAT, "banned by Olga")
    await world.said(OPERATORS_CHAT, "This customer is banned")
    last = await world.write(ann, "more pills")
    await rows.until(Inbox, count=3, state=InboxState.DONE)
    await world.write_topic(card["message_thread_id"], "/unban")
    await world.said(OPERATORS_CHAT, "not banned")
    assert not await world.said(OPERATORS_CHAT, "more pills", count=0)
    assert not await world.said(ann, after=last["message_id"], count=0)
    await world.reply(await world.write(ann, "/help"), "/human")


async def test_a_mistyped_command_is_answered_where_it_was_written_and_reaches_nobody(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    for thread, text in ((card["message_thread_id"], "/resovle"), (None, "/retrian now")):
        await world.write_topic(thread, text)
        await world.write_topic(thread, text)
        (told,) = await world.said(OPERATORS_CHAT, f"{text.split()[0]} is no command")
        assert told.get("message_thread_id") == thread
    await world.write_topic(card["message_thread_id"], "/ sorry")
    await world.said(OPERATORS_CHAT, "/ is no command")
    await world.write_topic(None, "/help")
    await world.said(OPERATORS_CHAT, "/retrain")
    assert len(await world.said(OPERATORS_CHAT, "is no command", count=3)) == 3, "once each"
    assert not await world.calls("copyMessage", ann)


async def test_an_operators_photo_in_the_topic_reaches_the_customer(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    body = {"caption": "your bouquet", "thread": card["message_thread_id"]}
    await world.ask("POST", f"operators/{OLGA}/photo", body)
    assert "photo" in (await world.said(ann, "your bouquet"))[0]


async def test_an_operators_file_with_a_command_in_its_caption_does_nothing_and_that_is_said(
    bot: Running, world: World, decider: Decider, rows: Rows
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    body = {"caption": "/resolve", "thread": card["message_thread_id"]}
    await world.ask("POST", f"operators/{OLGA}/photo", body)
    await world.said(OPERATORS_CHAT, "its caption or title begins with a slash")
    assert rows.all(Conversation)[0].state is ConversationState.WAITING
    assert not await world.calls("copyMessage", ann)


async def test_what_an_operator_sends_reaches_the_customer_whatever_kind_it_is(
    bot: Running, world: World, decider: Decider, simulator: Simulator
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    telegram = simulator.world
    group = telegram.groups[OPERATORS_CHAT]
    topic = group.topics[card["message_thread_id"]]
    extra = {"rich_message": {"blocks": [{"type": "paragraph", "text": "like this"}]}}
    sent = people.write(telegram, group, telegram.users[OLGA], topic=topic, extra=extra)
    (copied,) = await eventually(lambda: world.calls("copyMessage", ann))
    assert copied["params"]["message_id"] == sent.message_id


async def test_a_note_for_colleagues_is_not_sent_and_leaves_the_conversation_as_it_is(
    bot: Running, world: World, decider: Decider, rows: Rows
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    thread = card["message_thread_id"]
    notes = ["// she called as well", "/note she called as well", "//", "/note@frontdesk_bot"]
    for number, text in enumerate(notes, 1):
        await world.write_topic(thread, text)
        told = await world.said(OPERATORS_CHAT, "not sent to the customer", count=number)
        assert told[-1]["message_thread_id"] == thread
    body = {"caption": "// her invoice", "thread": thread}
    await world.ask("POST", f"operators/{OLGA}/photo", body)
    await world.said(OPERATORS_CHAT, "not sent to the customer", count=len(notes) + 1)
    assert not await world.calls("copyMessage", ann)
    assert rows.all(Conversation)[0].state is ConversationState.WAITING
    await world.write_topic(thread, "what is noteworthy // and what not")
    await world.said(ann, "noteworthy // and")


@pytest.mark.parametrize(
    "text", ["／／ she lies", "、、 she lies", "/／ she lies", "／/ she lies", "／note she lies"]
)
async def test_a_note_typed_with_a_chinese_or_japanese_keyboard_stays_in_the_topic(
    bot: Running, world: World, decider: Decider, rows: Rows, text: str
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    thread = card["message_thread_id"]
    await world.write_topic(thread, text)
    (told,) = await world.said(OPERATORS_CHAT, "not sent to the customer")
    assert told["message_thread_id"] == thread
    if not text.startswith("／note"):
        await world.ask("POST", f"operators/{OLGA}/photo", {"caption": text, "thread": thread})
        await world.said(OPERATORS_CHAT, "not sent to the customer", count=2)
    assert rows.all(Conversation)[0].state is ConversationState.WAITING
    await world.write_topic(thread, "、1／2 is what remains")
    await world.said(ann, "、1／2 is what remains")
    assert len(await world.calls("copyMessage", ann)) == 1


async def test_a_command_with_a_full_width_slash_is_carried_out_and_never_sent(
    bot: Running, world: World, decider: Decider, rows: Rows
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    thread = card["message_thread_id"]
    await world.write_topic(None, "／id")
    await world.said(OPERATORS_CHAT, "OPERATOR_CHAT_ID")
    await world.write_topic(thread, "／take")
    await world.said(OPERATORS_CHAT, "taken by Olga")
    await world.write_topic(thread, "／resovle")
    await world.said(OPERATORS_CHAT, "／resovle is no command")
    await world.write_topic(thread, "／take@other_bot")
    await world.ask("POST", f"operators/{OLGA}/photo", {"caption": "／take", "thread": thread})
    await world.said(OPERATORS_CHAT, "its caption or title begins with a slash")
    await rows.until(Inbox, count=6, state=InboxState.DONE)
    assert not await world.calls("copyMessage", ann)


async def test_answer_sends_what_its_words_find_and_has_the_operator_choose_among_several(
    bot: Running, world: World, rows: Rows, desk: Desk
) -> None:
    roster.add_operator(desk, OMAR, Role.AGENT, "Omar")
    ann = await world.customer("Ann")
    await world.write(ann, "/human")
    (card,) = await world.said(OPERATORS_CHAT, "Needs a person")
    thread = card["message_thread_id"]
    assert not [label for label in labels(card) if label.startswith("Answer")]
    await world.write_topic(thread, "/answer MONEY back")
    await world.said(ann, "you get your money back")
    (note,) = await world.said(OPERATORS_CHAT, "Olga sent the answer “I want my money back”")
    assert note["message_thread_id"] == thread
    await world.write_topic(thread, "／answer　我的 订单", OMAR)
    (sent,) = await world.said(ann, "Bouquets take 2 days, Ann.")
    assert labels(sent) == ["Track it", "Ask a person"]
    (line,) = await world.said(OPERATORS_CHAT, "Omar took over from Olga.")
    assert line["message_thread_id"] == thread
    await world.write_topic(thread, "/answer o")
    (asked,) = await world.said(OPERATORS_CHAT, "Several answers match; press")
    assert asked["message_thread_id"] == thread
    assert "Opening hours" in labels(asked)
    pressed = await world.press(asked, "Opening hours", OLGA)
    assert pressed["text"] == "Olga sent the answer “Opening hours”"
    await world.said(ann, "We are open")
    await world.said(OPERATORS_CHAT, "Olga took over from Omar.")
    await eventually(lambda: world.calls("editMessageReplyMarkup"))
    await world.write_topic(thread, "/answer")
    await world.said(OPERATORS_CHAT, "• Say hello")
    assert not rows.all(Feedback)
    assert not await world.calls("copyMessage", ann)


async def test_a_choice_of_answers_obeys_operators_alone(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    await world.write_topic(card["message_thread_id"], "/answer o", OMAR)
    await world.said(OPERATORS_CHAT, "Only operators can do that")
    await world.write_topic(card["message_thread_id"], "/answer o")
    (asked,) = await world.said(OPERATORS_CHAT, "Several answers match; press")
    pressed = await world.press(asked, "Opening hours", OMAR)
    assert pressed["show_alert"]
    assert "Only operators" in pressed["text"]
    assert not await world.said(ann, "We are open", count=0)


async def test_queue_says_in_general_and_in_topics_who_waits(
    bot: Running, world: World, decider: Decider
) -> None:
    await world.write_topic(None, "/queue")
    assert (await world.said(OPERATORS_CHAT, "Nobody is waiting"))[0]["text"].startswith("⏳")
    card = await card_of(world, decider, await world.customer("Ann"), "outrageous")
    await world.write_topic(card["message_thread_id"], "/queue")
    answer = (await world.said(OPERATORS_CHAT, "One customer is waiting"))[0]
    assert answer["message_thread_id"] == card["message_thread_id"]
    assert "• Ann · Make a complaint – a minute" in answer["text"]
    (link,) = [mark for mark in answer["entities"] if mark["type"] == "text_link"]
    assert link["url"].endswith(f"/{card['message_thread_id']}")


async def test_report_says_what_became_of_the_messages(
    bot: Running, world: World, decider: Decider
) -> None:
    card = await card_of(world, decider, await world.customer("Ann"), "outrageous")
    await world.write_topic(card["message_thread_id"], "/report")
    answer = (await world.said(OPERATORS_CHAT, "Last 7 days: one message."))[0]
    assert answer["message_thread_id"] == card["message_thread_id"]
    assert "To a person: 1 (100%)" in answer["text"]
    assert "Ann" not in answer["text"]


@pytest.mark.parametrize("command", ["queue", "report"])
async def test_an_answer_that_can_not_be_made_holds_up_nobody(
    bot: Running, world: World, monkeypatch: pytest.MonkeyPatch, rows: Rows, command: str
) -> None:
    def broken(desk: Desk) -> str:
        raise ValueError("nobody foresaw that")

    monkeypatch.setitem(sender.MADE_WHEN_SENT, f"{command}:", broken)
    await world.write_topic(None, f"/{command}")
    await eventually(lambda: rows.all(DeliveryRow, state=DeliveryState.FAILED))
    await world.write_topic(None, "/help")
    await world.said(OPERATORS_CHAT, "/retrain")
