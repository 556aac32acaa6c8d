"""Who waits from before there was this operators' chat is announced in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from desk.domain import (
    ConversationState,
    DeliveryState,
    Person,
)
from desk.flow import (
    announcing,
    customers,
    delivering,
    dispatching,
    erasing,
    intake,
    leases,
    operators,
)
from desk.flow.button_actions import CALL_PERSON
from desk.tables import Conversation, Customer
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, OSCAR, Stage


def test_who_waits_from_before_there_was_an_operators_chat_is_announced_once(stage: Stage) -> None:
    alone = Stage(replace(stage.desk, operator_chat_id=None), first_update=1000)
    message_id = alone.ask("you are rude", intent="complaint")
    announcing.announce_waiting(alone.desk, stage.lease)
    assert alone.deliveries(key=f"card:{message_id}") == []

    for _ in range(2):
        announcing.announce_waiting(stage.desk, stage.lease)
        (card,) = stage.deliveries(OPERATOR_CHAT)
        assert card.key == f"card:{message_id}"
        assert "you are rude" in card.payload["text"]


def test_who_waits_is_announced_in_the_new_group_when_the_operators_move(stage: Stage) -> None:
    message_id = stage.ask("you are rude", intent="complaint")
    stage.send_all()
    for chat in (-100999, -100888, -100999):
        moved = replace(stage.desk, operator_chat_id=chat)
        before = len(stage.deliveries())
        for _ in range(2):
            announcing.announce_waiting(moved, stage.lease)
        (card,) = stage.deliveries(key=f"card:{message_id}")
        assert (card.chat_id, card.state) == (chat, DeliveryState.PENDING)
        assert len(stage.deliveries()) == before + 1
        (taken,) = dispatching.take(moved, (), 9, stage.lease)
        delivering.sent(moved, taken.id, taken.attempts, 5)


def test_files_from_before_there_was_an_operators_chat_are_copied_behind_the_card(
    stage: Stage,
) -> None:
    alone = Stage(replace(stage.desk, operator_chat_id=None), first_update=1000)
    alone.ask("roses?")
    customers.sent_file(alone.desk, alone.update(), ANA, 55, "[photo]")
    alone.ask("well?")
    customers.sent_file(alone.desk, alone.update(), ANA, 57, "[photo]")
    announcing.announce_waiting(stage.desk, stage.lease)
    announcing.announce_waiting(stage.desk, stage.lease)
    first, second = [m.id for m in stage.said() if m.text == "[photo]"]
    shown = stage.deliveries(OPERATOR_CHAT)
    assert [row.key for row in shown if "post:" not in row.key] == [
        f"card:{first}",
        f"file:{first}",
        f"file:{second}",
    ]
    assert [row.payload for row in shown if row.method == "copyMessage"] == [
        {"from_chat_id": ANA.chat_id, "message_id": 55},
        {"from_chat_id": ANA.chat_id, "message_id": 57},
    ]
    assert shown[1].topic_of == stage.customer().id


def test_files_go_along_when_the_operators_move(stage: Stage) -> None:
    customers.sent_file(stage.desk, stage.update(), ANA, 55, "[photo]")
    stage.ask("well?")
    stage.send_all()
    for chat in range(-100999, -100980):  # each time there is one more that it was shown in
        moved = Stage(replace(stage.desk, operator_chat_id=chat))
        announcing.announce_waiting(moved.desk, stage.lease)
        assert [row.method for row in moved.send_all()] == [
            "sendMessage",
            "copyMessage",
            "sendMessage",
        ]


def _moved(stage: Stage) -> Stage:
    """The same desk with another operators' chat."""
    return Stage(replace(stage.desk, operator_chat_id=-100999), first_update=1000)


def _shown(moved: Stage) -> list[str]:
    """What was put into the new chat: keys, oldest first."""
    return [row.key for row in moved.deliveries(moved.desk.operator_chat_id)]


def test_the_card_in_the_new_group_has_the_question_and_why_a_person_was_called(
    stage: Stage,
) -> None:
    called = stage.ask("My wedding bouquet came dead", intent="complaint")
    later = [stage.ask(f"more {number}") for number in range(12)]
    stage.send_all()
    moved = _moved(stage)
    announcing.announce_waiting(moved.desk, stage.lease)
    card, *posts = moved.deliveries(-100999)
    assert "My wedding bouquet came dead" in card.payload["text"]
    assert "Why" in card.payload["text"]
    assert [card.key, *(row.key for row in posts)] == [
        f"card:{called}",
        *(f"post:{message_id}" for message_id in later[-10:]),
    ]


def test_whom_a_colleague_has_is_announced_too_with_who_it_is(stage: Stage) -> None:
    called = stage.ask("My wedding bouquet came dead", intent="complaint")
    stage.topic()
    stage.reply("Which order?")
    answer = stage.ask("4711")
    customers.sent_file(stage.desk, stage.update(), ANA, 57, "[photo]")
    stage.send_all()
    moved = _moved(stage)
    for _ in range(2):
        announcing.announce_waiting(moved.desk, stage.lease)
        photo = answer + 1
        assert _shown(moved) == [f"card:{called}", f"post:{answer}", f"file:{photo}"]
    assert "taken by Oscar" in moved.deliveries(-100999)[0].payload["text"]


