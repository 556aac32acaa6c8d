"""/answer: operators send the pack's answers by hand, found by words of their titles."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from desk.domain import ConversationState, DeliveryState, Pressed
from desk.flow import (
    customers,
    delivering,
    erasing,
    operators,
    ready_answers,
    reminding,
    reporting,
    taking_back,
)
from desk.flow.awaiting import is_called
from desk.pack import Pack, PackButton, load
from desk.tables import Conversation, DeliveryRow
from desk.telegram_text import length, plain
from desk.texts import say
from tests.chaos import oracle
from tests.conftest import OPERATOR_CHAT
from tests.desk.acting import ANA, BEN, OLGA, OSCAR, STRANGER, Stage, labels, with_words

REFUND = "Send us a photo and you get your money back."


def answer(stage: Stage, words: str, *, user_id: int = OSCAR, thread_id: int = 77) -> None:
    ready_answers.wanted(stage.desk, stage.update(), user_id, thread_id, words)


def with_intents(stage: Stage, **titles: str) -> Stage:
    """A desk whose pack has more intents; each answer is its title."""
    data: dict[str, Any] = stage.desk.pack.model_dump()
    for name, title in titles.items():
        data["intents"][name] = {"title": {"en": title}, "answer": {"en": title}}
    stage.desk = replace(stage.desk, pack=Pack.model_validate(data))
    return stage


NUMBER = {
    "title": {"en": "Ask for the order number", "zh": "询问订单号"},
    "text": {"en": "Which <b>order</b> is it, {customer}?", "zh": "{customer}，订单号是多少？"},
}


def with_reply(stage: Stage, name: str = "ask_number", reply: dict[str, Any] = NUMBER) -> Stage:
    """A desk whose pack has a reply, too."""
    data: dict[str, Any] = stage.desk.pack.model_dump()
    data["replies"][name] = reply
    stage.desk = replace(stage.desk, pack=Pack.model_validate(data))
    return stage


def _report(stage: Stage) -> reporting.Report:
    return reporting.report(stage.desk, stage.desk.clock() - timedelta(days=7))


@pytest.fixture
def waiting(stage: Stage) -> Stage:
    """Ana waits for a person whom /human called: on her card there is no answer to tap."""
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    stage.topic()
    stage.send_all()
    return stage


def choices(stage: Stage) -> list[str]:
    """What stands on the buttons of the newest question which answer is meant."""
    (*_, asked) = [row for row in stage.deliveries(OPERATOR_CHAT) if row.key.startswith("which:")]
    rows = asked.payload["reply_markup"]["inline_keyboard"]
    return [button["text"] for row in rows for button in row]


def sent(stage: Stage) -> list[DeliveryRow]:
    return [row for row in stage.deliveries(ANA.chat_id) if row.key.startswith("sent:")]


def test_the_one_answer_that_is_found_goes_out_takes_over_and_teaches_nothing(
    waiting: Stage,
) -> None:
    answer(waiting, "refund")
    assert waiting.heard()[-1] == REFUND
    assert waiting.conversation().state is ConversationState.HUMAN
    assert waiting.conversation().operator_id == OSCAR
    assert waiting.told()[-1] == f"✉️ Oscar sent the answer “I want my money back”\n{REFUND}"
    assert waiting.feedback() == []
    waiting.send_all()
    (edit,) = waiting.deliveries(OPERATOR_CHAT, method="editMessageText")
    assert "taken by Oscar" in edit.payload["text"]


def test_an_answer_by_hand_is_in_the_customers_language_with_its_links_and_button_for_a_person(
    stage: Stage,
) -> None:
    customers.asked_for_person(stage.desk, stage.update(), BEN, "/human")
    stage.topic(BEN)
    answer(stage, "my order")
    row = stage.deliveries(BEN.chat_id)[-1]
    assert row.payload["text"] == "Ben，花束需要 <b>2</b> 天。"
    assert labels(row) == ["查询", "问客服"], "of topics the bot would answer nothing now"
    assert not row.from_bot


def _tap(stage: Stage, row: DeliveryRow) -> Pressed:
    """Ana presses the last button under an answer."""
    token = row.payload["reply_markup"]["inline_keyboard"][-1][0]["callback_data"]
    return stage.press(token, telegram_id=stage.row(DeliveryRow, row.id).telegram_id or 0)


ASKS = "Talk to a person"
"""As the bot's own button says."""


