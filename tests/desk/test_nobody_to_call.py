"""Without an operators' chat the bot goes on, and nobody who waits for a person is forgotten."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from desk.domain import Action, ConversationState
from desk.flow import announcing, customers, deciding, delivering
from desk.flow.button_actions import CALL_OFF, CALL_PERSON, CHOOSE_INTENT, SHOW_INTENT
from desk.flow.promising import CHAT_UNUSABLE
from desk.tables import ButtonRow
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, Stage, predict

NOBODY = (
    "Your message is kept, but nobody can be reached right now. As soon as somebody can, you "
    "will get the reply right here."
)
DAYS = "Bouquets take <b>2</b> days, Ana."
HOURS = "We are open Monday to Friday, nine to six."


@pytest.fixture
def alone(stage: Stage) -> Stage:
    """A desk without an operators' chat, of whose customer Ana the bot was not sure."""
    alone = Stage(replace(stage.desk, operator_chat_id=None), first_update=1000)
    alone.ask("you are rude", intent="complaint")
    return alone


def test_without_an_operators_chat_escalation_still_speaks_to_the_customer(alone: Stage) -> None:
    customers.asked_for_person(alone.desk, alone.update(), ANA, "/human")
    customers.started(alone.desk, alone.update(), ANA)
    assert alone.heard() == [NOBODY] * 3
    assert alone.deliveries(OPERATOR_CHAT) == []


def test_while_the_bot_is_out_of_the_group_nobody_is_promised(stage: Stage, clock: Clock) -> None:
    """But for some minutes, in which somebody may let it in again."""

    def refused() -> None:
        (card,) = (taken for taken in stage.take() if taken.chat_id == OPERATOR_CHAT)
        error = f"{CHAT_UNUSABLE}403: Forbidden: bot was kicked from the supergroup chat"
        delivering.again(stage.desk, card.id, card.attempts, 60, error)

    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    refused()
    clock.move(seconds=61)
    refused()
    customers.asked_for_person(stage.desk, stage.update(), BEN, "/human")
    assert "联系不到" not in stage.heard(BEN)[-1]
    for _ in range(5):
        clock.move(seconds=61)
        refused()
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    assert stage.heard()[-1] == NOBODY
    clock.move(seconds=61)
    stage.send_all()
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    assert "message is with my colleagues" in stage.heard()[-1]


def test_once_the_bot_is_in_again_what_still_waits_its_turn_takes_no_promise_back(
    stage: Stage, clock: Clock
) -> None:
    """It keeps the old error until then, and calls for help go before it."""
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.send_all()
    stage.ask("hello?", intent="complaint")
    (post,) = (taken for taken in stage.take() if taken.chat_id == OPERATOR_CHAT)
    delivering.again(stage.desk, post.id, post.attempts, 60, f"{CHAT_UNUSABLE}403: Forbidden")
    clock.move(minutes=6)
    customers.asked_for_person(stage.desk, stage.update(), BEN, "/human")
    (card,) = (taken for taken in stage.take() if taken.chat_id == OPERATOR_CHAT)
    delivering.again(stage.desk, card.id, card.attempts, 60, f"{CHAT_UNUSABLE}403: Forbidden")
    customers.asked_for_person(stage.desk, stage.update(), BEN, "/human")
    assert "联系不到" in stage.heard(BEN)[-1], "the last one refused is new, the other waits long"
    clock.move(seconds=61)
    (card,) = (taken for taken in stage.take() if taken.chat_id == OPERATOR_CHAT)
    delivering.sent(stage.desk, card.id, card.attempts, 9000)
    clock.move(minutes=1)
    customers.asked_for_person(stage.desk, stage.update(), BEN, "/human")
    assert "联系不到" not in stage.heard(BEN)[-1]


def test_what_only_waits_its_turn_for_the_group_takes_no_promise_back(
    stage: Stage, clock: Clock
) -> None:
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    (card,) = (taken for taken in stage.take() if taken.chat_id == OPERATOR_CHAT)
    delivering.again(stage.desk, card.id, card.attempts, 600, "429: Too Many Requests")
    clock.move(minutes=9)
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    assert "message is with my colleagues" in stage.heard()[-1]


def test_who_waits_where_nobody_can_be_called_is_answered_what_the_bot_is_sure_of(
    alone: Stage,
) -> None:
    message_id = alone.ask("where are my roses", intent="order_status")
    assert alone.decision(message_id).action is Action.ANSWER
    alone.ask("when do you open", intent="opening_hours")
    assert alone.heard() == [NOBODY, DAYS, HOURS]
    assert alone.conversation().state is ConversationState.WAITING


def test_who_waits_where_nobody_can_be_called_is_asked_back(alone: Stage) -> None:
    message_id = alone.ask("roses", confidence=0.4, others=[("refund", 0.35)])
    assert alone.decision(message_id).action is Action.CLARIFY
    alone.press(alone.token(CHOOSE_INTENT, "order_status"))
    assert alone.heard()[-1] == DAYS


