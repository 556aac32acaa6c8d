"""The deployment files as data: docker-compose.yml interpolated, the Dockerfile as instructions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
GPU = ROOT / "docker" / "gpu.yml"
EXTERNAL = ROOT / "docker" / "external.yml"
MONITORING = ROOT / "docker" / "monitoring.yml"
ALERTMANAGER = ROOT / "docker" / "alertmanager.yml"
DOCKERFILE = ROOT / "Dockerfile"
ENV_EXAMPLE = ROOT / ".env.example"

NEEDED = {
    "BOT_TOKEN": "123456789:AAEhBP0av28aaaaaaaaaaaaaaaaaaaaaaaa",
    "POSTGRES_PASSWORD": "0123abcd",
    "REDIS_PASSWORD": "4567ef",
}
"""What a user has to write into .env, with made-up values."""
COMPLETE = NEEDED | {"OPERATOR_CHAT_ID": "-1001000000001"}
"""The same with what the running bot tells: the group."""

LONG_RUNNING = ("bot", "inference", "training", "scheduler")
ONE_SHOT = ("migrations", "starter")
OURS = (*LONG_RUNNING, *ONE_SHOT)

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<how>:[-?])(?P<rest>[^}]*))?\}|(?P<stray>\$)")


class MissingError(Exception):
    """A required variable is not set; the text is what docker compose would say."""


def interpolate(value: Any, env: Mapping[str, str]) -> Any:
    """A value of the compose file with its `${…}` replaced as docker compose does."""
    if isinstance(value, dict):
        return {key: interpolate(item, env) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate(item, env) for item in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        assert not match["stray"], f"a lone $ in {value!r}"
        found = env.get(match["name"], "")
        if match["how"] is None or found:
            return found
        if match["how"] == ":?":
            raise MissingError(f"{match['name']}: {match['rest']}")
        return match["rest"]

    return _VARIABLE.sub(replace, value)


def compose(path: Path = COMPOSE) -> dict[str, Any]:
    """A compose file as it is written, its YAML anchors resolved."""
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def services(env: Mapping[str, str], path: Path = COMPOSE) -> dict[str, Any]:
    """The services as docker compose would run them with this .env, or what an override adds."""
    found: dict[str, Any] = interpolate(compose(path)["services"], env)
    return found


def environment(service: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, str]:
    """The variables of a service; one without a value is handed on, or left out."""
    given = service.get("environment") or {}
    known = {key: env.get(key) if value is None else value for key, value in given.items()}
    return {key: value for key, value in known.items() if value is not None}


def variables(path: Path) -> set[str]:
    """The names of all variables that a compose file takes from .env."""
    text = path.read_text(encoding="utf-8")
    handed_on = {
        name
        for service in compose(path)["services"].values()
        for name, value in (service.get("environment") or {}).items()
        if value is None
    }
    return {match["name"] for match in _VARIABLE.finditer(text) if match["name"]} | handed_on


def block(beginning: str) -> list[str]:
    """The lines of the block of docs/deploy.md that begins with this line."""
    guide = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    [found] = re.findall(rf"^    {re.escape(beginning)}.*\n(?:    .*\n)*", guide, re.M)
    return [line.strip() for line in found.splitlines()]


@dataclass(frozen=True)
class Stage:
    """A stage of the Dockerfile: `base` is an image or an earlier stage."""

    name: str
    base: str
    instructions: tuple[tuple[str, str], ...]

    def all(self, instruction: str) -> list[str]:
        return [rest for name, rest in self.instructions if name == instruction]


def stages() -> dict[str, Stage]:
    """The stages of the Dockerfile, in order; each has to be named."""
    lines = (
        line
        for line in DOCKERFILE.read_text(encoding="utf-8").splitlines()
        if not line.lstrip().startswith("#")
    )
    text = re.sub(r"\\\n", " ", "\n".join(lines))
    found: dict[str, Stage] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            base, word, name = rest.split()
            assert word == "AS"
            found[name] = Stage(name, base, ())
        else:
            last = next(reversed(found.values()))
            more = (*last.instructions, (instruction, rest.strip()))
            found[last.name] = Stage(last.name, last.base, more)
    return found


def lineage(name: str) -> list[Stage]:
    """A stage and what it was made from, by FROM and by COPY --from, the stage itself first."""
    known = stages()
    stage, found = known[name], [known[name]]
    for copied in re.findall(r"--from=([\w-]+)", " ".join(stage.all("COPY"))):
        found += lineage(copied)
    return found + (lineage(stage.base) if stage.base in known else [])
