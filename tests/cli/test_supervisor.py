"""The supervisor with children that are small scripts."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.compose import load_pack, read_settings
from cli.errors import CommandError, MisconfiguredError
from cli.processes import PROCESSES
from cli.supervisor import (
    GRACE,
    LAST_BACKOFF,
    LOG_LIMIT,
    Stage,
    StopRequestedError,
    Supervisor,
)
from cli.up import Run
from tests.cli.children import SLEEPS, STUBBORN, child, lives, never, turn_until
from tests.conftest import FLORIST


class Told:
    """What the supervisor told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, name: str, what: str, _good: bool) -> None:
        self.lines.append((name, what))


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def supervisor(tmp_path: Path, told: Told) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path / "logs", told)
    yield made
    made.stop_requests = 2
    made.stop()


def test_a_child_that_dies_is_started_again_and_the_pauses_grow(
    supervisor: Supervisor, told: Told
) -> None:
    one = child("raise SystemExit(1)")
    supervisor.start(one)
    turn_until(supervisor, lambda: one.restarts == 3)
    pauses = [what.rpartition(" in ")[2] for _, what in told.lines if "starting again" in what]
    assert pauses == ["0.2 s", "0.4 s", "0.8 s"]


def test_a_child_that_can_not_be_started_again_for_now_is_tried_until_it_can(
    supervisor: Supervisor, told: Told, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    program.symlink_to(sys.executable)
    one, other = child(SLEEPS), child(SLEEPS, "other")
    one.argv[0] = str(program)
    supervisor.start(one)
    supervisor.start(other)
    turn_until(supervisor, lambda: one.is_ready and other.is_ready)
    program.rename(tmp_path / "away")
    assert one.process is not None
    one.process.kill()
    turn_until(supervisor, lambda: one.restarts == 3)
    failures = [what for _, what in told.lines if "can't be started" in what]
    assert failures == [
        f"can't be started (No such file or directory); starting again in {pause}"
        for pause in ("0.4 s", "0.8 s")
    ]
    assert other.process is not None
    assert other.process.poll() is None
    (tmp_path / "away").rename(program)
    turn_until(supervisor, lambda: one.is_ready)


def test_a_log_that_somebody_removed_ends_nobody(supervisor: Supervisor) -> None:
    supervisor.start(child("raise SystemExit(2)", "bot", ready=never))
    [one] = supervisor.children
    assert one.process is not None
    assert one.log is not None
    one.process.wait(10)
    one.log.unlink()
    with pytest.raises(MisconfiguredError, match=r"bot can't run\. See .*bot\.log"):
        supervisor.turn()


def test_a_minute_of_health_forgets_earlier_deaths(supervisor: Supervisor) -> None:
    one = child(SLEEPS)
    supervisor.start(one)
    turn_until(supervisor, lambda: one.is_ready)
    one.backoff, one.restarts = 10.0, 5
    supervisor.turn()
    assert (one.backoff, one.restarts) == (10.0, 5)
    one.started -= 61
    supervisor.turn()
    assert (one.backoff, one.restarts) == (0.2, 0)


def test_a_child_with_wrong_settings_is_not_started_again_and_its_sentence_is_shown(
    supervisor: Supervisor,
) -> None:
    wrong = "print('Error: BOT_TOKEN is wrong.'); raise SystemExit(2)"
    supervisor.start(child(wrong, "bot", ready=never))
    with pytest.raises(MisconfiguredError, match=r"bot can't run\. BOT_TOKEN is wrong"):
        turn_until(supervisor, lambda: False)


def test_a_child_whose_settings_were_spoilt_after_it_was_ready_ends_nobody_else(
    supervisor: Supervisor, told: Told, tmp_path: Path
) -> None:
    spoilt, up = tmp_path / "spoilt", tmp_path / "up"
    works = (
        f"import pathlib, time\nif pathlib.Path({str(spoilt)!r}).exists():\n"
        "    print('Error: pack.yml has problems.'); raise SystemExit(2)\n"
        f"pathlib.Path({str(up)!r}).touch(); time.sleep(60)"
    )
    one = child(works, "inference", ready=lambda _: up.exists())
    supervisor.start(one)
    turn_until(supervisor, lambda: one.is_ready)
    spoilt.touch()
    up.unlink()
    assert one.process is not None
    one.process.kill()
    turn_until(supervisor, lambda: one.restarts == 2)
    assert one.due is not None
    assert one.backoff == LAST_BACKOFF
    assert any("can't run: pack.yml has problems" in what for _, what in told.lines)
    spoilt.unlink()
    one.due = 0.0
    turn_until(supervisor, lambda: one.is_ready)


def test_the_sentence_shown_is_not_that_of_an_earlier_run(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "bot.log").write_text("Error: something of yesterday\n")
    supervisor.start(child("raise SystemExit(2)", "bot", ready=never))
    with pytest.raises(MisconfiguredError) as caught:
        turn_until(supervisor, lambda: False)
    assert "yesterday" not in str(caught.value)
    assert "bot.log" in str(caught.value)


def test_the_last_error_of_a_json_log_is_shown_where_there_is_no_sentence(
    supervisor: Supervisor,
) -> None:
    lines = [
        {"level": "error", "event": "model.refused", "reason": "its head is missing"},
        {"level": "info", "event": "waiting"},
    ]
    script = (
        f"print({json.dumps(lines[0])!r}); print({json.dumps(lines[1])!r}); raise SystemExit(2)"
    )
    supervisor.start(child(script, "inference", ready=never))
    with pytest.raises(MisconfiguredError, match=r"model\.refused: its head is missing"):
        turn_until(supervisor, lambda: False)


def test_an_error_named_within_a_line_of_a_log_is_no_sentence(supervisor: Supervisor) -> None:
    line = {"level": "error", "event": "commit.failed", "reason": "OperationalError: locked"}
    script = f"print({json.dumps(line)!r}); raise SystemExit(2)"
    supervisor.start(child(script, "bot", ready=never))
    with pytest.raises(MisconfiguredError, match=r"It said: commit\.failed: OperationalError"):
        turn_until(supervisor, lambda: False)


def test_what_is_not_ready_in_time_is_an_error_with_its_last_words(supervisor: Supervisor) -> None:
    late = child("print('Error: Redis is away.', flush=True); " + SLEEPS)
    late.ready = lambda _: False
    supervisor.start(late)
    with pytest.raises(CommandError, match=r"was not ready within 3 s\. Redis is away"):
        supervisor.wait_ready([late], 3)


def test_children_stop_in_order_and_redis_last(supervisor: Supervisor, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    script = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        f"    open({str(journal)!r}, 'a').write(sys.argv[1] + ' ')\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        f"open({str(tmp_path)!r} + '/up-' + sys.argv[1], 'w')\n"
        "time.sleep(60)\n"
    )
    order = {"redis": Stage.REDIS, "inference": Stage.WORKERS, "bot": Stage.BOT}
    for name, stage in order.items():
        one = child(script, name, stage)
        one.argv.append(name)
        supervisor.start(one)
    turn_until(supervisor, lambda: all((tmp_path / f"up-{name}").exists() for name in order))
    supervisor.stop()
    assert journal.read_text().split() == ["bot", "inference", "redis"]


def test_a_child_that_ignores_the_request_to_stop_is_killed_after_its_grace(
    supervisor: Supervisor, tmp_path: Path, told: Told
) -> None:
    ready = tmp_path / "ready"
    one = child(STUBBORN.format(ready=f"open({str(ready)!r}, 'w')"), stage=Stage.REDIS)
    supervisor.start(one)
    turn_until(supervisor, ready.exists)
    pid = one.pid
    started = time.monotonic()
    supervisor.stop()
    assert pid is not None
    assert not lives(pid)
    assert 1.0 < time.monotonic() - started < 5.0
    assert ("child", "did not stop in time: killed") in told.lines


def test_a_second_request_to_stop_ends_everything_at_once(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    one = child(STUBBORN.format(ready=f"open({str(ready)!r}, 'w')"), stage=Stage.BOT)
    supervisor.start(one)
    turn_until(supervisor, ready.exists)
    supervisor.stop_requests = 2
    started = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - started < GRACE[Stage.BOT] / 2


def test_what_a_child_started_ends_with_it(supervisor: Supervisor, tmp_path: Path) -> None:
    note = tmp_path / "grandchild"
    script = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-c', {SLEEPS!r}])\n"
        f"open({str(note)!r}, 'w').write(str(p.pid) + '.')\n"
        "time.sleep(60)\n"
    )
    supervisor.start(child(script))
    turn_until(supervisor, lambda: note.exists() and note.read_text().endswith("."))
    grandchild = int(note.read_text()[:-1])
    assert lives(grandchild)
    supervisor.stop()
    assert not lives(grandchild)


def test_a_request_to_stop_ends_a_command_that_runs_once(supervisor: Supervisor) -> None:
    supervisor.stop_requests = 1
    started = time.monotonic()
    with pytest.raises(StopRequestedError):
        supervisor.run_once([sys.executable, "-c", SLEEPS], os.environ, "training")
    assert time.monotonic() - started < 5


def test_children_are_kept_alive_while_a_command_runs_once(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    # Dies at first, then lives; the command waits for its second life.
    life = f"import pathlib, time; p = pathlib.Path({str(again)!r})"
    one = child(
        f"{life}.with_name('first'); p.exists() and (p.with_name('again').touch(), "
        "time.sleep(60)); p.touch()"
    )
    supervisor.start(one)
    waits = (
        f"{life}\nfor _ in range(200):\n  if p.exists(): break\n  time.sleep(0.05)\nelse: exit(3)"
    )
    assert supervisor.run_once([sys.executable, "-c", waits], os.environ, "training") == 0
    assert one.restarts == 1


def test_a_log_that_has_grown_large_is_put_aside_at_a_start(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    log = tmp_path / "logs" / "child.log"
    log.parent.mkdir()
    with log.open("wb") as file:
        file.truncate(LOG_LIMIT + 1)
    supervisor.start(child(f"print('anew', flush=True)\n{SLEEPS}"))
    turn_until(supervisor, lambda: log.read_text() == "anew\n")
    assert log.with_suffix(".log.1").stat().st_size == LOG_LIMIT + 1


def test_the_log_of_a_child_that_runs_for_long_is_put_aside_and_goes_on(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.supervisor.LOG_SECONDS", 0.05)
    log = tmp_path / "logs" / "child.log"
    script = (
        "import pathlib, time\n"
        f"print('x' * {LOG_LIMIT}, flush=True)\n"
        f"while pathlib.Path({str(log)!r}).stat().st_size: time.sleep(0.02)\n"
        "print('still here', flush=True); time.sleep(60)\n"
    )
    supervisor.start(child(script))
    turn_until(supervisor, lambda: log.stat().st_size < 100 and "still here" in log.read_text())
    assert log.with_suffix(".log.1").stat().st_size == LOG_LIMIT + 1


def test_a_log_for_which_there_is_no_room_aside_grows_on(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_from: Path, to: Path) -> None:
        to.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cli.supervisor.LOG_SECONDS", 0.05)
    monkeypatch.setattr("cli.supervisor.shutil.copyfile", full)
    log = tmp_path / "logs" / "child.log"
    log.parent.mkdir()
    log.with_suffix(".log.1").write_text("of before")
    supervisor.start(child(f"print('x' * {LOG_LIMIT}, flush=True)\n{SLEEPS}"))
    turn_until(supervisor, lambda: log.stat().st_size > LOG_LIMIT)
    for _ in range(5):
        supervisor.turn()
        time.sleep(0.05)
    assert log.with_suffix(".log.1").read_text() == "of before"
    assert sorted(path.name for path in log.parent.iterdir()) == ["child.log", "child.log.1"]


def test_a_command_that_runs_once_is_among_the_living_until_it_ends(
    supervisor: Supervisor,
) -> None:
    seen: list[dict[str, float]] = []
    supervisor.changed = lambda: seen.append({one.name: one.started for one in supervisor.living()})
    assert supervisor.run_once([sys.executable, "-c", ""], os.environ, "starter") == 0
    assert [list(names) for names in seen] == [["starter"], []]
    assert time.time() - seen[0]["starter"] < 60, "others read since when"


def test_of_what_is_usually_killed_at_a_stop_something_else_is_told(
    supervisor: Supervisor, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GRACE, Stage.WORKERS, 0.0)
    ready = tmp_path / "ready"
    one = child(STUBBORN.format(ready=f"open({str(ready)!r}, 'w')"), "training")
    one.when_killed = "killed; it begins anew"
    supervisor.start(one)
    turn_until(supervisor, ready.exists)
    supervisor.stop()
    assert told.lines[-1] == ("training", "killed; it begins anew")


def test_a_training_worker_that_is_killed_at_a_stop_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where no .env is
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PACK", str(FLORIST))
    monkeypatch.setattr(Supervisor, "stop_on_signals", lambda _: None)
    monkeypatch.setattr(Supervisor, "start", lambda *_: None)
    settings = read_settings()
    run = Run(settings, load_pack(settings), quiet=True)
    told = {name: run._start_process(name, {}).when_killed for name in PROCESSES}
    assert told.pop("training") == (
        "killed; if it was training, that run begins anew at the next start"
    )
    assert set(told.values()) == {"did not stop in time: killed"}
