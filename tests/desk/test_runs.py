"""Training runs: each begins once, and the operators hear its verdict."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from desk.domain import (
    DeskError,
    RunState,
)
from desk.flow import operators, runs, teaching
from desk.tables import Feedback
from tests.conftest import Clock
from tests.desk.acting import OLGA, Stage


def test_a_run_begins_once_and_ends_with_a_verdict_for_the_operators(stage: Stage) -> None:
    run_id, attempt = runs.order_run(stage.desk, "cli")
    assert runs.start_run(stage.desk, run_id, attempt)
    report = {"candidate_accuracy": 0.912, "champion_accuracy": 0.9}
    assert runs.finish_run(
        stage.desk, run_id, attempt, RunState.PROMOTED, version="v2", report=report
    )
    assert not runs.finish_run(stage.desk, run_id, attempt, RunState.FAILED)
    assert "v2 is no worse on the test (91.2% against 90.0%" in stage.told()[-1]
    run = runs.get_run(stage.desk, run_id)
    assert (run.state, run.version, run.requested_by) == (RunState.PROMOTED, "v2", "cli")
    assert not runs.start_run(stage.desk, run_id, attempt)


def test_a_runs_stale_attempt_has_no_say(stage: Stage) -> None:
    run_id, attempt = runs.order_run(stage.desk, "cli")
    runs.start_run(stage.desk, run_id, attempt)
    assert runs.restart_run(stage.desk, run_id) == (run_id, 2)
    assert not runs.start_run(stage.desk, run_id, attempt)
    assert runs.start_run(stage.desk, run_id, 2)
    assert not runs.finish_run(stage.desk, run_id, attempt, RunState.PROMOTED, version="old")
    assert runs.finish_run(stage.desk, run_id, 2, RunState.REJECTED)
    assert runs.restart_run(stage.desk, run_id) is None


def test_whoever_carries_a_run_out_takes_over_one_that_no_worker_has_taken(stage: Stage) -> None:
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    assert runs.order_run(stage.desk, "cli", begin=True) == (run_id, attempt + 1)
    assert not runs.start_run(stage.desk, run_id, attempt), "the job of a worker comes too late"
    assert runs.finish_run(stage.desk, run_id, attempt + 1, RunState.REJECTED)
    assert runs.get_run(stage.desk, run_id).requested_by == "Olga"


def test_a_second_order_says_what_to_do_about_the_first(stage: Stage) -> None:
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    queued = r"Start one .* or carry it out here: frontdesk train --from-feedback"
    with pytest.raises(DeskError, match=queued):
        runs.order_run(stage.desk, "cli")
    runs.start_run(stage.desk, run_id, attempt)
    for begin in (False, True):
        with pytest.raises(DeskError, match=r"wait for its verdict.* after a minute"):
            runs.order_run(stage.desk, "cli", begin=begin)


def test_a_run_that_waits_for_a_worker_is_found_with_since_when(stage: Stage, clock: Clock) -> None:
    ordered = clock()
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    assert runs.queued_before(stage.desk, ordered) is None
    begun = clock.move(minutes=20)
    assert runs.queued_before(stage.desk, begun) == (run_id, ordered)
    runs.start_run(stage.desk, run_id, attempt)
    assert runs.queued_before(stage.desk, clock.move(minutes=20)) is None, "a worker has taken it"
    runs.restart_run(stage.desk, run_id)
    assert runs.queued_before(stage.desk, begun) is None, "it waits since its last sign of life"
    assert runs.queued_before(stage.desk, clock()) == (run_id, begun)


@pytest.mark.parametrize(
    ("state", "report", "error", "says"),
    [
        (RunState.PROMOTED, {"candidate_accuracy": 0.9}, None, "is now in use (90.0%"),
        (
            RunState.REJECTED,
            {"candidate_accuracy": 0.8, "champion_accuracy": 0.9},
            None,
            "worse (80.0% against 90.0%)",
        ),
        (RunState.FAILED, {}, "disk <full>", "failed: disk &lt;full&gt;"),
    ],
)
def test_each_verdict_has_its_words(
    stage: Stage, state: RunState, report: dict[str, float], error: str | None, says: str
) -> None:
    run_id, attempt = runs.order_run(stage.desk, "cli")
    runs.start_run(stage.desk, run_id, attempt)
    runs.finish_run(stage.desk, run_id, attempt, state, report=report, error=error)
    assert says in stage.told()[-1]


def test_a_run_that_does_not_exist_is_named(stage: Stage) -> None:
    with pytest.raises(DeskError, match="There is no training run 5"):
        runs.get_run(stage.desk, 5)
    assert not runs.start_run(stage.desk, 5, 1)


def kept(whose: str, *missed: int) -> dict[str, object]:
    return {
        f"{whose}_missed": missed,
        f"{whose}_answered": [7, 8],
        f"{whose}_promise": {"target_error": 0.05},
    }


def test_a_candidate_is_held_to_promoted_models_on_the_same_test_set(
    stage: Stage, clock: Clock
) -> None:
    def finish(state: RunState, test: str, new: int, old: int) -> None:
        run = runs.order_run(stage.desk, "cli", begin=True)
        report = {"test": test, **kept("candidate", new), **kept("champion", old)}
        assert runs.finish_run(stage.desk, *run, state, report=report)

    def missed(since: datetime | None = None) -> list[list[int]]:
        return [model["missed"] for model in runs.measured_before(stage.desk, "a", since)]

    assert missed() == []
    finish(RunState.PROMOTED, "a", 2, 1)
    finish(RunState.PROMOTED, "a", 3, 2)
    finish(RunState.REJECTED, "a", 0, 3)
    finish(RunState.PROMOTED, "b", 4, 3)
    assert missed() == [[2], [1], [3]]
    by_hand = clock.move(hours=1)
    clock.move(hours=1)
    finish(RunState.PROMOTED, "a", 5, 6)
    assert missed(by_hand) == [[5], [6]]
    assert runs.measured_before(stage.desk, "a", by_hand)[0] == {
        "missed": [5],
        "answered": [7, 8],
        "promise": {"target_error": 0.05},
    }


def test_a_report_of_an_older_version_that_kept_less_counts_for_nothing(stage: Stage) -> None:
    run = runs.order_run(stage.desk, "cli", begin=True)
    report = {"test": "a", "candidate_accuracy": 0.99, "champion_missed": [1]}
    assert runs.finish_run(stage.desk, *run, RunState.PROMOTED, report=report)
    assert runs.measured_before(stage.desk, "a", None) == []


@pytest.mark.parametrize(
    ("state", "report", "says"),
    [
        (
            RunState.PROMOTED,
            {"candidate_accuracy": 0.895, "champion_accuracy": 0.9},
            "is no worse on the test (89.5% against 90.0%;",
        ),
        (
            RunState.REJECTED,
            {"reason": "accuracy", "candidate_accuracy": 0.8, "champion_accuracy": 0.9},
            "accuracy is worse (80.0% against 90.0%)",
        ),
        (
            RunState.REJECTED,
            {"reason": "best", "candidate_accuracy": 0.89, "best_accuracy": 0.91},
            "accuracy (89.0%) is too far below the best model so far (91.0%)",
        ),
        (
            RunState.REJECTED,
            {"reason": "sentiment", "candidate_sentiment": 0.8, "champion_sentiment": 0.9},
            "worse at sentiments (macro-F1 80.0% against 90.0%)",
        ),
        (
            RunState.REJECTED,
            {"reason": "wrong", "candidate_wrong": 14, "champion_wrong": 6},
            "answer more texts wrongly (14 of the test against 6)",
        ),
        (
            RunState.REJECTED,
            {
                "reason": "person",
                "candidate_accuracy": 0.9,
                "champion_accuracy": 0.88,
                "fell": [
                    {"intent": "complaint", "rows": 21, "candidate": 0, "champion": 20},
                    {"intent": "gone", "rows": 9, "candidate": 4, "champion": 8},
                ],
            },
            (
                "is worse at messages that always need a person; the current model stays (accuracy "
                "on the test 90.0% against 88.0%). Topics that fell most: Make a complaint (0 of "
                "21 right, before 20), gone (4 of 9 right, before 8)."
            ),
        ),
        (
            RunState.REJECTED,
            {"reason": "coverage", "candidate_coverage": 0.1, "champion_coverage": 0.5},
            "Answered automatically: new model 10.0%, model so far 50.0%.",
        ),
        (
            RunState.REJECTED,
            {"reason": "best_coverage", "candidate_coverage": 0.4, "best_coverage": 0.6},
            "much less by itself (40.0% of the test) than an earlier model did (60.0%)",
        ),
        (
            RunState.REJECTED,
            {"reason": "gold", "gold": 37, "candidate_gold": 28, "champion_gold": 34},
            "hard for the model that served), right: new model 28, model so far 34.",
        ),
        (
            RunState.REJECTED,
            {"reason": "held"},
            "so somebody must look first. If it may serve: frontdesk models promote v2.",
        ),
        (
            RunState.REJECTED,
            {"reason": "by_hand", "candidate_accuracy": 0.9, "champion_accuracy": 0.88},
            "no worse (90.0% against 88.0%), and waits for somebody to promote it.",
        ),
    ],
)
def test_the_operators_are_told_just_what_the_gate_found(
    stage: Stage, state: RunState, report: dict[str, object], says: str
) -> None:
    run = runs.order_run(stage.desk, "cli", begin=True)
    assert runs.finish_run(stage.desk, *run, state, version="v2", report=report)
    assert says in stage.told()[-1].replace("&#x27;", "'")


def test_without_a_champion_nothing_is_said_of_its_answers(stage: Stage) -> None:
    run = runs.order_run(stage.desk, "cli", begin=True)
    report = {"candidate_accuracy": 0.9, "candidate_coverage": 0.5}
    assert runs.finish_run(stage.desk, *run, RunState.PROMOTED, version="v2", report=report)
    assert "champion" not in stage.told()[-1]


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


def test_a_withdrawal_since_the_last_run_is_noticed(stage: Stage, clock: Clock) -> None:
    stage.ask("where are my roses")
    stage.press(stage.token("up"))
    clock.move(minutes=1)
    run = runs.order_run(stage.desk, "nightly", begin=True)
    runs.finish_run(stage.desk, *run, RunState.PROMOTED)
    clock.move(minutes=1)
    withdrawn = clock()
    with stage.desk.store.writing() as session:
        ids = list(session.scalars(select(Feedback.id)))
    assert teaching.withdraw(stage.desk, ids) == 1
    assert not runs.taught_since_last_run(stage.desk, withdrawn), "not yet before that moment"
    assert runs.taught_since_last_run(stage.desk, withdrawn + timedelta(hours=1))
    clock.move(minutes=1)
    runs.order_run(stage.desk, "nightly")
    assert not runs.taught_since_last_run(stage.desk, withdrawn + timedelta(hours=1))


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


def test_the_last_run_that_trained_is_one_that_was_promoted_or_rejected_with_a_model(
    stage: Stage, clock: Clock
) -> None:
    assert runs.last_trained(stage.desk) is None
    trained = None
    for state, version in (
        (RunState.REJECTED, "v1"),
        (RunState.PROMOTED, "v2"),
        (RunState.REJECTED, None),
        (RunState.FAILED, "v3"),
    ):
        run = runs.order_run(stage.desk, "cli", begin=True)
        assert runs.finish_run(stage.desk, *run, state, version=version)
        if version in ("v1", "v2"):
            trained = run[0]
        found = runs.last_trained(stage.desk)
        assert found is not None
        assert found.id == trained
        clock.move(hours=1)


def test_a_model_that_no_run_left_there_is_noticed_by_what_it_read(
    stage: Stage, clock: Clock
) -> None:
    def another() -> bool:
        return runs.another_serves(stage.desk, clock())

    stage.ask("where are my roses")
    clock.move(minutes=1)
    assert not another(), "without a run there is nothing that it could lack"
    run = runs.order_run(stage.desk, "cli", begin=True)
    report = {"serving": "test-1"}
    runs.finish_run(stage.desk, *run, RunState.REJECTED, version="v2", report=report)
    stage.ask("and my tulips")
    clock.move(minutes=1)
    assert not another(), "it served before the run, too"

    run = runs.order_run(stage.desk, "cli", begin=True)
    runs.finish_run(stage.desk, *run, RunState.PROMOTED, version="v4", report={"serving": "v2"})
    clock.move(minutes=1)
    assert not another(), "what was read before the run says nothing"
    asked = clock()
    stage.ask("and my daisies")
    assert not runs.another_serves(stage.desk, asked), "not yet before that moment"
    clock.move(minutes=1)
    assert another()
    failed = runs.order_run(stage.desk, runs.NIGHTLY, begin=True)
    runs.finish_run(stage.desk, *failed, RunState.FAILED, error="the disk is full")
    assert not another(), "once a night is enough"
    clock.move(minutes=1)
    assert another()
    unchanged = runs.order_run(stage.desk, runs.NIGHTLY, begin=True)
    runs.finish_run(stage.desk, *unchanged, RunState.REJECTED, report={"reason": runs.UNCHANGED})
    clock.move(minutes=1)
    assert not another(), "that run has seen it"


def test_of_a_run_with_nothing_new_to_train_on_the_operators_hear_nothing(stage: Stage) -> None:
    run = runs.order_run(stage.desk, runs.NIGHTLY, begin=True)
    report = {"reason": runs.UNCHANGED}
    assert runs.finish_run(stage.desk, *run, RunState.REJECTED, report=report)
    assert stage.told() == []
    assert runs.get_run(stage.desk, run[0]).state is RunState.REJECTED


def test_a_run_keeps_the_id_of_who_ordered_it_and_no_name(stage: Stage) -> None:
    ordered = operators.ordered_training(stage.desk, stage.update(), OLGA)
    assert ordered is not None
    assert runs.get_run(stage.desk, ordered[0]).requested_by == str(OLGA)


def test_a_nights_run_that_somebody_asks_for_is_theirs_from_then_on(stage: Stage) -> None:
    run_id, _ = runs.order_run(stage.desk, runs.NIGHTLY)
    assert operators.ordered_training(stage.desk, stage.update(), OLGA) is None
    assert runs.get_run(stage.desk, run_id).requested_by == str(OLGA)
    run_id, attempt = runs.order_run(stage.desk, "the command line", begin=True)
    assert runs.get_run(stage.desk, run_id).requested_by == str(OLGA)
    runs.finish_run(stage.desk, run_id, attempt, RunState.REJECTED)
    run_id, _ = runs.order_run(stage.desk, runs.NIGHTLY)
    runs.order_run(stage.desk, "the command line", begin=True)
    assert runs.get_run(stage.desk, run_id).requested_by == "the command line"


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
