"""Cards: how a conversation is put before the operators, in the customer's forum topic."""

from __future__ import annotations

from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from desk.domain import Action, Author, ConversationState, FeedbackKind
from desk.flow import besides
from desk.flow.answered import answers_given
from desk.flow.batch import IS_CHANGE, said_before, turn
from desk.flow.calling_off import was_called_off
from desk.flow.card_history import HISTORY, CardHistory
from desk.flow.card_keyboards import SUGGESTIONS, card_keyboard, mood_title
from desk.flow.composing import NO_PREVIEW, has_delivery, operators_text
from desk.flow.desk import Desk
from desk.flow.keys import CARD_KEY, POST_KEY, TEXT_KEY
from desk.flow.lessons import OPERATORS_WORD
from desk.flow.names import operator_name
from desk.flow.priority import SIGN, has_priority
from desk.flow.wording import intent_title
from desk.inert import defused, inert
from desk.pack import Escalate
from desk.percent import compared
from desk.policy import ATTACHMENT, OTHER_LANGUAGE, threshold
from desk.tables import (
    IS_CARD,
    Conversation,
    Customer,
    DecisionRow,
    DeliveryRow,
    Feedback,
    Message,
    PredictionRow,
)
from desk.telegram_html import escaped as html
from desk.telegram_text import length, plain, shorten
from desk.texts import say

TRACES = 3
LIMIT = 4096
"""What Telegram takes as one message, in UTF-16 units."""
NEAR_TEXT = 120
"""What an explanation shows of a training example, in UTF-16 units."""
EXCERPT = 1500
"""What a card shows of a message that stands whole in a second one."""


def post_card(
    session: Session, desk: Desk, customer: Customer, conversation: Conversation, message: Message
) -> None:
    """Call the operators: a card with the message, what the model made of it, and the buttons.

    A conversation's newest card is the one that shows its state and follows it.
    """
    _post(session, desk, customer, conversation, message, CARD_KEY)


def post_state_card(
    session: Session, desk: Desk, customer: Customer, conversation: Conversation, message: Message
) -> None:
    """Give a conversation its card, with the state and the buttons, unless it has one.

    For an operator's `message`, which opens it, that holds what was said before (nothing in a new
    conversation).
    """
    if status_card(session, desk, conversation) is None:
        _post(session, desk, customer, conversation, message, CARD_KEY)


def post_message(
    session: Session, desk: Desk, customer: Customer, conversation: Conversation, message: Message
) -> None:
    """Pass on what a customer wrote while a person is awaited or in charge.

    A plain post, unless the conversation has no card yet that shows its state; nothing where the
    message has its own card.
    """
    if has_delivery(session, f"{CARD_KEY}{message.id}", message):
        return
    has_card = turn(session).with_card.get(conversation.id)
    if has_card is None:
        has_card = status_card(session, desk, conversation) is not None
    key = POST_KEY if has_card else CARD_KEY
    _post(session, desk, customer, conversation, message, key)


def status_card(
    session: Session, desk: Desk, conversation: Conversation, *, lock: bool = False
) -> DeliveryRow | None:
    """The newest card of a conversation in the operators' chat, on its way or there already."""
    query = (
        select(DeliveryRow)
        .where(
            DeliveryRow.conversation_id == conversation.id,
            DeliveryRow.chat_id == desk.operator_chat_id,
            IS_CARD,
        )
        .order_by(DeliveryRow.id.desc())
        .limit(1)
    )
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    return session.scalar(query)


def is_shown(session: Session, message: Message) -> bool:
    """Whether a message was put before the operators, as a plain post or as a card."""
    keys = (f"{CARD_KEY}{message.id}", f"{POST_KEY}{message.id}")
    return any(has_delivery(session, key, message) for key in keys)


def is_post(session: Session, message: Message, telegram_id: int | None = None) -> bool:
    """Whether a message was put before the operators as a plain post, not as a card; of one that
    was both, since it called a person after it was shown, whether the post has that id there."""
    post = f"{POST_KEY}{message.id}"
    if not has_delivery(session, post, message):
        return False
    if not has_delivery(session, f"{CARD_KEY}{message.id}", message):
        return True
    known = session.scalar(select(DeliveryRow.telegram_id).where(DeliveryRow.key == post))
    return known is not None and known == telegram_id


