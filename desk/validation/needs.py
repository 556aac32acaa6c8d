"""What a desk needs and a pack loads without: a way to a person, hours, a menu, small talk that is
known as such. Without them it works, and is met badly."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from desk.pack import Escalate, Intent, Pack

_PEOPLE = (
    r"(?:humans?|persons?|agents?|reps?|representatives?|operators?|advis[eo]rs?|supervisors?|"
    r"colleagues?|managers?)"
)
_ANYBODY = rf"(?:{_PEOPLE}|people|someone|somebody|staff|team)"
"""Whom one talks to, too; wanted or had, they are as often those for whom one buys."""
_ASKS = re.compile(
    rf"\b(?:speak|talk|talking|chat|connect|transfer|through|switch|pass)\b.*\b{_ANYBODY}\b"
    rf"|\b(?:want|need|get|give|have|is there|any)\b(?: \w+){{0,3}} {_PEOPLE}\b"
    rf"|^\W*(?:\w+\W+){{0,2}}\b{_PEOPLE}\b\W*(?:\w+\W*){{0,2}}$"
    r"|\b(?:human|real person|call ?back|(?:call|ring|phone) me)\b",
    re.IGNORECASE,
)
"""English words that ask for a person; of the packs' own talk_to_person they are in two of five."""
_READ = 500
"""Characters of a text in which that is looked for: the time grows with their square."""
_SHARE = 0.25
"""Where more of an intent's examples ask for a person, it is there for that. Of the packs' others
it is 22 % at most ("is this a human?"), and 3 % of those that always get one."""
_TALK = {
    "greeting": frozenset({"greet", "greeting", "greetings", "hello", "hi"}),
    "thanks": frozenset({"thank", "thanks"}),
    "goodbye": frozenset({"bye", "goodbye"}),
}
_ALSO = frozenset({"chitchat", "hey", "say", "small", "smalltalk", "talk", "the", "user", "you"})


def asks_for_person(text: str) -> bool:
    """Whether an English text may ask for a person."""
    return _ASKS.search(text[:_READ]) is not None


def asking_for_person(examples: Iterable[tuple[str, str | None]]) -> set[str]:
    """The intents whose English examples, texts and intents, are there to ask for a person."""
    asks: defaultdict[str, list[bool]] = defaultdict(list)
    for text, intent in examples:
        if intent is not None:
            asks[intent].append(asks_for_person(text))
    return {name for name, asked in asks.items() if sum(asked) > _SHARE * len(asked)}


def small_talk(name: str) -> set[str]:
    """Which of `greeting`, `thanks` and `goodbye` an intent's name says that it is, and no more."""
    words = set(name.split("_"))
    if not words <= _ALSO.union(*_TALK.values()):
        return set()
    return {kind for kind, known in _TALK.items() if words & known}


def lacking(pack: Pack, examples: Sequence[tuple[str, str | None]]) -> Iterator[str]:
    """What to say of a pack, each with its place first; of its examples the texts and intents."""
    ways = asking_for_person(examples) & set(pack.never_answered())
    if pack.languages[0] == "en" and examples and not ways:
        yield (
            'intents: no example under `escalate: always` asks for a person ("can I talk to a '
            'human?"), so the bot asks back where it should call one; docs/packs.md says how to '
            "take such an intent from packs/retail, and which others every desk needs"
        )
    if "hours" not in pack.model_fields_set:
        yield (
            "hours: there are none, so the desk is always open, and who needs a person at night "
            f"reads that one replies within {pack.sla.first_reply_minutes} minutes "
            "(sla.first_reply_minutes); write when people are there"
        )
    if not pack.menu:
        yield "menu: it is empty, so the greeting has no buttons; name up to 8 intents"
    for name, intent in pack.intents.items():
        if small_talk(name) and name != pack.policy.out_of_scope:
            yield from _talk(name, intent)
        if intent.buttons and intent.escalate is Escalate.ALWAYS:
            yield (
                f"intents.{name}.buttons: with escalate: always no buttons are shown; write into "
                "`answer` what to do until a person is there, and take them away"
            )


def _talk(name: str, intent: Intent) -> Iterator[str]:
    if intent.escalate is Escalate.ALWAYS:
        yield (
            f"intents.{name}: whoever says this gets a person; if it is small talk, give it an "
            "answer and `thumbs: false`, and take `escalate: always` away"
        )
    elif intent.thumbs:
        yield (
            f"intents.{name}: if it is small talk, write `thumbs: false`: the answer asks for no "
            "thumb then, and the bot offers it to nobody as what they may have meant"
        )
