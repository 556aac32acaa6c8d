"""The control API: people, chats, the log, waiting, events, starting over."""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp

from simulator.app import Simulator

from .conftest import GROUP, OLGA, OMAR, Bot, Control


async def test_the_index_says_what_a_customers_text_and_file_may_have(control: Control) -> None:
    takes = {route["path"]: route["takes"] for route in (await control.get(""))["routes"]}
    assert takes["/sim/customers/{user}/send"] == "{text, reply_to?, start?} -> message"
    assert "{name?, caption?, data_base64?}" in takes["/sim/customers/{user}/document"]


async def test_the_index_lists_every_route(simulator: Simulator, control: Control) -> None:
    index = await control.get("")
    listed = {(route["method"], route["path"]) for route in index["routes"]}
    assert ("POST", "/sim/customers/{user}/press") in listed
    assert ("PATCH", "/sim/chats/{chat}") in listed
    assert "sendMessage" in index["methods"]
    assert await control.get("health") == {"ok": True}


async def test_customers_are_created_with_ids_of_their_own(control: Control) -> None:
    ada = await control.customer("Ada", start=False)
    bob = await control.customer("Bob", start=False, id=777000111)
    assert (ada, bob) == (1001, 777000111)
    assert await control.refused("POST", "customers", first_name="Eve", id=bob) == (
        409,
        "There is a user 777000111 already.",
    )
    assert await control.refused("POST", "customers") == (400, "first_name is required.")
    assert [user["first_name"] for user in await control.get("customers")] == ["Ada", "Bob"]


async def test_start_may_be_sent_with_the_first_text(bot: Bot, control: Control) -> None:
    ada = await control.customer(start=False)
    for text in ("one", "two"):
        await control.post(f"customers/{ada}/send", text=text, start=True)
    assert [u["message"]["text"] for u in await bot.updates()] == ["/start", "one", "two"]


