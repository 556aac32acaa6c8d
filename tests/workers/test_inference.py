"""The inference worker with a real model: batches become decisions, the champion is followed."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

import pytest
import structlog
import torch
from redis import Redis
from rq.job import Job
from sqlalchemy import update
from sqlalchemy.exc import InternalError

from classifier import Prediction, registry
from classifier.backends import Batch, Output
from classifier.engine import Timings
from desk import health, heartbeat, metrics, queues
from desk.domain import MessageState, PendingMessage, Person, Trial
from desk.flow import watching
from desk.flow.deciding import decide_batch
from desk.flow.desk import Desk
from desk.pack import Pack
from desk.store import Store
from desk.tables import Message, PredictionRow
from tests.classifier.tiny import misfit
from tests.conftest import OPERATOR_CHAT
from tests.databases import PostgresServer
from tests.desk.acting import ANA, BEN, Stage, predict
from tests.workers.models import make_version
from workers.batching import BatchWorker
from workers.inference import Champion, Inference, run


@pytest.fixture(scope="session")
def trained_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models directory with two versions; the first is champion."""
    models = tmp_path_factory.mktemp("models")
    first, _ = make_version(models, seed=1), make_version(models, seed=2)
    registry.promote(models, first)
    return models


@pytest.fixture(autouse=True)
def _collect_as_before() -> Iterator[None]:
    yield
    gc.unfreeze()


@pytest.fixture
def models(trained_models: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_models, tmp_path / "models", symlinks=True))


@pytest.fixture
def champion(models: Path) -> Champion:
    champion = Champion(models, "cpu")
    assert champion.follow()
    return champion


@pytest.fixture
def worker(stage: Stage, connection: Redis, champion: Champion) -> BatchWorker:
    inference = Inference(stage.desk, connection, champion)

    def follow() -> None:
        champion.follow()

    return BatchWorker(
        queues.CLASSIFY,
        connection=connection,
        run_batch=inference.run_batch,
        max_batch=16,
        between_batches=follow,
    )


def work_off(worker: BatchWorker) -> None:
    worker.work(burst=True, logging_level="WARNING")


def other_version(models: Path) -> str:
    return next(v.name for v in registry.versions(models) if not v.is_champion)


def test_each_message_of_a_batch_gets_one_decision_and_one_reply(
    stage: Stage, connection: Redis, worker: BatchWorker
) -> None:
    jobs = [stage.write("where is my order", ANA), stage.write("when are you open", BEN)]
    queues.enqueue_classify(connection, [job for job in jobs if job])
    work_off(worker)
    assert all(stage.message(job[0]).state is MessageState.DECIDED for job in jobs if job)
    assert (len(stage.heard(ANA)), len(stage.heard(BEN))) == (1, 1)


def test_the_following_message_of_a_conversation_is_brought_up_by_the_decision_before_it(
    stage: Stage, connection: Redis, worker: BatchWorker
) -> None:
    first = stage.write("where is my order")
    assert first is not None
    assert stage.write("and when are you open") is None
    queues.enqueue_classify(connection, [first])
    work_off(worker)
    assert watching.overdue(stage.desk, -1) == []


@pytest.mark.parametrize("suspected", [False, True])
def test_what_goes_on_with_words_asked_back_about_is_read_with_them_unless_it_may_have_killed(
    stage: Stage,
    connection: Redis,
    champion: Champion,
    monkeypatch: pytest.MonkeyPatch,
    suspected: bool,
) -> None:
    stage.ask("where is", confidence=0.3)
    jobs = [job for job in (stage.write("hello", BEN), stage.write("my order")) if job]
    _, together, _ = _read(stage, connection, champion, monkeypatch, jobs, suspected)
    assert together == ({} if suspected else {jobs[1]: "where is my order"})


