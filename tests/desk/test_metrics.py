"""What is counted: by a vocabulary without surprises, where it commits, and never a rollback."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import prometheus_client
import pytest
import structlog
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from desk import metrics, policy
from desk.domain import Action, Incoming, PendingMessage, Person
from desk.flow import (
    customers,
    deciding,
    delivering,
    dispatching,
    intake,
    operators,
    recovering,
)
from desk.flow.desk import Desk
from desk.flow.noting import RULES, counted, decided, happened
from desk.logs import configure
from desk.store import after_commit
from tests.desk.acting import OSCAR, Stage, hold_lease, new_rows, predict
from tests.ops.queries import labels

ANN = Person(501, "Ann")
NAME = re.compile(r"frontdesk_[a-z]+(_[a-z]+)*")


def value(metric: prometheus_client.metrics.MetricWrapperBase, *labels: str) -> float:
    child = metric.labels(*labels) if labels else metric
    [family] = child.collect()
    return sum(s.value for s in family.samples if s.name.endswith(("_total", "_count")))


def write(desk: Desk, number: int) -> PendingMessage:
    intake.store_updates(desk, [Incoming(1, number, ANN.chat_id, {})])
    [row] = new_rows(desk, 1)
    waiting = customers.wrote(desk, row.id, ANN, number, "two roses")
    assert waiting is not None
    return deciding.pending(desk, [waiting])[waiting[0]]


@pytest.mark.parametrize("process", sorted(metrics.OF))
def test_a_process_shows_its_metrics_under_names_of_prometheus(process: str) -> None:
    text = generate_latest(metrics.registry(process)).decode()
    names = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M)
    ours = {name: kind for name, kind in names if not name.startswith("process_")}
    assert ours
    for name, kind in ours.items():
        assert NAME.fullmatch(name), name
        assert name.endswith("_total") == (kind == "counter"), name
        assert not name.endswith(("_ms", "_minutes", "_milliseconds")), name
    assert "_created" not in text


def test_each_answer_of_telegram_that_calls_somebody_is_counted_from_nought() -> None:
    rule = (Path(__file__).parents[2] / "ops" / "prometheus" / "alerts.yml").read_text("utf-8")
    (codes,) = re.findall(r'frontdesk_telegram_errors_total\{code=~"([\d|]+)"', rule)
    [family] = metrics.TELEGRAM_ERRORS.collect()
    known = {s.labels["code"] for s in family.samples if s.name.endswith("_total")}
    assert known >= set(codes.split("|"))


def test_no_label_could_hold_a_customer_or_a_text() -> None:
    found = {label for each in labels().values() for label in each}
    assert found == {
        *(
            "action",
            "chore",
            "code",
            "device",
            "directory",
            "dtype",
            "event",
            "kind",
            "lease",
            "level",
            "method",
            "need",
        ),
        *("outcome", "queue", "rule", "source", "state", "version"),
    }


def test_a_decision_is_counted_where_it_commits(desk: Desk) -> None:
    before = value(metrics.DECISIONS, "answer", "confident")
    message = write(desk, 1)
    with capture_logs() as logs:
        deciding.decide_batch(desk, [(message, predict())])
        # A job that runs a second time decides nothing and counts nothing.
        deciding.decide_batch(desk, [(message, predict())])
    assert value(metrics.DECISIONS, "answer", "confident") == before + 1
    assert [entry["decisions"] for entry in logs if entry["event"] == "messages.decided"] == [
        [{"message": message.id, "action": "answer", "rule": "confident"}]
    ]


def test_every_rule_of_the_policy_is_counted_from_nought_on() -> None:
    named = {name: value for name, value in vars(policy).items() if name.isupper()}
    rules = {value for value in named.values() if isinstance(value, str)}
    assert {rule for some in RULES.values() for rule in some} == rules
    text = generate_latest(metrics.registry("scheduler")).decode()
    assert 'frontdesk_decisions_total{action="escalate",rule="unprocessable"} ' in text


def test_a_batch_is_one_line_and_each_decision_counts(desk: Desk) -> None:
    people = [Person(600 + n, "Bob") for n in range(3)]
    intake.store_updates(desk, [Incoming(1, p.chat_id, p.chat_id, {}) for p in people])
    waiting = []
    for row, person in zip(new_rows(desk, 1), people, strict=True):
        pair = customers.wrote(desk, row.id, person, 1, "two roses")
        assert pair is not None
        waiting.append(pair)
    batch = deciding.pending(desk, waiting)
    before = value(metrics.DECISIONS, "answer", "confident")
    with capture_logs() as logs:
        deciding.decide_batch(desk, [(m, predict()) for m in batch.values()])
    assert value(metrics.DECISIONS, "answer", "confident") == before + 3
    [line] = [entry for entry in logs if entry["event"] == "messages.decided"]
    assert [each["message"] for each in line["decisions"]] == sorted(batch)


def test_what_rolls_back_is_neither_counted_nor_logged(desk: Desk) -> None:
    counters = (metrics.DECISIONS.labels("answer", "confident"), metrics.UPDATES)
    before = [value(counter) for counter in counters]
    acts: list[str] = []

    def fail() -> None:
        with desk.store.writing() as session:
            decided(session, 1, Action.ANSWER, "confident")
            happened(session, "message.stored", message=1)
            counted(session, metrics.UPDATES)
            after_commit(session, lambda: acts.append("done"))
            raise RuntimeError

    with capture_logs() as logs, pytest.raises(RuntimeError):
        fail()
    assert [value(counter) for counter in counters] == before
    assert (logs, acts) == ([], [])


def test_what_commits_is_counted_after_the_commit(desk: Desk) -> None:
    acts: list[bool] = []
    with desk.store.writing() as session:
        after_commit(session, lambda: acts.append(session.in_transaction()))
        assert acts == []
    assert acts == [False]


def test_an_update_is_counted_once_however_often_it_comes(desk: Desk) -> None:
    before = value(metrics.UPDATES)
    update = Incoming(1, 77, ANN.chat_id, {})
    intake.store_updates(desk, [update])
    intake.store_updates(desk, [update])
    assert value(metrics.UPDATES) == before + 1


@pytest.mark.parametrize(
    ("act", "outcome"),
    [
        (lambda desk, d: delivering.sent(desk, d, 1, 9), "sent"),
        (lambda desk, d: delivering.again(desk, d, 1, 1.0, "429"), "again"),
        (lambda desk, d: delivering.again(desk, d, 1, 1.0, "lost", uncertain=True), "uncertain"),
        (lambda desk, d: delivering.failed(desk, d, 1, "400"), "failed"),
        (lambda desk, d: delivering.customer_gone(desk, d, 1, "403"), "gone"),
        (lambda desk, d: recovering.recover(desk, hold_lease(desk)), "uncertain"),
    ],
)
def test_each_end_of_an_attempt_at_a_delivery_counts(
    desk: Desk, act: Callable[[Desk, int], object], outcome: str
) -> None:
    message = write(desk, 1)
    deciding.decide_batch(desk, [(message, predict())])
    [delivery] = dispatching.take(desk, [], 10, hold_lease(desk))
    assert delivery.message_id == message.id
    outcomes = ("sent", "again", "uncertain", "failed", "gone", "cancelled")
    before = {name: value(metrics.DELIVERIES, name) for name in outcomes}
    act(desk, delivery.id)
    after = {name: value(metrics.DELIVERIES, name) for name in outcomes}
    assert after == before | {outcome: before[outcome] + 1}


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Iterator[structlog.stdlib.BoundLogger]:
    import logging

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure("bot")
    yield structlog.get_logger("x")
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers = handlers
    root.setLevel(level)


def test_a_reply_that_a_person_overtakes_counts_as_cancelled_once(desk: Desk) -> None:
    stage = Stage(desk)
    stage.ask("two roses")
    thread = stage.topic()
    before = value(metrics.DELIVERIES, "cancelled")
    with capture_logs() as logs:
        operators.took(desk, stage.update(), OSCAR, thread)
    stage.take()
    assert value(metrics.DELIVERIES, "cancelled") == before + 1
    assert [entry["event"] for entry in logs].count("delivery.cancelled") == 1


def test_a_message_that_two_give_up_counts_as_late_once(desk: Desk) -> None:
    message = write(desk, 1)
    before = value(metrics.LATE)
    deciding.give_up(desk, [message.id])
    deciding.give_up(desk, [message.id])
    assert value(metrics.LATE) == before + 1


def test_warnings_and_errors_are_counted_by_event_and_a_librarys_by_its_name(
    log: structlog.stdlib.BoundLogger,
) -> None:
    import logging

    def now() -> list[float]:
        labels = [("warning", "redis_away"), ("error", "model.refused"), ("error", "rq")]
        return [value(metrics.PROBLEMS, *pair) for pair in labels]

    before = now()
    log.info("model.refused")
    log.warning("redis_away", reason="x")
    log.error("model.refused")
    logging.getLogger("rq.worker").error("job of customer %s is unreadable", 501)
    assert [b - a for a, b in zip(before, now(), strict=True)] == [1, 1, 1]
