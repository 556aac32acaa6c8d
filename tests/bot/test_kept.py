"""Presses kept while the database is away: how many, for how long, and in which order."""

from __future__ import annotations

import pytest

from bot import kept
from bot.kept import KeptPresses
from desk.domain import Incoming


def press(update_id: int) -> Incoming:
    return Incoming(1, update_id, 5, {"update_id": update_id, "callback_query": {"id": "7"}})


def message(update_id: int) -> Incoming:
    return Incoming(1, update_id, 5, {"update_id": update_id, "message": {"text": "hello"}})


def ids(updates: list[Incoming]) -> list[int]:
    return [update.update_id for update in updates]


def test_presses_are_kept_and_messages_are_left_to_telegram() -> None:
    presses = KeptPresses()
    presses.keep([message(1)])
    assert not presses
    presses.keep([message(1), press(2), message(3)])
    assert ids(presses.added_to([])) == [2]


def test_each_stands_in_its_place_once_though_telegram_returns_it_still() -> None:
    presses = KeptPresses()
    presses.keep([message(1), press(2), message(3), press(4)])
    assert ids(presses.added_to([message(1), message(3), press(4), message(5)])) == [1, 2, 3, 4, 5]
    presses.clear()
    assert ids(presses.added_to([message(5)])) == [5]


def test_without_a_press_to_add_the_order_is_telegrams() -> None:
    presses = KeptPresses()
    presses.keep([press(4)])
    assert ids(presses.added_to([press(4), message(2)])) == [4, 2]


def test_there_is_room_for_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST", 2)
    presses = KeptPresses()
    presses.keep([press(1), press(2), press(3)])
    presses.keep([press(4)])
    assert ids(presses.added_to([])) == [1, 2]


def test_what_is_a_day_old_is_forgotten_for_its_id_may_be_given_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(kept, "boottime", lambda: now)
    presses = KeptPresses()
    presses.keep([press(1)])
    now += 24 * 3600 - 1
    presses.keep([press(1), press(2)])
    assert ids(presses.added_to([])) == [1, 2]
    now += 2
    assert ids(presses.added_to([message(9)])) == [2, 9]
