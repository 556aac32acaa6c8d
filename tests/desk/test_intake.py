"""Updates are stored once, handled in order, retried and at last parked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from desk.domain import DeskError, InboxState, Incoming
from desk.flow import intake
from desk.flow.desk import Desk
from desk.flow.erasing import empty_updates
from desk.tables import Inbox
from tests.conftest import Clock
from tests.desk.acting import BOT, Stage, new_rows


def _updates(*numbers: int, bot_id: int = BOT) -> list[Incoming]:
    return [Incoming(bot_id, number, 501, {"update_id": number}) for number in numbers]


def test_an_update_that_comes_twice_has_one_row(desk: Desk) -> None:
    assert intake.store_updates(desk, _updates(1, 2)) == 2
    assert intake.store_updates(desk, _updates(2, 3)) == 1
    rows = new_rows(desk)
    assert [row.update_id for row in rows] == [1, 2, 3]
    assert rows[0].payload == {"update_id": 1}


def test_an_update_that_stands_twice_in_a_batch_has_one_row(desk: Desk) -> None:
    assert intake.store_updates(desk, _updates(7, 7)) == 1


def test_the_first_payload_of_an_update_stays(desk: Desk) -> None:
    intake.store_updates(desk, [Incoming(BOT, 1, 501, {"text": "first"})])
    intake.store_updates(desk, [Incoming(BOT, 1, 501, {"text": "second"})])
    assert new_rows(desk)[0].payload == {"text": "first"}


def test_an_id_that_telegram_uses_again_after_an_idle_week_is_a_new_update(
    desk: Desk, clock: Clock
) -> None:
    intake.store_updates(desk, _updates(1, 2))
    old, unhandled = new_rows(desk)
    intake.done(desk, old.id)
    clock.move(days=8)
    again = [Incoming(BOT, number, 501, {"text": "anew"}) for number in (1, 2, 3)]
    assert intake.store_updates(desk, again) == 2
    rows = {row.update_id: row for row in new_rows(desk)}
    assert rows[1].payload == {"text": "anew"}
    assert rows[1].id != old.id
    assert rows[2].id == unhandled.id
    assert intake.store_updates(desk, again) == 0, "this time it is a redelivery"
    clock.move(days=8)
    intake.done(desk, rows[1].id)
    assert intake.store_updates(desk, again[:1]) == 1


def test_what_telegram_delivers_again_within_a_day_is_never_handled_twice(
    desk: Desk, clock: Clock
) -> None:
    intake.store_updates(desk, _updates(1))
    intake.done(desk, new_rows(desk)[0].id)
    clock.move(hours=25)
    assert intake.store_updates(desk, _updates(1)) == 0
    assert new_rows(desk) == []


def test_no_updates_change_nothing(desk: Desk) -> None:
    assert intake.store_updates(desk, []) == 0
    assert intake.next_update_id(desk, BOT) is None


def test_the_next_update_id_is_past_all_that_were_stored_also_those_emptied_since(
    desk: Desk, clock: Clock
) -> None:
    assert intake.next_update_id(desk, BOT) is None
    intake.store_updates(desk, _updates(10, 11))
    assert intake.next_update_id(desk, BOT) == 12
    for row in new_rows(desk):
        intake.done(desk, row.id)
    clock.move(hours=49)
    assert empty_updates(desk, clock(), 0) is not None
    assert intake.next_update_id(desk, BOT) == 12
    # As Telegram goes on after an idle week: the old 10 makes room, 11 was given, too.
    assert intake.store_updates(desk, _updates(10)) == 1
    assert intake.next_update_id(desk, BOT) == 12


def test_bots_have_updates_of_their_own(desk: Desk) -> None:
    intake.store_updates(desk, _updates(1, 2))
    intake.store_updates(desk, _updates(1, bot_id=99))
    assert [row.update_id for row in new_rows(desk, 99)] == [1]
    assert intake.next_update_id(desk, 99) == 2


def test_rows_already_known_are_not_handed_out_again(desk: Desk) -> None:
    intake.store_updates(desk, _updates(1, 2, 3, 4))
    known = [row.id for row in new_rows(desk)[:2]]
    assert [row.update_id for row in new_rows(desk, known=known, limit=1)] == [3]


def test_a_handled_update_is_not_new_any_more(desk: Desk) -> None:
    intake.store_updates(desk, _updates(1, 2))
    first, second = new_rows(desk)
    intake.done(desk, first.id)
    assert [row.id for row in new_rows(desk)] == [second.id]


def test_a_failing_update_is_tried_five_times_and_then_parked(desk: Desk) -> None:
    intake.store_updates(desk, _updates(1))
    row = new_rows(desk)[0]
    waits = [intake.failed(desk, row.id, f"error {number}") for number in range(1, 6)]
    assert waits == [0.5, 2.0, 8.0, 30.0, None]
    assert new_rows(desk) == []
    assert intake.parked(desk) == [(row.id, 5, "error 5")]


def test_an_update_that_no_retry_can_help_is_parked_at_once(desk: Desk) -> None:
    intake.store_updates(desk, _updates(1))
    row = new_rows(desk)[0]
    assert intake.failed(desk, row.id, "no JSON", final=True) is None
    assert intake.parked(desk) == [(row.id, 1, "no JSON")]


def test_operators_hear_of_a_parked_update(stage: Stage) -> None:
    inbox_id = stage.update()
    intake.failed(stage.desk, inbox_id, "boom", final=True)
    assert len(stage.told()) == 1
    assert str(inbox_id) in stage.told()[0]


def test_a_parked_update_can_have_another_round(desk: Desk) -> None:
    intake.store_updates(desk, _updates(1))
    row = new_rows(desk)[0]
    intake.failed(desk, row.id, "boom", final=True)
    assert intake.retry_parked(desk) == 1
    assert [new.id for new in new_rows(desk)] == [row.id]
    assert intake.parked(desk) == []
    assert intake.failed(desk, row.id, "boom") == intake.RETRY_SECONDS[0]


def test_operators_hear_of_an_update_that_is_parked_once_more(stage: Stage, clock: Clock) -> None:
    inbox_id = stage.update()
    intake.failed(stage.desk, inbox_id, "boom", final=True)
    intake.retry_parked(stage.desk)
    clock.move(minutes=1)
    intake.failed(stage.desk, inbox_id, "boom", final=True)
    assert len(stage.told()) == 2


def test_a_parked_update_that_nothing_can_mend_is_closed(desk: Desk) -> None:
    intake.store_updates(desk, _updates(1, 2))
    row, other = new_rows(desk)
    intake.failed(desk, row.id, "boom", final=True)
    with pytest.raises(DeskError, match=f"no such parked update: {other.id};"):
        intake.dismiss_parked(desk, [row.id, other.id])
    assert len(intake.parked(desk)) == 1
    intake.dismiss_parked(desk, [row.id])
    assert intake.parked(desk) == []
    assert [new.id for new in new_rows(desk)] == [other.id]


def test_nothing_is_kept_of_an_update_for_which_there_was_nothing_to_do(desk: Desk) -> None:
    words = {"message": {"text": "17 Elm Road", "chat": {"id": -100777}}}
    intake.store_updates(desk, [Incoming(BOT, 1, -100777, words)])
    row = new_rows(desk)[0]
    intake.done(desk, row.id)
    with desk.store.reading() as session:
        kept = session.get_one(Inbox, row.id)
    assert (kept.state, kept.payload, kept.chat_id) == (InboxState.DONE, {}, None)


def test_a_failure_after_the_update_was_handled_is_ignored(desk: Desk) -> None:
    intake.store_updates(desk, _updates(1))
    row = new_rows(desk)[0]
    intake.done(desk, row.id)
    assert intake.failed(desk, row.id, "too late") is None
    assert intake.parked(desk) == []


def test_an_error_with_nul_and_of_any_length_can_be_noted(desk: Desk) -> None:
    intake.store_updates(desk, _updates(1))
    row = new_rows(desk)[0]
    intake.failed(desk, row.id, "x\x00" * 5000, final=True)
    assert intake.parked(desk)[0][2] == "x" * 2000


def test_two_bots_may_store_the_very_first_updates_of_a_database_at_once(desk: Desk) -> None:
    together = Barrier(2)

    def store(update_id: int) -> int:
        together.wait(10)
        return intake.store_updates(desk, [Incoming(BOT, update_id, 501, {"update_id": update_id})])

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(store, (1, 2))) == [1, 1]
    assert intake.next_update_id(desk, BOT) == 3
