"""The Makefile, with a Python that fails half-way as Debian's does."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.deploy.files import ROOT

WITHOUT_VENV = """#!/bin/sh
# Debian's python3 without python3-venv: the interpreter is there before ensurepip is missed.
[ "$1" = -m ] || exit 0
mkdir -p "$3/bin" && ln -sf /bin/sh "$3/bin/python" && exit 1
"""
WITH_VENV = """#!/bin/sh
[ "$1" = -m ] || exit 0
mkdir -p "$3/bin" && ln -sf /bin/sh "$3/bin/python" && ln -sf /bin/true "$3/bin/pip"
"""


def make(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    script = folder / "python3"
    script.write_text(python)
    script.chmod(0o755)
    command = ["make", "--file", str(ROOT / "Makefile"), f"PYTHON={script}", ".venv/bin/python"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def test_an_environment_that_was_made_half_is_made_anew_by_the_next_call(tmp_path: Path) -> None:
    assert make(tmp_path, WITHOUT_VENV).returncode != 0
    again = make(tmp_path, WITH_VENV)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / ".venv" / "bin" / "pip").exists()


def test_the_readme_names_what_debian_leaves_out_of_python() -> None:
    assert "`python3-venv`" in (ROOT / "README.md").read_text(encoding="utf-8")
