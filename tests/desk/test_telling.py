"""Who writes in the operators' chat gets an answer; who is no operator, one once in a while."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from desk.domain import ANONYMOUS_ADMIN, ConversationState, Person
from desk.flow import operators, telling
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import OLGA, OSCAR, STRANGER, Stage

Commands = dict[str, Callable[[Stage, int, int], None]]
COMMANDS: Commands = {
    "/help": lambda stage, inbox_id, user_id: operators.help_wanted(
        stage.desk, inbox_id, user_id, None
    ),
    "a note": lambda stage, inbox_id, user_id: operators.noted(stage.desk, inbox_id, user_id, 77),
    "a note elsewhere": lambda stage, inbox_id, user_id: operators.noted(
        stage.desk, inbox_id, user_id, 78
    ),
    "/take in General": lambda stage, inbox_id, user_id: operators.misplaced(
        stage.desk, inbox_id, user_id
    ),
    "a file with a command": lambda stage, inbox_id, user_id: operators.sent_file_with_command(
        stage.desk, inbox_id, user_id, 77
    ),
    "an unknown command": lambda stage, inbox_id, user_id: operators.mistyped(
        stage.desk, inbox_id, user_id, 77, f"/x{inbox_id}"
    ),
}


def test_help_in_the_operators_chat_lists_the_commands(stage: Stage) -> None:
    operators.help_wanted(stage.desk, stage.update(), OSCAR, 77)
    (row,) = stage.deliveries(OPERATOR_CHAT)
    assert "/resolve" in row.payload["text"]
    assert row.payload["message_thread_id"] == 77


@pytest.mark.parametrize("command", COMMANDS)
def test_an_operator_is_answered_each_time(stage: Stage, command: str) -> None:
    for user_id in (OSCAR, OLGA, OSCAR):
        COMMANDS[command](stage, stage.update(OPERATOR_CHAT), user_id)
    assert len(stage.told()) == 3
    assert not any("Only operators" in text for text in stage.told())


def test_an_operator_is_told_once_in_a_while_that_there_is_no_such_command(stage: Stage) -> None:
    for command in ("/resovle", "/resovle", "/tkae"):
        operators.mistyped(stage.desk, stage.update(), OSCAR, 77, command)
    assert [text.split()[0] for text in stage.told()] == ["/resovle", "/tkae"]


def test_a_stranger_who_floods_the_chat_with_commands_is_told_in_a_few_places_and_delays_nobody(
    stage: Stage, clock: Clock
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.send_all()
    told = len(stage.told())
    for _ in range(3):
        for do in COMMANDS.values():
            do(stage, stage.update(OPERATOR_CHAT), STRANGER)
        for topic in range(77, 90):
            operators.took(stage.desk, stage.update(), STRANGER, topic)
        stage.reply("haha", user_id=STRANGER)
        operators.ordered_training(stage.desk, stage.update(), STRANGER)
        operators.queue_wanted(stage.desk, stage.update(), STRANGER)
    post = f"post:{stage.ask('hello?')}"
    sent = [row.key for row in stage.send_all() if row.chat_id == OPERATOR_CHAT]
    few = telling.STRANGERS_NOTICES
    assert [key.rpartition(":")[0] for key in sent] == [
        *(f"told:operators-only:{STRANGER}:{number}" for number in range(few)),
        "post",
    ]
    assert sent[few] == post
    assert "frontdesk operators add 666" in stage.told()[told]
    COMMANDS["/help"](stage, stage.update(OPERATOR_CHAT), STRANGER + 1)
    assert len(stage.told()) == told + few + 2, "another has to know, too"
    clock.move(seconds=telling.REFUSED_FOR_SECONDS)
    COMMANDS["a note"](stage, stage.update(OPERATOR_CHAT), STRANGER)
    assert len(stage.told()) == told + few + 3


def test_who_is_no_operator_and_writes_to_several_customers_is_told_so_below_each(
    stage: Stage, clock: Clock
) -> None:
    crowd = [Person(chat_id=700 + number, name=f"P{number}") for number in range(6)]
    for number, person in enumerate(crowd):
        stage.ask("you are rude", person, intent="complaint")
        stage.topic(person, 80 + number)
    told = len(stage.told())

    def places() -> list[int]:
        rows = stage.deliveries(OPERATOR_CHAT, method="sendMessage")
        return [row.payload["message_thread_id"] for row in rows if row.key.startswith("told:")]

    # Just before one span of ten minutes ends.
    clock.set(datetime(2026, 3, 3, 10, 9, 58, tzinfo=UTC))
    for _ in range(2):
        for number in range(6):
            stage.reply("I am on it", user_id=STRANGER, thread_id=80 + number)
    assert places() == [80, 81, 82, 83, 84], "and no more in a while"
    clock.move(seconds=4)
    stage.reply("still on it", user_id=STRANGER, thread_id=80)
    assert len(stage.told()) == told + 5, "they were told four seconds ago"
    clock.move(seconds=telling.REFUSED_FOR_SECONDS)
    stage.reply("still on it", user_id=STRANGER, thread_id=85)
    assert places()[5:] == [85]


def test_whoever_writes_to_no_effect_in_a_customers_topic_is_told_once_in_ten_minutes(
    stage: Stage, clock: Clock
) -> None:
    stage.ask("roses?")
    stage.topic()
    for _ in range(3):
        stage.reply("let me help", user_id=STRANGER)
        stage.reply("me too", user_id=STRANGER + 1)
    told = [text.rpartition(" ")[2] for text in stage.told()]
    assert told == [str(STRANGER), str(STRANGER + 1)]
    clock.move(seconds=telling.REFUSED_FOR_SECONDS)
    stage.reply("still here", user_id=STRANGER)
    assert len(stage.told()) == 3


@pytest.mark.parametrize("user_id", [STRANGER, ANONYMOUS_ADMIN])
def test_who_closes_a_topic_and_is_no_operator_learns_that_the_conversation_goes_on(
    stage: Stage, user_id: int
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    operators.closed_topic(stage.desk, stage.update(), user_id, 77)
    assert stage.conversation().state is ConversationState.WAITING
    assert "An operator's /resolve closes it" in stage.told()[-1]
    told = stage.told()
    for _ in range(3):
        operators.reopened_topic(stage.desk, stage.update(), user_id, 77)
        operators.closed_topic(stage.desk, stage.update(), user_id, 77)
    assert stage.told() == told, "they have just been told"
    operators.closed_topic(stage.desk, stage.update(), OSCAR, 77)
    told = stage.told()
    operators.closed_topic(stage.desk, stage.update(), user_id, 77)
    assert stage.told() == told, "there is nothing left to resolve"


def test_who_is_refused_a_command_again_and_again_is_told_once_in_ten_minutes_there(
    stage: Stage, clock: Clock
) -> None:
    stage.ask("roses?")
    stage.topic()

    def try_all() -> int:
        for _ in range(5):
            operators.took(stage.desk, stage.update(), STRANGER, 77)
            operators.queue_wanted(stage.desk, stage.update(), STRANGER)
            operators.ordered_training(stage.desk, stage.update(), STRANGER)
        return len(stage.told())

    assert try_all() == 2, "in the topic and in General"
    operators.took(stage.desk, stage.update(), STRANGER + 1, 77)
    assert len(stage.told()) == 3, "another has to know, too"
    clock.move(seconds=telling.REFUSED_FOR_SECONDS)
    assert try_all() == 5


def test_who_writes_anonymously_is_told_to_stop_that_and_never_to_add_that_id(
    stage: Stage,
) -> None:
    stage.ask("roses?")
    stage.topic()
    stage.reply("hello", user_id=ANONYMOUS_ADMIN)
    operators.took(stage.desk, stage.update(), ANONYMOUS_ADMIN, 77)
    operators.ordered_training(stage.desk, stage.update(), ANONYMOUS_ADMIN)
    operators.help_wanted(stage.desk, stage.update(), ANONYMOUS_ADMIN, None)
    assert len(stage.told()) == 2, "once in a topic and once in General"
    assert all("You write anonymously" in text for text in stage.told())
