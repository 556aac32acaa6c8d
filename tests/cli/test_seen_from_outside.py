"""The whole product seen from outside: every process's endpoint, one message in the logs."""

from __future__ import annotations

import json
import random
import re
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from classifier import registry
from cli import rundir
from cli.simulated import Simulator
from desk import metrics
from desk.domain import DeliveryState
from desk.store import Store
from desk.tables import DeliveryRow, Inbox, Message
from tests.cli.conftest import Place, settings_for

PROCESSES = ("bot", "inference", "training", "scheduler")
"""In the order of their ports."""
SAID = "where is my parcel"
Json = dict[str, Any]


def free_ports(count: int) -> int:
    """The first of so many free ports in a row."""
    while True:
        first = random.randrange(20000, 30000)
        with ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
        return first


def until(found: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, "did not come about in time"
        time.sleep(0.05)
    return value


@pytest.fixture(scope="module")
def desk(
    tmp_path_factory: pytest.TempPathFactory, models_dir: Path, pack_dir: Path, tiny_base: Path
) -> Iterator[Place]:
    """`frontdesk up` with METRICS_PORT, and a message of a customer that was answered."""
    folder = tmp_path_factory.mktemp("outside")
    settings = settings_for(folder, models_dir, pack_dir, tiny_base)
    made = Place(folder, settings | {"METRICS_PORT": str(free_ports(len(PROCESSES)))})
    try:
        made.up()
        assert made.run("chat", SAID, "--json").code == 0
        yield made
    finally:
        made.close()


def get(place: Place, process: str, path: str) -> tuple[int, str]:
    port = int(place.settings["METRICS_PORT"]) + PROCESSES.index(process)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except urllib.error.URLError:
        return 0, ""  # training starts last


def samples(place: Place, process: str) -> dict[str, float]:
    lines = get(place, process, "/metrics")[1].splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


@pytest.mark.parametrize("process", PROCESSES)
def test_every_process_becomes_ready_and_is_alive(desk: Place, process: str) -> None:
    until(lambda: get(desk, process, "/readyz")[0] == 200)
    code, text = get(desk, process, "/healthz")
    assert code == 200
    assert json.loads(text)["process"] == process
    assert samples(desk, process)['frontdesk_ready{need="database"}'] == 1


def test_one_message_is_counted_on_its_whole_way(desk: Place) -> None:
    bot = until(
        lambda: (
            (found := samples(desk, "bot"))
            and found['frontdesk_deliveries_total{outcome="sent"}']
            and found
        )
    )
    assert bot["frontdesk_updates_total"] >= 1
    assert bot['frontdesk_updates_handled_total{outcome="done"}'] >= 1
    assert bot['frontdesk_telegram_call_seconds_count{method="sendMessage"}'] >= 1
    assert bot["frontdesk_delivery_seconds_count"] >= 1
    worker = samples(desk, "inference")
    assert worker['frontdesk_decisions_total{action="answer",rule="confident"}'] == 1
    assert worker['frontdesk_jobs_total{outcome="decided"}'] == 1
    assert worker['frontdesk_jobs_total{outcome="failed"}'] == 0
    for name in ("batch_size", "queue_seconds", "tokenise_seconds", "model_seconds"):
        assert worker[f"frontdesk_{name}_count"] == 1, name
    assert worker["frontdesk_model_seconds_sum"] > 0
    assert worker['frontdesk_tokens_total{kind="text"}'] > 0
    [model] = [name for name in worker if name.startswith("frontdesk_model_info{")]
    assert str(registry.champion(Path(desk.settings["MODELS_DIR"]))) in model


def test_the_scheduler_shows_what_sql_and_redis_know(desk: Place) -> None:
    # It reads every few seconds: what it shows may be from before the worker had started.
    found = until(
        lambda: (
            (found := samples(desk, "scheduler"))
            and found.get('frontdesk_queue_workers{queue="classify"}') == 1
            and 'frontdesk_read_timestamp_seconds{source="database"}' in found
            and found
        )
    )
    for read in metrics.READ:
        assert any(name.partition("{")[0] == read.name for name in found), read.name
    assert 'frontdesk_read_timestamp_seconds{source="redis"}' in found
    assert found['frontdesk_inbox_updates{state="parked"}'] == 0


@pytest.mark.parametrize(
    ("process", "directory"),
    [("inference", "models"), ("training", "models"), ("scheduler", "data")],
)
def test_the_room_on_a_disk_is_shown_by_those_who_work_there(
    desk: Place, process: str, directory: str
) -> None:
    name = f'frontdesk_free_bytes{{directory="{directory}"}}'
    found = until(lambda: (found := samples(desk, process)).get(name) and found)
    folder = {"models": Path(desk.settings["MODELS_DIR"]), "data": desk.data_dir}[directory]
    assert abs(found[name] - shutil.disk_usage(folder).free) < 5e9  # others write there, too
    assert [each for each in found if each.startswith("frontdesk_free_bytes")] == [name]


def log_lines(place: Place, process: str) -> list[Json]:
    text = (place.data_dir / "logs" / f"{process}.log").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_every_line_of_every_process_is_json_and_says_who_wrote_it(desk: Place) -> None:
    for process in PROCESSES:
        until(lambda p=process: (desk.data_dir / "logs" / f"{p}.log").exists())
        for line in log_lines(desk, process):
            assert line.keys() >= {"timestamp", "level", "event", "process"}, line
            assert line["process"] == process
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line["timestamp"])


