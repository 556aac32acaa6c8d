"""Print what pyproject.toml requires, so that a layer can hold the dependencies without the code.

python requirements.py [EXTRA ...] [--only NAME]

Without an extra: the core. With extras: these alone. `--only` leaves the one package of that name.
The standard library alone: it runs in a bare Python image.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path


def requirements(pyproject: str, extras: list[str], only: str | None = None) -> list[str]:
    """The requirement lines, sorted. Raises KeyError for an unknown extra or package."""
    project = tomllib.loads(pyproject)["project"]
    optional = project["optional-dependencies"]
    lines = [line for extra in extras for line in optional[extra]] or project["dependencies"]
    # An extra that is another one: pip would look for a published Frontdesk.
    own = {f"{project['name']}[{extra}]": extra for extra in optional}
    lines = [each for line in lines for each in (optional[own[line]] if line in own else [line])]
    if only is not None:
        lines = [line for line in lines if re.split(r"[^\w.-]", line)[0] == only]
        if not lines:
            raise KeyError(only)
    return sorted(set(lines))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("extras", nargs="*")
    parser.add_argument("--only")
    given = parser.parse_args()
    text = Path("pyproject.toml").read_text(encoding="utf-8")
    sys.stdout.write("\n".join(requirements(text, given.extras, given.only)) + "\n")


if __name__ == "__main__":
    main()
