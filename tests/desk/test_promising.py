"""What a customer is promised who needs a person: only what the desk can keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy.orm import Session

from desk.domain import Person
from desk.flow import customers
from desk.flow.desk import Desk
from desk.flow.promising import handover_text, passed_on_text, waiting_text
from desk.hours import Hours
from desk.pack import Sla
from desk.store import Store
from desk.tables import Customer
from desk.texts import say
from tests.conftest import Clock
from tests.desk.acting import ANA as ANA_WRITES
from tests.desk.acting import BEN, Stage

ANA = Customer(chat_id=501, name="Ana", language="en")
OPEN = "I'm passing this to a colleague. You will get the reply right here, usually within {}."
CLOSED = (
    "I'm passing this to a colleague. Our team is back {}, and you will get the reply right here."
)
CLOSING = (
    "I'm passing this to a colleague. Our team is here until {} and back {}; you will get the "
    "reply right here."
)


@pytest.fixture
def session(store: Store) -> Iterator[Session]:
    with store.reading() as session:
        yield session


@pytest.fixture
def told(desk: Desk, session: Session, clock: Clock) -> Callable[..., str]:
    """Tells what Ana reads at a moment (UTC), given the promise in minutes."""

    def tell(moment: str, minutes: int, hours: Hours | None = None) -> str:
        clock.set(datetime.fromisoformat(moment).replace(tzinfo=UTC))
        pack = desk.pack.model_copy(
            update={"sla": Sla(first_reply_minutes=minutes), "hours": hours or desk.pack.hours}
        )
        return handover_text(session, replace(desk, pack=pack), ANA)

    return tell


# They are there on weekdays from nine to six; on Mondays (such as 2 March) not from twelve to one.
@pytest.mark.parametrize(
    ("moment", "minutes", "text"),
    [
        ("2026-03-03T10:00", 30, OPEN.format("30 minutes")),
        ("2026-03-03T17:30", 30, OPEN.format("30 minutes")),
        ("2026-03-03T17:31", 30, CLOSING.format("18:00", "tomorrow at 9:00 GMT")),
        ("2026-03-06T17:55", 30, CLOSING.format("18:00", "on Monday at 9:00 GMT")),
        ("2026-03-02T11:50", 30, CLOSING.format("12:00", "today at 13:00 GMT")),
        ("2026-03-03T10:00", 240, OPEN.format("4 hours")),
        ("2026-03-03T15:00", 240, CLOSING.format("18:00", "tomorrow at 9:00 GMT")),
        ("2026-03-03T10:00", 1440, OPEN.format("a day")),
        ("2026-03-06T10:00", 1440, CLOSING.format("18:00", "on Monday at 9:00 GMT")),
        ("2026-03-06T10:00", 4320, OPEN.format("3 days")),
        ("2026-03-03T07:30", 30, CLOSED.format("today at 9:00 GMT")),
        ("2026-03-03T18:00", 30, CLOSED.format("tomorrow at 9:00 GMT")),
        ("2026-04-02T18:00", 30, CLOSED.format("on Tuesday at 9:00 BST")),
    ],
)
def test_a_reply_is_promised_for_when_somebody_is_there(
    told: Callable[..., str], moment: str, minutes: int, text: str
) -> None:
    assert told(moment, minutes) == text


def test_a_desk_that_is_always_open_promises_the_time_at_any_hour(
    told: Callable[..., str],
) -> None:
    assert told("2026-03-03T23:59", 30, Hours()) == OPEN.format("30 minutes")
    assert told("2026-03-03T23:59", 20160, Hours()) == OPEN.format("14 days")


@pytest.mark.parametrize(
    ("moment", "minutes", "until"),
    [
        ("2026-03-05T10:00", 2880, "Saturday at 0:00"),
        ("2026-03-06T23:30", 60, "Saturday at 0:00"),
        ("2026-03-05T10:00", 4320, "Saturday at 0:00"),
    ],
)
def test_a_closing_that_is_not_today_is_named_with_its_day(
    told: Callable[..., str], moment: str, minutes: int, until: str
) -> None:
    hours = Hours(weekly=dict.fromkeys(("mon", "tue", "wed", "thu", "fri"), ("00:00-24:00",)))
    assert told(moment, minutes, hours) == CLOSING.format(until, "on Monday at 0:00 UTC")


@pytest.mark.parametrize(
    ("moment", "zone", "hours", "until", "back"),
    [
        # Tuesday at eleven there, and still Monday in UTC.
        ("2026-03-02T22:00", "Pacific/Auckland", "09:00-18:00", "18:00", "tomorrow at 9:00 UTC+13"),
        # Friday at half past eleven there, and Saturday in UTC.
        (
            *("2026-03-07T09:30", "Pacific/Honolulu", "00:00-24:00"),
            *("Saturday at 0:00", "on Monday at 0:00 HST"),
        ),
    ],
)
def test_whether_a_closing_is_today_is_a_matter_of_the_desks_own_day(
    told: Callable[..., str], moment: str, zone: str, hours: str, until: str, back: str
) -> None:
    weekdays = dict.fromkeys(("mon", "tue", "wed", "thu", "fri"), (hours,))
    there = Hours(timezone=zone, weekly=weekdays)
    assert told(moment, 480, there) == CLOSING.format(until, back)


def test_a_desk_that_never_opens_again_names_no_day(told: Callable[..., str]) -> None:
    assert "Our team is away right now" in told("2026-03-03T10:00", 30, Hours(weekly={"mon": ()}))


@pytest.fixture
def called(stage: Stage, clock: Clock) -> Stage:
    """Ana was promised a reply within 15 minutes, on a Tuesday at ten."""
    clock.set(datetime(2026, 3, 3, 10, 0, tzinfo=UTC))
    stage.ask("you are rude", intent="complaint")
    return stage


def _asks_again(stage: Stage, person: Person = ANA_WRITES) -> str:
    customers.asked_for_person(stage.desk, stage.update(), person, "/human")
    return stage.heard(person)[-1]


def test_a_promise_that_was_broken_is_not_made_again(called: Stage, clock: Clock) -> None:
    clock.move(minutes=14)
    assert _asks_again(called).endswith("usually within 15 minutes.")
    clock.move(hours=3)
    late = "Sorry, this is taking longer than it should. You are not forgotten: you will get the"
    assert _asks_again(called) == f"Your message is with my colleagues. {late} reply right here."


def test_what_is_pressed_by_who_waits_too_long_repeats_it_neither(
    called: Stage, clock: Clock
) -> None:
    customers.asked_for_person(called.desk, called.update(), BEN, "/human")
    clock.move(minutes=16)
    with called.desk.store.reading() as session:
        for person in (ANA_WRITES, BEN):
            customer = called.customer(person)
            text = passed_on_text(session, called.desk, customer)
            assert say("promise-late", customer.language) in text
            assert "15" not in text


def test_at_night_who_waits_too_long_hears_when_somebody_is_back(
    called: Stage, clock: Clock
) -> None:
    clock.move(hours=12)
    assert _asks_again(called) == (
        "Your message is with my colleagues. Our team is back tomorrow at 9:00 GMT, and you will "
        "get the reply right here."
    )


def test_only_who_has_taken_it_has_a_message(called: Stage) -> None:
    called.topic()
    with called.desk.store.reading() as session:
        text = waiting_text(session, called.desk, called.customer())
        assert "colleague already has" not in text
        text = waiting_text(session, called.desk, called.customer(), taken=True)
    assert text == "A colleague already has your message. You will get the reply right here."


def test_without_a_group_nobody_is_promised(desk: Desk, session: Session) -> None:
    said = handover_text(session, replace(desk, operator_chat_id=None), ANA)
    assert said.startswith("Your message is kept, but nobody can be reached right now.")
    chinese = Customer(chat_id=502, name="Ben", language="zh-hans")
    assert "联系不到" in handover_text(session, replace(desk, operator_chat_id=None), chinese)
