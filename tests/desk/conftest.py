"""Fixtures of the desk's own tests."""

from __future__ import annotations

import pytest

from desk.flow.desk import Desk
from tests.desk.acting import Stage


@pytest.fixture
def stage(desk: Desk) -> Stage:
    """A desk with its people, on SQLite and on PostgreSQL."""
    return Stage(desk)