@pytest.mark.parametrize("suspected", [False, True])
def test_each_sentence_is_read_by_itself_too_unless_the_message_may_have_killed(
    stage: Stage,
    connection: Redis,
    champion: Champion,
    monkeypatch: pytest.MonkeyPatch,
    suspected: bool,
) -> None:
    stage.ask("where is", confidence=0.3)
    cat = Person(chat_id=503, name="Cat")
    texts = {BEN: "hello! where is it?", ANA: "my order. today?", cat: "hello"}
    jobs = [job for who, text in texts.items() if (job := stage.write(text, who))]
    alone, together, apart = _read(stage, connection, champion, monkeypatch, jobs, suspected)
    assert alone == dict(zip(jobs, texts.values(), strict=True))
    if suspected:
        assert not together
        assert not any(apart.values())
        return
    assert together == {jobs[1]: "where is my order. today?"}
    sentences = [["hello!", "where is it?"], ["my order.", "today?"], []]
    assert apart == dict(zip(jobs, sentences, strict=True))


def _read(
    stage: Stage,
    connection: Redis,
    champion: Champion,
    monkeypatch: pytest.MonkeyPatch,
    jobs: Sequence[tuple[int, int]],
    suspected: bool,
) -> tuple[dict[Any, str], dict[Any, str], dict[Any, list[str]]]:
    """Work these jobs off; returns the texts that the model read of each: by itself, with what was
    before, and its sentences."""
    alone: dict[Any, str] = {}
    together: dict[Any, str] = {}
    apart: dict[Any, list[str]] = {}

    def keep(
        desk: Desk,
        predicted: Sequence[tuple[PendingMessage, Prediction]],
        both: Mapping[tuple[int, int], Prediction],
        sentences: Mapping[tuple[int, int], Sequence[Prediction]],
    ) -> list[tuple[int, int]]:
        alone.update({(message.id, message.attempt): said.text for message, said in predicted})
        together.update({key: said.text for key, said in both.items()})
        apart.update({key: [said.text for said in parts] for key, parts in sentences.items()})
        return decide_batch(desk, predicted, both, sentences)

    monkeypatch.setattr("workers.inference.deciding.decide_batch", keep)
    if suspected:
        with stage.desk.store.writing() as session:
            session.execute(update(Message).values(trial=Trial.SUSPECTED))
    queues.enqueue_classify(connection, jobs)
    waiting = queues.queue(queues.CLASSIFY, connection).jobs
    Inference(stage.desk, connection, champion).run_batch(waiting)
    assert stage.pending_count() == 0
    return alone, together, apart


def test_a_job_of_an_older_attempt_decides_nothing(
    stage: Stage, connection: Redis, worker: BatchWorker
) -> None:
    job = stage.write("where is my order")
    assert job is not None
    watching.next_attempts(stage.desk, [job[0]])
    queues.enqueue_classify(connection, [job])
    work_off(worker)
    assert stage.message(job[0]).state is MessageState.PENDING
    stale = Job.fetch(queues.classify_job_id(*job), connection, serializer=worker.serializer)
    assert stale.is_finished


def test_the_same_job_done_twice_gives_one_reply(
    stage: Stage, connection: Redis, champion: Champion
) -> None:
    job = stage.write("where is my order")
    assert job is not None
    queues.enqueue_classify(connection, [job])
    waiting = queues.queue(queues.CLASSIFY, connection).jobs
    inference = Inference(stage.desk, connection, champion)
    assert inference.run_batch(waiting) == ["decided"]
    assert inference.run_batch(waiting) == ["stale"]
    assert len(stage.heard(ANA)) == 1


