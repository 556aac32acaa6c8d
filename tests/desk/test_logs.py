"""Logs: one JSON object a line, without tokens and passwords."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from desk import heartbeat
from desk.scrubbing import scrub

TOKEN = "123456789:AAabcdefghijklmnopqrstuvwxyz0123456"
PROGRAM = f"""
import logging, structlog
from desk.logs import configure
configure("bot")
structlog.get_logger("x").info("started", url="https://api.telegram.org/bot{TOKEN}/getMe")
logging.getLogger("y").warning("at %s", "postgresql://desk:s3cret@host/db")
logging.getLogger("y").debug("not shown")
logging.getLogger("aiohttp.access").info("not shown")
try:
    raise RuntimeError("https://api.telegram.org/file/bot{TOKEN}/a.jpg")
except RuntimeError:
    logging.getLogger("z").exception("broken")
"""


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        (f"https://api.telegram.org/bot{TOKEN}/getMe", "https://api.telegram.org/bot***/getMe"),
        ("redis://:secret@host:6379/0", "redis://:***@host:6379/0"),
        ("postgresql://desk:s3cret@host/db", "postgresql://desk:***@host/db"),
        ("order 123456789: late", "order 123456789: late"),
        ("https://example.org/a@b", "https://example.org/a@b"),
    ],
)
def test_tokens_and_passwords_are_scrubbed(text: str, scrubbed: str) -> None:
    assert scrub(text) == scrubbed


def test_every_line_is_json_and_none_has_a_secret() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    assert TOKEN not in done.stderr
    assert "s3cret" not in done.stderr
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [event["event"] for event in events] == [
        "started",
        "at postgresql://desk:***@host/db",
        "broken",
    ]
    assert {event["process"] for event in events} == {"bot"}
    assert [event["level"] for event in events] == ["info", "warning", "error"]
    assert "RuntimeError" in events[2]["exception"]


def test_a_sign_of_life_has_an_age(tmp_path: Path) -> None:
    assert heartbeat.age(tmp_path, "bot") is None
    heartbeat.Heartbeat(tmp_path, "bot").beat()
    age = heartbeat.age(tmp_path, "bot")
    assert age is not None
    assert age < 5


def test_a_sign_of_life_that_can_not_be_written_ends_nobody_and_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("desk.heartbeat.time.monotonic", lambda: now)
    beating = heartbeat.Heartbeat(tmp_path, "bot")
    beating.beat()
    told = []
    for folder_is_there in (False, False, True, False):
        if folder_is_there:
            (tmp_path / "alive").mkdir()
        else:
            shutil.rmtree(tmp_path / "alive", ignore_errors=True)
        now += 1
        with capture_logs() as logs:
            beating.beat()
        told.append([entry["event"] for entry in logs])
    assert told == [["heartbeat_not_written"], [], [], ["heartbeat_not_written"]]
