"""What an operator's reply answers decides whether the customer gets it."""

from __future__ import annotations

from desk.domain import ConversationState
from desk.flow import customers, edits, operators, ready_answers, reminding, taking_back
from desk.flow.edits import Rewritten
from desk.texts import say
from tests.conftest import Clock
from tests.desk.acting import ANA, OLGA, OSCAR, Stage

OWN = 9
"""The id in the group of what Oscar writes."""


def reply(stage: Stage, to: int | None, text: str = "only half", telegram_id: int = 60) -> None:
    operators.operator_wrote(stage.desk, stage.update(), OLGA, 77, telegram_id, text, to)


def posted(stage: Stage, key: str) -> int:
    """The id in the group of the last thing there whose key begins so."""
    rows = [row for row in stage.deliveries() if row.key.startswith(key)]
    assert rows[-1].telegram_id is not None
    return rows[-1].telegram_id


def copies(stage: Stage) -> int:
    return len(stage.deliveries(ANA.chat_id, method="copyMessage"))


def test_a_reply_to_a_colleagues_note_stays_and_leaves_the_conversation_as_it_is(
    topic: Stage,
) -> None:
    operators.noted(topic.desk, topic.update(), OSCAR, 77)
    reply(topic, to=4711)
    assert copies(topic) == 0
    assert topic.told()[-1] == say("kept-reply", "en")
    assert topic.conversation().state is ConversationState.WAITING


def test_a_reply_to_a_notice_of_the_bot_stays(topic: Stage) -> None:
    operators.noted(topic.desk, topic.update(), OSCAR, 77)
    topic.send_all()
    notice = posted(topic, "told:")
    reply(topic, to=notice)
    reply(topic, to=notice, text="[voice message]", telegram_id=61)
    assert copies(topic) == 0
    assert topic.told().count(say("kept-reply", "en")) == 2


def test_a_reply_to_what_the_bot_says_of_the_conversation_stays(topic: Stage) -> None:
    for user_id in (OSCAR, OLGA):
        operators.took(topic.desk, topic.update(), user_id, 77)
    topic.send_all()
    reply(topic, to=posted(topic, "taken:"))
    assert copies(topic) == 0
    assert topic.told()[-1] == say("kept-reply", "en")


def test_a_reply_to_a_reminder_stays(topic: Stage, clock: Clock) -> None:
    clock.move(minutes=topic.desk.pack.sla.first_reply_minutes + 1)
    assert reminding.remind(topic.desk) == 1
    topic.send_all()
    reply(topic, posted(topic, "remind:"), "are you on that or shall I?")
    operators.operator_wrote(topic.desk, topic.update(), OSCAR, 77, OWN, "one moment")
    topic.ask("hello?")
    clock.move(minutes=topic.desk.pack.sla.first_reply_minutes + 1)
    assert reminding.remind(topic.desk) == 1
    topic.send_all()
    reply(topic, posted(topic, "unanswered:"), "are you on that or shall I?", 61)
    assert copies(topic) == 1
    assert topic.told().count(say("kept-reply", "en")) == 2


def test_a_reply_to_a_colleagues_words_stays(topic: Stage) -> None:
    operators.operator_wrote(topic.desk, topic.update(), OSCAR, 77, OWN, "we can't refund that")
    topic.send_all()
    reply(topic, OWN, "I think she is wrong, refuse")
    assert copies(topic) == 1
    assert topic.told()[-1] == say("kept-reply", "en")


def test_a_reply_to_the_ready_answer_of_a_colleague_stays_and_to_ones_own_is_sent(
    topic: Stage,
) -> None:
    ready_answers.wanted(topic.desk, topic.update(), OSCAR, 77, "refund")
    topic.send_all()
    note = posted(topic, "note:")
    reply(topic, note, "why that one?")
    assert copies(topic) == 0
    assert topic.told()[-1] == say("kept-reply", "en")
    operators.operator_wrote(topic.desk, topic.update(), OSCAR, 77, 61, "and a photo", note)
    assert copies(topic) == 1


def test_replies_to_what_is_the_customers_business_are_sent(topic: Stage) -> None:
    customers.sent_file(topic.desk, topic.update(), ANA, 2001, "my roses")
    topic.send_all()
    operators.operator_wrote(topic.desk, topic.update(), OLGA, 77, OWN, "I am on it")
    topic.send_all()
    answered = [posted(topic, "card:"), posted(topic, "file:"), OWN]
    for number, to in enumerate(answered):
        reply(topic, to, telegram_id=70 + number)
    assert copies(topic) == 1 + len(answered)
    assert say("kept-reply", "en") not in topic.told()


def test_a_reply_to_a_colleagues_word_that_became_a_note_stays(topic: Stage) -> None:
    operators.operator_wrote(topic.desk, topic.update(), OSCAR, 77, OWN, "wants money back")
    note = Rewritten("// wants money back", "editMessageText", {})
    edits.operator_changed(topic.desk, topic.update(), OSCAR, 77, OWN, note)
    reply(topic, to=OWN)
    assert copies(topic) == 1
    assert topic.told()[-1] == say("kept-reply", "en")


def test_a_reply_to_a_colleagues_word_that_is_deleted_once_it_arrives_stays(topic: Stage) -> None:
    operators.operator_wrote(topic.desk, topic.update(), OSCAR, 77, OWN, "wants money back")
    topic.take()
    taking_back.deleted(topic.desk, topic.update(), OSCAR, 77, OWN)
    reply(topic, to=OWN)
    assert copies(topic) == 1
    assert topic.told()[-1] == say("kept-reply", "en")


def test_an_edit_of_what_was_kept_sends_nothing_and_says_so(topic: Stage) -> None:
    reply(topic, to=4711)
    whole = Rewritten("the whole of it", "editMessageText", {"text": "the whole of it"})
    edits.operator_changed(topic.desk, topic.update(), OLGA, 77, 60, whole)
    assert copies(topic) == 0
    assert topic.told()[-1] == say("change-of-nothing-sent", "en")


def test_an_edit_that_addresses_a_colleague_takes_the_message_back(topic: Stage) -> None:
    operators.operator_wrote(topic.desk, topic.update(), OSCAR, 77, OWN, "is she right?")
    named = Rewritten("@olga is she right?", "editMessageText", {})
    edits.operator_changed(topic.desk, topic.update(), OSCAR, 77, OWN, named)
    assert topic.told()[-1] == say("taken-back-unsent", "en")
