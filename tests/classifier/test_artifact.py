from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from classifier import artifact
from classifier.artifact import FILES, ModelError
from tests.classifier.disks import fill_disk
from tests.classifier.stand_in import add, files


def test_a_saved_model_verifies_and_returns_its_manifest(tmp_path: Path) -> None:
    name = add(tmp_path)
    manifest = artifact.verify(tmp_path / name)
    assert manifest["version"] == name
    assert set(manifest["files"]) == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_one_byte_changed_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / add(tmp_path) / name
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(ModelError, match="does not match the manifest's sha256"):
        artifact.verify(path.parent)


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / add(tmp_path) / name
    path.write_bytes(path.read_bytes()[:5])
    with pytest.raises(ModelError, match="has 5 bytes where"):
        artifact.verify(path.parent)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / add(tmp_path) / name
    path.unlink()
    with pytest.raises(ModelError, match=f"{name}: cannot be read"):
        artifact.verify(path.parent)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m.update(format=1), "not a manifest of format 2; .* has to be trained anew"),
        (lambda m: m.pop("version"), "lacks the version"),
        (lambda m: m["files"].pop("model.safetensors"), "lists no model.safetensors"),
        (lambda m: m["files"].update({"../../x": {}}), "not a plain file name"),
        (lambda m: m["files"].update({"config.json": {"bytes": 3}}), "without its sha256"),
    ],
)
def test_a_manifest_of_the_wrong_shape_is_refused(tmp_path: Path, change: Any, says: str) -> None:
    path = tmp_path / add(tmp_path) / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=says):
        artifact.verify(path.parent)


def test_a_manifest_cut_short_or_missing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / add(tmp_path) / "manifest.json"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ModelError, match=r"manifest\.json: cannot be read"):
        artifact.verify(path.parent)
    path.unlink()
    with pytest.raises(ModelError, match=r"has no manifest\.json"):
        artifact.verify(path.parent)
    with pytest.raises(ModelError, match="there is no such model"):
        artifact.verify(tmp_path / "nowhere")


@pytest.mark.parametrize("at", range(1, len(FILES) + 2))
def test_a_disk_that_fills_at_any_file_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    fill_disk(monkeypatch, at)
    with pytest.raises(ModelError, match="No space left on device"):
        add(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_written_after_the_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_disk(monkeypatch, len(FILES) + 2)
    artifact.verify(tmp_path / add(tmp_path))


# Each file and the manifest, the new directory, and the one it is renamed in.
SYNCS = len(FILES) + 3


@pytest.mark.parametrize("at", range(1, SYNCS + 1))
def test_a_disk_that_fills_at_any_sync_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    real, calls = os.fsync, 0

    def fsync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(ModelError, match="No space left on device"):
        add(tmp_path)
    assert list(tmp_path.iterdir()) == []
    # What failed can be tried again.
    assert artifact.verify(tmp_path / add(tmp_path))


def test_the_parents_of_a_model_are_made_with_it_and_go_if_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        fill_disk(full, at=3)
        with pytest.raises(ModelError, match="No space left"):
            artifact.save(tmp_path / "a" / "b" / "c", files(), {"version": "x"})
    assert list(tmp_path.iterdir()) == []
    artifact.check_target(tmp_path / "a" / "b" / "c")
    assert list(tmp_path.iterdir()) == []
    artifact.save(tmp_path / "a" / "b" / "c", files(), {"version": "x"})
    assert artifact.verify(tmp_path / "a" / "b" / "c")


def test_a_model_is_not_saved_under_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="/file is not a directory"):
        artifact.check_target(tmp_path / "file" / "a" / "b")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here")
def test_where_no_directory_can_be_made_is_said_before_training() -> None:
    # Root, too, who may write to all.
    with pytest.raises(ModelError, match=r"/proc/x: cannot be written, since no directory can be"):
        artifact.check_target(Path("/proc/x"))


def test_a_failing_rename_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Path:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(ModelError, match="Permission denied"):
        add(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_while_saving_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        add(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_model_is_saved_into_an_empty_directory_but_not_over_anything(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    artifact.save(empty, files(), {"version": "x"})
    before = (empty / "manifest.json").read_bytes()
    with pytest.raises(ModelError, match="is not empty"):
        artifact.save(empty, files(), {"version": "y"})
    assert (empty / "manifest.json").read_bytes() == before
    with pytest.raises(ModelError, match="is not a directory"):
        artifact.save(empty / "manifest.json", files(), {"version": "y"})


@pytest.mark.parametrize("name", [".", "../here"])
def test_where_one_is_no_model_is_put_and_that_is_said_before_training(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ModelError, match="is where you are; choose a new directory in it"):
        artifact.check_target(Path(name))


def test_a_mount_point_cannot_become_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "is_mount", lambda self: self == tmp_path)
    with pytest.raises(ModelError, match="is a mount point; choose a new directory in it"):
        artifact.check_target(tmp_path)


def test_a_model_that_lacks_a_file_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be saved without config"):
        artifact.save(tmp_path / "x", {}, {"version": "x"})
    assert list(tmp_path.iterdir()) == []
