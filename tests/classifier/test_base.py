from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tokenizers import Tokenizer

from classifier import base as base_module
from classifier.base import BaseModelError, find_base, load_encoder, load_tokenizer
from classifier.bert import BertEncoder, BertShape, load_checkpoint, to_checkpoint


def load(directory: Path) -> BertEncoder:
    base = find_base(str(directory))
    return load_encoder(base, load_tokenizer(base), 0.0)


def change_config(directory: Path, **changes: Any) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_packaged_minilm_is_found_and_is_the_published_file() -> None:
    found = find_base()
    assert found.sha256 == base_module.PACKAGED_SHA256
    assert found.config["hidden_size"] == 384
    assert load_tokenizer(found).encode("hello").ids == [101, 7592, 102]


def test_packaged_weights_that_are_not_the_published_ones_are_refused(
    base_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_module, "_packaged", lambda: base_copy)
    with pytest.raises(BaseModelError, match="is not the published file"):
        find_base("minilm")


def test_a_directory_that_is_not_there_is_told() -> None:
    with pytest.raises(BaseModelError, match="no such directory"):
        find_base("./nowhere")


def test_a_hub_id_that_cannot_be_had_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def refuse(*_: Any, **__: Any) -> str:
        raise ConnectionError("no route to host\nand more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(BaseModelError, match=r"from the hub \(ConnectionError: no route to host\)"):
        find_base("someone/some-bert")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model_type": "roberta"}, "is not a BERT: its model_type is 'roberta'"),
        ({"hidden_act": "relu"}, "activation is 'relu'"),
        ({"position_embedding_type": "relative_key"}, "not absolute"),
        ({"num_attention_heads": 5}, "no multiple"),
        ({"hidden_size": None}, "lacks or garbles"),
        ({"vocab_size": float("inf")}, "lacks or garbles"),
    ],
)
def test_a_base_that_is_not_a_bert_is_refused(
    base_copy: Path, changes: dict[str, Any], says: str
) -> None:
    change_config(base_copy, **changes)
    with pytest.raises(BaseModelError, match=says):
        find_base(str(base_copy))


def test_a_base_with_pickled_weights_only_is_refused(base_copy: Path) -> None:
    (base_copy / "model.safetensors").rename(base_copy / "pytorch_model.bin")
    with pytest.raises(BaseModelError, match="pickled weights"):
        find_base(str(base_copy))


@pytest.mark.parametrize("config", ["{", "[" * 100_000])
def test_a_base_without_a_readable_config_is_refused(base_copy: Path, config: str) -> None:
    (base_copy / "config.json").write_text(config)
    with pytest.raises(BaseModelError, match=r"no readable config\.json"):
        find_base(str(base_copy))


@pytest.mark.parametrize("content", [b"", b"garbage that is no tensor file"])
def test_weights_that_are_not_safetensors_are_refused(base_copy: Path, content: bytes) -> None:
    (base_copy / "model.safetensors").write_bytes(content)
    with pytest.raises(BaseModelError):
        load(base_copy)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(base_copy: Path, value: float) -> None:
    name = "encoder.layer.0.attention.self.key.weight"
    tensors = safetensors.torch.load_file(base_copy / "model.safetensors")
    tensors[name][0, 1] = value
    safetensors.torch.save_file(tensors, base_copy / "model.safetensors")
    with pytest.raises(BaseModelError, match=f"base: {name} holds NaN or infinity"):
        load(base_copy)


def test_a_base_that_reads_next_to_nothing_is_refused_by_name(base_copy: Path) -> None:
    change_config(base_copy, max_position_embeddings=3)
    with pytest.raises(BaseModelError, match=r"/base: reads 3 tokens .* 4 at least"):
        find_base(str(base_copy))


def test_a_base_of_impossible_sizes_is_refused(base_copy: Path) -> None:
    config = json.loads((base_copy / "config.json").read_text())
    (base_copy / "config.json").write_text(json.dumps(config | {"num_attention_heads": 0}))
    with pytest.raises(BaseModelError, match="one of its sizes is below 1"):
        find_base(str(base_copy))


def test_weights_that_do_not_fit_the_config_are_refused(base_copy: Path) -> None:
    change_config(base_copy, intermediate_size=48)
    with pytest.raises(
        BaseModelError, match=r"layers\.0\.up\.weight is \(64, 32\), not \(48, 32\)"
    ):
        load(base_copy)


def test_weights_that_lack_a_layer_are_refused(base_copy: Path) -> None:
    change_config(base_copy, num_hidden_layers=3)
    with pytest.raises(BaseModelError, match=r"lack 'encoder\.layer\.2"):
        load(base_copy)


def test_a_broken_tokenizer_is_refused(base_copy: Path) -> None:
    (base_copy / "tokenizer.json").write_text("{}")
    with pytest.raises(BaseModelError, match="its tokenizer"):
        load_tokenizer(find_base(str(base_copy)))


def test_a_base_with_a_vocabulary_file_alone_gets_its_tokenizer_from_that(base_copy: Path) -> None:
    whole = Tokenizer.from_file(str(base_copy / "tokenizer.json"))
    words = [word for word, _ in sorted(whole.get_vocab().items(), key=lambda item: item[1])]
    (base_copy / "tokenizer.json").unlink()
    (base_copy / "vocab.txt").write_text("\n".join(words) + "\n")
    again = load_tokenizer(find_base(str(base_copy)))
    text = "Where is my parcel?"
    assert again.encode(text).ids == whole.encode(text).ids


def test_checkpoints_with_the_prefix_and_the_old_names_of_norms_load(tiny_base: Path) -> None:
    tensors = safetensors.torch.load_file(tiny_base / "model.safetensors")
    old = {
        "bert."
        + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in tensors.items()
    }
    config = json.loads((tiny_base / "config.json").read_text())
    encoder = BertEncoder(BertShape.from_config(config))
    load_checkpoint(encoder, old | {"cls.predictions.bias": torch.zeros(3)})
    again = to_checkpoint(encoder)
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[name], tensors[name]) for name in tensors)
