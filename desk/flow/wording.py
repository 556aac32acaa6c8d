"""What the pack says to a customer, in their language: answers, titles, and the buttons below."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from desk.domain import Button
from desk.flow.button_actions import CALL_PERSON, SHOW_INTENT, THUMB_DOWN, THUMB_UP
from desk.flow.desk import Desk
from desk.flow.names import called
from desk.pack import PackButton
from desk.tables import Customer
from desk.telegram_html import escaped as html
from desk.telegram_text import plain
from desk.texts import say


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
