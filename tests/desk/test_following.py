"""A card about what was said earlier: what was said since follows it, and it says what was
answered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from desk.domain import ConversationState, DeliveryState
from desk.flow import customers, delivering, edits, operators
from desk.tables import DeliveryRow
from tests.conftest import OPERATOR_CHAT
from tests.desk.acting import ANA, OSCAR, Stage, predict


def _keys(stage: Stage) -> list[str]:
    """What stands before the operators, by key and in its order."""
    return [row.key for row in stage.deliveries(OPERATOR_CHAT)]


def _labels(delivery: DeliveryRow) -> list[str]:
    rows = delivery.payload["reply_markup"]["inline_keyboard"]
    return [button["text"] for row in rows for button in row]


def _person_button(stage: Stage, message_id: int) -> str:
    """The button for a person under the bot's answer to a message."""
    return stage.token("person", message_id=message_id)


def _later(stage: Stage, number: int) -> list[int]:
    """The customer writes so many texts more, which the bot answers; returns their ids."""
    intents = ("opening_hours", "order_status", "refund")
    return [stage.ask(f"more {n}", intent=intents[n % 3]) for n in range(number)]


# ---- What was said since ----


@pytest.mark.parametrize("disliked", [False, True])
def test_what_was_written_after_the_question_follows_its_card(stage: Stage, disliked: bool) -> None:
    question = stage.ask("where are my roses")
    down = stage.token("down", message_id=question)
    token = _person_button(stage, question)
    mail = stage.ask("my e-mail is old, order number A1234", intent="opening_hours")
    wedding = stage.ask("wedding on saturday", confidence=0.1)
    if disliked:
        stage.press(down)
        token = stage.token("person", "down")
    stage.press(token)
    card, first, second = stage.deliveries(OPERATOR_CHAT)
    assert [card.key, first.key, second.key] == [
        f"card:{question}",
        f"post:{mail}",
        f"post:{wedding}",
    ]
    assert "<blockquote>my e-mail is old, order number A1234</blockquote>" in first.payload["text"]
    assert "<blockquote>wedding on saturday</blockquote>" in second.payload["text"]


def test_the_last_ten_texts_at_most_follow_a_card_each_once(stage: Stage) -> None:
    question = stage.ask("where are my roses", intent="refund")
    stage.press(stage.token("down", message_id=question))
    token = stage.token("person", "down")
    later = _later(stage, 12)
    for _ in range(2):
        stage.press(token)
        shown = [f"card:{question}", *(f"post:{message_id}" for message_id in later[-10:])]
        assert _keys(stage) == shown


def test_a_text_that_still_waits_for_the_model_is_shown_once_when_it_has_its_decision(
    stage: Stage,
) -> None:
    question = stage.ask("where are my roses")
    job = stage.write("wedding on saturday")
    stage.press(stage.token("down"))
    stage.press(stage.token("person", "down"))
    assert _keys(stage) == [f"card:{question}"]
    assert job is not None
    stage.decide((job, predict("wedding on saturday")))
    assert _keys(stage) == [f"card:{question}", f"post:{job[0]}"]


def test_what_was_held_back_in_a_flood_does_not_follow_a_card(stage: Stage) -> None:
    busy = Stage(replace(stage.desk, flood_per_minute=2), first_update=500)
    question = busy.ask("where are my roses")
    second = busy.ask("and my tulips", intent="opening_hours")
    assert busy.write("and my lilies") is None
    assert busy.decision(busy.said()[-1].id).rule == "flood"
    busy.press(busy.token("down", message_id=question))
    busy.press(busy.token("person", "down"))
    assert _keys(busy) == [f"card:{question}", f"post:{second}"]


def test_what_the_operators_have_seen_does_not_follow_a_card_again(stage: Stage) -> None:
    question = stage.ask("where are my roses")
    token = _person_button(stage, question)
    called = stage.ask("you are rude", intent="complaint")
    customers.sent_file(stage.desk, stage.update(), ANA, 57, "[photo]")
    photo = stage.said()[-1].id
    stage.topic()
    job = stage.write("and when do you open")
    stage.resolve()
    assert job is not None
    stage.decide((job, predict(intent="opening_hours")))
    assert stage.conversation().state is ConversationState.BOT, "the bot has it again"
    before = _keys(stage)
    assert before == [f"card:{called}", f"file:{photo}"]
    stage.press(token)
    assert _keys(stage)[2:4] == [f"card:{question}", f"post:{job[0]}"]


