"""What customers do beside asking: they start, ask for help or a person, send files."""

from __future__ import annotations

from dataclasses import replace

import pytest

from desk.domain import ConversationState, DeliveryState
from desk.flow import customers, operators
from tests.conftest import OPERATOR_CHAT
from tests.desk.acting import ANA, BEN, OSCAR, Stage, predict


def test_start_greets_with_the_menu_and_a_person(stage: Stage) -> None:
    customers.started(stage.desk, stage.update(), ANA)
    (row,) = stage.deliveries(ANA.chat_id)
    assert row.payload["text"] == "Hello Ana, welcome to <b>Fern &amp; Petal</b>!"
    lines = row.payload["reply_markup"]["inline_keyboard"]
    assert [[b["text"] for b in line] for line in lines] == [
        ["Opening hours", "Where is my order?"],
        ["Make a complaint"],
        ["Talk to a person"],
    ]


def test_help_says_what_one_can_do(stage: Stage) -> None:
    customers.asked_for_help(stage.desk, stage.update(), BEN)
    assert "/human" in stage.heard(BEN)[0]
    assert "人工" in stage.heard(BEN)[0]


def test_human_calls_a_person_at_once_and_only_once(stage: Stage) -> None:
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    assert stage.conversation().state is ConversationState.WAITING
    assert stage.heard()[1] == (
        "Your message is with my colleagues. You will get the reply right here, usually within "
        "15 minutes."
    )


def test_a_file_is_copied_to_the_operators_behind_its_card(stage: Stage) -> None:
    customers.sent_file(stage.desk, stage.update(), ANA, 55, "look at this")
    card, copy = stage.deliveries(OPERATOR_CHAT)
    assert "the customer sent a file" in card.payload["text"]
    assert copy.method == "copyMessage"
    assert copy.payload == {"from_chat_id": ANA.chat_id, "message_id": 55}
    assert copy.topic_of == stage.customer().id
    assert len(stage.heard()) == 1


def _shown_to_operators(stage: Stage) -> list[str]:
    """The keys of what shows customers' messages, in the order in which it will be posted."""
    return [row.key for row in stage.deliveries(OPERATOR_CHAT) if row.message_id is not None]


@pytest.mark.parametrize("taken", [False, True], ids=["awaited", "in charge"])
@pytest.mark.parametrize("then", ["a file", "/human"])
def test_a_text_that_waits_for_the_worker_is_shown_before_what_comes_after_it(
    stage: Stage, then: str, *, taken: bool
) -> None:
    called = stage.ask("you are rude", intent="complaint")
    if taken:
        stage.topic()
        operators.took(stage.desk, stage.update(), OSCAR, 77)
    job, _ = stage.write("look how it arrived"), stage.write("all broken")
    assert job is not None
    if then == "a file":
        customers.sent_file(stage.desk, stage.update(), ANA, 55, "")
    else:
        customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    first, second, last = [message.id for message in stage.said()[1:]]
    kind = "file" if then == "a file" else "post"
    assert _shown_to_operators(stage) == [
        *(f"card:{called}", f"post:{first}", f"post:{second}", f"{kind}:{last}")
    ]
    before = len(stage.deliveries())
    (following,) = stage.decide((job, predict()))
    assert stage.decide((following, predict())) == []
    rule = "person_in_charge" if taken else "waiting_for_person"
    assert [stage.decision(id_).rule for id_ in (first, second)] == [rule, rule]
    assert len(stage.deliveries()) == before


def test_a_command_to_a_person_in_charge_comes_after_the_text_before_it(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    stage.write("how does this work?")
    customers.asked_for_help(stage.desk, stage.update(), ANA)
    text, command = [message.id for message in stage.said()[1:]]
    assert _shown_to_operators(stage)[1:] == [f"post:{text}", f"post:{command}"]


def test_a_file_that_calls_a_person_comes_after_the_text_before_it(stage: Stage) -> None:
    job = stage.write("look how it arrived")
    customers.sent_file(stage.desk, stage.update(), ANA, 55, "[photo]")
    text, file = [message.id for message in stage.said()]
    assert _shown_to_operators(stage) == [f"card:{file}", f"post:{text}", f"file:{file}"]
    assert "👤 look how it arrived" in stage.told()[0], "the call itself shows it, too"
    assert job is not None
    assert stage.decide((job, predict())) == []
    assert len(stage.heard()) == 1, "a colleague is on their way, and no answer beside it"


def test_a_text_after_those_that_were_shown_undecided_has_its_turn_behind_them(
    stage: Stage,
) -> None:
    stage.ask("you are rude", intent="complaint")
    first = stage.write("look")
    customers.sent_file(stage.desk, stage.update(), ANA, 55, "")
    assert first is not None
    assert stage.write("well?") is None
    (job,) = stage.decide((first, predict("look")))
    stage.decide((job, predict("well?")))
    assert _shown_to_operators(stage)[-1] == f"post:{job[0]}"


def test_a_sticker_calls_nobody_but_reaches_who_is_called_already(stage: Stage) -> None:
    customers.started(stage.desk, stage.update(), ANA)
    customers.sent_file(stage.desk, stage.update(), ANA, 55, "[sticker]", gesture=True)
    assert stage.conversation().state is ConversationState.BOT
    assert len(stage.deliveries()) == 1
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    customers.sent_file(stage.desk, stage.update(), ANA, 56, "[sticker]", gesture=True)
    copy = stage.deliveries(OPERATOR_CHAT)[-1]
    assert (copy.method, copy.payload["message_id"]) == ("copyMessage", 56)


def test_who_begins_with_a_sticker_is_greeted_once_as_by_start(stage: Stage) -> None:
    for number in range(3):
        sticker = (ANA, 55 + number, "[sticker]")
        customers.sent_file(stage.desk, stage.update(), *sticker, gesture=True)
    namesake = replace(ANA, chat_id=ANA.chat_id + 1)
    customers.started(stage.desk, stage.update(), namesake)
    (hers,) = stage.deliveries(ANA.chat_id)
    (greeting,) = stage.deliveries(namesake.chat_id)
    assert hers.payload["text"] == greeting.payload["text"]
    assert len(hers.payload["reply_markup"]["inline_keyboard"]) > 1
    assert stage.deliveries(OPERATOR_CHAT) == []


@pytest.mark.parametrize("command", ["started", "asked_for_help"])
def test_a_command_handled_twice_is_answered_once(stage: Stage, command: str) -> None:
    inbox_id = stage.update()
    for _ in range(2):
        getattr(customers, command)(stage.desk, inbox_id, ANA)
    assert len(stage.heard()) == 1


def test_the_bot_may_still_speak_only_while_it_is_in_charge(stage: Stage) -> None:
    job = stage.write("roses?")
    assert job is not None
    assert customers.awaits_bot(stage.desk, job[0])
    stage.decide((job, predict()))
    assert not customers.awaits_bot(stage.desk, job[0])


def test_a_customer_who_writes_again_is_no_longer_gone(stage: Stage) -> None:
    stage.write("hi")
    customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=True)
    assert stage.customer().gone
    stage.write("hi again")
    assert not stage.customer().gone


def test_every_reply_of_the_bot_can_be_cancelled_by_a_person(stage: Stage) -> None:
    stage.ask("roses?")
    stage.ask("blorp", confidence=0.2)
    stage.ask("you are rude", intent="complaint")
    rows = stage.deliveries(ANA.chat_id)
    assert len(rows) == 3
    assert all(row.from_bot and row.state is DeliveryState.PENDING for row in rows)
