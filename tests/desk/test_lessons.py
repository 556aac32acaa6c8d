"""Feedback becomes examples: masked, one a text, the greater authority first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from desk.domain import Author, DeskError, FeedbackKind, RunState
from desk.flow import customers, deciding, lessons, runs
from desk.flow.lessons import AUTHORITY, Learned, learned, resolve_conflicts
from desk.tables import Feedback, Message
from tests.conftest import Clock
from tests.desk.acting import ANA, BEN, OLGA, OSCAR, Stage

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def _label(stage: Stage, intent: str, by: int = OSCAR, message_id: int | None = None) -> None:
    where = {} if message_id is None else {"message_id": message_id}
    stage.press(stage.token("relabel", **where), by=by)
    stage.press(stage.token("label", intent, **where), by=by)


def _lessons(stage: Stage) -> dict[str, str]:
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


def test_new_feedback_since_the_last_run_is_noticed(stage: Stage, clock: Clock) -> None:
    stage.ask("where are my roses")
    soon = clock() + timedelta(hours=1)
    assert not runs.taught_since_last_run(stage.desk, soon)
    stage.press(stage.token("up"))
    assert runs.taught_since_last_run(stage.desk, soon)
    assert not runs.taught_since_last_run(stage.desk, clock() - timedelta(seconds=1))
    clock.move(minutes=1)
    runs.order_run(stage.desk, "nightly")
    assert not runs.taught_since_last_run(stage.desk, soon)


def test_what_a_failed_run_was_to_learn_is_tried_again_once_a_night(
    stage: Stage, clock: Clock
) -> None:
    stage.ask("where are my roses")
    stage.press(stage.token("up"))
    clock.move(hours=1)
    due = clock()
    for _ in range(2):
        assert runs.taught_since_last_run(stage.desk, due)
        run = runs.order_run(stage.desk, "nightly", begin=True)
        runs.finish_run(stage.desk, *run, RunState.FAILED, error="the disk is full")
        clock.move(hours=1)
        assert not runs.taught_since_last_run(stage.desk, due), "once a night is enough"
        clock.move(hours=23)
        due += timedelta(days=1)
    run = runs.order_run(stage.desk, "nightly", begin=True)
    runs.finish_run(stage.desk, *run, RunState.REJECTED)
    assert not runs.taught_since_last_run(stage.desk, due + timedelta(days=1))


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


# ---- Training runs ----


def test_an_attempt_is_started_once(stage: Stage) -> None:
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    assert runs.start_run(stage.desk, run_id, attempt)
    assert not runs.start_run(stage.desk, run_id, attempt)


def test_a_run_that_begins_with_its_order_can_not_be_started_by_a_worker(stage: Stage) -> None:
    run_id, attempt = runs.order_run(stage.desk, "cli", begin=True)
    assert runs.get_run(stage.desk, run_id).state is RunState.RUNNING
    assert not runs.start_run(stage.desk, run_id, attempt)


def test_the_command_line_takes_over_a_run_whose_process_is_dead_and_no_other(
    stage: Stage, clock: Clock
) -> None:
    run_id, attempt = runs.order_run(stage.desk, "cli", begin=True)
    clock.move(seconds=59)
    with pytest.raises(DeskError, match="already running"):
        runs.order_run(stage.desk, "cli", begin=True)
    clock.move(seconds=1)
    assert runs.order_run(stage.desk, "cli", begin=True) == (run_id, attempt + 1)
    assert not runs.still_running(stage.desk, run_id, attempt)
    assert runs.still_running(stage.desk, run_id, attempt + 1)


def test_only_the_attempt_that_counts_promotes(stage: Stage) -> None:
    promoted: list[int] = []

    def finish(run_id: int, attempt: int) -> bool:
        return runs.finish_run(
            stage.desk,
            run_id,
            attempt,
            RunState.PROMOTED,
            promote=lambda: promoted.append(attempt),
        )

    run_id, attempt = runs.order_run(stage.desk, "cli", begin=True)
    assert runs.restart_run(stage.desk, run_id) == (run_id, attempt + 1)
    assert runs.start_run(stage.desk, run_id, attempt + 1)
    assert not finish(run_id, attempt)
    assert finish(run_id, attempt + 1)
    assert promoted == [attempt + 1]


def test_a_run_whose_process_dies_in_five_attempts_is_given_up_and_the_operators_hear_it(
    stage: Stage,
) -> None:
    run_id, _ = runs.order_run(stage.desk, "Olga")
    for attempt in (1, 2, 3, 4):
        assert runs.start_run(stage.desk, run_id, attempt)
        assert runs.restart_run(stage.desk, run_id) == (run_id, attempt + 1)
    assert runs.start_run(stage.desk, run_id, 5)
    assert runs.restart_run(stage.desk, run_id) is None
    run = runs.get_run(stage.desk, run_id)
    assert run.state is RunState.FAILED
    assert "died in attempt 5," in (run.error or "")
    assert runs.restart_run(stage.desk, run_id) is None
    assert ["died in attempt 5," in text for text in stage.told()] == [True]


def test_a_run_whose_job_ends_five_times_before_it_begins_is_given_up_too(stage: Stage) -> None:
    run_id, _ = runs.order_run(stage.desk, "Olga")
    for attempt in (2, 3, 4, 5):
        assert runs.restart_run(stage.desk, run_id) == (run_id, attempt)
    assert runs.restart_run(stage.desk, run_id) is None
    assert runs.get_run(stage.desk, run_id).state is RunState.FAILED
    assert ["its job ended before attempt 5," in text for text in stage.told()] == [True]


# ---- Conflicts ----


def _lesson(
    text: str, intent: str, kind: FeedbackKind = FeedbackKind.RELABEL, minutes: int = 0
) -> Learned:
    return Learned(text, intent, kind, NOON + timedelta(minutes=minutes))


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


@given(
    st.lists(
        st.builds(
            _lesson,
            st.sampled_from(["hi", "Hi ", "bye", "b ye"]),
            st.sampled_from(["greeting", "refund"]),
            st.sampled_from(sorted(AUTHORITY)),
            st.integers(0, 5),
        )
    )
)
def test_one_example_a_text_and_none_invented(said: list[Learned]) -> None:
    kept = resolve_conflicts(said)
    keys = [" ".join(lesson.text.casefold().split()) for lesson in kept]
    assert len(keys) == len(set(keys))
    assert set(kept) <= set(said)
    for lesson in kept:
        rivals = [
            other
            for other in said
            if other.text.casefold().split() == lesson.text.casefold().split()
        ]
        assert max(AUTHORITY[other.kind] for other in rivals) == AUTHORITY[lesson.kind]


def test_labels_on_messages_that_were_given_up_are_learned_too(stage: Stage) -> None:
    texts = ["do the roses come in red", "or in white"]
    first = stage.write(texts[0])
    assert first is not None
    assert stage.write(texts[1]) is None  # whose attempt was to begin after the first one's
    ids = [message.id for message in stage.said()]
    deciding.give_up(stage.desk, ids)
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
