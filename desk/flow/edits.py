"""What was written is changed afterwards: a customer's words, and an operator's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from desk.domain import (
    Action,
    Author,
    ConversationState,
    DeliveryState,
    InboxState,
    MessageState,
    Person,
    Trial,
)
from desk.flow import besides
from desk.flow.albums import mark_kept
from desk.flow.captions import put_before_model
from desk.flow.cards import is_change, is_shown, post_message
from desk.flow.choosing import replied, took_up, unsay
from desk.flow.colleagues import for_colleagues
from desk.flow.composing import add_delivery
from desk.flow.conversations import (
    add_message,
    begin_attempt,
    find_open,
    first_pending,
    is_kept_edit,
)
from desk.flow.customers import ask_model
from desk.flow.delivering import cancel
from desk.flow.desk import Desk, who_answers
from desk.flow.handoff import call_person, copy_file
from desk.flow.intake import claim, forget
from desk.flow.keeping import lasting_id
from desk.flow.kept_back import is_note, stays_here
from desk.flow.keys import CHANGE_KEY, FILE_KEY, POST_KEY, TEXT_KEY
from desk.flow.noting import happened
from desk.flow.operators import customer_of, unreachable
from desk.flow.passing_on import held_back, say_nothing, show_undecided
from desk.flow.priority import has_priority
from desk.flow.quiet import close_if_quiet
from desk.flow.replying import written_in_topic
from desk.flow.taking_back import leave, take_back
from desk.flow.telling import tell, tell_once
from desk.policy import ATTACHMENT, CHANGED, FLOOD
from desk.tables import Conversation, Customer, DecisionRow, DeliveryRow, Inbox, Message, Operator
from desk.telegram_text import clean
from desk.texts import say

LOOKED_BACK = 2000
"""So many updates before an edit are looked through for what the message was."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What a message has become, and how to make its copy the same."""

    text: str
    method: str | None
    """None where bots can't change a message of this kind."""
    payload: dict[str, Any]
    """The method's parameters, but for those that say which message."""
    is_command: bool = False
    """Whether it would be a command to this bot if it were sent."""
    marks: Sequence[Mapping[str, Any]] = ()
    """What Telegram marks in the text (entities), such as whom it mentions."""


def customer_changed(
    desk: Desk,
    inbox_id: int,
    person: Person,
    telegram_id: int,
    text: str,
    *,
    is_file: bool = False,
    links: Sequence[str] = (),
    has_words: bool = False,
) -> tuple[int, int] | None:
    """A customer has changed a message.

    One that waits for the model is read as it is now; one that who is awaited or in charge was
    shown meanwhile is read as it was shown, and then as it is now: they keep what they saw. In the
    conversation that is open, one to which the bot has just asked back is read anew, for that may
    be the reply, one that was held back in a flood is read at last, and a no to the offer of a
    person may become a yes. What a word has taught that said which choice is meant is taken back,
    unless it still says so; and who is awaited or in charge is shown what it has become, a text
    once the model has read it: it may be about what can't wait by now. Otherwise it was answered,
    and is only kept.
    What was no text so far, such as a command, is read as one that is sent.

    With `is_file` the `text` is a file's caption, or says what it is; a caption `has_words`, which
    the model reads where a person is awaited or in charge, or called for it. `links` are the
    addresses behind its words.

    Returns the (message id, attempt) to enqueue after the commit, if there is one.
    """
    with desk.store.writing() as session:
        if not claim(session, desk, inbox_id):
            return None
        customer = session.scalar(
            select(Customer).where(Customer.chat_id == person.chat_id).with_for_update()
        )
        if customer is None:
            forget(session, inbox_id)
            return None
        written = session.scalar(
            select(Message)
            .join(Conversation, Conversation.id == Message.conversation_id)
            .where(
                Conversation.customer_id == customer.id,
                Message.author == Author.CUSTOMER,
                Message.telegram_id == telegram_id,
            )
            .order_by(Message.id.desc())
            .limit(1)
        )
        if customer.banned_at is not None:
            return None
        if written is None:
            if is_file or text.startswith("/"):
                return None
            return ask_model(session, desk, inbox_id, person, telegram_id, text, links=links)
        # Locked before its messages, as everywhere.
        conversation = find_open(session, customer)
        # A worker or the scheduler may just begin an attempt at it.
        session.refresh(written, with_for_update=True)
        text, replaced = clean(text), _replaced_file(session, written, inbox_id)
        if (written.text, written.links) == (text, besides.links(links)) and not replaced:
            # Telegram tells of other changes, too, such as a link's preview, or each step of
            # whoever shares where they are: of that nothing is kept.
            session.get_one(Inbox, inbox_id).payload = {}
            return None
        # The words of a file that is decided stay as they were shown.
        if (
            _is_undecided(session, written)
            and not replaced
            and not _is_before_person(session, desk, conversation, written)
        ):
            return _read_as_it_is_now(session, desk, written, text, links)
        if conversation is None or conversation.id != written.conversation_id:
            return None
        if close_if_quiet(session, desk, customer, conversation):
            return None
        # A file that was held back in a flood is shown at last, whatever of it was changed.
        shows_file = replaced or (is_file and _was_held_back(session, written))
        return _said_anew(
            *(session, desk, customer, conversation, written, inbox_id, text, links),
            is_text=not (is_file or replaced or text.startswith("/")),
            shows_file=shows_file,
            has_words=has_words,
        )


