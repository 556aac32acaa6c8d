"""Pressed buttons, of customers and of operators."""

from __future__ import annotations

import asyncio

from aiogram import F, Router
from aiogram.types import CallbackQuery

from bot.answers import Answers
from desk.flow import buttons, roster
from desk.flow.desk import Desk


def make_router() -> Router:
    router = Router(name="presses")
    router.callback_query.register(press, F.data, F.message)
    return router


async def press(query: CallbackQuery, desk: Desk, inbox_id: int, answers: Answers) -> None:
    if query.message is None or query.data is None:
        return
    user, chat = query.from_user, query.message.chat
    if chat.id == desk.operator_chat_id:
        await asyncio.to_thread(roster.keep_name, desk, user.id, user.full_name, user.username)
    pressed = await asyncio.to_thread(
        buttons.pressed,
        desk,
        inbox_id,
        query.data,
        user.id,
        chat.id,
        query.message.message_id,
    )
    answers.answer(query.id, pressed.text, alert=pressed.alert)
