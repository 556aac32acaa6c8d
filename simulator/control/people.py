"""Acting as a customer in the private chat, or as an operator in the operators' group."""

from __future__ import annotations

import base64
import binascii

from aiohttp import web
from aiohttp.web_request import FileField

from simulator import forum, people
from simulator.callbacks import Press
from simulator.control.http import (
    Route,
    answer,
    find_bot,
    find_user,
    number,
    optional_number,
    read_body,
    seconds,
    world_of,
)
from simulator.errors import ControlError
from simulator.files import image_size, sample_picture
from simulator.methods.topics import MAX_NAME
from simulator.model import ADMIN_RIGHTS, Chat, Json, Member, Topic, User
from simulator.view import member_json, sim_message, sim_topic, user_json

FIRST_CUSTOMER = 1001
FIRST_OPERATOR = 9003
OTHER: dict[str, Json] = {
    "sticker": {
        "sticker": {
            "file_id": "SIMSTICKER0000000001",
            "file_unique_id": "SIMSTICKER01",
            "type": "regular",
            "width": 512,
            "height": 512,
            "is_animated": False,
            "is_video": False,
            "emoji": "👋",
        }
    },
    "location": {"location": {"latitude": 52.5163, "longitude": 13.3777}},
    "contact": {"contact": {"phone_number": "+4930123456", "first_name": "Ada"}},
}


def _place(request: web.Request, body: Json) -> tuple[User, Chat, Topic | None]:
    """Who acts, and where: the operators' group below /sim/operators, else the private chat."""
    world, user = world_of(request), find_user(request)
    if not request.path.startswith("/sim/operators/"):
        return user, world.private_chat(find_bot(request, body), user), None
    chat_id = number(body, "chat_id", world.operators.id)
    chat = world.groups.get(chat_id)
    if chat is None:
        raise ControlError(404, f"There is no group {chat_id}.")
    member = chat.members.get(user.id)
    if member is None or not member.present:
        raise ControlError(403, f"{user.first_name} is not in the group.")
    return user, chat, _topic(chat, optional_number(body, "thread"))


def _topic(chat: Chat, thread_id: int | None) -> Topic | None:
    # 1 is the General topic, which is no topic to the Bot API.
    if thread_id in (None, 0, 1):
        return None
    topic = chat.topics.get(thread_id or 0)
    if topic is None:
        raise ControlError(404, f"There is no topic {thread_id}.")
    return topic


async def list_customers(request: web.Request) -> web.Response:
    world = world_of(request)
    return answer([user_json(world.users[user_id]) for user_id in world.customers])


async def add_customer(request: web.Request) -> web.Response:
    world, body = world_of(request), await read_body(request)
    user = people.add_user(world, body, FIRST_CUSTOMER)
    world.customers.append(user.id)
    world.bus.publish("customer", user_json(user))
    found = user_json(user)
    if body.get("start"):
        found["message"] = sim_message(people.start(world, find_bot(request, body), user))
    return answer(found, 201)


async def list_operators(request: web.Request) -> web.Response:
    members = world_of(request).operators.members.values()
    return answer([member_json(member) for member in members if not member.user.is_bot])


async def add_operator(request: web.Request) -> web.Response:
    world, body = world_of(request), await read_body(request)
    status = body.get("status", "member")
    if status not in ("creator", "administrator", "member"):
        raise ControlError(400, "status must be creator, administrator or member.")
    asked = body.get("id")
    known = world.users.get(asked) if isinstance(asked, int) else None
    user = known or people.add_user(world, body, FIRST_OPERATOR)
    rights = dict.fromkeys(ADMIN_RIGHTS, status != "member")
    world.operators.members[user.id] = Member(user, status, rights)
    world.members_changed(world.operators)
    return answer(member_json(world.operators.members[user.id]), 201)


async def remove_operator(request: web.Request) -> web.Response:
    world, user = world_of(request), find_user(request)
    member = world.operators.members.get(user.id)
    if member is None:
        raise ControlError(404, f"{user.first_name} is not in the group.")
    member.status = "left"
    world.members_changed(world.operators)
    return answer(member_json(member))


