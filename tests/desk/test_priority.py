"""Topics that can't wait stand first, and everybody is told of them at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from desk.domain import ConversationState, DeliveryState, Person
from desk.flow import customers, delivering, erasing, operators, reminding
from desk.flow.keys import PRIORITY_KEY
from desk.flow.overview import SHOWN, overview
from desk.flow.reminding import SINGLE_REMINDERS
from desk.pack import Escalate
from desk.tables import DeliveryRow
from desk.texts import say
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, OSCAR, Stage, labels, predict, with_words


@pytest.fixture
def urgent(stage: Stage) -> Stage:
    """A stage whose pack has a topic that can't wait: what is a complaint elsewhere."""
    pack = with_words(stage.desk.pack, "complaint", priority=True)
    stage.desk = replace(stage.desk, pack=pack)
    return stage


def crisis(stage: Stage, person: Person = ANA, thread_id: int = 77) -> int:
    message_id = stage.ask("I can't go on", person, intent="complaint")
    stage.topic(person, thread_id)
    return message_id


def lines_to_all(stage: Stage) -> list[DeliveryRow]:
    return [row for row in stage.deliveries() if row.key.startswith(PRIORITY_KEY)]


def test_its_card_says_so_and_then_a_line_in_general(urgent: Stage) -> None:
    crisis(urgent)
    card, line = [row for row in urgent.send_all() if row.chat_id == OPERATOR_CHAT]
    assert card.payload["text"].startswith("🚨 <b>Needs a person</b>")
    assert line.key.startswith(PRIORITY_KEY)
    assert line.topic_of is None


def test_the_line_has_the_topics_address_when_it_is_sent(urgent: Stage) -> None:
    urgent.ask("I can't go on", intent="complaint")
    (row,) = lines_to_all(urgent)
    assert row.payload["text"] == "🚨 Ana: Make a complaint"
    urgent.topic()
    texts = []
    while batch := urgent.take():
        for each in batch:
            delivering.sent(urgent.desk, each.id, each.attempts, 4000 + each.id)
            texts += [each.payload["text"]] if each.key.startswith(PRIORITY_KEY) else []
    assert texts == ['🚨 <a href="https://t.me/c/1234567890/77">Ana</a>: Make a complaint']


def test_the_line_names_the_topic_in_the_desks_language_and_as_text(urgent: Stage) -> None:
    title = {"en": "Fire & smoke", "zh": "着火"}
    urgent.desk = replace(urgent.desk, pack=with_words(urgent.desk.pack, "complaint", title=title))
    urgent.ask("着火了", BEN, intent="complaint")
    (row,) = lines_to_all(urgent)
    assert row.payload["text"] == "🚨 Ben: Fire &amp; smoke"


def test_what_can_not_wait_is_told_while_a_colleague_has_the_conversation(urgent: Stage) -> None:
    urgent.ask("a person please", intent="talk_to_person")
    urgent.topic()
    urgent.press(urgent.token("take"), by=OSCAR)
    urgent.ask("thanks, waiting", intent="greeting")
    assert lines_to_all(urgent) == []
    message_id = urgent.ask("I can't go on", intent="complaint")
    urgent.ask("I can't", intent="complaint")
    assert urgent.decision(message_id).rule == "person_in_charge"
    (line,) = lines_to_all(urgent)
    assert "Ana" in line.payload["text"]
    assert next(text for text in urgent.told() if "I can't go on" in text).startswith("🚨")
    assert urgent.heard(ANA) == [], "the colleague will speak for themselves"
    urgent.send_all()
    assert [row.state for row in lines_to_all(urgent)] == [DeliveryState.SENT]


def test_so_is_it_once_they_have_replied_to_what_was_said_before(
    urgent: Stage, clock: Clock
) -> None:
    urgent.ask("a person please", intent="talk_to_person")
    urgent.topic()
    urgent.reply("hello, this is Oscar")
    urgent.send_all()
    clock.move(minutes=5)
    urgent.ask("I can't go on", intent="complaint")
    clock.move(seconds=1)
    operators.noted(urgent.desk, urgent.update(), OSCAR, 77)
    urgent.send_all()
    assert [row.state for row in lines_to_all(urgent)] == [DeliveryState.SENT]


