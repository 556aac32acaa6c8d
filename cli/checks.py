"""What `frontdesk doctor` looks at, one function a subject; none of them changes anything."""

from __future__ import annotations

import errno
import functools
import os
import platform
import stat
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cli import dotenv, rundir
from cli.another_pack import another_pack
from cli.base_model import base_model, unread
from cli.errors import LEARNING, TELEGRAM, CommandError
from cli.findings import Finding, Status
from cli.lives import signs_of_life
from cli.processes import PROCESSES
from cli.standing import promotion, usable_desk

if TYPE_CHECKING:
    from desk.flow.desk import Desk
    from desk.settings import Settings

LOW_DISK = 1_000_000_000
VERY_LOW_DISK = 100_000_000
SHOWN = 10
"""Parked updates that are shown one by one."""
LONGEST_QUEUED = timedelta(minutes=10)
"""A training run that waits longer for a worker waits in vain."""


def all_checks(settings: Settings) -> Iterator[Finding]:
    """Every check, the ground first; one that can't run because of another says so."""
    from sqlalchemy.exc import SQLAlchemyError

    from desk.store import cause

    yield from python()
    for check in (
        *(torch, env_file, retention, pack, database, clock, redis, models, learnt),
        *(base_model, unread, telegram, port, metrics, erased, disk),
        *(labels, work, waiting, turns, promotion, signs_of_life),
    ):
        try:
            yield from check(settings)
        except CommandError as error:
            yield Finding(check.__name__, Status.FAIL, str(error))
        except OSError as error:
            # The others can still tell something.
            yield _hindered(check.__name__, error)
        except SQLAlchemyError as error:
            yield Finding(check.__name__, Status.FAIL, f"the database failed: {cause(error)}")


def _hindered(check: str, error: OSError) -> Finding:
    where = f"{error.filename}: " if error.filename else ""
    hint = "Run it as the user that Frontdesk runs as" if error.errno == errno.EACCES else ""
    return Finding(check, Status.FAIL, f"{where}{error.strerror or error}", hint)


def _of_desk(
    check: Callable[[Settings, Desk], Iterator[Finding]],
) -> Callable[[Settings], Iterator[Finding]]:
    """A check of the desk, left out where there is none that can be used; it is closed after it."""

    @functools.wraps(check)
    def of_desk(settings: Settings) -> Iterator[Finding]:
        desk = usable_desk(settings)  # database and pack have findings of their own if not
        if desk is None:
            return
        try:
            yield from check(settings, desk)
        finally:
            desk.store.dispose()

    return of_desk


def python() -> Iterator[Finding]:
    yield Finding("python", Status.OK, f"{platform.python_version()} on {platform.machine()}")


def torch(settings: Settings) -> Iterator[Finding]:
    try:
        import torch as library

        from classifier.devices import fast_dtype, pick_device

        device = pick_device(settings.device)
    except ModuleNotFoundError as error:
        hint = f"pip install --editable {LEARNING}; a bot alone needs none"
        detail = f"{error.name} is not installed: no model can run here"
        yield Finding("torch", Status.WARN, detail, hint)
        return
    except ImportError as error:
        hint = f"Install it anew: pip install --force-reinstall --editable {LEARNING}"
        yield Finding("torch", Status.FAIL, f"installed, but can't be loaded: {error}", hint)
        return
    except ValueError as error:
        yield Finding("torch", Status.FAIL, str(error), "Set DEVICE to auto")
        return
    dtype = str(fast_dtype(device)).removeprefix("torch.")
    detail = f"{library.__version__} computes on {device} in {dtype}"
    yield Finding("torch", Status.OK, f"{detail}, {os.cpu_count()} cores")


def env_file(settings: Settings) -> Iterator[Finding]:
    """Whether the file of the token and the passwords is open to others on this machine, and which
    of its lines nobody reads."""
    name = str(settings.model_config.get("env_file"))
    if not Path(name).is_file():
        return
    if Path(name).stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        detail = f"{name} may hold secrets, and others on this machine may read it"
        yield Finding("env", Status.WARN, detail, f"chmod 600 {name}")
    else:
        yield Finding("env", Status.OK, f"{name} can be read by its owner alone")
    runs = rundir.running(settings.data_dir) is not None
    for detail, hint in dotenv.unread(by_up=runs):
        yield Finding("settings", Status.WARN, detail, hint)


