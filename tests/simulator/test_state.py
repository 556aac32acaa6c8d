"""`--state FILE`: what was there is there again, after a stop and after a kill."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulator import state
from simulator.app import Simulator
from simulator.callbacks import Press
from simulator.files import sample_picture
from simulator.model import Chat, Message, StoredFile, User
from simulator.state import StateError
from simulator.updates import Pending, UpdateQueue
from simulator.world import DEFAULT_TOKEN, OPERATORS_CHAT, Bot, Settings, World

from .conftest import GROUP, OLGA, Control, Json
from .conftest import Bot as Client

ROOT = Path(__file__).parents[2]
BUTTONS = {"inline_keyboard": [[{"text": "Yes", "callback_data": "yes"}]]}


class Run:
    """A simulator of its own process, and the clients for it."""

    def __init__(self, process: Process, url: str, session: aiohttp.ClientSession) -> None:
        self.process = process
        self.bot = Client(session, url)
        self.control = Control(session, url)

    async def end(self, number: signal.Signals) -> int:
        """Signal it and wait; returns the exit code."""
        self.process.send_signal(number)
        return await self.process.wait()


Start = Callable[..., Awaitable[Run]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new" / "folder" / "state.json"


async def spawn(*arguments: str) -> Process:
    command = (sys.executable, "-m", "simulator", "--port", "0", *arguments)
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE, stderr=PIPE)


@pytest.fixture
async def start(file: Path) -> AsyncIterator[Start]:
    processes: list[Process] = []
    # One session a process: a connection to one that was killed must not be used again.
    sessions: list[aiohttp.ClientSession] = []

    async def run(*arguments: str) -> Run:
        process = await spawn("--state", str(file), *arguments)
        processes.append(process)
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        assert line.startswith("simulator listening on"), line
        session = aiohttp.ClientSession()
        sessions.append(session)
        return Run(process, line.split()[-1], session)

    yield run
    for session in sessions:
        await session.close()
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def refusal(*arguments: str) -> str:
    """What a simulator says that does not begin."""
    process = await spawn(*arguments)
    out, err = await process.communicate()
    assert process.returncode == 2, err
    assert out == b""
    text = err.decode()
    assert text.count("\n") == 1, text
    assert "Traceback" not in text
    return text


async def until(look: Callable[[], bool], seconds: float = 10.0) -> float:
    """Wait for it; returns how long it took."""
    began = time.monotonic()
    while not look():
        assert time.monotonic() - began < seconds
        await asyncio.sleep(0.02)
    return time.monotonic() - began


def put(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, encoding="latin-1")


def text(file: Path) -> str:
    return file.read_text(encoding="latin-1")


def saved(file: Path) -> Json:
    found: Json = json.loads(text(file))
    return found


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def beside(file: Path) -> list[str]:
    return sorted(item.name for item in file.parent.iterdir())


async def live_a_little(bot: Client, control: Control) -> Json:
    """A world with one of everything; returns the ids a test needs."""
    await bot.updates(timeout=0, allowed_updates=["message", "callback_query", "message_reaction"])
    ada = await control.customer("Ada", username="ada", language_code="de")
    eve = await control.customer("Eve")
    await control.post("operators", first_name="Ole", id=9010, status="administrator")
    thread = (await bot.call("createForumTopic", chat_id=GROUP, name="Ada"))["message_thread_id"]
    shut = (await bot.call("createForumTopic", chat_id=GROUP, name="Eve"))["message_thread_id"]
    await bot.call("closeForumTopic", chat_id=GROUP, message_thread_id=shut)
    card = await bot.call(
        "sendMessage",
        chat_id=GROUP,
        message_thread_id=thread,
        text="<b>Ada</b> needs you",
        parse_mode="HTML",
        reply_markup=BUTTONS,
    )
    await bot.call("pinChatMessage", chat_id=GROUP, message_id=card["message_id"])
    data = base64.b64encode(sample_picture(40, 30)).decode()
    photo = await control.post(f"customers/{ada}/photo", caption="look", data_base64=data)
    await control.post(f"customers/{ada}/react", message_id=photo["message_id"], emoji="👍")
    await control.post(f"customers/{ada}/edit", message_id=photo["message_id"], text="look here")
    gone = await bot.call("sendMessage", chat_id=ada, text="gone")
    await bot.call("deleteMessage", chat_id=ada, message_id=gone["message_id"])
    await bot.call("setMyCommands", commands=[{"command": "help", "description": "Help"}])
    await bot.call("setMyName", name="Desk")
    await control.post(f"customers/{eve}/block")
    await control.patch("settings", callback_timeout=7)
    await control.patch(f"chats/{GROUP}", title="Desk", permissions={"can_pin_messages": False})
    await control.post("faults", kind="error", method="getChat", times=3)
    return {"ada": ada, "eve": eve, "thread": thread, "shut": shut, "card": card, "photo": photo}


async def everything(bot: Client, control: Control) -> Json:
    """All that can be seen from outside."""
    found: Json = {name: await control.get(name) for name in ("state", "log", "bots", "settings")}
    for chat in found["state"]["chats"]:
        path = f"chats/{chat['id']}/messages?deleted=1"
        found[path] = await control.get(path)
    log = found["log"]
    found["commands"] = await bot.call("getMyCommands")
    found["name"] = await bot.call("getMyName")
    found["webhook"] = await bot.call("getWebhookInfo")
    # Looking itself is logged: the entries before it are what is compared.
    found["log"] = log
    for name in ("event_id", "log_seq"):
        found["state"].pop(name)
    return found


async def test_everything_comes_back_after_a_stop(start: Start, file: Path) -> None:
    first = await start()
    assert await first.control.get("health") == {"ok": True, "restored": False}
    made = await live_a_little(first.bot, first.control)
    before = await everything(first.bot, first.control)
    assert await first.end(signal.SIGTERM) == 0
    assert mode(file) == 0o600
    assert beside(file) == [file.name], "nothing lies about"

    second = await start()
    assert await second.control.get("health") == {"ok": True, "restored": True}
    after = await everything(second.bot, second.control)
    assert after["log"][: len(before["log"])] == before["log"]
    assert len(before["log"]) > 8
    assert after | {"log": 0} == before | {"log": 0}
    photo = made["photo"]["photo"][0]
    path = (await second.bot.call("getFile", file_id=photo["file_id"]))["file_path"]
    url = f"{second.bot.url}/file/bot{DEFAULT_TOKEN}/{path}"
    async with second.bot.session.get(url) as response:
        assert await response.read() == sample_picture(40, 30)
    # What is new is numbered after what was there.
    assert await second.control.customer("Ben") == made["eve"] + 1
    sent = await second.bot.call("sendMessage", chat_id=made["ada"], text="next")
    last = before[f"chats/{made['ada']}/messages?deleted=1"][-1]
    assert sent["message_id"] == last["message_id"] + 1
    more = await second.control.post(f"customers/{made['ada']}/document", name="a.txt")
    assert more["document"]["file_id"] != photo["file_id"]
    assert "_00002" in more["document"]["file_id"]
    assert await second.end(signal.SIGINT) == 0
    assert second.process.stderr is not None
    assert await second.process.stderr.read() == b""


async def test_pending_updates_are_delivered_after_the_restart(start: Start) -> None:
    first = await start()
    ada = await first.control.customer()
    await first.control.post(f"customers/{ada}/send", text="one")
    confirmed, waiting = await first.bot.updates()
    await first.bot.updates(offset=waiting["update_id"], timeout=0)
    await first.control.post(f"customers/{ada}/send", text="two")
    await first.end(signal.SIGTERM)

    second = await start()
    await second.control.post(f"customers/{ada}/send", text="three")
    found = await second.bot.updates()
    assert [update["message"]["text"] for update in found] == ["one", "two", "three"]
    ids = [update["update_id"] for update in found]
    assert ids == list(range(confirmed["update_id"] + 1, confirmed["update_id"] + 4))


async def test_a_kill_loses_no_more_than_the_last_second(start: Start, file: Path) -> None:
    first = await start()
    ada = await first.control.customer()
    for number in range(30):
        await first.control.post(f"customers/{ada}/send", text=f"old {number}")
    await asyncio.sleep(1.5)
    assert mode(file) == 0o600
    lost = await first.control.post(f"customers/{ada}/send", text="too late")
    pending = (await first.control.get("bots"))[0]["pending_update_count"]
    await first.end(signal.SIGKILL)

    second = await start()
    found = await second.control.get(f"chats/{ada}/messages")
    assert [m["text"] for m in found][:31] == ["/start", *(f"old {n}" for n in range(30))]
    updates = await second.bot.updates()
    assert pending - 1 <= len(updates) <= pending
    # Numbers that the lost second may have given are not given again.
    new = await second.control.post(f"customers/{ada}/send", text="again")
    assert new["message_id"] > lost["message_id"]
    assert new["seq"] > lost["seq"]
    last = (await second.bot.updates(offset=-1))[0]["update_id"]
    assert last > updates[0]["update_id"] + pending


async def test_a_kill_right_after_a_restart_gives_no_number_twice(start: Start) -> None:
    first = await start()
    ada = await first.control.customer()
    await first.end(signal.SIGTERM)
    second = await start()
    lost = await second.control.post(f"customers/{ada}/send", text="lost")
    await second.end(signal.SIGKILL)
    third = await start()
    new = await third.control.post(f"customers/{ada}/send", text="new")
    assert new["message_id"] > lost["message_id"]


async def test_topics_and_buttons_still_work_after_the_restart(start: Start) -> None:
    first = await start()
    made = await live_a_little(first.bot, first.control)
    await first.end(signal.SIGTERM)

    second = await start()
    bot, control, thread = second.bot, second.control, made["thread"]
    await bot.updates(offset=-1)
    sent = await bot.call("sendMessage", chat_id=GROUP, message_thread_id=thread, text="on")
    assert sent["reply_to_message"]["forum_topic_created"]["name"] == "Ada"
    card = made["card"]["message_id"]
    press = asyncio.create_task(
        control.post(f"operators/{OLGA}/press", message_id=card, data="yes", thread=thread)
    )
    query: Json = {}
    while "callback_query" not in query:
        query = (await bot.updates(offset=-1, timeout=5))[-1]
    await bot.call("answerCallbackQuery", callback_query_id=query["callback_query"]["id"])
    assert (await press)["answered"] is True
    edited = await bot.call("editMessageText", chat_id=GROUP, message_id=card, text="done")
    assert edited["text"] == "done"
    await bot.call("closeForumTopic", chat_id=GROUP, message_thread_id=thread)
    await bot.call("reopenForumTopic", chat_id=GROUP, message_thread_id=made["shut"])
    new = await bot.call("createForumTopic", chat_id=GROUP, name="New")
    assert new["message_thread_id"] > max(thread, made["shut"])


async def test_a_press_that_waits_can_be_answered_after_the_restart(start: Start) -> None:
    first = await start()
    ada = await first.control.customer()
    asked = await first.bot.call("sendMessage", chat_id=ada, text="?", reply_markup=BUTTONS)
    await first.control.post(
        f"customers/{ada}/press", message_id=asked["message_id"], data="yes", timeout=0
    )
    await first.end(signal.SIGTERM)
    second = await start()
    query = (await second.bot.updates())[-1]["callback_query"]
    assert await second.bot.call("answerCallbackQuery", callback_query_id=query["id"])


async def test_a_webhook_goes_on_after_the_restart(start: Start) -> None:
    first = await start()
    url = "http://127.0.0.1:9/hook"
    await first.bot.call("setWebhook", url=url, secret_token="s3cret", max_connections=3)
    await first.end(signal.SIGTERM)
    second = await start()
    found = await second.bot.call("getWebhookInfo")
    assert (found["url"], found["max_connections"]) == (url, 3)


async def test_a_reset_empties_the_saved_state_at_once(start: Start, file: Path) -> None:
    first = await start()
    ada = await first.control.customer("Adalbert")
    await first.control.post(f"customers/{ada}/photo")
    await until(lambda: file.exists() and "Adalbert" in text(file))
    await first.control.post("reset")
    assert "Adalbert" not in text(file)
    assert saved(file)["files"] == []
    await first.end(signal.SIGKILL)
    second = await start()
    assert await second.control.get("customers") == []


async def test_a_new_world_in_which_nothing_happened_leaves_no_file(
    start: Start, file: Path
) -> None:
    run = await start()
    assert await run.end(signal.SIGTERM) == 0
    assert beside(file) == []
    assert (await (await start()).control.get("health"))["restored"] is False


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is damaged"),
        ('{"version": 1, "wor', "is damaged"),
        ("[]", "is damaged"),
        ('{"version": 1}', "is damaged"),
        ("[" * 100_000, "is damaged"),
        ("\x00\xff", "is damaged"),
        ('{"version": 2}', "was saved by another version of the simulator"),
    ],
)
async def test_a_file_that_cannot_be_used_is_told_and_left_alone(
    file: Path, content: str, reason: str
) -> None:
    put(file, content)
    told = await refusal("--state", str(file))
    assert f"{file} {reason}" in told
    assert told.endswith(": delete or move it, and start again.\n")
    assert text(file) == content


async def test_an_unreadable_file_is_told(file: Path) -> None:
    put(file / "within", "")
    told = await refusal("--state", str(file))
    assert told == (
        f"{file} cannot be read (Is a directory): delete or move it, and start again.\n"
    )


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    told = await refusal("--state", str(tmp_path / "taken" / "state.json"))
    assert "taken cannot be made (" in told
    assert told.endswith("choose another place with --state.\n")


async def test_a_folder_that_cannot_be_written_to_is_told() -> None:
    # Not even root may make a file there.
    told = await refusal("--state", "/proc/state.json")
    assert told.startswith("The folder /proc cannot be written to (")
    assert told.endswith("make it writable, or choose another place with --state.\n")


async def test_another_group_or_token_than_the_saved_one_is_told(start: Start, file: Path) -> None:
    run = await start()
    await run.control.customer()
    await run.end(signal.SIGTERM)
    told = await refusal("--state", str(file), "--operators-chat", "-5")
    assert f"start with --operators-chat {OPERATORS_CHAT}," in told
    told = await refusal("--state", str(file), "--token", "5:" + "B" * 35)
    assert "another token" in told


# In this process: what is quicker to see from inside -------------------------------------------


def damages(good: Json) -> dict[str, Callable[[], None]]:
    """Ways to damage a file that stay JSON of this version."""
    return {
        "a field is missing": lambda: good["users"][0].pop("first_name"),
        "a field is unknown": lambda: good["users"][0].update(shoe_size=44),
        "a field has another type": lambda: good["chats"][0].update(id="x"),
        "a truth is a number": lambda: good["chats"][0].update(is_forum=1),
        "a message's sender is missing": lambda: good["messages"][0].update(sender=77),
        "a message's chat is missing": lambda: good["messages"][0].update(chat="1:77"),
        "a pair is no pair": lambda: good["chats"][0].update(members=[[9001]]),
        "no bot is left": good["bots"].clear,
        "the group is missing": good["chats"].clear,
        "a table is missing": lambda: good.pop("faults"),
        "a file is no base64": lambda: good["files"][0].update(data="!"),
        "a call is no call": lambda: good["log"].append({"seq": 1}),
        "a row is no object": lambda: good["bots"].append(5),
    }


@pytest.mark.parametrize("damage", list(damages({"bots": [], "chats": []})))
async def test_every_damage_is_noticed(file: Path, damage: str) -> None:
    async with aiohttp.ClientSession() as session:
        async with Simulator(state=file) as running:
            await live_a_little(Client(session, running.url), Control(session, running.url))
        good = saved(file)
        damages(good)[damage]()
        put(file, json.dumps(good))
        with pytest.raises(StateError, match="is damaged"):
            await Simulator(state=file).start()


async def test_the_oldest_is_dropped_so_that_the_file_stays_small(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "KEPT_MESSAGES", 10)
    monkeypatch.setattr(state, "KEPT_CALLS", 5)
    monkeypatch.setattr(state, "KEPT_UPDATES", 7)
    monkeypatch.setattr(state, "KEPT_BYTES", 2500)
    async with aiohttp.ClientSession() as session:
        async with Simulator(state=file) as running:
            bot, control = Client(session, running.url), Control(session, running.url)
            topic = await bot.call("createForumTopic", chat_id=GROUP, name="Ada")
            thread = topic["message_thread_id"]
            ada = await control.customer()
            for number in range(20):
                await bot.call(
                    "sendMessage", chat_id=GROUP, message_thread_id=thread, text=f"{number}"
                )
            sent = []
            for letter in "abc":
                data = base64.b64encode(letter.encode() * 1000).decode()
                path = f"customers/{ada}/document"
                sent.append(await control.post(path, name=letter, data_base64=data))
            for number in range(20):
                await control.post(f"customers/{ada}/send", text=f"m{number}")
            await control.post(f"customers/{ada}/document", name="z", data_base64="eg==")
        found = saved(file)
        assert len(found["log"]) == 5
        assert len(found["bots"][0]["updates"]["pending"]) == 7
        assert [item["name"] for item in found["files"]] == ["b", "c", "z"]
        async with Simulator(state=file) as running:
            bot, control = Client(session, running.url), Control(session, running.url)
            kept = await control.get(f"chats/{GROUP}/messages")
            assert [m["message_id"] for m in kept] == [thread, *range(thread + 11, thread + 21)]
            message = await bot.call(
                "sendMessage", chat_id=GROUP, message_thread_id=thread, text="on"
            )
            assert "forum_topic_created" in message["reply_to_message"]
            dropped = sent[0]["document"]["file_id"]
            assert await bot.refused("getFile", file_id=dropped) == "Bad Request: invalid file_id"
            await bot.call("getFile", file_id=sent[1]["document"]["file_id"])


async def test_a_message_outlives_the_content_of_its_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "KEPT_BYTES", 10)
    async with aiohttp.ClientSession() as session:
        async with Simulator(state=file) as running:
            control = Control(session, running.url)
            ada = await control.customer()
            await control.post(f"customers/{ada}/photo", caption="look")
        for _ in range(2):
            async with Simulator(state=file) as running:
                control = Control(session, running.url)
                found = (await control.get(f"chats/{ada}/messages"))[-1]
                assert found["caption"] == "look"
                assert await control.refused("GET", f"files/{found['photo'][0]['file_id']}")


async def test_a_quiet_simulator_does_not_write_and_a_busy_one_once_a_second(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[float] = []
    real = state.Keeper._write

    def counted(keeper: state.Keeper, chunks: list[bytes]) -> None:
        writes.append(time.monotonic())
        real(keeper, chunks)

    monkeypatch.setattr(state.Keeper, "_write", counted)
    async with aiohttp.ClientSession() as session, Simulator(state=file) as running:
        bot, control = Client(session, running.url), Control(session, running.url)
        ada = await control.customer()
        await bot.updates(offset=0, timeout=0)
        await until(file.exists)
        await asyncio.sleep(1.2)
        writes.clear()
        for _ in range(20):
            await bot.updates(offset=0, timeout=0)
            await asyncio.sleep(0.1)
        assert writes == [], "a poll that changes nothing is no reason to write"
        began = time.monotonic()
        while time.monotonic() - began < 2.5:
            await control.post(f"customers/{ada}/send", text="x")
            await asyncio.sleep(0.01)
        assert 1 <= len(writes) <= 3


async def test_a_save_that_fails_is_told_once_and_tried_again(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(state, "DELAY", 0.05)
    real, tries = state.Keeper._write, []

    def full(keeper: state.Keeper, chunks: list[bytes]) -> None:
        tries.append(chunks)
        if len(tries) in (2, 3, 4):
            raise OSError(28, "No space left on device")
        real(keeper, chunks)

    monkeypatch.setattr(state.Keeper, "_write", full)
    async with aiohttp.ClientSession() as session, Simulator(state=file) as running:
        await Control(session, running.url).customer("Ada")
        await until(file.exists)
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"{file} cannot be saved (No space left on device); trying on."]


async def test_settings_of_the_command_line_count_unless_they_were_switched(file: Path) -> None:
    async with aiohttp.ClientSession() as session:
        async with Simulator(settings=Settings(limits=True), state=file) as running:
            await Control(session, running.url).patch("settings", callback_timeout=3)
        async with Simulator(settings=Settings(webhook_backoff=4.0), state=file) as running:
            found = await Control(session, running.url).get("settings")
            assert (found["limits"], running.world.limits.enabled) == (False, False)
            assert (found["callback_timeout"], found["webhook_backoff"]) == (3.0, 4.0)
            await Control(session, running.url).patch("settings", limits=True)
        async with Simulator(state=file) as running:
            assert running.world.limits.enabled is True


async def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(file)
    async with aiohttp.ClientSession() as session, Simulator(state=link) as running:
        await Control(session, running.url).customer()
    assert beside(link) == ["link.json", "new"]
    assert saved(link) == saved(file)
    assert link.is_symlink()


def test_no_field_is_forgotten() -> None:
    """A field that somebody adds is kept by itself; what is left out is listed here."""
    left_out = {
        Chat: {"messages"},
        UpdateQueue: {"bus", "settings", "clock", "_poller"},
        Pending: {"born"},
        Press: {"done"},
    }
    codec: Any = state._CODEC
    for cls in (User, Chat, Message, StoredFile, Bot, UpdateQueue, Pending, Press):
        names = {item.name for item in fields(cls)}
        assert set(codec._kinds(cls)) == names - left_out.get(cls, set()), cls
    # What a world has: add to state.py whatever is added here.
    assert set(vars(World())) == {
        "settings", "clock", "bus", "log", "faults", "limits", "start_settings", "files",
        "callbacks", "users", "customers", "groups", "privates", "bots", "seq",
    }  # fmt: skip