def test_who_writes_on_where_nobody_can_be_called_is_told_so_now_and_then(
    alone: Stage, clock: Clock
) -> None:
    for words in ("it is dead", "all of it", "hello?"):
        message_id = alone.ask(words, intent="complaint")
        assert alone.decision(message_id).action is Action.ESCALATE
    assert alone.heard() == [NOBODY], "not at every word"
    clock.move(minutes=10)
    alone.ask("anybody there?", intent="complaint")
    alone.ask("please", intent="complaint")
    assert alone.heard() == [NOBODY] * 2
    alone.ask("when do you open", intent="opening_hours")
    alone.ask("and you are rude", intent="complaint")
    assert alone.heard()[2:] == [HOURS, NOBODY], "after another answer silence would be odd"


def test_files_where_nobody_can_be_called_are_no_silence_either(alone: Stage, clock: Clock) -> None:
    clock.move(minutes=10)
    for telegram_id in (51, 52):  # an album
        customers.sent_file(alone.desk, alone.update(), ANA, telegram_id, "")
    assert alone.heard() == [NOBODY] * 2


def test_a_sticker_where_nobody_can_be_called_asks_for_nothing(alone: Stage, clock: Clock) -> None:
    clock.move(minutes=10)
    customers.sent_file(alone.desk, alone.update(), ANA, 51, "", gesture=True)
    assert alone.heard() == [NOBODY]


def test_a_late_message_where_nobody_can_be_called_is_no_silence(alone: Stage) -> None:
    job = alone.write("where are my roses")
    assert job is not None
    assert customers.awaits_bot(alone.desk, job[0])
    deciding.give_up(alone.desk, [job[0]])
    assert len(alone.heard()) == 2
    assert NOBODY in alone.heard()[-1]


def test_a_question_under_way_is_answered_though_a_person_is_asked_for_in_vain(
    alone: Stage,
) -> None:
    job = alone.write("where are my roses")
    assert job is not None
    customers.asked_for_person(alone.desk, alone.update(), ANA, "/human")
    alone.decide((job, predict()))
    assert alone.heard() == [NOBODY, NOBODY, DAYS]


def test_topics_are_opened_where_nobody_can_be_called(alone: Stage) -> None:
    customers.started(alone.desk, alone.update(), ANA, "opening_hours")
    alone.ask("where are my roses", intent="order_status")
    alone.press(alone.token(SHOW_INTENT, "opening_hours"))
    assert alone.heard() == [NOBODY, HOURS, DAYS, HOURS]


def test_whoever_presses_for_a_person_who_can_not_be_called_reads_so(alone: Stage) -> None:
    alone.ask("where are my roses", intent="order_status")
    answer = alone.press(alone.token(CALL_PERSON))
    assert (answer.text, answer.alert) == (NOBODY, True)


def test_a_topic_that_was_chosen_after_a_person_was_called_in_vain_is_heard_of(
    stage: Stage,
) -> None:
    alone = Stage(replace(stage.desk, operator_chat_id=None), first_update=1000)
    with alone.still_answering("complaint"):
        alone.ask("roses", confidence=0.4, others=[("complaint", 0.35)])
    person, complaint = alone.token(CALL_PERSON), alone.token(CHOOSE_INTENT, "complaint")
    alone.press(person)
    said = len(alone.heard())
    alone.press(complaint)
    assert alone.heard()[said:] == [NOBODY]


def test_where_nobody_can_be_called_what_helped_in_vain_is_said_again_later(
    alone: Stage, clock: Clock
) -> None:
    for _ in range(4):
        alone.ask("where are my roses", intent="order_status")
    assert alone.heard() == [NOBODY, DAYS, DAYS, NOBODY, DAYS], "after the call it begins anew"


def test_where_nobody_can_be_called_a_day_of_quiet_is_forgotten_as_with_the_bot(
    alone: Stage, clock: Clock
) -> None:
    alone.ask("roses", confidence=0.4, others=[("refund", 0.35)])
    clock.move(hours=alone.desk.pack.policy.quiet_hours)
    message_id = alone.ask("roses", confidence=0.4, others=[("refund", 0.35)])
    assert alone.decision(message_id).action is Action.CLARIFY, "it may ask back again"
    assert alone.conversation().state is ConversationState.WAITING


def test_a_flood_is_one_also_where_nobody_can_be_called(stage: Stage) -> None:
    alone = Stage(replace(stage.desk, operator_chat_id=None, flood_per_minute=2), first_update=1000)
    alone.ask("you are rude", intent="complaint")
    alone.ask("where are my roses", intent="order_status")
    assert alone.write("when do you open") is None
    assert alone.pending_count() == 0


def test_no_buttons_are_kept_for_operators_whom_there_are_not(alone: Stage) -> None:
    assert alone.all(select(ButtonRow).where(ButtonRow.action != CALL_OFF)) == []


def test_all_that_was_said_meanwhile_is_shown_once_there_is_an_operators_chat(
    alone: Stage, stage: Stage
) -> None:
    alone.ask("where are my roses", intent="order_status")
    alone.ask("all of it is dead", intent="complaint")
    announcing.announce_waiting(stage.desk, stage.lease)
    card, *posts = stage.told()
    assert "you are rude" in card
    assert ["roses" in posts[0], "all of it is dead" in posts[1]] == [True, True]
    assert len(posts) == 2
    called = Stage(stage.desk, first_update=2000)
    message_id = called.ask("where are my roses now", intent="order_status")
    assert called.decision(message_id).action is Action.SILENT
