"""Workers, the sender, customers and operators at once: no bot's answer after a person's word."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import OperationalError

from desk.domain import (
    Action,
    Author,
    ConversationState,
    DeliveryState,
    DeskError,
    Incoming,
    Person,
    RunState,
)
from desk.flow import (
    buttons,
    customers,
    deciding,
    edits,
    erasing,
    intake,
    lessons,
    operators,
    reminding,
    roster,
    runs,
    watching,
)
from desk.flow.button_actions import CALL_OFF, TAKE
from desk.flow.conversations import add_message
from desk.flow.handoff import take_over
from desk.flow.refreshing import edit_card
from desk.tables import Conversation, Customer, DeliveryRow, Feedback, Message, Operator
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BOT, OLGA, OSCAR, Stage, new_rows, predict, role_of

ROUNDS = 8


def _together(*acts: Callable[[], object]) -> None:
    """Run acts in threads that begin at the same moment; any error fails the test."""
    gate = threading.Barrier(len(acts))

    def begin(act: Callable[[], object]) -> None:
        gate.wait()
        act()

    with ThreadPoolExecutor(len(acts)) as pool:
        for future in [pool.submit(begin, act) for act in acts]:
            future.result()


def _until_it_waits(stage: Stage, sessions: int = 1) -> None:
    """Until another session (or so many of them) waits for a lock of this one.

    SQLite queues writers before they read anything: there a moment is enough.
    """
    if stage.desk.store.sqlite:
        time.sleep(0.1)
        return
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    deadline = time.monotonic() + 30
    while True:
        with stage.desk.store.reading() as session:
            if (session.scalar(waiting) or 0) >= sessions:
                return
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.02)


def _sent_to(stage: Stage, person: Person) -> list[DeliveryRow]:
    rows = stage.deliveries(person.chat_id, state=DeliveryState.SENT)
    return sorted(rows, key=lambda row: row.telegram_id or 0)


def _assert_person_has_the_last_word(stage: Stage, person: Person) -> None:
    sent = _sent_to(stage, person)
    words = [row.from_bot for row in sent]
    assert words == sorted(words, reverse=True), [row.key for row in sent]
    assert not words[-1]


def test_a_worker_and_a_person_at_once_never_let_the_bot_speak_last(stage: Stage) -> None:
    people = [Person(chat_id=700 + number, name=f"P{number}") for number in range(ROUNDS)]
    jobs = []
    for number, person in enumerate(people):
        jobs.append(stage.write("where are my roses", person))
        stage.topic(person, 800 + number)
    for number, (person, job) in enumerate(zip(people, jobs, strict=True)):
        assert job is not None
        inbox_id = stage.update()
        _together(
            lambda job=job: stage.decide((job, predict())),
            lambda inbox_id=inbox_id, number=number: operators.operator_wrote(
                stage.desk, inbox_id, OSCAR, 800 + number, 5000 + number, "I am here"
            ),
            stage.send_all,
        )
        stage.send_all()
        assert stage.conversation(person).state is ConversationState.HUMAN
        _assert_person_has_the_last_word(stage, person)


def test_the_sender_and_a_person_at_once_never_let_the_bot_speak_last(stage: Stage) -> None:
    for number in range(ROUNDS):
        person = Person(chat_id=700 + number, name=f"P{number}")
        stage.ask("where are my roses", person)
        stage.topic(person, 800 + number)
        inbox_id = stage.update()
        _together(
            stage.send_all,
            lambda inbox_id=inbox_id, number=number: operators.operator_wrote(
                stage.desk, inbox_id, OSCAR, 800 + number, 5000 + number, "I am here"
            ),
        )
        stage.send_all()
        _assert_person_has_the_last_word(stage, person)


def test_two_workers_with_the_same_job_give_one_reply(stage: Stage) -> None:
    for number in range(ROUNDS):
        person = Person(chat_id=700 + number, name=f"P{number}")
        job = stage.write("where are my roses", person)
        assert job is not None
        _together(*[lambda job=job: stage.decide((job, predict()))] * 3)
        assert len(stage.heard(person)) == 1


def test_a_worker_and_a_file_at_once_show_the_text_once_and_before_the_file(stage: Stage) -> None:
    for number in range(ROUNDS):
        person = Person(chat_id=700 + number, name=f"P{number}")
        stage.ask("you are rude", person, intent="complaint")
        job = stage.write("look how it arrived", person)
        assert job is not None
        inbox_id = stage.update()
        _together(
            lambda job=job: stage.decide((job, predict())),
            lambda inbox_id=inbox_id, person=person: customers.sent_file(
                stage.desk, inbox_id, person, 55, ""
            ),
        )
        rows = stage.deliveries(conversation_id=stage.conversation(person).id)
        kinds = [row.key.partition(":")[0] for row in rows if row.chat_id != person.chat_id]
        assert kinds == ["card", "post", "file"]


def test_giving_up_and_deciding_at_once_give_one_reply(stage: Stage) -> None:
    for number in range(ROUNDS):
        person = Person(chat_id=700 + number, name=f"P{number}")
        job = stage.write("where are my roses", person)
        assert job is not None
        _together(
            lambda job=job: stage.decide((job, predict())),
            lambda job=job: deciding.give_up(stage.desk, [job[0]]),
            lambda job=job: watching.next_attempts(stage.desk, [job[0]]),
        )
        deciding.give_up(stage.desk, [job[0]])  # where only the new attempt got through
        assert len(stage.heard(person)) == 1


def test_no_message_is_forgotten_between_a_decision_and_the_next_message(stage: Stage) -> None:
    for number in range(ROUNDS):
        person = Person(chat_id=700 + number, name=f"P{number}")
        first = stage.write("one", person)
        assert first is not None
        inbox_id = stage.update()
        enqueued: list[tuple[int, int] | None] = []
        _together(
            lambda first=first, found=enqueued: found.extend(stage.decide((first, predict()))),
            lambda inbox_id=inbox_id, person=person, found=enqueued: found.append(
                customers.wrote(stage.desk, inbox_id, person, 9, "two")
            ),
        )
        assert len([job for job in enqueued if job is not None]) == 1, "just one of the two does it"


def test_the_same_update_in_two_threads_is_handled_once(stage: Stage) -> None:
    for number in range(ROUNDS):
        person = Person(chat_id=700 + number, name=f"P{number}")
        stage.write("hello", person)
        inbox_id = stage.update()
        _together(*[lambda i=inbox_id, p=person: customers.asked_for_help(stage.desk, i, p)] * 3)
        assert len(stage.heard(person)) == 1


def test_updates_stored_by_two_threads_have_one_row_each(stage: Stage) -> None:
    batch = [Incoming(BOT, 9000 + number, 1, {}) for number in range(50)]
    _together(*[lambda: intake.store_updates(stage.desk, batch)] * 3)
    rows = [row for row in new_rows(stage.desk) if row.update_id >= 9000]
    assert len(rows) == 50


def test_a_press_that_waited_for_a_take_over_sees_the_person(stage: Stage) -> None:
    """The press has read the conversation before it waits for the lock; it must look again."""
    stage.ask("where are my roses")
    stage.topic()
    token = stage.token("intent", "opening_hours")
    inbox_id = stage.update()
    pressed = []
    with ThreadPoolExecutor(1) as pool:
        with stage.desk.store.writing() as session:
            customer = session.scalars(
                select(Customer).where(Customer.chat_id == ANA.chat_id).with_for_update()
            ).one()
            conversation = session.scalars(select(Conversation).with_for_update()).one()
            waiting = pool.submit(
                buttons.pressed, stage.desk, inbox_id, token, ANA.chat_id, ANA.chat_id, 1
            )
            _until_it_waits(stage)
            take_over(session, stage.desk, customer, conversation, session.get_one(Operator, OSCAR))
        pressed.append(waiting.result(30))
    assert pressed[0].alert
    assert pressed[0].text == "Passed on. You will get the reply right here."
    assert stage.heard() == []


def test_a_change_of_a_message_and_the_sending_of_its_card_do_not_lock_each_other_out(
    stage: Stage,
) -> None:
    """`sent` locks the conversation and then queues an edit, which locks the message."""
    message_id = stage.ask("where are my roses")
    telegram_id, inbox_id = stage.message(message_id).telegram_id, stage.update()
    assert telegram_id is not None
    with ThreadPoolExecutor(1) as pool:
        with stage.desk.store.writing() as session:
            conversation = session.scalars(select(Conversation).with_for_update()).one()
            changed = pool.submit(
                edits.customer_changed, stage.desk, inbox_id, ANA, telegram_id, "my roses?"
            )
            _until_it_waits(stage)
            message = session.get_one(Message, message_id)
            customer = session.get_one(Customer, conversation.customer_id)
            edit_card(session, stage.desk, customer, conversation, message, 5)
        changed.result(30)
    assert [said.text for said in stage.said()] == ["where are my roses", "my roses?"]


def test_a_label_said_anew_while_it_is_withdrawn_teaches(stage: Stage) -> None:
    """The press waits for the row that is being withdrawn, and must not go by what it was."""
    stage.ask("give it back", intent="complaint")
    stage.press(stage.token("relabel"), by=OSCAR)
    token = stage.token("label", "refund")
    stage.press(token, by=OSCAR)
    inbox_id = stage.update()
    with ThreadPoolExecutor(1) as pool:
        with stage.desk.store.writing() as session:
            row = session.scalars(select(Feedback).with_for_update()).one()
            row.withdrawn_at = stage.desk.clock()
            session.flush()
            waiting = pool.submit(
                buttons.pressed, stage.desk, inbox_id, token, OSCAR, OPERATOR_CHAT, 1
            )
            _until_it_waits(stage)
        waiting.result(30)
    assert [word.intent for word in lessons.learned(stage.desk)] == ["refund"]


class _Day:
    """Four customers, two workers, an operator and the sender, all at once."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.desk = stage, stage.desk
        self.people = [Person(chat_id=700 + number, name=f"P{number}") for number in range(4)]
        for number, person in enumerate(self.people):
            stage.write("hello", person)
            stage.topic(person, 800 + number)
        self._inbox = iter([stage.update() for _ in range(56)])
        self._lock, self.over = threading.Lock(), threading.Event()

    def _act(self, act: Callable[..., object], *values: object) -> None:
        with self._lock:
            inbox_id = next(self._inbox)
        self._again(act, self.desk, inbox_id, *values)

    def _again(self, act: Callable[..., object], *values: object) -> None:
        # A deadlock is the database's way to say: once more. Bot and workers retry, too.
        for _ in range(20):
            try:
                act(*values)
                return
            except OperationalError as error:
                if "deadlock" not in str(error):
                    raise
        raise AssertionError("a deadlock twenty times in a row")

    def write(self, person: Person) -> None:
        for number in range(8):
            self._act(customers.wrote, person, number, f"message {number}")

    def operate(self) -> None:
        for thread_id in (800, 801, 802, 803) * 3:
            self._act(operators.took, OSCAR, thread_id)
            self._act(operators.resolved, OSCAR, thread_id)

    def work(self) -> None:
        intents = ["order_status", "opening_hours", "greeting", "complaint"]
        while not self.over.is_set():
            found = deciding.pending(self.desk, watching.waiting_longer(self.desk, -1))
            batch = [(m, predict(intent=intents[m.id % 4])) for m in found.values()]
            self._again(deciding.decide_batch, self.desk, batch)

    def send(self) -> None:
        while not self.over.is_set():
            self._again(self.stage.send_all)

    def run(self) -> None:
        """Until everything is written and decided."""
        with ThreadPoolExecutor(8) as pool:
            background = [pool.submit(act) for act in (self.work, self.work, self.send)]
            acting = [pool.submit(self.write, person) for person in self.people]
            acting.append(pool.submit(self.operate))
            try:
                for future in acting:
                    future.result(120)
                deadline = time.monotonic() + 60
                while self.stage.pending_count() and time.monotonic() < deadline:
                    time.sleep(0.02)
            finally:
                self.over.set()
            for future in background:
                future.result(60)
        self.stage.send_all()


