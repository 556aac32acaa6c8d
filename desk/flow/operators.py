"""What operators do: they write, take and resolve conversations, and order training."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from desk import metrics
from desk.domain import (
    ANONYMOUS_ADMIN,
    Author,
    ConversationState,
    DeliveryState,
    DeskError,
    MessageState,
    Role,
    RunState,
)
from desk.flow.cards import post_card, shown, status_card
from desk.flow.composing import add_delivery, clean, operators_text
from desk.flow.customers import copy_file, open_conversation
from desk.flow.desk import Desk
from desk.flow.intake import claim
from desk.flow.noting import counted, happened
from desk.policy import ASKED_FOR_PERSON, ATTACHMENT, FLOOD, WAITING_FOR_PERSON
from desk.tables import (
    IS_CARD,
    Conversation,
    Customer,
    DecisionRow,
    DeliveryRow,
    Message,
    Operator,
    RunRow,
)
from desk.texts import say

REFUSED_FOR_SECONDS = 600
"""So long what people write in a topic to no effect is answered once: they may be chatting."""

OLD_KEY = "old:"
"""Begins the keys of what showed a message in a chat that is the operators' no longer."""


def role_of(desk: Desk, user_id: int) -> Role | None:
    """The role of a Telegram user, or None for somebody who is no operator."""
    with desk.store.reading() as session:
        operator = session.get(Operator, user_id)
        return operator.role if operator else None


