"""Whatever comes in from outside is stored or refused with a sentence; it never ends a process."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiogram.types import User
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from bot.answers import Answers
from bot.disturbance import Disturbance
from bot.indicator import Indicator
from bot.intake import incoming
from bot.jobs import Jobs
from bot.lanes import Lanes
from bot.limits import Limits
from bot.routers import KnownBot, Routers
from bot.standing import Standing
from bot.telegram import Telegram
from bot.webhook import PATH, SECRET_HEADER, make_app
from classifier.data import DataError, read_examples
from desk.domain import InboxState
from desk.exchange import canned, rasa
from desk.exchange.material import ExchangeError
from desk.flow import buttons, intake
from desk.flow.desk import Desk
from desk.masking import mask
from desk.pack import PackError, load
from desk.tables import Inbox
from tests.conftest import FLORIST
from tests.desk.acting import ANA, BOT, OLGA, Stage, hold_lease

BOUNDED = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TOKEN = f"{BOT}:AAabcdefghijklmnopqrstuvwxyz0123456"
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)

MESSAGE: dict[str, Any] = {
    "update_id": 1,
    "message": {
        "message_id": 5,
        "date": 1_700_000_000,
        "chat": {"id": 501, "type": "private", "first_name": "Ana"},
        "from": {"id": 501, "is_bot": False, "first_name": "Ana", "language_code": "en"},
        "text": "where is my order",
    },
}
PRESS: dict[str, Any] = {
    "update_id": 1,
    "callback_query": {
        "id": "77",
        "from": {"id": 501, "is_bot": False, "first_name": "Ana"},
        "chat_instance": "1",
        "data": "x",
        "message": MESSAGE["message"],
    },
}
RICH: dict[str, Any] = {
    "update_id": 1,
    "message": {key: value for key, value in MESSAGE["message"].items() if key != "text"}
    | {
        "rich_message": {
            "blocks": {
                "type": "url",
                "text": {"type": "bold", "text": "here"},
                "url": "https://a.b",
            }
        },
        "reply_markup": {"inline_keyboard": [[{"text": "here", "url": "https://a.b"}]]},
    },
}
BLOCK: dict[str, Any] = {
    "update_id": 1,
    "my_chat_member": {
        "chat": MESSAGE["message"]["chat"],
        "from": MESSAGE["message"]["from"],
        "date": 1_700_000_000,
        "old_chat_member": {"status": "member", "user": MESSAGE["message"]["from"]},
        "new_chat_member": {
            "status": "kicked",
            "user": MESSAGE["message"]["from"],
            "until_date": 0,
        },
    },
}


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _paths(item, (*path, key))


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A real update in which some values were replaced by anything, or left out."""
    update = copy.deepcopy(draw(st.sampled_from([MESSAGE, PRESS, RICH, BLOCK])))
    paths = [path for path in _paths(update) if path != ("update_id",)]
    for path in draw(st.lists(st.sampled_from(paths), min_size=1, max_size=3)):
        holder = update
        for key in path[:-1]:
            holder = holder.get(key) if isinstance(holder, dict) else None
        if not isinstance(holder, dict) or path[-1] not in holder:
            continue
        if draw(st.booleans()):
            holder[path[-1]] = draw(anything)
        else:
            del holder[path[-1]]
    return update


@BOUNDED
@given(anything)
def test_any_json_is_an_update_with_an_id_or_none(raw: Any) -> None:
    found = incoming(BOT, raw)
    assert found is None or isinstance(found.update_id, int)


@SQLITE
async def test_any_body_of_a_webhook_is_answered_without_an_error_of_the_server(
    desk: Desk,
) -> None:
    quiet = Disturbance(desk, NoTelegram(TOKEN), Limits(), lambda: False)
    app = make_app(BOT, "secret", quiet, lambda: None)
    bodies: list[bytes] = []

    @BOUNDED
    @given(st.binary(max_size=40) | anything.map(lambda value: json.dumps(value).encode()))
    def collect(body: bytes) -> None:
        bodies.append(body)

    collect()
    async with TestClient(TestServer(app)) as client:
        for body in [*bodies, b"[" * 100_000, b'{"update_id": 1e999}', b"\xff" * 10]:
            answer = await client.post(PATH, data=body, headers={SECRET_HEADER: "secret"})
            assert answer.status in (200, 400), body


class NoTelegram(Telegram):
    """Refuses to be called: what is handled here needs no answer of Telegram's."""

    async def call(self, method: str, params: Any = None, seconds: float = 20.0) -> Any:
        return {}


