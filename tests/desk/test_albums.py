"""An album comes as an update for each picture; what one caption says counts for all of them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from desk.domain import ConversationState, DeliveryState, Incoming
from desk.flow import delivering, edits, intake, operators, roster
from desk.flow.kept_back import stays_here
from desk.tables import DeliveryRow, Inbox
from desk.texts import say
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BOT, OLGA, OSCAR, Stage, new_rows


def _post(stage: Stage, *captions: str | None, album: str | None = "g1") -> None:
    """Oscar posts an album into the customer's topic; its pictures are stored together."""
    updates = []
    for number, caption in enumerate(captions):
        message: dict[str, Any] = {"message_id": 900 + number, "from": {"id": OSCAR}}
        message["photo"] = [{"file_id": "a"}]
        message |= {"media_group_id": album} if album else {}
        message |= {"caption": caption} if caption else {}
        update_id = 5000 + number
        raw = {"update_id": update_id, "message": message}
        updates.append(Incoming(BOT, update_id, OPERATOR_CHAT, raw))
    intake.store_updates(stage.desk, updates)
    rows = new_rows(stage.desk)
    for number, (row, caption) in enumerate(zip(rows, captions, strict=True)):
        if stays_here(caption):  # as the routers have it
            operators.noted(stage.desk, row.id, OSCAR, 77)
        else:
            text = caption or "[photo]"
            operators.operator_wrote(stage.desk, row.id, OSCAR, 77, 900 + number, text)


def _copies(stage: Stage) -> list[DeliveryRow]:
    return [row for row in stage.deliveries(ANA.chat_id) if row.key.startswith("operator:")]


def _copied(stage: Stage) -> int:
    return len(_copies(stage))


