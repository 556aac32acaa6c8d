"""ops/systemd/frontdesk.service: what systemd does when a process ends."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.errors import FAILED, MISCONFIGURED
from desk.settings import Settings
from tests.deploy.files import ROOT

UNIT = ROOT / "ops" / "systemd" / "frontdesk.service"


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNIT, encoding="utf-8")
    return parser


def test_what_may_work_later_is_tried_for_ever_and_wrong_settings_are_not() -> None:
    service = unit()["Service"]
    assert service["Restart"] == "always"
    never = {int(status) for status in service["RestartPreventExitStatus"].split()}
    assert MISCONFIGURED in never
    assert FAILED not in never
    assert unit()["Unit"]["StartLimitIntervalSec"] == "0"


def test_up_ends_with_that_status_where_a_setting_is_wrong(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("METRICS_PORT=none\n")
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "cli", "up"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=60)
    assert str(done.returncode) == unit()["Service"]["RestartPreventExitStatus"]


def test_a_child_that_is_killed_for_its_memory_does_not_end_the_others() -> None:
    assert unit()["Service"]["OOMPolicy"] == "continue"


def test_what_is_proposed_for_its_environment_is_no_setting() -> None:
    names = re.findall(r"^#Environment=(\w+)=", UNIT.read_text(encoding="utf-8"), re.M)
    assert names == ["HTTPS_PROXY", "OMP_NUM_THREADS"]
    assert not {name.lower() for name in names} & set(Settings.model_fields)


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not there")
    # It looks for the program and the folder, which are not on this machine.
    text = UNIT.read_text(encoding="utf-8").replace(
        "/opt/frontdesk/.venv/bin/frontdesk", "/bin/true"
    )
    path = tmp_path / UNIT.name
    path.write_text(text)
    done = subprocess.run([tool, "verify", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
