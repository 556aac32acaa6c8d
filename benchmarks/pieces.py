"""What becomes of customers who write in pieces, with the bot reading each message alone and with
what goes on with words asked back about read together with them (`desk.policy.decide_continued`).

    python benchmarks/pieces.py [--pack packs/retail] [--model models/champion] [--json]

From the pack's test texts, as pairs of messages of which the bot asks back about the first:
`pieces`, one text cut in two, where a clause ends in its middle third or else half-way;
`anew`, a text and another one of the same intent, as from who puts it in other words;
`turned`, a text and one of another intent; `outside`, a text and one about something else, or a
refusal of what was offered. Counted is what the second message gets.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from classifier import Classifier, Prediction
from classifier.data import Example, read_examples
from classifier.vocabulary import OUT_OF_SCOPE
from desk.domain import Action, ConversationState, Decision, History, whole_text
from desk.pack import Pack, load
from desk.policy import decide, decide_continued

WHAT = ("right", "wrong", "person", "asked")
"""What a second message may get: a right answer, a wrong one, a person, or one more question."""
REFUSALS = (
    "none of these",
    "no",
    "no thats not it",
    "neither",
    "something else",
    "nope, other question",
)
DRAWS = 4
"""So many partners each text gets."""
FRESH = History(ConversationState.BOT)
ASKED = History(ConversationState.BOT, clarifications=1)

Pair = tuple[str, str, str]
"""A first message, a second one, and the second one's intent."""
Decides = Callable[[Prediction, Prediction, Pack], Decision]
"""From what the model says of the second message alone and of both together."""

WAYS: dict[str, Decides] = {
    "alone": lambda alone, _, pack: decide(alone, ASKED, pack),
    "together": lambda _, both, pack: decide(both, ASKED, pack),
    "alone, then together": lambda alone, both, pack: decide_continued(alone, both, ASKED, pack)[1],
}


def pieces(texts: Sequence[Example], _: random.Random) -> Iterator[Pair]:
    for example in texts:
        words = example.text.split()
        if len(words) < 5:
            continue
        middle = range(len(words) // 3, 2 * len(words) // 3 + 1)
        ends = [place for place in middle if words[place - 1][-1] in ",.!?;"]
        cut = ends[0] if ends else len(words) // 2
        yield " ".join(words[:cut]), " ".join(words[cut:]), example.intent or ""


def anew(texts: Sequence[Example], dice: random.Random) -> Iterator[Pair]:
    for example in texts:
        others = [x for x in texts if x.intent == example.intent and x is not example]
        for other in dice.sample(others, min(DRAWS, len(others))):
            yield example.text, other.text, other.intent or ""


def turned(texts: Sequence[Example], dice: random.Random) -> Iterator[Pair]:
    for example in texts:
        others = [x for x in texts if x.intent != example.intent]
        for other in dice.sample(others, DRAWS):
            yield example.text, other.text, other.intent or ""


def outside(texts: Sequence[Example], dice: random.Random) -> Iterator[Pair]:
    strange = [x.text for x in texts if x.intent in OUT_OF_SCOPE]
    for example in texts:
        if example.intent not in OUT_OF_SCOPE:
            yield example.text, dice.choice(strange), ""
            yield example.text, dice.choice(REFUSALS), ""


def outcome(decision: Decision, intent: str) -> str:
    if decision.action is Action.ANSWER:
        return "right" if decision.intent == intent else "wrong"
    return "person" if decision.action is Action.ESCALATE else "asked"


def measure(classifier: Classifier, pack: Pack, pairs: Sequence[Pair]) -> dict[str, dict[str, int]]:
    """For each way of deciding: what the second messages get, of those pairs of whose first one the
    bot asks back."""
    firsts = classifier([first for first, _, _ in pairs])
    pairs = [
        pair
        for pair, said in zip(pairs, firsts, strict=True)
        if decide(said, FRESH, pack).action is Action.CLARIFY
    ]
    alone = classifier([second for _, second, _ in pairs])
    both = classifier([whole_text(second, first) for first, second, _ in pairs])
    return {
        name: dict(
            Counter(
                outcome(decides(one, two, pack), intent)
                for one, two, (_, _, intent) in zip(alone, both, pairs, strict=True)
            )
        )
        for name, decides in WAYS.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pack", type=Path, default=Path("packs/retail"))
    parser.add_argument("--model", default="models/champion")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    pack, classifier = load(chosen.pack), Classifier.load(chosen.model)
    texts = [example for example in read_examples(chosen.pack / "test.jsonl") if example.intent]
    dice = random.Random(1)
    found = {
        make.__name__: measure(classifier, pack, list(make(texts, dice)))
        for make in (pieces, anew, turned, outside)
    }
    if chosen.json:
        print(json.dumps({"model": classifier.version, **found}))
        return
    for kind, ways in found.items():
        print(f"{kind} ({sum(next(iter(ways.values())).values())} pairs)")
        for name, counted in ways.items():
            shown = ", ".join(f"{counted.get(what, 0)} {what}" for what in WHAT)
            print(f"  {name}: {shown}")


if __name__ == "__main__":
    main()
