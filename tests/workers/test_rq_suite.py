"""RQ's own tests of its workers, with a `BatchWorker` in their place, but for known deviations."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rq.version import VERSION as INSTALLED

from tests.workers.rq_suite.deviations import DEVIATIONS
from tests.workers.rq_suite.run import (
    CACHE,
    SHA256,
    VERSION,
    CannotFetchError,
    Outcome,
    fetch,
    run,
    unpack,
)

TRIES = 3


@pytest.fixture
def sdist() -> Path:
    try:
        return fetch(CACHE)
    except CannotFetchError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"RQ's own tests were not run: {error}")


def test_the_tests_are_those_of_the_installed_version() -> None:
    assert INSTALLED == VERSION


def test_another_sdist_than_the_published_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / f"rq-{VERSION}.tar.gz").write_bytes(b"something else")
    with pytest.raises(ValueError, match=SHA256):
        fetch(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_rqs_own_tests_pass_but_for_the_listed_deviations(sdist: Path, tmp_path: Path) -> None:
    unpack(sdist, tmp_path)
    outcomes = run(tmp_path)
    expected = {f"tests/{test}" for tests in DEVIATIONS.values() for test in tests}
    assert expected <= outcomes.keys(), "a deviation names a test that there is not"
    unexpected = failed(outcomes) - expected
    for _ in range(TRIES - 1):
        # Several of RQ's tests give a process a quarter of a second; a busy machine takes longer.
        if unexpected:
            unexpected = failed(run(tmp_path, again=unexpected))
    assert unexpected == set(), "these tests fail without being listed in deviations.py"
    passed = expected - failed(outcomes)
    assert passed == set(), "these tests are listed in deviations.py, and pass"
    assert sum(outcome is Outcome.PASSED for outcome in outcomes.values()) > 600


def failed(outcomes: dict[str, Outcome]) -> set[str]:
    return {test for test, outcome in outcomes.items() if outcome is Outcome.FAILED}