def _read_as_it_is_now(
    session: Session, desk: Desk, written: Message, text: str, links: Sequence[str]
) -> tuple[int, int] | None:
    written.text, written.links, written.trial = text, besides.links(links), Trial.NONE
    happened(session, "message.changed", message=written.id, conversation=written.conversation_id)
    if first_pending(session, written.conversation_id) is not written:
        return None
    # So often it is put before the model at once, whatever it becomes; then by the scheduler.
    often = written.attempt >= desk.flood_per_minute
    # What a worker makes of the words of before must not decide about these.
    attempt = begin_attempt(written, desk.clock())
    return None if often else attempt


def _said_anew(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    written: Message,
    inbox_id: int,
    text: str,
    links: Sequence[str],
    *,
    is_text: bool,
    shows_file: bool,
    has_words: bool,
) -> tuple[int, int] | None:
    """What a handled message has become, as a further one of the open conversation.

    With `is_text` the model may read it, and so it may a file's caption that `has_words`; with
    `shows_file` there is a file that operators have not seen yet.
    """
    alone = who_answers(desk, conversation) is ConversationState.BOT
    unread = alone and not text.startswith("/") and _is_still_to_be_read(session, written)
    first = first_pending(session, conversation.id) is None
    unsay(session, desk, customer, conversation, written, text)
    message = add_message(
        session, desk, conversation, inbox_id, Author.CUSTOMER, text, written.telegram_id
    )
    message.quoted, message.forwarded_from = written.quoted, written.forwarded_from
    message.links = besides.links(links)
    happened(session, "message.changed", message=message.id, conversation=conversation.id)
    if not alone:
        _take_off(session, desk, written, also_file=shows_file)
        if not is_text:
            _show(session, desk, customer, conversation, message, shows_file)
            return put_before_model(session, desk, message) if has_words else None
    elif shows_file:
        # As with a file that is sent.
        if not held_back(session, desk, customer, conversation, message):
            call_person(session, desk, customer, conversation, message, ATTACHMENT)
            show_undecided(session, desk, customer, conversation)
            copy_file(session, desk, customer, conversation, message)
            return put_before_model(session, desk, message) if has_words else None
        return None
    elif unread:
        if held_back(session, desk, customer, conversation, message):
            return None
        if first and replied(session, desk, inbox_id, customer, conversation, message):
            return None
    else:
        if not took_up(session, desk, customer, conversation, written, message):
            say_nothing(session, desk, message, CHANGED)
        return None
    message.state = MessageState.PENDING
    return begin_attempt(message, desk.clock()) if first else None


def _show(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
    shows_file: bool,
) -> None:
    """Show who is awaited or in charge at once what the bot would not answer either: a command, or
    a file that has changed, or its caption."""
    show_undecided(session, desk, customer, conversation)
    say_nothing(session, desk, message, CHANGED)
    session.flush()
    post_message(session, desk, customer, conversation, message)
    if shows_file:
        copy_file(session, desk, customer, conversation, message)


def _is_undecided(session: Session, message: Message) -> bool:
    pending = message.state is MessageState.PENDING
    return pending and session.get(DecisionRow, message.id) is None