async def start(request: web.Request) -> web.Response:
    body = await read_body(request)
    user, payload = find_user(request), str(body.get("payload") or "")
    message = people.start(world_of(request), find_bot(request, body), user, payload)
    return answer(sim_message(message), 201)


async def send(request: web.Request) -> web.Response:
    world, body = world_of(request), await read_body(request)
    user, chat, topic = _place(request, body)
    if chat.is_private and not chat.started and body.get("start"):
        people.start(world, find_bot(request, body), user)
    text, reply_to = str(body.get("text") or ""), optional_number(body, "reply_to")
    message = people.write(world, chat, user, text=text, topic=topic, reply_to=reply_to)
    return answer(sim_message(message), 201)


async def send_file(request: web.Request) -> web.Response:
    world, kind = world_of(request), request.path.rpartition("/")[2]
    body, name, data = await _file_of(request, kind)
    user, chat, topic = _place(request, body)
    if kind == "photo" and not image_size(data)[0]:
        raise ControlError(400, "This is no PNG, JPEG, GIF or WebP picture.")
    stored = world.files.add(kind, data, name, "audio/ogg" if kind == "voice" else "")
    message = people.write(
        world,
        chat,
        user,
        text=str(body.get("caption") or ""),
        media=stored,
        topic=topic,
        reply_to=optional_number(body, "reply_to"),
    )
    return answer(sim_message(message), 201)


async def _file_of(request: web.Request, kind: str) -> tuple[Json, str, bytes]:
    """The request's fields and its file: uploaded, as base64, or a sample when there is none."""
    names = {"photo": "picture.png", "document": "note.txt", "voice": "voice.ogg"}
    if request.content_type == "multipart/form-data":
        form = await request.post()
        body: Json = {name: value for name, value in form.items() if isinstance(value, str)}
        upload = form.get("file")
        if not isinstance(upload, FileField):
            raise ControlError(400, "The form has no file.")
        return body, upload.filename, upload.file.read()
    body = await read_body(request)
    name = str(body.get("name") or names[kind])
    encoded = body.get("data_base64")
    if encoded is None:
        sample = sample_picture() if kind == "photo" else b"A sample file of the simulator.\n"
        return body, name, sample
    try:
        return body, name, base64.b64decode(str(encoded), validate=True)
    except (binascii.Error, ValueError):
        raise ControlError(400, "data_base64 is not base64.") from None


async def send_other(request: web.Request) -> web.Response:
    world, body = world_of(request), await read_body(request)
    user, chat, topic = _place(request, body)
    extra = OTHER.get(str(body.get("kind")))
    if extra is None:
        raise ControlError(400, f"kind must be one of: {', '.join(OTHER)}.")
    return answer(sim_message(people.write(world, chat, user, topic=topic, extra=extra)), 201)


async def edit(request: web.Request) -> web.Response:
    world, body = world_of(request), await read_body(request)
    user, chat, _ = _place(request, body)
    text = str(body.get("text") or "")
    return answer(sim_message(people.edit(world, chat, user, number(body, "message_id"), text)))


async def delete(request: web.Request) -> web.Response:
    world, body = world_of(request), await read_body(request)
    user, chat, _ = _place(request, body)
    return answer(sim_message(people.delete(world, chat, user, number(body, "message_id"))))


async def press(request: web.Request) -> web.Response:
    world, body = world_of(request), await read_body(request)
    user, chat, _ = _place(request, body)
    text, data = str(body.get("text") or ""), str(body.get("data") or "")
    pressed = people.press(world, chat, user, number(body, "message_id"), text, data)
    if not isinstance(pressed, Press):
        return answer(pressed)
    timeout = seconds(body, "timeout", 5.0)
    await world.bus.until(pressed.done.is_set, timeout)
    return answer(pressed.json())


async def react(request: web.Request) -> web.Response:
    world, body = world_of(request), await read_body(request)
    user, chat, _ = _place(request, body)
    emoji = body.get("emoji")
    emoji = str(emoji) if emoji else None
    message = people.react(world, chat, user, number(body, "message_id"), emoji)
    return answer(sim_message(message))


