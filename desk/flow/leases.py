"""Leases: of several processes that could do a thing, one does it, and the others wait.

A lease lasts until a moment of the database's own clock, so the hosts' clocks may differ. A bot
that takes up work looks in the same transaction whether the lease is still its own (`check`):
what keeps two from taking is that row, never the time. What was taken before may end later: rows
that are locked, claims and numbers of attempts see to it that it ends once.
"""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import ColumnElement, Interval, func, literal, or_, select
from sqlalchemy.orm import Session

from desk.domain import DeskError
from desk.flow.clocks import AHEAD
from desk.flow.desk import Desk
from desk.store import Store
from desk.tables import Lease, UtcDateTime, utcnow

SECONDS = 10.0
"""How long a lease outlives its last renewal."""
RENEW_SECONDS = 2.0
SCHEDULER = "scheduler"
BOTS = "bot:"
"""How the name of a bot's lease begins; its id follows."""

_PROC = Path("/proc")


class LostLeaseError(DeskError):
    """Another process holds the lease by now."""


@dataclass(frozen=True, slots=True)
class Holding:
    """A lease and who holds it: what a transaction is fenced with."""

    name: str
    holder: str


def bot_lease(bot_id: int) -> str:
    """The lease of the process that polls, handles and sends for a bot."""
    return f"{BOTS}{bot_id}"


def new_holder() -> str:
    """A name for one holder in this process: `host/place:pid:started:token`.

    The place is the boot and the pid namespace; where Linux does not tell them it is empty.
    """
    pid = os.getpid()
    _, started = _stat(pid) or ("", "")
    host = socket.gethostname()[:48]
    return f"{host}/{_place()}:{pid}:{started}:{secrets.token_hex(4)}"


def hold(desk: Desk, holding: Holding, seconds: float = SECONDS) -> bool:
    """Take the lease if nobody has it, or renew it; says whether it is the holder's now.

    A holder of this machine whose process is dead has nothing more, so a restart does not wait.
    Nor has one whose lease would go on for longer than a lease can: the clock was put back.
    """
    takeable = [holding.holder]
    with desk.store.reading() as session:
        found = session.get(Lease, holding.name)
        if found is not None and found.holder != holding.holder:
            if _is_dead(found.holder):
                takeable.append(found.holder)
            elif (now := _now(session, desk)) <= found.until <= now + AHEAD:
                return False
    with desk.store.writing() as session:
        now = _now(session, desk)
        values = {"holder": holding.holder, "until": now + timedelta(seconds=seconds)}
        statement = (
            desk.store.insert(Lease)
            .values(name=holding.name, **values)
            .on_conflict_do_update(
                index_elements=["name"],
                set_=values,
                where=or_(Lease.holder.in_(takeable), ~Lease.until.between(now, now + AHEAD)),
            )
            .returning(Lease.name)
        )
        return session.scalar(statement) is not None


def release(desk: Desk, holding: Holding) -> None:
    """Give the lease back, so that whoever waits need not wait for its end."""
    with desk.store.writing() as session:
        row = session.get(Lease, holding.name, with_for_update=True)
        if row is not None and row.holder == holding.holder:
            session.delete(row)


def check(session: Session, holding: Holding) -> None:
    """Raise `LostLeaseError` unless the lease is still the holder's.

    In a writing transaction nobody can take it over before the commit.
    """
    query = select(Lease.holder).where(Lease.name == holding.name).with_for_update(read=True)
    holder = session.scalar(query)
    if holder != holding.holder:
        raise LostLeaseError(
            f"The lease {holding.name} was taken over by {holder or 'nobody'}: this process did "
            "not renew it in time. Start it again; it then waits for its turn."
        )


def held(desk: Desk) -> list[tuple[str, str, float]]:
    """All leases as (name, holder, seconds until it ends: below zero it has ended)."""
    with desk.store.reading() as session:
        now = _now(session, desk)
        return [
            (row.name, row.holder, (row.until - now).total_seconds())
            for row in session.scalars(select(Lease).order_by(Lease.name))
        ]


def in_force(store: Store) -> ColumnElement[bool]:
    """Whether a lease has not ended: a condition on `Lease`."""
    if store.sqlite:
        now = utcnow()
        return Lease.until.between(now, now + AHEAD)
    there = func.clock_timestamp()
    return Lease.until.between(there, there + literal(AHEAD, Interval))


def describe(holder: str) -> str:
    """A holder as people read it: its host and process."""
    host, _, rest = holder.partition("/")
    return f"{host}, process {rest.split(':')[1]}" if rest.count(":") == 3 else holder


def _now(session: Session, desk: Desk) -> datetime:
    """The clock that all holders share. A SQLite file is used on one host only."""
    if desk.store.sqlite:
        return utcnow()
    return session.scalars(select(func.clock_timestamp(type_=UtcDateTime))).one()


def _is_dead(holder: str) -> bool:
    """Whether the holder was a process of this place that is no more; False in doubt."""
    try:
        where, pid_text, started, _ = holder.split(":")
        pid = int(pid_text)
    except ValueError:
        return False
    place = _place()
    if not place or not started or where.rpartition("/")[2] != place:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    found = _stat(pid)
    return found is not None and (found[0] in "ZX" or found[1] != started)


def _place() -> str:
    """Where process ids mean the same: this boot and this pid namespace."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return ""
    return f"{boot[:13]}-{namespace.partition('[')[2].rstrip(']')}"


def _stat(pid: int) -> tuple[str, str] | None:
    """A process's state and when it started, in ticks since the boot."""
    try:
        # The name before it, in brackets, may hold anything.
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], fields[19]
