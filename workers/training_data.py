"""What a run trains on: the pack's examples and what people taught."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

from classifier.data import Example
from classifier.likeness import normalised
from desk.domain import FeedbackKind
from desk.flow import lessons
from desk.validation.near import exact_key


def training_examples(
    pack: Sequence[Example], learned: Sequence[lessons.Learned], test: Sequence[Example]
) -> list[Example]:
    """The pack's examples and what people taught, as far as it counts (`that_count`); an operator's
    word replaces the pack's label. A text with a mood and no intent trains the sentiments alone.

    Texts of the frozen test set are left out, so that the gate's comparison stays honest.
    """
    frozen = {normalised(example.text) for example in test}
    counting = that_count(pack, learned, test)
    taught = {exact_key(item.text): item for item in counting if item.intent is not None}
    moods = {exact_key(item.text): item for item in counting if item.sentiment is not None}
    known = set()
    examples = []
    for example in pack:
        key = exact_key(example.text)
        known.add(key)
        if normalised(example.text) in frozen:
            continue
        labelled = example
        if (item := taught.get(key)) is not None and item.kind in lessons.OPERATORS_WORD:
            # Whatever a customer liked: now it has its label from somebody who read it.
            measures = labelled.measures or proves(item.kind, by_outcome=item.by_outcome)
            labelled = replace(labelled, intent=item.intent, measures=measures)
        if (mood := moods.get(key)) is not None:
            labelled = replace(labelled, sentiment=mood.sentiment)
        examples.append(labelled)
    # Theirs alone: no card of another customer, no report and no file of the model quotes them.
    new = [
        Example(
            item.text,
            item.intent,
            moods[key].sentiment if key in moods else None,
            private=True,
            measures=proves(item.kind, by_outcome=item.by_outcome),
        )
        for key, item in (moods | taught).items()
        if key not in known
    ]
    return examples + new


def proves(kind: FeedbackKind, *, by_outcome: bool) -> bool:
    """Whether a text with such a word may measure models, too, and not only train them.

    Not with a thumb up: there is one only for what was answered, above the threshold, and rightly.
    Held out, such texts would be selected by their outcome, and a thousand of them would "prove"
    thresholds that break the promise nearly always. Nor with operators' words
    that are there by the outcome, too (`Learned.by_outcome`): the right ones alone would prove too
    much, the wrong ones alone too little. A customer's choice is of a text that the model was
    unsure of, or wrong about. As far down as a threshold reaches such texts at all, they are wrong
    more often than any target allows: they make a proof harder, never easier. (Who finds nothing
    among the choices gets a person, whose label counts.)
    """
    return kind is not FeedbackKind.THUMB_UP and not by_outcome


def that_count(
    pack: Sequence[Example], learned: Sequence[lessons.Learned], test: Sequence[Example]
) -> list[lessons.Learned]:
    """What people taught that a run learns: nothing of a text of the frozen test set, a customer's
    choice or thumb only of what neither the pack nor an operator has labelled, and of moods only
    those that the pack's examples have: a sentiment of a few presses is none to predict.

    Case, spaces and punctuation make no difference here: a text that lacks its question mark would
    teach the opposite of what the pack's authors and the operators say. (Where a customer agrees
    with them, it adds next to nothing.)
    """
    frozen = {normalised(example.text) for example in test}
    settled = {normalised(example.text) for example in pack}
    settled.update(
        normalised(item.text)
        for item in learned
        if item.kind in lessons.OPERATORS_WORD and item.intent is not None
    )
    sentiments = {example.sentiment for example in pack}
    return [
        item
        for item in learned
        if (text := normalised(item.text)) not in frozen
        and (item.kind in lessons.OPERATORS_WORD or text not in settled)
        and (item.sentiment is None or item.sentiment in sentiments)
    ]


def examples_hash(examples: Sequence[Example]) -> str:
    """sha256 (64 hex digits) of what a run trains on; the order does not change it.

    Nor does it that somebody says the same again of a text that differs by case or spaces alone:
    the newest of those that agree gives its text.
    """
    lines = sorted(
        json.dumps(
            [
                exact_key(e.text) if e.private else e.text,
                e.intent,
                e.sentiment,
                e.private,
                # Of all others nothing, lest an update alone be a reason for a training.
                *([] if e.measures else [False]),
            ],
            separators=(",", ":"),
        )
        for e in examples
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