def operator_wrote(
    desk: Desk, inbox_id: int, user_id: int, thread_id: int, telegram_id: int, text: str
) -> None:
    """What an operator writes in a topic reaches its customer; the bot falls silent there."""
    with desk.store.writing() as session:
        if not claim(session, desk, inbox_id):
            return
        operator = session.get(Operator, user_id)
        customer = _customer_of(session, desk, thread_id)
        if operator is None or customer is None:
            why = _refusal(operator, user_id)
            # In a customer's topic each writer has to know; in any other, one answer does for all.
            whom = user_id if customer is not None else 0
            span = int(desk.clock().timestamp() // REFUSED_FOR_SECONDS)
            key = f"told:{why}:{thread_id}:{whom}:{span}"
            _tell(session, desk, key, thread_id, say(why, desk.language, user=str(user_id)))
            return
        if customer.gone:
            text = say("customer-gone", desk.language)
            _tell(session, desk, f"told:{inbox_id}", thread_id, text)
            return
        conversation = open_conversation(session, desk, customer)
        take_over(session, desk, customer, conversation, operator)
        message = Message(
            conversation_id=conversation.id,
            inbox_id=inbox_id,
            author=Author.OPERATOR,
            text=clean(text),
            telegram_id=telegram_id,
            state=MessageState.DECIDED,
            created_at=desk.clock(),
        )
        session.add(message)
        session.flush()
        happened(session, "operator.wrote", message=message.id, conversation=conversation.id)
        add_delivery(
            session,
            f"operator:{message.id}",
            customer.chat_id,
            "copyMessage",
            {"from_chat_id": desk.operator_chat_id, "message_id": telegram_id},
            conversation=conversation,
            message=message,
        )


def sent_file_with_command(desk: Desk, inbox_id: int, thread_id: int) -> None:
    """A file whose caption is for a bot goes nowhere, and whoever sent it is to know."""
    with desk.store.writing() as session:
        if claim(session, desk, inbox_id):
            text = say("caption-command", desk.language)
            _tell(session, desk, f"told:{inbox_id}", thread_id, text)


def took(desk: Desk, inbox_id: int, user_id: int, thread_id: int) -> None:
    """/take in a topic."""
    with desk.store.writing() as session:
        found = _enter_topic(session, desk, inbox_id, user_id, thread_id)
        if found is None:
            return
        operator, customer, conversation = found
        if conversation.state is ConversationState.RESOLVED:
            conversation = open_conversation(session, desk, customer)
        take_over(session, desk, customer, conversation, operator)


def resolved(desk: Desk, inbox_id: int, user_id: int, thread_id: int) -> None:
    """/resolve in a topic."""
    with desk.store.writing() as session:
        found = _enter_topic(session, desk, inbox_id, user_id, thread_id)
        if found is None:
            return
        operator, customer, conversation = found
        if conversation.state is ConversationState.RESOLVED:
            text = say("already-resolved", desk.language)
            _tell(session, desk, f"told:{inbox_id}", thread_id, text)
            return
        resolve(session, desk, customer, conversation, operator)


def ordered_training(desk: Desk, inbox_id: int, user_id: int) -> tuple[int, int] | None:
    """/retrain: returns the (run id, attempt) to enqueue after the commit, if one was made."""
    with desk.store.writing() as session:
        if not claim(session, desk, inbox_id):
            return None
        operator = session.get(Operator, user_id)
        if operator is None or operator.role is not Role.ADMIN:
            key = "anonymous-admin" if user_id == ANONYMOUS_ADMIN else "admins-only"
            operators_text(session, desk, f"told:{inbox_id}", say(key, desk.language))
            return None
        running = running_training(session)
        if running is not None:
            text = say("retrain-busy", desk.language, run=str(running.id))
            operators_text(session, desk, f"told:{inbox_id}", text)
            return None
        run = new_run(session, operator.name or str(user_id), desk.clock())
        text = say("retrain-queued", desk.language, run=str(run.id))
        operators_text(session, desk, f"told:{inbox_id}", text)
        return run.id, run.attempt


def help_wanted(desk: Desk, inbox_id: int, thread_id: int | None) -> None:
    """/help in the operators' chat."""
    with desk.store.writing() as session:
        if claim(session, desk, inbox_id):
            text = say("operator-help", desk.language)
            _tell(session, desk, f"told:{inbox_id}", thread_id, text)


def take_over(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    operator: Operator,
) -> None:
    """A person is in charge from now on: what the bot had not yet sent is void."""
    if conversation.state is ConversationState.HUMAN:
        return
    conversation.state = ConversationState.HUMAN
    conversation.operator_id = operator.user_id
    conversation.taken_at = desk.clock()
    happened(session, "conversation.taken", conversation=conversation.id)
    void = session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.conversation_id == conversation.id,
            DeliveryRow.from_bot.is_(True),
            DeliveryRow.state == DeliveryState.PENDING,
        )
        .values(state=DeliveryState.CANCELLED)
        .returning(DeliveryRow.id, DeliveryRow.message_id)
    )
    for delivery_id, message_id in void.all():
        counted(session, metrics.DELIVERIES, "cancelled")
        happened(session, "delivery.cancelled", delivery=delivery_id, message=message_id)
    refresh_card(session, desk, customer, conversation)


def resolve(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    operator: Operator,
) -> None:
    """The conversation is over; the customer's next message opens one with the bot."""
    conversation.state = ConversationState.RESOLVED
    conversation.operator_id = operator.user_id
    conversation.resolved_at = desk.clock()
    happened(session, "conversation.resolved", conversation=conversation.id)
    refresh_card(session, desk, customer, conversation)


def refresh_card(
    session: Session, desk: Desk, customer: Customer, conversation: Conversation
) -> None:
    """Have the conversation's card show its state of now.

    One that is being sent at this moment, or may have arrived in an earlier attempt, keeps its
    text, which is how it stands there, and is brought up to date once Telegram has accepted it.
    """
    card = status_card(session, desk, conversation, lock=True)
    if card is None or card.message_id is None:
        return
    message = session.get_one(Message, card.message_id)
    if card.state is DeliveryState.PENDING and not card.uncertain:
        card.payload = shown(session, desk, customer, conversation, message)
    elif card.telegram_id is not None:
        edit_card(session, desk, customer, conversation, message, card.telegram_id)