@SQLITE
async def test_any_update_is_done_or_parked_and_the_next_one_is_handled(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "MAX_ATTEMPTS", 1)  # no waiting between attempts
    updates: list[dict[str, Any]] = []

    @BOUNDED
    @given(mutated())
    def collect(update: dict[str, Any]) -> None:
        updates.append(update | {"update_id": len(updates) + 1})

    collect()
    stored = [found for update in updates if (found := incoming(BOT, update)) is not None]
    for one in stored:
        intake.store_updates(desk, [one])
    me = User(id=BOT, is_bot=True, first_name="Desk")
    telegram = NoTelegram(TOKEN)
    bot = KnownBot(TOKEN, me)
    jobs = Jobs("unix:///nonexistent/redis.sock")
    indicator, answers = Indicator(desk, telegram), Answers(telegram, Limits())
    routers = Routers(desk, bot, jobs, indicator, answers, Standing(desk), lambda: None)
    stop = asyncio.Event()
    quiet = Disturbance(desk, telegram, Limits(), lambda: False)
    lanes = Lanes(desk, BOT, routers.handle, hold_lease(desk), quiet)
    running = asyncio.create_task(lanes.run(stop))
    async with asyncio.timeout(120):
        while _unfinished(desk):  # noqa: ASYNC110 - the rows tell, and nobody else
            await asyncio.sleep(0.05)
    stop.set()
    await running
    jobs.close()
    assert len(stored) > 40
    with desk.store.reading() as session:
        query = select(Inbox.state, func.count()).group_by(Inbox.state)
        states = dict(session.execute(query).all())
    assert set(states) <= {InboxState.DONE, InboxState.PARKED}
    assert sum(states.values()) == len(stored)
    assert states[InboxState.DONE] > 0


def _unfinished(desk: Desk) -> int:
    with desk.store.reading() as session:
        query = select(func.count()).where(Inbox.state == InboxState.NEW)
        return session.scalar(query) or 0


@SQLITE
def test_any_callback_data_from_anybody_is_answered_and_changes_nothing(desk: Desk) -> None:
    stage = Stage(desk)
    stage.ask("where is it", ANA)
    before = stage.deliveries()

    @BOUNDED
    @given(
        st.text(max_size=64) | st.binary(max_size=64).map(lambda raw: raw.decode("latin-1")),
        st.sampled_from([ANA.chat_id, OLGA, 666, -1, 2**62]),
        st.sampled_from([ANA.chat_id, desk.operator_chat_id or 0, 0]),
        st.integers(0, 2**31),
    )
    def press(data: str, user: int, chat: int, message: int) -> None:
        pressed = buttons.pressed(desk, stage.update(), data, user, chat, message)
        assert pressed.text

    press()
    assert [row.id for row in stage.deliveries()] == [row.id for row in before]


@contextmanager
def naming(path: Path, refusal: type[Exception]) -> Iterator[None]:
    """A refusal is as good as success if it names the file."""
    try:
        yield
    except refusal as refused:
        if str(path) not in str(refused):
            raise AssertionError(f"the refusal does not name {path}: {refused}") from refused


hostile_lines = st.sampled_from(
    ["text,intent\n", '"', "a,b\n", '{"text": "a", "intent": "b"}\n', "- ", "nlu:\n", "&a [*a]\n",
     "\x00", "\ufeff", "﷽", "!!python/object/apply:os.system [id]\n", "{", "[", "version: 1\n",
     "- intent: a\n  examples: |\n    - x\n", "short_code,content\n", "=1+1,b\n"]
)  # fmt: skip
hostile_files = (
    st.binary(max_size=60)
    | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.lists(hostile_lines, max_size=8).map(lambda lines: "".join(lines).encode())
)


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".yml"])
def test_any_file_of_examples_is_read_or_refused_with_its_line(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"file{ending}"

    @BOUNDED
    @given(hostile_files)
    def read(content: bytes) -> None:
        path.write_bytes(content)
        with naming(path, DataError):
            assert all(row.text.strip() for row in read_examples(path))

    read()


def test_any_file_of_canned_answers_or_of_rasa_is_read_or_refused(tmp_path: Path) -> None:
    table, domain = tmp_path / "canned.csv", tmp_path / "domain.yml"

    @BOUNDED
    @given(hostile_files)
    def read(content: bytes) -> None:
        table.write_bytes(content)
        domain.write_bytes(content)
        for reader, path in ((canned.read, table), (rasa.read, domain)):
            with naming(path, ExchangeError):
                reader(path)

    read()


def _with_bombs() -> list[str]:
    laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    return [
        laughs,
        "a: " + "[" * 5000,
        "!!python/object/apply:os.system ['true']",
        "a: !!python/name:os.system",
        "? {}\n: x",
        "a: &a {b: *a}",
    ]


@pytest.mark.parametrize("text", _with_bombs())
def test_a_pack_that_is_a_bomb_is_refused(text: str, pack_folder: Path) -> None:
    (pack_folder / "pack.yml").write_text(text)
    with pytest.raises(PackError):
        load(pack_folder)


def test_any_value_in_a_pack_is_taken_or_refused_with_its_place(pack_folder: Path) -> None:
    good = yaml.safe_load((FLORIST / "pack.yml").read_text())
    paths = list(_paths(good))

    @BOUNDED
    @given(st.sampled_from(paths), anything)
    def mutate(path: tuple[Any, ...], value: Any) -> None:
        changed = copy.deepcopy(good)
        holder = changed
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = value
        (pack_folder / "pack.yml").write_text(yaml.safe_dump(changed, allow_unicode=True))
        with naming(pack_folder / "pack.yml", PackError):
            load(pack_folder)

    mutate()


@BOUNDED
@given(st.text(max_size=60), st.text(max_size=60))
def test_masking_leaves_no_planted_number_whatever_stands_around_it(
    before: str, after: str
) -> None:
    for secret in ("jane.doe@example.com", "4111 1111 1111 1111", "DE89370400440532013000"):
        assert secret not in mask(f"{before} {secret} {after}", ["GB"])
