"""The sender: every answer of Telegram, good, bad or lost, and what becomes of the delivery."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from redis import Redis
from yarl import URL

from bot import sender
from bot.app import BotOptions
from bot.telegram import Telegram, _result
from desk import queues
from desk.domain import ConversationState, DeliveryState
from desk.flow import dispatching
from desk.flow.composing import add_delivery
from desk.flow.desk import Desk
from desk.tables import Conversation, Customer, DeliveryRow
from simulator.app import Simulator
from simulator.world import OPERATORS_CHAT
from tests.bot.conftest import Rows, Running, Starter, World, eventually, state
from tests.bot.test_telegram import refusing_proxy
from tests.desk.acting import hold_lease


async def post(desk: Desk, redis: Redis, key: str, chat: int, text: str, **payload: Any) -> None:
    """Add a delivery as another process would, and wake the sender through Redis."""
    method = payload.pop("method", "sendMessage")
    text_of = {"text": text} if text else {}

    def add() -> None:
        with desk.store.writing() as session:
            add_delivery(session, desk, key, chat, method, text_of | payload)
        redis.publish(queues.WAKE_SENDER, "")

    await asyncio.to_thread(add)


async def test_another_process_wakes_the_sender_through_redis(
    monkeypatch: pytest.MonkeyPatch,
    start_bot: Starter,
    world: World,
    desk: Desk,
    redis: Redis,
    ann: int,
) -> None:
    monkeypatch.setattr(sender, "POLL_SECONDS", 60.0)
    await start_bot()
    await world.said(ann)
    await asyncio.sleep(0.3)
    begun = time.monotonic()
    await post(desk, redis, "k", ann, "hello from afar")
    await world.said(ann, "hello from afar", timeout=5)
    assert time.monotonic() - begun < 5


async def test_retry_after_is_honoured_and_the_order_kept_and_other_chats_go_on(
    bot: Running, world: World, desk: Desk, redis: Redis, rows: Rows, ann: int
) -> None:
    bob = await world.customer("Bob")
    await world.write(bob, "/help")
    await world.said(ann)
    await world.said(bob)
    await world.fault("too_many_requests", method="sendMessage", chat_id=ann, retry_after=1)
    await post(desk, redis, "1", ann, "first")
    await post(desk, redis, "2", ann, "second")
    await post(desk, redis, "3", bob, "meanwhile")
    await world.said(bob, "meanwhile")
    assert not await world.said(ann, "first", count=0)
    await world.said(ann, "second")
    calls = (await world.calls("sendMessage", ann))[1:]
    assert [(call["params"]["text"], call["ok"]) for call in calls] == [
        ("first", False),
        ("first", True),
        ("second", True),
    ]
    assert calls[1]["time"] - calls[0]["time"] >= 1.0
    assert [row.uncertain for row in rows.all(DeliveryRow, key="1")] == [False]


@pytest.mark.parametrize("fault", ["server_error", "refused", "lost"])
async def test_a_failing_call_is_repeated_and_marked_since_it_may_have_been_carried_out(
    fault: str, bot: Running, world: World, desk: Desk, redis: Redis, rows: Rows, ann: int
) -> None:
    await world.said(ann)
    await world.fault(fault, method="sendMessage", chat_id=ann)
    await post(desk, redis, "k", ann, "once")
    row = await state(rows, "k", DeliveryState.SENT)
    assert row.attempts == 2
    said = await world.said(ann, "once")
    # A connection or a server that breaks down looks the same whether or not it was carried out.
    assert row.uncertain
    assert len(said) == (2 if fault == "lost" else 1)


@pytest.mark.parametrize("fault", [{"kind": "lost"}, {"kind": "error", "status": 504}])
async def test_a_message_whose_answer_is_lost_twice_is_not_sent_a_third_time(
    fault: dict[str, Any],
    bot: Running,
    world: World,
    desk: Desk,
    redis: Redis,
    rows: Rows,
    ann: int,
) -> None:
    await world.said(ann)
    await world.fault(**fault, method="sendMessage", chat_id=ann, times=2)
    await post(desk, redis, "k", ann, "twice at most")
    await post(desk, redis, "next", ann, "and on it goes")
    row = await state(rows, "k", DeliveryState.FAILED)
    assert (row.attempts, row.uncertain) == (2, True)
    assert "sent twice without an answer" in (row.error or "")
    await world.said(ann, "and on it goes")
    assert len(await world.said(ann, "twice at most", 0)) == (2 if fault["kind"] == "lost" else 0)


async def test_an_operator_is_told_when_it_is_not_known_whether_their_words_arrived(
    bot: Running, world: World, ann: int
) -> None:
    await world.reply(await world.write(ann, "/human"), "colleague")
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
    await world.fault("lost", method="copyMessage", times=2)
    await world.write_topic(card["message_thread_id"], "did you get this?")
    told = (await world.said(OPERATORS_CHAT, "could not be delivered"))[0]
    assert "it may have arrived" in told["text"]


@pytest.mark.parametrize("method", ["sendMessage", "editMessageText"])
async def test_what_telegram_breaks_down_over_is_given_up_in_the_end_and_the_next_goes_out(
    method: str,
    monkeypatch: pytest.MonkeyPatch,
    bot: Running,
    world: World,
    desk: Desk,
    redis: Redis,
    rows: Rows,
    ann: int,
) -> None:
    monkeypatch.setattr(sender, "MAX_BREAKDOWNS", 3)
    monkeypatch.setattr(sender, "backoff", lambda *_, **__: 0.02)
    (shown,) = await world.said(ann)
    # A pause that Telegram asks for is none of these.
    await world.fault("too_many_requests", method=method, retry_after=1)
    kind = "server_error" if method == "sendMessage" else "lost"
    await world.fault(kind, method=method, chat_id=ann, times=3)
    edit = {} if method == "sendMessage" else {"message_id": shown["message_id"]}
    await post(desk, redis, "k", ann, "poison", method=method, **edit)
    await post(desk, redis, "next", ann, "and on it goes")
    # An edit is over with that: tried again later, it might undo another.
    end = DeliveryState.FAILED if method == "sendMessage" else DeliveryState.CANCELLED
    row = await state(rows, "k", end)
    assert (row.attempts, row.uncertain) == (4, method == "sendMessage")
    assert "tried 3 times in vain" in (row.error or "")
    await world.said(ann, "and on it goes")


def first_sent_by(
    way: Callable[..., Awaitable[Any]], times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first so many messages go this way, all else to Telegram."""
    call = Telegram.call

    async def divided(self: Telegram, method: str, *args: Any) -> Any:
        nonlocal times
        if method == "sendMessage" and times:
            times -= 1
            return await way(method, *args)
        return await call(self, method, *args)

    monkeypatch.setattr(Telegram, "call", divided)


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_a_proxys_page_neither_fails_a_delivery_nor_makes_a_customer_gone(
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    bot: Running,
    world: World,
    desk: Desk,
    redis: Redis,
    rows: Rows,
    ann: int,
) -> None:
    await world.said(ann)

    async def page(method: str, *_: Any) -> Any:
        return _result(method, status, b"<html>No way</html>")

    first_sent_by(page, 1, monkeypatch)
    await post(desk, redis, "k", ann, "all the same")
    row = await state(rows, "k", DeliveryState.SENT, DeliveryState.FAILED)
    assert (row.state, row.attempts, row.uncertain) == (DeliveryState.SENT, 2, False)
    assert not rows.all(Customer, gone=True)


