"""What becomes of customers who ask for several things at once, with the bot reading each message
as a whole, and with it reading each sentence as well (`desk.several`).

    python benchmarks/several.py [--pack packs/retail] [--model models/champion] [--json]

`several` and `one` are hand-written messages of `benchmarks/several.jsonl` about several things
and about one; `test` are the pack's test texts, each about one thing. Counted is what each gets.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from classifier import Classifier
from classifier.data import read_examples
from desk.domain import Action, ConversationState, Decision, History
from desk.pack import Escalate, Pack, load
from desk.policy import decide
from desk.sentences import sentences
from desk.several import decide_sentences

WHAT = ("all", "some", "extra", "wrong", "person", "asked")
"""What a message may get: an answer to all that it asks for, to some of it alone, to all and to
something else, a wrong one, a person, or a question."""
FRESH = History(ConversationState.BOT)

Said = tuple[str, frozenset[str]]
"""A message, and the intents of what it asks for."""


def written(pack: Pack) -> list[Said]:
    lines = Path(__file__).with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [(row["text"], frozenset(row["intents"])) for row in rows if row["pack"] == pack.name]


def outcome(decision: Decision, wanted: frozenset[str]) -> str:
    if decision.action is Action.ESCALATE:
        return "person"
    if decision.action is not Action.ANSWER or decision.intent is None:
        return "asked"
    given = set(decision.choices or (decision.intent,))
    if wanted <= given:
        return "all" if given == wanted else "extra"
    return "some" if given < wanted else "wrong"


def measure(classifier: Classifier, pack: Pack, said: Sequence[Said]) -> dict[str, dict[str, int]]:
    """For each way of reading: how many messages get what, and for how many that want a person no
    person is called."""
    wholes = classifier([text for text, _ in said])
    parts = [sentences(text) for text, _ in said]
    flat = iter(classifier([part for several in parts for part in several]))
    found: dict[str, Counter[str]] = {"as a whole": Counter(), "and its sentences": Counter()}
    for (_, wanted), whole, several in zip(said, wholes, parts, strict=True):
        read = [next(flat) for _ in several]
        needy = any(pack.intents[name].escalate is Escalate.ALWAYS for name in wanted)
        for way, decision in (
            ("as a whole", decide(whole, FRESH, pack)),
            ("and its sentences", decide_sentences(whole, read, FRESH, pack)[1]),
        ):
            found[way][outcome(decision, wanted)] += 1
            found[way]["person missed"] += needy and decision.action is Action.ANSWER
    return {way: dict(counted) for way, counted in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pack", type=Path, default=Path("packs/retail"))
    parser.add_argument("--model", default="models/champion")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    pack, classifier = load(chosen.pack), Classifier.load(chosen.model)
    rows = written(pack)
    test = read_examples(chosen.pack / "test.jsonl")
    kinds: dict[str, list[Said]] = {
        "several": [row for row in rows if len(row[1]) > 1],
        "one": [row for row in rows if len(row[1]) == 1],
        "test": [(example.text, frozenset({example.intent or ""})) for example in test],
    }
    found = {kind: measure(classifier, pack, said) for kind, said in kinds.items()}
    if chosen.json:
        print(json.dumps({"model": classifier.version, **found}))
        return
    for kind, ways in found.items():
        print(f"{kind} ({len(kinds[kind])} messages)")
        for way, counted in ways.items():
            shown = ", ".join(f"{counted.get(what, 0)} {what}" for what in (*WHAT, "person missed"))
            print(f"  {way}: {shown}")


if __name__ == "__main__":
    main()
