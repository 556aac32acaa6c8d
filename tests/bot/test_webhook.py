"""The webhook: nobody gets in without the secret, and 200 means stored."""

from __future__ import annotations

import asyncio
import io
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import Gauge
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs
from yarl import URL

from bot import webhook
from bot.app import BotOptions
from bot.telegram import Telegram
from bot.webhook import Webhook
from cli.telegram import webhook_problem
from desk import metrics
from desk.domain import DeskError
from desk.flow import intake
from desk.flow.desk import Desk
from desk.settings import Settings
from desk.tables import Inbox
from simulator.app import Simulator
from simulator.world import DEFAULT_TOKEN
from tests.bot.conftest import Rows, Starter, World, eventually, quiet
from tests.ports import free_port

SECRET = "s3cret-of_ours"
UPDATE = {"update_id": 5, "message": {"chat": {"id": 1}}}
HEADERS = {webhook.SECRET_HEADER: SECRET}


@pytest.fixture
def stored() -> list[int]:
    return []


@pytest.fixture
async def client(desk: Desk, stored: list[int]) -> AsyncIterator[TestClient[Any, Any]]:
    app = webhook.make_app(77, SECRET, quiet(desk), lambda: stored.append(1))
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [{}, {webhook.SECRET_HEADER: ""}, {webhook.SECRET_HEADER: SECRET + "x"}, {"X-Secret": SECRET}],
)
async def test_without_the_secret_nothing_is_stored(
    headers: dict[str, str], client: TestClient[Any, Any], rows: Rows
) -> None:
    response = await client.post(webhook.PATH, json=UPDATE, headers=headers)
    assert response.status == 403
    assert not rows.all(Inbox)


async def test_200_is_said_after_the_commit_and_a_redelivery_is_a_no_op(
    client: TestClient[Any, Any], rows: Rows, stored: list[int]
) -> None:
    for _ in range(2):
        response = await client.post(webhook.PATH, json=UPDATE, headers=HEADERS)
        assert response.status == 200
    (row,) = rows.all(Inbox)
    assert (row.bot_id, row.update_id, row.chat_id, row.payload) == (77, 5, 1, UPDATE)
    assert len(stored) == 1


async def test_503_is_said_while_the_database_is_away(
    client: TestClient[Any, Any], monkeypatch: pytest.MonkeyPatch, stored: list[int]
) -> None:
    def away(*_: object) -> int:
        raise OperationalError("insert", {}, Exception("away"))

    monkeypatch.setattr(intake, "store_updates", away)
    response = await client.post(webhook.PATH, json=UPDATE, headers=HEADERS)
    assert response.status == 503
    assert not stored


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'{"message": {}}', b"[" * 100_000])
async def test_what_is_no_update_is_a_bad_request(
    body: bytes, client: TestClient[Any, Any], rows: Rows
) -> None:
    response = await client.post(webhook.PATH, data=body, headers=HEADERS)
    assert response.status == 400
    assert not rows.all(Inbox)


async def test_a_body_that_is_too_large_is_refused(client: TestClient[Any, Any]) -> None:
    body = io.BytesIO(b" " * (webhook.MAX_BODY + 1))
    response = await client.post(webhook.PATH, data=body, headers=HEADERS)
    assert response.status == 413


async def test_other_paths_and_methods_are_not_there(client: TestClient[Any, Any]) -> None:
    assert (await client.get(webhook.PATH)).status == 405
    assert (await client.post("/", json=UPDATE, headers=HEADERS)).status == 404


def test_a_webhook_without_a_secret_is_refused(desk: Desk) -> None:
    with pytest.raises(DeskError, match="WEBHOOK_SECRET"):
        webhook.make_app(77, "", quiet(desk), lambda: None)


