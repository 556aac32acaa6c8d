"""Deliveries and keyboards: what will be sent, written inside the transaction that decides it."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import unescape
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from desk.domain import Author, Button
from desk.flow.batch import add_row, turn
from desk.flow.desk import Desk
from desk.inert import inert
from desk.pack import PackButton
from desk.tables import ButtonRow, Conversation, Customer, DeliveryRow, Message, Operator
from desk.telegram_html import escaped as html
from desk.texts import say

WRITTEN_KEY = "operator:"
"""How the key of a copy of an operator's message begins; the message's id follows."""
NOTE_KEY = "note:"
"""How that begins of what the topic says of a ready answer; the answer's own key follows."""

TEXT_METHOD = "sendMessage"
KEYBOARD_METHOD = "editMessageReplyMarkup"
LINKED_NAME = 40
"""What is shown of a customer's name that leads to their topic, in UTF-16 units."""
NO_PREVIEW = {"link_preview_options": {"is_disabled": True}}
"""With what goes to the operators' group: no stranger's picture stands there for a link."""

Keyboard = Sequence[Sequence[Button]]

# What a button may do; `desk.flow.buttons` has a handler for each.
SHOW_INTENT = "intent"
CHOOSE_INTENT = "choose"
CALL_PERSON = "person"
CALL_OFF = "call_off"
THUMB_UP = "up"
THUMB_DOWN = "down"
SEND_ANSWER = "send"
ANSWER = "answer"
RELABEL = "relabel"
LABEL = "label"
MOOD = "mood"
CARD = "card"
WHY = "why"
TAKE = "take"
RESOLVE = "resolve"
RESOLVE_UNANSWERED = "resolve_unanswered"


def plain(markup: str) -> str:
    """Telegram HTML without its tags."""
    return unescape(re.sub(r"<[^>]+>", "", markup))


