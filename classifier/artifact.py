"""One model's directory: written whole or not at all, and verified before use.

What every one holds is `FILES`, and a manifest of them with each file's length and sha256. This
module needs no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
FILES = (
    "config.json",
    "tokenizer.json",
    "model.safetensors",
    "labels.json",
    "calibration.json",
    "scope.safetensors",
    "neighbours.jsonl",
    "neighbours.safetensors",
    "metrics.json",
    "MODEL_CARD.md",
    "report.html",
)
"""What every version holds beside its manifest; a manifest may list more."""
FORMAT = 2


class ModelError(RuntimeError):
    """A model directory that is missing, damaged or in the way; the message says which and how."""


def check_target(directory: Path) -> None:
    """Raise `ModelError` unless a model can be written there: a new name, or an empty directory."""
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        raise ModelError(f"{directory}: exists and is not a directory; choose another name")
    try:
        if directory.is_dir() and any(directory.iterdir()):
            raise ModelError(f"{directory}: is not empty; choose a new directory")
        # The finished directory is renamed into its place, which these two do not let go.
        if directory.exists() and directory.samefile("."):
            raise ModelError(f"{directory}: is where you are; choose a new directory in it")
        if directory.is_mount():
            raise ModelError(f"{directory}: is a mount point; choose a new directory in it")
        hindrance = why_not_made(directory)
    except OSError as error:
        raise ModelError(f"{directory}: cannot be written ({error.strerror})") from error
    if hindrance is not None:
        raise ModelError(f"{directory}: cannot be written, since {hindrance}")


def why_not_made(directory: Path) -> str | None:
    """What keeps a new directory from being made there with all above it, or None. Leaves nothing.

    Raises OSError where that can't be seen.
    """
    # `/` has none above it.
    ground = next((each for each in directory.resolve().parents if each.exists()), directory)
    if not ground.is_dir():
        return f"{ground} is not a directory"
    if not os.access(ground, os.W_OK | os.X_OK):
        return f"you may not write to {ground}"
    try:
        # Some file systems, such as /proc, let root write to them and still make no directory.
        Path(tempfile.mkdtemp(prefix=".frontdesk-", dir=ground)).rmdir()
    except OSError as error:
        return f"no directory can be made in {ground} ({error.strerror})"
    return None


def save(directory: Path, files: Mapping[str, bytes], about: Mapping[str, Any]) -> None:
    """Write a model directory: `files` by name, and a manifest of them with `about` added.

    Everything is written and synced in a temporary directory beside it, which is then renamed;
    on any failure, a full disk among them, nothing of it stays. Raises `ModelError`.
    """
    missing = [name for name in FILES if name not in files]
    if missing:
        raise ModelError(f"{directory}: cannot be saved without {', '.join(missing)}")
    check_target(directory)
    manifest = {
        "format": FORMAT,
        **about,
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for name, content in sorted(files.items())
        },
    }
    partial = directory.parent / f".{directory.name}.{secrets.token_hex(4)}.partial"
    written = partial
    missing_parents = [parent for parent in partial.parents if not parent.exists()]
    try:
        partial.mkdir(parents=True)
        for name, content in files.items():
            write(partial / name, content)
        write(partial / MANIFEST, as_json(manifest))
        sync(partial)
        # POSIX lets a rename replace an empty directory, and refuses one that has filled since.
        written = partial.rename(directory)
        sync(directory.parent)
    except BaseException as error:
        shutil.rmtree(written, ignore_errors=True)
        for parent in missing_parents:
            with suppress(OSError):
                parent.rmdir()
        if isinstance(error, OSError):
            raise ModelError(f"{directory}: could not be saved ({error.strerror})") from error
        raise


def verify(directory: str | Path) -> dict[str, Any]:
    """The manifest of a model directory, after every file it lists was found to match.

    Raises `ModelError` for a missing directory, manifest or file, and for any other length or
    sha256 than the manifest's.
    """
    directory = Path(directory)
    manifest = read_manifest(directory)
    for name, expected in manifest["files"].items():
        path = directory / name
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                # The length first: a file cut short is told without reading the rest of it.
                if size != expected["bytes"]:
                    raise ModelError(
                        f"{path}: has {size} bytes where the manifest has {expected['bytes']}; "
                        "the file is damaged: use another version"
                    )
                if hashlib.file_digest(file, "sha256").hexdigest() != expected["sha256"]:
                    raise ModelError(
                        f"{path}: does not match the manifest's sha256; the file was damaged or "
                        "changed: use another version"
                    )
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    return manifest


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest alone, its shape checked but not the files it lists. Raises `ModelError`."""
    path = directory / MANIFEST
    if not directory.is_dir():
        raise ModelError(f"{directory}: there is no such model; `frontdesk train` makes one")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        # Of a folder of models the last name is its champion's, or the newest version's.
        within = max(directory.glob(f"*/{MANIFEST}"), default=None)
        hint = f"; name one in it, such as {within.parent}" if within else ""
        raise ModelError(
            f"{directory}: has no {MANIFEST}; it is not a model directory{hint}"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); use another version") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ModelError(
            f"{path}: is not a manifest of format {FORMAT}; a model that another version of "
            "Frontdesk made has to be trained anew"
        )
    if not isinstance(manifest.get("version"), str) or not isinstance(manifest.get("files"), dict):
        raise ModelError(f"{path}: lacks the version or the files")
    _check_files(path, manifest["files"])
    return manifest


def _check_files(path: Path, files: dict[str, Any]) -> None:
    for name in FILES:
        if name not in files:
            raise ModelError(f"{path}: lists no {name}")
    for name, expected in files.items():
        # A manifest is data: it must not make us read outside its directory.
        if Path(name).name != name or name in {"", ".", ".."}:
            raise ModelError(f"{path}: lists {name!r}, which is not a plain file name")
        if not isinstance(expected, dict) or set(expected) != {"sha256", "bytes"}:
            raise ModelError(f"{path}: lists {name} without its sha256 and bytes")


def as_json(value: Any) -> bytes:
    """A value as it stands in a file that people may read, too."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; an empty one where none can be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def write(path: Path, content: bytes) -> None:
    """Write a file; it is on the disk then. Raises OSError."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync(directory: Path) -> None:
    """See to it that what was renamed in a directory is on the disk. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
