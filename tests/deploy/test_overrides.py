"""Compose files beside docker-compose.yml, and a second desk on the host."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.files import (
    ALERTMANAGER,
    COMPLETE,
    COMPOSE,
    EXTERNAL,
    GPU,
    MONITORING,
    NEEDED,
    OURS,
    ROOT,
    MissingError,
    compose,
    services,
)

ADDRESSES = {
    "DATABASE_URL": "postgresql://frontdesk:password@db.example.com/frontdesk",
    "REDIS_URL": "rediss://frontdesk:password@redis.example.com:6379/0",
}
BUNDLED = {"postgres", "redis"}


def test_with_servers_of_your_own_each_process_has_their_addresses_and_a_way_to_them() -> None:
    found = services(ADDRESSES, EXTERNAL)
    assert set(found) == {*OURS, *BUNDLED}
    networks = compose()["networks"]
    for name in OURS:
        given = services(NEEDED)[name]["environment"]
        assert found[name]["environment"] == {k: v for k, v in ADDRESSES.items() if k in given}
        assert not [n for n in found[name]["networks"] if (networks[n] or {}).get("internal")]


def test_with_servers_of_your_own_those_of_the_file_are_not_started_nor_waited_for() -> None:
    found = services(ADDRESSES, EXTERNAL)
    for name in BUNDLED:
        assert found[name] == {"profiles": ["bundled"]}
    for name in OURS:
        waited = BUNDLED & set(services(NEEDED)[name]["depends_on"])
        assert set(found[name]["depends_on"]) == waited
        assert not any(each["required"] for each in found[name]["depends_on"].values())


@pytest.mark.parametrize("name", ADDRESSES)
def test_without_one_of_their_addresses_compose_says_what_to_do(name: str) -> None:
    with pytest.raises(MissingError, match=rf"{name}: set {name} in \.env"):
        services({key: value for key, value in ADDRESSES.items() if key != name}, EXTERNAL)


def test_no_command_of_the_guides_names_what_belongs_to_one_project_alone() -> None:
    for guide in (ROOT / "docs").glob("*.md"):
        commands = re.findall(r"^ {4,}.*docker .*", guide.read_text(encoding="utf-8"), re.M)
        assert not [line for line in commands if f"{compose()['name']}_" in line], guide.name
    for path in (COMPOSE, MONITORING, ALERTMANAGER):
        assert "container_name:" not in path.read_text(encoding="utf-8")
        assert not [name for name, volume in compose(path)["volumes"].items() if volume]


def test_docker_compose_itself_takes_the_file_with_each_of_the_others(tmp_path: Path) -> None:
    alone = rendered(tmp_path, NEEDED)
    assert alone["name"] == "frontdesk"
    for paths in ((GPU,), (MONITORING,), (MONITORING, ALERTMANAGER)):
        assert set(rendered(tmp_path, NEEDED, *paths)["services"]) >= set(alone["services"])
    external = rendered(tmp_path, NEEDED | ADDRESSES, EXTERNAL)
    assert set(external["services"]) == set(alone["services"]) - BUNDLED
    for name in OURS:
        service = external["services"][name]
        assert service["environment"]["DATABASE_URL"] == ADDRESSES["DATABASE_URL"]
        assert set(service["networks"]) == {"inside", "outside"}


def test_without_the_override_docker_compose_keeps_to_its_own_servers(tmp_path: Path) -> None:
    bot = rendered(tmp_path, NEEDED | ADDRESSES)["services"]["bot"]
    assert not {*ADDRESSES.values()} & {*bot["environment"].values()}


def test_a_second_desk_shares_neither_volumes_nor_ports_with_the_first(tmp_path: Path) -> None:
    first = rendered(tmp_path, COMPLETE, MONITORING, ALERTMANAGER)
    other = {
        "COMPOSE_PROJECT_NAME": "desk2",
        "WEBHOOK_PORT": "8444",
        "PROMETHEUS_PORT": "9091",
        "GRAFANA_PORT": "3001",
    }
    second = rendered(tmp_path, COMPLETE | other, MONITORING, ALERTMANAGER)
    assert second["name"] == "desk2"
    assert not taken(first) & taken(second)


def taken(file: dict[str, Any]) -> set[str]:
    """What there is but once on a host: names of volumes and networks, and ports."""
    names = {each["name"] for kind in ("volumes", "networks") for each in file[kind].values()}
    ports = [port for service in file["services"].values() for port in service.get("ports", [])]
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    return names | {port["published"] for port in ports}


def rendered(folder: Path, env: Mapping[str, str], *overrides: Path) -> dict[str, Any]:
    """What docker compose makes of a checkout with this .env; it needs no engine for that."""
    known = ("PATH", "HOME", "DOCKER_CONFIG")
    around = {name: os.environ[name] for name in known if name in os.environ}
    tool = shutil.which("docker")
    if tool is None or run([tool, "compose", "version"], folder, around).returncode:
        pytest.skip("docker compose is not there")
    shutil.copy(COMPOSE, folder)
    shutil.copytree(ROOT / "docker", folder / "docker", dirs_exist_ok=True)
    files = os.pathsep.join(str(path.relative_to(ROOT)) for path in (COMPOSE, *overrides))
    lines = [f"{name}={value}" for name, value in {**env, "COMPOSE_FILE": files}.items()]
    (folder / ".env").write_text("\n".join(lines))
    done = run([tool, "compose", "config", "--format", "json"], folder, around)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def run(
    command: list[str], folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
