"""`frontdesk up`: everything on one machine, under one supervisor."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import dotenv, rundir
from cli.another_pack import another_pack
from cli.compose import load_pack, open_store, read_settings
from cli.erased import after_migration
from cli.errors import CommandError, MisconfiguredError
from cli.ports import check_ports
from cli.processes import PROCESSES
from cli.redis_fit import check_redis, ping_redis
from cli.screen import escape, notices, results
from cli.simulated import HOST, Simulator, begin_anew, choose_port, register_staff
from cli.supervisor import (
    GRACE,
    WATCHMAN,
    Child,
    NotReadyError,
    Stage,
    StopRequestedError,
    Supervisor,
)

if TYPE_CHECKING:
    from desk.flow.desk import Desk
    from desk.pack import Pack
    from desk.settings import Settings
    from workers.embedded import EmbeddedRedis

READY_TIMEOUT = 90.0
MODEL_TIMEOUT = 90.0
"""So long is waited for the model before the desk goes on without."""
ROOT = Path(__file__).parents[1]
INFERENCE = "inference"
"""Starts when there is a model: it is ready when it can answer."""
TRAINING = "training"
"""Starts last: no message waits for it, and loading its libraries would slow down the others."""
AFTER_TRAINING = (INFERENCE, TRAINING)
STARTER = "starter"
"""The command that trains the starter model."""
TRAINS_STARTER = (
    "training the starter model (once; five to ten minutes on two cores, or fifteen to thirty "
    "without bf16)"
)


def up(
    port: Annotated[
        int | None,
        typer.Option(help="Port of the simulator's page (default: SIMULATOR_PORT)."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing unless it fails.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow-parent", hidden=True, help="Stop when the caller ends.")
    ] = False,
) -> None:
    """Start everything and keep it running: Redis, database, model, Telegram, bot, workers.

    Without BOT_TOKEN a simulated Telegram runs on a page of this machine. The first start trains
    the starter model. Ctrl-C stops it all and loses no message.
    """
    with dotenv.told_beside_an_error(by_up=True):
        settings = read_settings() if port is None else read_settings(simulator_port=port)
        pack = load_pack(settings)
        _check_together(settings)
    lock = rundir.take_lock(settings.data_dir)
    run = Run(settings, pack, quiet)
    run.supervisor.parent = os.getppid() if follow else None
    try:
        run.begin()
        run.supervisor.run()
    except StopRequestedError:
        # It may take as long as GRACE; who sees nothing presses again, which is the hard way.
        run.say("Stopping … (a second Ctrl-C kills what is still at work)")
    finally:
        run.end()
        os.close(lock)
    run.say("Stopped.")


class Run:
    """One life of `frontdesk up`."""

    def __init__(self, settings: Settings, pack: Pack, quiet: bool) -> None:
        self.settings = settings
        self.pack = pack
        self.quiet = quiet
        self.console = results()
        self.data_dir = settings.data_dir
        self.simulated = settings.bot_token is None
        self.redis: EmbeddedRedis | None = None
        self.problem: str | None = None
        """Why no model serves, where that is known."""
        self.supervisor = Supervisor(self.data_dir / "logs", self._tell, self._write_state)
        self.supervisor.stop_on_signals()
        self.state: dict[str, Any] = {
            "pid": os.getpid(),
            "ready": False,
            "mode": "simulator" if self.simulated else "telegram",
            "pack": str(settings.pack_dir),
        }
        if (file := settings.database_file) is not None:
            from desk.settings import sqlite_url

            # Other verbs may run in another folder.
            self.state["database"] = sqlite_url(file.resolve())

    def begin(self) -> None:
        """Bring everything up, in the order in which one thing needs the other."""
        started = time.monotonic()
        self.say(f"[bold]Frontdesk[/] · {escape(self.pack.title)}")
        rundir.await_watchman(
            self.data_dir,
            sum(GRACE.values()) + 1,
            lambda: self._tell("waiting", "a run that was killed ends what it is at", False),
            self.supervisor.check_stop,
        )
        leftovers = rundir.end_leftovers(self.data_dir)
        if leftovers:
            self._tell("cleaned up", f"{', '.join(leftovers)} of a run that was killed", True)
        for detail, hint in dotenv.unread(by_up=True):
            self._tell("settings", f"{detail}. {hint}", False)
        self._write_state()
        check_ports(self.settings)
        port = choose_port(self.settings.simulator_port) if self.simulated else 0
        desk = self._open_desk()
        if not self.simulated:
            from cli.telegram import check_telegram

            check_telegram(self.settings, desk)
        trained = self._has_champion()
        redis_url = self._start_redis()
        environment = self._environment(redis_url, port)
        children = []
        if self.simulated:
            children.append(self._start_simulator(desk, port))
        names = [name for name in PROCESSES if name not in AFTER_TRAINING]
        children += [self._start_process(name, environment) for name in names]
        if not trained:
            # Nobody is met with silence for the minutes of a training: without a model, people get
            # each message, as whenever a prediction is late.
            self.supervisor.wait_ready(children, READY_TIMEOUT)
            what = "The bot works"
            if self.simulated:
                what = f"[bold cyan]{self.state['url']}/[/] is open"
            if self._calls_nobody():
                self.say(f"  {what} already: until there is a model, it can only keep messages")
                self._say_how_to_be_called()
            else:
                self.say(f"  {what} already: until there is a model, people get each message")
            self._train_starter(environment)
        inference = self._start_process(INFERENCE, environment)
        self.supervisor.wait_ready(children, READY_TIMEOUT)
        self._wait_for_model(inference)
        self._start_process(TRAINING, environment)
        self.state["ready"] = True
        self._write_state()
        self._say_where(time.monotonic() - started)

    def end(self) -> None:
        self.supervisor.stop()
        if self.redis is not None:
            self.redis.close()
        rundir.remove(self.data_dir)

    def say(self, line: str) -> None:
        if self.quiet:
            return
        try:
            self.console.print(line)
        except (OSError, SystemExit):  # the latter is rich's answer to a closed pipe
            # A terminal that is gone must not end what runs; the console would repeat the line.
            self.console = results()

    def _tell(self, name: str, what: str, good: bool) -> None:
        self.say(f"  [{'green' if good else 'yellow'}]●[/] {name:<10} {escape(what)}")

    def _write_state(self) -> None:
        self.state["children"] = {
            child.name: {
                "pid": child.pid,
                "command": " ".join(child.argv),
                "ready": child.is_ready and child.pid is not None,
                "restarts": child.restarts,
                "started": child.started,
            }
            for child in self.supervisor.known()
        }
        if (watchman := self.supervisor.watchman) is not None:
            self.state["watchman"] = {"pid": watchman.pid, "command": " ".join(WATCHMAN)}
        # A full disk must not end what runs; others read an older state meanwhile.
        with suppress(OSError):
            rundir.write(self.data_dir, self.state)

    def _start_redis(self) -> str:
        if self.settings.redis_url is not None:
            check_redis(self.settings.redis_url)
            return self.settings.redis_url
        from workers import embedded

        directory = self.data_dir / "redis"
        try:
            self.redis = embedded.prepare(directory)
        except embedded.AlreadyRunningError as error:
            # DATA_DIR is ours alone, so this server is what a killed run left.
            self._tell("cleaned up", "a Redis server of a run that was killed", True)
            self.redis = _take_over_redis(directory, error.url)
        server = self.redis
        child = Child(
            "redis",
            list(server.argv),
            os.environ,
            Stage.REDIS,
            ready=lambda _: _pings(server.url),
            pass_fds=server.pass_fds,
        )
        self.state["redis_url"] = server.url
        self.supervisor.start(child)
        embedded.wait_until_ready(server, child.process)
        self.supervisor.wait_ready([child], READY_TIMEOUT)
        return server.url

    def _open_desk(self) -> Desk:
        from desk.flow.desk import Desk
        from simulator.world import OPERATORS_CHAT

        store = open_store(self.settings)
        store.migrate()
        after_migration(store, self.settings)
        chat_id = OPERATORS_CHAT if self.simulated else self.settings.operator_chat_id
        return Desk(store, self.pack, chat_id)

    def _environment(self, redis_url: str, port: int) -> dict[str, str]:
        """What the children are told: the settings in force, not those they might find."""
        chosen = {
            "REDIS_URL": redis_url,
            "DATABASE_URL": self.settings.database,
            "DATA_DIR": str(self.settings.data_dir),
            "MODELS_DIR": str(self.settings.models_dir),
            "PACK": str(self.settings.pack_dir.resolve()),
            "PYTHONPATH": _search_path(),
        }
        if self.simulated:
            from simulator.world import DEFAULT_TOKEN, OPERATORS_CHAT

            self.state["url"] = f"http://{HOST}:{port}"
            chosen |= {
                "BOT_TOKEN": DEFAULT_TOKEN,
                "OPERATOR_CHAT_ID": str(OPERATORS_CHAT),
                "TELEGRAM_API_URL": str(self.state["url"]),
                "SIMULATOR_PORT": str(port),
            }
        return {**os.environ, **chosen}

    def _has_champion(self) -> bool:
        """Whether there is a model to serve; where it is damaged, `problem` says so.

        Raises `CommandError` for such a one where nobody could be called meanwhile.
        """
        from classifier import artifact, registry

        try:
            serving = registry.champion(self.settings.models_dir)
            if serving is None:
                return False
            artifact.verify(self.settings.models_dir / serving)
        except artifact.ModelError as error:
            self.problem = (
                f"The champion can't serve: {error}. Run `frontdesk models rollback` or "
                f"`frontdesk models promote VERSION`; or delete {self.settings.models_dir}/"
                "champion, and the next start trains the starter model anew."
            )
            if self._calls_nobody():
                raise CommandError(self.problem) from None
            return True
        self._tell("model", serving, True)
        self._warn_of_another_pack(serving)
        return True

    def _train_starter(self, environment: dict[str, str]) -> None:
        from classifier import registry

        self._tell("model", f"none yet: {TRAINS_STARTER}", False)
        command = [sys.executable, "-m", "cli", "train", *(["--quiet"] if self.quiet else [])]
        status = self.supervisor.run_once(command, environment, STARTER)
        if status:
            raise CommandError("The starter model could not be trained; the reason stands above.")
        self._tell("model", str(registry.champion(self.settings.models_dir)), True)

    def _calls_nobody(self) -> bool:
        """Whether there are no operators who could answer while no model does."""
        return not self.simulated and self.settings.operator_chat_id is None

    def _wait_for_model(self, inference: Child) -> None:
        """Wait until the model serves, but not for one that can't: people can answer meanwhile."""
        if self.problem is None:
            try:
                self.supervisor.wait_ready([inference], MODEL_TIMEOUT)
                return
            except NotReadyError as error:
                if self._calls_nobody():
                    raise
                self.problem = str(error)
        # Said where nothing else is, too: it is a failure.
        with suppress(OSError, SystemExit):
            notices().print(
                f"No model serves. {self.problem}\nAll else works: people get each message until "
                "one serves, and a worker looks for it all the time.",
                style="bold yellow",
                markup=False,
            )

    def _warn_of_another_pack(self, serving: str) -> None:
        from classifier import artifact

        manifest = artifact.read_manifest(self.settings.models_dir / serving)
        # Where the manifest does not say, `doctor` tells.
        if found := another_pack(self.pack, manifest):
            what, do = found
            self._tell("model", f"{what}. {do}.", False)

    def _start_simulator(self, desk: Desk, port: int) -> Child:
        simulator = Simulator(f"http://{HOST}:{port}")
        from simulator.world import DEFAULT_TOKEN

        bot_id = int(DEFAULT_TOKEN.partition(":")[0])
        register_staff(desk)
        child = Child(
            "simulator",
            [
                *(sys.executable, "-m", "simulator", "--port", str(port)),
                *("--state", str(self.data_dir / "simulator.json")),
            ],
            {**os.environ, "PYTHONPATH": _search_path()},
            Stage.BOT,
            ready=lambda _: simulator.answers(),
            on_ready=lambda: begin_anew(desk, simulator, bot_id),
        )
        self.supervisor.start(child)
        self.supervisor.wait_ready([child], READY_TIMEOUT)
        return child

    def _start_process(self, name: str, environment: dict[str, str]) -> Child:
        arguments = [name] if name == "bot" else ["worker", name]
        if self.settings.metrics_port is not None:
            port = self.settings.metrics_port + PROCESSES.index(name)
            environment = {**environment, "METRICS_PORT": str(port)}
        child = Child(
            name,
            [sys.executable, "-m", "cli", *arguments],
            environment,
            Stage.BOT if name == "bot" else Stage.WORKERS,
            ready=_beats(self.data_dir, name),
        )
        if name == TRAINING:
            # It ends its run first, which takes minutes: what is usual must not look like a fault.
            child.when_killed = "killed; if it was training, that run begins anew at the next start"
        self.supervisor.start(child)
        return child

    def _say_where(self, seconds: float) -> None:
        ready = "[bold green]Ready[/]"
        if self.problem is not None:
            ready = "[bold yellow]Ready but for the model[/]"
        self.say(f"\n{ready} in {seconds:.1f} s")
        if self.simulated:
            url = str(self.state["url"])
            if not Simulator(url).shows_page():
                raise CommandError(f"The page at {url}/ does not open. See {self.data_dir}/logs.")
            self.say(f"  Open [bold cyan]{url}/[/] – customer on the left, operators on the right")
            words = escape(quoted(first_question(self.pack)))
            self.say(f"  Or ask from here: [bold]frontdesk chat {words}[/]")
        else:
            self.say("  Write to your bot in Telegram; operators are called in their group.")
            if self._calls_nobody():
                self._say_how_to_be_called()
        logs = escape(str(self.data_dir / "logs"))
        self.say(f"  Logs in {logs} · Ctrl-C stops everything\n")

    def _say_how_to_be_called(self) -> None:
        self.say(
            "  [bold yellow]Nobody can be called yet:[/] OPERATOR_CHAT_ID is not set. Add the bot "
            "to your group with topics,\n  write /id there, set OPERATOR_CHAT_ID to what it "
            "answers and start again."
        )


