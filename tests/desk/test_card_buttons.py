"""Operators press the buttons of a card: answers, labels, take, resolve, why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from classifier.vocabulary import Neighbour
from desk.domain import ConversationState, DeliveryState, InboxState, Incoming
from desk.flow import buttons, customers, delivering, intake, lessons, taking_back
from desk.pack import Pack
from desk.tables import DeliveryRow, Inbox
from desk.texts import say
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, BOT, OLGA, OSCAR, STRANGER, Stage, labels, with_words


@pytest.fixture
def card(stage: Stage) -> tuple[Stage, int]:
    """A stage with an escalated message whose card has been sent."""
    message_id = stage.ask(
        "give it back", intent="complaint", confidence=0.5, others=[("refund", 0.4)]
    )
    stage.topic()
    stage.send_all()
    return stage, message_id


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


def test_an_answer_that_two_colleagues_send_to_two_messages_goes_out_once(
    card: tuple[Stage, int], clock: Clock
) -> None:
    stage, _ = card
    stage.send_all()
    first = stage.token("send", "refund")
    stage.ask("my money, please", intent="refund")
    second = stage.token("send", "refund")
    assert second != first
    stage.press(first, by=OSCAR)
    heard = stage.heard()
    pressed = stage.press(second, by=OLGA)
    assert (pressed.text, pressed.alert) == (say("already-sent", "en"), True)
    assert stage.heard() == heard
    clock.move(minutes=6)
    stage.press(second, by=OLGA)
    assert len(stage.heard()) == len(heard) + 1


def test_what_a_tap_taught_goes_with_the_answer_that_is_taken_back(
    card: tuple[Stage, int],
) -> None:
    stage, _ = card
    token = stage.token("send", "refund")
    stage.press(token, by=OSCAR)
    stage.send_all()
    assert [word.intent for word in lessons.learned(stage.desk)] == ["refund"]
    note = next(row for row in stage.deliveries() if row.key.startswith("note:")).telegram_id
    taking_back.deleted(stage.desk, stage.update(), OLGA, 77, note)
    stage.send_all()
    assert lessons.learned(stage.desk) == []
    stage.press(token, by=OSCAR)
    taking_back.deleted(stage.desk, stage.update(), OLGA, 77, note)
    assert [word.intent for word in lessons.learned(stage.desk)] == ["refund"], "sent anew"


@pytest.mark.parametrize("second", [OSCAR, OLGA])
def test_two_different_answers_to_one_message_say_of_neither_that_it_is_what_it_means(
    stage: Stage, second: int
) -> None:
    likely = [("refund", 0.3), ("order_status", 0.2)]
    stage.ask("give it back, and my roses?", intent="complaint", confidence=0.4, others=likely)
    stage.topic()
    stage.send_all()
    stage.press(stage.token("send", "refund"), by=OSCAR)
    assert [word.intent for word in lessons.learned(stage.desk)] == ["refund"]
    stage.press(stage.token("send", "order_status"), by=second)
    assert lessons.learned(stage.desk) == []
    stage.press(stage.token("send", "refund"), by=second)
    assert lessons.learned(stage.desk) == []


@pytest.mark.parametrize("second", [OSCAR, OLGA])
@pytest.mark.parametrize("wrong", ["refund", "order_status"])
def test_of_two_answers_the_one_that_is_not_taken_back_says_what_it_means(
    stage: Stage, second: int, wrong: str
) -> None:
    likely = [("refund", 0.3), ("order_status", 0.2)]
    stage.ask("give it back", intent="complaint", confidence=0.4, others=likely)
    stage.topic()
    stage.send_all()
    stage.press(stage.token("send", "refund"), by=OSCAR)
    stage.press(stage.token("send", "order_status"), by=second)
    stage.send_all()
    for intent in (wrong, *{"refund", "order_status"} - {wrong}):
        notes = [row for row in stage.deliveries() if row.key.startswith("note:")]
        (note,) = (row for row in notes if row.key.endswith(f":{intent}"))
        taking_back.deleted(stage.desk, stage.update(), OLGA, 77, note.telegram_id)
        stage.send_all()
        left = [] if intent != wrong else list({"refund", "order_status"} - {wrong})
        assert [word.intent for word in lessons.learned(stage.desk)] == left


@pytest.mark.parametrize("second", [OSCAR, OLGA])
def test_the_right_answer_teaches_though_the_wrong_one_is_still_to_be_deleted(
    stage: Stage, second: int
) -> None:
    likely = [("refund", 0.3), ("order_status", 0.2)]
    stage.ask("give it back", intent="complaint", confidence=0.4, others=likely)
    stage.topic()
    stage.send_all()
    stage.press(stage.token("send", "order_status"), by=OSCAR)
    stage.send_all()
    (note,) = (row for row in stage.deliveries() if row.key.startswith("note:"))
    taking_back.deleted(stage.desk, stage.update(), OSCAR, 77, note.telegram_id)
    stage.press(stage.token("send", "refund"), by=second)
    stage.send_all()
    assert [word.intent for word in lessons.learned(stage.desk)] == ["refund"]


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


def test_a_one_tap_answer_that_arrived_at_the_second_tap_is_not_sent_at_a_third(
    card: tuple[Stage, int],
) -> None:
    stage, _ = card
    token = stage.token("send", "refund")
    stage.press(token, by=OSCAR)
    (answer,) = [one for one in stage.take() if one.key.startswith("sent:")]
    delivering.failed(stage.desk, answer.id, answer.attempts, "400 no")
    stage.press(token, by=OSCAR)
    stage.send_all()
    heard = stage.heard()
    assert stage.press(token, by=OLGA).text == "This answer has already been sent."
    assert stage.heard() == heard


def test_a_one_tap_answer_carries_the_packs_links_and_its_button_for_a_person_alone(
    stage: Stage,
) -> None:
    stage.ask("hm", intent="complaint", confidence=0.5, others=[("order_status", 0.4)])
    stage.press(stage.token("send", "order_status"), by=OSCAR)
    row = stage.deliveries(ANA.chat_id)[-1]
    (link,), (person,) = row.payload["reply_markup"]["inline_keyboard"]
    assert link == {"text": "Track it", "url": "https://florist.example/track"}
    assert person == {"text": "Ask a person", "callback_data": stage.token("person")}


def test_a_one_tap_answer_to_a_resolved_conversation_is_refused(card: tuple[Stage, int]) -> None:
    stage, _ = card
    token = stage.token("send", "refund")
    stage.topic()
    stage.resolve()
    heard = stage.heard()
    pressed = stage.press(token, by=OSCAR)
    assert pressed.alert
    assert pressed.text == "This conversation is already resolved."
    assert stage.heard() == heard


def test_a_one_tap_answer_of_an_intent_that_is_a_reply_now_is_refused_and_teaches_nothing(
    card: tuple[Stage, int],
) -> None:
    stage, _ = card
    data = stage.desk.pack.model_dump()
    del data["intents"]["refund"]
    data["replies"]["refund"] = {"title": {"en": "Refund"}, "text": {"en": "A photo?"}}
    stage.desk = replace(stage.desk, pack=Pack.model_validate(data))
    heard = stage.heard()
    assert stage.press(stage.token("send", "refund"), by=OSCAR).alert
    assert stage.heard() == heard
    assert stage.feedback() == []


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
    moods, offered = labels(shown)[:3], labels(shown)[3:]
    assert moods == ["😠 negative", "😐 neutral", "🙂 positive"]
    assert offered[:2] == ["Make a complaint", "I want my money back"], "the model's guesses first"
    assert len(offered) == len(stage.desk.pack.intents) + 1
    pressed = stage.press(stage.token("label", "order_status"), by=OSCAR, telegram_id=1500)
    assert pressed.text == "Oscar labelled the message “Where is my order?”"
    assert stage.feedback() == [(message_id, "relabel", "order_status", OSCAR)]
    assert stage.conversation().state is ConversationState.WAITING, "a label says nothing to Ana"
    edit = stage.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert edit.payload["message_id"] == 1500


def test_labels_share_a_row_only_where_a_phone_has_room_for_both(
    card: tuple[Stage, int],
) -> None:
    stage, _ = card
    title = {"en": "I want all of my money back"}
    stage.desk = replace(stage.desk, pack=with_words(stage.desk.pack, "refund", title=title))
    stage.press(stage.token("relabel"), by=OSCAR, telegram_id=1500)
    (shown,) = stage.deliveries(OPERATOR_CHAT, method="editMessageReplyMarkup")
    keys = shown.payload["reply_markup"]["inline_keyboard"]
    rows = [[key["text"] for key in line] for line in keys]
    assert ["I want all of my money back"] in rows
    assert ["Opening hours", "Where is my order?"] in rows


def test_there_is_no_relabel_where_a_label_would_teach_nothing(stage: Stage) -> None:
    customers.sent_file(stage.desk, stage.update(), ANA, 7, "it arrived like this")
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    customers.asked_for_person(stage.desk, stage.update(), BEN, "/human")
    shown = [row for row in stage.deliveries(OPERATOR_CHAT) if "reply_markup" in row.payload]
    assert [labels(row) for row in shown] == [["Take", "Resolve"], [], ["Take", "Resolve"]]
    stage.ask("and this", intent=None)
    assert labels(stage.deliveries(OPERATOR_CHAT)[-1]) == ["Relabel…"], "words of her own"


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
    assert labels(shown) == [
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
    stage.topic()
    stage.reply("I am sorry", user_id=OLGA)
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
            assert labels(stage.deliveries(OPERATOR_CHAT)[-1])[-1] == "Relabel…"
    stage.press(stage.token("label", "refund", **under), by=OSCAR, telegram_id=telegram_id)
    stage.send_all()
    stage.press(stage.token("send", "refund", **under), by=OSCAR, telegram_id=telegram_id)
    edits = [
        row
        for row in stage.deliveries(OPERATOR_CHAT, method="editMessageText")
        if row.payload["message_id"] == telegram_id
    ]
    assert len(edits) == 2, "one that waited was replaced"
    for edit in edits:
        assert "Ana wrote" in edit.payload["text"]
        assert "waiting for a person" not in edit.payload["text"]
        assert labels(edit)[-1] == "Relabel…"
    assert "Oscar sent the answer “I want my money back”" in edits[1].payload["text"]


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
        assert [label for label in labels(edit) if label.startswith("Answer")] == offered
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
    assert labels(opened)[-4:] == ["Relabel…", "Take", "Resolve", "« Less"]
    stage.press(stage.token("card"), by=OLGA, telegram_id=telegram_id)
    closed = stage.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert closed.payload["text"] == card.payload["text"]
    assert labels(closed) == labels(card)


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
    assert "Why?" not in labels(called)
    message_id = stage.ask("hello?")
    (post,) = stage.deliveries(key=f"post:{message_id}")
    assert "Why?" not in labels(post)


def test_an_open_card_closes_when_its_conversation_goes_on(card: tuple[Stage, int]) -> None:
    stage, _ = card
    stage.press(stage.token("why"), by=OSCAR)
    stage.press(stage.token("take"), by=OSCAR)
    taken = stage.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert "taken by Oscar" in taken.payload["text"]
    assert labels(taken)[-1] == "Why?"


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


def _edits(stage: Stage) -> list[DeliveryRow]:
    methods = ("editMessageText", "editMessageReplyMarkup")
    return [row for row in stage.deliveries(OPERATOR_CHAT) if row.method in methods]


def test_of_a_card_one_edit_waits_that_shows_what_was_done_last(card: tuple[Stage, int]) -> None:
    stage, message_id = card
    (sent,) = stage.deliveries(key=f"card:{message_id}")
    for button in ("relabel", "label", "why", "take", "relabel"):
        token = stage.token(button, message_id=message_id)
        stage.press(token, by=OSCAR, telegram_id=sent.telegram_id or 0)
    (edit,) = _edits(stage)
    assert "Oscar" in edit.payload["text"]
    assert "« Back" in labels(edit), "the menu that was opened last"
    stage.send_all()
    stage.resolve()
    assert [row.state for row in _edits(stage)] == [DeliveryState.SENT, DeliveryState.PENDING]


def test_an_edit_that_was_tried_stays_and_the_next_one_follows_it(card: tuple[Stage, int]) -> None:
    stage, message_id = card
    (sent,) = stage.deliveries(key=f"card:{message_id}")
    stage.press(stage.token("take"), by=OSCAR, telegram_id=sent.telegram_id or 0)
    (tried,) = stage.take()
    stage.press(stage.token("why"), by=OSCAR, telegram_id=sent.telegram_id or 0)
    delivering.again(stage.desk, tried.id, tried.attempts, 0.0, "429")
    stage.resolve()
    first, second = _edits(stage)
    assert first.payload == tried.payload
    assert "✅" in second.payload["text"]
    assert [row.id for row in stage.send_all()] == [first.id, second.id]


def test_a_card_that_would_look_no_different_is_not_edited(card: tuple[Stage, int]) -> None:
    stage, message_id = card
    (sent,) = stage.deliveries(key=f"card:{message_id}")
    stage.press(stage.token("take"), by=OSCAR, telegram_id=sent.telegram_id or 0)
    stage.send_all()
    stage.reply("I am with you")
    (edit,) = _edits(stage)
    assert "Oscar" in edit.payload["text"]