def retention(settings: Settings) -> Iterator[Finding]:
    """How long customers are kept: a misspelled name would keep them for good."""
    if settings.retention_days is None:
        detail = "RETENTION_DAYS is not set here: customers are kept for good"
    else:
        detail = f"customers are erased after {settings.retention_days} days of silence"
    yield Finding("retention", Status.OK, detail)


@_of_desk
def erased(settings: Settings, desk: Desk) -> Iterator[Finding]:
    """Whether a backup has brought back somebody who was erased."""
    from cli.erased import AGAIN, back

    found = back(desk.store, settings)
    if found:
        detail = f"{len(found)} customers who were erased are back, out of a backup"
        hint = f"Stop every process, then: {AGAIN}"
        yield Finding("erased", Status.FAIL, detail, hint)


def pack(settings: Settings) -> Iterator[Finding]:
    from desk.pack import PackError, load

    try:
        found = load(settings.pack_dir)
    except PackError as error:
        hint = f"frontdesk validate {settings.pack_dir}"
        yield Finding("pack", Status.FAIL, str(error), hint)
        return
    yield Finding("pack", Status.OK, f"{found.title}: {len(found.intents)} intents")


def database(settings: Settings) -> Iterator[Finding]:
    from cli.compose import check_known
    from desk.domain import DeskError
    from desk.scrubbing import scrub
    from desk.store import Store

    try:
        check_known(settings)
    except CommandError as error:
        yield Finding("database", Status.FAIL, str(error))
        return
    if settings.database_file is not None and not settings.database_file.exists():
        detail = "SQLite, not made yet"
        yield Finding("database", Status.WARN, detail, "frontdesk migrate (or frontdesk up)")
        return
    try:
        store = Store(settings.database)
        store.check()
    except DeskError as error:
        yield Finding("database", Status.FAIL, str(error))
        return
    patient = store.ends_idle_transactions()
    store.dispose()
    yield Finding("database", Status.OK, f"{scrub(settings.database)} is up to date")
    if not patient:
        detail = "keeps the locks of a process that froze or was cut off in a transaction"
        hint = "ALTER ROLE … SET idle_in_transaction_session_timeout = '15s' (docs/operations.md)"
        yield Finding("database", Status.WARN, detail, hint)


@_of_desk
def clock(settings: Settings, desk: Desk) -> Iterator[Finding]:
    """Whether this host's clock agrees with that of a database that several hosts may share."""
    if desk.store.sqlite:
        return
    from desk.flow import clocks

    ahead = clocks.offset(desk)
    if abs(ahead) > clocks.MOST_SECONDS:
        side = "ahead of" if ahead > 0 else "behind"
        detail = f"{abs(ahead):.1f} s {side} the database's"
        hint = "Keep the clocks of all hosts by NTP (timedatectl set-ntp true)"
        yield Finding("clock", Status.FAIL, detail, hint)
    else:
        yield Finding("clock", Status.OK, "agrees with the database's")


def redis(settings: Settings) -> Iterator[Finding]:
    from cli.redis_fit import check_redis, eviction, is_shared
    from desk import queues

    run = rundir.running(settings.data_dir)
    url = settings.redis_url or (run or {}).get("redis_url")
    if url is None:
        yield _embedded()
        return
    try:
        check_redis(str(url))
        policy = eviction(str(url))
        shared = is_shared(str(url))
    except CommandError as error:
        yield Finding("redis", Status.FAIL, str(error))
        return
    kind = "the server of REDIS_URL" if settings.redis_url else "the embedded server"
    yield Finding("redis", Status.OK, f"{kind} answers")
    if shared:
        yield Finding("redis", Status.FAIL, queues.SHARED, queues.OWN_NUMBER)
    if policy:
        detail = f"throws the queue's keys away when it is full (maxmemory-policy {policy})"
        yield Finding("redis", Status.WARN, detail, "Set maxmemory-policy noeviction")


def _embedded() -> Finding:
    from workers.embedded import EmbeddedRedisError, find_binary

    try:
        binary = find_binary()
    except EmbeddedRedisError as error:
        return Finding("redis", Status.FAIL, str(error))
    return Finding("redis", Status.OK, f"embedded, started by `frontdesk up` ({binary.name})")


