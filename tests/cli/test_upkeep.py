"""doctor, migrate and operators: what keeps a desk in order."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from cli.findings import Status
from desk.domain import DeliveryState, Incoming, Person
from desk.flow import clocks, customers, delivering, intake, leases
from desk.flow.desk import Desk
from desk.heartbeat import Heartbeat, path
from desk.pack import load
from desk.store import Store
from desk.tables import Customer, DeliveryRow
from tests.cli.conftest import ROOT, Place, Result
from tests.desk.acting import new_rows

Command = Callable[..., Result]


@pytest.fixture
def desk(place: Place, frontdesk: Command) -> Any:
    """The desk of a place whose database is there."""
    assert frontdesk("migrate").code == 0
    store = Store(f"sqlite:///{place.data_dir / 'simulator.db'}")
    yield Desk(store, load(Path(place.settings["PACK"])))
    store.dispose()


def checks(result: Result) -> dict[str, dict[str, str]]:
    return {check["check"]: check for check in result.json()["checks"]}


def park(desk: Desk, number: int = 1, error: str = "ValueError: no such thing") -> None:
    intake.store_updates(desk, [Incoming(1, number, 5, {"update_id": number})])
    [row] = new_rows(desk, 1)
    for _ in range(intake.MAX_ATTEMPTS):
        intake.failed(desk, row.id, error)


def test_migrate_can_be_repeated(frontdesk: Command) -> None:
    assert frontdesk("migrate").code == 0
    assert frontdesk("migrate").code == 0


def test_migrate_names_a_database_that_does_not_answer(
    frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://ada:secret@127.0.0.1:1/desk")
    result = frontdesk("migrate")
    assert result.code == 1
    assert "does not answer" in result.err
    assert "secret" not in result.err


def test_migrate_waits_for_a_server_that_is_away_and_not_for_a_database_it_can_not_migrate(
    desk: Desk, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk.store.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    started = time.monotonic()
    assert "9999, which this version does not know" in frontdesk("migrate", "--wait", "30").err
    assert time.monotonic() - started < 15
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/desk")
    started = time.monotonic()
    assert "does not answer" in frontdesk("migrate", "--wait", "1").err
    assert time.monotonic() - started >= 1


def test_an_operators_name_is_shown_as_it_is(desk: Desk, frontdesk: Command) -> None:
    assert frontdesk("operators", "add", "42", "--name", "Ada [/b] [red]").code == 0
    assert "Ada [/b] [red]" in frontdesk("operators", "list").out


def test_operators_are_added_listed_and_removed(desk: Desk, frontdesk: Command) -> None:
    assert frontdesk("operators", "list", "--json").json() == []
    assert frontdesk("operators", "add", "42", "--name", "Ada", "--role", "admin").code == 0
    rows = frontdesk("operators", "list", "--json").json()
    assert rows == [{"user_id": 42, "name": "Ada", "role": "admin", "from_chat": False}]
    assert "Ada" in frontdesk("operators", "list").out
    removed = frontdesk("operators", "remove", "42")
    assert removed.code == 0
    assert "an administrator of the operators' group is an admin again within ten" in removed.err
    gone = frontdesk("operators", "remove", "42")
    assert gone.code == 1
    assert "42 is no operator" in gone.err


@pytest.mark.parametrize("user_id", ["abc", "0", "4503599627370497", "@ada", "９００３"])
def test_what_is_no_operators_id_is_told_with_what_to_write(
    frontdesk: Command, user_id: str
) -> None:
    refused = frontdesk("operators", "add", user_id)
    assert refused.code == 2
    told = " ".join(refused.err.replace("│", " ").split())  # a box, whose lines are of any width
    assert f"'{user_id}' is no user's id; write a whole number" in told


def test_operators_before_the_first_migration_say_what_to_run(frontdesk: Command) -> None:
    result = frontdesk("operators", "list")
    assert result.code == 1
    assert "Run: frontdesk migrate" in result.err


def test_doctor_in_a_new_place_has_no_complaint_that_up_would_not_mend(
    place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELS_DIR", str(place.folder / "none"))
    result = frontdesk("doctor", "--json")
    found = checks(result)
    assert result.code == 0, found
    assert {name for name, check in found.items() if check["status"] == "warn"} == {
        "database",
        "models",
    }
    assert "frontdesk train" in found["models"]["hint"]
    assert not place.data_dir.exists()  # it only looks


@pytest.mark.parametrize(
    ("mode", "status"), [(0o600, "ok"), (0o400, "ok"), (0o640, "warn"), (0o644, "warn")]
)
def test_doctor_warns_of_a_file_of_secrets_that_others_may_read(
    place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch, mode: int, status: str
) -> None:
    monkeypatch.chdir(place.folder)
    Path(".env").write_text("FLOOD_PER_MINUTE=20\n")
    Path(".env").chmod(mode)
    result = frontdesk("doctor", "--json")
    found = checks(result)["env"]
    assert found["status"] == status
    assert found["hint"] == ("chmod 600 .env" if status == "warn" else "")
    assert result.code == 0


def write_env(lines: str) -> None:
    Path(".env").write_text(lines)
    Path(".env").chmod(0o600)


def settings_warned_of(result: Result) -> list[tuple[str, str]]:
    rows = [row for row in result.json()["checks"] if row["check"] == "settings"]
    assert {row["status"] for row in rows} <= {Status.WARN}
    return [(row["detail"], row["hint"]) for row in rows]


def test_doctor_warns_of_names_in_the_file_of_settings_that_nobody_reads(
    place: Place, frontdesk: Command
) -> None:
    write_env("RETENTION_DAY=90\nexport TOKEN=123\nCOLOUR=red\nMAX_BATCH=8\nretention_dais=1\n")
    result = frontdesk("doctor", "--json")
    ignored = "in .env is no setting and is ignored"
    assert settings_warned_of(result) == [
        (f"RETENTION_DAY {ignored}", "Did you mean RETENTION_DAYS?"),
        (f"TOKEN {ignored}", "Did you mean BOT_TOKEN?"),
        (f"COLOUR {ignored}", "docs/settings.md has the settings"),
        (f"retention_dais {ignored}", "Did you mean RETENTION_DAYS?"),
    ]
    assert result.code == 0
    assert "RETENTION_DAYS is not set here" in checks(result)["retention"]["detail"]


def test_doctor_shows_no_value_of_a_line_without_a_name(place: Place, frontdesk: Command) -> None:
    write_env("BOT_TOKEN\n123456789:hunter2hunter2\nhunter2\nHUNTER2\nhunter_2=\n")
    result = frontdesk("doctor", "--json")
    told = settings_warned_of(result)
    assert len(told) == 4
    assert {detail for detail, _ in told} == {"a line of .env is no NAME=value and is ignored"}
    assert "hunter" not in (result.out + result.err).lower()


def test_names_that_docker_compose_reads_from_the_file_of_settings_are_no_mistakes(
    place: Place, frontdesk: Command
) -> None:
    files = ["docker-compose.yml", "docker/gpu.yml", "docker/monitoring.yml", ".env.example"]
    texts = [(ROOT / file).read_text() for file in files]
    named = {name for text in texts for name in re.findall(r"\$\{([A-Z_]+)", text)}
    named |= set(re.findall(r"^      ([A-Z_]+):(?: #.*)?$", texts[0], re.M))  # handed on
    named |= set(re.findall(r"^#?([A-Z_]+)=", texts[-1], re.M))
    assert named > {"POSTGRES_PASSWORD", "HTTPS_PROXY", "NO_PROXY", "TORCH_INDEX_URL"}
    write_env("".join(f"{name}=\n" for name in sorted({*named, "COMPOSE_PROJECT_NAME"})))
    assert settings_warned_of(frontdesk("doctor", "--json")) == []


@pytest.mark.parametrize(
    ("days", "told"),
    [
        ("", "RETENTION_DAYS is not set here: customers are kept for good"),
        ("90", "customers are erased after 90 days of silence"),
    ],
)
def test_doctor_always_says_how_long_customers_are_kept(
    frontdesk: Command, monkeypatch: pytest.MonkeyPatch, days: str, told: str
) -> None:
    monkeypatch.setenv("RETENTION_DAYS", days)
    found = checks(frontdesk("doctor", "--json"))["retention"]
    assert (found["status"], found["detail"]) == (Status.OK, told)


def test_doctor_beside_a_worker_without_a_token_does_not_speak_of_the_simulator(
    frontdesk: Command, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = checks(frontdesk("doctor", "--json"))
    assert found["telegram"]["detail"] == "no BOT_TOKEN: the simulator plays Telegram"
    assert "simulator" in found
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    found = checks(frontdesk("doctor", "--json"))
    assert found["telegram"]["status"] == Status.OK
    assert found["telegram"]["detail"] == "no BOT_TOKEN here: Telegram was not looked at"
    assert "simulator" not in found


def test_doctor_finds_a_damaged_champion(
    place: Place, models_dir: Path, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = Path(shutil.copytree(models_dir, place.folder / "models", symlinks=True))
    (models / "champion" / "calibration.json").write_text("{}")
    monkeypatch.setenv("MODELS_DIR", str(models))
    result = frontdesk("doctor", "--json")
    assert result.code == 1
    assert result.json()["ok"] is False
    assert checks(result)["models"]["status"] == "fail"
    assert "rollback" in checks(result)["models"]["hint"]


def test_doctor_tells_what_a_pack_has_that_the_champion_was_not_trained_for(
    place: Place,
    pack_dir: Path,
    models_dir: Path,
    frontdesk: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert checks(frontdesk("doctor", "--json"))["learnt"]["status"] == "ok"
    edited = Path(shutil.copytree(pack_dir, place.folder / "edited"))
    with (edited / "examples.jsonl").open("a") as rows:
        rows.write('{"text": "do you sell gift cards?", "intent": "gift_card"}\n')
    monkeypatch.setenv("PACK", str(edited))
    found = checks(frontdesk("doctor", "--json"))["learnt"]
    assert found["status"] == "warn"
    assert found["detail"] == "the champion has never seen the examples of: gift_card"
    assert found["hint"] == "frontdesk train --from-feedback"
    monkeypatch.setenv("PACK", str(pack_dir))
    models = Path(shutil.copytree(models_dir, place.folder / "models", symlinks=True))
    monkeypatch.setenv("MODELS_DIR", str(models))

    def said(**change: object) -> str:
        manifest = models / "champion" / "manifest.json"
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change))
        found = frontdesk("doctor", "--json")
        assert "disk" in checks(found)
        return str(checks(found)["learnt"]["detail"])

    says = "the champion never answers unasked what the pack would: refund"
    assert said(recipe={"never_answered": ["person", "refund", "unknown"]}) == says
    # As one that was trained before there was such a list.
    assert said(recipe={}) == "the champion was proved on answers that now go to people: person"
    assert "does not say what it was trained on" in said(data=None)
    (edited / "examples.jsonl").unlink()
    monkeypatch.setenv("PACK", str(edited))
    assert "learnt" not in checks(frontdesk("doctor", "--json"))


def test_doctor_finds_an_outdated_database_and_redis_away(
    place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.data_dir.mkdir()
    (place.data_dir / "simulator.db").touch()
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    result = frontdesk("doctor", "--json")
    found = checks(result)
    assert result.code == 1
    assert "frontdesk migrate" in found["database"]["detail"]
    assert found["redis"]["status"] == "fail"


def test_doctor_warns_of_a_server_that_would_keep_a_dead_clients_locks(
    frontdesk: Command, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped = f"{postgres_url}&options=-c%20idle_in_transaction_session_timeout%3D0"
    monkeypatch.setenv("DATABASE_URL", dropped)
    result = frontdesk("doctor", "--json")
    assert "ALTER ROLE" in checks(result)["database"]["hint"]


@pytest.mark.parametrize(("ahead", "status"), [(25.0, "fail"), (-25.0, "fail"), (0.5, "ok")])
def test_doctor_compares_this_hosts_clock_with_the_databases(
    frontdesk: Command,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    ahead: float,
    status: str,
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    monkeypatch.setattr(clocks, "offset", lambda _: ahead)
    found = checks(frontdesk("doctor", "--json"))["clock"]
    assert found["status"] == status
    assert ("NTP" in found["hint"]) == (status == "fail")


def test_doctor_finds_a_wrong_pack(
    place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACK", str(place.folder))
    result = frontdesk("doctor")
    assert result.code == 1
    assert "frontdesk validate" in result.out


def test_doctor_tells_what_is_installed_and_broken(place: Place) -> None:
    broken = place.folder / "broken"
    for library in ("torch", "aiohttp"):
        (broken / library).mkdir(parents=True)
        (broken / library / "__init__.py").write_text(f"raise ImportError('no lib{library}.so')")
    done = place.run(
        "doctor", "--json", PYTHONPATH=f"{broken}:{ROOT}", BOT_TOKEN="123456789:" + "A" * 35
    )
    found = checks(done)
    for check, library in (("torch", "torch"), ("telegram", "aiohttp")):
        assert found[check]["status"] == Status.FAIL
        assert found[check]["detail"] == f"installed, but can't be loaded: no lib{library}.so"
        assert "pip install --force-reinstall" in found[check]["hint"]


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="no tmpfs is known here")
def test_doctor_says_where_what_is_written_does_not_last(
    frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", "/dev/shm/frontdesk-data")
    rows = [row for row in frontdesk("doctor", "--json").json()["checks"] if row["check"] == "disk"]
    assert [row["detail"].partition(" free for ")[2].split(" ", 1)[0] for row in rows] == [
        *("DATA_DIR", "MODELS_DIR")
    ]
    assert [row["detail"].endswith(" (in memory)") for row in rows] == [True, False]


def test_doctor_shows_parked_updates_and_gives_them_another_round(
    desk: Desk, frontdesk: Command
) -> None:
    park(desk)
    found = checks(frontdesk("doctor", "--json"))
    assert found["updates"]["status"] == Status.WARN
    assert found["updates"]["detail"] == "1 parked: 1 (ValueError)"
    assert "--retry" in found["updates"]["hint"]
    result = frontdesk("doctor", "--retry", "--json")
    assert checks(result)["updates"]["status"] == Status.OK
    assert "1 updates" in result.err
    assert len(new_rows(desk, 1)) == 1


def test_doctor_closes_parked_updates_that_are_given_up(desk: Desk, frontdesk: Command) -> None:
    park(desk)
    [(id_, *_)] = intake.parked(desk)
    assert frontdesk("doctor", "--retry", "--dismiss", str(id_)).code == 2
    assert frontdesk("doctor", "--dismiss", "99").code == 1
    assert len(intake.parked(desk)) == 1
    result = frontdesk("doctor", "--dismiss", str(id_), "--json")
    assert checks(result)["updates"]["status"] == Status.OK
    assert f"Closed: {id_}." in result.err
    assert new_rows(desk, 1) == []


def test_doctor_says_how_many_wait_for_a_person_and_warns_beyond_the_sla(
    desk: Desk, frontdesk: Command
) -> None:
    found = checks(frontdesk("doctor", "--json"))["waiting"]
    assert (found["status"], found["detail"]) == (Status.OK, "nobody waits for a person")
    now = datetime.now(UTC)
    for number, minutes in ((1, 20), (2, 40)):
        then = replace(desk, clock=lambda ago=minutes: now - timedelta(minutes=ago))
        intake.store_updates(then, [Incoming(1, number, number, {})])
        [row] = new_rows(then, 1)
        customers.asked_for_person(then, row.id, Person(number, "Ada"), "/human")
    found = checks(frontdesk("doctor", "--json"))["waiting"]
    longest = now - timedelta(minutes=40)
    assert found["status"] == Status.WARN
    assert found["detail"] == (
        f"2 for a person, the longest since {longest:%Y-%m-%d %H:%M} UTC: "
        "longer than sla.first_reply_minutes (30), in opening hours"
    )
    with desk.store.writing() as session:
        gone = select(Customer).where(Customer.chat_id == 2)
        session.scalars(gone).one().gone = True
    found = checks(frontdesk("doctor", "--json"))["waiting"]
    assert found["status"] == Status.OK
    assert found["detail"].startswith("1 for a person")


def test_doctor_counts_who_is_banned(desk: Desk, frontdesk: Command) -> None:
    with desk.store.writing() as session:
        for number in range(3):
            banned_at = desk.clock() if number else None
            session.add(Customer(chat_id=number, name="Ann", banned_at=banned_at))
    found = checks(frontdesk("doctor", "--json"))
    assert found["customers"]["status"] == Status.OK
    assert found["customers"]["detail"].startswith("2 banned")


def test_doctor_names_every_parked_update_and_quotes_no_customer(
    desk: Desk, frontdesk: Command
) -> None:
    unreadable = (
        "UnreadableError: 1 validation error for Update\nmessage.text\n  Input should be a valid "
        "string [type=string_type, input_value=['my card is 4111'], input_type=list]\n"
        "    For further information visit https://errors.pydantic.dev/2.11/v/string_type"
    )
    park(desk, 1, unreadable)
    park(desk, 2, "my card is 4111: it is lost")
    detail = checks(frontdesk("doctor", "--json"))["updates"]["detail"]
    assert detail == "2 parked: 1 (UnreadableError), 2 (unknown error)"
    for number in range(3, 13):
        park(desk, number)
    detail = checks(frontdesk("doctor", "--json"))["updates"]["detail"]
    assert detail.startswith("12 parked: 1 (UnreadableError), ")
    assert detail.endswith("10 (ValueError), …")


def test_the_simulators_people_do_not_become_a_real_bots(
    desk: Desk, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert frontdesk("operators", "add", "9001", "--role", "admin").code == 0
    monkeypatch.setenv("BOT_TOKEN", "123456789:" + "A" * 35)
    assert frontdesk("migrate").code == 0
    assert frontdesk("operators", "list", "--json").json() == []
    monkeypatch.delenv("BOT_TOKEN")
    assert len(frontdesk("operators", "list", "--json").json()) == 1


def test_doctor_retries_refused_deliveries_but_not_to_those_who_left(
    desk: Desk, frontdesk: Command
) -> None:
    with desk.store.writing() as session:
        session.add(Customer(chat_id=6, name="Gone", gone=True))
        for chat_id in (5, 6):
            session.add(
                DeliveryRow(
                    key=f"k{chat_id}",
                    chat_id=chat_id,
                    method="sendMessage",
                    payload={},
                    state=DeliveryState.FAILED,
                )
            )
    assert "2 refused" in checks(frontdesk("doctor", "--json"))["deliveries"]["detail"]
    result = frontdesk("doctor", "--retry", "--json")
    assert "1 waiting, 1 refused" in checks(result)["deliveries"]["detail"]


@pytest.mark.parametrize("told", [True, False])
def test_doctor_says_what_it_does_not_retry_since_it_may_have_arrived(
    desk: Desk, frontdesk: Command, told: bool
) -> None:
    with desk.store.writing() as session:
        row = DeliveryRow(
            key="k",
            chat_id=5,
            method="sendMessage",
            payload={},
            state=DeliveryState.FAILED,
            uncertain=True,
            error=f"sent twice, and {delivering.PERHAPS_ARRIVED}",
        )
        session.add(row)
        session.flush()
        if told:
            notice = DeliveryRow(key=f"failed:{row.id}", chat_id=-1, method="sendMessage")
            notice.payload, notice.state = {}, DeliveryState.SENT
            session.add(notice)
    result = frontdesk("doctor", "--retry", "--json")
    assert "0 deliveries" in result.err
    assert "Left out: 1 deliveries that were tried twice and may have arrived" in result.err
    found = checks(result)["deliveries"]
    assert "0 refused by Telegram, 1 uncertain (1 given up" in found["detail"]
    if told:
        assert (found["status"], found["hint"]) == (Status.OK, "")
    else:
        assert found["status"] == Status.WARN
        assert "1 of these were given up without a word to the operators" in found["detail"]
        assert "delivery_failed" in found["hint"]


def test_doctor_says_whose_turn_it_is(desk: Desk, frontdesk: Command) -> None:
    leases.hold(desk, leases.Holding(leases.SCHEDULER, "web-2/place:77:1:a"))
    leases.hold(desk, leases.Holding("bot:1", "web-1/place:78:1:b"), seconds=-1)
    found = checks(frontdesk("doctor", "--json"))
    assert found["lease scheduler"]["detail"] == "held by web-2, process 77"
    assert found["lease bot:1"]["detail"] == "free; web-1, process 78 had it last"
    assert {found[name]["status"] for name in ("lease scheduler", "lease bot:1")} == {Status.OK}


@contextmanager
def shut_out(*folders: Path) -> Iterator[None]:
    """For a block, be somebody who may not enter these folders: permissions do not bind root."""
    user = os.geteuid()
    modes = {folder: folder.stat().st_mode for folder in folders}
    for folder in folders:
        folder.chmod(0)
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        for folder, mode in modes.items():
            folder.chmod(mode)


def test_doctor_as_another_user_finishes_and_gives_no_advice_that_does_harm(
    place: Place, models_dir: Path, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = Path(shutil.copytree(models_dir, place.folder / "models", symlinks=True))
    monkeypatch.setenv("MODELS_DIR", str(models))
    assert frontdesk("migrate").code == 0
    monkeypatch.chdir("/")
    with shut_out(place.data_dir, models):
        result = frontdesk("doctor", "--json")
        listed = frontdesk("models", "list")
    found = checks(result)
    assert result.code == 1
    assert found["database"]["status"] == found["models"]["status"] == "fail"
    assert "Permission denied" in found["database"]["detail"]
    assert "the user that Frontdesk runs as" in found["database"]["hint"]
    assert "champion: cannot be read (Permission denied)" in found["models"]["detail"]
    assert "signs_of_life" in found, "it went on to the end"
    assert listed.code == 1
    assert "cannot be read (Permission denied)" in listed.err


@pytest.mark.parametrize("process", ["bot", "inference", "training", "scheduler"])
def test_a_health_check_looks_at_one_sign_of_life(
    place: Place, frontdesk: Command, process: str
) -> None:
    silent = frontdesk("doctor", "--process", process)
    assert silent.code == 1
    assert "never gave a sign of life" in silent.out
    Heartbeat(place.data_dir, process).beat()
    assert frontdesk("doctor", "--process", process).code == 0
    os.utime(path(place.data_dir, process), (0, 0))
    assert frontdesk("doctor", "--process", process).code == 1


def test_a_health_check_is_light(place: Place) -> None:
    script = (
        "import sys\nfrom cli.main import main\nmain(['doctor', '--process', 'bot', '--json'])\n"
        "print(sorted({'torch', 'sqlalchemy', 'rq', 'aiogram'} & set(sys.modules)), "
        "file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=place.folder,
        env=place.environment(),
        capture_output=True,
        text=True,
    )
    assert done.stderr.strip() == "[]"
    assert json.loads(done.stdout)["ok"] is False


def test_a_health_check_of_nothing_known_is_a_wrong_use(frontdesk: Command) -> None:
    result = frontdesk("doctor", "--process", "butler")
    assert result.code == 2
    assert "bot, inference, training, scheduler" in result.err
