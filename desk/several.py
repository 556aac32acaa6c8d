"""The decision about a message by what it says as a whole and in each of its sentences: of two
things that are asked at once the model sees one, surely, or doubts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from classifier.vocabulary import Prediction
from desk.domain import Action, ConversationState, Decision, History
from desk.pack import MAX_ANSWER, Escalate, Pack
from desk.policy import (
    INTENT_NEEDS_PERSON,
    MAY_NEED_PERSON,
    NEGATIVE_SENTIMENT,
    SAME_ANSWER_AGAIN,
    SEVERAL_QUESTIONS,
    SURE_OF_SENTENCE,
    decide,
    in_doubt,
    is_negative,
    is_sure,
    said_again,
    threshold,
)

AT_MOST = 3
"""Who asks for more at once is better served by a person."""
ROOM_FOR_TITLES = 200
"""What is left for the titles above several answers, in characters."""


def decide_sentences(
    whole: Prediction, sentences: Sequence[Prediction], history: History, pack: Pack
) -> tuple[Prediction, Decision]:
    """Decide one message. Returns the prediction that counts, too: that of the `whole`, or that of
    one of its `sentences`, where that decides.

    What surely needs a person does in any sentence, what can't wait also where the whole calls one
    for something else, and intents that the bot can answer are answered together. One sentence
    alone answers nothing where the whole leaves in doubt what is meant: torn from the rest it is
    often wrong (in the retail pack's test for 6 messages of 15).
    """
    decision = decide(whole, history, pack)
    if history.state is not ConversationState.BOT:
        return _with_people(whole, sentences, decision, history, pack)
    if decision.rule == INTENT_NEEDS_PERSON and decision.intent in pack.priorities():
        return whole, decision
    called = decision.action is Action.ESCALATE
    names = pack.priorities() if called else pack.never_answered()
    call = _sure_call(sentences, pack, names)
    if call is None and in_doubt(decision):
        call = _likely_call(sentences, pack)
    if call is not None:
        return call
    if not called:
        return _answers(whole, sentences, decision, history, pack)
    return whole, _of_upset(decision, sentences, pack)


def _of_upset(decision: Decision, sentences: Sequence[Prediction], pack: Pack) -> Decision:
    """The call for an upset customer. What is said where nobody knows what is the matter is left
    out (`policy._likely_of_upset`) only if no sentence is likeliest to be about what can't wait. To
    ask that it is not among the ten likeliest would be too much: "I am so angry" alone is about
    anything (of 68 such messages that were tried 41 would be left)."""
    intent = pack.intents.get(decision.intent or "")
    if decision.rule != NEGATIVE_SENTIMENT or intent is None or intent.meanwhile is not None:
        return decision
    first = {sentence.intent.name for sentence in sentences if sentence.intent is not None}
    return decision if first.isdisjoint(pack.priorities()) else replace(decision, likely=False)


def _with_people(
    whole: Prediction,
    sentences: Sequence[Prediction],
    decision: Decision,
    history: History,
    pack: Pack,
) -> tuple[Prediction, Decision]:
    """What a sentence surely says to who waits for a person or has one, if the whole does not. One
    that may be about what can't wait is kept as what was read: nobody calls that off."""
    if decision.intent is not None:
        return whole, decision
    for sentence, _ in _about(sentences, pack, pack.never_answered(), SURE_OF_SENTENCE):
        other = decide(sentence, history, pack)
        if other.intent is not None:
            return sentence, other
    urgent = _about(sentences, pack, pack.priorities(), 0.0)
    return (urgent[0][0] if urgent else whole), decision


def _sure_call(
    sentences: Sequence[Prediction], pack: Pack, names: Collection[str]
) -> tuple[Prediction, Decision] | None:
    """The call for a person by a sentence about one of these: for what can't wait before all
    else."""
    calls = _about(sentences, pack, names, SURE_OF_SENTENCE)
    for sentence, name in sorted(calls, key=lambda call: call[1] not in pack.priorities()):
        return sentence, Decision(Action.ESCALATE, INTENT_NEEDS_PERSON, name)
    return None


def _likely_call(sentences: Sequence[Prediction], pack: Pack) -> tuple[Prediction, Decision] | None:
    """The call for a person by a sentence that may be about what can't wait: who has no time must
    not be asked back."""
    for sentence, name in _about(sentences, pack, pack.priorities(), 0.0):
        return sentence, Decision(Action.ESCALATE, MAY_NEED_PERSON, name, likely=False)
    return None


def _about(
    sentences: Sequence[Prediction], pack: Pack, names: Collection[str], confidence: float
) -> list[tuple[Prediction, str]]:
    """The sentences about one of these intents, of which the model is sure as the pack wants it and
    at least so much."""
    return [
        (sentence, top.name)
        for sentence in sentences
        if (top := sentence.intent) is not None
        and top.name in names
        and sentence.in_scope
        and top.confidence >= max(confidence, threshold(top.name, None, pack))
    ]


def _answers(
    whole: Prediction,
    sentences: Sequence[Prediction],
    decision: Decision,
    history: History,
    pack: Pack,
) -> tuple[Prediction, Decision]:
    """Answer what the sentences are surely about, together with the whole if that is answered."""
    found: dict[str, Prediction] = {}
    for sentence in sentences:
        name = _answerable(sentence, pack)
        if name is not None:
            found.setdefault(name, sentence)
    names = list(found)
    if decision.action is Action.ANSWER and decision.intent is not None:
        if decision.intent in pack.small_talk():
            if len(names) == 1:  # "Thank you!! Do you ship to Malta?"
                return found[names[0]], decide(found[names[0]], history, pack)
        elif decision.intent not in found:
            names.insert(0, decision.intent)
    if len(names) < 2:
        return whole, decision
    return whole, _together(names, whole, history, pack)


def _answerable(sentence: Prediction, pack: Pack) -> str | None:
    """The intent that a sentence is surely about, if the bot answers it; small talk is no
    question."""
    top = sentence.intent
    intent = pack.intents.get(top.name) if top is not None else None
    if top is None or intent is None or intent.answer is None or not sentence.in_scope:
        return None
    if intent.escalate is Escalate.ALWAYS or top.name in pack.small_talk():
        return None
    if top.name == pack.policy.out_of_scope:
        return None
    return top.name if is_sure(sentence, top, pack) else None


def _together(names: Sequence[str], whole: Prediction, history: History, pack: Pack) -> Decision:
    """Answer several intents at once, unless that is a task for a person: of an upset customer, of
    one who was told just that, or of one who asks more than one message should answer."""
    intents = [pack.intents[name] for name in names]
    touchy = any(intent.escalate is Escalate.WHEN_NEGATIVE for intent in intents)
    if touchy and is_negative(whole, pack):
        likely = intents[0].meanwhile is not None
        return Decision(Action.ESCALATE, NEGATIVE_SENTIMENT, names[0], likely=likely)
    if said_again(names, history, pack):
        return Decision(Action.ESCALATE, SAME_ANSWER_AGAIN, names[0])
    longest = [max(map(len, (intent.answer or {}).values()), default=0) for intent in intents]
    if len(names) > AT_MOST or sum(longest) + ROOM_FOR_TITLES > MAX_ANSWER:
        return Decision(Action.ESCALATE, SEVERAL_QUESTIONS, names[0], tuple(names))
    return Decision(Action.ANSWER, SEVERAL_QUESTIONS, names[0], tuple(names))
