"""`frontdesk bot` and `frontdesk worker …`: one process of the desk, until it is told to stop."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from cli.compose import load_settings, open_desk, redis_url
from cli.errors import CommandError, MisconfiguredError, wrong_settings
from cli.observe import Observed
from cli.options import finite
from cli.rundir import PARENT

if TYPE_CHECKING:
    from desk.flow.desk import Desk
    from desk.settings import Settings

WaitOption = Annotated[
    float,
    typer.Option("--wait", callback=finite, help="Seconds to wait for the database's migrations."),
]
WAIT = 30.0
PROCESSES = ("bot", "inference", "training", "scheduler")
"""By name; `frontdesk up` gives them their METRICS_PORTs in this order."""

worker = typer.Typer(no_args_is_help=True, help="Run a worker: inference, training or scheduler.")


def bot(wait: WaitOption = WAIT) -> None:
    """Run the bot alone: updates in, replies out. Needs BOT_TOKEN, a database and Redis."""
    settings = _begin("bot")
    if settings.bot_token is None:
        raise MisconfiguredError(
            "BOT_TOKEN is not set. Set it to the token from @BotFather; without one, "
            "`frontdesk up` runs everything with a simulated Telegram."
        )
    from cli.telegram import run_bot

    run_bot(settings, *_parts(settings, "bot", wait))


@worker.command(epilog="Example: frontdesk worker inference")
def inference(wait: WaitOption = WAIT) -> None:
    """Classify and decide: takes waiting messages in batches; run as many as you like."""
    settings = _begin("inference")
    _check_device(settings)
    from workers.inference import run

    run(
        *_parts(settings, "inference", wait),
        models_dir=settings.models_dir,
        data_dir=settings.data_dir,
        device=settings.device,
        max_batch=settings.max_batch,
    )


@worker.command(epilog="Example: frontdesk worker training")
def training(wait: WaitOption = WAIT) -> None:
    """Train candidates from feedback, one run at a time; run one of these."""
    settings = _begin("training")
    _check_device(settings)
    from workers.training import run

    run(
        *_parts(settings, "training", wait),
        models_dir=settings.models_dir,
        data_dir=settings.data_dir,
        pack_dir=settings.pack_dir,
        base_model=settings.base_model,
        device=settings.device,
        auto_promote=settings.auto_promote,
    )


@worker.command(epilog="Example: frontdesk worker scheduler")
def scheduler(wait: WaitOption = WAIT) -> None:
    """Find what got stuck, order the nightly training; of several that run, one is active."""
    settings = _begin("scheduler")
    from workers.scheduler import run

    run(
        *_parts(settings, "scheduler", wait),
        data_dir=settings.data_dir,
        reply_deadline=settings.reply_deadline,
        retrain_at=settings.retrain_at,
        retention_days=settings.retention_days,
    )


def _begin(name: str) -> Settings:
    from desk import logs

    supervisor = os.environ.get(PARENT)
    if supervisor is not None and supervisor != str(os.getppid()):
        raise CommandError("The supervisor that started this process is gone.")
    settings = load_settings()
    logs.configure(name, settings.log_level)
    return settings


def _check_device(settings: Settings) -> None:
    """Raise `MisconfiguredError` where DEVICE is not there: all that the worker does would fail."""
    from classifier.devices import find_device

    with wrong_settings():
        find_device(settings.device)


def _parts(settings: Settings, name: str, wait: float) -> tuple[Desk, str]:
    """The desk and Redis's address, and the endpoint that watches both, from before they answer."""
    observed = Observed(settings, name)
    desk, url = open_desk(settings, wait=wait), redis_url(settings)
    observed.watch(desk, url)
    return desk, url
