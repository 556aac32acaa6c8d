"""The bot's process: check, start the loops, beat, stop in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from aiogram.types import User
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from bot import checks, wakes, webhook
from bot.answers import Answers
from bot.disturbance import Disturbance
from bot.indicator import Indicator
from bot.intake import ALLOWED_UPDATES, Intake
from bot.jobs import Jobs
from bot.lanes import Lanes
from bot.limits import GROUP_SECONDS, Limits
from bot.overdue import Overdue
from bot.routers import KnownBot, Routers
from bot.sender import STOP_SECONDS as SENDER_STOP_SECONDS
from bot.sender import Sender
from bot.telegram import RefusedError, Telegram, TelegramError
from bot.tenure import Tenure
from bot.waiting import backoff, pause
from desk import health, metrics, queues
from desk.domain import DeskError
from desk.flow import announcing, recovering, roster, topics
from desk.flow.desk import Desk
from desk.flow.leases import Holding
from desk.heartbeat import Heartbeat
from desk.store import failed
from desk.texts import say

log = structlog.get_logger(__name__)

# SQLAlchemy's pool gives 15 connections; a thread more than that would only wait for one.
THREADS = 12
START_SECONDS = 10.0
STOP_SECONDS = 2.0
SYNC_SECONDS = 600.0
COMMANDS = ("start", "help", "human")
OPERATORS_COMMANDS = ("take", "resolve", "note", "ban", "unban", "retrain", "help", "id")


@dataclass(frozen=True, slots=True)
class BotOptions:
    """What the process runs with. `webhook` is (public address, secret, port); None polls.

    `reply_deadline` is in seconds.
    """

    desk: Desk
    token: str
    api_url: str | None
    redis_url: str
    data_dir: Path
    webhook: tuple[str, str, int] | None = None
    reply_deadline: float = 20.0


async def run(options: BotOptions) -> None:
    """Run the bot until SIGTERM or SIGINT.

    Raises `WrongSettingsError` for what the user must set right, and another `DeskError` while
    Telegram or the database is away.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.set_default_executor(ThreadPoolExecutor(THREADS, "desk"))
    await serve(options, stop)


async def serve(
    options: BotOptions, stop: asyncio.Event, ready: Callable[[], None] | None = None
) -> None:
    """Run the bot until `stop` is set; `ready` is called once everything is started."""
    async with AsyncExitStack() as stack:
        telegram = await stack.enter_async_context(Telegram(options.token, options.api_url))
        me = await introduce(options, telegram)
        health.PROCESS.have("telegram")
        if stop.is_set():
            return
        jobs = Jobs(options.redis_url)
        stack.callback(jobs.close)
        limits = Limits()
        answers = Answers(telegram, limits)
        stack.push_async_callback(answers.close)
        indicator = Indicator(options.desk, telegram)
        stack.push_async_callback(indicator.close)

        tenure = Tenure(options.desk, me.id, partial(_begin, options.desk, limits))
        sender = Sender(options.desk, telegram, limits, tenure)
        bot = KnownBot(options.token, me)
        routers = Routers(options.desk, bot, jobs, indicator, answers, sender.wake)
        disturbance = Disturbance(options.desk, telegram, limits, tenure.is_held)
        stack.push_async_callback(disturbance.close)
        lanes = Lanes(
            options.desk, me.id, routers.handle, lease=tenure.lease, disturbance=disturbance
        )
        intake_, lanes_, rest = _Stage("intake"), _Stage("lanes"), _Stage("rest")
        sender_ = _Stage("sender", SENDER_STOP_SECONDS + 0.5)
        stages = [intake_, lanes_, sender_, rest]
        if options.webhook is None:
            intake = Intake(telegram, me.id, disturbance, lanes.wake)
            intake_.start(tenure.while_held(intake.run, intake_.stop))
        else:
            _, secret, port = options.webhook
            announcer = wakes.Announcer(options.redis_url, queues.WAKE_LANES)
            rest.start(announcer.run(rest.stop))

            def stored() -> None:
                (lanes.wake if tenure.is_held() else announcer.announce)()

            app = webhook.make_app(me.id, secret, disturbance, stored)
            intake_.start(webhook.serve(app, port, intake_.stop))
        lanes_.start(tenure.while_held(lanes.run, lanes_.stop))
        sender_.start(tenure.while_held(sender.run, sender_.stop))
        # Stopped last, when nothing is on its way any more: then another may begin.
        rest.start(tenure.run(rest.stop))
        overdue = Overdue(options.desk, jobs, options.reply_deadline, sender.wake)
        rest.start(tenure.while_held(overdue.run, rest.stop))
        woken = {queues.WAKE_SENDER: sender.wake, queues.WAKE_LANES: lanes.wake}
        rest.start(wakes.listen(options.redis_url, woken, rest.stop))
        rest.start(_beat(Heartbeat(options.data_dir, "bot"), rest.stop))
        rest.start(_sync_admins(options.desk, telegram, rest.stop))
        log.info("bot_started", bot=me.id, mode="webhook" if options.webhook else "polling")
        if ready is not None:
            ready()
        await _until_stopped(stages, stop)
        log.info("bot_stopped")


