"""A whole run leaves no secret and no customer's text where others may look."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from cli import rundir
from simulator.world import DEFAULT_TOKEN
from tests.cli.conftest import Place, settings_for

SAID = ("where is my parcel zanzibar", "let me talk to a human about the zanzibar", "ZANZIBAR?!")


@pytest.fixture(scope="module")
def desk(
    tmp_path_factory: pytest.TempPathFactory, models_dir: Path, pack_dir: Path, tiny_base: Path
) -> Iterator[Place]:
    """A desk that was asked, called a person, and was restarted once."""
    folder = tmp_path_factory.mktemp("secrets")
    made = Place(folder, settings_for(folder, models_dir, pack_dir, tiny_base))
    try:
        for life in (1, 2):
            process = made.up()
            for text in SAID:
                assert made.run("chat", text, "--json").code == 0
            if life == 1:
                process.terminate()
                process.communicate(timeout=30)
        yield made
    finally:
        made.close()


def test_nothing_that_a_customer_wrote_is_in_redis_or_in_a_log(desk: Place) -> None:
    logs = list((desk.data_dir / "logs").iterdir())
    assert {path.stem for path in logs} >= {"bot", "inference", "scheduler"}
    for path in logs:
        assert "zanzibar" not in path.read_text().lower(), path.name
    # An append-only file holds what was ever written, deleted or not.
    kept = list((desk.data_dir / "redis").rglob("*.aof"))
    assert kept
    assert any(b"classify-1-1" in path.read_bytes() for path in kept)
    for path in kept:
        assert b"zanzibar" not in path.read_bytes().lower(), path.name
    with Redis.from_url(rundir.read(desk.data_dir)["redis_url"]) as client:
        for key in client.scan_iter("*"):
            assert b"zanzibar" not in (client.dump(key) or b"").lower()


def test_no_secret_is_in_a_log(desk: Place) -> None:
    secret = DEFAULT_TOKEN.partition(":")[2]
    for path in (desk.data_dir / "logs").iterdir():
        assert secret not in path.read_text(), path.name


def test_an_error_of_the_command_shows_no_password(desk: Place) -> None:
    told = desk.run(
        "doctor",
        "--json",
        DATABASE_URL="postgresql://desk:hunter22@127.0.0.1:1/desk",
        REDIS_URL="redis://:r3dispass@127.0.0.1:1/0",
        BOT_TOKEN="987654321:AAplantedplantedplantedplanted",
        TELEGRAM_API_URL="http://127.0.0.1:1",
    )
    said = told.out + told.err
    assert not json.loads(told.out)["ok"]
    for secret in ("hunter22", "r3dispass", "AAplanted"):
        assert secret not in said
