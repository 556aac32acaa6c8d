"""What a sender that died was sending: sent again and marked, or given up."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from desk.domain import ConversationState, DeliveryState
from desk.flow import delivering, recovering
from desk.tables import DeliveryRow
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import OSCAR, Stage, add_deliveries, take_texts


def test_what_was_being_sent_at_a_crash_is_sent_again_and_marked(stage: Stage) -> None:
    add_deliveries(stage, "one")
    take_texts(stage)
    assert stage.recover() == 1
    (again,) = stage.take()
    assert again.uncertain
    assert again.attempts == 2


@pytest.mark.parametrize("method", ["editMessageText", "editMessageReplyMarkup"])
def test_an_edit_can_be_repeated_and_is_not_uncertain(stage: Stage, method: str) -> None:
    (row_id,) = add_deliveries(stage, "one", method=method)
    take_texts(stage)
    assert stage.recover() == 0
    (again,) = stage.take()
    assert not again.uncertain
    delivering.again(stage.desk, row_id, 1, 0, "timeout", uncertain=True)
    assert not stage.row(DeliveryRow, row_id).uncertain


def test_what_arrived_after_all_before_it_is_taken_again_is_not_sent_twice(stage: Stage) -> None:
    (row_id,) = add_deliveries(stage, "one")
    take_texts(stage)
    stage.recover()
    delivering.sent(stage.desk, row_id, 1, 7)
    assert take_texts(stage) == []
    assert stage.row(DeliveryRow, row_id).telegram_id == 7


@pytest.mark.parametrize("taken_again", [False, True])
def test_a_card_that_may_have_arrived_keeps_its_text_and_is_then_brought_up_to_date(
    stage: Stage, taken_again: bool
) -> None:
    card = f"card:{stage.ask('you are rude', intent='complaint')}"
    stage.take()
    (before,) = stage.deliveries(key=card)
    stage.recover()
    stage.press(stage.token("take"), by=OSCAR)
    if taken_again:
        stage.take()
    (row,) = stage.deliveries(key=card)
    assert row.payload["text"] == before.payload["text"]
    delivering.sent(stage.desk, row.id, row.attempts, 7)
    (edit,) = stage.deliveries(method="editMessageText")
    assert edit.payload["message_id"] == 7
    assert edit.payload["text"] != before.payload["text"]
    assert "Oscar" in edit.payload["text"]


def test_a_delivery_during_which_the_sender_died_twice_is_given_up_and_operators_hear_of_it(
    stage: Stage,
) -> None:
    message_id = stage.ask("roses?")
    key = f"answer:{message_id}"
    for uncertain, state in (
        (1, DeliveryState.PENDING),
        (0, DeliveryState.FAILED),
        (0, DeliveryState.FAILED),
    ):
        stage.take((OPERATOR_CHAT,))
        assert stage.recover() == uncertain
        (row,) = stage.deliveries(key=key)
        assert row.state is state
    assert (row.attempts, row.uncertain) == (2, True)
    assert stage.conversation().state is ConversationState.WAITING
    assert any("may have arrived" in text for text in stage.told())
    assert "could not be delivered" in stage.told()[-1]


@pytest.mark.parametrize(
    "error", [KeyError("nobody foresaw that"), IntegrityError("insert", {}, Exception("odd"))]
)
def test_an_error_that_nobody_foresaw_does_not_keep_the_bot_from_starting(
    error: Exception, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_id = stage.ask("roses?")
    stage.take((OPERATOR_CHAT,))
    stage.recover()
    stage.take((OPERATOR_CHAT,))

    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("desk.flow.delivering.call_person", broken)
    stage.recover()
    (row,) = stage.deliveries(key=f"answer:{message_id}")
    assert row.state is DeliveryState.FAILED


def test_what_was_sent_lately_or_may_have_been_is_known_to_the_next_sender(
    stage: Stage, clock: Clock
) -> None:
    for chat_id in (1, 2):
        (row_id,) = add_deliveries(stage, f"to {chat_id}", chat_id=chat_id)
        take_texts(stage)
        delivering.sent(stage.desk, row_id, 1, 7)
        clock.move(seconds=40)
    add_deliveries(stage, "an edit", chat_id=3, method="editMessageText")
    add_deliveries(stage, "under way", chat_id=4)
    add_deliveries(stage, "waiting", chat_id=4)
    add_deliveries(stage, "card:1", chat_id=5)
    take_texts(stage)
    oldest, *others = recovering.recently_sent(stage.desk, 60)
    assert oldest == (2, 40.0)
    # The last may have made its topic.
    assert sorted(others) == [(3, 0.0), (4, 0.0), *[(5, 0.0)] * 2]


def test_what_never_began_is_not_uncertain_after_a_crash(stage: Stage) -> None:
    add_deliveries(stage, "one")
    assert stage.recover() == 0
    assert not stage.take()[0].uncertain
