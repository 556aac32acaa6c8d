"""The command as a whole: help, speed, errors and exit codes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

from bot import app
from bot.checks import WrongSettingsError
from desk.domain import DeskError
from desk.store import Store
from desk.tables import Customer
from tests.cli.conftest import ROOT, Place, Result, make_examples, write_jsonl

Command = Callable[..., Result]
VERBS = [
    ["up"],
    ["bot"],
    ["worker", "inference"],
    ["worker", "training"],
    ["worker", "scheduler"],
    ["chat"],
    ["train"],
    ["evaluate"],
    ["compare"],
    ["thresholds"],
    ["classify"],
    ["validate"],
    ["import"],
    ["export"],
    ["report"],
    ["feedback", "list"],
    ["feedback", "export"],
    ["feedback", "withdraw"],
    ["models", "list"],
    ["models", "promote"],
    ["models", "rollback"],
    ["models", "remove"],
    ["models", "prune"],
    ["operators", "list"],
    ["operators", "add"],
    ["operators", "remove"],
    ["customers", "list"],
    ["customers", "export"],
    ["customers", "erase"],
    ["migrate"],
    ["backup"],
    ["restore"],
    ["doctor"],
]


def test_the_command_says_which_version_it_is(frontdesk: Command) -> None:
    result = frontdesk("--version")
    assert result.code == 0
    assert result.out.startswith("frontdesk 0.")


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_explains_itself_with_an_example(frontdesk: Command, verb: list[str]) -> None:
    result = frontdesk(*verb, "--help")
    assert result.code == 0
    assert "Example: " in result.out
    assert " ".join(verb) in result.out.split("Example: ")[1]


def test_the_verbs_are_those_that_are_tested(frontdesk: Command) -> None:
    from cli.verbs import app

    named = {
        command.name or command.callback.__name__
        for command in app.registered_commands
        if command.callback
    }
    groups = {group.name for group in app.registered_groups}
    assert named | groups == {verb[0] for verb in VERBS}


def test_help_loads_none_of_the_heavy_libraries() -> None:
    script = (
        "import sys\nfrom cli.main import main\nmain(['--help'])\n"
        "heavy = {'torch', 'aiogram', 'rq', 'sqlalchemy', 'aiohttp', 'pydantic', 'structlog'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_wrong_option_exits_with_2(frontdesk: Command) -> None:
    assert frontdesk("doctor", "--frobnicate").code == 2


@pytest.mark.parametrize("worker", ["inference", "training"])
def test_a_worker_whose_device_is_not_there_ends_with_2_at_once(
    frontdesk: Command, monkeypatch: pytest.MonkeyPatch, worker: str
) -> None:
    monkeypatch.setenv("DEVICE", "cuda:99")
    monkeypatch.setenv("DATABASE_URL", "sqlite:////nowhere/frontdesk.db")
    result = frontdesk("worker", worker)
    assert result.code == 2
    assert "the device is 'cuda:99', but torch sees" in result.err


@pytest.mark.parametrize(
    ("library", "verb", "extra"),
    [
        ("torch", ("train",), "'.[cpu]' (or [gpu])"),
        ("numpy", ("classify", "where is my parcel"), "'.[cpu]' (or [gpu])"),
        ("tokenizers", ("evaluate",), "'.[cpu]' (or [gpu])"),
        ("aiogram", ("bot",), "'.[bot]'"),
    ],
)
def test_a_library_that_is_not_installed_is_named_with_the_extra_that_has_it(
    place: Place, library: str, verb: tuple[str, ...], extra: str
) -> None:
    script = f"import sys\nsys.modules[{library!r}] = None\nfrom cli.main import main\n"
    settings = place.environment(BOT_TOKEN="777777:" + "a" * 35, REDIS_URL="redis://127.0.0.1:1")
    assert place.run("migrate", **settings).code == 0
    done = subprocess.run(
        [sys.executable, "-c", f"{script}sys.exit(main({list(verb)!r}))"],
        cwd=place.folder,
        env=settings,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert f"Error: {library} is not installed here. In the folder" in done.stderr
    assert done.stderr.endswith(f"pip install --editable {extra}\n")


def test_a_bot_without_the_classifiers_libraries_explains_its_errors_all_the_same() -> None:
    script = (
        "import sys\nsys.modules |= dict.fromkeys(('torch', 'tokenizers', 'numpy'))\n"
        "from cli.errors import explain\nfrom desk.domain import DeskError\n"
        "assert explain(DeskError('Redis is away.')) == ('Redis is away.', 1)\n"
        "assert explain(ValueError()) is None\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_wrong_settings_are_listed_and_exit_with_2(
    frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEVICE", "abacus")
    monkeypatch.setenv("MAX_BATCH", "0")
    result = frontdesk("operators", "list")
    assert result.code == 2
    assert "DEVICE" in result.err
    assert "MAX_BATCH" in result.err
    assert "docs/settings.md" in result.err


@pytest.mark.parametrize(
    ("verb", "needs_device"),
    [
        (("classify", "where is my parcel"), True),
        (("evaluate",), True),
        (("thresholds",), True),
        (("compare", "champion", "champion"), True),
        (("validate", "--quick"), True),
        (("train", "--data", "few.jsonl", "--out", "m", "--epochs", "1"), True),
        (("models", "list"), False),
        (("import", "few.jsonl", "--into", "mine"), False),
        (("export", "out.csv", "--format", "csv"), False),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_verb_is_not_stopped_by_a_wrong_setting_that_it_does_not_use(
    verb: tuple[str, ...],
    needs_device: bool,
    place: Place,
    frontdesk: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_jsonl(place.folder / "few.jsonl", make_examples(each=4))
    (place.folder / ".env").write_text("DATABASE_URL=postgresql://[bad\nMAX_BATCH=0\n")
    monkeypatch.setenv("BOT_TOKEN", "nonsense")
    monkeypatch.setenv("WEBHOOK_URL", "https://x.example")
    if not needs_device:
        monkeypatch.setenv("DEVICE", "abacus")
    result = frontdesk(*verb)
    assert result.code != 2, result.err
    monkeypatch.setenv("DEVICE", "abacus")
    result = frontdesk(*verb, *(("--force",) if verb[0] == "export" else ()))
    assert (result.code == 2) == needs_device, result.err
    wrong = "Error: Some settings are wrong (see docs/settings.md):\n  DEVICE: 'abacus' won't do."
    assert (wrong in result.err) == needs_device  # `models list` goes on, and says what it left out


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"BOT_TOKEN": "nonsense"}, "BOT_TOKEN: must look like"),
        ({"DATABASE_URL": "what is this"}, "DATABASE_URL is no database address"),
        ({"PACK": "nowhere"}, "Set PACK to a pack's folder"),
        ({"WEBHOOK_URL": "https://x.example", "WEBHOOK_SECRET": "s"}, "BOT_TOKEN is not"),
        ({"REDIS_URL": "ftp://x"}, "REDIS_URL: must start with redis://"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_up_refuses_settings_that_cannot_work(
    place: Place, settings: dict[str, str], sentence: str
) -> None:
    result = place.run("up", **settings)
    assert result.code == 2
    assert sentence in result.err
    assert "Traceback" not in result.err


def test_a_bot_without_a_token_says_where_to_get_one(frontdesk: Command) -> None:
    result = frontdesk("bot")
    assert result.code == 2
    assert "@BotFather" in result.err


@pytest.mark.parametrize(("kind", "code"), [(WrongSettingsError, 2), (DeskError, 1)])
def test_a_bot_ends_with_2_only_for_wrong_settings_whatever_the_sentence_says(
    kind: type[DeskError], code: int, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(_: object) -> None:
        raise kind("Whatever it is.")

    monkeypatch.setattr(app, "run", run)
    monkeypatch.setenv("BOT_TOKEN", "123456789:" + "A" * 35)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    assert frontdesk("migrate").code == 0
    result = frontdesk("bot")
    assert result.code == code
    assert "Whatever it is." in result.err


def test_a_worker_without_redis_says_what_to_set(frontdesk: Command) -> None:
    assert frontdesk("migrate").code == 0
    result = frontdesk("worker", "scheduler")
    assert result.code == 2
    assert "REDIS_URL is not set" in result.err


def test_a_worker_waits_for_migrations_and_then_says_what_to_run(frontdesk: Command) -> None:
    result = frontdesk("worker", "scheduler", "--wait", "0.5")
    assert result.code == 1
    assert "Run: frontdesk migrate" in result.err
    assert "waited 0.5 s" in result.err


def test_an_unforeseen_error_is_a_sentence_and_no_traceback(
    frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_models: Path) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("classifier.registry.versions", broken)
    result = frontdesk("models", "list")
    assert result.code == 1
    assert "ZeroDivisionError: oh" in result.err
    assert "Traceback" not in result.err


def test_ctrl_c_exits_with_130(frontdesk: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_models: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("classifier.registry.versions", interrupted)
    assert frontdesk("models", "list").code == 130


def test_ctrl_c_while_the_verbs_are_loaded_exits_with_130_and_shows_no_traceback() -> None:
    script = (
        "import importlib.metadata, runpy, signal, sys\n"
        "class Impatient:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer':\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Impatient())\n"
    )
    for begin in (
        "runpy.run_module('cli', run_name='__main__')",
        "sys.exit(importlib.metadata.entry_points(name='frontdesk')['frontdesk'].load()())",
    ):
        done = subprocess.run(
            [sys.executable, "-c", script + begin], cwd=ROOT, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize(
    ("closed", "verb", "says"),
    [
        (">&-", "--version", "Standard output is closed"),
        (">&-", "classify hi", "Standard output is closed"),
        ("<&-", "classify -", "Standard input is closed"),
        ("<&-", "chat", "Say what the customer writes"),
    ],
)
def test_a_stream_that_is_closed_and_needed_is_told_with_2(
    place: Place, closed: str, verb: str, says: str
) -> None:
    shell = f"exec '{sys.executable}' -m cli {verb} {closed}"
    done = subprocess.run(
        ["sh", "-c", shell],
        cwd=place.folder,
        env=place.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert says in done.stderr


@pytest.mark.parametrize(("closed", "verb"), [(">&- 2>&-", "--version"), ("2>&-", "migrate")])
def test_where_standard_error_is_closed_the_exit_code_alone_tells(
    place: Place, closed: str, verb: str
) -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec '{sys.executable}' -m cli {verb} {closed}"],
        cwd=place.folder,
        env=place.environment(FLOOD_PER_MINUTE="many"),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("train", "--data", "nope.jsonl"), "nope.jsonl: there is no such file"),
        (("train", "--data", "data.jsonl", "--test", "nope"), "nope: there is no such file"),
        (("train", "--data", "data.jsonl", "--base", "./empty"), "has no readable config.json"),
        (("train", "--data", "empty"), "empty is a folder: name its examples.jsonl"),
        (("evaluate", "--data", "empty"), "or set PACK to it"),
        (("evaluate", "--model", "nope"), "nope: there is no such model"),
        (("evaluate", "--model", "empty"), "is not a model directory"),
        (("evaluate", "--data", "nope"), "nope: there is no such file"),
        (("evaluate", "--cross-validate", "50", "--data", "data.jsonl"), "take fewer folds"),
        (("classify", "-", "hello"), "- reads the texts from standard input, so it stands alone"),
        (("classify", "hello", "--model", "nope"), "nope: there is no such model"),
    ],
)
def test_an_argument_that_names_what_is_not_there_or_does_not_fit_ends_with_2(
    place: Place, frontdesk: Command, arguments: tuple[str, ...], says: str
) -> None:
    Path("empty").mkdir()
    write_jsonl(Path("data.jsonl"), make_examples(each=6))
    result = frontdesk(*arguments)
    assert result.code == 2
    assert says in result.err


def test_a_name_that_the_hub_does_not_know_is_a_wrong_argument(
    place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NotFoundError(RepositoryNotFoundError):
        def __init__(self) -> None:
            """Without the hub's answer."""

    def unknown(name: str, **_: object) -> str:
        raise NotFoundError

    data = write_jsonl(place.folder / "data.jsonl", make_examples(each=6))
    train = ("train", "--data", str(data), "--out", "m", "--base")
    results = [frontdesk(*train, "someone/be rt")]
    monkeypatch.setattr("huggingface_hub.snapshot_download", unknown)
    results.append(frontdesk(*train, "someone/bret"))
    for result in results:
        assert result.code == 2
        assert "is neither a directory here nor a model of the hub" in result.err