def models(settings: Settings) -> Iterator[Finding]:
    from classifier import artifact, registry
    from classifier.artifact import ModelError

    folder = settings.models_dir
    try:
        serving = registry.champion(folder)
    except ModelError as error:
        yield Finding("models", Status.FAIL, str(error))
        return
    if serving is None:
        run = rundir.running(settings.data_dir)
        starting = run is not None and not run.get("ready")
        hint = "frontdesk up is training one" if starting else "frontdesk train (or frontdesk up)"
        yield Finding("models", Status.WARN, f"no champion in {folder}", hint)
    for version in registry.versions(folder):
        name = f"{version.name}{' (champion)' if version.is_champion else ''}"
        try:
            artifact.verify(version.path)
        except ModelError as error:
            way = "rollback" if version.is_champion else f"remove {version.name}"
            status = Status.FAIL if version.is_champion else Status.WARN
            yield Finding("models", status, str(error), f"frontdesk models {way}")
        else:
            yield Finding("models", Status.OK, f"{name} matches its manifest")
    if serving is not None and not (folder / serving).is_dir():
        detail = f"the champion {serving} is gone"
        yield Finding("models", Status.FAIL, detail, "frontdesk models promote VERSION")


def learnt(settings: Settings) -> Iterator[Finding]:
    """Whether the champion was trained on the intents of the pack as it stands now."""
    from classifier import artifact, registry
    from classifier.artifact import ModelError
    from classifier.data import DataError, read_examples
    from classifier.vocabulary import OUT_OF_SCOPE
    from desk.pack import PackError, load

    try:
        serving = registry.champion(settings.models_dir)
        if serving is None:
            return
        manifest = artifact.read_manifest(settings.models_dir / serving)
        found = load(settings.pack_dir)
        examples = read_examples(settings.pack_dir / "examples.jsonl")
    except (ModelError, PackError, DataError):
        return  # told by the other checks, and by validate
    hint = "frontdesk train --from-feedback"
    try:
        trained = set(manifest["data"]["intents"])
        left = trained.intersection(manifest["recipe"].get("never_answered", ()))
    except (AttributeError, KeyError, TypeError):
        detail = "the champion's manifest does not say what it was trained on"
        yield Finding("learnt", Status.WARN, detail, hint)
        return
    named = {example.intent for example in examples if example.intent is not None}
    # One that knows all that has examples is this pack's, however many intents have none yet.
    other = another_pack(found, manifest) if named - trained - OUT_OF_SCOPE else None
    if other is not None:
        yield Finding("learnt", Status.WARN, f"the champion {other[0]}", other[1])
        return
    for_people = set(found.never_answered())
    differences = {
        "has never seen the examples of": named - trained - OUT_OF_SCOPE,
        "never answers unasked what the pack would": left & found.intents.keys() - for_people,
        "was proved on answers that now go to people": trained & for_people - left,
    }
    for difference, intents in differences.items():
        if intents:
            detail = f"the champion {difference}: {', '.join(sorted(intents))}"
            yield Finding("learnt", Status.WARN, detail, hint)
    if not any(differences.values()):
        detail = "the champion was trained on the pack's intents that have examples"
        yield Finding("learnt", Status.OK, detail)


@_of_desk
def labels(settings: Settings, desk: Desk) -> Iterator[Finding]:
    """Whether people taught intents that the pack does not have (any more)."""
    from desk.flow import lessons

    left_out = lessons.left_out(desk)
    if left_out:
        named = ", ".join(f"{intent} ({count})" for intent, count in left_out.items())
        detail = f"{sum(left_out.values())} of intents that the pack does not have: {named}"
        hint = "Name each under `formerly` of the intent that it became (docs/packs.md)"
        yield Finding("labels", Status.WARN, detail, hint)


def telegram(settings: Settings) -> Iterator[Finding]:
    if settings.bot_token is None:
        yield _without_token(settings)
        return
    try:
        from cli.telegram import keeps_topics, telegram_problems

        problems = telegram_problems(settings)
    except ModuleNotFoundError as error:
        hint = f"pip install --editable {TELEGRAM}; a worker alone needs none"
        yield Finding("telegram", Status.WARN, f"{error.name} is not installed", hint)
        return
    except ImportError as error:
        hint = f"Install it anew: pip install --force-reinstall --editable {TELEGRAM}"
        yield Finding("telegram", Status.FAIL, f"installed, but can't be loaded: {error}", hint)
        return
    for problem in problems:
        yield Finding("telegram", Status.FAIL, problem)
    if settings.operator_chat_id is None:
        hint = "Write /id in your group with topics and set OPERATOR_CHAT_ID to the answer"
        yield Finding("telegram", Status.WARN, "no operators' chat: nobody can be called", hint)
    elif not problems:
        detail = "token, operators' chat, topics and rights are right"
        yield Finding("telegram", Status.OK, detail)
        if settings.retention_days is not None and keeps_topics(settings):
            detail = "RETENTION_DAYS erases customers, but their topics stay in the group"
            hint = "Give the bot the right “Delete messages” there"
            yield Finding("telegram", Status.WARN, detail, hint)
    if not problems:
        yield from _beside_the_chat(settings)


