"""Customers who write in pieces: what goes on with words asked back about is read with them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from desk.domain import (
    Action,
    ConversationState,
    FeedbackKind,
    History,
    PendingMessage,
    Person,
)
from desk.flow import (
    button_actions,
    customers,
    deciding,
    dossier,
    edits,
    erasing,
    lessons,
)
from desk.flow.reporting import report
from desk.pack import Pack
from desk.policy import decide_continued
from desk.tables import PredictionRow
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, OLGA, Stage, predict, statements

DOUBT: dict[str, Any] = {"confidence": 0.3, "others": [("refund", 0.2)]}
SURE: dict[str, Any] = {"intent": "order_status", "confidence": 0.95}
COMPLAINT: dict[str, Any] = {"intent": "complaint", "confidence": 0.9}
ONCE_ASKED = History(ConversationState.BOT, clarifications=1)


def _waiting(stage: Stage, text: str = "they didnt come yet") -> PendingMessage:
    """The customer's next message, as the worker finds it."""
    job = stage.write(text)
    assert job is not None
    (found,) = deciding.pending(stage.desk, [job]).values()
    return found


def _go_on(stage: Stage, text: str, alone: dict[str, Any], together: dict[str, Any] = SURE) -> int:
    """The customer writes, and the worker decides as it does; returns the message's id."""
    waiting = _waiting(stage, text)
    key = (waiting.id, waiting.attempt)
    both = {key: predict(waiting.whole, **together)} if waiting.before else {}
    deciding.decide_batch(stage.desk, [(waiting, predict(text, **alone))], both)
    return waiting.id


def _relabel(stage: Stage, message_id: int, intent: str) -> None:
    stage.press(stage.token("relabel", message_id=message_id), by=OLGA)
    stage.press(stage.token("label", intent, message_id=message_id), by=OLGA)


# ---- What is read together ----


def test_what_follows_a_question_of_the_bot_is_read_with_the_words_before(stage: Stage) -> None:
    first = stage.ask("my roses", **DOUBT)
    found = _waiting(stage)
    assert found.before is not None
    assert (found.before.id, found.text) == (first, "they didnt come yet")
    assert found.whole == "my roses they didnt come yet"


def test_each_message_of_a_batch_is_read_with_its_own(stage: Stage) -> None:
    stage.ask("my roses", **DOUBT)
    bens, anas = stage.write("when do you open", BEN), stage.write("they didnt come yet", ANA)
    assert bens is not None
    assert anas is not None
    found = deciding.pending(stage.desk, [bens, anas])
    assert found[bens[0]].before is None
    assert found[anas[0]].before is not None


def test_the_first_message_and_one_after_an_answer_are_read_alone(stage: Stage) -> None:
    first = _waiting(stage, "where are my roses")
    assert first.before is None
    stage.decide(((first.id, first.attempt), predict(**SURE)))
    assert _waiting(stage).before is None


def test_one_after_a_command_is_read_alone(stage: Stage) -> None:
    stage.ask("my roses", **DOUBT)
    customers.asked_for_help(stage.desk, stage.update(), ANA)
    assert _waiting(stage).before is None


def test_one_after_an_edit_of_an_older_message_is_read_with_the_words_before(stage: Stage) -> None:
    older = stage.message(stage.ask("helo", intent="greeting")).telegram_id
    assert older is not None
    first = stage.ask("my roses", **DOUBT)
    assert edits.customer_changed(stage.desk, stage.update(), ANA, older, "hello") is None
    found = _waiting(stage)
    assert found.before is not None
    assert found.before.id == first


def test_after_ten_minutes_it_is_read_alone(stage: Stage, clock: Clock) -> None:
    stage.ask("my roses", **DOUBT)
    clock.move(minutes=10.5)
    assert _waiting(stage).before is None


@pytest.mark.parametrize("long", ["my roses " * 23, "我的玫瑰" * 17])
def test_long_words_before_would_crowd_out_the_new_ones_and_are_left_out(
    stage: Stage, long: str
) -> None:
    stage.ask(long, **DOUBT)
    assert _waiting(stage).before is None