def test_the_sender_is_woken_after_the_commit(
    stage: Stage, connection: Redis, worker: BatchWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = stage.write("where is my order")
    assert job is not None
    queues.enqueue_classify(connection, [job])
    tell, seen = queues.decided, []

    def told(connection: Redis, following: list[tuple[int, int]]) -> None:
        seen.append(stage.message(job[0]).state)
        tell(connection, following)

    monkeypatch.setattr(queues, "decided", told)
    with connection.pubsub(ignore_subscribe_messages=True) as ear:
        ear.subscribe(queues.WAKE_SENDER)
        ear.get_message(timeout=5)  # that it listens
        work_off(worker)
        assert ear.get_message(timeout=5) is not None
    assert seen == [MessageState.DECIDED]


def test_a_new_champion_serves_from_the_next_batch_on(
    stage: Stage, connection: Redis, worker: BatchWorker, champion: Champion, models: Path
) -> None:
    champion.check_seconds = 0.0
    before = champion.classifier.version if champion.classifier else None
    following = other_version(models)
    registry.promote(models, following)
    job = stage.write("where is my order")
    assert job is not None
    queues.enqueue_classify(connection, [job])
    work_off(worker)
    assert stage.row(PredictionRow, job[0]).model == following != before


def test_cycles_are_looked_for_in_what_batches_leave_alone_and_no_model_of_before_stays(
    champion: Champion, models: Path
) -> None:
    assert gc.get_freeze_count() > 10_000
    champion.check_seconds = 0.0
    assert champion.classifier is not None
    vars(champion.classifier)["itself"] = champion.classifier
    before = weakref.ref(champion.classifier)
    registry.promote(models, other_version(models))
    assert champion.follow()
    assert before() is None


@pytest.mark.parametrize("damage", ["truncated", "tampered", "gone"])
def test_a_damaged_champion_is_refused_and_the_old_one_goes_on_serving(
    champion: Champion, models: Path, damage: str
) -> None:
    champion.check_seconds = 0.0
    before = champion.classifier
    following = other_version(models)
    registry.promote(models, following)
    weights = models / following / "model.safetensors"
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "tampered":
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
    else:
        shutil.rmtree(models / following)
    assert champion.follow()
    assert champion.classifier is before


def test_a_champion_that_was_refused_is_tried_again_and_serves_once_it_is_whole(
    champion: Champion, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion.check_seconds = 0.0
    following = other_version(models)
    registry.promote(models, following)
    weights = models / following / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    assert champion.follow()
    weights.write_bytes(whole)
    assert champion.follow()
    assert champion.classifier is not None
    assert champion.classifier.version != following, "it is not looked at all the time"
    monkeypatch.setattr("workers.inference.REFUSED_SECONDS", 0.0)
    assert champion.follow()
    assert champion.classifier.version == following


def test_a_device_without_room_for_a_new_champion_keeps_the_old_one_serving(
    champion: Champion, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    champion.check_seconds = 0.0
    before = champion.classifier
    registry.promote(models, other_version(models))
    monkeypatch.setattr("workers.inference.Classifier.load", full)
    assert champion.follow()
    assert champion.classifier is before


def test_a_champion_whose_parts_do_not_fit_is_refused_and_the_old_one_goes_on_serving(
    champion: Champion, models: Path
) -> None:
    champion.check_seconds = 0.0
    before = champion.classifier
    following = other_version(models)
    misfit(models / following)
    registry.promote(models, following)
    with structlog.testing.capture_logs() as logs:
        assert champion.follow()
        assert champion.follow()
    assert champion.classifier is before
    assert [(entry["event"], entry["version"]) for entry in logs] == [("model.refused", following)]
    assert logs[0]["reason"].startswith("ValueError: ")


def test_a_worker_whose_first_champion_can_not_predict_waits_until_another_one_serves(
    models: Path,
) -> None:
    version, other = registry.champion(models), other_version(models)
    assert version is not None
    misfit(models / version)
    champion = Champion(models, "cpu")
    assert not champion.follow()
    assert champion.problem is not None
    registry.promote(models, other)
    assert champion.follow()
    assert champion.problem is None


def test_a_worker_whose_refused_champion_is_taken_away_says_that_there_is_none(
    models: Path,
) -> None:
    version = registry.champion(models)
    assert version is not None
    misfit(models / version)
    champion = Champion(models, "cpu")
    assert not champion.follow()
    (models / "champion").unlink()
    assert not champion.follow()
    assert champion.problem is None
    assert metrics.MODEL_REFUSED._value.get() == 0


def test_a_missing_library_ends_a_worker_that_has_no_model(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("workers.inference.Classifier.load", missing)
    with pytest.raises(ModuleNotFoundError):
        Champion(models, "cpu").follow()


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `f`"), True),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), True),
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), True),
        (torch.AcceleratorError("CUDA error: invalid argument"), False),
        (torch.AcceleratorError("CUDA error: no kernel image is available"), False),
        (torch.AcceleratorError("CUDA error: out of memory"), False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `f`"), False),
        (RuntimeError("no such token"), False),
    ],
)
def test_a_device_that_breaks_over_a_new_champion_ends_the_worker_and_one_that_is_full_does_not(
    champion: Champion, models: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, ends: bool
) -> None:
    class Ended(BaseException):
        """In place of the end of this process."""

    def fails(*_: object) -> None:
        raise error

    def end(_status: int) -> None:
        raise Ended

    champion.check_seconds = 0.0
    before = champion.classifier
    registry.promote(models, other_version(models))
    monkeypatch.setattr("workers.inference.Classifier.load", fails)
    monkeypatch.setattr("workers.device.os._exit", end)
    with pytest.raises(Ended) if ends else nullcontext():
        assert champion.follow()
    assert champion.classifier is before


def test_a_database_that_takes_no_writes_fails_the_batch_at_once_and_is_no_jobs_fault(
    postgres_server: PostgresServer,
    postgres_url: str,
    pack: Pack,
    connection: Redis,
    champion: Champion,
) -> None:
    stage = Stage(Desk(Store(postgres_url), pack, OPERATOR_CHAT))
    jobs = [stage.write("where is my order", ANA), stage.write("when are you open", BEN)]
    queues.enqueue_classify(connection, [job for job in jobs if job])
    waiting = queues.queue(queues.CLASSIFY, connection).jobs
    inference = Inference(stage.desk, connection, champion)
    with postgres_server.read_only(postgres_url), structlog.testing.capture_logs() as logs:
        outcomes = inference.run_batch(waiting)  # what it raised would halve the batch
    assert [type(outcome) for outcome in outcomes] == [InternalError, InternalError]
    assert [e["reason"] for e in logs if e["event"] == "database_away"] == [
        "cannot execute SELECT FOR UPDATE in a read-only transaction"
    ]
    assert inference.run_batch(waiting) == ["decided", "decided"]
    stage.desk.store.dispose()


def test_a_job_with_wrong_arguments_fails_alone(
    stage: Stage, connection: Redis, champion: Champion
) -> None:
    job = stage.write("where is my order")
    assert job is not None
    queues.enqueue_classify(connection, [job])
    (good,) = queues.queue(queues.CLASSIFY, connection).jobs
    bad = Job.create(queues.CLASSIFY_JOB, args=("x",), connection=connection)
    outcomes = Inference(stage.desk, connection, champion).run_batch([bad, good])
    assert isinstance(outcomes[0], ValueError)
    assert outcomes[1] == "decided"


def test_a_champion_that_is_no_pointer_is_refused_once_and_the_old_model_goes_on_serving(
    champion: Champion, models: Path
) -> None:
    champion.check_seconds = 0.0
    before = champion.classifier
    (models / "champion").unlink()
    (models / "champion").mkdir()
    with structlog.testing.capture_logs() as logs:
        assert champion.follow()
        assert champion.follow()
    assert champion.classifier is before
    assert [entry["event"] for entry in logs] == ["model.refused"]


def test_a_start_with_a_champion_that_is_no_pointer_waits_until_it_is_mended(models: Path) -> None:
    version = registry.champion(models)
    assert version is not None
    (models / "champion").unlink()
    (models / "champion").mkdir()
    champion = Champion(models, "cpu")
    assert not champion.follow()
    (models / "champion").rmdir()
    registry.promote(models, version)
    assert champion.follow()


def test_a_worker_that_waits_for_its_first_champion_is_alive_and_says_that_it_is_not_ready(
    stage: Stage, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class EnoughError(Exception):
        pass

    ages: list[float] = []

    def sleep(_seconds: float) -> None:
        ages.append(heartbeat.turned_ago())
        if len(ages) == 3:
            raise EnoughError
        monkeypatch.setattr(heartbeat, "_turned", time.monotonic() - 1000)

    monkeypatch.setattr(heartbeat, "_turned", None)
    monkeypatch.setattr(heartbeat, "_started", time.monotonic() - 1000)
    monkeypatch.setattr(health, "PROCESS", health.Health())
    health.PROCESS.need(["model"])
    monkeypatch.setattr("workers.inference.time.sleep", sleep)
    with pytest.raises(EnoughError):
        run(
            stage.desk,
            redis_url,
            models_dir=tmp_path / "models",
            data_dir=tmp_path,
            device="cpu",
            max_batch=16,
        )
    assert max(ages) < 1
    assert heartbeat.turned()
    assert health.PROCESS.missing() == {"model": "there is no champion: run frontdesk train"}
    assert heartbeat.age(tmp_path, "inference") is None, "`up` must not take it for ready"


def test_long_texts_among_short_ones_are_computed_apart_and_within_the_token_budget(
    stage: Stage, connection: Redis, worker: BatchWorker, champion: Champion
) -> None:
    classifier = champion.classifier
    assert classifier is not None
    classifier.token_budget = 64  # two texts as long as the model takes any
    shapes: list[tuple[int, int]] = []
    forward = classifier.backend.forward

    def recorded(batches: Iterable[Batch]) -> Iterator[tuple[Batch, Output]]:
        def noted() -> Iterator[Batch]:
            for batch in batches:
                shapes.append((len(batch.rows), int(batch.sequences.lengths.max())))
                yield batch

        return forward(noted())

    classifier.backend.forward = recorded  # type: ignore[method-assign]
    ids = []
    for n in range(15):
        person = Person(chat_id=800 + n, name=f"Person {n}", language="en")
        job = stage.write("where is my order " * (200 if n % 5 == 2 else 1), person)
        assert job is not None
        ids.append(job[0])
        queues.enqueue_classify(connection, [job])
    work_off(worker)
    assert all(stage.message(id_).state is MessageState.DECIDED for id_ in ids)
    assert sum(rows for rows, _ in shapes) == 15  # nothing was run twice
    assert max(rows * longest for rows, longest in shapes) <= 64
    assert [rows for rows, longest in shapes if longest == 32] == [2, 1]
    assert all(longest < 16 for _, longest in shapes if longest != 32)


def test_a_slow_model_gets_batches_that_are_done_before_the_scheduler_looks_for_them(
    stage: Stage, redis_url: str, connection: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        version, device, dtype, timings = "slow", "cpu", "float32", Timings()
        sizes: ClassVar[list[int]] = []

        def __call__(self, texts: Sequence[str]) -> list[Prediction]:
            time.sleep(0.1 * len(texts))
            self.sizes.append(len(texts))
            if sum(self.sizes) == 1 + 16:
                os.kill(os.getpid(), signal.SIGTERM)
            return [predict(text) for text in texts]

    monkeypatch.setattr("workers.pace.BATCH_SECONDS", 0.5)
    monkeypatch.setattr("workers.pace.PROBE_SECONDS", 0.6)
    monkeypatch.setattr("workers.inference.registry.champion", lambda _: Slow.version)
    monkeypatch.setattr("workers.inference.Classifier.load", lambda *_: Slow())
    people = [Person(chat_id=800 + n, name=f"Person {n}", language="en") for n in range(16)]
    jobs = [job for person in people if (job := stage.write("where is my order", person))]
    queues.enqueue_classify(connection, jobs)
    run(
        stage.desk,
        redis_url,
        models_dir=tmp_path,
        data_dir=tmp_path,
        device="cpu",
        max_batch=16,
    )
    assert stage.pending_count() == 0
    assert 1 < max(Slow.sizes) <= 5
