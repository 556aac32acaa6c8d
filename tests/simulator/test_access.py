"""Tokens, method names and the ways parameters may come."""

from __future__ import annotations

import json

import aiohttp
import pytest

from simulator.app import Simulator
from simulator.world import DEFAULT_TOKEN, Settings

from .conftest import Bot, Control


@pytest.mark.parametrize("token", ["x", "123", "123:short", "abc:" + "A" * 35, "12:" + "é" * 35])
async def test_what_is_no_token_is_unauthorized(bot: Bot, token: str) -> None:
    bot.token = token
    body = await bot.answer("getMe")
    assert body == {"ok": False, "error_code": 401, "description": "Unauthorized"}


async def test_any_well_formed_token_becomes_a_bot(bot: Bot, control: Control) -> None:
    first = await bot.call("getMe")
    bot.token = "777:" + "A" * 35
    second = await bot.call("getMe")
    assert (first["id"], second["id"]) == (123456, 777)
    assert first["username"] != second["username"]
    assert len(await control.get("bots")) == 2


async def test_the_first_bot_inherits_what_customers_wrote_before_it_came(
    bot: Bot, control: Control
) -> None:
    await control.customer()
    bot.token = "777:" + "A" * 35
    updates = await bot.updates()
    assert [update["message"]["text"] for update in updates] == ["/start"]
    assert [one["id"] for one in await control.get("bots")] == [777]


async def test_one_token_only_when_told_so(session: aiohttp.ClientSession) -> None:
    own = "5:" + "B" * 35
    async with Simulator(settings=Settings(only_token=own)) as simulator:
        assert (await Bot(session, simulator.url, own).call("getMe"))["id"] == 5
        refused = await Bot(session, simulator.url, "6:" + "B" * 35).answer("getMe")
        assert refused["error_code"] == 401


async def test_an_unknown_method_is_not_found(bot: Bot) -> None:
    body = await bot.answer("sendNothing")
    assert body == {"ok": False, "error_code": 404, "description": "Not Found"}


async def test_method_names_do_not_mind_their_case(bot: Bot) -> None:
    assert await bot.call("GETME") == await bot.call("getme") == await bot.call("getMe")


async def test_parameters_come_as_query_form_multipart_or_json(
    simulator: Simulator, session: aiohttp.ClientSession, control: Control
) -> None:
    ada = await control.customer()
    target = f"{simulator.url}/bot{DEFAULT_TOKEN}/sendMessage"
    markup = {"inline_keyboard": [[{"text": "Yes", "callback_data": "y"}]]}
    values = {"chat_id": str(ada), "text": "x", "reply_markup": json.dumps(markup)}
    multipart = aiohttp.MultipartWriter("form-data")
    for name, value in values.items():
        multipart.append(value).set_content_disposition("form-data", name=name)
    for request in (
        session.get(target, params=values),
        session.post(target, data=values),
        session.post(target, data=multipart),
        session.post(target, json=values | {"reply_markup": markup}),
    ):
        async with request as response:
            body = await response.json()
            assert body["ok"], body
            assert body["result"]["reply_markup"] == markup


async def test_a_body_that_is_no_json_is_refused(
    simulator: Simulator, session: aiohttp.ClientSession
) -> None:
    target = f"{simulator.url}/bot{DEFAULT_TOKEN}/getMe"
    headers = {"Content-Type": "application/json"}
    for body in (b"{", b"[]", b'{"x": NaN}', b'{"text": "\\ud800"}', b"[" * 100_000):
        async with session.post(target, data=body, headers=headers) as response:
            assert response.status == 400
            assert (await response.json())["description"].startswith("Bad Request: ")


async def test_commands_are_kept_per_scope_and_language(bot: Bot, control: Control) -> None:
    ada = await control.customer("Ada", language_code="de")
    plain = [{"command": "help", "description": "Help"}]
    german = [{"command": "help", "description": "Hilfe"}]
    await bot.call("setMyCommands", commands=plain)
    await bot.call("setMyCommands", commands=german, language_code="de")
    assert await bot.call("getMyCommands") == plain
    assert await bot.call("getMyCommands", language_code="de") == german
    assert await control.get(f"customers/{ada}/commands") == german
    own = [{"command": "vip", "description": "For Ada"}]
    await bot.call("setMyCommands", commands=own, scope={"type": "chat", "chat_id": ada})
    assert await control.get(f"customers/{ada}/commands") == own
    await bot.call("deleteMyCommands", scope={"type": "chat", "chat_id": ada})
    assert await control.get(f"customers/{ada}/commands") == german


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        ({"command": "Help!", "description": "x"}, "BOT_COMMAND_INVALID"),
        ({"command": "a" * 33, "description": "x"}, "BOT_COMMAND_INVALID"),
        ({"command": "help", "description": ""}, "BOT_COMMAND_DESCRIPTION_INVALID"),
    ],
)
async def test_faulty_commands_are_refused(bot: Bot, command: dict[str, str], refusal: str) -> None:
    found = await bot.refused("setMyCommands", commands=[command])
    assert found == f"Bad Request: {refusal}"


async def test_names_and_descriptions_fall_back_to_the_language_less_one(bot: Bot) -> None:
    assert await bot.call("getMyName") == {"name": "Frontdesk"}
    await bot.call("setMyDescription", description="I answer.")
    assert await bot.call("getMyDescription", language_code="de") == {"description": "I answer."}
