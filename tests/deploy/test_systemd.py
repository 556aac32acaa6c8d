"""ops/systemd/frontdesk.service: what systemd does when a process ends."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from desk.settings import Settings
from tests.deploy.files import ROOT

UNIT = ROOT / "ops" / "systemd" / "frontdesk.service"


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNIT, encoding="utf-8")
    return parser


def test_it_is_tried_for_ever_whatever_ended_it_and_not_all_the_time() -> None:
    service = unit()["Service"]
    assert service["Restart"] == "always"
    # An occupied port and Telegram's 404 end `up` as a wrong setting does, and pass by themselves.
    assert "RestartPreventExitStatus" not in service
    assert unit()["Unit"]["StartLimitIntervalSec"] == "0"
    assert int(service["RestartSec"]) >= 30


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
