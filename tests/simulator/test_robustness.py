"""Whatever a bot or a script sends, the simulator answers; it never fails itself."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.app import Simulator
from simulator.methods import METHODS
from simulator.world import DEFAULT_TOKEN

from .conftest import GROUP, Bot, Control

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(
        ["1001", "1", "x@y", "HTML", "typing", "[", "{", '{"type":"chat"}', "attach://x"]
    )
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["type", "offset", "length", "url", "text", "message_id", "chat_id", "callback_data",
             "inline_keyboard", "keyboard", "emoji", "command", "description", "user", "web_app"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=8,
)  # fmt: skip
NAMES = [
    "text", "caption", "chat_id", "from_chat_id", "message_id", "message_ids", "user_id", "name",
    "message_thread_id", "parse_mode", "entities", "caption_entities", "reply_markup",
    "reply_parameters", "link_preview_options", "photo", "document", "file_id", "action",
    "reaction", "commands", "scope", "language_code", "offset", "limit", "allowed_updates",
    "icon_color", "callback_query_id", "url", "secret_token", "reply_to_message_id",
]  # fmt: skip
PARAMS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6)
QUIET = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@QUIET
@given(method=st.sampled_from(sorted(METHODS)), params=PARAMS, real=st.booleans())
async def test_no_parameters_make_a_method_fail_by_itself(
    simulator: Simulator,
    bot: Bot,
    control: Control,
    method: str,
    params: dict[str, Any],
    real: bool,
) -> None:
    if not simulator.world.customers:
        await control.customer()
        await bot.call("sendMessage", chat_id=GROUP, text="x")
    if real:
        # Half of the time the call is aimed well, so that it gets further than the chat.
        params = params | {"chat_id": 1001, "message_id": 1}
    simulator.world.bots[0].updates.webhook = None
    body = await bot.answer(method, **params)
    assert body["ok"] or body["error_code"] < 500, body


TEXTS = st.text(max_size=40) | st.sampled_from(["<b>x</b>", "<b", "/start", "&#xD800;", "x" * 5000])


@QUIET
@given(text=TEXTS, mode=st.sampled_from(["", "HTML", "html", "Markdown", "MarkdownV2", "?"]))
async def test_no_text_makes_sending_fail_by_itself(
    simulator: Simulator, bot: Bot, control: Control, text: str, mode: str
) -> None:
    if not simulator.world.customers:
        await control.customer()
    body = await bot.answer("sendMessage", chat_id=1001, text=text, parse_mode=mode)
    assert body["ok"] or body["error_code"] == 400, body


ROUTES = ["customers", "customers/1001/send", "customers/1001/press", "customers/1001/react",
          "customers/1001/edit", "customers/1001/photo", "customers/1001/other", "operators",
          "customers/1001/delete", "operators/9001/send", "operators/9001/topics",
          "faults"]  # fmt: skip
FIELDS = ["text", "message_id", "emoji", "data", "thread", "reply_to", "first_name", "id", "kind",
          "times", "name", "data_base64", "chat_id", "timeout", "bot", "status",
          "parameters"]  # fmt: skip


@QUIET
@given(
    route=st.sampled_from(ROUTES),
    body=st.dictionaries(st.sampled_from(FIELDS), SCALARS, max_size=4),
)
async def test_no_body_makes_the_control_api_fail(
    simulator: Simulator, control: Control, route: str, body: dict[str, Any]
) -> None:
    if 1001 not in simulator.world.users:
        await control.customer()
    # What is not under test: waiting for an answer, and faults that would stay.
    status, answer = await control.request("POST", route, body | {"timeout": 0})
    assert status < 500, answer
    simulator.world.faults.clear()


@pytest.mark.parametrize("path", ["/bot", "/bot/", "/bot1:2", "/botx/getMe/extra", "/file/x", "/x"])
async def test_strange_paths_are_not_found(
    simulator: Simulator, session: aiohttp.ClientSession, path: str
) -> None:
    async with session.get(simulator.url + path) as response:
        assert response.status in (401, 404)


async def test_half_a_surrogate_pair_is_refused(
    simulator: Simulator, session: aiohttp.ClientSession
) -> None:
    target = f"{simulator.url}/bot{DEFAULT_TOKEN}/sendMessage"
    body = b'{"chat_id": 1, "entities": "[{\\"type\\": \\"\\\\ud800\\"}]", "text": "x"}'
    headers = {"Content-Type": "application/json"}
    async with session.post(target, data=body, headers=headers) as response:
        assert response.status == 400
        description = (await response.json())["description"]
    assert description == "Bad Request: strings must be encoded in UTF-8"
