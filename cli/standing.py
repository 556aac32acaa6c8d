"""Since when and how a version serves, what the gate said of the others, and what waits for people:
for `models list`, and for `doctor`, whose operators' chat has told it once and never again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cli.compose import load_settings, open_desk
from cli.errors import CommandError
from cli.findings import Finding, Status

if TYPE_CHECKING:
    from desk.flow.desk import Desk
    from desk.flow.runs import Verdict
    from desk.settings import Settings


@dataclass(frozen=True, slots=True)
class Standing:
    """Of a models directory.

    `since` and `by` (`hand`, `run` or `rollback`) are of the champion, None where it was not
    promoted by a command or a run. `held` is since when a rollback keeps runs from promoting;
    `waiting` the newest version since the champion serves that passed the gate and was left to
    people. `verdicts` has the versions of runs, as far as the database knows them.
    """

    since: datetime | None = None
    by: str | None = None
    held: datetime | None = None
    waiting: str | None = None
    verdicts: dict[str, Verdict] = field(default_factory=dict)


def standing(models: Path, desk: Desk | None) -> Standing:
    """Raises `ModelError` where the directory can't be read. Without a desk no verdict is known."""
    from classifier import registry
    from desk.flow import runs

    serving, act = registry.champion(models), registry.last_act(models)
    terms = [entry for entry in registry.history(models) if entry["version"] == serving]
    since, by = (registry.promoted_at(models, terms[-1]), "run") if terms else (None, None)
    if act is not None and since is not None and act.at >= since:
        # Who promoted what serves already, after a rollback, decided on all that was there.
        since, by = act.at, "rollback" if act.kind == registry.ROLLBACK else "hand"
    names = [version.name for version in registry.versions(models)]
    found = runs.verdicts(desk, names) if desk is not None else {}
    waiting = [
        name
        for name, verdict in found.items()
        if verdict.waits and name != serving and (since is None or verdict.at > since)
    ]
    held = act.at if act is not None and act.kind == registry.ROLLBACK else None
    return Standing(since, by, held, max(waiting, default=None), found)


def promotion(settings: Settings) -> Iterator[Finding]:
    """Whether a rollback holds what runs make, or a version waits for people."""
    from classifier.artifact import ModelError

    desk = usable_desk(settings)
    try:
        found = standing(settings.models_dir, desk)
    except ModelError as error:
        yield Finding("promotion", Status.WARN, str(error))
        return
    finally:
        if desk is not None:
            desk.store.dispose()
    for detail, hint in told(found):
        yield Finding("promotion", Status.WARN, detail, hint)


def told(found: Standing) -> Iterator[tuple[str, str]]:
    """What is held or waits, each as (what, what to do about it)."""
    if found.held is not None:
        yield (
            f"since {moment(found.held)} (rollback) runs promote nothing",
            "frontdesk models promote VERSION ends that; of the one that serves, too",
        )
    if found.waiting is not None:
        what = found.waiting
        hint = f"frontdesk compare champion {what}, then frontdesk models promote {what}"
        yield f"{what} passed the gate and waits for you", f"{hint}, or remove {what}"


def moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def desk_of_verdicts() -> Desk | None:
    """The desk, whose runs say what the gate made of versions; None where there is none as yet.

    Raises `CommandError` where its settings, its pack or its database are not in order.
    """
    return _desk_there(load_settings())


def usable_desk(settings: Settings) -> Desk | None:
    """The desk, if database and pack are in order."""
    try:
        return _desk_there(settings)
    except CommandError:
        return None


def _desk_there(settings: Settings) -> Desk | None:
    file = settings.database_file
    return open_desk(settings) if file is None or file.exists() else None
