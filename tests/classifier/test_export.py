from __future__ import annotations

import sys
from functools import partial
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from tokenizers import Tokenizer

from classifier import agreement
from classifier.backends import onnx_graph
from classifier.backends.onnx_graph import build
from classifier.backends.steps import FULL, SAFE, weight_steps
from classifier.export import ExportReport, export_int8, find_ranges, try_int8
from classifier.model import TwoHeadedBert
from classifier.training import find_labels
from tests.classifier.test_backends import read_model
from tests.classifier.tiny import make_batch, make_examples

EXAMPLES = make_examples(each=15)
TEXTS = [e.text for e in EXAMPLES]
LABELS = find_labels(EXAMPLES)


@pytest.fixture(scope="module")
def model(trained: Any) -> TwoHeadedBert:
    return read_model(trained[0])


@pytest.fixture(scope="module")
def tokenizer(trained: Any) -> Tokenizer:
    return Tokenizer.from_file(str(trained[0] / "tokenizer.json"))


@pytest.fixture(scope="module")
def report(model: TwoHeadedBert, tokenizer: Tokenizer) -> ExportReport:
    return export_int8(model, tokenizer, TEXTS, TEXTS)


def test_a_model_that_agrees_is_exported_with_its_figures(report: ExportReport) -> None:
    assert report.onnx is not None
    onnx.checker.check_model(onnx.load_from_string(report.onnx), full_check=False)
    told = report.as_dict()
    assert told["exported"]
    assert told["reason"] is None
    assert told["texts"] == len(TEXTS)
    assert told["agreement"]["intent"] >= 0.995
    assert told["agreement"]["sentiment"] >= 0.995
    assert told["drift"]["intent"] <= 0.02


def test_the_same_model_and_texts_give_the_same_bytes(
    report: ExportReport, model: TwoHeadedBert, tokenizer: Tokenizer
) -> None:
    assert export_int8(model, tokenizer, TEXTS, TEXTS[:5]).onnx == report.onnx


def test_the_products_are_in_int8(report: ExportReport, model: TwoHeadedBert) -> None:
    graph = onnx.load_from_string(report.onnx or b"").graph
    operators = [node.op_type for node in graph.node]
    layers = model.encoder.shape.num_hidden_layers
    assert operators.count("QAttention") == layers
    assert operators.count("MatMulIntegerToFloat") == 3 * layers
    # In fp32 are only the outliers of `down`, two channels in each layer.
    assert operators.count("MatMul") == operators.count("Gather") == layers


