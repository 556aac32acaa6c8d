"""The commands of docs/deploy.md for an upgrade and the way back, in a real repository: what they
ask of docker, in which order, and who can read what they leave. A program writes it down in the
place of docker."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.deploy.files import block

BUILT = ("frontdesk-bot", "frontdesk-training")
DOCKER = f"""#!/bin/sh
echo "$*" >> "$ASKED"
case "$*" in
*"config --images") printf '%s\\n' {BUILT[0]} postgres:17 {BUILT[1]} {BUILT[1]};;
*pg_dump*|*logs*) echo "what customers wrote";;
esac
"""


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A desk's folder: a clone, behind its origin by a pack and a rule."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "docker").write_text(DOCKER)
    (programs / "docker").chmod(0o755)
    origin = tmp_path / "origin"
    shell("git init --quiet --initial-branch=main origin", tmp_path)
    commit(origin, "packs/retail/pack.yml", "ops/prometheus/alerts.yml")
    shell("git clone --quiet origin desk", tmp_path)
    commit(origin, "packs/retail/new.yml", "ops/prometheus/new.yml")
    return tmp_path / "desk"


def commit(repository: Path, *files: str) -> None:
    for name in files:
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text("new")
    shell("git add . && git -c user.name=x -c user.email=x@x commit --quiet -m x", repository)


def shell(lines: str, folder: Path, umask: int = 0o022) -> None:
    """These lines, one after the other as in a terminal, in one shell with this umask."""
    path = f"{folder.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "ASKED": str(folder.parent / "asked")}
    done = subprocess.run(
        ["bash", "-ec", lines],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.umask(umask) and None,
    )
    assert done.returncode == 0, done.stderr


def asked(desk: Path) -> list[str]:
    return (desk.parent / "asked").read_text().splitlines()


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_an_upgrade_hides_the_dump_and_leaves_packs_and_rules_readable_for_the_containers(
    desk: Path, umask: int
) -> None:
    shell("\n".join(block("git rev-parse HEAD                # note")), desk, umask)
    for name in ("before.dump", "before.log"):
        assert (desk / name).stat().st_mode & 0o077 == 0, name
    new = [path for folder in ("packs", "ops") for path in (desk / folder).rglob("new.yml")]
    assert len(new) == 2
    for path in new:
        for each in (path, *path.parents[: len(path.relative_to(desk).parts) - 1]):
            needed = 0o005 if each.is_dir() else 0o004
            assert each.stat().st_mode & needed == needed, each


def test_an_upgrade_keeps_the_images_of_before_takes_new_bases_and_rules(desk: Path) -> None:
    shell("\n".join(block("git rev-parse HEAD                # note")), desk)
    tags = [f"tag {name} {name}:before" for name in BUILT]
    steps = [
        *("compose exec -T postgres pg_dump --username=frontdesk --format=custom frontdesk",),
        *tags,
        *("compose build --pull", "compose pull --ignore-buildable"),
        *("compose run --rm migrations", "compose up --detach"),
        "compose kill --signal HUP prometheus",
    ]
    assert [line for line in asked(desk) if line in steps] == steps
    assert sum(line.startswith("tag ") for line in asked(desk)) == len(tags)


def test_the_way_back_takes_the_images_of_before_and_builds_nothing(desk: Path) -> None:
    shell("git pull --quiet", desk)
    back = block("  docker compose stop")
    shell("\n".join(back).replace("COMMIT", "HEAD~1"), desk, 0o077)
    assert not (desk / "packs" / "retail" / "new.yml").exists()
    assert [line for line in asked(desk) if not line.endswith("config --images")] == [
        "compose stop",
        *(f"tag {name}:before {name}" for name in BUILT),
    ]
    shell("git switch --quiet - && git pull --quiet", desk)
    assert (desk / "packs" / "retail" / "new.yml").exists()
