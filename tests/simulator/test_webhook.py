"""Webhooks: the secret, redelivery, order within a chat, calls in the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from .conftest import Bot, Control

SECRET = "s3cret-token_"


@dataclass
class Endpoint:
    """A bot's webhook that notes what it gets and answers as told."""

    url: str = ""
    got: list[dict[str, Any]] = field(default_factory=list)
    secrets: list[str | None] = field(default_factory=list)
    failures: int = 0
    fail_for: int | None = None
    reply: dict[str, Any] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        update = await request.json()
        self.got.append(update)
        self.secrets.append(request.headers.get("X-Telegram-Bot-Api-Secret-Token"))
        self.changed.set()
        broken = self.fail_for is not None and update["message"]["chat"]["id"] == self.fail_for
        if broken or self.failures > 0:
            self.failures -= 1
            return web.Response(status=500)
        return web.json_response(self.reply) if self.reply else web.Response()

    async def until(self, count: int) -> list[dict[str, Any]]:
        """The deliveries, once there are so many."""
        async with asyncio.timeout(5):
            while len(self.got) < count:
                self.changed.clear()
                await self.changed.wait()
        return self.got

    @property
    def texts(self) -> list[str]:
        return [update["message"]["text"] for update in self.got]


@pytest.fixture
async def endpoint(control: Control) -> AsyncIterator[Endpoint]:
    await control.patch("settings", webhook_backoff=0.02)
    made = Endpoint()
    app = web.Application()
    app.router.add_post("/hook", made.handle)
    server = TestServer(app)
    await server.start_server()
    made.url = str(server.make_url("/hook"))
    yield made
    await server.close()


async def test_updates_are_posted_with_the_secret(
    bot: Bot, control: Control, endpoint: Endpoint
) -> None:
    await bot.call("setWebhook", url=endpoint.url, secret_token=SECRET, max_connections=7)
    await control.customer()
    (update,) = await endpoint.until(1)
    assert update["message"]["text"] == "/start"
    assert endpoint.secrets == [SECRET]
    info = await bot.call("getWebhookInfo")
    assert (info["url"], info["max_connections"]) == (endpoint.url, 7)


async def test_what_waited_before_is_delivered_unless_dropped(
    bot: Bot, control: Control, endpoint: Endpoint
) -> None:
    ada = await control.customer()
    await bot.call("setWebhook", url=endpoint.url, drop_pending_updates=True)
    await control.post(f"customers/{ada}/send", text="new")
    await endpoint.until(1)
    assert endpoint.texts == ["new"]


async def test_a_failed_delivery_is_repeated_before_the_chats_next_one(
    bot: Bot, control: Control, endpoint: Endpoint
) -> None:
    endpoint.failures = 2
    await bot.call("setWebhook", url=endpoint.url)
    ada = await control.customer()
    await control.post(f"customers/{ada}/send", text="second")
    await endpoint.until(4)
    assert endpoint.texts == ["/start", "/start", "/start", "second"]
    info = await bot.call("getWebhookInfo")
    assert info["last_error_message"] == (
        "Wrong response from the webhook: 500 Internal Server Error"
    )


async def test_one_chats_trouble_does_not_hold_up_another(
    bot: Bot, control: Control, endpoint: Endpoint
) -> None:
    ada = await control.customer("Ada")
    endpoint.fail_for = ada
    await bot.call("setWebhook", url=endpoint.url)
    bob = await control.customer("Bob")
    async with asyncio.timeout(5):
        while bob not in [update["message"]["chat"]["id"] for update in endpoint.got]:
            await endpoint.until(len(endpoint.got) + 1)
    assert (await bot.call("getWebhookInfo"))["pending_update_count"] >= 1


async def test_a_deleted_webhook_leaves_its_updates_to_polling(
    bot: Bot, control: Control, endpoint: Endpoint
) -> None:
    endpoint.failures = 1000
    await bot.call("setWebhook", url=endpoint.url)
    await control.customer()
    await endpoint.until(1)
    await bot.call("deleteWebhook")
    assert [u["message"]["text"] for u in await bot.updates()] == ["/start"]


async def test_an_answer_may_hold_a_method_call(
    bot: Bot, control: Control, endpoint: Endpoint
) -> None:
    ada = await control.customer(start=False)
    endpoint.reply = {"method": "sendMessage", "chat_id": ada, "text": "by the way"}
    await bot.call("setWebhook", url=endpoint.url)
    await control.post(f"customers/{ada}/start")
    (message,) = await control.get(f"chats/{ada}/wait?from=bot&timeout=5")
    assert message["text"] == "by the way"


async def test_faults_reach_webhooks_too(bot: Bot, control: Control, endpoint: Endpoint) -> None:
    await bot.call("setWebhook", url=endpoint.url)
    await control.post("faults", kind="duplicate_update")
    ada = await control.customer()
    await endpoint.until(2)
    await control.post("faults", kind="out_of_order", seconds=3)
    await control.post(f"customers/{ada}/send", text="first")
    await control.post(f"customers/{ada}/send", text="second")
    await endpoint.until(4)
    assert endpoint.texts == ["/start", "/start", "second", "first"]


@pytest.mark.parametrize(
    ("params", "refusal"),
    [
        ({"url": "http://a.example/"},
         "bad webhook: An HTTPS URL must be provided for webhook"),
        ({"url": "nonsense"}, "bad webhook: An HTTPS URL must be provided for webhook"),
        ({"url": "https://a.example/", "secret_token": "é"},
         "secret token contains unallowed characters"),
        ({"url": "https://a.example/", "secret_token": "a" * 257}, "secret token is too long"),
    ],
)  # fmt: skip
async def test_faulty_webhooks_are_refused(bot: Bot, params: dict[str, str], refusal: str) -> None:
    assert await bot.refused("setWebhook", **params) == f"Bad Request: {refusal}"
    assert (await bot.call("getWebhookInfo"))["url"] == ""
