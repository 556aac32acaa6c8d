"""What every use case needs: the store, the pack, the operators' chat and a clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from desk.domain import FLOOD_PER_MINUTE, ConversationState
from desk.pack import Pack
from desk.store import Store
from desk.tables import Conversation, utcnow


@dataclass(frozen=True, slots=True)
class Desk:
    store: Store
    pack: Pack
    operator_chat_id: int | None = None
    clock: Callable[[], datetime] = utcnow
    flood_per_minute: int = FLOOD_PER_MINUTE
    """What one customer sends within a minute and the bot answers to."""
    retention_days: int | None = None
    """After so many days what customers said is erased; None for never. They are told so."""

    @property
    def language(self) -> str:
        """The language in which operators read."""
        return self.pack.languages[0]


def who_answers(desk: Desk, conversation: Conversation) -> ConversationState:
    """Who answers in a conversation: its state, but that the bot does while a person is awaited who
    can't be called, for want of an operators' chat. Once there is one, that person is called."""
    waits = conversation.state is ConversationState.WAITING
    return ConversationState.BOT if waits and desk.operator_chat_id is None else conversation.state