async def introduce(options: BotOptions, telegram: Telegram) -> User:
    """Check the token and the operators' chat and tell Telegram how this bot works.

    A Telegram that is away has START_SECONDS to come back.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_SECONDS
    failures = 0
    while True:
        try:
            return await _introduce(options, telegram)
        except TelegramError as error:
            failures += 1
            seconds = error.retry_after or backoff(failures, first=0.2, most=2.0)
            if not error.away or loop.time() + seconds > deadline:
                raise DeskError(checks.trouble(telegram, error)) from None
            log.warning("telegram_away", retry_in=round(seconds, 2), error=str(error))
            await asyncio.sleep(seconds)
        except IntegrityError:
            # Another bot that starts just now has written the same: then it is there.
            failures += 1
            if failures > 5:
                raise
        except SQLAlchemyError as error:
            raise failed(options.desk.store.url, error) from None


def _begin(desk: Desk, limits: Limits, lease: Holding) -> None:
    """What comes first for whoever has just taken over: what the one before was doing."""
    limits.seed(recovering.recently_sent(desk, GROUP_SECONDS))
    uncertain = recovering.recover(desk, lease)
    if uncertain:
        log.warning("deliveries_uncertain", count=uncertain)


async def _introduce(options: BotOptions, telegram: Telegram) -> User:
    desk = options.desk
    _refuse(await checks.token_problems(telegram))
    me = User.model_validate(await telegram.call("getMe"))
    if desk.operator_chat_id is not None:
        problems = await checks.chat_problems(telegram, desk.operator_chat_id, me.id)
        _refuse(problems.wrong)
        if problems.lacking and not await asyncio.to_thread(topics.chat_was_used, desk):
            _refuse(problems.lacking)
        # A bot that runs goes on without it; one that is started again must not leave customers.
        for problem in problems.lacking:
            log.error("operators_chat_unusable", error=problem)
        metrics.OPERATORS_CHAT.set(not problems.lacking)
        await sync_admins(desk, telegram)
        await asyncio.to_thread(announcing.announce_waiting, desk)
    await _set_mode(options, telegram)
    await _set_commands(telegram)
    await _set_operators_commands(desk, telegram)
    return me


def _refuse(problems: list[str]) -> None:
    if problems:
        raise checks.WrongSettingsError("\n".join(problems))


async def sync_admins(desk: Desk, telegram: Telegram) -> None:
    """Make the operators' chat's administrators admins of the desk."""
    found = await telegram.call("getChatAdministrators", {"chat_id": desk.operator_chat_id})
    users = [User.model_validate(member["user"]) for member in found]
    admins = [(user.id, user.full_name) for user in users if not user.is_bot]
    await asyncio.to_thread(roster.sync_admins, desk, admins)


async def _set_mode(options: BotOptions, telegram: Telegram) -> None:
    if options.webhook is None:
        await telegram.call("deleteWebhook")
        return
    url, secret, _ = options.webhook
    try:
        await telegram.call(
            "setWebhook",
            {
                "url": webhook.address(url),
                "secret_token": secret,
                "allowed_updates": ALLOWED_UPDATES,
            },
        )
    except RefusedError as error:
        if error.away or error.code != 400:
            raise
        raise checks.WrongSettingsError(
            f"Telegram does not take the webhook {webhook.address(url)}: {error.description}. "
            "Check WEBHOOK_URL and WEBHOOK_SECRET (1 to 256 of A-Z a-z 0-9 _ -)."
        ) from None


async def _set_commands(telegram: Telegram) -> None:
    for language in ("en", "zh"):
        params: dict[str, Any] = {
            "commands": _commands(COMMANDS, language),
            "scope": {"type": "all_private_chats"},
        }
        if language != "en":  # English is what everybody else sees
            params["language_code"] = language
        await telegram.call("setMyCommands", params)


async def _set_operators_commands(desk: Desk, telegram: Telegram) -> None:
    if desk.operator_chat_id is None:
        return
    params = {
        "commands": _commands(OPERATORS_COMMANDS, desk.language),
        "scope": {"type": "chat", "chat_id": desk.operator_chat_id},
    }
    try:
        await telegram.call("setMyCommands", params)
    except RefusedError as error:
        if error.away or error.retry_after is not None:
            raise
        # Commands work without it, and a bot out of its group is to serve customers.
        log.warning("commands_not_set", error=error.description)


def _commands(names: Sequence[str], language: str) -> list[dict[str, str]]:
    return [{"command": name, "description": say(f"command-{name}", language)} for name in names]


async def _beat(heartbeat: Heartbeat, stop: asyncio.Event) -> None:
    while True:
        await asyncio.to_thread(heartbeat.beat)
        if await pause(stop, 1.0):
            return


async def _sync_admins(desk: Desk, telegram: Telegram, stop: asyncio.Event) -> None:
    """Telegram does not tell who became an administrator: look again from time to time."""
    while not await pause(stop, SYNC_SECONDS):
        if desk.operator_chat_id is None:
            continue
        try:
            await sync_admins(desk, telegram)
        except (TelegramError, SQLAlchemyError) as error:
            log.warning("admins_not_synced", error=type(error).__name__)


class _Stage:
    """Tasks that are stopped together, and the seconds they have for it."""

    def __init__(self, name: str, seconds: float = STOP_SECONDS) -> None:
        self.name = name
        self.seconds = seconds
        self.stop = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, work: Any) -> None:
        self.tasks.append(asyncio.create_task(work, name=self.name))

    async def finish(self) -> None:
        """Stop the tasks and wait for them; raises what one of them failed with."""
        self.stop.set()
        _, late = await asyncio.wait(self.tasks, timeout=self.seconds)
        for task in late:
            log.warning("stopped_late", loop=self.name)
            task.cancel()
        results = await asyncio.gather(*self.tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result


async def _until_stopped(stages: list[_Stage], stop: asyncio.Event) -> None:
    """Wait for `stop` or for a loop that ends by itself, then finish one stage after the other.

    No new update comes in first; what handlers and sender are in the middle of is finished.
    """
    stopped = asyncio.ensure_future(stop.wait())
    tasks = [task for stage in stages for task in stage.tasks]
    try:
        await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        crashes: list[BaseException] = []
        if not stop.is_set():
            log.error("loop_ended", loops=[task.get_name() for task in tasks if task.done()])
        for stage in stages:
            try:
                await stage.finish()
            except Exception as error:  # noqa: BLE001 - the others are to be stopped first
                crashes.append(error)
    if crashes:
        raise crashes[0]
    if not stop.is_set():
        raise RuntimeError("a loop of the bot ended by itself")
