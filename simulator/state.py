"""The world in a file: saved while the simulator runs and when it stops, loaded at its start."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.callbacks import Press
from simulator.codec import Codec, Context, DamagedError
from simulator.faults import Fault
from simulator.model import Chat, Json, Message, StoredFile, User
from simulator.updates import Pending, UpdateQueue
from simulator.world import Bot, World

logger = logging.getLogger(__name__)
VERSION = 1
KEPT_CALLS = 2_000
KEPT_MESSAGES = 1_000
KEPT_UPDATES = 10_000
KEPT_BYTES = 20 * 1024 * 1024
# A change is saved this long after it happened, together with all that followed.
DELAY = 0.8
# After a kill, numbers go on from here above those saved: the ones between may have been given.
SKIPPED = 1_000
_CODEC = Codec(
    left_out={
        Chat: frozenset({"messages"}),
        UpdateQueue: frozenset({"bus", "settings", "clock", "_poller"}),
        Pending: frozenset({"born"}),
        Press: frozenset({"done"}),
    },
    keys={
        User: lambda user: user.id,
        StoredFile: lambda stored: stored.file_id,
        Chat: lambda chat: chat.key,
        Message: lambda message: [message.chat.key, message.message_id],
    },
)


class StateError(Exception):
    """The file cannot be used; the text is one sentence that says what to do."""


@dataclass
class Changed:
    """The settings that were switched while the simulator ran."""

    limits: bool | None = None
    callback_timeout: float | None = None
    callback_lifetime: float | None = None
    webhook_backoff: float | None = None


@dataclass
class Head:
    """The counters and whatever else there is once."""

    operators_chat: int
    seq: int
    last_event: int
    last_call: int
    last_fault: int
    last_file: int
    customers: list[int] = field(default_factory=list)
    settings: Changed = field(default_factory=Changed)


@dataclass
class Snapshot:
    """The world at one moment; messages and files are turned into JSON later, in a thread."""

    number: int
    changes: int
    head: Json
    small: dict[str, list[Json]]
    messages: list[Json]
    files: list[StoredFile]
    dropped: list[StoredFile]


class Keeper:
    """Keeps one world in one file."""

    def __init__(self, path: Path, world: World) -> None:
        self.path = path.resolve()
        self.restored = False
        self._world = world
        self._temporary = self.path.with_name(f"{self.path.name}.tmp")
        self._lock = threading.Lock()
        self._taken = self._stored = 0
        self._saved_changes = 0
        self._written: list[bytes] = []
        self._files: dict[tuple[str, str], bytes] = {}
        self._failing = False

    def load(self) -> None:
        """Restore the world if there is a file, and see that one can be written."""
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(
                f"The folder {folder} cannot be made ({error.strerror}): "
                "choose another place with --state."
            ) from None
        self.restored = self._read()
        try:
            if self.restored:
                # The file no longer counts as that of a clean stop.
                self._store(self._take(), clean=False)
            else:
                self._write([])
                self._temporary.unlink()
        except OSError as error:
            raise StateError(
                f"The folder {folder} cannot be written to ({error.strerror}): "
                "make it writable, or choose another place with --state."
            ) from None

    def _read(self) -> bool:
        advice = "delete or move it, and start again."
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StateError(f"{self.path} cannot be read ({error.strerror}): {advice}") from None
        try:
            document = json.loads(raw)
            if not isinstance(document, dict) or type(document.get("version")) is not int:
                raise DamagedError("it is no state of a simulator")
            if document["version"] != VERSION:
                raise StateError(
                    f"{self.path} was saved by another version of the simulator: {advice}"
                )
            restore(self._world, document)
        except (ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, DamagedError) else "it is no JSON"
            raise StateError(f"{self.path} is damaged ({reason}): {advice}") from None
        return True

    async def run(self) -> None:
        """Save after changes until cancelled, or until the world closes."""
        bus = self._world.bus
        while not bus.closing:
            if await bus.until(lambda: bus.changes != self._saved_changes, 60.0):
                await asyncio.sleep(DELAY)
                await self.save()

    async def save(self) -> None:
        """Save now, off the event loop; a failure is told once and tried again."""
        snapshot = self._take()
        try:
            await asyncio.to_thread(self._store, snapshot, clean=False)
        except OSError as error:
            if not self._failing:
                logger.warning("%s cannot be saved (%s); trying on.", self.path, error.strerror)
            self._failing = True
        else:
            self._failing = False

    def close(self) -> None:
        """Save for the last time; a new world in which nothing happened leaves no file."""
        if not self.restored and not self._world.bus.changes:
            return
        try:
            self._store(self._take(), clean=True)
        except OSError as error:
            raise StateError(f"{self.path} could not be saved ({error.strerror}).") from None

    def _take(self) -> Snapshot:
        self._taken += 1
        return take(self._world, self._taken)

    def _store(self, snapshot: Snapshot, *, clean: bool) -> None:
        with self._lock:
            if snapshot.number < self._stored:
                return
            chunks = self._encode(snapshot, clean)
            if chunks != self._written:
                self._write(chunks)
                self._temporary.replace(self.path)
                self._sync_folder()
                self._written = chunks
            self._stored, self._saved_changes = snapshot.number, snapshot.changes

    def _encode(self, snapshot: Snapshot, clean: bool) -> list[bytes]:
        # Contents do not change: each is encoded once.
        self._files = {
            (stored.file_id, stored.mime): self._files.get((stored.file_id, stored.mime))
            or _dump(_CODEC.pack(StoredFile, vars(stored)))
            for stored in snapshot.files
        }
        tables = {name: [_dump(row) for row in rows] for name, rows in snapshot.small.items()}
        tables["messages"] = [_dump(_CODEC.pack(Message, row)) for row in snapshot.messages]
        tables["files"] = list(self._files.values())
        empty: Json = {"data": b""}
        tables["dropped_files"] = [
            _dump(_CODEC.pack(StoredFile, vars(stored) | empty)) for stored in snapshot.dropped
        ]
        chunks = [_dump({"version": VERSION, "clean": clean, "world": snapshot.head})[:-1]]
        for name, rows in tables.items():
            chunks.append(f',\n"{name}": ['.encode())
            for number, row in enumerate(rows):
                chunks += (b",\n" if number else b"\n", row)
            chunks.append(b"]")
        return [*chunks, b"}\n"]

    def _write(self, chunks: list[bytes]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(self._temporary, flags, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _dump(row: Json) -> bytes:
    return json.dumps(row, separators=(",", ":")).encode()


def take(world: World, number: int) -> Snapshot:
    """What is to be saved of the world: quick, because nothing else happens meanwhile."""
    kept = [message for chat in world.chats() for message in _kept_messages(chat)]
    files = _kept_files(world)
    ids = {stored.file_id for stored in files}
    media = {message.media.file_id: message.media for message in kept if message.media}
    pairs = {(message.chat.key, message.message_id) for message in kept}
    bots = [_CODEC.pack(Bot, vars(bot)) for bot in world.bots]
    for bot in bots:
        queue = bot["updates"]
        queue["pending"] = queue.get("pending", [])[-KEPT_UPDATES:]
    small = {
        "users": [_CODEC.pack(User, vars(user)) for user in world.users.values()],
        "chats": [_CODEC.pack(Chat, vars(chat)) for chat in world.chats()],
        "bots": bots,
        "faults": [_CODEC.pack(Fault, vars(fault)) for fault in world.faults.active],
        "log": world.log.entries[-KEPT_CALLS:],
        "presses": [
            _CODEC.pack(Press, _shifted(vars(press), world.clock() - time.monotonic()))
            for press in world.callbacks.presses.values()
            if world.callbacks.find(press.bot_key, press.id)
            and (press.message.chat.key, press.message.message_id) in pairs
        ],
    }
    return Snapshot(
        number=number,
        changes=world.bus.changes,
        head=_CODEC.pack(Head, vars(_head(world))),
        small=small,
        messages=[vars(message).copy() for message in kept],
        files=files,
        dropped=[stored for file_id, stored in media.items() if file_id not in ids],
    )


def _head(world: World) -> Head:
    now, start = world.settings.json(), world.start_settings
    return Head(
        operators_chat=world.settings.operators_chat,
        seq=world.seq,
        last_event=world.bus.last_id,
        last_call=world.log.last_seq,
        last_fault=world.faults.last_id,
        last_file=world.files.last_number,
        customers=list(world.customers),
        settings=Changed(
            **{name: now[name] for name in vars(Changed()) if now[name] != start[name]}
        ),
    )


def _kept_messages(chat: Chat) -> list[Message]:
    """The last ones, and of the others those that something stands on."""
    found = list(chat.messages.values())
    older = found[:-KEPT_MESSAGES]
    return [
        message
        for message in older
        if message.message_id in chat.topics or message.message_id == chat.pinned
    ] + found[-KEPT_MESSAGES:]


def _kept_files(world: World) -> list[StoredFile]:
    room, kept = KEPT_BYTES, []
    for stored in reversed(world.files.by_id.values()):
        if stored.size <= room:
            room -= stored.size
            kept.append(stored)
    return kept[::-1]


def _shifted(press: Json, by: float) -> Json:
    """The press with its times moved between this process's clock and the world's."""
    times = ("pressed_at", "answered_at")
    return press | {name: round(press[name] + by, 3) for name in times if press[name]}


def restore(world: World, document: Json) -> None:
    """Put what was saved into a new world; raises `DamagedError`, or `StateError`."""
    context = Context(
        given={
            UpdateQueue: {"bus": world.bus, "settings": world.settings},
            Pending: {"born": time.monotonic()},
        }
    )

    def table(name: str) -> list[Any]:
        rows = document.get(name)
        if not isinstance(rows, list):
            raise DamagedError(f"its table {name} is missing")
        return rows

    head = _CODEC.unpack(Head, document.get("world"), context)
    users = {user.id: user for user in (_CODEC.unpack(User, r, context) for r in table("users"))}
    context.find[User] = users.__getitem__
    files = [_CODEC.unpack(StoredFile, row, context) for row in table("files")]
    dropped = [_CODEC.unpack(StoredFile, row, context) for row in table("dropped_files")]
    context.find[StoredFile] = {item.file_id: item for item in files + dropped}.__getitem__
    chats = {chat.key: chat for chat in (_CODEC.unpack(Chat, r, context) for r in table("chats"))}
    context.find[Chat] = chats.__getitem__
    for row in table("messages"):
        message = _CODEC.unpack(Message, row, context)
        message.chat.messages[message.message_id] = message
    context.find[Message] = lambda key: chats[key[0]].messages[key[1]]
    bots = [_CODEC.unpack(Bot, row, context) for row in table("bots")]
    shift = time.monotonic() - world.clock()
    presses = [_CODEC.unpack(Press, row, context) for row in table("presses")]
    faults = [_CODEC.unpack(Fault, row, context) for row in table("faults")]
    calls = table("log")
    _check(world, head, bots, chats, calls)

    for name, value in vars(head.settings).items():
        if value is not None:
            setattr(world.settings, name, value)
    world.limits.enabled = world.settings.limits
    world.users, world.customers, world.bots, world.seq = users, head.customers, bots, head.seq
    world.groups = {chat.id: chat for chat in chats.values() if not chat.is_private}
    world.privates = {(c.bot_key, c.id): c for c in chats.values() if c.is_private}
    world.files.by_id = {stored.file_id: stored for stored in files}
    world.files.by_path = {stored.path: stored for stored in files}
    world.files.last_number = head.last_file
    world.faults.active, world.faults.last_id = faults, head.last_fault
    world.log.entries, world.log.last_seq = calls, head.last_call
    world.bus.last_id = head.last_event
    world.callbacks.presses = {press.id: Press(**_shifted(vars(press), shift)) for press in presses}
    if document.get("clean") is not True:
        _skip_ahead(world)


def _check(
    world: World, head: Head, bots: list[Bot], chats: dict[str, Chat], calls: list[Any]
) -> None:
    """What types alone do not promise."""
    if (
        not bots
        or len({bot.key for bot in bots}) < len(bots)
        or str(head.operators_chat) not in chats
    ):
        raise DamagedError("its bots or its operators' group are missing")
    if any(chat.is_private != (chat.user is not None) for chat in chats.values()):
        raise DamagedError("a chat is neither private nor a group")
    known = {"seq", "time", "bot_id", "method", "chat_id", "params", "ok", "result"}
    if not all(isinstance(call, dict) and known <= call.keys() for call in calls):
        raise DamagedError("its log holds what is no call")
    if head.operators_chat != world.settings.operators_chat:
        raise StateError(
            f"The state is that of the operators' chat {head.operators_chat}: start with "
            f"--operators-chat {head.operators_chat}, or delete or move the file."
        )
    only = world.settings.only_token
    if only and any(bot.token != only for bot in bots):
        raise StateError(
            "The state is that of a bot with another token: start without --token, "
            "or delete or move the file."
        )


def _skip_ahead(world: World) -> None:
    """Give no number again that a killed simulator may have given after its last save."""
    for bot in world.bots:
        bot.updates.next_id += SKIPPED
    for chat in world.chats():
        chat.last_message_id += SKIPPED
    world.seq += SKIPPED
    world.log.last_seq += SKIPPED
    world.bus.last_id += SKIPPED
    world.files.last_number += SKIPPED