@pytest.fixture(params=["by hand", "one tap"])
def told_to_tap(stage: Stage, request: pytest.FixtureRequest) -> tuple[Stage, DeliveryRow]:
    """Oscar has sent Ana an answer with a button for a person, by a command or from her card."""
    button = PackButton(text={"en": ASKS}, person=True)
    pack = with_words(stage.desk.pack, "refund", buttons=(button,))
    stage.desk = replace(stage.desk, pack=pack)
    stage.ask("my money!", intent="complaint", confidence=0.7, others=[("refund", 0.25)])
    stage.topic()
    stage.send_all()
    if request.param == "by hand":
        answer(stage, "refund")
    else:
        stage.press(stage.token("send", "refund"), by=OSCAR)
    stage.send_all()
    (row,) = sent(stage)
    assert labels(row) == [ASKS]
    return stage, row


def test_the_button_for_a_person_under_what_an_operator_sent_is_shown_to_them(
    told_to_tap: tuple[Stage, DeliveryRow],
) -> None:
    stage, row = told_to_tap
    heard, told = stage.heard(), stage.told()
    assert _tap(stage, row).text == "Passed on. You will get the reply right here."
    assert stage.heard() == heard
    (post,) = stage.told()[len(told) :]
    assert post.endswith(f"Ana wrote</b>\n<blockquote>{ASKS}</blockquote>")
    assert _tap(stage, row).text.startswith("A colleague already has your message.")
    assert len(stage.told()) == len(told) + 1, "a second tap says nothing new"
    stage.reply("Here I am.")
    assert _tap(stage, row).text.startswith("Passed on.")


def test_the_button_for_a_person_under_what_an_operator_sent_calls_one_after_resolve(
    told_to_tap: tuple[Stage, DeliveryRow],
) -> None:
    stage, row = told_to_tap
    stage.resolve()
    assert _tap(stage, row).text == ""
    assert stage.conversation().state is ConversationState.WAITING
    assert len(stage.conversations()) == 2
    (*_, card) = stage.deliveries(OPERATOR_CHAT, method="sendMessage")
    assert f"<blockquote>{ASKS}</blockquote>" in card.payload["text"]
    assert "the customer asked for a person" in card.payload["text"]
    assert stage.heard()[-1].startswith("I'm passing this to a colleague.")


@pytest.mark.parametrize("folder", ["packs/retail", "packs/insurance"])
def test_whatever_answer_says_to_tap_has_a_button_also_when_an_operator_sends_it(
    waiting: Stage, folder: str
) -> None:
    waiting.desk = replace(waiting.desk, pack=load(Path(folder)))
    says_tap = [
        name
        for name, intent in waiting.desk.pack.intents.items()
        if intent.answer is not None
        and re.search(r"\btap (below|<b>Talk|the button)", intent.answer["en"], re.IGNORECASE)
    ]
    assert len(says_tap) >= 6
    for name in says_tap:
        answer(waiting, name)
        lines = sent(waiting)[-1].payload["reply_markup"]["inline_keyboard"]
        assert any("callback_data" in button for line in lines for button in line), name


def test_the_button_of_a_topic_that_needs_a_person_stays_under_what_an_operator_sends(
    waiting: Stage,
) -> None:
    buttons = (
        PackButton(text={"en": "Complain"}, intent="complaint"),
        PackButton(text={"en": "Hours"}, intent="opening_hours"),
    )
    pack = with_words(waiting.desk.pack, "refund", buttons=buttons)
    waiting.desk = replace(waiting.desk, pack=pack)
    answer(waiting, "refund")
    waiting.send_all()
    (row,) = sent(waiting)
    assert labels(row) == ["Complain"]
    assert _tap(waiting, row).text.startswith("Passed on.")
    assert waiting.told()[-1].endswith("<blockquote>Complain</blockquote>")


