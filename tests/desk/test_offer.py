"""What customers type where the bot has asked whether to call a person: an answer did not help."""

from __future__ import annotations

from typing import Any

import pytest

from desk.domain import Action, ConversationState
from desk.flow import customers, edits
from tests.conftest import OPERATOR_CHAT
from tests.desk.acting import ANA, BEN, Stage, labels, predict

OFFER = "Sorry about that. Shall I call a colleague?"
ANSWER = "Bouquets take <b>2</b> days, Ana."


def _offered(stage: Stage, text: str = "where are my roses") -> int:
    """An answer did not help, and the customer sees that a person is offered; returns the id of
    what they wrote."""
    message_id = stage.ask(text)
    stage.send_all()
    stage.press(stage.token("down"))
    stage.send_all()
    assert stage.heard()[-1] == OFFER
    return message_id


@pytest.mark.parametrize(
    "text", ["yes", "OK", "Go on then!", "please do", "👍", "Talk to a person"]
)
def test_a_typed_yes_to_the_offer_of_a_person_calls_one_about_the_question(
    stage: Stage, text: str
) -> None:
    message_id = _offered(stage)
    (*_, offer) = stage.deliveries(ANA.chat_id, method="sendMessage")
    taught = stage.feedback()
    assert stage.write(text) is None, "the model has nothing to read"
    assert stage.conversation().state is ConversationState.WAITING
    decision = stage.decision(message_id)
    assert (decision.action, decision.rule) == (Action.ESCALATE, "thumb_down")
    card = stage.deliveries(OPERATOR_CHAT)[0]
    assert card.key == f"card:{message_id}"
    assert "<blockquote>where are my roses</blockquote>" in card.payload["text"]
    assert stage.heard()[-1].startswith("I'm passing this to a colleague.")
    (*_, edit) = stage.deliveries(ANA.chat_id, method="editMessageReplyMarkup")
    assert edit.payload == {
        "message_id": offer.telegram_id,
        "reply_markup": {"inline_keyboard": []},
    }
    assert stage.feedback() == taught, "it teaches nothing"
    assert stage.pending_count() == 0


@pytest.mark.parametrize("text", ["no", "No thanks", "not now", "👎"])
def test_a_typed_no_to_the_offer_of_a_person_calls_nobody(stage: Stage, text: str) -> None:
    _offered(stage)
    (*_, offer) = stage.deliveries(ANA.chat_id, method="sendMessage")
    taught = stage.feedback()
    assert stage.write(text) is None
    assert stage.heard()[-2:] == [OFFER, "All right. Write to me at any time."]
    assert stage.conversation().state is ConversationState.BOT
    assert stage.deliveries(OPERATOR_CHAT) == []
    (*_, edit) = stage.deliveries(ANA.chat_id, method="editMessageReplyMarkup")
    assert edit.payload["message_id"] == offer.telegram_id
    assert edit.payload["reply_markup"] == {"inline_keyboard": []}
    assert stage.feedback() == taught
    stage.send_all()
    assert stage.write("yes") is not None, "that replies to nothing"


def test_the_offer_is_taken_up_and_declined_in_the_customers_language(stage: Stage) -> None:
    for text, heard in (
        ("不用了，谢谢", "好的。您可以随时给我发消息。"),
        ("好的！", "我已把您的问题转给同事。"),
    ):
        stage.ask("花呢", BEN)
        stage.send_all()
        stage.press(stage.token("down"), by=BEN.chat_id)
        stage.send_all()
        assert stage.write(text, BEN) is None
        assert stage.heard(BEN)[-1].startswith(heard)
    assert stage.conversation(BEN).state is ConversationState.WAITING


@pytest.mark.parametrize("text", [None, "yes please"], ids=["its button's words", "English"])
def test_the_offer_is_taken_up_in_the_words_of_its_button_and_in_any_language_of_the_desk(
    stage: Stage, text: str | None
) -> None:
    stage.ask("花呢", BEN)
    stage.send_all()
    stage.press(stage.token("down"), by=BEN.chat_id)
    (*_, offer) = stage.send_all()
    assert stage.write(text or labels(offer)[0], BEN) is None
    assert stage.conversation(BEN).state is ConversationState.WAITING


@pytest.mark.parametrize("text", ["yes", "no"])
def test_a_reply_to_the_offer_that_is_handled_twice_counts_once(stage: Stage, text: str) -> None:
    _offered(stage)
    inbox_id, heard = stage.update(), stage.heard()
    for _ in range(2):
        assert customers.wrote(stage.desk, inbox_id, ANA, 77, text) is None
    assert len(stage.heard()) == len(heard) + 1
    assert [row.key for row in stage.deliveries() if row.key == f"keyboard:{inbox_id}"] == [
        f"keyboard:{inbox_id}"
    ]


