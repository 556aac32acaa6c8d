"""setMessageReaction."""

from __future__ import annotations

from simulator.errors import bad_request
from simulator.methods.registry import Call, method
from simulator.methods.target import readable_chat
from simulator.model import Json
from simulator.view import sim_message

# The reactions of a chat without a restriction; Telegram refuses every other emoji.
_ALLOWED = (
    "👍 👎 ❤ 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 🤡 🥱 🥴 😍 🐳 ❤‍🔥 🌚 🌭 "
    "💯 🤣 ⚡ 🍌 🏆 💔 🤨 😐 🍓 🍾 💋 🖕 😈 😴 😭 🤓 👻 👨‍💻 👀 🎃 🙈 😇 😨 🤝 ✍ 🤗 "
    "🫡 🎅 🎄 ☃ 💅 🤪 🗿 🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾 🤷‍♂ 🤷 🤷‍♀ 😡"
)
ALLOWED = frozenset(_ALLOWED.split())


def reaction(emoji: str) -> Json:
    """The ReactionTypeEmoji of an allowed emoji; raises 400 REACTION_INVALID."""
    plain = emoji.replace("\ufe0f", "")
    if plain not in ALLOWED:
        raise bad_request("REACTION_INVALID")
    return {"type": "emoji", "emoji": plain}


@method("setMessageReaction")
def set_message_reaction(call: Call) -> bool:
    raw = call.params.json("reaction", "reaction types")
    if raw is None:
        raw = []
    if not isinstance(raw, list):
        raise bad_request("can't parse reaction types: expected an Array")
    if len(raw) > 1:
        # A bot is no Premium user: one reaction is all it has.
        raise bad_request("REACTIONS_TOO_MANY")
    chosen: list[Json] = []
    for item in raw:
        if not isinstance(item, dict) or item.get("type") != "emoji":
            raise bad_request("REACTION_INVALID")
        chosen.append(reaction(str(item.get("emoji", ""))))
    chat = readable_chat(call)
    message = chat.live(call.params.integer("message_id"))
    if message is None:
        raise bad_request("message to react not found")
    message.reactions[call.bot.user.id] = chosen
    call.world.bus.publish("edit", sim_message(message))
    return True
