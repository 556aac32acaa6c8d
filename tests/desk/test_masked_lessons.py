"""What customers taught stays masked; nobody waits in the database while that is done."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from desk.domain import FeedbackKind
from desk.flow import emptying, erasing, lessons, masked_lessons, teaching
from desk.flow.desk import Desk
from desk.flow.masked_lessons import MaskedLessons
from desk.masking import mask
from desk.tables import Customer, Feedback, Message
from tests.conftest import Clock
from tests.desk.acting import OLGA, OSCAR, Stage
from tests.desk.leavings import UMA, uma_asks

MASKED = [f"peonies {number}? write to [email]" for number in range(3)]


@pytest.fixture
def taught(stage: Stage, clock: Clock) -> Stage:
    """Long ago Uma wrote three texts that an operator has labelled, and one more."""
    for number in range(4):
        uma_asks(stage, f"peonies {number}? write to uma@quill.example", intent="complaint")
    stage.topic(UMA)
    stage.send_all()
    stage.resolve()
    stage.send_all()
    for message in stage.said()[:3]:
        label(stage, message.id)
    clock.move(seconds=86400 * 31)
    return stage


def label(stage: Stage, message_id: int, by: int = OSCAR) -> None:
    with stage.desk.store.writing() as session:
        row = Feedback(message_id=message_id, kind=FeedbackKind.RELABEL, intent="refund", by=by)
        row.created_at = stage.desk.clock() - timedelta(days=40)
        session.add(row)


def empty(desk: Desk, **more: Any) -> int | None:
    return emptying.empty_conversations(desk, desk.clock() - timedelta(days=30), 0, **more)


def erase_silent(desk: Desk, **more: Any) -> int | None:
    return erasing.erase_silent(desk, desk.clock() - timedelta(days=30), 10, **more)


def erase(desk: Desk) -> frozenset[str]:
    return erasing.erase(desk, 1).lessons


def heard(desk: Desk) -> list[lessons.Learned]:
    return lessons.heard(desk)


def words(desk: Desk) -> list[teaching.Word]:
    none: dict[str, Any] = {name: [] for name in ("heard", "counting", "aside", "test")}
    return teaching.words(desk, teaching.Which(), **none, sentiments=[])


def texts(stage: Stage) -> list[str]:
    query = select(Message).where(Message.text != "").order_by(Message.id)
    return [row.text for row in stage.all(query)]


@pytest.mark.parametrize("act", [empty, erase_silent, erase, heard, words])
def test_while_a_text_is_masked_no_transaction_is_open(
    taught: Stage, monkeypatch: pytest.MonkeyPatch, act: Callable[[Desk], object]
) -> None:
    open_: list[int] = []

    def masks(text: str, regions: Sequence[str], *more: Any) -> str:
        open_.append(taught.desk.store.engine.pool.checkedout())  # type: ignore[attr-defined]
        return mask(text, regions, *more)

    for module in (masked_lessons, erasing, lessons, teaching):
        monkeypatch.setattr(module, "mask", masks)
    act(taught.desk)
    assert len(open_) >= 3
    assert set(open_) == {0}


@pytest.mark.parametrize(
    ("act", "unfinished", "finished"), [(empty, 0, 1), (erase_silent, None, 1)]
)
def test_what_takes_too_long_to_mask_goes_on_at_the_next_call(
    taught: Stage,
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[..., int | None],
    unfinished: int | None,
    finished: int,
) -> None:
    monkeypatch.setattr(masked_lessons, "CHUNK", 1)
    before, masked = texts(taught), MaskedLessons()
    for _ in range(2):
        assert act(taught.desk, seconds=-1.0, lessons=masked) == unfinished
        assert texts(taught) == before
    assert act(taught.desk, seconds=-1.0, lessons=masked) == finished
    assert texts(taught) == MASKED


def test_who_can_not_be_erased_keeps_nobody_from_it_whose_texts_take_long(
    taught: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masked_lessons, "CHUNK", 1)
    with taught.desk.store.writing() as session:
        long_ago = taught.desk.clock() - timedelta(days=40)
        session.add(Customer(id=0, chat_id=7, name="Broken", created_at=long_ago))
    forget = erasing._forget

    def fails(session: Session, customer: Customer, *more: Any) -> erasing.Erased:
        if customer.id == 0:
            raise ValueError("a broken row")
        return forget(session, customer, *more)

    monkeypatch.setattr(erasing, "_forget", fails)
    masked = MaskedLessons()
    for _ in range(3):
        with pytest.raises(ValueError, match="a broken row"):
            erase_silent(taught.desk, seconds=-1.0, lessons=masked)
    assert texts(taught) == MASKED


def test_phone_numbers_of_the_packs_countries_are_masked(taught: Stage) -> None:
    last = taught.said()[3].id
    with taught.desk.store.writing() as session:
        session.get_one(Message, last).text = "peonies? call 020 7946 0958"
    label(taught, last)
    empty(taught.desk)
    assert texts(taught) == [*MASKED, "peonies? call [phone]"]


@pytest.mark.parametrize("act", [empty, erase_silent])
def test_what_is_taught_between_the_masking_and_the_writing_is_kept_and_masked(
    taught: Stage, monkeypatch: pytest.MonkeyPatch, act: Callable[[Desk], object]
) -> None:
    last, before = taught.said()[3].id, texts(taught)
    prepare = MaskedLessons.prepare

    def and_teach(
        self: MaskedLessons, desk: Desk, conversation_ids: Collection[int], *more: float
    ) -> bool:
        done = prepare(self, desk, conversation_ids, *more)
        label(taught, last, OLGA)
        return done

    with monkeypatch.context() as patch:
        patch.setattr(MaskedLessons, "prepare", and_teach)
        act(taught.desk)
    assert texts(taught) == before, "all of it waits"
    act(taught.desk)
    assert texts(taught) == [*MASKED, "peonies 3? write to [email]"]


def test_a_text_that_changed_since_it_was_masked_is_not_written_over(
    taught: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = taught.said()[0].id
    prepare = MaskedLessons.prepare

    def and_change(
        self: MaskedLessons, desk: Desk, conversation_ids: Collection[int], *more: float
    ) -> bool:
        done = prepare(self, desk, conversation_ids, *more)
        with desk.store.writing() as session:
            session.get_one(Message, first).text = "tulips"
        return done

    with monkeypatch.context() as patch:
        patch.setattr(MaskedLessons, "prepare", and_change)
        empty(taught.desk)
    assert "tulips" in texts(taught)
    empty(taught.desk)
    assert texts(taught) == ["tulips", *MASKED[1:]]


def test_what_was_emptied_once_is_written_no_more(
    taught: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty(taught.desk)
    assert texts(taught) == MASKED

    def writes() -> None:
        raise AssertionError("nothing is left to be written")

    with monkeypatch.context() as patch:
        patch.setattr(taught.desk.store, "writing", writes)
        assert empty(taught.desk) == 1
    (row,) = taught.all(select(Feedback).where(Feedback.message_id == taught.said()[0].id))
    teaching.withdraw(taught.desk, [row.id])
    empty(taught.desk)
    assert texts(taught) == MASKED[1:], "what teaches no more goes"


def test_who_is_erased_leaves_the_lessons_as_they_were_exported_without_their_name(
    taught: Stage,
) -> None:
    uma_asks(taught, "peonies for Umbrielle please", intent="refund")
    label(taught, taught.said()[-1].id)
    names = {"peonies for Umbrielle please", "peonies for [name] please"}
    erased = erasing.erase(taught.desk, taught.customer(UMA).id, force=True)
    assert names <= erased.lessons, "a version before exported their name"
