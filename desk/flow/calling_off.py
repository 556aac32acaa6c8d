"""A customer who waits for a person calls that off: by what button, and where it holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Select, and_, or_, select
from sqlalchemy.orm import Session, aliased

from desk.domain import Author, Button, ConversationState, DeliveryState
from desk.flow.button_actions import CALL_OFF
from desk.flow.composing import TEXT_METHOD, Keyboard, change_keyboard, customer_text, has_delivery
from desk.flow.desk import Desk
from desk.flow.keys import CALLED_OFF_KEY, HANDOVER_KEY
from desk.flow.noting import happened
from desk.flow.settling import changed_since, settle, unread_changes
from desk.flow.wording import language_of
from desk.pack import Pack
from desk.policy import CHANGED
from desk.tables import (
    ButtonRow,
    Conversation,
    Customer,
    DecisionRow,
    DeliveryRow,
    Message,
    PredictionRow,
)
from desk.texts import say

NOT_AGAIN_FOR = timedelta(minutes=10)
"""So long after one call was called off the next one stands, if it comes of what they said since:
each puts a card into the group, which takes 20 messages a minute, and who only calls and calls off
would take them all."""

LAST_HEARD = 20
"""So many of the texts that a customer heard last are looked through for the button."""


def call_off_button(
    desk: Desk, customer: Customer, conversation: Conversation, intent: str | None = None
) -> Keyboard:
    """The button under what a customer hears for whom a person is called (about that intent).

    None where it can't wait, as far as is known without a query: a batch asks for none a message.
    The press looks at all that was said.
    """
    about = {*conversation.said_once, intent}
    if about & set(desk.pack.priorities()):
        return ()
    return [[Button(say("call-off", language_of(desk, customer)), CALL_OFF)]]


def refusal(session: Session, desk: Desk, conversation: Conversation) -> str | None:
    """Why its customer can't call a conversation off, as the name of a text; None where they can.
    Both are locked."""
    if conversation.state is ConversationState.HUMAN:
        return "call-off-taken"
    if conversation.state is not ConversationState.WAITING:
        return "call-off-over"
    if cannot_wait(session, desk.pack, conversation):
        return "call-off-urgent"
    lately = session.scalar(_lately(desk, [conversation.id]).limit(1))
    return "call-off-again" if lately is not None else None


def may_call_off(session: Session, desk: Desk, conversations: Sequence[Conversation]) -> set[int]:
    """Which of these conversations, by id, their customers can call off now. All are locked, and
    all of them are asked about at once: a batch may have many."""
    waits = [
        conversation.id
        for conversation in conversations
        if conversation.state is ConversationState.WAITING
    ]
    if not waits:
        return set()
    urgent, lately = _urgent(desk.pack, waits), _lately(desk, waits)
    return set(waits).difference(session.scalars(urgent), session.scalars(lately))


def cannot_wait(session: Session, pack: Pack, conversation: Conversation) -> bool:
    """Whether anything said in it may be about a topic with `priority`: people look at that,
    whatever its customer says afterwards. Unlike what everybody is told of at once it need not be
    sure."""
    return session.scalar(_urgent(pack, [conversation.id]).limit(1)) is not None


def _lately(desk: Desk, conversation_ids: Sequence[int]) -> Select[int]:
    """In which of these conversations somebody was called for what their customer has said since
    they called somebody off, a short while ago. Whoever is called for what they had written before,
    since it is late, say, can be called off as well: of such messages there are soon none left."""
    called_off, said, told = aliased(Message), aliased(Message), aliased(Message)
    return (
        select(Conversation.id)
        .join(Customer, Customer.id == Conversation.customer_id)
        .join(DeliveryRow, DeliveryRow.chat_id == Customer.chat_id)
        .join(
            called_off,
            and_(
                called_off.conversation_id == DeliveryRow.conversation_id,
                called_off.delivery_key == DeliveryRow.key,
            ),
        )
        .join(said, said.conversation_id == Conversation.id)
        .join(told, told.conversation_id == Conversation.id)
        .where(
            Conversation.id.in_(conversation_ids),
            DeliveryRow.key.startswith(CALLED_OFF_KEY),
            DeliveryRow.created_at > desk.clock() - NOT_AGAIN_FOR,
            said.author == Author.CUSTOMER,
            said.id > called_off.id,
            # Not what came after the call, such as these words by which they would call it off. By
            # ids: bot and worker may be on hosts whose clocks differ.
            said.id < told.id,
            told.delivery_key.startswith(HANDOVER_KEY),
        )
    )


def _urgent(pack: Pack, conversation_ids: Sequence[int]) -> Select[int]:
    """In which of these conversations anything said may be about a topic with `priority`."""
    urgent = sorted(pack.priorities())
    return (
        select(Message.conversation_id)
        .outerjoin(DecisionRow, DecisionRow.message_id == Message.id)
        .outerjoin(PredictionRow, PredictionRow.message_id == Message.id)
        .where(
            Message.conversation_id.in_(conversation_ids),
            or_(
                DecisionRow.intent.in_(urgent),
                # While somebody waits, what is left to that person is decided without an intent.
                and_(
                    PredictionRow.intent.in_(urgent),
                    PredictionRow.confidence >= pack.policy.clarify_from,
                ),
            ),
        )
    )


def call_off(session: Session, desk: Desk, customer: Customer, conversation: Conversation) -> None:
    """The conversation is over, by its customer's wish, who reads that; to bring its card up to
    date is left to the caller. What they write next begins with the bot, which reads what it has
    not read yet, as it is now, but no edit of what was handled before; behind what it does not read
    the scheduler begins, a few seconds later.
    """
    for unread in (unread_changes, changed_since):
        for message in unread(session, conversation):
            settle(session, desk, message, CHANGED)
    conversation.state = ConversationState.RESOLVED
    conversation.operator_id = None  # no operator's act
    conversation.resolved_at = desk.clock()
    happened(session, "conversation.resolved", conversation=conversation.id, called_off=True)
    customer_text(
        session,
        desk,
        _key(conversation),
        customer,
        conversation,
        say("called-off", language_of(desk, customer)),
        from_bot=False,  # it stays true where a person had the conversation once
    )


def drop_button(
    session: Session, desk: Desk, inbox_id: int, customer: Customer, conversation: Conversation
) -> None:
    """Take away the button under what the customer heard last of those with one, because of an
    update in which they have typed what stands on it."""
    query = select(ButtonRow.token).where(
        ButtonRow.conversation_id == conversation.id, ButtonRow.action == CALL_OFF
    )
    tokens = set(session.scalars(query))
    sent = session.execute(
        select(DeliveryRow.telegram_id, DeliveryRow.payload)
        .where(
            DeliveryRow.conversation_id == conversation.id,
            DeliveryRow.chat_id == customer.chat_id,
            DeliveryRow.state == DeliveryState.SENT,
            DeliveryRow.method == TEXT_METHOD,
            DeliveryRow.telegram_id.is_not(None),
        )
        .order_by(DeliveryRow.id.desc())
        .limit(LAST_HEARD)
    )
    for telegram_id, payload in sent:
        rows = payload.get("reply_markup", {}).get("inline_keyboard", [])
        if telegram_id is not None and tokens & {
            button.get("callback_data") for row in rows for button in row
        }:
            change_keyboard(session, desk, inbox_id, customer.chat_id, telegram_id, conversation)
            return


def was_called_off(session: Session, conversation: Conversation) -> bool:
    """Whether a conversation that is resolved was ended by its customer."""
    by_nobody = conversation.operator_id is None and conversation.resolved_at is not None
    return by_nobody and has_delivery(session, _key(conversation))


def _key(conversation: Conversation) -> str:
    at = conversation.resolved_at
    return f"{CALLED_OFF_KEY}{conversation.id}:{at.timestamp() if at else 0:.0f}"
