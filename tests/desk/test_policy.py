"""Deciding: each rule, their order, and what no prediction whatever may bring about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.vocabulary import Prediction, Scored
from desk import pack as packs
from desk.domain import Action, ConversationState, History
from desk.flow.noting import RULES
from desk.pack import Pack
from desk.policy import choices, decide, threshold
from tests.conftest import FLORIST
from tests.desk.acting import predict, with_words

BOT = History(ConversationState.BOT)


def _rule(pack: Pack, history: History = BOT, **prediction: Any) -> tuple[str, str]:
    decision = decide(predict(**prediction), history, pack)
    return str(decision.action), decision.rule


def test_a_sure_intent_is_answered(pack: Pack) -> None:
    decision = decide(predict(), BOT, pack)
    assert (decision.action, decision.rule, decision.intent) == (
        Action.ANSWER,
        "confident",
        "order_status",
    )


@pytest.mark.parametrize(
    ("state", "rule"),
    [
        (ConversationState.HUMAN, "person_in_charge"),
        (ConversationState.WAITING, "waiting_for_person"),
    ],
)
def test_the_word_is_the_persons(pack: Pack, state: ConversationState, rule: str) -> None:
    for intent in ("order_status", "complaint", None):
        assert _rule(pack, History(state), intent=intent) == ("silent", rule)


def test_what_is_surely_about_a_need_for_a_person_is_answered_once_while_one_is_awaited(
    pack: Pack,
) -> None:
    advising = with_words(pack, "complaint", answer={"en": "Put it out first."})
    waiting = History(ConversationState.WAITING)
    silent = ("silent", "waiting_for_person")
    burning = {"intent": "complaint", "confidence": 0.95}
    assert _rule(advising, waiting, **burning) == ("escalate", "intent_needs_person")
    assert _rule(advising, replace(waiting, said=("complaint",)), **burning) == silent
    assert _rule(advising, waiting, intent="complaint", confidence=0.94) == silent, "a scrap?"
    assert _rule(advising, waiting, **burning, scope=0.1) == silent
    assert _rule(advising, waiting, **burning, language="de") == silent
    assert _rule(advising, History(ConversationState.HUMAN), **burning)[1] == "person_in_charge"
    assert _rule(pack, waiting, **burning) == silent, "it has no answer"
    assert _rule(advising, waiting, intent="opening_hours") == silent, "the bot's own to answer"
    pressing = with_words(advising, "complaint", priority=True)
    scrap = {"intent": "complaint", "confidence": 0.6}
    assert _rule(pressing, waiting, **scrap) == ("escalate", "intent_needs_person")
    assert _rule(pressing, waiting, intent="complaint", confidence=0.59) == silent


def _likely_when_upset(pack: Pack, **prediction: Any) -> bool:
    said = predict(sentiment="negative", **prediction)
    decision = decide(said, History(ConversationState.BOT, negatives=1), pack)
    assert decision.rule == "negative_sentiment"
    return decision.likely


def test_an_upset_customers_intent_with_words_is_likely_if_it_would_be_offered_as_a_choice(
    pack: Pack,
) -> None:
    pack = with_words(pack, "order_status", meanwhile={"en": "Unplug it."})
    assert _likely_when_upset(pack, confidence=0.15)
    assert not _likely_when_upset(pack, confidence=0.14)
    assert not _likely_when_upset(pack, confidence=0.9, scope=0.1)


def test_one_without_words_is_likely_if_sure_and_nothing_that_can_not_wait_is_in_the_ranking(
    pack: Pack,
) -> None:
    pack = with_words(pack, "complaint", answer={"en": "Call 999."}, priority=True)
    late = {"confidence": 0.9, "threshold": 0.9}
    assert _likely_when_upset(pack, **late, others=[("refund", 0.01)])
    assert not _likely_when_upset(pack, **late, others=[("complaint", 0.001)])
    assert not _likely_when_upset(pack, confidence=0.89, threshold=0.9)
    assert not _likely_when_upset(pack, **late, scope=0.1)
    for tells_nothing in ("greeting", "out_of_scope", "invented"):
        likely = _likely_when_upset(pack, intent=tells_nothing, confidence=1.0)
        assert likely == (tells_nothing == "invented"), "of which advising knows nothing"


def test_without_an_intent_model_a_person_is_called(pack: Pack) -> None:
    assert _rule(pack, intent=None) == ("escalate", "not_classified")


def test_an_intent_that_needs_a_person_gets_one(pack: Pack) -> None:
    assert _rule(pack, intent="complaint") == ("escalate", "intent_needs_person")


def test_an_intent_that_needs_a_person_and_is_unsure_gets_one_without_its_advice(
    pack: Pack,
) -> None:
    advising = with_words(pack, "complaint", answer={"en": "Put it out first."})
    said = decide(predict(intent="complaint", confidence=0.59), BOT, advising)
    assert (said.action, said.rule, said.intent) == ("escalate", "may_need_person", "complaint")
    assert not said.likely
    assert _rule(advising, intent="complaint", confidence=0.6)[1] == "intent_needs_person"
    touchy = with_words(advising, "complaint", threshold=0.3)
    assert _rule(touchy, intent="complaint", confidence=0.3)[1] == "intent_needs_person"
    assert _rule(touchy, intent="complaint", confidence=0.29)[1] == "may_need_person"


def test_what_may_be_unable_to_wait_is_not_asked_back_about(pack: Pack) -> None:
    pack = with_words(pack, "complaint", priority=True)

    def rule(**prediction: Any) -> tuple[str, str]:
        return _rule(pack, confidence=0.4, **prediction)

    others = [("refund", 0.3), ("complaint", 0.15)]
    assert rule(others=others) == ("escalate", "may_need_person")
    called = decide(predict(confidence=0.4, others=others), BOT, pack)
    assert called.intent == "complaint", "not what is likelier"
    assert rule(others=[("refund", 0.3), ("complaint", 0.149)]) == ("clarify", "close_intents")
    sure = _rule(pack, confidence=0.7, others=[("complaint", 0.3)])
    assert sure == ("answer", "confident"), "there is nothing to ask"
    patient = with_words(pack, "complaint", priority=False)
    asked = _rule(patient, confidence=0.4, others=[("refund", 0.3), ("complaint", 0.15)])
    assert asked == ("clarify", "close_intents"), "what can wait is asked about"


def test_what_may_be_unable_to_wait_is_not_asked_back_about_in_unfamiliar_words_either(
    pack: Pack,
) -> None:
    pack = with_words(pack, "complaint", priority=True)
    for first in ("out_of_scope", "order_status"):

        def rule(likely: float, first: str = first) -> tuple[str, str]:
            said = {"intent": first, "confidence": 0.5, "others": [("complaint", likely)]}
            return _rule(pack, scope=0.1, **said)

        assert rule(0.15) == ("escalate", "may_need_person")
        assert rule(0.149)[0] == "clarify"


def test_small_talk_is_answered_where_all_of_it_together_is_sure_enough(pack: Pack) -> None:
    talking = with_words(pack, "opening_hours", thumbs=False)
    thumb = {"intent": "greeting", "confidence": 0.36, "others": [("opening_hours", 0.24)]}
    decision = decide(predict(**thumb), BOT, talking)
    assert (decision.rule, decision.intent) == ("confident", "greeting"), "the likelier one"
    assert _rule(talking, **thumb, threshold=0.61)[0] == "clarify"
    assert _rule(pack, **thumb)[0] == "clarify", "one of them is no small talk"
    assert _rule(talking, **{**thumb, "intent": "order_status"})[0] == "clarify"
    unproven = {**thumb, "others": [("opening_hours", 0.64)], "threshold": 1.0}
    assert _rule(talking, **unproven)[0] == "clarify"


def test_what_is_out_of_scope_is_no_small_talk_whatever_its_thumbs(pack: Pack) -> None:
    pack = with_words(pack, "out_of_scope", answer={"en": "Not mine."}, thumbs=False)
    joke = {"intent": "greeting", "confidence": 0.35, "others": [("out_of_scope", 0.3)]}
    assert _rule(pack, **joke)[0] == "clarify"


def test_small_talk_is_never_offered_as_a_meaning(pack: Pack) -> None:
    alone = decide(predict(intent="greeting", confidence=0.5), BOT, pack)
    assert (alone.action, alone.rule, alone.choices) == (Action.CLARIFY, "unsure", ())
    beside = decide(predict(intent="greeting", confidence=0.5, others=[("refund", 0.2)]), BOT, pack)
    assert (beside.rule, beside.choices) == ("unsure", ("refund",))


def test_an_upset_customer_with_a_touchy_intent_gets_a_person(pack: Pack) -> None:
    upset = {"sentiment": "negative", "sureness": 0.8}
    assert _rule(pack, intent="order_status", **upset) == ("escalate", "negative_sentiment")
    assert _rule(pack, intent="opening_hours", **upset) == ("answer", "confident")


def test_a_customer_who_may_be_upset_is_still_answered(pack: Pack) -> None:
    assert _rule(pack, sentiment="negative", sureness=0.79) == ("answer", "confident")
    assert _rule(pack, sentiment="positive", sureness=1.0) == ("answer", "confident")
    assert _rule(pack, sentiment=None) == ("answer", "confident")


def test_a_second_upset_message_in_a_row_calls_a_person_whatever_it_is_about(pack: Pack) -> None:
    history = History(ConversationState.BOT, negatives=1)
    assert _rule(pack, history, intent="greeting", sentiment="negative") == (
        "escalate",
        "negative_sentiment",
    )
    assert _rule(pack, history, intent="greeting") == ("answer", "confident")


def test_the_intents_own_threshold_goes_before_the_models_and_the_packs(pack: Pack) -> None:
    assert _rule(pack, intent="refund", confidence=0.9)[0] == "answer"
    assert _rule(pack, intent="refund", confidence=0.9, threshold=0.95)[0] == "answer"
    assert _rule(pack, intent="refund", confidence=0.89, threshold=0.1)[0] == "clarify"
    assert _rule(pack, intent="greeting", confidence=0.75, threshold=0.7)[0] == "answer"
    assert _rule(pack, intent="greeting", confidence=0.65, threshold=0.7)[0] == "clarify"
    assert _rule(pack, intent="greeting", confidence=0.6)[0] == "answer"
    assert _rule(pack, intent="greeting", confidence=0.59)[0] == "clarify"


def test_the_same_answer_a_third_time_in_a_row_gives_way_to_a_person(pack: Pack) -> None:
    twice = History(ConversationState.BOT, last_intents=("order_status", "order_status"))
    assert _rule(pack, twice) == ("escalate", "same_answer_again")
    mixed = History(ConversationState.BOT, last_intents=("order_status", "greeting"))
    assert _rule(pack, mixed) == ("answer", "confident")
    once = History(ConversationState.BOT, last_intents=("order_status",))
    assert _rule(pack, once) == ("answer", "confident")


def test_small_talk_however_often_calls_nobody(pack: Pack) -> None:
    twice = History(ConversationState.BOT, last_intents=("greeting", "greeting"))
    assert _rule(pack, twice, intent="greeting") == ("answer", "confident")


def test_close_intents_are_offered_the_most_probable_first(pack: Pack) -> None:
    others = [("refund", 0.3), ("opening_hours", 0.15), ("greeting", 0.149)]
    decision = decide(predict(confidence=0.4, others=others), BOT, pack)
    assert (decision.action, decision.rule) == (Action.CLARIFY, "close_intents")
    assert decision.choices == ("order_status", "refund", "opening_hours")


def test_no_more_choices_than_the_pack_wants(pack: Pack) -> None:
    fewer = with_words(pack, policy=pack.policy.model_copy(update={"choices": 2}))
    others = [("refund", 0.2), ("opening_hours", 0.2)]
    assert len(decide(predict(confidence=0.2, others=others), BOT, pack).choices) == 3
    assert len(decide(predict(confidence=0.2, others=others), BOT, fewer).choices) == 2


def test_one_probable_intent_is_offered_alone(pack: Pack) -> None:
    decision = decide(predict(confidence=0.5), BOT, pack)
    assert (decision.rule, decision.choices) == ("unsure", ("order_status",))


def test_nothing_probable_offers_nothing(pack: Pack) -> None:
    decision = decide(predict(confidence=0.1), BOT, pack)
    assert (decision.action, decision.rule, decision.choices) == (Action.CLARIFY, "unsure", ())


def test_out_of_scope_and_strangers_to_the_pack_are_never_offered(pack: Pack) -> None:
    others = [("invented", 0.3), ("refund", 0.2)]
    decision = decide(predict(intent="out_of_scope", confidence=0.5, others=others), BOT, pack)
    assert decision.choices == ("refund",)


def test_out_of_scope_is_asked_back_once_and_then_goes_to_a_person(pack: Pack) -> None:
    assert _rule(pack, intent="out_of_scope", confidence=0.99) == ("clarify", "out_of_scope")
    asked = History(ConversationState.BOT, clarifications=1)
    assert _rule(pack, asked, intent="out_of_scope", confidence=0.99) == (
        "escalate",
        "out_of_scope",
    )


def test_still_unsure_after_asking_back_calls_a_person(pack: Pack) -> None:
    asked = History(ConversationState.BOT, clarifications=1)
    assert _rule(pack, asked, confidence=0.3) == ("escalate", "still_unsure")
    assert _rule(pack, asked, confidence=0.9) == ("answer", "confident")


def test_an_intent_the_pack_does_not_know_is_unsure(pack: Pack) -> None:
    assert _rule(pack, intent="invented", confidence=0.99) == ("clarify", "unsure")


def test_out_of_scope_with_an_answer_is_answered(pack: Pack) -> None:
    known = pack.intents["out_of_scope"].model_copy(update={"answer": {"en": "No idea."}})
    answering = pack.model_copy(update={"intents": {**pack.intents, "out_of_scope": known}})
    assert _rule(answering, intent="out_of_scope") == ("answer", "confident")


# ---- Texts that the model can't be trusted on ----


def test_an_unfamiliar_text_is_never_answered_however_sure_the_model_is(pack: Pack) -> None:
    sure = {"confidence": 1.0, "threshold": 0.0, "scope": 0.49}
    assert _rule(pack, **sure) == ("clarify", "unfamiliar")
    assert _rule(pack, intent="refund", **sure) == ("clarify", "unfamiliar"), "its own threshold"
    assert _rule(pack, **{**sure, "scope": 0.5}) == ("answer", "confident")


def test_an_unfamiliar_text_is_asked_back_with_nothing_offered_and_then_goes_to_a_person(
    pack: Pack,
) -> None:
    said = predict(confidence=0.4, others=[("refund", 0.3)], scope=0.1)
    assert decide(said, BOT, pack).choices == ()
    asked = History(ConversationState.BOT, clarifications=1)
    decision = decide(said, asked, pack)
    assert (decision.action, decision.rule) == (Action.ESCALATE, "unfamiliar")


def test_a_call_for_a_person_is_heard_in_unfamiliar_words_but_not_in_gibberish(pack: Pack) -> None:
    call = {"intent": "talk_to_person", "scope": 0.1}
    assert _rule(pack, confidence=0.6, **call) == ("escalate", "intent_needs_person")
    assert _rule(pack, confidence=0.15, **call) == ("escalate", "may_need_person")
    assert _rule(pack, confidence=0.03, **call) == ("clarify", "unfamiliar")
    assert _rule(pack, intent="talk_to_person", confidence=0.03) == (
        "escalate",
        "may_need_person",
    )


def test_anger_is_heard_in_unfamiliar_words(pack: Pack) -> None:
    history = History(ConversationState.BOT, negatives=1)
    assert _rule(pack, history, intent="greeting", sentiment="negative", scope=0.1) == (
        "escalate",
        "negative_sentiment",
    )


@pytest.mark.parametrize("intent", ["order_status", "talk_to_person", "out_of_scope", "invented"])
def test_another_language_goes_to_a_person_at_once(pack: Pack, intent: str) -> None:
    found = _rule(pack, intent=intent, confidence=1.0, scope=0.99, language="de")
    assert found == ("escalate", "other_language")


def test_an_unfamiliar_text_that_the_model_calls_out_of_scope_is_just_that(pack: Pack) -> None:
    said = predict(intent="out_of_scope", confidence=0.6, others=[("refund", 0.3)], scope=0.1)
    decision = decide(said, BOT, pack)
    assert (decision.rule, decision.choices) == ("out_of_scope", ())
    known = pack.intents["out_of_scope"].model_copy(update={"answer": {"en": "No idea."}})
    answering = pack.model_copy(update={"intents": {**pack.intents, "out_of_scope": known}})
    assert decide(said, BOT, answering).action is Action.ANSWER


@pytest.mark.parametrize(
    ("history", "prediction", "rule"),
    [
        (History(ConversationState.HUMAN), {"intent": None}, "person_in_charge"),
        (History(ConversationState.WAITING), {"language": "de"}, "waiting_for_person"),
        (BOT, {"intent": None, "language": "de"}, "not_classified"),
        (BOT, {"intent": "complaint", "language": "de"}, "other_language"),
        (BOT, {"intent": "complaint", "sentiment": "negative"}, "intent_needs_person"),
        (
            History(ConversationState.BOT, last_intents=("order_status",) * 2),
            {"sentiment": "negative"},
            "negative_sentiment",
        ),
        (
            History(ConversationState.BOT, clarifications=1),
            {"confidence": 0.1, "sentiment": "negative"},
            "negative_sentiment",
        ),
        (
            History(ConversationState.BOT, clarifications=1, last_intents=("order_status",) * 2),
            {},
            "same_answer_again",
        ),
    ],
)
def test_the_first_rule_that_fits_decides(
    pack: Pack, history: History, prediction: dict[str, Any], rule: str
) -> None:
    assert _rule(pack, history, **prediction)[1] == rule


# ---- What holds for any prediction ----

PACK = packs.load(FLORIST)
ADVISING = with_words(PACK, "complaint", answer={"en": "Put it out first."})
_names = st.sampled_from([*PACK.intents, "invented", ""])
_confidences = st.floats(0, 1) | st.just(float("nan"))
_scored = st.builds(Scored, _names, _confidences)
_predictions = st.builds(
    Prediction,
    text=st.text(),
    intent=st.none() | _scored,
    intent_ranking=st.lists(_scored, max_size=12).map(tuple),
    sentiment=st.none()
    | st.builds(Scored, st.sampled_from(["negative", "neutral", "positive", "?"]), _confidences),
    threshold=st.none() | st.floats(0, 1),
    model=st.text(),
    scope=st.none() | _confidences,
    scope_threshold=st.none() | st.floats(0, 1),
    language=st.none() | st.just("de"),
)
_histories = st.builds(
    History,
    state=st.sampled_from(ConversationState),
    clarifications=st.integers(0, 5),
    negatives=st.integers(0, 5),
    last_intents=st.lists(_names, max_size=4).map(tuple),
    said=st.lists(_names, max_size=2).map(tuple),
)


@given(_predictions, _histories)
def test_no_prediction_is_answered_below_its_threshold_and_none_breaks_the_policy(
    prediction: Prediction, history: History
) -> None:
    decision = decide(prediction, history, PACK)
    if decision.action is Action.ANSWER:
        assert prediction.intent is not None
        name = prediction.intent.name
        sure = prediction.intent.confidence
        if name in PACK.small_talk():
            sure = max(sure, sum(e.confidence for e in prediction.intent_ranking if e.name == name))
        assert sure >= threshold(name, prediction.threshold, PACK)
        assert decision.intent == name
        assert PACK.intents[decision.intent].answer is not None


@given(_predictions, _histories)
def test_what_is_not_in_scope_gets_neither_an_answer_nor_choices(
    prediction: Prediction, history: History
) -> None:
    if not prediction.in_scope:
        decision = decide(prediction, history, PACK)
        assert decision.action is not Action.ANSWER
        assert decision.choices == ()


@given(_predictions, _histories)
def test_the_bot_is_always_silent_while_a_person_is_in_charge_and_never_while_it_is(
    prediction: Prediction, history: History
) -> None:
    silent = decide(prediction, history, PACK).action is Action.SILENT
    if history.state is not ConversationState.WAITING:
        assert silent == (history.state is ConversationState.HUMAN)


@given(_predictions, _histories)
def test_who_waits_hears_only_what_to_do_until_a_person_is_there_and_once(
    prediction: Prediction, history: History
) -> None:
    waiting = replace(history, state=ConversationState.WAITING)
    decision = decide(prediction, waiting, ADVISING)
    if decision.action is Action.SILENT:
        assert decision.rule == "waiting_for_person"
        return
    assert (decision.action, decision.rule) == (Action.ESCALATE, "intent_needs_person")
    assert decision.intent == "complaint"
    assert decision.intent not in history.said
    assert prediction.in_scope
    assert prediction.intent is not None
    assert prediction.intent.confidence >= 0.6


@given(_predictions, _histories)
def test_deciding_is_a_pure_function(prediction: Prediction, history: History) -> None:
    assert decide(prediction, history, PACK) == decide(prediction, history, PACK)


@given(_predictions)
def test_choices_are_few_known_and_probable(prediction: Prediction) -> None:
    offered = choices(prediction, PACK)
    assert len(offered) <= PACK.policy.choices
    assert all(name in PACK.intents and name != PACK.policy.out_of_scope for name in offered)
    assert not {"complaint", "talk_to_person", "greeting"}.intersection(offered)


@given(_predictions, _histories)
def test_the_bot_never_asks_back_more_often_than_the_pack_allows(
    prediction: Prediction, history: History
) -> None:
    if history.clarifications >= PACK.policy.clarifications:
        assert decide(prediction, history, PACK).action is not Action.CLARIFY


@pytest.mark.parametrize("rule", sorted({rule for rules in RULES.values() for rule in rules}))
def test_every_rule_is_explained_where_packs_are(rule: str) -> None:
    table = (Path(__file__).parents[2] / "docs/packs.md").read_text().partition("| `rule` |")[2]
    assert f"`{rule}`" in table.partition("\n\n")[0]
