"""What a customer is told to do until a person is there, and while they wait for one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from desk.domain import Action, ConversationState, DeliveryState, Person
from desk.flow import customers, deciding, operators
from desk.flow.advising import SOON
from desk.flow.cards import LIMIT
from desk.flow.forwarding import forwarded
from desk.flow.keys import PRIORITY_KEY
from desk.flow.promising import passed_on_text, waiting_text
from desk.flow.reporting import report
from desk.hours import Hours
from desk.policy import UNPROCESSABLE
from desk.tables import Customer, Message
from desk.telegram_text import length, plain
from simulator.html_markup import parse_html
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, OSCAR, Stage, labels, predict, statements, with_words

UNPLUG = {"en": "Is it sparking? <b>Unplug it</b>, {customer}.", "zh": "请先拔掉插头。"}
DANGER = {"en": "In danger? Call 999.", "zh": "有危险请拨 999。"}
FIRE = {"en": "Put it out first, {customer}."}
SOON_THERE = "You will get the reply right here, usually within 15 minutes."
HANDOVER = f"I'm passing this to a colleague. {SOON_THERE}"
WAITING = f"Your message is with my colleagues. {SOON_THERE}"
UPSET = "I'm sorry about this."
SATURDAY = datetime(2026, 3, 7, 20, 0, tzinfo=UTC)
BACK = "Our team is back on Monday at 9:00 GMT"


@pytest.fixture
def advised(stage: Stage) -> Stage:
    """A desk that knows what to do about a refund and a complaint, and in general."""
    pack = with_words(stage.desk.pack, "refund", meanwhile=UNPLUG)
    pack = with_words(pack, "order_status", meanwhile=UNPLUG)
    pack = with_words(pack, "complaint", answer=FIRE)
    stage.desk = replace(stage.desk, pack=with_words(pack, urgent=DANGER))
    return stage


# ---- When a person is called ----


def test_an_upset_customer_hears_what_to_do_until_a_person_is_there(advised: Stage) -> None:
    advised.ask("the toaster sparked", intent="order_status", sentiment="negative")
    words = f"{UPSET}\nIs it sparking? <b>Unplug it</b>, Ana.\n\n{HANDOVER}"
    assert advised.heard() == [words]


def test_it_is_said_in_the_customers_language(advised: Stage) -> None:
    advised.ask("冒火花了", BEN, intent="order_status", sentiment="negative")
    (said,) = advised.heard(BEN)
    assert said.startswith("很抱歉给您带来困扰。\n请先拔掉插头。\n\n我已把您的问题转给同事。")


@pytest.mark.parametrize(
    "prediction",
    [
        {"intent": "opening_hours", "confidence": 0.5},
        {"intent": "opening_hours", "others": [("complaint", 0.001)]},
        {"intent": "greeting"},
        {"intent": "order_status", "confidence": 0.1},
        {"intent": "order_status", "scope": 0.1},
        {"intent": "invented"},
    ],
    ids=[
        "unsure",
        "danger in the ranking",
        "small talk",
        "hardly probable",
        "unfamiliar",
        "unknown",
    ],
)
def test_an_upset_customer_about_who_knows_what_hears_what_is_urgent(
    advised: Stage, prediction: dict[str, object]
) -> None:
    pressing = with_words(advised.desk.pack, "complaint", priority=True)
    advised.desk = replace(advised.desk, pack=pressing)
    advised.ask("bah", intent="greeting", sentiment="negative")
    advised.ask("BAH", **prediction, sentiment="negative")
    assert advised.heard()[-1] == f"{UPSET}\nIn danger? Call 999.\n\n{HANDOVER}"


def test_an_upset_customer_about_what_is_surely_harmless_hears_of_no_danger(
    advised: Stage,
) -> None:
    advised.ask("late", intent="opening_hours", sentiment="negative")
    advised.ask("late again!!!", intent="opening_hours", sentiment="negative")
    assert advised.heard()[-1] == f"{UPSET}\n{HANDOVER}"


def test_the_same_answer_a_third_time_gives_way_to_what_to_do_and_a_person(advised: Stage) -> None:
    for _ in range(3):
        advised.ask("roses?", intent="order_status")
    assert advised.heard()[-1] == f"Is it sparking? <b>Unplug it</b>, Ana.\n\n{HANDOVER}"


def _late(stage: Stage) -> None:
    job = stage.write("hello?")
    assert job is not None
    deciding.give_up(stage.desk, [job[0]])


def _unprocessable(stage: Stage) -> None:
    job = stage.write("hello?")
    assert job is not None
    deciding.give_up(stage.desk, [job[0]], UNPROCESSABLE)


def _not_understood_twice(stage: Stage, **prediction: object) -> None:
    for _ in range(2):
        stage.ask("blorp", **prediction)


CALLS: dict[str, Callable[[Stage], object]] = {
    "another language": lambda stage: stage.ask("Rohrbruch", intent="complaint", language="de"),
    "no model": lambda stage: stage.ask("hello", intent=None),
    "failing model": _unprocessable,
    "unsure": lambda stage: _not_understood_twice(stage, confidence=0.3),
    "unfamiliar": lambda stage: _not_understood_twice(stage, scope=0.1),
    "out of scope": lambda stage: _not_understood_twice(stage, intent="out_of_scope"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_who_is_not_understood_hears_what_is_urgent(
    advised: Stage, call: Callable[[Stage], object]
) -> None:
    call(advised)
    assert advised.heard()[-1] == f"In danger? Call 999.\n\n{HANDOVER}"


def test_who_sends_a_file_hears_that_it_was_not_read_and_what_is_urgent(advised: Stage) -> None:
    customers.sent_file(advised.desk, advised.update(), ANA, 55, "[photo]")
    assert advised.heard() == [
        f"I can't open this, but a colleague can.\nIn danger? Call 999.\n\n{HANDOVER}"
    ]


def test_a_late_call_says_sorry_then_what_to_do_then_who_comes_when(advised: Stage) -> None:
    _late(advised)
    assert advised.heard() == [
        f"Sorry, this took longer than it should.\nIn danger? Call 999.\n\n{HANDOVER}"
    ]


def test_who_asks_for_a_person_hears_of_one_and_of_nothing_else(advised: Stage) -> None:
    customers.asked_for_person(advised.desk, advised.update(), ANA, "/human")
    advised.ask("roses?", BEN)
    (answer,) = advised.send_all()[-1:]
    advised.press(advised.token("down"), by=BEN.chat_id, telegram_id=answer.telegram_id or 0)
    advised.press(advised.token("person", "down"), by=BEN.chat_id)
    assert advised.heard() == [HANDOVER]
    assert advised.decision(advised.said()[1].id).rule == "thumb_down"
    assert advised.heard(BEN)[-1].startswith("我已把您的问题转给同事。")


def test_a_pack_that_says_nothing_leaves_the_reasons_first_words(stage: Stage) -> None:
    stage.ask("where is it", intent="order_status", sentiment="negative")
    customers.sent_file(stage.desk, stage.update(), BEN, 55, "[photo]")
    assert stage.heard() == [f"{UPSET}\n{HANDOVER}"]
    assert stage.heard(BEN)[0].startswith(
        "我无法打开这条内容，但同事可以。\n我已把您的问题转给同事。"
    )


def test_what_has_no_room_beside_the_first_words_is_cut_and_the_rest_stays(advised: Stage) -> None:
    endless = {"en": "<b>Danger?</b> " + "🔥" * 3000}
    advised.desk = replace(advised.desk, pack=with_words(advised.desk.pack, urgent=endless))
    _late(advised)
    (said,) = advised.heard()
    assert said.startswith("Sorry, this took longer than it should.\nDanger? 🔥")
    assert said.endswith(f"🔥…\n\n{HANDOVER}")
    assert LIMIT - 2 < length(plain(said)) <= LIMIT
    parse_html(said)


def test_a_resolved_conversation_is_followed_by_one_in_which_it_is_said_again(
    advised: Stage,
) -> None:
    for _ in range(2):
        advised.ask("my roses burn", intent="complaint")
        advised.topic()
        advised.resolve()
    assert advised.heard() == [f"Put it out first, Ana.\n\n{HANDOVER}"] * 2


def test_a_conversation_that_the_bot_has_again_says_it_again(advised: Stage) -> None:
    advised.ask("my roses burn", intent="complaint")
    job = advised.write("they burn again")
    assert job is not None
    advised.topic()
    advised.resolve()
    advised.decide((job, predict("they burn again", "complaint")))
    assert len(advised.conversations()) == 1
    assert advised.heard() == [f"Put it out first, Ana.\n\n{HANDOVER}"] * 2


def test_who_is_perhaps_in_an_emergency_hears_what_is_urgent_and_gets_a_person(
    advised: Stage,
) -> None:
    pressing = with_words(advised.desk.pack, "complaint", priority=True)
    advised.desk = replace(advised.desk, pack=pressing)
    advised.ask("so? you wanted to be back in an hour", intent="complaint", confidence=0.45)
    advised.ask("hot roses", BEN, confidence=0.4, others=[("complaint", 0.2)])
    assert advised.heard() == [f"In danger? Call 999.\n\n{HANDOVER}"]
    assert advised.heard(BEN)[0].startswith("有危险请拨 999。\n\n我已把您的问题转给同事。")
    advised.ask("my roses burn", intent="complaint")
    assert advised.heard()[-1].startswith("Put it out first, Ana."), "not said before"


# ---- When the bot asks back ----


def test_what_can_not_wait_of_a_choice_stands_above_the_question(advised: Stage) -> None:
    advised.ask("the toaster is smoking", intent="refund", confidence=0.5)
    (asked,) = advised.deliveries(ANA.chat_id)
    assert asked.payload["text"] == ("Is it sparking? <b>Unplug it</b>, Ana.\n\nDid you mean this?")
    assert labels(asked) == ["I want my money back", "Talk to a person"]


def test_of_several_choices_the_likeliest_is_spoken_of_and_once(advised: Stage) -> None:
    pack = with_words(advised.desk.pack, "order_status", meanwhile={"en": "Wait."})
    advised.desk = replace(advised.desk, pack=pack)
    several = {"intent": "opening_hours", "confidence": 0.3}
    others = [("refund", 0.25), ("order_status", 0.2)]
    advised.ask("it smokes", **several, others=others)
    advised.ask("open?", intent="opening_hours")
    advised.ask("it smokes", **several, others=others)
    asked = "Did you mean one of these?"
    said = advised.heard()
    assert said[0] == f"Is it sparking? <b>Unplug it</b>, Ana.\n\n{asked}"
    assert said[2] == asked
    advised.ask("refund", intent="greeting", sentiment="negative")
    advised.ask("REFUND", intent="refund", sentiment="negative")
    assert advised.heard()[-1] == f"{UPSET}\n{HANDOVER}", "nor is it said when a person is called"


def test_a_choice_of_which_there_is_too_much_to_say_is_still_offered(advised: Stage) -> None:
    endless = {"en": "<b>Danger?</b> " + "🔥" * 3000}
    advised.desk = replace(
        advised.desk, pack=with_words(advised.desk.pack, "refund", meanwhile=endless)
    )
    advised.ask("it smokes", intent="refund", confidence=0.5)
    (said,) = advised.heard()
    assert said.startswith("Danger? 🔥")
    assert said.endswith("🔥…\n\nDid you mean this?")
    assert LIMIT - 2 < length(plain(said)) <= LIMIT


def test_the_card_shows_first_what_was_offered_and_then_what_to_do(advised: Stage) -> None:
    advised.ask("it smokes", intent="refund", confidence=0.5)
    customers.asked_for_person(advised.desk, advised.update(), ANA, "/human")
    assert "🤖 Did you mean this? [I want my money back] Is it sparking?" in advised.told()[-1]


# ---- While a customer waits ----


def test_who_waits_and_writes_of_an_emergency_hears_once_what_to_do(advised: Stage) -> None:
    customers.asked_for_person(advised.desk, advised.update(), ANA, "/human")
    first = advised.ask("my roses burn", intent="complaint")
    second = advised.ask("they burn!!", intent="complaint")
    assert advised.heard() == [HANDOVER, f"Put it out first, Ana.\n\n{WAITING}"]
    rules = [(str(row.action), row.rule) for row in map(advised.decision, (first, second))]
    assert rules == [("escalate", "intent_needs_person"), ("silent", "waiting_for_person")]
    posts = [row.key for row in advised.deliveries(OPERATOR_CHAT) if row.key.startswith("post:")]
    assert posts == [f"post:{first}", f"post:{second}"]
    assert "this topic always goes to a person" in advised.told()[-2]
    assert advised.conversation().state is ConversationState.WAITING


def test_who_heard_it_when_the_person_was_called_does_not_hear_it_while_they_wait(
    advised: Stage,
) -> None:
    advised.ask("my roses burn", intent="complaint")
    advised.ask("they burn!!", intent="complaint")
    assert advised.heard() == [f"Put it out first, Ana.\n\n{HANDOVER}"]


@pytest.mark.parametrize("priority", [False, True], ids=["", "cannot wait"])
@pytest.mark.parametrize("state", ["bot", "waiting", "human", "human, closed"])
def test_a_batch_takes_no_more_statements_for_more_who_wait(
    advised: Stage, clock: Clock, state: str, priority: bool
) -> None:
    in_hand, closed = state.startswith("human"), state.endswith("closed")
    if closed:
        clock.set(SATURDAY)
    pack = with_words(advised.desk.pack, "complaint", priority=priority)
    advised.desk = replace(advised.desk, pack=pack)

    def decide(*people: Person) -> int:
        jobs = []
        for person in people:
            if state != "bot":
                customers.asked_for_person(advised.desk, advised.update(), person, "/human")
            if in_hand:
                advised.topic(person, person.chat_id)
                operators.took(advised.desk, advised.update(), OSCAR, person.chat_id)
        if closed:
            clock.move(hours=1)
        for person in people:
            job = advised.write("my roses burn", person)
            assert job is not None
            jobs.append((job, predict("my roses burn", "complaint")))
        said = statements(advised, lambda: advised.decide(*jobs))
        if closed or not in_hand:  # else the bot says nothing
            says = "Added to" if closed else "Put it out"
            assert all(advised.heard(person)[-1].startswith(says) for person in people)
        return len(said)

    one, *others = (replace(ANA, chat_id=700 + place) for place in range(9))
    assert decide(one) == decide(*others)
    lines = [row for row in advised.deliveries() if row.key.startswith(PRIORITY_KEY)]
    assert len(lines) == (9 if priority else 0)


def test_who_is_unsurely_in_an_emergency_is_left_to_the_person(advised: Stage) -> None:
    customers.asked_for_person(advised.desk, advised.update(), ANA, "/human")
    advised.ask("warm roses", intent="complaint", confidence=0.5)
    advised.ask("warm roses", intent="complaint", scope=0.1)
    assert advised.heard() == [HANDOVER]


def test_whom_a_person_has_already_hears_from_the_bot_when_the_team_is_back_and_no_more(
    advised: Stage, clock: Clock
) -> None:
    customers.asked_for_person(advised.desk, advised.update(), ANA, "/human")
    advised.topic()
    operators.took(advised.desk, advised.update(), OSCAR, 77)
    advised.send_all()
    clock.set(SATURDAY)
    heard = advised.heard()
    advised.ask("my roses burn", intent="complaint")
    advised.ask("hello?")
    customers.sent_file(advised.desk, advised.update(), ANA, 55, "[photo]")
    back = "Added to your message. Our team is back on Monday at 9:00 GMT."
    assert advised.heard() == [*heard, back]


def test_what_to_do_while_one_waits_is_no_automatic_answer_in_the_report(
    advised: Stage, clock: Clock
) -> None:
    customers.asked_for_person(advised.desk, advised.update(), ANA, "/human")
    advised.ask("my roses burn", intent="complaint")
    found = report(advised.desk, clock.now.replace(hour=0))
    assert found.decisions[Action.ANSWER] == 0
    assert found.automated == 0
    assert found.rules[Action.ESCALATE] == {"asked_for_person": 1, "intent_needs_person": 1}


def test_a_topic_tapped_while_one_waits_says_what_to_do_once(advised: Stage) -> None:
    customers.started(advised.desk, advised.update(), ANA)
    customers.asked_for_person(advised.desk, advised.update(), ANA, "/human")
    job = advised.write("one more thing")
    pressed = [advised.press(advised.token("intent", "complaint")) for _ in range(2)]
    assert [answer.text for answer in pressed] == ["", WAITING]
    assert advised.heard()[-1] == f"Put it out first, Ana.\n\n{WAITING}"
    assert len(advised.heard()) == 3
    shown = [row.message_id for row in advised.deliveries(OPERATOR_CHAT)][1:]
    assert job is not None
    assert shown == [job[0], advised.said()[-1].id], "what was written before, first"


def test_a_topic_tapped_while_a_person_is_in_charge_is_shown_to_them_and_that_is_said(
    advised: Stage,
) -> None:
    customers.started(advised.desk, advised.update(), ANA)
    customers.asked_for_person(advised.desk, advised.update(), ANA, "/human")
    advised.topic()
    operators.took(advised.desk, advised.update(), OSCAR, 77)
    heard = advised.heard()
    pressed = advised.press(advised.token("intent", "complaint"))
    assert (pressed.alert, pressed.text[:6]) == (True, "Passed")
    assert advised.heard() == heard
    tapped = advised.said()[-1]
    assert advised.decision(tapped.id).rule == "person_in_charge"
    assert advised.deliveries(OPERATOR_CHAT)[-1].key == f"post:{tapped.id}"


def test_a_link_to_a_topic_says_what_to_do_to_who_waits(advised: Stage) -> None:
    customers.asked_for_person(advised.desk, advised.update(), ANA, "/human")
    for _ in range(2):
        customers.started(advised.desk, advised.update(), ANA, "complaint")
    assert advised.heard()[1:] == [f"Put it out first, Ana.\n\n{WAITING}", WAITING]
    assert "start complaint" in advised.told()[-1]


# ---- When somebody comes ----


def test_who_waits_while_the_desk_is_closed_hears_when_it_is_back(
    advised: Stage, clock: Clock
) -> None:
    clock.set(SATURDAY)
    customers.asked_for_person(advised.desk, advised.update(), ANA, "/human")
    customers.asked_for_person(advised.desk, advised.update(), ANA, "/human")
    assert advised.heard()[-1] == (
        f"Your message is with my colleagues. {BACK}, and you will get the reply right here."
    )


def test_an_alert_has_room_for_whatever_is_promised(stage: Stage, clock: Clock) -> None:
    """Telegram takes 200 characters as the answer to a press."""
    weekdays = dict.fromkeys(("mon", "tue", "wed", "thu"), ("00:00-24:00",))
    closed = tuple(datetime(2026, 9, day, tzinfo=UTC).date() for day in range(3, 23))
    hours = Hours(timezone="America/New_York", weekly=weekdays, closed=closed)
    clock.set(datetime(2026, 9, 2, 11, 0, tzinfo=UTC))
    pack = stage.desk.pack.model_copy(update={"hours": hours})
    sla = pack.sla.model_copy(update={"first_reply_minutes": 2880})
    desk = replace(stage.desk, pack=pack.model_copy(update={"sla": sla}))
    for language in ("en", "zh"):
        ana = Customer(chat_id=501, name="Ana", language=language)
        with desk.store.reading() as session:
            texts = [text(session, desk, ana) for text in (waiting_text, passed_on_text)]
        for text in texts:
            assert "23" in text, "the longest of them: with a date"
            assert length(text) <= 200


def test_who_writes_again_while_the_desk_is_closed_hears_so_once_until_it_opens(
    stage: Stage, clock: Clock
) -> None:
    clock.set(SATURDAY)
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    stage.ask("please hurry")
    assert len(stage.heard()) == 1, "they were told just now"
    clock.move(hours=12)
    for text in ("anybody?", "hello"):
        stage.ask(text)
    customers.sent_file(stage.desk, stage.update(), ANA, 55, "[photo]")
    added = "Added to your message. Our team is back tomorrow at 9:00 GMT."
    assert stage.heard()[1:] == [added]
    clock.set(datetime(2026, 3, 9, 10, 0, tzinfo=UTC))
    stage.ask("good morning")
    assert len(stage.heard()) == 2, "they are open"
    clock.set(datetime(2026, 3, 9, 19, 0, tzinfo=UTC))
    stage.ask("good evening")
    assert stage.heard()[2:] == [added]


def test_who_has_just_heard_when_the_desk_is_back_does_not_hear_it_again(
    stage: Stage, clock: Clock
) -> None:
    clock.set(SATURDAY)
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    clock.move(hours=1)
    customers.started(stage.desk, stage.update(), ANA)
    assert "Our team is back" in stage.heard()[-1]
    stage.ask("anybody?")
    assert len(stage.heard()) == 2


def test_who_hears_when_the_desk_is_back_in_a_flood_does_not_hear_it_again(
    stage: Stage, clock: Clock
) -> None:
    clock.set(SATURDAY)
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    stage.desk = replace(stage.desk, flood_per_minute=1)
    clock.move(hours=1)
    customers.asked_for_help(stage.desk, stage.update(), ANA)
    customers.started(stage.desk, stage.update(), ANA)
    heard = stage.heard()
    assert len(heard) == 3
    assert BACK in heard[-1]
    assert stage.decision(stage.said()[-1].id).rule == "flood"
    stage.ask("anybody?")
    assert stage.heard() == heard


def test_a_file_sent_while_the_desk_is_closed_is_acknowledged_and_a_sticker_is_not(
    stage: Stage, clock: Clock
) -> None:
    clock.set(SATURDAY)
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    clock.move(seconds=SOON.total_seconds())
    customers.sent_file(stage.desk, stage.update(), ANA, 54, "[sticker]", gesture=True)
    assert len(stage.heard()) == 1
    customers.sent_file(stage.desk, stage.update(), ANA, 55, "[photo]")
    assert stage.heard()[1:] == [f"Added to your message. {BACK}."]


def test_what_is_forwarded_while_the_desk_is_closed_is_acknowledged(
    stage: Stage, clock: Clock
) -> None:
    clock.set(SATURDAY)
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    clock.move(seconds=SOON.total_seconds())
    forwarded(stage.desk, stage.update(), ANA, 54, "Your parcel is lost", "Parcels")
    assert stage.heard()[1:] == [f"Added to your message. {BACK}."]


def test_a_late_message_of_who_waits_while_the_desk_is_closed_is_acknowledged(
    stage: Stage, clock: Clock
) -> None:
    clock.set(SATURDAY)
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    clock.move(hours=1)
    _late(stage)
    assert stage.heard()[1:] == [f"Added to your message. {BACK}."]


def test_who_has_just_heard_when_the_desk_is_back_does_not_hear_it_with_the_next_words(
    advised: Stage, clock: Clock
) -> None:
    clock.set(SATURDAY)
    customers.asked_for_person(advised.desk, advised.update(), ANA, "/human")
    clock.move(hours=1)
    advised.ask("my roses burn", intent="complaint")
    advised.ask("they burn!!", intent="complaint")
    assert len(advised.heard()) == 2
    assert BACK in advised.heard()[1]


def test_whose_colleague_has_gone_home_hears_once_when_the_desk_is_back(
    stage: Stage, clock: Clock
) -> None:
    clock.set(SATURDAY.replace(day=6, hour=17))
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    stage.topic()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    stage.ask("hello?")
    stage.send_all()
    heard = len(stage.heard())
    clock.set(SATURDAY)
    stage.ask("hello?")
    stage.ask("anybody?")
    customers.sent_file(stage.desk, stage.update(), ANA, 55, "[photo]")
    assert stage.heard()[heard:] == [f"Added to your message. {BACK}."]
    stage.send_all()
    row = stage.deliveries(ANA.chat_id)[-1]
    assert row.state is DeliveryState.SENT
    assert "reply_markup" not in row.payload, "a colleague has it: it can't be called off"
    clock.set(datetime(2026, 3, 9, 19, 0, tzinfo=UTC))
    forwarded(stage.desk, stage.update(), ANA, 56, "Your parcel is lost", "Parcels")
    assert len(stage.heard()) == heard + 2


def test_who_is_talking_to_a_colleague_after_hours_or_says_thanks_hears_nothing_between(
    stage: Stage, clock: Clock
) -> None:
    clock.set(SATURDAY)
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    stage.topic()
    stage.send_all()
    clock.move(hours=1)
    stage.reply("Which order?")
    clock.move(minutes=29)
    stage.ask("A1", intent="refund")
    clock.move(hours=1)
    stage.ask("thank you", intent="greeting")
    assert len(stage.heard()) == 1
    stage.ask("and my vase?", intent="refund")
    assert stage.heard()[1:] == [f"Added to your message. {BACK}."]


def test_where_nobody_can_be_reached_nothing_is_added(stage: Stage, clock: Clock) -> None:
    stage.desk = replace(stage.desk, operator_chat_id=None)
    clock.set(SATURDAY)
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    clock.move(hours=1)
    stage.ask("anybody?")
    assert not [text for text in stage.heard() if text.startswith("Added")]


def test_what_the_bot_adds_stands_in_the_conversation(stage: Stage, clock: Clock) -> None:
    clock.set(SATURDAY)
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    clock.move(hours=1)
    stage.ask("anybody?")
    assert stage.all(select(Message.text).order_by(Message.id))[-1].startswith("Added to your")