def test_a_whole_day_at_once_loses_nothing_and_answers_nothing_twice(stage: Stage) -> None:
    _Day(stage).run()
    assert stage.pending_count() == 0
    written = select(func.count()).where(Message.author == Author.CUSTOMER)
    assert stage.one(written) == 4 + 4 * 8
    replies = stage.all(
        select(func.count())
        .select_from(DeliveryRow)
        .where(DeliveryRow.message_id.is_not(None), DeliveryRow.chat_id > 0)
        .group_by(DeliveryRow.message_id)
    )
    assert max(replies) == 1
    alive = (DeliveryState.PENDING, DeliveryState.SENDING)
    assert [row for row in stage.deliveries() if row.state in alive] == []


@pytest.mark.parametrize("state", [ConversationState.HUMAN, ConversationState.WAITING])
def test_a_batch_reads_who_is_in_charge_under_the_lock(
    stage: Stage, state: ConversationState
) -> None:
    job = stage.write("where are my roses")
    assert job is not None
    with ThreadPoolExecutor(1) as pool:
        with stage.desk.store.writing() as session:
            session.execute(update(Conversation).values(state=state))
            waiting = pool.submit(stage.decide, (job, predict()))
            _until_it_waits(stage)
        waiting.result(30)
    assert stage.heard() == []


