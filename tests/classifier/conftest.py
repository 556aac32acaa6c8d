"""A tiny BERT with a real tokenizer, and one real training run on it that the tests share."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from classifier.data import Example
from classifier.engine import Classifier
from classifier.model import TwoHeadedBert
from classifier.training import train_to_directory
from tests.classifier.tiny import TINY, make_base, make_examples, read_model


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    # A model this small is slower on two, and far slower where the cores are shared.
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def examples() -> list[Example]:
    return make_examples()


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as the hub has it: a random BERT of two layers and a WordPiece tokenizer."""
    directory = tmp_path_factory.mktemp("base")
    make_base(directory)
    return directory


@pytest.fixture
def base_copy(tiny_base: Path, tmp_path: Path) -> Path:
    """As `tiny_base`, for a test to change."""
    return Path(shutil.copytree(tiny_base, tmp_path / "base"))


@pytest.fixture(scope="session")
def trained(
    tiny_base: Path, examples: list[Example], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], list[tuple[str, int, int, float]]]:
    """(model directory, metrics, progress calls) of one run; not to be changed by a test."""
    out = tmp_path_factory.mktemp("models") / "trained"
    steps: list[tuple[str, int, int, float]] = []
    metrics = train_to_directory(
        examples,
        out,
        base=str(tiny_base),
        recipe=TINY,
        progress=lambda *step: steps.append(step),
        test=make_examples(seed=7, each=6),
        device="cpu",
    )
    return out, metrics, steps


@pytest.fixture(scope="session")
def classifier(trained: tuple[Path, dict[str, Any], Any]) -> Classifier:
    return Classifier.load(trained[0], device="cpu")


@pytest.fixture
def model(trained: Any) -> TwoHeadedBert:
    return read_model(trained[0])


@pytest.fixture
def model_copy(trained: tuple[Path, Any, Any], tmp_path: Path) -> Path:
    """A copy of the trained directory that a test may damage."""
    return Path(shutil.copytree(trained[0], tmp_path / "copy"))
