"""Whoever can write into the models folder can't make a process run code or read elsewhere."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from classifier import Classifier, artifact, registry
from classifier.artifact import ModelError
from tests.workers.models import make_version
from workers.inference import Champion


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("models")
    version = make_version(models)
    registry.promote(models, version)
    return models


@pytest.fixture
def models(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "models", symlinks=True))


class Bomb:
    """What runs when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.mark,)


def forge(version: Path, name: str, content: bytes) -> None:
    """Replace a file and make the manifest agree with it, as somebody with write access could."""
    (version / name).write_bytes(content)
    manifest = json.loads((version / "manifest.json").read_text())
    manifest["files"][name] = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
    }
    (version / "manifest.json").write_text(json.dumps(manifest))


WEIGHTS = ["model.safetensors", "scope.safetensors", "neighbours.safetensors"]


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_pickle_under_the_name_of_weights_is_refused_and_never_run(
    models: Path, tmp_path: Path, name: str
) -> None:
    mark = tmp_path / "ran"
    version = registry.resolve(models / "champion")
    forge(version, name, pickle.dumps(Bomb(mark)))
    with pytest.raises(ModelError):
        Classifier.load(version)
    assert not mark.exists()
    pickle.loads((version / name).read_bytes())  # noqa: S301 - the bomb is a real one
    assert mark.exists()


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("claimed", [2**63, 2**40, 1000, 0])
def test_weights_that_lie_about_their_size_are_refused(
    models: Path, name: str, claimed: int
) -> None:
    version = registry.resolve(models / "champion")
    forge(version, name, struct.pack("<Q", claimed) + b"{}")
    with pytest.raises(ModelError):
        Classifier.load(version)


@pytest.mark.parametrize(
    "name", ["../../secret", "/etc/passwd", "..", "a/b", "./model.safetensors"]
)
def test_a_manifest_that_names_a_file_elsewhere_is_refused(models: Path, name: str) -> None:
    version = registry.resolve(models / "champion")
    manifest = json.loads((version / "manifest.json").read_text())
    manifest["files"][name] = {"sha256": "0" * 64, "bytes": 1}
    (version / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="plain file name"):
        artifact.verify(version)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.json", b'{"intents": "no list", "sentiments": []}'),
        ("labels.json", b"[" * 100_000),
        ("calibration.json", b"{}"),
        ("config.json", b'{"hidden_size": -1}'),
        ("tokenizer.json", b"{}"),
        ("tokenizer.json", b'{"model": {"type": "Exec"}}'),
        ("neighbours.jsonl", b"\xff\xfe"),
    ],
)
def test_a_forged_file_is_refused_with_a_sentence(models: Path, name: str, content: bytes) -> None:
    version = registry.resolve(models / "champion")
    for optional in ("model.int8.onnx",):  # so that torch has to read everything
        (version / optional).unlink(missing_ok=True)
    manifest = json.loads((version / "manifest.json").read_text())
    manifest["files"].pop("model.int8.onnx", None)
    (version / "manifest.json").write_text(json.dumps(manifest))
    forge(version, name, content)
    with pytest.raises(ModelError):
        Classifier.load(version)


def test_while_a_forged_champion_is_refused_the_old_one_serves(
    models: Path, tmp_path: Path
) -> None:
    champion = Champion(models, "cpu")
    champion.check_seconds = 0.0
    assert champion.follow()
    assert champion.classifier is not None
    served = champion.classifier.version
    forged = models / "20260101-000000-abcdef"
    shutil.copytree(registry.resolve(models / "champion"), forged)
    forge(forged, "model.safetensors", pickle.dumps(Bomb(tmp_path / "ran")))
    (models / "champion").unlink()
    (models / "champion").symlink_to(forged.name)
    assert champion.follow()
    assert champion.classifier.version == served
    assert not (tmp_path / "ran").exists()
