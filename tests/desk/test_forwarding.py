"""What a customer forwards is somebody else's: people see it, and the model neither reads it nor
learns from it."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import select

from desk.domain import Action, ConversationState
from desk.flow import announcing, customers
from desk.flow.forwarding import forwarded
from desk.tables import DecisionRow, Message
from tests.conftest import OPERATOR_CHAT
from tests.desk.acting import ANA, OSCAR, Stage, labels, predict

AD = "All roses for 1 €, no returns!"


def forwards(stage: Stage, text: str = AD, origin: str = "Bargains") -> Message:
    telegram_id = 41 + len(stage.said())
    forwarded(stage.desk, stage.update(ANA.chat_id), ANA, telegram_id, text, origin)
    return stage.said()[-1]


def test_forwarded_words_call_a_person_who_sees_whose_they_are_and_get_no_answer(
    stage: Stage,
) -> None:
    message = forwards(stage)
    assert stage.pending_count() == 0
    (card,) = stage.deliveries(OPERATOR_CHAT)
    assert f"<blockquote>{AD}</blockquote>\n↪️ forwarded from Bargains" in card.payload["text"]
    assert "the customer forwarded it" in card.payload["text"]
    (told,) = stage.heard()
    assert told.startswith("I don't read forwarded messages, but a colleague will.")
    assert stage.decision(message.id).action is Action.ESCALATE
    assert stage.conversation().state is ConversationState.WAITING


def test_an_update_with_forwarded_words_that_is_handled_twice_shows_them_once(stage: Stage) -> None:
    inbox_id = stage.update(ANA.chat_id)
    for _ in range(2):
        forwarded(stage.desk, inbox_id, ANA, 41, AD, "Bargains")
    assert len(stage.said()) == 1
    assert len(stage.deliveries()) == 2, "the card, and that a person is called"


def test_forwarded_words_teach_nothing(stage: Stage) -> None:
    message = forwards(stage)
    (card,) = stage.deliveries(OPERATOR_CHAT)
    assert not any("Relabel" in label for label in labels(card))
    assert message.attempt == 0


def test_they_are_not_read_as_one_with_what_follows(stage: Stage) -> None:
    first = stage.ask("flowers", confidence=0.3)
    forwards(stage)
    job = stage.write("where are they?")
    assert job is not None
    assert first
    stage.decide((job, predict("where are they?")))
    assert "where are they?" in stage.told()[-1]
    assert stage.decision(job[0]).rule == "waiting_for_person"


def test_who_waits_or_has_a_person_is_shown_to_them_with_whose_words_they_are(
    stage: Stage,
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.send_all()
    heard = stage.heard()
    forwards(stage)
    stage.reply("I am here", user_id=OSCAR)
    forwards(stage, "and this", "Ben\nthe @builder")
    shown = [text for text in stage.told() if "↪️" in text]
    assert len(shown) == 2
    assert all("Ana wrote" in text for text in shown)
    assert shown[0].endswith("\n↪️ forwarded from Bargains")
    assert shown[1].endswith("\n↪️ forwarded from Ben the @\u2060builder")
    assert stage.heard() == heard
    decisions = stage.all(select(DecisionRow).filter_by(rule="forwarded"))
    assert [row.action for row in decisions] == [Action.SILENT] * 2


def test_what_was_written_before_and_is_not_decided_yet_goes_first(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.write("is this from you?")
    forwards(stage)
    question, ad = stage.told()[-2:]
    assert "is this from you?" in question
    assert AD in ad


def test_a_later_card_says_in_what_was_said_before_whose_words_they_were(stage: Stage) -> None:
    stage = Stage(replace(stage.desk, flood_per_minute=1), first_update=100)
    stage.ask("hello", intent="greeting")
    assert forwards(stage).forwarded_from == "Bargains", "kept, and in a flood not read"
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    assert f"👤 ↪️ Bargains: {AD}" in stage.told()[-1]


def test_a_forwarded_file_is_forwarded_to_the_operators_and_its_card_says_from_whom(
    stage: Stage,
) -> None:
    for number, origin in ((41, None), (42, "Bargains")):
        customers.sent_file(
            stage.desk, stage.update(), ANA, number, "[photo]", forwarded_from=origin
        )
    copies = [row for row in stage.deliveries(OPERATOR_CHAT) if row.key.startswith("file:")]
    assert [(row.method, row.payload["message_id"]) for row in copies] == [
        ("copyMessage", 41),
        ("forwardMessage", 42),
    ]
    customers.sent_file(
        stage.desk, stage.update(), replace(ANA, chat_id=777), 41, "[photo]", forwarded_from=" "
    )
    assert any("[a photo]</blockquote>\n↪️ forwarded from –" in text for text in stage.told())


def test_in_a_new_group_they_follow_the_card_as_a_post_with_whose_words_they_are(
    stage: Stage,
) -> None:
    stage.ask("you are rude", intent="complaint")
    forwards(stage)
    stage.send_all()
    announcing.announce_waiting(replace(stage.desk, operator_chat_id=-100999), stage.lease)
    card, post = stage.deliveries(-100999)
    assert "you are rude" in card.payload["text"]
    assert post.payload["text"].endswith(f"{AD}</blockquote>\n↪️ forwarded from Bargains")
