"""docker-compose.yml: its form, its variables, its secrets, and what depends on what."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from redis.connection import parse_url
from sqlalchemy import make_url

from desk.settings import Settings
from tests.deploy.files import (
    COMPLETE,
    COMPOSE,
    DOCKERFILE,
    ENV_EXAMPLE,
    EXTERNAL,
    GPU,
    LONG_RUNNING,
    MONITORING,
    NEEDED,
    ONE_SHOT,
    OURS,
    ROOT,
    MissingError,
    compose,
    environment,
    services,
    stages,
    variables,
)
from tests.deploy.schema import Compose

SETTINGS = {name.upper() for name in Settings.model_fields}
IMAGE_VARIABLES = {
    "POSTGRES_DB",
    "POSTGRES_PASSWORD",
    "POSTGRES_USER",
    "REDISCLI_AUTH",
    "REDIS_PASSWORD",
    "HTTPS_PROXY",
    "NO_PROXY",
    "COMPOSE_PROJECT_NAME",
    "PROMETHEUS_PORT",
    "GRAFANA_PORT",
    "OMP_NUM_THREADS",
    "TORCH_INDEX_URL",
}
"""Variables of docker compose, its files and the images, which docs/deploy.md has to explain."""
SECRET = re.compile(r"TOKEN|PASSWORD|SECRET|AUTH|_KEY")


@pytest.mark.parametrize("path", [COMPOSE, GPU, EXTERNAL], ids=lambda path: path.name)
def test_the_compose_files_match_the_schema(path: Path) -> None:
    Compose.model_validate(compose(path))


@pytest.mark.parametrize("path", [COMPOSE, GPU, EXTERNAL], ids=lambda path: path.name)
def test_the_compose_files_match_the_specifications_own_schema(path: Path) -> None:
    checker = pytest.importorskip("check_jsonschema", reason="needs pip install check-jsonschema")
    jsonschema = pytest.importorskip("jsonschema")

    folder = Path(checker.__file__).parent / "builtin_schemas" / "vendor"
    schema = json.loads((folder / "compose-spec.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator(schema).validate(compose(path))


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.update(service={}),
        lambda file: file["services"]["bot"].update(comand=["frontdesk", "bot"]),
        lambda file: file["services"]["bot"].update(restart=False),
        lambda file: file["services"]["bot"]["environment"].update(WEBHOOK_PORT=8443),
        lambda file: file["services"]["bot"]["healthcheck"].update(interval="15"),
        lambda file: file["services"]["bot"]["depends_on"]["redis"].update(condition="healthy"),
    ],
)
def test_a_misspelt_key_or_a_value_of_the_wrong_kind_is_refused(damage: Any) -> None:
    file = copy.deepcopy(compose())
    damage(file)
    with pytest.raises(ValidationError):
        Compose.model_validate(file)


def test_every_volume_network_and_dependency_that_is_named_exists() -> None:
    file = compose()
    for name, service in file["services"].items():
        assert set(service["networks"]) <= set(file["networks"]), name
        assert set(service.get("depends_on", {})) <= set(file["services"]) - {name}
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).is_dir(), volume
            else:
                assert source in file["volumes"], volume


def test_every_variable_of_a_service_is_a_setting_or_a_documented_one_of_an_image() -> None:
    for name, service in compose()["services"].items():
        given = set(service.get("environment", {}))
        unknown = given - SETTINGS - IMAGE_VARIABLES
        assert not unknown, f"{name}: {unknown}"


def test_every_variable_that_the_files_read_stands_in_the_example() -> None:
    files = (COMPOSE, GPU, EXTERNAL, MONITORING)
    assert set().union(*map(variables, files)) <= set(example())


def test_every_setting_stands_in_the_example_and_nothing_unknown_does() -> None:
    assert set(example()) - IMAGE_VARIABLES == SETTINGS


def test_every_process_shows_its_metrics_inside_and_publishes_them_nowhere() -> None:
    for name in LONG_RUNNING:
        service = services(NEEDED)[name]
        env = environment(service, NEEDED)
        assert (env["METRICS_PORT"], env["METRICS_HOST"]) == ("9464", "0.0.0.0")
        assert not [port for port in service.get("ports", []) if "9464" in port]


def test_variables_that_are_no_settings_are_explained_in_the_guide() -> None:
    guide = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    assert [name for name in sorted(IMAGE_VARIABLES) if f"`{name}`" not in guide] == []


def test_values_in_the_example_are_the_defaults() -> None:
    given = {name.lower(): value for name, value in example().items() if value}
    expected = settings()
    found = settings(**{k: v for k, v in given.items() if k.upper() in SETTINGS})
    assert found == expected


def test_a_service_without_optional_variables_runs_with_the_documented_defaults() -> None:
    expected = settings().model_dump()
    for name in OURS:
        env = environment(services(NEEDED)[name], NEEDED)
        found = {k.lower(): v for k, v in env.items() if k in SETTINGS and v != ""}
        told = settings(**found).model_dump()
        special = {"database_url", "redis_url", "bot_token", "operator_chat_id"}
        # In a container they listen on the network between the containers, and nowhere else.
        special |= {"metrics_port", "metrics_host"}
        assert {k: v for k, v in told.items() if k not in special} == {
            k: v for k, v in expected.items() if k not in special
        }, name


def test_the_addresses_name_the_services_and_carry_their_passwords() -> None:
    found = services(NEEDED)
    for name in OURS:
        env = environment(found[name], NEEDED)
        database = make_url(settings(database_url=env["DATABASE_URL"]).database)
        postgres = found["postgres"]["environment"]
        assert database.host in found
        assert database.drivername == "postgresql+psycopg"
        assert database.database == postgres["POSTGRES_DB"]
        assert database.username == postgres["POSTGRES_USER"]
        assert database.password == postgres["POSTGRES_PASSWORD"] == NEEDED["POSTGRES_PASSWORD"]
        if name != "migrations":
            redis: dict[str, Any] = parse_url(env["REDIS_URL"])  # type: ignore[no-untyped-call]
            assert redis["host"] in found
            assert redis["password"] == NEEDED["REDIS_PASSWORD"]


@pytest.mark.parametrize("name", NEEDED)
def test_without_a_needed_variable_compose_says_what_to_do(name: str) -> None:
    with pytest.raises(MissingError, match=rf"{name}: set {name} in \.env"):
        services({key: value for key, value in NEEDED.items() if key != name})


def test_the_group_may_be_unknown_until_the_running_bot_has_told_its_id() -> None:
    for name in OURS:
        env = environment(services(NEEDED)[name], NEEDED)
        assert not env.get("OPERATOR_CHAT_ID"), name
    told = environment(services(COMPLETE)["bot"], COMPLETE)
    assert told["OPERATOR_CHAT_ID"] == COMPLETE["OPERATOR_CHAT_ID"]


def test_the_guide_says_that_another_bot_needs_a_database_of_its_own() -> None:
    guide = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    assert "A bot with *another* token needs a database" in guide


def test_no_secret_stands_in_a_file() -> None:
    for service in compose()["services"].values():
        for name, value in (service.get("environment") or {}).items():
            if SECRET.search(name) and value is not None:
                assert re.fullmatch(r"\$\{\w+:(\?[^}]+|-)\}", value), name
    assert [name for name, value in example().items() if SECRET.search(name) and value] == []
    for path in (COMPOSE, GPU, EXTERNAL, DOCKERFILE, ENV_EXAMPLE):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\d{8,}:[\w-]{20,}", text), f"a bot token in {path.name}"
        for password in re.findall(r"\w+://[\w]*:([^@\s/]+)@", text):
            assert password.startswith("${") or password == "password", path.name


def test_the_token_is_given_to_the_bot_alone() -> None:
    found = compose()["services"]
    holders = {
        name
        for name, service in found.items()
        if {"BOT_TOKEN", "WEBHOOK_SECRET"} & set(service.get("environment", {}))
    }
    assert holders == {"bot"}
    assert not [name for name, service in found.items() if "env_file" in service]


def test_doctor_learns_in_each_container_how_long_customers_are_kept() -> None:
    for name in LONG_RUNNING:
        given = services(NEEDED | {"RETENTION_DAYS": "90"})[name]["environment"]
        assert given["RETENTION_DAYS"] == "90", name
        assert not services(NEEDED)[name]["environment"]["RETENTION_DAYS"], name


def test_only_the_bot_reaches_the_world_and_nothing_is_open_to_it() -> None:
    file = compose()
    assert file["networks"]["inside"] == {"internal": True}
    outside = {name for name, s in file["services"].items() if "outside" in s["networks"]}
    assert outside == {"bot"}
    ports = [port for service in services(NEEDED).values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:8443:8443"]


def test_every_long_running_service_has_a_health_check_and_comes_back() -> None:
    for name, service in services(NEEDED).items():
        if name in ONE_SHOT:
            assert service["restart"] == "no"
            continue
        assert service["restart"] == "unless-stopped", name
        assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}, name
        if name in LONG_RUNNING:
            assert service["healthcheck"]["test"] == [
                *("CMD", "frontdesk", "doctor", "--process", name)
            ]
        assert service["stop_grace_period"]
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}


def test_nothing_of_ours_starts_before_its_database_is_ready_and_migrated() -> None:
    found = services(NEEDED)
    assert found["migrations"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in (*LONG_RUNNING, "starter"):
        after = {key: value["condition"] for key, value in found[name]["depends_on"].items()}
        assert after["postgres"] == after["redis"] == "service_healthy"
        assert after["migrations"] == "service_completed_successfully"
    for name in ("inference", "training"):
        starter = found[name]["depends_on"]["starter"]
        assert starter == {"condition": "service_completed_successfully"}


def test_the_first_start_does_not_take_the_server_of_initdb_for_the_database() -> None:
    found = services(NEEDED)
    # That server listens on the Unix socket alone.
    assert "--host=127.0.0.1" in found["postgres"]["healthcheck"]["test"]
    # Nothing starts `migrations` again, and without it nothing else starts.
    assert found["migrations"]["command"] == ["frontdesk", "migrate", "--wait", "60"]


def test_inference_can_be_scaled() -> None:
    service = compose()["services"]["inference"]
    assert not {"container_name", "hostname", "ports"} & set(service)
    assert "--name" not in service["command"]


def test_the_notes_of_who_was_erased_outlive_the_containers() -> None:
    found = services(NEEDED)
    mounts = {name: found[name].get("volumes", []) for name in OURS}
    noting = {name for name in OURS if "erased:/data/erased" in mounts[name]}
    assert noting == {"migrations", "starter", "training", "bot", "scheduler"}
    made = re.search(r"install --directory --owner=frontdesk .*", DOCKERFILE.read_text("utf-8"))
    assert made is not None
    assert "/data/erased" in made[0], "a volume takes its owner from there"


def test_models_are_written_by_training_and_read_by_inference_and_packs_by_all() -> None:
    found = services(NEEDED)
    mounts = {name: found[name].get("volumes", []) for name in OURS}
    writers = {name for name in OURS if "models:/models" in mounts[name]}
    readers = {name for name in OURS if "models:/models:ro" in mounts[name]}
    assert writers == {"training", "starter"}
    assert readers == {"inference"}
    for name in (*LONG_RUNNING, "starter"):
        assert "./packs:/app/packs:ro" in mounts[name], name


def test_our_containers_run_without_privileges_on_a_read_only_disk() -> None:
    for name in OURS:
        service = services(NEEDED)[name]
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert any(mount.startswith("/data:uid=10001,") for mount in service["tmpfs"]), name


def test_every_target_that_is_built_exists_and_the_gpu_override_changes_what_exists() -> None:
    file, override = compose(), compose(GPU)
    targets = {s["build"]["target"] for s in file["services"].values() if "build" in s}
    gpu_targets = {s["build"]["target"] for s in override["services"].values()}
    assert targets | gpu_targets <= set(stages())
    assert gpu_targets == {"worker-gpu"}
    workers = {
        n for n, s in file["services"].items() if s.get("build", {}).get("target") == "worker"
    }
    assert set(override["services"]) == workers


def test_build_arguments_exist_in_the_dockerfile() -> None:
    declared = {a.split("=")[0] for stage in stages().values() for a in stage.all("ARG")}
    for service in compose()["services"].values():
        assert set(service.get("build", {}).get("args", {})) <= declared


def example() -> dict[str, str]:
    """The variables of .env.example, those that are commented out among them."""
    lines = ENV_EXAMPLE.read_text(encoding="utf-8").splitlines()
    found = [match for line in lines if (match := re.fullmatch(r"#?([A-Z_]+)=(.*)", line))]
    names = [match[1] for match in found]
    assert len(names) == len(set(names)), "a variable stands twice in .env.example"
    return {match[1]: match[2] for match in found}


def settings(**values: Any) -> Settings:
    """The settings with these values, whatever .env says here."""
    return Settings(_env_file=None, **values)
