"""A tiny BERT, a recipe and made-up rows: for training in seconds."""

from __future__ import annotations

import hashlib
import json
import random
import re
import string
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
from safetensors.torch import load_file
from tokenizers import BertWordPieceTokenizer

from classifier import artifact
from classifier.arrays import Float32
from classifier.backends import Batch, Output
from classifier.bert import BertEncoder, BertShape, to_checkpoint
from classifier.data import Example
from classifier.model import TwoHeadedBert
from classifier.recipe import Recipe
from classifier.tokenising import Sequences
from classifier.vocabulary import Labels

TINY = Recipe(
    epochs=12,
    batch_size=8,
    encoder_rate=3e-3,
    head_rate=5e-3,
    max_tokens=32,
    dropout=0.0,
    contrast=0.0,
    views=1,
    names=False,
    folds=5,
    rounds=1,
)

THINGS = ("parcel", "order", "chair", "lamp", "book", "shirt", "phone", "cup")
TEMPLATES = {
    "where": ("where is my {}", "has the {} shipped", "track the {} for me"),
    "refund": ("i want my money back for the {}", "refund the {}", "pay me back the {}"),
    "thanks": ("thank you for the {}", "great {} cheers", "many thanks for that {}"),
    "out_of_scope": ("sing a song about a {}", "what would a {} dream of", "{} recipe for dinner"),
}
MOODS = {"neutral": "", "negative": " i am so angry", "positive": " i love it"}


def make_examples(
    seed: int = 0, each: int = 24, templates: Mapping[str, Sequence[str]] = TEMPLATES
) -> list[Example]:
    """Made-up rows, `each` an intent, with a sentiment that hangs on the ending."""
    rng = random.Random(seed)
    return [
        Example(rng.choice(forms).format(rng.choice(THINGS)) + MOODS[mood], intent, mood)
        for intent, forms in templates.items()
        for mood in (list(MOODS) * each)[:each]
    ]


def make_vocabulary(texts: Iterable[str]) -> dict[str, int]:
    """Token to id: the special tokens, all printable ASCII, and the words of the texts.

    Nothing is trained: the library's trainer breaks ties as its hash table happens to be seeded,
    and so gives another vocabulary in each process.
    """
    letters = string.ascii_lowercase + string.digits
    words = {word for text in texts for word in re.findall(r"[a-z]{2,}", text)}
    tokens = [
        *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
        *(letters + string.punctuation),
        *(f"##{letter}" for letter in letters),
        *sorted(words),
    ]
    return {token: id_ for id_, token in enumerate(tokens)}


def make_base(directory: Path, examples: Sequence[Example] = ()) -> None:
    """Write a folder as the hub has it: a random BERT of two layers and a WordPiece tokenizer.

    The tokenizer knows each word of the `examples`, or else of the made-up rows, as one token and
    spells out all others. The same examples give the same bytes, in any process.
    """
    directory.mkdir(parents=True, exist_ok=True)
    vocabulary = make_vocabulary(e.text for e in examples or make_examples(each=200))
    tokenizer = BertWordPieceTokenizer(vocabulary)
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {
        "model_type": "bert",
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
    }
    (directory / "config.json").write_text(json.dumps(config))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = BertEncoder(BertShape.from_config(config))
    for embedding in (encoder.words, encoder.positions, encoder.types):
        embedding.weight.data.mul_(0.1)
    safetensors.torch.save_file(to_checkpoint(encoder), directory / "model.safetensors")


def read_model(directory: Path) -> TwoHeadedBert:
    """The torch model of a version directory."""
    config = json.loads((directory / "config.json").read_text())
    names = json.loads((directory / "labels.json").read_text())
    labels = Labels(tuple(names["intents"]), tuple(names["sentiments"]))
    model = TwoHeadedBert(BertEncoder(BertShape.from_config(config)), labels)
    model.load_tensors(load_file(directory / "model.safetensors"))
    return model.eval()


def arrays(output: Output) -> list[Float32]:
    """All that a backend gave, of a model with both heads."""
    assert output.intent is not None
    assert output.sentiment is not None
    return [*output.pooled, output.intent, output.sentiment]


def make_batch(*sequences: list[int]) -> Batch:
    """Texts of these token ids, whose results belong where they stand."""
    return Batch(np.arange(len(sequences)), Sequences.of(sequences))


def misfit(version: Path) -> None:
    """Give a version a part that does not fit the others, with a manifest that says it is right."""
    part, manifest = version / "neighbours.safetensors", version / artifact.MANIFEST
    directions = load_file(part)["directions"].numpy()
    safetensors.numpy.save_file({"directions": np.ascontiguousarray(directions[:, :-8])}, part)
    content, said = part.read_bytes(), json.loads(manifest.read_text())
    digest = hashlib.sha256(content).hexdigest()
    said["files"][part.name] = {"sha256": digest, "bytes": len(content)}
    manifest.write_text(json.dumps(said))
