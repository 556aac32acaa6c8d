"""Names in `.env` that nobody reads: a misspelled setting would be missed by its effect alone."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path

from desk.settings import Settings

OTHERS = frozenset(
    {
        *("POSTGRES_PASSWORD", "REDIS_PASSWORD", "TORCH_INDEX_URL", "OMP_NUM_THREADS"),
        *("PROMETHEUS_PORT", "GRAFANA_PORT"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    }
)
"""What the files of Compose take from `.env` beside the settings, and what proxies go by."""
OF_COMPOSE = ("COMPOSE_", "DOCKER_", "BUILDKIT_")
"""How the names begin that docker compose itself reads."""
NAME = re.compile(r"[A-Z][A-Z0-9_]*")


def unread() -> list[tuple[str, str]]:
    """What is wrong with the names in `.env`, each with what to do; nothing without that file.

    No value is shown, and no name that may be one: a password alone on a line, say.
    """
    from dotenv import dotenv_values

    file = Path(str(Settings.model_config.get("env_file")))
    if not file.is_file():
        return []
    known = sorted(OTHERS | {name.upper() for name in Settings.model_fields})
    found = []
    for name, value in dotenv_values(file, interpolate=False).items():
        if name.upper() in known or name.startswith(OF_COMPOSE):
            continue
        near = get_close_matches(name.upper(), known, n=1, cutoff=0.7)
        if value is None or not (near or NAME.fullmatch(name)):
            found.append((f"a line of {file} is no NAME=value and is ignored", "Write it so"))
        else:
            hint = f"Did you mean {near[0]}?" if near else "docs/settings.md has the settings"
            found.append((f"{name} in {file} is no setting and is ignored", hint))
    return found
