"""A host's clock is compared with the database's, whatever time the answer takes on its way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from desk import metrics
from desk.flow import clocks
from desk.flow.desk import Desk
from desk.pack import Pack
from desk.store import Store
from desk.tables import utcnow


@pytest.fixture
def desk(postgres_url: str, pack: Pack) -> Iterator[Desk]:
    store = Store(postgres_url)
    yield Desk(store, pack)
    store.dispose()


def set_clock(patch: pytest.MonkeyPatch, *seconds: float) -> None:
    """Let the host's clock be wrong by so much, first when it asks and then at the answer."""
    wrong = iter(seconds)
    patch.setattr(clocks, "utcnow", lambda: utcnow() + timedelta(seconds=next(wrong)))


@pytest.mark.parametrize("wrong", [25.0, -25.0, 3.0])
def test_a_clock_that_differs_is_found_and_shown(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    set_clock(monkeypatch, *([wrong] * 4))
    assert clocks.offset(desk) == pytest.approx(wrong, abs=0.5)
    with capture_logs() as logs:
        clocks.watch(desk)
    [family] = metrics.CLOCK_OFFSET.collect()
    assert family.samples[0].value == pytest.approx(wrong, abs=0.5)
    assert [entry["event"] for entry in logs] == ["clock.differs"]


def test_a_clock_that_agrees_is_no_line_in_the_log(desk: Desk) -> None:
    with capture_logs() as logs:
        clocks.watch(desk)
    assert abs(clocks.offset(desk)) < 0.5
    assert logs == []


def test_a_slow_answer_is_no_difference(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    # Ten seconds on its way, all of them before or all of them behind the database.
    for way in ((-10.0, 0.0), (0.0, 10.0)):
        set_clock(monkeypatch, *way)
        assert abs(clocks.offset(desk)) < 0.5


def test_a_sqlite_file_has_the_clock_of_its_one_host(sqlite_url: str, pack: Pack) -> None:
    store = Store(sqlite_url)
    assert clocks.offset(Desk(store, pack)) == 0
    store.dispose()