def edit_card(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
    telegram_id: int,
    *,
    why: bool = False,
) -> None:
    """Queue the edit of one card or post; it keeps its own form. With `why` a card is opened."""
    if desk.operator_chat_id is None:
        return
    session.flush()
    number = _edits(session, message)
    add_delivery(
        session,
        f"edit:{message.id}:{number}",
        desk.operator_chat_id,
        "editMessageText",
        {
            "message_id": telegram_id,
            **shown(session, desk, customer, conversation, message, why=why),
        },
        conversation=conversation,
        message=message,
    )


def new_run(session: Session, requested_by: str, now: datetime) -> RunRow:
    """A queued training run in its first attempt."""
    run = RunRow(
        state=RunState.QUEUED,
        attempt=1,
        requested_by=requested_by[:64],
        report={},
        created_at=now,
    )
    session.add(run)
    session.flush()
    return run


def running_training(session: Session) -> RunRow | None:
    """The run that is queued or under way, if any."""
    return session.scalar(
        select(RunRow).where(RunRow.state.in_([RunState.QUEUED, RunState.RUNNING])).limit(1)
    )


def list_operators(desk: Desk) -> list[Operator]:
    with desk.store.reading() as session:
        return list(session.scalars(select(Operator).order_by(Operator.user_id)))


def add_operator(desk: Desk, user_id: int, role: Role, name: str = "") -> None:
    """Add an operator or change their role; what the desk was told stays when the chat changes.

    Raises `DeskError` for the one id that all anonymous administrators share.
    """
    if user_id == ANONYMOUS_ADMIN:
        raise DeskError(
            f"{user_id} stands for every administrator who writes anonymously. Have them switch "
            "that off for themselves and add the id of their own."
        )
    with desk.store.writing() as session:
        operator = session.get(Operator, user_id)
        if operator is None:
            operator = Operator(user_id=user_id)
            session.add(operator)
        operator.role, operator.from_chat = role, False
        if name or not operator.name:
            operator.name = clean(name)[:256]


def remove_operator(desk: Desk, user_id: int) -> None:
    """Remove an operator; raise `DeskError` if there is no such one, or they would come back."""
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
        session.delete(operator)


def sync_admins(desk: Desk, admins: Sequence[tuple[int, str]]) -> None:
    """Make the chat's administrators admins; one who no longer is one loses the role again."""
    insert = sqlite.insert if desk.store.sqlite else postgresql.insert
    with desk.store.writing() as session:
        names = {user_id: clean(name)[:256] for user_id, name in admins}
        for operator in session.scalars(select(Operator).where(Operator.from_chat.is_(True))):
            if operator.user_id not in names:
                session.delete(operator)
        for user_id, name in names.items():
            known = session.get(Operator, user_id)
            if known is None:
                values = {"name": name, "role": Role.ADMIN, "from_chat": True}
                # Another bot may be adding them at this moment.
                session.execute(
                    insert(Operator).values(user_id=user_id, **values).on_conflict_do_nothing()
                )
            elif not known.name:
                known.name = name


def announce_waiting(desk: Desk) -> int:
    """Call the operators for conversations that were handed over while they had no chat, or
    another one; their files go along.

    Returns how many there were; a second call finds none.
    """
    called = select(DeliveryRow.conversation_id).where(
        IS_CARD,
        DeliveryRow.chat_id == desk.operator_chat_id,
        DeliveryRow.conversation_id.is_not(None),
    )
    query = select(Conversation).where(
        Conversation.state == ConversationState.WAITING, Conversation.id.not_in(called)
    )
    if desk.operator_chat_id is None:
        return 0
    announced = 0
    with desk.store.writing() as session:
        # What was to go to customers' topics in another chat goes to theirs in this one.
        session.execute(
            update(DeliveryRow)
            .where(
                DeliveryRow.topic_of.is_not(None),
                DeliveryRow.chat_id != desk.operator_chat_id,
                DeliveryRow.state == DeliveryState.PENDING,
            )
            .values(chat_id=desk.operator_chat_id)
        )
        for conversation in session.scalars(query.order_by(Conversation.id)).all():
            message = session.scalar(
                select(Message)
                .join(DecisionRow, DecisionRow.message_id == Message.id)  # a mere /start has none
                .where(
                    Message.conversation_id == conversation.id,
                    Message.author == Author.CUSTOMER,
                    DecisionRow.rule != FLOOD,
                )
                .order_by(Message.id.desc())
                .limit(1)
            )
            if message is not None:
                customer = session.get_one(Customer, conversation.customer_id)
                _forget_posts(session, desk, message)
                post_card(session, desk, customer, conversation, message)
                for file in session.scalars(_files(conversation)).all():
                    _forget_posts(session, desk, file)
                    copy_file(session, desk, customer, conversation, file)
                announced += 1
    return announced


