"""Two bot libraries judge the simulator: both must parse every object it returns, and rightly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiogram
import pytest
import telegram
from aiogram import exceptions
from aiogram.client.default import DefaultBotProperties
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.types import (
    BotCommand,
    BufferedInputFile,
    ChatMemberAdministrator,
    ChatMemberLeft,
    ChatMemberMember,
    ChatMemberOwner,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    MessageOriginUser,
    ReactionTypeEmoji,
    Update,
)
from telegram.request import HTTPXRequest

from simulator.app import Simulator
from simulator.files import sample_picture
from simulator.world import DEFAULT_TOKEN

from .conftest import GROUP, OLGA, OMAR, Control

PNG = sample_picture(40, 30)


@pytest.fixture
async def gram(simulator: Simulator) -> AsyncIterator[aiogram.Bot]:
    session = AiohttpSession(api=TelegramAPIServer.from_base(simulator.url))
    bot = aiogram.Bot(DEFAULT_TOKEN, session, default=DefaultBotProperties(parse_mode="HTML"))
    yield bot
    await session.close()


@pytest.fixture
async def ptb(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[telegram.Bot]:
    # Its coming way to tell a retry_after; the present one warns that it will go.
    monkeypatch.setenv("PTB_TIMEDELTA", "true")
    bot = telegram.Bot(
        DEFAULT_TOKEN,
        base_url=f"{simulator.url}/bot",
        base_file_url=f"{simulator.url}/file/bot",
        request=HTTPXRequest(connection_pool_size=8),
        get_updates_request=HTTPXRequest(connection_pool_size=2),
    )
    async with bot:
        yield bot


async def latest(bot: aiogram.Bot) -> Update:
    return (await bot.get_updates(offset=-1))[-1]


async def test_aiogram_reads_a_private_conversation(gram: aiogram.Bot, control: Control) -> None:
    me = await gram.get_me()
    assert (me.is_bot, me.username) == (True, "frontdesk_bot")
    ada = await control.customer("Ada", last_name="Lovelace", username="ada", language_code="en")
    message = (await latest(gram)).message
    assert message is not None
    assert message.from_user is not None
    assert (message.text, message.from_user.full_name) == ("/start", "Ada Lovelace")
    assert message.chat.type == "private"
    markup = InlineKeyboardMarkup(
        inline_keyboard=[[InlineKeyboardButton(text="Yes", callback_data="y")]]
    )
    sent = await gram.send_message(ada, "Hi <b>🙂 Ada</b>", reply_markup=markup)
    assert sent.html_text == "Hi <b>🙂 Ada</b>"
    edited = await gram.edit_message_text(
        "Hi <i>Ada</i>", chat_id=ada, message_id=sent.message_id, reply_markup=markup
    )
    assert isinstance(edited, aiogram.types.Message)
    assert edited.html_text == "Hi <i>Ada</i>"
    press = asyncio.create_task(
        control.post(f"customers/{ada}/press", message_id=sent.message_id, text="Yes")
    )
    await asyncio.sleep(0.05)
    query = (await latest(gram)).callback_query
    assert query is not None
    assert isinstance(query.message, aiogram.types.Message)
    assert (query.data, query.message.html_text) == ("y", "Hi <i>Ada</i>")
    await gram.answer_callback_query(query.id, "Ok")
    assert (await press)["text"] == "Ok"
    assert (await gram.copy_message(ada, ada, sent.message_id)).message_id == 3
    forwarded = await gram.forward_message(GROUP, ada, 1)
    assert isinstance(forwarded.forward_origin, MessageOriginUser)
    assert await gram.delete_message(ada, 3)
    assert await gram.send_chat_action(ada, "typing")
    chat = await gram.get_chat(ada)
    assert (chat.full_name, chat.active_usernames) == ("Ada Lovelace", ["ada"])


async def test_aiogram_reads_the_group_its_topics_and_members(
    gram: aiogram.Bot, control: Control
) -> None:
    topic = await gram.create_forum_topic(GROUP, "Ada", icon_color=7322096)
    thread = topic.message_thread_id
    sent = await gram.send_message(GROUP, "card", message_thread_id=thread)
    assert (sent.message_thread_id, sent.is_topic_message) == (thread, True)
    await control.post(f"operators/{OLGA}/send", text="hello", thread=thread)
    message = (await latest(gram)).message
    assert message is not None
    assert message.reply_to_message is not None
    assert message.reply_to_message.forum_topic_created is not None
    await control.post(f"operators/{OLGA}/topics/{thread}/rename", name="Ada L.")
    message = (await latest(gram)).message
    assert message is not None
    assert message.forum_topic_edited is not None
    assert message.forum_topic_edited.name == "Ada L."
    await control.post(f"operators/{OLGA}/topics/{thread}/close")
    message = (await latest(gram)).message
    assert message is not None
    assert message.forum_topic_closed is not None
    assert await gram.reopen_forum_topic(GROUP, thread)
    chat = await gram.get_chat(GROUP)
    assert (chat.is_forum, chat.title) == (True, "Support desk")
    assert chat.permissions is not None
    assert isinstance(await gram.get_chat_member(GROUP, OLGA), ChatMemberOwner)
    assert isinstance(await gram.get_chat_member(GROUP, OMAR), ChatMemberMember)
    ada = await control.customer()
    assert isinstance(await gram.get_chat_member(GROUP, ada), ChatMemberLeft)
    own = await gram.get_chat_member(GROUP, gram.id)
    assert isinstance(own, ChatMemberAdministrator)
    assert own.can_manage_topics is True
    assert len(await gram.get_chat_administrators(GROUP)) == 2
    assert await gram.delete_forum_topic(GROUP, thread)


async def test_aiogram_reads_files_reactions_and_the_rest(
    gram: aiogram.Bot, control: Control
) -> None:
    await gram.get_updates(allowed_updates=["message", "message_reaction", "my_chat_member"])
    ada = await control.customer()
    sent = await gram.send_photo(ada, BufferedInputFile(PNG, "cat.png"), caption="a <b>cat</b>")
    assert sent.photo is not None
    downloaded = await gram.download(sent.photo[-1])
    assert downloaded is not None
    assert downloaded.read() == PNG
    document = await gram.send_document(ada, BufferedInputFile(b"text", "note.txt"))
    assert document.document is not None
    assert document.document.mime_type == "text/plain"
    await control.post(f"customers/{ada}/react", message_id=sent.message_id, emoji="👍")
    reaction = (await latest(gram)).message_reaction
    assert reaction is not None
    (new,) = reaction.new_reaction
    assert isinstance(new, ReactionTypeEmoji)
    assert (new.emoji, reaction.old_reaction) == ("👍", [])
    for kind in ("sticker", "location", "contact"):
        await control.post(f"customers/{ada}/other", kind=kind)
        message = (await latest(gram)).message
        assert message is not None
        assert message.content_type == kind
    await control.post(f"customers/{ada}/voice")
    await control.post(f"customers/{ada}/block")
    change = (await latest(gram)).my_chat_member
    assert change is not None
    assert change.new_chat_member.status == "kicked"
    assert await gram.set_my_commands([BotCommand(command="help", description="Help")])
    (kept,) = await gram.get_my_commands()
    assert (kept.command, kept.description) == ("help", "Help")
    assert (await gram.get_webhook_info()).url == ""


async def test_aiogram_raises_its_own_errors(gram: aiogram.Bot, control: Control) -> None:
    ada = await control.customer()
    with pytest.raises(exceptions.TelegramBadRequest, match="Unsupported start tag"):
        await gram.send_message(ada, "<x>")
    await control.post(f"customers/{ada}/block")
    with pytest.raises(exceptions.TelegramForbiddenError, match="blocked by the user"):
        await gram.send_message(ada, "x")
    for kind, error in (
        ("too_many_requests", exceptions.TelegramRetryAfter),
        ("server_error", exceptions.TelegramServerError),
        ("lost", exceptions.TelegramNetworkError),
    ):
        await control.post("faults", kind=kind, method="getMe", status=500)
        with pytest.raises(error):
            await gram.get_me()
    await control.post("faults", kind="garbage_update")
    with pytest.raises(exceptions.ClientDecodeError):
        await gram.get_updates()


async def test_python_telegram_bot_reads_a_conversation(
    ptb: telegram.Bot, control: Control
) -> None:
    assert ptb.username == "frontdesk_bot"
    ada = await control.customer("Ada", username="ada")
    update = (await ptb.get_updates())[-1]
    assert update.message is not None
    assert update.message.parse_entities() == {update.message.entities[0]: "/start"}
    markup = telegram.InlineKeyboardMarkup(
        [[telegram.InlineKeyboardButton("Yes", callback_data="y")]]
    )
    sent = await ptb.send_message(
        ada, "Hi <b>Ada</b> <a href='https://a.example'>🙂 x</a>", "HTML", reply_markup=markup
    )
    assert sent.text_html == 'Hi <b>Ada</b> <a href="https://a.example/">🙂 x</a>'
    press = asyncio.create_task(
        control.post(f"customers/{ada}/press", message_id=sent.message_id, data="y")
    )
    query = (await ptb.get_updates(offset=update.update_id + 1, timeout=5))[0].callback_query
    assert query is not None
    assert await query.answer("Ok", show_alert=True)
    assert (await press)["show_alert"] is True
    edited = await query.edit_message_text("done")
    assert isinstance(edited, telegram.Message)
    assert edited.text == "done"
    photo = await ptb.send_photo(ada, PNG, caption="cat")
    file = await photo.photo[-1].get_file()
    assert bytes(await file.download_as_bytearray()) == PNG
    assert (await ptb.copy_message(ada, ada, photo.message_id)).message_id > photo.message_id
    assert await ptb.set_message_reaction(ada, 1, "👍")
    with pytest.raises(telegram.error.BadRequest, match="Message is not modified"):
        await query.edit_message_text("done")


async def test_python_telegram_bot_reads_the_group(ptb: telegram.Bot, control: Control) -> None:
    topic = await ptb.create_forum_topic(GROUP, "Ada")
    thread = topic.message_thread_id
    sent = await ptb.send_message(GROUP, "card", message_thread_id=thread)
    assert sent.is_topic_message
    await control.post(f"operators/{OMAR}/send", text="x", thread=thread)
    message = (await ptb.get_updates())[-1].message
    assert message is not None
    assert message.reply_to_message is not None
    assert message.reply_to_message.forum_topic_created is not None
    chat = await ptb.get_chat(GROUP)
    assert chat.is_forum
    assert isinstance(await ptb.get_chat_member(GROUP, OLGA), telegram.ChatMemberOwner)
    own = await ptb.get_chat_member(GROUP, ptb.id)
    assert isinstance(own, telegram.ChatMemberAdministrator)
    assert own.can_manage_topics
    assert len(await ptb.get_chat_administrators(GROUP)) == 2
    assert await ptb.close_forum_topic(GROUP, thread)
    with pytest.raises(telegram.error.BadRequest, match="Topic_not_modified"):
        await ptb.close_forum_topic(GROUP, thread)
    assert await ptb.delete_forum_topic(GROUP, thread)
    with pytest.raises(telegram.error.BadRequest, match="Message thread not found"):
        await ptb.send_message(GROUP, "x", message_thread_id=thread)


async def test_python_telegram_bot_raises_its_own_errors(
    ptb: telegram.Bot, control: Control
) -> None:
    ada = await control.customer()
    await control.post("faults", kind="too_many_requests", method="sendMessage", retry_after=9)
    with pytest.raises(telegram.error.RetryAfter, match="9"):
        await ptb.send_message(ada, "x")
    await control.post("faults", kind="server_error", method="sendMessage")
    with pytest.raises(telegram.error.NetworkError, match="Bad Gateway"):
        await ptb.send_message(ada, "x")
    await control.post(f"customers/{ada}/block")
    with pytest.raises(telegram.error.Forbidden):
        await ptb.send_message(ada, "x")