@pytest.mark.parametrize(
    ("below", "path", "elsewhere"),
    [
        ("", "/telegram", "/"),
        ("/telegram", "/telegram", "/telegram/telegram"),
        ("/desk1", "/desk1/telegram", "/desk2/telegram"),
        ("/desks/1/", "/desks/1/telegram", "/desks/1"),
        ("/caf%C3%A9", "/caf%C3%A9/telegram", "/cafe/telegram"),
        ("/a%20b", "/a%20b/telegram", "/a+b/telegram"),
        ("/1%25%2F2", "/1%25%2F2/telegram", "/1%25/2/telegram"),
    ],
)
async def test_the_bot_answers_at_the_path_of_its_webhook_and_goes_back_to_polling(
    start_bot: Starter,
    options: BotOptions,
    world: World,
    simulator: Simulator,
    below: str,
    path: str,
    elsewhere: str,
) -> None:
    port = free_port()
    hooked = BotOptions(
        options.desk,
        options.token,
        options.api_url,
        options.redis_url,
        options.data_dir,
        Webhook(f"http://127.0.0.1:{port}{below}", SECRET, port),
    )
    running = await start_bot(hooked)
    ann = await world.customer()
    await world.reply(await world.write(ann, "/help"))
    async with aiohttp.ClientSession() as stranger:

        async def answer(to: str, headers: dict[str, str]) -> int:
            address = URL(f"http://127.0.0.1:{port}{to}", encoded=True)
            async with stranger.post(address, json=UPDATE, headers=headers) as response:
                return response.status

        # The second is where the calls arrive behind a proxy that cuts the rest off.
        for each in (path, "/telegram"):
            assert await answer(each, {}) == 403
            assert await answer(each, HEADERS) == 200
        assert await answer(elsewhere, HEADERS) == 404
    await running.stop()
    missed = await world.write(ann, "/start")
    await start_bot()
    await world.reply(missed, "welcome")


async def test_a_webhook_that_another_program_took_away_is_set_again(
    start_bot: Starter,
    options: BotOptions,
    world: World,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook, "WATCH_SECONDS", 0.05)
    port = free_port()
    await start_bot(replace(options, webhook=Webhook(f"http://127.0.0.1:{port}", SECRET, port)))
    ann = await world.customer()
    await world.reply(await world.write(ann, "/help"))
    with capture_logs() as logs:
        async with Telegram(DEFAULT_TOKEN, simulator.url) as other:
            await other.call("deleteWebhook")
        await world.reply(await world.write(ann, "/start"), "welcome")
    errors = [entry["error"] for entry in logs if entry["event"] == "webhook_fails"]
    assert errors == [
        f"Telegram has no webhook, and does not call http://127.0.0.1:{port}/telegram."
    ]
    await eventually(lambda: gauge(metrics.WEBHOOK_LOST) == 0)


async def test_a_webhook_that_telegram_can_not_reach_is_told_and_measured(
    start_bot: Starter, options: BotOptions, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "WATCH_SECONDS", 0.05)
    nowhere, port = free_port(), free_port()
    address = f"http://127.0.0.1:{nowhere}"
    settings = Settings(
        _env_file=None,
        bot_token=options.token,
        telegram_api_url=options.api_url,
        webhook_url=address,
        webhook_secret=SECRET,
    )
    await start_bot(replace(options, webhook=Webhook(address, SECRET, port)))
    assert await asyncio.to_thread(webhook_problem, settings) is None
    with capture_logs() as logs:
        await world.write(await world.customer(), "/help")
        await eventually(lambda: "webhook_fails" in str(logs))
    assert gauge(metrics.WEBHOOK_PENDING) >= 1
    assert abs(gauge(metrics.WEBHOOK_ERROR) - time.time()) < 60
    assert gauge(metrics.WEBHOOK_LOST) == 0
    problem = await asyncio.to_thread(webhook_problem, settings)
    assert problem is not None
    assert "wait at Telegram, which could not deliver to" in problem
    assert "Connection refused" in problem


def gauge(metric: Gauge) -> float:
    return metric.collect()[0].samples[0].value


async def test_a_port_in_use_is_named(start_bot: Starter, options: BotOptions) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        hooked = BotOptions(
            options.desk,
            options.token,
            options.api_url,
            options.redis_url,
            options.data_dir,
            Webhook(f"http://127.0.0.1:{port}", SECRET, port),
        )
        running = await start_bot(hooked)
        with pytest.raises(DeskError, match=f"Port {port} cannot be used.*WEBHOOK_PORT"):
            await asyncio.wait_for(running.task, 5)