def _beside_the_chat(settings: Settings) -> Iterator[Finding]:
    """What of the bot itself is not as it should be, or works."""
    from cli.telegram import private_topics, webhook_problem

    if (wrong := private_topics(settings)) is not None:
        yield Finding("telegram", Status.WARN, *wrong)
    if settings.webhook_url is not None:
        undelivered = webhook_problem(settings)
        hint = "Look at certificate, proxy and firewall; a bot that runs sets it again by itself"
        if undelivered is not None:
            yield Finding("webhook", Status.WARN, undelivered, hint)
        else:
            yield Finding("webhook", Status.OK, "Telegram calls it")


def _without_token(settings: Settings) -> Finding:
    if _may_simulate(settings):
        return Finding("telegram", Status.OK, "no BOT_TOKEN: the simulator plays Telegram")
    return Finding("telegram", Status.OK, "no BOT_TOKEN here: Telegram was not looked at")


def _may_simulate(settings: Settings) -> bool:
    """Whether a simulator belongs to this desk, as far as can be told without a token: one with a
    server for its database is as a rule a worker's side of a real bot."""
    run = rundir.running(settings.data_dir) or {}
    return settings.database.startswith("sqlite") or run.get("mode") == "simulator"


def port(settings: Settings) -> Iterator[Finding]:
    from cli.simulated import Simulator, choose_port

    run = rundir.running(settings.data_dir)
    if run is not None and run.get("url"):
        url = str(run["url"])
        if Simulator(url).answers():
            yield Finding("simulator", Status.OK, f"answers at {url}/")
        else:
            yield Finding("simulator", Status.FAIL, f"does not answer at {url}/")
    elif run is None and settings.bot_token is None and _may_simulate(settings):
        try:
            choose_port(settings.simulator_port)
        except CommandError as error:
            yield Finding("simulator", Status.FAIL, str(error))
        else:
            yield Finding("simulator", Status.OK, f"port {settings.simulator_port} is free")


def metrics(settings: Settings) -> Iterator[Finding]:
    """Whether `frontdesk up` could have the ports of METRICS_PORT, where nothing of it runs."""
    from cli.ports import check_ports
    from desk import heartbeat

    ages = [heartbeat.age(settings.data_dir, name) for name in PROCESSES]
    alive = any(age is not None and age <= heartbeat.STALE_SECONDS for age in ages)
    if settings.metrics_port is None or alive or rundir.running(settings.data_dir) is not None:
        return
    try:
        check_ports(settings)
    except CommandError as error:
        # A process that is started alone needs the first of them only.
        yield Finding("metrics", Status.WARN, str(error), "`frontdesk up` will not start so")
    else:
        detail = f"port {settings.metrics_port} and the three that follow are free"
        yield Finding("metrics", Status.OK, detail)


def disk(settings: Settings) -> Iterator[Finding]:
    from desk import disks

    for name, folder in (("DATA_DIR", settings.data_dir), ("MODELS_DIR", settings.models_dir)):
        if not os.access(disks.nearest(folder), os.W_OK):
            # Whoever only serves may read the models alone, as in Compose.
            status = Status.FAIL if name == "DATA_DIR" else Status.WARN
            yield Finding("disk", status, f"{name} {folder} can't be written")
            continue
        free = disks.free(folder)
        status = Status.OK if free > LOW_DISK else Status.WARN
        status = Status.FAIL if free < VERY_LOW_DISK else status
        detail = f"{free / 1e9:.1f} GB free for {name} {folder}"
        if disks.in_memory(folder):
            detail += " (in memory)"
        yield Finding("disk", status, detail, "" if status is Status.OK else "Make room")