def is_change(session: Session, message: Message) -> bool:
    """`IS_CHANGE` of one message."""
    known = turn(session).changes.get(message.id)
    if known is not None:
        return known
    query = select(Message.id).where(Message.id == message.id, IS_CHANGE)
    return session.scalar(query) is not None


def shown(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
    *,
    post: bool,
    why: bool = False,
) -> dict[str, Any]:
    """A message's card (or plain post) as it is to look now: text and buttons for Telegram.

    With `why` a card is opened: it says at length what the decision rests on.
    """
    text = card_text(session, desk, customer, conversation, message, post=post, why=why)
    if not why:  # an open card is closed again, and then shows the message as it did
        _post_whole(session, desk, customer, conversation, message, text)
    return {
        "text": text,
        "parse_mode": "HTML",
        **NO_PREVIEW,
        "reply_markup": card_keyboard(
            session, desk, customer, conversation, message, post=post, why=why
        ),
    }


def _post(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
    key: str,
) -> None:
    if desk.operator_chat_id is None or has_delivery(session, f"{key}{message.id}", message):
        return  # nor are there rows for its buttons
    post = key == POST_KEY
    text = card_text(session, desk, customer, conversation, message, post=post)
    operators_text(
        session,
        desk,
        f"{key}{message.id}",
        text,
        customer=customer,
        conversation=conversation,
        message=message,
        reply_markup=card_keyboard(session, desk, customer, conversation, message, post=post),
    )
    _post_whole(session, desk, customer, conversation, message, text)


def _post_whole(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
    shown_text: str,
) -> None:
    """Post the whole of a message, once, whose card or post has room for its beginning only.

    In a quote as there, or it could pass for a notice of the bot's.
    """
    whole = f"<blockquote>{inert(_said(desk, message))}</blockquote>" in shown_text
    if whole or message.author is Author.OPERATOR:
        return
    operators_text(
        session,
        desk,
        f"{TEXT_KEY}{message.id}",
        f"<blockquote expandable>{html(shorten(defused(message.text), LIMIT))}</blockquote>",
        customer=customer,
        conversation=conversation,
        message=message,
    )


def card_text(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
    *,
    post: bool = False,
    why: bool = False,
) -> str:
    """The card (or plain post) of one message as Telegram HTML, as things stand now.

    It holds the whole message where that fits, rather than what was said before. With `why` it
    holds the explanation, too.
    """
    language = desk.language
    decision = session.get(DecisionRow, message.id)
    prediction = session.get(PredictionRow, message.id)
    if message.author is Author.OPERATOR:
        return _opened(session, desk, customer, conversation, message)
    tail = [*besides.lines(desk, message), *_answered(session, desk, customer, message)]
    if prediction is not None:
        tail += _read_with(session, desk, prediction)
        tail.append(_prediction_line(desk, prediction))
    elif not post:
        tail.append(f"<b>{say('card-intent', language)}</b> {say('card-no-prediction', language)}")
    if decision is not None and (not post or decision.action is Action.ESCALATE):
        rule = _rule(desk, decision, prediction, message)
        tail.append(f"<b>{say('card-rule', language)}</b> {rule}")
    if prediction is not None and not post:
        tail += _explanation(desk, prediction) if why else []
        tail.append(f"<b>{say('card-model', language)}</b> <code>{html(prediction.model)}</code>")
    tail += _traces(session, desk, message)
    if not post:
        tail.append(f"\n{_state_line(session, desk, conversation)}")

    head = _head(session, desk, customer, message, decision, post=post)
    said = defused(_said(desk, message))
    if length(plain(_assembled(head, [], said, tail))) > LIMIT:
        said = shorten(said, EXCERPT)
    if post:
        return _assembled(head, [], said, tail)
    history = _history(session, desk, message)
    return history.fitted(lambda lines: _assembled(head, lines, said, tail), LIMIT)