def test_a_reply_goes_out_as_an_answer_does_and_is_of_no_intent(waiting: Stage) -> None:
    stage = with_reply(waiting)
    before = _report(stage)
    answer(stage, "ask number")
    (row,) = sent(stage)
    assert row.payload == {"text": "Which <b>order</b> is it, Ana?", "parse_mode": "HTML"}
    assert not row.from_bot
    assert stage.conversation().operator_id == OSCAR
    note = "✉️ Oscar sent the answer “Ask for the order number”\nWhich <b>order</b> is it, Ana?"
    assert stage.told()[-1] == note
    assert stage.feedback() == []
    assert _report(stage) == before


def test_a_reply_is_in_the_customers_language_and_found_in_any(stage: Stage) -> None:
    customers.asked_for_person(stage.desk, stage.update(), BEN, "/human")
    stage.topic(BEN)
    for words in ("询问订单号", "ask_number", "ORDER number"):
        answer(with_reply(stage), words)
        assert stage.deliveries(BEN.chat_id)[-1].payload["text"] == "Ben，订单号是多少？"


def test_replies_are_listed_and_offered_before_answers_and_a_pressed_one_is_sent_once(
    waiting: Stage,
) -> None:
    stage = with_reply(waiting)
    answer(stage, "")
    assert stage.told()[-1].splitlines()[:3] == [
        "There are 5 ready answers; write words of one after /answer:",
        "• Ask for the order number",
        "• Opening hours",
    ]
    answer(stage, "order")
    assert choices(stage) == ["Ask for the order number", "Where is my order?"]
    token = _chosen(stage, "ask_number")
    assert stage.press(token, by=OSCAR).text.startswith("Oscar sent the answer")
    assert stage.press(token, by=OLGA).text == "This answer has already been sent."
    assert [row.payload["text"] for row in sent(stage)] == ["Which <b>order</b> is it, Ana?"]
    assert stage.feedback() == []


def test_a_choice_whose_reply_the_pack_no_longer_has_is_void(waiting: Stage) -> None:
    pack = waiting.desk.pack
    answer(with_reply(waiting), "order")
    token = _chosen(waiting, "ask_number")
    waiting.desk = replace(waiting.desk, pack=pack)
    assert waiting.press(token, by=OSCAR).text == "That button is no longer valid."
    assert sent(waiting) == []


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("MONEY back", ["refund"]),
        ("back my MONEY", ["refund"]),
        ("order_status", ["order_status"]),
        ("退款", ["refund"]),
        ("订单", ["order_status"]),
        ("ｏｒｄｅｒ", ["order_status"]),
        ("opening  HOURS", ["opening_hours"]),
        ("complaint", []),
        ("money order", []),
        ("", []),
        ("   ", []),
    ],
)
def test_answers_are_found_by_words_of_their_name_and_titles_in_all_languages(
    stage: Stage, words: str, found: list[str]
) -> None:
    assert ready_answers.matching(stage.desk, words) == found


def test_a_title_that_is_meant_exactly_wins_over_others_that_have_its_words(
    waiting: Stage,
) -> None:
    stage = with_intents(waiting, hours="Hours")
    answer(stage, "hours")
    assert stage.heard()[-1] == "Hours"
    answer(stage, "opening_hours")
    assert stage.heard()[-1] == "We are open Monday to Friday, nine to six."


def test_of_several_answers_none_is_sent_until_one_is_pressed(waiting: Stage) -> None:
    heard = waiting.heard()
    answer(waiting, "o")
    titles = ["Opening hours", "Where is my order?", "I want my money back", "Say hello"]
    assert choices(waiting) == titles
    assert waiting.heard() == heard
    asked = waiting.send_all()[-1]
    pressed = waiting.press(waiting.token("answer"), by=OSCAR, telegram_id=asked.telegram_id or 0)
    assert pressed.text.startswith("Oscar sent the answer")
    assert len(waiting.heard()) == len(heard) + 1
    assert waiting.feedback() == []
    (*_, edit) = waiting.deliveries(OPERATOR_CHAT, method="editMessageReplyMarkup")
    assert edit.payload["message_id"] == asked.telegram_id
    assert edit.payload["reply_markup"] == {"inline_keyboard": []}, "the choice is made"


