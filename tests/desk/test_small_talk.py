"""Small talk: answered, but neither judged nor offered as what a customer may have meant."""

from __future__ import annotations

from desk.domain import Action
from tests.conftest import OPERATOR_CHAT
from tests.desk.acting import ANA, OSCAR, Stage, labels


def test_small_talk_shows_no_thumbs(stage: Stage) -> None:
    stage.ask("hi", intent="greeting")
    (row,) = stage.deliveries(ANA.chat_id)
    assert "reply_markup" not in row.payload


def test_the_card_offers_the_answer_of_small_talk_only_where_it_was_labelled_so(
    stage: Stage,
) -> None:
    for text in ("no", "no!"):
        stage.ask(text, intent="greeting", confidence=0.5, others=[("refund", 0.2)])
    shown = labels(stage.deliveries(OPERATOR_CHAT)[-1])
    assert shown[:2] == ["Answer: I want my money back", "Relabel…"]
    stage.send_all()
    stage.press(stage.token("relabel"), by=OSCAR)
    stage.press(stage.token("label", "greeting"), by=OSCAR)
    shown = labels(stage.deliveries(OPERATOR_CHAT)[-1])
    assert shown[:2] == ["Answer: Say hello", "Relabel…"]


def test_unclear_small_talk_does_not_use_up_the_question_but_once(stage: Stage) -> None:
    for text in ("👍", "no that's not it"):
        stage.ask(text, intent="greeting", confidence=0.5)
        assert stage.heard()[-1].startswith("Sorry, I'm not sure I understood")
    assert stage.conversation().clarifications == 1, "the first was free"
    last = stage.ask("hm", intent="greeting", confidence=0.5)
    assert stage.decision(last).action is Action.ESCALATE


def test_a_question_after_unclear_small_talk_is_still_asked_back_about(stage: Stage) -> None:
    stage.ask("👍", intent="greeting", confidence=0.5)
    stage.ask("my roses?", confidence=0.4)
    assert stage.heard()[-1] == "Did you mean this?"


def test_thanks_however_often_call_nobody(stage: Stage) -> None:
    said = [stage.ask(text, intent="greeting") for text in ("ty", "👍", "ok", "ok!")]
    assert {stage.decision(message_id).rule for message_id in said} == {"confident"}
    assert stage.conversation().last_intents == []


def test_thanks_between_two_answers_do_not_hide_that_these_did_not_help(stage: Stage) -> None:
    for _ in range(2):
        stage.ask("roses?")
        stage.ask("thanks", intent="greeting")
    last = stage.ask("roses??")
    assert stage.decision(last).rule == "same_answer_again"


def test_what_sounds_like_small_talk_after_an_answer_is_asked_back_about_once(
    stage: Stage,
) -> None:
    stage.ask("roses?")
    stage.ask("yes i tried that", intent="greeting", confidence=0.5)
    assert stage.heard()[-1].startswith("Sorry, I'm not sure I understood")
    last = stage.ask("and?", intent="greeting", confidence=0.5)
    assert stage.decision(last).rule == "still_unsure"
    assert sum(said.startswith("Sorry, I'm not sure") for said in stage.heard()) == 1
