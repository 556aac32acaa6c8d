"""Operators are reminded of who has no reply to what they wrote after a person's first word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, text

from desk.domain import Author, ConversationState, DeliveryState, Person
from desk.flow import customers, edits, operators, reminding
from desk.flow.desk import Desk
from desk.pack import Pack, Sla
from desk.store import Store
from desk.tables import Conversation, Customer, Message
from desk.telegram_text import plain
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, OLGA, OSCAR, Stage, predict
from tests.desk.test_reminding import TUESDAY_TEN, call, crowd, lose, reminders, texts


@pytest.fixture
def stage(stage: Stage, clock: Clock) -> Stage:
    clock.set(TUESDAY_TEN)
    return stage


def _in_hand(stage: Stage, person: Person = ANA, thread_id: int = 77) -> None:
    """A person has answered a call, and the customer nothing since."""
    call(stage, person)
    stage.topic(person, thread_id)
    stage.reply("Which order?", thread_id=thread_id)
    stage.send_all()


def test_who_writes_to_a_colleague_who_has_gone_home_is_brought_to_mind_and_told_of_on_monday(
    stage: Stage, clock: Clock
) -> None:
    clock.set(datetime(2026, 3, 6, 17, 0, tzinfo=UTC))
    call(stage)
    stage.topic()
    clock.move(minutes=10)
    stage.reply("Which order?", user_id=OLGA)
    clock.move(minutes=10)
    stage.ask("A1, please refund, it is urgent", intent="refund")
    clock.move(minutes=15)
    assert reminding.remind(stage.desk) == 0
    clock.move(minutes=1)
    assert reminding.remind(stage.desk) == 1
    assert reminding.remind(stage.desk) == 0
    (reminder,) = reminders(stage)
    assert reminder.payload["text"] == (
        "⏰ Ana wrote 16 minutes ago and has no reply. Olga has the conversation."
    )
    assert reminder.topic_of == stage.customer().id
    stage.send_all()
    assert [row.state for row in reminders(stage)] == [DeliveryState.SENT]
    clock.set(datetime(2026, 3, 7, 12, 0, tzinfo=UTC))
    assert reminding.remind(stage.desk) == 0
    assert not reminding.announce(stage.desk)
    clock.set(datetime(2026, 3, 9, 9, 0, tzinfo=UTC))
    assert reminding.announce(stage.desk)
    assert not reminding.announce(stage.desk)
    assert reminding.remind(stage.desk) == 0, "of the same words they were reminded"
    digest = reminders(stage)[-1]
    assert digest.topic_of is None
    assert digest.payload["text"] == (
        "⏰ A customer is waiting for a colleague's next word: "
        '<a href="https://t.me/c/1234567890/77">Ana</a>, for 3 days.'
    )
    assert reminding.waiting(stage.desk) == (0, None), "nobody was promised a person in vain"


def test_nobody_is_reminded_of_a_next_word_at_night_and_only_opening_hours_count(
    stage: Stage, clock: Clock
) -> None:
    clock.set(TUESDAY_TEN.replace(hour=17, minute=44))
    _in_hand(stage)
    stage.ask("A1", intent="refund")
    clock.set(TUESDAY_TEN.replace(hour=18, minute=1))
    assert reminding.remind(stage.desk) == 0
    _in_hand(stage, BEN, 78)
    stage.ask("A2", BEN, intent="refund")
    clock.set(TUESDAY_TEN.replace(day=4, hour=9))
    assert reminding.remind(stage.desk) == 1
    clock.move(minutes=16)
    assert reminding.remind(stage.desk) == 1


def test_of_a_next_word_they_are_reminded_once_until_it_comes_and_then_anew(
    stage: Stage, clock: Clock
) -> None:
    _in_hand(stage)
    for number in (1, 2):
        stage.ask("A1", intent="refund")
        for _ in range(3):
            clock.move(minutes=20)
            reminding.remind(stage.desk)
            stage.ask("well?", intent="refund")
        assert len(reminders(stage)) == number
        stage.reply("I am looking")


def test_of_the_first_word_the_next_one_and_the_next_call_they_are_reminded_in_turn(
    stage: Stage, clock: Clock
) -> None:
    def reminded_later() -> int:
        clock.move(minutes=16)
        return reminding.remind(stage.desk)

    call(stage)
    stage.topic()
    assert reminded_later() == 1
    stage.ask("hurry up", intent="refund")
    clock.move(minutes=1)
    stage.reply("Which order?")
    assert reminded_later() == 0, "the words from before are answered"
    stage.ask("A1", intent="refund")
    assert reminded_later() == 1
    job = stage.write("and my lilies?")
    _resolve(stage)
    assert job is not None
    stage.decide((job, predict("and my lilies?", intent="complaint")))
    assert reminded_later() == 1
    assert [text.split(" has ")[0] for text in texts(stage)] == [
        "⏰ Ana",
        "⏰ Ana wrote 16 minutes ago and",
        "⏰ Ana",
    ]


@pytest.mark.parametrize(
    ("prediction", "reminded"),
    [
        ({}, 0),
        ({"confidence": 0.5}, 1),
        ({"confidence": 0.5, "threshold": 0.4}, 0),
        ({"scope": 0.2}, 1),
        ({"scope": 0.7}, 0),
        ({"language": "de"}, 1),
        ({"sentiment": "negative"}, 1),
        ({"sentiment": "negative", "sureness": 0.6}, 0),
        ({"intent": None}, 1),
    ],
    ids=str,
)
def test_a_closing_word_of_thanks_alarms_nobody_where_the_model_is_sure_of_it(
    stage: Stage, clock: Clock, prediction: dict[str, Any], reminded: int
) -> None:
    _in_hand(stage)
    stage.ask("thanks a lot", **{"intent": "greeting", **prediction})
    clock.move(minutes=16)
    assert reminding.remind(stage.desk) == reminded
    clock.set(TUESDAY_TEN.replace(day=4, hour=9))
    assert reminding.announce(stage.desk) is bool(reminded)


def test_who_asks_whether_anybody_is_there_waits_for_a_reply(stage: Stage, clock: Clock) -> None:
    pack = stage.desk.pack
    greeting = pack.intents["greeting"].model_copy(update={"closing": False})
    intents = {**pack.intents, "greeting": greeting}
    stage.desk = replace(stage.desk, pack=pack.model_copy(update={"intents": intents}))
    _in_hand(stage)
    stage.ask("hello? anybody there?", intent="greeting", confidence=0.99)
    clock.move(minutes=16)
    assert reminding.remind(stage.desk) == 1


def _send_file(stage: Stage) -> None:
    customers.sent_file(stage.desk, stage.update(), ANA, 55, "")


@pytest.mark.parametrize(
    "act",
    [
        lambda stage: stage.ask("and my refund?", intent="refund"),
        lambda stage: stage.write("and my refund?"),
        _send_file,
        call,
    ],
    ids=["a text", "an unread text", "a file", "a command"],
)
def test_what_comes_after_the_thanks_counts_and_from_its_own_time_on(
    stage: Stage, clock: Clock, act: Callable[[Stage], object]
) -> None:
    _in_hand(stage)
    stage.ask("hello", intent="greeting")
    clock.move(minutes=30)
    act(stage)
    clock.move(minutes=15)
    assert reminding.remind(stage.desk) == 0
    clock.move(minutes=1)
    assert reminding.remind(stage.desk) == 1
    assert texts(stage)[0].startswith("⏰ Ana wrote 16 minutes ago")


def _promising(stage: Stage, sla: Sla) -> Desk:
    return replace(stage.desk, pack=stage.desk.pack.model_copy(update={"sla": sla}))


def test_a_pack_may_give_the_next_word_another_time_than_the_first(
    stage: Stage, clock: Clock
) -> None:
    desk = _promising(stage, Sla(first_reply_minutes=15, next_reply_minutes=60))
    _in_hand(stage)
    stage.ask("A1", intent="refund")
    call(stage, BEN)
    clock.move(minutes=16)
    assert reminding.remind(desk) == 1
    assert "Ben has been waiting for a person" in texts(stage)[0]
    clock.move(minutes=45)
    assert reminding.remind(desk) == 1
    assert "Ana wrote 61 minutes ago" in texts(stage)[1]


def test_more_than_five_of_both_kinds_are_told_in_one_digest(stage: Stage, clock: Clock) -> None:
    for number, person in enumerate(crowd(6)):
        _in_hand(stage, person, 80 + number)
        stage.ask("A1", person, intent="refund")
        clock.move(seconds=1)
    clock.move(minutes=16)
    assert reminding.remind(stage.desk) == 6
    for number, person in enumerate(crowd(3)):
        stage.reply("I am looking", thread_id=80 + number)
        stage.ask("and?", person, intent="refund")
        clock.move(seconds=1)
    for person in [Person(chat_id=800 + n, name=f"Q{n}") for n in range(4)]:
        call(stage, person)
    clock.move(minutes=20)
    assert reminding.remind(stage.desk) == 7
    assert reminding.remind(stage.desk) == 0
    six, seven = map(plain, texts(stage))
    assert six == (
        "⏰ 6 customers are waiting for a colleague's next word. P0 has waited longest: 16 minutes."
    )
    assert seven == (
        "⏰ 10 customers are waiting: 4 for a person, 6 for a colleague's next word. "
        "P3 has waited longest: 36 minutes."
    )
    assert {row.topic_of for row in reminders(stage)} == {None}
    clock.set(TUESDAY_TEN.replace(day=4, hour=9))
    assert reminding.announce(stage.desk)
    assert plain(texts(stage)[-1]).startswith(
        "⏰ 10 customers are waiting: 4 for a person, 6 for a colleague's next word. P3 has"
    )


def _answer(stage: Stage) -> None:
    stage.reply("They come tomorrow")


def _resolve(stage: Stage) -> None:
    for _ in range(2):  # the first is asked about what nobody has read
        operators.resolved(stage.desk, stage.update(), OSCAR, 77)


def _answer_and_be_asked(stage: Stage) -> None:
    _answer(stage)
    stage.ask("and the vase?", intent="refund")


def _ban(stage: Stage) -> None:
    operators.banned(stage.desk, stage.update(), OLGA, 77)


@pytest.mark.parametrize("then", [_answer, _resolve, _answer_and_be_asked, _ban])
def test_a_reminder_of_a_next_word_that_comes_too_late_is_not_sent(
    stage: Stage, clock: Clock, then: Callable[[Stage], None]
) -> None:
    _in_hand(stage)
    stage.ask("A1", intent="refund")
    clock.move(minutes=16)
    assert reminding.remind(stage.desk) == 1
    then(stage)
    stage.send_all()
    assert [row.state for row in reminders(stage)] == [DeliveryState.CANCELLED]


@pytest.mark.parametrize(
    ("how", "reminded"),
    [("made a note", 1), ("refused", 1), ("blocked", 1), ("perhaps arrived", 0)],
)
def test_a_next_word_that_never_reached_the_customer_is_none(
    stage: Stage, clock: Clock, how: str, reminded: int
) -> None:
    _in_hand(stage)
    stage.ask("A1", intent="refund")
    stage.send_all()
    stage.reply("is this a fraud?")
    lose(stage, how)
    clock.move(minutes=16)
    assert reminding.remind(stage.desk) == reminded


def _edit(stage: Stage, text: str, message: Message) -> None:
    assert message.telegram_id is not None
    edits.customer_changed(stage.desk, stage.update(), ANA, message.telegram_id, text)


def test_an_edit_of_what_has_no_reply_neither_starts_the_time_anew_nor_reminds_twice(
    stage: Stage, clock: Clock
) -> None:
    _in_hand(stage)
    stage.ask("A1", intent="refund")
    clock.move(minutes=10)
    _edit(stage, "A2", stage.said()[-1])
    clock.move(minutes=6)
    assert reminding.remind(stage.desk) == 1
    _edit(stage, "A3", stage.said()[-1])
    clock.move(minutes=16)
    assert reminding.remind(stage.desk) == 0


def test_an_edit_of_what_was_said_before_a_persons_word_wants_a_reply(
    stage: Stage, clock: Clock
) -> None:
    _in_hand(stage)
    stage.ask("A1", intent="refund")
    stage.reply("A1 is on its way")
    clock.move(hours=2)
    assert reminding.remind(stage.desk) == 0
    (asked,) = (message for message in stage.said() if message.text == "A1")
    _edit(stage, "A2, sorry", asked)
    clock.move(minutes=16)
    assert reminding.remind(stage.desk) == 1


def test_who_was_just_taken_from_the_bot_is_not_late_at_once(stage: Stage, clock: Clock) -> None:
    clock.set(TUESDAY_TEN.replace(hour=8, minute=16))
    stage.ask("where are my roses")
    stage.topic()
    clock.set(TUESDAY_TEN)
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    assert not reminding.announce(stage.desk)
    assert reminding.remind(stage.desk) == 0
    clock.move(minutes=16)
    assert reminding.remind(stage.desk) == 1
    assert "Ana wrote 2 hours ago and has no reply. Oscar has" in texts(stage)[0]


def test_of_who_has_blocked_the_bot_and_has_no_next_word_nobody_is_reminded(
    stage: Stage, clock: Clock
) -> None:
    _in_hand(stage)
    stage.ask("A1", intent="refund")
    customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=True)
    clock.move(hours=2)
    assert reminding.remind(stage.desk) == 0
    clock.set(TUESDAY_TEN.replace(day=4, hour=9))
    assert not reminding.announce(stage.desk)
    customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=False)
    assert reminding.remind(stage.desk) == 1


def test_of_a_conversation_that_is_over_for_being_quiet_nobody_is_reminded(
    stage: Stage, clock: Clock
) -> None:
    _in_hand(stage)
    stage.ask("A1", intent="refund")
    clock.move(minutes=16)
    assert reminding.remind(stage.desk) == 1
    clock.move(days=10)  # more than 24 opening hours
    stage.ask("where are my roses")
    assert stage.conversations()[0].state is ConversationState.RESOLVED
    assert stage.said()[-1].author is Author.CUSTOMER
    clock.set(datetime(2026, 3, 16, 10, 0, tzinfo=UTC))
    assert reminding.remind(stage.desk) == 0
    assert not reminding.announce(stage.desk)


def _fill(connection: Connection, now: datetime) -> None:
    """200 conversations that people have, and 20,000 messages of others."""
    open_, over = ConversationState.HUMAN, ConversationState.RESOLVED
    ids = range(1000, 1400)
    connection.execute(insert(Customer), [{"id": id_, "chat_id": id_, "name": "P"} for id_ in ids])
    connection.execute(
        insert(Conversation),
        [{"id": id_, "customer_id": id_, "state": open_ if id_ < 1200 else over} for id_ in ids],
    )
    said = {"author": Author.CUSTOMER, "text": "hi", "created_at": now}
    connection.execute(
        insert(Message),
        [{"conversation_id": id_, **said} for id_ in ids]
        + [{"conversation_id": 1200 + n % 200, **said} for n in range(20_000)],
    )


@pytest.fixture(params=["sqlite", "postgres"])
def crowded(
    request: pytest.FixtureRequest, tmp_path: Path, pack: Pack, clock: Clock
) -> Iterator[Desk]:
    """A desk with much in its database, which is its own: others would keep what is counted of it
    for their plans."""
    clock.set(TUESDAY_TEN)
    url = f"sqlite:///{tmp_path / 'crowded.db'}"
    if request.param == "postgres":
        url = request.getfixturevalue("empty_postgres_url")
    store = Store(url)
    store.migrate()
    with store.engine.begin() as connection:
        _fill(connection, clock())
        connection.execute(text("ANALYZE"))
    yield Desk(store, pack, OPERATOR_CHAT, clock)
    store.dispose()


def test_the_look_for_who_has_no_reply_reads_no_other_messages_than_theirs(crowded: Desk) -> None:
    engine = crowded.store.engine
    looked: list[tuple[str, Any]] = []

    @event.listens_for(engine, "before_cursor_execute")
    def keep(_c: object, _u: object, query: str, values: Any, *_: object) -> None:
        if "predictions" in query:
            looked.append((query, values))

    assert reminding.remind(crowded) == 0
    ((query, values),) = looked
    explain = "EXPLAIN QUERY PLAN" if crowded.store.sqlite else "EXPLAIN"
    with engine.connect() as connection:
        plan = str(connection.exec_driver_sql(f"{explain} {query}", values).all())
    assert "ix_messages_conversation_id_id" in plan
    assert "SCAN" not in plan, plan
    assert "Seq Scan on messages" not in plan, plan