def test_of_two_whom_operators_wrote_to_first_each_is_announced_with_their_own_card(
    stage: Stage,
) -> None:
    for person, thread_id in ((ANA, 77), (BEN, 78)):
        customers.started(stage.desk, stage.update(), person)
        stage.topic(person, thread_id)
        stage.reply("your roses come tomorrow", thread_id=thread_id)
    stage.send_all()
    moved = _moved(stage)
    announcing.announce_waiting(moved.desk, stage.lease)
    cards = [row for row in moved.deliveries(-100999) if row.key.startswith("card:")]
    assert [row.conversation_id for row in cards] == [
        stage.conversation(person).id for person in (ANA, BEN)
    ]


def test_whom_an_operator_wrote_to_first_is_announced_with_what_was_said(stage: Stage) -> None:
    stage.ask("where are my roses")
    stage.topic()
    operators.resolved(stage.desk, stage.update(), OSCAR, 77)
    stage.reply("they come tomorrow")
    stage.send_all()
    moved = _moved(stage)
    announcing.announce_waiting(moved.desk, stage.lease)
    (card,) = moved.deliveries(-100999)
    assert "taken by Oscar" in card.payload["text"]


def test_a_conversation_that_fell_quiet_is_not_announced(stage: Stage, clock: Clock) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.reply("I am sorry")
    stage.send_all()
    clock.set(datetime.now(UTC) + timedelta(days=2))  # the bot's words have the real clock's time
    moved = _moved(stage)
    announcing.announce_waiting(moved.desk, stage.lease)
    assert _shown(moved) == []