def test_what_is_noted_as_sent_while_another_sender_begins_stays_sent(stage: Stage) -> None:
    stage.ask("where are my roses")
    (delivery,) = stage.take()
    with ThreadPoolExecutor(1) as pool:
        with stage.desk.store.writing() as session:
            row = session.get_one(DeliveryRow, delivery.id, with_for_update=True)
            row.state = DeliveryState.SENT
            session.flush()
            began = pool.submit(stage.recover)
            _until_it_waits(stage)
        began.result(10)
    assert stage.row(DeliveryRow, delivery.id).state is DeliveryState.SENT


def test_two_bots_that_start_at_once_both_learn_who_is_an_administrator(stage: Stage) -> None:
    admins = [(number, f"Admin {number}") for number in range(1, 200)]
    for _ in range(3):
        roster.sync_admins(stage.desk, [])
        _together(*[lambda: roster.sync_admins(stage.desk, admins)] * 3)
    assert role_of(stage.desk, 1) is not None


def test_of_two_runs_ordered_at_once_one_is_made(stage: Stage) -> None:
    def order() -> None:
        with suppress(DeskError):
            runs.order_run(stage.desk, "nightly")

    def wish() -> None:
        operators.ordered_training(stage.desk, stage.update(), OLGA)

    for _ in range(ROUNDS):
        _together(order, wish, order, wish)
        ((run_id, attempt, _),) = watching.unfinished_runs(stage.desk)
        assert runs.start_run(stage.desk, run_id, attempt)
        assert runs.finish_run(stage.desk, run_id, attempt, RunState.REJECTED)


