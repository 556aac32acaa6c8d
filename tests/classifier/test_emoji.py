"""Emoji are words: each a token of its own that begins as what it means."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import BertNormalizer

from classifier.base import find_base, load_encoder, load_tokenizer
from classifier.bert import BertEncoder
from classifier.emoji import MEANT, add_emoji, emoji_words

BASE = find_base()
TOKENIZER = load_tokenizer(BASE)
OWN = int(BASE.config["vocab_size"])


@pytest.fixture(scope="module")
def encoder() -> BertEncoder:
    return load_encoder(BASE, TOKENIZER, 0.0)


def tokens(text: str, tokenizer: Tokenizer = TOKENIZER) -> list[str]:
    return list(tokenizer.encode(text, add_special_tokens=False).tokens)


def embedding(encoder: BertEncoder, *words: str) -> torch.Tensor:
    """The mean of these tokens' embeddings."""
    return encoder.words.weight.data[[TOKENIZER.token_to_id(word) for word in words]].mean(0)


def test_an_emoji_is_a_token_of_its_own_and_leaves_the_word_before_it_one() -> None:
    assert tokens("refund me NOW😡😡") == ["ref", "##und", "me", "now", "😡", "😡"]
    assert tokens("love it ❤️‍🔥thanks") == ["love", "it", "❤", "🔥", "thanks"]


def test_colours_of_skin_and_sexes_make_no_difference() -> None:
    assert tokens("ok 👍🏽") == tokens("ok 👍") == ["ok", "👍"]
    assert tokens("again 🤦🏻‍♀️") == tokens("again 🤦‍♂️") == tokens("again 🤦")


def test_flags_signs_and_keycaps_leave_the_words_beside_them() -> None:
    assert tokens("now🇩🇪") == ["now", "🇩", "🇪"]
    assert tokens("now🆗 back↩️ late⌚") == ["now", "🆗", "back", "↩", "late", "⌚"]
    assert tokens("press 1️⃣") == ["press", "1"]


def test_a_cased_base_sees_the_emoji_alone_however_it_is_drawn(base_copy: Path) -> None:
    tokenizer = Tokenizer.from_file(str(base_copy / "tokenizer.json"))
    tokenizer.normalizer = BertNormalizer(lowercase=False)
    tokenizer.save(str(base_copy / "tokenizer.json"))
    cased = load_tokenizer(find_base(str(base_copy)))
    assert tokens("❤️ 🤷‍♀️ ☎️ 👨‍👩‍👧", cased) == ["❤", "🤷", "☎", "👨", "👩", "👧"]


def test_a_vocabulary_with_a_word_twice_keeps_its_words_and_gets_no_emoji(base_copy: Path) -> None:
    own = Tokenizer.from_file(str(base_copy / "tokenizer.json"))
    words = [word for word, _ in sorted(own.get_vocab().items(), key=lambda item: item[1])]
    words[-3] = words[-5]
    (base_copy / "tokenizer.json").unlink()
    (base_copy / "vocab.txt").write_text("\n".join(words) + "\n")
    base = find_base(str(base_copy))
    tokenizer = load_tokenizer(base)
    rows = load_encoder(base, tokenizer, 0.0).words.weight.data
    kept = safetensors.torch.load_file(base_copy / "model.safetensors")
    assert tokenizer.id_to_token(len(words) - 1) == words[-1]
    assert torch.equal(rows, kept["embeddings.word_embeddings.weight"])


def test_what_is_no_emoji_keeps_its_tokens() -> None:
    own = Tokenizer.from_file(str(BASE.path / "tokenizer.json"))
    own.no_padding()
    for text in ("Où est mon colis ?!", "4★ 3 × 5 ♥", "我的包裹", "ﬁne\u200dprint", "100°C № 5"):
        assert tokens(text) == tokens(text, own)


def test_its_embedding_begins_as_the_mean_of_its_words_and_as_long_as_a_word(
    encoder: BertEncoder,
) -> None:
    usual = float(encoder.words.weight.data[:OWN].norm(dim=1).median())
    for emoji, words in (("😡", ["furious"]), ("🙏", ["thanks", "please"]), ("🦊", ["fox"])):
        ours, theirs = embedding(encoder, emoji), embedding(encoder, *words)
        assert float(torch.cosine_similarity(ours, theirs, dim=0)) == pytest.approx(1, abs=1e-5)
        assert float(ours.norm()) == pytest.approx(usual, rel=1e-4)


def test_the_bases_own_words_keep_their_embeddings(encoder: BertEncoder) -> None:
    weights = safetensors.torch.load_file(BASE.path / "model.safetensors")
    assert torch.equal(
        encoder.words.weight.data[:OWN], weights["embeddings.word_embeddings.weight"]
    )


def test_a_base_that_knows_an_emoji_keeps_its_own_embedding_of_it(base_copy: Path) -> None:
    tokenizer = Tokenizer.from_file(str(base_copy / "tokenizer.json"))
    tokenizer.add_tokens(["😡"])
    tokenizer.save(str(base_copy / "tokenizer.json"))
    config = json.loads((base_copy / "config.json").read_text())
    size = tokenizer.get_vocab_size()
    (base_copy / "config.json").write_text(json.dumps(config | {"vocab_size": size}))
    tensors = safetensors.torch.load_file(base_copy / "model.safetensors")
    name = "embeddings.word_embeddings.weight"
    own = torch.full((1, config["hidden_size"]), 0.25)
    tensors[name] = torch.cat([tensors[name], own])
    safetensors.torch.save_file(tensors, base_copy / "model.safetensors")

    base = find_base(str(base_copy))
    tokenizer = load_tokenizer(base)
    rows = load_encoder(base, tokenizer, 0.0).words.weight.data
    assert torch.equal(rows[tokenizer.token_to_id("😡")], own[0])
    assert not torch.equal(rows[tokenizer.token_to_id("😠")], own[0])


def test_spare_rows_of_a_base_become_emoji_before_any_is_added(base_copy: Path) -> None:
    config = json.loads((base_copy / "config.json").read_text())
    size = config["vocab_size"] + 3
    (base_copy / "config.json").write_text(json.dumps(config | {"vocab_size": size}))
    tensors = safetensors.torch.load_file(base_copy / "model.safetensors")
    name = "embeddings.word_embeddings.weight"
    tensors[name] = torch.cat([tensors[name], torch.zeros(3, config["hidden_size"])])
    safetensors.torch.save_file(tensors, base_copy / "model.safetensors")

    base = find_base(str(base_copy))
    tokenizer = load_tokenizer(base)
    encoder = load_encoder(base, tokenizer, 0.0)
    assert encoder.shape.vocab_size == len(encoder.words.weight) == tokenizer.get_vocab_size()
    assert bool(encoder.words.weight.data[config["vocab_size"] :].any(dim=1).all())


def test_a_tokenizer_that_knows_every_character_is_left_as_it_is() -> None:
    tokenizer = Tokenizer(BPE({"a": 0}, []))
    before = tokenizer.to_str()
    add_emoji(tokenizer)
    assert tokenizer.to_str() == before


def test_each_emoji_of_the_table_is_one_character_and_has_one_meaning() -> None:
    counts = Counter(emoji for those in MEANT.values() for emoji in those)
    assert [emoji for emoji, count in counts.items() if count > 1] == []
    assert all(emoji_words()[emoji] == words for words, those in MEANT.items() for emoji in those)
