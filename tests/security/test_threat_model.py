"""SECURITY.md says what is so: each test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


def test_the_threat_model_names_tests() -> None:
    assert len(NAMED) > 30


def test_no_file_stands_for_its_tests() -> None:
    # Which of them says so? One that does not might be all that is left of it.
    assert re.findall(r"`tests/[\w/]+\.py`", TEXT) == []


@pytest.mark.parametrize(("file", "name"), NAMED, ids=["::".join(named) for named in NAMED])
def test_each_test_that_the_threat_model_names_exists(file: str, name: str) -> None:
    found = ast.parse((ROOT / file).read_text())
    tests = {
        node.name
        for node in found.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }
    assert name in tests
