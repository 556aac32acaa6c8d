"""What a customer is told to do until a person is there, which stands before who comes when.

Said once in a conversation, whoever says it: `Conversation.said_once` holds the names of the
intents of which it was said, and what no intent is called for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from desk.flow.desk import Desk
from desk.flow.names import called
from desk.flow.promising import next_opening
from desk.flow.wording import language_of
from desk.pack import Pack, Text
from desk.policy import (
    ATTACHMENT,
    FORWARDED,
    INTENT_NEEDS_PERSON,
    LATE,
    MAY_NEED_PERSON,
    NEGATIVE_SENTIMENT,
    NOT_CLASSIFIED,
    OTHER_LANGUAGE,
    OUT_OF_SCOPE,
    SAME_ANSWER_AGAIN,
    SEVERAL_QUESTIONS,
    STILL_UNSURE,
    UNFAMILIAR,
    UNPROCESSABLE,
)
from desk.tables import Conversation, Customer
from desk.telegram_html import escaped as html
from desk.telegram_text import length, plain, shorten
from desk.texts import say
from desk.times import when

URGENT = "(urgent)"
BACK = "(back)"
"""Begins the mark of having said when the desk opens again; that moment follows, in UTC."""
SMALL_TALK = "(small talk)"
"""Marks that unclear small talk was not understood, for which a conversation has room once."""
CLOSING = "(closing)"
"""Marks that who waits, and said thanks or goodbye, heard that somebody comes all the same."""
ANSWERABLE = frozenset({NEGATIVE_SENTIMENT, SAME_ANSWER_AGAIN, SEVERAL_QUESTIONS})
"""The rules that call a person about an intent which the bot could have answered."""
UNKNOWN = frozenset(
    {
        *(OTHER_LANGUAGE, ATTACHMENT, UNFAMILIAR, OUT_OF_SCOPE, STILL_UNSURE, NOT_CLASSIFIED),
        *(FORWARDED, UNPROCESSABLE, LATE, NEGATIVE_SENTIMENT, MAY_NEED_PERSON),
    }
)
"""Those by which nobody knows what is the matter, or how bad it is (but of who is upset it may be
known: `Decision.likely`). A customer who asks for a person, or dislikes an answer, says neither;
they have seen what the bot had to say."""
SOON = timedelta(minutes=10)
"""So long a customer remembers what they were promised, or told of a person who is called."""


def advice(
    desk: Desk, customer: Customer, conversation: Conversation, rule: str, intent: str | None
) -> str | None:
    """What to do until a person is there who is called by that rule, about that intent, as HTML;
    None where there is nothing to say.

    It counts as said from then on.
    """
    found = _found(desk.pack, rule, intent)
    if found is None or found[0] in conversation.said_once:
        return None
    mark, text = found
    conversation.said_once = [*conversation.said_once, mark]
    return desk.pack.text(text, language_of(desk, customer), called(customer))


def advice_for_choices(
    desk: Desk, customer: Customer, conversation: Conversation, choices: Sequence[str], room: int
) -> str | None:
    """What to do about the likeliest of the intents that are offered for which something can't
    wait, as HTML of at most so many UTF-16 units, markup not counted; None where there is nothing
    to say, or it was said before.

    It counts as said from then on.
    """
    for name in choices:
        meanwhile = desk.pack.intents[name].meanwhile
        if meanwhile is None:
            continue
        if name in conversation.said_once:
            return None
        conversation.said_once = [*conversation.said_once, name]
        words = desk.pack.text(meanwhile, language_of(desk, customer), called(customer))
        # A cut through its markup would be refused as a whole.
        return words if length(plain(words)) <= room else html(shorten(plain(words), room))
    return None


def _found(pack: Pack, rule: str, intent: str | None) -> tuple[str, Text] | None:
    known = pack.intents.get(intent) if intent is not None else None
    if intent is not None and known is not None:
        if rule == INTENT_NEEDS_PERSON and known.answer is not None:
            return intent, known.answer
        if rule in ANSWERABLE and known.meanwhile is not None:
            return intent, known.meanwhile
        if rule == NEGATIVE_SENTIMENT:
            return None  # it is surely about that and nothing else (`Decision.likely`)
    if rule in UNKNOWN and pack.urgent is not None:
        return URGENT, pack.urgent
    return None


def added(desk: Desk, conversation: Conversation, language: str) -> str | None:
    """What a customer hears who writes once more while the desk is closed: when it is back. Once
    until then, and not while they remember what they were promised, if they were; None where there
    is nothing (more) to say. It counts as said from then on.
    """
    called_at, opening = conversation.escalated_at, next_opening(desk)
    if opening is None or (called_at is not None and desk.clock() - called_at < SOON):
        return None
    if _back(opening) in conversation.said_once:
        return None
    hears_when_back(desk, conversation)
    return say("added", language, when=when(opening, desk.clock(), language))


def still_coming(conversation: Conversation, language: str) -> str | None:
    """What a customer hears who waits and says thanks or goodbye, which may mean that they need
    nobody any more. Once in a conversation; None after that. It counts as said from then on."""
    if CLOSING in conversation.said_once:
        return None
    conversation.said_once = [*conversation.said_once, CLOSING]
    return say("still-coming", language)


def hears_when_back(desk: Desk, conversation: Conversation) -> None:
    """Note that a customer who waits is just told when the desk is back, where it is closed."""
    opening = next_opening(desk)
    if opening is not None and _back(opening) not in conversation.said_once:
        conversation.said_once = [*conversation.said_once, _back(opening)]


def _back(opening: datetime) -> str:
    return f"{BACK}{opening.astimezone(UTC).isoformat()}"
