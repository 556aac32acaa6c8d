"""What customers do, from their message to the reply, through everything but the classifier."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiogram.enums import ContentType
from redis import Redis
from structlog.testing import capture_logs

from bot import indicator
from bot.app import BotOptions
from bot.customers import NOTICES
from desk import queues
from desk.domain import Author, ConversationState, FeedbackKind, InboxState, MessageState
from desk.inert import defused
from desk.tables import Conversation, Customer, DeliveryRow, Feedback, Inbox, Message
from simulator import people
from simulator.app import Simulator
from simulator.world import OPERATORS_CHAT
from tests.bot.conftest import Decider, Rows, Running, Starter, World, eventually


def labels(message: dict[str, Any]) -> list[str]:
    rows = message.get("reply_markup", {}).get("inline_keyboard", [])
    return [button["text"] for row in rows for button in row]


async def test_start_greets_by_name_and_offers_the_packs_topics(bot: Running, world: World) -> None:
    ann = await world.customer("Ann")
    reply = await world.reply(await world.write(ann, "/start"))
    assert reply["text"] == "Hello Ann, welcome to Fern & Petal!"
    assert labels(reply)[:2] == ["Opening hours", "Where is my order?"]
    assert labels(reply)[-1] == "Talk to a person"


async def test_a_link_with_a_topic_shows_its_answer_and_is_kept_whole(
    bot: Running, world: World, rows: Rows
) -> None:
    ann = await world.customer("Ann")
    await world.write(ann, "/start order_status")
    await world.said(ann, "Bouquets take 2 days, Ann.")
    shown = [message["text"] for message in await world.said(ann, "")]
    assert shown[-2:] == ["Hello Ann, welcome to Fern & Petal!", "Bouquets take 2 days, Ann."]
    (said,) = rows.all(Message, author=Author.CUSTOMER)
    assert said.text == "/start order_status"


async def test_privacy_says_what_becomes_of_what_one_writes(bot: Running, world: World) -> None:
    ann = await world.customer("Ann")
    reply = await world.reply(await world.write(ann, "/PRIVACY"))
    assert reply["text"].startswith("A bot reads what you write here first")


async def test_start_speaks_the_customers_language(bot: Running, world: World) -> None:
    li = await world.customer("Li", "zh-hans")
    reply = await world.reply(await world.write(li, "/start"))
    assert reply["text"] == "Li您好，欢迎来到 Fern & Petal！"


async def test_customers_are_greeted_by_their_first_name(bot: Running, world: World) -> None:
    ann = await world.customer("Ann", last_name="Lovelace")
    reply = await world.reply(await world.write(ann, "/start"))
    assert reply["text"] == "Hello Ann, welcome to Fern & Petal!"
    await world.write(ann, "/human")
    (card,) = await world.said(OPERATORS_CHAT, "Needs a person")
    assert "Ann Lovelace" in card["text"]


async def test_help_says_what_one_can_do(bot: Running, world: World) -> None:
    ann = await world.customer()
    reply = await world.reply(await world.write(ann, "/help"))
    assert "/human" in reply["text"]


@pytest.mark.parametrize("command", ["/settings", "/id", "/order_4711"])
async def test_a_command_that_nobody_knows_gets_the_help_and_is_not_classified(
    command: str, bot: Running, world: World, rows: Rows
) -> None:
    ann = await world.customer()
    reply = await world.reply(await world.write(ann, command))
    assert "/human" in reply["text"]
    (said,) = rows.all(Message, author=Author.CUSTOMER)
    assert (said.text, said.state, said.attempt) == (command, MessageState.DECIDED, 0)


@pytest.mark.parametrize("text", ["/refund where is my money", "/ hello", "//", "/"])
async def test_words_behind_a_slash_are_a_question(
    text: str, bot: Running, world: World, rows: Rows
) -> None:
    ann = await world.customer()
    await world.write(ann, text)
    (asked,) = await rows.until(Message, state=MessageState.PENDING)
    assert asked.text == text


async def test_human_calls_a_person_into_a_topic_with_the_customers_name(
    bot: Running, world: World
) -> None:
    ann = await world.customer("Ann")
    await world.reply(await world.write(ann, "/human"), "colleague")
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
    (topic,) = await world.topics()
    assert topic["name"] == "Ann"
    assert card["message_thread_id"] == topic["message_thread_id"]
    assert "the customer asked for a person" in card["text"]


async def test_a_text_is_enqueued_by_its_id_alone_and_answered_when_decided(
    bot: Running, world: World, decider: Decider, redis: Redis
) -> None:
    ann = await world.customer("Ann")
    asked = await world.write(ann, "where are my flowers?")
    (job_id,) = await eventually(lambda: queues.queue(queues.CLASSIFY, redis).job_ids)
    job = queues.queue(queues.CLASSIFY, redis).fetch_job(job_id)
    assert job is not None
    assert job.func_name == queues.CLASSIFY_JOB
    stored = json.dumps({str(k): str(v) for k, v in redis.hgetall(job.key).items()})
    assert "flowers" not in stored
    await decider.decide(("order_status", 0.95))
    reply = await world.reply(asked)
    assert reply["text"] == "Bouquets take 2 days, Ann."
    assert labels(reply)[-2:] == ["👍", "👎"]


async def test_a_text_waits_in_sql_when_redis_is_away(
    start_bot: Starter, options: BotOptions, world: World, rows: Rows, tmp_path: object
) -> None:
    nowhere = BotOptions(
        options.desk, options.token, options.api_url, f"unix://{tmp_path}/none", options.data_dir
    )
    await start_bot(nowhere)
    ann = await world.customer()
    with capture_logs() as logs:
        await world.write(ann, "hello?")
        (message,) = await rows.until(Message, state=MessageState.PENDING)
        assert message.attempt == 1
        await eventually(lambda: [entry for entry in logs if entry["log_level"] == "warning"])
    assert [e["event"] for e in logs if e["log_level"] == "warning"] == ["not_enqueued"]
    # Without Redis nobody wakes the sender, and it looks by itself.
    help_ = await world.write(ann, "/help")
    assert "/human" in (await world.reply(help_))["text"]


async def test_replies_keep_the_order_of_the_questions(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    first = await world.write(ann, "when do you open?")
    await world.write(ann, "where are my flowers?")
    await decider.decide(("opening_hours", 0.95))
    await world.reply(first, "Monday")
    await decider.decide(("order_status", 0.95))
    said = await world.said(ann, count=2)
    assert [message["text"][:8] for message in said] == ["We are o", "Bouquets"]


async def test_close_intents_are_asked_back_and_the_choice_answers_and_labels(
    bot: Running, world: World, decider: Decider, rows: Rows
) -> None:
    ann = await world.customer("Ann")
    asked = await world.write(ann, "about my flowers")
    await decider.decide(("order_status", 0.4), ("refund", 0.35))
    question = await world.reply(asked, "Did you mean")
    assert labels(question) == ["Where is my order?", "I want my money back", "Talk to a person"]
    pressed = await world.press(question, "I want my money back")
    assert pressed["answered"]
    answer = await world.reply(question, "Send us a photo")
    assert labels(answer) == ["👍", "👎"]
    (feedback,) = rows.all(Feedback)
    assert (feedback.kind, feedback.intent) == (FeedbackKind.CLARIFIED, "refund")

    async def keyboard_gone() -> bool:
        shown = await world.ask("GET", f"chats/{ann}/messages")
        return not any(labels(m) for m in shown if m["message_id"] == question["message_id"])

    await eventually(keyboard_gone)


async def test_a_thumb_down_is_kept_and_offers_a_person(
    bot: Running, world: World, decider: Decider, rows: Rows
) -> None:
    ann = await world.customer("Ann")
    asked = await world.write(ann, "where are my flowers?")
    await decider.decide(("order_status", 0.95))
    answer = await world.reply(asked)
    await world.press(answer, "👎")
    sorry = await world.reply(answer, "Shall I call a colleague?")
    assert [row.kind for row in rows.all(Feedback)] == [FeedbackKind.THUMB_DOWN]
    await world.press(sorry, "Talk to a person")
    assert "where are my flowers?" in (await world.said(OPERATORS_CHAT, "Needs"))[0]["text"]


async def test_a_thumb_up_thanks_without_a_message(
    bot: Running, world: World, decider: Decider, rows: Rows
) -> None:
    ann = await world.customer("Ann")
    asked = await world.write(ann, "where are my flowers?")
    await decider.decide(("order_status", 0.95))
    pressed = await world.press(await world.reply(asked), "👍")
    assert pressed["text"] == "Thank you!"
    assert [row.kind for row in rows.all(Feedback)] == [FeedbackKind.THUMB_UP]
    assert len(await world.said(ann)) == 1


async def test_a_press_of_somebody_elses_button_is_refused(
    bot: Running, world: World, simulator: Simulator, rows: Rows
) -> None:
    ann, eve = await world.customer("Ann"), await world.customer("Eve")
    hers = await world.reply(await world.write(ann, "/start"))
    own = await world.reply(await world.write(eve, "/start"))
    # Callback data comes from the client, which may send what it likes.
    chat = next(chat for chat in simulator.world.privates.values() if chat.id == eve)
    shown = chat.messages[own["message_id"]].inline_keyboard
    assert shown is not None
    shown[0][0]["callback_data"] = hers["reply_markup"]["inline_keyboard"][0][0]["callback_data"]
    pressed = await world.press(own, "Opening hours")
    assert pressed["show_alert"]
    assert "no longer valid" in pressed["text"]
    shown[0][0]["callback_data"] = "made up"
    assert (await world.press(own, "Opening hours"))["show_alert"]
    assert {message.text for message in rows.all(Message, author=Author.CUSTOMER)} == {"/start"}


async def test_a_photo_is_copied_to_the_operators_with_its_caption(
    bot: Running, world: World
) -> None:
    ann = await world.customer("Ann")
    sent = await world.ask("POST", f"customers/{ann}/photo", {"caption": "it arrived like this"})
    await world.reply(sent, "colleague")

    async def copy() -> list[dict[str, Any]]:
        shown = await world.ask("GET", f"chats/{OPERATORS_CHAT}/messages")
        return [message for message in shown if "photo" in message]

    (photo,) = await eventually(copy)
    assert photo["caption"] == "it arrived like this"
    assert photo["message_thread_id"] == (await world.topics())[0]["message_thread_id"]


async def test_a_photos_caption_is_read_and_not_answered(
    bot: Running, world: World, decider: Decider, rows: Rows
) -> None:
    ann = await world.customer("Ann")
    sent = await world.ask("POST", f"customers/{ann}/photo", {"caption": "is it on its way?"})
    await world.reply(sent, "colleague")
    await decider.decide(("order_status", 0.95))
    await world.said(OPERATORS_CHAT, "Where is my order? 95%")
    (said,) = rows.all(Message, author=Author.CUSTOMER)
    assert said.state is MessageState.DECIDED
    await world.ask("POST", f"customers/{ann}/photo", {})
    await rows.until(Message, 2, author=Author.CUSTOMER)
    assert await asyncio.to_thread(decider.pending) == [], "nothing to read"
    assert len(rows.all(DeliveryRow, chat_id=ann, key=f"answer:{said.id}")) == 0


async def test_a_file_is_passed_on_and_never_downloaded(bot: Running, world: World) -> None:
    ann = await world.customer("Ann")
    for kind in ("photo", "document", "voice"):
        await world.ask("POST", f"customers/{ann}/{kind}", {})
    await eventually(lambda: _three_copies(world))
    assert await world.calls("getFile") == []


async def _three_copies(world: World) -> bool:
    return len(await world.calls("copyMessage", OPERATORS_CHAT)) == 3


@pytest.mark.parametrize(
    ("caption", "why"),
    [
        ("/human it arrived broken", "the customer asked for a person"),
        ("/help", "the customer sent a file"),
        ("/start", "the customer sent a file"),
    ],
)
async def test_a_photo_calls_a_person_and_is_copied_though_its_caption_is_a_command(
    caption: str, why: str, bot: Running, world: World
) -> None:
    ann = await world.customer("Ann")
    sent = await world.ask("POST", f"customers/{ann}/photo", {"caption": caption})
    await world.reply(sent, "colleague")
    (card,) = await world.said(OPERATORS_CHAT, "Needs a person")
    assert defused(caption) in card["text"]
    assert why in card["text"]
    (copied,) = await eventually(lambda: world.calls("copyMessage", OPERATORS_CHAT))
    assert copied["params"]["message_id"] == sent["message_id"]
    assert len(await world.said(ann)) == 1


async def test_an_album_calls_a_person_once_and_arrives_whole(bot: Running, world: World) -> None:
    ann = await world.customer("Ann")
    for number in range(3):
        await world.ask("POST", f"customers/{ann}/photo", {"caption": f"picture {number}"})

    async def copies() -> list[dict[str, Any]] | None:
        shown = await world.ask("GET", f"chats/{OPERATORS_CHAT}/messages")
        found = [message for message in shown if "photo" in message]
        return found if len(found) == 3 else None

    found = await eventually(copies)
    assert [message["caption"] for message in found] == ["picture 0", "picture 1", "picture 2"]
    assert len(await world.said(OPERATORS_CHAT, "Needs a person")) == 1
    assert len(await world.said(ann)) == 1


async def test_a_voice_message_calls_a_person_and_a_sticker_does_not(
    bot: Running, world: World, rows: Rows
) -> None:
    ann, bob = await world.customer("Ann"), await world.customer("Bob")
    await world.ask("POST", f"customers/{bob}/other", {"kind": "sticker"})
    await world.ask("POST", f"customers/{ann}/voice", {})
    (card,) = await world.said(OPERATORS_CHAT, "Needs a person")
    assert "the customer sent a voice message" in card["text"]
    await rows.until(Inbox, count=2, state=InboxState.DONE)
    await world.said(bob, "welcome")
    assert len(await world.said(OPERATORS_CHAT, "Needs a person")) == 1


SENT = {
    ContentType.ANIMATION,
    ContentType.AUDIO,
    ContentType.CHECKLIST,
    ContentType.CONTACT,
    ContentType.DICE,
    ContentType.DOCUMENT,
    ContentType.GAME,
    ContentType.GIVEAWAY,
    ContentType.GIVEAWAY_WINNERS,
    ContentType.INVOICE,
    ContentType.LIVE_PHOTO,
    ContentType.LOCATION,
    ContentType.PAID_MEDIA,
    ContentType.PHOTO,
    ContentType.POLL,
    ContentType.RICH_MESSAGE,
    ContentType.STICKER,
    ContentType.STORY,
    ContentType.TEXT,
    ContentType.UNKNOWN,
    ContentType.VENUE,
    ContentType.VIDEO,
    ContentType.VIDEO_NOTE,
    ContentType.VOICE,
}
"""What a person sends."""


def test_every_kind_of_message_is_sent_by_a_person_or_a_notice_and_none_is_both() -> None:
    # A kind that a new aiogram knows is to be put into one of the two.
    assert {*ContentType} - {ContentType.ANY} == SENT | NOTICES
    assert not SENT & NOTICES


LOCATION = {"location": {"latitude": 51.5, "longitude": -0.1}}
LIVE_PHOTO = {
    "live_photo": {"file_id": "L", "file_unique_id": "l", "width": 4, "height": 3, "duration": 2},
    "photo": [{"file_id": "P", "file_unique_id": "p", "width": 4, "height": 3}],
}
CLIP = {"file_id": "A", "file_unique_id": "a"}
SOUNDLESS_VIDEO = {"animation": CLIP | {"width": 4, "height": 3, "duration": 2}, "document": CLIP}
RICH_MESSAGE = {
    "rich_message": {"blocks": [{"type": "photo", "caption": {"text": "it is broken"}}]}
}


@pytest.mark.parametrize(
    ("content", "shown", "why"),
    [
        (LOCATION, "[a location]", "a location"),
        (LIVE_PHOTO, "[a photo]", "a photo"),
        (RICH_MESSAGE, "it is broken", "a file, or something else that the bot can't read"),
        (
            {"hologram": {"depth": 3}},
            "[unknown]",
            "a file, or something else that the bot can't read",
        ),
        (SOUNDLESS_VIDEO, "[a video]", "a video"),
    ],
    ids=["location", "live photo", "rich message", "what comes next", "video without sound"],
)
async def test_whatever_kind_of_message_it_is_it_calls_a_person_and_is_copied(
    content: dict[str, Any],
    shown: str,
    why: str,
    bot: Running,
    world: World,
    simulator: Simulator,
) -> None:
    ann = await world.customer("Ann")
    telegram = simulator.world
    chat = telegram.private_chat(telegram.bots[0], telegram.users[ann])
    sent = people.write(telegram, chat, telegram.users[ann], extra=content)
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
    assert shown in card["text"]
    assert f"the customer sent {why}" in card["text"]
    (copied,) = await eventually(lambda: world.calls("copyMessage", OPERATORS_CHAT))
    assert copied["params"]["message_id"] == sent.message_id


async def test_a_notice_of_telegrams_calls_nobody(
    bot: Running, world: World, simulator: Simulator, rows: Rows
) -> None:
    ann = await world.customer("Ann")
    telegram = simulator.world
    chat = telegram.private_chat(telegram.bots[0], telegram.users[ann])
    notice = {"message_auto_delete_timer_changed": {"message_auto_delete_time": 86400}}
    people.write(telegram, chat, telegram.users[ann], extra=notice)
    await rows.until(Inbox, state=InboxState.DONE)
    assert not rows.all(Message)


async def test_a_command_may_be_shouted_and_a_question_may_follow_the_call_for_help(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    await world.reply(await world.write(ann, "/HUMAN"), "colleague")
    ben = await world.customer("Ben")
    asked = await world.write(ben, "/help when do you open?")
    await decider.decide(("opening_hours", 0.99))
    await world.reply(asked, "Monday")


@pytest.mark.parametrize("command", ["/help", "/HELP", "/help@frontdesk_bot"])
async def test_help_is_no_news_for_who_is_awaited_however_it_is_written(
    command: str, bot: Running, world: World
) -> None:
    ann = await world.customer("Ann")
    await world.reply(await world.write(ann, "/human"), "colleague")
    asked = await world.write(ann, command)
    assert "/human" in (await world.reply(asked))["text"]
    await world.write(ann, "/4711")
    await world.said(OPERATORS_CHAT, defused("/4711"))
    assert not await world.said(OPERATORS_CHAT, defused(command), count=0)


async def test_an_edit_is_no_second_question(bot: Running, world: World, rows: Rows) -> None:
    ann = await world.customer()
    await world.reply(await world.write(ann, "/help"))
    sent = await world.write(ann, "where are my flowrs?")
    body = {"message_id": sent["message_id"], "text": "where are my flowers?"}
    await world.ask("POST", f"customers/{ann}/edit", body)
    await world.reply(await world.write(ann, "/help"))
    said = [message.text for message in rows.all(Message, author=Author.CUSTOMER)]
    assert said == ["/help", "where are my flowers?", "/help"]


async def test_typing_is_shown_when_the_decision_takes_longer(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer()
    asked = await world.write(ann, "where are my flowers?")
    await eventually(lambda: world.calls("sendChatAction", ann))
    await decider.decide(("order_status", 0.95))
    await world.reply(asked)


async def test_typing_is_not_shown_for_a_quick_reply(
    bot: Running, world: World, decider: Decider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indicator, "PATIENCE", 2.0)  # which a slow machine may take to decide
    ann = await world.customer()
    asked = await world.write(ann, "where are my flowers?")
    await decider.decide(("order_status", 0.95))
    await world.reply(asked)
    await asyncio.sleep(indicator.PATIENCE + 0.2)
    assert not await world.calls("sendChatAction", ann)


async def test_one_who_blocks_the_bot_is_gone_until_they_come_back(
    bot: Running, world: World, rows: Rows
) -> None:
    ann = await world.customer()
    await world.reply(await world.write(ann, "/start"))
    await world.ask("POST", f"customers/{ann}/block")
    await rows.until(Customer, gone=True)
    await world.ask("POST", f"customers/{ann}/unblock")
    await rows.until(Customer, gone=False)


async def test_after_waiting_for_a_person_a_text_is_passed_on_without_a_second_promise(
    bot: Running, world: World, decider: Decider, rows: Rows
) -> None:
    ann = await world.customer("Ann")
    promise = await world.reply(await world.write(ann, "/human"))
    await world.write(ann, "are you there?")
    await decider.decide(("opening_hours", 0.95))
    await world.said(OPERATORS_CHAT, "are you there?")
    assert [message["text"] for message in await world.said(ann)] == [promise["text"]]
    assert rows.all(Conversation)[0].state is ConversationState.WAITING
    assert all(row.error is None for row in rows.all(DeliveryRow))
