"""The version before, its code and its own tests, on the tables of this version.

During an update old processes go on working after the migrations. Here the old code is taken from
git with today's migrations in place of its own, and passes the tests it came with.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BEFORE = "20561c0"
"""A commit of the schema 0004."""
SUITES = ["tests/desk/test_intake.py", "tests/desk/test_delivering.py"]


@pytest.mark.slow
def test_the_version_before_passes_its_own_tests_on_todays_tables(tmp_path: Path) -> None:
    taken = subprocess.run(["git", "archive", BEFORE], cwd=ROOT, capture_output=True)
    if taken.returncode != 0:
        pytest.skip(f"the history of {BEFORE} is not here: a shallow clone, or no git")
    with tarfile.open(fileobj=BytesIO(taken.stdout)) as archive:
        archive.extractall(tmp_path, filter="data")
    for migration in (ROOT / "desk" / "migrations" / "versions").glob("*.py"):
        shutil.copy(migration, tmp_path / "desk" / "migrations" / "versions")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *SUITES],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "passed" in done.stdout
