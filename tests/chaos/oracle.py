"""The one judge of every scenario: what must hold when all is quiet, by SQL and by the simulator.

The simulator knows what people sent, what the bot acknowledged and what each chat shows; SQL
knows what Frontdesk thinks of it. The two were written by different programs, and must agree.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from cli.simulated import Simulator
from desk.domain import Action, Author, DeliveryState, InboxState, MessageState
from desk.policy import (
    ASKED_FOR_PERSON,
    CHANGED,
    FLOOD,
    INTENT_NEEDS_PERSON,
    STILL_UNSURE,
    THUMB_DOWN,
)
from desk.store import Store
from desk.tables import Conversation, Customer, DecisionRow, DeliveryRow, Inbox, Message
from desk.telegram_text import plain
from desk.texts import say
from simulator.world import OPERATORS_CHAT

Json = dict[str, Any]

SHOWN = frozenset({"sendMessage", "copyMessage"})
"""The methods by which something comes to stand in a customer's chat."""
FROM_A_PERSON = ("operator:", "sent:")
"""How the keys of deliveries begin that carry an operator's words or choice."""
DISTURBANCE = say("disturbance", "en")
FROM_MEMORY = (DISTURBANCE, say("disturbance-press", "en"))
"""What a customer is told while the database is away; there is no delivery for it."""
UNDER_WAY = (DeliveryState.PENDING, DeliveryState.SENDING)
FILES = frozenset({"photo", "document", "voice"})


@dataclass
class Verdict:
    """What the judge found. `violations` are sentences; none is what we want."""

    violations: list[str] = field(default_factory=list)
    updates: int = 0
    """What people sent into the judged chats."""
    parked: int = 0
    shown: int = 0
    """Messages of the bot that stand in the judged chats."""
    uncertain: int = 0
    """Deliveries marked as possibly sent twice."""
    doubled: int = 0
    """Of those, how many really stand there twice."""
    disturbances: int = 0
    """How often somebody was told that the database is away."""
    decisions: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return (
            f"{self.updates} updates, {self.parked} parked, {self.shown} shown, "
            f"{self.uncertain} uncertain of which {self.doubled} stand twice, "
            f"decisions {dict(self.decisions)}, {len(self.violations)} violations"
        )


def under_way(store: Store, simulator: Simulator, customers: Sequence[int]) -> dict[str, int]:
    """What is still on its way: updates, undecided messages and deliveries of these customers."""
    mine = (
        select(Conversation.id)
        .join(Customer, Customer.id == Conversation.customer_id)
        .where(Customer.chat_id.in_(customers))
    )
    # In the order in which a message moves, or it could slip from the next place into the last.
    bots = simulator.get("/sim/bots")
    not_taken = sum(bot["pending_update_count"] for bot in bots)
    count = select(func.count())
    places = {
        "inbox": count.where(Inbox.state == InboxState.NEW),
        "undecided": count.where(
            Message.state == MessageState.PENDING, Message.conversation_id.in_(mine)
        ),
        "deliveries": count.where(
            DeliveryRow.chat_id.in_(customers), DeliveryRow.state.in_(UNDER_WAY)
        ),
    }
    found = {}
    for place, query in places.items():
        with store.reading() as session:  # each sees what was committed until then
            found[place] = session.scalar(query) or 0
    return {"not taken": not_taken} | found


