"""What is counted and measured of a batch; a few dozen microseconds for 64 messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from classifier.engine import Timings
from desk import metrics
from desk.domain import PendingMessage


def taken(messages: Sequence[PendingMessage], now: datetime) -> None:
    """Messages were taken for a forward pass: how many, and how long each was queued."""
    metrics.BATCH_SIZE.observe(len(messages))
    for message in messages:
        if message.enqueued_at is not None:
            # The bot's clock may be ahead of ours.
            metrics.QUEUE_SECONDS.observe(max(0.0, (now - message.enqueued_at).total_seconds()))


def predicted(spent: Timings) -> None:
    """The model is done with a batch."""
    metrics.TOKENISE_SECONDS.observe(spent.tokenise_s)
    metrics.MODEL_SECONDS.observe(spent.model_s)
    metrics.TOKENS.labels("text").inc(spent.tokens)
    metrics.TOKENS.labels("padded").inc(spent.padded_tokens)


def ended(outcomes: Iterable[object]) -> None:
    """Jobs have come to an end: decided, stale, or an exception."""
    kinds = ("failed" if isinstance(one, BaseException) else str(one) for one in outcomes)
    for kind, number in Counter(kinds).items():
        metrics.JOBS.labels(kind).inc(number)