def test_a_question_of_an_earlier_conversation_is_followed_by_the_words_of_this_one(
    stage: Stage,
) -> None:
    question = stage.ask("where are my roses")
    stage.topic()
    stage.press(stage.token("down"))
    stage.resolve()
    later = stage.ask("wedding on saturday", intent="opening_hours")
    stage.press(_person_button(stage, question))
    assert _keys(stage)[:2] == [f"card:{question}", f"post:{later}"]


def test_what_followed_a_card_is_not_handed_over_as_a_question_of_its_own(stage: Stage) -> None:
    stage.ask("where are my roses")
    token = stage.token("person")
    later = stage.ask("and my tulips")
    stage.topic()
    stage.press(token)
    stage.resolve()
    stage.press(_person_button(stage, later))
    assert stage.conversation().state is ConversationState.WAITING
    card = stage.deliveries(OPERATOR_CHAT)[-1]
    assert card.key == f"card:{stage.said()[-1].id}"
    assert "Resolve" in _labels(card)


def test_what_was_written_after_an_answer_that_never_arrived_follows_its_card(
    stage: Stage,
) -> None:
    question = stage.ask("where are my roses")
    later = stage.ask("wedding on saturday", intent="opening_hours")
    _refuse_first(stage)
    assert _keys(stage)[:2] == [f"card:{question}", f"post:{later}"]


def test_a_changed_text_follows_the_card_of_the_question_before_it(stage: Stage) -> None:
    question = stage.ask("where are my roses")
    token = _person_button(stage, question)
    telegram_id = stage.message(question).telegram_id
    assert telegram_id is not None
    edits.customer_changed(stage.desk, stage.update(), ANA, telegram_id, "where are my A1234 roses")
    stage.press(token)
    assert _keys(stage)[:2] == [f"card:{question}", f"post:{stage.said()[1].id}"]
    assert "A1234" in stage.told()[1]


# ---- What was answered ----


def _refuse_first(stage: Stage) -> None:
    """Telegram refuses the bot's first text to the customer."""
    first = next(each for each in stage.take() if each.chat_id == ANA.chat_id)
    delivering.failed(stage.desk, first.id, first.attempts, "MESSAGE_TOO_STRANGE")


ANSWERED = "🤖 The bot has answered: “Where is my order?”"


def test_the_card_of_an_answered_message_says_so_and_does_not_offer_that_answer(
    stage: Stage,
) -> None:
    stage.ask("where are my roses", others=[("refund", 0.2)])
    stage.press(stage.token("down"))
    stage.press(stage.token("person", "down"))
    (card,) = stage.deliveries(OPERATOR_CHAT)
    assert f"<blockquote>where are my roses</blockquote>\n{ANSWERED}\n" in card.payload["text"]
    assert _labels(card) == [
        "Answer: I want my money back", "Relabel…", "Take", "Resolve", "Why?",
    ]  # fmt: skip


def test_an_answered_text_that_follows_a_card_says_so_too(stage: Stage) -> None:
    stage.ask("when do you open", intent="opening_hours")
    stage.press(stage.token("down"))
    token = stage.token("person", "down")
    stage.ask("where are my roses", others=[("refund", 0.2)])
    stage.press(token)
    post = stage.deliveries(OPERATOR_CHAT)[-1]
    assert ANSWERED in post.payload["text"]
    assert _labels(post) == ["Answer: I want my money back", "Relabel…"]


def test_the_answer_to_what_the_customer_chose_is_not_offered_again(stage: Stage) -> None:
    stage.ask("my roses, again", confidence=0.45, others=[("refund", 0.4)])
    stage.press(stage.token("choose", "order_status"))
    stage.press(stage.token("person"))
    card = stage.deliveries(OPERATOR_CHAT)[0]
    assert ANSWERED in card.payload["text"]
    assert _labels(card)[:2] == ["Answer: I want my money back", "Relabel…"]


def test_the_card_of_a_topic_that_was_tapped_says_what_was_answered(stage: Stage) -> None:
    customers.started(stage.desk, stage.update(), ANA)
    stage.press(stage.token("intent", "order_status"))
    stage.press(stage.token("person", message_id=stage.said()[-1].id))
    assert ANSWERED in stage.told()[0]


