"""`frontdesk up` and what it needs: each start that fails says what to do."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cli.processes import PROCESSES
from cli.simulated import Simulator
from tests.cli.conftest import Place, Result, real_bot
from tests.cli.test_seen_from_outside import free_ports

Command = Callable[..., Result]


def test_a_port_in_use_is_named_with_what_to_do(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        result = place.run("up", SIMULATOR_PORT=port)
    assert result.code == 2
    assert f"Port {port}" in result.err
    assert "SIMULATOR_PORT" in result.err
    assert not (place.data_dir / "run.json").exists()


def test_a_port_for_metrics_in_use_is_named_before_anything_starts(place: Place) -> None:
    first = free_ports(len(PROCESSES))
    with socket.create_server(("127.0.0.1", first + PROCESSES.index("training"))) as other:
        result = place.run("up", METRICS_PORT=str(first))
        port = other.getsockname()[1]
    assert result.code == 2
    assert f"METRICS_PORT {first}: training can't have port {port} of" in result.err
    assert "Stop the program that holds it" in result.err
    assert "Ready" not in result.out
    assert not (place.data_dir / "redis").exists()


def test_a_host_for_metrics_that_is_not_here_is_held_by_no_program(place: Place) -> None:
    result = place.run("up", METRICS_PORT=str(free_ports(len(PROCESSES))), METRICS_HOST="192.0.2.1")
    assert result.code == 2
    assert "Set METRICS_HOST to an address of this machine" in result.err
    assert "Stop the program" not in result.err


def test_the_simulators_port_is_none_of_those_for_metrics(place: Place) -> None:
    first = free_ports(len(PROCESSES))
    result = place.run("up", METRICS_PORT=str(first), SIMULATOR_PORT=str(first + 3))
    assert result.code == 2
    assert f"SIMULATOR_PORT {first + 3} is among the four ports that METRICS_PORT" in result.err
    assert not (place.data_dir / "redis").exists()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"REDIS_URL": "redis://:secret@127.0.0.1:1"},
            "Redis at redis://:***@127.0.0.1:1 does not",
        ),
        (
            {"DATABASE_URL": "postgresql://ada:secret@127.0.0.1:1/desk"},
            "The database at postgresql+psycopg://ada:***@127.0.0.1:1/desk does not answer",
        ),
    ],
    ids=["redis", "database"],
)
def test_what_does_not_answer_is_named_without_its_password(
    place: Place, settings: dict[str, str], sentence: str
) -> None:
    result = place.run("up", **settings)
    assert result.code == 1
    assert sentence in result.err
    assert "secret" not in result.err + result.out


def test_a_wrong_token_is_named_before_anything_starts(place: Place, telegram: Simulator) -> None:
    # The simulator knows this bot, under another secret.
    wrong = real_bot(telegram, BOT_TOKEN="123456:" + "C" * 35)
    result = place.run("up", **wrong)
    assert result.code == 2
    assert "does not know this bot token" in result.err
    assert not (place.data_dir / "redis").exists()
    alone = place.run("doctor", "--json", **wrong)
    assert alone.code == 1
    failed = [check for check in alone.json()["checks"] if check["status"] == "fail"]
    assert [check["check"] for check in failed] == ["telegram"]


def test_the_bot_alone_exits_with_2_for_a_wrong_token(place: Place, telegram: Simulator) -> None:
    wrong = real_bot(telegram, BOT_TOKEN="123456:" + "C" * 35, REDIS_URL="redis://127.0.0.1:1")
    assert place.run("migrate", **wrong).code == 0
    result = place.run("bot", **wrong)
    assert result.code == 2
    assert "does not know this bot token" in result.err


def test_a_silent_telegram_is_named(place: Place) -> None:
    result = place.run("up", **real_bot(Simulator("http://127.0.0.1:1")))
    assert result.code == 1
    assert "Telegram at http://127.0.0.1:1 does not answer" in result.err


@pytest.mark.parametrize("method", ["getMe", "getChat"])
def test_a_telegram_that_is_out_of_order_is_no_wrong_setting(
    place: Place, telegram: Simulator, method: str
) -> None:
    telegram.post("/sim/faults", {"kind": "server_error", "method": method})
    result = place.run("up", **real_bot(telegram))
    assert result.code == 1
    assert f"Telegram at {telegram.url} can't serve the bot now" in result.err


@pytest.mark.parametrize(
    ("chat_id", "sentence"), [("-1009", "is not in the operators' chat"), ("1", "less than 0")]
)
def test_a_chat_that_is_none_is_named(
    place: Place, telegram: Simulator, chat_id: str, sentence: str
) -> None:
    result = place.run("up", **real_bot(telegram, OPERATOR_CHAT_ID=chat_id))
    assert result.code == 2
    assert sentence in result.err


@pytest.mark.parametrize("lack", ["topics", "rights"])
def test_a_chat_without_topics_or_rights_is_named(
    place: Place, telegram: Simulator, lack: str
) -> None:
    chat_path = "/sim/chats/-1001000000001"
    change, back, sentence = {
        "topics": ({"is_forum": False}, {"is_forum": True}, "has no topics"),
        "rights": (
            {"bot": {"id": 777777, "status": "member"}},
            {"bot": {"id": 777777, "status": "administrator"}},
            "Manage topics",
        ),
    }[lack]
    place.run("doctor", **real_bot(telegram))  # the simulator enrols a bot when it first calls
    alter(telegram, chat_path, change)
    try:
        result = place.run("up", **real_bot(telegram))
    finally:
        alter(telegram, chat_path, back)
    assert result.code == 2
    assert sentence in result.err


def alter(telegram: Simulator, path: str, changes: dict[str, object]) -> None:
    with closing(HTTPConnection(urlsplit(telegram.url).netloc, timeout=10)) as connection:
        headers = {"Content-Type": "application/json"}
        connection.request("PATCH", path, json.dumps(changes), headers)
        assert connection.getresponse().status == 200


def test_a_pack_with_mistakes_is_refused_with_all_of_them(place: Place) -> None:
    pack = place.folder / "pack"
    pack.mkdir()
    text = (Path(place.settings["PACK"]) / "pack.yml").read_text()
    (pack / "pack.yml").write_text(text.replace("[where, refund]", "[wear, refound]"))
    result = place.run("up", PACK=str(pack))
    assert result.code == 2
    assert "'wear'" in result.err
    assert "'refound'" in result.err
