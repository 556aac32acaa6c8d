"""The training of the starter model, in the background of the tests that come before its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from desk.settings import Settings

ROOT = Path(__file__).parents[1]
SECONDS = 1500


@dataclass
class StarterTraining:
    """`frontdesk train` with the default settings, in a folder of its own."""

    folder: Path
    settings: dict[str, str]
    process: subprocess.Popen[bytes]

    @classmethod
    def begin(cls, folder: Path) -> StarterTraining:
        settings = {
            "DATA_DIR": str(folder / "data"),
            "MODELS_DIR": str(folder / "models"),
            "PACK": str(ROOT / "packs" / "retail"),
            "DEVICE": "cpu",
            "OMP_NUM_THREADS": str(os.cpu_count() or 1),
        }
        known = {name.upper() for name in Settings.model_fields}
        clean = {name: value for name, value in os.environ.items() if name.upper() not in known}
        with (folder / "training.log").open("wb") as log:
            # It yields to whatever else runs: most tests wait more than they compute.
            process = subprocess.Popen(
                ["nice", "-n", "10", sys.executable, "-m", "cli", "train"],
                cwd=folder,
                env={**clean, "PYTHONPATH": str(ROOT), **settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return cls(folder, settings, process)

    def wait(self) -> None:
        """Return when the model is there; AssertionError with the log if it is not."""
        code = self.process.wait(SECONDS)
        assert code == 0, (self.folder / "training.log").read_text()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
