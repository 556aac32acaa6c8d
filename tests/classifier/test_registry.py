from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from classifier import artifact, registry
from classifier.artifact import ModelError
from tests.classifier.disks import fill_disk
from tests.classifier.stand_in import add


def test_version_names_sort_by_time_and_never_come_twice() -> None:
    now = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
    names = [registry.new_version_name(now + timedelta(seconds=s)) for s in range(100)]
    assert names == sorted(names)
    assert names[0].startswith("20261123-143000-")
    assert len({registry.new_version_name(now) for _ in range(100)}) == 100


def test_a_promoted_version_is_the_champion_and_its_path_resolves(tmp_path: Path) -> None:
    assert registry.champion(tmp_path) is None
    name = add(tmp_path)
    registry.promote(tmp_path, name)
    assert registry.champion(tmp_path) == name
    assert registry.resolve(tmp_path / "champion") == (tmp_path / name).resolve()


def test_a_damaged_version_is_not_promoted_and_the_old_champion_stays(tmp_path: Path) -> None:
    good, bad = add(tmp_path), add(tmp_path)
    registry.promote(tmp_path, good)
    (tmp_path / bad / "labels.json").write_text("{}")
    with pytest.raises(ModelError):
        registry.promote(tmp_path, bad)
    with pytest.raises(ModelError):
        registry.set_candidate(tmp_path, bad)
    assert (registry.champion(tmp_path), registry.candidate(tmp_path)) == (good, None)
    assert [entry["version"] for entry in registry.history(tmp_path)] == [good]


@pytest.mark.parametrize("name", ["../elsewhere", "champion", "", "20261123-143000-zzzzzz"])
def test_what_is_no_version_name_is_not_promoted(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError):
        registry.promote(tmp_path, name)


def test_a_version_takes_the_place_of_the_champion_that_it_was_compared_with_and_of_no_other(
    tmp_path: Path,
) -> None:
    first, second, third = (add(tmp_path) for _ in range(3))
    with pytest.raises(ModelError, match=f"with {first}, but meanwhile none serves"):
        registry.promote(tmp_path, second, instead_of=first)
    registry.promote(tmp_path, first, instead_of=None)
    with pytest.raises(ModelError, match=f"with no champion, but meanwhile {first} serves"):
        registry.promote(tmp_path, second, instead_of=None)
    registry.promote(tmp_path, second, instead_of=first)
    registry.promote(tmp_path, second, instead_of=first)  # as after a commit that failed
    assert registry.champion(tmp_path) == second
    registry.promote(tmp_path, third)
    assert registry.champion(tmp_path) == third


def test_promoting_the_candidate_takes_its_pointer_away(tmp_path: Path) -> None:
    name = add(tmp_path)
    registry.set_candidate(tmp_path, name)
    assert registry.candidate(tmp_path) == name
    registry.promote(tmp_path, name)
    assert registry.candidate(tmp_path) is None
    registry.set_candidate(tmp_path, name)
    registry.set_candidate(tmp_path, None)
    assert registry.candidate(tmp_path) is None


def test_rollback_goes_back_one_champion_at_a_time(tmp_path: Path) -> None:
    first, second, third = (add(tmp_path) for _ in range(3))
    for name in (first, second, third, third):
        registry.promote(tmp_path, name)
    assert registry.rollback(tmp_path).version == second
    assert registry.rollback(tmp_path).version == first == registry.champion(tmp_path)
    with pytest.raises(ModelError, match="no earlier champion"):
        registry.rollback(tmp_path)
    registry.promote(tmp_path, third)
    assert registry.rollback(tmp_path).version == first


def test_the_last_act_by_hand_is_noted_and_what_a_run_does_is_none(tmp_path: Path) -> None:
    first, second, third = (add(tmp_path) for _ in range(3))
    assert registry.last_act(tmp_path) is None
    registry.set_champion(tmp_path, first)
    assert registry.last_act(tmp_path) is None
    begun = datetime.now(UTC)
    registry.promote(tmp_path, second)
    promoted = registry.last_act(tmp_path)
    assert promoted is not None
    assert (promoted.kind, promoted.at >= begun) == (registry.PROMOTION, True)
    registry.set_champion(tmp_path, third)
    assert registry.last_act(tmp_path) == promoted
    registry.rollback(tmp_path)
    rolled_back = registry.last_act(tmp_path)
    assert rolled_back is not None
    assert (rolled_back.kind, rolled_back.at > promoted.at) == (registry.ROLLBACK, True)


