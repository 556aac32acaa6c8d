"""What the flow tests act with: people at both ends of a desk, and predictions to order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any, TypeVar

from sqlalchemy import event, select

from classifier.vocabulary import Neighbour, Prediction, Scored
from desk.domain import (
    Author,
    Delivery,
    DeliveryState,
    InboxRow,
    Incoming,
    MessageState,
    PendingMessage,
    Person,
    Pressed,
    Role,
)
from desk.flow import (
    buttons,
    conversations,
    customers,
    deciding,
    delivering,
    dispatching,
    edits,
    handoff,
    intake,
    leases,
    operators,
    recovering,
    roster,
    topics,
)
from desk.flow.composing import add_delivery
from desk.flow.desk import Desk
from desk.flow.leases import Holding
from desk.pack import Escalate, Pack
from desk.tables import (
    Base,
    ButtonRow,
    Conversation,
    Customer,
    DecisionRow,
    DeliveryRow,
    Feedback,
    Inbox,
    Message,
    Operator,
)

Row = TypeVar("Row", bound=Base)

BOT = 123456
ANA = Person(chat_id=501, name="Ana", username="ana", language="en")
BEN = Person(chat_id=502, name="Ben", language="zh-hans")
OLGA, OSCAR, STRANGER = 9001, 9002, 666


def predict(
    text: str = "hello",
    intent: str | None = "order_status",
    confidence: float = 0.95,
    *,
    others: Sequence[tuple[str, float]] = (),
    sentiment: str | None = "neutral",
    sureness: float = 0.95,
    threshold: float | None = None,
    scope: float | None = None,
    language: str | None = None,
    neighbours: Sequence[Neighbour] = (),
) -> Prediction:
    """A prediction with one intent on top and, if wanted, others behind it.

    From a `scope` of 0.5 on it is in scope.
    """
    ranking = [] if intent is None else [Scored(intent, confidence)]
    ranking += [Scored(name, sure) for name, sure in others]
    return Prediction(
        text=text,
        intent=ranking[0] if intent is not None else None,
        intent_ranking=tuple(ranking),
        sentiment=None if sentiment is None else Scored(sentiment, sureness),
        threshold=threshold,
        model="test-1",
        scope=scope,
        scope_threshold=None if scope is None else 0.5,
        language=language,
        neighbours=tuple(neighbours),
    )


def with_words(pack: Pack, intent: str | None = None, **words: Any) -> Pack:
    """A pack in which an intent, or without one the pack itself, has these texts."""
    if intent is None:
        return pack.model_copy(update=words)
    changed = pack.intents[intent].model_copy(update=words)
    return pack.model_copy(update={"intents": {**pack.intents, intent: changed}})


def hold_lease(desk: Desk, name: str = "stage") -> Holding:
    """A lease to take and to recover with, as a bot's process has one; no bot waits for it."""
    lease = Holding(name, "test")
    assert leases.hold(desk, lease)
    return lease


def new_rows(
    desk: Desk, bot_id: int = BOT, known: Sequence[int] = (), limit: int = 500
) -> list[InboxRow]:
    """What the bot's lanes find to do."""
    return intake.new_rows(desk, bot_id, known, hold_lease(desk), limit)


def role_of(desk: Desk, user_id: int) -> Role | None:
    """The role of a Telegram user, or None for somebody who is no operator."""
    roles = {operator.user_id: operator.role for operator in roster.list_operators(desk)}
    return roles.get(user_id)


