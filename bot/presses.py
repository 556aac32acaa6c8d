"""Pressed buttons, of customers and of operators."""

from __future__ import annotations

import asyncio

import structlog
from aiogram import F, Router
from aiogram.types import CallbackQuery

from bot.telegram import Telegram, TelegramError
from desk.flow import buttons
from desk.flow.desk import Desk

log = structlog.get_logger(__name__)

MAX_TEXT = 200
ANSWER_SECONDS = 5.0


class Answers:
    """Answers to presses: they stop the button's spinner, best effort and off the lane.

    What the press does is safe in SQL; an answer that Telegram does not take is only logged.
    """

    def __init__(self, telegram: Telegram) -> None:
        self._telegram = telegram
        self._tasks: set[asyncio.Task[None]] = set()

    def answer(self, query_id: str, text: str = "", *, alert: bool = False) -> None:
        task = asyncio.create_task(self._answer(query_id, text, alert))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, query_id: str, text: str, alert: bool) -> None:
        params: dict[str, object] = {"callback_query_id": query_id}
        if text:
            params |= {"text": text[:MAX_TEXT], "show_alert": alert}
        try:
            await self._telegram.call("answerCallbackQuery", params, ANSWER_SECONDS)
        except TelegramError as error:
            log.info("press_not_answered", error=str(error))

    async def close(self) -> None:
        """Let answers under way finish."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        for task in self._tasks:
            task.cancel()


def make_router() -> Router:
    router = Router(name="presses")
    router.callback_query.register(press, F.data, F.message)
    return router


async def press(query: CallbackQuery, desk: Desk, inbox_id: int, answers: Answers) -> None:
    if query.message is None or query.data is None:
        return
    pressed = await asyncio.to_thread(
        buttons.pressed,
        desk,
        inbox_id,
        query.data,
        query.from_user.id,
        query.message.chat.id,
        query.message.message_id,
    )
    answers.answer(query.id, pressed.text, alert=pressed.alert)