def test_so_is_it_where_they_replied_while_the_model_was_reading_it(
    urgent: Stage, clock: Clock
) -> None:
    urgent.ask("a person please", intent="talk_to_person")
    urgent.topic()
    job = urgent.write("I can't go on")
    assert job is not None
    clock.move(seconds=1)
    urgent.reply("hello, this is Oscar")
    clock.move(seconds=1)
    urgent.decide((job, predict("I can't go on", "complaint")))
    urgent.send_all()
    assert [row.state for row in lines_to_all(urgent)] == [DeliveryState.SENT]


def test_so_is_a_topic_that_is_tapped_then(urgent: Stage) -> None:
    urgent.ask("what do you do", confidence=0.1)
    menu = urgent.token("intent", "complaint")
    urgent.ask("a person please", intent="talk_to_person")
    urgent.topic()
    urgent.press(urgent.token("take"), by=OSCAR)
    urgent.press(menu)
    assert len(lines_to_all(urgent)) == 1


@pytest.mark.parametrize("state", ["bot", "waiting", "human"])
def test_a_link_alone_raises_no_alarm_in_the_name_of_who_presses_start(
    urgent: Stage, state: str
) -> None:
    """Anybody can make such a link, and send it to somebody who knows nothing of it."""
    answer = {"en": "Leave the house.", "zh": "请离开。"}
    urgent.desk = replace(
        urgent.desk, pack=with_words(urgent.desk.pack, "complaint", answer=answer)
    )
    if state != "bot":
        urgent.ask("a person please", intent="talk_to_person")
        urgent.topic()
    if state == "human":
        urgent.press(urgent.token("take"), by=OSCAR)
    heard = urgent.heard()
    customers.started(urgent.desk, urgent.update(), ANA, "complaint")
    assert lines_to_all(urgent) == []
    assert not [text for text in urgent.told() if "🚨" in text]
    assert "Leave the house." not in str(urgent.heard())
    if state == "human":
        assert urgent.heard() == heard, "the colleague will speak for themselves"
    if state == "bot":
        assert urgent.told() == []
    else:
        assert "start complaint" in urgent.told()[-1]


def test_the_topic_of_such_a_link_is_the_first_button_and_a_tap_on_it_calls(urgent: Stage) -> None:
    customers.started(urgent.desk, urgent.update(), ANA, "complaint")
    (greeting,) = urgent.deliveries(ANA.chat_id)
    assert labels(greeting)[0] == "Make a complaint"
    assert labels(greeting)[-1] == say("talk-to-person", "en")
    assert len(labels(greeting)) == len(set(labels(greeting)))
    urgent.press(urgent.token("intent", "complaint"))
    assert urgent.conversation().state is ConversationState.WAITING
    assert len(lines_to_all(urgent)) == 1


def test_who_waits_and_came_by_such_a_link_can_call_it_off(urgent: Stage) -> None:
    answer = {"en": "Leave the house.", "zh": "请离开。"}
    urgent.desk = replace(
        urgent.desk, pack=with_words(urgent.desk.pack, "complaint", answer=answer)
    )
    urgent.ask("a person please", intent="talk_to_person")
    customers.started(urgent.desk, urgent.update(), ANA, "complaint")
    urgent.press(urgent.token("call_off"))
    assert urgent.conversation().state is ConversationState.RESOLVED


def test_so_is_it_once_where_a_colleague_opened_the_conversation(
    urgent: Stage, clock: Clock
) -> None:
    urgent.ask("when do you open", intent="opening_hours")
    urgent.topic()
    urgent.reply("hello, this is Oscar")
    for _ in range(2):
        clock.move(seconds=5)
        urgent.ask("I can't go on", intent="complaint")
    urgent.send_all()
    assert [row.state for row in lines_to_all(urgent)] == [DeliveryState.SENT]


