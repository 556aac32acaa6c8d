"""Gold labels: a tenth of the operators' labels, set aside to measure models by.

The pack's test set is frozen; what operators label is what customers write now, so the recent ones
of these labels measure. A text's hash decides, so the same texts are set aside in every run; old
ones stay so, since they may come again. Once there are enough of them, nothing that anybody taught
on a text so drawn is trained on: a customer may have spoken of it before an operator does, and a
model that learned that would be measured by it. An operator's mood is no such label, nor is a word
that is there by the outcome (`Learned.by_outcome`), and neither is trained on where its text is
drawn. Spellings of one text are drawn together, and the newest of them measures for all: they are
right or wrong together, and prove no more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import timedelta

from classifier.data import Example
from classifier.likeness import normalised, seen_first
from desk.domain import FeedbackKind
from desk.flow.lessons import OPERATORS_WORD, Learned

ONE_IN = 10
LEAST = 10
"""Fewer labels could tell nothing, and are better trained on."""
RECENT = timedelta(days=180)
"""Labels of so long before the newest measure, or"""
FEWEST = 100
"""the newest so many, where those are more."""


def set_aside(
    learned: Sequence[Learned], known: Iterable[Example]
) -> tuple[list[Learned], list[Learned]]:
    """What was learned, split: (to train on, set aside to measure), the latter the newest first.

    Set aside are only intents that operators gave, of texts not among the `known` of the pack, each
    text once under each intent. In neither are those too old to measure, what customers said of a
    text that may be set aside, its mood, and what differs from such a text by case, spaces or
    punctuation alone.
    """
    have = {normalised(example.text) for example in known}
    drawn = [item for item in learned if (key := normalised(item.text)) not in have and _drawn(key)]
    words = OPERATORS_WORD - {FeedbackKind.MOOD}
    labels = [item for item in drawn if item.kind in words and not item.by_outcome]
    labels.sort(key=lambda item: item.at, reverse=True)
    once = seen_first((item.text, item.intent) for item in labels)
    gold = [item for item, first in zip(labels, once, strict=True) if first]
    if len(gold) < LEAST:
        return list(learned), []
    kept_out = set(drawn)
    recent = sum(item.at >= gold[0].at - RECENT for item in gold)
    return [item for item in learned if item not in kept_out], gold[: max(recent, FEWEST)]


def _drawn(key: str) -> bool:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) % ONE_IN == 0
