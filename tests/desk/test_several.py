"""Several things in one message: each is answered, and what needs a person gets one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from classifier.vocabulary import Prediction
from desk.domain import Action, ConversationState, Decision, FeedbackKind, History
from desk.flow import deciding, lessons, teaching
from desk.pack import Escalate, Pack
from desk.several import decide_sentences
from desk.tables import ButtonRow, Conversation, PredictionRow
from tests.desk.acting import ANA, BEN, OSCAR, Stage, predict, with_words

BOT = History(ConversationState.BOT)
WAITING = History(ConversationState.WAITING)
HUMAN = History(ConversationState.HUMAN)
DOUBT: dict[str, Any] = {"confidence": 0.4, "others": [("opening_hours", 0.3)]}

ORDER = predict("where are my roses?", "order_status")
HOURS = predict("and when do you open?", "opening_hours")
REFUND = predict("i want my money back", "refund")
COMPLAINT = predict("your driver was rude", "complaint")
HELLO = predict("hi!", "greeting")


@pytest.fixture
def urgent(pack: Pack) -> Pack:
    """A pack in which a complaint can't wait."""
    return with_words(pack, "complaint", answer={"en": "Put it out first."}, priority=True)


def _decide(
    pack: Pack, whole: Prediction, sentences: Sequence[Prediction], history: History = BOT
) -> Decision:
    return decide_sentences(whole, sentences, history, pack)[1]


def _ask(
    stage: Stage, whole: Prediction, *sentences: Prediction, person: Any = ANA, text: str = ""
) -> int:
    """A customer writes, and the worker decides as it does; returns the message's id."""
    job = stage.write(text or " ".join(each.text for each in sentences), person)
    assert job is not None
    (waiting,) = deciding.pending(stage.desk, [job]).values()
    deciding.decide_batch(stage.desk, [(waiting, whole)], {}, {job: sentences})
    return job[0]


# ---- What is decided ----


def test_two_questions_of_which_the_whole_shows_one_get_both_answers(pack: Pack) -> None:
    said = _decide(pack, predict(intent="order_status"), [ORDER, HOURS])
    assert (said.action, said.rule) == (Action.ANSWER, "several_questions")
    assert said.choices == ("order_status", "opening_hours")


def test_two_questions_that_leave_the_whole_in_doubt_get_both_answers(pack: Pack) -> None:
    said = _decide(pack, predict(**DOUBT), [HOURS, ORDER])
    assert (said.action, said.choices) == (Action.ANSWER, ("opening_hours", "order_status"))
    assert said.intent == "opening_hours"


def test_the_answer_to_the_whole_stays_where_no_sentence_has_it(pack: Pack) -> None:
    said = _decide(pack, predict(intent="refund"), [predict(**DOUBT), HOURS])
    assert said.choices == ("refund", "opening_hours")


def test_one_sentence_alone_answers_nothing_where_the_whole_is_in_doubt(pack: Pack) -> None:
    whole = predict(**DOUBT)
    for sentences in ([ORDER, predict(**DOUBT)], [ORDER, ORDER], [ORDER, HELLO]):
        counts, said = decide_sentences(whole, sentences, BOT, pack)
        assert (said.action, said.rule) == (Action.CLARIFY, "close_intents")
        assert counts is whole


def test_sentences_of_which_the_bot_is_not_sure_add_nothing(pack: Pack) -> None:
    whole = predict(intent="order_status")
    unsure = [
        predict(intent="opening_hours", confidence=0.59),
        predict(intent="refund", confidence=0.89),  # its own threshold is 0.9
        predict(intent="opening_hours", scope=0.1),
        predict(intent="opening_hours", language="de"),
        predict(intent="opening_hours", confidence=0.9, threshold=0.91),
        predict(intent="out_of_scope"),
        predict(intent="greeting"),
        predict(intent="unheard_of"),
        predict(intent=None),
    ]
    assert decide_sentences(whole, [ORDER, *unsure], BOT, pack) == (
        whole,
        Decision(Action.ANSWER, "confident", "order_status"),
    )


