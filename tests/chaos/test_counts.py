"""What `make chaos` says at the end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

COUNT = """
import sys, pytest
from tests.chaos.__main__ import Counts
counts = Counts()
pytest.main(["-q", "-c", "/dev/null", sys.argv[1]], [counts])
print(counts.passed, counts.failed)
"""


def test_a_scenario_that_was_skipped_has_not_passed(tmp_path: Path) -> None:
    scenarios = tmp_path / "test_some.py"
    scenarios.write_text(
        "import pytest\n"
        "@pytest.fixture\n"
        "def server(): pytest.skip('there is none')\n"
        "def test_good(): pass\n"
        "def test_bad(): assert False\n"
        "def test_skipped(): pytest.skip('not here')\n"
        "def test_without_its_server(server): pass\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", COUNT, str(scenarios)], capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines()[-1] == "1 3"
