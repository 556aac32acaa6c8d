"""migrate, operators, health checks, and doctor about the work: what keeps a desk in order."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest
from sqlalchemy import select, text, update

from cli.findings import Status
from cli.simulated import HOST, UPDATE_ID_GAP, Simulator, begin_anew, choose_port
from desk.domain import DeliveryState, Incoming, Person
from desk.flow import customers, delivering, intake, leases, runs
from desk.flow.desk import Desk
from desk.heartbeat import Heartbeat, path
from desk.tables import Customer, DeliveryRow, Inbox, RunRow
from simulator.world import DEFAULT_TOKEN
from tests.cli.conftest import Place, Result, checks
from tests.desk.acting import hold_lease, new_rows

Command = Callable[..., Result]


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
    assert gone.code == 2
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


def test_doctor_names_a_bot_of_which_updates_are_left(desk: Desk, frontdesk: Command) -> None:
    intake.store_updates(desk, [Incoming(501, 1, 7, {}), Incoming(502, 2, 7, {})])
    assert checks(frontdesk("doctor", "--json"))["updates"]["status"] == Status.OK
    hold_lease(desk, leases.bot_lease(502))
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    with desk.store.writing() as session:
        session.execute(update(Inbox).values(received_at=long_ago))
    found = checks(frontdesk("doctor", "--json"))["updates"]
    assert found["status"] == Status.WARN
    assert found["detail"].startswith("1 are left of the bot 501, which runs no longer")
    assert "BOT_TOKEN" in found["hint"]


def test_doctor_closes_parked_updates_that_are_given_up(desk: Desk, frontdesk: Command) -> None:
    park(desk)
    [(id_, *_)] = intake.parked(desk)
    assert frontdesk("doctor", "--retry", "--dismiss", str(id_)).code == 2
    assert frontdesk("doctor", "--dismiss", "99").code == 2
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


def test_a_simulator_that_begins_anew_numbers_its_updates_past_those_that_the_desk_has(
    desk: Desk, place: Place
) -> None:
    bot_id = int(DEFAULT_TOKEN.partition(":")[0])
    intake.store_updates(desk, [Incoming(bot_id, 5000, 5, {})])
    port = choose_port(0)
    simulator = Simulator(f"http://{HOST}:{port}")
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--port", str(port)],
        cwd=place.folder,
        env=place.environment(),
    )
    try:
        deadline = time.monotonic() + 20
        while not simulator.answers():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        begin_anew(desk, simulator, bot_id)
        simulator.post("/sim/customers", {"first_name": "Ada", "id": 77})
        simulator.post("/sim/customers/77/send", {"text": "hello"})
        url = f"{simulator.url}/bot{DEFAULT_TOKEN}/getUpdates"
        with urlopen(url) as answer:  # noqa: S310 - always http, to this machine
            updates = json.load(answer)["result"]
        assert min(update["update_id"] for update in updates) == 5001 + UPDATE_ID_GAP
    finally:
        process.kill()
        process.wait()


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


def test_doctor_warns_of_a_run_that_no_worker_takes(desk: Desk, frontdesk: Command) -> None:
    runs.order_run(desk, "nightly")
    assert "runs" not in checks(frontdesk("doctor", "--json"))
    with desk.store.writing() as session:
        session.query(RunRow).one().created_at -= timedelta(minutes=11)
    found = checks(frontdesk("doctor", "--json"))["runs"]
    assert found["status"] == Status.WARN
    assert "training run 1 waits for a training worker since 20" in found["detail"]
    assert "frontdesk train --from-feedback here" in found["hint"]


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
