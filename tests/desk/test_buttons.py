"""Presses: what they do, what they teach, and who may not."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from desk.domain import Action, ConversationState
from desk.flow import buttons, customers, operators
from desk.tables import ButtonRow
from tests.conftest import OPERATOR_CHAT
from tests.desk.acting import ANA, BEN, OLGA, OSCAR, Stage, labels


def test_a_clarify_choice_is_answered_and_becomes_feedback(stage: Stage) -> None:
    message_id = stage.ask("money?", confidence=0.45, others=[("refund", 0.4)])
    stage.send_all()
    assert stage.press(stage.token("choose", "refund")).text == ""
    assert stage.heard()[-1] == "Send us a photo and you get your money back."
    assert stage.feedback() == [(message_id, "clarified", "refund", ANA.chat_id)]
    assert stage.conversation().clarifications == 0
    assert stage.conversation().last_intents == ["refund"]


def test_the_choices_disappear_once_one_is_made(stage: Stage) -> None:
    stage.ask("money?", confidence=0.45, others=[("refund", 0.4)])
    (asked,) = stage.send_all()
    assert asked.telegram_id is not None
    stage.press(stage.token("choose", "refund"), telegram_id=asked.telegram_id)
    (edit,) = stage.deliveries(ANA.chat_id, method="editMessageReplyMarkup")
    assert edit.payload == {
        "message_id": asked.telegram_id,
        "reply_markup": {"inline_keyboard": []},
    }


def test_a_choice_tapped_twice_is_answered_once_and_counts_once(stage: Stage) -> None:
    message_id = stage.ask("money?", confidence=0.45, others=[("refund", 0.4)])
    (asked,) = stage.send_all()
    assert asked.telegram_id is not None
    said, token = stage.said(), stage.token("choose", "refund")
    for _ in range(2):
        assert stage.press(token, telegram_id=asked.telegram_id).text == ""
    assert stage.heard()[1:] == ["Send us a photo and you get your money back."]
    assert len(stage.said()) == len(said) + 1
    assert stage.conversation().last_intents == ["refund"]
    # Who chose the wrong one may still take another.
    stage.press(stage.token("choose", "order_status"), telegram_id=asked.telegram_id)
    assert stage.heard()[-1] == "Bouquets take <b>2</b> days, Ana."
    assert stage.conversation().last_intents == ["order_status", "refund"]
    assert stage.feedback() == [(message_id, "clarified", "order_status", ANA.chat_id)]


def test_a_choice_that_only_a_person_can_serve_calls_one(stage: Stage) -> None:
    with stage.still_answering("complaint"):
        message_id = stage.ask("help", confidence=0.4, others=[("complaint", 0.3)])
    stage.press(stage.token("choose", "complaint"))
    assert stage.conversation().state is ConversationState.WAITING
    assert stage.feedback() == [(message_id, "clarified", "complaint", ANA.chat_id)]
    card, post = stage.deliveries(OPERATOR_CHAT)
    assert card.key == f"card:{message_id}"
    for part in ("<blockquote>help</blockquote>", "this topic always goes to a person"):
        assert part in card.payload["text"]
    assert labels(card)[0] == "Answer: Where is my order?"
    assert "<blockquote>Make a complaint</blockquote>" in post.payload["text"]
    assert stage.decision(message_id).intent == "complaint"


def test_a_topic_under_the_greeting_shows_its_answer_and_teaches_nothing(stage: Stage) -> None:
    customers.started(stage.desk, stage.update(), ANA)
    stage.press(stage.token("intent", "order_status"))
    assert stage.heard()[-1] == "Bouquets take <b>2</b> days, Ana."
    assert stage.feedback() == []


def test_the_person_button_calls_a_person(stage: Stage) -> None:
    stage.ask("where are my roses")
    stage.press(stage.token("person"))
    assert stage.conversation().state is ConversationState.WAITING
    assert "the customer asked for a person" in stage.told()[-1]
    assert stage.press(stage.token("person")).alert
    assert len(stage.deliveries(OPERATOR_CHAT)) == 1


@pytest.mark.parametrize(
    ("action", "argument", "text"),
    [("intent", "opening_hours", "Opening hours"), ("person", "", "Ask a person")],
)
@pytest.mark.parametrize("taken", [False, True])
def test_a_button_pressed_while_a_person_is_awaited_or_in_charge_is_shown_to_them(
    stage: Stage, action: str, argument: str, text: str, taken: bool
) -> None:
    stage.ask("where are my roses")
    (answer,) = stage.send_all()
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    if taken:
        operators.took(stage.desk, stage.update(), OSCAR, 77)
    job = stage.write("one more thing")
    heard = stage.heard()
    pressed = stage.press(stage.token(action, argument), telegram_id=answer.telegram_id or 0)
    when = "" if taken else ", usually within 15 minutes"
    assert pressed.text == f"Passed on. You will get the reply right here{when}."
    assert stage.heard() == heard, "the bot answers nothing"
    first, second = stage.told()[-2:]
    assert job is not None
    assert "<blockquote>one more thing</blockquote>" in first, "in the order in which it came"
    assert f"Ana wrote</b>\n<blockquote>{text}</blockquote>" in second
    assert stage.said()[-1].text == text
    assert stage.decision(stage.said()[-1].id).action is Action.SILENT


@pytest.mark.parametrize("choice", ["complaint", "talk_to_person"])
def test_a_button_that_called_a_person_and_is_tapped_again_is_shown_once(
    stage: Stage, choice: str
) -> None:
    with stage.still_answering(choice):
        stage.ask("帮帮我", BEN, confidence=0.4, others=[(choice, 0.3)])
    (asked,) = stage.send_all()
    for _ in range(2):
        pressed = stage.press(
            stage.token("choose", choice), by=BEN.chat_id, telegram_id=asked.telegram_id or 0
        )
    assert pressed.text == "您的消息已转给同事。通常会在 15 分钟内在这里回复您。"
    title = stage.desk.pack.intents[choice].title["zh"]
    assert sum(f"<blockquote>{title}</blockquote>" in text for text in stage.told()) == 1


def test_who_asks_for_a_person_while_one_is_awaited_is_told_that_they_come(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.ask("asdf", BEN, scope=0.02)
    (asked,) = [row for row in stage.send_all() if row.chat_id == BEN.chat_id]
    token = stage.token("person")
    stage.press(token, by=BEN.chat_id, telegram_id=asked.telegram_id or 0)
    told = stage.told()
    pressed = stage.press(token, by=BEN.chat_id, telegram_id=asked.telegram_id or 0)
    assert pressed.text == "您的消息已转给同事。通常会在 15 分钟内在这里回复您。"
    assert stage.told() == told


def test_a_thumb_up_is_feedback_and_thanks(stage: Stage) -> None:
    message_id = stage.ask("where are my roses")
    (sent,) = stage.send_all()
    assert sent.telegram_id is not None
    pressed = stage.press(stage.token("up"), telegram_id=sent.telegram_id)
    assert pressed.text == "Thank you!"
    assert stage.feedback() == [(message_id, "thumb_up", "order_status", ANA.chat_id)]
    (edit,) = stage.deliveries(ANA.chat_id, method="editMessageReplyMarkup")
    assert labels(edit) == ["Track it", "Opening hours", "Ask a person"], "only the thumbs go"


def test_thumbs_pressed_again_and_again_are_taken_away_once(stage: Stage) -> None:
    for text in ("where are my roses", "and my tulips"):
        stage.ask(text)
    first, second = stage.send_all()
    for sent in (first, second, first):
        *_, thumbs = sent.payload["reply_markup"]["inline_keyboard"]
        for thumb in thumbs * 10:
            assert sent.telegram_id is not None
            stage.press(thumb["callback_data"], telegram_id=sent.telegram_id)
        stage.send_all()
    edits = stage.deliveries(method="editMessageReplyMarkup")
    assert [edit.payload["message_id"] for edit in edits] == [first.telegram_id, second.telegram_id]
    assert (
        sorted(kind for _, kind, _, _ in stage.feedback()) == ["thumb_down"] * 2 + ["thumb_up"] * 2
    )


def test_choices_pressed_again_and_again_are_taken_away_once(stage: Stage) -> None:
    stage.ask("money?", confidence=0.45, others=[("refund", 0.4)])
    (asked,) = stage.send_all()
    assert asked.telegram_id is not None
    for _ in range(10):
        for intent in ("order_status", "refund"):
            stage.press(stage.token("choose", intent), telegram_id=asked.telegram_id)
    assert len(stage.deliveries(method="editMessageReplyMarkup")) == 1
    assert len(stage.heard()) == 3, "the question, and each answer once"


def test_buttons_that_changed_since_are_taken_away_again(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    (card,) = [row for row in stage.send_all() if row.chat_id == OPERATOR_CHAT]
    assert card.telegram_id is not None
    for _ in range(2):
        for button in ("relabel", "card"):
            stage.press(stage.token(button), by=OSCAR, telegram_id=card.telegram_id)
            stage.send_all()
    assert len(stage.deliveries(method="editMessageReplyMarkup")) == 2


def test_a_thumb_down_is_feedback_and_offers_a_person(stage: Stage) -> None:
    message_id = stage.ask("where are my roses")
    stage.press(stage.token("down"))
    assert stage.feedback() == [(message_id, "thumb_down", "order_status", ANA.chat_id)]
    assert stage.heard()[-1] == "Sorry about that. Shall I call a colleague?"
    stage.press(stage.token("person"))
    assert stage.conversation().state is ConversationState.WAITING


def test_a_thumb_down_that_is_pressed_twice_leaves_no_button_that_nobody_sees(
    stage: Stage,
) -> None:
    stage.ask("where are my roses")
    token = stage.token("down")
    stage.press(token)
    before = stage.all(select(ButtonRow.token))
    stage.press(token)
    assert stage.all(select(ButtonRow.token)) == before


def test_a_thumb_down_after_a_person_took_over_says_nothing_to_the_customer(stage: Stage) -> None:
    stage.ask("where are my roses")
    stage.send_all()
    stage.topic()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    heard = stage.heard()
    stage.press(stage.token("down"))
    assert stage.heard() == heard
    assert [kind for _, kind, _, _ in stage.feedback()] == ["thumb_down"]


def test_a_thumb_down_on_an_answer_of_before_offers_a_person_anew(stage: Stage) -> None:
    stage.ask("where are my roses")
    down = stage.token("down")
    stage.topic()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    stage.resolve()
    stage.send_all()
    stage.press(down)
    assert stage.heard()[-1] == "Sorry about that. Shall I call a colleague?"


def test_a_press_handled_twice_counts_once(stage: Stage) -> None:
    customers.started(stage.desk, stage.update(), ANA)
    token = stage.token("intent", "order_status")
    inbox_id = stage.update()
    for _ in range(2):
        buttons.pressed(stage.desk, inbox_id, token, ANA.chat_id, ANA.chat_id, 1)
    assert len(stage.heard()) == 2


def test_somebody_elses_button_is_refused(stage: Stage) -> None:
    stage.ask("where are my roses")
    heard = stage.heard()
    for pressed in (
        stage.press(stage.token("down"), by=BEN.chat_id),
        stage.press(stage.token("down"), by=BEN.chat_id, chat_id=ANA.chat_id),
        stage.press(stage.token("down"), by=ANA.chat_id, chat_id=OPERATOR_CHAT),
        stage.press(stage.token("down"), by=OLGA),
    ):
        assert pressed.alert
        assert "no longer valid" in pressed.text
    assert stage.feedback() == []
    assert stage.heard() == heard


def test_a_customers_old_buttons_work_after_their_conversation_was_resolved(stage: Stage) -> None:
    stage.ask("where are my roses")
    stage.topic()
    stage.send_all()
    stage.resolve()
    stage.press(stage.token("intent", "opening_hours"))
    assert stage.heard()[-1] == "We are open Monday to Friday, nine to six."
    assert len(stage.conversations()) == 2


def test_a_button_of_an_intent_that_the_pack_dropped_calls_a_person(stage: Stage) -> None:
    customers.started(stage.desk, stage.update(), ANA)
    token = stage.token("intent", "order_status")
    intents = dict(stage.desk.pack.intents)
    del intents["order_status"]
    smaller = stage.desk.pack.model_copy(update={"intents": intents})
    stage.desk = type(stage.desk)(stage.desk.store, smaller, OPERATOR_CHAT, stage.desk.clock)
    stage.press(token)
    assert stage.conversation().state is ConversationState.WAITING


def test_tokens_say_nothing_and_fit_into_callback_data(stage: Stage) -> None:
    stage.ask("where are my roses")
    for token in (stage.token("up"), stage.token("intent", "opening_hours")):
        assert len(token.encode()) <= 64
        assert "order" not in token
        assert token != "up"


def test_pressing_an_answer_three_times_counts_towards_the_same_answer(stage: Stage) -> None:
    customers.started(stage.desk, stage.update(), ANA)
    token = stage.token("intent", "order_status")
    stage.press(token)
    stage.press(token)
    assert stage.decision(stage.ask("roses?")).action is Action.ESCALATE


# ---- What gets shown, and to whom ----


def test_a_thumb_down_and_then_a_person_hands_over_the_question_itself(stage: Stage) -> None:
    message_id = stage.ask("where are my roses", others=[("refund", 0.15)])
    stage.press(stage.token("down"))
    stage.press(stage.token("person", "down"))
    assert stage.conversation().state is ConversationState.WAITING
    (card,) = stage.deliveries(OPERATOR_CHAT)
    assert card.key == f"card:{message_id}"
    for part in (
        "<blockquote>where are my roses</blockquote>",
        "Where is my order? 95%",
        "the answer did not help",
    ):
        assert part in card.payload["text"]
    decision = stage.decision(message_id)
    assert (decision.action, decision.rule) == (Action.ESCALATE, "thumb_down")
    assert decision.intent == "order_status"
    stage.press(stage.token("send", "refund"), by=OSCAR)
    assert stage.heard()[-1] == "Send us a photo and you get your money back."


def test_a_person_button_hands_over_the_question_and_shows_which_it_was(stage: Stage) -> None:
    message_id = stage.ask("where are my roses", others=[("refund", 0.2)])
    (answer,) = stage.send_all()
    stage.press(stage.token("person"), telegram_id=answer.telegram_id or 0)
    card, post = stage.deliveries(OPERATOR_CHAT)
    assert card.key == f"card:{message_id}"
    for part in (
        "<blockquote>where are my roses</blockquote>",
        "Where is my order? 95%",
        "the customer asked for a person",
    ):
        assert part in card.payload["text"]
    assert labels(card)[:2] == ["Answer: I want my money back", "Relabel…"]
    assert post.payload["text"].endswith("<blockquote>Ask a person</blockquote>")
    assert stage.said()[-1].text == "Ask a person"
    decision = stage.decision(message_id)
    assert (decision.action, decision.rule) == (Action.ESCALATE, "asked_for_person")
    assert len(stage.heard()) == 2, "the answer and that a colleague comes"


@pytest.mark.parametrize("disliked", [False, True])
def test_a_person_called_under_a_chosen_answer_gets_the_customers_own_words(
    stage: Stage, disliked: bool
) -> None:
    message_id = stage.ask("my roses, again", confidence=0.45, others=[("refund", 0.4)])
    stage.press(stage.token("choose", "order_status"))
    if disliked:
        stage.press(stage.token("down"))
    stage.press(stage.token("person"))
    (card,) = stage.deliveries(OPERATOR_CHAT)
    assert card.key == f"card:{message_id}"
    assert "<blockquote>my roses, again</blockquote>" in card.payload["text"]
    assert stage.decision(message_id).rule == ("thumb_down" if disliked else "asked_for_person")


def test_the_button_beside_the_choices_hands_over_the_question(stage: Stage) -> None:
    message_id = stage.ask("my roses, again", confidence=0.45, others=[("refund", 0.4)])
    (asked,) = stage.send_all()
    stage.press(stage.token("person"), telegram_id=asked.telegram_id or 0)
    (card,) = stage.deliveries(OPERATOR_CHAT)
    assert card.key == f"card:{message_id}", "that a person was asked for stands on the card"


def test_the_person_button_of_the_greeting_is_shown_as_what_was_said(stage: Stage) -> None:
    customers.started(stage.desk, stage.update(), BEN)
    (greeting,) = stage.send_all()
    stage.press(stage.token("person"), by=BEN.chat_id, telegram_id=greeting.telegram_id or 0)
    (card,) = stage.deliveries(OPERATOR_CHAT)
    assert "<blockquote>联系人工客服</blockquote>" in card.payload["text"]


def test_a_question_is_handed_over_once_and_calls_a_person_again_all_the_same(
    stage: Stage,
) -> None:
    stage.ask("where are my roses")
    stage.topic()
    stage.press(stage.token("down"))
    token = stage.token("person", "down")
    stage.press(token)
    stage.resolve()
    stage.press(token)
    assert stage.conversation().state is ConversationState.WAITING
    assert "the customer asked for a person" in stage.told()[-1]


def test_a_void_button_speaks_the_language_of_whoever_presses_it(stage: Stage) -> None:
    stage.ask("where are my roses", BEN)
    stage.ask("where are my roses", ANA)
    hers = stage.token("down")
    assert "请直接写给我" in stage.press(hers, by=BEN.chat_id).text
    assert "请直接写给我" in stage.press("made up", by=BEN.chat_id).text
    for token in (hers, "made up"):
        assert stage.press(token, by=OLGA).text == "That button is no longer valid."


# ---- Why? ----


def test_an_invented_token_is_refused(stage: Stage) -> None:
    pressed = stage.press("send:order_status:1")
    assert pressed.alert
    assert pressed.text == "That button is no longer valid. Just write to me."
