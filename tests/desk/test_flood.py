"""One customer who writes a lot takes nothing from the others, and hears of it once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import select

from desk.domain import Action, ConversationState, MessageState
from desk.flow import announcing, customers, edits, operators
from desk.flow.button_actions import CALL_PERSON, CHOOSE_INTENT, SHOW_INTENT, THUMB_DOWN
from desk.flow.desk import Desk
from desk.flow.forwarding import forwarded
from desk.tables import ButtonRow, DecisionRow, Message
from desk.texts import say
from tests.conftest import Clock
from tests.desk.acting import ANA, BEN, OSCAR, Stage, predict

LIMIT = 3
NOTICE = say("flood", "en")


@pytest.fixture
def stage(desk: Desk) -> Stage:
    return Stage(replace(desk, flood_per_minute=LIMIT))


def write(stage: Stage, count: int) -> list[tuple[int, int] | None]:
    return [stage.write(f"hello {number}") for number in range(count)]


def edit(stage: Stage, message: Message, text: str) -> tuple[int, int] | None:
    assert message.telegram_id is not None
    return edits.customer_changed(stage.desk, stage.update(), ANA, message.telegram_id, text)


def rules(stage: Stage) -> list[str]:
    """How Ana's messages that are decided were decided, oldest first."""
    decided = select(DecisionRow).order_by(DecisionRow.message_id)
    return [decision.rule for decision in stage.all(decided)]


def test_what_is_written_beyond_the_limit_is_kept_unread_and_told_once(
    stage: Stage, clock: Clock
) -> None:
    assert write(stage, LIMIT)[1:] == [None] * (LIMIT - 1)
    assert stage.heard() == []
    assert write(stage, 5) == [None] * 5
    assert rules(stage) == ["flood"] * 5
    assert all(
        stage.decision(message.id).action is Action.SILENT
        for message in stage.said()
        if message.state is MessageState.DECIDED
    )
    assert stage.pending_count() == LIMIT
    assert stage.heard() == [NOTICE]
    assert stage.told() == []
    clock.move(seconds=59)
    write(stage, 1)
    assert stage.heard() == [NOTICE], "the episode goes on"
    write(stage, LIMIT)
    clock.move(seconds=59)
    write(stage, 1)
    assert stage.heard() == [NOTICE], "however long"


def test_what_is_forwarded_in_a_flood_calls_nobody(stage: Stage) -> None:
    write(stage, LIMIT)
    forwarded(stage.desk, stage.update(), ANA, 41, "All roses for 1 €!", "Bargains")
    assert rules(stage) == ["flood"]
    assert stage.heard() == [NOTICE]
    assert stage.told() == []
    assert stage.conversation().state is ConversationState.BOT


def test_what_was_written_before_the_clock_was_put_back_is_no_part_of_a_flood(
    stage: Stage, clock: Clock
) -> None:
    write(stage, LIMIT + 1)
    clock.move(hours=-1)
    write(stage, LIMIT)
    assert rules(stage) == ["flood"]
    write(stage, 1)
    assert rules(stage) == ["flood"] * 2
    assert stage.heard() == [NOTICE] * 2


def test_after_a_minute_the_bot_reads_again_and_a_new_flood_is_told_again(
    stage: Stage, clock: Clock
) -> None:
    write(stage, LIMIT + 1)
    clock.move(seconds=61)
    write(stage, LIMIT)
    assert stage.heard() == [NOTICE]
    assert stage.pending_count() == 2 * LIMIT
    write(stage, 1)
    assert stage.heard() == [NOTICE, NOTICE]


def test_what_was_held_back_is_read_once_it_is_edited_after_the_flood(
    stage: Stage, clock: Clock
) -> None:
    first, *_ = write(stage, LIMIT + 2)
    held = stage.said()[-1]
    assert edit(stage, held, "roses?") is None
    assert rules(stage) == ["flood"] * 3, "the edit is part of it"
    clock.move(seconds=61)
    assert edit(stage, held, "red roses?") is None, "its turn is behind those that wait"
    job = first
    for _ in range(LIMIT):
        assert job is not None
        (job,) = stage.decide((job, predict("hello", intent="greeting")))
    assert job is not None
    assert stage.message(job[0]).text == "red roses?"
    stage.decide((job, predict("red roses?")))
    clock.move(seconds=61)
    assert edit(stage, held, "pink roses?") is None, "it has its answer"
    assert stage.pending_count() == 0


