"""What colleagues write about customers, wherever that is, is kept as ids once it is handled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from desk.domain import InboxState
from desk.flow import buttons, edits, erasing, intake, operators, topics
from desk.flow.keeping import ids_of
from desk.tables import Inbox
from tests.conftest import OPERATOR_CHAT
from tests.desk.acting import OLGA, OSCAR, Stage
from tests.desk.leavings import UMA, left_of_uma, store, uma_asks

NOBODYS = 4444
"""A topic that is no customer's."""
STRANGER = 999


def _about_uma(stage: Stage, kind: str = "message", chat_id: int = OPERATOR_CHAT) -> int:
    """Somebody writes, or presses, with her words in all places that there are."""
    quoted = {"message_id": 3, "text": "the peonies are dead", "caption": "// Quill"}
    body = {
        "message_id": 900,
        "message_thread_id": NOBODYS,
        "text": "Umbrielle Quill phoned",
        "from": {"id": OLGA, "first_name": "Olga"},
        "reply_to_message": quoted,
        "external_reply": quoted,
        "quote": {"text": "peonies"},
        "message": quoted,
    }
    return store(stage, 9500, chat_id, {"update_id": 9500, kind: body})


def _writes(stage: Stage, user_id: int = OLGA, thread_id: int = NOBODYS) -> Callable[[int], Any]:
    return lambda id_: operators.operator_wrote(stage.desk, id_, user_id, thread_id, 900, "peonies")


def _edits(stage: Stage, user_id: int, thread_id: int = NOBODYS) -> Callable[[int], Any]:
    rewritten = edits.Rewritten("peonies", "editMessageText", {"text": "peonies"})
    return lambda id_: edits.operator_changed(stage.desk, id_, user_id, thread_id, 4711, rewritten)


ACTS: dict[str, Callable[[Stage], Callable[[int], Any]]] = {
    "words in nobody's topic": _writes,
    "a stranger's words there": lambda stage: _writes(stage, STRANGER),
    "words in a customer's topic": lambda stage: _writes(stage, OSCAR, 77),
    "a note": lambda stage: lambda id_: operators.noted(stage.desk, id_, OSCAR, NOBODYS),
    "a note in General": lambda stage: lambda id_: operators.misplaced(stage.desk, id_, OSCAR),
    "a file with a command": lambda stage: (
        lambda id_: operators.sent_file_with_command(stage.desk, id_, OSCAR, NOBODYS)
    ),
    "an unknown command": lambda stage: (
        lambda id_: operators.mistyped(stage.desk, id_, OSCAR, NOBODYS, "/x")
    ),
    "a command in nobody's topic": lambda stage: (
        lambda id_: operators.took(stage.desk, id_, OSCAR, NOBODYS)
    ),
    "/queue": lambda stage: lambda id_: operators.queue_wanted(stage.desk, id_, OSCAR),
    "/retrain": lambda stage: lambda id_: operators.ordered_training(stage.desk, id_, OSCAR),
    "/help": lambda stage: lambda id_: operators.help_wanted(stage.desk, id_, OSCAR, None),
    "a change in nobody's topic": lambda stage: _edits(stage, OSCAR),
    "a stranger's change": lambda stage: _edits(stage, STRANGER),
    "a change of what nobody wrote": lambda stage: _edits(stage, OSCAR, 77),
    "a press": lambda stage: (
        lambda id_: buttons.pressed(
            stage.desk, id_, stage.token("resolve"), OSCAR, OPERATOR_CHAT, 3
        )
    ),
    "a stranger's press": lambda stage: (
        lambda id_: buttons.pressed(
            stage.desk, id_, stage.token("resolve"), STRANGER, OPERATOR_CHAT, 3
        )
    ),
}


@pytest.mark.parametrize("act", ACTS)
def test_of_what_is_said_and_done_among_colleagues_no_words_are_kept(
    stage: Stage, act: str
) -> None:
    uma_asks(stage, "the peonies are dead", intent="complaint")
    stage.topic(UMA)
    stage.send_all()
    do = ACTS[act](stage)
    id_ = _about_uma(stage, "callback_query" if "press" in act else "message")
    do(id_)
    row = stage.row(Inbox, id_)
    assert row.state is InboxState.DONE
    assert not [
        word for word in ("eonies", "Quill", "Umbrielle", "Olga") if word in str(row.payload)
    ]
    (body,) = row.payload.values()
    assert (body["message_id"], body["message_thread_id"]) == (900, NOBODYS)
    assert body["reply_to_message"] == {"message_id": 3}
    assert row.chat_id == OPERATOR_CHAT


def test_a_press_in_a_group_that_was_the_operators_is_kept_without_the_words_there(
    stage: Stage,
) -> None:
    uma_asks(stage, "the peonies are dead", intent="complaint")
    stage.topic(UMA)
    id_ = _about_uma(stage, "callback_query", -100777)
    assert buttons.pressed(stage.desk, id_, stage.token("resolve"), OSCAR, -100777, 3).alert
    assert "peonies" not in str(stage.row(Inbox, id_).payload)


