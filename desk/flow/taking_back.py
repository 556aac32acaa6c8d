"""What an operator wrote to a customer is taken back: by /delete, or by an edit into a note."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from desk.domain import Author, DeliveryState
from desk.flow.albums import of_same_album
from desk.flow.composing import add_delivery
from desk.flow.delivering import DELETE_MESSAGE, WITHDRAWN, cancel
from desk.flow.desk import Desk
from desk.flow.feedback import forget_ready_answer
from desk.flow.keys import DELETE_KEY, SENT_KEY, WRITTEN_KEY
from desk.flow.operators import enter_topic
from desk.flow.replying import sent_as_ready, written_in_topic
from desk.flow.telling import tell
from desk.tables import Conversation, Customer, DeliveryRow, Inbox, Message
from desk.texts import say


def deleted(desk: Desk, inbox_id: int, user_id: int, thread_id: int, reply_to: int | None) -> None:
    """/delete in a topic, as a reply to what any operator wrote there, or to what stands there of a
    ready answer."""
    with desk.store.writing() as session:
        found = enter_topic(session, desk, inbox_id, user_id, thread_id)
        if found is None:
            return
        _, customer, _ = found
        written, chat_id = None, desk.operator_chat_id
        if reply_to is not None:
            written = written_in_topic(session, chat_id, customer, reply_to)
            written = written or sent_as_ready(session, chat_id, customer, reply_to)
        outcome: str | None = "take-back-what"
        if written is not None:
            outcome = take_back(session, desk, inbox_id, customer, *written)
        if outcome is not None:
            tell(session, desk, inbox_id, thread_id, say(outcome, desk.language))


def take_back(
    session: Session,
    desk: Desk,
    inbox_id: int,
    customer: Customer,
    message: Message,
    copy: DeliveryRow,
    *,
    by_edit: bool = False,
) -> str | None:
    """Keep the copy of an operator's message from leaving, or have it deleted; of an album, all.

    What of an album has not left when an edit (`by_edit`) makes a note of it is held back when it
    would leave, unless it is no note any more by then.

    Returns the name of the text that says what becomes of the message; None where that is said once
    Telegram has deleted the copy, or refused to, or can't be asked to.
    """
    outcome = _take_back(session, desk, inbox_id, customer, message, copy)
    for other, its_copy in _album_of(session, message):
        held_back = its_copy.state is DeliveryState.PENDING and not its_copy.uncertain
        if not (by_edit and held_back):
            _take_back(session, desk, inbox_id, customer, other, its_copy)
    return outcome


def leave(session: Session, message: Message, copy: DeliveryRow) -> None:
    """Of what edits of a message into a note have taken back, leave with the customer what is not
    deleted yet; of an album, all. The caller has locked the copy.

    What a colleague has taken back by /delete is deleted all the same.
    """
    pictures = [(message, copy), *_album_of(session, message)]
    coming = session.scalars(
        select(DeliveryRow)
        .where(
            DeliveryRow.message_id.in_([picture.id for picture, _ in pictures]),
            DeliveryRow.key.startswith(DELETE_KEY),
            DeliveryRow.state == DeliveryState.PENDING,
        )
        .order_by(DeliveryRow.id)
        .with_for_update()
    ).all()
    for row in coming:
        wanted_by = session.get(Inbox, int(row.key.rpartition(":")[2]))
        edited = wanted_by.payload.get("edited_message") if wanted_by is not None else None
        if edited is not None and edited.get("message_id") == message.telegram_id:
            cancel(session, row)
    still = {row.message_id for row in coming if row.state is DeliveryState.PENDING}
    for picture, its_copy in pictures:
        if picture.id not in still and its_copy.payload.get(WITHDRAWN):
            session.refresh(its_copy, with_for_update=True)
            kept = {name: value for name, value in its_copy.payload.items() if name != WITHDRAWN}
            its_copy.payload = kept


def _take_back(
    session: Session,
    desk: Desk,
    inbox_id: int,
    customer: Customer,
    message: Message,
    copy: DeliveryRow,
) -> str | None:
    session.refresh(copy, with_for_update=True)
    if copy.state is not DeliveryState.CANCELLED:
        _unteach(session, desk, copy)
    if copy.state not in (DeliveryState.SENT, DeliveryState.SENDING):
        if copy.state is not DeliveryState.CANCELLED:
            cancel(session, copy)
        if copy.sent_at is not None:
            return "taken-back"
        return "taken-back-perhaps" if copy.uncertain else "taken-back-unsent"
    # Of what is on its way the deletion waits for the end, and is void unless it arrives.
    add_delivery(
        session,
        desk,
        f"{DELETE_KEY}{message.id}:{inbox_id}",
        customer.chat_id,
        DELETE_MESSAGE,
        {},
        conversation=session.get_one(Conversation, message.conversation_id),
        message=message,
    )
    if copy.state is DeliveryState.SENT:
        return None
    copy.payload = {**copy.payload, WITHDRAWN: True}
    return "taken-back-on-its-way"


def _unteach(session: Session, desk: Desk, copy: DeliveryRow) -> None:
    """What the tap on a card that sent a ready answer has taught goes with that answer."""
    if copy.message_id is None or not copy.key.startswith(SENT_KEY):
        return  # /answer teaches nothing, and nor does what an operator writes
    intent = copy.key.split(":")[2]
    forget_ready_answer(session, desk, copy.message_id, intent)


def _album_of(session: Session, message: Message) -> list[tuple[Message, DeliveryRow]]:
    """The other pictures of a message's album, with their copies."""
    if message.inbox_id is None:
        return []
    others = session.scalars(
        select(Message)
        .where(
            Message.inbox_id.in_(of_same_album(session, message.inbox_id)),
            Message.author == Author.OPERATOR,
            Message.id != message.id,
        )
        .order_by(Message.id)
    ).all()
    copies = {
        copy.message_id: copy
        for copy in session.scalars(
            select(DeliveryRow).where(
                DeliveryRow.key.in_([f"{WRITTEN_KEY}{other.id}" for other in others])
            )
        )
    }
    return [(other, copies[other.id]) for other in others if other.id in copies]