def test_a_file_that_was_held_back_is_shown_once_its_caption_is_edited(
    stage: Stage, clock: Clock
) -> None:
    write(stage, LIMIT)
    customers.sent_file(stage.desk, stage.update(), ANA, 5, "my roses")
    clock.move(seconds=61)
    assert (
        edits.customer_changed(stage.desk, stage.update(), ANA, 5, "my roses, look", is_file=True)
        is None
    )
    (copy,) = stage.deliveries(stage.desk.operator_chat_id, method="copyMessage")
    assert copy.payload["message_id"] == 5
    assert stage.conversation().state is ConversationState.WAITING


def test_a_text_that_was_held_back_and_becomes_a_command_is_not_read(
    stage: Stage, clock: Clock
) -> None:
    write(stage, LIMIT + 1)
    waiting = stage.pending_count()
    clock.move(seconds=61)
    assert edit(stage, stage.said()[-1], "/help") is None
    assert stage.pending_count() == waiting


def test_a_steady_writer_below_the_limit_is_never_held_back(stage: Stage, clock: Clock) -> None:
    for _ in range(4 * LIMIT):
        stage.ask("roses?")
        clock.move(seconds=20)
    assert "flood" not in rules(stage)


def test_one_customers_flood_is_not_anothers(stage: Stage) -> None:
    write(stage, LIMIT + 1)
    assert stage.write("roses?", BEN) is not None


@pytest.mark.parametrize("taken", [False, True])
def test_a_person_who_is_awaited_or_in_charge_sees_all_of_it(stage: Stage, taken: bool) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    if taken:
        operators.took(stage.desk, stage.update(), OSCAR, 77)
    heard = stage.heard()
    for number in range(2 * LIMIT):
        stage.ask(f"again {number}")
    assert stage.heard() == heard
    assert "flood" not in rules(stage)
    for number in range(2 * LIMIT):
        assert any(f"again {number}" in text for text in stage.told())


def start(stage: Stage) -> None:
    customers.started(stage.desk, stage.update(), ANA)


def ask_for_help(stage: Stage) -> None:
    customers.asked_for_help(stage.desk, stage.update(), ANA)


def call(stage: Stage) -> None:
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")


def send_file(stage: Stage) -> None:
    customers.sent_file(stage.desk, stage.update(), ANA, 5, "[photo]")


@pytest.mark.parametrize("act", [start, ask_for_help])
def test_commands_beyond_the_limit_are_kept_and_get_no_reply_but_the_notice(
    stage: Stage, clock: Clock, act: Callable[[Stage], None]
) -> None:
    for _ in range(4 * LIMIT):
        act(stage)
    assert len(stage.heard()) == LIMIT + 1
    assert stage.heard()[-1] == NOTICE
    buttons = len(stage.all(select(ButtonRow)))
    assert len(stage.said()) == 4 * LIMIT
    clock.move(seconds=61)
    act(stage)
    assert stage.heard()[-1] == stage.heard()[0]
    assert act is ask_for_help or len(stage.all(select(ButtonRow))) == buttons * 4 // LIMIT
    assert stage.told() == []


def test_whatever_a_customer_sends_counts_together(stage: Stage) -> None:
    start(stage)
    ask_for_help(stage)
    stage.write("roses?")
    assert NOTICE not in stage.heard()
    assert stage.write("tulips?") is None
    heard = stage.heard()
    assert heard[-1] == NOTICE
    start(stage)
    send_file(stage)
    assert stage.heard() == heard
    assert stage.deliveries(stage.desk.operator_chat_id) == []
    assert stage.conversation().state is ConversationState.BOT


def test_in_a_flood_too_a_person_is_called_and_called_once(stage: Stage) -> None:
    write(stage, LIMIT + 1)
    call(stage)
    (card,) = stage.told()
    assert "Needs a person" in card
    assert stage.conversation().state is ConversationState.WAITING
    heard = stage.heard()
    for _ in range(4 * LIMIT):
        call(stage)
    assert stage.told() == [card]
    assert stage.heard() == heard
    assert len(stage.said()) == 5 * LIMIT + 2


@pytest.mark.parametrize("act", [start, call])
def test_who_waits_already_is_told_in_a_flood_that_somebody_comes(
    stage: Stage, act: Callable[[Stage], None]
) -> None:
    stage.ask("you are rude", intent="complaint")
    for number in range(LIMIT):
        stage.write(f"hello {number}")
    act(stage)
    waits = "Your message is with my colleagues. You will get the reply right here, usually within"
    assert stage.heard()[1:] == [f"{waits} 15 minutes."], "and not to call them once more"
    act(stage)
    assert len(stage.heard()) == 2


