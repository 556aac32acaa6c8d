"""Redis with a user of its own and TLS: everything works, and nothing more is allowed."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ResponseError
from rq.job import Job

from bot import wakes
from bot.jobs import Jobs
from cli.errors import CommandError, MisconfiguredError
from cli.redis_fit import check_redis
from desk import queues
from desk.flow import runs
from tests.desk.acting import Stage
from tests.security.redis_server import certificate, tls_before, valkey
from tests.workers.dashboard import running
from workers.batching import BatchWorker
from workers.connection import connect
from workers.scheduler import Scheduler

ROOT = Path(__file__).parents[2]
PASSWORD = "correct-horse"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server with the rules of ops/redis.acl."""
    folder = tmp_path_factory.mktemp("redis")
    rules = (ROOT / "ops" / "redis.acl").read_text().replace("CHANGE-ME", PASSWORD)
    (folder / "users.acl").write_text(rules)
    with valkey(folder, "--aclfile", str(folder / "users.acl")) as port:
        yield port


@pytest.fixture(params=["clear", "tls"])
def url(
    request: pytest.FixtureRequest, guarded: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Its address, in the clear and through TLS."""
    if request.param == "clear":
        yield f"redis://frontdesk:{PASSWORD}@127.0.0.1:{guarded}/0"
        return
    cert, key = certificate(tmp_path_factory.mktemp("tls"))
    with tls_before(guarded, cert, key) as port:
        yield f"rediss://frontdesk:{PASSWORD}@127.0.0.1:{port}/0?ssl_ca_certs={cert}"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_everything_works_with_the_user_of_the_acl_file(url: str, desk: object) -> None:
    check_redis(url)
    connection = connect(url)
    heard = {channel: asyncio.Event() for channel in (queues.WAKE_SENDER, queues.WAKE_LANES)}
    stop = asyncio.Event()
    woken = {channel: event.set for channel, event in heard.items()}
    listening = asyncio.create_task(wakes.listen(url, woken, stop))
    announcer = wakes.Announcer(url, queues.WAKE_LANES)
    announcing = asyncio.create_task(announcer.run(stop))
    jobs = Jobs(url)
    jobs.classify([(n, 1) for n in range(20)])
    enqueued = asyncio.Event()
    enqueued.set()
    await jobs.run(enqueued)
    done: list[str] = []

    def run_batch(batch: Sequence[Job]) -> list[object]:
        done.extend(job.id for job in batch)
        # The first time one fails and is queued again.
        return [
            RuntimeError() if job.id == "classify-3-1" and len(done) <= 20 else 0 for job in batch
        ]

    worker = BatchWorker(queues.CLASSIFY, connection=connection, run_batch=run_batch, max_batch=32)
    worker.work(burst=True, logging_level="CRITICAL")
    assert len(done) == 21
    await asyncio.sleep(0.3)  # the confirmations of the subscriptions are heard as well
    for event in heard.values():
        event.clear()
    async with asyncio.timeout(20):
        while not all(event.is_set() for event in heard.values()):
            connection.publish(queues.WAKE_SENDER, "")
            announcer.announce()
            await asyncio.sleep(0.05)
    stage = Stage(desk)  # type: ignore[arg-type]
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    scheduler = Scheduler(stage.desk, connection, reply_deadline=20, retrain_at=None)
    scheduler.enqueue_runs()
    scheduler.enqueue_stuck()
    assert queues.queue(queues.TRAIN, connection).job_ids == [f"train-{run_id}-{attempt}"]
    queues.queue(queues.TRAIN, connection).empty()
    stop.set()
    await asyncio.gather(listening, announcing)
    jobs.close()
    connection.close()


def test_rq_info_works_with_it(url: str) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "rq.cli", "info", "--url", url],
        capture_output=True,
        text=True,
        timeout=60,
        env=dict(os.environ),
    )
    assert told.returncode == 0, told.stderr


def test_rq_dashboard_works_with_it(url: str, tmp_path: Path) -> None:
    connection = connect(url)
    with running(url, tmp_path, "--json") as board:
        queues.enqueue_classify(connection, [(1, 1), (2, 1), (3, 1)])
        worker = BatchWorker(
            queues.CLASSIFY,
            connection=connection,
            run_batch=lambda jobs: [RuntimeError()] * len(jobs),
            max_batch=32,
        )
        worker.work(burst=True, logging_level="CRITICAL")
        failed = [queues.classify_job_id(number, 1) for number in (1, 2, 3)]
        assert board.jobs(queues.CLASSIFY, "failed") == failed
        assert board.workers() == []
        board.press(f"/job/{failed[0]}/requeue")
        board.press(f"/job/{failed[1]}/delete")
        assert board.press(f"/requeue/{queues.CLASSIFY}") == {"status": "OK", "count": 1}
        board.press(f"/queue/{queues.CLASSIFY}/compact")
        assert board.jobs(queues.CLASSIFY, "queued") == [failed[0], failed[2]]
        board.press(f"/queue/{queues.CLASSIFY}/queued/empty")
        assert board.jobs(queues.CLASSIFY, "queued") == []
    connection.close()


FORBIDDEN: dict[str, Callable[[Redis], object]] = {
    "emptying the server": lambda r: r.flushall(),
    "reading its configuration": lambda r: r.config_get("*"),
    "listing all keys": lambda r: r.keys("*"),
    "finding out other keys' names": lambda r: r.scan(),
    "drawing the name of any key": lambda r: r.randomkey(),
    "being told the names of keys as they change": lambda r: r.execute_command(
        "CLIENT TRACKING", "ON", "BCAST"
    ),
    "choosing the keys it is told of": lambda r: r.execute_command("CLIENT CACHING", "YES"),
    "another program's key": lambda r: r.set("other", "x"),
    "another program's list": lambda r: r.lpush("session:1", "x"),
    "another channel": lambda r: r.publish("other", "x"),
    "copying to another server": lambda r: r.migrate("127.0.0.1", 1, "rq:x", 0, 1),
    "making users": lambda r: r.acl_setuser("eve", enabled=True),
    "watching what others do": lambda r: r.execute_command("MONITOR"),
    "stopping it": lambda r: r.execute_command("SHUTDOWN"),
    "a script that reaches for another key": lambda r: r.eval(
        "return redis.call('SET', KEYS[1], '1')", 1, "other"
    ),
    "a script that lists keys": lambda r: r.eval("return redis.call('SCAN', '0')", 0),
    "putting a function in another program's place": lambda r: r.function_load(
        "#!lua name=theirs\nserver.register_function('f', function() return 1 end)", replace=True
    ),
    "removing all functions": lambda r: r.function_flush(),
    "listing functions": lambda r: r.function_list(),
    "calling a function": lambda r: r.fcall("f", 0),
    "calling a function that only reads": lambda r: r.fcall_ro("f", 0),
    "forgetting all scripts": lambda r: r.script_flush(),
    "ending another program's script": lambda r: r.script_kill(),
}


@pytest.mark.parametrize("act", FORBIDDEN.values(), ids=FORBIDDEN)
def test_a_stolen_password_of_that_user_does_not_allow(
    act: Callable[[Redis], object], guarded: int
) -> None:
    with (
        Redis(port=guarded, username="frontdesk", password=PASSWORD) as client,
        pytest.raises(ResponseError, match=r"(?i)no permission"),
    ):
        act(client)


def test_without_the_password_or_with_a_wrong_one_nobody_comes_in(guarded: int) -> None:
    for address in ("redis://", "redis://frontdesk:wrong@", "redis://:x@"):
        with pytest.raises((MisconfiguredError, CommandError)) as told:
            check_redis(f"{address}127.0.0.1:{guarded}/0")
        assert "wrong" not in str(told.value)


def test_a_server_whose_certificate_nobody_vouches_for_is_refused(
    guarded: int, tmp_path: Path
) -> None:
    assert shutil.which("openssl"), "this test needs openssl"
    cert, key = certificate(tmp_path)
    with tls_before(guarded, cert, key) as port, pytest.raises(CommandError):
        check_redis(f"rediss://frontdesk:{PASSWORD}@127.0.0.1:{port}/0")
