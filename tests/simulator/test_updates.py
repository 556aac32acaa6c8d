"""getUpdates: offsets, long polling, rival pollers, allowed_updates, callback queries."""

from __future__ import annotations

import asyncio
import time

from .conftest import GROUP, OLGA, OMAR, Bot, Control


async def three(bot: Bot, control: Control) -> tuple[int, list[int]]:
    ada = await control.customer(start=False)
    for text in ("one", "two", "three"):
        await control.post(f"customers/{ada}/send", text=text)
    return ada, [update["update_id"] for update in await bot.updates()]


async def test_update_ids_grow_by_one(bot: Bot, control: Control) -> None:
    _, ids = await three(bot, control)
    assert ids == [ids[0], ids[0] + 1, ids[0] + 2]


async def test_an_update_comes_again_until_a_higher_offset_confirms_it(
    bot: Bot, control: Control
) -> None:
    _, ids = await three(bot, control)
    assert len(await bot.updates()) == 3
    assert len(await bot.updates(offset=ids[0])) == 3
    assert [u["update_id"] for u in await bot.updates(offset=ids[1])] == ids[1:]
    assert [u["update_id"] for u in await bot.updates(offset=ids[0])] == ids[1:]


async def test_a_negative_offset_keeps_only_the_last_ones(bot: Bot, control: Control) -> None:
    _, ids = await three(bot, control)
    assert [u["update_id"] for u in await bot.updates(offset=-1)] == ids[2:]
    assert [u["update_id"] for u in await bot.updates()] == ids[2:]


async def test_limit_takes_the_oldest_first(bot: Bot, control: Control) -> None:
    _, ids = await three(bot, control)
    assert [u["update_id"] for u in await bot.updates(limit=2)] == ids[:2]
    assert len(await bot.updates(limit=0)) == 3


async def test_a_long_poll_ends_when_something_comes(bot: Bot, control: Control) -> None:
    poll = asyncio.create_task(bot.updates(timeout=20))
    await asyncio.sleep(0.05)
    started = time.monotonic()
    await control.customer()
    assert len(await poll) == 1
    assert time.monotonic() - started < 2


async def test_a_long_poll_without_news_ends_empty_after_its_timeout(bot: Bot) -> None:
    started = time.monotonic()
    assert await bot.updates(timeout=1) == []
    assert 0.9 < time.monotonic() - started < 3


async def test_the_older_of_two_pollers_gets_409(bot: Bot, control: Control) -> None:
    older = asyncio.create_task(bot.answer("getUpdates", timeout=20))
    await asyncio.sleep(0.05)
    newer = asyncio.create_task(bot.answer("getUpdates", timeout=20))
    body = await older
    assert body["error_code"] == 409
    assert body["description"] == (
        "Conflict: terminated by other getUpdates request; "
        "make sure that only one bot instance is running"
    )
    await control.customer()
    assert len((await newer)["result"]) == 1


async def test_polling_is_refused_while_a_webhook_is_set(bot: Bot) -> None:
    poll = asyncio.create_task(bot.answer("getUpdates", timeout=20))
    await asyncio.sleep(0.05)
    await bot.call("setWebhook", url="http://127.0.0.1:1/")
    assert (await poll)["error_code"] == 409
    refusal = await bot.refused("getUpdates")
    assert refusal.startswith("Conflict: can't use getUpdates method while webhook is active")
    await bot.call("deleteWebhook")
    assert await bot.updates() == []


async def test_updates_are_snapshots(bot: Bot, control: Control) -> None:
    ada = await control.customer(start=False)
    sent = await control.post(f"customers/{ada}/send", text="before")
    await control.post(f"customers/{ada}/edit", message_id=sent["message_id"], text="after")
    first, second = await bot.updates()
    assert first["message"]["text"] == "before"
    assert second["edited_message"]["text"] == "after"
    assert "edit_date" in second["edited_message"]


async def test_allowed_updates_are_remembered(bot: Bot, control: Control) -> None:
    await bot.updates(allowed_updates=["edited_message"])
    ada = await control.customer()
    await control.post(f"customers/{ada}/edit", message_id=1, text="changed")
    assert [set(u) - {"update_id"} for u in await bot.updates()] == [{"edited_message"}]
    await bot.updates(allowed_updates=[])
    await control.post(f"customers/{ada}/send", text="x")
    assert "message" in (await bot.updates())[-1]


