"""`frontdesk up` for real: every process, the chat through all of them, deaths, stops, restarts."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from classifier import registry
from cli import rundir
from cli.simulated import Simulator
from cli.up import first_question, quoted
from desk.domain import ConversationState
from desk.flow.desk import Desk
from desk.heartbeat import age
from desk.pack import load
from desk.store import Store
from desk.tables import Conversation, Customer, DecisionRow
from tests.classifier.tiny import misfit
from tests.cli.conftest import (
    ANSWER,
    BOT_ID,
    ROOT,
    Place,
    Result,
    make_examples,
    real_bot,
    write_jsonl,
)
from tests.cli.test_supervisor import lives

Command = Callable[..., Result]
KEYS = {"text", "reply", "intent", "confidence", "sentiment", "decision", "rule"}
CHILDREN = ["simulator", "bot", "inference", "training", "scheduler", "redis"]


def chat(place: Place, text: str = "where is my parcel") -> Result:
    return place.run("chat", text, "--json")


def stop(process_id: int, place: Place, number: signal.Signals = signal.SIGTERM) -> None:
    """Stop `up` and wait for its end."""
    [process] = [p for p in place.processes if p.pid == process_id]
    process.send_signal(number)
    process.wait(30)


def test_chat_goes_through_everything_and_says_why(shared: Place) -> None:
    result = chat(shared)
    assert result.code == 0, result.err
    found = result.json()
    assert found.keys() >= KEYS
    assert found["text"] == "where is my parcel"
    assert found["reply"] == ANSWER
    assert found["intent"] == "where"
    assert found["decision"] == "answer"
    assert found["rule"] == "confident"
    assert found["sentiment"] == "neutral"
    assert 0.5 < found["confidence"] <= 1
    assert result.err == ""


def test_chat_shows_an_escalation_and_the_operators_get_a_card(shared: Place) -> None:
    found = chat(shared, "let me talk to a human about the chair").json()
    assert found["decision"] == "escalate"
    assert found["rule"] == "intent_needs_person"
    run = rundir.read(shared.data_dir)
    chat_id = -1001000000001
    simulator = Simulator(str(run["url"]))
    deadline = time.monotonic() + 10
    while not any(
        "human about the chair" in message.get("text", "")
        for message in simulator.get(f"/sim/chats/{chat_id}/messages")
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_chat_without_json_is_for_people(shared: Place) -> None:
    result = shared.run("chat", "refund the lamp")
    assert "You get your money back" in result.out
    assert "rule confident" in result.out


def test_chat_takes_commands_too_and_says_where_there_was_no_decision(shared: Place) -> None:
    human = chat(shared, "/human").json()
    assert (human["decision"], human["rule"]) == ("escalate", "asked_for_person")
    assert human["intent"] is None
    assert "minutes" in human["reply"]
    start = chat(shared, "/start").json()
    assert start.keys() == human.keys()
    assert start["reply"] == "Hello Casey"
    assert (start["decision"], start["rule"]) == (None, None)
    helped = shared.run("chat", "/help", "--explain")
    assert helped.code == 0, helped.err
    assert "no decision" in helped.out


@pytest.mark.parametrize("text", ["", " \n"])
def test_chat_refuses_an_empty_message(frontdesk: Command, text: str) -> None:
    result = frontdesk("chat", text)
    assert result.code == 2
    assert "The message is empty" in result.err


@pytest.mark.parametrize("id_", ["0", "-1001234567890", "99999999999999999999999"])
def test_an_id_that_no_person_has_makes_no_operator(shared: Place, id_: str) -> None:
    before = shared.run("operators", "list").out
    refused = shared.run("operators", "add", "--", id_)
    assert refused.code == 2
    assert "user_id" in refused.err.lower()
    assert shared.run("operators", "list").out == before


def test_to_remove_an_operator_says_how_many_conversations_are_given_back(
    desk: Desk, frontdesk: Command
) -> None:
    assert frontdesk("operators", "add", "9003", "--name", "Sam").code == 0
    with desk.store.writing() as session:
        customer = Customer(chat_id=501, name="Ana")
        session.add(customer)
        session.flush()
        state = ConversationState.HUMAN
        session.add(Conversation(customer_id=customer.id, state=state, operator_id=9003))
    result = frontdesk("operators", "remove", "9003")
    assert result.code == 0, result.err
    assert result.out == (
        "9003 is no operator any more.\n"
        "Conversations that are given back: 1; customers who wait in them for any colleague: 0.\n"
    )
    assert frontdesk("operators", "add", "9003").code == 0
    assert "given back" not in frontdesk("operators", "remove", "9003").out


def test_up_registers_the_simulated_operators(shared: Place) -> None:
    rows = shared.run("operators", "list", "--json").json()
    assert {(row["user_id"], row["name"], row["role"]) for row in rows} >= {
        (9001, "Olga", "admin"),
        (9002, "Omar", "agent"),
    }


def test_a_verb_works_on_the_database_of_the_desk_that_runs_here(shared: Place) -> None:
    with_a_token = shared.run("operators", "list", "--json", BOT_TOKEN="123456789:" + "A" * 35)
    assert 9001 in {row["user_id"] for row in with_a_token.json()}


def test_the_page_opens(shared: Place) -> None:
    assert Simulator(str(rundir.read(shared.data_dir)["url"])).shows_page()


def test_a_second_up_on_the_same_data_says_who_has_it(shared: Place) -> None:
    result = shared.run("up")
    assert result.code == 1
    assert "already runs on DATA_DIR" in result.err
    assert str(rundir.read(shared.data_dir)["pid"]) in result.err


def test_doctor_finds_a_running_desk_in_order(shared: Place) -> None:
    deadline = time.monotonic() + 30
    while age(shared.data_dir, "training") is None and time.monotonic() < deadline:
        time.sleep(0.1)
    result = shared.run("doctor", "--json")
    found = result.json()
    assert result.code == 0, found
    assert found["ok"] is True
    assert {check["status"] for check in found["checks"]} == {"ok"}
    assert {check["check"] for check in found["checks"]} >= {"redis", "simulator", "training"}


@pytest.mark.parametrize("name", CHILDREN)
def test_a_child_that_is_killed_comes_back_and_the_next_chat_works(
    shared: Place, name: str
) -> None:
    before = shared.children()
    os.kill(before[name], signal.SIGKILL)
    result = chat(shared)
    assert result.code == 0, result.err
    assert result.json()["reply"] == ANSWER
    deadline = time.monotonic() + 30
    while (now := shared.children()).get(name, before[name]) == before[name]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert {k: v for k, v in now.items() if k != name} == {
        k: v for k, v in before.items() if k != name
    }


def test_sigterm_stops_everything_and_a_second_start_keeps_data(
    place: Place,
) -> None:
    process = place.up()
    assert chat(place).code == 0
    pids = list(place.children().values())
    stop(process.pid, place)
    assert process.returncode == 0
    assert not any(map(lives, pids))
    assert not rundir.is_locked(place.data_dir)
    out, err = process.communicate()
    ready, stopping = out.index("Ready in "), out.index("Stopping … (a second Ctrl-C kills")
    assert ready < stopping < out.index("Stopped.")
    assert err == ""

    process = place.up()
    found = chat(place)
    assert found.json()["reply"] == ANSWER, found.err
    store = Store(f"sqlite:///{place.data_dir / 'simulator.db'}")
    with store.reading() as session:
        assert session.query(Customer).count() == 2
    store.dispose()
    stop(process.pid, place, signal.SIGINT)
    out, _ = process.communicate()
    assert "Ready in " in out
    assert "Or ask from here: frontdesk chat 'Where is it'\n" in out  # the pack's first topic


def test_what_is_tried_first_is_a_topic_with_an_answer_quoted_as_people_write() -> None:
    insurance = load(ROOT / "packs" / "insurance")
    assert insurance.menu[0] == "emergency"  # who tries this out has none
    assert first_question(insurance) == insurance.intents["claim_start"].title["en"]
    only_people = {"intents": {"emergency": insurance.intents["emergency"]}, "menu": ()}
    assert first_question(insurance.model_copy(update=only_people)) == "It's an emergency"
    assert quoted("It's an emergency") == '"It\'s an emergency"'
    assert shlex.split(quoted("It's $HOME \"`!")) == ["It's $HOME \"`!"]


def test_a_verb_elsewhere_finds_the_database_of_a_desk_with_a_relative_data_dir(
    place: Place,
) -> None:
    place.up(DATA_DIR="data")
    elsewhere = replace(place, folder=place.folder / "elsewhere")
    elsewhere.folder.mkdir()
    rows = elsewhere.run("operators", "list", "--json")
    assert rows.code == 0, rows.err
    assert 9001 in {row["user_id"] for row in rows.json()}
    assert list(elsewhere.folder.iterdir()) == []


def test_a_verb_without_the_database_url_of_the_desk_that_runs_here_takes_no_other_database(
    place: Place, frontdesk: Command
) -> None:
    lock = rundir.take_lock(place.data_dir)
    rundir.write(place.data_dir, {"pid": os.getpid(), "mode": "telegram", "ready": True})
    try:
        for verb in (["migrate"], ["operators", "list"], ["backup", str(place.folder / "copy")]):
            result = frontdesk(*verb)
            assert result.code == 2, verb
            assert "with a DATABASE_URL that is not set here" in result.err
        [found] = [
            check
            for check in frontdesk("doctor", "--json").json()["checks"]
            if check["check"] == "database"
        ]
        assert found["status"] == "fail"
        assert "DATABASE_URL" in found["detail"]
    finally:
        os.close(lock)
    assert list(place.data_dir.glob("*.db")) == []


def test_a_verb_beside_a_start_that_has_not_named_its_database_yet_takes_no_other_one(
    place: Place, frontdesk: Command
) -> None:
    lock = rundir.take_lock(place.data_dir)
    try:
        result = frontdesk("operators", "list")
    finally:
        os.close(lock)
    assert result.code == 1
    assert "is just starting on DATA_DIR" in result.err
    assert list(place.data_dir.glob("*.db")) == []


def test_chat_starts_what_is_missing_and_stops_it_again(place: Place) -> None:
    result = chat(place)
    assert result.code == 0, result.err
    assert result.json()["reply"] == ANSWER
    assert not rundir.is_locked(place.data_dir)


def test_chat_without_a_model_says_that_it_trains_one_first_and_how_far_that_is(
    place: Place, no_models: Path
) -> None:
    result = chat(place)
    assert result.code == 0, result.err
    assert result.json()["model"] == registry.champion(no_models)
    assert "There is no model yet: training the starter model (once; five to ten" in result.err
    assert "Training: 100%" in result.err


def test_chat_in_vain_says_why_the_start_failed(place: Place) -> None:
    result = chat_with(place, REDIS_URL="redis://127.0.0.1:1")
    assert result.code == 1
    assert result.out == ""
    assert "Redis at redis://127.0.0.1:1 does not answer" in result.err


def chat_with(place: Place, **settings: str) -> Result:
    return place.run("chat", "hello", "--json", **settings)


def test_chat_with_a_real_bot_says_that_it_needs_the_simulator(place: Place) -> None:
    result = chat_with(place, BOT_TOKEN="123456789:" + "A" * 35)
    assert result.code == 2
    assert "needs the simulator" in result.err
    lock = rundir.take_lock(place.data_dir)
    rundir.write(place.data_dir, {"pid": os.getpid(), "mode": "telegram", "ready": True})
    result = chat_with(place)
    os.close(lock)
    assert result.code == 2
    assert "A real bot runs here" in result.err


def test_a_damaged_champion_is_named_and_people_get_the_messages_until_another_serves(
    place: Place, models_dir: Path
) -> None:
    models = Path(shutil.copytree(models_dir, place.folder / "models", symlinks=True))
    place.settings |= {"MODELS_DIR": str(models), "REPLY_DEADLINE": "1"}
    calibration = models / "champion" / "calibration.json"
    whole = calibration.read_bytes()
    calibration.write_text("{}")
    process = place.up()
    assert chat(place).json()["rule"] == "late"
    version, again = registry.champion(models), registry.new_version_name()
    assert version is not None
    calibration.write_bytes(whole)
    shutil.copytree(models / version, models / again)
    assert place.run("models", "promote", again).code == 0
    until(lambda: rundir.read(place.data_dir)["children"]["inference"]["ready"], "it serves")
    assert chat(place).json()["reply"] == ANSWER
    process.terminate()
    out, err = process.communicate(timeout=30)
    assert "Ready but for the model in" in out
    assert "calibration.json" in err
    assert "frontdesk models rollback" in err


def test_a_real_bot_that_can_call_nobody_does_not_start_with_a_damaged_champion(
    place: Place, models_dir: Path, telegram: Simulator
) -> None:
    models = Path(shutil.copytree(models_dir, place.folder / "models", symlinks=True))
    (models / "champion" / "calibration.json").write_text("{}")
    alone = {key: value for key, value in real_bot(telegram).items() if "CHAT" not in key}
    result = place.run("up", MODELS_DIR=str(models), **alone)
    assert result.code == 1
    assert "calibration.json" in result.err
    assert "frontdesk models rollback" in result.err


def test_a_real_bot_that_can_call_nobody_does_not_go_on_without_a_model(
    place: Place, models_dir: Path, telegram: Simulator
) -> None:
    models = Path(shutil.copytree(models_dir, place.folder / "models", symlinks=True))
    misfit((models / "champion").resolve())
    place.settings |= {"MODELS_DIR": str(models)}
    place.settings |= {key: value for key, value in real_bot(telegram).items() if "CHAT" not in key}
    sooner = "import cli.up, cli.main; cli.up.MODEL_TIMEOUT = 5; exit(cli.main.main(['up']))"
    process = place.start(code=sooner)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Ready" not in out
    assert "inference was not ready within 5 s" in err


def test_a_champion_that_is_no_pointer_is_told_and_people_get_the_messages(
    place: Place, models_dir: Path
) -> None:
    models = Path(shutil.copytree(models_dir, place.folder / "models"))  # as `cp -rL` does
    process = place.up(MODELS_DIR=str(models))
    process.terminate()
    out, err = process.communicate(timeout=30)
    assert "Ready but for the model in" in out
    assert "move it away" in err


def test_a_model_that_is_not_ready_in_time_is_told_with_its_reason_and_people_get_the_messages(
    place: Place, models_dir: Path
) -> None:
    models = Path(shutil.copytree(models_dir, place.folder / "models", symlinks=True))
    place.settings |= {"MODELS_DIR": str(models), "REPLY_DEADLINE": "1"}
    misfit((models / "champion").resolve())
    sooner = "import cli.up, cli.main; cli.up.MODEL_TIMEOUT = 5; exit(cli.main.main(['up']))"
    process = place.start(code=sooner)
    until(lambda: (rundir.running(place.data_dir) or {}).get("ready"), "it is ready")
    assert chat(place).json()["rule"] == "late"
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert "inference was not ready within 5 s. It said: model.refused: ValueError: " in err


def test_a_champion_of_another_pack_is_told_at_the_start(place: Place, pack_dir: Path) -> None:
    for folder, told in ((ROOT / "packs" / "insurance", True), (pack_dir, False)):
        process = place.up(PACK=str(folder))
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        said = " ".join(out.split())
        assert ("such as models-insurance; the first start there trains one" in said) is told


def test_a_name_among_the_settings_that_nobody_reads_is_told_once_and_stops_no_start(
    place: Place,
) -> None:
    (place.folder / ".env").write_text("RETENTION_DAY=90\n")
    process = place.up()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    told = "RETENTION_DAY in .env is no setting and is ignored. Did you mean RETENTION_DAYS?"
    assert " ".join(out.split()).count(told) == 1, out
    assert "RETENTION_DAY" not in err


def test_a_first_start_trains_the_starter_model(place: Place) -> None:
    place.settings["MODELS_DIR"] = str(place.folder / "models")
    place.up(timeout=120)
    assert chat(place).json()["model"] == registry.champion(place.folder / "models")


def test_while_the_starter_model_is_trained_people_get_the_messages(
    place: Place, pack_dir: Path
) -> None:
    _start_long_training(place, pack_dir, REPLY_DEADLINE="1")
    found = place.run("doctor", "--json").json()
    [models] = [one for one in found["checks"] if one["check"] == "models"]
    assert models["hint"] == "frontdesk up is training one"
    simulator = Simulator(str((rundir.running(place.data_dir) or {})["url"]))
    assert simulator.shows_page()
    simulator.post("/sim/customers", {"first_name": "Ada", "id": 77})
    sent = simulator.post("/sim/customers/77/send", {"text": "where is my parcel"})
    path = f"/sim/chats/77/wait?after={sent['message_id']}&from=bot&timeout=20"
    [told] = simulator.get(path, timeout=25)
    assert told["text"] != ANSWER
    store = Store(f"sqlite:///{place.data_dir / 'simulator.db'}")
    with store.reading() as session:
        [rule] = session.scalars(select(DecisionRow.rule))
    assert rule == "late"


def test_a_real_bot_without_a_group_tells_its_id_and_keeps_messages_while_the_starter_is_trained(
    place: Place, pack_dir: Path, telegram: Simulator
) -> None:
    alone = {key: value for key, value in real_bot(telegram).items() if "CHAT" not in key}
    process = _start_long_training(place, pack_dir, REPLY_DEADLINE="1", **alone)
    telegram.post("/sim/operators/9001/send", {"text": "/id"})
    until(lambda: "OPERATOR_CHAT_ID=-1001000000001" in _said(telegram, -1001000000001), "/id")
    telegram.post("/sim/customers", {"first_name": "Ada", "id": 78})
    telegram.post("/sim/customers/78/send", {"text": "where is my parcel", "bot": BOT_ID})
    until(lambda: any("nobody can be reached" in text for text in _said(telegram, 78)), "it tells")
    process.terminate()
    out, _ = process.communicate(timeout=30)
    assert "until there is a model, it can only keep messages" in out
    assert "write /id there" in out


def _said(telegram: Simulator, chat_id: int) -> list[str]:
    """The texts of the real bot in a chat."""
    found = telegram.get(f"/sim/chats/{chat_id}/messages?from=bot&limit=1000&bot={BOT_ID}")
    return [message["text"] for message in found if message["from"]["id"] == BOT_ID]


def test_a_stop_while_the_starter_model_is_trained_leaves_nothing_behind(
    place: Place, pack_dir: Path
) -> None:
    process = _start_long_training(place, pack_dir)
    children = list(place.children().values())
    stop(process.pid, place, signal.SIGINT)
    assert process.returncode == 0
    assert not Path(place.settings["MODELS_DIR"]).exists()
    assert not any(map(lives, children))


def _start_long_training(place: Place, pack_dir: Path, **settings: str) -> subprocess.Popen[str]:
    """`frontdesk up` in the first epoch of a starter model that takes longer than a test."""
    large = place.folder / "large"
    shutil.copytree(pack_dir, large)
    write_jsonl(large / "examples.jsonl", make_examples(each=8000))
    place.settings["MODELS_DIR"] = str(place.folder / "models")
    process = place.start("up", PACK=str(large), **settings)
    assert process.stderr is not None
    while "epoch 1" not in process.stderr.readline():
        assert process.poll() is None
    return process


def test_a_start_after_a_kill_finds_nothing_in_its_way(place: Place) -> None:
    process = place.up()
    pids = list(place.children().values())
    process.kill()
    process.communicate()
    again = place.up()
    assert not any(map(lives, pids))
    stop(again.pid, place)


@pytest.mark.parametrize("kind", ["terminal", "pipe"])
def test_a_desk_whose_output_nobody_can_read_any_more_goes_on(place: Place, kind: str) -> None:
    reader, writer = os.openpty() if kind == "terminal" else os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "up"],
        cwd=place.folder,
        env=place.environment(),
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=writer,
    )
    try:
        os.close(writer)
        until(lambda: (rundir.running(place.data_dir) or {}).get("ready"), "it is ready")
        os.close(reader)
        before = place.children()
        os.kill(before["scheduler"], signal.SIGKILL)
        until(lambda: place.children().get("scheduler", before["scheduler"]) != before["scheduler"])
        assert process.poll() is None
        assert chat(place).json()["reply"] == ANSWER
    finally:
        process.terminate()
        process.wait(30)


def until(condition: Callable[[], object], what: str = "it happens", seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)


def test_the_pack_of_these_tests_is_sound(pack_dir: Path) -> None:
    assert load(pack_dir).title == "Corner shop [/24h]"
