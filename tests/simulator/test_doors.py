"""Pages of other sites: a browser sends their requests here, and nothing of them is done."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp
import pytest

from simulator.app import Simulator
from simulator.world import DEFAULT_TOKEN

from .conftest import Bot

WEBHOOK = f"/bot{DEFAULT_TOKEN}/setWebhook?url=https://evil.example/"
FOREIGN: dict[str, dict[str, str]] = {
    "a script's": {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    "a frame's without a name": {"Origin": "null"},
    "an image's": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    "one of another port of this machine": {"Origin": "http://127.0.0.1:1"},
    "an image's of another port": {"Sec-Fetch-Site": "same-site"},
    "a link's": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
}
DOORS = (
    ("GET", WEBHOOK),
    ("POST", f"/bot{DEFAULT_TOKEN}/getUpdates"),
    ("GET", f"/file/bot{DEFAULT_TOKEN}/x"),
    ("GET", "/sim/state"),
    ("POST", "/sim/reset"),
    ("POST", "/"),
)


async def _status(
    session: aiohttp.ClientSession, method: str, target: str, headers: Mapping[str, str]
) -> int:
    async with session.request(method, target, headers=headers) as response:
        return response.status


@pytest.mark.parametrize(("method", "path"), DOORS)
@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
async def test_no_request_of_another_sites_page_is_answered(
    simulator: Simulator,
    session: aiohttp.ClientSession,
    headers: dict[str, str],
    method: str,
    path: str,
) -> None:
    assert await _status(session, method, simulator.url + path, headers) == 403


async def test_a_refused_call_of_a_bot_changes_nothing_and_is_told_as_telegram_tells(
    simulator: Simulator, session: aiohttp.ClientSession, bot: Bot
) -> None:
    async with session.get(simulator.url + WEBHOOK, headers=FOREIGN["an image's"]) as response:
        body = await response.json()
    assert (body["ok"], body["error_code"]) == (False, 403)
    assert (await bot.call("getWebhookInfo"))["url"] == ""


@pytest.mark.parametrize("path", ["/", "/static/simulator.js", "/sim/state", WEBHOOK])
@pytest.mark.parametrize(
    "name", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0", "[::2]"]
)
async def test_a_name_of_another_site_that_leads_here_is_refused(
    simulator: Simulator, session: aiohttp.ClientSession, name: str, path: str
) -> None:
    host = f"{name}:{simulator.port}"
    for headers in ({"Host": host}, {"Host": host, "Origin": f"http://{host}"}):
        assert await _status(session, "GET", simulator.url + path, headers) == 403


@pytest.mark.parametrize("name", ["localhost", "LocalHost", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("port", ["", ":1", ":8081"])
async def test_every_name_of_this_machine_is_known_whatever_the_port(
    simulator: Simulator, session: aiohttp.ClientSession, name: str, port: str
) -> None:
    headers = {"Host": name + port}
    assert await _status(session, "GET", f"{simulator.url}/sim/state", headers) == 200


@pytest.mark.parametrize("path", ["/", "/static/simulator.css"])
async def test_a_link_of_another_site_leads_to_the_page(
    simulator: Simulator, session: aiohttp.ClientSession, path: str
) -> None:
    assert await _status(session, "GET", simulator.url + path, FOREIGN["a link's"]) == 200


async def test_the_page_itself_and_an_address_that_somebody_typed_are_served(
    simulator: Simulator, session: aiohttp.ClientSession
) -> None:
    for headers in (
        {"Origin": simulator.url, "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
    ):
        assert await _status(session, "GET", f"{simulator.url}/sim/state", headers) == 200
    own = {"Origin": simulator.url}
    assert await _status(session, "POST", f"{simulator.url}/sim/reset", own) == 200


async def test_on_a_network_bots_use_any_name_and_foreign_pages_stay_out(
    session: aiohttp.ClientSession,
) -> None:
    async with Simulator("0.0.0.0") as simulator:
        url = f"http://127.0.0.1:{simulator.port}"
        service = {"Host": "simulator:8081"}
        assert await _status(session, "GET", f"{url}/bot{DEFAULT_TOKEN}/getMe", service) == 200
        assert await _status(session, "GET", f"{url}/sim/state", service) == 200
        for headers in FOREIGN.values():
            assert await _status(session, "GET", url + WEBHOOK, service | headers) == 403
