"""`frontdesk chat`: a message through the whole running pipeline, as a customer sends it."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import rundir
from cli.compose import check_store, load_pack, load_settings, open_store
from cli.errors import MISCONFIGURED, CommandError, MisconfiguredError
from cli.options import finite
from cli.screen import JsonOption, notices, percent, print_json, results
from cli.simulated import Simulator
from cli.up import STARTER, TRAINS_STARTER

if TYPE_CHECKING:
    from desk.pack import Pack
    from desk.settings import Settings
    from desk.store import Store

FIRST_ID = 1_000_000_000
START_TIMEOUT = 3600.0
"""Seconds for everything to start: the first time that includes training a model, which without
bf16 takes a quarter of an hour and beside other work longer."""


def chat(
    text: Annotated[
        str | None, typer.Argument(help="What the customer writes; without it, a conversation.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what the decision rests on.")
    ] = False,
    json_: JsonOption = False,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1,
            callback=finite,
            help="Seconds to wait for a reply, from Ready on: a start, and the training of the "
            "starter model, take their time before.",
        ),
    ] = 60.0,
) -> None:
    """Send a message as a new customer and print what came back and why.

    It takes the way of every message: simulated Telegram, bot, queue, worker, sender. If nothing
    runs, everything is started for the call and stopped after it.
    """
    settings = load_settings()
    if text is None and (json_ or sys.stdin is None or not sys.stdin.isatty()):
        raise MisconfiguredError(
            'Say what the customer writes: frontdesk chat "where is my parcel?"'
        )
    if text is not None and not text.strip():
        raise MisconfiguredError("The message is empty: write something between the quotes.")
    with _pipeline(settings) as url:
        store = open_store(settings)
        check_store(store)
        pack = None
        with suppress(CommandError):  # one that is being edited hinders no running desk
            pack = load_pack(settings)
        customer = Customer(Simulator(url), store, pack, timeout)
        if text is None:
            _converse(customer, explain)
            return
        exchange = customer.say(text)
    if json_:
        print_json(exchange)
    else:
        _print(exchange, explain)


class Customer:
    """A new customer of the simulator, whom nobody has met before."""

    def __init__(
        self, simulator: Simulator, store: Store, pack: Pack | None, timeout: float
    ) -> None:
        self._simulator, self._store, self._timeout = simulator, store, timeout
        self._pack = pack
        # The database remembers customers of earlier simulators, who were counted from 1001.
        self.id = FIRST_ID + secrets.randbelow(FIRST_ID)
        simulator.post("/sim/customers", {"first_name": "Casey", "id": self.id})

    def say(self, text: str) -> dict[str, Any]:
        """Send a text and wait for the reply; returns the keys that `chat --json` prints."""
        deadline = time.monotonic() + self._timeout
        sent = self._simulator.post(f"/sim/customers/{self.id}/send", {"text": text})
        after = int(sent["message_id"])
        return {
            "text": text,
            "reply": self._reply(after, deadline),
            **self._decided(after, deadline),
        }

    def _reply(self, after: int, deadline: float) -> str:
        while (left := deadline - time.monotonic()) > 0:
            wait = min(left, 10.0)
            path = f"/sim/chats/{self.id}/wait?after={after}&from=bot&timeout={wait:.1f}"
            for message in self._simulator.get(path, timeout=wait + 5):
                if message.get("text"):
                    return str(message["text"])
        raise CommandError(
            f"No reply within {self._timeout:g} s. `frontdesk doctor` says what is the matter."
        )

    def _decided(self, telegram_id: int, deadline: float) -> dict[str, Any]:
        while True:
            found = self._look_up(telegram_id)
            if found is not None:
                return found
            if time.monotonic() > deadline:
                raise CommandError(
                    "There was a reply, but its decision is not in the database that these "
                    "settings name. Run `frontdesk chat` with the DATABASE_URL and DATA_DIR of "
                    "the running desk."
                )
            time.sleep(0.05)

    def _look_up(self, telegram_id: int) -> dict[str, Any] | None:
        """What was decided; None while that is still to come. /start and /help get no decision."""
        from sqlalchemy import select

        from desk import tables
        from desk.domain import MessageState

        # By its update: a command is kept without its number in the chat.
        query = (
            select(tables.Message.state, tables.DecisionRow, tables.PredictionRow)
            .join(tables.Inbox, tables.Inbox.id == tables.Message.inbox_id)
            .join(tables.Conversation, tables.Conversation.id == tables.Message.conversation_id)
            .join(tables.Customer, tables.Customer.id == tables.Conversation.customer_id)
            .outerjoin(tables.DecisionRow, tables.DecisionRow.message_id == tables.Message.id)
            .outerjoin(tables.PredictionRow, tables.PredictionRow.message_id == tables.Message.id)
            .where(
                tables.Customer.chat_id == self.id,
                tables.Inbox.payload["message"]["message_id"].as_integer() == telegram_id,
            )
        )
        with self._store.reading() as session:
            row = session.execute(query).first()
            if row is None or row.state is MessageState.PENDING:
                return None
            _, decision, prediction = row
            intent = prediction.intent if prediction else None
            return {
                "intent": intent,
                "confidence": prediction.confidence if prediction else None,
                "sentiment": prediction.sentiment if prediction else None,
                "decision": str(decision.action) if decision else None,
                "rule": decision.rule if decision else None,
                "model": prediction.model if prediction else None,
                "threshold": prediction.threshold if prediction else None,
                "advice_from": _advice_from(intent, self._pack),
                "scope": prediction.scope if prediction else None,
                "scope_threshold": prediction.scope_threshold if prediction else None,
                "language": prediction.language if prediction else None,
                "neighbours": prediction.neighbours if prediction else [],
            }


def _advice_from(intent: str | None, pack: Pack | None) -> float | None:
    """From which confidence on the bot says what to do until a person is there, about an intent
    that always gets one; None for any other, and where the pack has nothing to say."""
    from desk import policy
    from desk.pack import Escalate

    if pack is None or intent is None:
        return None
    known = pack.intents.get(intent)
    if known is None or known.escalate is not Escalate.ALWAYS or known.answer is None:
        return None
    return policy.threshold(intent, None, pack)


@contextmanager
def _pipeline(settings: Settings) -> Iterator[str]:
    """The address of the simulator that runs, else of one started for the block."""
    run = rundir.running(settings.data_dir)
    if run is None:
        if settings.bot_token is not None:
            raise MisconfiguredError(
                "BOT_TOKEN is set: with a real bot, write to it in Telegram. "
                "`frontdesk chat` needs the simulator; unset BOT_TOKEN to use that."
            )
        with _started(settings) as url:
            yield url
        return
    if not run.get("ready") and run.get("mode") != "telegram":
        notices().print("[dim]Frontdesk is starting: the message goes out when it is ready …[/]")
    yield _wait_ready(settings, None)


@contextmanager
def _started(settings: Settings) -> Iterator[str]:
    """Run `frontdesk up` for the length of a block, on a free port."""
    from classifier import registry
    from classifier.artifact import ModelError

    notices().print("[dim]Nothing runs yet: starting everything for this message …[/]")
    with suppress(ModelError):  # `up` tells it
        if registry.champion(settings.models_dir) is None:
            notices().print(f"[dim]There is no model yet: {TRAINS_STARTER} …[/]")
    environment = {key: value for key, value in os.environ.items() if key != rundir.PARENT}
    process = subprocess.Popen(
        # Not --quiet: the training of the starter tells its progress on standard error.
        [sys.executable, "-m", "cli", "up", "--port", "0", "--follow-parent"],
        env=environment | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        # Of its own, so that a Ctrl-C stops us first and then it, in order.
        start_new_session=True,
    )
    try:
        yield _wait_ready(settings, process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_ready(settings: Settings, process: subprocess.Popen[bytes] | None) -> str:
    deadline = time.monotonic() + START_TIMEOUT
    minutes = -1
    while time.monotonic() < deadline:
        run = rundir.running(settings.data_dir)
        if process is not None and (status := process.poll()) is not None:
            # Its sentence stands on standard error already, which it shares with us.
            message = "Frontdesk could not be started; the reason stands above."
            raise MisconfiguredError(message) if status == MISCONFIGURED else CommandError(message)
        if process is None and run is None:
            raise CommandError("Frontdesk stopped before the message was sent. Try again.")
        if run is not None and run.get("mode") == "telegram":
            raise MisconfiguredError(
                "A real bot runs here: write to it in Telegram. `frontdesk chat` needs the "
                "simulator, which runs when BOT_TOKEN is not set."
            )
        if run is not None and run.get("ready") and _simulator_ready(settings, str(run["url"])):
            return str(run["url"])
        starter = (run or {}).get("children", {}).get(STARTER)
        # One of ours tells its progress itself.
        if process is None and starter is not None:
            so_far = int(time.time() - starter.get("started", time.time())) // 60
            if so_far > minutes:
                minutes = so_far
                notices().print(f"[dim]It is {TRAINS_STARTER}: {minutes} min so far …[/]")
        time.sleep(0.1)
    raise CommandError(
        f"Nothing was ready within {START_TIMEOUT:.0f} s. See {settings.data_dir}/logs."
    )


def _simulator_ready(settings: Settings, url: str) -> bool:
    """Whether the simulator is up, and was brought together with the desk since it started."""
    # Asked in this order: one that was just started again answers before run.json says it is ready.
    answers = Simulator(url).answers()
    children = rundir.read(settings.data_dir).get("children", {})
    return answers and bool(children.get("simulator", {}).get("ready"))


def _converse(customer: Customer, explain: bool) -> None:
    notices().print("[dim]You are a new customer. An empty line or Ctrl-D ends it.[/]")
    while True:
        try:
            text = input("you  > ").strip()
        except EOFError:
            return
        if not text:
            return
        try:
            _print(customer.say(text), explain)
        except MisconfiguredError:
            raise
        except CommandError as error:
            # A person has taken over, say: the conversation goes on all the same.
            notices().print(str(error), style="yellow", markup=False)


def _print(exchange: dict[str, Any], explain: bool) -> None:
    console = results()
    console.print("[bold]desk >[/] ", end="")
    console.print(exchange["reply"], markup=False)
    if exchange["decision"] is None:
        console.print("no decision", style="dim", markup=False)
        return
    console.print(
        f"intent {exchange['intent'] or '–'} ({percent(exchange['confidence'])}) · "
        f"sentiment {exchange['sentiment'] or '–'} · {exchange['decision']} "
        f"by rule {exchange['rule']} · model {exchange['model'] or '–'}",
        style="dim",
        markup=False,
    )
    if explain:
        _print_explanation(exchange)


def _print_explanation(exchange: dict[str, Any]) -> None:
    from desk.texts import say

    def line(text: str) -> None:
        # Training texts may hold square brackets, which would be taken for markup.
        results().print(f"        {text}", style="dim", markup=False)

    line(f"why: {say('rule-' + exchange['rule'])}")
    confidence, threshold = _compared(exchange["confidence"], exchange["threshold"])
    line(f"the model's threshold: {threshold} (confidence {confidence})")
    if (advice := exchange.get("advice_from")) is not None:
        line(f"always for people; what to do until one is there is said from {advice:.0%} on")
    scope, least = _compared(exchange["scope"], exchange["scope_threshold"])
    line(f"scope: {scope} (from {least} on)")
    line(f"other language: {exchange['language'] or '–'}")
    for near in exchange["neighbours"]:
        line(f"near {near['similarity']:.2f}: {' '.join(near['text'].split())} → {near['intent']}")


def _compared(value: float | None, needed: float | None) -> tuple[str, str]:
    from desk.percent import compared

    if value is None or needed is None:
        return percent(value), percent(needed)
    return compared(value, needed)