class Stage:
    """A desk with its people. Each act goes through the same use cases as in the bot."""

    def __init__(self, desk: Desk, first_update: int = 1) -> None:
        self.desk = desk
        self._updates = count(first_update)
        self._telegram_ids = count(1000)
        self.lease = hold_lease(desk, leases.bot_lease(BOT))
        for user_id, name, role in ((OLGA, "Olga", Role.ADMIN), (OSCAR, "Oscar", Role.AGENT)):
            roster.add_operator(desk, user_id, role, name)

    # ---- Acts ----

    def update(self, chat_id: int | None = None) -> int:
        """Store one update; returns its inbox id."""
        number = next(self._updates)
        intake.store_updates(self.desk, [Incoming(BOT, number, chat_id, {"update_id": number})])
        return int(self.one(select(Inbox.id).where(Inbox.update_id == number)))

    def write(self, text: str, person: Person = ANA) -> tuple[int, int] | None:
        """A customer writes; returns what is to be enqueued."""
        telegram_id = next(self._telegram_ids)
        return customers.wrote(self.desk, self.update(), person, telegram_id, text)

    def change_last(self, text: str) -> tuple[int, int] | None:
        """Ana changes what she has written last; returns what is to be enqueued."""
        telegram_id = self.said()[-1].telegram_id
        assert telegram_id is not None
        return edits.customer_changed(self.desk, self.update(), ANA, telegram_id, text)

    def decide(self, *jobs: tuple[tuple[int, int], Prediction]) -> list[tuple[int, int]]:
        """The worker decides a batch of (job, prediction) pairs."""
        predicted = [
            (PendingMessage(message_id, attempt, said.text), said)
            for (message_id, attempt), said in jobs
        ]
        return deciding.decide_batch(self.desk, predicted)

    def ask(self, text: str, person: Person = ANA, **prediction: Any) -> int:
        """A customer writes and the message is decided; returns its id."""
        job = self.write(text, person)
        assert job is not None
        self.decide((job, predict(text, **prediction)))
        return job[0]

    @contextmanager
    def still_answering(self, intent: str) -> Iterator[None]:
        """While the bot could still answer an intent that always needs a person by now, and asked
        back about it."""
        now = self.desk
        before = with_words(now.pack, intent, escalate=Escalate.NEVER, answer={"en": "Sorry!"})
        self.desk = replace(now, pack=before)
        yield
        self.desk = now

    def topic(self, person: Person = ANA, thread_id: int = 77) -> int:
        """Give the customer a forum topic."""
        topics.topic_made(self.desk, self.customer(person).id, thread_id)
        return thread_id

    def reply(self, text: str, *, user_id: int = OSCAR, thread_id: int = 77) -> None:
        """An operator writes into a topic."""
        operators.operator_wrote(
            self.desk, self.update(), user_id, thread_id, next(self._telegram_ids), text
        )

    def resolve(self, thread_id: int = 77) -> None:
        """Oscar resolves a conversation, whether anybody has replied in it or not; nothing is said
        of it but by its card."""
        with self.desk.store.writing() as session:
            customer = operators.customer_of(session, self.desk, thread_id)
            conversation = conversations.find_open(session, customer) if customer else None
            assert customer is not None
            assert conversation is not None, "nothing is open there"
            oscar = session.get_one(Operator, OSCAR)
            handoff.resolve(session, self.desk, customer, conversation, oscar)

    def press(
        self,
        token: str,
        *,
        by: int | None = None,
        chat_id: int | None = None,
        telegram_id: int = 1,
    ) -> Pressed:
        """Somebody (Ana, unless told) presses the button behind a token, in their own chat."""
        user = ANA.chat_id if by is None else by
        if chat_id is None:
            operating = user in (OLGA, OSCAR)
            chat_id = self.desk.operator_chat_id if operating else user
        assert chat_id is not None
        return buttons.pressed(self.desk, self.update(), token, user, chat_id, telegram_id)

    def take(self, busy: Sequence[int] = (), limit: int = 10) -> list[Delivery]:
        """The sender takes what is due."""
        return dispatching.take(self.desk, busy, limit, self.lease)

    def recover(self) -> int:
        """A sender starts after one that died; returns how many deliveries are uncertain."""
        return recovering.recover(self.desk, self.lease)

    def send_all(self) -> list[DeliveryRow]:
        """The sender works until nothing is due; returns what it sent, in order."""
        sent: list[DeliveryRow] = []
        while batch := self.take(limit=50):
            for delivery in batch:
                delivering.sent(self.desk, delivery.id, delivery.attempts, next(self._telegram_ids))
                sent.append(self.row(DeliveryRow, delivery.id))
        return sent

    # ---- Looks ----

    def one(self, query: Any) -> Any:
        with self.desk.store.reading() as session:
            return session.scalars(query).one()

    def all(self, query: Any) -> list[Any]:
        with self.desk.store.reading() as session:
            return list(session.scalars(query))

    def row(self, table: type[Row], key: int) -> Row:
        with self.desk.store.reading() as session:
            return session.get_one(table, key)

    def customer(self, person: Person = ANA) -> Customer:
        found: Customer = self.one(select(Customer).where(Customer.chat_id == person.chat_id))
        return found

    def conversations(self, person: Person = ANA) -> list[Conversation]:
        """The customer's conversations, oldest first."""
        mine = Conversation.customer_id == self.customer(person).id
        return self.all(select(Conversation).where(mine).order_by(Conversation.id))

    def conversation(self, person: Person = ANA) -> Conversation:
        return self.conversations(person)[-1]

    def deliveries(self, chat_id: int | None = None, **values: Any) -> list[DeliveryRow]:
        """Deliveries, oldest first, of a chat and with given values of columns."""
        query = select(DeliveryRow).order_by(DeliveryRow.id).filter_by(**values)
        if chat_id is not None:
            query = query.where(DeliveryRow.chat_id == chat_id)
        return self.all(query)

    def heard(self, person: Person = ANA) -> list[str]:
        """The texts on their way to a customer, or there already."""
        alive = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.SENT)
        return [
            row.payload["text"]
            for row in self.deliveries(person.chat_id, method="sendMessage")
            if row.state in alive
        ]

    def said(self) -> list[Message]:
        """What customers have written, oldest first."""
        mine = Message.author == Author.CUSTOMER
        return self.all(select(Message).where(mine).order_by(Message.id))

    def told(self) -> list[str]:
        """The texts to the operators."""
        rows = self.deliveries(self.desk.operator_chat_id)
        return [row.payload["text"] for row in rows if "text" in row.payload]

    def decision(self, message_id: int) -> DecisionRow:
        return self.row(DecisionRow, message_id)

    def message(self, message_id: int) -> Message:
        return self.row(Message, message_id)

    def token(self, action: str, argument: str | None = None, **where: Any) -> str:
        """The newest button with that action (and argument)."""
        query = select(ButtonRow).where(ButtonRow.action == action).filter_by(**where)
        if argument is not None:
            query = query.where(ButtonRow.argument == argument)
        rows = self.all(query)
        assert rows, f"no button {action} {argument}"
        shown = [str(row.payload) for row in reversed(self.deliveries())]
        tokens = {row.token for row in rows}
        for payload in shown:
            for token in tokens:
                if token in payload:
                    return str(token)
        raise AssertionError(f"button {action} {argument} was never shown")

    def pending_count(self) -> int:
        """How many messages wait for their decision."""
        return len(self.all(select(Message).where(Message.state == MessageState.PENDING)))

    def feedback(self) -> list[tuple[int, str, str | None, int]]:
        """Feedback as (message id, kind, intent, by)."""
        rows = self.all(select(Feedback).order_by(Feedback.id))
        return [(row.message_id, str(row.kind), row.intent, row.by) for row in rows]