def test_a_token_that_no_database_takes_is_an_unknown_one(stage: Stage) -> None:
    stage.ask("where are my roses")
    assert stage.press("no\x00thing").text


def test_erasing_beside_all_that_goes_on_leaves_nothing_half_erased(stage: Stage) -> None:
    def erase(customer_id: int) -> None:
        with suppress(DeskError):  # they have just written, or are being answered
            erasing.erase(stage.desk, customer_id)

    def decide(job: tuple[int, int] | None) -> None:
        if job is not None:
            stage.decide((job, predict("peonies, too")))

    for number in range(ROUNDS):
        person = Person(chat_id=700 + number, name="Uma")
        stage.ask("peonies", person)
        customer, inbox_id = stage.customer(person).id, stage.update()
        _together(
            partial(erase, customer),
            stage.send_all,
            lambda inbox_id=inbox_id, person=person: decide(
                customers.wrote(stage.desk, inbox_id, person, 9, "peonies, too")
            ),
        )
        stage.send_all()
        first = stage.row(Customer, customer)
        said = [
            message.text
            for message in stage.all(
                select(Message)
                .join(Conversation, Conversation.id == Message.conversation_id)
                .where(Conversation.customer_id == customer)
            )
        ]
        assert all(said) or not any(said)
        assert (first.name == "Uma") is any(said) is not first.erased
        # Unless what they wrote meanwhile was erased with the rest, it is answered.
        theirs = Customer.chat_id == person.chat_id
        for now in stage.all(select(Customer).where(theirs)):
            assert len(_sent_to(stage, person)) == (1 if now.id != customer else 2)


def test_who_is_written_to_while_the_silent_are_erased_is_not(stage: Stage, clock: Clock) -> None:
    stage.ask("where are my roses")
    stage.send_all()
    clock.move(seconds=86400 * 31)
    before = clock() - timedelta(days=30)
    with ThreadPoolExecutor(1) as pool:
        with stage.desk.store.writing() as session:
            customer = session.scalars(select(Customer).with_for_update()).one()
            words = Message(
                conversation_id=stage.conversation().id,
                author=Author.OPERATOR,
                text="They leave today",
                created_at=clock(),
            )
            session.add(words)
            session.flush()
            waiting = pool.submit(erasing.erase_silent, stage.desk, before, 10)
            _until_it_waits(stage)
        assert waiting.result() == 0
    assert stage.row(Customer, customer.id).name == "Ana"


