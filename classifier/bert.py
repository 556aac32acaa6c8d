"""The BERT encoder (Devlin et al. 2019), in plain torch.

Written out here rather than taken from transformers because a worker must answer within three
seconds of its start, and importing transformers' BertModel alone takes longer than that on two
cores. A test holds it to transformers' BertModel, and the weights travel under the usual names,
so any BERT checkpoint loads here and `transformers.AutoModel` loads what is trained here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (its customary name)


@dataclass(frozen=True, slots=True)
class BertShape:
    """The entries of a BERT's config.json that shape the computation."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int
    layer_norm_eps: float

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> BertShape:
        """Read a config.json. Raises ValueError where it is not that of a plain BERT encoder."""
        kind = config.get("model_type")
        if kind != "bert":
            raise ValueError(f"its model_type is {kind!r}, not 'bert'")
        if config.get("hidden_act", "gelu") != "gelu":
            raise ValueError(f"its activation is {config['hidden_act']!r}, not 'gelu'")
        if config.get("position_embedding_type", "absolute") != "absolute":
            raise ValueError("its position embeddings are not absolute")
        if config.get("is_decoder"):
            raise ValueError("it is a decoder")
        try:
            shape = cls(
                **{
                    name: int(config[name])
                    for name in (
                        "vocab_size",
                        "hidden_size",
                        "num_hidden_layers",
                        "num_attention_heads",
                        "intermediate_size",
                    )
                },
                max_position_embeddings=int(config.get("max_position_embeddings", 512)),
                type_vocab_size=int(config.get("type_vocab_size", 2)),
                layer_norm_eps=float(config.get("layer_norm_eps", 1e-12)),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"its config.json lacks or garbles {error}") from None
        sizes = (shape.vocab_size, shape.hidden_size, shape.num_hidden_layers)
        if min(*sizes, shape.num_attention_heads, shape.intermediate_size) < 1:
            raise ValueError("one of its sizes is below 1")
        if shape.hidden_size % shape.num_attention_heads:
            raise ValueError("its hidden size is no multiple of its attention heads")
        return shape


def _attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Scaled dot-product attention over (texts, heads, tokens, width)."""
    # torch's fused CPU kernel is made for long sequences. In batches of messages of 12 to 40 tokens
    # the plain products were 1.3 to 2.4 times as fast forwards, and in bf16 7 to 10 times with the
    # backward. (In fp32 the fused backward is up to 1.7 times as fast; a lone text in bf16 is too.)
    # On CUDA the fused backward adds in any order, and a training run would not repeat exactly.
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    mixed: Tensor = scores.masked_fill(~mask, float("-inf")).softmax(-1) @ value
    return mixed


class Dropout(nn.Module):
    """Dropout whose random numbers are cheap on a CPU, where torch's own makes them one by one.

    Four decisions from each 64 random bits: forwards and backwards in a quarter of the time, so
    that a training step takes 6 % less. `share` is rounded to 1/65536.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.dropped = min(round(share * 65536), 65535)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.dropped:
            return x
        share = self.dropped / 65536
        if x.device.type != "cpu":
            return F.dropout(x, share)
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        chance = bits.view(torch.int16)[: x.numel()].view(x.shape)
        return x * (chance >= self.dropped - 32768).to(x.dtype).mul_(1 / (1 - share))


