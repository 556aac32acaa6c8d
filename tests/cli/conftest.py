"""A small pack, a tiny model that knows it well, and the command as a real process."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import structlog
import torch

from classifier import registry
from classifier.data import Example
from classifier.training import train_version
from cli import rundir
from cli.main import main
from cli.simulated import Simulator
from desk.flow.desk import Desk
from desk.pack import load
from desk.settings import Settings
from desk.store import Store
from tests.classifier import tiny

ROOT = Path(__file__).parents[2]
BOT_ID = 777777
"""A real bot's, as far as the simulator can play Telegram."""
TEMPLATES = {
    "where": ("where is my {}", "has the {} shipped", "track the {} for me"),
    "refund": ("i want my money back for the {}", "refund the {}", "pay me back the {}"),
    "person": ("let me talk to a human about the {}", "a real person for the {} please"),
    "out_of_scope": ("sing a song about a {}", "what would a {} dream of", "{} recipe for dinner"),
}
ANSWER = "Your parcel is on its way to you."
PACK = """
name: corner
title: "Corner shop [/24h]"
languages: [en]
greeting: {en: "Hello {customer}"}
menu: [where, refund]
intents:
  where: {title: {en: Where is it}, answer: {en: "Your <b>parcel</b> is on its way to you."}}
  refund: {title: {en: Refund}, answer: {en: "You get your money back in three days."}}
  person: {title: {en: A person}, escalate: always}
  out_of_scope: {title: {en: Something else}}
policy: {threshold: 0.5}
"""


def make_examples(seed: int = 0, each: int = 24) -> list[Example]:
    """Made-up rows for the corner shop, `each` an intent."""
    return tiny.make_examples(seed, each, TEMPLATES)


def write_jsonl(path: Path, examples: list[Example]) -> Path:
    rows = [{"text": e.text, "intent": e.intent, "sentiment": e.sentiment} for e in examples]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def pack_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packs") / "corner"
    folder.mkdir()
    (folder / "pack.yml").write_text(PACK)
    write_jsonl(folder / "examples.jsonl", make_examples(each=12))
    write_jsonl(folder / "test.jsonl", make_examples(seed=7, each=6))
    return folder


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    directory = tmp_path_factory.mktemp("base")
    tiny.make_base(directory, make_examples(each=200))
    return directory


@pytest.fixture(scope="session")
def models_dir(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models directory with a champion; not to be changed by a test."""
    models = tmp_path_factory.mktemp("models")
    # So many errors may be that so few examples prove it: the tests want answers.
    recipe = replace(tiny.TINY, epochs=16, target_error=0.4, never_answered=("person",))
    version, _ = train_version(
        make_examples(), models, base=str(tiny_base), recipe=recipe, device="cpu"
    )
    registry.promote(models, version)
    return models


@dataclass
class Place:
    """A folder of its own with its settings; commands run there as real processes."""

    folder: Path
    settings: dict[str, str]
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def data_dir(self) -> Path:
        return Path(self.settings["DATA_DIR"])

    def environment(self, **more: str) -> dict[str, str]:
        # What the developer has set must not reach a test; nor must a .env, so another folder.
        known = {name.upper() for name in Settings.model_fields}
        clean = {k: v for k, v in os.environ.items() if k.upper() not in known}
        return {**clean, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **self.settings, **more}

    def start(self, *arguments: str, code: str = "", **more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *(["-c", code] if code else ["-m", "cli"]), *arguments],
            cwd=self.folder,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def run(self, *arguments: str, timeout: float = 60, **more: str) -> Result:
        process = self.start(*arguments, **more)
        out, err = process.communicate(timeout=timeout)
        return Result(process.returncode, out, err)

    def up(self, timeout: float = 60, **more: str) -> subprocess.Popen[str]:
        """`frontdesk up`, when it is ready."""
        process = self.start("up", **more)
        deadline = time.monotonic() + timeout
        while not (rundir.running(self.data_dir) or {}).get("ready"):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "not ready in time"
            time.sleep(0.05)
        return process

    def children(self) -> dict[str, int]:
        found = rundir.read(self.data_dir)["children"]
        return {name: child["pid"] for name, child in found.items() if child["pid"] is not None}

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.communicate(timeout=20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output as JSON; anything else in it is an error of the test."""
        return json.loads(self.out)


def settings_for(folder: Path, models: Path, pack: Path, base: Path) -> dict[str, str]:
    return {
        "DATA_DIR": str(folder / "data"),
        "MODELS_DIR": str(models),
        "PACK": str(pack),
        "BASE_MODEL": str(base),
        "SIMULATOR_PORT": "0",
        "DEVICE": "cpu",
    }


@pytest.fixture
def place(tmp_path: Path, models_dir: Path, pack_dir: Path, tiny_base: Path) -> Iterator[Place]:
    made = Place(tmp_path, settings_for(tmp_path, models_dir, pack_dir, tiny_base))
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, models_dir: Path, pack_dir: Path, tiny_base: Path
) -> Iterator[Place]:
    """A place in which `frontdesk up` runs, for the tests of one file."""
    folder = tmp_path_factory.mktemp("running")
    made = Place(folder, settings_for(folder, models_dir, pack_dir, tiny_base))
    made.up()
    yield made
    made.close()


@pytest.fixture
def frontdesk(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Result]]:
    """The command inside this process, where no process of its own is needed: much faster."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in place.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(place.folder)

    def call(*arguments: str) -> Result:
        capsys.readouterr()
        code = main(list(arguments))
        said = capsys.readouterr()
        return Result(code, said.out, said.err)

    yield call
    # A process sets up its log once; this one is not ours alone.
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers = handlers
    root.setLevel(level)


@pytest.fixture
def desk(place: Place, frontdesk: Callable[..., Result]) -> Iterator[Desk]:
    """The desk of a place whose database is there."""
    assert frontdesk("migrate").code == 0
    store = Store(f"sqlite:///{place.data_dir / 'simulator.db'}")
    yield Desk(store, load(Path(place.settings["PACK"])))
    store.dispose()


def checks(result: Result) -> dict[str, dict[str, str]]:
    return {check["check"]: check for check in result.json()["checks"]}


@pytest.fixture
def own_models(place: Place, models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models directory with a champion that the test may change."""
    copy = Path(shutil.copytree(models_dir, place.folder / "models", symlinks=True))
    place.settings["MODELS_DIR"] = str(copy)
    return copy


@pytest.fixture
def no_models(place: Place) -> Path:
    place.settings["MODELS_DIR"] = str(place.folder / "none")
    return place.folder / "none"


@pytest.fixture(scope="module")
def telegram(shared: Place) -> Simulator:
    """The running simulator, in the part of a Bot API server somewhere else."""
    return Simulator(str(rundir.read(shared.data_dir)["url"]))


def real_bot(telegram: Simulator, **more: str) -> dict[str, str]:
    return {
        "BOT_TOKEN": f"{BOT_ID}:" + "B" * 35,
        "OPERATOR_CHAT_ID": "-1001000000001",
        "TELEGRAM_API_URL": telegram.url,
        **more,
    }