@_of_desk
def work(settings: Settings, desk: Desk) -> Iterator[Finding]:
    """What waits or was given up in the database."""
    from desk.flow import bans, delivering, intake, runs, watching

    parked = intake.parked(desk)
    hint = "frontdesk doctor --retry gives them another round"
    if parked:
        closing = f"{hint}; --dismiss ID closes what fails again"
        shown = ", ".join(f"{id_} ({_kind(error)})" for id_, _, error in parked[:SHOWN])
        detail = f"{len(parked)} parked: {shown}{', …' if len(parked) > SHOWN else ''}"
        yield Finding("updates", Status.WARN, detail, closing)
    else:
        yield Finding("updates", Status.OK, "none is parked")
    for bot_id, number in intake.stranded(desk):
        detail = f"{number} are left of the bot {bot_id}, which runs no longer: nobody handles them"
        hint = "Start it once more, with its BOT_TOKEN; else an erasure or RETENTION_DAYS ends them"
        yield Finding("updates", Status.WARN, detail, hint)
    late = watching.count_overdue(desk, settings.reply_deadline)
    if late:
        detail = f"{late} without a decision for more than {settings.reply_deadline:g} s"
        yield Finding("messages", Status.FAIL, detail, "Does the scheduler run? frontdesk up")
    else:
        yield Finding("messages", Status.OK, "none is late")
    refused = watching.unprocessable(desk)
    if refused:
        shown = ", ".join(map(str, refused[-SHOWN:]))
        detail = f"{len(refused)} at which the classifier failed went to a person: message {shown}"
        yield Finding("messages", Status.WARN, detail, "The log of inference says how it failed")
    counts = delivering.counts(desk)
    given_up, untold = counts["given_up"], counts["untold"]
    failed, waiting = counts.get("failed", 0) - given_up, counts.get("pending", 0)
    detail = f"{waiting} waiting, {failed} refused by Telegram, {counts['uncertain']} uncertain"
    if given_up:
        detail += f" ({given_up} given up after two tries that may have arrived: not retried)"
    if untold:
        detail += f"; {untold} of these were given up without a word to the operators"
    hints = [hint] if failed else []
    hints += ["The bot's log names them (delivery_failed, delivery.uncertain)"] if untold else []
    # Those given up of which the operators were told are no warning: it could never go away.
    yield Finding("deliveries", Status.WARN if hints else Status.OK, detail, ". ".join(hints))
    queued = runs.queued_before(desk, desk.clock() - LONGEST_QUEUED)
    if queued is not None:
        run, since = queued
        local = since.astimezone(ZoneInfo(desk.pack.hours.timezone))
        detail = f"training run {run} waits for a training worker since {local:%Y-%m-%d %H:%M %Z}"
        hint = "Start one, or run frontdesk train --from-feedback here"
        yield Finding("runs", Status.WARN, detail, hint)
    banned = bans.count_banned(desk)
    if banned:
        yield Finding("customers", Status.OK, f"{banned} banned: what they send meets silence")


@_of_desk
def waiting(settings: Settings, desk: Desk) -> Iterator[Finding]:
    """Who waits for a person."""
    from desk.flow import reminding

    count, since = reminding.waiting(desk)
    if since is None:
        yield Finding("waiting", Status.OK, "nobody waits for a person")
    else:
        local = since.astimezone(ZoneInfo(desk.pack.hours.timezone))
        detail = f"{count} for a person, the longest since {local:%Y-%m-%d %H:%M %Z}"
        if reminding.is_late(desk, since):
            promised = desk.pack.sla.first_reply_minutes
            detail += f": longer than sla.first_reply_minutes ({promised}), in opening hours"
            hint = "Answer or resolve them in the operators' group"
            yield Finding("waiting", Status.WARN, detail, hint)
        else:
            yield Finding("waiting", Status.OK, detail)


@_of_desk
def turns(settings: Settings, desk: Desk) -> Iterator[Finding]:
    """Who serves each bot and who is the scheduler, where several could."""
    from desk.flow import leases

    for name, holder, seconds in leases.held(desk):
        who = leases.describe(holder)
        detail = f"held by {who}" if seconds > 0 else f"free; {who} had it last"
        yield Finding(f"lease {name}", Status.OK, detail)


def _kind(error: str) -> str:
    """The type of a parked update's error. What follows it may quote the customer."""
    name = error.partition(":")[0]
    return name if name.isidentifier() else "unknown error"
