"""What still waits for the model where its conversation ends, and is settled with it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from desk.domain import Action, MessageState
from desk.flow.batch import IS_CHANGE
from desk.flow.desk import Desk
from desk.flow.noting import decided
from desk.tables import IS_PENDING, Conversation, DecisionRow, Message


def unread_changes(session: Session, conversation: Conversation) -> Sequence[Message]:
    """The edits that wait for the model, locked, of what was handled before: they came while a
    person was awaited or in charge, who was to see them, and the bot has nothing to say to them.

    Not those of a text that waits itself, which is read, and so are they; nor a file's words.
    """
    found, unread = [], set()
    for message, is_change in _unread(session, conversation):
        if is_change and message.telegram_id not in unread:
            found.append(message)
        else:
            unread.add(message.telegram_id)
    return found


def changed_since(session: Session, conversation: Conversation) -> Sequence[Message]:
    """The texts that wait for the model, locked, of which an edit waits as well: they were shown
    before they were read, and with no person there who has seen them counts what they are now."""
    waiting = [message for message, _ in _unread(session, conversation)]
    newest = {message.telegram_id: message.id for message in waiting}
    return [message for message in waiting if newest[message.telegram_id] != message.id]


def _unread(session: Session, conversation: Conversation) -> Sequence[Row[Message, bool]]:
    """What waits for the model, locked and oldest first, and whether it is an edit; no file's
    words."""
    waiting = session.execute(
        select(Message, IS_CHANGE)
        .outerjoin(DecisionRow, DecisionRow.message_id == Message.id)
        .where(
            Message.conversation_id == conversation.id, IS_PENDING, DecisionRow.message_id.is_(None)
        )
        .order_by(Message.id)
        .with_for_update(of=Message)
    )
    return waiting.all()


def settle(session: Session, desk: Desk, message: Message, rule: str) -> None:
    """Nothing is said to a text that waited for the model, nor is it read any more."""
    message.state = MessageState.DECIDED
    message.attempt = message.attempt or 1  # or it would pass for a file
    action = Action.SILENT
    session.add(
        DecisionRow(message_id=message.id, action=action, rule=rule, created_at=desk.clock())
    )
    decided(session, message.id, action, rule)
