"""The Bot API methods, one module per subject; importing this package registers them all."""

from simulator.methods import (
    chats,
    delivery,
    edits,
    forward,
    media,
    profile,
    reactions,
    send,
    topics,
)
from simulator.methods.registry import METHODS, Call

__all__ = [
    "METHODS",
    "Call",
    "chats",
    "delivery",
    "edits",
    "forward",
    "media",
    "profile",
    "reactions",
    "send",
    "topics",
]