async def test_a_delivery_waits_for_a_proxy_that_lets_nothing_through_and_is_not_uncertain(
    monkeypatch: pytest.MonkeyPatch,
    bot: Running,
    world: World,
    desk: Desk,
    redis: Redis,
    rows: Rows,
    ann: int,
) -> None:
    await world.said(ann)
    monkeypatch.setattr(sender, "backoff", lambda *_, **__: 0.02)
    call = Telegram.call
    away = b"HTTP/1.1 503 Service Unavailable\r\n\r\n"
    async with refusing_proxy(away, monkeypatch), Telegram("1:x") as beyond:
        first_sent_by(partial(call, beyond), 4, monkeypatch)
        await post(desk, redis, "k", ann, "when it is back")
        row = await state(rows, "k", DeliveryState.SENT, DeliveryState.FAILED)
    assert (row.state, row.attempts, row.uncertain) == (DeliveryState.SENT, 5, False)


class Nat:
    """A way to a server that can forget its connections: what is sent over them is reset."""

    def __init__(self, url: str) -> None:
        self._beyond = URL(url)
        self._known: list[asyncio.StreamWriter] = []
        self.used = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection; an `asyncio.start_server` calls it."""
        server = await asyncio.open_connection(self._beyond.host, self._beyond.port)
        self._known.append(writer)
        back = asyncio.create_task(self._pass(server[0], writer))
        try:
            while data := await reader.read(65536):
                if writer not in self._known:
                    self.used += 1
                    break
                server[1].write(data)
        finally:
            back.cancel()
            for end in (writer, server[1]):
                end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)

    def forget(self) -> int:
        """Forget the connections of now; says how many there are."""
        forgotten = sum(not writer.is_closing() for writer in self._known)
        self._known.clear()
        return forgotten


async def test_a_message_is_not_given_up_because_two_idle_connections_were_reset(
    start_bot: Starter,
    options: BotOptions,
    world: World,
    desk: Desk,
    redis: Redis,
    rows: Rows,
    ann: int,
) -> None:
    nat = Nat(options.api_url or "")
    async with await asyncio.start_server(nat.serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        await start_bot(replace(options, api_url=f"http://{host}:{port}"))
        chats = [ann, *[await world.customer(name) for name in ("Bob", "Cyd", "Dan")]]
        await world.said(ann)
        # Calls at the same time leave several connections open.
        await world.fault("slow", method="sendMessage", seconds=0.5, times=len(chats))
        for chat in chats:
            await world.write(chat, "/help")
        for chat in chats:
            await world.said(chat, count=2 if chat == ann else 1)
        assert nat.forget() > len(chats)
        await post(desk, redis, "k", ann, "over another one")
        row = await state(rows, "k", DeliveryState.SENT, DeliveryState.FAILED)
        assert nat.used
    assert (row.state, row.attempts, row.uncertain) == (DeliveryState.SENT, 2, True)


async def test_an_edit_whose_answer_is_lost_is_repeated_without_being_uncertain(
    bot: Running, world: World, desk: Desk, redis: Redis, rows: Rows, ann: int
) -> None:
    (shown,) = await world.said(ann)
    await world.fault("lost", method="editMessageText")
    edit = {"method": "editMessageText", "message_id": shown["message_id"]}
    await post(desk, redis, "k", ann, "better", **edit)
    row = await state(rows, "k", DeliveryState.SENT)
    # The second edit finds nothing to change, which is as good as done.
    assert (row.attempts, row.uncertain, row.telegram_id) == (2, False, None)
    assert [message["text"] for message in await world.said(ann)] == ["better"]
    # The message's id stays with the delivery that made the message.
    await post(desk, redis, "best", ann, "best", **edit)
    assert (await state(rows, "best", DeliveryState.SENT)).telegram_id is None


async def test_one_who_has_blocked_the_bot_is_gone_and_the_operators_hear_of_it(
    bot: Running, world: World, desk: Desk, redis: Redis, rows: Rows, ann: int
) -> None:
    await world.reply(await world.write(ann, "/human"), "colleague")
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
    # Blocked in the very moment: the update about it is not there yet.
    await world.fault(
        "error",
        method="copyMessage",
        status=403,
        description="Forbidden: bot was blocked by the user",
    )
    await world.write_topic(card["message_thread_id"], "hello?")
    await rows.until(Customer, gone=True)
    await world.said(OPERATORS_CHAT, "has blocked the bot")
    assert rows.all(DeliveryRow, method="copyMessage")[0].state is DeliveryState.FAILED


async def test_bad_markup_falls_back_to_plain_text(
    bot: Running, world: World, desk: Desk, redis: Redis, rows: Rows, ann: int
) -> None:
    await post(desk, redis, "k", ann, "<b>5 &lt; 6</b> <i>broken", parse_mode="HTML")
    row = await state(rows, "k", DeliveryState.SENT)
    assert row.attempts == 1
    assert (await world.said(ann, "broken"))[0]["text"] == "5 < 6 broken"


async def test_a_keyboard_that_telegram_refuses_is_left_out(
    bot: Running, world: World, desk: Desk, redis: Redis, rows: Rows, ann: int
) -> None:
    markup = {"inline_keyboard": [[{"text": "go", "url": "nonsense://"}]]}
    await world.fault(
        "error", method="sendMessage", chat_id=ann, description="Bad Request: BUTTON_URL_INVALID"
    )
    await world.said(ann, count=0)
    await post(desk, redis, "k", ann, "a link", reply_markup=markup)
    await state(rows, "k", DeliveryState.SENT, DeliveryState.FAILED)
    # Whichever of the two messages met the fault, both arrived.
    await world.said(ann, "a link")


async def test_what_telegram_refuses_for_good_fails_once_and_the_next_goes_out(
    bot: Running, world: World, desk: Desk, redis: Redis, rows: Rows, ann: int
) -> None:
    await post(desk, redis, "1", ann, "x" * 5000)
    await post(desk, redis, "2", ann, "short")
    await world.said(ann, "short")
    row = await state(rows, "1", DeliveryState.FAILED)
    assert (row.attempts, row.error) == (1, "Bad Request: message is too long")


async def test_an_operator_is_told_when_their_words_can_not_be_delivered(
    bot: Running, world: World, ann: int
) -> None:
    await world.reply(await world.write(ann, "/human"), "colleague")
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
    await world.fault(
        "error", method="copyMessage", description="Bad Request: message to copy not found"
    )
    await world.write_topic(card["message_thread_id"], "deleted at once")
    told = (await world.said(OPERATORS_CHAT, "could not be delivered"))[0]
    assert "message to copy not found" in told["text"]
    assert told["message_thread_id"] == card["message_thread_id"]


async def test_a_file_from_a_chat_that_is_not_found_holds_up_no_card_and_operators_hear_of_it(
    bot: Running, world: World, desk: Desk, redis: Redis, ann: int
) -> None:
    await world.reply(await world.write(ann, "/human"), "colleague")
    await world.said(OPERATORS_CHAT, "Needs a person")
    # As after a change of the token: the new bot does not know whom the old one knew.
    await world.fault("error", method="copyMessage", description="Bad Request: chat not found")
    await world.ask("POST", f"customers/{ann}/photo", {"caption": "look"})
    told = (await world.said(OPERATORS_CHAT, "could not be passed on"))[0]
    assert "chat not found" in told["text"]


async def test_a_file_waits_while_it_is_the_operators_chat_that_is_not_found(
    monkeypatch: pytest.MonkeyPatch, bot: Running, world: World, rows: Rows, ann: int
) -> None:
    monkeypatch.setattr(sender, "MISCONFIGURED_SECONDS", 0.2)
    await world.reply(await world.write(ann, "/human"), "colleague")
    await world.said(OPERATORS_CHAT, "Needs a person")
    for method in ("copyMessage", "getChat"):
        await world.fault("error", method=method, description="Bad Request: chat not found")
    await world.ask("POST", f"customers/{ann}/photo", {"caption": "look"})
    await world.said(OPERATORS_CHAT, "look")
    (row,) = await rows.until(DeliveryRow, method="copyMessage", state=DeliveryState.SENT)
    assert row.attempts == 2
    assert not await world.said(OPERATORS_CHAT, "could not be passed on", count=0)


async def test_a_file_of_one_who_has_blocked_the_bot_holds_up_no_card_and_operators_hear_of_it(
    bot: Running, world: World, desk: Desk, redis: Redis, ann: int
) -> None:
    await world.reply(await world.write(ann, "/human"), "colleague")
    await world.said(OPERATORS_CHAT, "Needs a person")
    blocked = "Forbidden: bot was blocked by the user"
    await world.fault("error", method="copyMessage", status=403, description=blocked)
    await world.ask("POST", f"customers/{ann}/photo", {"caption": "look"})
    told = (await world.said(OPERATORS_CHAT, "could not be passed on"))[0]
    assert blocked in told["text"]


async def write_while_kicked(world: World, ann: int, tries: int, *texts: str) -> None:
    """An operator writes to Ann, whom the bot can't copy it to for so many tries."""
    await world.reply(await world.write(ann, "/human"), "colleague")
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
    out = "Forbidden: bot was kicked from the supergroup chat"
    await world.fault("error", method="copyMessage", status=403, description=out, times=tries)
    for text in texts:
        await world.write_topic(card["message_thread_id"], text)