class BertLayer(nn.Module):
    """Self-attention and feed-forward, each followed by add-and-normalise."""

    def __init__(self, shape: BertShape, dropout: float) -> None:
        super().__init__()
        hidden = shape.hidden_size
        self.heads = shape.num_attention_heads
        # One matrix for query, key and value: a third of the calls for the same product.
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.mix = nn.Linear(hidden, hidden)
        self.mix_norm = nn.LayerNorm(hidden, eps=shape.layer_norm_eps)
        self.up = nn.Linear(hidden, shape.intermediate_size)
        self.down = nn.Linear(shape.intermediate_size, hidden)
        self.down_norm = nn.LayerNorm(hidden, eps=shape.layer_norm_eps)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, place: Tensor) -> Tensor:
        """`x` (tokens, hidden) of all texts, one after the other; `place` (tokens,) where each
        stands in the padded grid that `mask` (texts, 1, 1, longest) describes."""
        texts, longest, hidden = mask.shape[0], mask.shape[-1], x.shape[-1]
        qkv = self.qkv(x)
        grid = qkv.new_zeros(texts * longest, 3 * hidden).index_copy(0, place, qkv)
        grid = grid.view(texts, longest, 3, self.heads, hidden // self.heads)
        query, key, value = grid.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = _attention(query, key, value, mask)
        mixed = mixed.transpose(1, 2).reshape(texts * longest, hidden)[place]
        x = self.mix_norm(x + self.dropout(self.mix(mixed)))
        out: Tensor = self.down_norm(x + self.dropout(self.down(F.gelu(self.up(x)))))
        return out


class BertEncoder(nn.Module):
    """Token ids to hidden states.

    `dropout` is that of training (a share between 0 and 1), on the embeddings and after each
    sub-layer; attention weights are not dropped.
    """

    def __init__(self, shape: BertShape, dropout: float = 0.1) -> None:
        super().__init__()
        self.shape = shape
        self.words = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.positions = nn.Embedding(shape.max_position_embeddings, shape.hidden_size)
        self.types = nn.Embedding(shape.type_vocab_size, shape.hidden_size)
        self.norm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.dropout = Dropout(dropout)
        self.layers = nn.ModuleList(
            BertLayer(shape, dropout) for _ in range(shape.num_hidden_layers)
        )

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """`ids` (texts, tokens) int64, `mask` the same shape, True where a token is no padding.

        Returns the last layer's hidden states (texts, tokens, hidden), 0 where padding stands.
        """
        return self.last_two(ids, mask)[1]

    def last_two(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, the states of the last layer but one, and of the last."""
        # Packed: padding is computed in the attention alone, which is a thirtieth of the work, so
        # texts of all lengths may share a batch. Training was 1.4 times as fast as on padded
        # batches of like lengths.
        texts, longest = ids.shape
        place = mask.flatten().nonzero().squeeze(1)
        x: Tensor = (
            self.words(ids.flatten()[place])
            + self.positions(place % longest)
            + self.types.weight[0]
        )
        before = x = self.dropout(self.norm(x))
        attend = mask[:, None, None, :]
        for layer in self.layers:
            before, x = x, layer(x, attend, place)
        grid = x.new_zeros(texts * longest, x.shape[-1])
        both = (grid.index_copy(0, place, states) for states in (before, x))
        earlier, last = (states.view(texts, longest, -1) for states in both)
        return earlier, last


def _names(layers: int) -> dict[str, str]:
    """Our modules' names to those of the usual checkpoints, query, key and value aside."""
    names = {
        "words": "embeddings.word_embeddings",
        "positions": "embeddings.position_embeddings",
        "types": "embeddings.token_type_embeddings",
        "norm": "embeddings.LayerNorm",
    }
    for i in range(layers):
        ours, theirs = f"layers.{i}", f"encoder.layer.{i}"
        names |= {
            f"{ours}.mix": f"{theirs}.attention.output.dense",
            f"{ours}.mix_norm": f"{theirs}.attention.output.LayerNorm",
            f"{ours}.up": f"{theirs}.intermediate.dense",
            f"{ours}.down": f"{theirs}.output.dense",
            f"{ours}.down_norm": f"{theirs}.output.LayerNorm",
        }
    return names


def to_checkpoint(encoder: BertEncoder) -> dict[str, Tensor]:
    """The encoder's weights under the names that BERT checkpoints use, without a prefix."""
    names = _names(encoder.shape.num_hidden_layers)
    tensors: dict[str, Tensor] = {}
    for name, tensor in encoder.state_dict().items():
        module, _, kind = name.rpartition(".")
        if module.endswith(".qkv"):
            layer = f"encoder.layer.{module.split('.')[1]}.attention.self"
            parts = tensor.chunk(3)
            for part, value in zip(("query", "key", "value"), parts, strict=True):
                tensors[f"{layer}.{part}.{kind}"] = value.clone()
        else:
            tensors[f"{names[module]}.{kind}"] = tensor
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def load_checkpoint(encoder: BertEncoder, tensors: Mapping[str, Tensor]) -> None:
    """Fill the encoder from a BERT checkpoint, with or without the prefix `bert.`.

    Other entries (pooler, language-model head) are left aside. Raises ValueError where a tensor
    is missing or of another shape.
    """
    # The oldest checkpoints, bert-base-uncased among them, call a norm's weights gamma and beta.
    known = {
        name.removeprefix("bert.")
        .replace("LayerNorm.gamma", "LayerNorm.weight")
        .replace("LayerNorm.beta", "LayerNorm.bias"): tensor
        for name, tensor in tensors.items()
    }
    names = _names(encoder.shape.num_hidden_layers)
    state: dict[str, Tensor] = {}
    try:
        for name, current in encoder.state_dict().items():
            module, _, kind = name.rpartition(".")
            if module.endswith(".qkv"):
                layer = f"encoder.layer.{module.split('.')[1]}.attention.self"
                value = torch.cat(
                    [known[f"{layer}.{part}.{kind}"] for part in ("query", "key", "value")]
                )
            else:
                value = known[f"{names[module]}.{kind}"]
            if value.shape != current.shape:
                raise ValueError(f"{name} is {tuple(value.shape)}, not {tuple(current.shape)}")
            state[name] = value.to(torch.float32)
    except KeyError as error:
        raise ValueError(f"the weights lack {error}") from None
    encoder.load_state_dict(state, assign=True)
