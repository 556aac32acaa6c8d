"""Questions about chats and their members."""

from __future__ import annotations

from simulator.errors import bad_request
from simulator.methods.registry import Call, method
from simulator.methods.target import readable_chat
from simulator.model import Chat, Json, Member
from simulator.view import full_chat_json, member_json


@method("getChat")
def get_chat(call: Call) -> Json:
    return full_chat_json(readable_chat(call))


@method("getChatMember")
def get_chat_member(call: Call) -> Json:
    chat = readable_chat(call)
    user_id = call.params.integer("user_id")
    user = call.world.users.get(user_id)
    if user_id <= 0:
        raise bad_request("invalid user_id specified")
    if user is None:
        raise bad_request("PARTICIPANT_ID_INVALID")
    if chat.is_private:
        if user is not chat.user and user is not call.bot.user:
            raise bad_request("member not found")
        return member_json(Member(user))
    return member_json(chat.members.get(user_id) or Member(user, "left"))


def _group(call: Call) -> Chat:
    chat = readable_chat(call)
    if chat.is_private:
        raise bad_request("there are no administrators in the private chat")
    return chat


@method("getChatAdministrators")
def get_chat_administrators(call: Call) -> list[Json]:
    members = _group(call).members.values()
    # Other bots are left out; the bot itself is not.
    return [
        member_json(member)
        for member in members
        if member.is_admin and (not member.user.is_bot or member.user is call.bot.user)
    ]


@method("getChatMemberCount")
def get_chat_member_count(call: Call) -> int:
    chat = readable_chat(call)
    return 2 if chat.is_private else sum(member.present for member in chat.members.values())


@method("leaveChat")
def leave_chat(call: Call) -> bool:
    chat = _group(call)
    chat.members[call.bot.user.id].status = "left"
    call.world.members_changed(chat)
    return True
