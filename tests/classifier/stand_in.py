"""Models that are none: files that match their manifest and could not predict anything."""

from __future__ import annotations

from pathlib import Path

from classifier import artifact, registry
from classifier.artifact import FILES


def files() -> dict[str, bytes]:
    return {name: f"content of {name}".encode() for name in FILES}


def add(models: Path, name: str | None = None) -> str:
    name = name or registry.new_version_name()
    artifact.save(models / name, files(), {"version": name})
    return name
