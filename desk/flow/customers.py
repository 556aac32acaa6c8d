"""What customers do: they start, ask for help or a person, write, send files."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from desk.domain import Author, ConversationState, MessageState, Person
from desk.flow import besides
from desk.flow.advising import hears_when_back
from desk.flow.answering import answer
from desk.flow.bans import is_banned
from desk.flow.batch import LAST_SAID
from desk.flow.button_actions import SHOW_INTENT
from desk.flow.calling_off import call_off, call_off_button, cannot_wait, drop_button, refusal
from desk.flow.captions import put_before_model
from desk.flow.cards import post_message, post_state_card
from desk.flow.choosing import replied
from desk.flow.composing import customer_text
from desk.flow.conversations import begin_attempt, enter, find_open, first_pending
from desk.flow.desk import Desk, who_answers
from desk.flow.handoff import call_person, copy_file, left_alone, say_added, was_just_said
from desk.flow.intake import claim, forget
from desk.flow.keys import NOT_CALLED_OFF_KEY, START_KEY
from desk.flow.leaving import came_back, left
from desk.flow.names import called
from desk.flow.passing_on import (
    held_back,
    leave_to_person,
    pass_on,
    show_undecided,
    store_message,
    tell_meanwhile,
)
from desk.flow.promising import waiting_text
from desk.flow.quiet import close_if_quiet
from desk.flow.refreshing import refresh_card
from desk.flow.wording import intent_title, language_of, person_button, privacy_text, topic_buttons
from desk.pack import Escalate
from desk.policy import (
    ASKED_FOR_PERSON,
    ATTACHMENT,
    has_advice,
)
from desk.replies import plainly
from desk.tables import Conversation, Customer, Inbox, Message
from desk.telegram_text import clean
from desk.texts import say

HELP = "help"
LOOKED_BACK = 500
"""So many of a customer's messages are looked through for what an edited one has said before."""


def started(desk: Desk, inbox_id: int, person: Person, payload: str = "") -> None:
    """/start: the pack's greeting with the most asked topics as buttons.

    The `payload` of a link to the bot is kept as written; one that is an intent's name opens that
    topic as the menu does, behind the greeting where it is the customer's first word of all: that
    says that a bot reads here. One that calls a person becomes the first button below the greeting:
    somebody else may have made the link, and who presses Start does not see where it leads. While a
    person is awaited it is only said that they will come (and they see the payload), unless it
    opens a topic and nobody can be called; once one is in charge, they hear of it and the bot is
    silent.
    """
    with desk.store.writing() as session:
        if not claim(session, desk, inbox_id) or is_banned(session, person.chat_id):
            return
        customer, conversation = enter(session, desk, person)
        is_new = not _has_written(session, customer)
        text = f"/start {payload}".rstrip()
        message = store_message(session, desk, conversation, inbox_id, None, text)
        if held_back(session, desk, customer, conversation, message):
            return
        if conversation.state is ConversationState.HUMAN:
            pass_on(session, desk, customer, conversation, message)
            return
        topic = desk.pack.intents.get(payload)
        opens_topic = topic is not None and who_answers(desk, conversation) is ConversationState.BOT
        if conversation.state is ConversationState.WAITING and not opens_topic:
            _started_meanwhile(session, desk, inbox_id, customer, conversation, message, payload)
            return
        if topic is not None and topic.escalate is Escalate.ALWAYS:
            _greet(session, desk, inbox_id, customer, conversation, first=payload)
            return
        if topic is not None and topic.answer is not None:
            if is_new:
                _greet(session, desk, inbox_id, customer, conversation, menu=False)
            answer(session, desk, customer, conversation, message, (payload,))
            return
        _greet(session, desk, inbox_id, customer, conversation)


def _started_meanwhile(
    session: Session,
    desk: Desk,
    inbox_id: int,
    customer: Customer,
    conversation: Conversation,
    message: Message,
    payload: str,
) -> None:
    """/start of one who waits for a person."""
    urgent = payload in desk.pack.priorities()
    if not urgent and has_advice(payload, conversation.said_once, desk.pack):
        tell_meanwhile(session, desk, customer, conversation, message, payload)
        return
    if payload:
        pass_on(session, desk, customer, conversation, message)
    text = waiting_text(session, desk, customer, conversation)
    hears_when_back(desk, conversation)
    stays = cannot_wait(session, desk.pack, conversation)
    buttons = () if stays else call_off_button(desk, customer, conversation)
    key = f"{START_KEY}{inbox_id}"
    customer_text(session, desk, key, customer, conversation, text, buttons)