def add_deliveries(
    stage: Stage, *keys: str, chat_id: int = 1, method: str = "sendMessage"
) -> list[int]:
    """Let texts wait for a chat, each with its own key as its text; returns the rows' ids."""
    with stage.desk.store.writing() as session:
        for key in keys:
            add_delivery(session, stage.desk, key, chat_id, method, {"text": key})
    return [row.id for row in stage.deliveries() if row.key in keys]


def take_texts(stage: Stage, busy: tuple[int, ...] = (), limit: int = 10) -> list[str]:
    """The texts that a sender takes now."""
    return [delivery.payload["text"] for delivery in stage.take(busy, limit)]


def statements(stage: Stage, act: Callable[[], object]) -> list[str]:
    """What the act says to the database, in order: the first words of each statement."""
    said: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_more: object) -> None:
        said.append(" ".join(statement.split()[:3]))

    event.listen(stage.desk.store.engine, "before_cursor_execute", note)
    try:
        act()
    finally:
        event.remove(stage.desk.store.engine, "before_cursor_execute", note)
    return said


def labels(delivery: DeliveryRow) -> list[str]:
    """What stands on a delivery's buttons."""
    lines = delivery.payload["reply_markup"]["inline_keyboard"]
    return [button["text"] for line in lines for button in line]
