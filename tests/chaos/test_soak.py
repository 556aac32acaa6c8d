"""The soak: `make chaos SEED=n` plays the same day again."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import stack as stacks
from tests.chaos.conftest import LONG
from tests.chaos.soak import Soak
from tests.chaos.stack import Stack
from tests.databases import NoPostgresError

# A quarter of the acts are no updates of a customer.
ACTS, CUSTOMERS, RATE = (14_000, 300, 45.0) if LONG else (300, 30, 15.0)


@pytest.fixture
def fresh(settings: dict[str, str], tmp_path: Path) -> Iterator[Stack]:
    try:
        with stacks.running(tmp_path, settings) as made:
            yield made
    except NoPostgresError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI must run the soak, but there is {error}")
        pytest.skip(str(error))


@pytest.mark.slow
@pytest.mark.timeout(1500 if LONG else 290)
def test_soak(fresh: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    # The short form is part of each change's tests, which must not hang on the dice.
    dice = random.SystemRandom().randrange(1_000_000) if LONG else 1
    seed = int(os.environ.get("SEED") or dice)
    with capsys.disabled():
        print(f"\nsoak: SEED={seed}", flush=True)
    soak = Soak(fresh, seed, ACTS, CUSTOMERS, RATE)
    verdict = soak.run(settle_seconds=400 if LONG else 150)
    with capsys.disabled():
        print(f"soak: SEED={seed}: {verdict}; troubles {dict(soak.troubles)}", flush=True)
    assert not verdict.violations, f"SEED={seed}\n" + "\n".join(verdict.violations)
    assert verdict.parked == 0, f"SEED={seed}"
    assert soak.troubles, f"SEED={seed}"