def test_an_edit_of_what_was_asked_back_about_is_not_read_with_its_old_words(stage: Stage) -> None:
    telegram_id = stage.message(stage.ask("my roses", **DOUBT)).telegram_id
    assert telegram_id is not None
    text = "my roses didnt come"
    job = edits.customer_changed(stage.desk, stage.update(), ANA, telegram_id, text)
    assert job is not None
    (found,) = deciding.pending(stage.desk, [job]).values()
    assert (found.text, found.before) == (text, None)


# ---- What is made of it ----


def test_both_together_are_answered_where_the_last_words_alone_leave_in_doubt(
    stage: Stage,
) -> None:
    first = stage.ask("my roses", **DOUBT)
    second = _go_on(stage, "they didnt come yet", DOUBT)
    assert stage.decision(second).rule == "confident"
    assert stage.heard()[-1] == "Bouquets take <b>2</b> days, Ana."
    kept = stage.row(PredictionRow, second)
    assert (kept.intent, kept.confidence, kept.read_with) == ("order_status", 0.95, first)


def test_words_that_are_clear_alone_are_answered_alone(stage: Stage) -> None:
    stage.ask("my roses", **DOUBT)
    second = _go_on(stage, "never mind, when do you open", {"intent": "opening_hours"})
    assert stage.decision(second).intent == "opening_hours"
    kept = stage.row(PredictionRow, second)
    assert (kept.intent, kept.read_with) == ("opening_hours", None)


def test_where_both_leave_in_doubt_the_last_words_count_alone(stage: Stage) -> None:
    stage.ask("my roses", **DOUBT)
    second = _go_on(stage, "those there", DOUBT, {"confidence": 0.4})
    assert stage.decision(second).rule == "still_unsure"
    kept = stage.row(PredictionRow, second)
    assert (kept.confidence, kept.read_with) == (0.3, None)


def test_the_card_shows_the_words_with_which_a_message_was_read(stage: Stage) -> None:
    stage.ask("my <roses>", **DOUBT)
    _go_on(stage, "are all dead", DOUBT, COMPLAINT)
    line = "🔗 Read together with: “my &lt;roses&gt;”"
    assert line in stage.told()[-1]
    stage.send_all()
    (card,) = stage.deliveries(OPERATOR_CHAT)
    stage.press(stage.token("why"), by=OLGA, telegram_id=card.telegram_id or 0)
    (opened,) = stage.deliveries(OPERATOR_CHAT, method="editMessageText")
    assert line in opened.payload["text"], "outside the batch, too"


def test_a_batch_of_them_takes_as_many_statements_as_one(stage: Stage) -> None:
    told = []
    for size, chats in ((1, 1000), (8, 2000)):
        people = [Person(chat_id=chats + number, name=f"P{number}") for number in range(size)]
        for person in people:
            stage.ask("my roses", person, **DOUBT)
        jobs = [job for person in people if (job := stage.write("are all dead", person))]

        def decide(jobs: list[tuple[int, int]] = jobs) -> None:
            found = deciding.pending(stage.desk, jobs).values()
            both = {(each.id, each.attempt): predict(each.whole, **COMPLAINT) for each in found}
            alone = [(each, predict(each.text, **DOUBT)) for each in found]
            deciding.decide_batch(stage.desk, alone, both)

        told.append(statements(stage, decide))
    assert told[0] == told[1]
    assert stage.told()[-1].count("🔗") == 1


def test_the_mood_is_that_of_the_last_words(pack: Pack) -> None:
    alone = predict("so?", **DOUBT, sentiment="neutral")
    together = predict("this is awful\nso?", **SURE, sentiment="negative", sureness=0.99)
    history = History(ConversationState.BOT, clarifications=1, negatives=1)
    counts, decision = decide_continued(alone, together, history, pack)
    assert decision.action is Action.ANSWER
    assert counts.sentiment == alone.sentiment
    assert counts.intent == together.intent


