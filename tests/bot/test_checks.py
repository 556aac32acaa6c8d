"""What the bot says when the token or the operators' chat is not right."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from bot import checks, introduction
from bot.app import BotOptions
from bot.telegram import RefusedError, Telegram
from bot.webhook import Webhook
from cli.checks import telegram
from cli.errors import MisconfiguredError
from cli.telegram import check_telegram
from desk import metrics
from desk.domain import DeskError
from desk.settings import Settings
from desk.texts import LANGUAGES
from simulator.app import Simulator
from simulator.world import DEFAULT_TOKEN, OPERATORS_CHAT
from tests.bot.conftest import Running, Starter, World, eventually

CHAT = f"chats/{OPERATORS_CHAT}"


async def chat_problems(simulator: Simulator, chat_id: int = OPERATORS_CHAT) -> list[str]:
    async with Telegram(DEFAULT_TOKEN, simulator.url) as telegram:
        bot_id = (await telegram.call("getMe"))["id"]
        return await checks.chat_problems(telegram, chat_id, bot_id)


async def test_a_good_token_and_chat_have_no_problems(simulator: Simulator) -> None:
    async with Telegram(DEFAULT_TOKEN, simulator.url) as telegram:
        assert (await checks.who_am_i(telegram))["is_bot"]
    assert await chat_problems(simulator) == []


async def test_a_wrong_token_is_named_and_sends_to_botfather(
    start_bot: Starter, options: BotOptions
) -> None:
    wrong = BotOptions(
        options.desk, "nonsense", options.api_url, options.redis_url, options.data_dir
    )
    with pytest.raises(DeskError, match=r"does not know this bot token.*@BotFather.*BOT_TOKEN"):
        await start_bot(wrong)


async def test_a_telegram_that_does_not_answer_is_named(
    monkeypatch: pytest.MonkeyPatch, start_bot: Starter, options: BotOptions
) -> None:
    monkeypatch.setattr(introduction, "START_SECONDS", 0.5)
    nowhere = BotOptions(
        options.desk, options.token, "http://127.0.0.1:9", options.redis_url, options.data_dir
    )
    with pytest.raises(DeskError, match=r"http://127.0.0.1:9 does not answer.*TELEGRAM_API_URL"):
        await start_bot(nowhere)


AWAY = [
    {"kind": "too_many_requests", "method": "getMe", "retry_after": 1},
    {"kind": "server_error", "method": "getMe"},
    {"kind": "server_error", "method": "getChat"},
    {"kind": "refused", "method": "getChatMember"},
]


@pytest.mark.parametrize("fault", AWAY, ids=lambda fault: f"{fault['kind']} {fault['method']}")
async def test_a_telegram_that_is_out_of_order_for_a_moment_only_delays_the_start(
    fault: dict[str, Any], start_bot: Starter, world: World
) -> None:
    await world.fault(**fault)
    await start_bot()
    await world.reply(await world.write(await world.customer(), "/help"))


@pytest.mark.parametrize("fault", AWAY, ids=lambda fault: f"{fault['kind']} {fault['method']}")
async def test_a_telegram_that_stays_out_of_order_is_no_wrong_setting(
    fault: dict[str, Any], monkeypatch: pytest.MonkeyPatch, start_bot: Starter, world: World
) -> None:
    monkeypatch.setattr(introduction, "START_SECONDS", 0.3)
    await world.fault(**fault, times=100)
    with pytest.raises(DeskError, match=r"does not answer|can't serve the bot now") as caught:
        await start_bot()
    assert not isinstance(caught.value, checks.WrongSettingsError)


async def test_a_webhook_that_can_not_be_set_for_a_moment_is_no_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, start_bot: Starter, options: BotOptions, world: World
) -> None:
    monkeypatch.setattr(introduction, "START_SECONDS", 0.3)
    await world.fault("too_many_requests", method="setWebhook", times=100)
    hooked = replace(options, webhook=Webhook("https://desk.example.com", "secret", 0))
    with pytest.raises(DeskError, match="can't serve the bot now") as caught:
        await start_bot(hooked)
    assert not isinstance(caught.value, checks.WrongSettingsError)


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_proxys_page_says_nothing_about_the_token_or_the_chat(status: int) -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(status=status, text="<h1>Nothing here</h1>", content_type="text/html")

    proxy = web.Application()
    proxy.router.add_route("*", "/{path:.*}", page)
    async with TestServer(proxy) as server, Telegram(DEFAULT_TOKEN, str(server.make_url("/"))) as t:
        for check in (checks.who_am_i(t), checks.chat_problems(t, OPERATORS_CHAT, 1)):
            with pytest.raises(RefusedError) as caught:
                await check
            assert caught.value.away


async def test_a_wrong_token_or_chat_is_a_wrong_setting(
    start_bot: Starter, options: BotOptions, world: World
) -> None:
    with pytest.raises(checks.WrongSettingsError):
        await start_bot(replace(options, token="123456:" + "C" * 35))
    await world.ask("PATCH", CHAT, {"bot": {"status": "left"}})
    with pytest.raises(checks.WrongSettingsError):
        await start_bot()


async def test_a_chat_without_topics_is_refused_with_where_to_switch_them_on(
    start_bot: Starter, world: World
) -> None:
    await world.ask("PATCH", CHAT, {"is_forum": False})
    with pytest.raises(DeskError, match=r"has no topics. Switch them on in the group's settings"):
        await start_bot()


LACKING = [
    {"is_forum": False},
    {"bot": {"rights": {"can_manage_topics": False}}},
    {"bot": {"status": "member"}},
    {"bot": {"status": "left"}},
    {"bot": {"status": "kicked"}},
]


@pytest.mark.parametrize("lacking", LACKING, ids=["topics", "right", "administrator", "in", "let"])
async def test_a_chat_that_worked_and_lacks_something_keeps_no_customer_from_the_bot(
    lacking: dict[str, Any], start_bot: Starter, world: World
) -> None:
    running = await start_bot()
    ann = await world.customer()
    await world.write(ann, "/human")
    await world.said(OPERATORS_CHAT, "Needs a person")
    await running.stop()
    await world.ask("PATCH", CHAT, lacking)
    with capture_logs() as logs:
        await start_bot()
    assert [entry["event"] for entry in logs].count("operators_chat_unusable") == 1
    assert metrics.OPERATORS_CHAT.collect()[0].samples[0].value == 0
    await world.reply(await world.write(ann, "/help"), "/human")


async def test_up_refuses_a_chat_that_lacks_something_until_it_has_worked(
    start_bot: Starter, options: BotOptions, world: World
) -> None:
    settings = Settings(
        _env_file=None,
        bot_token=options.token,
        telegram_api_url=options.api_url,
        operator_chat_id=OPERATORS_CHAT,
    )
    running = await start_bot()
    await world.ask("PATCH", CHAT, LACKING[0])
    with pytest.raises(MisconfiguredError, match="has no topics"):
        await asyncio.to_thread(check_telegram, settings, options.desk)
    await world.ask("PATCH", CHAT, {"is_forum": True})
    await world.write(await world.customer(), "/human")
    await world.said(OPERATORS_CHAT, "Needs a person")
    await running.stop()
    await world.ask("PATCH", CHAT, LACKING[0])
    await asyncio.to_thread(check_telegram, settings, options.desk)


async def test_a_chat_that_worked_and_became_a_supergroup_is_named_by_its_new_id(
    start_bot: Starter, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await start_bot()
    ann = await world.customer()
    await world.write(ann, "/human")
    await world.said(OPERATORS_CHAT, "Needs a person")
    await running.stop()
    call = Telegram.call

    async def upgraded(self: Telegram, method: str, params: Any = None, *args: Any) -> Any:
        if params and params.get("chat_id") == OPERATORS_CHAT:
            text = "Bad Request: group chat was upgraded to a supergroup chat"
            raise RefusedError(400, text, migrate_to=-100777)
        return await call(self, method, params, *args)

    monkeypatch.setattr(Telegram, "call", upgraded)
    with capture_logs() as logs:
        await start_bot()
    (line,) = [entry for entry in logs if entry["event"] == "operators_chat_unusable"]
    assert "has become -100777: set OPERATOR_CHAT_ID to that" in line["error"]
    await world.reply(await world.write(ann, "/help"), "/human")


async def test_every_missing_right_is_named_at_once(world: World, simulator: Simulator) -> None:
    change = {"is_forum": False, "bot": {"rights": {"can_manage_topics": False}}}
    await world.ask("PATCH", CHAT, change)
    topics, rights = await chat_problems(simulator)
    assert "has no topics" in topics
    assert "make it an administrator with the right “Manage topics”" in rights


async def test_doctor_warns_where_topics_of_erased_customers_would_stay(
    world: World, simulator: Simulator
) -> None:
    settings = Settings(
        _env_file=None,
        bot_token=DEFAULT_TOKEN,
        operator_chat_id=OPERATORS_CHAT,
        telegram_api_url=simulator.url,
        retention_days=90,
    )

    async def found(settings: Settings) -> list[str]:
        return [one.detail for one in await asyncio.to_thread(lambda: [*telegram(settings)])]

    right = "token, operators' chat, topics and rights are right"
    assert await found(settings) == [right]
    change = {"bot": {"rights": {"can_delete_messages": False}}}
    await world.ask("PATCH", CHAT, change)
    assert await found(settings) == [
        right,
        "RETENTION_DAYS erases customers, but their topics stay in the group",
    ]
    assert await found(settings.model_copy(update={"retention_days": None})) == [right]


async def test_topics_in_private_chats_are_told_by_doctor_and_at_the_start(
    start_bot: Starter, simulator: Simulator
) -> None:
    settings = Settings(_env_file=None, bot_token=DEFAULT_TOKEN, telegram_api_url=simulator.url)

    async def found() -> list[str]:
        return [one.detail for one in await asyncio.to_thread(lambda: [*telegram(settings)])]

    assert checks.PRIVATE_TOPICS not in await found()
    simulator.world.bots[0].private_topics = True
    assert checks.PRIVATE_TOPICS in await found()
    with capture_logs() as logs:
        await start_bot()
    assert "private_topics" in [entry["event"] for entry in logs]


async def test_a_plain_member_is_not_enough(world: World, simulator: Simulator) -> None:
    await world.ask("PATCH", CHAT, {"bot": {"status": "member"}})
    (problem,) = await chat_problems(simulator)
    assert "make it an administrator" in problem


@pytest.mark.parametrize("status", ["left", "kicked"])
async def test_a_chat_that_the_bot_is_not_in_is_refused(
    status: str, start_bot: Starter, world: World
) -> None:
    await world.ask("PATCH", CHAT, {"bot": {"status": status}})
    with pytest.raises(DeskError, match=r"not in the operators' chat.*Add it to the group"):
        await start_bot()


async def test_an_unknown_chat_says_how_to_find_the_id(simulator: Simulator) -> None:
    (problem,) = await chat_problems(simulator, -100999)
    assert "write /id there" in problem


async def test_a_private_chat_is_no_operators_chat(
    bot: Running, world: World, simulator: Simulator
) -> None:
    ann = await world.customer()
    await world.write(ann, "/help")
    (problem,) = await chat_problems(simulator, ann)
    assert "must be a group" in problem


COMMANDS_REFUSED = [
    {"kind": "too_many_requests", "retry_after": 60},
    {"kind": "error", "status": 400, "description": "Bad Request: BOT_COMMAND_DESCRIPTION_INVALID"},
    {"kind": "refused"},
]


@pytest.mark.parametrize("fault", COMMANDS_REFUSED, ids=lambda fault: fault["kind"])
async def test_commands_that_telegram_does_not_take_keep_no_customer_from_the_bot(
    fault: dict[str, Any], start_bot: Starter, world: World
) -> None:
    await world.fault(**fault, method="setMyCommands", times=100)
    with capture_logs() as logs:
        await start_bot()
        await world.reply(await world.write(await world.customer(), "/help"))
        await eventually(lambda: [one for one in logs if one["event"] == "commands_not_set"])
    tries = len(await world.calls("setMyCommands"))
    assert tries == (1 if fault["kind"] != "error" else 2 + len(LANGUAGES))


async def test_the_commands_are_set_in_both_languages(bot: Running, world: World) -> None:
    await world.commands_set()
    ann, li = await world.customer("Ann", "de"), await world.customer("Li", "zh-hans")
    shown = await world.ask("GET", f"customers/{ann}/commands")
    assert [command["command"] for command in shown] == ["start", "help", "human", "privacy"]
    assert shown[2]["description"] == "Talk to a person"
    chinese = await world.ask("GET", f"customers/{li}/commands")
    assert chinese[2]["description"] != "Talk to a person"


async def test_a_pack_without_chinese_has_no_chinese_commands(
    start_bot: Starter, options: BotOptions, world: World
) -> None:
    pack = options.desk.pack.model_copy(update={"languages": ("en",)})
    await start_bot(replace(options, desk=replace(options.desk, pack=pack)))
    await world.commands_set()
    li = await world.customer("Li", "zh-hans")
    shown = await world.ask("GET", f"customers/{li}/commands")
    assert shown[2]["description"] == "Talk to a person"