def test_other_calls_are_no_news_to_everybody(urgent: Stage) -> None:
    urgent.ask("the third time!", sentiment="negative", intent="refund")
    urgent.ask("get me a person", BEN, intent="refund", confidence=0.01)
    assert lines_to_all(urgent) == []
    assert not [text for text in urgent.told() if "🚨" in text]


def test_it_is_said_once_a_call_however_often_they_write_it(urgent: Stage) -> None:
    for _ in range(3):
        crisis(urgent)
    assert len(lines_to_all(urgent)) == 1


def test_it_is_said_again_hours_later(urgent: Stage, clock: Clock) -> None:
    """Who has replied may be gone by then."""
    crisis(urgent)
    clock.move(seconds=1)
    urgent.send_all()
    urgent.reply("I am here")
    urgent.send_all()
    assert [row.state for row in lines_to_all(urgent)] == [DeliveryState.SENT]
    clock.move(minutes=5)
    crisis(urgent)
    assert len(lines_to_all(urgent)) == 1, "they are just talking"
    clock.move(hours=3)
    for _ in range(2):
        crisis(urgent)
    urgent.send_all()
    assert [row.state for row in lines_to_all(urgent)] == [DeliveryState.SENT] * 2


@pytest.mark.parametrize("voided", [True, False])
def test_one_that_a_reply_made_void_is_said_at_the_next_such_word(
    urgent: Stage, clock: Clock, voided: bool
) -> None:
    """The sender may have seen the reply by then, or not."""
    crisis(urgent)
    clock.move(seconds=1)
    urgent.reply("which order is it?")
    if voided:
        urgent.send_all()
        assert [row.state for row in lines_to_all(urgent)] == [DeliveryState.CANCELLED]
    clock.move(seconds=30)
    for _ in range(2):
        crisis(urgent)
        urgent.send_all()
    (line,) = lines_to_all(urgent)
    assert line.state is DeliveryState.SENT
    assert line.attempts == 1


def test_it_is_said_of_each_call(urgent: Stage, clock: Clock) -> None:
    crisis(urgent)
    job = urgent.write("I can't go on")
    assert job is not None
    clock.move(seconds=1)
    urgent.send_all()
    urgent.resolve()
    clock.move(seconds=1)
    urgent.decide((job, predict("I can't go on", "complaint")))
    urgent.send_all()
    assert [row.state for row in lines_to_all(urgent)] == [DeliveryState.SENT] * 2
    assert len(urgent.conversations()) == 1


def test_who_waits_already_and_says_such_a_thing_is_announced_too(urgent: Stage) -> None:
    urgent.desk = replace(
        urgent.desk,
        pack=with_words(urgent.desk.pack, "complaint", answer={"en": "Call the helpline."}),
    )
    customers.asked_for_person(urgent.desk, urgent.update(), ANA, "/human")
    crisis(urgent)
    (line,) = lines_to_all(urgent)
    assert "Ana" in line.payload["text"]
    assert [text for text in urgent.told() if text.startswith("🚨 <b>Ana wrote</b>")]


def test_a_line_that_comes_too_late_is_not_sent(urgent: Stage, clock: Clock) -> None:
    crisis(urgent)
    clock.move(seconds=1)
    operators.operator_wrote(urgent.desk, urgent.update(), OSCAR, 77, 60, "I am here")
    urgent.send_all()
    assert [row.state for row in lines_to_all(urgent)] == [DeliveryState.CANCELLED]


def test_nor_is_one_of_what_was_resolved(urgent: Stage) -> None:
    crisis(urgent)
    urgent.resolve()
    urgent.send_all()
    assert [row.state for row in lines_to_all(urgent)] == [DeliveryState.CANCELLED]


def test_it_stands_first_in_the_queue_with_its_topic(urgent: Stage, clock: Clock) -> None:
    for number in range(SHOWN + 3):
        urgent.ask("you are slow", Person(600 + number, f"P{number}"), intent=None)
    urgent.send_all()
    clock.move(minutes=5)
    crisis(urgent)
    clock.move(minutes=2)
    first = overview(urgent.desk).splitlines()[1]
    link = '<a href="https://t.me/c/1234567890/77">Ana</a>'
    assert first == f"• 🚨 {link} · Make a complaint – 2 minutes"


