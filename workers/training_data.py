"""What a run trains on: the pack's examples and what people taught."""

from __future__ import annotations

from collections.abc import Sequence

from classifier.data import Example
from classifier.likeness import normalised
from desk.flow import lessons
from desk.validation.near import exact_key


def training_examples(
    pack: Sequence[Example], learned: Sequence[lessons.Learned], test: Sequence[Example]
) -> list[Example]:
    """The pack's examples and what people taught; an operator's word replaces the pack's label.

    A customer's choice or thumb does not: of a text in the pack only its authors and the
    operators say what it means.

    Texts of the frozen test set are left out, so that the gate's comparison stays honest.
    """
    frozen = {normalised(example.text) for example in test}
    taught = {exact_key(item.text): item for item in learned}
    known = set()
    examples = []
    for example in pack:
        key = exact_key(example.text)
        known.add(key)
        item = taught.get(key)
        if normalised(example.text) in frozen:
            continue
        if item is None or item.kind not in lessons.OPERATORS_WORD:
            examples.append(example)
        else:
            examples.append(Example(example.text, item.intent, example.sentiment))
    new = [
        item
        for key, item in taught.items()
        if key not in known and normalised(item.text) not in frozen
    ]
    # Theirs alone: no card of another customer, no report and no file of the model quotes them.
    return examples + [Example(item.text, item.intent, private=True) for item in new]