def test_what_was_only_asked_back_is_no_answer(stage: Stage) -> None:
    stage.ask("my roses, again", confidence=0.45, others=[("refund", 0.4)])
    stage.press(stage.token("person"))
    card = stage.deliveries(OPERATOR_CHAT)[0]
    assert "The bot has answered" not in card.payload["text"]
    assert _labels(card)[:2] == ["Answer: Where is my order?", "Answer: I want my money back"]


def test_an_answer_that_never_arrived_is_offered_and_said_of_no_card(stage: Stage) -> None:
    stage.ask("where are my roses")
    _refuse_first(stage)
    card = stage.deliveries(OPERATOR_CHAT)[0]
    assert "The bot has answered" not in card.payload["text"]
    assert _labels(card)[0] == "Answer: Where is my order?"


def test_an_answer_that_a_take_over_has_stopped_is_offered_again(stage: Stage) -> None:
    stage.ask("where are my roses")
    stage.press(stage.token("down"))
    stage.press(stage.token("person", "down"))
    stage.topic()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    card, _ = stage.deliveries(OPERATOR_CHAT)
    assert "The bot has answered" not in card.payload["text"]
    assert _labels(card)[0] == "Answer: Where is my order?"


def test_an_answer_that_is_refused_after_its_card_was_posted_is_offered_again(
    stage: Stage,
) -> None:
    stage.ask("where are my roses")
    stage.press(stage.token("down"))
    stage.press(stage.token("person", "down"))
    stage.topic()
    answer, card = sorted(stage.take(), key=lambda each: each.chat_id, reverse=True)
    assert ANSWERED in card.payload["text"]
    delivering.sent(stage.desk, card.id, card.attempts, 5)
    delivering.failed(stage.desk, answer.id, answer.attempts, "MESSAGE_TOO_STRANGE")
    (edit,) = stage.deliveries(OPERATOR_CHAT, method="editMessageText")
    assert "The bot has answered" not in edit.payload["text"]
    assert _labels(edit)[0] == "Answer: Where is my order?"


def test_a_card_of_before_that_still_offers_the_answer_sends_it(stage: Stage) -> None:
    stage.ask("where are my roses")
    _refuse_first(stage)
    outdated = stage.token("send", "order_status")
    assert delivering.retry_failed(stage.desk) == 1
    stage.topic()
    stage.send_all()
    assert not stage.press(outdated, by=OSCAR).alert
    assert stage.heard() == ["Bouquets take <b>2</b> days, Ana."] * 2


def test_a_label_whose_answer_was_given_offers_no_answer(stage: Stage) -> None:
    question = stage.ask("where are my roses")
    stage.press(stage.token("down"))
    stage.press(stage.token("person", "down"))
    stage.topic()
    stage.send_all()
    stage.press(stage.token("relabel"), by=OSCAR)
    stage.press(stage.token("label", "order_status"), by=OSCAR)
    edit = stage.deliveries(OPERATOR_CHAT, message_id=question)[-1]
    assert _labels(edit) == ["Relabel…", "Take", "Resolve", "Why?"]
    assert edit.state is DeliveryState.PENDING


def test_many_intents_with_one_answer_make_no_card_fail(stage: Stage) -> None:
    pack = stage.desk.pack
    known = pack.intents["order_status"]
    titled = {f"order_{n}": known.model_copy(update={"title": {"en": "x" * 28}}) for n in range(60)}
    intents = {**pack.intents, **titled}
    stage.desk = replace(stage.desk, pack=pack.model_copy(update={"intents": intents}))
    question = stage.ask("where are my roses")
    stage.press(_person_button(stage, question))
    (card,) = stage.deliveries(OPERATOR_CHAT)
    assert ANSWERED[:-1] in card.payload["text"]
    assert card.payload["text"].count("x" * 28) < 5


def test_an_answer_that_met_a_customer_who_has_blocked_the_bot_is_offered_again(
    stage: Stage,
) -> None:
    stage.ask("where are my roses")
    stage.press(stage.token("down"))
    stage.press(stage.token("person", "down"))
    stage.topic()
    answer, card = sorted(stage.take(), key=lambda each: each.chat_id, reverse=True)
    delivering.sent(stage.desk, card.id, card.attempts, 5)
    delivering.customer_gone(stage.desk, answer.id, answer.attempts, "Forbidden")
    edit = stage.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert "The bot has answered" not in edit.payload["text"]
    assert _labels(edit)[0] == "Answer: Where is my order?"
