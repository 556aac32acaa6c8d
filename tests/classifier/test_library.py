"""The package as programs of others use it: its types, what it lacks, their processes."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from classifier.engine import Classifier

ROOT = Path(__file__).parents[2]


def run(code: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, which knows the package as an installed one."""
    return subprocess.run(
        [sys.executable, *arguments, *(("-c", code) if code else ())],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_documented_examples_are_well_typed_outside_the_repository(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "classifier.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) >= 2
    code = "\n".join(("texts = ['where is my parcel?']", *examples, "prediction.no_such_thing"))
    (tmp_path / "program.py").write_text(code)
    # What others' libraries say of their types is not asked: reading that takes most of the time.
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\nstrict = true\n"
        "[mypy-numpy.*,torch.*,safetensors.*,tokenizers.*]\nfollow_imports = skip\n"
    )
    found = run("", tmp_path, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "program.py")
    last = code.count("\n") + 1
    assert [line for line in found.stdout.splitlines() if "error:" in line] == [
        f'program.py:{last}: error: "Prediction" has no attribute "no_such_thing"  [attr-defined]'
    ], found.stdout


@pytest.mark.parametrize("missing", ["numpy", "tokenizers"])
def test_where_what_it_needs_is_not_installed_the_error_says_how_to(
    tmp_path: Path, missing: str
) -> None:
    code = f"""
import sys
sys.modules[{missing!r}] = None
import classifier
classifier.Prediction
from classifier import Classifier
"""
    said = run(code, tmp_path).stderr.splitlines()[-1]
    assert said.startswith(f"ImportError: Classifier needs {missing}, which is not installed")
    assert 'pip install ".[cpu,embedded]"' in said


def test_with_torch_a_forked_process_is_told_to_load_the_model_itself(
    trained: Any, tmp_path: Path
) -> None:
    code = f"""
import os
from classifier import Classifier, engine
engine._load_int8 = lambda *_: None
classifier = Classifier.load({str(trained[0])!r}, device="cpu")
classifier(["thanks"])
if os.fork() == 0:
    try:
        classifier(["thanks"])
    except RuntimeError as error:
        print(error, flush=True)
    os._exit(0)
os.wait()
"""
    done = run(code, tmp_path)
    assert "load it in the process that uses it" in done.stdout, done.stderr


def test_a_process_forked_while_a_thread_calls_the_classifier_can_call_it_too(
    trained: Any, tmp_path: Path
) -> None:
    code = f"""
import os, signal, threading, time
from classifier import Classifier, engine, threads
from classifier.engine import tokenise
classifier = Classifier.load({str(trained[0])!r}, device="cpu")
assert classifier.backend.name == "onnxruntime"
texts = ["thanks " * 9000] * 70
wanted = classifier._tokenise(texts).lists()
begun, done = threading.Event(), threading.Event()
class Slow:  # as a tokenizer that somebody is within, its truncation switched off
    def __getattr__(self, name):
        return getattr(own, name)
    def encode_batch_fast(self, *args, **more):
        begun.set()
        done.wait()
        return own.encode_batch_fast(*args, **more)
own, classifier._tokenizer = classifier._tokenizer, Slow()
thread = threading.Thread(target=classifier, args=(texts,))
thread.start()
begun.wait()
with threads._lock:
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        with threads._lock:
            classifier(["thanks"])
            assert classifier._tokenise(texts).lists() == wanted
        os._exit(0)
print("ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
done.set()
thread.join()
"""
    done = run(code, tmp_path)
    assert done.stdout == "ended with 0\n", done.stderr


@pytest.mark.parametrize("backend", ["onnxruntime", "torch"])
def test_a_process_forked_while_threads_really_tokenise_answers_or_says_why_not(
    trained: Any, tmp_path: Path, backend: str
) -> None:
    code = f"""
import os, signal, threading, time
from classifier import Classifier, engine
if {backend!r} == "torch":
    engine._load_int8 = lambda *_: None
classifier = Classifier.load({str(trained[0])!r}, device="cpu")
assert classifier.backend.name == {backend!r}
texts = ["where is my parcel, and the other one " * 40] * 500
wanted = classifier._tokenise(["thanks"] * 100).lists()
over = threading.Event()
def go_on():
    while not over.is_set():
        classifier._tokenise(texts)
threads = [threading.Thread(target=go_on) for _ in range(2)]
for thread in threads:
    thread.start()
ended = set()
for number in range(10):
    time.sleep(0.005 * number)  # each time somewhere else in it
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        said = classifier._tokenise(["thanks"] * 100).lists() == wanted
        try:
            said = said and len(classifier(["thanks"])) == 1
        except RuntimeError as error:
            said = said and "load it in the process that uses it" in str(error)
        os._exit(0 if said else 1)
    ended.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print("ended with", ended)
over.set()
for thread in threads:
    thread.join()
"""
    done = run(code, tmp_path)
    assert done.stdout == "ended with {0}\n", done.stderr


def test_a_classifier_is_not_pickled_and_says_what_to_do(classifier: Classifier) -> None:
    with pytest.raises(TypeError, match="load it in each process"):
        pickle.dumps(classifier)