async def test_an_operators_words_wait_while_the_bot_is_out_of_the_chat_to_copy_them_from(
    monkeypatch: pytest.MonkeyPatch, bot: Running, world: World, rows: Rows, ann: int
) -> None:
    monkeypatch.setattr(sender, "MISCONFIGURED_SECONDS", 0.2)
    await write_while_kicked(world, ann, 2, "I see it")
    await world.said(ann, "I see it")
    assert not rows.all(Customer, gone=True)


async def test_words_that_can_not_be_copied_for_long_hold_up_no_other(
    monkeypatch: pytest.MonkeyPatch, bot: Running, world: World, rows: Rows, ann: int
) -> None:
    monkeypatch.setattr(sender, "MISCONFIGURED_SECONDS", 0.1)
    await write_while_kicked(world, ann, sender.COPY_TRIES, "I see it", "it comes tomorrow")
    await world.said(ann, "it comes tomorrow")
    assert "kicked" in (await world.said(OPERATORS_CHAT, "could not be delivered"))[0]["text"]
    assert not rows.all(Customer, gone=True)


async def test_words_from_a_group_that_is_no_longer_the_operators_fail_and_make_nobody_gone(
    bot: Running, world: World, desk: Desk, redis: Redis, rows: Rows, ann: int
) -> None:
    await world.said(ann)
    out = "Forbidden: bot is not a member of the supergroup chat"
    await world.fault("error", method="copyMessage", status=403, description=out)
    copy = {"method": "copyMessage", "from_chat_id": -100999, "message_id": 5}
    await post(desk, redis, "k", ann, "", **copy)
    await state(rows, "k", DeliveryState.FAILED)
    assert not rows.all(Customer, gone=True)


