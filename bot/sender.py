"""The sender: deliveries leave in order within a chat and within the limits of Telegram."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Concatenate, ParamSpec

import structlog
from sqlalchemy.exc import SQLAlchemyError
from structlog.contextvars import bind_contextvars

from bot.limits import Limits
from bot.standing import Standing
from bot.telegram import (
    TOKEN_REFUSED,
    LostAnswerError,
    RefusedError,
    Telegram,
    TelegramError,
    UnreachableError,
)
from bot.tenure import Tenure
from bot.topics import DELETING_REFUSED, RIGHTS_LOST, Params, Topics, is_gone
from bot.waiting import backoff, pass_on, pause
from desk import faultpoints, metrics
from desk.domain import Delivery, DeskError
from desk.flow import delivering, dispatching, recovering
from desk.flow.desk import Desk
from desk.flow.keys import QUEUE_KEY, REPORT_KEY
from desk.flow.leases import LostLeaseError
from desk.flow.overview import overview
from desk.flow.promising import CHAT_UNUSABLE
from desk.flow.summary import summary
from desk.store import DATABASE_AWAY
from desk.telegram_html import escaped as html
from desk.telegram_text import plain
from desk.texts import say

log = structlog.get_logger(__name__)

CONCURRENCY = 16
POLL_SECONDS = 1.0
STOP_SECONDS = 3.5
"""A send under way may take so long when the bot stops; then it is cut off, and uncertain."""

MISCONFIGURED_SECONDS = 60.0
COPY_TRIES = 5
"""So often an operator's words are copied, once a minute, while the bot is out of their chat."""
MAX_BREAKDOWNS = 20
"""Server errors in a row after which a delivery is given up: about five minutes of them."""

MADE_WHEN_SENT = {QUEUE_KEY: overview, REPORT_KEY: summary}
"""How the keys begin of deliveries whose rows hold no text, and what makes it."""
MAKE_SECONDS = 5.0
"""It may take so long: meanwhile no call for help goes out in that chat."""

ODD_TRIES = 3
"""So often is tried what the database refuses though it is not away."""
DOUBT_SECONDS = 5.0
"""After an error, so long it is looked for deliveries that nobody has in hand."""

P = ParamSpec("P")


