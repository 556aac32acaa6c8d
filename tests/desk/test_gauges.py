"""What waits, as the scheduler reads it from SQL and Redis for those who look from outside."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from redis import Redis
from sqlalchemy import event, select
from structlog.testing import capture_logs

from desk import metrics, queues
from desk.domain import DeliveryState, InboxState, Incoming, Person, RunState
from desk.flow import backlog as backlogs
from desk.flow import customers, intake
from desk.flow.backlog import backlog
from desk.flow.desk import Desk
from desk.gauges import STALE_SECONDS, Gauges, of_database, of_redis
from desk.tables import Customer, DeliveryRow, Inbox, RunRow
from tests.conftest import Clock
from tests.desk.acting import new_rows
from tests.redis_servers import embedded_redis

ANN = Person(501, "Ann")


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    folder = tmp_path_factory.mktemp("valkey")
    with embedded_redis(folder) as server, Redis.from_url(server.url) as client:
        yield client


def write(desk: Desk, number: int, person: Person = ANN) -> None:
    """An update that is stored and made a message."""
    intake.store_updates(desk, [Incoming(1, number, person.chat_id, {"n": number})])
    [row] = new_rows(desk, 1)
    customers.wrote(desk, row.id, person, number, "two roses")


def test_an_empty_desk_has_no_backlog(desk: Desk) -> None:
    found = backlog(desk)
    assert found.inbox == {InboxState.NEW: 0, InboxState.PARKED: 0}
    assert (found.inbox_oldest, found.pending, found.pending_oldest) == (0, 0, 0)
    assert set(found.deliveries.values()) == {0}
    assert found.last_run is None


def test_the_oldest_unacknowledged_update_and_message_have_an_age(desk: Desk, clock: Clock) -> None:
    write(desk, 1)
    clock.move(seconds=30)
    with desk.store.writing() as session:
        session.add(Inbox(bot_id=1, update_id=2, payload={}, received_at=clock()))
        session.add(
            Inbox(
                bot_id=1,
                update_id=3,
                payload={},
                state=InboxState.PARKED,
                received_at=clock() - timedelta(days=3),
            )
        )
    clock.move(seconds=12)
    found = backlog(desk)
    assert found.inbox == {InboxState.NEW: 1, InboxState.PARKED: 1}
    assert found.inbox_oldest == 12
    assert found.pending == 1
    assert found.pending_oldest == 42


def test_deliveries_are_counted_by_state_and_the_oldest_unsent_has_an_age(
    desk: Desk, clock: Clock
) -> None:
    with desk.store.writing() as session:
        for number, state in enumerate(("pending", "pending", "sending", "failed", "sent")):
            session.add(
                DeliveryRow(
                    key=str(number),
                    chat_id=number,
                    method="sendMessage",
                    payload={},
                    state=DeliveryState(state),
                    created_at=clock() + timedelta(seconds=number),
                )
            )
    clock.move(seconds=20)
    found = backlog(desk)
    assert found.deliveries == {
        DeliveryState.PENDING: 2,
        DeliveryState.SENDING: 1,
        DeliveryState.FAILED: 1,
    }
    assert found.deliveries_oldest == 20


def test_topics_that_are_still_to_be_deleted_make_no_delivery_look_late(
    desk: Desk, clock: Clock
) -> None:
    with desk.store.writing() as session:
        for key, method in (("erased", "deleteForumTopic"), ("reply", "sendMessage")):
            session.add(
                DeliveryRow(
                    key=key,
                    chat_id=7,
                    method=method,
                    payload={},
                    state=DeliveryState.PENDING,
                    created_at=clock(),
                )
            )
            clock.move(seconds=300)
    found = backlog(desk)
    assert found.deliveries[DeliveryState.PENDING] == 2
    assert found.deliveries_oldest == 300


def test_who_waits_for_a_person_is_counted_and_the_longest_wait_in_opening_hours(
    desk: Desk, clock: Clock
) -> None:
    assert (backlog(desk).waiting, backlog(desk).longest_waiting) == (0, 0)
    clock.set(datetime(2026, 3, 3, 17, 0, tzinfo=UTC))  # an hour before closing
    for number, person in enumerate((ANN, Person(502, "Ben"), Person(503, "Cy"))):
        intake.store_updates(desk, [Incoming(1, number, person.chat_id, {"n": number})])
        [row] = new_rows(desk, 1)
        customers.asked_for_person(desk, row.id, person, "/human")
        clock.move(minutes=10)
    clock.set(datetime(2026, 3, 4, 9, 30, tzinfo=UTC))
    found = backlog(desk)
    assert (found.waiting, found.longest_waiting) == (3, 90 * 60)
    with desk.store.writing() as session:
        for customer in session.scalars(select(Customer).where(Customer.chat_id != 503)):
            customer.gone = True
    found = backlog(desk)
    assert (found.waiting, found.longest_waiting) == (1, 70 * 60)


def test_the_last_finished_run_counts(desk: Desk, clock: Clock) -> None:
    with desk.store.writing() as session:
        for state, finished in (
            (RunState.PROMOTED, clock()),
            (RunState.FAILED, clock()),
            (RunState.RUNNING, None),
        ):
            session.add(RunRow(state=state, requested_by="nightly", finished_at=finished))
    assert backlog(desk).last_run is RunState.FAILED


def test_counting_stops_where_the_number_is_bad_enough(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlogs, "MOST", 2)
    with desk.store.writing() as session:
        session.add_all([Inbox(bot_id=1, update_id=n, payload={}) for n in range(5)])
    assert backlog(desk).inbox[InboxState.NEW] == 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_query_reads_a_table_from_end_to_end(desk: Desk) -> None:
    # PostgreSQL has the same indexes, but reads small tables whole.
    said: list[tuple[str, object]] = []

    @event.listens_for(desk.store.engine, "before_cursor_execute")
    def keep(_c: object, _u: object, statement: str, parameters: object, *_: object) -> None:
        said.append((statement, parameters))

    backlog(desk)
    event.remove(desk.store.engine, "before_cursor_execute", keep)
    queries = [(text, values) for text, values in said if text.startswith("SELECT")]
    assert len(queries) == 12
    with desk.store.engine.connect() as connection:
        for text, values in queries:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).all()
            steps = [step.detail for step in plan]
            # Of training runs there are few, and it goes backwards from the last one.
            if "FROM runs" not in text:
                scanned = [step for step in steps if step.startswith("SCAN ")]
                assert set(scanned) <= {"SCAN anon_1"}, steps  # what was found, at most `MOST` rows
                assert any("USING" in step and "INDEX" in step for step in steps), steps


def test_queues_are_read_as_rq_keeps_them(redis: Redis) -> None:
    redis.flushall()
    found = {(read.name, labels): value for read, labels, value in of_redis(redis)}
    assert found["frontdesk_queue_jobs", ("classify", "queued")] == 0
    assert found["frontdesk_queue_oldest_seconds", ("classify",)] == 0
    queues.enqueue_classify(redis, [(1, 1), (2, 1)])
    redis.hset("rq:job:classify-1-1", "enqueued_at", "2026-01-01T00:00:00.000000Z")
    redis.zadd("rq:failed:classify", {"classify-9-1": 1})
    redis.sadd("rq:workers:classify", "one", "two")
    found = {(read.name, labels): value for read, labels, value in of_redis(redis)}
    assert found["frontdesk_queue_jobs", ("classify", "queued")] == 2
    assert found["frontdesk_queue_jobs", ("classify", "failed")] == 1
    assert found["frontdesk_queue_jobs", ("train", "queued")] == 0
    assert found["frontdesk_queue_workers", ("classify",)] == 2
    assert found["frontdesk_queue_oldest_seconds", ("classify",)] > 86400


def test_a_queue_whose_first_job_has_expired_is_as_old_as_that_at_least(redis: Redis) -> None:
    redis.flushall()
    queues.enqueue_classify(redis, [(1, 1), (2, 1)])
    redis.delete("rq:job:classify-1-1")
    found = {(read.name, labels): value for read, labels, value in of_redis(redis)}
    assert found["frontdesk_queue_oldest_seconds", ("classify",)] == queues.CLASSIFY_TTL


def test_every_reading_is_one_that_the_vocabulary_names(desk: Desk, redis: Redis) -> None:
    known = {read.name: len(read.labels) for read in metrics.READ}
    for read, labels, _ in [*of_database(desk), *of_redis(redis)]:
        assert known[read.name] == len(labels)


def test_a_scrape_shows_the_last_reading_until_it_is_too_old() -> None:
    now = 1000.0
    gauges = Gauges(clock=lambda: now)
    registry = CollectorRegistry()
    registry.register(gauges)
    gauges.read("database", lambda: [(metrics.PENDING, (), 7.0)])

    def fail() -> list[tuple[metrics.Read, tuple[str, ...], float]]:
        raise ConnectionError

    gauges.read("database", fail)
    now += STALE_SECONDS
    text = generate_latest(registry).decode()
    assert "frontdesk_messages_pending 7.0" in text
    now += 1
    text = generate_latest(registry).decode()
    assert "frontdesk_messages_pending 7.0" not in text
    assert 'frontdesk_read_timestamp_seconds{source="database"} 1000.0' in text
    gauges.forget("database")
    assert "1000.0" not in generate_latest(registry).decode()


def test_a_source_that_can_not_be_read_is_told_once_a_trouble() -> None:
    gauges = Gauges()

    def told(error: Exception | None) -> list[str]:
        """What three readings say in the log at a level that is shown."""

        def read() -> list[tuple[metrics.Read, tuple[str, ...], float]]:
            if error is not None:
                raise error
            return []

        with capture_logs() as logs:
            for _ in range(3):
                gauges.read("database", read)
        return [f"{log['event']} {log['log_level']} {log['exc_info']}" for log in logs]

    assert told(ConnectionError("away")) == ["gauges.not_read warning away"]
    assert told(ConnectionError("away")) == []
    assert told(ValueError("odd")) == ["gauges.not_read warning odd"]
    assert told(None) == []
    assert told(ValueError("odd")) == ["gauges.not_read warning odd"]