def test_a_file_for_the_person_in_charge_brings_its_card_into_the_new_group(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.reply("I am sorry")
    stage.send_all()
    moved = _moved(stage)
    customers.sent_file(moved.desk, moved.update(), ANA, 57, "[photo]")
    customers.sent_file(moved.desk, moved.update(), ANA, 58, "[photo]")
    first, second = [m.id for m in stage.said() if m.text == "[photo]"]
    assert _shown(moved) == [f"card:{first}", f"file:{first}", f"file:{second}"]


def test_who_waits_is_announced_before_those_whom_colleagues_have(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.reply("I am sorry")
    later = stage.ask("my roses are dead", BEN, intent="complaint")
    stage.send_all()
    moved = _moved(stage)
    announcing.announce_waiting(moved.desk, stage.lease)
    first, second = [key for key in _shown(moved) if key.startswith("card:")]
    assert first == f"card:{later}"
    assert second != first


def test_the_card_has_what_called_a_person_first_and_not_the_call_for_one_after_it(
    stage: Stage,
) -> None:
    called = stage.ask("My wedding bouquet came dead", intent="complaint")
    details = [stage.ask(f"more {number}") for number in range(3)]
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    again = stage.said()[-1].id
    stage.send_all()
    moved = _moved(stage)
    announcing.announce_waiting(moved.desk, stage.lease)
    assert _shown(moved) == [
        f"card:{called}",
        *(f"post:{message_id}" for message_id in [*details, again]),
    ]


def test_of_many_files_the_one_on_the_card_and_the_last_go_along(stage: Stage) -> None:
    for number in range(14):
        customers.sent_file(stage.desk, stage.update(), ANA, 50 + number, "[photo]")
    stage.send_all()
    moved = _moved(stage)
    announcing.announce_waiting(moved.desk, stage.lease)
    copies = moved.deliveries(-100999, method="copyMessage")
    assert [row.payload["message_id"] for row in copies] == [50, *range(55, 64)]


def test_who_has_blocked_the_bot_while_a_colleague_had_them_is_announced_too(
    stage: Stage,
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.reply("Which order?")
    stage.ask("4711")
    stage.send_all()
    customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=True)
    moved = _moved(stage)
    announcing.announce_waiting(moved.desk, stage.lease)
    assert any(key.startswith("card:") for key in _shown(moved))


def test_however_many_wait_a_transaction_announces_some_and_the_last_one_ends(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcing, "AT_ONCE", 2)
    alone = Stage(replace(stage.desk, operator_chat_id=None), first_update=1000)
    people = [Person(chat_id=700 + number, name=f"P{number}") for number in range(5)]
    for person in people:
        alone.ask("you are rude", person, intent="complaint")
    with stage.desk.store.writing() as session:
        # One that has no words to show stays unannounced.
        wordless = Customer(chat_id=799, name="W")
        session.add(wordless)
        session.flush()
        session.add(Conversation(customer_id=wordless.id, state=ConversationState.WAITING))
    commits: list[object] = []
    event.listen(stage.desk.store.engine, "commit", commits.append)
    announcing.announce_waiting(stage.desk, stage.lease)
    assert len(commits) == 5, "three with conversations, and one each that finds no more"
    cards = [row for row in stage.deliveries(OPERATOR_CHAT) if row.key.startswith("card:")]
    assert len(cards) == 5


def test_who_called_a_person_under_a_question_of_an_earlier_conversation_is_announced_with_it(
    stage: Stage,
) -> None:
    question = stage.ask("blorp", confidence=0.2)
    stage.topic()
    stage.send_all()
    operators.resolved(stage.desk, stage.update(), OSCAR, 77)
    stage.press(stage.token(CALL_PERSON))
    assert [c.state for c in stage.conversations()] == ["resolved", "waiting"]
    stage.send_all()
    moved = _moved(stage)
    for _ in range(2):
        announcing.announce_waiting(moved.desk, stage.lease)
        (card,) = moved.deliveries(-100999)
        assert card.key == f"card:{question}"
        assert "blorp" in card.payload["text"]
        assert card.conversation_id == stage.conversation().id


def _flooded(stage: Stage, most: int) -> Stage:
    """The same desk, which answers to no more than so many messages a minute."""
    return Stage(replace(stage.desk, flood_per_minute=most), first_update=500)


def test_what_was_held_back_in_a_flood_is_not_shown_in_the_new_group_either(stage: Stage) -> None:
    busy = _flooded(stage, 3)
    busy.ask("you are rude", intent="complaint")
    for _ in range(6):
        customers.asked_for_person(busy.desk, busy.update(), ANA, "/human")
    called, *others = [message.id for message in busy.said()]
    shown = [f"card:{called}", *(f"post:{id_}" for id_ in others[:2])]
    assert [row.key for row in busy.deliveries(OPERATOR_CHAT)] == shown
    busy.send_all()
    moved = _moved(busy)
    announcing.announce_waiting(moved.desk, stage.lease)
    assert _shown(moved) == shown


@pytest.mark.parametrize("then", ["changed", "flooded"])
def test_whom_a_colleague_took_uncalled_is_announced_by_their_question_not_by_a_change_or_a_flood(
    stage: Stage, then: str
) -> None:
    busy = _flooded(stage, 1)
    question = busy.ask("where are my roses")
    busy.topic()
    if then == "changed":
        assert busy.change_last("and my tulips?") is None, "it has its answer"
    operators.took(busy.desk, busy.update(), OSCAR, 77)
    if then != "changed":
        customers.asked_for_help(busy.desk, busy.update(), ANA)
    last = busy.said()[-1].id
    assert busy.decision(last).rule == ("changed" if then == "changed" else "flood")
    busy.send_all()
    moved = _moved(busy)
    announcing.announce_waiting(moved.desk, stage.lease)
    assert _shown(moved) == [f"card:{question}", *([f"post:{last}"] if then == "changed" else [])]
    assert "where are my roses" in moved.deliveries(-100999)[0].payload["text"]


def test_a_bot_whose_lease_another_has_taken_over_announces_nobody(stage: Stage) -> None:
    alone = Stage(replace(stage.desk, operator_chat_id=None), first_update=1000)
    alone.ask("you are rude", intent="complaint")
    leases.release(stage.desk, stage.lease)
    assert leases.hold(stage.desk, replace(stage.lease, holder="another"))
    with pytest.raises(leases.LostLeaseError):
        announcing.announce_waiting(stage.desk, stage.lease)
    assert stage.deliveries(OPERATOR_CHAT) == []


@pytest.mark.parametrize("by", ["start", "take"])
def test_what_was_for_everybody_in_the_former_group_goes_to_everybody_in_the_new_one(
    stage: Stage, by: str
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.send_all()
    intake.failed(stage.desk, stage.update(), "ValueError", final=True)
    operators.queue_wanted(stage.desk, stage.update(), OSCAR)
    operators.noted(stage.desk, stage.update(), OSCAR, 77)
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    erasing.erase(stage.desk, stage.customer().id, force=True)
    pending = stage.deliveries(state=DeliveryState.PENDING)
    kinds = [row.key.split(":")[0] for row in pending]
    assert sorted(kinds) == ["erased", "parked", "queue"]

    operators.noted(stage.desk, stage.update(), OSCAR, 78)
    stage.ask("you are rude", BEN, intent="complaint")
    moved = _moved(stage)
    if by == "start":
        announcing.announce_waiting(moved.desk, stage.lease)
    sent = [(row.key.split(":")[0], row.chat_id) for row in moved.send_all()]
    to_group = {(kind, chat) for kind, chat in sent if chat < 0}
    assert to_group == {
        *(("parked", -100999), ("queue", -100999), ("card", -100999)),
        ("erased", OPERATOR_CHAT),
    }
    answers = stage.deliveries(OPERATOR_CHAT, method="sendMessage", state=DeliveryState.CANCELLED)
    assert answers[-1].payload["message_thread_id"] == 78


def test_what_is_for_everybody_waits_while_there_is_no_operators_chat(stage: Stage) -> None:
    intake.failed(stage.desk, stage.update(), "ValueError", final=True)
    alone = Stage(replace(stage.desk, operator_chat_id=None), first_update=1000)
    assert alone.send_all() == []
    assert [row.key.split(":")[0] for row in _moved(stage).send_all()] == ["parked"]
