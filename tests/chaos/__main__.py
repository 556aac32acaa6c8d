"""`make chaos`: every scenario and the long soak; at the end how many passed and failed, alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest


class Counts:
    """Counts tests as pytest reports them. One that was skipped has not passed: who asks for the
    long run asks for all of it."""

    def __init__(self) -> None:
        self.passed = self.failed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed or report.skipped:
            self.failed += 1
        elif report.when == "call" and report.passed:
            self.passed += 1


def main() -> int:
    """Run what ONLY names (part of a scenario's name), or everything; 0 if all of it passed."""
    os.environ["FRONTDESK_CHAOS"] = "long"
    only = os.environ.get("ONLY")
    counts = Counts()
    here = str(Path(__file__).parent)
    status = pytest.main([here, "-q", "-rs", *(["-k", only] if only else [])], [counts])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not counts.failed:
        counts.failed = 1  # nothing of that name, or pytest itself failed
    print(f"{counts.passed} passed, {counts.failed} failed")
    return 1 if counts.failed else 0


if __name__ == "__main__":
    sys.exit(main())