def test_in_a_flood_too_a_file_that_asks_for_a_person_calls_one(stage: Stage) -> None:
    write(stage, LIMIT + 1)
    customers.sent_file(stage.desk, stage.update(), ANA, 5, "/human look", asked=True)
    card, *_ = stage.told()  # and the texts that were to be decided
    assert "the customer asked for a person" in card
    assert len(stage.deliveries(stage.desk.operator_chat_id, method="copyMessage")) == 1


def test_who_calls_a_person_again_and_again_is_answered_within_the_limit(stage: Stage) -> None:
    for _ in range(100):
        call(stage)
    assert len(stage.heard()) == LIMIT + 1
    assert stage.heard()[-1] == stage.heard()[1] != NOTICE
    assert len(stage.told()) == LIMIT
    assert len(stage.said()) == 100


def test_while_a_person_is_in_charge_the_bot_says_nothing_of_a_flood(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    heard, told = stage.heard(), stage.told()
    for _ in range(4 * LIMIT):
        start(stage)
    assert stage.heard() == heard
    assert len(stage.told()) == len(told) + LIMIT - 1, "the first message counts, too"
    assert rules(stage)[1:LIMIT] == ["person_in_charge"] * (LIMIT - 1)


def test_pressed_buttons_count_and_beyond_the_limit_get_no_reply_but_the_notice(
    stage: Stage,
) -> None:
    start(stage)
    token = stage.token(SHOW_INTENT, "order_status")
    for _ in range(4 * LIMIT):
        stage.press(token)
    assert len(stage.heard()) == LIMIT + 1
    assert stage.heard()[-1] == NOTICE
    assert rules(stage) == ["flood"] * (3 * LIMIT + 1)
    stage.press(stage.token(CALL_PERSON))
    assert len(stage.told()) == 1


@pytest.mark.parametrize("choice", ["order_status", "complaint"])
def test_a_choice_beyond_the_limit_leaves_its_buttons_to_be_pressed_later(
    stage: Stage, clock: Clock, choice: str
) -> None:
    with stage.still_answering("complaint"):
        stage.ask("my order", confidence=0.5, others=[("complaint", 0.4)])
    (asked,) = stage.send_all()
    write(stage, LIMIT)
    token = stage.token(CHOOSE_INTENT, choice)
    assert asked.telegram_id is not None
    stage.press(token, telegram_id=asked.telegram_id)
    assert stage.heard()[-1] == NOTICE
    assert stage.feedback() == []
    assert stage.told() == [], "a topic that only a person can serve calls nobody either"
    assert stage.deliveries(method="editMessageReplyMarkup") == []
    clock.move(seconds=61)
    stage.press(token, telegram_id=asked.telegram_id)
    assert [intent for _, _, intent, _ in stage.feedback()] == [choice]
    assert len(stage.deliveries(method="editMessageReplyMarkup")) == 1


def test_a_thumb_pressed_again_and_again_is_answered_once_an_answer(stage: Stage) -> None:
    stage.ask("where are my roses")
    first = stage.token(THUMB_DOWN)
    stage.ask("and my tulips")
    heard = stage.heard()
    for _ in range(4 * LIMIT):
        stage.press(first)
    assert stage.heard() == [*heard, say("thumb-sorry", "en")]
    stage.press(stage.token(THUMB_DOWN))
    assert stage.heard() == [*heard, *[say("thumb-sorry", "en")] * 2]


def test_who_waits_is_announced_elsewhere_with_what_called_a_person(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    start(stage)
    start(stage)
    call(stage)
    assert rules(stage)[-1] == "flood"
    stage.send_all()
    moved = replace(stage.desk, operator_chat_id=-100777)
    announcing.announce_waiting(moved, stage.lease)
    (card,) = stage.deliveries(-100777, method="sendMessage")
    assert "<blockquote>you are rude</blockquote>" in card.payload["text"]


def test_with_a_backlog_the_newest_conversation_waits_for_one_message_of_the_noisy_one(
    desk: Desk,
) -> None:
    stage = Stage(desk)
    queue = deque(job for job in write(stage, 12) if job is not None)
    job = stage.write("roses?", BEN)
    assert job is not None
    queue.append(job)
    decided = []
    while queue:
        message_id, attempt = queue.popleft()
        text = stage.message(message_id).text
        decided.append(text)
        queue.extend(stage.decide(((message_id, attempt), predict(text))))
    assert decided[:3] == ["hello 0", "roses?", "hello 1"]
    assert decided[1:].count("roses?") == 1
    assert [text for text in decided if text != "roses?"] == [f"hello {n}" for n in range(12)]
    assert len(stage.heard(BEN)) == 1


def test_the_customers_language_is_spoken(stage: Stage) -> None:
    for _ in range(LIMIT + 1):
        stage.write("你好", BEN)
    assert stage.heard(BEN) == [say("flood", "zh")]
