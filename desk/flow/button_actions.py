"""What a button may do; `desk.flow.buttons` has a handler for each."""

from __future__ import annotations

# What a button may do; `desk.flow.buttons` has a handler for each.
SHOW_INTENT = "intent"
CHOOSE_INTENT = "choose"
CALL_PERSON = "person"
CALL_OFF = "call_off"
THUMB_UP = "up"
THUMB_DOWN = "down"
SEND_ANSWER = "send"
ANSWER = "answer"
RELABEL = "relabel"
LABEL = "label"
MOOD = "mood"
CARD = "card"
WHY = "why"
TAKE = "take"
RESOLVE = "resolve"
RESOLVE_UNANSWERED = "resolve_unanswered"
