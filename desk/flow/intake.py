"""Updates: stored before they are acknowledged, handled in order, retried, at last parked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, String, and_, cast, func, literal, or_, select, update
from sqlalchemy.orm import Session

from desk import faultpoints, metrics
from desk.domain import DeskError, InboxRow, InboxState, Incoming
from desk.flow.composing import operators_text
from desk.flow.desk import Desk
from desk.flow.keeping import ids_of
from desk.flow.leases import BOTS, Holding, check, in_force
from desk.flow.noting import happened
from desk.store import Store
from desk.tables import Inbox, Lease
from desk.telegram_text import kept_error
from desk.texts import say

MAX_ATTEMPTS = 5
RETRY_SECONDS = (0.5, 2.0, 8.0, 30.0)
DELIVERED_AGAIN = timedelta(hours=48)
"""No longer than that (24 hours, in fact) Telegram delivers an update again."""
RESTART = timedelta(minutes=10)
"""A bot that is away for longer does not just begin anew."""
CHUNK = 1000
"""So many old updates are looked at in one go."""
_PARKED = select(Inbox).where(Inbox.state == InboxState.PARKED).order_by(Inbox.id)


def store_updates(desk: Desk, updates: Sequence[Incoming]) -> int:
    """Store updates, in one transaction.

    An update that is already there is left as it is, unless that was `DELIVERED_AGAIN` ago;
    returns how many were new.
    """
    if not updates:
        return 0
    with desk.store.writing() as session:
        new = _insert(session, desk, updates)
        if new < len(updates) and _make_room(session, desk, updates):
            new += _insert(session, desk, updates)
        ids = [incoming.update_id for incoming in updates]
        happened(session, "updates.stored", updates=ids, new=new)
        faultpoints.point("intake.before_commit")
    metrics.UPDATES.inc(new)
    faultpoints.point("intake.after_commit")
    return new


def _insert(session: Session, desk: Desk, updates: Sequence[Incoming]) -> int:
    """Add the updates whose keys are free; returns how many."""
    stored = session.scalars(
        desk.store.insert(Inbox)
        .on_conflict_do_nothing(index_elements=["bot_id", "update_id"])
        .returning(Inbox.id),
        [
            {
                "bot_id": incoming.bot_id,
                "update_id": incoming.update_id,
                "chat_id": incoming.chat_id,
                "payload": incoming.payload,
                "received_at": desk.clock(),
            }
            for incoming in updates
        ],
    )
    # Counted by what came back: another bot may be storing at the same time.
    return len(stored.all())


def _make_room(session: Session, desk: Desk, updates: Sequence[Incoming]) -> bool:
    """Whether some of their ids stood for updates so old that Telegram must mean new ones.

    After an idle week it goes on with an id of its choice. The old rows, handled long ago, keep
    what refers to them and get an id that Telegram does not use: none of its own is negative.
    """
    moved = session.scalars(
        update(Inbox)
        .where(
            Inbox.bot_id == updates[-1].bot_id,
            Inbox.update_id.in_([incoming.update_id for incoming in updates]),
            Inbox.state != InboxState.NEW,
            Inbox.received_at < desk.clock() - DELIVERED_AGAIN,
        )
        .values(update_id=-Inbox.id)
        .returning(Inbox.id)
    )
    return bool(moved.all())


def next_update_id(desk: Desk, bot_id: int) -> int | None:
    """One past the highest id of an update stored, or None before the first update."""
    with desk.store.reading() as session:
        highest = session.scalar(select(func.max(Inbox.update_id)).where(Inbox.bot_id == bot_id))
    return None if highest is None else highest + 1


def new_rows(
    desk: Desk,
    bot_id: int,
    known: Sequence[int],
    lease: Holding,
    limit: int = 500,
    full_chats: Sequence[int] = (),
) -> list[InboxRow]:
    """Unhandled updates in order of arrival, without the ids already `known` to the caller and
    without those of chats of which the caller wants no more for now.

    Raises `LostLeaseError` when the `lease` is another's.
    """
    query = (
        select(Inbox)
        .where(Inbox.state == InboxState.NEW, Inbox.bot_id == bot_id)
        .order_by(Inbox.id)
        .limit(limit + len(known))
    )
    if full_chats:
        query = query.where(or_(Inbox.chat_id.is_(None), Inbox.chat_id.not_in(full_chats)))
    held = set(known)
    with desk.store.reading() as session:
        check(session, lease)
        return [
            InboxRow(row.id, row.update_id, row.chat_id, row.payload)
            for row in session.scalars(query)
            if row.id not in held
        ][:limit]


def claim(session: Session, desk: Desk, inbox_id: int) -> bool:
    """Mark an update handled inside a use case's transaction; False if it already was.

    Of one from a group only `ids_of` it are kept: its handler has what it needs of the rest.
    """
    row = session.get(Inbox, inbox_id, with_for_update=True)
    if row is None or row.state is not InboxState.NEW:
        return False
    row.state, row.done_at, row.error = InboxState.DONE, desk.clock(), None
    if _is_from_group(row):
        _keep_ids(row)
    return True


def _is_from_group(row: Inbox) -> bool:
    """Whether it was no customer who wrote to the bot alone: groups' ids are below 0."""
    return row.chat_id is not None and row.chat_id < 0