def first_question(pack: Pack) -> str:
    """What to try a desk with: a topic that the bot itself answers, where there is one."""
    topics = [*pack.menu, *pack.intents]
    people = pack.never_answered()
    answered = (
        name for name in topics if pack.intents[name].answer is not None and name not in people
    )
    return pack.intents[next(answered, topics[0])].title[pack.languages[0]]


def quoted(words: str) -> str:
    """Words as a shell takes them, with an apostrophe as people write it."""
    return f'"{words}"' if "'" in words and not set(words) & set('"$`\\!') else shlex.quote(words)


def _check_together(settings: Settings) -> None:
    """Settings that are right one by one and wrong together."""
    if settings.bot_token is not None:
        return
    for name in ("telegram_api_url", "webhook_url"):
        if getattr(settings, name) is not None:
            raise MisconfiguredError(
                f"{name.upper()} is set but BOT_TOKEN is not. Set BOT_TOKEN to the token from "
                f"@BotFather, or unset {name.upper()} to use the simulator."
            )


def _beats(data_dir: Path, name: str) -> Callable[[Child], bool]:
    from desk import heartbeat

    def ready(child: Child) -> bool:
        age = heartbeat.age(data_dir, name)
        return age is not None and time.time() - age > child.started

    return ready


def _pings(url: str) -> bool:
    try:
        ping_redis(url)
    except CommandError:
        return False
    return True


def _take_over_redis(directory: Path, url: str) -> EmbeddedRedis:
    import redis

    from workers import embedded

    with suppress(redis.exceptions.RedisError):  # it answers with its end
        redis.Redis.from_url(url, socket_timeout=3).shutdown(nosave=True)
    deadline = time.monotonic() + 5
    while True:
        try:
            return embedded.prepare(directory)
        except embedded.AlreadyRunningError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _search_path() -> str:
    """Children find our packages wherever this command was started."""
    known = os.environ.get("PYTHONPATH", "")
    return f"{ROOT}{os.pathsep}{known}" if known else str(ROOT)
