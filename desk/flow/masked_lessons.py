"""What customers taught, masked so that it can stay where the rest of their words goes."""

from __future__ import annotations

from collections.abc import Collection
from math import inf

from sqlalchemy import select

from desk.boottime import boottime
from desk.flow.desk import Desk
from desk.flow.lessons import taught_messages
from desk.masking import mask
from desk.own_names import OwnNames
from desk.tables import Conversation, Customer, Message

CHUNK = 20
"""So many texts are masked between two looks at the clock: a second or two at worst."""


class MaskedLessons:
    """Texts that teach, masked while no transaction is open.

    One takes milliseconds, and nothing limits how many a customer has: a writer who waits for them
    would wait long, and PostgreSQL ends a transaction that idles. So they are masked before the
    writing, and kept here until then. For one thread.
    """

    def __init__(self) -> None:
        self._masked: dict[int, tuple[str, str]] = {}
        """By the message's id: its text, as it is and masked."""

    def prepare(self, desk: Desk, conversation_ids: Collection[int], seconds: float = inf) -> bool:
        """Mask what is taught in these conversations.

        False where that took so many seconds and there is more: the next call goes on from there.
        """
        with desk.store.reading() as session:
            ids = taught_messages(session, conversation_ids)
        missing = sorted(ids - self._masked.keys())
        if not missing:
            return True
        own, until = OwnNames(desk.pack), boottime() + seconds
        for start in range(0, len(missing), CHUNK):
            # Not before some are masked, or it would never end.
            if start and boottime() > until:
                return False
            query = (
                select(Message.id, Message.text, Customer)
                .join(Conversation, Conversation.id == Message.conversation_id)
                .join(Customer, Customer.id == Conversation.customer_id)
                .where(Message.id.in_(missing[start : start + CHUNK]))
            )
            with desk.store.reading() as session:
                rows = session.execute(query).all()
            for id_, text, customer in rows:
                masked = mask(text, desk.pack.phone_regions, own.of(customer))
                self._masked[id_] = (text, masked)
        return True

    def of(self, message_id: int, text: str) -> str | None:
        """A message's text masked; None if that was not prepared, or of another text."""
        was, masked = self._masked.get(message_id, (None, ""))
        if was == text:
            return masked
        self._masked.pop(message_id, None)
        return None

    def clear(self) -> None:
        """Forget all of them."""
        self._masked.clear()
