"""Operators' words that name a colleague, or read like a note, reach no customer."""

from __future__ import annotations

from typing import Any

import pytest

from desk.domain import Person, Role
from desk.flow import operators, roster
from desk.flow.edits import Rewritten, operator_changed
from desk.flow.kept_back import is_like_note
from desk.texts import say
from tests.desk.acting import ANA, OLGA, OSCAR, Stage

OWN = 9
MENTION = [{"type": "text_mention", "offset": 4, "length": 6, "user": {"id": OLGA}}]


def write(stage: Stage, text: str, *marks: dict[str, Any], by: int = OSCAR) -> None:
    roster.keep_name(stage.desk, OLGA, "Olga", "olga_desk")
    operators.operator_wrote(stage.desk, stage.update(), by, 77, OWN, text, marks=marks)


def copies(stage: Stage, person: Person = ANA) -> int:
    return len(stage.deliveries(person.chat_id, method="copyMessage"))


@pytest.mark.parametrize(
    "text", ["cc @olga_desk fraud?", "hi Ana @Olga_Desk here", "Olga @olga_desk pls take this"]
)
def test_what_has_an_operators_name_anywhere_stays(topic: Stage, text: str) -> None:
    write(topic, text)
    assert copies(topic) == 0
    assert topic.told()[-1] == say("kept-named", "en")


def test_what_mentions_an_operator_who_has_no_name_stays(topic: Stage) -> None:
    write(topic, "ask Olga", *MENTION)
    assert copies(topic) == 0
    stranger = {**MENTION[0], "user": {"id": 4711}}
    write(topic, "ask Olga", stranger)
    assert copies(topic) == 1


@pytest.mark.parametrize("text", ["Write to @ourshop", "mail to me@olga_desk.example", "@", "a@b"])
def test_what_has_another_name_is_sent(topic: Stage, text: str) -> None:
    write(topic, text)
    assert copies(topic) == 1


@pytest.mark.parametrize("text", ["Olga: can you take this?", "olga, look", "Olga，看一下"])
def test_what_speaks_to_a_colleague_by_their_first_name_stays(topic: Stage, text: str) -> None:
    roster.add_operator(topic.desk, OLGA, Role.ADMIN, "Olga Ortiz")
    write(topic, text)
    assert copies(topic) == 0
    assert topic.told()[-1] == say("kept-named", "en")


def test_a_first_name_that_calls_nobody_is_sent(topic: Stage) -> None:
    write(topic, "Olga will look at it")
    write(topic, "Olga: hello", by=OLGA)  # as some sign what they write
    assert copies(topic) == 2


def test_who_gives_their_own_name_speaks_to_no_colleague(topic: Stage) -> None:
    write(topic, "I am Olga (@olga_desk), write to me", by=OLGA)
    write(topic, "I am Olga", *MENTION, by=OLGA)
    assert copies(topic) == 2


def test_a_customer_who_is_called_like_a_colleague_is_spoken_to(stage: Stage) -> None:
    stage.ask("a person please", Person(chat_id=601, name="Olga Park"), intent="talk_to_person")
    namesake = Person(chat_id=601, name="Olga Park")
    stage.topic(namesake)
    write(stage, "Olga, it leaves today")
    assert copies(stage, namesake) == 1


@pytest.mark.parametrize(
    "text",
    [
        "note: she is a serial returner",
        "Note to team: refund is off",
        "[note] refund is off",
        "(internal) refund is off",
        "#note refund is off",
        "!note refund is off",
        "\\note refund is off",
        "备注：客户很生气",
        "【内部】不退款",
        "It leaves today.\n// check with Omar",
        "It leaves today.\n  、、check with Omar",
    ],
)
def test_what_reads_like_a_note_stays(topic: Stage, text: str) -> None:
    write(topic, text)
    assert copies(topic) == 0
    assert topic.told()[-1] == say("kept-like-note", "en")


@pytest.mark.parametrize(
    "text",
    [
        "Please note: we are closed",
        "noted, thanks",
        "#notebook is 5 €",
        "(internally we call it so)",
        "See https://shop.example//a",
        "we note that",
    ],
)
def test_other_words_read_like_no_note(text: str) -> None:
    assert not is_like_note(text)


@pytest.mark.parametrize("text", ["is she right, @olga_desk", "note: is she right?"])
def test_an_edit_into_such_words_takes_the_message_back(topic: Stage, text: str) -> None:
    write(topic, "is she right?")
    edited = Rewritten(text, "editMessageText", {})
    operator_changed(topic.desk, topic.update(), OSCAR, 77, OWN, edited)
    assert topic.told()[-1] == say("taken-back-unsent", "en")


def test_what_was_sent_before_somebody_became_a_colleague_is_not_taken_back_by_no_edit(
    topic: Stage,
) -> None:
    write(topic, "Petra, it leaves today")
    topic.send_all()
    roster.add_operator(topic.desk, 4711, Role.AGENT, "Petra")
    unchanged = Rewritten("Petra, it leaves today", "editMessageText", {})
    operator_changed(topic.desk, topic.update(), OSCAR, 77, OWN, unchanged)
    assert topic.deliveries(method="deleteMessage") == []
    changed = Rewritten("Petra, does it leave today?", "editMessageText", {})
    operator_changed(topic.desk, topic.update(), OSCAR, 77, OWN, changed)
    assert len(topic.deliveries(method="deleteMessage")) == 1


def test_what_is_forwarded_from_the_bot_stays(topic: Stage) -> None:
    args = (OSCAR, 77, OWN, "Ben (@ben) · 502")
    operators.operator_wrote(topic.desk, topic.update(), *args, is_from_bot=True)
    assert copies(topic) == 0
    assert topic.told()[-1] == say("kept-forwarded", "en")
