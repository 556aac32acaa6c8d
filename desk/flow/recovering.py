"""What a sender that died left behind: sent again, put back, counted against the limits."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select

from desk import metrics
from desk.domain import DeliveryState
from desk.flow.delivering import IDEMPOTENT_METHODS, PERHAPS_ARRIVED, failed_in_any_case
from desk.flow.desk import Desk
from desk.flow.keys import CARD_KEY
from desk.flow.leases import Holding, check
from desk.flow.noting import counted, happened
from desk.tables import DeliveryRow

MOST_SENT = 2000
"""More than Telegram takes from a bot in a minute."""
ENDED_TWICE = f"the bot ended or failed twice while sending it, and {PERHAPS_ARRIVED}"


def recover(desk: Desk, lease: Holding, only: Collection[int] | None = None) -> int:
    """Before a sender begins: what was being sent when one died may or may not have arrived. So may
    what it had in hand, the ids `only`, when it met an error in noting an end.

    Telegram has no idempotency key, so such a delivery is sent again and marked `uncertain`
    (an edit can be repeated without harm and is not). One that was uncertain before is given up:
    a customer sees at most one repetition, however often the sender dies. Returns how many are
    sent again and may arrive twice.
    """
    given_up = []
    uncertain = 0
    with desk.store.writing() as session:
        check(session, lease)
        query = select(DeliveryRow).where(DeliveryRow.state == DeliveryState.SENDING)
        if only is not None:
            query = query.where(DeliveryRow.id.in_(only))
        # Locked: the one before may be noting this very moment that it has arrived.
        rows = session.scalars(query.with_for_update()).all()
        for row in rows:
            if row.uncertain:
                given_up.append((row.id, row.attempts))
                continue
            row.state = DeliveryState.PENDING
            row.uncertain = row.method not in IDEMPOTENT_METHODS
            if row.uncertain:
                uncertain += 1
                counted(session, metrics.DELIVERIES, "uncertain")
                happened(session, "delivery.uncertain", delivery=row.id, message=row.message_id)
    for delivery_id, attempt in given_up:
        # What nobody foresaw about one must not keep the bot from starting.
        failed_in_any_case(desk, delivery_id, attempt, ENDED_TWICE)
    return uncertain


def put_back(desk: Desk, in_hand: Collection[int], lease: Holding) -> None:
    """Make due again what was taken but never reached the sender.

    The database may commit a taking and lose its answer: such a delivery is `SENDING`, and nobody
    sends it. `in_hand` are the ids of those that the sender is about to send, or has sent (which
    may have arrived: see `recover`).
    """
    with desk.store.writing() as session:
        check(session, lease)
        query = select(DeliveryRow).where(
            DeliveryRow.state == DeliveryState.SENDING, DeliveryRow.id.not_in(in_hand)
        )
        rows = session.scalars(query.with_for_update(skip_locked=True)).all()
        for row in rows:
            row.state = DeliveryState.PENDING
            happened(session, "delivery.put_back", delivery=row.id, message=row.message_id)


def recently_sent(desk: Desk, seconds: float) -> list[tuple[int, float]]:
    """What counts against Telegram's limits: (chat id, seconds ago) pairs, the oldest first.

    What is under way, or was when its sender died, counts as sent now. A card counts twice: which
    topics were made is not known.
    """
    now = desk.clock()
    columns = select(DeliveryRow.chat_id, DeliveryRow.sent_at, DeliveryRow.key)
    # By id, which is indexed; in that order they were sent, but for some that had to wait.
    newest = columns.where(DeliveryRow.state == DeliveryState.SENT).order_by(DeliveryRow.id.desc())
    sending = columns.where(DeliveryRow.state == DeliveryState.SENDING)
    with desk.store.reading() as session:
        rows = [*session.execute(newest.limit(MOST_SENT)), *session.execute(sending)]
    ages = [
        (chat_id, max(0.0, (now - sent_at).total_seconds()) if sent_at else 0.0)
        for chat_id, sent_at, key in rows
        for _ in range(2 if key.startswith(CARD_KEY) else 1)
    ]
    recent = [(chat_id, age) for chat_id, age in ages if age < seconds]
    return sorted(recent, key=lambda pair: -pair[1])