async def test_cards_are_kept_while_the_bot_is_out_of_the_operators_chat(
    monkeypatch: pytest.MonkeyPatch, bot: Running, world: World, rows: Rows, ann: int
) -> None:
    monkeypatch.setattr(sender, "MISCONFIGURED_SECONDS", 0.2)
    await world.ask("PATCH", f"chats/{OPERATORS_CHAT}", {"bot": {"status": "kicked"}})
    await world.write(ann, "/human")
    await eventually(lambda: any(row.attempts >= 2 for row in rows.all(DeliveryRow)))
    await world.ask("PATCH", f"chats/{OPERATORS_CHAT}", {"bot": {"status": "administrator"}})
    await world.said(OPERATORS_CHAT, "Needs a person")


async def test_what_was_being_sent_when_the_bot_died_is_sent_again_and_marked(
    start_bot: Starter, world: World, desk: Desk, redis: Redis, rows: Rows, ann: int
) -> None:
    await post(desk, redis, "k", ann, "perhaps twice")
    (taken,) = await asyncio.to_thread(dispatching.take, desk, set(), 1, hold_lease(desk))
    assert taken.attempts == 1
    await start_bot()
    row = await state(rows, "k", DeliveryState.SENT)
    assert row.uncertain
    await world.said(ann, "perhaps twice")


