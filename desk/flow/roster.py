"""Who may act as an operator: the administrators of the operators' chat, and whom the desk adds."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from desk.domain import ANONYMOUS_ADMIN, CHANNEL_WRITER, TELEGRAM, DeskError, Role
from desk.flow.composing import operators_text
from desk.flow.desk import Desk
from desk.flow.releasing import GivenBack, give_back_left
from desk.tables import Operator
from desk.telegram_text import clean
from desk.texts import say

NOBODYS_IDS = {
    ANONYMOUS_ADMIN: "every administrator who writes anonymously",
    CHANNEL_WRITER: "everybody who writes in the name of a channel",
    TELEGRAM: "Telegram itself and for those who post in the group's channel",
}
"""Ids that Telegram gives to messages of several people: an operator must be one person."""


def list_operators(desk: Desk) -> list[Operator]:
    with desk.store.reading() as session:
        return list(session.scalars(select(Operator).order_by(Operator.user_id)))


def add_operator(desk: Desk, user_id: int, role: Role, name: str = "") -> None:
    """Add an operator or change their role; what the desk was told stays when the chat changes.

    Raises `DeskError` for an id that is no person's.
    """
    if user_id in NOBODYS_IDS:
        raise DeskError(
            f"{user_id} stands for {NOBODYS_IDS[user_id]}. Have them write as themselves, which "
            "they choose in the group, and add the id of their own."
        )
    with desk.store.writing() as session:
        operator = session.get(Operator, user_id)
        if operator is None:
            operator = Operator(user_id=user_id)
            session.add(operator)
        operator.role, operator.from_chat = role, False
        if name or not operator.name:
            operator.name = clean(name)[:256]


def keep_name(desk: Desk, user_id: int, name: str, username: str | None = None) -> None:
    """Call an operator who was added by id alone by the name that their own update gives, and know
    each by their @name of now."""
    with desk.store.reading() as session:
        known = session.get(Operator, user_id)
        if known is None or (known.name and known.username == username):
            return
    with desk.store.writing() as session:
        operator = session.get(Operator, user_id)
        if operator is not None:
            operator.name, operator.username = operator.name or clean(name)[:256], username


def remove_operator(desk: Desk, user_id: int) -> GivenBack:
    """Remove an operator, and give back the conversations that they have; returns how many.

    Raises `DeskError` for whoever is no operator, and for who is one as an administrator of the
    operators' chat alone. The next look at the chat adds its administrators again: of those whom
    the desk added by itself it is not known here that they are.
    """
    with desk.store.writing() as session:
        operator = session.get(Operator, user_id)
        if operator is None:
            raise DeskError(f"{user_id} is no operator. See: frontdesk operators list")
        if operator.from_chat:
            raise DeskError(
                f"{user_id} is an administrator of the operators' group and would be back within "
                "minutes. Take that away in Telegram, or leave them less: "
                f"frontdesk operators add {user_id} --role agent"
            )
        names = {user_id: operator.name}
        session.delete(operator)
    # Apart: whatever may be wrong with a card, their rights are gone.
    return give_back_left(desk, names)


def sync_admins(desk: Desk, admins: Sequence[tuple[int, str]]) -> None:
    """Make the administrators of the operators' chat, as (user id, name), admins of the desk.

    Whoever was an admin only as an administrator of the chat, and is none any more, is removed.
    What they have is given back, and so is whatever else somebody has who is no operator: they may
    have taken it while they were removed, or were so by a version that left it to them.
    """
    left: dict[int, str] = {}
    with desk.store.writing() as session:
        names = {user_id: clean(name)[:256] for user_id, name in admins}
        for operator in session.scalars(select(Operator).where(Operator.from_chat.is_(True))):
            if operator.user_id not in names:
                left[operator.user_id] = operator.name
                session.delete(operator)
        for user_id, name in names.items():
            known = session.get(Operator, user_id)
            if known is None:
                values = {"name": name, "role": Role.ADMIN, "from_chat": True}
                # Another bot may be adding them at this moment.
                session.execute(
                    desk.store.insert(Operator)
                    .values(user_id=user_id, **values)
                    .on_conflict_do_nothing()
                )
            elif not known.name:
                known.name = name
    give_back_left(desk, left)


def say_demoted(desk: Desk) -> None:
    """Say in the operators' chat, once a day, that the bot is no longer an administrator there."""
    with desk.store.writing() as session:
        key = f"told:demoted:{desk.operator_chat_id}:{desk.clock():%Y-%m-%d}"
        operators_text(session, desk, key, "⚠️ " + say("demoted", desk.language))
