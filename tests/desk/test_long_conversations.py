"""What one more message costs grows neither with its conversation nor with all that was sent."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event, select

from desk.domain import Author
from desk.flow import announcing, batch, customers, erasing, operators, runs
from desk.flow.card_history import HISTORY
from desk.tables import Message
from desk.telegram_text import length, plain
from simulator.html_markup import parse_html
from tests.conftest import Clock
from tests.desk.acting import ANA, BEN, OSCAR, Stage, predict


def _selects(stage: Stage, act: Callable[[], object]) -> list[tuple[str, Any]]:
    """The queries of an act with their parameters."""
    said: list[tuple[str, Any]] = []

    def note(*event_: Any) -> None:
        if event_[2].startswith("SELECT"):
            said.append((event_[2], event_[3]))

    event.listen(stage.desk.store.engine, "before_cursor_execute", note)
    try:
        act()
    finally:
        event.remove(stage.desk.store.engine, "before_cursor_execute", note)
    return said


def _plan(stage: Stage, query: str, values: Any) -> str:
    with stage.desk.store.engine.connect() as connection:
        if stage.desk.store.sqlite:
            return str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", values).all())
        # As with many rows: these few would be read whole.
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return str(connection.exec_driver_sql(f"EXPLAIN {query}", values).all())


@pytest.fixture
def taken(stage: Stage) -> Stage:
    """A conversation that a person has taken."""
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    stage.send_all()
    return stage


def test_looks_at_what_grows_go_by_the_indexes_made_for_them(taken: Stage) -> None:
    def act() -> None:
        job = taken.write("well?")
        assert job is not None
        taken.decide((job, predict("well?")))
        taken.send_all()

    plans = [_plan(taken, query, values) for query, values in _selects(taken, act)]
    for index in ("messages_pending", "deliveries_cards", "deliveries_unfinished"):
        assert any(f"ix_{index}" in plan for plan in plans), index
    (turns,) = {plan for plan in plans if "ix_deliveries_shown" in plan}
    assert "ix_deliveries_unfinished" in turns
    for other in ("ix_deliveries_state_id", "ix_deliveries_chat_id_telegram_id"):
        assert other not in turns, "it would read what is for other chats, or was sent long ago"


def test_the_look_for_new_feedback_reads_none_that_is_older(stage: Stage) -> None:
    runs.order_run(stage.desk, "nightly")
    act = partial(runs.taught_since_last_run, stage.desk, stage.desk.clock())
    plans = [_plan(stage, query, values) for query, values in _selects(stage, act)]
    assert any("ix_feedback_created_at" in plan for plan in plans)
    assert any("ix_feedback_withdrawn_at" in plan for plan in plans)


def test_the_look_for_what_one_customer_taught_reads_no_feedback_of_others(
    taken: Stage, clock: Clock
) -> None:
    taken.ask("roses?", BEN)
    taken.send_all()

    def act() -> None:
        assert erasing.erase_silent(taken.desk, clock.move(days=1), 9) == 1

    looks = [each for each in _selects(taken, act) if "feedback.sentiment, " in each[0]]
    assert len(looks) == 2, "before what was taught is masked, and under the lock"
    by_message = "autoindex_feedback_1 (" if taken.desk.store.sqlite else "uq_feedback_message_id"
    for look in looks:
        plan = _plan(taken, *look)
        assert plan.count(by_message) == 2, plan
        assert "ix_feedback" not in plan, plan


def test_the_look_for_who_is_not_announced_reads_the_cards_of_open_conversations_alone(
    taken: Stage,
) -> None:
    act = partial(announcing.announce_waiting, taken.desk, taken.lease)
    looks = [each for each in _selects(taken, act) if "NOT (EXISTS" in each[0]]
    assert len(looks) == 2
    for look in looks:
        plan = _plan(taken, *look)
        assert "ix_deliveries_cards" in plan, plan
        if taken.desk.store.sqlite:  # PostgreSQL may read both for tables as small as these
            assert "ix_deliveries_chat_id" not in plan, plan


def test_the_look_for_a_change_that_came_first_reads_only_the_last_that_was_said(
    stage: Stage,
) -> None:
    stage.ask("hi")
    asked = _selects(stage, lambda: stage.write("well?"))
    looks = [each for each in asked if "messages.telegram_id IS NOT NULL" in each[0]]
    (plan,) = (_plan(stage, *look) for look in looks)
    assert "ix_messages_conversation_id_id" in plan
    assert "ix_conversations_customer_id" in plan
    assert "LIMIT" in looks[0][0]
    assert not [query for query, _ in asked if "inbox.update_id >" in query]


def test_whether_a_new_message_is_an_edit_is_told_by_the_last_that_were_said(taken: Stage) -> None:
    """As many as there may be before these are not read: of an id above theirs that is sure."""
    conversation = taken.conversation()
    with taken.desk.store.writing() as session:
        for telegram_id in (5000, *range(1, batch.LAST_SAID + 1), 5000, 3):
            session.add(
                Message(
                    conversation_id=conversation.id,
                    author=Author.CUSTOMER,
                    text="well?",
                    telegram_id=telegram_id,
                    created_at=taken.desk.clock(),
                )
            )
            session.flush()
    *_, new, edited = taken.said()
    query = select(Message.id).where(Message.id.in_([new.id, edited.id]), batch.IS_CHANGE)
    assert taken.all(query) == [edited.id]
    (look,) = _selects(taken, lambda: taken.all(query))
    assert "ix_messages_conversation_id_id" in _plan(taken, *look)


def test_a_plain_post_asks_nothing_of_what_was_said_before(taken: Stage) -> None:
    job = taken.write("well?")
    assert job is not None
    asked = _selects(taken, lambda: taken.decide((job, predict("well?"))))
    assert not [query for query, _ in asked if "delivery_key" in query.partition("FROM")[2]]
    assert "Ana wrote" in taken.told()[-1]


def _lines(card: str) -> list[str]:
    """The lines of a card's history."""
    above = card.rpartition("\n\n")[0]  # the state stands below
    lines = (line.removeprefix("<blockquote expandable>") for line in above.splitlines())
    return [line.removesuffix("</blockquote>") for line in lines if line[:1] in ("👤", "🤖", "🧑")]