def _keep_ids(row: Inbox) -> None:
    row.payload, row.error = ids_of(row.payload), None


def keep_ids(desk: Desk, after: int) -> int | None:
    """Of the next updates, keep only `ids_of` those of groups that are handled: a version before
    kept all.

    `after` is the id of the last that was looked at, 0 at first; returns the next such, or None at
    the end.
    """
    with desk.store.reading() as session:
        # By their numbers alone: where groups' are rare, a look for those would read all the rest.
        looked = session.scalars(
            select(Inbox.id).where(Inbox.id > after).order_by(Inbox.id).limit(CHUNK)
        ).all()
        if not looked:
            return None
        rows = session.execute(
            select(Inbox.id, Inbox.payload).where(
                Inbox.id.in_(looked), Inbox.state == InboxState.DONE, Inbox.chat_id < 0
            )
        ).all()
    whole = [id_ for id_, payload in rows if payload != ids_of(payload)]
    if whole:
        with desk.store.writing() as session:
            # Whoever holds one of them empties it, or does the same.
            free = select(Inbox).where(Inbox.id.in_(whole)).with_for_update(skip_locked=True)
            for row in session.scalars(free):
                _keep_ids(row)
    return looked[-1]


def forget(session: Session, inbox_id: int) -> None:
    """Keep nothing of an update of a stranger, or of one who was erased: no export would show it,
    and no erasure reach it."""
    row = session.get_one(Inbox, inbox_id)
    row.payload, row.chat_id = {}, None


def done(desk: Desk, inbox_id: int) -> None:
    """Mark an update handled for which there was nothing to do, and keep nothing of it: it may come
    from any group of strangers, or be what colleagues say to each other."""
    with desk.store.writing() as session:
        if claim(session, desk, inbox_id):
            forget(session, inbox_id)


def failed(desk: Desk, inbox_id: int, error: str, *, final: bool = False) -> float | None:
    """Note a handler's failure. Returns the seconds until the next try, or None: it is parked.

    `final` says that another try can't help. Operators are told of what is parked.
    """
    with desk.store.writing() as session:
        row = session.get(Inbox, inbox_id, with_for_update=True)
        if row is None or row.state is not InboxState.NEW:
            return None
        row.attempts += 1
        row.error = kept_error(error)
        if final or row.attempts >= MAX_ATTEMPTS:
            row.state, row.done_at = InboxState.PARKED, desk.clock()
            text = "⚠️ " + say("update-parked", desk.language, inbox=str(row.id))
            # Parked once more after a retry, it is told once more.
            key = f"parked:{row.id}:{row.done_at.timestamp():.0f}"
            operators_text(session, desk, key, text)
            return None
        return RETRY_SECONDS[row.attempts - 1]


def parked(desk: Desk) -> list[tuple[int, int, str]]:
    """Parked updates as (inbox id, attempts, error), oldest first."""
    query = _PARKED.with_only_columns(Inbox.id, Inbox.attempts, Inbox.error)
    with desk.store.reading() as session:
        return [(id_, attempts, error or "") for id_, attempts, error in session.execute(query)]


def retry_parked(desk: Desk) -> int:
    """Give every parked update another round; returns how many there were."""
    with desk.store.writing() as session:
        rows = session.scalars(_PARKED.with_for_update()).all()
        for row in rows:
            row.state, row.attempts, row.done_at = InboxState.NEW, 0, None
        return len(rows)


def dismiss_parked(desk: Desk, ids: Collection[int]) -> None:
    """Close these parked updates: they never will be handled. Customers' errors stay.

    Raises `DeskError`, and closes none, where one of them is not parked.
    """
    with desk.store.writing() as session:
        rows = session.scalars(_PARKED.where(Inbox.id.in_(ids)).with_for_update()).all()
        if missing := sorted({*ids} - {row.id for row in rows}):
            raise DeskError(f"no such parked update: {', '.join(map(str, missing))}; see doctor")
        for row in rows:
            row.state = InboxState.DONE
            if _is_from_group(row):
                _keep_ids(row)


def is_stranded(store: Store, now: datetime) -> ColumnElement[bool]:
    """Whether an update is left of a bot that runs no longer, so that nobody will handle it.

    Another bot runs, or nobody could tell, and this one is away for longer than a restart takes.
    """
    running = select(Lease.name).where(Lease.name.startswith(BOTS), in_force(store))
    its_bot = literal(BOTS) + cast(Inbox.bot_id, String)
    return and_(
        Inbox.state == InboxState.NEW,
        Inbox.received_at < now - RESTART,
        running.exists(),
        its_bot.not_in(running),
    )


def stranded(desk: Desk) -> list[tuple[int, int]]:
    """The bots that run no longer, and how many updates are left of each."""
    query = (
        select(Inbox.bot_id, func.count())
        .where(is_stranded(desk.store, desk.clock()))
        .group_by(Inbox.bot_id)
    )
    with desk.store.reading() as session:
        return [(bot_id, number) for bot_id, number in session.execute(query)]