def test_a_name_that_is_looked_for_in_a_hub_that_is_away_is_told_with_what_to_name(
    place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> str:
        raise LocalEntryNotFoundError("An error happened while trying to locate the files")

    monkeypatch.setattr("huggingface_hub.snapshot_download", away)
    data = write_jsonl(place.folder / "data.jsonl", make_examples(each=6))
    result = frontdesk("train", "--data", str(data), "--out", "m", "--base", "bert")
    assert result.code == 1
    assert "base model bert: is no directory here, and the hub can't be reached" in result.err
    assert "name minilm" in result.err
    assert "EntryNotFound" not in result.err


def test_a_hub_that_is_away_may_be_back_later(
    place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> str:
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", away)
    data = write_jsonl(place.folder / "data.jsonl", make_examples(each=6))
    result = frontdesk("train", "--data", str(data), "--out", "m", "--base", "someone/bert")
    assert result.code == 1
    assert "could not be had from the hub (ConnectionError: no route)" in result.err


@pytest.mark.parametrize("verb", ["--version", "models list --json", "models list"])
def test_a_full_disk_behind_standard_output_is_one_sentence(place: Place, verb: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec '{sys.executable}' -m cli {verb} >/dev/full"],
        cwd=place.folder,
        env=place.environment(PYTHONUNBUFFERED=""),  # as it is for most
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert re.fullmatch("Error: .*No space left on device.*\n", done.stderr)


def test_whoever_closes_a_pipe_early_gets_no_complaint(place: Place) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        command = [sys.executable, "-m", "cli", "models", "list", "--json"]
        done = subprocess.run(
            command,
            cwd=place.folder,
            env=place.environment(PYTHONUNBUFFERED=""),  # as it is for most
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    "verb",
    [("customers", "export", "\udcff"), ("feedback", "list", "--intent", "\udcff")],
    ids=" ".join,
)
def test_an_argument_in_broken_bytes_is_a_wrong_one(
    frontdesk: Command, verb: tuple[str, ...]
) -> None:
    assert frontdesk("migrate").code == 0
    result = frontdesk(*verb)
    assert result.code == 2
    assert "An argument is not in UTF-8" in result.err


@pytest.mark.parametrize(
    "verb",
    [
        *("migrate --wait nan", "migrate --wait inf", "worker scheduler --wait nan"),
        "chat hi --timeout inf",
    ],
)
def test_a_wait_is_so_many_seconds(frontdesk: Command, verb: str) -> None:
    result = frontdesk(*verb.split())
    assert result.code == 2
    assert "write a number, such as 30" in result.err


@pytest.mark.parametrize(("number", "key"), [(130, "\x03"), (1, "\x04")], ids=["Ctrl-C", "Ctrl-D"])
def test_a_question_is_ended_by_ctrl_c_and_answered_by_nothing(
    place: Place, number: int, key: str
) -> None:
    assert place.run("migrate").code == 0
    store = Store(f"sqlite:///{place.data_dir / 'simulator.db'}")
    with store.writing() as session:
        session.add(Customer(chat_id=5, name="Ada"))
    terminal, ours = os.openpty()
    with os.fdopen(terminal, "w") as keys, os.fdopen(ours) as seat:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "customers", "erase", "5"],
            cwd=place.folder,
            env=place.environment(),
            stdin=seat,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        place.processes.append(process)
        assert process.stderr is not None
        asked = ""
        while "[y/N]" not in asked:
            asked += process.stderr.read(1)
        if key == "\x03":
            process.send_signal(signal.SIGINT)
        else:
            keys.write(key)
            keys.flush()
        _, err = process.communicate(timeout=30)
    assert process.returncode == number
    assert "Aborted" not in err
    assert ("Error: Nothing was erased." in err) == (number == 1)
    with store.reading() as session:
        assert session.query(Customer.name).one() == ("Ada",)
    store.dispose()