def settle(store: Store, simulator: Simulator, customers: Sequence[int], seconds: float) -> Verdict:
    """Wait until nothing of these customers is under way, and judge; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    left: dict[str, int] | None = None
    while left is None or any(left.values()):
        assert time.monotonic() < deadline, f"still under way after {seconds:.0f} s: {left}"
        time.sleep(0.1)
        try:
            left = under_way(store, simulator, customers)
        except SQLAlchemyError:  # it may be recovering still
            left = None
    return judge(store, simulator, customers)


def judge(
    store: Store,
    simulator: Simulator,
    customers: Sequence[int],
    *,
    presses: Iterable[str] = (),
) -> Verdict:
    """Judge the chats of these customers, once nothing is `under_way`.

    `presses` are the ids of the callback queries that people's taps made.
    """
    verdict = Verdict()
    left = under_way(store, simulator, customers)
    if any(left.values()):
        verdict.violations.append(f"Not everything came to an end: {left}.")
    looked_at = datetime.now(UTC)
    path = f"/sim/chats/{OPERATORS_CHAT}/messages?from=people&limit=100000"
    written = simulator.get(path, 60)
    changed = [message for message in written if "edit_date" in message]
    # Of what is written there the database keeps ids alone.
    resolves = {message["message_id"] for message in written if message.get("text") == "/resolve"}
    calls, refused = (_calls(simulator, ok) for ok in ("true", "false"))
    with store.reading() as session:
        taps = Counter(
            payload["callback_query"]["id"]
            for payload in session.scalars(select(Inbox.payload))
            if "callback_query" in payload
        )
        for query in presses:
            verdict.updates += 1
            if taps[query] != 1:
                verdict.violations.append(f"The press {query} is stored {taps[query]} times.")
        for chat in customers:
            sent = [call for call in calls[chat] if call["params"].get("text") not in FROM_MEMORY]
            said = simulator.get(f"/sim/chats/{chat}/messages?from=people&limit=100000", 60)
            shown = simulator.get(f"/sim/chats/{chat}/messages?from=bot&limit=100000", 60)
            verdict.updates += len(said)
            verdict.disturbances += len(calls[chat]) - len(sent)
            verdict.shown += len(shown)
            found = _Chat(session, chat, said, shown, sent, calls[chat], resolves, verdict)
            found.refused, found.operators = refused[chat], calls[OPERATORS_CHAT]
            found.looked_at, found.changed = looked_at, changed
            verdict.violations += [f"Chat {chat}: {what}" for what in found.violations()]
    return verdict


def _calls(simulator: Simulator, ok: str) -> dict[int, list[Json]]:
    """The calls that were carried out, or were refused, by chat and in their order."""
    found = [
        call
        for method in sorted(SHOWN)
        for call in simulator.get(f"/sim/log?ok={ok}&method={method}", timeout=120)
    ]
    calls: dict[int, list[Json]] = defaultdict(list)
    for call in sorted(found, key=lambda call: int(call["seq"])):
        calls[call["chat_id"]].append(call)
    return calls


class _Chat:
    """One customer's chat, seen from both sides."""

    def __init__(
        self,
        session: Session,
        chat: int,
        said: list[Json],
        shown: list[Json],
        calls: list[Json],
        all_calls: list[Json],
        resolves: set[int],
        verdict: Verdict,
    ) -> None:
        self.session, self.chat, self.verdict = session, chat, verdict
        self.said, self.shown, self.calls, self.all_calls = said, shown, calls, all_calls
        self.refused: list[Json] = []
        """Calls into this chat that Telegram refused."""
        self.operators: list[Json] = []
        """Calls into the operators' chat that were carried out until `looked_at`."""
        self.looked_at = datetime.now(UTC)
        self.changed: list[Json] = []
        """What operators wrote and have changed since, in whatever topic."""
        self.customer = session.scalar(select(Customer).where(Customer.chat_id == chat))
        topic = self.customer.topic_id if self.customer else None
        self.resolved = [
            row.done_at
            for row in session.scalars(select(Inbox).where(Inbox.chat_id == OPERATORS_CHAT))
            if row.done_at is not None
            and (row.payload.get("message") or {}).get("message_id") in resolves
            and row.payload["message"].get("message_thread_id") == topic
        ]
        self.inbox = session.scalars(select(Inbox).where(Inbox.chat_id == chat)).all()
        self.deliveries = session.scalars(
            select(DeliveryRow)
            .where(DeliveryRow.chat_id == chat, DeliveryRow.method.in_(SHOWN))
            .order_by(DeliveryRow.id)
        ).all()
        self.conversations = {
            row.id: row
            for row in session.scalars(
                select(Conversation)
                .join(Customer, Customer.id == Conversation.customer_id)
                .where(Customer.chat_id == chat)
            )
        }
        rows = session.execute(
            select(Message, DecisionRow)
            .outerjoin(DecisionRow, DecisionRow.message_id == Message.id)
            .where(
                Message.conversation_id.in_(list(self.conversations)),
                Message.author == Author.CUSTOMER,
                Message.inbox_id.is_not(None),
            )
        )
        self.messages = {message.inbox_id: (message, decision) for message, decision in rows}
        self.topic = topic
        self.told = [
            row
            for row in session.scalars(
                select(DeliveryRow).where(
                    DeliveryRow.chat_id == OPERATORS_CHAT, DeliveryRow.key.startswith("told:")
                )
            )
            if row.payload.get("message_thread_id") == topic
        ]
        """What operators were answered in the customer's topic."""
        self.cards = session.scalars(
            select(DeliveryRow)
            .where(
                DeliveryRow.chat_id == OPERATORS_CHAT,
                DeliveryRow.topic_of == (self.customer.id if self.customer else None),
                DeliveryRow.method.in_(SHOWN),
            )
            .order_by(DeliveryRow.id)
        ).all()

    def violations(self) -> Iterator[str]:
        yield from self._stored_once()
        yield from self._decided()
        yield from self._in_order()
        yield from self._answered()
        yield from self._passed_on()
        yield from self._in_topic()
        yield from self._changed()

    def _stored_once(self) -> Iterator[str]:
        """Every update was stored once and came to its end."""
        stored = Counter(
            row.payload["message"].get("message_id")
            for row in self.inbox
            if isinstance(row.payload.get("message"), dict)
        )
        for message in self.said:
            times = stored[message["message_id"]]
            if times != 1:
                yield f"message {message['message_id']} of the customer is stored {times} times."
        for row in self.inbox:
            if row.state is InboxState.PARKED:
                self.verdict.parked += 1
                if not row.error:
                    yield f"update {row.update_id} is parked without a reason."

    def _changed(self) -> Iterator[str]:
        """What was changed afterwards was stored; what an operator changed, the customer sees."""
        stored = {
            (
                row.payload["edited_message"].get("message_id"),
                row.payload["edited_message"].get("text"),
            )
            for row in self.inbox
            if isinstance(row.payload.get("edited_message"), dict)
        }
        for message in self.said[1:]:  # of who is not known yet, nothing is kept
            if "edit_date" in message and (message["message_id"], message["text"]) not in stored:
                yield f"what became of message {message['message_id']} is not stored."
        copies = {
            row.payload["message_id"]: row
            for row in self.deliveries
            if row.key.startswith("operator:")
            and row.method == "copyMessage"
            and row.state is DeliveryState.SENT
        }
        shown = {message["message_id"]: message for message in self.shown}
        for message in self.changed:
            copy = copies.get(message["message_id"])
            if copy is None or copy.telegram_id not in shown:
                continue
            seen = shown[copy.telegram_id]["text"] == message["text"]
            if not seen and not self._change_refused(copy, message["message_id"]):
                yield f"the customer does not see what became of {message['message_id']}."

    def _change_refused(self, copy: DeliveryRow, telegram_id: int) -> bool:
        """Whether Telegram refused a change; or, as of one who has left since, nothing was changed
        and that was told."""
        changes = self.session.scalars(
            select(DeliveryRow.state).where(
                DeliveryRow.key.startswith(f"changed:{copy.message_id}:")
            )
        ).all()
        told = {row.key for row in self.told}
        edits = self.session.execute(
            select(Inbox.id, Inbox.payload).where(Inbox.chat_id == OPERATORS_CHAT)
        )
        return any(state is not DeliveryState.SENT for state in changes) or any(
            f"told:{id_}" in told
            for id_, payload in edits
            if (payload.get("edited_message") or {}).get("message_id") == telegram_id
        )

    def _decided(self) -> Iterator[str]:
        """Every text was decided, once; so was every file, and every call for a person."""
        for row in self.inbox:
            said = row.payload.get("message") or {}
            text = said.get("text")
            if row.state is not InboxState.DONE:
                continue
            if (text is None or text.startswith("/")) and not (
                text == "/human" or FILES & said.keys()
            ):
                continue
            message, decision = self.messages.get(row.id, (None, None))
            if message is None:
                if not self._changed_before(row):
                    yield f"update {row.update_id} is done, but its text became no message."
            elif message.state is not MessageState.DECIDED or decision is None:
                yield f"message {message.id} was never decided."
            else:
                self.verdict.decisions[str(decision.action)] += 1

    def _changed_before(self, row: Inbox) -> bool:
        """Whether a later change of its text was stored before it, and is what was read."""
        number = row.payload["message"]["message_id"]
        return any(
            other.id < row.id
            and other.update_id > row.update_id
            and (other.payload.get("edited_message") or {}).get("message_id") == number
            and other.id in self.messages
            for other in self.inbox
        )

    def _in_order(self) -> Iterator[str]:
        """The chat shows what was delivered, in order; what stands twice is marked."""
        live = {message["message_id"] for message in self.shown}
        performed = {call["result"]["message_id"] for call in self.all_calls}
        if live != performed:
            yield f"it shows {sorted(live)}, but the calls made {sorted(performed)}."
        place = {call["result"]["message_id"]: at for at, call in enumerate(self.calls)}
        claimed: dict[int, DeliveryRow] = {}
        last = -1
        for row in self.deliveries:
            self.verdict.uncertain += row.uncertain
            if row.state is not DeliveryState.SENT:
                if row.state is DeliveryState.FAILED:
                    yield from self._failed(row)
                continue
            at = place.get(row.telegram_id or 0)
            if at is None or not _same(row, self.calls[at]):
                yield f"delivery {row.id} is marked as sent, but the chat does not show it."
                continue
            if at < last:
                yield f"delivery {row.id} stands before one that was due earlier."
            last = max(last, at)
            claimed[at] = row
        yield from self._extras(claimed)
        yield from self._people_last(claimed)

    def _failed(self, row: DeliveryRow) -> Iterator[str]:
        """Telegram has refused it, or may have carried it out; and somebody looks after it."""
        if not row.error:
            yield f"delivery {row.id} failed without a reason."
        refused = [call for call in self.refused if _same(row, call)]
        if not row.uncertain and not refused:
            yield f"delivery {row.id} failed, but Telegram has not refused it."
        conversation = self.conversations.get(row.conversation_id or 0)
        # Nobody is called for who had blocked the bot then, though they may be back by now.
        blocked = (row.error or "").startswith("403") and any(
            call["error"]["error_code"] == 403 for call in refused
        )
        if row.message_id is None or conversation is None or blocked:
            return
        if conversation.escalated_at is None and conversation.taken_at is None:
            yield f"delivery {row.id} failed, and no person was called."

    def _extras(self, claimed: dict[int, DeliveryRow]) -> Iterator[str]:
        """What no delivery stands for must be the first try of an uncertain one."""
        tried: Counter[int] = Counter()
        for at, call in enumerate(self.calls):
            if at in claimed:
                continue
            after = max((row.id for n, row in claimed.items() if n < at), default=0)
            before = min((row.id for n, row in claimed.items() if n > at), default=None)
            for row in self.deliveries:
                room = 1 if row.state is DeliveryState.SENT else 2
                if (
                    row.uncertain
                    and row.id > after
                    and (before is None or row.id <= before)
                    and tried[row.id] < room
                    and _same(row, call)
                ):
                    tried[row.id] += 1
                    self.verdict.doubled += tried[row.id] >= room
                    break
            else:
                text = str(call["params"].get("text", ""))[:40]
                yield f"call {call['seq']} ({text!r}) stands there unasked, or twice unmarked."

    def _people_last(self, claimed: dict[int, DeliveryRow]) -> Iterator[str]:
        """Nothing of the bot follows what a person said, until that person has said /resolve."""
        person: DeliveryRow | None = None
        for _, row in sorted(claimed.items()):
            if row.key.startswith(FROM_A_PERSON):
                person = row
            elif row.from_bot and person is not None:
                spoke, answered = person.created_at, row.created_at
                if not any(spoke <= moment <= answered for moment in self.resolved):
                    yield f"delivery {row.id} of the bot follows a person's."

    def _answered(self) -> Iterator[str]:
        """Nobody is met with silence, and nobody hears two answers to one message."""
        about: dict[int | None, list[DeliveryRow]] = defaultdict(list)
        for row in self.deliveries:
            about[row.message_id].append(row)
        by_key = {row.key: row for row in self.deliveries}
        for message, decision in self.messages.values():
            if decision is not None and decision.action is Action.CLARIFY and message.attempt == 0:
                continue  # a word for no is answered at the message about which the bot has asked
            if decision is not None:
                # What answers a command names its update; that it did not arrive is a decision.
                keys = [f"{word}:{message.inbox_id}" for word in ("start", "help", "privacy")]
                to_command = [by_key[key] for key in keys if key in by_key]
                rows = [*about[message.id], *to_command]
                yield from self._answered_once(message, decision, rows)
        for row in self.inbox:
            command = str((row.payload.get("message") or {}).get("text"))
            _, decision = self.messages.get(row.id, (None, None))
            # One that is decided was passed on to the person in charge, or held back in a flood.
            if decision is not None or row.state is not InboxState.DONE:
                continue
            if command in ("/start", "/help") and f"{command[1:]}:{row.id}" not in by_key:
                yield f"{command} (update {row.update_id}) got no reply."

    def _answered_once(
        self, message: Message, decision: DecisionRow, rows: list[DeliveryRow]
    ) -> Iterator[str]:
        conversation = self.conversations[message.conversation_id]
        replies = [row for row in rows if row.key.startswith(("answer:", "handover:"))]
        sent = [row for row in replies if row.state is DeliveryState.SENT]
        # A button may hand over what was answered, or asked back: then both are right.
        by_button = decision.rule in (
            ASKED_FOR_PERSON,
            INTENT_NEEDS_PERSON,
            STILL_UNSURE,
            THUMB_DOWN,
        )
        if len(sent) > 1 and not by_button:
            yield f"message {message.id} has {len(sent)} replies."
        if decision.rule == CHANGED:
            return  # it was answered as it was first
        if decision.action is Action.SILENT:
            called = conversation.escalated_at is not None or conversation.taken_at is not None
            noticed = any(row.key.startswith("flood:") for row in self.deliveries)
            if not called and not (decision.rule == FLOOD and noticed):
                yield f"message {message.id} got silence, and no person was called."
        elif not rows and conversation.taken_at is None:
            yield f"message {message.id} ({decision.rule}) got no reply."
        for row in replies:
            if row.state is DeliveryState.CANCELLED and conversation.taken_at is None:
                yield f"delivery {row.id} was cancelled, but no person took over."

    def _passed_on(self) -> Iterator[str]:
        """What is a person's to answer was put before the operators."""
        cards = {row.key: row for row in self.cards}
        for message, decision in self.messages.values():
            if decision is None or decision.rule in (CHANGED, FLOOD):
                continue
            if decision.action not in (Action.ESCALATE, Action.SILENT):
                continue
            keys = [f"{kind}{message.id}" for kind in ("card:", "post:", "file:")]
            if not cards.keys() & set(keys):
                yield f"message {message.id} ({decision.rule}) was never put before the operators."
            for key in keys:
                row = cards.get(key)
                instead = (f"bare:{key}", f"failed:{row.id}") if row else ()
                if row and row.state is DeliveryState.FAILED and not cards.keys() & set(instead):
                    yield f"delivery {row.id} to the operators failed, and nothing came instead."

    def _in_topic(self) -> Iterator[str]:
        """What was sent to the operators stands there, and what stands twice is marked."""
        there = Counter(map(_content, self.operators))
        here = Counter(
            _content(call)
            for call in self.operators
            if self.topic is not None and call["params"].get("message_thread_id") == self.topic
        )
        room: Counter[Any] = Counter()
        for row in self.cards:
            what = _content({"method": row.method, "params": row.payload})
            # The operators' chat need not have come to rest: what is under way may stand there.
            over = row.state in (DeliveryState.FAILED, DeliveryState.CANCELLED)
            room[what] += 2 if row.uncertain else not over
            looked_later = row.sent_at is not None and row.sent_at < self.looked_at
            if row.state is DeliveryState.SENT and looked_later and not there[what]:
                yield f"delivery {row.id} is marked as sent, but the operators do not see it."
        for row in self.told:
            room[_content({"method": row.method, "params": row.payload})] += 1 + row.uncertain
        for what, times in here.items():
            if times > room[what]:
                yield f"{str(what)[:60]!r} stands {times} times before the operators, unmarked."


def _content(call: Json) -> tuple[str, ...]:
    """What a call shows, with or without markup."""
    params = call["params"]
    if call["method"] == "copyMessage":
        return "copyMessage", str(params["from_chat_id"]), str(params["message_id"])
    return call["method"], plain(str(params["text"]))


def _same(row: DeliveryRow, call: Json) -> bool:
    """Whether a call is this delivery's, or what is left of it when its markup was refused."""
    if row.method != call["method"]:
        return False
    params = call["params"]
    if row.method == "copyMessage":
        return bool(row.payload["message_id"] == int(params["message_id"]))
    return params["text"] in (row.payload["text"], plain(row.payload["text"]))