def _files(conversation: Conversation) -> Select[Message]:
    """What a customer sent that the model did not read and that a person is to see."""
    return (
        select(Message)
        .join(DecisionRow, DecisionRow.message_id == Message.id)
        .where(
            Message.conversation_id == conversation.id,
            Message.telegram_id.is_not(None),
            Message.attempt == 0,
            DecisionRow.rule.in_([ASKED_FOR_PERSON, ATTACHMENT, WAITING_FOR_PERSON]),
        )
        .order_by(Message.id)
    )


def _forget_posts(session: Session, desk: Desk, message: Message) -> None:
    """What was shown of a message in another chat keeps it from being shown here no longer."""
    elsewhere = select(DeliveryRow).where(
        DeliveryRow.message_id == message.id,
        DeliveryRow.topic_of.is_not(None),
        DeliveryRow.chat_id != desk.operator_chat_id,
        ~DeliveryRow.key.startswith(OLD_KEY),
    )
    for row in session.scalars(elsewhere).all():
        row.key = f"{OLD_KEY}{row.id}:{row.key}"
    session.flush()


def _enter_topic(
    session: Session, desk: Desk, inbox_id: int, user_id: int, thread_id: int
) -> tuple[Operator, Customer, Conversation] | None:
    if not claim(session, desk, inbox_id):
        return None
    operator = session.get(Operator, user_id)
    customer = _customer_of(session, desk, thread_id)
    if operator is None or customer is None:
        text = say(_refusal(operator, user_id), desk.language, user=str(user_id))
        _tell(session, desk, f"told:{inbox_id}", thread_id, text)
        return None
    conversation = session.scalar(
        select(Conversation)
        .where(Conversation.customer_id == customer.id)
        .order_by(Conversation.state == ConversationState.RESOLVED, Conversation.id.desc())
        .limit(1)
        .with_for_update()
    )
    return operator, customer, conversation or open_conversation(session, desk, customer)


def _customer_of(session: Session, desk: Desk, thread_id: int) -> Customer | None:
    """Whose topic this is in the operators' chat; other chats number theirs alike."""
    return session.scalar(
        select(Customer)
        .where(Customer.topic_chat_id == desk.operator_chat_id, Customer.topic_id == thread_id)
        .with_for_update()
    )


def _refusal(operator: Operator | None, user_id: int) -> str:
    """Why nothing happens in a topic: it is nobody's, or whoever acts there is no operator.

    The name of a text, which may show the `user`.
    """
    if operator is not None:
        return "nothing-here"
    return "anonymous-admin" if user_id == ANONYMOUS_ADMIN else "operators-only"


def _tell(session: Session, desk: Desk, key: str, thread_id: int | None, text: str) -> None:
    if desk.operator_chat_id is None:
        return
    payload: dict[str, object] = {"text": text}
    if thread_id is not None:
        payload["message_thread_id"] = thread_id
    add_delivery(session, key, desk.operator_chat_id, "sendMessage", payload)


def _edits(session: Session, message: Message) -> int:
    query = select(func.count()).where(
        DeliveryRow.message_id == message.id, DeliveryRow.method == "editMessageText"
    )
    return session.scalar(query) or 0
