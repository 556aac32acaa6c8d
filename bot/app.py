"""The bot's process: check, start the loops, beat, stop in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from bot import wakes, webhook
from bot.admins import Admins
from bot.answers import Answers
from bot.disturbance import Disturbance
from bot.indicator import Indicator
from bot.intake import Intake
from bot.introduction import introduce, set_commands
from bot.jobs import Jobs
from bot.lanes import Lanes
from bot.limits import GROUP_SECONDS, Limits
from bot.overdue import Overdue
from bot.routers import KnownBot, Routers
from bot.sender import STOP_SECONDS as SENDER_STOP_SECONDS
from bot.sender import Sender
from bot.stages import Stage, until_stopped
from bot.standing import Standing
from bot.telegram import Telegram
from bot.tenure import Tenure
from bot.waiting import pause, unless
from bot.webhook import Webhook
from desk import health, queues
from desk.domain import DeskError
from desk.flow import announcing, recovering
from desk.flow.desk import Desk
from desk.flow.leases import Holding
from desk.heartbeat import Heartbeat
from desk.store import DATABASE_AWAY

log = structlog.get_logger(__name__)

# SQLAlchemy's pool gives 15 connections; a thread more than that would only wait for one.
THREADS = 12


@dataclass(frozen=True, slots=True)
class BotOptions:
    """What the process runs with; without a webhook it polls. `reply_deadline` is in seconds."""

    desk: Desk
    token: str
    api_url: str | None
    redis_url: str
    data_dir: Path
    webhook: Webhook | None = None
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
        me = await introduce(options.desk, telegram, options.webhook)
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

        standing = Standing(options.desk)
        admins = Admins(options.desk, telegram, me.id, standing)
        tenure = Tenure(options.desk, me.id, partial(_begin, options.desk, limits, admins))
        sender = Sender(options.desk, telegram, limits, tenure, standing)
        bot = KnownBot(options.token, me)
        routers = Routers(options.desk, bot, jobs, indicator, answers, standing, sender.wake)
        disturbance = Disturbance(options.desk, telegram, limits, tenure.is_held)
        stack.push_async_callback(disturbance.close)
        lanes = Lanes(
            options.desk, me.id, routers.handle, lease=tenure.lease, disturbance=disturbance
        )
        intake_, lanes_, rest = Stage("intake"), Stage("lanes"), Stage("rest")
        sender_ = Stage("sender", SENDER_STOP_SECONDS + 0.5)
        stages = [intake_, lanes_, sender_, rest]
        if options.webhook is None:
            intake = Intake(telegram, me.id, disturbance, lanes.wake, tenure.sure)
            intake_.start(tenure.while_held(intake.run, intake_.stop))
        else:
            announcer = wakes.Announcer(options.redis_url, queues.WAKE_LANES)
            rest.start(announcer.run(rest.stop))

            def stored() -> None:
                (lanes.wake if tenure.is_held() else announcer.announce)()

            hook = options.webhook
            path = webhook.path(hook.url)
            app = webhook.make_app(me.id, hook.secret, disturbance, stored, path)
            intake_.start(webhook.serve(app, hook.port, intake_.stop))
            watch = partial(webhook.watch, telegram, hook.url, hook.secret)
            rest.start(tenure.while_held(watch, rest.stop))
        lanes_.start(tenure.while_held(lanes.run, lanes_.stop))
        sender_.start(tenure.while_held(sender.run, sender_.stop))
        # Stopped last, when nothing is on its way any more: then another may begin.
        rest.start(tenure.run(rest.stop))
        overdue = Overdue(options.desk, jobs, options.reply_deadline, sender.wake)
        rest.start(tenure.while_held(overdue.run, rest.stop))
        rest.start(jobs.run(rest.stop))
        woken = {queues.WAKE_SENDER: sender.wake, queues.WAKE_LANES: lanes.wake}
        rest.start(wakes.listen(options.redis_url, woken, rest.stop))
        rest.start(_beat(Heartbeat(options.data_dir, "bot"), rest.stop))
        tending = partial(_tend, options.desk, telegram, admins)
        rest.start(tenure.while_held(tending, rest.stop))
        log.info("bot_started", bot=me.id, mode="webhook" if options.webhook else "polling")
        if ready is not None:
            ready()
        await until_stopped(stages, stop)
        log.info("bot_stopped")


async def _begin(desk: Desk, limits: Limits, admins: Admins, lease: Holding) -> None:
    """What comes first for whoever has just taken over: who is an operator, and what the one before
    was doing."""
    await admins.sync()
    await asyncio.to_thread(_take_up, desk, limits, lease)


def _take_up(desk: Desk, limits: Limits, lease: Holding) -> None:
    """Take up what the one before was doing.

    Who waits is announced now only: until then the one before may serve another operators' chat.
    """
    limits.seed(recovering.recently_sent(desk, GROUP_SECONDS))
    uncertain = recovering.recover(desk, lease)
    if uncertain:
        log.warning("deliveries_uncertain", count=uncertain)
    try:
        announcing.announce_waiting(desk, lease)
    except (*DATABASE_AWAY, DeskError):
        raise
    except Exception:
        # What nobody foresaw about one conversation must not keep the bot from starting.
        log.exception("waiting_not_announced")


async def _beat(heartbeat: Heartbeat, stop: asyncio.Event) -> None:
    while True:
        # On the loop itself: in a thread it would wait for those that wait for the database.
        heartbeat.beat()
        if await pause(stop, 1.0):
            return


async def _tend(desk: Desk, telegram: Telegram, admins: Admins, stop: asyncio.Event) -> None:
    """What the holder of the lease does for Telegram and the desk beside its work."""
    await unless(stop, set_commands(desk, telegram))
    await admins.run(stop)