def test_a_yes_to_the_offer_under_a_chosen_answer_hands_over_the_customers_own_words(
    stage: Stage,
) -> None:
    message_id = stage.ask("my roses, again", confidence=0.45, others=[("refund", 0.4)])
    stage.send_all()
    stage.write("1")
    stage.send_all()
    stage.press(stage.token("down"))
    stage.send_all()
    assert stage.write("yes") is None
    assert stage.decision(message_id).rule == "thumb_down"
    assert stage.deliveries(OPERATOR_CHAT)[0].key == f"card:{message_id}"


def test_a_yes_and_then_the_button_of_the_offer_call_a_person_once(stage: Stage) -> None:
    _offered(stage)
    token = stage.token("person", "down")
    stage.write("yes")
    told = stage.told()
    assert stage.press(token).text.startswith("Your message is with my colleagues.")
    assert stage.told() == told


@pytest.mark.parametrize("text", ["wrong", "not what i meant", "yes, the red ones", "thanks", "1"])
def test_what_neither_takes_up_nor_declines_the_offer_is_read_by_the_model(
    stage: Stage, text: str
) -> None:
    _offered(stage)
    assert stage.write(text) is not None


def _seen(stage: Stage) -> None:
    stage.send_all()


def _helped(stage: Stage) -> None:
    stage.send_all()
    customers.asked_for_help(stage.desk, stage.update(), ANA)
    stage.send_all()


def _nothing(stage: Stage) -> None: ...


@pytest.mark.parametrize("text", ["yes", "no"])
@pytest.mark.parametrize(
    ("meanwhile", "quoted", "counts"),
    [
        (_seen, None, True),
        (_seen, OFFER, True),
        (_seen, ANSWER, False),
        (_helped, None, False),
        (_nothing, None, False),
    ],
    ids=["next", "in reply to it", "in reply to another", "later", "before it was seen"],
)
def test_only_the_very_next_word_after_the_offer_counts(
    stage: Stage, text: str, meanwhile: Any, quoted: str | None, counts: bool
) -> None:
    stage.ask("where are my roses")
    stage.send_all()
    stage.press(stage.token("down"))
    meanwhile(stage)
    job = customers.wrote(stage.desk, stage.update(), ANA, 77, text, quoted)
    assert (job is None) is counts


def _changes_an_older_one(stage: Stage) -> None:
    older = stage.said()[0].telegram_id
    assert older is not None
    assert edits.customer_changed(stage.desk, stage.update(), ANA, older, "where are they") is None


def test_a_yes_to_the_offer_counts_after_an_edit_of_an_older_message(stage: Stage) -> None:
    _offered(stage)
    _changes_an_older_one(stage)
    assert stage.write("yes") is None
    assert stage.conversation().state is ConversationState.WAITING


# ---- Replies that are edited ----


def test_a_no_to_the_offer_of_a_person_that_is_edited_to_another_no_calls_nobody(
    stage: Stage,
) -> None:
    _offered(stage)
    stage.write("no")
    stage.send_all()
    heard = len(stage.heard())
    assert stage.change_last("nope") is None
    assert len(stage.heard()) == heard, "it says nothing new"
    assert stage.conversation().state is ConversationState.BOT


def test_a_no_to_the_offer_of_a_person_that_is_edited_to_a_yes_calls_one_about_the_question(
    stage: Stage,
) -> None:
    message_id = _offered(stage)
    stage.write("no")
    stage.send_all()
    assert stage.change_last("yes please") is None
    assert stage.conversation().state is ConversationState.WAITING
    assert stage.decision(message_id).rule == "thumb_down"
    assert stage.deliveries(OPERATOR_CHAT)[0].key == f"card:{message_id}"
    assert "<blockquote>yes please</blockquote>" in stage.told()[-1]
    assert stage.heard()[-1].startswith("I'm passing this to a colleague")
    posts = len(stage.told())
    job = stage.change_last("yes please!")
    assert job is not None
    stage.decide((job, predict("yes please!")))
    assert len(stage.told()) == posts + 1, "who is awaited sees what it has become"


def test_so_does_one_that_is_edited_after_an_older_message_was(stage: Stage) -> None:
    _offered(stage)
    stage.write("no")
    stage.send_all()
    telegram_id = stage.said()[-1].telegram_id
    assert telegram_id is not None
    _changes_an_older_one(stage)
    assert edits.customer_changed(stage.desk, stage.update(), ANA, telegram_id, "yes") is None
    assert stage.conversation().state is ConversationState.WAITING


def test_a_no_to_the_offer_of_a_person_that_is_edited_later_calls_nobody(stage: Stage) -> None:
    _offered(stage)
    stage.write("no")
    telegram_id = stage.said()[-1].telegram_id
    assert telegram_id is not None
    stage.ask("and the tulips", intent="refund")
    stage.send_all()
    edits.customer_changed(stage.desk, stage.update(), ANA, telegram_id, "yes please")
    assert stage.conversation().state is ConversationState.BOT
