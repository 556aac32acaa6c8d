"""A directory of models: which versions there are, which one serves, and which served before.

    models/20261123-143000-ab12cd/   a version: its files and manifest.json
    models/champion                  a symbolic link to the version that serves
    models/candidate                 a symbolic link to the version that waits for the gate
    models/history.json              the champions so far, for rollback
    models/last_act.json             what was done last by hand: a promotion or a rollback

Pointers are symbolic links, replaced by rename: a path such as `models/champion` works in every
program, and a reader sees the old version or the new one. This module needs no torch.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from classifier import artifact
from classifier.artifact import ModelError

CHAMPION = "champion"
CANDIDATE = "candidate"
HISTORY = "history.json"
LAST_ACT = "last_act.json"
PROMOTION = "promotion"
ROLLBACK = "rollback"
STALE_SECONDS = 600.0
"""What is still half written after so long was left by a process that is dead."""
DAY_SECONDS = 86400.0
LOCK_SECONDS = 5.0
"""So long is waited for another process's change of the pointers."""
ANY = "any"
"""In the place of a version: whichever."""

_VERSION = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")


@dataclass(frozen=True, slots=True)
class Version:
    """A version in a models directory. `metrics` is its metrics.json."""

    name: str
    path: Path
    created: str
    metrics: dict[str, Any]
    is_champion: bool
    is_candidate: bool


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody did by hand: `PROMOTION` or `ROLLBACK`, and when (UTC)."""

    kind: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Return:
    """A rollback: to which version, past which champions whose folders are gone (latest first)."""

    version: str
    passed_over: tuple[str, ...]


def sweep(models: str | Path) -> None:
    """Remove what a training left that was killed while it wrote its files."""
    for partial in Path(models).glob(".*.partial"):
        with suppress(OSError):
            if time.time() - partial.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(partial)


def new_version_name(now: datetime | None = None) -> str:
    """A name such as `20261123-143000-ab12cd` (UTC): names sort by time, and none comes twice."""
    return f"{now or datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def resolve(directory: str | Path) -> Path:
    """The version directory behind a path that may be a pointer. Raises `ModelError`."""
    path = Path(directory)
    real = path.resolve()
    if not real.is_dir():
        pointer = " (a pointer to a version that is gone)" if path.is_symlink() else ""
        raise ModelError(
            f"{path}: there is no such model{pointer}; `frontdesk models list` shows what there is"
        )
    return real


def champion(models: str | Path) -> str | None:
    """The version that serves, or None. One readlink: cheap enough to ask between batches."""
    return _pointer(Path(models), CHAMPION)


def candidate(models: str | Path) -> str | None:
    """The version that waits for the gate, or None."""
    return _pointer(Path(models), CANDIDATE)


def set_candidate(models: str | Path, version: str | None) -> None:
    """Point `candidate` at a version, verified first, or at none. Raises `ModelError`."""
    models = Path(models)
    if version is None:
        (models / CANDIDATE).unlink(missing_ok=True)
        return
    artifact.verify(_directory(_existing(models), version))
    with _locked(models):
        # It may have been removed since.
        artifact.read_manifest(_directory(models, version))
        _point(models, CANDIDATE, version)


def promote(models: str | Path, version: str, instead_of: str | None = ANY) -> None:
    """Make a version the champion, by hand; it is verified first. Raises `ModelError`.

    It is refused where another version than `instead_of` (None: any at all) serves meanwhile.
    A candidate pointer at the same version is removed.
    """
    artifact.verify(_directory(_existing(models), version))
    set_champion(models, version, instead_of, by_hand=True)


def set_champion(
    models: str | Path, version: str, instead_of: str | None = ANY, *, by_hand: bool = False
) -> None:
    """What `promote` does with a version that its caller has verified. Raises `ModelError`.

    It takes an instant, but for `LOCK_SECONDS` at most where another process changes the pointers.
    """
    models = Path(models)
    with _locked(_existing(models)):
        # It may have been removed since.
        artifact.read_manifest(_directory(models, version))
        serving = champion(models)
        if serving != version:
            if instead_of not in (ANY, serving):
                raise ModelError(
                    f"{version} was compared with {instead_of or 'no champion'}, but meanwhile "
                    f"{serving or 'none'} serves; train again to compare with that"
                )
            entry = {"version": version, "promoted": datetime.now(UTC).isoformat("T", "seconds")}
            # History before pointer: after a crash between the two, rollback still finds its way,
            # since it looks for the serving version in the history and not for the last entry.
            _write_history(models, [*_history_to_champion(models), entry])
            _point(models, CHAMPION, version)
        if by_hand:
            _note_act(models, PROMOTION)
        if candidate(models) == version:
            (models / CANDIDATE).unlink(missing_ok=True)


def rollback(models: str | Path) -> Return:
    """Make the champion before this one the champion again, the last whose folder is there.

    Raises `ModelError` where there is none, it no longer verifies, or another process changes
    meanwhile what serves or served before.
    """
    models = _existing(models)
    serving = champion(models)
    previous = str(_earlier_champions(models)[0][-1]["version"])
    # It may take seconds, in which nobody else is to wait for the lock.
    try:
        artifact.verify(_directory(models, previous))
    except ModelError as error:
        raise ModelError(
            f"{error}. To go back further: frontdesk models remove {previous}, then roll back again"
        ) from error
    with _locked(models):
        past, gone = _earlier_champions(models)
        if (champion(models), past[-1]["version"]) != (serving, previous):
            raise ModelError(
                f"{models}: another process promoted, rolled back or removed a version meanwhile; "
                "see `frontdesk models list`, and roll back again if that is still wanted"
            )
        # The act before the pointer: a hold without a rollback does no harm, but after a rollback
        # without a hold the next run may promote the like of what was taken back.
        _note_act(models, ROLLBACK)
        _point(models, CHAMPION, previous)
        _write_history(models, past)
    return Return(previous, tuple(dict.fromkeys(gone)))


def last_act(models: str | Path) -> Act | None:
    """What was done last by hand with the champion, or None. Raises `ModelError`."""
    path = Path(models) / LAST_ACT
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Act(str(found["act"]), datetime.fromisoformat(found["at"]).astimezone(UTC))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path}: cannot be read ({error}); `frontdesk models promote` writes it anew"
        ) from error


def find_version(models: str | Path, version: str) -> Path:
    """The directory of a version that is there. Raises `ModelError` for any other."""
    directory = _directory(Path(models), version)
    if not directory.is_dir():
        raise ModelError(f"{directory}: there is no such version; see `frontdesk models list`")
    return directory


def check_removable(models: str | Path, version: str) -> Path:
    """The directory of a version that may be removed.

    Raises `ModelError` for the champion, the candidate, and what is no version here.
    """
    models = Path(models)
    directory = find_version(models, version)
    if version == champion(models):
        raise ModelError(f"{version} serves: promote another one first, or roll back")
    if version == candidate(models):
        raise ModelError(f"{version} waits for the gate; try again when its run is over")
    return directory


def remove(models: str | Path, version: str) -> None:
    """Delete a version; there is no way back to it then.

    Raises `ModelError` as `check_removable`. One that is killed in between leaves a rest that
    `sweep` removes.
    """
    models = _existing(models)
    rest = models / f".{version}.partial"
    try:
        with _locked(models):
            directory = check_removable(models, version)
            past = history(models)
            champions = [entry for entry in past if entry["version"] != version]
            # First, and only where it must: a full disk is when one removes. What is there and not
            # in the history does no harm.
            if champions != past:
                # Between two terms of one champion, nobody is left to go back to.
                terms = groupby(champions, itemgetter("version"))
                _write_history(models, [next(term) for _, term in terms])
            directory.rename(rest)
            os.utime(rest)  # or a training that begins now would sweep it, too
        shutil.rmtree(rest)
    except OSError as error:
        raise ModelError(f"{models / version}: could not be removed ({error.strerror})") from error


def superfluous(models: str | Path, keep: int, *, promoted_by_hand: bool = False) -> list[Version]:
    """Versions that nobody needs: not the last `keep` champions, the one that serves included, nor
    the candidate, nor one of the last day, which may be about to be promoted; nor, while the last
    act by hand is a rollback, or where people promote (`promoted_by_hand`), one made since the
    champion came to serve, which they may be about to look at. Oldest first.

    Raises `ModelError` where there is no such directory, and as `last_act`.
    """
    models = _existing(models)
    champions = [str(entry["version"]) for entry in history(models)]
    # Those to which a rollback could go.
    last = [version for version in champions if (models / version).is_dir()][-keep:]
    kept_since = time.time() - DAY_SECONDS
    act = last_act(models)
    if act is not None and act.kind == ROLLBACK:
        kept_since = min(kept_since, act.at.timestamp())
    elif promoted_by_hand and (past := history(models)):
        kept_since = min(kept_since, promoted_at(models, past[-1]).timestamp())
    return [
        version
        for version in versions(models)
        if not (version.is_champion or version.is_candidate)
        and version.name not in last
        # By when it was saved: a name is of when its training began.
        and version.path.stat().st_mtime < kept_since
    ]


def history(models: str | Path) -> list[dict[str, Any]]:
    """The champions so far, oldest first: `version` and `promoted` (ISO 8601, UTC)."""
    path = Path(models) / HISTORY
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read ({error})") from error
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("version"), str) for entry in entries
    ):
        raise ModelError(f"{path}: is not a list of champions")
    return entries


def promoted_at(models: str | Path, entry: dict[str, Any]) -> datetime:
    """When an entry of the history was promoted. Raises `ModelError` where it does not say: that is
    asked here alone, since a rollback needs it not, and must not fail for it."""
    try:
        return datetime.fromisoformat(entry["promoted"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError):
        raise ModelError(
            f"{Path(models) / HISTORY}: does not say when {entry['version']} was promoted"
        ) from None


def versions(models: str | Path) -> list[Version]:
    """All versions of a models directory, oldest first; unreadable ones have empty metrics."""
    models = Path(models)
    serving, waiting = champion(models), candidate(models)
    found = []
    for path in sorted(models.iterdir()) if models.is_dir() else []:
        if not _VERSION.fullmatch(path.name) or path.is_symlink():
            continue
        found.append(
            Version(
                name=path.name,
                path=path,
                created=str(artifact.read_json(path / artifact.MANIFEST).get("created", "")),
                metrics=artifact.read_json(path / "metrics.json"),
                is_champion=path.name == serving,
                is_candidate=path.name == waiting,
            )
        )
    return found


def _existing(models: str | Path) -> Path:
    models = Path(models)
    if not models.is_dir():
        raise ModelError(
            f"{models}: there is no such directory of models (MODELS_DIR); `frontdesk train` makes "
            "it with its first model"
        )
    return models


def _directory(models: Path, version: str) -> Path:
    if not _VERSION.fullmatch(version):
        raise ModelError(f"{version!r} is no version; `frontdesk models list` shows what there is")
    return models / version


def _pointer(models: Path, name: str) -> str | None:
    try:
        return (models / name).readlink().name
    except FileNotFoundError:
        if (models / artifact.MANIFEST).exists():
            raise ModelError(
                f"{models}: is itself a model; set MODELS_DIR to the directory that holds it"
            ) from None
        return None
    except NotADirectoryError:
        raise ModelError(f"{models}: is not a directory of models; set MODELS_DIR to one") from None
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise ModelError(f"{models / name}: is not a pointer; move it away") from error
        raise ModelError(f"{models / name}: cannot be read ({error.strerror})") from error


def _point(models: Path, name: str, version: str) -> None:
    temporary = models / f".{name}.{secrets.token_hex(4)}"
    try:
        # Relative, so that the whole models directory can be moved or mounted elsewhere.
        temporary.symlink_to(version)
        temporary.replace(models / name)
        artifact.sync(models)
    except OSError as error:
        raise ModelError(f"{models / name}: could not be set ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True)


def _history_to_champion(models: Path) -> list[dict[str, Any]]:
    """The history up to the version that serves now; all of it where somebody else chose that."""
    entries, serving = history(models), champion(models)
    if any(entry["version"] == serving for entry in entries):
        while entries[-1]["version"] != serving:
            entries.pop()
    return entries


def _earlier_champions(models: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The history before the term of the version that serves, up to the last champion whose folder
    is there, and those after it whose folders are gone. Raises `ModelError` where none is left."""
    past, serving = _history_to_champion(models), champion(models)
    gone: list[str] = []
    while past:
        version = str(past[-1]["version"])
        if version != serving:
            if (models / version).is_dir():
                return past, gone
            gone.append(version)
        past.pop()
    raise ModelError(f"{models}: there is no earlier champion to go back to")


def _note_act(models: Path, kind: str) -> None:
    _replace(models, LAST_ACT, {"act": kind, "at": datetime.now(UTC).isoformat()})


def _write_history(models: Path, entries: list[dict[str, Any]]) -> None:
    _replace(models, HISTORY, entries)


def _replace(models: Path, name: str, value: Any) -> None:
    temporary = models / f".{name}.{secrets.token_hex(4)}"
    try:
        artifact.write(temporary, artifact.as_json(value))
        temporary.replace(models / name)
    except OSError as error:
        raise ModelError(f"{models / name}: could not be saved ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(models: Path) -> Iterator[None]:
    """One change of the pointers at a time, across processes; the lock dies with its holder.

    Raises `ModelError` where another has it for `LOCK_SECONDS`: a database waits, maybe.
    """
    deadline = time.monotonic() + LOCK_SECONDS
    with (models / ".lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ModelError(
                        f"{models}: another process has been changing which version serves for "
                        f"{LOCK_SECONDS:.0f} s; try again when it is done"
                    ) from None
            time.sleep(0.02)
        yield