async def block(request: web.Request) -> web.Response:
    body, blocked = await read_body(request), request.path.endswith("/block")
    people.set_blocked(world_of(request), find_bot(request, body), find_user(request), blocked)
    return answer({"blocked": blocked})


async def create_topic(request: web.Request) -> web.Response:
    world, body = world_of(request), await read_body(request)
    user, chat, _ = _place(request, body)
    name = _topic_name(body)
    if not chat.is_forum:
        raise ControlError(409, "The group is not a forum.")
    return answer(sim_topic(forum.create(world, chat, user, name)), 201)


def _topic_name(body: Json) -> str:
    name = str(body.get("name") or "").strip()
    if not name:
        raise ControlError(400, "name is required.")
    if len(name) > MAX_NAME:
        raise ControlError(400, f"A topic's name has {MAX_NAME} characters at most: shorten it.")
    return name


async def change_topic(request: web.Request) -> web.Response:
    world, body = world_of(request), await read_body(request)
    user, chat, _ = _place(request, body)
    topic = _topic(chat, int(request.match_info["thread"]))
    if topic is None:
        raise ControlError(409, "The General topic stays as it is.")
    act = request.match_info["act"]
    if act == "delete":
        forum.delete(world, chat, topic)
    elif act == "rename":
        forum.edit(world, chat, user, topic, _topic_name(body), None)
    elif topic.closed == (act == "close"):
        raise ControlError(409, f"The topic is {'closed' if topic.closed else 'open'} already.")
    else:
        forum.set_closed(world, chat, user, topic, act == "close")
    return answer(sim_topic(topic))


# Operators' acts take `thread` (a topic's id) and `chat_id` (another group) besides.
_SEND, _TEXT = "write a message", "{text, reply_to?"
_DOCUMENT = "multipart file, caption | {name?, caption?, data_base64?}"
_ACTS = (
    ("photo", send_file, "send a photo", "multipart file, caption | {caption?, data_base64?}"),
    ("document", send_file, "send a document", _DOCUMENT),
    ("voice", send_file, "send a voice message", "{data_base64?}"),
    ("other", send_other, "send a sticker, location or contact", "{kind}"),
    ("edit", edit, "edit one's message", "{message_id, text}"),
    ("delete", delete, "delete a message for all; no bot hears of it", "{message_id}"),
    ("press", press, "press an inline button and wait", "{message_id, text | data, timeout?}"),
    ("react", react, "react to a message", "{message_id, emoji | null}"),
)
_CUSTOMER, _OPERATOR = r"/sim/customers/{user:\d+}", r"/sim/operators/{user:\d+}"
_TOPIC = _OPERATOR + r"/topics/{thread:\d+}/{act:close|reopen|delete|rename}"
_NEW = "{first_name, last_name?, username?, language_code?, id?"
ROUTES = [
    Route("GET", "/sim/customers", list_customers, "list customers"),
    Route("POST", "/sim/customers", add_customer, "add a customer", _NEW + ", start?} -> id"),
    Route("POST", _CUSTOMER + "/start", start, "send /start", "{payload?}"),
    Route("POST", _CUSTOMER + "/block", block, "block the bot"),
    Route("POST", _CUSTOMER + "/unblock", block, "unblock the bot"),
    Route("POST", _CUSTOMER + "/send", send, f"customer: {_SEND}", _TEXT + ", start?} -> message"),
    *(Route("POST", f"{_CUSTOMER}/{n}", h, f"customer: {p}", t) for n, h, p, t in _ACTS),
    Route("GET", "/sim/operators", list_operators, "list operators"),
    Route("POST", "/sim/operators", add_operator, "add an operator", _NEW + ", status?}"),
    Route("POST", _OPERATOR + "/leave", remove_operator, "leave the group"),
    Route("POST", _OPERATOR + "/send", send, f"operator: {_SEND}", _TEXT + "} -> message"),
    *(
        Route(
            "POST",
            f"{_OPERATOR}/{n}",
            h,
            f"operator: {p}",
            t,
        )
        for n, h, p, t in _ACTS
    ),
    Route("POST", _OPERATOR + "/topics", create_topic, "create a topic by hand", "{name}"),
    Route("POST", _TOPIC, change_topic, "close, reopen, delete or rename a topic", "{name?}"),
]