def test_one_message_can_be_followed_through_the_logs_by_its_ids(desk: Place) -> None:
    store = Store(str(rundir.read(desk.data_dir)["database"]))
    with store.reading() as session:
        message = session.scalars(select(Message).where(Message.text == SAID)).one()
        row = session.get_one(Inbox, message.inbox_id)
        [delivery] = session.scalars(
            select(DeliveryRow).where(
                DeliveryRow.message_id == message.id, DeliveryRow.state == DeliveryState.SENT
            )
        )
    store.dispose()
    bot, worker = log_lines(desk, "bot"), log_lines(desk, "inference")

    def one(lines: list[Json], event: str, **ids: object) -> Json:
        found = [e for e in lines if e["event"] == event and ids.items() <= e.items()]
        assert len(found) == 1, (event, ids, found)
        return found[0]

    stored = [e for e in bot if e["event"] == "updates.stored" and row.update_id in e["updates"]]
    assert len(stored) == 1
    ids = {"update": row.update_id, "inbox": row.id}
    one(bot, "message.stored", **ids, message=message.id, conversation=message.conversation_id)
    one(bot, "messages.enqueued", messages=[message.id])
    taken = one(worker, "batch.taken", messages=[message.id])
    model = registry.champion(Path(desk.settings["MODELS_DIR"]))
    decision = {"message": message.id, "action": "answer", "rule": "confident"}
    decided = one(worker, "messages.decided", model=model, decisions=[decision])
    sent = one(bot, "delivery_sent", delivery=delivery.id, message=message.id)
    assert sent["telegram"] == delivery.telegram_id
    moments = [stored[0]["timestamp"], taken["timestamp"], decided["timestamp"], sent["timestamp"]]
    assert moments == sorted(moments)


def test_no_text_of_a_customer_is_in_any_log(desk: Place) -> None:
    for path in (desk.data_dir / "logs").glob("*.log"):
        assert SAID not in path.read_text(encoding="utf-8"), path.name


def test_what_an_operator_does_is_in_the_log_with_the_conversation(desk: Place) -> None:
    simulator = Simulator(str(rundir.read(desk.data_dir)["url"]))
    found = desk.run("chat", "let me talk to a human about the chair", "--json").json()
    assert found["decision"] == "escalate"
    chat_id = -1001000000001
    card = until(
        lambda: [
            message
            for message in simulator.get(f"/sim/chats/{chat_id}/messages")
            if "human about the chair" in message.get("text", "")
        ]
    )[0]
    simulator.post(
        "/sim/operators/9001/send", {"text": "I am here", "thread": card["message_thread_id"]}
    )
    wrote = until(lambda: [e for e in log_lines(desk, "bot") if e["event"] == "operator.wrote"])[0]
    taken = next(e for e in log_lines(desk, "bot") if e["event"] == "conversation.taken")
    assert taken["conversation"] == wrote["conversation"]
    assert taken["update"] == wrote["update"]


def test_a_port_in_use_ends_a_process_with_a_sentence(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        result = place.run("worker", "scheduler", METRICS_PORT=port, REDIS_URL="redis://localhost")
    assert result.code == 2
    assert f"METRICS_PORT: 127.0.0.1:{port} cannot be used" in result.err
