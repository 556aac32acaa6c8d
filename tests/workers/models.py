"""Tiny models for the workers: a random BERT trained on the florist's pack in a second or two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from classifier.data import read_examples
from classifier.training import train_version
from tests.classifier.tiny import TINY, make_base
from tests.conftest import FLORIST


def tiny_base(folder: Path) -> Path:
    """The folder of a tiny random BERT, made where it is not there yet."""
    base = folder / "tiny-base"
    if not base.exists():
        make_base(base, read_examples(FLORIST / "examples.jsonl"))
    return base


def make_version(models: Path, seed: int = 0) -> str:
    """Train a version into a models directory; returns its name. No pointer is moved."""
    version, _ = train_version(
        read_examples(FLORIST / "examples.jsonl"),
        models,
        base=str(tiny_base(models.parent)),
        recipe=replace(TINY, seed=seed, epochs=3),
        device="cpu",
    )
    return version
