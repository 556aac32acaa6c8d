"""/report: what became of the last days' messages, in numbers, for the operators' group."""

from __future__ import annotations

from desk.flow import operators
from desk.flow.keys import REPORT_KEY
from desk.flow.summary import TOPICS, summary
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import BEN, OLGA, OSCAR, STRANGER, Stage


def test_where_nobody_wrote_it_says_so_in_a_line(stage: Stage) -> None:
    assert summary(stage.desk) == "📊 Last 7 days: no messages."


def test_it_counts_what_became_of_the_messages_and_quotes_none(stage: Stage, clock: Clock) -> None:
    stage.ask("long ago")
    clock.move(days=8)
    stage.ask("where are my <roses>")
    stage.press(stage.token("down"))
    stage.ask("hello", BEN, intent="greeting")
    stage.ask("roses?", confidence=0.3)
    wrong = stage.ask("you are rude", intent="complaint")
    stage.ask("well?")
    stage.press(stage.token("relabel", message_id=wrong), by=OLGA)
    stage.press(stage.token("label", "refund", message_id=wrong), by=OLGA)
    assert summary(stage.desk).splitlines() == [
        "📊 Last 7 days: 5 messages of 2 customers.",
        "🤖 Answered at once: 2 (50%; small talk: 1)",
        "❓ Asked back: 1 (25%)",
        "🧑\u200d💼 To a person: 1 (25%)",
        "🔇 Left to people: 1",
        "👍 0 · 👎 1",
        "🏷 People checked one message: the model was wrong.",
        "",
        "Most often about:",
        "• Where is my order? – 3",
        "• Make a complaint – 1",
        "• Say hello – 1",
    ]


def test_only_the_commonest_topics_are_named(stage: Stage) -> None:
    for intent in (
        "order_status",
        "refund",
        "greeting",
        "opening_hours",
        "out_of_scope",
        "invented",
    ):
        stage.ask("so", intent=intent, confidence=0.2)
    assert len([line for line in summary(stage.desk).splitlines() if line[:1] == "•"]) == TOPICS


def test_it_goes_where_it_was_asked_for_once_and_to_operators_alone(stage: Stage) -> None:
    update = stage.update(OPERATOR_CHAT)
    for _ in range(2):
        operators.report_wanted(stage.desk, update, OSCAR, 5)
    operators.report_wanted(stage.desk, stage.update(OPERATOR_CHAT), STRANGER)
    told, refused = stage.deliveries(OPERATOR_CHAT)
    assert told.key.startswith(REPORT_KEY)
    assert told.payload["message_thread_id"] == 5
    assert refused.payload["text"].startswith("Only operators can do that")