def test_what_is_said_of_the_out_of_scope_is_no_part_of_an_answer(pack: Pack) -> None:
    pack = with_words(pack, "out_of_scope", answer={"en": "That is not ours."})
    said = _decide(pack, predict(intent="order_status"), [ORDER, predict(intent="out_of_scope")])
    assert said == Decision(Action.ANSWER, "confident", "order_status")


def test_a_question_after_thanks_is_what_gets_the_answer(pack: Pack) -> None:
    counts, said = decide_sentences(predict(intent="greeting"), [HELLO, HOURS], BOT, pack)
    assert said == Decision(Action.ANSWER, "confident", "opening_hours")
    assert counts is HOURS
    both = _decide(pack, predict(intent="greeting"), [HELLO, HOURS, ORDER])
    assert both.choices == ("opening_hours", "order_status")


def test_a_sentence_that_surely_needs_a_person_gets_one(pack: Pack) -> None:
    for whole in (predict(intent="order_status"), predict(**DOUBT)):
        counts, said = decide_sentences(whole, [ORDER, COMPLAINT], BOT, pack)
        assert said == Decision(Action.ESCALATE, "intent_needs_person", "complaint")
        assert counts is COMPLAINT
    proven = predict(intent="complaint", confidence=0.95, threshold=0.99)
    assert _decide(pack, whole, [ORDER, proven]).intent == "complaint", "that is for answers"


def test_a_sentence_that_hardly_needs_a_person_gets_none(pack: Pack) -> None:
    whole = predict(intent="order_status")
    for hardly in ({"confidence": 0.94}, {"scope": 0.1}, {"language": "de"}):
        sentences = [ORDER, predict(intent="complaint", **{"confidence": 0.99, **hardly})]
        assert decide_sentences(whole, sentences, BOT, pack)[1].rule == "confident"
    advising = with_words(pack, "complaint", answer={"en": "Put it out first."})
    sentences = [ORDER, predict(intent="complaint", confidence=0.9)]
    assert _decide(advising, whole, sentences).rule == "confident", "nor its words without one"
    strict = with_words(pack, "complaint", threshold=0.97)
    sentences = [ORDER, predict(intent="complaint", confidence=0.96)]
    assert _decide(strict, whole, sentences).rule == "confident"


def test_what_can_not_wait_goes_before_what_only_needs_a_person(urgent: Pack) -> None:
    person = predict(intent="talk_to_person", confidence=0.99)
    said = _decide(urgent, predict(intent="order_status"), [person, ORDER, COMPLAINT])
    assert (said.rule, said.intent) == ("intent_needs_person", "complaint")


def test_a_sentence_that_may_be_unable_to_wait_is_not_asked_back_about(urgent: Pack) -> None:
    perhaps = predict(intent="complaint", confidence=0.6)
    said = _decide(urgent, predict(**DOUBT), [ORDER, perhaps])
    assert (said.action, said.rule, said.likely) == (Action.ESCALATE, "may_need_person", False)
    assert said.intent == "complaint"
    sure = predict(intent="order_status")
    assert _decide(urgent, sure, [ORDER, perhaps]).rule == "confident", "the answer stands"
    less = predict(intent="complaint", confidence=0.59)
    assert _decide(urgent, predict(**DOUBT), [ORDER, less]).action is Action.CLARIFY
    said = _decide(urgent, less, [ORDER, COMPLAINT])
    assert said == Decision(Action.ESCALATE, "intent_needs_person", "complaint"), "one is sure"


def test_for_whom_a_person_is_called_anyway_a_sentence_adds_what_can_not_wait_alone(
    pack: Pack, urgent: Pack
) -> None:
    for whole, rule in (
        (predict(intent="order_status", sentiment="negative"), "negative_sentiment"),
        (predict(intent="talk_to_person"), "intent_needs_person"),
    ):
        counts, said = decide_sentences(whole, [ORDER, COMPLAINT], BOT, pack)
        assert (said.rule, counts) == (rule, whole)
        counts, said = decide_sentences(whole, [ORDER, COMPLAINT], BOT, urgent)
        assert said == Decision(Action.ESCALATE, "intent_needs_person", "complaint")
        assert counts is COMPLAINT
        hardly = predict(intent="complaint", confidence=0.94)
        assert decide_sentences(whole, [ORDER, hardly], BOT, urgent)[0] is whole
    surely = predict(intent="complaint", confidence=0.7)
    counts, _ = decide_sentences(surely, [ORDER, COMPLAINT], BOT, urgent)
    assert counts is surely


