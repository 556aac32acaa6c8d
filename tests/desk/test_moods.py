"""Operators say in which mood a message is: beside its label, and learned like that."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from classifier.vocabulary import SENTIMENTS
from desk.domain import ConversationState
from desk.flow import card_keyboards, deciding, dossier, emptying, erasing, teaching
from desk.flow.lessons import learned
from desk.flow.reporting import report
from desk.tables import Feedback, Message
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, OLGA, OSCAR, Stage

MOODS = ["😠 negative", "😐 neutral", "🙂 positive"]


def angry(stage: Stage, text: str = "where are my roses") -> int:
    """A calm message that the model has read as an angry one; returns its id."""
    message_id = stage.ask(text, sentiment="negative")
    stage.topic()
    stage.send_all()
    return message_id


def say(stage: Stage, sentiment: str, by: int = OSCAR, message_id: int | None = None) -> str:
    """An operator says the mood of a message, or of the newest; returns the answer to the press."""
    where = {} if message_id is None else {"message_id": message_id}
    stage.press(stage.token("relabel", **where), by=by, telegram_id=1500)
    token = stage.token("mood", sentiment, **where)
    return stage.press(token, by=by, telegram_id=1500).text


def offered(stage: Stage) -> list[list[str]]:
    """The rows of buttons that a press has shown last."""
    shown = stage.deliveries(OPERATOR_CHAT, method="editMessageReplyMarkup")[-1]
    rows = shown.payload["reply_markup"]["inline_keyboard"]
    return [[button["text"] for button in row] for row in rows]


def taught(stage: Stage) -> list[tuple[str, str | None, str | None]]:
    return [(word.text, word.intent, word.sentiment) for word in learned(stage.desk)]


def test_the_first_page_of_labels_begins_with_the_moods_and_no_other_has_them(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card_keyboards, "LABELS_A_PAGE", 2)
    angry(stage)
    stage.press(stage.token("relabel", "0"), by=OSCAR)
    assert offered(stage)[0] == MOODS
    stage.press(stage.token("relabel", "1"), by=OSCAR)
    assert "More »" in str(offered(stage))
    assert MOODS not in offered(stage)


def test_the_moods_are_the_sentiments_that_a_model_tells_apart() -> None:
    assert tuple(card_keyboards.FACES) == SENTIMENTS


@pytest.mark.parametrize("classified", [True, False])
def test_there_are_no_moods_where_the_model_has_seen_none(stage: Stage, classified: bool) -> None:
    if classified:
        stage.ask("where are my roses", sentiment=None, confidence=0.2, intent="complaint")
    else:
        stage.write("where are my roses")
        deciding.give_up(stage.desk, [stage.said()[-1].id])
    stage.press(stage.token("relabel"), by=OSCAR)
    assert "Say hello" in str(offered(stage))
    assert "negative" not in str(offered(stage))


def test_a_mood_is_kept_and_said_on_the_card_and_changes_nothing_else(stage: Stage) -> None:
    message_id = angry(stage)
    heard = stage.heard()
    assert say(stage, "neutral") == "Oscar labelled the mood “😐 neutral”"
    (row,) = stage.all(select(Feedback))
    assert (row.message_id, row.by, str(row.kind)) == (message_id, OSCAR, "mood")
    assert (row.intent, row.sentiment) == (None, "neutral")
    edit = stage.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert edit.payload["message_id"] == 1500
    assert "🏷 Oscar labelled the mood “😐 neutral”" in edit.payload["text"]
    assert "Relabel…" in str(edit.payload["reply_markup"]), "the page is closed"
    assert stage.conversation().state is ConversationState.WAITING
    assert stage.heard() == heard, "it says nothing to Ana"


def test_a_mood_is_learned_beside_the_intent_that_was_taught(stage: Stage) -> None:
    message_id = angry(stage)
    say(stage, "neutral")
    stage.press(stage.token("relabel"), by=OSCAR)
    stage.press(stage.token("label", "refund"), by=OSCAR)
    said = [(kind, intent, by) for _, kind, intent, by in stage.feedback()]
    assert said == [("mood", None, OSCAR), ("relabel", "refund", OSCAR)]
    assert taught(stage) == [
        ("where are my roses", None, "neutral"),
        ("where are my roses", "refund", None),
    ]
    assert message_id == stage.said()[-1].id


def test_the_newest_mood_of_one_operator_counts_and_of_several_the_most_votes(
    stage: Stage, clock: Clock
) -> None:
    first = angry(stage)
    say(stage, "positive")
    clock.move(minutes=1)
    say(stage, "neutral")
    assert taught(stage) == [("where are my roses", None, "neutral")]
    clock.move(minutes=1)
    second = stage.ask("Where are my roses!", BEN, sentiment="negative")
    say(stage, "neutral", message_id=second)
    clock.move(minutes=1)
    say(stage, "negative", OLGA, message_id=first)
    assert [sentiment for _, _, sentiment in taught(stage)] == ["neutral"], "two votes against one"


def test_a_mood_that_was_withdrawn_teaches_no_more_until_it_is_said_anew(stage: Stage) -> None:
    angry(stage)
    say(stage, "neutral")
    assert teaching.the_operator(stage.desk, str(OSCAR)) == OSCAR
    ids = teaching.ids_of(stage.desk, teaching.Which(OSCAR))
    assert teaching.withdraw(stage.desk, ids) == 1
    assert taught(stage) == []
    say(stage, "positive")
    assert taught(stage) == [("where are my roses", None, "positive")]


def test_who_has_said_moods_alone_and_is_no_operator_any_more_is_known_by_id(stage: Stage) -> None:
    angry(stage)
    say(stage, "neutral")
    with stage.desk.store.writing() as session:
        session.scalars(select(Feedback)).one().by = 9009
    assert teaching.the_operator(stage.desk, "9009") == 9009


def test_a_mood_is_no_label_of_the_report(stage: Stage) -> None:
    angry(stage)
    say(stage, "neutral")
    since = stage.desk.clock() - timedelta(days=7)
    assert report(stage.desk, since).labelled == 0
    stage.press(stage.token("relabel"), by=OSCAR)
    stage.press(stage.token("label", "order_status"), by=OSCAR)
    say(stage, "positive", OLGA)
    found = report(stage.desk, since)
    assert (found.labelled, found.wrong) == (1, [])


def test_a_customers_record_has_the_mood(stage: Stage) -> None:
    angry(stage)
    say(stage, "neutral")
    (conversation,) = dossier.record(stage.desk, stage.customer().id)["conversations"]
    (word,) = conversation["messages"][0]["feedback"]
    assert (word["kind"], word["intent"], word["sentiment"]) == ("mood", None, "neutral")


def test_a_text_whose_mood_was_taught_stays_masked_after_long_and_goes_with_the_customer(
    stage: Stage, clock: Clock
) -> None:
    angry(stage, "where are my roses? write to ana@example.org")
    say(stage, "neutral")
    stage.resolve()
    stage.send_all()
    before = learned(stage.desk)
    clock.move(days=31)
    emptying.empty_conversations(stage.desk, stage.desk.clock() - timedelta(days=30), 0)
    texts = [row.text for row in stage.all(select(Message)) if row.text]
    assert texts == ["where are my roses? write to [email]"]
    assert learned(stage.desk) == before
    erased = erasing.erase(stage.desk, stage.customer(ANA).id)
    assert erased.taught_since is not None
    assert erased.lessons == {"where are my roses? write to [email]"}
    assert learned(stage.desk) == []
