"""doctor about the place: settings, pack, model, database, clock, disk and what is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from classifier import registry
from cli import rundir
from cli.findings import Status
from cli.processes import PROCESSES
from desk import heartbeat, queues
from desk.domain import FeedbackKind
from desk.flow import clocks
from desk.flow.desk import Desk
from desk.tables import Feedback
from tests.cli.conftest import ROOT, Place, Result, checks
from tests.cli.test_seen_from_outside import free_ports
from tests.desk.acting import OLGA, Stage
from tests.redis_servers import embedded_redis

Command = Callable[..., Result]


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
    lines = [detail for detail, _ in settings_warned_of(result)]
    no_value = "of .env is no NAME=value and is ignored"
    assert lines == [
        *(f"line {number} {no_value}" for number in (2, 3, 4)),
        "line 5 of .env is ignored: no setting is called so",
    ]
    assert "hunter" not in (result.out + result.err).lower()


def test_doctor_says_which_lines_of_the_file_of_settings_can_not_be_read(
    place: Place, frontdesk: Command
) -> None:
    write_env(
        '# ours\n\n\nBOT TOKEN=5\nfoo=bar\nRETENTION_DAYS="90\nMAX_BATCH="8"\n\nLOG_LEVEL=\'INFO\n'
    )
    result = frontdesk("doctor", "--json")
    hint = "Write it as NAME=value, with a quote at both ends of the value or at none"
    assert settings_warned_of(result) == [
        ("line 4 of .env can't be read and is ignored", hint),
        (
            "line 5 of .env is ignored: no setting is called so",
            "docs/settings.md has the settings",
        ),
        ("what stands from line 6 to 7 of .env can't be read and is ignored", hint),
        ("line 9 of .env can't be read and is ignored", hint),
    ]
    assert "kept for good" in checks(result)["retention"]["detail"]


def test_doctor_tells_lines_that_nobody_reads_once_and_beside_a_wrong_setting_too(
    place: Place,
) -> None:
    (place.folder / ".env").write_text("RETENTION_DAY=90\nMAX_BATCH=many\nLOG_LEVEL='INFO\n")
    result = place.run("doctor")
    assert result.code == 2
    assert "MAX_BATCH: write a whole number" in result.err
    assert "RETENTION_DAY in .env is no setting and is ignored. Did you mean" in result.err
    assert result.err.count("line 3") == 1
    assert "python-dotenv" not in result.err


def test_beside_up_doctor_warns_of_what_compose_alone_hands_on(
    place: Place, frontdesk: Command
) -> None:
    write_env("HTTPS_PROXY=http://proxy:3128\nNO_PROXY=x\nOMP_NUM_THREADS=2\n")
    assert settings_warned_of(frontdesk("doctor", "--json")) == []
    lock = rundir.take_lock(place.data_dir)
    try:
        told = settings_warned_of(frontdesk("doctor", "--json"))
    finally:
        os.close(lock)
    hint = "Put it into the environment of the process: docs/operations.md"
    assert told == [
        (f"{name} in .env does nothing without Compose", hint)
        for name in ("HTTPS_PROXY", "NO_PROXY", "OMP_NUM_THREADS")
    ]


def test_up_itself_warns_of_what_compose_alone_hands_on(place: Place) -> None:
    (place.folder / ".env").write_text("OMP_NUM_THREADS=2\n")
    result = place.run("up", REDIS_URL="redis://127.0.0.1:1/0")
    assert result.code == 1  # at once, for there is no such Redis
    assert "OMP_NUM_THREADS in .env does nothing without Compose" in " ".join(result.out.split())


def test_proxies_that_nobody_asks_are_no_settings(place: Place, frontdesk: Command) -> None:
    write_env("HTTP_PROXY=http://proxy:3128\nALL_PROXY=http://proxy:3128\n")
    assert settings_warned_of(frontdesk("doctor", "--json")) == [
        (f"{name} in .env is no setting and is ignored", "docs/settings.md has the settings")
        for name in ("HTTP_PROXY", "ALL_PROXY")
    ]


def test_a_file_of_settings_in_another_encoding_ends_a_command_with_2(
    place: Place, frontdesk: Command
) -> None:
    Path(".env").write_bytes("# Schlüssel\n".encode("latin-1"))
    for verb in ("doctor", "up"):
        result = frontdesk(verb)
        assert result.code == 2
        assert result.err.startswith("Error: .env is not in UTF-8")


def test_names_that_docker_compose_reads_from_the_file_of_settings_are_no_mistakes(
    place: Place, frontdesk: Command
) -> None:
    others = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docker/*.yml"))
    files = ["docker-compose.yml", *others, ".env.example"]
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


def test_what_doctor_says_to_do_about_a_damaged_model_of_before_leaves_a_way_to_roll_back(
    place: Place, models_dir: Path, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = Path(shutil.copytree(models_dir, place.folder / "models", symlinks=True))
    monkeypatch.setenv("MODELS_DIR", str(models))
    first = registry.champion(models)
    assert first is not None
    second, third, fourth = (registry.new_version_name() for _ in range(3))
    for name in (second, third, fourth):
        shutil.copytree(models / first, models / name)
        registry.promote(models, name)
    (models / second / "calibration.json").write_text("{}")
    shutil.rmtree(models / third)
    found = frontdesk("doctor", "--json").json()["checks"]
    [hint] = [each["hint"] for each in found if second in each["detail"]]
    assert hint == f"frontdesk models remove {second}"
    assert frontdesk(*hint.split()[1:]).code == 0
    back = frontdesk("models", "rollback")
    assert back.code == 0, back.err
    assert f"{first} serves again (before: {fourth})." in back.out
    assert f"Passed over, since the folder is gone: {third}" in back.out
    assert registry.champion(models) == first


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


def test_doctor_says_of_another_packs_champion_what_up_says(
    frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACK", str(ROOT / "packs" / "insurance"))
    found = checks(frontdesk("doctor", "--json"))["learnt"]
    assert found["status"] == "warn"
    assert "intents of insurance: it was trained for another pack" in found["detail"]
    assert "such as models-insurance; the first start there trains one" in found["hint"]
    assert "train --from-feedback" not in found["hint"]


@pytest.mark.parametrize(
    ("base", "says"),
    [
        ("bert", "BASE_MODEL bert is neither minilm nor a folder here, and was not downloaded"),
        ("./models/bert", "is neither minilm nor a folder here, nor a name of the hub's"),
    ],
)
def test_doctor_tells_a_base_model_that_is_not_here(
    frontdesk: Command, monkeypatch: pytest.MonkeyPatch, base: str, says: str
) -> None:
    assert "base" not in checks(frontdesk("doctor", "--json"))
    monkeypatch.setenv("BASE_MODEL", base)
    found = checks(frontdesk("doctor", "--json"))["base"]
    assert found["status"] == "warn"
    assert says in found["detail"]


def test_doctor_tells_examples_that_the_base_model_cannot_read(
    place: Place, pack_dir: Path, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited = Path(shutil.copytree(pack_dir, place.folder / "edited"))
    monkeypatch.setenv("PACK", str(edited))
    examples = edited / "examples.jsonl"
    with examples.open("a") as rows:
        rows.write('{"text": "今天天气真好", "intent": "out_of_scope"}\n')
    assert "base" not in checks(frontdesk("doctor", "--json"))
    with examples.open("a") as rows:
        rows.write('{"text": "我想退款", "intent": "refund"}\n')
    found = checks(frontdesk("doctor", "--json"))["base"]
    number = examples.read_text().count("\n")
    assert found["status"] == "warn"
    assert f" can't read 1 of the {number} examples ({examples}:{number})" in found["detail"]
    assert "Set BASE_MODEL" in found["hint"]


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


def test_doctor_warns_of_a_redis_that_throws_keys_away(
    tmp_path: Path, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with embedded_redis(tmp_path / "redis") as running, Redis.from_url(running.url) as server:
        monkeypatch.setenv("REDIS_URL", running.url)
        assert checks(frontdesk("doctor", "--json"))["redis"]["status"] == "ok"
        server.config_set("maxmemory-policy", "allkeys-lru")
        server.config_set("maxmemory", "1gb")
        found = checks(frontdesk("doctor", "--json"))["redis"]
    assert found["status"] == "warn"
    assert "noeviction" in found["hint"]


def test_doctor_finds_another_desk_in_the_same_database_of_redis(
    tmp_path: Path, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with embedded_redis(tmp_path / "redis") as running, Redis.from_url(running.url) as server:
        monkeypatch.setenv("REDIS_URL", running.url)
        for name in "abab":  # as the schedulers of two desks do
            queues.sign(server, name, again=True)
        found = checks(frontdesk("doctor", "--json"))["redis"]
    assert found["status"] == "fail"
    assert "another desk" in found["detail"]
    assert "REDIS_URL" in found["hint"]


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


def test_doctor_counts_the_labels_of_intents_that_the_pack_does_not_have(
    desk: Desk, frontdesk: Command
) -> None:
    stage = Stage(desk)

    def teach(intent: str) -> None:
        message_id = stage.ask("wrap it up")
        with desk.store.writing() as session:
            row = Feedback(message_id=message_id, kind=FeedbackKind.RELABEL, intent=intent, by=OLGA)
            session.add(row)

    teach("refund")
    assert "labels" not in checks(frontdesk("doctor", "--json"))
    for intent in ("gift", "wrapping", "wrapping"):
        teach(intent)
    found = checks(frontdesk("doctor", "--json"))["labels"]
    assert found["status"] == Status.WARN
    assert found["detail"] == "3 of intents that the pack does not have: wrapping (2), gift (1)"
    assert "`formerly`" in found["hint"]


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


def test_doctor_looks_at_each_port_for_metrics_where_no_desk_runs(
    place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = free_ports(len(PROCESSES))
    monkeypatch.setenv("METRICS_PORT", str(first))
    assert checks(frontdesk("doctor", "--json"))["metrics"]["status"] == "ok"
    with socket.create_server(("127.0.0.1", first + 1)):
        found = checks(frontdesk("doctor", "--json"))["metrics"]
        assert found["status"] == "warn"
        assert f"inference can't have port {first + 1} of" in found["detail"]
        # A process that lives here, started alone, has its port with every right.
        heartbeat.path(place.data_dir, "inference").parent.mkdir(parents=True)
        heartbeat.path(place.data_dir, "inference").touch()
        assert "metrics" not in checks(frontdesk("doctor", "--json"))


def test_doctor_looks_at_a_process_or_mends_but_not_both(frontdesk: Command) -> None:
    for also in (("--retry",), ("--dismiss", "7")):
        result = frontdesk("doctor", "--process", "bot", *also)
        assert result.code == 2
        assert "--process looks, and mends nothing" in result.err


@pytest.mark.parametrize("id_", ["99999999999999999999", "-99999999999999999999"])
def test_doctor_dismisses_no_update_whose_number_no_database_takes(
    desk: Desk, frontdesk: Command, id_: str
) -> None:
    result = frontdesk("doctor", "--dismiss", id_)
    assert result.code == 2
    assert f"no such parked update: {id_}" in result.err