def asked_for_help(
    desk: Desk, inbox_id: int, person: Person, text: str = "/help", command: str = HELP
) -> None:
    """/help, or a command that nobody knows: what one can do here.

    `text` is what was written; `command` its name in lower case, without slash and bot.
    A person in charge hears of it and the bot is silent; one who is awaited sees what is not /help.
    """
    with desk.store.writing() as session:
        if not claim(session, desk, inbox_id) or is_banned(session, person.chat_id):
            return
        customer, conversation = enter(session, desk, person)
        message = store_message(session, desk, conversation, inbox_id, None, text)
        if held_back(session, desk, customer, conversation, message):
            return
        in_charge = conversation.state is ConversationState.HUMAN
        if in_charge or (conversation.state is ConversationState.WAITING and command != HELP):
            pass_on(session, desk, customer, conversation, message)
        if in_charge:
            return
        words = say("help", language_of(desk, customer))
        customer_text(session, desk, f"help:{inbox_id}", customer, conversation, words)


def asked_for_privacy(desk: Desk, inbox_id: int, person: Person) -> None:
    """/privacy: what becomes of what one writes, in the pack's words or the desk's.

    It is told at any time, for everybody may know it; a person in charge sees the question, too.
    """
    with desk.store.writing() as session:
        if not claim(session, desk, inbox_id) or is_banned(session, person.chat_id):
            return
        customer, conversation = enter(session, desk, person)
        message = store_message(session, desk, conversation, inbox_id, None, "/privacy")
        if held_back(session, desk, customer, conversation, message):
            return
        if conversation.state is ConversationState.HUMAN:
            pass_on(session, desk, customer, conversation, message)
        words, key = privacy_text(desk, customer), f"privacy:{inbox_id}"
        customer_text(session, desk, key, customer, conversation, words, from_bot=False)


def asked_for_person(
    desk: Desk, inbox_id: int, person: Person, text: str, changed: int | None = None
) -> None:
    """/human: a person is called at once, and in the midst of a flood, too, but only once there.

    With `changed` it is the message of that number in the customer's chat that has become this.
    """
    with desk.store.writing() as session:
        if not claim(session, desk, inbox_id) or is_banned(session, person.chat_id):
            return
        if changed is not None and _said_before(session, inbox_id, person, changed) == clean(text):
            # As with a text that an edit leaves as it was.
            session.get_one(Inbox, inbox_id).payload = {}
            return
        customer, conversation = enter(session, desk, person)
        message = store_message(session, desk, conversation, inbox_id, None, text)
        if conversation.state is not ConversationState.BOT:
            if held_back(session, desk, customer, conversation, message):
                return
            show_undecided(session, desk, customer, conversation)
        call_person(session, desk, customer, conversation, message, ASKED_FOR_PERSON)


