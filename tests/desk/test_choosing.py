"""What customers type instead of pressing, where the bot has just asked what they mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from desk.domain import Action, ConversationState, Person
from desk.flow import customers, deciding, edits, lessons
from desk.flow.besides import QUOTED
from desk.pack import Escalate
from desk.tables import PredictionRow
from desk.telegram_text import length, plain
from tests.conftest import OPERATOR_CHAT
from tests.desk.acting import ANA, BEN, OSCAR, Stage, predict, with_words

ONE: dict[str, Any] = {"confidence": 0.4}
SEVERAL: dict[str, Any] = {"confidence": 0.45, "others": [("refund", 0.4)]}
ANSWER = "Bouquets take <b>2</b> days, Ana."


def _asked(stage: Stage, text: str = "roses?", person: Person = ANA, **prediction: Any) -> int:
    """The bot has asked back, and the customer sees it; returns the id of what they wrote."""
    message_id = stage.ask(text, person, **(prediction or ONE))
    stage.send_all()
    return message_id


def _may_ask_back(stage: Stage, times: int) -> None:
    policy = stage.desk.pack.policy.model_copy(update={"clarifications": times})
    stage.desk = replace(stage.desk, pack=stage.desk.pack.model_copy(update={"policy": policy}))


# ---- Yes ----


@pytest.mark.parametrize("text", ["yes", "Yeah!", "👍🏽", "1", "where is my order"])
def test_a_typed_yes_counts_as_the_press_of_the_one_choice(stage: Stage, text: str) -> None:
    message_id = _asked(stage)
    assert stage.write(text) is None, "the model has nothing to read"
    assert stage.heard() == ["Did you mean this?", ANSWER]
    assert stage.feedback() == [(message_id, "clarified", "order_status", ANA.chat_id)]
    assert stage.conversation().last_intents == ["order_status"]
    assert stage.conversation().clarifications == 0
    assert stage.pending_count() == 0
    assert stage.said()[-1].text == text, "it stands in the conversation as it was written"


def test_a_yes_is_one_in_the_customers_language(stage: Stage) -> None:
    _asked(stage, "玫瑰？", BEN, **ONE)
    assert stage.write("是的！", BEN) is None
    assert stage.heard(BEN)[-1] == "Ben，花束需要 <b>2</b> 天。"


def test_a_yes_is_one_in_another_language_of_the_desk_as_well(stage: Stage) -> None:
    _asked(stage)
    assert stage.write("是的！") is None
    assert stage.heard()[-1] == ANSWER


def test_the_buttons_of_the_question_go_with_a_typed_reply(stage: Stage) -> None:
    _asked(stage)
    (question,) = stage.deliveries(ANA.chat_id)
    stage.write("yes")
    (edit,) = stage.deliveries(ANA.chat_id, method="editMessageReplyMarkup")
    assert edit.payload == {
        "message_id": question.telegram_id,
        "reply_markup": {"inline_keyboard": []},
    }


def test_a_yes_and_then_its_button_get_one_answer(stage: Stage) -> None:
    _asked(stage)
    token = stage.token("choose", "order_status")
    stage.write("yes")
    assert stage.press(token).text == ""
    assert stage.heard()[1:] == [ANSWER]


def test_a_yes_handled_twice_counts_once(stage: Stage) -> None:
    _asked(stage)
    inbox_id = stage.update()
    for _ in range(2):
        assert customers.wrote(stage.desk, inbox_id, ANA, 77, "yes") is None
    assert stage.heard()[1:] == [ANSWER]
    assert len(stage.said()) == 2


def test_a_yes_teaches_what_was_asked_about_and_never_itself(stage: Stage) -> None:
    _asked(stage)
    stage.write("yes")
    stage.send_all()
    stage.press(stage.token("up"))
    assert [(word.text, word.intent) for word in lessons.learned(stage.desk)] == [
        ("roses?", "order_status")
    ]


def test_a_yes_to_what_only_a_person_can_serve_calls_one(stage: Stage) -> None:
    unclear = {"intent": "out_of_scope", "confidence": 0.4, "others": [("complaint", 0.3)]}
    with stage.still_answering("complaint"):
        message_id = _asked(stage, "help", **unclear)
    stage.write("yes")
    assert stage.conversation().state is ConversationState.WAITING
    assert stage.feedback() == [(message_id, "clarified", "complaint", ANA.chat_id)]
    card, post = stage.deliveries(OPERATOR_CHAT)
    assert card.key == f"card:{message_id}"
    assert "this topic always goes to a person" in card.payload["text"]
    assert "<blockquote>yes</blockquote>" in post.payload["text"]
    assert len(stage.heard()) == 2, "the question and the handover"


def test_a_choice_of_what_was_handed_over_before_calls_a_person_anew(stage: Stage) -> None:
    unclear = {"intent": "out_of_scope", "confidence": 0.4, "others": [("complaint", 0.3)]}
    with stage.still_answering("complaint"):
        message_id = _asked(stage, "help", **unclear)
    choice = stage.token("choose", "complaint")
    stage.press(stage.token("person"))
    stage.resolve(stage.topic())
    heard = len(stage.heard())
    stage.press(choice)
    assert stage.conversation().state is ConversationState.WAITING
    assert len(stage.heard()) == heard + 1
    before, card = [row.key for row in stage.deliveries() if row.key.startswith("card:")]
    assert before == f"card:{message_id}"
    assert card == f"card:{stage.said()[-1].id}", "else nobody would hear of it"


def test_who_chooses_what_the_pack_has_no_answer_to_any_more_gets_a_person(stage: Stage) -> None:
    message_id = _asked(stage)
    pack = with_words(stage.desk.pack, "order_status", answer=None)
    stage.desk = replace(stage.desk, pack=pack)
    stage.write("yes")
    assert stage.conversation().state is ConversationState.WAITING
    assert stage.decision(message_id).rule == "asked_for_person", "not: always goes to one"


def test_a_yes_counts_whatever_others_hear_meanwhile(stage: Stage) -> None:
    _asked(stage)
    stage.ask("几点开门", BEN, intent="opening_hours")
    assert stage.write("yes") is None
    assert stage.heard()[-1] == ANSWER


# ---- No ----


def test_a_no_calls_a_person_where_the_bot_has_asked_back_often_enough(stage: Stage) -> None:
    message_id = _asked(stage, "my roses?")
    assert stage.write("no") is None
    assert stage.conversation().state is ConversationState.WAITING
    assert stage.decision(message_id).rule == "still_unsure"
    card, post = stage.deliveries(OPERATOR_CHAT)
    assert "<blockquote>my roses?</blockquote>" in card.payload["text"]
    assert "<blockquote>no</blockquote>" in post.payload["text"]
    assert stage.heard()[-1].startswith("I'm passing this to a colleague")
    assert stage.feedback() == []
    assert len(stage.deliveries(ANA.chat_id, method="editMessageReplyMarkup")) == 1


def test_a_no_gets_the_menu_where_the_bot_may_still_ask_back(stage: Stage) -> None:
    _may_ask_back(stage, 2)
    _asked(stage)
    stage.write("👎")
    assert stage.heard()[-1].startswith("Sorry, I'm not sure I understood that.")
    rows = stage.deliveries(ANA.chat_id)[-1].payload["reply_markup"]["inline_keyboard"]
    assert [button["text"] for row in rows for button in row] == [
        *("Opening hours", "Where is my order?", "Make a complaint", "Talk to a person")
    ]
    assert stage.conversation().clarifications == 2
    decision = stage.decision(stage.said()[-1].id)
    assert (decision.action, decision.rule) == (Action.CLARIFY, "unsure")
    # What follows is not read with that no, and the bot has asked often enough.
    stage.send_all()
    job = stage.write("the red ones")
    assert job is not None
    assert deciding.pending(stage.desk, [job])[job[0]].before is None
    stage.decide((job, predict("the red ones", **ONE)))
    assert stage.conversation().state is ConversationState.WAITING


def test_after_a_no_the_button_for_a_person_hands_over_what_was_asked_about(stage: Stage) -> None:
    _may_ask_back(stage, 2)
    message_id = _asked(stage, "my roses?")
    stage.write("no")
    stage.send_all()
    stage.press(stage.token("person"))
    card, post = stage.deliveries(OPERATOR_CHAT)
    assert card.key == f"card:{message_id}"
    assert "<blockquote>no</blockquote>" in post.payload["text"]


def test_a_yes_after_a_no_is_read_by_the_model(stage: Stage) -> None:
    _may_ask_back(stage, 2)
    _asked(stage)
    stage.write("no")
    stage.send_all()
    assert stage.write("yes") is not None


def test_a_no_that_is_edited_is_read_anew(stage: Stage) -> None:
    _may_ask_back(stage, 2)
    _asked(stage)
    stage.write("no")
    telegram_id = stage.said()[-1].telegram_id
    assert telegram_id is not None
    words = "no, when do you open"
    assert edits.customer_changed(stage.desk, stage.update(), ANA, telegram_id, words) is not None


# ---- Several choices ----


@pytest.mark.parametrize("text", ["2", "2️⃣", "i want my money back!"])
def test_of_several_choices_one_is_named_by_number_or_title(stage: Stage, text: str) -> None:
    message_id = _asked(stage, **SEVERAL)
    assert stage.write(text) is None
    assert stage.heard()[-1] == "Send us a photo and you get your money back."
    assert stage.feedback() == [(message_id, "clarified", "refund", ANA.chat_id)]


def test_a_no_to_several_choices_means_none_of_them(stage: Stage) -> None:
    _asked(stage, **SEVERAL)
    assert stage.write("none of these") is None
    assert stage.conversation().state is ConversationState.WAITING


@pytest.mark.parametrize(
    "text", ["the second one please", "option 2", "2nd", "yes the second", "I want the second"]
)
def test_of_several_choices_one_is_named_by_its_place(stage: Stage, text: str) -> None:
    message_id = _asked(stage, **SEVERAL)
    assert stage.write(text) is None
    assert stage.heard()[-1] == "Send us a photo and you get your money back."
    assert stage.feedback() == [(message_id, "clarified", "refund", ANA.chat_id)]


@pytest.mark.parametrize("text", ["1", "the first one", "where is my order"])
def test_who_names_the_first_of_several_choices_gets_its_answer_alone(
    stage: Stage, text: str
) -> None:
    message_id = _asked(stage, **SEVERAL)
    assert stage.write(text) is None
    assert stage.heard()[1:] == [ANSWER]
    assert stage.feedback() == [(message_id, "clarified", "order_status", ANA.chat_id)]


@pytest.mark.parametrize("text", ["money", "my money back", "I mean the money", "Money, please!"])
def test_of_several_choices_words_of_its_title_alone_name_one_and_teach_nothing(
    stage: Stage, text: str
) -> None:
    _asked(stage, **SEVERAL)
    assert stage.write(text) is None
    assert stage.heard()[-1] == "Send us a photo and you get your money back."
    assert stage.feedback() == []
    stage.send_all()
    stage.press(stage.token("up"))
    assert lessons.learned(stage.desk) == [], "nor does a thumb"


@pytest.mark.parametrize(
    "text",
    [
        *("where?", "Where is it", "my", "i want", "I want to order", "want to order"),
        *("money?", "is my money back?", "I need one", "the one", "one", "yes one", "I need two"),
    ],
)
def test_words_of_a_title_that_do_not_say_what_it_is_about_are_read_by_the_model(
    stage: Stage, text: str
) -> None:
    _asked(stage, **SEVERAL)
    assert stage.write(text) is not None
    assert stage.feedback() == []


@pytest.mark.parametrize(
    ("text", "pressed"),
    [
        ("i have a car", False),
        ("I have car", False),
        ("have a car", False),
        ("another car", True),
        ("the car", True),
        ("I have another car, please", True),
    ],
)
def test_a_sentence_of_ones_own_is_no_words_of_a_title_unless_it_has_them_all(
    stage: Stage, text: str, pressed: bool
) -> None:
    title = {"en": "I have another car", "zh": "我换车了"}
    stage.desk = replace(stage.desk, pack=with_words(stage.desk.pack, "refund", title=title))
    _asked(stage, **SEVERAL)
    assert (stage.write(text) is None) is pressed


def test_a_word_for_no_is_no_word_of_a_title(stage: Stage) -> None:
    title = {"en": "I got the wrong item", "zh": "发错了"}
    pack = with_words(stage.desk.pack, "refund", title=title)
    stage.desk = replace(stage.desk, pack=pack)
    _asked(stage, **SEVERAL)
    assert stage.write("wrong") is None
    assert stage.conversation().state is ConversationState.WAITING


def test_a_place_is_one_in_the_customers_language(stage: Stage) -> None:
    _asked(stage, "玫瑰？", BEN, **SEVERAL)
    assert stage.write("第二个！", BEN) is None
    assert stage.heard(BEN)[-1] == "请发照片给我们，我们会退款。"


def test_who_means_both_choices_gets_both_answers_as_one_message(stage: Stage) -> None:
    message_id = _asked(stage, **SEVERAL)
    assert stage.write("Both, please") is None
    assert len(stage.heard()) == 2
    assert stage.heard()[-1] == (
        f"<b>Where is my order?</b>\n{ANSWER}\n\n"
        "<b>I want my money back</b>\nSend us a photo and you get your money back."
    )
    assert stage.conversation().last_intents == ["order_status+refund"]
    assert stage.feedback() == [], "an example has one intent"
    stage.send_all()
    stage.press(stage.token("up"))
    assert stage.conversation().last_intents == []
    stage.press(stage.token("person"))
    (card,) = [row for row in stage.deliveries(OPERATOR_CHAT) if row.key.startswith("card:")]
    assert card.key == f"card:{message_id}", "the question stands on it, not the word"
    answered = card.payload["text"].partition("The bot has answered: ")[2].partition("\n")[0]
    assert "Where is my order?" in answered
    assert "I want my money back" in answered


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("both", {"confidence": 0.4, "others": [("refund", 0.3), ("opening_hours", 0.2)]}),
        ("both", ONE),
        ("my order", ONE),
    ],
    ids=["of three", "of one", "a word of the only title"],
)
def test_what_does_not_say_which_is_meant_is_read_by_the_model(
    stage: Stage, text: str, choices: dict[str, Any]
) -> None:
    _asked(stage, **choices)
    assert stage.write(text) is not None
    assert stage.feedback() == []


def test_both_of_what_only_a_person_can_serve_by_now_is_read_by_the_model(stage: Stage) -> None:
    _asked(stage, **SEVERAL)
    always = with_words(stage.desk.pack, "refund", escalate=Escalate.ALWAYS)
    stage.desk = replace(stage.desk, pack=always)
    assert stage.write("both") is not None


LINKED = f'<a href="https://florist.example/{"x" * 700}">roses</a>'


@pytest.mark.parametrize(
    ("order", "refund", "fits"),
    [
        ("x" * 2040, "x" * 2014, True),
        ("x" * 2040, "x" * 2015, False),
        ("🌹" * 1020, "🌹" * 1008, False),
        (LINKED * 4, LINKED * 4, True),
    ],
    ids=["fits", "too long", "an emoji counts twice", "an address counts for nothing"],
)
def test_both_are_answered_where_one_message_has_room_for_them_and_else_read_by_the_model(
    stage: Stage, order: str, refund: str, fits: bool
) -> None:
    for intent, answer in (("order_status", order), ("refund", refund)):
        pack = with_words(stage.desk.pack, intent, answer={"en": answer})
        stage.desk = replace(stage.desk, pack=pack)
    _asked(stage, **SEVERAL)
    assert (stage.write("both") is None) is fits
    assert (order in stage.heard()[-1] and refund in stage.heard()[-1]) is fits


def test_both_of_which_the_pack_has_dropped_one_since_is_read_by_the_model(stage: Stage) -> None:
    _asked(stage, **SEVERAL)
    left = {name: intent for name, intent in stage.desk.pack.intents.items() if name != "refund"}
    stage.desk = replace(stage.desk, pack=with_words(stage.desk.pack, intents=left))
    assert stage.write("both") is not None


def test_a_yes_to_several_choices_is_asked_once_which(stage: Stage) -> None:
    message_id = _asked(stage, "roses?", **SEVERAL)
    (question,) = stage.deliveries(ANA.chat_id)
    assert stage.write("yes please") is None
    assert stage.heard()[1:] == ["Which of these do you mean?"]
    asked = stage.deliveries(ANA.chat_id, method="sendMessage")[-1]
    rows = asked.payload["reply_markup"]["inline_keyboard"]
    assert [button["text"] for row in rows for button in row] == [
        *("Where is my order?", "I want my money back", "Talk to a person")
    ]
    (edit,) = stage.deliveries(ANA.chat_id, method="editMessageReplyMarkup")
    assert edit.payload["message_id"] == question.telegram_id
    assert stage.conversation().clarifications == 1, "it is still the same question"
    decision = stage.decision(stage.said()[-1].id)
    assert (decision.action, decision.rule) == (Action.CLARIFY, "close_intents")
    stage.send_all()
    assert stage.write("the second") is None
    assert stage.heard()[-1] == "Send us a photo and you get your money back."
    assert stage.feedback() == [(message_id, "clarified", "refund", ANA.chat_id)]


def test_a_second_yes_to_several_choices_is_read_by_the_model(stage: Stage) -> None:
    _asked(stage, **SEVERAL)
    stage.write("yes")
    stage.send_all()
    job = stage.write("yes")
    assert job is not None
    stage.decide((job, predict("yes", **ONE)))
    assert stage.conversation().state is ConversationState.WAITING


@pytest.mark.parametrize("text", ["3", "0", "2 roses", "my", "money order", "the third"])
def test_what_names_none_of_several_choices_is_read_by_the_model(stage: Stage, text: str) -> None:
    _asked(stage, **SEVERAL)
    assert stage.write(text) is not None
    assert stage.feedback() == []


# ---- What is no reply to the question ----


def test_a_yes_after_an_answer_is_read_by_the_model(stage: Stage) -> None:
    stage.ask("where are my roses")
    stage.send_all()
    assert stage.write("yes") is not None


def test_a_yes_after_an_edit_of_an_older_message_counts(stage: Stage) -> None:
    stage.ask("helo", intent="greeting")
    _asked(stage)
    older = stage.said()[0].telegram_id
    assert older is not None
    assert edits.customer_changed(stage.desk, stage.update(), ANA, older, "hello") is None
    assert stage.write("yes") is None
    assert stage.heard()[-1] == ANSWER


def test_a_yes_after_anything_else_is_read_by_the_model(stage: Stage) -> None:
    _asked(stage)
    customers.asked_for_help(stage.desk, stage.update(), ANA)
    assert stage.write("yes") is not None


@pytest.mark.parametrize("text", ["yes", "no", "1"])
def test_what_follows_the_menu_is_read_by_the_model(stage: Stage, text: str) -> None:
    _asked(stage, scope=0.1)
    assert stage.heard()[-1].startswith("Sorry, I'm not sure")
    assert stage.write(text) is not None


def test_a_yes_written_before_the_question_was_seen_is_read_by_the_model(stage: Stage) -> None:
    stage.ask("roses?", **ONE)
    assert stage.write("yes") is not None
    stage.send_all()
    stage.ask("tulips?", BEN, **ONE)
    stage.take()
    assert stage.write("是的", BEN) is not None


def test_of_three_texts_at_once_each_gets_its_own_decision_in_order(stage: Stage) -> None:
    first, second = stage.write("roses?"), stage.write("red ones")
    assert first is not None
    assert second is None, "it waits for the first"
    (second,) = stage.decide((first, predict("roses?", **ONE)))
    stage.send_all()
    assert stage.write("yes") is None
    assert stage.pending_count() == 2, "the yes waits its turn: the bot may have more to say"
    (third,) = stage.decide((second, predict("red ones", intent="opening_hours")))
    stage.decide((third, predict("yes", intent="greeting")))
    assert stage.pending_count() == 0
    assert len(stage.heard()) == 3
    assert stage.feedback() == []


def test_a_second_yes_is_read_by_the_model(stage: Stage) -> None:
    _asked(stage)
    assert stage.write("yes") is None
    assert stage.write("yes") is not None


def test_a_yes_that_replies_to_another_message_is_read_by_the_model(stage: Stage) -> None:
    _asked(stage)
    update = stage.update()
    quoted = "Shall it be red?"
    assert customers.wrote(stage.desk, update, ANA, 77, "yes", quoted) is not None


def test_a_yes_that_replies_to_the_question_itself_counts(stage: Stage) -> None:
    _asked(stage)
    update = stage.update()
    assert customers.wrote(stage.desk, update, ANA, 77, "yes", "Did you mean this?") is None
    assert stage.heard()[-1] == ANSWER


ADVICE = "If it is <b>sparking</b> &amp; smoking, unplug it, {customer}."
ASKS = "Is it <b>sparking</b>? Unplug it."
LONG = f"{ADVICE} Don't touch it. 🔥 {'Stay away from it. ' * 20}"


@pytest.mark.parametrize("advice", [ADVICE, LONG], ids=["advice", "longer than what is kept"])
@pytest.mark.parametrize(
    "part",
    [slice(None), slice(-18, None), slice(9, 17), slice(20, None)],
    ids=["all", "the question", "a word", "from a word on"],
)
def test_a_yes_that_replies_to_a_question_below_advice_counts_whatever_is_marked_of_it(
    stage: Stage, advice: str, part: slice
) -> None:
    pack = with_words(stage.desk.pack, "order_status", meanwhile={"en": advice})
    stage.desk = replace(stage.desk, pack=pack)
    message_id = _asked(stage)
    shown = plain(stage.heard()[-1])
    assert shown.startswith("If it is sparking & smoking, unplug it, Ana.")
    assert shown.endswith("Did you mean this?")
    assert (length(shown) > QUOTED) is (advice is LONG)
    assert customers.wrote(stage.desk, stage.update(), ANA, 77, "yes", shown[part]) is None
    assert stage.heard()[-1] == ANSWER
    assert stage.feedback() == [(message_id, "clarified", "order_status", ANA.chat_id)]
    assert len(stage.deliveries(ANA.chat_id, method="editMessageReplyMarkup")) == 1


@pytest.mark.parametrize("prediction", [ONE, SEVERAL], ids=["one", "several"])
def test_a_yes_calls_a_person_where_what_stands_above_the_question_asks_something_too(
    stage: Stage, prediction: dict[str, Any]
) -> None:
    pack = with_words(stage.desk.pack, "order_status", meanwhile={"en": ASKS})
    pack = with_words(pack, urgent={"en": "In danger? Call 999."})
    stage.desk = replace(stage.desk, pack=pack)
    message_id = _asked(stage, "my lamp is faulty", **prediction)
    assert stage.heard()[-1].startswith("Is it <b>sparking</b>? Unplug it.\n\n")
    assert stage.write("yes") is None
    assert stage.conversation().state is ConversationState.WAITING
    assert stage.heard()[-1].startswith("In danger? Call 999.\n\nI'm passing this")
    card, post = stage.deliveries(OPERATOR_CHAT)
    assert card.key == f"card:{message_id}"
    assert "<blockquote>my lamp is faulty</blockquote>" in card.payload["text"]
    assert "<blockquote>yes</blockquote>" in post.payload["text"]
    assert stage.feedback() == [], "nobody knows to what that was the reply"
    assert len(stage.deliveries(ANA.chat_id, method="editMessageReplyMarkup")) == 1


@pytest.mark.parametrize("text", ["1", "the first one", "where is my order?"])
def test_what_names_the_choice_counts_below_a_question_about_danger_as_well(
    stage: Stage, text: str
) -> None:
    pack = with_words(stage.desk.pack, "order_status", meanwhile={"en": ASKS})
    stage.desk = replace(stage.desk, pack=pack)
    _asked(stage)
    assert stage.write(text) is None
    assert stage.heard()[-1] == ANSWER


def test_a_no_below_a_question_about_danger_gets_the_menu_where_the_bot_may_still_ask_back(
    stage: Stage,
) -> None:
    _may_ask_back(stage, 2)
    pack = with_words(stage.desk.pack, "order_status", meanwhile={"en": ASKS})
    stage.desk = replace(stage.desk, pack=pack)
    _asked(stage)
    assert stage.write("no") is None
    assert stage.heard()[-1].startswith("Sorry, I'm not sure I understood that.")
    assert stage.conversation().state is ConversationState.BOT


@pytest.mark.parametrize("quoted", ["Where is my order?", "Shall it be red? " * 20, "…"])
def test_a_yes_that_replies_to_what_the_question_does_not_say_is_read_by_the_model(
    stage: Stage, quoted: str
) -> None:
    _asked(stage)
    assert stage.heard() == ["Did you mean this?"], "the title stands on its button alone"
    assert customers.wrote(stage.desk, stage.update(), ANA, 77, "yes", quoted) is not None


def test_once_a_person_is_in_charge_a_yes_is_theirs(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    waits = stage.write("roses?")
    assert waits is not None
    stage.resolve()
    stage.decide((waits, predict("roses?", **ONE)))
    stage.send_all()
    stage.press(stage.token("take"), by=OSCAR)  # of which nothing is said in the conversation
    heard = stage.heard()
    assert heard[-1] == "Did you mean this?"
    job = stage.write("yes")
    assert job is not None
    stage.decide((job, predict("yes")))
    assert stage.heard() == heard
    assert "<blockquote>yes</blockquote>" in stage.told()[-1]
    assert stage.feedback() == []


def test_a_yes_in_a_flood_is_held_back(stage: Stage) -> None:
    stage.desk = replace(stage.desk, flood_per_minute=1)
    _asked(stage)
    assert stage.write("yes") is None
    assert stage.heard()[-1].startswith("You are writing faster than I can read.")
    assert stage.decision(stage.said()[-1].id).rule == "flood"
    assert stage.feedback() == []


def test_the_model_says_nothing_of_a_typed_reply(stage: Stage) -> None:
    _asked(stage)
    stage.write("yes")
    with stage.desk.store.reading() as session:
        assert session.get(PredictionRow, stage.said()[-1].id) is None


# ---- Replies that are edited ----


def test_a_yes_to_several_choices_that_is_edited_says_which(stage: Stage) -> None:
    message_id = _asked(stage, **SEVERAL)
    stage.write("yes")
    stage.send_all()
    assert stage.change_last("the second") is None, "the model has nothing to read"
    assert stage.heard()[-1] == "Send us a photo and you get your money back."
    assert stage.feedback() == [(message_id, "clarified", "refund", ANA.chat_id)]
    assert stage.pending_count() == 0


@pytest.mark.parametrize(("text", "learned"), [("no", []), ("Yes!", ["order_status"])])
def test_a_yes_that_is_edited_into_something_else_teaches_no_more(
    stage: Stage, text: str, learned: list[str]
) -> None:
    _asked(stage)
    stage.write("yes")
    stage.send_all()
    assert [word.intent for word in lessons.learned(stage.desk)] == ["order_status"]
    stage.change_last(text)
    assert [word.intent for word in lessons.learned(stage.desk)] == learned
    assert stage.heard()[1:] == [ANSWER], "it has been answered"
