"""An intent that always needs a person: what is said at once, and that one is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from desk.domain import ConversationState, DeliveryState
from desk.flow import customers
from desk.flow.cards import LIMIT
from desk.pack import Text
from desk.tables import DeliveryRow
from desk.telegram_text import length, plain
from simulator.html_markup import parse_html
from tests.conftest import OPERATOR_CHAT
from tests.desk.acting import ANA, BEN, OSCAR, Stage, labels, predict

ADVICE = {
    "en": "I'm sorry, {customer}. <b>Call 999</b> first.",
    "zh": "{customer}，请先拨打 <b>999</b>。",
}
SOON = (
    "I'm passing this to a colleague. You will get the reply right here, usually within 15 minutes."
)


def _give_answer(stage: Stage, answer: Text) -> None:
    """Let the pack answer the complaint, which always needs a person."""
    intents = dict(stage.desk.pack.intents)
    intents["complaint"] = intents["complaint"].model_copy(update={"answer": answer})
    pack = stage.desk.pack.model_copy(update={"intents": intents})
    stage.desk = replace(stage.desk, pack=pack)


def test_its_answer_is_said_also_to_who_waits_where_nobody_can_be_called(stage: Stage) -> None:
    stage.desk = replace(stage.desk, operator_chat_id=None)
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    _give_answer(stage, ADVICE)
    _by_text(stage)
    _by_text(stage)
    assert ["999" in text for text in stage.heard()] == [False, True], "and once for all"


def _by_text(stage: Stage) -> None:
    stage.ask("my roses burn", intent="complaint")


def _by_choice(stage: Stage) -> None:
    with stage.still_answering("complaint"):
        stage.ask("help", confidence=0.4, others=[("complaint", 0.3)])
    stage.press(stage.token("choose", "complaint"))


def _by_menu(stage: Stage) -> None:
    customers.started(stage.desk, stage.update(), ANA)
    stage.press(stage.token("intent", "complaint"))


@pytest.mark.parametrize("tell", [_by_text, _by_choice, _by_menu])
def test_its_answer_comes_before_the_handover_in_one_message_and_a_person_is_called(
    stage: Stage, tell: Callable[[Stage], None]
) -> None:
    _give_answer(stage, ADVICE)
    tell(stage)
    (said,) = [row for row in stage.deliveries(ANA.chat_id) if "999" in str(row.payload)]
    assert said.payload["text"] == f"I'm sorry, Ana. <b>Call 999</b> first.\n\n{SOON}"
    assert labels(said) == ["No reply needed any more"], "neither thumbs nor the pack's buttons"
    assert stage.heard()[-1] == said.payload["text"], "nothing more"
    assert stage.conversation().state is ConversationState.WAITING
    (card,) = [row for row in stage.deliveries(OPERATOR_CHAT) if row.key.startswith("card:")]
    assert "this topic always goes to a person" in card.payload["text"]
    assert stage.conversation().last_intents == [], "no answer that could be said to have failed"
    assert "🤖 The bot has answered" in card.payload["text"]
    assert not [label for label in labels(card) if label.startswith("Answer: Make a complaint")]


def test_an_answer_with_the_call_that_was_refused_is_offered_on_the_card(stage: Stage) -> None:
    _give_answer(stage, ADVICE)
    _by_text(stage)
    stage.send_all()
    (told,) = stage.deliveries(ANA.chat_id)
    with stage.desk.store.writing() as session:
        session.get_one(DeliveryRow, told.id).state = DeliveryState.FAILED
    stage.press(stage.token("why"), by=OSCAR)
    stage.press(stage.token("card"), by=OSCAR)
    shown = stage.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert labels(shown)[0] == "Answer: Make a complaint"
    assert "The bot has answered" not in shown.payload["text"]


def test_an_answer_that_was_withheld_for_doubt_is_offered_on_the_card(stage: Stage) -> None:
    _give_answer(stage, ADVICE)
    stage.ask("back in an hour?", intent="complaint", confidence=0.45)
    assert stage.heard() == [SOON]
    assert stage.conversation().state is ConversationState.WAITING
    (card,) = stage.deliveries(OPERATOR_CHAT)
    assert "perhaps a topic that always goes to a person" in card.payload["text"]
    assert "The bot has answered" not in card.payload["text"]
    assert labels(card)[0] == "Answer: Make a complaint"


def test_it_is_said_once_however_often_the_message_is_decided(stage: Stage) -> None:
    _give_answer(stage, ADVICE)
    job = stage.write("my roses burn")
    assert job is not None
    for _ in range(2):
        stage.decide((job, predict("my roses burn", "complaint")))
    assert [row.key for row in stage.deliveries(ANA.chat_id)] == [f"handover:{job[0]}"]


def test_it_is_said_in_the_customers_language(stage: Stage) -> None:
    _give_answer(stage, ADVICE)
    stage.ask("着火了", BEN, intent="complaint")
    (said,) = stage.heard(BEN)
    assert said.startswith("Ben，请先拨打 <b>999</b>。\n\n我已把您的问题转给同事")


def test_an_intent_without_an_answer_gets_the_handover_alone(stage: Stage) -> None:
    _by_text(stage)
    assert stage.heard() == [SOON]


def test_an_answer_for_which_there_is_no_room_is_cut_and_the_handover_stays(stage: Stage) -> None:
    _give_answer(stage, {"en": "<b>Stop! &lt;3</b> " + "🔥" * 3000})
    _by_text(stage)
    (said,) = stage.heard()
    assert said.startswith("Stop! &lt;3 🔥")
    assert said.endswith(f"🔥…\n\n{SOON}")
    assert LIMIT - 2 < length(plain(said)) <= LIMIT
    parse_html(said)


def test_why_promises_no_automatic_answer(stage: Stage) -> None:
    _give_answer(stage, ADVICE)
    _by_text(stage)
    stage.send_all()
    stage.press(stage.token("why"), by=OSCAR)
    assert "an automatic answer takes" not in stage.told()[-1]
