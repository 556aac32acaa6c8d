"""The report: what became of customers' messages, and which the model got wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event

from desk.domain import Action, FeedbackKind
from desk.flow import customers, erasing
from desk.flow.reporting import Report, report
from desk.tables import Feedback
from tests.conftest import Clock
from tests.desk.acting import ANA, BEN, OLGA, OSCAR, Stage


def of_last_week(stage: Stage) -> Report:
    return report(stage.desk, stage.desk.clock() - timedelta(days=7))


def label(stage: Stage, message_id: int, intent: str, by: int = OSCAR) -> None:
    stage.press(stage.token("relabel", message_id=message_id), by=by)
    stage.press(stage.token("label", intent, message_id=message_id), by=by)


def test_where_nobody_wrote_there_is_nothing_to_tell(stage: Stage) -> None:
    found = of_last_week(stage)
    assert (found.customers, found.conversations, found.automated) == (0, 0, None)
    assert set(found.decisions.values()) == {0}
    assert (found.labelled, found.wrong, found.intents) == (0, [], [])


def test_messages_are_counted_by_what_became_of_them_and_by_rule(stage: Stage) -> None:
    stage.ask("where are my roses")
    stage.ask("roses?", confidence=0.3)
    stage.ask("you are rude", intent="complaint")
    stage.ask("well?")
    stage.ask("hello", BEN, intent="greeting")
    customers.asked_for_person(stage.desk, stage.update(), BEN, "/human")
    found = of_last_week(stage)
    assert (found.customers, found.conversations) == (2, 2)
    assert found.rules == {
        Action.ANSWER: {"confident": 2},
        Action.CLARIFY: {"unsure": 1},
        Action.ESCALATE: {"asked_for_person": 1, "intent_needs_person": 1},
        Action.SILENT: {"waiting_for_person": 1},
    }
    assert found.decisions == {
        Action.ANSWER: 2,
        Action.CLARIFY: 1,
        Action.ESCALATE: 2,
        Action.SILENT: 1,
    }
    assert found.automated == pytest.approx(2 / 5)
    # A greeting that was returned is an answer, and no question the less for the team.
    assert found.small_talk == 1


def test_a_label_of_an_operator_says_what_the_model_got_wrong(stage: Stage, clock: Clock) -> None:
    first = stage.ask("give it back", intent="complaint", confidence=0.7)
    clock.move(minutes=1)
    second = stage.ask("my money, now", BEN, intent="complaint")
    label(stage, first, "refund")
    label(stage, second, "complaint")
    found = of_last_week(stage)
    assert found.labelled == 2
    (wrong,) = found.wrong
    assert (wrong.text, wrong.predicted, wrong.intent) == ("give it back", "complaint", "refund")
    assert (wrong.confidence, wrong.by) == (0.7, FeedbackKind.RELABEL)
    (row,) = found.intents
    assert (row.intent, row.predicted, row.answered) == ("complaint", 2, 0)
    assert (row.labelled, row.wrong) == (2, 1)


def test_an_intent_that_was_renamed_is_one_and_no_error(stage: Stage) -> None:
    before = stage.ask("it is all dead", intent="complaint")
    pack = stage.desk.pack
    intents = {**pack.intents}
    renamed = intents.pop("complaint").model_copy(update={"formerly": ("complaint",)})
    pack = pack.model_copy(update={"intents": {**intents, "grievance": renamed}})
    stage.desk = replace(stage.desk, pack=pack)
    label(stage, before, "grievance")
    since = stage.ask("dead, all of it", BEN, intent="grievance")
    with stage.desk.store.writing() as session:  # by a card of before
        word = Feedback(message_id=since, kind=FeedbackKind.RELABEL, by=OSCAR, intent="complaint")
        session.add(word)
    found = of_last_week(stage)
    assert (found.labelled, found.wrong) == (2, [])
    (row,) = found.intents
    assert (row.intent, row.predicted, row.labelled, row.wrong) == ("grievance", 2, 2, 0)


def test_the_newest_error_comes_first(stage: Stage, clock: Clock) -> None:
    for number, person in enumerate((ANA, BEN)):
        message = stage.ask(f"give it back {number}", person, intent="complaint")
        label(stage, message, "refund")
        clock.move(minutes=1)
    assert [each.text for each in of_last_week(stage).wrong] == ["give it back 1", "give it back 0"]


def test_of_several_words_on_a_message_the_greater_authority_counts_then_the_newer(
    stage: Stage, clock: Clock
) -> None:
    message = stage.ask("roses, now", confidence=0.3, others=[("refund", 0.25)])
    stage.press(stage.token("choose", "refund"))
    assert [each.intent for each in of_last_week(stage).wrong] == ["refund"]
    stage.ask("you are rude", intent="complaint")
    label(stage, stage.said()[-1].id, "refund", OLGA)
    clock.move(minutes=1)
    label(stage, stage.said()[-1].id, "complaint", OSCAR)
    clock.move(minutes=1)
    chosen = Feedback(message_id=stage.said()[-1].id, kind=FeedbackKind.CLARIFIED, by=ANA.chat_id)
    chosen.intent, chosen.created_at = "refund", clock()
    with stage.desk.store.writing() as session:
        session.add(chosen)
    found = of_last_week(stage)
    assert (found.labelled, [each.by for each in found.wrong]) == (2, [FeedbackKind.CLARIFIED])
    assert message == stage.said()[0].id


def test_the_last_thumb_on_an_answer_counts(stage: Stage, clock: Clock) -> None:
    stage.ask("where are my roses")
    stage.press(stage.token("up"))
    stage.ask("and my tulips", BEN)
    stage.press(stage.token("up"), by=BEN.chat_id)
    clock.move(minutes=1)
    stage.press(stage.token("down"), by=BEN.chat_id)
    found = of_last_week(stage)
    assert (found.thumbs_up, found.thumbs_down, found.labelled) == (1, 1, 0)


def test_a_thumb_on_an_answer_of_the_menu_counts_too(stage: Stage) -> None:
    customers.started(stage.desk, stage.update(), ANA)
    stage.press(stage.token("intent", "order_status"))
    stage.press(stage.token("up"))
    found = of_last_week(stage)
    assert (found.thumbs_up, found.intents) == (1, [])


def test_what_was_written_before_is_left_out(stage: Stage, clock: Clock) -> None:
    message = stage.ask("give it back", intent="complaint")
    label(stage, message, "refund")
    clock.move(seconds=86400 * 7 + 1)
    found = of_last_week(stage)
    assert (found.customers, found.labelled, found.intents) == (0, 0, [])


def test_who_was_erased_still_counts_and_is_quoted_no_more(stage: Stage) -> None:
    message = stage.ask("give it back", intent="complaint")
    label(stage, message, "refund")
    stage.resolve(stage.topic())
    stage.send_all()
    erasing.erase(stage.desk, stage.customer().id)
    found = of_last_week(stage)
    assert (found.customers, found.labelled) == (1, 1)
    assert [each.text for each in found.wrong] == [""]


def test_of_a_label_no_more_is_read_than_is_told(stage: Stage) -> None:
    """Reading whole rows, of a hundred thousand messages, took most of the time."""
    label(stage, stage.ask("give it back", intent="complaint"), "refund")
    statements: list[str] = []
    event.listen(
        stage.desk.store.engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_: statements.append(statement),
    )
    assert len(of_last_week(stage).wrong) == 1
    assert not [each for each in statements if "ranking" in each or "telegram_id" in each]