def _chosen(stage: Stage, name: str) -> str:
    """The token of one of the choices that were offered last."""
    (*_, asked) = [row for row in stage.deliveries(OPERATOR_CHAT) if row.key.startswith("which:")]
    return stage.token("answer", f"{asked.key.removeprefix('which:')}:{name}")


def test_a_choice_that_is_pressed_twice_is_sent_once(waiting: Stage) -> None:
    answer(waiting, "o")
    token = _chosen(waiting, "refund")
    waiting.press(token, by=OSCAR)
    told = waiting.told()
    pressed = waiting.press(token, by=OLGA)
    assert (pressed.alert, pressed.text) == (True, "This answer has already been sent.")
    assert waiting.heard().count(REFUND) == 1
    assert waiting.told() == told
    assert waiting.conversation().operator_id == OSCAR


def test_of_several_answers_a_second_is_not_sent(waiting: Stage) -> None:
    answer(waiting, "o")
    token, other = _chosen(waiting, "refund"), _chosen(waiting, "opening_hours")
    waiting.press(token, by=OSCAR)
    assert waiting.press(other, by=OLGA).alert
    assert len(sent(waiting)) == 1
    assert waiting.conversation().operator_id == OSCAR


def test_a_choice_whose_answer_telegram_refused_can_be_pressed_again(waiting: Stage) -> None:
    answer(waiting, "o")
    token = _chosen(waiting, "refund")
    waiting.press(token, by=OSCAR)
    for one in waiting.take(limit=50):
        if one.key.startswith("sent:"):
            delivering.failed(waiting.desk, one.id, one.attempts, "400 no")
        else:
            delivering.sent(waiting.desk, one.id, one.attempts, 5000 + one.id)
    waiting.press(token, by=OSCAR)
    states = [row.state for row in sent(waiting)]
    assert states == [DeliveryState.CANCELLED, DeliveryState.PENDING]


def test_a_choice_obeys_operators_in_their_own_chat_only(waiting: Stage) -> None:
    answer(waiting, "o")
    token, heard = _chosen(waiting, "refund"), waiting.heard()
    stranger = waiting.press(token, by=STRANGER, chat_id=OPERATOR_CHAT)
    assert (stranger.alert, stranger.text[:14]) == (True, "Only operators")
    for by, chat_id in ((OSCAR, OPERATOR_CHAT - 1), (ANA.chat_id, ANA.chat_id)):
        assert waiting.press(token, by=by, chat_id=chat_id).alert
    assert waiting.heard() == heard


def _resolve(stage: Stage) -> None:
    stage.resolve()


def _ban(stage: Stage) -> None:
    operators.banned(stage.desk, stage.update(), OLGA, 77)


def _leave(stage: Stage) -> None:
    customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=True)


def _erase(stage: Stage) -> None:
    stage.send_all()
    erasing.erase(stage.desk, stage.customer().id, force=True)


@pytest.mark.parametrize(
    ("happens", "told"),
    [
        (_resolve, "This conversation is already resolved."),
        (_ban, "This customer is banned"),
        (_leave, "The customer has blocked the bot"),
        (_erase, "That button is no longer valid."),
    ],
)
def test_a_choice_that_comes_too_late_sends_nothing_and_that_is_said(
    waiting: Stage, happens: Any, told: str
) -> None:
    answer(waiting, "o")
    token = _chosen(waiting, "refund")
    happens(waiting)
    before = len(waiting.deliveries())
    pressed = waiting.press(token, by=OSCAR)
    assert pressed.alert
    assert pressed.text.startswith(told)
    assert len(waiting.deliveries()) == before


