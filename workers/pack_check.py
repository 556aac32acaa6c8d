"""Whether a pack, as it stands in its folder now, is the one that the desk runs with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from classifier.data import DataError, Example, read_placed
from classifier.vocabulary import OUT_OF_SCOPE
from desk import pack as packs
from desk.domain import DeskError
from desk.pack import Pack

SHOWN = 5
"""Intents that an error names; what a run failed with is kept in 500 characters."""


def check_pack(running: Pack, folder: Path) -> None:
    """Raise where a model of the pack's files would know intents that the desk does not.

    The files of examples are read for each training, pack.yml once, when a process starts: so a
    pack that is edited meanwhile would teach what no bot has an answer to. `DeskError` where its
    intents have changed since, `PackError` where it can't be read, and `DataError` for examples of
    intents that it lacks, or as `check_out_of_scope`.
    """
    now = packs.load(folder)
    changed = {
        "added": now.intents.keys() - running.intents.keys(),
        "gone": running.intents.keys() - now.intents.keys(),
    }
    told = "; ".join(f"{how}: {_few(sorted(names))}" for how, names in changed.items() if names)
    if told:
        raise DeskError(
            f"Restart Frontdesk, then train again (/retrain): the intents of {folder} have "
            f"changed since it started ({told})"
        )
    known = now.intents.keys() | OUT_OF_SCOPE
    first: dict[str, str] = {}
    for name in ("examples.jsonl", "test.jsonl"):
        rows = read_placed(folder / name)
        check_out_of_scope(now, rows)
        for where, example in rows:
            if example.intent is not None and example.intent not in known:
                first.setdefault(example.intent, where)
    if first:
        places = _few(f"{intent} ({where})" for intent, where in first.items())
        raise DataError(
            "Texts of the pack have intents that its pack.yml lacks: add them there or label the "
            f"texts anew, restart Frontdesk, then train again (/retrain): {places}"
        )


def check_out_of_scope(pack: Pack, rows: Iterable[tuple[str, Example]]) -> None:
    """Raise `DataError` for rows of the pack, each after its place, with the name of out of scope
    that it does not have: its rules would not know the intent that a model learns from them."""
    own = pack.policy.out_of_scope
    others = [f"{e.intent} ({where})" for where, e in rows if e.intent in OUT_OF_SCOPE - {own}]
    if others:
        raise DataError(
            f"pack.yml says {own} for what is out of scope, and texts of the pack have the other "
            f"name: label them {own}, then train again (/retrain): {_few(others)}"
        )


def _few(names: Iterable[str]) -> str:
    named = list(names)
    return ", ".join(named[:SHOWN]) + (", …" if named[SHOWN:] else "")
