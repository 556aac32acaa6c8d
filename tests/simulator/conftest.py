"""A running simulator per test, small clients for its two APIs, and its page in a browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from playwright.async_api import ConsoleMessage, Page, async_playwright

from simulator.app import Simulator
from simulator.world import DEFAULT_TOKEN, OPERATORS_CHAT

GROUP = OPERATORS_CHAT
OLGA, OMAR = 9001, 9002
Json = dict[str, Any]
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Bot:
    """A bot that speaks raw HTTP, so that no library hides what is on the wire."""

    session: aiohttp.ClientSession
    url: str
    token: str = DEFAULT_TOKEN

    async def answer(self, method: str, **params: Any) -> Json:
        """The whole JSON answer; its HTTP status must agree with it."""
        target = f"{self.url}/bot{self.token}/{method}"
        async with self.session.post(target, json=params) as response:
            body: Json = await response.json()
            assert response.status == (200 if body["ok"] else body["error_code"])
            return body

    async def call(self, method: str, **params: Any) -> Any:
        """The result of a call that must succeed."""
        body = await self.answer(method, **params)
        assert body["ok"], body
        return body["result"]

    async def refused(self, method: str, **params: Any) -> str:
        """The description of a call that must fail."""
        body = await self.answer(method, **params)
        assert not body["ok"], body
        return str(body["description"])

    async def updates(self, **params: Any) -> list[Json]:
        """getUpdates."""
        found: list[Json] = await self.call("getUpdates", **params)
        return found


@dataclass
class Control:
    """The control API."""

    session: aiohttp.ClientSession
    url: str

    async def request(self, verb: str, path: str, body: Json | None = None) -> tuple[int, Any]:
        """Status and JSON answer."""
        async with self.session.request(verb, f"{self.url}/sim/{path}", json=body) as response:
            return response.status, await response.json()

    async def post(self, path: str, **body: Any) -> Any:
        """A POST that must succeed."""
        status, answer = await self.request("POST", path, body)
        assert status in (200, 201), answer
        return answer

    async def patch(self, path: str, **body: Any) -> Any:
        """A PATCH that must succeed."""
        status, answer = await self.request("PATCH", path, body)
        assert status == 200, answer
        return answer

    async def get(self, path: str) -> Any:
        """A GET that must succeed."""
        status, answer = await self.request("GET", path)
        assert status == 200, answer
        return answer

    async def refused(self, verb: str, path: str, **body: Any) -> tuple[int, str]:
        """Status and sentence of a request that must fail."""
        status, answer = await self.request(verb, path, body or None)
        assert status >= 400, answer
        return status, answer["error"]

    async def customer(self, name: str = "Ada", *, start: bool = True, **more: Any) -> int:
        """A new customer's id; with `start` they have sent /start."""
        answer = await self.post("customers", first_name=name, start=start, **more)
        return int(answer["id"])


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator() as running:
        yield running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
def bot(simulator: Simulator, session: aiohttp.ClientSession) -> Bot:
    return Bot(session, simulator.url)


@pytest.fixture
def control(simulator: Simulator, session: aiohttp.ClientSession) -> Control:
    return Control(session, simulator.url)


@pytest.fixture
async def page(simulator: Simulator) -> AsyncIterator[Page]:
    """The simulator's page at 1440x900; anything that goes wrong in it fails the test."""
    if not shutil.which(CHROMIUM) and not os.environ.get("CI"):
        pytest.skip(f"there is no {CHROMIUM} here (in CI this fails instead)")
    troubles: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        opened = await browser.new_page(viewport={"width": 1440, "height": 900})
        opened.set_default_timeout(10_000)
        opened.on("pageerror", lambda error: troubles.append(str(error)))
        opened.on("console", lambda line: _complaint(line, troubles))
        opened.on("request", lambda request: _outside(request.url, simulator.url, troubles))
        await opened.goto(simulator.url)
        yield opened
        await browser.close()
    assert troubles == []


def _complaint(line: ConsoleMessage, troubles: list[str]) -> None:
    # What is refused or, in tests, cut off is told to the person; that the browser logs it is no
    # trouble.
    told = ("status of 409", "net::ERR_FAILED")
    if line.type in ("error", "warning") and not any(words in line.text for words in told):
        troubles.append(line.text)


def _outside(url: str, own: str, troubles: list[str]) -> None:
    if not url.startswith((own, "data:", "blob:")):
        troubles.append(f"the page asked for {url}")


async def show_alert(page: Page, bot: Bot, chat: int, text: str) -> None:
    """Have the bot answer a customer's press of a button with an alert."""
    markup = {"inline_keyboard": [[{"text": "Yes", "callback_data": "y"}]]}
    await bot.call("sendMessage", chat_id=chat, text="Sure?", reply_markup=markup)
    await page.locator(".phone .key").click()
    query = (await bot.updates())[-1]["callback_query"]
    answer = {"callback_query_id": query["id"], "text": text, "show_alert": True}
    await bot.call("answerCallbackQuery", **answer)
