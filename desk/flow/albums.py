"""Albums of the operators' chat: each picture comes as an update, and one of them has the words."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from desk.flow.colleagues import for_colleagues
from desk.flow.kept_back import NOTE, stays_here
from desk.flow.replying import answered
from desk.tables import Customer, Inbox

NEAR = 200
"""So far apart at most are the update ids of an album's pictures and of a change to its words."""


def is_kept_back(session: Session, customer: Customer, inbox_id: int, writer: int | None) -> bool:
    """Whether the update is a picture of an album of the operator `writer` in the customer's topic
    that is for colleagues or a command by another picture, or has become so: by its caption, or
    because it replies to something that is for colleagues. What that says is said of them all."""
    row = session.get_one(Inbox, inbox_id)
    album = album_of(row)
    if album is None:
        return False
    near = select(Inbox.payload).where(_near(row)).order_by(Inbox.update_id)
    sent, newest = [], {}
    for payload in session.scalars(near):
        picture = _message(payload)
        if picture.get("media_group_id") == album:
            newest[picture.get("message_id")] = picture
            if "message" in payload:
                sent.append(picture)
    # What was sent as a note stays one; of changes the last counts.
    pictures = (*sent, *newest.values())
    if any(_is_for_colleagues(session, customer, writer, each) for each in pictures):
        return True
    replied_to = {target for each in sent if (target := replied_to_by(each)) is not None}
    return any(
        answered(session, row.chat_id, customer, target, writer) is None for target in replied_to
    )


def mark_kept(session: Session, inbox_id: int) -> None:
    """Note with an update that is handled that its message is for colleagues, for the other
    pictures of its album: of its words no more may be kept."""
    row = session.get_one(Inbox, inbox_id)
    if album_of(row) is not None:
        row.payload = {
            kind: body | {"caption": NOTE} if isinstance(body, dict) else body
            for kind, body in row.payload.items()
        }


def replied_to_by(body: dict[str, Any]) -> int | None:
    """What a group's message replies to, as Telegram has it. In a topic all that replies to nothing
    replies to the topic itself."""
    target: int | None = (body.get("reply_to_message") or {}).get("message_id")
    return None if target == body.get("message_thread_id") else target


def _is_for_colleagues(
    session: Session, customer: Customer, writer: int | None, picture: dict[str, Any]
) -> bool:
    caption, marks = picture.get("caption"), picture.get("caption_entities") or ()
    if caption is None:
        return False
    return stays_here(caption) or bool(for_colleagues(session, customer, writer, caption, marks))


def of_same_album(session: Session, inbox_id: int) -> list[int]:
    """The ids of the updates of an album's pictures, where the update's message is one of them."""
    row = session.get_one(Inbox, inbox_id)
    album = album_of(row)
    if album is None:
        return []
    near = session.execute(select(Inbox.id, Inbox.payload).where(_near(row)).order_by(Inbox.id))
    return [id_ for id_, payload in near if _message(payload).get("media_group_id") == album]


def album_of(row: Inbox) -> str | None:
    """Which album an update's picture belongs to, if it does to one."""
    return _message(row.payload).get("media_group_id")


def _near(row: Inbox) -> ColumnElement[bool]:
    return and_(
        Inbox.bot_id == row.bot_id,
        Inbox.update_id.between(row.update_id - NEAR, row.update_id + NEAR),
        Inbox.chat_id == row.chat_id,
    )


def _message(payload: dict[str, Any]) -> dict[str, Any]:
    found = payload.get("message") or payload.get("edited_message")
    return found if isinstance(found, dict) else {}