@pytest.mark.parametrize(
    ("happens", "told"),
    [(_ban, "This customer is banned"), (_leave, "The customer has blocked the bot")],
)
def test_no_answer_goes_to_a_customer_who_is_banned_or_gone_and_that_is_said(
    waiting: Stage, happens: Any, told: str
) -> None:
    happens(waiting)
    heard = waiting.heard()
    answer(waiting, "refund")
    assert waiting.heard() == heard
    assert waiting.told()[-1].startswith(told)


def test_more_answers_than_buttons_are_counted(waiting: Stage) -> None:
    stage = with_intents(waiting, **{f"vase_{n}": f"Vase number {n}" for n in range(10)})
    answer(stage, "vase")
    assert choices(stage) == [f"Vase number {number}" for number in range(8)]
    assert "… and 2 more" in stage.told()[-1]


@pytest.mark.parametrize("words", ["", "submarine"])
def test_where_nothing_is_found_or_asked_for_the_titles_are_listed(
    waiting: Stage, words: str
) -> None:
    heard = waiting.heard()
    answer(waiting, words)
    assert waiting.heard() == heard
    told = waiting.told()[-1]
    for title in ("Opening hours", "Where is my order?", "I want my money back", "Say hello"):
        assert f"• {title}" in told
    assert "Make a complaint" not in told, "it has no answer"
    assert ("No answer has these words" in told) == bool(words)
    assert "submarine" not in told, "it may be meant for the customer, and outlive an erasure"
    assert waiting.conversation().state is ConversationState.WAITING


def test_a_list_of_titles_fits_into_a_message(waiting: Stage) -> None:
    stage = with_intents(waiting, **{f"vase_{n}": f"🏺 {n} " + "🌷" * 50 for n in range(90)})
    answer(stage, "submarine " * 400)
    told = stage.told()[-1]
    assert length(told) <= 4096
    shown = told.count("•")
    assert shown > 20
    assert told.splitlines()[-1].startswith(f"… and {94 - shown} more")


def test_an_update_with_answer_that_is_handled_twice_sends_once(waiting: Stage) -> None:
    inbox_id = waiting.update()
    for _ in range(2):
        ready_answers.wanted(waiting.desk, inbox_id, OSCAR, 77, "refund")
    assert waiting.heard().count(REFUND) == 1
    # Whoever writes it once more means it.
    answer(waiting, "refund")
    assert waiting.heard().count(REFUND) == 2


@pytest.mark.parametrize("words", ["refund", "o", ""])
def test_answer_is_for_operators_alone_in_a_customers_topic(waiting: Stage, words: str) -> None:
    before = waiting.heard()
    answer(waiting, words, user_id=STRANGER)
    assert "Only operators can do that" in waiting.told()[-1]
    answer(waiting, words, thread_id=4711)
    assert waiting.told()[-1] == "This topic belongs to no customer."
    assert waiting.heard() == before
    assert waiting.conversation().state is ConversationState.WAITING


def test_an_answer_after_resolve_opens_the_conversation_again_with_a_card(waiting: Stage) -> None:
    _resolve(waiting)
    waiting.send_all()
    answer(waiting, "money")
    assert waiting.heard()[-1] == REFUND
    assert len(waiting.conversations()) == 2
    assert waiting.conversation().state is ConversationState.HUMAN
    (*_, card) = [row for row in waiting.deliveries(OPERATOR_CHAT) if row.key.startswith("card:")]
    assert "Opened again" in card.payload["text"]
    assert waiting.token("resolve")


def test_where_several_are_found_after_resolve_no_conversation_is_opened(waiting: Stage) -> None:
    _resolve(waiting)
    answer(waiting, "o")
    assert len(waiting.conversations()) == 1
    told = waiting.told()[-1]
    assert told.startswith("4 answers match.")
    assert "• Opening hours" in told


def test_an_answer_by_hand_is_a_word_to_a_customer_who_waits(waiting: Stage) -> None:
    operators.took(waiting.desk, waiting.update(), OSCAR, 77)
    assert reminding.waiting(waiting.desk)[0] == 1
    answer(waiting, "refund")
    assert reminding.waiting(waiting.desk)[0] == 0