def _answered(stage: Stage, text: str) -> None:
    """The customer writes a text that the bot answers, however many there were before."""
    texts = [said for said in stage.said() if said.telegram_id is not None]
    stage.ask(text, intent=("opening_hours", "order_status")[len(texts) % 2])


def _call(stage: Stage) -> str:
    """The customer asks for a person; returns the card."""
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    return stage.told()[-1]


def test_a_card_shows_the_last_ten_texts_and_nothing_that_never_left(stage: Stage) -> None:
    for number in range(12):
        _answered(stage, f"roses {number}?")
        stage.send_all()
    stage.ask("hi", intent="greeting")
    stage.topic()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    lines = _lines(stage.told()[-1])
    texts = [line for line in lines if line.startswith("👤")]
    assert texts == [*(f"👤 roses {number}?" for number in range(3, 12)), "👤 hi"]
    assert lines[0] == texts[0]
    assert [line[0] for line in lines] == ["👤", "🤖"] * 9 + ["👤"]
    assert "… 3 earlier" not in stage.told()[-1]
    assert "\n… 1 earlier message or more\n" in stage.told()[-1]


def test_a_card_says_that_more_was_said_than_it_looked_through(stage: Stage) -> None:
    stage.ask("where are my roses")
    for _ in range(40):
        customers.asked_for_help(stage.desk, stage.update(), ANA)
    card = _call(stage)
    assert "where are my roses" not in card
    assert "… 1 earlier message or more\n👤 /\u2060help" in card


def test_a_story_before_the_call_for_a_person_stands_whole_on_the_card(stage: Stage) -> None:
    story = " ".join(f"word{number}" for number in range(60))
    assert len(story) > 400
    stage.ask(story, confidence=0.1)
    card = _call(stage)
    assert f"👤 {story}\n🤖 " in card
    assert "expandable" not in card, "it is not long"