@pytest.mark.parametrize(
    "captions",
    [
        ("// fraud file", None, None),
        (None, "/note fraud file", None),
        ("／／ fraud file", None, None),
        (None, "／note fraud file", None),
        (None, None, "、、 fraud file"),
    ],
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
    ("captions", "album"),
    [
        (("your label", None, None), "g1"),
        (("// a note", None), None),
        (("、你的标签", None, None), "g1"),
    ],
)
def test_other_pictures_reach_the_customer(
    stage: Stage, captions: tuple[str | None, ...], album: str | None
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    _post(stage, *captions, album=album)
    assert _copied(stage) == len([caption for caption in captions if caption != "// a note"])


def _picture(number: int, caption: str | None, kind: str = "message") -> dict[str, Any]:
    words = {"caption": caption} if caption else {}
    sent = {"message_id": 900 + number, "from": {"id": OSCAR}, "media_group_id": "g1"}
    return {kind: {**sent, **words}}


def _arrives(stage: Stage, update_id: int, body: dict[str, Any]) -> int:
    """An update of the operators' chat is stored; returns its inbox id."""
    raw = {"update_id": update_id, **body}
    intake.store_updates(stage.desk, [Incoming(BOT, update_id, OPERATOR_CHAT, raw)])
    return new_rows(stage.desk)[-1].id


def _wrote(stage: Stage, inbox_id: int, number: int, text: str) -> None:
    operators.operator_wrote(stage.desk, inbox_id, OSCAR, 77, 900 + number, text)


def test_a_picture_that_comes_before_the_words_of_its_album_waits_for_them(
    stage: Stage, clock: Clock
) -> None:
    """A webhook's updates come side by side."""
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    _wrote(stage, _arrives(stage, 5001, _picture(1, None)), 1, "[photo]")
    stage.send_all()
    operators.noted(stage.desk, _arrives(stage, 5000, _picture(0, "// fraud file")), OSCAR, 77)
    clock.move(seconds=2)
    stage.send_all()
    assert [row.state for row in _copies(stage)] == [DeliveryState.CANCELLED]


@pytest.mark.parametrize("note", ["// fraud file", "／／ fraud file", "、、 fraud file"])
def test_an_album_that_becomes_a_note_before_it_leaves_stays_as_a_whole(
    stage: Stage, clock: Clock, note: str
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.send_all()
    for number, caption in enumerate(("fraud file", None, None)):
        inbox_id = _arrives(stage, 5000 + number, _picture(number, caption))
        _wrote(stage, inbox_id, number, caption or "[photo]")
    change = _arrives(stage, 5003, _picture(0, note, "edited_message"))
    rewritten = edits.Rewritten(note, "editMessageCaption", {})
    edits.operator_changed(stage.desk, change, OSCAR, 77, 900, rewritten)
    clock.move(seconds=2)
    stage.send_all()
    assert [row.state for row in _copies(stage)] == [DeliveryState.CANCELLED] * 3


def test_an_album_one_of_whose_pictures_replies_to_a_note_stays_as_a_whole_and_is_told_once(
    stage: Stage, clock: Clock
) -> None:
    """Telegram need not say of each picture what the album replies to."""
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.send_all()
    _wrote(stage, _arrives(stage, 5000, _picture(0, None)), 0, "[photo]")
    for number in (1, 2):
        body = _picture(number, None)
        body["message"] |= {"message_thread_id": 77, "reply_to_message": {"message_id": 4711}}
        inbox_id = _arrives(stage, 5000 + number, body)
        args = (OSCAR, 77, 900 + number, "[photo]", 4711)
        operators.operator_wrote(stage.desk, inbox_id, *args)
    _wrote(stage, _arrives(stage, 5003, _picture(3, None)), 3, "[photo]")
    clock.move(seconds=2)
    stage.send_all()
    assert [row.state for row in _copies(stage)] == [DeliveryState.CANCELLED]
    assert stage.told().count(say("kept-reply", "en")) == 1


@pytest.mark.parametrize("marks", [None, [{"type": "text_mention", "offset": 0, "length": 4}]])
def test_no_picture_of_an_album_that_is_a_word_to_a_colleague_reaches_the_customer(
    stage: Stage, clock: Clock, marks: list[dict[str, Any]] | None
) -> None:
    """Also when its caption's update is long handled, and all but ids is forgotten of that."""
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    caption = "Olga look" if marks else "@olga look"
    body = _picture(0, caption)
    body["message"] |= {"caption_entities": marks} if marks else {}
    args, inbox_id = (OSCAR, 77, 900, caption), _arrives(stage, 5000, body)
    operators.operator_wrote(stage.desk, inbox_id, *args, marks=marks or ())
    _wrote(stage, _arrives(stage, 5001, _picture(1, None)), 1, "[photo]")
    clock.move(seconds=2)
    stage.send_all()
    assert _copied(stage) == 0
    assert stage.told().count(say("kept-addressed", "en")) == 1


@pytest.mark.parametrize("words_first", [True, False])
@pytest.mark.parametrize("caption", ["her file, @olga_desk", "note: her file"])
def test_no_picture_of_an_album_that_names_a_colleague_or_reads_like_a_note_reaches_the_customer(
    stage: Stage, clock: Clock, caption: str, words_first: bool
) -> None:
    """Whichever of its pictures the words come with, and when all but ids of them is forgotten."""
    roster.keep_name(stage.desk, OLGA, "Olga", "olga_desk")
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.send_all()
    pictures = [caption, None] if words_first else [None, caption]
    for number, words in enumerate(pictures):
        inbox_id = _arrives(stage, 5000 + number, _picture(number, words))
        _wrote(stage, inbox_id, number, words or "[photo]")
    clock.move(seconds=2)
    stage.send_all()
    assert DeliveryState.SENT not in [row.state for row in _copies(stage)]
    kept = caption not in str([row.payload for row in stage.all(select(Inbox))])
    assert kept, "nothing of the words is kept"


def test_of_an_edit_that_nobody_made_of_a_picture_that_stays_nothing_is_told(stage: Stage) -> None:
    """Telegram tells of such edits at a reaction, say."""
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    sent = _picture(1, "he means this")["message"] | {"reply_to_message": {"message_id": 4711}}
    inbox_id = _arrives(stage, 5001, {"message": sent})
    operators.operator_wrote(stage.desk, inbox_id, OSCAR, 77, 901, sent["caption"], 4711)
    for number, caption in enumerate((sent["caption"], "she means this")):
        body = {"edited_message": sent | {"caption": caption}}
        rewritten = edits.Rewritten(caption, "editMessageCaption", {"caption": caption})
        arrived = _arrives(stage, 5002 + number, body)
        edits.operator_changed(stage.desk, arrived, OSCAR, 77, 901, rewritten)
        told = stage.told().count(say("change-of-nothing-sent", "en"))
        assert told == number


def test_an_album_for_the_customer_leaves_a_moment_later(stage: Stage, clock: Clock) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    _post(stage, "your label", None)
    stage.send_all()
    assert {row.state for row in _copies(stage)} == {DeliveryState.PENDING}
    clock.move(seconds=2)
    stage.send_all()
    assert [row.state for row in _copies(stage)] == [DeliveryState.SENT] * 2


@pytest.mark.parametrize("other", ["album", "bot", "chat"])
def test_a_note_says_nothing_of_the_pictures_of_another_album_bot_or_chat(
    stage: Stage, other: str
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    note = {
        "message_id": 800,
        "from": {"id": OSCAR},
        "photo": [{"file_id": "a"}],
        "media_group_id": "g2" if other == "album" else "g1",
        "caption": "// fraud file",
    }
    bot = BOT + 1 if other == "bot" else BOT
    chat = OPERATOR_CHAT - 1 if other == "chat" else OPERATOR_CHAT
    raw = {"update_id": 4990, "message": note}
    intake.store_updates(stage.desk, [Incoming(bot, 4990, chat, raw)])
    operators.noted(
        stage.desk, stage.one(select(Inbox.id).where(Inbox.update_id == 4990)), OSCAR, 77
    )
    _post(stage, "your label", None, album="g1")
    assert _copied(stage) == 2


def test_an_album_whose_words_were_a_note_for_a_moment_reaches_the_customer(
    stage: Stage, clock: Clock
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.send_all()
    for number, caption in enumerate(("your labels", None, None)):
        inbox_id = _arrives(stage, 5000 + number, _picture(number, caption))
        _wrote(stage, inbox_id, number, caption or "[photo]")
    for number, caption in enumerate(("/your labels", "your labels")):
        change = _arrives(stage, 5003 + number, _picture(0, caption, "edited_message"))
        rewritten = edits.Rewritten(caption, "editMessageCaption", {"caption": caption})
        edits.operator_changed(stage.desk, change, OSCAR, 77, 900, rewritten)
    clock.move(seconds=2)
    stage.send_all()
    assert [row.state for row in _copies(stage)][1:] == [DeliveryState.SENT] * 2


def test_where_a_part_of_an_album_has_left_before_it_became_a_note_it_is_taken_back(
    stage: Stage, clock: Clock
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.send_all()
    for number, caption in enumerate(("your labels", None)):
        inbox_id = _arrives(stage, 5000 + number, _picture(number, caption))
        _wrote(stage, inbox_id, number, caption or "[photo]")
    clock.move(seconds=2)
    (first,) = (taken for taken in stage.take() if taken.chat_id == ANA.chat_id)
    delivering.sent(stage.desk, first.id, first.attempts, 41)
    change = _arrives(stage, 5002, _picture(0, "/your labels", "edited_message"))
    rewritten = edits.Rewritten("/your labels", "editMessageCaption", {})
    edits.operator_changed(stage.desk, change, OSCAR, 77, 900, rewritten)
    (deletion,) = (row for row in stage.send_all() if row.method == "deleteMessage")
    assert deletion.message_id == _copies(stage)[0].message_id
    assert "Taken back" in stage.told()[-1]
    assert {row.state for row in _copies(stage)} == {DeliveryState.CANCELLED}
