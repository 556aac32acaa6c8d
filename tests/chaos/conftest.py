"""One Frontdesk for all scenarios: each has customers of its own and leaves it whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import stack as stacks
from tests.chaos.stack import Stack
from tests.cli.conftest import models_dir, pack_dir, tiny_base  # noqa: F401 - fixtures
from tests.databases import NoPostgresError

LONG = os.environ.get("FRONTDESK_CHAOS") == "long"
"""Whether the whole suite runs, with its full times: `make chaos`."""


@pytest.fixture(scope="session")
def settings(models_dir: Path, pack_dir: Path, tiny_base: Path) -> dict[str, str]:  # noqa: F811
    """What every process of a stack is told beside its addresses."""
    return {
        "MODELS_DIR": str(models_dir),
        "PACK": str(pack_dir),
        "BASE_MODEL": str(tiny_base),
        "DEVICE": "cpu",
    }


@pytest.fixture(scope="package")
def whole(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Frontdesk on PostgreSQL, both behind proxies. Skips without PostgreSQL, but fails in CI."""
    try:
        with stacks.running(tmp_path_factory.mktemp("chaos"), settings) as made:
            yield made
    except NoPostgresError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI must run the fault suite, but there is {error}")
        pytest.skip(str(error))


@pytest.fixture
def stack(whole: Stack) -> Iterator[Stack]:
    """Frontdesk, whole and without faults; and made so again after the scenario."""
    yield whole
    whole.calm()