def _said_before(session: Session, inbox_id: int, person: Person, telegram_id: int) -> str | None:
    """What a message said before an edit: Telegram tells of edits that nobody made, too (at a
    reaction, say). A command has its number in its update alone."""
    said = (
        select(Message.text, Inbox.payload)
        .join(Inbox, Inbox.id == Message.inbox_id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .join(Customer, Customer.id == Conversation.customer_id)
        .where(
            Customer.chat_id == person.chat_id,
            Message.author == Author.CUSTOMER,
            Inbox.bot_id == session.get_one(Inbox, inbox_id).bot_id,
        )
        .order_by(Message.id.desc())
        .limit(LOOKED_BACK)
    )
    for text, payload in session.execute(said):
        update = payload.get("edited_message") or payload.get("message") or {}
        if update.get("message_id") == telegram_id:
            return str(text)
    return None


def wrote(
    desk: Desk,
    inbox_id: int,
    person: Person,
    telegram_id: int,
    text: str,
    quoted: str | None = None,
    links: Sequence[str] = (),
) -> tuple[int, int] | None:
    """A customer's text becomes a pending message; `quoted` is what it replies to by itself, and
    `links` are the addresses behind its words.

    Returns the (message id, attempt) to enqueue after the commit. None if there is nothing to
    enqueue: the update was handled before, the customer is banned, it was a reply to a question of
    the bot or the words of the button that calls a person off, which need no model, or an earlier
    message of the conversation is still pending, whose decision will bring this one up. So replies
    keep the order of the questions with any number of workers. What floods the bot is kept and not
    read.
    """
    with desk.store.writing() as session:
        if not claim(session, desk, inbox_id) or is_banned(session, person.chat_id):
            return None
        if _was_changed_since(session, inbox_id, person, telegram_id):
            return None
        return ask_model(session, desk, inbox_id, person, telegram_id, text, quoted, links)


def ask_model(
    session: Session,
    desk: Desk,
    inbox_id: int,
    person: Person,
    telegram_id: int,
    text: str,
    quoted: str | None = None,
    links: Sequence[str] = (),
) -> tuple[int, int] | None:
    """Make a customer's text a pending message, unless all it says is what the bot has just asked,
    or the words of the button that calls a person off; returns as `wrote` does."""
    customer, conversation = enter(session, desk, person)
    first = first_pending(session, conversation.id) is None
    message = store_message(session, desk, conversation, inbox_id, telegram_id, text)
    message.quoted, message.links = quoted and besides.quote(quoted), besides.links(links)
    # To a person who is awaited or in charge everything is shown, in its order.
    alone = who_answers(desk, conversation) is ConversationState.BOT
    if alone and held_back(session, desk, customer, conversation, message):
        return None
    # While another text waits there is more to come than the question that was asked last.
    if alone and first and replied(session, desk, inbox_id, customer, conversation, message):
        return None
    if _called_off(session, desk, inbox_id, customer, conversation, message):
        return None
    message.state = MessageState.PENDING
    return begin_attempt(message, desk.clock()) if first else None


def _called_off(
    session: Session,
    desk: Desk,
    inbox_id: int,
    customer: Customer,
    conversation: Conversation,
    message: Message,
) -> bool:
    """Call the person off for whom a customer waits, if their text is what stands on the button for
    that, which goes; where they can't they read why, if that was not just said, and that person
    sees it. Says whether it was such a text.
    """
    language = language_of(desk, customer)
    if conversation.state is not ConversationState.WAITING:
        return False
    if plainly(message.text) != plainly(say("call-off", language)):
        return False
    why = refusal(session, desk, conversation)
    if why is None:
        call_off(session, desk, customer, conversation)
        refresh_card(session, desk, customer, conversation)
        drop_button(session, desk, inbox_id, customer, conversation)
        return True
    pass_on(session, desk, customer, conversation, message)
    text = say(why, language)
    if not was_just_said(session, desk, conversation, text):
        key = f"{NOT_CALLED_OFF_KEY}{message.id}"
        customer_text(session, desk, key, customer, conversation, text, message=message)
    return True


def _was_changed_since(session: Session, inbox_id: int, person: Person, telegram_id: int) -> bool:
    """Whether a change of this message came before it and was read: the message was parked, or a
    webhook's call had to be made twice."""
    if _is_newest(session, person, telegram_id):
        return False
    arrived = session.get_one(Inbox, inbox_id)
    change = (
        select(Message.id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .join(Customer, Customer.id == Conversation.customer_id)
        .join(Inbox, Inbox.id == Message.inbox_id)
        .where(
            Customer.chat_id == person.chat_id,
            Message.telegram_id == telegram_id,
            # Another bot, such as the one before, numbers messages and updates by itself.
            Inbox.bot_id == arrived.bot_id,
            Inbox.update_id > arrived.update_id,
        )
    )
    return session.scalar(change.limit(1)) is not None


def _is_newest(session: Session, person: Person, telegram_id: int) -> bool:
    """Whether a message is the customer's newest, for Telegram numbers those of a chat upwards.

    This is asked of each, so it looks at the last few of the newest conversation alone.
    """
    newest = (
        select(func.max(Conversation.id))
        .join(Customer, Customer.id == Conversation.customer_id)
        .where(Customer.chat_id == person.chat_id)
        .scalar_subquery()
    )
    # More than one, since what was changed stands there anew under its old number.
    last = session.scalars(
        select(Message.telegram_id)
        .where(
            Message.conversation_id == newest,
            Message.author == Author.CUSTOMER,
            Message.telegram_id.is_not(None),
        )
        .order_by(Message.id.desc())
        .limit(LAST_SAID)
    ).all()
    return bool(last) and all(known is not None and known < telegram_id for known in last)


def awaits_bot(desk: Desk, message_id: int) -> bool:
    """Whether the bot may still have to say something to this message."""
    query = (
        select(Conversation)
        .join(Message, Message.conversation_id == Conversation.id)
        .where(Message.id == message_id, Message.state == MessageState.PENDING)
    )
    with desk.store.reading() as session:
        conversation = session.scalar(query)
        return conversation is not None and who_answers(desk, conversation) is ConversationState.BOT


def blocked(desk: Desk, inbox_id: int, chat_id: int, *, gone: bool) -> None:
    """A customer has blocked the bot, or has unblocked it.

    The operators learn of one who is to have an answer from them.
    """
    with desk.store.writing() as session:
        if not claim(session, desk, inbox_id):
            return
        customer = session.scalar(
            select(Customer).where(Customer.chat_id == chat_id).with_for_update()
        )
        if customer is None:
            forget(session, inbox_id)
            return
        before, customer.gone = customer.gone, gone
        conversation = find_open(session, customer)
        if conversation is None or gone is before:
            return
        if gone:
            left(session, desk, customer, conversation)
        elif not close_if_quiet(session, desk, customer, conversation):
            came_back(session, desk, customer, conversation)


def sent_file(
    desk: Desk,
    inbox_id: int,
    person: Person,
    telegram_id: int,
    caption: str,
    *,
    gesture: bool = False,
    asked: bool = False,
    forwarded_from: str | None = None,
    links: Sequence[str] = (),
    has_words: bool = False,
) -> tuple[int, int] | None:
    """A photo, document or voice message: copied to the operators, and a person is called once.

    `forwarded_from` names who sent it first, where that was somebody else, and `links` are the
    addresses behind its caption's words.
    A mere `gesture`, such as a sticker, calls nobody; only who is called already gets to see it.
    Who begins with one is greeted.
    With `asked` the caption is /human, which calls a person in the midst of a flood, too.
    With `has_words` the caption is the customer's words, and does not say what was sent: the model
    reads them, unless they are part of a flood. Returns the (message id, attempt) to enqueue for
    that after the commit, if there is one.
    """
    with desk.store.writing() as session:
        if not claim(session, desk, inbox_id) or is_banned(session, person.chat_id):
            return None
        customer, conversation = enter(session, desk, person)
        if gesture and conversation.state is ConversationState.BOT:
            if not _has_written(session, customer):
                store_message(session, desk, conversation, inbox_id, telegram_id, caption)
                _greet(session, desk, inbox_id, customer, conversation)
            return None
        message = store_message(session, desk, conversation, inbox_id, telegram_id, caption)
        if forwarded_from is not None:
            message.forwarded_from = besides.origin(forwarded_from)
        message.links = besides.links(links)
        calls = who_answers(desk, conversation) is ConversationState.BOT and not gesture
        if calls:
            if not asked and held_back(session, desk, customer, conversation, message):
                return None
            rule = ASKED_FOR_PERSON if asked else ATTACHMENT
            call_person(session, desk, customer, conversation, message, rule)
        else:
            # Called already, and each picture of an album comes as an update of its own.
            leave_to_person(session, desk, conversation, message)
            if not gesture:
                alone = left_alone(session, desk, [conversation])
                say_added(session, desk, customer, conversation, message, alone=alone)
        show_undecided(session, desk, customer, conversation)
        if message.links and not calls:
            # The copy alone would show the words before them.
            post_message(session, desk, customer, conversation, message)
        # Taken in a chat that is the operators' no longer, it may have none in this one.
        post_state_card(session, desk, customer, conversation, message)
        copy_file(session, desk, customer, conversation, message)
        return put_before_model(session, desk, message) if has_words else None


def _greet(
    session: Session,
    desk: Desk,
    inbox_id: int,
    customer: Customer,
    conversation: Conversation,
    *,
    menu: bool = True,
    first: str | None = None,
) -> None:
    """The pack's greeting; with the `menu` the most asked topics and a person are buttons, and the
    `first` topic is one before them. No two call a person in the same words."""
    language = language_of(desk, customer)
    greeting = desk.pack.text(desk.pack.greeting, language, called(customer))
    topics = dict.fromkeys([first, *desk.pack.menu] if first is not None else desk.pack.menu)
    buttons = topic_buttons(desk, topics, language, SHOW_INTENT) if menu else []
    person = person_button(language)
    people = [topic for topic in topics if topic in desk.pack.never_answered()]
    if menu and person.text not in [intent_title(desk, topic, language) for topic in people]:
        buttons.append([person])
    customer_text(
        session, desk, f"{START_KEY}{inbox_id}", customer, conversation, greeting, buttons
    )


def _has_written(session: Session, customer: Customer) -> bool:
    query = (
        select(Message.id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(Conversation.customer_id == customer.id)
    )
    return session.scalar(query.limit(1)) is not None
