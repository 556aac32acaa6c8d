"""The deployment files are judged by themselves, not by this machine's settings."""

from __future__ import annotations

import pytest

from desk.settings import Settings


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
