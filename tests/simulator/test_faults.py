"""Faults on demand, and rate limits."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from typing import Any

import aiohttp
import pytest

from simulator.errors import ApiError
from simulator.limits import Limits

from .conftest import GROUP, Bot, Control


async def test_a_429_says_how_long_to_wait_and_nothing_is_sent(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    await control.post("faults", kind="too_many_requests", method="sendMessage", retry_after=7)
    body = await bot.answer("sendMessage", chat_id=ada, text="x")
    assert body == {
        "ok": False,
        "error_code": 429,
        "description": "Too Many Requests: retry after 7",
        "parameters": {"retry_after": 7},
    }
    assert len(await control.get(f"chats/{ada}/messages")) == 1
    await bot.call("sendMessage", chat_id=ada, text="x")


async def test_a_502_is_html_as_the_real_one(bot: Bot, control: Control) -> None:
    await control.post("faults", kind="server_error", method="getMe")
    async with bot.session.get(f"{bot.url}/bot{bot.token}/getMe") as response:
        assert response.status == 502
        assert response.content_type == "text/html"
        assert "502 Bad Gateway" in await response.text()
    await control.post("faults", kind="server_error", method="getMe", status=500)
    assert (await bot.answer("getMe"))["description"] == "Internal Server Error"


async def test_any_error_can_be_had(bot: Bot, control: Control) -> None:
    fault = {"kind": "error", "status": 403, "description": "Forbidden: user is deactivated"}
    await control.post("faults", method="getMe", **fault)
    body = await bot.answer("getMe")
    assert (body["error_code"], body["description"]) == (403, "Forbidden: user is deactivated")


async def test_an_error_carries_what_telegram_says_besides(bot: Bot, control: Control) -> None:
    moved = "Bad Request: group chat was upgraded to a supergroup chat"
    told = {"migrate_to_chat_id": -1001777}
    fault = {"kind": "error", "method": "sendMessage", "description": moved, "parameters": told}
    await control.post("faults", **fault)
    body = await bot.answer("sendMessage", chat_id=GROUP, text="x")
    assert (body["description"], body["parameters"]) == (moved, told)
    status, _ = await control.refused("POST", "faults", kind="error", parameters=[1])
    assert status == 400


@pytest.mark.parametrize(("kind", "sent"), [("lost", 1), ("refused", 0)])
async def test_a_dropped_connection_may_or_may_not_have_sent(
    bot: Bot, control: Control, kind: str, sent: int
) -> None:
    ada = await control.customer()
    await control.post("faults", kind=kind, method="sendMessage")
    with pytest.raises(aiohttp.ClientError):
        await bot.answer("sendMessage", chat_id=ada, text="x")
    assert len(await control.get(f"chats/{ada}/messages?from=bot")) == sent
    (entry,) = await control.get("log?method=sendMessage")
    assert (entry["fault"], entry["ok"]) == (kind, bool(sent))


async def test_a_slow_call_is_performed_late(bot: Bot, control: Control) -> None:
    await control.post("faults", kind="slow", method="getMe", seconds=0.3)
    started = time.monotonic()
    await bot.call("getMe")
    assert time.monotonic() - started >= 0.3


async def test_a_fault_keeps_to_its_method_its_chat_and_its_count(
    bot: Bot, control: Control
) -> None:
    ada, bob = await control.customer("Ada"), await control.customer("Bob")
    fault = {"kind": "error", "method": "SENDMESSAGE", "chat_id": ada, "times": 2}
    await control.post("faults", **fault)
    await bot.call("sendMessage", chat_id=bob, text="x")
    await bot.call("sendChatAction", chat_id=ada, action="typing")
    for _ in range(2):
        await bot.refused("sendMessage", chat_id=ada, text="x")
    await bot.call("sendMessage", chat_id=ada, text="x")
    assert (await control.get("faults"))["active"] == []


async def test_faults_can_be_cleared(bot: Bot, control: Control) -> None:
    await control.post("faults", kind="error", times=100)
    await control.request("DELETE", "faults")
    await bot.call("getMe")


async def test_unknown_faults_are_refused_with_the_known_ones(control: Control) -> None:
    status, sentence = await control.refused("POST", "faults", kind="meteor")
    assert status == 400
    assert "too_many_requests" in sentence
    assert "garbage_update" in sentence
    status, _ = await control.refused("POST", "faults", kind="error", status=200)
    assert status == 400


async def test_a_duplicate_comes_again_after_it_was_confirmed(bot: Bot, control: Control) -> None:
    await control.post("faults", kind="duplicate_update")
    ada = await control.customer(start=False)
    for text in ("one", "two"):
        await control.post(f"customers/{ada}/send", text=text)
    first = await bot.updates()
    again = await bot.updates(offset=first[-1]["update_id"] + 1)
    assert again == first[:1]
    assert await bot.updates(offset=first[-1]["update_id"] + 1) == []


async def test_a_batch_comes_out_of_order(bot: Bot, control: Control) -> None:
    await control.post("faults", kind="out_of_order", seconds=5)
    ada = await control.customer(start=False)
    await control.post(f"customers/{ada}/send", text="one")
    assert await bot.updates() == [], "one alone is held back"
    poll = asyncio.create_task(bot.updates(timeout=5))
    await asyncio.sleep(0.05)
    await control.post(f"customers/{ada}/send", text="two")
    assert [update["message"]["text"] for update in await poll] == ["two", "one"]


async def test_a_held_back_update_comes_when_no_second_does(bot: Bot, control: Control) -> None:
    await control.post("faults", kind="out_of_order", seconds=0.3)
    await control.customer()
    assert len(await bot.updates(timeout=5)) == 1


async def test_garbage_is_queued_like_any_update(bot: Bot, control: Control) -> None:
    injected = await control.post("faults", kind="garbage_update")
    own: dict[str, Any] = {"message": {"message_id": []}}
    await control.post("faults", kind="garbage_update", update=own)
    first, second = await bot.updates()
    assert first["update_id"] == injected["update_id"]
    assert first["message"]["message_id"] == "not a number"
    assert second["message"] == own["message"]


async def test_update_ids_can_start_anew(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    before = (await bot.updates())[0]["update_id"]
    await control.post("faults", kind="reset_update_id", next=5)
    await control.post(f"customers/{ada}/send", text="x")
    assert before > 5
    assert [u["update_id"] for u in await bot.updates(offset=-1)] == [5]


async def test_limits_are_off_until_switched_on(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    for _ in range(8):
        await bot.call("sendMessage", chat_id=ada, text="x")
    await control.patch("settings", limits=True)
    codes = [
        (await bot.answer("sendMessage", chat_id=ada, text="x")).get("error_code") for _ in range(6)
    ]
    assert codes == [None] * 5 + [429]
    await control.patch("settings", limits=False)
    await bot.call("sendMessage", chat_id=ada, text="x")


@pytest.mark.parametrize("others", [[], ["editMessageText"], ["createForumTopic"]])
async def test_a_group_takes_20_messages_a_minute_edits_and_topics_among_them(
    others: list[str],
) -> None:
    now = 0.0
    limits = Limits(lambda: now, enabled=True)
    waits = []
    for method, _ in zip(itertools.cycle(["sendMessage", *others]), range(25), strict=False):
        try:
            limits.check(method, 1, GROUP)
        except ApiError as error:
            waits.append(str(error))
        now += 1.0
    assert waits[0] == "Too Many Requests: retry after 40"
    assert len(waits) == 5
    now += 60
    limits.check("sendMessage", 1, GROUP)


def test_30_messages_a_second_in_all() -> None:
    now = 100.0
    limits = Limits(lambda: now, enabled=True)
    for chat in range(1, 31):
        limits.check("sendMessage", 1, chat)
    with pytest.raises(ApiError, match="retry after 1"):
        limits.check("sendMessage", 1, 31)
    limits.check("answerCallbackQuery", 1, 31)
    limits.check("sendMessage", 2, 31)
    now += 1.01
    limits.check("sendMessage", 1, 31)


def test_one_a_second_is_fine_for_ever_and_two_are_not() -> None:
    now = 0.0
    limits = Limits(lambda: now, enabled=True)
    for _ in range(60):
        limits.check("sendMessage", 1, 7)
        now += 1.0
    passed = 0
    with contextlib.suppress(ApiError):
        while passed < 30:
            limits.check("sendMessage", 1, 7)
            passed, now = passed + 1, now + 0.5
    assert passed == 9, "a burst of five, and one more for every two while it lasts"
