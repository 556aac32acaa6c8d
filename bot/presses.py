"""Pressed buttons, of customers and of operators."""

from __future__ import annotations

import asyncio

from aiogram import F, Router
from aiogram.types import CallbackQuery

from bot.answers import Answers
from desk.flow import buttons
from desk.flow.desk import Desk


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