def test_an_upset_customers_questions_go_to_a_person(pack: Pack) -> None:
    upset = predict(intent="opening_hours", sentiment="negative")
    said = _decide(pack, upset, [HOURS, ORDER])
    assert (said.action, said.rule) == (Action.ESCALATE, "negative_sentiment")
    assert not said.likely, "which of them it is about has no words for that"
    advised = with_words(pack, "opening_hours", meanwhile={"en": "Ring the bell."})
    assert _decide(advised, upset, [HOURS, ORDER]).likely
    assert _decide(pack, upset, [HOURS, REFUND]).action is Action.ANSWER, "none is touchy"


def test_an_upset_message_is_surely_harmless_only_if_all_its_sentences_are(urgent: Pack) -> None:
    upset = predict(intent="order_status", sentiment="negative")
    assert _decide(urgent, upset, [ORDER, HOURS]).likely
    angry = predict("i am so angry", "refund", others=[("complaint", 0.01)])
    assert _decide(urgent, upset, [ORDER, angry]).likely
    tired = predict(intent="talk_to_person", confidence=0.3)
    assert _decide(urgent, upset, [ORDER, tired]).likely, "which can wait"
    hardly = predict(intent="complaint", confidence=0.3)
    said = _decide(urgent, upset, [ORDER, hardly])
    assert (said.rule, said.likely) == ("negative_sentiment", False)
    person = predict(intent="talk_to_person")
    called = Decision(Action.ESCALATE, "intent_needs_person", "talk_to_person")
    assert _decide(urgent, person, [ORDER, hardly]) == called, "it is not for being upset"
    advised = with_words(urgent, "order_status", meanwhile={"en": "It left on Monday."})
    assert _decide(advised, upset, [ORDER, hardly]).likely, "it has words of its own"


def test_the_same_answers_again_call_a_person(pack: Pack) -> None:
    whole, sentences = predict(**DOUBT), [ORDER, HOURS]

    def after(*answers: str) -> str:
        return _decide(pack, whole, sentences, History(BOT.state, last_intents=answers)).rule

    both = "opening_hours+order_status"
    assert after(both, both) == "same_answer_again"
    assert after(both) == "several_questions"
    assert after("order_status", "order_status") == "several_questions"
    assert after(both, "order_status") == "several_questions"


def test_more_than_three_questions_and_more_than_fits_go_to_a_person(pack: Pack) -> None:
    for name in ("greeting", "talk_to_person"):
        pack = with_words(pack, name, answer={"en": "So."}, thumbs=True, escalate="never")
    whole = predict(**DOUBT)
    three = [ORDER, HOURS, REFUND]
    assert len(_decide(pack, whole, three).choices) == 3
    four = [*three, predict(intent="talk_to_person")]
    names = ("order_status", "opening_hours", "refund", "talk_to_person")
    assert _decide(pack, whole, four) == Decision(
        Action.ESCALATE, "several_questions", "order_status", names
    )
    long = with_words(pack, "refund", answer={"en": "x", "zh": "长" * 3300})
    assert _decide(long, whole, [ORDER, REFUND]).action is Action.ESCALATE


def test_who_waits_reads_what_to_do_about_any_sentence_once(urgent: Pack) -> None:
    whole = predict(intent="order_status")
    counts, said = decide_sentences(whole, [ORDER, COMPLAINT], WAITING, urgent)
    assert (said.rule, counts) == ("intent_needs_person", COMPLAINT)
    surely = predict(intent="complaint", confidence=0.7)
    assert decide_sentences(surely, [ORDER, COMPLAINT], WAITING, urgent)[0] is surely
    told = History(ConversationState.WAITING, said=("complaint",))
    assert _decide(urgent, whole, [ORDER, COMPLAINT], told).rule == "waiting_for_person"
    both = with_words(urgent, "talk_to_person", answer={"en": "Stay on the line."})
    person = predict(intent="talk_to_person")
    counts, said = decide_sentences(whole, [COMPLAINT, person], told, both)
    assert (said.intent, counts) == ("talk_to_person", person), "of which they have not heard"
    hardly = predict(intent="complaint", confidence=0.94)
    counts, said = decide_sentences(whole, [ORDER, hardly], WAITING, urgent)
    assert (said.rule, counts) == ("waiting_for_person", hardly)
    assert decide_sentences(whole, [ORDER, HOURS], WAITING, urgent)[0] is whole


