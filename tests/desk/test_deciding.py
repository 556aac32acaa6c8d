"""Messages become decisions and replies: once each, in order, whatever the workers do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, select

from classifier.vocabulary import Neighbour
from desk.domain import Action, ConversationState, Person
from desk.flow import batch, customers, deciding, watching
from desk.flow.button_actions import CALL_OFF
from desk.tables import ButtonRow, DecisionRow, DeliveryRow, Message, PredictionRow
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, Stage, predict, statements, with_words


def test_a_message_waits_for_its_decision(stage: Stage) -> None:
    job = stage.write("where are my roses")
    assert job is not None
    assert job[1] == 1
    assert stage.pending_count() == 1
    waiting = deciding.pending(stage.desk, [job])
    assert waiting[job[0]].text == "where are my roses"
    stage.decide((job, predict()))
    assert deciding.pending(stage.desk, [job]) == {}, "not any more"


def test_an_update_handled_twice_makes_one_message(stage: Stage) -> None:
    inbox_id = stage.update()
    first = customers.wrote(stage.desk, inbox_id, ANA, 1, "hello")
    assert first is not None
    assert customers.wrote(stage.desk, inbox_id, ANA, 1, "hello") is None
    assert stage.pending_count() == 1


def test_a_sure_prediction_is_answered_with_the_pack_filled_in(stage: Stage) -> None:
    message_id = stage.ask("where are my roses", intent="order_status")
    decision = stage.decision(message_id)
    assert (decision.action, decision.rule) == (Action.ANSWER, "confident")
    (row,) = stage.deliveries(ANA.chat_id)
    assert row.payload["text"] == "Bouquets take <b>2</b> days, Ana."
    assert row.payload["parse_mode"] == "HTML"
    assert row.from_bot
    assert row.key == f"answer:{message_id}"
    texts = [[b["text"] for b in line] for line in row.payload["reply_markup"]["inline_keyboard"]]
    assert texts == [["Track it"], ["Opening hours"], ["Ask a person"], ["👍", "👎"]]


def test_an_answer_is_kept_as_plain_text_in_the_conversation(stage: Stage) -> None:
    stage.ask("where are my roses", intent="order_status")
    said = stage.all(select(Message.text).order_by(Message.id))
    assert said == ["where are my roses", "Bouquets take 2 days, Ana."]


def test_all_that_follows_from_a_message_is_dated_by_the_desks_clock(
    stage: Stage, clock: Clock
) -> None:
    stage.ask("where are my roses", intent="order_status")
    stage.ask("you are rude", intent="complaint")
    customers.sent_file(stage.desk, stage.update(), ANA, 55, "")
    for table in (Message, DecisionRow, DeliveryRow, ButtonRow):
        assert set(stage.all(select(table.created_at))) == {clock.now}, table


def test_a_customer_is_answered_in_their_language(stage: Stage) -> None:
    stage.ask("几点开门", person=BEN, intent="opening_hours")
    assert stage.heard(BEN) == ["我们周一至周五九点到六点营业。"]


def test_the_prediction_is_kept_with_the_decision(stage: Stage) -> None:
    message_id = stage.ask("roses?", confidence=0.91, others=[("refund", 0.05)])
    kept = stage.row(PredictionRow, message_id)
    assert (kept.intent, kept.confidence, kept.model) == ("order_status", 0.91, "test-1")
    assert [entry["name"] for entry in kept.ranking] == ["order_status", "refund"]
    assert (kept.sentiment, kept.sentiment_confidence) == ("neutral", 0.95)


def test_what_the_prediction_rests_on_is_kept_with_at_most_three_examples(stage: Stage) -> None:
    near = [Neighbour(f"where is it {n}", "order_status", 0.9 - n / 10) for n in range(4)]
    message_id = stage.ask("roses?", scope=0.75, language="nl", neighbours=near)
    kept = stage.row(PredictionRow, message_id)
    assert (kept.scope, kept.scope_threshold, kept.language) == (0.75, 0.5, "nl")
    assert kept.neighbours == [example.as_dict() for example in near[:3]]


def test_an_endless_training_example_is_kept_in_part(stage: Stage) -> None:
    near = [Neighbour("🌹" * 100_000 + "\x00", "refund", 0.5)]
    message_id = stage.ask("roses?", neighbours=near)
    (kept,) = stage.row(PredictionRow, message_id).neighbours
    assert kept["text"] == "🌹" * 149 + "…"


def test_gibberish_is_asked_back_with_the_menu_and_then_goes_to_a_person(stage: Stage) -> None:
    stage.ask("asdf", confidence=0.99, others=[("refund", 0.4)], scope=0.02)
    (row,) = stage.deliveries(ANA.chat_id)
    assert row.payload["text"].startswith("Sorry, I'm not sure I understood")
    labels = [b["text"] for line in row.payload["reply_markup"]["inline_keyboard"] for b in line]
    assert labels == ["Opening hours", "Where is my order?", "Make a complaint", "Talk to a person"]
    stage.ask("1234", confidence=0.99, scope=0.02)
    assert stage.conversation().state is ConversationState.WAITING
    assert "unlike anything the bot has learned" in stage.told()[0]


def test_another_language_calls_a_person_and_the_card_says_which(stage: Stage) -> None:
    stage.ask("wo bleibt mein Paket", language="de")
    assert stage.conversation().state is ConversationState.WAITING
    assert "in a language that the bot has not learned (de)" in stage.told()[0]


def test_two_close_intents_are_offered_as_buttons(stage: Stage) -> None:
    message_id = stage.ask("money?", confidence=0.45, others=[("refund", 0.4)])
    assert stage.decision(message_id).rule == "close_intents"
    (row,) = stage.deliveries(ANA.chat_id)
    assert row.payload["text"] == "Did you mean one of these?"
    labels = [b["text"] for line in row.payload["reply_markup"]["inline_keyboard"] for b in line]
    assert labels == ["Where is my order?", "I want my money back", "Talk to a person"]
    assert stage.conversation().clarifications == 1


def test_without_any_guess_the_customer_is_asked_to_rephrase_and_sees_the_menu(
    stage: Stage,
) -> None:
    stage.ask("blorp", intent="out_of_scope", confidence=0.99)
    (row,) = stage.deliveries(ANA.chat_id)
    assert row.payload["text"].startswith("Sorry, I'm not sure I understood")
    labels = [b["text"] for line in row.payload["reply_markup"]["inline_keyboard"] for b in line]
    assert labels == ["Opening hours", "Where is my order?", "Make a complaint", "Talk to a person"]


def test_without_a_menu_nobody_is_asked_to_pick_a_topic(stage: Stage) -> None:
    stage.desk = replace(stage.desk, pack=stage.desk.pack.model_copy(update={"menu": ()}))
    for person in (ANA, BEN):
        stage.ask("blorp", person, intent="out_of_scope", confidence=0.99)
    assert stage.heard() == [
        "Sorry, I'm not sure I understood that. Could you say it in other words?"
    ]
    assert stage.heard(BEN) == ["抱歉，我没有完全理解。您可以换个说法吗？"]


def test_titles_share_a_row_where_a_phone_has_room_for_both(stage: Stage) -> None:
    """A Chinese character takes the room of two letters."""
    names = ("一二三四五六七八九十", "一二三四五六七八九十甲")
    for person, title in ((ANA, names[0]), (BEN, names[1])):
        for intent in ("opening_hours", "order_status"):
            words = {"en": title, "zh": title}
            pack = with_words(stage.desk.pack, intent, title=words)
            stage.desk = replace(stage.desk, pack=pack)
        stage.ask("blorp", person, intent="out_of_scope", confidence=0.99)
    rows = [
        [len(line) for line in row.payload["reply_markup"]["inline_keyboard"]]
        for person in (ANA, BEN)
        for row in stage.deliveries(person.chat_id)
    ]
    assert rows == [[2, 1, 1], [1, 1, 1, 1]]


def test_the_second_time_the_bot_is_unsure_a_person_is_called(stage: Stage) -> None:
    stage.ask("blorp", confidence=0.3)
    message_id = stage.ask("blorp!", confidence=0.3)
    assert stage.decision(message_id).action is Action.ESCALATE
    assert stage.conversation().state is ConversationState.WAITING


def test_an_answer_ends_the_row_of_clarifications(stage: Stage) -> None:
    stage.ask("blorp", confidence=0.3)
    stage.ask("where are my roses")
    message_id = stage.ask("blorp", confidence=0.3)
    assert stage.decision(message_id).action is Action.CLARIFY


def test_an_escalation_tells_the_customer_when_and_shows_operators_why(stage: Stage) -> None:
    message_id = stage.ask("you are rude", intent="complaint", confidence=0.97)
    assert stage.decision(message_id).rule == "intent_needs_person"
    assert stage.conversation().state is ConversationState.WAITING
    (said,) = stage.heard()
    assert said.startswith("I'm passing this to a colleague.")
    assert said.endswith("usually within 15 minutes.")
    (card,) = stage.deliveries(OPERATOR_CHAT)
    text = card.payload["text"]
    for part in (
        "Needs a person",
        "Ana (@ana)",
        "<blockquote>you are rude</blockquote>",
        "Make a complaint 97%",
        "neutral 95%",
        "this topic always goes to a person",
        "<code>test-1</code>",
        "waiting for a person",
    ):
        assert part in text
    assert card.topic_of == stage.customer().id


def test_the_card_shows_what_was_said_before(stage: Stage) -> None:
    stage.ask("where are my roses")
    stage.ask("you are rude", intent="complaint")
    (card,) = stage.deliveries(OPERATOR_CHAT)
    assert "👤 where are my roses" in card.payload["text"]
    assert "🤖 Bouquets take 2 days, Ana." in card.payload["text"]


def _offered(stage: Stage) -> list[str]:
    """The labels of the newest card's buttons."""
    card = stage.deliveries(OPERATOR_CHAT)[-1]
    rows = card.payload["reply_markup"]["inline_keyboard"]
    return [button["text"] for row in rows for button in row]