@pytest.mark.parametrize("full_from", [2, 3, 4])  # the first file is the lock
def test_no_rollback_that_a_full_disk_cuts_short_goes_without_its_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_from: int
) -> None:
    first, second = add(tmp_path), add(tmp_path)
    for version in (first, second):
        registry.set_champion(tmp_path, version)
    with monkeypatch.context() as patch, contextlib.suppress(ModelError):
        fill_disk(patch, at=full_from)
        registry.rollback(tmp_path)
    act = registry.last_act(tmp_path)
    held = act is not None and act.kind == registry.ROLLBACK
    assert held or registry.champion(tmp_path) == second
    assert registry.champion(tmp_path) == (second if full_from == 2 else first)


def test_to_promote_what_serves_already_is_an_act_by_hand_too(tmp_path: Path) -> None:
    first, second = add(tmp_path), add(tmp_path)
    for version in (first, second):
        registry.set_champion(tmp_path, version)
    assert registry.rollback(tmp_path).version == first
    registry.promote(tmp_path, first)
    act = registry.last_act(tmp_path)
    assert act is not None
    assert act.kind == registry.PROMOTION


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"act": "rollback", "at": "yesterday"}'])
def test_a_broken_note_of_the_last_act_is_told_and_written_anew(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / registry.LAST_ACT).write_text(content)
    with pytest.raises(ModelError, match="`frontdesk models promote` writes it anew"):
        registry.last_act(tmp_path)
    registry.promote(tmp_path, add(tmp_path))
    assert registry.last_act(tmp_path) is not None


def test_rollback_goes_to_another_champion_where_what_came_between_was_removed(
    tmp_path: Path,
) -> None:
    zeroth, first, second = (add(tmp_path) for _ in range(3))
    for name in (zeroth, first, second, first):
        registry.promote(tmp_path, name)
    registry.remove(tmp_path, second)
    assert [entry["version"] for entry in registry.history(tmp_path)] == [zeroth, first]
    # As an earlier version left it.
    twice = [{"version": name} for name in (zeroth, first, first)]
    (tmp_path / registry.HISTORY).write_text(json.dumps(twice))
    assert registry.rollback(tmp_path).version == zeroth == registry.champion(tmp_path)
    with pytest.raises(ModelError, match="no earlier champion"):
        registry.rollback(tmp_path)


@pytest.mark.parametrize("by_hand", [True, False])
def test_the_history_outlives_a_champion_that_was_pointed_at_or_taken_away_by_hand(
    tmp_path: Path, by_hand: bool
) -> None:
    first, second, third, other = (add(tmp_path) for _ in range(4))
    for name in (first, second):
        registry.promote(tmp_path, name)
    (tmp_path / registry.CHAMPION).unlink()
    if by_hand:
        (tmp_path / registry.CHAMPION).symlink_to(other)
    registry.promote(tmp_path, third)
    assert [entry["version"] for entry in registry.history(tmp_path)] == [first, second, third]
    assert registry.rollback(tmp_path).version == second
    (tmp_path / registry.CHAMPION).unlink()
    assert registry.rollback(tmp_path).version == second == registry.champion(tmp_path)
    assert registry.rollback(tmp_path).version == first


def test_rollback_refuses_a_damaged_earlier_champion_and_goes_further_back_without_it(
    tmp_path: Path,
) -> None:
    first, second, third = (add(tmp_path) for _ in range(3))
    for name in (first, second, third):
        registry.promote(tmp_path, name)
    (tmp_path / second / "config.json").unlink()
    with pytest.raises(ModelError, match=f"frontdesk models remove {second}"):
        registry.rollback(tmp_path)
    assert registry.champion(tmp_path) == third
    registry.remove(tmp_path, second)
    assert registry.rollback(tmp_path) == registry.Return(first, ())


