"""A customer who leaves all that there can be, and a look at what is left of her."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select

from desk.domain import (
    Incoming,
    Person,
)
from desk.flow import customers, intake
from desk.tables import Base, Inbox
from tests.desk.acting import BOT, Stage, predict

UMA = Person(
    chat_id=77001234,
    name="Umbrielle Quill",
    username="umaquill",
    language="en",
    first_name="Umbrielle",
)
ZOE = Person(chat_id=503, name="Zoe")
LINKS = ["https://quill.example/17 Elm Road"]
# Too long to come about in a random token.
SECRETS = ("77001234", "Umbrielle", "Quill", "umaquill", "peonies", "17 Elm Road")


def everything(stage: Stage) -> str:
    """All that is in the database, as one text."""
    with stage.desk.store.engine.connect() as connection:
        return "\n".join(
            json.dumps([str(value) for value in row])
            for table in Base.metadata.sorted_tables
            for row in connection.execute(table.select())
        )


def left_of_uma(stage: Stage) -> list[str]:
    found = everything(stage)
    return [secret for secret in SECRETS if secret in found]


def uma_says(stage: Stage, text: str) -> int:
    """An update as Telegram sends it: with who writes, and what."""
    number = 5000 + len(stage.all(select(Inbox)))
    who = {"id": UMA.chat_id, "first_name": "Umbrielle", "username": "umaquill"}
    payload = {"update_id": number, "message": {"chat": {"id": UMA.chat_id}, "from": who}}
    payload["message"] |= {"message_id": number, "text": text}
    return store(stage, number, UMA.chat_id, payload)


def store(stage: Stage, number: int, chat_id: int, payload: dict[str, Any]) -> int:
    intake.store_updates(stage.desk, [Incoming(BOT, number, chat_id, payload)])
    return int(stage.one(select(Inbox.id).where(Inbox.update_id == number)))


def uma_asks(stage: Stage, text: str, **prediction: Any) -> int:
    """She writes, in reply to something about her peonies, with an address behind her words."""
    number = uma_says(stage, text)
    job = customers.wrote(stage.desk, number, UMA, 41, text, "Your peonies are in the oven", LINKS)
    assert job is not None
    stage.decide((job, predict(text, **prediction)))
    return job[0]


def uma_presses(stage: Stage, action: str, argument: str | None = None) -> None:
    stage.press(stage.token(action, argument), by=UMA.chat_id)