async def test_reactions_come_only_when_asked_for(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    sent = await bot.call("sendMessage", chat_id=ada, text="x")
    like = {"message_id": sent["message_id"], "emoji": "👍"}
    await control.post(f"customers/{ada}/react", **like)
    assert all("message_reaction" not in u for u in await bot.updates())
    await bot.updates(allowed_updates=["message_reaction"])
    await control.post(f"customers/{ada}/react", **(like | {"emoji": None}))
    change = (await bot.updates())[-1]["message_reaction"]
    assert change["old_reaction"] == [{"type": "emoji", "emoji": "👍"}]
    assert change["new_reaction"] == []
    assert change["user"]["id"] == ada


async def test_reactions_in_a_group_come_only_to_an_admin(bot: Bot, control: Control) -> None:
    await bot.updates(allowed_updates=["message_reaction"])
    message = await control.post(f"operators/{OLGA}/send", text="x")
    await control.patch(f"chats/{GROUP}", bot={"status": "member"})
    await control.post(f"operators/{OMAR}/react", message_id=message["message_id"], emoji="👍")
    assert await bot.updates() == []
    await control.patch(f"chats/{GROUP}", bot={"status": "administrator"})
    await control.post(f"operators/{OMAR}/react", message_id=message["message_id"], emoji="🔥")
    assert len(await bot.updates()) == 1


async def test_a_bot_without_admin_rights_sees_only_what_is_meant_for_it(
    bot: Bot, control: Control
) -> None:
    topic = await bot.call("createForumTopic", chat_id=GROUP, name="Ada")
    await control.patch(f"chats/{GROUP}", bot={"status": "member"})
    (demoted,) = [u["my_chat_member"] for u in await bot.updates() if "my_chat_member" in u]
    statuses = [demoted[side]["status"] for side in ("old_chat_member", "new_chat_member")]
    assert statuses == ["administrator", "member"]
    mine = await bot.call("sendMessage", chat_id=GROUP, text="hello")
    for body in (
        {"text": "among ourselves"},
        {"text": "/stats"},
        {"text": "hey @frontdesk_bot"},
        {"text": "I agree", "reply_to": mine["message_id"]},
        {"text": "in a topic of the bot's", "thread": topic["message_thread_id"]},
    ):
        await control.post(f"operators/{OLGA}/send", **body)
    seen = [u["message"]["text"] for u in await bot.updates() if "message" in u]
    assert seen == ["/stats", "hey @frontdesk_bot", "I agree"]


async def test_a_bots_own_messages_are_no_updates(bot: Bot, control: Control) -> None:
    ada = await control.customer(start=False)
    await control.post(f"customers/{ada}/start", payload="abc")
    await bot.call("sendMessage", chat_id=ada, text="x")
    await bot.call("createForumTopic", chat_id=GROUP, name="Ada")
    assert [u["message"]["text"] for u in await bot.updates()] == ["/start abc"]


async def test_blocking_is_told_as_my_chat_member(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    await control.post(f"customers/{ada}/block")
    await control.post(f"customers/{ada}/unblock")
    changes = [u["my_chat_member"] for u in await bot.updates() if "my_chat_member" in u]
    assert [(c["old_chat_member"]["status"], c["new_chat_member"]["status"]) for c in changes] == [
        ("member", "kicked"),
        ("kicked", "member"),
    ]


async def test_a_press_waits_for_its_answer(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    markup = {"inline_keyboard": [[{"text": "Yes", "callback_data": "y:1"}]]}
    sent = await bot.call("sendMessage", chat_id=ada, text="Sure?", reply_markup=markup)
    offset = (await bot.updates())[-1]["update_id"] + 1
    press = asyncio.create_task(
        control.post(f"customers/{ada}/press", message_id=sent["message_id"], text="Yes")
    )
    query = (await bot.updates(offset=offset, timeout=5))[0]["callback_query"]
    assert query["data"] == "y:1"
    assert query["from"]["id"] == ada
    assert query["message"]["reply_markup"] == markup
    await bot.call("answerCallbackQuery", callback_query_id=query["id"], text="Ok", show_alert=True)
    answer = await press
    assert (answer["answered"], answer["text"], answer["show_alert"]) == (True, "Ok", True)


async def test_unknown_and_expired_queries_are_refused(bot: Bot, control: Control) -> None:
    too_old = "Bad Request: query is too old and response timeout expired or query ID is invalid"
    assert await bot.refused("answerCallbackQuery", callback_query_id="1") == too_old
    ada = await control.customer()
    markup = {"inline_keyboard": [[{"text": "Yes", "callback_data": "y"}]]}
    sent = await bot.call("sendMessage", chat_id=ada, text="Sure?", reply_markup=markup)
    await control.patch("settings", callback_timeout=0)
    press = {"message_id": sent["message_id"], "data": "y", "timeout": 0}
    answer = await control.post(f"customers/{ada}/press", **press)
    assert answer["answered"] is False
    query = (await bot.updates())[-1]["callback_query"]
    assert await bot.refused("answerCallbackQuery", callback_query_id=query["id"]) == too_old


async def test_a_press_that_nobody_fetches_is_forgotten_long_before_a_message_is(
    bot: Bot, control: Control
) -> None:
    ada = await control.customer()
    markup = {"inline_keyboard": [[{"text": "Yes", "callback_data": "y"}]]}
    sent = await bot.call("sendMessage", chat_id=ada, text="Sure?", reply_markup=markup)
    await control.patch("settings", callback_lifetime=0.5)
    press = {"message_id": sent["message_id"], "data": "y", "timeout": 0}
    await control.post(f"customers/{ada}/press", **press)
    assert ["callback_query" in update for update in await bot.updates()] == [False, True]
    await asyncio.sleep(0.6)
    assert (await bot.call("getWebhookInfo"))["pending_update_count"] == 1
    assert [update["message"]["text"] for update in await bot.updates()] == ["/start"]


async def test_a_press_is_kept_for_two_and_a_half_minutes_unless_told_otherwise(
    control: Control,
) -> None:
    assert (await control.get("settings"))["callback_lifetime"] == 150
    switched = await control.patch("settings", limits=False)
    assert switched["callback_lifetime"] == 150
