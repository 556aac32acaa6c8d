"""Forum topics: each customer has one, made when it is first needed and again when it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from bot.telegram import LostAnswerError, RefusedError, Telegram, UnreachableError
from desk.domain import Delivery
from desk.flow import topics
from desk.flow.desk import Desk

log = structlog.get_logger(__name__)

Params = dict[str, Any]
Send = Callable[[Params], Awaitable[Any]]

DELETING_REFUSED = ("not enough rights", "CHAT_ADMIN_REQUIRED")
"""How Telegram says that the bot may not delete a topic."""
RIGHTS_LOST = (*DELETING_REFUSED, "not a forum")
"""How Telegram says that the bot may not do in the operators' chat what it has to, or can't while
topics are switched off."""


class Topics:
    """Sends into customers' topics of the operators' chat.

    `spend` is called for each topic that is made or opened again, which costs its group a message
    of its limit.
    """

    def __init__(self, desk: Desk, telegram: Telegram, spend: Callable[[int], None]) -> None:
        self._desk = desk
        self._telegram = telegram
        self._spend = spend

    async def send(self, delivery: Delivery, params: Params, send: Send) -> Any:
        """Send into the topic of `delivery.topic_of`; raises `TelegramError`."""
        if delivery.thread_id is not None and delivery.topic_closed:
            await self._reopen(delivery, delivery.thread_id)
        thread_id = delivery.thread_id or await self._make(delivery)
        mended: set[str] = set()
        while True:
            # Where no topic can be had for good the General chat is better than silence.
            where = {"message_thread_id": thread_id} if thread_id is not None else {}
            try:
                return await send(params | where)
            except RefusedError as error:
                trouble = _trouble(error)
                if thread_id is None or trouble is None or trouble in mended:
                    raise
                mended.add(trouble)
                if trouble == "closed":
                    await self._reopen(delivery, thread_id)
                else:
                    # With topics switched off each seems gone: forgotten only for another.
                    thread_id = await self._make(delivery, again=True)
                    if thread_id is None:
                        await self._remember(delivery, None)

    async def _make(self, delivery: Delivery, *, again: bool = False) -> int | None:
        if delivery.topic_of is None:
            return None
        name = await asyncio.to_thread(topics.topic_name, self._desk, delivery.topic_of)
        params = {"chat_id": delivery.chat_id, "name": name}
        try:
            topic = await self._manage("createForumTopic", params)
        except RefusedError as error:
            # Whoever answered a card in General would reach nobody: it waits for the right, or
            # for topics to be switched on again.
            if error.code != 400 or error.says(*RIGHTS_LOST):
                raise
            log.error("no_topic", delivery=delivery.id, error=error.description)
            return None
        thread_id = int(topic["message_thread_id"])
        if await self._remember(delivery, thread_id, again=again):
            raise UnreachableError("its topic was made again, and begins with the card")
        return thread_id

    async def _remember(
        self, delivery: Delivery, thread_id: int | None, *, again: bool = False
    ) -> bool:
        """Says whether something is to be shown in the topic before the delivery."""
        if delivery.topic_of is None:
            return False
        return await asyncio.to_thread(
            topics.topic_made, self._desk, delivery.topic_of, thread_id, again=again
        )

    async def _reopen(self, delivery: Delivery, thread_id: int) -> None:
        params = {"chat_id": delivery.chat_id, "message_thread_id": thread_id}
        try:
            await self._manage("reopenForumTopic", params)
        except RefusedError as error:
            # One that is gone is made again when it is written into.
            if not error.says("TOPIC_NOT_MODIFIED") and not is_gone(error):
                raise
        if delivery.topic_of is not None:
            await asyncio.to_thread(topics.topic_reopened, self._desk, delivery.topic_of)

    async def _manage(self, method: str, params: Params) -> Any:
        """A call about the topic itself: when its answer is lost, no message has been sent yet.

        At worst an empty topic is left behind.
        """
        try:
            return await self._telegram.call(method, params)
        except LostAnswerError as error:
            raise UnreachableError(str(error)) from None
        except RefusedError as error:
            if error.code == 504:
                raise UnreachableError(str(error)) from None
            raise
        finally:
            self._spend(params["chat_id"])


def is_gone(error: RefusedError) -> bool:
    """Whether Telegram says that there is no such topic (any more)."""
    gone = ("message thread not found", "TOPIC_DELETED", "TOPIC_ID_INVALID")
    return error.code == 400 and error.says(*gone)


def _trouble(error: RefusedError) -> str | None:
    if error.code == 400 and error.says("TOPIC_CLOSED"):
        return "closed"
    return "gone" if is_gone(error) else None