async def test_an_answer_is_cancelled_when_a_person_has_taken_over_and_the_next_goes_at_once(
    start_bot: Starter, world: World, desk: Desk, rows: Rows
) -> None:
    customer = await world.customer("Ann")
    await world.ask("POST", f"customers/{customer}/start", {})

    def prepare() -> None:
        with desk.store.writing() as session:
            person = Customer(chat_id=customer, name="Ann")
            session.add(person)
            session.flush()
            talk = Conversation(customer_id=person.id, state=ConversationState.HUMAN)
            session.add(talk)
            session.flush()
            for key, from_bot in (("bot", True), ("person", False)):
                add_delivery(
                    session,
                    desk,
                    key,
                    customer,
                    "sendMessage",
                    {"text": f"from {key}"},
                    conversation=talk,
                    from_bot=from_bot,
                )

    await asyncio.to_thread(prepare)
    first = await asyncio.to_thread(dispatching.take, desk, set(), 5, hold_lease(desk))
    assert [delivery.payload["text"] for delivery in first] == ["from person"]
    await start_bot()
    await world.said(customer, "from person")
    assert rows.all(DeliveryRow, key="bot")[0].state is DeliveryState.CANCELLED
    assert not await world.said(customer, "from bot", count=0)


@pytest.mark.parametrize("code", [401, 404])
async def test_a_token_that_is_refused_is_not_the_messages_fault(
    code: int,
    bot: Running,
    world: World,
    desk: Desk,
    redis: Redis,
    rows: Rows,
    ann: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sender, "MISCONFIGURED_SECONDS", 0.5)
    await world.said(ann)
    await world.fault("error", method="sendMessage", status=code, description="Not Found", times=2)
    await post(desk, redis, "k", ann, "once")
    await post(desk, redis, "card", OPERATORS_CHAT, "for the operators")
    assert (await state(rows, "k", DeliveryState.SENT)).attempts == 2
    assert (await state(rows, "card", DeliveryState.SENT)).attempts == 2


