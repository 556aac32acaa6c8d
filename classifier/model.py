"""One BERT encoder, an intent head and a sentiment head."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (its customary name)

from classifier.bert import BertEncoder, load_checkpoint, to_checkpoint
from classifier.vocabulary import Labels

ENCODER_PREFIX = "bert."
"""Of the encoder's tensors in model.safetensors; `transformers.AutoModel` knows this prefix."""


class Logits(NamedTuple):
    """Each head's outputs (texts, labels), float32; None where the model has no such head."""

    intent: Tensor | None
    sentiment: Tensor | None


class IntentHead(nn.Module):
    """The cosine of a text's mean with one vector per intent, times a learned scale.

    The base places texts of like meaning in like directions, so the mean direction of an intent's
    examples is already a fair classifier (Snell et al. 2017, prototypical networks). `start` begins
    there, and fine-tuning goes on from it instead of from noise: with few examples an intent there
    are too few steps to find that place again.
    """

    SCALE = 20.0
    """Where the scale starts: cosines differ by tenths, logits must differ by several."""

    def __init__(self, hidden: int, labels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(labels, hidden).normal_())
        self.log_scale = nn.Parameter(torch.tensor(math.log(self.SCALE)))

    def start(self, means: Tensor, truth: Tensor) -> None:
        """Set each vector to the mean direction of its examples.

        `means` (texts, hidden) pooled texts, `truth` (texts,) label indices; negative ones are
        left out.
        """
        known = truth >= 0
        directions = F.normalize(means[known], dim=-1)
        # A product, since `index_add_` on CUDA adds in any order.
        belongs = directions.new_zeros(len(directions), len(self.weight))
        belongs.scatter_(1, truth[known, None], 1.0)
        with torch.no_grad():
            self.weight.copy_(F.normalize(belongs.T @ directions, dim=-1))

    def forward(self, mean: Tensor) -> Tensor:
        cosines = F.normalize(mean, dim=-1) @ F.normalize(self.weight, dim=-1).T
        return self.log_scale.exp() * cosines


class SentimentHead(nn.Module):
    """Attention pooling of its own, then one hidden layer.

    Intent is what a sentence is about as a whole, which the mean of its tokens says well; sentiment
    often hangs on one word, which a mean dilutes. So this head learns which tokens to look at.
    """

    def __init__(self, hidden: int, labels: int, dropout: float) -> None:
        super().__init__()
        self.look = nn.Linear(hidden, 1)
        self.hidden = nn.Linear(2 * hidden, hidden)
        self.out = nn.Linear(hidden, labels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, mask: Tensor, mean: Tensor) -> Tensor:
        scores = self.look(states).squeeze(-1).masked_fill(~mask, float("-inf"))
        return self.decide((scores.softmax(-1)[:, None, :] @ states).squeeze(1), mean)

    def decide(self, looked: Tensor, mean: Tensor) -> Tensor:
        """The logits of texts by what was looked at and their mean, (texts, hidden) both."""
        both = self.dropout(torch.cat([looked, mean], dim=-1))
        out: Tensor = self.out(self.dropout(torch.tanh(self.hidden(both))))
        return out


class TwoHeadedBert(nn.Module):
    """Texts' token ids to intent and sentiment logits, in one pass of the encoder."""

    def __init__(self, encoder: BertEncoder, labels: Labels, head_dropout: float = 0.1) -> None:
        super().__init__()
        hidden = encoder.shape.hidden_size
        self.encoder = encoder
        self.dropout = nn.Dropout(head_dropout)
        self.intent = IntentHead(hidden, len(labels.intents)) if labels.intents else None
        self.sentiment = (
            SentimentHead(hidden, len(labels.sentiments), head_dropout)
            if labels.sentiments
            else None
        )

    def forward(self, ids: Tensor, mask: Tensor) -> Logits:
        """`ids` (texts, tokens) int64; `mask` the same shape, True where a token is no padding."""
        return self.with_mean(ids, mask)[0]

    def with_mean(self, ids: Tensor, mask: Tensor) -> tuple[Logits, Tensor]:
        """The logits, and the pooled states (texts, hidden) that the intent head reads."""
        # Pooling and heads stay in fp32 even where the encoder computes in bf16: they cost nothing
        # beside it, and a confidence should not move by a rounding.
        states = self.encoder(ids, mask).float()
        with torch.autocast(states.device.type, enabled=False):
            mean = mean_pool(states, mask)
            intent = self.intent(self.dropout(mean)) if self.intent else None
            sentiment = self.sentiment(states, mask, mean) if self.sentiment else None
        return Logits(intent, sentiment), mean

    def tensors(self) -> dict[str, Tensor]:
        """All weights as they are stored in model.safetensors."""
        encoder = to_checkpoint(self.encoder)
        tensors = {ENCODER_PREFIX + name: tensor for name, tensor in encoder.items()}
        for name, tensor in self.state_dict().items():
            if not name.startswith("encoder."):
                tensors[name] = tensor.detach().cpu().contiguous()
        return tensors

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Fill the model from `tensors()`. Raises ValueError where one is missing or misshapen."""
        load_checkpoint(self.encoder, tensors)
        for name, head in (("intent", self.intent), ("sentiment", self.sentiment)):
            if head is not None:
                prefix = f"{name}."
                own = {
                    key.removeprefix(prefix): tensor
                    for key, tensor in tensors.items()
                    if key.startswith(prefix)
                }
                try:
                    head.load_state_dict(own, assign=True)
                except RuntimeError as error:
                    raise ValueError(f"the {name} head: {error}") from None


def mean_pool(states: Tensor, mask: Tensor) -> Tensor:
    """The mean over each text's tokens (texts, hidden), padding left out.

    The pooling that this base was pretrained with (Reimers and Gurevych 2019).
    """
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1)
