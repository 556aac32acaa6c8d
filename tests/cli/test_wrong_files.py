"""Files that are none of what a verb reads: each is told as such, and nothing is unforeseen."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Place, Result

Command = Callable[..., Result]
ABSENT = object()


@pytest.fixture
def backup(place: Place, frontdesk: Command) -> Path:
    assert frontdesk("migrate").code == 0
    assert frontdesk("backup", "copy").code == 0
    (place.data_dir / "simulator.db").unlink()
    return place.folder / "copy" / "backup.json"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("revision", ABSENT),
        ("revision", ["0001"]),
        ("database", {"sqlite": 1}),
        ("sha256", 5),
        ("created", None),
    ],
)
def test_a_backup_whose_description_has_the_wrong_shape_is_damaged(
    place: Place, frontdesk: Command, backup: Path, key: str, value: Any
) -> None:
    about = json.loads(backup.read_text()) | {key: value}
    backup.write_text(json.dumps({k: v for k, v in about.items() if v is not ABSENT}))
    result = frontdesk("restore", "copy")
    assert result.code == 1
    assert "backup.json is damaged; take another backup" in result.err
    assert not (place.data_dir / "simulator.db").exists()


@pytest.mark.parametrize("text", ["[1]", "5", "[" * 200_000, "\x7fELF\x00"])
def test_a_backup_whose_description_is_something_else_is_damaged(
    frontdesk: Command, backup: Path, text: str
) -> None:
    backup.write_text(text)
    result = frontdesk("restore", "copy")
    assert result.code == 1
    assert "backup.json is damaged; take another backup" in result.err


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_a_backup_whose_description_is_no_file_is_none(
    frontdesk: Command, backup: Path, make: Callable[[Path], None]
) -> None:
    backup.unlink()
    make(backup)
    result = frontdesk("restore", "copy")
    assert result.code == 2
    assert "copy is no backup" in result.err


def test_the_moment_of_a_backup_is_shown_as_it_is(frontdesk: Command, backup: Path) -> None:
    about = json.loads(backup.read_text()) | {"created": "[/bar]\x1b[31m"}
    backup.write_text(json.dumps(about))
    result = frontdesk("restore", "copy")
    assert result.code == 0, result.err
    assert "Restored as of [/bar]�[31m into sqlite:" in result.out


def test_a_file_that_does_not_fit_into_memory_is_told_as_such(
    frontdesk: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def endless(_: Path) -> bytes:
        raise MemoryError

    (tmp_path / "x.csv").write_text("text,label\na,b\n")
    monkeypatch.setattr(Path, "read_bytes", endless)
    result = frontdesk("validate", str(tmp_path / "x.csv"), "--quick")
    assert result.code == 1
    assert "There is not enough memory for this: is a file of it endless" in result.err
