"""What a process shows of itself: liveness, readiness, metrics; and never a wait for others."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from desk import heartbeat, observing
from desk.domain import DeskError
from desk.health import STALE_SECONDS, Health
from desk.observing import Endpoint

Get = Callable[[str], tuple[int, str]]


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def endpoint(health: Health) -> Iterator[Endpoint]:
    registry = CollectorRegistry()
    Counter("flowers", "Flowers.", registry=registry).inc(3)
    made = Endpoint("bot", "127.0.0.1", 0, registry, health)
    yield made
    made.close()


@pytest.fixture
def get(endpoint: Endpoint) -> Get:
    def ask(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{endpoint.port}{path}", timeout=30) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return ask


def test_metrics_are_shown_in_the_text_format(get: Get) -> None:
    code, text = get("/metrics")
    assert code == 200
    assert "flowers_total 3.0" in text.splitlines()


@pytest.mark.parametrize("host", ["::1", "::"])
def test_it_listens_on_addresses_of_ipv6_too(
    health: Health, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "_turned", time.monotonic())  # this process may be old by now
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no IPv6 here")
    made = Endpoint("bot", host, 0, CollectorRegistry(), health)
    try:
        with urllib.request.urlopen(f"http://[::1]:{made.port}/healthz", timeout=30) as answer:
            assert answer.status == 200
    finally:
        made.close()


def test_another_path_says_which_there_are(get: Get) -> None:
    code, text = get("/")
    assert code == 404
    assert json.loads(text) == {"paths": ["/healthz", "/metrics", "/readyz"]}


def test_a_process_is_alive_while_its_loop_turns(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "_turned", time.monotonic())
    code, text = get("/healthz")
    assert code == 200
    assert json.loads(text)["alive"] is True


def test_a_loop_that_hangs_is_not_alive(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "_turned", time.monotonic() - heartbeat.STALE_SECONDS - 1)
    code, text = get("/healthz")
    assert code == 503
    found = json.loads(text)
    assert found["process"] == "bot"
    assert found["alive"] is False
    assert found["heartbeat_age_seconds"] > heartbeat.STALE_SECONDS


def test_a_process_that_starts_is_given_time_but_not_for_ever(
    get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "_turned", None)
    monkeypatch.setattr(heartbeat, "_started", time.monotonic() - heartbeat.STALE_SECONDS - 1)
    assert get("/healthz")[0] == 200
    monkeypatch.setattr(heartbeat, "_started", time.monotonic() - observing.START_SECONDS - 1)
    assert get("/healthz")[0] == 503


def test_readiness_names_what_is_missing(get: Get, health: Health) -> None:
    health.need(["database", "model"])
    health.have("database")
    health.lack("model", "no champion")
    code, text = get("/readyz")
    assert code == 503
    assert json.loads(text) == {
        "process": "bot",
        "ready": False,
        "missing": {"model": "no champion"},
        "standby": False,
    }
    health.have("model")
    code, text = get("/readyz")
    assert code == 200
    assert json.loads(text) == {
        "process": "bot",
        "ready": True,
        "missing": {},
        "standby": False,
    }


def test_a_process_that_stands_by_is_ready_and_says_so(get: Get, health: Health) -> None:
    health.leads("scheduler", mine=False)
    code, text = get("/readyz")
    assert (code, json.loads(text)["standby"]) == (200, True)
    health.leads("scheduler", mine=True)
    assert json.loads(get("/readyz")[1])["standby"] is False


def test_what_was_never_heard_of_is_missing(health: Health) -> None:
    health.need(["telegram"])
    assert health.missing() == {"telegram": "not there yet"}


def test_a_check_that_fails_says_what_kind_of_error_and_not_its_text(health: Health) -> None:
    def check() -> None:
        raise ConnectionError("redis://:secret@host:6379/0")

    health.need(["redis"])
    health.watch("redis", check)
    deadline = time.monotonic() + 30
    while health.missing() == {"redis": "not there yet"} and time.monotonic() < deadline:
        time.sleep(0.01)
    assert health.missing() == {"redis": "does not answer (ConnectionError)"}


def test_a_database_that_hangs_does_not_hang_the_probe(get: Get, health: Health) -> None:
    hanging = threading.Event()
    health.need(["database"])
    health.watch("database", hanging.wait)
    try:
        code, text = get("/readyz")
    finally:
        hanging.set()
    assert code == 503
    assert json.loads(text)["missing"] == {"database": "not there yet"}


def test_an_answer_that_is_old_counts_no_more() -> None:
    now = 100.0
    health = Health(clock=lambda: now)
    health.need(["database", "model"])
    health.have("model")
    health._look("database", lambda: None)
    assert health.missing() == {}
    now += STALE_SECONDS + 1
    assert health.missing() == {"database": "has not answered for 16 s"}


def test_a_port_in_use_is_said_with_what_to_do(health: Health) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(DeskError) as caught:
            Endpoint("bot", "127.0.0.1", port, CollectorRegistry(), health)
    assert f"METRICS_PORT: 127.0.0.1:{port} cannot be used (Address already in use)" in str(
        caught.value
    )


def test_a_client_that_sends_nothing_does_not_hold_up_the_others(
    endpoint: Endpoint, get: Get
) -> None:
    with socket.create_connection(("127.0.0.1", endpoint.port)):
        assert get("/metrics")[0] == 200