@pytest.mark.parametrize("alone", [{"intent": "complaint"}, {"language": "nl"}])
def test_what_calls_a_person_alone_calls_one(pack: Pack, alone: dict[str, Any]) -> None:
    said = predict(**alone)
    counts, decision = decide_continued(said, predict(**SURE), ONCE_ASKED, pack)
    assert counts is said
    assert decision.action is Action.ESCALATE


def test_what_may_need_a_person_alone_and_surely_does_together_gets_its_first_word(
    pack: Pack,
) -> None:
    alone = predict("on anymore", intent="complaint", confidence=0.4)
    together = predict("i cant go\non anymore", intent="complaint", confidence=0.95)
    counts, decision = decide_continued(alone, together, ONCE_ASKED, pack)
    assert counts.text == together.text
    assert (decision.action, decision.rule) == (Action.ESCALATE, "intent_needs_person")


def test_what_may_need_a_person_alone_gets_one_even_where_the_two_together_could_be_answered(
    pack: Pack,
) -> None:
    alone = predict("and rude", intent="complaint", confidence=0.4)
    counts, decision = decide_continued(alone, predict(**SURE), ONCE_ASKED, pack)
    assert counts is alone
    assert (decision.action, decision.rule) == (Action.ESCALATE, "may_need_person")


@pytest.mark.parametrize("answered", [True, False])
def test_what_is_about_something_else_goes_on_with_nothing(pack: Pack, answered: bool) -> None:
    answer = pack.intents["order_status"].answer if answered else None
    elsewhere = pack.intents["out_of_scope"].model_copy(update={"answer": answer})
    pack = pack.model_copy(update={"intents": {**pack.intents, "out_of_scope": elsewhere}})
    alone = predict("none of these", intent="out_of_scope", scope=0.1)
    counts, decision = decide_continued(alone, predict(**SURE), ONCE_ASKED, pack)
    assert counts is alone
    assert decision.action is (Action.ANSWER if answered else Action.ESCALATE)


# ---- What becomes of it ----


def test_what_people_say_of_it_teaches_both_as_one_text_masked_as_one(stage: Stage) -> None:
    stage.ask("my card 4111 1111", **DOUBT)
    second = _go_on(stage, "1111 1111 was charged twice", DOUBT, COMPLAINT)
    _relabel(stage, second, "refund")
    (example,) = lessons.learned(stage.desk)
    assert example.kind is FeedbackKind.RELABEL
    assert example.text.startswith("my card ")
    assert example.text.endswith(" was charged twice")
    assert "1111" not in example.text


def test_the_report_quotes_both(stage: Stage) -> None:
    stage.ask("my roses", **DOUBT)
    second = _go_on(stage, "are all dead", DOUBT, COMPLAINT)
    _relabel(stage, second, "refund")
    (wrong,) = report(stage.desk, stage.desk.clock() - timedelta(days=7)).wrong
    assert wrong.text == "my roses are all dead"


def test_the_export_says_that_both_were_read(stage: Stage) -> None:
    stage.ask("my roses", **DOUBT)
    _go_on(stage, "they didnt come yet", DOUBT)
    (conversation,) = dossier.record(stage.desk, stage.customer().id)["conversations"]
    said = [line["prediction"] for line in conversation["messages"] if "prediction" in line]
    assert [prediction.get("with_message_before") for prediction in said] == [None, True]


def test_of_who_is_erased_all_that_taught_is_left_masked(stage: Stage, clock: Clock) -> None:
    first = stage.ask("my roses for a@b.com", **DOUBT)
    second = _go_on(stage, "are all dead", DOUBT, COMPLAINT)
    _relabel(stage, second, "refund")
    taught = lessons.learned(stage.desk)
    for button in (button_actions.RESOLVE, button_actions.RESOLVE_UNANSWERED):
        stage.press(stage.token(button), by=OLGA)
    stage.send_all()
    clock.move(days=40)
    assert erasing.erase_silent(stage.desk, clock(), 10) == 1
    assert "@" not in stage.message(first).text
    assert lessons.learned(stage.desk) == taught
