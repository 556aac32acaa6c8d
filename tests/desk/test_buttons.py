"""Presses: what they do, what they teach, and who may not."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from classifier.vocabulary import Neighbour
from desk.domain import Action, ConversationState, DeliveryState, InboxState, Incoming
from desk.flow import buttons, customers, delivering, intake, operators
from desk.tables import ButtonRow, DeliveryRow, Inbox
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, BOT, OLGA, OSCAR, STRANGER, Stage


@pytest.fixture
def card(stage: Stage) -> tuple[Stage, int]:
    """A stage with an escalated message whose card has been sent."""
    message_id = stage.ask(
        "give it back", intent="complaint", confidence=0.5, others=[("refund", 0.4)]
    )
    stage.topic()
    stage.send_all()
    return stage, message_id


def _labels(delivery: DeliveryRow) -> list[str]:
    rows = delivery.payload["reply_markup"]["inline_keyboard"]
    return [button["text"] for row in rows for button in row]


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
    message_id = stage.ask("help", confidence=0.4, others=[("complaint", 0.3)])
    stage.press(stage.token("choose", "complaint"))
    assert stage.conversation().state is ConversationState.WAITING
    assert stage.feedback() == [(message_id, "clarified", "complaint", ANA.chat_id)]
    card, post = stage.deliveries(OPERATOR_CHAT)
    assert card.key == f"card:{message_id}"
    for part in ("<blockquote>help</blockquote>", "this topic always goes to a person"):
        assert part in card.payload["text"]
    assert _labels(card)[0] == "Answer: Where is my order?"
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
    stage.ask("帮帮我", BEN, confidence=0.4, others=[(choice, 0.3)])
    (asked,) = stage.send_all()
    for _ in range(2):
        pressed = stage.press(
            stage.token("choose", choice), by=BEN.chat_id, telegram_id=asked.telegram_id or 0
        )
    assert pressed.text == "同事已经收到您的消息。通常会在 15 分钟内在这里回复您。"
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
    assert pressed.text == "同事已经收到您的消息。通常会在 15 分钟内在这里回复您。"
    assert stage.told() == told


def test_a_thumb_up_is_feedback_and_thanks(stage: Stage) -> None:
    message_id = stage.ask("where are my roses")
    (sent,) = stage.send_all()
    assert sent.telegram_id is not None
    pressed = stage.press(stage.token("up"), telegram_id=sent.telegram_id)
    assert pressed.text == "Thank you!"
    assert stage.feedback() == [(message_id, "thumb_up", "order_status", ANA.chat_id)]
    (edit,) = stage.deliveries(ANA.chat_id, method="editMessageReplyMarkup")
    labels = [b["text"] for row in edit.payload["reply_markup"]["inline_keyboard"] for b in row]
    assert labels == ["Track it", "Opening hours", "Ask a person"], "only the thumbs go"


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
    operators.resolved(stage.desk, stage.update(), OSCAR, 77)
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


@pytest.mark.parametrize("token", ["invented", "take"])
def test_nothing_is_kept_of_a_press_by_one_who_is_no_customer(
    card: tuple[Stage, int], token: str
) -> None:
    stage, _ = card
    press = {"from": {"id": 777, "first_name": "Zed"}, "message": {"message_id": 1, "text": "Zed"}}
    update = Incoming(BOT, 9000, 777, {"callback_query": press})
    intake.store_updates(stage.desk, [update])
    id_ = stage.one(select(Inbox.id).where(Inbox.update_id == 9000))
    token = stage.token("take") if token == "take" else token
    assert buttons.pressed(stage.desk, id_, token, 777, 777, 1).alert
    kept = stage.row(Inbox, id_)
    assert (kept.state, kept.payload, kept.chat_id) == (InboxState.DONE, {}, None)


def test_an_invented_token_is_refused(stage: Stage) -> None:
    pressed = stage.press("send:order_status:1")
    assert pressed.alert
    assert pressed.text == "That button is no longer valid. Just write to me."


@pytest.mark.parametrize("action", ["send", "take", "resolve", "relabel", "why"])
@pytest.mark.parametrize(
    ("user_id", "chat_id"),
    [(STRANGER, OPERATOR_CHAT), (ANA.chat_id, ANA.chat_id), (OSCAR, OSCAR), (OSCAR, ANA.chat_id)],
)
def test_cards_obey_operators_in_their_own_chat_only(
    card: tuple[Stage, int], action: str, user_id: int, chat_id: int
) -> None:
    stage, _ = card
    before = len(stage.deliveries())
    pressed = stage.press(stage.token(action), by=user_id, chat_id=chat_id)
    assert pressed.alert
    if user_id == OSCAR:  # he is one, and presses in a group of before, say
        assert pressed.text == "That button is no longer valid."
    else:
        assert pressed.text.startswith("Only operators can do that.")
    assert stage.conversation().state is ConversationState.WAITING
    assert stage.feedback() == []
    assert len(stage.deliveries()) == before


def test_a_one_tap_answer_goes_out_labels_and_takes_over(card: tuple[Stage, int]) -> None:
    stage, message_id = card
    pressed = stage.press(stage.token("send", "refund"), by=OSCAR)
    assert pressed.text == "Oscar sent the answer “I want my money back”"
    assert stage.heard()[-1] == "Send us a photo and you get your money back."
    answer = stage.deliveries(ANA.chat_id)[-1]
    assert not answer.from_bot, "a person's word: a take-over does not cancel it"
    assert stage.feedback() == [(message_id, "one_tap_answer", "refund", OSCAR)]
    assert stage.conversation().state is ConversationState.HUMAN
    assert stage.told()[-1] == (
        "✉️ Oscar sent the answer “I want my money back”\n"
        "Send us a photo and you get your money back."
    )


def test_a_one_tap_answer_tapped_twice_goes_out_once(card: tuple[Stage, int]) -> None:
    stage, _ = card
    token = stage.token("send", "refund")
    stage.press(token, by=OSCAR)
    heard, told = stage.heard(), len(stage.told())
    stage.press(token, by=OLGA)
    assert stage.heard() == heard
    assert len(stage.told()) == told


@pytest.mark.parametrize("uncertain", [False, True])
def test_a_one_tap_answer_that_was_refused_can_be_tapped_again(
    card: tuple[Stage, int], uncertain: bool
) -> None:
    stage, _ = card
    token = stage.token("send", "refund")
    stage.press(token, by=OSCAR)
    while batch := stage.take(limit=50):
        for one in batch:
            if not one.key.startswith("sent:"):
                delivering.sent(stage.desk, one.id, one.attempts, 5000 + one.id)
            elif uncertain and not one.uncertain:
                delivering.again(stage.desk, one.id, one.attempts, 0, "lost", uncertain=True)
            else:
                delivering.failed(stage.desk, one.id, one.attempts, "400 no")
    pressed = stage.press(token, by=OSCAR)
    sent = [row.state for row in stage.deliveries(ANA.chat_id) if row.key.startswith("sent:")]
    if uncertain:
        assert (pressed.text, sent) == (
            "This answer has already been sent.",
            [DeliveryState.FAILED],
        )
    else:
        assert sent == [DeliveryState.CANCELLED, DeliveryState.PENDING]


def test_a_one_tap_answer_carries_the_packs_links_but_no_bot_buttons(stage: Stage) -> None:
    stage.ask("hm", intent="complaint", confidence=0.5, others=[("order_status", 0.4)])
    stage.press(stage.token("send", "order_status"), by=OSCAR)
    markup = stage.deliveries(ANA.chat_id)[-1].payload["reply_markup"]["inline_keyboard"]
    assert markup == [[{"text": "Track it", "url": "https://florist.example/track"}]]


def test_a_one_tap_answer_to_a_resolved_conversation_is_refused(card: tuple[Stage, int]) -> None:
    stage, _ = card
    token = stage.token("send", "refund")
    stage.press(stage.token("resolve"), by=OSCAR)
    heard = stage.heard()
    pressed = stage.press(token, by=OSCAR)
    assert pressed.alert
    assert pressed.text == "This conversation is already resolved."
    assert stage.heard() == heard


def test_a_one_tap_answer_to_a_customer_who_left_is_refused(card: tuple[Stage, int]) -> None:
    stage, _ = card
    customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=True)
    pressed = stage.press(stage.token("send", "refund"), by=OSCAR)
    assert pressed.alert
    assert stage.feedback() == []


def test_relabelling_shows_all_intents_and_keeps_the_label(card: tuple[Stage, int]) -> None:
    stage, message_id = card
    stage.press(stage.token("relabel"), by=OSCAR, telegram_id=1500)
    (shown,) = stage.deliveries(OPERATOR_CHAT, method="editMessageReplyMarkup")
    labels = [b["text"] for row in shown.payload["reply_markup"]["inline_keyboard"] for b in row]
    assert labels[:2] == ["Make a complaint", "I want my money back"], "the model's guesses first"
    assert len(labels) == len(stage.desk.pack.intents) + 1
    pressed = stage.press(stage.token("label", "order_status"), by=OSCAR, telegram_id=1500)
    assert pressed.text == "Oscar labelled the message “Where is my order?”"
    assert stage.feedback() == [(message_id, "relabel", "order_status", OSCAR)]
    assert stage.conversation().state is ConversationState.WAITING, "a label says nothing to Ana"
    edit = stage.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert edit.payload["message_id"] == 1500


def test_there_is_no_relabel_where_a_label_would_teach_nothing(stage: Stage) -> None:
    customers.sent_file(stage.desk, stage.update(), ANA, 7, "it arrived like this")
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    customers.asked_for_person(stage.desk, stage.update(), BEN, "/human")
    shown = [row for row in stage.deliveries(OPERATOR_CHAT) if "reply_markup" in row.payload]
    assert [_labels(row) for row in shown] == [["Take", "Resolve"], [], ["Take", "Resolve"]]
    stage.ask("and this", intent=None)
    assert _labels(stage.deliveries(OPERATOR_CHAT)[-1]) == ["Relabel…"], "words of her own"


def test_the_newest_label_of_the_same_operator_counts(
    card: tuple[Stage, int], clock: Clock
) -> None:
    stage, message_id = card
    for intent in ("order_status", "refund"):
        stage.press(stage.token("relabel"), by=OSCAR)
        stage.press(stage.token("label", intent), by=OSCAR)
        clock.move(minutes=1)
    assert stage.feedback() == [(message_id, "relabel", "refund", OSCAR)]


def test_back_from_the_labels_shows_the_cards_own_buttons(card: tuple[Stage, int]) -> None:
    stage, _ = card
    stage.press(stage.token("relabel"), by=OSCAR)
    stage.press(stage.token("card"), by=OSCAR)
    shown = stage.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert _labels(shown) == [
        "Answer: I want my money back",
        "Relabel…",
        "Take",
        "Resolve",
        "Why?",
    ]


def test_take_and_resolve_by_button(card: tuple[Stage, int]) -> None:
    stage, _ = card
    stage.press(stage.token("take"), by=OLGA)
    assert stage.conversation().operator_id == OLGA
    again = stage.press(stage.token("take"), by=OLGA)
    assert (again.alert, again.text) == (True, "Olga has already taken this.")
    stage.press(stage.token("resolve"), by=OSCAR)
    assert stage.conversation().state is ConversationState.RESOLVED
    for action in ("take", "resolve"):
        late = stage.press(stage.token(action), by=OSCAR)
        assert (late.alert, late.text) == (True, "This conversation is already resolved.")


def test_a_colleague_takes_over_with_the_button_of_a_taken_card(card: tuple[Stage, int]) -> None:
    stage, _ = card
    stage.press(stage.token("take"), by=OLGA)
    pressed = stage.press(stage.token("take"), by=OSCAR)
    assert (pressed.alert, pressed.text) == (False, "Oscar took over from Olga.")
    assert stage.conversation().operator_id == OSCAR
    assert "Oscar took over from Olga." in stage.told(), "Olga is to see it, too"
    edit = stage.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert "taken by Oscar" in edit.payload["text"]


def test_a_colleagues_one_tap_answer_takes_over(card: tuple[Stage, int]) -> None:
    stage, _ = card
    stage.press(stage.token("take"), by=OLGA)
    stage.press(stage.token("send", "refund"), by=OSCAR, telegram_id=1)
    assert stage.conversation().operator_id == OSCAR
    edit = stage.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert "taken by Oscar" in edit.payload["text"]
    assert "Oscar sent the answer" in edit.payload["text"]
    line, note = [text for text in stage.told() if text.startswith(("Oscar", "✉️"))]
    assert line == "Oscar took over from Olga."
    assert note.startswith("✉️ Oscar sent the answer")


def test_a_customers_old_buttons_work_after_their_conversation_was_resolved(stage: Stage) -> None:
    stage.ask("where are my roses")
    stage.topic()
    stage.send_all()
    operators.resolved(stage.desk, stage.update(), OSCAR, 77)
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
    assert _labels(card)[:2] == ["Answer: I want my money back", "Relabel…"]
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
    operators.resolved(stage.desk, stage.update(), OSCAR, 77)
    stage.press(token)
    assert stage.conversation().state is ConversationState.WAITING
    assert "the customer asked for a person" in stage.told()[-1]


def test_a_plain_post_keeps_its_form_whatever_is_pressed_under_it(
    card: tuple[Stage, int],
) -> None:
    stage, _ = card
    second = stage.ask("and now?", confidence=0.8, others=[("refund", 0.15)])
    stage.send_all()
    (post,) = stage.deliveries(key=f"post:{second}")
    under = {"message_id": second}
    telegram_id = post.telegram_id or 0
    for action, argument in (("relabel", None), ("card", None), ("relabel", None)):
        token = stage.token(action, argument, **under)
        stage.press(token, by=OSCAR, telegram_id=telegram_id)
        if action == "card":
            assert _labels(stage.deliveries(OPERATOR_CHAT)[-1])[-1] == "Relabel…"
    stage.press(stage.token("label", "refund", **under), by=OSCAR, telegram_id=telegram_id)
    stage.send_all()
    stage.press(stage.token("send", "refund", **under), by=OSCAR, telegram_id=telegram_id)
    edits = [
        row.payload
        for row in stage.deliveries(OPERATOR_CHAT, method="editMessageText")
        if row.payload["message_id"] == telegram_id
    ]
    assert len(edits) == 3
    for edit in edits:
        assert "Ana wrote" in edit["text"]
        assert "waiting for a person" not in edit["text"]
        labels = [b["text"] for row in edit["reply_markup"]["inline_keyboard"] for b in row]
        assert labels[-1] == "Relabel…"
    assert "Oscar sent the answer “I want my money back”" in edits[2]["text"]


def test_a_label_stands_on_the_card_for_colleagues(card: tuple[Stage, int]) -> None:
    stage, _ = card
    stage.press(stage.token("relabel"), by=OSCAR)
    stage.press(stage.token("label", "order_status"), by=OSCAR)
    edit = stage.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert "🏷 Oscar labelled the message “Where is my order?”" in edit.payload["text"]


def test_a_label_puts_its_answer_on_the_card(card: tuple[Stage, int]) -> None:
    stage, _ = card
    for intent, offered in (
        ("complaint", []),
        ("opening_hours", ["Answer: Opening hours"]),
    ):
        stage.press(stage.token("relabel"), by=OSCAR)
        stage.press(stage.token("label", intent), by=OSCAR)
        edit = stage.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
        assert [label for label in _labels(edit) if label.startswith("Answer")] == offered
    stage.press(stage.token("send", "opening_hours"), by=OSCAR)
    assert stage.heard()[-1] == "We are open Monday to Friday, nine to six."


def test_a_one_tap_answer_tapped_again_says_so_and_teaches_nothing(
    card: tuple[Stage, int],
) -> None:
    stage, _ = card
    token = stage.token("send", "refund")
    stage.press(token, by=OSCAR)
    feedback = stage.feedback()
    pressed = stage.press(token, by=OLGA)
    assert (pressed.text, pressed.alert) == ("This answer has already been sent.", True)
    assert stage.feedback() == feedback


def test_a_void_button_speaks_the_language_of_whoever_presses_it(stage: Stage) -> None:
    stage.ask("where are my roses", BEN)
    stage.ask("where are my roses", ANA)
    hers = stage.token("down")
    assert "请直接写给我" in stage.press(hers, by=BEN.chat_id).text
    assert "请直接写给我" in stage.press("made up", by=BEN.chat_id).text
    for token in (hers, "made up"):
        assert stage.press(token, by=OLGA).text == "That button is no longer valid."


# ---- Why? ----

NEAR = [
    Neighbour("where are my <roses>", "order_status", 0.912),
    Neighbour("give it back", "invented & gone", 0.5),
]


def test_why_opens_the_card_and_less_closes_it(stage: Stage) -> None:
    for _ in range(2):
        stage.ask("blorp", confidence=0.64, threshold=0.82, scope=0.31, neighbours=NEAR)
    stage.send_all()
    (card,) = stage.deliveries(OPERATOR_CHAT)
    assert "roses" not in card.payload["text"], "short until somebody asks"
    telegram_id = card.telegram_id or 0
    assert stage.press(stage.token("why"), by=OSCAR, telegram_id=telegram_id).text == ""
    opened = stage.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert opened.payload["message_id"] == telegram_id
    for line in (
        "<blockquote>blorp</blockquote>",
        "unlike anything the bot has learned",
        "Confidence 64%; an automatic answer takes 82%.",
        "Unlike what the bot has learned: only 31% alike; it takes 50%.",
        "• where are my &lt;roses&gt; → <b>Where is my order?</b> 0.91",
        "• give it back → <b>invented &amp; gone</b> 0.50",
    ):
        assert line in opened.payload["text"]
    assert _labels(opened)[-4:] == ["Relabel…", "Take", "Resolve", "« Less"]
    stage.press(stage.token("card"), by=OLGA, telegram_id=telegram_id)
    closed = stage.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert closed.payload["text"] == card.payload["text"]
    assert _labels(closed) == _labels(card)


def test_why_names_the_language_and_the_packs_own_threshold(stage: Stage) -> None:
    stage.ask(
        "geld zurück", intent="refund", confidence=0.5, threshold=0.1, scope=0.9, language="de"
    )
    stage.send_all()
    stage.press(stage.token("why"), by=OSCAR)
    text = stage.told()[-1]
    assert "Confidence 50%; an automatic answer takes 90%." in text
    assert "Like what the bot has learned: 90%; it takes 50%." in text
    assert "Language: de, which the bot has not learned." in text


def test_why_of_an_older_prediction_says_what_is_known(card: tuple[Stage, int]) -> None:
    stage, _ = card
    stage.press(stage.token("why"), by=OSCAR)
    opened = stage.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert "None" not in opened.payload["text"]
    assert "an automatic answer takes" not in opened.payload["text"], "complaints never get one"


def test_there_is_no_why_without_a_prediction_nor_under_a_plain_post(stage: Stage) -> None:
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    (called,) = stage.deliveries(OPERATOR_CHAT)
    assert "Why?" not in _labels(called)
    message_id = stage.ask("hello?")
    (post,) = stage.deliveries(key=f"post:{message_id}")
    assert "Why?" not in _labels(post)


def test_an_open_card_closes_when_its_conversation_goes_on(card: tuple[Stage, int]) -> None:
    stage, _ = card
    stage.press(stage.token("why"), by=OSCAR)
    stage.press(stage.token("take"), by=OSCAR)
    taken = stage.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert "taken by Oscar" in taken.payload["text"]
    assert _labels(taken)[-1] == "Why?"
