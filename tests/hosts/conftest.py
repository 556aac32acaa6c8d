"""The network and the desk on it, once for the tests of one file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import models_dir, pack_dir, tiny_base  # noqa: F401 - fixtures
from tests.hosts.fleet import Fleet, running
from tests.hosts.network import Network, NoNamespacesError, network


@pytest.fixture(scope="module")
def switch() -> Iterator[Network]:
    """A network of this test's own. Skips where none can be made, but fails for root in CI."""
    try:
        with network() as made:
            yield made
    except NoNamespacesError as error:
        if os.environ.get("CI") and os.geteuid() == 0:
            pytest.fail(f"CI must test several hosts, but {error}")
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def fleet(
    switch: Network,
    tmp_path_factory: pytest.TempPathFactory,
    models_dir: Path,  # noqa: F811
    pack_dir: Path,  # noqa: F811
) -> Iterator[Fleet]:
    """Frontdesk on nine hosts, all of it working."""
    settings = {"MODELS_DIR": str(models_dir), "PACK": str(pack_dir), "DEVICE": "cpu"}
    with running(switch, tmp_path_factory.mktemp("hosts"), settings) as made:
        yield made