def test_rollback_passes_over_champions_whose_folders_somebody_deleted_and_names_them(
    tmp_path: Path,
) -> None:
    first, second, third, fourth = (add(tmp_path) for _ in range(4))
    for name in (first, second, fourth, third, second, fourth):
        registry.promote(tmp_path, name)
    for name in (second, third):
        shutil.rmtree(tmp_path / name)
    assert registry.rollback(tmp_path) == registry.Return(first, (second, third))
    assert registry.champion(tmp_path) == first
    assert [entry["version"] for entry in registry.history(tmp_path)] == [first]
    act = registry.last_act(tmp_path)
    assert act is not None
    assert act.kind == registry.ROLLBACK, "the hold, which a promotion would lift"


def test_there_is_nobody_to_roll_back_to_where_all_other_folders_are_gone(tmp_path: Path) -> None:
    first, second = add(tmp_path), add(tmp_path)
    for name in (second, first, second):
        registry.promote(tmp_path, name)
    shutil.rmtree(tmp_path / first)
    with pytest.raises(ModelError, match="no earlier champion"):
        registry.rollback(tmp_path)
    assert registry.champion(tmp_path) == second


def test_a_version_that_is_removed_meanwhile_does_not_become_the_champion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = add(tmp_path), add(tmp_path)
    registry.promote(tmp_path, first)
    locked = registry._locked

    @contextlib.contextmanager
    def after_a_removal(models: Path) -> Iterator[None]:
        monkeypatch.setattr(registry, "_locked", locked)
        registry.remove(models, second)
        with locked(models):
            yield

    for promote in (registry.promote, registry.set_candidate):
        if not (tmp_path / second).exists():
            add(tmp_path, second)
        monkeypatch.setattr(registry, "_locked", after_a_removal)
        with pytest.raises(ModelError):
            promote(tmp_path, second)
        assert registry.champion(tmp_path) == first
        assert registry.candidate(tmp_path) is None


def test_who_changes_the_champion_waits_for_another_who_does_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = add(tmp_path)
    monkeypatch.setattr(registry, "LOCK_SECONDS", 0.1)
    with registry._locked(tmp_path), pytest.raises(ModelError, match="another process"):
        registry.promote(tmp_path, name)
    assert registry.champion(tmp_path) is None
    monkeypatch.setattr(registry, "LOCK_SECONDS", 60.0)
    holding = contextlib.ExitStack()
    holding.enter_context(registry._locked(tmp_path))
    with ThreadPoolExecutor() as pool:
        promotion = pool.submit(registry.promote, tmp_path, name)
        time.sleep(0.3)
        assert not promotion.done()
        holding.close()
        promotion.result(30)
    assert registry.champion(tmp_path) == name


def test_no_model_is_read_while_others_wait_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = add(tmp_path), add(tmp_path)
    registry.promote(tmp_path, first)
    monkeypatch.setattr(registry, "LOCK_SECONDS", 0.0)
    verify, verified = artifact.verify, []

    def alone(directory: Path) -> dict[str, Any]:
        with registry._locked(tmp_path):
            verified.append(directory.name)
            return verify(directory)

    monkeypatch.setattr(artifact, "verify", alone)
    registry.set_candidate(tmp_path, second)
    registry.promote(tmp_path, second)
    assert registry.champion(tmp_path) == second
    assert registry.rollback(tmp_path).version == first == registry.champion(tmp_path)
    assert verified == [second, second, first]


@pytest.mark.parametrize("change", ["a promotion", "a rollback", "both", "a removal"])
def test_a_rollback_takes_back_no_champion_of_another_process_that_changed_it_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    first, second, third, other = (add(tmp_path) for _ in range(4))
    for name in (first, second, third):
        registry.promote(tmp_path, name)
    verify = artifact.verify

    def meanwhile(directory: Path) -> dict[str, Any]:
        manifest = verify(directory)
        monkeypatch.setattr(artifact, "verify", verify)
        if change in ("a rollback", "both"):
            registry.rollback(tmp_path)
        if change in ("a promotion", "both"):
            registry.promote(tmp_path, other)
        if change == "a removal":
            registry.remove(tmp_path, second)
        return manifest

    monkeypatch.setattr(artifact, "verify", meanwhile)
    with pytest.raises(ModelError, match="another process promoted, rolled back or removed"):
        registry.rollback(tmp_path)
    serves = {"a rollback": second, "a removal": third}.get(change, other)
    assert registry.champion(tmp_path) == serves


