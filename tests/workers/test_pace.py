"""A batch is as large as what can be done in two seconds."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from classifier.engine import Timings
from tests.desk.acting import Stage, predict
from workers.batching import BatchWorker
from workers.inference import run
from workers.pace import Pace


@pytest.mark.parametrize(("seconds", "fits"), [(0.0, 64), (0.03, 64), (0.25, 8), (1.5, 1), (9, 1)])
def test_a_batch_has_as_many_messages_as_are_done_in_two_seconds_and_one_at_least(
    seconds: float, fits: int
) -> None:
    assert Pace(seconds).fits(64) == fits


def test_a_slow_batch_counts_at_once() -> None:
    pace = Pace(0.01)
    pace.learn(64, seconds=16)
    assert pace.fits(64) == 8


def test_after_one_that_was_slow_for_once_full_batches_are_back_within_a_few() -> None:
    pace = Pace(0.01)
    pace.learn(1, seconds=5)
    sizes = followed(pace, 8, lambda size: size * 0.01)
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (1, 64)


def test_where_a_commit_takes_most_of_the_time_a_batch_grows_all_the_same() -> None:
    pace = Pace(0.01)
    pace.learn(1, seconds=2.4)  # a lone message in a bad moment
    sizes = followed(pace, 12, lambda size: 1.5 + size * 0.005)
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (1, 64)


@pytest.mark.parametrize("each", [0.05, 0.24, 0.7, 1.1])
def test_a_model_that_costs_the_same_for_each_message_gets_what_it_does_in_about_two_seconds(
    each: float,
) -> None:
    sizes = followed(Pace(each), 20, lambda size: size * each)
    assert all(each * size <= 2.5 or size <= 2 for size in sizes)
    assert all(each * size > 1 or size == 64 for size in sizes[5:])


@pytest.mark.parametrize("each", [0.7, 1.0, 1.1, 1.5, 1.9])
def test_what_was_too_slow_is_not_tried_again_and_again(each: float) -> None:
    takes = [each * size for size in followed(Pace(each), 100, lambda size: size * each)]
    assert sum(seconds > 2 for seconds in takes[20:]) <= 80 / 20
    assert max(takes) < 4, "the scheduler would take the worker for dead"


def test_a_batch_that_was_slow_for_once_holds_back_none_that_costs_less() -> None:
    pace = Pace(0.01)
    pace.learn(2, seconds=3)
    sizes = followed(pace, 8, lambda size: size * 0.01)
    assert sizes[-1] == 64


def test_a_first_guess_of_no_time_at_all_is_no_error() -> None:
    pace = Pace(0.0)
    pace.learn(1, seconds=0.1)
    assert pace.fits(64) == 64


def followed(pace: Pace, batches: int, takes: Callable[[int], float]) -> list[int]:
    """The sizes of so many full batches of 64 at most, of which each takes what its size costs."""
    sizes = []
    for _ in range(batches):
        sizes.append(size := pace.fits(64))
        pace.learn(size, takes(size))
    return sizes


def test_a_worker_says_once_that_it_takes_fewer_than_it_may_and_once_that_it_takes_all_again(
    stage: Stage, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Model:
        version, device, dtype, timings = "some", "cpu", "float32", Timings()

        def __call__(self, texts: list[str]) -> object:
            return [predict(text) for text in texts]

    sizes = iter([64, 8, 8, 5, 64, 64])

    def fits(_pace: Pace, most: int) -> int:
        size = next(sizes, None)
        if size is None:
            os.kill(os.getpid(), signal.SIGTERM)
        return size or most

    monkeypatch.setattr("workers.inference.registry.champion", lambda _: Model.version)
    monkeypatch.setattr("workers.inference.Classifier.load", lambda *_: Model())
    monkeypatch.setattr(Pace, "fits", fits)
    monkeypatch.setattr(BatchWorker, "idle_tick", 0.05)
    folders = {"models_dir": tmp_path, "data_dir": tmp_path}
    with structlog.testing.capture_logs() as logs:
        run(stage.desk, redis_url, **folders, device="cpu", max_batch=64)
    said = [(log["event"], log["most"]) for log in logs if log["event"].startswith("batch.")]
    assert said == [("batch.limited", 8), ("batch.unlimited", 64)]