def clean(text: str) -> str:
    """A person's text without what a database or Telegram refuses: NUL, half a surrogate pair."""
    return text.replace("\x00", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def kept_error(error: str) -> str:
    """What is kept of an error: others' words, of which the database might refuse one."""
    return clean(error)[:2000]


def length(text: str) -> int:
    """A text's length as Telegram counts: in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def shorten(text: str, limit: int) -> str:
    """A text cut to so many UTF-16 units."""
    units = text.encode("utf-16-le", "surrogatepass")
    if len(units) <= 2 * limit:
        return text
    return units[: 2 * (limit - 1)].decode("utf-16-le", "ignore").rstrip() + "…"


def add_delivery(
    session: Session,
    desk: Desk,
    key: str,
    chat_id: int,
    method: str,
    payload: dict[str, Any],
    *,
    conversation: Conversation | None = None,
    message: Message | None = None,
    topic_of: Customer | None = None,
    from_bot: bool = False,
    not_before: datetime | None = None,
) -> None:
    """Add a delivery unless one with that key exists."""
    if has_delivery(session, key, message):
        return
    current = turn(session)
    known = current.deliveries.get(message.id) if message else None
    if known is not None:
        known.add(key)
    if key in current.others:
        current.others[key] = True
    add_row(
        session,
        DeliveryRow,
        key=key,
        chat_id=chat_id,
        method=method,
        payload=payload,
        conversation_id=conversation.id if conversation else None,
        message_id=message.id if message else None,
        topic_of=topic_of.id if topic_of else None,
        from_bot=from_bot,
        not_before=not_before,
        created_at=desk.clock(),
    )


def copy_key(session: Session, about: DeliveryRow) -> str:
    """The key under which the customer gets the operator's message that a delivery is about: that
    of a ready answer, or of a copy of what the operator wrote."""
    message = session.get(Message, about.message_id) if about.message_id is not None else None
    own = message.delivery_key if message is not None else None
    return own or f"{WRITTEN_KEY}{about.message_id}"


def has_delivery(session: Session, key: str, message: Message | None = None) -> bool:
    """Whether there is one with that key; of a batch's `message`, or of those it has asked for,
    also if still to be written."""
    current = turn(session)
    known = current.deliveries.get(message.id) if message else None
    if known is not None:
        return key in known
    if key in current.others:
        return current.others[key]
    return session.scalar(select(DeliveryRow.id).where(DeliveryRow.key == key)) is not None


def keyboard(
    session: Session,
    desk: Desk,
    rows: Keyboard,
    conversation: Conversation,
    message: Message | None = None,
) -> dict[str, Any]:
    """An inline keyboard for Telegram, with a fresh opaque token behind each button."""
    keys: list[list[dict[str, str]]] = []
    for row in rows:
        line = []
        for button in row:
            if button.url is not None:
                line.append({"text": button.text, "url": button.url})
                continue
            token = secrets.token_urlsafe(12)
            add_row(
                session,
                ButtonRow,
                token=token,
                action=button.action,
                argument=button.argument,
                conversation_id=conversation.id,
                message_id=message.id if message else None,
                created_at=desk.clock(),
            )
            line.append({"text": button.text, "callback_data": token})
        keys.append(line)
    return {"inline_keyboard": keys}


def change_keyboard(
    session: Session,
    desk: Desk,
    inbox_id: int,
    chat_id: int,
    telegram_id: int,
    conversation: Conversation,
    markup: dict[str, Any] | None = None,
) -> None:
    """Have other buttons (or, without `markup`, none) stand under a message that was sent, because
    of an update; unless that was the last to be wanted there: who presses a button again and again
    costs no calls."""
    markup = {"inline_keyboard": []} if markup is None else markup
    last = session.scalar(
        select(DeliveryRow.payload)
        .where(
            DeliveryRow.conversation_id == conversation.id,  # which is indexed
            DeliveryRow.chat_id == chat_id,
            DeliveryRow.method == KEYBOARD_METHOD,
            DeliveryRow.payload["message_id"].as_integer() == telegram_id,
        )
        .order_by(DeliveryRow.id.desc())
        .limit(1)
    )
    if last is not None and last["reply_markup"] == markup:
        return
    add_delivery(
        session,
        desk,
        f"keyboard:{inbox_id}",
        chat_id,
        KEYBOARD_METHOD,
        {"message_id": telegram_id, "reply_markup": markup},
        conversation=conversation,
    )


def customer_text(
    session: Session,
    desk: Desk,
    key: str,
    customer: Customer,
    conversation: Conversation,
    text: str,
    buttons: Keyboard = (),
    *,
    message: Message | None = None,
    from_bot: bool = True,
    author: Author = Author.BOT,
    kept: str | None = None,
) -> None:
    """A text (Telegram HTML) to the customer, kept in the conversation, unless it exists; there as
    `kept`, where its buttons say something, too."""
    if has_delivery(session, key, message):
        return  # before its buttons get rows: those of a text that is not sent would stay for good
    payload: dict[str, Any] = {"text": text, "parse_mode": "HTML"}
    if buttons:
        payload["reply_markup"] = keyboard(session, desk, buttons, conversation, message)
    add_delivery(
        session,
        desk,
        key,
        customer.chat_id,
        TEXT_METHOD,
        payload,
        conversation=conversation,
        message=message,
        from_bot=from_bot,
    )
    add_row(
        session,
        Message,
        conversation_id=conversation.id,
        author=author,
        text=plain(text if kept is None else kept),
        delivery_key=key,
        created_at=desk.clock(),
    )


def as_reply(telegram_id: int) -> dict[str, Any]:
    """What makes a message a reply to the one of that id in its chat, should that still exist."""
    return {"message_id": telegram_id, "allow_sending_without_reply": True}


def operators_text(
    session: Session,
    desk: Desk,
    key: str,
    text: str,
    *,
    customer: Customer | None = None,
    conversation: Conversation | None = None,
    message: Message | None = None,
    reply_markup: dict[str, Any] | None = None,
    reply_to: int | None = None,
) -> None:
    """A text (Telegram HTML) to the operators: into the customer's topic, or to everybody.

    With `reply_to` it replies to the message of that id there, should that still exist.
    """
    if desk.operator_chat_id is None:
        return
    payload: dict[str, Any] = {"text": text, "parse_mode": "HTML", **NO_PREVIEW}
    if reply_markup is not None:
        payload["reply_markup"] = reply_markup
    if reply_to is not None:
        payload["reply_parameters"] = as_reply(reply_to)
    add_delivery(
        session,
        desk,
        key,
        desk.operator_chat_id,
        TEXT_METHOD,
        payload,
        conversation=conversation,
        message=message,
        topic_of=customer,
    )


def linked(desk: Desk, customer: Customer) -> str:
    """The customer's name as Telegram HTML, which leads to their topic where they have one."""
    name = inert(shorten(customer.name, LINKED_NAME))
    chat = str(desk.operator_chat_id)
    # The address of a message in a supergroup has the chat's id without its mark.
    if customer.topic_id is None or str(customer.topic_chat_id) != chat or chat[:4] != "-100":
        return name
    return f'<a href="https://t.me/c/{chat[4:]}/{customer.topic_id}">{name}</a>'


def operator_name(session: Session, user_id: int) -> str:
    """How colleagues call an operator: by name, or by id where it is unknown."""
    operator = session.get(Operator, user_id)
    return shorten((operator.name if operator else "") or str(user_id), 64)


def pack_buttons(desk: Desk, buttons: Iterable[PackButton], language: str) -> list[list[Button]]:
    """The buttons of an answer, one a row."""
    rows = []
    for button in buttons:
        text = plain(desk.pack.text(button.text, language))
        if button.url is not None:
            rows.append([Button(text, url=button.url)])
        elif button.intent is not None:
            rows.append([Button(text, SHOW_INTENT, button.intent)])
        else:
            rows.append([Button(text, CALL_PERSON)])
    return rows


def intent_title(desk: Desk, intent: str, language: str) -> str:
    """An intent's title, or its name when the pack no longer has it."""
    known = desk.pack.intents.get(intent)
    return plain(desk.pack.text(known.title, language)) if known else intent


def topic_buttons(
    desk: Desk, intents: Iterable[str], language: str, action: str
) -> list[list[Button]]:
    """One button for each intent, two a row where the titles are short."""
    return paired([Button(intent_title(desk, name, language), action, name) for name in intents])


def paired(buttons: Iterable[Button]) -> list[list[Button]]:
    """Buttons in their order, two a row where both can be read on a phone."""
    rows: list[list[Button]] = []
    for button in buttons:
        if rows and len(rows[-1]) == 1 and _is_short(button.text) and _is_short(rows[-1][0].text):
            rows[-1].append(button)
        else:
            rows.append([button])
    return rows


def _is_short(text: str) -> bool:
    """Whether half a row has room for a text, in which a Chinese character takes two places."""
    return sum(2 if unicodedata.east_asian_width(char) in "FW" else 1 for char in text) <= 20


def language_of(desk: Desk, customer: Customer) -> str:
    """The pack's language for a customer, in which the desk speaks its own words, too."""
    return desk.pack.language(customer.language)


def person_button(language: str, argument: str = "") -> Button:
    return Button(say("talk-to-person", language), CALL_PERSON, argument)


def answer_text(desk: Desk, customer: Customer, intent: str) -> str | None:
    """The pack's answer for an intent in the customer's language, filled in; None without one."""
    known = desk.pack.intents.get(intent)
    if known is None or known.answer is None:
        return None
    language = language_of(desk, customer)
    return desk.pack.text(known.answer, language, called(customer))


def privacy_text(desk: Desk, customer: Customer) -> str:
    """What becomes of what a customer writes: the pack's words, or the desk's own."""
    language = language_of(desk, customer)
    days = desk.retention_days
    kept = say("retention-open", language)
    if days is not None:
        kept = say("retention-days", language, days=days)
    if desk.pack.privacy is None:
        return say("privacy", language, retention=kept)
    return desk.pack.text(desk.pack.privacy, language, called(customer), retention=kept)


def called(customer: Customer) -> str:
    """What a customer is called in texts to them, safe inside Telegram's HTML; inert, since those
    that an operator sends stand in the group, too."""
    return inert(customer.first_name or customer.name)


def titled_answer(desk: Desk, customer: Customer, intent: str) -> str | None:
    """An answer as it stands among several, under its intent's title; None without one."""
    text = answer_text(desk, customer, intent)
    title = html(intent_title(desk, intent, language_of(desk, customer)))
    return None if text is None else f"<b>{title}</b>\n{text}"


def answers_together(
    desk: Desk, customer: Customer, intents: tuple[str, ...]
) -> tuple[str | None, list[list[Button]]]:
    """The answers for several intents as one text, with the buttons under it; None where one has no
    answer. A thumb there is about them all."""
    texts = [titled_answer(desk, customer, intent) for intent in intents]
    text = None if None in texts else "\n\n".join(filter(None, texts))
    language, known = language_of(desk, customer), [desk.pack.intents[name] for name in intents]
    rows = [row for intent in known for row in pack_buttons(desk, intent.buttons, language)]
    rows = [
        row
        for number, row in enumerate(rows)
        if row not in rows[:number]
        and not (row[0].action == SHOW_INTENT and row[0].argument in intents)
    ]
    if any(intent.thumbs for intent in known):
        rows.append(_thumbs())
    return text, rows


def answer_buttons(desk: Desk, customer: Customer, intent: str) -> list[list[Button]]:
    """The buttons under an answer: the pack's, then the thumbs."""
    known = desk.pack.intents[intent]
    rows = pack_buttons(desk, known.buttons, language_of(desk, customer))
    if known.thumbs:
        rows.append(_thumbs(intent))
    return rows


def _thumbs(intent: str = "") -> list[Button]:
    """Those about one intent, or about several."""
    return [Button("👍", THUMB_UP, intent), Button("👎", THUMB_DOWN, intent)]