def test_a_channel_far_larger_than_the_others_does_not_spoil_them(
    trained: Any, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = read_model(trained[0])
    with torch.no_grad():
        for layer in huge.encoder.layers:
            layer.up.weight[5] *= 100

    def drift() -> float:
        return sum(export_int8(huge, tokenizer, TEXTS, TEXTS).drift.values())

    kept = drift()
    monkeypatch.setattr(onnx_graph, "IN_FP32", 0)
    assert kept < 0.8 * drift()


def test_exporting_leaves_the_model_as_it_was(model: TwoHeadedBert, tokenizer: Tokenizer) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    try:
        export_int8(model, tokenizer, TEXTS[:10], TEXTS[:10])
        assert model.training
    finally:
        model.eval()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_model_that_disagrees_is_not_exported(
    model: TwoHeadedBert, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def upside_down(weights: Any, *more: Any) -> Any:
        return build({name: -weight for name, weight in weights.items()}, *more)

    monkeypatch.setattr(onnx_graph, "build", upside_down)
    report = export_int8(model, tokenizer, TEXTS, TEXTS)
    assert report.onnx is None
    assert report.reason is not None
    assert "agree with fp32" in report.reason
    assert min(report.agreement.values()) < 0.995


def test_a_model_whose_confidence_moves_too_far_is_not_exported(
    model: TwoHeadedBert, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "MOST_DRIFT", 0.0)
    report = export_int8(model, tokenizer, TEXTS, TEXTS)
    assert report.onnx is None
    assert report.reason is not None
    assert "confidence moves" in report.reason


def test_what_int8_changes_on_texts_that_the_model_has_not_read_is_counted(
    model: TwoHeadedBert, tokenizer: Tokenizer
) -> None:
    asked = make_examples(each=4, seed=8)
    found = try_int8(model, tokenizer, LABELS, EXAMPLES, asked)
    assert found["intent"].texts == found["sentiment"].texts == len(asked)
    assert found["intent"].same >= 0.9 * len(asked)
    assert not any(counts.loses for counts in found.values())


def test_a_model_whose_int8_form_is_wrong_on_unread_texts_is_not_exported(
    model: TwoHeadedBert, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def upside_down(weights: Any, *more: Any) -> Any:
        return build({name: -weight for name, weight in weights.items()}, *more)

    with monkeypatch.context() as broken:
        broken.setattr(onnx_graph, "build", upside_down)
        unread = try_int8(model, tokenizer, LABELS, EXAMPLES, EXAMPLES)
    assert unread["intent"].loses
    report = export_int8(model, tokenizer, TEXTS, TEXTS, unread=unread)
    assert report.onnx is None
    assert report.reason is not None
    assert "has not read" in report.reason


def test_a_model_already_rounded_is_refused(trained: Any, tokenizer: Tokenizer) -> None:
    rounded = read_model(trained[0]).bfloat16()
    with pytest.raises(ValueError, match="not in fp32"):
        export_int8(rounded, tokenizer, TEXTS, TEXTS)


@pytest.mark.parametrize("library", ["onnx", "onnxruntime"])
def test_without_the_libraries_there_is_no_int8_and_a_reason(
    model: TwoHeadedBert, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    for module in ("onnx_backend", "onnx_graph"):
        monkeypatch.delitem(sys.modules, f"classifier.backends.{module}", raising=False)
        monkeypatch.delattr(f"classifier.backends.{module}", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    report = export_int8(model, tokenizer, TEXTS, TEXTS)
    assert report.onnx is None
    assert report.reason == f"{library} is not installed"


def test_a_graph_that_onnxruntime_refuses_is_a_reason_and_no_crash(
    model: TwoHeadedBert, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("classifier.backends.onnx_graph.OPSET", 999)
    report = export_int8(model, tokenizer, TEXTS, TEXTS)
    assert report.onnx is None
    assert report.reason is not None


def test_with_no_validation_texts_the_training_texts_are_compared(
    model: TwoHeadedBert, tokenizer: Tokenizer
) -> None:
    assert export_int8(model, tokenizer, TEXTS[:9], []).texts == 9
    assert export_int8(model, tokenizer, [], []).reason == "there are no texts to compare on"


def test_ranges_hold_every_value_that_enters_a_product(model: TwoHeadedBert) -> None:
    ranges = find_ranges(model.encoder, [make_batch([2, 9, 3], [2, 8, 3])])
    assert len(ranges) == 4 * model.encoder.shape.num_hidden_layers
    encoder = model.encoder
    ids = torch.tensor([[2, 9, 3], [2, 8, 3]])
    with torch.inference_mode():
        first = encoder.norm(
            encoder.words(ids) + encoder.positions.weight[:3] + encoder.types.weight[0]
        ).flatten(0, 1)
    reach = ranges["layers.0.qkv"]
    assert np.allclose(reach.low, first.amin(0).numpy(), atol=1e-6)
    assert np.allclose(reach.high, first.amax(0).numpy(), atol=1e-6)


def test_the_graph_needs_the_encoders_weights_alone(
    model: TwoHeadedBert, report: ExportReport
) -> None:
    ranges = find_ranges(model.encoder, [make_batch([2, 9, 3])])
    weights = {name: t.numpy() for name, t in model.encoder.state_dict().items()}
    graph = build(weights, model.encoder.shape, ranges, FULL)
    assert [i.name for i in graph.graph.input] == ["x", "mask"]
    assert [o.name for o in graph.graph.output] == ["before", "states"]


def test_weights_go_as_far_as_this_processor_can_add_them_up(
    trained: Any, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def largest(content: bytes | None) -> int:
        assert content is not None
        constants = onnx.load_from_string(content).graph.initializer
        weights = [numpy_helper.to_array(c) for c in constants if c.data_type == TensorProto.INT8]
        return max(int(np.abs(weight.astype(int)).max()) for weight in weights)

    model = read_model(trained[0])
    for steps in (weight_steps(), SAFE):
        monkeypatch.setattr("classifier.backends.steps.weight_steps", partial(int, steps))
        assert largest(export_int8(model, tokenizer, TEXTS, TEXTS).onnx) == steps
    # Nothing else can be wrong with a file that every processor computes alike.
    assert 2 * 255 * SAFE < 2**15 <= 2 * 255 * (SAFE + 1)