def _is_before_person(
    session: Session, desk: Desk, conversation: Conversation | None, message: Message
) -> bool:
    """Whether a message stands before a person who is awaited or in charge."""
    if conversation is None or conversation.id != message.conversation_id:
        return False
    alone = who_answers(desk, conversation) is ConversationState.BOT
    return not alone and is_shown(session, message)


def _take_off(session: Session, desk: Desk, written: Message, *, also_file: bool) -> None:
    """Take off what an edit has outdated that waits to be posted: the group takes 20 messages a
    minute, and who edits on and on would take them all. Only posts of edits: what was written first
    is shown, with what the model made of it, and so is what can't wait, or was not read yet.
    """
    decision = session.get(DecisionRow, written.id)
    if decision is None or has_priority(desk.pack, decision) or not is_change(session, written):
        return
    if written.state is MessageState.PENDING:
        return  # the words beside a file: they have their decision before they are read
    kinds = (POST_KEY, TEXT_KEY, FILE_KEY) if also_file else (POST_KEY, TEXT_KEY)
    waiting = session.scalars(
        select(DeliveryRow)
        .where(
            DeliveryRow.key.in_([f"{kind}{written.id}" for kind in kinds]),
            DeliveryRow.state == DeliveryState.PENDING,
            DeliveryRow.uncertain.is_(False),
        )
        .order_by(DeliveryRow.id)
        .with_for_update()
    )
    for row in waiting.all():
        cancel(session, row)


def operator_changed(
    desk: Desk,
    inbox_id: int,
    user_id: int,
    thread_id: int,
    telegram_id: int,
    rewritten: Rewritten,
) -> None:
    """An operator has changed what they wrote in a topic: what the customer got is changed, too.

    A copy that has not left yet takes the change along; what is a note, a word to a colleague or a
    command now is taken back. They are told where the customer does not get it. Who is in charge
    stays as it is. An edit carries out no command, which is told, too, in General as well (where
    `thread_id` is 0). Of an edit that leaves words and file as they were nothing is told.
    """
    with desk.store.writing() as session:
        if not claim(session, desk, inbox_id) or session.get(Operator, user_id) is None:
            return
        customer = customer_of(session, desk, thread_id)
        text = clean(rewritten.text)
        written = None
        if customer is not None:
            written = written_in_topic(session, desk.operator_chat_id, customer, telegram_id)
        stays = _stays(session, customer, user_id, text, rewritten.marks)
        if customer is None or written is None:
            if rewritten.is_command and not is_note(text):
                _tell_of(session, desk, inbox_id, thread_id, telegram_id, "command-by-edit")
            elif customer is not None and not stays:
                _tell_of(session, desk, inbox_id, thread_id, telegram_id, "change-of-nothing-sent")
            return
        message, copy = written
        if stays and text != message.text:
            # Else it was sent as it is: it names somebody who is a colleague only since, say.
            mark_kept(session, inbox_id)
            told = take_back(session, desk, inbox_id, customer, message, copy, by_edit=True)
        else:
            session.refresh(copy, with_for_update=True)
            told = _refusal(session, customer, message, copy, inbox_id)
            waits = copy.state is DeliveryState.PENDING and not copy.uncertain
            if told is None and rewritten.method is None and not waits:
                arrived = copy.state is DeliveryState.SENT
                name = "change-of-kind" if arrived else "change-of-kind-perhaps"
                _tell_of(session, desk, inbox_id, thread_id, telegram_id, name)
            elif told is None:
                _pass_on(session, desk, inbox_id, customer, message, copy, rewritten)
        if told is not None and not _is_unchanged(session, inbox_id):
            tell(session, desk, inbox_id, thread_id, say(told, desk.language))


def _is_unchanged(session: Session, inbox_id: int) -> bool:
    """Whether an edit has left a message's words and file as they were: Telegram tells of edits
    that nobody made, too (at a reaction, say)."""
    row = session.get_one(Inbox, inbox_id)
    now = row.payload.get("edited_message")
    if now is None:
        return False
    earlier = session.scalars(
        select(Inbox.payload)
        .where(
            Inbox.state == InboxState.DONE,
            Inbox.id.between(inbox_id - LOOKED_BACK, inbox_id - 1),
            Inbox.bot_id == row.bot_id,
            Inbox.chat_id == row.chat_id,
        )
        .order_by(Inbox.id.desc())
    )
    for payload in earlier:
        before = payload.get("edited_message") or payload.get("message") or {}
        if before.get("message_id") == now.get("message_id"):
            return _beside_caption(before) == _beside_caption(now)
    return False


