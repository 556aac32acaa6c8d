"""An album comes as an update for each picture; what one caption says counts for all of them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from desk.domain import ConversationState, Incoming
from desk.flow import intake, operators
from desk.tables import Inbox
from tests.conftest import OPERATOR_CHAT
from tests.desk.acting import ANA, BOT, OSCAR, Stage, new_rows


def _post(stage: Stage, *captions: str | None, album: str | None = "g1") -> None:
    """Oscar posts an album into the customer's topic; its pictures are stored together."""
    updates = []
    for number, caption in enumerate(captions):
        message: dict[str, Any] = {"message_id": 900 + number, "photo": [{"file_id": "a"}]}
        message |= {"media_group_id": album} if album else {}
        message |= {"caption": caption} if caption else {}
        update_id = 5000 + number
        raw = {"update_id": update_id, "message": message}
        updates.append(Incoming(BOT, update_id, OPERATOR_CHAT, raw))
    intake.store_updates(stage.desk, updates)
    rows = new_rows(stage.desk)
    for number, (row, caption) in enumerate(zip(rows, captions, strict=True)):
        if caption and caption.startswith("/"):  # as the routers have it
            operators.noted(stage.desk, row.id, 77)
        else:
            text = caption or "[photo]"
            operators.operator_wrote(stage.desk, row.id, OSCAR, 77, 900 + number, text)


def _copied(stage: Stage) -> int:
    return sum(row.key.startswith("operator:") for row in stage.deliveries(ANA.chat_id))


@pytest.mark.parametrize(
    "captions", [("// fraud file", None, None), (None, "/note fraud file", None)]
)
def test_no_picture_of_an_album_that_is_a_note_reaches_the_customer(
    stage: Stage, captions: tuple[str | None, ...]
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    _post(stage, *captions)
    assert _copied(stage) == 0
    assert stage.conversation().state is ConversationState.WAITING
    noted = [row for row in stage.deliveries(OPERATOR_CHAT) if row.key.startswith("told:")]
    assert len(noted) == 1


@pytest.mark.parametrize(
    ("captions", "album"), [(("your label", None, None), "g1"), (("// a note", None), None)]
)
def test_other_pictures_reach_the_customer(
    stage: Stage, captions: tuple[str | None, ...], album: str | None
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    _post(stage, *captions, album=album)
    assert _copied(stage) == len([caption for caption in captions if caption != "// a note"])


@pytest.mark.parametrize("other", ["album", "bot", "chat"])
def test_a_note_says_nothing_of_the_pictures_of_another_album_bot_or_chat(
    stage: Stage, other: str
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    note = {
        "message_id": 800,
        "photo": [{"file_id": "a"}],
        "media_group_id": "g2" if other == "album" else "g1",
        "caption": "// fraud file",
    }
    bot = BOT + 1 if other == "bot" else BOT
    chat = OPERATOR_CHAT - 1 if other == "chat" else OPERATOR_CHAT
    raw = {"update_id": 4990, "message": note}
    intake.store_updates(stage.desk, [Incoming(bot, 4990, chat, raw)])
    operators.noted(stage.desk, stage.one(select(Inbox.id).where(Inbox.update_id == 4990)), 77)
    _post(stage, "your label", None, album="g1")
    assert _copied(stage) == 2
