"""Where the database and the world have parted: an older one was put back, or the simulated
Telegram has begun anew."""

from __future__ import annotations

from sqlalchemy import and_, func, inspect, select, update

from desk.domain import ConversationState, DeliveryState
from desk.flow.delivering import IDEMPOTENT_METHODS
from desk.flow.desk import Desk
from desk.flow.leases import in_force
from desk.store import Store, in_bulk
from desk.tables import (
    IS_UNFINISHED,
    Conversation,
    Customer,
    DeliveryRow,
    Inbox,
    Lease,
    Message,
)


def lease_in_force(store: Store) -> tuple[str, str] | None:
    """The name and the holder of a lease that has not ended, if there is one.

    Works on a backup of any version: one from before there were leases has none.
    """
    if not inspect(store.engine).has_table(Lease.__tablename__):
        return None
    with store.reading() as session:
        row = session.scalar(select(Lease).where(in_force(store)).limit(1))
    return None if row is None else (row.name, row.holder)


def mark_uncertain(store: Store) -> int:
    """After a restore: mark the deliveries that may have left since the backup; returns how many.

    Works on a backup of any version.
    """
    repeated = and_(IS_UNFINISHED, DeliveryRow.method.not_in(IDEMPOTENT_METHODS))
    with store.writing() as session:
        count = session.scalar(select(func.count()).where(repeated)) or 0
        # Due again, and not under way: or the next start would take them for ones during which
        # a bot died twice, and give them up.
        values = {"uncertain": True, "state": DeliveryState.PENDING}
        in_bulk(session, update(DeliveryRow).where(repeated).values(values))
        return count


def forget_people(desk: Desk, bot_id: int) -> None:
    """Resolve the conversations of this bot's customers and let go of their topics.

    Whoever is met again is a new person then, whom no operator has in charge. And messages are
    numbered anew: an old one must not be taken for one of those to come.
    """
    ours = select(Customer.id).where(
        Customer.chat_id.in_(select(Inbox.chat_id).where(Inbox.bot_id == bot_id))
    )
    theirs = select(Conversation.id).where(Conversation.customer_id.in_(ours))
    with desk.store.writing() as session:
        in_bulk(
            session,
            update(Conversation)
            .where(
                Conversation.customer_id.in_(ours),
                Conversation.state != ConversationState.RESOLVED,
            )
            .values(state=ConversationState.RESOLVED, resolved_at=desk.clock()),
        )
        for table in (Message, DeliveryRow):
            of_theirs = update(table).where(table.conversation_id.in_(theirs))
            in_bulk(session, of_theirs.values(telegram_id=None))
        in_bulk(
            session,
            update(Customer)
            .where(Customer.id.in_(ours))
            .values(topic_id=None, topic_chat_id=None, topic_closed=False, banned_at=None),
        )