def test_seven_pieces_before_the_call_for_a_person_stand_on_the_card_from_the_first_on(
    stage: Stage,
) -> None:
    customers.started(stage.desk, stage.update(), ANA, "order_4711")
    for number in range(7):
        _answered(stage, f"piece {number}")
        customers.asked_for_help(stage.desk, stage.update(), ANA)
    lines = _lines(_call(stage))
    pieces = [line for line in lines if line.startswith("👤 piece")]
    assert pieces == [f"👤 piece {number}" for number in range(7)]
    assert lines[0] == "👤 /\u2060start order_4711", "taps and commands take no text's place"


def test_what_the_bot_and_operators_said_is_shortened_on_a_card(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.reply("so sorry " * 100)
    job = stage.write("still rude")
    stage.resolve()
    assert job is not None
    stage.decide((job, predict(intent="complaint")))
    (line,) = [line for line in _lines(stage.told()[-1]) if line.startswith("🧑")]
    assert len(line) < 170
    assert line.endswith("…")


def test_a_long_history_is_folded_on_the_card(stage: Stage) -> None:
    stage.ask("my roses <3 " * 60, confidence=0.1)
    card = _call(stage)
    text, entities = parse_html(card)
    (folded,) = [each for each in entities if each["type"] == "expandable_blockquote"]
    inside = text[folded["offset"] + 1 :][: folded["length"]]
    assert "my roses <3 my roses <3" in inside
    assert "human" not in inside


def test_the_oldest_texts_give_way_on_a_full_card_and_are_counted(stage: Stage) -> None:
    for number in range(5):
        _answered(stage, f"{number} " + "x" * 1500)
    card = _call(stage)
    assert "… 2 earlier messages\n" in card
    texts = [line for line in _lines(card) if line.startswith("👤")]
    assert [line[2] for line in texts] == ["2", "3", "4"]
    assert [len(line) > 1500 for line in texts] == [False, True, True]
    assert texts[0].endswith("x…"), "as much of it as there is room for"
    assert length(plain(card)) == 4096


def test_of_a_text_that_fills_a_card_alone_as_much_is_shown_as_there_is_room(stage: Stage) -> None:
    stage.ask("🌹" * 2048, confidence=0.1)
    card = _call(stage)
    assert card.count("🌹") > 1700
    assert length(plain(card)) <= 4096
    assert "earlier message" not in card


def test_a_conversation_opened_again_has_a_card_with_room_for_no_more(stage: Stage) -> None:
    for number in range(5):
        _answered(stage, f"{number} " + "x" * 1500)
    stage.topic()
    stage.reply("here I am")
    card = stage.told()[-1]
    assert "Opened again" in card
    assert "… 2 earlier messages\n" in card
    assert length(plain(card)) <= 4096


def test_what_a_person_wrote_is_no_text_of_the_customers_on_a_card(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    for number in range(HISTORY):
        stage.reply(f"sorry, {number}")
    job = stage.write("and my roses are dead")
    assert job is not None
    stage.resolve()
    stage.decide((job, predict(intent="complaint")))
    card = stage.told()[-1]
    assert "👤 you are rude" in card
    assert "earlier message" not in card


def test_however_much_a_customer_taps_a_card_looks_through_so_many_lines(stage: Stage) -> None:
    stage.ask("my roses are dead", intent="greeting")
    for _ in range(batch.MOST_SAID):
        customers.started(stage.desk, stage.update(), ANA)
    card = _call(stage)
    assert "my roses" not in card
    assert len(_lines(card)) == batch.MOST_SAID


def test_a_card_leaves_out_start_and_the_greeting_where_anything_else_was_said(
    stage: Stage,
) -> None:
    customers.started(stage.desk, stage.update(), ANA)
    first = [line[0] for line in _lines(_call(stage))]
    assert first == ["👤", "🤖"], "nothing else was said"
    stage.topic()
    stage.resolve()
    customers.started(stage.desk, stage.update(), ANA)
    customers.started(stage.desk, stage.update(), ANA, "order_4711")
    stage.ask("roses?")
    lines = _lines(_call(stage))
    assert lines[:2] == ["👤 /\N{WORD JOINER}start order_4711", "👤 roses?"]
    assert [line[0] for line in lines] == ["👤", "👤", "🤖"]
