"""Feedback becomes examples: masked, one a text, the greater authority first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from desk.domain import Author, DeskError, FeedbackKind, Person
from desk.flow import customers, deciding, lessons, operators, runs, teaching
from desk.flow.lessons import AUTHORITY, Learned, learned, resolve_conflicts
from desk.tables import Feedback, Message
from tests.conftest import Clock
from tests.desk.acting import ANA, BEN, OLGA, OSCAR, Stage

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def _label(stage: Stage, intent: str, by: int = OSCAR, message_id: int | None = None) -> None:
    where = {} if message_id is None else {"message_id": message_id}
    stage.press(stage.token("relabel", **where), by=by)
    stage.press(stage.token("label", intent, **where), by=by)


def _say(
    stage: Stage,
    message_id: int,
    intent: str | None,
    kind: FeedbackKind = FeedbackKind.RELABEL,
    by: int = OSCAR,
) -> None:
    with stage.desk.store.writing() as session:
        row = Feedback(message_id=message_id, kind=kind, intent=intent, by=by)
        row.created_at = stage.desk.clock()
        session.add(row)


def _lessons(stage: Stage) -> dict[str, str | None]:
    return {lesson.text: lesson.intent for lesson in learned(stage.desk)}


def test_without_feedback_there_is_nothing_to_learn(stage: Stage) -> None:
    stage.ask("roses?")
    assert learned(stage.desk) == []


def test_a_thumb_up_confirms_the_answers_intent(stage: Stage) -> None:
    stage.ask("where are my roses")
    stage.press(stage.token("up"))
    (lesson,) = learned(stage.desk)
    assert (lesson.text, lesson.intent) == ("where are my roses", "order_status")
    assert lesson.kind is FeedbackKind.THUMB_UP


@pytest.mark.parametrize(
    ("act", "intent", "threshold", "by_outcome"),
    [
        ("send", "order_status", 0.9, True),
        ("send", "order_status", 0.5, True),
        ("send", "refund", 0.9, False),
        ("send", "refund", 0.5, True),
        ("label", "order_status", 0.9, False),
        ("label", "order_status", 0.5, True),
        ("label", "refund", 0.5, True),
        ("label", "refund", 0.9, False),
    ],
)
def test_what_confirms_the_model_or_is_of_a_text_it_was_sure_of_is_there_by_the_outcome(
    stage: Stage, act: str, intent: str, threshold: float, by_outcome: bool
) -> None:
    others = [("refund", 0.3)]
    stage.ask(
        "where are my roses",
        sentiment="negative",
        confidence=0.6,
        others=others,
        threshold=threshold,
    )
    if act == "label":
        _label(stage, intent)
    else:
        stage.press(stage.token("send", intent), by=OSCAR)
    (lesson,) = learned(stage.desk)
    assert lesson.intent == intent
    assert lesson.by_outcome is by_outcome


def test_one_label_that_is_not_there_by_the_outcome_lets_its_text_measure(stage: Stage) -> None:
    for person, word in ((ANA, FeedbackKind.ONE_TAP_ANSWER), (BEN, FeedbackKind.RELABEL)):
        message_id = stage.ask("where are my roses", person)
        _say(stage, message_id, "order_status", word)
    (lesson,) = learned(stage.desk)
    assert not lesson.by_outcome
    _say(stage, message_id, "order_status", FeedbackKind.ONE_TAP_ANSWER)
    (lesson,) = learned(stage.desk)
    assert not lesson.by_outcome, "whichever was said last"


def test_a_thumb_down_teaches_no_label(stage: Stage) -> None:
    stage.ask("where are my roses")
    stage.press(stage.token("down"))
    assert learned(stage.desk) == []


def test_a_thumb_down_silences_the_thumb_up_before_it(stage: Stage, clock: Clock) -> None:
    stage.ask("where are my roses")
    stage.press(stage.token("up"))
    clock.move(seconds=5)
    stage.press(stage.token("down"))
    assert learned(stage.desk) == []


def test_a_thumb_up_after_a_thumb_down_is_the_newer_word(stage: Stage, clock: Clock) -> None:
    stage.ask("where are my roses")
    stage.press(stage.token("down"))
    clock.move(seconds=5)
    stage.press(stage.token("up"))
    assert _lessons(stage) == {"where are my roses": "order_status"}


def test_the_newer_of_two_operators_labels_counts(stage: Stage, clock: Clock) -> None:
    stage.ask("give it back", intent="complaint")
    _label(stage, "refund", OSCAR)
    clock.move(minutes=1)
    _label(stage, "order_status", OLGA)
    assert _lessons(stage) == {"give it back": "order_status"}
    clock.move(minutes=1)
    _label(stage, "refund", OSCAR)
    assert _lessons(stage) == {"give it back": "refund"}, "Oscar changed his mind last"


def test_a_label_outweighs_a_later_thumb(stage: Stage, clock: Clock) -> None:
    stage.ask("give it back", ANA, intent="complaint")
    _label(stage, "refund")
    clock.move(days=1)
    stage.ask("Give  it back!", BEN, intent="order_status")
    stage.press(stage.token("up"), by=BEN.chat_id)
    assert _lessons(stage) == {"give it back": "refund"}


def test_a_label_that_was_withdrawn_teaches_again_once_it_is_said_anew(
    stage: Stage, clock: Clock
) -> None:
    stage.ask("give it back", intent="complaint")
    _label(stage, "refund")
    (row,) = stage.all(select(Feedback))
    assert teaching.withdraw(stage.desk, [row.id]) == 1
    assert teaching.withdraw(stage.desk, [row.id]) == 0
    assert learned(stage.desk) == []
    clock.move(minutes=1)
    _label(stage, "order_status")
    assert _lessons(stage) == {"give it back": "order_status"}


def test_a_withdrawal_with_an_id_that_is_none_changes_nothing(stage: Stage) -> None:
    stage.ask("give it back", intent="complaint")
    _label(stage, "refund")
    (row,) = stage.all(select(Feedback))
    many = [*range(row.id + 2, row.id + 2000), row.id]
    with pytest.raises(DeskError, match=f"There is no feedback {row.id + 2}, "):
        teaching.withdraw(stage.desk, many)
    assert _lessons(stage) == {"give it back": "refund"}


def test_examples_are_masked(stage: Stage) -> None:
    text = "call 07911 123456, 415-555-2671 or ana@example.org, order #48213"
    stage.ask(text)
    stage.press(stage.token("up"))
    assert _lessons(stage) == {"call [phone], [phone] or [email], order #48213": "order_status"}


def test_labels_that_the_pack_no_longer_has_are_left_out(stage: Stage) -> None:
    stage.ask("where are my roses")
    stage.press(stage.token("up"))
    intents = {k: v for k, v in stage.desk.pack.intents.items() if k != "order_status"}
    smaller = stage.desk.pack.model_copy(update={"intents": intents})
    desk = type(stage.desk)(stage.desk.store, smaller, None, stage.desk.clock)
    assert learned(desk) == []


def test_labels_under_a_former_name_are_of_the_intent_of_today(stage: Stage) -> None:
    stage.ask("where are my roses")
    stage.press(stage.token("up"))
    intents = dict(stage.desk.pack.intents)
    renamed = intents.pop("order_status").model_copy(update={"formerly": ("order_status",)})
    pack = stage.desk.pack.model_copy(update={"intents": {**intents, "tracking": renamed}})
    desk = replace(stage.desk, pack=pack)
    assert [(lesson.text, lesson.intent) for lesson in learned(desk)] == [
        ("where are my roses", "tracking")
    ]
    assert lessons.left_out(desk) == {}


def test_labels_that_are_left_out_are_counted_by_the_intent_that_the_pack_does_not_have(
    stage: Stage, clock: Clock
) -> None:
    for number, intent in enumerate(["refund", "gift", "order_status", "gift"]):
        _say(stage, stage.ask(f"roses {number}"), intent)
    _say(stage, stage.ask("and now?"), None, FeedbackKind.THUMB_DOWN, ANA.chat_id)
    intents = {k: v for k, v in stage.desk.pack.intents.items() if k != "refund"}
    desk = replace(stage.desk, pack=stage.desk.pack.model_copy(update={"intents": intents}))
    assert list(lessons.left_out(desk).items()) == [("gift", 2), ("refund", 1)]


def test_what_teaches_nothing_anyway_is_not_counted_as_left_out(stage: Stage, clock: Clock) -> None:
    up, down = FeedbackKind.THUMB_UP, FeedbackKind.THUMB_DOWN
    _say(stage, stage.ask("by Ben", BEN), "gift", up, BEN.chat_id)
    _say(stage, stage.ask("by Ana"), "gift", up, ANA.chat_id)
    thought_over = stage.ask("and now?")
    _say(stage, thought_over, "gift", up, ANA.chat_id)
    clock.move(seconds=1)
    _say(stage, thought_over, "gift", down, ANA.chat_id)
    _say(stage, stage.ask("a slip"), "gift")
    (slip,) = stage.all(select(Feedback).where(Feedback.kind == FeedbackKind.RELABEL))
    teaching.withdraw(stage.desk, [slip.id])
    stage.ask("Ben wants roses", BEN, intent="complaint")
    stage.topic(BEN)
    stage.send_all()
    operators.banned(stage.desk, stage.update(), OLGA, 77)
    assert lessons.left_out(stage.desk) == {"gift": 1}, "Ana's thumb alone"


def test_more_words_than_are_fetched_at_once_are_all_heard(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lessons, "CHUNK", 2)
    texts = [f"roses {number}" for number in range(5)]
    for text in texts:
        _say(stage, stage.ask(text), "refund")
    assert [word.text for word in lessons.heard(stage.desk)] == texts


def test_what_a_banned_customer_chose_or_liked_teaches_nothing_while_they_are_banned(
    stage: Stage,
) -> None:
    for person, who in ((ANA, "one"), (BEN, "two")):
        stage.ask(f"{who} wants roses", person, intent="complaint")
        _say(stage, stage.ask(f"{who} likes it", person), "refund", by=OLGA)
        for number, kind in enumerate((FeedbackKind.THUMB_UP, FeedbackKind.CLARIFIED)):
            asked = stage.ask(f"{who} asks {number}", person)
            _say(stage, asked, "order_status", kind, person.chat_id)
    stage.topic()
    stage.send_all()
    operators.banned(stage.desk, stage.update(), OLGA, 77)
    bens = {"two likes it": "refund", "two asks 0": "order_status", "two asks 1": "order_status"}
    assert _lessons(stage) == {"one likes it": "refund", **bens}, "an operator's word counts"
    operators.unbanned(stage.desk, stage.update(), OLGA, 77)
    assert len(_lessons(stage)) == 6


def test_a_customer_teaches_their_latest_texts_by_their_own_word_and_no_more(
    stage: Stage, clock: Clock
) -> None:
    most = lessons.TEXTS_OF_A_CUSTOMER
    _say(stage, stage.ask("by Olga"), "refund", by=OLGA)
    _say(stage, stage.ask("by another", BEN), "refund", FeedbackKind.THUMB_UP, BEN.chat_id)
    for number in range(most + 2):
        clock.move(seconds=1)
        kind = FeedbackKind.CLARIFIED if number % 2 else FeedbackKind.THUMB_UP
        _say(stage, stage.ask(f"text {number}"), "order_status", kind, ANA.chat_id)
    clock.move(seconds=1)
    _say(stage, stage.ask("TEXT 9!"), "order_status", FeedbackKind.THUMB_UP, ANA.chat_id)
    texts = {text.lower() for text in _lessons(stage)}
    assert texts == {"by olga", "by another", *(f"text {number}" for number in range(2, most + 2))}


def test_a_customers_own_name_is_learned_by_nobody_and_a_word_of_the_desk_is(
    stage: Stage,
) -> None:
    zan = Person(501, "Zanzibarbara Quillfeather", username="zan_q7", first_name="Money")
    _say(stage, stage.ask("money back, regards, zanzibarbara QUILLFEATHER", zan), "refund")
    _say(stage, stage.ask("where is it? Quillfeather of zan_q7", BEN), "order_status")
    assert _lessons(stage) == {
        "money back, regards, [name] [name]": "refund",
        "where is it? Quillfeather of zan_q7": "order_status",
    }, "of others' names nothing is known"
    listed = teaching.words(
        stage.desk,
        teaching.Which(),
        heard=lessons.heard(stage.desk),
        counting=learned(stage.desk),
        aside=[],
        test=[],
        sentiments=["neutral"],
    )
    assert {(word.text, word.outcome) for word in listed} == {
        (text, teaching.Outcome.TEACHES) for text in _lessons(stage)
    }


def test_commands_and_files_never_train(stage: Stage, clock: Clock) -> None:
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    customers.sent_file(stage.desk, stage.update(), BEN, 7, "[photo]")
    with stage.desk.store.writing() as session:
        for message in session.scalars(select(Message).where(Message.author == Author.CUSTOMER)):
            session.add(
                Feedback(
                    message_id=message.id,
                    kind=FeedbackKind.RELABEL,
                    intent="refund",
                    by=OLGA,
                    created_at=clock(),
                )
            )
    assert len(stage.feedback()) == 2
    assert learned(stage.desk) == []
    assert not runs.taught_since_last_run(stage.desk, clock() + timedelta(hours=1))


# ---- Conflicts ----


def _lesson(
    text: str,
    intent: str,
    kind: FeedbackKind = FeedbackKind.RELABEL,
    minutes: int = 0,
    by: int = OSCAR,
    message_id: int = 1,
) -> Learned:
    at = NOON + timedelta(minutes=minutes)
    if kind is FeedbackKind.MOOD:
        return Learned(text, None, kind, at, by, message_id, sentiment="neutral")
    return Learned(text, intent, kind, at, by, message_id)


@pytest.mark.parametrize("backwards", [False, True])
def test_authority_beats_time(backwards: bool) -> None:
    said = [
        _lesson("hi", "greeting", FeedbackKind.RELABEL, 0),
        _lesson("HI", "refund", FeedbackKind.CLARIFIED, 10),
        _lesson(" hi ", "complaint", FeedbackKind.THUMB_UP, 20),
    ]
    (kept,) = resolve_conflicts(said[::-1] if backwards else said)
    assert kept.intent == "greeting"


@pytest.mark.parametrize("backwards", [False, True])
def test_with_equal_authority_the_newer_word_counts(backwards: bool) -> None:
    said = [
        _lesson("hi", "greeting", FeedbackKind.RELABEL, 0),
        _lesson("hi", "refund", FeedbackKind.ONE_TAP_ANSWER, 10),
    ]
    (kept,) = resolve_conflicts(said[::-1] if backwards else said)
    assert kept.intent == "refund"


@pytest.mark.parametrize("backwards", [False, True])
def test_one_slip_does_not_undo_what_many_messages_were_labelled_with(backwards: bool) -> None:
    said = [_lesson("hi", "greeting", minutes=n, message_id=n) for n in range(3)]
    said.append(_lesson("Hi", "refund", minutes=10, by=OLGA, message_id=3))
    (kept,) = resolve_conflicts(said[::-1] if backwards else said)
    assert (kept.intent, kept.at) == ("greeting", NOON + timedelta(minutes=2))


def test_many_customers_do_not_outvote_an_operator() -> None:
    said = [_lesson("hi", "refund", FeedbackKind.CLARIFIED, n, 500 + n, n) for n in range(9)]
    (kept,) = resolve_conflicts([_lesson("hi", "greeting", message_id=20), *said])
    assert kept.intent == "greeting"


@pytest.mark.parametrize("backwards", [False, True])
def test_who_labels_a_message_twice_has_one_vote_and_the_last_word_is_theirs(
    backwards: bool,
) -> None:
    twice = [
        _lesson("hi", "refund", FeedbackKind.RELABEL, 0),
        _lesson("hi", "refund", FeedbackKind.ONE_TAP_ANSWER, 5),
        _lesson("hi", "greeting", FeedbackKind.RELABEL, 7, by=OLGA),
    ]
    (kept,) = resolve_conflicts(twice[::-1] if backwards else twice)
    assert kept.intent == "greeting", "one vote each, and Olga's is the newer"
    changed = [
        _lesson("hi", "refund", FeedbackKind.ONE_TAP_ANSWER, 0),
        _lesson("hi", "greeting", FeedbackKind.RELABEL, 1),
        _lesson("hi", "greeting", FeedbackKind.RELABEL, 2, by=OLGA, message_id=2),
        _lesson("hi", "refund", FeedbackKind.RELABEL, 3, by=OLGA, message_id=3),
    ]
    (kept,) = resolve_conflicts(changed[::-1] if backwards else changed)
    assert kept.intent == "greeting", "Oscar changed his mind"


@given(
    st.lists(
        st.builds(
            _lesson,
            st.sampled_from(["hi", "Hi ", "bye", "b ye"]),
            st.sampled_from(["greeting", "refund"]),
            st.sampled_from(sorted(AUTHORITY)),
            st.integers(0, 5),
            st.sampled_from([OSCAR, OLGA]),
            st.integers(1, 3),
        )
    )
)
def test_one_intent_and_one_mood_a_text_and_none_invented(said: list[Learned]) -> None:
    kept = resolve_conflicts(said)
    keys = [(" ".join(each.text.casefold().split()), each.intent is None) for each in kept]
    assert len(keys) == len(set(keys))
    assert set(kept) <= set(said)
    for lesson in kept:
        rivals = [
            other
            for other in said
            if other.text.casefold().split() == lesson.text.casefold().split()
            and (other.intent is None) == (lesson.intent is None)
        ]
        assert max(AUTHORITY[other.kind] for other in rivals) == AUTHORITY[lesson.kind]


def _given_up(stage: Stage) -> None:
    deciding.give_up(stage.desk, [message.id for message in stage.said()])


def _shown_unread(stage: Stage) -> None:
    """A person has the conversation, and what is tapped shows them all that waits for the model."""
    stage.topic()
    stage.reply("I am here")
    customers.asked_for_help(stage.desk, stage.update(), ANA)


@pytest.mark.parametrize("handled", [_given_up, _shown_unread])
def test_labels_on_messages_that_the_model_has_not_read_are_learned_too(
    stage: Stage, handled: Callable[[Stage], None]
) -> None:
    texts = ["do the roses come in red", "or in white"]
    first = stage.write(texts[0])
    assert first is not None
    assert stage.write(texts[1]) is None  # whose attempt was to begin after the first one's
    ids = [message.id for message in stage.said()]
    handled(stage)
    with stage.desk.store.writing() as session:
        for message_id in ids:
            session.add(
                Feedback(
                    message_id=message_id,
                    kind=FeedbackKind.RELABEL,
                    intent="order_status",
                    by=OLGA,
                    created_at=stage.desk.clock(),
                )
            )
    assert [found.text for found in lessons.learned(stage.desk)] == texts
