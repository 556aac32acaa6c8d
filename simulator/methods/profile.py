"""What a bot says about itself: getMe, commands, name and descriptions."""

from __future__ import annotations

import re

from simulator.errors import bad_request
from simulator.methods.registry import Call, Handler, method
from simulator.methods.target import find_chat
from simulator.model import Json, User
from simulator.view import user_json
from simulator.world import Bot, bot_json

_SCOPES = (
    "default",
    "all_private_chats",
    "all_group_chats",
    "all_chat_administrators",
    "chat",
    "chat_administrators",
    "chat_member",
)


@method("getMe")
def get_me(call: Call) -> Json:
    abilities = {
        "can_join_groups": True,
        "can_read_all_group_messages": False,
        "supports_inline_queries": False,
        "can_connect_to_business": False,
        "has_main_web_app": False,
        "has_topics_enabled": call.bot.private_topics,
    }
    return user_json(call.bot.user) | abilities


def _scope(call: Call) -> tuple[str, str]:
    raw = call.params.json("scope", "BotCommandScope")
    if raw is None:
        raw = {"type": "default"}
    if not isinstance(raw, dict) or raw.get("type") not in _SCOPES:
        raise bad_request("can't parse BotCommandScope: unsupported type specified")
    key = str(raw["type"])
    if key in ("chat", "chat_administrators", "chat_member"):
        call.params.values["chat_id"] = raw.get("chat_id")
        key = f"{key}:{find_chat(call).id}"
        if raw["type"] == "chat_member":
            key += f":{raw.get('user_id')}"
    language = call.params.text("language_code")
    if language and not re.fullmatch(r"[a-z]{2}", language):
        raise bad_request("invalid language code specified")
    return key, language


@method("setMyCommands")
def set_my_commands(call: Call) -> bool:
    raw = call.params.json("commands", "commands")
    if not isinstance(raw, list):
        raise bad_request("expected an Array of BotCommand")
    if len(raw) > 100:
        raise bad_request("BOT_COMMANDS_TOO_MUCH")
    commands: list[Json] = []
    for item in raw:
        if not isinstance(item, dict):
            raise bad_request("can't parse BotCommand: expected an Object")
        command = str(item.get("command", "")).removeprefix("/")
        description = str(item.get("description", "")).strip()
        if not re.fullmatch(r"[a-z0-9_]{1,32}", command, re.ASCII):
            raise bad_request("BOT_COMMAND_INVALID")
        if not 1 <= len(description) <= 256:
            raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
        commands.append({"command": command, "description": description})
    call.bot.commands[_scope(call)] = commands
    call.world.bus.publish("commands", bot_json(call.bot))
    return True


@method("getMyCommands")
def get_my_commands(call: Call) -> list[Json]:
    return call.bot.commands.get(_scope(call), [])


@method("deleteMyCommands")
def delete_my_commands(call: Call) -> bool:
    call.bot.commands.pop(_scope(call), None)
    call.world.bus.publish("commands", bot_json(call.bot))
    return True


def commands_for(bot: Bot, user: User) -> list[Json]:
    """The commands that a person sees in their private chat, by Telegram's order of scopes."""
    for scope in (f"chat:{user.id}", "all_private_chats", "default"):
        for language in (user.language_code[:2], ""):
            if found := bot.commands.get((scope, language)):
                return found
    return []


def _text(name: str, field: str, limit: int) -> tuple[Handler, Handler]:
    def write(call: Call) -> bool:
        value = call.params.text(field)
        if len(value) > limit:
            raise bad_request(f"{name.upper()}_TOO_LONG")
        call.bot.texts[name, call.params.text("language_code")] = value
        return True

    def read(call: Call) -> Json:
        texts = call.bot.texts
        default = call.bot.user.first_name if name == "name" else ""
        own = texts.get((name, call.params.text("language_code")))
        return {field: own or texts.get((name, "")) or default}

    return write, read


for _method, _field, _limit in (
    ("Name", "name", 64),
    ("Description", "description", 512),
    ("ShortDescription", "short_description", 120),
):
    _write, _read = _text(_method.lower(), _field, _limit)
    method(f"setMy{_method}")(_write)
    method(f"getMy{_method}")(_read)