def test_an_answer_by_hand_takes_the_conversation_from_a_colleague_and_that_is_said_once(
    waiting: Stage,
) -> None:
    operators.took(waiting.desk, waiting.update(), OLGA, 77)
    answer(waiting, "refund")
    line, note = waiting.told()[-2:]
    assert line == "Oscar took over from Olga."
    assert note.startswith("✉️ Oscar sent the answer")
    answer(waiting, "hello")
    assert waiting.told().count("Oscar took over from Olga.") == 1
    answer(waiting, "o")
    waiting.press(_chosen(waiting, "refund"), by=OLGA)
    assert waiting.told().count("Olga took over from Oscar.") == 1


def test_the_judge_of_the_faults_knows_an_answer_by_hand_as_a_persons(waiting: Stage) -> None:
    answer(waiting, "refund")
    (*_, row) = waiting.deliveries(ANA.chat_id)
    assert row.key.startswith(oracle.FROM_A_PERSON)


def test_the_question_which_is_meant_shows_how_each_answer_begins(waiting: Stage) -> None:
    said = "It's\n<b>money</b> @anna, " + "m" * 200
    long = {"title": {"en": "Ask for money"}, "text": {"en": said}}
    with_reply(waiting, "ask_money", long)
    answer(waiting, "money")
    text = waiting.told()[-1]
    assert "<b>I want my money back</b>\nSend us a photo and you get your money back." in text
    excerpt = next(
        line
        for line in text.splitlines()
        if line.startswith("It's money @\N{WORD JOINER}anna, mmm")
    )
    assert excerpt.endswith("m…")
    assert length(plain(excerpt)) == 151, "and the joiner, without which Anna would be notified"


def _posted(stage: Stage) -> int:
    """The id in the group of what says there that a ready answer was sent."""
    (*_, note) = [row for row in stage.deliveries() if row.key.startswith("note:")]
    assert note.telegram_id is not None
    return note.telegram_id


def test_a_ready_answer_is_taken_back_by_a_reply_to_what_says_that_it_was_sent(
    waiting: Stage,
) -> None:
    answer(waiting, "refund")
    waiting.send_all()
    (before,), note = sent(waiting), _posted(waiting)
    taking_back.deleted(waiting.desk, waiting.update(), OLGA, 77, note)
    (deletion,) = waiting.take()
    assert (deletion.chat_id, deletion.method) == (ANA.chat_id, "deleteMessage")
    assert deletion.payload == {"message_id": before.telegram_id}
    delivering.sent(waiting.desk, deletion.id, deletion.attempts, None)
    told = waiting.deliveries(OPERATOR_CHAT)[-1].payload
    assert told["text"] == "🗑 " + say("taken-back", "en")
    assert told["reply_parameters"]["message_id"] == note
    with waiting.desk.store.reading() as session:
        conversation = session.get_one(Conversation, waiting.conversation().id)
        assert is_called(session, conversation), "nobody has said a word to them"


def test_one_that_has_not_left_is_not_sent_at_all(waiting: Stage) -> None:
    answer(waiting, "refund")
    for one in waiting.take(limit=50):
        if one.chat_id > 0:
            delivering.again(waiting.desk, one.id, one.attempts, 60, "502")
        else:
            delivering.sent(waiting.desk, one.id, one.attempts, 5000 + one.id)
    waiting.send_all()
    taking_back.deleted(waiting.desk, waiting.update(), OLGA, 77, _posted(waiting))
    assert waiting.told()[-1] == say("taken-back-unsent", "en")
    assert [row.state for row in sent(waiting)] == [DeliveryState.CANCELLED]


def test_a_reply_to_what_says_that_it_was_sent_is_one_to_that_answer(waiting: Stage) -> None:
    answer(waiting, "refund")
    waiting.send_all()
    (before,), note = sent(waiting), _posted(waiting)
    operators.operator_wrote(waiting.desk, waiting.update(), OSCAR, 77, 60, "by Monday", note)
    (*_, copy) = waiting.deliveries(ANA.chat_id, method="copyMessage")
    assert copy.payload["reply_parameters"]["message_id"] == before.telegram_id