def _said(desk: Desk, message: Message) -> str:
    return besides.as_said(desk, message.text, was_read=message.attempt > 0)


def _head(
    session: Session,
    desk: Desk,
    customer: Customer,
    message: Message,
    decision: DecisionRow | None,
    *,
    post: bool,
) -> str:
    name = inert(customer.name)
    sign = SIGN if has_priority(desk.pack, decision) else ""
    if post or (decision is not None and decision.action is Action.SILENT):
        if is_change(session, message):
            return f"{sign or '✏️'} <b>{say('changed-message', desk.language, customer=name)}</b>"
        return f"{sign or '💬'} <b>{say('new-message', desk.language, customer=name)}</b>"
    return f"{sign or '🔔'} <b>{say('card-title', desk.language)}</b> · {_who(customer)}"


def _who(customer: Customer) -> str:
    """A customer as a card names them: by the id, too, for names are alike and change."""
    username = f" (@{html(customer.username)})" if customer.username else ""
    return f"{inert(customer.name)}{username} · <code>{customer.chat_id}</code>"


def _opened(
    session: Session, desk: Desk, customer: Customer, conversation: Conversation, message: Message
) -> str:
    """The card of a conversation that an operator's message has opened."""
    head = f"💬 <b>{say('card-opened', desk.language)}</b> · {_who(customer)}"
    state = _state_line(session, desk, conversation)
    history = _history(session, desk, message)
    return history.fitted(lambda lines: "\n".join([head, *lines, f"\n{state}"]), LIMIT)


def _assembled(head: str, history: list[str], said: str, tail: list[str]) -> str:
    before = [*history, ""] if history else []
    return "\n".join([head, *before, f"<blockquote>{html(said)}</blockquote>", *tail])


def _answered(session: Session, desk: Desk, customer: Customer, message: Message) -> list[str]:
    """What the bot has answered to a message already, in one line."""
    given = answers_given(session, desk, customer, message)
    titles = " · ".join(intent_title(desk, name, desk.language) for name in given)
    titles = shorten(titles, NEAR_TEXT)
    return [f"🤖 {inert(say('card-answered', desk.language, title=titles))}"] if given else []


def _read_with(session: Session, desk: Desk, prediction: PredictionRow) -> list[str]:
    """The message before, where the model has read both as one text."""
    if prediction.read_with is None:
        return []
    known = turn(session).read_with.get(prediction.message_id)
    before = known or session.get(Message, prediction.read_with)
    words = shorten(" ".join(before.text.split()), NEAR_TEXT) if before else ""
    line = say("card-read-with", desk.language, words=inert(words))
    return [f"🔗 {line}"] if words else []


def _traces(session: Session, desk: Desk, message: Message) -> list[str]:
    """What operators have done about a message, for their colleagues."""
    if turn(session).with_feedback.get(message.id) is False:
        return []
    query = (
        select(Feedback)
        .where(
            Feedback.message_id == message.id,
            Feedback.kind.in_(OPERATORS_WORD),
            or_(Feedback.intent.is_not(None), Feedback.sentiment.is_not(None)),
        )
        .order_by(Feedback.created_at.desc(), Feedback.id.desc())
        .limit(TRACES)
    )
    lines = []
    for row in list(session.scalars(query))[::-1]:
        name = operator_name(session, row.by)
        if row.sentiment is not None:
            title = mood_title(row.sentiment, desk.language)
            note = "🏷 " + say("mood-labelled", desk.language, operator=name, title=title)
        elif row.kind is FeedbackKind.RELABEL:
            title = intent_title(desk, row.intent or "", desk.language)
            note = "🏷 " + say("relabelled", desk.language, operator=name, title=title)
        else:
            title = intent_title(desk, row.intent or "", desk.language)
            note = "✉️ " + say("sent-answer", desk.language, operator=name, title=title)
        lines.append(inert(note))
    return lines