async def test_a_card_by_a_rule_of_a_newer_version_goes_out_once_with_the_rules_name(
    bot: Running, world: World, rows: Rows, desk: Desk, ann: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.said(ann)
    monkeypatch.setattr("desk.flow.customers.ASKED_FOR_PERSON", "asked_by_telepathy")
    await world.write(ann, "/human")
    (card,) = await world.said(OPERATORS_CHAT, "asked_by_telepathy")
    (row,) = await rows.until(DeliveryRow, telegram_id=card["message_id"], chat_id=OPERATORS_CHAT)
    assert row.state is DeliveryState.SENT


async def test_deliveries_of_a_chat_leave_in_order_and_chats_do_not_wait_for_each_other(
    bot: Running, world: World, desk: Desk, redis: Redis, simulator: Simulator, ann: int
) -> None:
    bob = await world.customer("Bob")
    await world.write(bob, "/help")
    await world.said(ann)
    await world.said(bob)
    await world.fault("slow", method="sendMessage", chat_id=ann, seconds=5)
    for number in range(3):
        await post(desk, redis, f"a{number}", ann, f"ann {number}")
        await post(desk, redis, f"b{number}", bob, f"bob {number}")
    await world.said(bob, "bob 2")
    assert not await world.said(ann, "ann", count=0)
    said = await world.said(ann, "ann", count=3, timeout=20)
    assert [message["text"] for message in said] == ["ann 0", "ann 1", "ann 2"]
