"""The limits on sending, with a clock of their own, and against Telegram's own count."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from bot.limits import (
    CHAT_BURST,
    GROUP_COUNT,
    GROUP_SECONDS,
    KEPT_FOR_CALLS,
    OVERALL_COUNT,
    Limits,
)
from desk.domain import DeliveryState
from desk.flow.composing import add_delivery
from desk.flow.desk import Desk
from desk.tables import DeliveryRow, Inbox
from simulator.world import OPERATORS_CHAT
from tests.bot.conftest import OLGA, Decider, Rows, Running, Starter, World, eventually


class Now:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture(autouse=True)
def limits_on_sending() -> None:
    """The real ones."""


def test_a_chat_may_burst_and_then_gets_one_a_second() -> None:
    now = Now()
    limits = Limits(now)
    for _ in range(CHAT_BURST):
        assert 5 not in limits.exhausted()
        limits.spend(5)
    assert limits.exhausted() == {5}
    now.time += 0.5
    assert limits.exhausted() == {5}
    assert limits.wait() == 0.5
    now.time += 0.5
    assert limits.exhausted() == set()
    limits.spend(5)
    assert limits.exhausted() == {5}


def test_a_group_gets_no_more_than_its_count_in_any_minute() -> None:
    now = Now()
    limits = Limits(now)
    sent = []
    while now.time < 100.0 + 4 * GROUP_SECONDS:
        if -5 not in limits.exhausted():
            limits.spend(-5)
            sent.append(now.time)
        now.time += 0.25
    for start in sent:
        assert len([time for time in sent if start <= time < start + 60]) <= GROUP_COUNT
    assert len(sent) >= 4 * (GROUP_COUNT - 1)


def test_a_group_gets_nothing_where_it_has_no_room_for_a_topic_and_its_first_message() -> None:
    now = Now()
    limits = Limits(now)
    for _ in range(GROUP_COUNT - 2):
        now.time += 1.0
        limits.spend(-5)
    assert limits.exhausted() == set()
    limits.spend(-5)
    assert limits.exhausted() == {-5}
    now.time += 10.0
    assert limits.exhausted() == {-5}
    assert limits.wait() == 101.0 + GROUP_SECONDS - now.time


def test_the_last_of_a_groups_count_is_kept_for_calls() -> None:
    now = Now()
    limits = Limits(now)
    for _ in range(GROUP_COUNT - KEPT_FOR_CALLS):
        assert limits.scarce() == set()
        now.time += 1.0
        limits.spend(-5)
        limits.spend(5)
    assert limits.scarce() == {-5}
    assert limits.exhausted() == set()
    now.time = 101.0 + GROUP_SECONDS - 0.25
    assert limits.scarce() == {-5}
    assert limits.wait() == 0.25
    now.time += 0.25
    assert limits.scarce() == set()


def test_all_chats_together_get_no_more_than_the_overall_count_a_second() -> None:
    now = Now()
    limits = Limits(now)
    for chat in range(OVERALL_COUNT):
        assert limits.room() == OVERALL_COUNT - chat
        limits.begin()
    now.time += 5.0
    assert limits.room() == 0, "what is under way still counts"
    for chat in range(OVERALL_COUNT):
        limits.end(chat)
    assert limits.room() == 0
    now.time += 0.9
    assert limits.room() == 0
    now.time += 0.1
    assert limits.room() == OVERALL_COUNT


def test_chats_that_have_recovered_are_forgotten() -> None:
    now = Now()
    limits = Limits(now)
    for chat in range(1000):
        limits.spend(chat)
    now.time += 10
    limits.exhausted()
    assert limits._chats == {}


async def test_a_burst_in_one_chat_meets_no_429_and_nothing_waits_as_sending(
    bot: Running, world: World, rows: Rows
) -> None:
    await world.ask("PATCH", "settings", {"limits": True})
    ann = await world.customer()
    for _ in range(CHAT_BURST + 2):
        await world.write(ann, "/help")
    await rows.until(Inbox, count=CHAT_BURST + 2)
    await world.said(ann, count=CHAT_BURST)
    await eventually(lambda: len(rows.all(DeliveryRow)) == CHAT_BURST + 2)
    await asyncio.sleep(0.1)
    states = [str(row.state) for row in rows.all(DeliveryRow)]
    assert states == ["sent"] * CHAT_BURST + ["pending"] * 2
    await world.said(ann, count=CHAT_BURST + 2)
    assert [call["ok"] for call in await world.calls("sendMessage")] == [True] * (CHAT_BURST + 2)


def test_what_others_sent_lately_counts() -> None:
    now = Now()
    limits = Limits(now)
    limits.seed([(-5, 50.0)] * 10 + [(-5, 5.5)] * 10 + [(7, 2.0)] * CHAT_BURST)
    assert limits.exhausted() == {-5}
    assert limits.room() == OVERALL_COUNT
    limits.seed([(8, 0.25)] * 3)
    assert limits.room() == OVERALL_COUNT - 3
    now.time += 10.0
    assert limits.exhausted() == set()


async def test_a_restart_in_a_burst_keeps_to_what_telegram_allows(
    start_bot: Starter, world: World, desk: Desk, rows: Rows
) -> None:
    await world.ask("PATCH", "settings", {"limits": True})
    ann = await world.customer()
    await world.ask("POST", f"customers/{ann}/start", {})

    def burst() -> None:
        with desk.store.writing() as session:
            for number in range(CHAT_BURST + 4):
                for chat_id in (ann, OPERATORS_CHAT):
                    text = {"text": f"burst {number}"}
                    add_delivery(session, desk, f"{chat_id}:{number}", chat_id, "sendMessage", text)

    await asyncio.to_thread(burst)
    for arrived in (CHAT_BURST - 1, CHAT_BURST, CHAT_BURST + 2):
        running = await start_bot()
        await world.said(ann, "burst", count=arrived, timeout=30)
        await running.stop()
        assert rows.all(DeliveryRow, state=DeliveryState.SENDING) == [], "a stop leaves none"
    await start_bot()
    for chat_id in (ann, OPERATORS_CHAT):
        said = await world.said(chat_id, "burst", count=CHAT_BURST + 4, timeout=30)
        assert [message["text"][6:] for message in said] == [str(n) for n in range(len(said))]
    calls = await world.calls("sendMessage")
    assert [call["error"] for call in calls if not call["ok"]] == []


async def test_in_a_busy_minute_a_call_for_help_waits_for_no_edits_of_cards(
    bot: Running, world: World, decider: Decider
) -> None:
    await world.ask("PATCH", "settings", {"limits": True})
    cards = []
    for name in ("Ann", "Ben", "Cleo", "Dan", "Eve"):
        await world.write(await world.customer(name), "outrageous")
        await decider.decide(("complaint", 0.8), ("order_status", 0.15), ("refund", 0.05))
        cards.append((await world.said(OPERATORS_CHAT, name, timeout=30))[0])
    for card in cards:
        for button in ("Why?", "« Less", "Why?", "Take"):
            with contextlib.suppress(AssertionError):  # it does not stand there yet
                await world.press(card, button, OLGA)
            await asyncio.sleep(0.2)
    zoe = await world.customer("Zoe")
    await world.write(zoe, "outrageous, too")
    await decider.decide(("complaint", 0.8), ("order_status", 0.15), ("refund", 0.05))
    await world.said(OPERATORS_CHAT, "Zoe", timeout=20)
    log = await world.ask("GET", "log", None, limit=1000)
    assert [call["method"] for call in log if not call["ok"]] == []