def _prediction_line(desk: Desk, prediction: PredictionRow) -> str:
    language = desk.language
    ranked = [
        f"{inert(intent_title(desk, entry['name'], language))} {entry['confidence']:.0%}"
        for entry in prediction.ranking[:SUGGESTIONS]
    ]
    line = f"<b>{say('card-intent', language)}</b> {' · '.join(ranked) or '–'}"
    if prediction.sentiment is not None and prediction.sentiment_confidence is not None:
        mood = say(f"sentiment-{prediction.sentiment}", language)
        line += (
            f"\n<b>{say('card-sentiment', language)}</b> {mood} "
            f"{prediction.sentiment_confidence:.0%}"
        )
    return line


def _rule(
    desk: Desk, decision: DecisionRow, prediction: PredictionRow | None, message: Message
) -> str:
    """Why a message came to a person, in words."""
    sent = besides.kind(desk, message.text) if decision.rule == ATTACHMENT else None
    if sent is not None:
        return say("card-sent", desk.language, what=sent)
    try:
        rule = say(f"rule-{decision.rule}", desk.language)
    except KeyError:
        # In a rolling update a worker may decide by a rule that is newer than this process.
        rule = html(decision.rule)
    if decision.rule == OTHER_LANGUAGE and prediction is not None and prediction.language:
        rule += f" ({html(prediction.language)})"
    return rule


def _explanation(desk: Desk, prediction: PredictionRow) -> list[str]:
    """What a decision rests on, a line each: confidence, kind of text, language, examples."""
    language, lines = desk.language, []
    known = desk.pack.intents.get(prediction.intent or "")
    automatic = known is not None and known.answer and known.escalate is not Escalate.ALWAYS
    if prediction.intent and prediction.confidence is not None and automatic:
        confidence, needed = compared(
            prediction.confidence, threshold(prediction.intent, prediction.threshold, desk.pack)
        )
        lines.append(say("why-confidence", language, confidence=confidence, needed=needed))
    if prediction.scope is not None and prediction.scope_threshold is not None:
        alike = prediction.scope >= prediction.scope_threshold
        scope, needed = compared(prediction.scope, prediction.scope_threshold)
        key = "why-familiar" if alike else "why-unfamiliar"
        lines.append(say(key, language, scope=scope, needed=needed))
    if prediction.language is not None:
        lines.append(say("why-language", language, code=html(prediction.language)))
    if prediction.neighbours:
        lines.append(say("why-neighbours", language))
    for near in prediction.neighbours:
        title = inert(shorten(intent_title(desk, near["intent"], language), 64))
        text = inert(shorten(" ".join(near["text"].split()), NEAR_TEXT))
        lines.append(f"• {text} → <b>{title}</b> {near['similarity']:.2f}")
    return lines


def _history(session: Session, desk: Desk, message: Message) -> CardHistory:
    earlier = turn(session).earlier.get(message.id)
    if earlier is None:
        earlier = said_before(session, [message.id], HISTORY)[message.id]
    return CardHistory(desk, earlier)


def _state_line(session: Session, desk: Desk, conversation: Conversation) -> str:
    language = desk.language
    who = conversation.operator_id
    name = html(operator_name(session, who)) if who is not None else "–"
    match conversation.state:
        case ConversationState.BOT:
            return "🤖 " + say("card-bot", language)
        case ConversationState.HUMAN if who is None:
            return "🧑‍💼 " + say("card-released", language)
        case ConversationState.HUMAN:
            return "🧑‍💼 " + say("card-taken", language, operator=name)
        case ConversationState.RESOLVED if was_called_off(session, conversation):
            return "✅ " + say("card-called-off", language)
        case ConversationState.RESOLVED if conversation.operator_id is None:
            return "✅ " + say("card-quiet", language, hours=desk.pack.policy.quiet_hours)
        case ConversationState.RESOLVED:
            if session.get_one(Customer, conversation.customer_id).banned_at is not None:
                return "🚫 " + say("card-banned", language, operator=name)
            return "✅ " + say("card-resolved", language, operator=name)
        case ConversationState.WAITING:
            line = "⏳ " + say("card-waiting", language)
            if not desk.pack.hours.open_at(desk.clock()):
                line += f" · {say('card-closed', language)}"
            return line
