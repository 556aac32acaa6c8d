"""Which updates are from a customer, or about one: those of operators in their topics, at their
cards, and what operators wrote to them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from desk.domain import Author
from desk.flow.keeping import WITHIN
from desk.tables import Conversation, Customer, DeliveryRow, Inbox, Message

CHUNK = 1000
"""So many updates are in memory at once."""
NEAR = 10_000
"""So many ids at most are given to others while one that is stored side by side with them, as a
webhook's are on PostgreSQL, is not to be seen yet."""


class Mentions:
    """Updates from a customer, and those from the operators' chat about them."""

    def __init__(self, session: Session, customer: Customer) -> None:
        conversations = select(Conversation.id).where(Conversation.customer_id == customer.id)
        posts = session.execute(
            select(DeliveryRow.chat_id, DeliveryRow.telegram_id).where(
                DeliveryRow.chat_id != customer.chat_id,
                DeliveryRow.conversation_id.in_(conversations),
                DeliveryRow.telegram_id.is_not(None),
            )
        )
        self._posts = {(chat_id, telegram_id) for chat_id, telegram_id in posts}
        written = session.execute(
            select(Inbox.chat_id, Inbox.payload)
            .join(Message, Message.inbox_id == Inbox.id)
            .where(Message.conversation_id.in_(conversations), Message.author == Author.OPERATOR)
        )
        # Of topics that were deleted and made again, too.
        self._topics = {
            (chat_id, body.get("message_thread_id"))
            for chat_id, payload in written
            for body in payload.values()
            if isinstance(body, dict) and body.get("message_thread_id")
        }
        self._topics.add((customer.topic_chat_id, customer.topic_id))
        self._own_chat = customer.chat_id
        chats = {chat_id for chat_id, _ in self._posts | self._topics}
        self._chats = [self._own_chat, *(chat_id for chat_id in chats if chat_id is not None)]
        self._looked_until = 0
        self.updates: set[int] = set()
        """Their inbox ids."""

    def look(self, session: Session) -> None:
        """Look through the updates that have come to light since the last look."""
        until = session.scalar(select(func.max(Inbox.id))) or 0
        query = (
            select(Inbox.id, Inbox.chat_id, Inbox.payload)
            .where(Inbox.id > self._looked_until - NEAR, Inbox.id <= until)
            .where(Inbox.chat_id.in_(self._chats))
            .order_by(Inbox.id)
        )
        rows = session.execute(query, execution_options={"yield_per": CHUNK})
        self.updates.update(
            id_
            for id_, chat_id, payload in rows
            if chat_id == self._own_chat
            or any(self._is_theirs(chat_id, body) for body in payload.values())
        )
        self._looked_until = until

    def _is_theirs(self, chat_id: int, body: Any) -> bool:
        """Whether a message, or what stands at one (a press, a reaction, a reply), is theirs."""
        if not isinstance(body, dict):
            return False
        if (chat_id, body.get("message_thread_id")) in self._topics:
            return True
        if (chat_id, body.get("message_id")) in self._posts:
            return True
        # A reply from another topic has what it quotes.
        return any(self._is_theirs(chat_id, body.get(name)) for name in WITHIN)