def test_with_a_person_in_charge_a_sentence_that_can_not_wait_is_noticed(urgent: Pack) -> None:
    whole = predict(intent="order_status")
    assert _decide(urgent, COMPLAINT, [], HUMAN).intent == "complaint"
    assert _decide(urgent, whole, [ORDER, COMPLAINT], HUMAN).intent == "complaint"
    for said in (whole, predict(intent="complaint", scope=0.1), predict(intent=None)):
        decision = _decide(urgent, said, [ORDER], HUMAN)
        assert decision == Decision(Action.SILENT, "person_in_charge")
    hardly = predict(intent="complaint", confidence=0.59)
    assert _decide(urgent, hardly, [], HUMAN).intent is None
    assert _decide(urgent, predict(intent="talk_to_person"), [], HUMAN).intent is None


# ---- What follows from it ----


def test_both_answers_come_as_one_message_under_their_titles(stage: Stage) -> None:
    message_id = _ask(stage, predict(**DOUBT), HOURS, ORDER)
    (reply,) = stage.heard(ANA)
    assert reply == (
        "<b>Opening hours</b>\nWe are open Monday to Friday, nine to six.\n\n"
        "<b>Where is my order?</b>\nBouquets take <b>2</b> days, Ana."
    )
    assert stage.decision(message_id).choices == ["opening_hours", "order_status"]
    assert stage.one(_last_intents()) == ["opening_hours+order_status"]


def test_under_both_answers_stand_the_buttons_of_each_but_for_what_is_said(stage: Stage) -> None:
    _ask(stage, predict(**DOUBT), HOURS, ORDER)
    (sent,) = stage.deliveries(ANA.chat_id)
    rows = sent.payload["reply_markup"]["inline_keyboard"]
    shown = [[button["text"] for button in row] for row in rows]
    assert shown == [["Our page"], ["Track it"], ["Ask a person"], ["👍", "👎"]]


def test_what_names_one_of_what_was_answered_at_once_is_read_by_the_model(stage: Stage) -> None:
    _ask(stage, predict(**DOUBT), HOURS, ORDER)
    stage.send_all()
    assert stage.write("the second one") is not None
    assert stage.feedback() == []


def test_the_answers_are_in_the_customers_language(stage: Stage) -> None:
    _ask(stage, predict(**DOUBT), HOURS, REFUND, person=BEN)
    (reply,) = stage.heard(BEN)
    assert reply.startswith("<b>营业时间</b>\n我们")
    assert "<b>我要退款</b>\n" in reply


def test_a_thumb_under_both_teaches_nothing_and_is_counted(stage: Stage) -> None:
    message_id = _ask(stage, predict(**DOUBT), HOURS, ORDER)
    stage.send_all()
    assert stage.press(stage.token("up")).text == "Thank you!"
    assert stage.feedback() == [(message_id, "thumb_up", None, ANA.chat_id)]
    assert lessons.learned(stage.desk) == []
    assert stage.one(_last_intents()) == [], "it did help"
    nothing: dict[str, Any] = dict.fromkeys(
        ("heard", "counting", "aside", "test", "sentiments"), ()
    )
    (word,) = teaching.words(stage.desk, teaching.Which(), **nothing)
    assert (word.kind, word.outcome) == (FeedbackKind.THUMB_UP, teaching.Outcome.SEVERAL)


def test_a_thumb_under_both_says_nothing_of_an_answer_since(stage: Stage) -> None:
    _ask(stage, predict(**DOUBT), HOURS, ORDER)
    thumb = stage.token("up")
    stage.ask("my money back", intent="refund")
    stage.send_all()
    stage.press(thumb)
    assert stage.one(_last_intents()) == ["refund", "opening_hours+order_status"]


