"""Training runs: each begins once, and the operators hear its verdict."""

from __future__ import annotations

import pytest

from desk.domain import (
    DeskError,
    RunState,
)
from desk.flow import runs
from tests.conftest import Clock
from tests.desk.acting import Stage


def test_a_run_begins_once_and_ends_with_a_verdict_for_the_operators(stage: Stage) -> None:
    run_id, attempt = runs.order_run(stage.desk, "cli")
    assert runs.start_run(stage.desk, run_id, attempt)
    report = {"candidate_accuracy": 0.912, "champion_accuracy": 0.9}
    assert runs.finish_run(
        stage.desk, run_id, attempt, RunState.PROMOTED, version="v2", report=report
    )
    assert not runs.finish_run(stage.desk, run_id, attempt, RunState.FAILED)
    assert "v2 is no worse on the frozen test (91.2% against 90.0%" in stage.told()[-1]
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
