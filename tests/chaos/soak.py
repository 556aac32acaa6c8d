"""A long day in a bad week: customers and operators at work while processes die.

A seed fixes who does what in which order, and what dies when. Timing varies, as it does in life.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import redis
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from cli.errors import CommandError
from desk.domain import DeliveryState
from desk.tables import DeliveryRow
from simulator.world import OPERATORS_CHAT
from tests.chaos import oracle
from tests.chaos.stack import Stack

OPERATOR = 9001
THREADS = 4
MOST_PENDING = 150
"""Updates not yet taken by the bot at which people pause: they are not a load test."""
TEXTS = (
    "where is my parcel", "refund the lamp", "track the kettle for me", "pay me back the chair",
    "sing a song about a lamp", "has the table shipped", "i want my money back for the book",
)  # fmt: skip
ACTS: dict[str, int] = {
    "text": 780, "press": 90, "file": 15, "start": 20, "help": 10, "human": 15, "person": 5,
    "operator": 25, "resolve": 75, "block": 5, "unblock": 20, "telegram": 5,
    "edit": 30, "operator edit": 15,
}  # fmt: skip
TROUBLES: dict[str, int] = {
    "kill bot": 3, "kill inference": 3, "kill scheduler": 2, "kill redis": 2,
    "stop bot": 2, "stop inference": 2, "freeze bot": 2, "freeze inference": 2,
    "freeze scheduler": 1, "flush redis": 2, "cut redis": 1, "cut database": 1,
    "kill database": 1,
}  # fmt: skip
TELEGRAM: tuple[dict[str, Any], ...] = (
    {"kind": "lost", "method": "sendMessage"},
    {"kind": "refused", "method": "sendMessage"},
    {"kind": "server_error", "method": "sendMessage", "times": 2},
    {"kind": "too_many_requests", "method": "sendMessage", "retry_after": 2},
    {"kind": "slow", "method": "sendMessage", "seconds": 2},
    {"kind": "lost", "method": "getUpdates"},
    {"kind": "duplicate_update", "times": 3},
    {"kind": "out_of_order", "times": 2},
)


@dataclass(frozen=True)
class Act:
    """Something that somebody does; `draw` decides what is left open."""

    kind: str
    customer: int
    draw: float


@dataclass
class Soak:
    """One run. `acts` by `customers` people, about `rate` a second."""

    stack: Stack
    seed: int
    acts: int
    customers: int
    rate: float
    people: list[int] = field(default_factory=list)
    presses: list[str] = field(default_factory=list)
    troubles: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    _failed: list[BaseException] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self, settle_seconds: float) -> oracle.Verdict:
        """Do it all, let it come to rest, and judge it."""
        self.people = [self.stack.customer() for _ in range(self.customers)]
        acts = self.plan()
        begun = time.monotonic()
        drivers = [
            threading.Thread(target=self._guard(self._drive), args=(acts[n::THREADS], n, begun))
            for n in range(THREADS)
        ]
        trouble = threading.Thread(target=self._guard(self._trouble))
        for thread in [*drivers, trouble]:
            thread.start()
        for thread in drivers:
            thread.join()
        self._over.set()
        trouble.join()
        if self._failed:
            raise self._failed[0]
        self.stack.calm()
        verdict = self.stack.settle(self.people, settle_seconds)
        # Cards for the operators may wait for Telegram's limit; but none may hang half sent.
        self.stack["bot"].end()
        verdict = oracle.judge(
            self.stack.store, self.stack.simulator, self.people, presses=self.presses
        )
        with self.stack.store.reading() as session:
            sending = select(func.count()).where(DeliveryRow.state == DeliveryState.SENDING)
            if hanging := session.scalar(sending):
                verdict.violations.append(f"{hanging} deliveries are left half sent.")
        return verdict

    def plan(self) -> list[Act]:
        """Who does what, in order: the same for the same seed."""
        dice = random.Random(self.seed)
        kinds = dice.choices(list(ACTS), list(ACTS.values()), k=self.acts)
        return [Act(kind, dice.randrange(self.customers), dice.random()) for kind in kinds]

    def _guard(self, work: Callable[..., None]) -> Callable[..., None]:
        def guarded(*arguments: Any) -> None:
            try:
                work(*arguments)
            except BaseException as error:  # noqa: BLE001 - raised again by `run`
                self._failed.append(error)

        return guarded

    def _drive(self, acts: Sequence[Act], thread: int, begun: float) -> None:
        for number, act in enumerate(acts):
            due = begun + (number * THREADS + thread) / self.rate
            self._over.wait(max(0.0, due - time.monotonic()))
            if number % 10 == 0:
                self._let_it_breathe()
            try:
                self._act(act)
            except CommandError as error:
                # Who has blocked the bot can't write; a button may be gone.
                if "refuses" not in str(error):
                    raise
                self.refused[act.kind] += 1

    def _let_it_breathe(self) -> None:
        deadline = time.monotonic() + 120
        while sum(bot["pending_update_count"] for bot in self._get("/sim/bots")) > MOST_PENDING:
            assert time.monotonic() < deadline, "the bot takes no updates any more"
            time.sleep(0.2)

    def _act(self, act: Act) -> None:
        who = self.people[act.customer]
        match act.kind:
            case "text":
                self.stack.says(who, TEXTS[int(act.draw * len(TEXTS))])
            case "start" | "help" | "human":
                self.stack.says(who, f"/{act.kind}")
            case "person":
                self.stack.says(who, "let me talk to a human about the lamp")
            case "file":
                kind = ("photo", "document", "voice")[int(act.draw * 3)]
                self._post(f"/sim/customers/{who}/{kind}")
            case "press":
                self._press(who, act.draw)
            case "block" | "unblock":
                self._post(f"/sim/customers/{who}/{act.kind}")
            case "edit" | "operator edit":
                self._edit(who, act)
            case "operator" | "resolve":
                self._operate(act)
            case "telegram":
                self.stack.fault(**TELEGRAM[int(act.draw * len(TELEGRAM))])

    def _press(self, who: int, draw: float) -> None:
        for message in self._get(f"/sim/chats/{who}/messages?from=bot&limit=1"):
            rows = message.get("reply_markup", {}).get("inline_keyboard", [])
            buttons = [b["callback_data"] for row in rows for b in row if "callback_data" in b]
            if buttons:
                data = buttons[int(draw * len(buttons))]
                body = {"message_id": message["message_id"], "data": data, "timeout": 0.2}
                answer = self._post(f"/sim/customers/{who}/press", **body)
                self.presses.append(answer["query_id"])

    def _edit(self, who: int, act: Act) -> None:
        """A customer or the operator changes one of the last words in that chat of their own."""
        path, author, chat = f"customers/{who}", who, who
        if act.kind == "operator edit":
            path, author, chat = f"operators/{OPERATOR}", OPERATOR, OPERATORS_CHAT
        written = [
            message
            for message in self._get(f"/sim/chats/{chat}/messages?from=people&limit=5")
            if message["from"]["id"] == author and not message.get("text", "/").startswith("/")
        ]
        if written:
            message = written[int(act.draw * len(written))]
            said = f"{TEXTS[int(act.draw * len(TEXTS))]} {act.draw:.6f}"
            self._post(f"/sim/{path}/edit", message_id=message["message_id"], text=said)

    def _operate(self, act: Act) -> None:
        topics = self._get(f"/sim/chats/{OPERATORS_CHAT}/topics")
        if topics:
            thread = topics[int(act.draw * len(topics))]["message_thread_id"]
            # Where nobody has replied, the first /resolve only asks.
            said = ["/resolve", "/resolve"] if act.kind == "resolve" else ["I have a look at it."]
            for text in said:
                self._post(f"/sim/operators/{OPERATOR}/send", text=text, thread=thread)

    def _trouble(self) -> None:
        dice = random.Random(self.seed + 1)
        while not self._over.wait(dice.uniform(1.0, 5.0)):
            what = dice.choices(list(TROUBLES), list(TROUBLES.values()))[0]
            seconds = dice.uniform(0.5, 6.0)
            # Who is just starting again is left alone: on a slow machine nothing else would happen.
            if self._works(what.rpartition(" ")[2]):
                self.troubles[what] += 1
                self._make(what, seconds)

    def _works(self, victim: str) -> bool:
        return victim == "database" or self.stack[victim].ready()

    def _make(self, what: str, seconds: float) -> None:
        how, _, victim = what.partition(" ")
        match how, victim:
            case "kill", "database":
                self._kill_backend()
            case "cut", "database":
                assert self.stack.database_proxy is not None
                self.stack.database_proxy.cut()
            case "cut", "redis":
                self.stack.redis_proxy.cut()
            case "flush", _:
                with suppress(redis.exceptions.RedisError):  # it is dead already
                    self.stack.redis.flushall()
            case "kill", _:
                self.stack[victim].signal(signal.SIGKILL)
            case "stop", _:
                self.stack[victim].signal(signal.SIGTERM)
            case "freeze", _:
                process = self.stack[victim]
                process.signal(signal.SIGSTOP)
                threading.Timer(seconds, process.signal, (signal.SIGCONT,)).start()

    def _kill_backend(self) -> None:
        """SIGKILL of one backend: the server ends all the others and recovers from its log."""
        query = text(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
            "AND pid <> pg_backend_pid() ORDER BY xact_start NULLS LAST LIMIT 1"
        )
        with suppress(SQLAlchemyError, ProcessLookupError):  # it is recovering already
            with self.stack.store.reading() as session:
                pid = session.scalar(query)
            if pid is not None:
                os.kill(pid, signal.SIGKILL)

    def _get(self, path: str) -> Any:
        return self.stack.simulator.get(path, timeout=30)

    def _post(self, path: str, **body: Any) -> Any:
        return self.stack.simulator.post(path, body, timeout=30)