@pytest.mark.parametrize("others", [0, 5], ids=["alone", "in a digest"])
def test_who_is_answered_between_a_reminders_look_and_its_lock_is_not_brought_to_mind(
    stage: Stage, clock: Clock, others: int
) -> None:
    people = [ANA, *(Person(chat_id=700 + number, name=f"P{number}") for number in range(others))]
    for person in people:
        customers.asked_for_person(stage.desk, stage.update(), person, "/human")
    inbox_id, told = stage.update(), len(stage.told())
    clock.move(minutes=20)
    with ThreadPoolExecutor(1) as pool:
        with stage.desk.store.writing() as session:
            customer = session.scalars(
                select(Customer).where(Customer.chat_id == ANA.chat_id).with_for_update()
            ).one()
            hers = Conversation.customer_id == customer.id
            conversation = session.scalars(select(Conversation).where(hers)).one()
            waiting = pool.submit(reminding.remind, stage.desk)
            _until_it_waits(stage)
            take_over(session, stage.desk, customer, conversation, session.get_one(Operator, OSCAR))
            add_message(
                session, stage.desk, conversation, inbox_id, Author.OPERATOR, "I am here", 9
            )
        assert waiting.result(30) == others
    reminders = stage.told()[told:]
    assert len(reminders) == others
    assert "Ana" not in str(reminders)


def test_who_gets_the_next_word_between_a_reminders_look_and_its_lock_is_not_brought_to_mind(
    stage: Stage, clock: Clock
) -> None:
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    stage.topic()
    stage.reply("Which order?")
    stage.ask("A1", intent="refund")
    inbox_id, told = stage.update(), len(stage.told())
    clock.move(minutes=20)
    with ThreadPoolExecutor(1) as pool:
        with stage.desk.store.writing() as session:
            customer = session.scalars(select(Customer).with_for_update()).one()
            hers = Conversation.customer_id == customer.id
            conversation = session.scalars(select(Conversation).where(hers)).one()
            waiting = pool.submit(reminding.remind, stage.desk)
            _until_it_waits(stage)
            add_message(session, stage.desk, conversation, inbox_id, Author.OPERATOR, "Done", 9)
        assert waiting.result(30) == 0
    assert len(stage.told()) == told


def test_of_two_schedulers_that_remind_at_once_one_does(stage: Stage, clock: Clock) -> None:
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    told = len(stage.told())
    clock.move(minutes=20)
    # The clocks of two hosts differ.
    late = replace(stage.desk, clock=lambda: clock() + timedelta(seconds=1))
    with ThreadPoolExecutor(2) as pool:
        with stage.desk.store.writing() as session:
            session.scalars(select(Customer).with_for_update()).one()
            reminded = [pool.submit(reminding.remind, desk) for desk in (stage.desk, late)]
            _until_it_waits(stage, sessions=2)
        assert sorted(future.result(30) for future in reminded) == [0, 1]
    assert len(stage.told()) == told + 1


def test_who_calls_it_off_while_a_colleague_takes_it_gets_one_of_both(stage: Stage) -> None:
    for number in range(ROUNDS):
        person = Person(chat_id=700 + number, name=f"P{number}")
        stage.ask("my roses are dead", person, intent="complaint")
        stage.topic(person, 800 + number)
        stage.send_all()
        call_off, take = stage.token(CALL_OFF), stage.token(TAKE)
        said: dict[str, str] = {}

        def press(who: str, token: str, **where: int) -> None:
            said[who] = stage.press(token, **where).text  # noqa: B023 - done within the round

        _together(
            partial(press, "customer", call_off, by=person.chat_id),
            partial(press, "customer again", call_off, by=person.chat_id),
            partial(press, "colleague", take, by=OSCAR),
        )
        state = stage.conversation(person).state
        if state is ConversationState.HUMAN:
            assert not said["colleague"]
            assert "in hand by now" in said["customer"]
            assert "in hand by now" in said["customer again"]
        else:
            assert state is ConversationState.RESOLVED
            assert said["colleague"] == "This conversation is already resolved."
            over = sorted((said["customer"], said["customer again"]))
            assert over == ["", "That request is over already. You can write to me at any time."]
        assert len(stage.conversations(person)) == 1


def test_who_calls_it_off_while_their_next_message_is_read_is_answered_once(stage: Stage) -> None:
    for number in range(ROUNDS):
        person = Person(chat_id=700 + number, name=f"P{number}")
        stage.ask("my roses are dead", person, intent="complaint")
        stage.send_all()
        job = stage.write("when do you open", person)
        assert job is not None
        _together(
            partial(stage.press, stage.token(CALL_OFF), by=person.chat_id),
            lambda job=job: stage.decide((job, predict(intent="opening_hours"))),
        )
        action = stage.decision(job[0]).action
        answers = [row for row in stage.deliveries(person.chat_id) if row.message_id == job[0]]
        # Read before, it is the colleague's; read after, the bot's.
        assert (action, len(answers)) in {(Action.SILENT, 0), (Action.ANSWER, 1)}
        calm = ConversationState.RESOLVED if action is Action.SILENT else ConversationState.BOT
        assert stage.conversation(person).state is calm