def test_a_crash_between_history_and_pointer_does_not_confuse_rollback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (add(tmp_path) for _ in range(3))
    registry.promote(tmp_path, first)
    registry.promote(tmp_path, second)
    with monkeypatch.context() as patch:

        def crash(*_: Any) -> None:
            raise KeyboardInterrupt

        patch.setattr(registry, "_point", crash)
        with pytest.raises(KeyboardInterrupt):
            registry.promote(tmp_path, third)
    assert registry.champion(tmp_path) == second
    assert registry.rollback(tmp_path).version == first


def test_a_pointer_is_replaced_and_never_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = add(tmp_path), add(tmp_path)
    registry.promote(tmp_path, first)
    seen = []
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        seen.append(registry.champion(tmp_path))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    registry.set_champion(tmp_path, second)
    assert set(seen) == {first}
    assert registry.champion(tmp_path) == second
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".champion")]


def test_only_what_is_no_pointer_is_to_be_moved_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "champion").mkdir()
    with pytest.raises(ModelError, match="champion: is not a pointer; move it away"):
        registry.champion(tmp_path)

    def refuse(path: Path) -> Path:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "readlink", refuse)  # permissions do not bind root
    with pytest.raises(ModelError, match=r"champion: cannot be read \(Permission denied\)"):
        registry.champion(tmp_path)


def test_a_pointer_to_a_version_that_is_gone_is_told(tmp_path: Path) -> None:
    (tmp_path / "champion").symlink_to("20261123-143000-ab12cd")
    with pytest.raises(ModelError, match="a pointer to a version that is gone"):
        registry.resolve(tmp_path / "champion")
    with pytest.raises(ModelError, match="no such model"):
        registry.resolve(tmp_path / "nowhere")


def test_versions_are_listed_oldest_first_with_what_points_at_them(tmp_path: Path) -> None:
    assert registry.versions(tmp_path / "nowhere") == []
    newer = add(tmp_path, "20261124-000000-000000")
    older = add(tmp_path, "20261123-000000-ffffff")
    (tmp_path / ".20261125-000000-ffffff.12345678.partial").mkdir()
    registry.promote(tmp_path, older)
    registry.set_candidate(tmp_path, newer)
    listed = registry.versions(tmp_path)
    assert [v.name for v in listed] == [older, newer]
    assert [(v.is_champion, v.is_candidate) for v in listed] == [(True, False), (False, True)]
    assert listed[0].metrics == {}


@pytest.mark.parametrize("content", ["{", "[" * 100_000])
def test_a_version_with_broken_json_hinders_no_list_of_versions(
    tmp_path: Path, content: str
) -> None:
    broken, sound = add(tmp_path), add(tmp_path)
    for name in ("metrics.json", artifact.MANIFEST):
        (tmp_path / broken / name).write_text(content)
    found = {version.name: version.metrics for version in registry.versions(tmp_path)}
    assert found.keys() == {broken, sound}
    assert found[broken] == {}


@pytest.mark.parametrize("content", ["{", "[" * 100_000])
def test_a_broken_history_is_told_as_such(tmp_path: Path, content: str) -> None:
    (tmp_path / registry.HISTORY).write_text(content)
    with pytest.raises(ModelError, match=r"history\.json: cannot be read"):
        registry.history(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        '["20261123-143000-ab12cd"]',
        '[{"promoted": "now"}]',
        '[{"version": "20261123-143000-ab12cd"}, {"version": 5}]',
    ],
)
def test_a_history_of_another_shape_is_told_as_such(tmp_path: Path, content: str) -> None:
    (tmp_path / registry.HISTORY).write_text(content)
    with pytest.raises(ModelError, match=r"history\.json: is not a list of champions"):
        registry.history(tmp_path)