def _beside_caption(body: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a message but its caption, which may stand for its album's (`mark_kept`): a
    hash tells whether the words are others."""
    return {name: value for name, value in body.items() if not name.startswith("caption")}


def _stays(
    session: Session,
    customer: Customer | None,
    user_id: int,
    text: str,
    marks: Sequence[Mapping[str, Any]],
) -> bool:
    """Whether the words that a message has become are for colleagues or a command."""
    if customer is None or stays_here(text):
        return stays_here(text)
    return for_colleagues(session, customer, user_id, text, marks) is not None


def _pass_on(
    session: Session,
    desk: Desk,
    inbox_id: int,
    customer: Customer,
    message: Message,
    copy: DeliveryRow,
    rewritten: Rewritten,
) -> None:
    """Have the customer's copy changed, or let one that has not left take the change along."""
    message.text = clean(rewritten.text)
    leave(session, message, copy)
    happened(session, "operator.changed", message=message.id, conversation=message.conversation_id)
    waits = copy.state is DeliveryState.PENDING
    if waits:
        message.inbox_id = inbox_id  # whose file it takes along
    if rewritten.method is None or (waits and copy.attempts == 0):
        return
    add_delivery(
        session,
        desk,
        f"{CHANGE_KEY}{message.id}:{inbox_id}",
        customer.chat_id,
        rewritten.method,
        rewritten.payload,
        conversation=session.get_one(Conversation, message.conversation_id),
        message=message,
    )


def _tell_of(
    session: Session, desk: Desk, inbox_id: int, thread_id: int, telegram_id: int, name: str
) -> None:
    """Say a text, by its name, of a change; once for each message: Telegram tells of each step of
    whoever shares where they are."""
    if _is_unchanged(session, inbox_id):
        return
    key = f"told:{CHANGE_KEY}{name}:{desk.operator_chat_id}:{thread_id}:{telegram_id}"
    tell_once(session, desk, key, thread_id or None, say(name, desk.language))


def _is_still_to_be_read(session: Session, message: Message) -> bool:
    """Whether it was held back in a flood, or is the customer's last message and the bot has asked
    back about it."""
    if _was_held_back(session, message):
        return True
    decision = session.get(DecisionRow, message.id)
    if decision is None or decision.action is not Action.CLARIFY:
        return False
    last = session.scalar(
        select(func.max(Message.id)).where(
            Message.conversation_id == message.conversation_id,
            Message.author == Author.CUSTOMER,
            ~is_kept_edit(Message),
        )
    )
    return last == message.id


def _was_held_back(session: Session, message: Message) -> bool:
    decision = session.get(DecisionRow, message.id)
    return decision is not None and decision.rule == FLOOD


def _refusal(
    session: Session, customer: Customer, message: Message, copy: DeliveryRow, inbox_id: int
) -> str | None:
    """Why a change does not reach the customer, as the name of a text; None where it does."""
    if copy.state is DeliveryState.FAILED:
        cancel(session, copy)  # or whoever writes it anew would say it twice
    if copy.state is DeliveryState.CANCELLED:
        return "change-of-nothing-sent"
    if (why := unreachable(customer)) is not None:
        return why
    if copy.state is not DeliveryState.PENDING and _replaced_file(session, message, inbox_id):
        return "change-of-file"
    return None


def _replaced_file(session: Session, message: Message, inbox_id: int) -> bool:
    """Whether the update of a change holds another file than the message did, or one at last."""
    before = session.get(Inbox, message.inbox_id) if message.inbox_id is not None else None
    if before is None or not before.payload:
        return False  # long ago, and forgotten
    return _file(before) != _file(session.get_one(Inbox, inbox_id))


def _file(row: Inbox) -> str | None:
    """The lasting id of the file that an update's message holds."""
    bodies = [body for body in row.payload.values() if isinstance(body, dict)]
    found = next(filter(None, map(lasting_id, bodies)), None)
    return found[1] if found is not None else None
