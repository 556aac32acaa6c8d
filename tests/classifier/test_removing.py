"""Versions are removed by name, or because nobody needs them."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from classifier import registry
from classifier.artifact import ModelError
from tests.classifier.disks import fill_disk
from tests.classifier.stand_in import add


def age(path: Path, by: timedelta) -> None:
    then = (datetime.now(UTC) - by).timestamp()
    os.utime(path, (then, then))


def test_a_removed_version_is_gone_and_rollback_passes_over_it(tmp_path: Path) -> None:
    first, second, third = (add(tmp_path) for _ in range(3))
    for name in (first, second, third):
        registry.promote(tmp_path, name)
    registry.remove(tmp_path, second)
    assert {version.name for version in registry.versions(tmp_path)} == {first, third}
    assert not [path for path in tmp_path.iterdir() if second in path.name]
    assert registry.rollback(tmp_path).version == first


def test_what_serves_or_waits_for_the_gate_is_not_removed_nor_what_is_no_version(
    tmp_path: Path,
) -> None:
    first, second = add(tmp_path), add(tmp_path)
    registry.promote(tmp_path, first)
    registry.set_candidate(tmp_path, second)
    precious = tmp_path / "precious"
    precious.mkdir()
    for name, says in (
        (first, "serves"),
        (second, "waits for the gate"),
        (registry.new_version_name(), "no such version"),
        ("precious", "is no version"),
        ("../precious", "is no version"),
        (registry.CHAMPION, "is no version"),
    ):
        with pytest.raises(ModelError, match=says):
            registry.remove(tmp_path, name)
    assert precious.is_dir()
    assert {version.name for version in registry.versions(tmp_path)} == {first, second}


def test_a_removal_that_is_killed_leaves_a_rest_that_is_swept_and_no_half_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = add(tmp_path), add(tmp_path)
    registry.promote(tmp_path, second)
    age(tmp_path / first, timedelta(days=30))
    with monkeypatch.context() as patch:

        def killed(_: Path) -> None:
            raise KeyboardInterrupt

        patch.setattr(registry.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            registry.remove(tmp_path, first)
    assert [version.name for version in registry.versions(tmp_path)] == [second]
    (rest,) = [path for path in tmp_path.iterdir() if first in path.name]
    registry.sweep(tmp_path)
    assert rest.exists(), "whoever removes it may still be at it"
    age(rest, timedelta(days=30))
    registry.sweep(tmp_path)
    assert not rest.exists()


def test_a_full_disk_does_not_keep_a_version_from_being_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (add(tmp_path) for _ in range(3))
    registry.promote(tmp_path, first)
    registry.promote(tmp_path, second)
    fill_disk(monkeypatch, at=2)  # the first is the lock
    registry.remove(tmp_path, third)
    fill_disk(monkeypatch, at=2)
    with pytest.raises(ModelError, match=r"history\.json: could not be saved"):
        registry.remove(tmp_path, first)
    assert {version.name for version in registry.versions(tmp_path)} == {first, second}


def test_no_files_are_deleted_while_others_wait_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = add(tmp_path)
    monkeypatch.setattr(registry, "LOCK_SECONDS", 0.0)
    rmtree = shutil.rmtree

    def alone(directory: Path) -> None:
        with registry._locked(tmp_path):
            rmtree(directory)

    monkeypatch.setattr(registry.shutil, "rmtree", alone)
    registry.remove(tmp_path, name)
    assert not [path for path in tmp_path.iterdir() if name in path.name]


def test_where_no_models_are_nothing_is_superfluous_and_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such directory of models"):
        registry.superfluous(tmp_path / "nowhere", 3)


def test_superfluous_is_what_neither_serves_nor_waits_nor_isfresh_nor_served_lately(
    tmp_path: Path,
) -> None:
    now = datetime.now(UTC)
    old = [registry.new_version_name(now - timedelta(days=9 - n)) for n in range(6)]
    # Named when its training began, which took days.
    fresh = registry.new_version_name(now - timedelta(days=20))
    for name in (*old, fresh):
        add(tmp_path, name)
        age(tmp_path / name, timedelta(hours=23 if name == fresh else 25))
    for name in (old[0], old[1], old[3], old[4]):
        registry.promote(tmp_path, name)
    registry.set_candidate(tmp_path, old[5])
    for keep, expected in ((1, [0, 1, 2, 3]), (2, [0, 1, 2]), (4, [2]), (9, [2])):
        found = [version.name for version in registry.superfluous(tmp_path, keep)]
        assert found == [old[number] for number in expected]
    shutil.rmtree(tmp_path / old[3])
    found = [version.name for version in registry.superfluous(tmp_path, 2)]
    assert found == [old[0], old[2]], "a rollback would pass over the one that is gone"
    registry.rollback(tmp_path)  # from then on old[4] is one of those that were taken back
    assert old[4] in [version.name for version in registry.superfluous(tmp_path, 2)]


def test_what_was_made_since_a_rollback_is_not_superfluous_until_somebody_promotes(
    tmp_path: Path,
) -> None:
    before, first, second, held = (add(tmp_path) for _ in range(4))
    for version in (first, second):
        registry.promote(tmp_path, version)
    registry.rollback(tmp_path)
    note = json.loads((tmp_path / registry.LAST_ACT).read_text())
    note["at"] = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    (tmp_path / registry.LAST_ACT).write_text(json.dumps(note))
    for version, days in ((before, 4), (first, 4), (second, 4), (held, 2)):
        age(tmp_path / version, timedelta(days=days))
    assert {each.name for each in registry.superfluous(tmp_path, 1)} == {before, second}
    registry.promote(tmp_path, first)
    assert {each.name for each in registry.superfluous(tmp_path, 1)} == {before, second, held}


def test_where_people_promote_what_was_made_since_the_champion_is_not_superfluous(
    tmp_path: Path,
) -> None:
    before, serving, waits = (add(tmp_path) for _ in range(3))
    registry.promote(tmp_path, serving)
    since = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    long_ago = (datetime.now(UTC) - timedelta(days=9)).isoformat()
    history = [
        {"version": before, "promoted": long_ago},
        {"version": serving, "promoted": since},
    ]
    (tmp_path / registry.HISTORY).write_text(json.dumps(history))
    for version, days in ((before, 4), (serving, 4), (waits, 2)):
        age(tmp_path / version, timedelta(days=days))
    found = registry.superfluous(tmp_path, 1, promoted_by_hand=True)
    assert [each.name for each in found] == [before]
    found = registry.superfluous(tmp_path, 1)
    assert {each.name for each in found} == {before, waits}


@pytest.mark.parametrize("rolled_back", [True, False])
def test_what_was_made_in_the_last_day_is_not_superfluous_whatever_came_to_serve_since(
    tmp_path: Path, rolled_back: bool
) -> None:
    first, second, fresh = (add(tmp_path) for _ in range(3))
    for version in (first, second):
        registry.promote(tmp_path, version)
    if rolled_back:
        registry.rollback(tmp_path)
    for version in (first, second, fresh):
        age(tmp_path / version, timedelta(hours=23))
    assert registry.superfluous(tmp_path, 1, promoted_by_hand=not rolled_back) == []
