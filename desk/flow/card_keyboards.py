"""The buttons of cards: answers to send with one tap, labels, and who has the conversation."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from desk.domain import Author, Button, ConversationState, FeedbackKind
from desk.flow.answered import answers_given
from desk.flow.batch import turn
from desk.flow.button_actions import (
    CARD,
    LABEL,
    MOOD,
    RELABEL,
    RESOLVE,
    RESOLVE_UNANSWERED,
    SEND_ANSWER,
    TAKE,
    WHY,
)
from desk.flow.composing import keyboard
from desk.flow.desk import Desk
from desk.flow.wording import intent_title, paired
from desk.policy import SEVERAL_QUESTIONS
from desk.tables import (
    Conversation,
    Customer,
    DecisionRow,
    Feedback,
    Message,
    PredictionRow,
)
from desk.texts import say

SUGGESTIONS = 3
LABELS_A_PAGE = 16
FACES = {"negative": "😠", "neutral": "😐", "positive": "🙂"}
"""The sentiments that a model knows, each with what stands for it on its button."""


def card_keyboard(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
    *,
    post: bool = False,
    why: bool = False,
    asks: str | None = None,
) -> dict[str, Any]:
    """The buttons of a card: likely answers, relabel, and on a card take and resolve. The last one
    says so where it closes a conversation that is unanswered, once that was asked: `asks` is how.

    What was never meant for the model (a file, a command, a tap) teaches it nothing: no relabel.
    One more opens a card that has something to explain; `why` is for one that is open.
    """
    language, resolved = desk.language, conversation.state is ConversationState.RESOLVED
    rows: list[list[Button]] = []
    last = []
    prediction = session.get(PredictionRow, message.id)
    if message.author is Author.CUSTOMER:
        suggested = [] if resolved else _suggested(session, desk, customer, message, prediction)
        for name in suggested[:SUGGESTIONS]:
            title = intent_title(desk, name, language)
            rows.append([Button(say("button-send", language, title=title), SEND_ANSWER, name)])
        if message.attempt:
            last.append(Button(say("button-relabel", language), RELABEL, "0"))
    if not post and not resolved:
        # A colleague may take what somebody has already.
        last.append(Button(say("button-take", language), TAKE))
        if asks is None:
            last.append(Button(say("button-resolve", language), RESOLVE))
    if why:
        last.append(Button(say("button-less", language), CARD))
    elif not post and prediction is not None:
        last.append(Button(say("button-why", language), WHY))
    if last:
        rows.append(last)
    if asks is not None:  # by itself: beside others a phone shows three letters of it
        text = say("button-resolve-unanswered", language)
        rows.append([Button(text, RESOLVE_UNANSWERED, asks)])
    return keyboard(session, desk, rows, conversation, message)


def label_keyboard(
    session: Session, desk: Desk, conversation: Conversation, message: Message, page: int
) -> dict[str, Any]:
    """A page of all intents to label a message with, the model's favourites first.

    Above the first one are the moods, where the model has seen one.
    """
    language = desk.language
    prediction = session.get(PredictionRow, message.id)
    ranked = [entry["name"] for entry in prediction.ranking] if prediction else []
    names = [name for name in ranked if name in desk.pack.intents]
    names += [name for name in desk.pack.intents if name not in names]
    pages = max(1, -(-len(names) // LABELS_A_PAGE))
    page = max(0, min(page, pages - 1))
    shown = names[page * LABELS_A_PAGE : (page + 1) * LABELS_A_PAGE]
    buttons = [Button(intent_title(desk, name, language), LABEL, name) for name in shown]
    rows = paired(buttons)
    if page == 0 and prediction is not None and prediction.sentiment is not None:
        rows.insert(0, [Button(mood_title(name, language), MOOD, name) for name in FACES])
    last = [Button(say("button-back", language), CARD)]
    if pages > 1:
        following = str((page + 1) % pages)
        last.append(Button(say("button-more", language), RELABEL, following))
    rows.append(last)
    return keyboard(session, desk, rows, conversation, message)


def mood_title(sentiment: str, language: str) -> str:
    """A sentiment as operators see it taught: its face and its name."""
    return f"{FACES[sentiment]} {say(f'sentiment-{sentiment}', language)}"


def _suggested(
    session: Session,
    desk: Desk,
    customer: Customer,
    message: Message,
    prediction: PredictionRow | None,
) -> list[str]:
    """The intents whose answers one tap sends: those of several questions, the likeliest, and what
    could be asked back about, small talk apart.

    A tap also teaches, more than anything else: what is unlikely is not held out for it. Where an
    operator has labelled the message, it is that intent's answer alone. What the bot has answered
    to it already is not said twice.
    """
    label = _label(session, message)
    ranking = prediction.ranking if prediction is not None else []
    decision = session.get(DecisionRow, message.id)
    several = decision is not None and decision.rule == SEVERAL_QUESTIONS
    asked = decision.choices if decision and several else []
    likely = [
        entry["name"]
        for place, entry in enumerate(ranking)
        if place == 0 or entry["confidence"] >= desk.pack.policy.clarify_from
    ]
    wanted = [
        name
        for name in (dict.fromkeys([*asked, *likely]) if label is None else [label])
        if (known := desk.pack.intents.get(name)) and known.answer is not None
        if name == label or name not in desk.pack.small_talk()
    ]
    given = answers_given(session, desk, customer, message) if wanted else []
    return [name for name in wanted if name not in given]


def _label(session: Session, message: Message) -> str | None:
    """The intent with which an operator has labelled a message last, if one has."""
    if turn(session).with_feedback.get(message.id) is False:
        return None
    query = (
        select(Feedback.intent)
        .where(Feedback.message_id == message.id, Feedback.kind == FeedbackKind.RELABEL)
        .order_by(Feedback.created_at.desc(), Feedback.id.desc())
        .limit(1)
    )
    return session.scalar(query)