def test_what_it_may_be_is_no_topic_in_the_queue(urgent: Stage) -> None:
    urgent.ask("so?", intent="complaint", confidence=0.4)
    urgent.topic()
    assert "Make a complaint" not in overview(urgent.desk)
    assert urgent.told()[0].startswith("🔔"), "nor does its card say so"


def test_the_queue_names_what_can_not_wait_whatever_is_called_for_afterwards(
    urgent: Stage,
) -> None:
    words = {"escalate": Escalate.ALWAYS, "answer": {"en": "Keep them cool."}}
    pack = with_words(urgent.desk.pack, "order_status", **words)
    urgent.desk = replace(urgent.desk, pack=pack)
    urgent.ask("what do you do", confidence=0.1, intent="refund")
    menu = urgent.token("intent", "order_status")
    crisis(urgent)
    urgent.press(menu)
    urgent.send_all()
    assert urgent.decision(urgent.said()[-1].id).intent == "order_status"
    assert "· Make a complaint –" in overview(urgent.desk)


def test_the_queue_names_what_was_asked_last_where_all_of_it_can_wait(urgent: Stage) -> None:
    urgent.ask("when do you open", intent="opening_hours")
    urgent.ask("my money back", intent="refund")
    customers.asked_for_person(urgent.desk, urgent.update(), ANA, "/human")
    urgent.topic()
    urgent.send_all()
    assert "· I want my money back –" in overview(urgent.desk)


@pytest.mark.parametrize(
    "unsure", [{"confidence": 0.3}, {"language": "de"}], ids=["in doubt", "another language"]
)
def test_a_guess_is_no_topic_in_the_queue(urgent: Stage, unsure: dict[str, Any]) -> None:
    for _ in range(2 if "confidence" in unsure else 1):
        urgent.ask("so?", intent="refund", **unsure)
    urgent.topic()
    urgent.send_all()
    (_, line) = overview(urgent.desk).splitlines()
    assert "Ana" in line
    assert "I want my money back" not in line


def test_what_it_may_be_goes_before_nobody_in_the_queue(urgent: Stage, clock: Clock) -> None:
    urgent.ask("hm", BEN, intent=None)
    clock.move(minutes=5)
    urgent.ask("so?", intent="complaint", confidence=0.4)
    urgent.send_all()
    named = [line.split()[1] for line in overview(urgent.desk).splitlines()[1:]]
    assert named == ["Ben", "Ana"]


def test_the_digest_names_it_first(urgent: Stage, clock: Clock) -> None:
    for number in range(SINGLE_REMINDERS + 1):
        urgent.ask("hm", Person(600 + number, f"P{number}"), intent=None)
    clock.move(minutes=1)
    crisis(urgent)
    clock.move(minutes=urgent.desk.pack.sla.first_reply_minutes + 1)
    reminding.remind(urgent.desk)
    number = SINGLE_REMINDERS + 2
    assert urgent.told()[-1] == (
        f"🚨 {number} customers are waiting, 1 of them with what can't wait. First of these: "
        f'<a href="https://t.me/c/1234567890/77">Ana</a>, '
        f"“Make a complaint”, for {urgent.desk.pack.sla.first_reply_minutes + 1} minutes. "
        "The others: /queue"
    )


def test_a_line_is_rewritten_in_the_group_when_its_customer_is_erased(urgent: Stage) -> None:
    crisis(urgent)
    urgent.send_all()
    erasing.erase(urgent.desk, urgent.customer().id, force=True)
    assert "Ana" not in str([row.payload for row in lines_to_all(urgent)])
    edit = [row for row in urgent.send_all() if row.method == "editMessageText"][-1]
    assert edit.payload["text"] == "⏰ " + say("digest-erased", "en")
