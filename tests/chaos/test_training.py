"""Training is killed, a model's files are damaged: the champion serves, and a run ends once."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from classifier import artifact, registry
from desk.domain import RunState
from desk.tables import RunRow
from tests.chaos.conftest import LONG
from tests.chaos.soak import OPERATOR
from tests.chaos.stack import COMMANDS, Process, Stack, beats, until

WHERE = "where is my parcel"


@pytest.fixture(scope="module")
def trainer(whole: Stack) -> Iterator[Process]:
    """A training worker beside the others, for the scenarios of this file."""
    made = Process(
        "training",
        [sys.executable, "-m", *COMMANDS["training"]],
        dict(whole["inference"].environment),
        whole.folder / "training.log",
        beats(whole.folder / "data", "training"),
    )
    whole.add(made)
    whole.wait_ready("training")
    yield made
    whole.remove(made)


@pytest.fixture
def unopposed(settings: dict[str, str]) -> Iterator[Path]:
    """The models, without a champion against which the gate would compare; the old one returns."""
    models = Path(settings["MODELS_DIR"])
    champion = registry.champion(models)
    assert champion is not None
    (models / "champion").unlink()
    yield models
    _point(models, champion)


# A run is begun anew after a minute without a sign of life: too long for the short form.
BEGUN_ANEW = ["training.begun", "training.before_promote", "training.after_promote"]


@pytest.mark.parametrize("point", [*(BEGUN_ANEW if LONG else []), "training.after_verdict"])
def test_training_killed_at(stack: Stack, trainer: Process, unopposed: Path, point: str) -> None:
    deaths, before, customer = trainer.deaths, _last_run(stack), stack.customer()
    stack.arm(f"{point}=kill")
    stack.simulator.post(f"/sim/operators/{OPERATOR}/send", {"text": "/retrain"})
    stack.comes_to_pass(f"{point}=kill")
    until(lambda: trainer.deaths > deaths, "the trainer is killed")
    promoted = registry.champion(unopposed)
    stack.says(customer, WHERE)
    until(lambda: _verdict(stack, before)[0] is RunState.PROMOTED, "the run ends", 200)
    champion = registry.champion(unopposed)
    # The pointer to the candidate may stay behind; the next run takes it away.
    assert champion is not None
    artifact.verify(unopposed / champion)
    # What was promoted is what the verdict says, whoever came to write it.
    assert _verdict(stack, before) == (RunState.PROMOTED, champion)
    assert promoted in (None, champion)
    assert (promoted is None) == (point in ("training.begun", "training.before_promote"))
    assert stack.good([customer]).shown == 1


def _last_run(stack: Stack) -> int:
    with stack.store.reading() as session:
        return session.scalar(select(func.max(RunRow.id))) or 0


def _verdict(stack: Stack, last: int) -> tuple[RunState, str | None]:
    """Of the one run after the `last`."""
    with stack.store.reading() as session:
        (run,) = session.scalars(select(RunRow).where(RunRow.id > last))
        return run.state, run.version


def _point(models: Path, version: str) -> None:
    """Make a version the champion, as a hand that does not look would do."""
    link = models / "champion.new"
    link.symlink_to(version)
    link.replace(models / "champion")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def _tamper(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [_truncate, _tamper, Path.unlink], ids=["short", "bit", "gone"])
def test_model_file_damaged(
    stack: Stack, settings: dict[str, str], harm: Callable[[Path], None]
) -> None:
    models, customer = Path(settings["MODELS_DIR"]), stack.customer()
    champion = registry.champion(models)
    assert champion is not None
    damaged = models / f"damaged-{harm.__name__}"
    shutil.copytree(models / champion, damaged)
    refused = stack["inference"].said("model.refused")
    try:
        artifact.verify(damaged)  # a copy is as good as the original, until
        harm(damaged / "model.safetensors")
        _point(models, damaged.name)
        until(lambda: stack["inference"].said("model.refused") > refused, "the model is refused")
        stack.says(customer, WHERE)
        assert stack.good([customer]).shown == 1
    finally:
        _point(models, champion)
        shutil.rmtree(damaged)