def test_the_card_offers_the_likeliest_answers_that_there_are(stage: Stage) -> None:
    others = [("refund", 0.2), ("opening_hours", 0.19), ("order_status", 0.17)]
    stage.ask("rude", intent="complaint", confidence=0.26, others=others)
    assert _offered(stage) == [
        "Answer: I want my money back",
        "Answer: Opening hours",
        "Answer: Where is my order?",
        "Relabel…",
        "Take",
        "Resolve",
        "Why?",
    ]


def test_the_card_shows_what_was_offered_where_the_bot_asked_back(stage: Stage) -> None:
    stage.ask("money?", confidence=0.45, others=[("refund", 0.4)])
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    assert (
        "🤖 Did you mean one of these? [Where is my order?] [I want my money back]"
        in (stage.told()[-1])
    )
    assert stage.heard()[0] == "Did you mean one of these?", "the customer has its buttons"


def test_the_card_offers_no_answer_about_which_the_bot_would_not_ask_back(stage: Stage) -> None:
    others = [("refund", 0.15), ("opening_hours", 0.149), ("greeting", 0.0)]
    stage.ask("you are rude", intent="complaint", confidence=0.7, others=others)
    assert _offered(stage)[:2] == ["Answer: I want my money back", "Relabel…"]


def test_the_card_of_a_sure_complaint_offers_no_answer_at_all(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint", confidence=1.0, others=[("refund", 0.0)])
    assert _offered(stage)[0] == "Relabel…"


def test_the_card_offers_the_answer_of_the_likeliest_intent_however_unsure(stage: Stage) -> None:
    stage.ask("rude", intent="refund", confidence=0.1, sentiment="negative")
    stage.ask("rude", intent="refund", confidence=0.1, sentiment="negative")
    assert _offered(stage)[:2] == ["Answer: I want my money back", "Relabel…"]


def test_outside_working_hours_the_customer_hears_when_the_team_is_back(
    stage: Stage, clock: Clock
) -> None:
    clock.set(datetime(2026, 3, 6, 19, 0, tzinfo=UTC))  # a Friday evening
    stage.ask("you are rude", intent="complaint")
    assert "Our team is back on Monday at 9:00 GMT, and" in stage.heard()[0]
    assert "outside working hours" in stage.told()[0]


def test_while_a_person_is_awaited_the_bot_is_silent_and_the_operators_read_along(
    stage: Stage,
) -> None:
    stage.ask("you are rude", intent="complaint")
    before = stage.heard()
    message_id = stage.ask("hello??", intent="opening_hours")
    decision = stage.decision(message_id)
    assert (decision.action, decision.rule) == (Action.SILENT, "waiting_for_person")
    assert stage.heard() == before
    assert "<blockquote>hello??</blockquote>" in stage.told()[-1]
    assert "Ana wrote" in stage.told()[-1]


def test_the_third_time_in_a_row_the_same_answer_gives_way_to_a_person(stage: Stage) -> None:
    rules = [stage.decision(stage.ask("roses?")).rule for _ in range(3)]
    assert rules == ["confident", "confident", "same_answer_again"]


def test_upset_messages_in_a_row_call_a_person(stage: Stage) -> None:
    first = stage.ask("bah", intent="opening_hours", sentiment="negative")
    second = stage.ask("bah!", intent="opening_hours", sentiment="negative")
    assert stage.decision(first).rule == "confident"
    assert stage.decision(second).rule == "negative_sentiment"


def test_a_calm_message_ends_the_row_of_upset_ones(stage: Stage) -> None:
    stage.ask("bah", intent="opening_hours", sentiment="negative")
    stage.ask("fine", intent="refund")
    third = stage.ask("bah", intent="opening_hours", sentiment="negative")
    assert stage.decision(third).rule == "confident"


# ---- Order, repetition, fencing ----


def test_a_second_message_is_enqueued_only_after_the_first_is_decided(stage: Stage) -> None:
    first = stage.write("where are my roses")
    assert first is not None
    assert stage.write("and when do you open") is None
    following = stage.decide((first, predict()))
    assert len(following) == 1
    assert stage.message(following[0][0]).text == "and when do you open"
    assert stage.decide((following[0], predict(intent="opening_hours"))) == []
    assert stage.heard() == [
        "Bouquets take <b>2</b> days, Ana.",
        "We are open Monday to Friday, nine to six.",
    ]


def test_customers_do_not_wait_for_each_other(stage: Stage) -> None:
    assert stage.write("one", ANA) is not None
    assert stage.write("two", BEN) is not None


def test_a_batch_answers_each_customer(stage: Stage) -> None:
    ana, ben = stage.write("one", ANA), stage.write("two", BEN)
    assert ana is not None
    assert ben is not None
    stage.decide((ben, predict(intent="opening_hours")), (ana, predict()))
    assert stage.heard(ANA) == ["Bouquets take <b>2</b> days, Ana."]
    assert stage.heard(BEN) == ["我们周一至周五九点到六点营业。"]


def test_deciding_twice_gives_one_reply(stage: Stage) -> None:
    job = stage.write("where are my roses")
    assert job is not None
    stage.decide((job, predict()))
    assert stage.decide((job, predict(intent="opening_hours"))) == []
    assert len(stage.heard()) == 1
    assert stage.decision(job[0]).intent == "order_status"


def test_an_attempt_that_is_no_longer_the_newest_counts_for_nothing(stage: Stage) -> None:
    stale = stage.write("where are my roses")
    assert stale is not None
    (fresh,) = watching.next_attempts(stage.desk, [stale[0]])
    assert fresh == (stale[0], 2)
    assert deciding.pending(stage.desk, [stale]) == {}
    stage.decide((stale, predict(intent="opening_hours")))
    assert stage.heard() == []
    stage.decide((fresh, predict()))
    assert stage.heard() == ["Bouquets take <b>2</b> days, Ana."]


def test_a_message_that_does_not_exist_is_left_alone(stage: Stage) -> None:
    assert stage.decide(((999_999, 1), predict())) == []


def test_a_failure_in_a_batch_leaves_nothing_behind(stage: Stage) -> None:
    ana, ben = stage.write("one", ANA), stage.write("two", BEN)
    assert ana is not None
    assert ben is not None
    broken = predict()
    object.__setattr__(broken, "intent_ranking", None)
    with pytest.raises(TypeError):
        stage.decide((ana, predict()), (ben, broken))
    assert stage.pending_count() == 2
    assert stage.heard(ANA) == []
    assert stage.all(select(func.count()).select_from(DeliveryRow)) == [0]


def test_a_message_decided_after_its_conversation_was_resolved_is_not_lost(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    job = stage.write("get me a human now")
    assert job is not None
    stage.send_all()
    stage.resolve()
    assert stage.conversation().state is ConversationState.RESOLVED
    stage.decide((job, predict(intent="talk_to_person")))
    assert stage.conversation().state is ConversationState.WAITING
    assert stage.heard()[-1].startswith("I'm passing this to a colleague")
    assert "Needs a person" in stage.told()[-1]


def test_a_message_decided_after_its_conversation_was_resolved_moves_to_the_open_one(
    stage: Stage,
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    late, later = stage.write("where are my roses"), stage.write("hello?")
    assert late is not None
    assert later is None
    stage.resolve()
    fresh = stage.write("when do you open")
    assert fresh is not None
    ((later_id, _),) = stage.decide((late, predict()))
    resolved, current = stage.conversations()
    assert resolved.state is ConversationState.RESOLVED
    assert stage.message(late[0]).conversation_id == current.id
    assert stage.message(later_id).text == "hello?", "what waited behind it goes on"
    assert stage.deliveries(key=f"answer:{late[0]}")[0].conversation_id == current.id
    assert stage.decide((fresh, predict(intent="opening_hours"))) == []


def test_a_conversation_that_was_opened_again_is_the_one_that_is_resolved(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    late = stage.write("where are my roses")
    assert late is not None
    stage.resolve()
    stage.reply("one more thing")
    stage.resolve()
    stage.decide((late, predict()))
    assert [c.state for c in stage.conversations()] == ["bot", "resolved"]
    stage.resolve()
    assert [c.state for c in stage.conversations()] == ["resolved", "resolved"]


def test_a_conversation_that_the_bot_has_again_begins_anew(stage: Stage) -> None:
    for _ in range(stage.desk.pack.policy.same_answer):
        stage.ask("where are my roses")
    late = stage.write("and where are they?")
    assert late is not None
    stage.resolve(stage.topic())
    stage.decide((late, predict()))
    assert stage.decision(late[0]).rule == "confident", "not: the same answer again"
    conversation = stage.conversation()
    assert (conversation.state, conversation.resolved_at) == (ConversationState.BOT, None)


@pytest.mark.parametrize(
    "said",
    [{"confidence": 0.3}, {"intent": "opening_hours", "sentiment": "negative"}],
    ids=["unsure", "upset"],
)
def test_what_was_counted_before_counts_no_more_in_a_conversation_that_the_bot_has_again(
    stage: Stage, said: dict[str, Any]
) -> None:
    first = stage.ask("so?", **said)
    late = stage.write("so??")
    assert late is not None
    stage.resolve(stage.topic())
    stage.decide((late, predict("so??", **said)))
    assert stage.decision(late[0]).rule == stage.decision(first).rule
    assert stage.conversation().state is ConversationState.BOT


def test_a_message_decided_after_its_conversation_was_resolved_moves_to_no_other_customers(
    stage: Stage,
) -> None:
    stage.ask("几点开门", BEN, intent="opening_hours")
    stage.ask("you are rude", intent="complaint")
    late, other = stage.write("where are my roses"), stage.write("花呢", BEN)
    assert late is not None
    assert other is not None
    stage.resolve(stage.topic())
    stage.decide((late, predict()), (other, predict()))
    assert stage.heard()[-1] == "Bouquets take <b>2</b> days, Ana."
    assert len(stage.heard(BEN)) == 2
    assert stage.message(late[0]).conversation_id == stage.conversation().id


@pytest.mark.parametrize("shown", [True, False])
def test_the_card_of_a_conversation_that_the_bot_has_again_says_so(
    stage: Stage, shown: bool
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    if shown:
        stage.send_all()
    job = stage.write("and where are my roses?")
    assert job is not None
    stage.resolve()
    stage.decide((job, predict()))
    stage.send_all()
    newest = stage.deliveries(OPERATOR_CHAT)[-1]
    assert newest.method == ("editMessageText" if shown else "sendMessage")
    assert newest.payload["text"].endswith("🤖 the bot answers again")
    assert "Resolve" in str(newest.payload["reply_markup"])


@pytest.mark.parametrize("late", [False, True], ids=["decided", "given up"])
def test_the_card_of_a_conversation_opened_again_that_calls_a_person_at_once_is_made_once(
    stage: Stage, late: bool
) -> None:
    first = stage.ask("you are rude", intent="complaint")
    stage.topic()
    job = stage.write("really rude")
    assert job is not None
    stage.resolve()
    stage.send_all()
    if late:
        deciding.give_up(stage.desk, [job[0]])
    else:
        stage.decide((job, predict(intent="complaint")))
    *_, before, card = stage.deliveries(OPERATOR_CHAT)
    assert (before.key, card.key) == (f"card:{first}", f"card:{job[0]}")
    assert card.payload["text"].endswith("⏳ waiting for a person")
    shown = [button for line in card.payload["reply_markup"]["inline_keyboard"] for button in line]
    on_card = ButtonRow.action != CALL_OFF  # which stands under what the customer hears
    made = stage.all(select(ButtonRow.token).where(ButtonRow.message_id == job[0], on_card))
    assert {button["callback_data"] for button in shown} == set(made)


# ---- A batch at once ----


def test_a_batch_of_64_takes_as_many_statements_as_one_of_8(stage: Stage) -> None:
    kinds = [
        predict(intent="order_status"),
        predict(confidence=0.45, others=[("refund", 0.4)]),
        predict(intent="complaint"),
        predict(intent="complaint", language="de"),
    ]
    told = []
    for size, chats in ((8, 1000), (64, 2000)):
        people = [Person(chat_id=chats + number, name=f"P{number}") for number in range(size)]
        for person in people[: size // 4]:
            stage.ask("you are rude", person, intent="complaint")
        jobs = [stage.write(f"message {n}", person) for n, person in enumerate(people)]
        batch = [(job, kinds[n % 4]) for n, job in enumerate(jobs) if job is not None]
        assert len(batch) == size
        for person in people:
            stage.write("and another thing", person)
        told.append(statements(stage, lambda batch=batch: stage.decide(*batch)))
    assert told[0] == told[1]
    rules = set(stage.all(select(DecisionRow.rule)))
    assert {"confident", "close_intents", "other_language", "waiting_for_person"} < rules


def test_the_great_queries_of_a_batch_are_made_once_and_not_for_each(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call_a_person(text: str) -> None:
        job = stage.write(text)
        assert job is not None
        assert list(deciding.pending(stage.desk, [job])) == [job[0]]
        stage.decide((job, predict(text, intent="complaint")))

    call_a_person("you are rude")
    for module in (deciding, batch):
        monkeypatch.setattr(module, "aliased", None)
    stage.resolve(stage.topic())
    call_a_person("and you have lost my roses")
    assert [row.key for row in stage.deliveries() if row.key.startswith("card:")] == [
        f"card:{message.id}" for message in stage.said()
    ]


def test_two_messages_of_one_customer_in_a_batch_are_decided_one_after_the_other(
    stage: Stage,
) -> None:
    first = stage.write("you are rude")
    assert first is not None
    stage.write("really rude")
    stage.write("hello?", BEN)
    second, other = stage.all(select(Message).where(Message.id > first[0]).order_by(Message.id))
    rude = predict(intent="complaint")
    assert (
        stage.decide(((second.id, second.attempt), rude), (first, rude), ((other.id, 1), predict()))
        == []
    )
    assert stage.decision(first[0]).rule == "intent_needs_person"
    assert stage.decision(second.id).rule == "waiting_for_person"
    assert len(stage.heard()) == 1
    card, post = stage.deliveries(OPERATOR_CHAT)
    assert (card.key, post.key) == (f"card:{first[0]}", f"post:{second.id}")


def test_a_job_that_is_twice_in_a_batch_is_decided_once(stage: Stage) -> None:
    job = stage.write("where are my roses")
    assert job is not None
    stage.decide((job, predict()), (job, predict(intent="opening_hours")))
    assert stage.heard() == ["Bouquets take <b>2</b> days, Ana."]


def test_a_card_in_a_batch_shows_what_was_said_before_in_its_own_conversation(
    stage: Stage,
) -> None:
    stage.ask("where are my roses", ANA)
    stage.ask("几点开门", BEN, intent="opening_hours")
    jobs = [stage.write("you are rude", ANA), stage.write("真没礼貌", BEN)]
    stage.decide(*[(job, predict(intent="complaint")) for job in jobs if job is not None])
    of_ana, of_ben = stage.told()
    assert "👤 where are my roses" in of_ana
    assert "🤖 Bouquets take 2 days, Ana." in of_ana
    assert "几点开门" not in of_ana
    assert "👤 几点开门" in of_ben


# ---- What takes too long ----


# ---- Commands and files ----
