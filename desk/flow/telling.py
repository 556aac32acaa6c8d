"""What is said to those who write in the operators' chat, and how often to those who may not act.

All of it goes before customers' words, so that operators see at once what they did. So nobody else
may have the bot talk there as often as they like: a stranger is told one thing, once in a while in
each topic, and in a few of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.orm import Session

from desk.domain import ANONYMOUS_ADMIN
from desk.flow.composing import TEXT_METHOD, add_delivery, as_reply
from desk.flow.desk import Desk
from desk.flow.keys import QUOTES_KEY
from desk.tables import Conversation, DeliveryRow, Operator
from desk.texts import say

REFUSED_FOR_SECONDS = 600
"""So long what people write in a topic to no effect is answered once: they may be chatting."""
STRANGERS_NOTICES = 5
"""In so many topics at most who is no operator is told so meanwhile."""


def tell(
    session: Session,
    desk: Desk,
    inbox_id: int,
    thread_id: int | None,
    text: str,
    reply_to: int | None = None,
) -> None:
    """Answer an update in a topic of the operators' chat, or in General; `reply_to` is its message,
    where the answer is to reply to it."""
    tell_once(session, desk, f"told:{inbox_id}", thread_id, text, reply_to)


def tell_at_times(
    session: Session, desk: Desk, what: str, thread_id: int | None, text: str
) -> None:
    """Say there what was to no effect, and why; the same thing (`what`) once in a while.

    Both may quote what somebody wrote about a customer, and nothing says about whom. So neither is
    kept: the key has a hash, and the text goes when the delivery ends.
    """
    hashed = sha256(what.encode()).hexdigest()[:16]
    _tell_in_span(session, desk, f"{QUOTES_KEY}{hashed}", thread_id, text)


def _tell_in_span(session: Session, desk: Desk, key: str, thread_id: int | None, text: str) -> None:
    if not _told_lately(session, desk, [key]):
        tell_once(session, desk, f"{key}:{_span(desk)}", thread_id, text)


def _tell_stranger(
    session: Session, desk: Desk, key: str, thread_id: int | None, text: str
) -> None:
    """Tell somebody who is no operator: whoever wrote to several customers would else see nothing
    below the others, as if these had it."""
    places = [f"{key}:{number}" for number in range(STRANGERS_NOTICES)]
    told = _told_lately(session, desk, places)
    if thread_id in told.values():
        return
    free = [place for place in places if place not in told]
    if free:
        tell_once(session, desk, f"{free[0]}:{_span(desk)}", thread_id, text)


def _told_lately(session: Session, desk: Desk, keys: Sequence[str]) -> dict[str, int | None]:
    """Which of these were told a short while ago, each with the topic where that was (None for
    General)."""
    now, span = desk.clock(), _span(desk)
    # By whole keys, which are indexed. The span before this one ended a short while ago.
    whole = {f"{key}:{number}": key for key in keys for number in (span - 1, span)}
    rows = session.execute(
        select(DeliveryRow.key, DeliveryRow.payload).where(
            DeliveryRow.key.in_(whole),
            DeliveryRow.created_at > now - timedelta(seconds=REFUSED_FOR_SECONDS),
        )
    )
    return {whole[key]: payload.get("message_thread_id") for key, payload in rows}


def _span(desk: Desk) -> int:
    return int(desk.clock().timestamp() // REFUSED_FOR_SECONDS)


def tell_once(
    session: Session,
    desk: Desk,
    key: str,
    thread_id: int | None,
    text: str,
    reply_to: int | None = None,
    conversation: Conversation | None = None,
) -> None:
    """Say something there, once for each key; what is asked there of a `conversation` is looked up
    by it."""
    if desk.operator_chat_id is None:
        return
    payload: dict[str, object] = {"text": text}
    if thread_id is not None:
        payload["message_thread_id"] = thread_id
    if reply_to is not None:
        payload["reply_parameters"] = as_reply(reply_to)
    add_delivery(
        session,
        desk,
        key,
        desk.operator_chat_id,
        TEXT_METHOD,
        payload,
        conversation=conversation,
    )


def why_refused(operator: Operator | None, user_id: int) -> str:
    """Why nothing happens in a topic: it is nobody's, or whoever acts there is no operator.

    The name of a text, which may show the `user`.
    """
    if operator is not None:
        return "nothing-here"
    return "anonymous-admin" if user_id == ANONYMOUS_ADMIN else "operators-only"


def refuse(
    session: Session,
    desk: Desk,
    why: str,
    user_id: int,
    thread_id: int | None,
    *,
    one_for_all: bool = False,
) -> None:
    """Say why what somebody wrote is to no effect, once in a while; `why` is the name of a text,
    which may show the `user`.

    An operator is told in each topic, and so is who writes anonymously: one id stands for all of
    these. Anybody else is told in each of `STRANGERS_NOTICES`, however many they write in. With
    `one_for_all` one answer does for all who write.
    """
    text = say(why, desk.language, user=str(user_id))
    key = f"told:{why}:{0 if one_for_all else user_id}"
    if user_id == ANONYMOUS_ADMIN or session.get(Operator, user_id) is not None:
        _tell_in_span(session, desk, f"{key}:{thread_id}", thread_id, text)
    elif one_for_all:
        _tell_in_span(session, desk, key, thread_id, text)
    else:
        _tell_stranger(session, desk, key, thread_id, text)


def refused(session: Session, desk: Desk, user_id: int, thread_id: int | None) -> bool:
    """Whether somebody is no operator, which they are told."""
    if session.get(Operator, user_id) is not None:
        return False
    refuse(session, desk, why_refused(None, user_id), user_id, thread_id)
    return True