def test_what_is_written_in_the_topic_of_one_who_was_erased_is_not_kept(uma: Stage) -> None:
    """As where the bot may not delete it."""
    erasing.erase(uma.desk, uma.customer(UMA).id)
    id_ = _about_uma(uma)
    _writes(uma, OSCAR, 77)(id_)
    assert left_of_uma(uma) == []


def test_a_press_at_a_card_whose_topic_was_deleted_by_hand_is_no_hiding_place(
    stage: Stage,
) -> None:
    uma_asks(stage, "the peonies are dead", intent="complaint")
    stage.topic(UMA)
    stage.send_all()
    card = {"message_id": 1, "message_thread_id": 77, "text": "Umbrielle: the peonies are dead"}
    pressed = store(stage, 9500, OPERATOR_CHAT, {"callback_query": {"message": card}})
    buttons.pressed(stage.desk, pressed, stage.token("why"), OSCAR, OPERATOR_CHAT, 1)
    note = {"message": {"message_thread_id": 77, "text": "// Quill"}}
    operators.noted(stage.desk, store(stage, 9501, OPERATOR_CHAT, note), OSCAR, 77)
    stage.send_all()
    assert topics.topic_made(stage.desk, stage.customer(UMA).id, 99, again=True)
    stage.send_all()
    erasing.erase(stage.desk, stage.customer(UMA).id, force=True)
    assert left_of_uma(stage) == []


def _kept_by_a_version_before(stage: Stage, id_: int, payload: dict[str, Any]) -> None:
    with stage.desk.store.writing() as session:
        done = {"payload": payload, "state": InboxState.DONE}
        session.execute(update(Inbox).where(Inbox.id == id_).values(done))


def test_an_erasure_takes_the_words_that_a_version_before_has_kept(
    uma: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "CHUNK", 2)
    others = [store(uma, 9600 + number, OPERATOR_CHAT, {}) for number in range(5)]
    for id_ in others:
        words = {"message_thread_id": NOBODYS, "message_id": id_, "text": "Quill has peonies"}
        _kept_by_a_version_before(uma, id_, {"message": words})
    erasing.erase(uma.desk, uma.customer(UMA).id)
    assert left_of_uma(uma) == []
    ids = [uma.row(Inbox, id_).payload["message"]["message_id"] for id_ in others]
    assert ids == others


def test_of_updates_that_are_not_handled_and_of_customers_everything_is_kept(
    uma: Stage,
) -> None:
    new, parked = (
        store(uma, 9600 + number, OPERATOR_CHAT, {"message": {"text": "words"}})
        for number in range(2)
    )
    intake.failed(uma.desk, parked, "ValueError", final=True)
    before = {row.id: row.payload for row in uma.all(select(Inbox).where(Inbox.chat_id > 0))}
    assert "peonies" in str(before)
    at: int | None = 0
    while at is not None:
        at = intake.keep_ids(uma.desk, at)
    assert [uma.row(Inbox, id_).payload for id_ in (new, parked)] == [
        {"message": {"text": "words"}}
    ] * 2
    after = {row.id: row.payload for row in uma.all(select(Inbox).where(Inbox.chat_id > 0))}
    assert after == before


def test_a_parked_update_is_whole_until_it_is_handled_or_closed(stage: Stage) -> None:
    handled, closed = (
        store(stage, 9600 + number, OPERATOR_CHAT, {"message": {"text": "Quill"}})
        for number in range(2)
    )
    for id_ in (handled, closed):
        intake.failed(stage.desk, id_, "ValueError: Quill", final=True)
    assert intake.retry_parked(stage.desk) == 2
    assert stage.row(Inbox, handled).payload == {"message": {"text": "Quill"}}
    operators.noted(stage.desk, handled, OSCAR, NOBODYS)
    intake.failed(stage.desk, closed, "ValueError: Quill", final=True)
    intake.dismiss_parked(stage.desk, [closed])
    assert "Quill" not in str([(row.payload, row.error) for row in stage.all(select(Inbox))])


def test_an_update_of_which_ids_are_kept_is_known_when_it_comes_again(stage: Stage) -> None:
    id_ = _about_uma(stage)
    _writes(stage)(id_)
    assert _about_uma(stage) == id_
    assert stage.row(Inbox, id_).state is InboxState.DONE


def test_what_is_kept_is_reduced_no_further() -> None:
    photo = [{"file_unique_id": "s", "file_id": "x"}, {"file_unique_id": "l", "file_id": "y"}]
    picture = {"message_id": 1, "media_group_id": "g", "photo": photo, "caption": "//Quill"}
    kept = ids_of({"update_id": 7, "message": picture})
    assert len(kept["message"].pop("hash")) == 4
    assert kept == {
        "message": {
            "message_id": 1,
            "media_group_id": "g",
            "photo": {"file_unique_id": "l"},
            "caption": "//",
        }
    }
    once = ids_of({"message": picture | {"reply_to_message": picture}})
    assert ids_of(once) == once
    assert once["message"]["reply_to_message"] == {"message_id": 1, "media_group_id": "g"}
    assert "caption" not in ids_of({"message": {"caption": "Quill"}})["message"]