class Sender:
    """The sending loop; one for each bot."""

    def __init__(
        self,
        desk: Desk,
        telegram: Telegram,
        limits: Limits,
        tenure: Tenure,
        standing: Standing,
    ) -> None:
        self._desk = desk
        self._standing = standing
        self._tenure = tenure
        self._lease = tenure.lease
        self._telegram = telegram
        self._limits = limits
        self._topics = Topics(desk, telegram, limits.spend)
        self._wake = asyncio.Event()
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._in_hand: dict[int, int] = {}  # chat id to delivery id
        self._left_open: set[int] = set()  # delivery ids
        self._doubt_until: float | None = None
        self._breakdowns: dict[int, int] = {}
        self._making: dict[Callable[[Desk], str], asyncio.Future[str]] = {}

    def wake(self) -> None:
        """Deliveries may be waiting."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop`, then finish what is on its way."""
        passing_on = asyncio.ensure_future(pass_on(stop, self._wake))
        failures = 0
        try:
            while not stop.is_set():
                self._wake.clear()
                try:
                    took = await self._turn()
                    failures = 0
                except DeskError:  # the lease is another's
                    raise
                except Exception as error:
                    failures += 1
                    self._doubt()
                    if isinstance(error, SQLAlchemyError):
                        log.warning("deliveries_not_read", error=type(error).__name__)
                    else:
                        # What nobody foresaw about one delivery must not end the bot.
                        log.exception("deliveries_not_read")
                    await pause(stop, backoff(failures, most=5.0))
                    continue
                if not took:
                    wait = self._limits.wait()
                    await pause(self._wake, min(POLL_SECONDS, wait or POLL_SECONDS))
            if self._busy:
                await asyncio.wait(self._busy.values(), timeout=STOP_SECONDS)
        finally:
            # What is cut off here stays `SENDING`, and the next start marks it uncertain.
            tasks = [passing_on, *self._busy.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _turn(self) -> bool:
        """Take what may go now and set it on its way; says whether there was anything."""
        room = min(CONCURRENCY - len(self._busy), self._limits.room())
        if room < 1:
            return False
        if self._doubt_until is not None:
            # What was taken may have been committed though the answer was lost.
            enough = asyncio.get_running_loop().time() >= self._doubt_until
            left_open = list(self._left_open)
            held = [*self._in_hand.values(), *left_open]
            await asyncio.to_thread(recovering.put_back, self._desk, held, self._lease)
            if enough and left_open:
                # Not before: what fails at once would go out again and again.
                await asyncio.to_thread(recovering.recover, self._desk, self._lease, left_open)
                self._left_open.difference_update(left_open)
            if enough:
                self._doubt_until = None
        # A chat over its limit is busy before anything is taken: nothing waits as `SENDING`.
        busy = {*self._busy, *self._limits.exhausted()}
        scarce = self._limits.scarce()
        taken = await asyncio.to_thread(
            dispatching.take, self._desk, busy, room, self._lease, scarce
        )
        if taken:
            faultpoints.point("sender.after_take")
        for delivery in taken:
            self._limits.begin()
            task = asyncio.create_task(self._deliver(delivery))
            self._busy[delivery.chat_id] = task
            self._in_hand[delivery.chat_id] = delivery.id
            task.add_done_callback(partial(self._free, delivery.chat_id))
        return bool(taken)

    def _free(self, chat_id: int, task: asyncio.Task[None]) -> None:
        self._busy.pop(chat_id, None)
        delivery_id = self._in_hand.pop(chat_id)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            # Its row is still `SENDING`, for which its chat would stand still.
            log.error("delivery_left_open", delivery=delivery_id, exc_info=error)
            self._left_open.add(delivery_id)
            self._doubt()
        self._wake.set()

    def _doubt(self) -> None:
        self._doubt_until = asyncio.get_running_loop().time() + DOUBT_SECONDS

    async def _deliver(self, delivery: Delivery) -> None:
        # The task has a context of its own: every line below it carries these ids.
        bind_contextvars(delivery=delivery.id, message=delivery.message_id)
        breakdowns = self._breakdowns.pop(delivery.id, 0)
        try:
            try:
                telegram_id = await self._send(delivery)
            finally:
                self._limits.end(delivery.chat_id)
        except RefusedError as error:
            await self._refused(delivery, error, breakdowns)
        except UnreachableError as error:
            await self._again(delivery, str(error))
        except LostAnswerError as error:
            await self._broke_down(delivery, error, breakdowns, lost=True)
        except (*DATABASE_AWAY, LostLeaseError) as error:
            # Only a topic's number, and who waits, is asked while sending: nothing has left yet.
            await self._again(delivery, type(error).__name__)
        except Exception as error:
            log.exception("delivery_broken")
            if isinstance(error, SQLAlchemyError) and delivery.attempts < ODD_TRIES:
                await self._again(delivery, type(error).__name__)
                return
            await self._settle(delivering.failed, delivery, repr(error))
        else:
            await self._settle(delivering.sent, delivery, telegram_id)
            log.info("delivery_sent", method=delivery.method, telegram=telegram_id)
            if delivery.chat_id == self._desk.operator_chat_id:
                self._standing.reached()

    async def _send(self, delivery: Delivery) -> int | None:
        """Carry a delivery out; returns the new message's id."""

        async def send(params: Params) -> Any:
            return await self._call(delivery.method, params)

        faultpoints.point("sender.before_send")
        params = {"chat_id": delivery.chat_id} | delivery.payload
        for key, make in MADE_WHEN_SENT.items():
            if delivery.key.startswith(key):
                params["text"] = await self._made(make, delivery.attempts)
        if not self._tenure.sure():
            raise LostLeaseError("the lease was not renewed in time")
        edit = delivery.method in delivering.EDIT_METHODS
        if delivery.topic_of is not None and not edit:
            result = await self._topics.send(delivery, params, send)
        else:
            result = await send(params)
        faultpoints.point("sender.after_send")
        # An edit's message is another delivery's: only that one carries the id.
        return None if edit or not isinstance(result, dict) else result.get("message_id")

    async def _made(self, make: Callable[[Desk], str], attempt: int) -> str:
        making = self._making.get(make)
        if making is None:
            # Its thread counts on when nobody waits any longer: there is one at most, and whoever
            # asks meanwhile waits for that.
            making = asyncio.ensure_future(asyncio.to_thread(make, self._desk))
            self._making[make] = making
            making.add_done_callback(lambda made: self._made_at_last(make, made))
        try:
            return await asyncio.wait_for(asyncio.shield(making), MAKE_SECONDS)
        except (TimeoutError, *DATABASE_AWAY) as error:
            # A database that ends slow queries by itself is not to be asked for ever.
            if not isinstance(error, TimeoutError) and attempt < ODD_TRIES:
                raise
            log.warning("text_not_made", text=make.__name__, error=type(error).__name__)
            return "⏳ " + html(say("made-too-slow", self._desk.language))

    def _made_at_last(self, make: Callable[[Desk], str], made: asyncio.Future[str]) -> None:
        self._making.pop(make, None)
        if not made.cancelled():
            made.exception()  # heard by whoever still waited

    async def _call(self, method: str, params: Params) -> Any:
        """Call, and where the message's dress is refused, once more without it."""
        try:
            return await self._telegram.call(method, params)
        except RefusedError as error:
            if error.code != 400:
                raise
            if error.says("message is not modified"):
                return None
            if method == delivering.DELETE_TOPIC and is_gone(error):
                return None
            if method == delivering.DELETE_MESSAGE and error.says("message to delete not found"):
                return None
            simpler = _simpler(params, error)
            if simpler is None:
                raise
            log.warning("part_refused", method=method, error=error.description)
        return await self._telegram.call(method, simpler)

    async def _refused(self, delivery: Delivery, error: RefusedError, breakdowns: int) -> None:
        own = delivery.chat_id == self._desk.operator_chat_id
        source = delivery.payload.get("from_chat_id")
        # What is copied from a group that the bot is out of says nothing of whom it goes to.
        out_of_source = error.code == 403 and source is not None and error.says(*_OUT_OF_GROUP)
        # It holds up all that this customer is to get.
        worth_waiting = source == self._desk.operator_chat_id and delivery.attempts < COPY_TRIES
        if error.retry_after is not None or error.code == 429:
            seconds = float(error.retry_after or POLL_SECONDS)
            log.warning("too_many_requests", chat=delivery.chat_id, retry_in=seconds)
            await self._again(delivery, str(error), seconds)
        elif error.away:
            # A gateway that gave up waiting has passed the call on, as good as surely.
            await self._broke_down(delivery, error, breakdowns, lost=error.code == 504)
        elif error.code in TOKEN_REFUSED:
            # Of the message it says nothing.
            await self._again(delivery, str(error), MISCONFIGURED_SECONDS)
        elif (out_of_source and worth_waiting) or (
            own
            # That takes a right of its own, without which everything else works.
            and not (delivery.method == delivering.DELETE_TOPIC and error.says(*DELETING_REFUSED))
            and (error.code == 403 or error.migrate_to or error.says(*_CHAT_LOST))
            and not await self._is_source_gone(delivery, error)
        ):
            # Calls for help must not be thrown away because of a setting.
            metrics.OPERATORS_CHAT.set(0)
            log.error(
                "operators_chat_unusable",
                error=str(error),
                migrate_to=error.migrate_to,
                advice="switch topics on in the operators' chat, and make the bot an administrator "
                "there with the right “Manage topics”; cards wait until then (`frontdesk doctor` "
                "says what is wrong)",
            )
            why = f"{CHAT_UNUSABLE}{error}"
            await self._again(delivery, why, MISCONFIGURED_SECONDS)
        elif error.code == 403 and not own and not out_of_source:
            at = self._desk.clock()
            await self._settle(delivering.customer_gone, delivery, str(error), at=at)
        else:
            log.error("delivery_failed", error=str(error))
            await self._settle(delivering.failed, delivery, error.description)

    async def _is_source_gone(self, delivery: Delivery, error: RefusedError) -> bool:
        """Whether it is the chat to copy from that is not found or not to be read, and not the
        operators' own: that a chat is not found Telegram says with the same words of both."""
        if "from_chat_id" not in delivery.payload:
            return False
        if error.code == 403:
            return not error.says(*_OUT_OF_GROUP, *_CHAT_LOST)
        if not error.says("chat not found"):
            return False
        try:
            await self._telegram.call("getChat", {"chat_id": delivery.chat_id})
        except TelegramError:
            return False
        return True

    async def _broke_down(
        self, delivery: Delivery, error: TelegramError, breakdowns: int, *, lost: bool
    ) -> None:
        """A server error, or with `lost` no answer, after which a call is repeated only once.

        After another error of a server nothing has been done as a rule, and it is worth more tries;
        but a server may break down, or a proxy break off, after it: so that is uncertain, too.
        """
        breakdowns += 1
        doubtful = lost or (isinstance(error, RefusedError) and error.code >= 500)
        if lost and delivery.uncertain:
            reason = f"sent twice without an answer, and {delivering.PERHAPS_ARRIVED} ({error})"
        elif breakdowns >= MAX_BREAKDOWNS:
            reason = f"tried {breakdowns} times in vain ({error})"
        else:
            self._breakdowns[delivery.id] = breakdowns
            await self._again(delivery, str(error), uncertain=doubtful)
            return
        log.error("delivery_failed", error=reason)
        await self._settle(delivering.failed, delivery, reason)

    async def _again(
        self,
        delivery: Delivery,
        error: str,
        seconds: float | None = None,
        *,
        uncertain: bool = False,
    ) -> None:
        seconds = backoff(delivery.attempts) if seconds is None else seconds
        log.warning(
            "delivery_again",
            retry_in=round(seconds, 2),
            uncertain=uncertain,
            error=error,
        )
        await self._settle(delivering.again, delivery, seconds, error, uncertain=uncertain)
        asyncio.get_running_loop().call_later(seconds + 0.005, self._wake.set)

    async def _settle(
        self,
        settle: Callable[Concatenate[Desk, int, int, P], None],
        delivery: Delivery,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        """Write an end state, for as long as the database is away: giving up would send a message
        twice.

        Where that meets an error nobody foresaw, the state alone is written; what has no simpler
        form is tried for as long as the database refuses it, for its chat would stand still.
        """
        write = partial(settle, self._desk, delivery.id, delivery.attempts, *args, **kwargs)
        bare = _BARE.get(settle)
        failures = odd = 0
        while True:
            try:
                await asyncio.to_thread(write)
                return
            except Exception as error:
                away = isinstance(error, DATABASE_AWAY)
                odd += not away
                # What the database refuses may be another process's doing, and pass.
                worth = bare is None or odd < ODD_TRIES
                if away or (isinstance(error, SQLAlchemyError) and worth):
                    failures += 1
                    log.warning("delivery_not_settled", error=type(error).__name__)
                    await asyncio.sleep(backoff(failures, most=2.0))
                    continue
                if bare is None:
                    raise
                log.exception("delivery_settled_barely")
                write = partial(bare, self._desk, delivery.id, delivery.attempts, *args)
                bare, odd = None, 0


_BARE: dict[Callable[..., None], Callable[..., None]] = {
    delivering.sent: delivering.sent_barely,
    delivering.failed: delivering.failed_barely,
    delivering.customer_gone: delivering.failed_barely,
}
"""An end state alone, in place of what else follows from it."""

_CHAT_LOST = (
    *RIGHTS_LOST,
    "chat not found",
    "group chat was upgraded",
    "CHAT_WRITE_FORBIDDEN",
)

_OUT_OF_GROUP = ("group chat", "not a member", "kicked")
"""How Telegram says in a 403 that it is about a group, not about a customer."""


_NO_REPLY = ("message to be replied", "REPLY_MESSAGE_ID", "message caption is too long")
"""What Telegram refuses a reply for: of a topic that was deleted it may not heed
`allow_sending_without_reply`, and the longer captions of Premium it copies in no reply."""


def _simpler(params: Params, error: RefusedError) -> Params | None:
    """The same message without what was refused: its markup, its keyboard, or of what it replies to
    the part that it quotes, or all."""
    if error.says("can't parse entities") and "parse_mode" in params:
        bare = {name: value for name, value in params.items() if name != "parse_mode"}
        return bare | {"text": plain(str(params.get("text", "")))}
    reply = params.get("reply_parameters")
    if error.says("quote") and isinstance(reply, dict) and "quote" in reply:
        whole = {name: value for name, value in reply.items() if not name.startswith("quote")}
        return params | {"reply_parameters": whole}
    if error.says("BUTTON_", "inline keyboard", "reply markup") and "reply_markup" in params:
        return {name: value for name, value in params.items() if name != "reply_markup"}
    if error.says(*_NO_REPLY) and "reply_parameters" in params:
        return {name: value for name, value in params.items() if name != "reply_parameters"}
    return None