async def test_acts_on_nothing_are_refused_with_a_sentence(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    me = f"customers/{ada}"
    for path, body, status in (
        ("customers/4/send", {"text": "x"}, 404),
        (f"{me}/send", {"text": " "}, 400),
        (f"{me}/send", {"text": "x", "reply_to": 9}, 404),
        (f"{me}/press", {"message_id": 1, "text": "No"}, 404),
        (f"{me}/press", {"message_id": 9, "text": "No"}, 404),
        (f"{me}/react", {"message_id": 1, "emoji": "🚂"}, 400),
        (f"{me}/other", {"kind": "gift"}, 400),
        (f"{me}/photo", {"data_base64": "eA=="}, 400),
        (f"{me}/nothing", {}, 404),
        (f"operators/{ada}/send", {"text": "x"}, 403),
        (f"operators/{OLGA}/send", {"text": "x", "thread": 99}, 404),
        (f"operators/{OLGA}/topics", {"name": ""}, 400),
    ):
        found, sentence = await control.refused("POST", path, **body)
        assert found == status, (path, sentence)
        assert sentence.endswith(".")
    sent = await bot.call("sendMessage", chat_id=ada, text="x")
    edit = {"message_id": sent["message_id"], "text": "mine now"}
    assert (await control.refused("POST", f"{me}/edit", **edit))[0] == 403


async def test_a_blocking_customer_cannot_write_nor_edit(control: Control) -> None:
    ada = await control.customer()
    wrote = await control.post(f"customers/{ada}/send", text="x")
    edit = {"message_id": wrote["message_id"], "text": "y"}
    await control.post(f"customers/{ada}/block")
    assert (await control.refused("POST", f"customers/{ada}/send", text="x"))[0] == 409
    assert (await control.refused("POST", f"customers/{ada}/edit", **edit))[0] == 409
    await control.post(f"customers/{ada}/start")
    await control.post(f"customers/{ada}/send", text="x")


async def test_a_press_finds_its_button_by_text_or_data(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    row = [{"text": "Yes", "callback_data": "y"}, {"text": "Site", "url": "https://a.example/"}]
    markup = {"inline_keyboard": [row]}
    sent = await bot.call("sendMessage", chat_id=ada, text="?", reply_markup=markup)
    press = {"message_id": sent["message_id"], "timeout": 0}
    await control.post(f"customers/{ada}/press", **press, text="Yes")
    await control.post(f"customers/{ada}/press", **press, data="y")
    assert [u["callback_query"]["data"] for u in (await bot.updates())[1:]] == ["y", "y"]
    link = await control.post(f"customers/{ada}/press", **press, text="Site")
    assert link["button"]["url"] == "https://a.example/"


async def test_an_operator_presses_a_button_in_the_group(bot: Bot, control: Control) -> None:
    markup = {"inline_keyboard": [[{"text": "Take", "callback_data": "t"}]]}
    sent = await bot.call("sendMessage", chat_id=GROUP, text="card", reply_markup=markup)
    press = {"message_id": sent["message_id"], "text": "Take", "timeout": 0}
    await control.post(f"operators/{OMAR}/press", **press)
    query = (await bot.updates())[0]["callback_query"]
    assert query["from"]["id"] == OMAR
    assert query["message"]["chat"]["id"] == GROUP


async def test_operators_come_and_go_and_write_privately_as_well(
    bot: Bot, control: Control
) -> None:
    new = await control.post("operators", first_name="Ines", status="administrator")
    ines = new["user"]["id"]
    await control.post(f"operators/{ines}/send", text="hello all")
    await control.post(f"customers/{ines}/start", payload="login")
    texts = [update["message"]["text"] for update in await bot.updates()]
    assert texts == ["hello all", "/start login"]
    await control.post(f"operators/{ines}/leave")
    assert (await control.refused("POST", f"operators/{ines}/send", text="x"))[0] == 403
    member = await bot.call("getChatMember", chat_id=GROUP, user_id=ines)
    assert member["status"] == "left"


async def test_messages_can_be_listed_and_narrowed(bot: Bot, control: Control) -> None:
    topic = await bot.call("createForumTopic", chat_id=GROUP, name="Ada")
    thread = topic["message_thread_id"]
    card = await bot.call("sendMessage", chat_id=GROUP, text="card", message_thread_id=thread)
    await bot.call("sendMessage", chat_id=GROUP, text="digest")
    await control.post(f"operators/{OLGA}/send", text="mine", thread=thread)

    async def texts(query: str) -> list[str | None]:
        return [m.get("text") for m in await control.get(f"chats/{GROUP}/messages?{query}")]

    assert await texts(f"thread={thread}") == [None, "card", "mine"]
    assert await texts("thread=1") == ["digest"]
    assert await texts("from=people") == ["mine"]
    assert await texts(f"after={card['message_id']}&from=bot") == ["digest"]
    assert await texts("contains=ar") == ["card"]
    assert await texts("limit=1") == ["mine"]


async def test_waiting_ends_with_the_message_or_with_the_timeout(
    bot: Bot, control: Control
) -> None:
    ada = await control.customer()
    wait = asyncio.create_task(control.get(f"chats/{ada}/wait?after=1&from=bot&timeout=10"))
    await asyncio.sleep(0.05)
    await control.post(f"customers/{ada}/send", text="not this")
    await bot.call("sendMessage", chat_id=ada, text="this")
    assert [message["text"] for message in await wait] == ["this"]
    started = time.monotonic()
    assert await control.get(f"chats/{ada}/wait?after=99&timeout=0.2") == []
    assert time.monotonic() - started < 2


async def test_the_log_keeps_order_outcome_and_parameters(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    await bot.call("sendMessage", chat_id=ada, text="x")
    await bot.refused("sendMessage", chat_id=5, text="x")
    await bot.updates()
    entries = await control.get("log")
    assert [entry["seq"] for entry in entries] == [1, 2]
    assert [entry["ok"] for entry in entries] == [True, False]
    assert entries[0]["params"] == {"chat_id": ada, "text": "x"}
    assert entries[0]["result"]["message_id"] == 2
    assert entries[1]["error"]["description"] == "Bad Request: chat not found"
    wait = asyncio.create_task(control.get("log/wait?after=2&method=getme&timeout=10"))
    await asyncio.sleep(0.05)
    await bot.call("getMe")
    assert [entry["method"] for entry in await wait] == ["getMe"]
    assert await control.get(f"log?chat_id={ada}&ok=false") == []


async def test_events_tell_what_happens(
    simulator: Simulator, session: aiohttp.ClientSession, bot: Bot, control: Control
) -> None:
    async with session.get(f"{simulator.url}/sim/events") as stream:
        assert await stream.content.readline() == b"event: hello\n"
        ada = await control.customer()
        await bot.call("sendChatAction", chat_id=ada, action="typing")
        seen: dict[str, object] = {}
        async with asyncio.timeout(5):
            while "chat_action" not in seen:
                line = (await stream.content.readline()).decode().strip()
                if line.startswith("event: "):
                    kind = line[7:]
                    seen[kind] = json.loads((await stream.content.readline())[6:])
    assert {"customer", "message", "chat_action"} <= set(seen)
    message = seen["message"]
    assert isinstance(message, dict)
    assert message["text"] == "/start"


async def test_the_state_is_a_snapshot_without_tokens(bot: Bot, control: Control) -> None:
    ada = await control.customer()
    await bot.call("sendMessage", chat_id=ada, text="hello")
    state = await control.get("state")
    chat = next(chat for chat in state["chats"] if chat["id"] == ada)
    assert [message["text"] for message in chat["messages"]] == ["/start", "hello"]
    assert {member["user"]["first_name"] for member in state["operators"]} == {"Olga", "Omar"}
    assert bot.token not in json.dumps(state)


async def test_starting_over_forgets_everything_but_the_bot_that_is_there(
    bot: Bot, control: Control
) -> None:
    bot.token = "777:" + "A" * 35
    await bot.call("setMyCommands", commands=[{"command": "x", "description": "x"}])
    ada = await control.customer()
    await control.post("faults", kind="error", method="sendPhoto", times=9)
    await control.patch("settings", limits=True)
    poll = asyncio.create_task(
        bot.updates(timeout=10, offset=(await bot.updates())[0]["update_id"] + 1)
    )
    await asyncio.sleep(0.05)
    await control.post("reset")
    state = await control.get("state")
    assert state["customers"] == []
    assert state["faults"] == []
    assert state["settings"]["limits"] is False
    assert [one["id"] for one in state["bots"]] == [777]
    assert await control.get("log") == []
    assert await bot.call("getMyCommands") == []
    assert await bot.refused("sendMessage", chat_id=ada, text="x") == "Bad Request: chat not found"
    assert await control.customer() == ada
    for _ in range(7):
        await bot.call("sendMessage", chat_id=ada, text="no limits any more")
    assert len(await poll) == 1, "a poll that was open goes on"


async def test_uploads_are_never_served_as_pages(
    simulator: Simulator, session: aiohttp.ClientSession, control: Control
) -> None:
    ada = await control.customer()
    sent = await control.post(f"customers/{ada}/document", name="x.html")
    target = f"{simulator.url}/sim/files/{sent['document']['file_id']}"
    async with session.get(target) as response:
        assert response.content_type == "application/octet-stream"
        assert response.headers["Content-Disposition"] == "attachment"


async def test_a_persons_edit_that_changes_nothing_is_none(bot: Bot, control: Control) -> None:
    ada = await control.customer("Ada")
    said = await control.post(f"customers/{ada}/send", text="see https://a.example/ /help")
    target = {"message_id": said["message_id"]}
    same = await control.post(f"customers/{ada}/edit", **target, text=said["text"])
    assert "edit_date" not in same
    await control.post(f"customers/{ada}/edit", **target, text="never mind")
    edits = [one["edited_message"] for one in await bot.updates() if "edited_message" in one]
    assert [one["text"] for one in edits] == ["never mind"]
