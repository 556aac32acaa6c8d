from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from classifier import artifact
from classifier.artifact import ModelError
from classifier.backends import Backend, Output
from classifier.backends.heads import IntentHead, SentimentHead, mean_pool
from classifier.backends.mapped import map_tensors
from classifier.backends.onnx_backend import OnnxBackend
from classifier.backends.torch_backend import TorchBackend
from classifier.batching import pad
from classifier.engine import INT8, Classifier
from classifier.export import export_int8
from classifier.model import TwoHeadedBert
from classifier.tokenising import Sequences
from tests.classifier.tiny import arrays, make_batch, make_examples, read_model

CPU = torch.device("cpu")
SEQUENCES = [[2, 9, 11, 40, 3], [2, 3], [2, *range(20, 51), 3], [2, 7, 3]]


@pytest.fixture(scope="session")
def int8_directory(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained directory with an int8 file beside; not to be changed by a test."""
    from tokenizers import Tokenizer

    source: Path = trained[0]
    texts = [e.text for e in make_examples(each=20)]
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    report = export_int8(read_model(source), tokenizer, texts, texts)
    assert report.onnx is not None, report.reason
    out = tmp_path_factory.mktemp("int8") / "model"
    save(source, out, {INT8: report.onnx})
    return out


@pytest.fixture
def plain_directory(trained: Any, tmp_path: Path) -> Path:
    """The trained directory without an int8 file."""
    save(trained[0], tmp_path / "plain", {INT8: None})
    return tmp_path / "plain"


def save(source: Path, out: Path, changed: dict[str, bytes | None]) -> None:
    """A copy of a model directory with some files changed, or left out."""
    files = {p.name: p.read_bytes() for p in source.iterdir() if p.name != artifact.MANIFEST}
    files |= {name: content for name, content in changed.items() if content is not None}
    kept = {name: content for name, content in files.items() if changed.get(name, b"") is not None}
    artifact.save(out, kept, {"version": "int8"})


def one(backend: Backend, *sequences: list[int]) -> Output:
    [(_, output)] = backend.forward([make_batch(*sequences)])
    return output


def test_int8_gives_what_torch_gives_in_fp32(int8_directory: Path, model: TwoHeadedBert) -> None:
    int8 = OnnxBackend(int8_directory / INT8, map_tensors(int8_directory / "model.safetensors"))
    found = one(int8, *SEQUENCES)
    expected = one(TorchBackend(model, CPU, torch.float32), *SEQUENCES)
    for mine, theirs in zip(arrays(found), arrays(expected), strict=True):
        assert mine.shape == theirs.shape
        assert np.corrcoef(mine.ravel(), theirs.ravel())[0, 1] > 0.99


def test_int8_gives_a_text_the_same_in_a_batch_as_alone(int8_directory: Path) -> None:
    int8 = OnnxBackend(int8_directory / INT8, map_tensors(int8_directory / "model.safetensors"))
    together = one(int8, *SEQUENCES)
    for row, sequence in enumerate(SEQUENCES):
        alone = one(int8, sequence)
        for mine, theirs in zip(arrays(alone), arrays(together), strict=True):
            assert np.allclose(mine[0], theirs[row], atol=0.02)


def test_a_long_text_makes_no_others_as_long_as_itself(model: TwoHeadedBert) -> None:
    # As one customer's message and its sentences: they would take the time of thirteen such texts.
    backend, lengths = TorchBackend(model, CPU), np.array([128] + [11] * 12)
    planned = [lengths[rows].tolist() for rows in backend.plan(lengths, backend.token_budget)]
    assert planned == [[128, 11], [11] * 11]
    near = np.array([12, 11, 9, 9, 8])
    assert [len(rows) for rows in backend.plan(near, backend.token_budget)] == [5]


def test_the_heads_in_numpy_are_those_in_torch(trained: Any, model: TwoHeadedBert) -> None:
    tensors = map_tensors(trained[0] / "model.safetensors")
    ids, mask = (torch.from_numpy(array) for array in pad(Sequences.of(SEQUENCES)))
    with torch.inference_mode():
        states = model.encoder(ids, mask)
        expected = one(TorchBackend(model, CPU, torch.float32), *SEQUENCES)
    _, mean, intent, sentiment = arrays(expected)
    assert np.allclose(mean_pool(states.numpy(), mask.numpy()), mean, atol=1e-5)
    assert np.allclose(IntentHead(tensors)(mean), intent, atol=1e-4)
    found = SentimentHead(tensors)(states.numpy(), mask.numpy(), mean)
    assert np.allclose(found, sentiment, atol=1e-4)


def test_mapped_tensors_are_those_of_the_file(trained: Any) -> None:
    path = trained[0] / "model.safetensors"
    expected = load_file(path)
    mapped = map_tensors(path)
    assert set(mapped) == set(expected)
    for name, tensor in expected.items():
        assert np.array_equal(mapped[name], tensor.numpy()), name


def test_a_worker_with_int8_imports_no_torch(int8_directory: Path) -> None:
    code = (
        "import sys; from classifier import Classifier;"
        f"c = Classifier.load({str(int8_directory)!r}, 'cpu');"
        "assert c.dtype == 'int8' and c(['where is my parcel'])[0].intent.name == 'where';"
        "sys.exit('torch' in sys.modules or 'onnx' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_int8_predicts_what_the_model_without_it_predicts(
    int8_directory: Path, plain_directory: Path
) -> None:
    int8 = Classifier.load(int8_directory, device="cpu")
    plain = Classifier.load(plain_directory, device="cpu")
    assert plain.backend.name == "torch"
    texts = [e.text for e in make_examples(seed=9, each=10)] + ["", "🙂🙂", "parcel " * 300]
    for mine, theirs in zip(int8(texts), plain(texts), strict=True):
        assert mine.intent is not None
        assert theirs.intent is not None
        assert mine.sentiment is not None
        assert theirs.sentiment is not None
        if theirs.intent.confidence > 0.6:
            assert mine.intent.name == theirs.intent.name
        assert mine.intent.confidence == pytest.approx(theirs.intent.confidence, abs=0.1)


@pytest.mark.parametrize("content", [b"", b"no graph"])
def test_an_int8_file_that_cannot_be_loaded_is_told_and_torch_serves(
    int8_directory: Path, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    save(int8_directory, tmp_path / "odd", {INT8: content})
    with caplog.at_level(logging.WARNING):
        loaded = Classifier.load(tmp_path / "odd", device="cpu")
    assert loaded.backend.name == "torch"
    assert "torch computes instead" in caplog.text
    assert loaded(["thanks"])[0].intent is not None


def test_without_onnxruntime_torch_serves(
    int8_directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, "classifier.backends.onnx_backend")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert Classifier.load(int8_directory, device="cpu").backend.name == "torch"
    assert "onnxruntime" in caplog.text


def test_a_processor_that_computes_other_results_than_at_export_is_noticed(
    int8_directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import onnx

    graph = onnx.load(int8_directory / INT8)
    [probe] = graph.metadata_props
    probe.value = json.dumps([-value for value in json.loads(probe.value)])
    save(int8_directory, tmp_path / "other", {INT8: graph.SerializeToString()})
    assert Classifier.load(tmp_path / "other", device="cpu").backend.name == "torch"
    assert "differ from those at export" in caplog.text


def test_an_int8_model_whose_parts_do_not_fit_together_is_refused(
    int8_directory: Path, tmp_path: Path
) -> None:
    labels = json.dumps({"intents": ["a", "b"], "sentiments": []}).encode()
    save(int8_directory, tmp_path / "odd", {"labels.json": labels})
    with pytest.raises(ModelError, match="intent head"):
        Classifier.load(tmp_path / "odd", device="cpu")


def test_a_damaged_int8_file_is_refused(int8_directory: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(int8_directory, tmp_path / "copy"))
    (copy / INT8).write_bytes((copy / INT8).read_bytes()[:-1])
    with pytest.raises(ModelError, match=INT8):
        Classifier.load(copy, device="cpu")