def test_too_many_questions_are_one_tap_each_for_who_is_called(stage: Stage) -> None:
    refund = stage.desk.pack.intents["refund"].answer
    pack = with_words(stage.desk.pack, "talk_to_person", escalate=Escalate.NEVER, answer=refund)
    stage.desk = replace(stage.desk, pack=pack)
    _ask(stage, predict(**DOUBT), REFUND, ORDER, predict(intent="talk_to_person"), HOURS)
    stage.topic()
    assert stage.all(_answers_to_tap()) == ["order_status", "refund", "talk_to_person"]


def test_one_tap_of_several_teaches_nothing_and_a_label_does(stage: Stage) -> None:
    refund = stage.desk.pack.intents["refund"].answer
    pack = with_words(stage.desk.pack, "talk_to_person", escalate=Escalate.NEVER, answer=refund)
    stage.desk = replace(stage.desk, pack=pack)
    person = predict("is anybody there?", "talk_to_person")
    message_id = _ask(stage, predict(**DOUBT), REFUND, ORDER, person, HOURS)
    stage.topic()
    for intent in ("order_status", "refund"):
        assert stage.press(stage.token("send", intent), by=OSCAR).text.startswith("Oscar sent")
    assert stage.feedback() == []
    assert lessons.learned(stage.desk) == []
    stage.press(stage.token("relabel"), by=OSCAR)
    stage.press(stage.token("label", "refund"), by=OSCAR)
    assert stage.feedback() == [(message_id, "relabel", "refund", OSCAR)]
    assert [word.intent for word in lessons.learned(stage.desk)] == ["refund"]


def test_what_may_be_urgent_is_not_lost_where_the_message_goes_on_with_one_before(
    stage: Stage,
) -> None:
    pack = with_words(stage.desk.pack, "complaint", answer={"en": "Put it out."}, priority=True)
    stage.desk = replace(stage.desk, pack=pack)
    stage.ask("my roses", **DOUBT)
    job = stage.write("There is a fire. And they didn't come")
    assert job is not None
    (waiting,) = deciding.pending(stage.desk, [job]).values()
    fire = predict(intent="complaint", confidence=0.9)
    read = [(waiting, predict(**DOUBT))]
    deciding.decide_batch(stage.desk, read, {job: ORDER}, {job: [fire, ORDER]})
    decision = stage.decision(job[0])
    assert (decision.rule, decision.intent) == ("may_need_person", "complaint")


def test_two_questions_are_answered_though_the_message_may_go_on_with_one_before(
    stage: Stage,
) -> None:
    policy = stage.desk.pack.policy.model_copy(update={"clarifications": 2})
    stage.desk = replace(stage.desk, pack=with_words(stage.desk.pack, policy=policy))
    stage.ask("my money", **DOUBT)
    job = stage.write("When do you open? And where is it?")
    assert job is not None
    (waiting,) = deciding.pending(stage.desk, [job]).values()
    read = [(waiting, predict(**DOUBT))]
    deciding.decide_batch(stage.desk, read, {job: REFUND}, {job: [HOURS, ORDER]})
    assert stage.decision(job[0]).rule == "several_questions"


def test_who_dislikes_both_gets_a_person_who_sees_what_was_said(stage: Stage) -> None:
    message_id = _ask(stage, predict(**DOUBT), HOURS, ORDER)
    stage.send_all()
    stage.press(stage.token("down"))
    stage.press(stage.token("person", "down"))
    assert stage.decision(message_id).rule == "thumb_down"
    card = next(text for text in stage.told() if "Opening hours" in text)
    assert "Opening hours · Where is my order?" in card


def test_the_prediction_that_is_kept_is_of_the_sentence_that_called_a_person(stage: Stage) -> None:
    message_id = _ask(stage, predict(intent="order_status"), ORDER, COMPLAINT)
    row = stage.row(PredictionRow, message_id)
    assert (row.intent, stage.decision(message_id).intent) == ("complaint", "complaint")


def _answers_to_tap() -> Any:
    return select(ButtonRow.argument).where(ButtonRow.action == "send").order_by(ButtonRow.argument)


def _last_intents() -> Any:
    return select(Conversation.last_intents)
