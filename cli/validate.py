"""`frontdesk validate`: what is wrong with a pack, or with a file of examples, and mending it."""

from __future__ import annotations

import importlib.util
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.compose import load_settings
from cli.errors import FAILED, CommandError, MisconfiguredError
from cli.screen import JsonOption, notices, print_json, results

if TYPE_CHECKING:
    from classifier.arrays import Float64
    from desk.settings import Settings
    from desk.validation import Change, Checked, Finding
    from desk.validation.rows import DataFile, Row

FEWEST = 5
"""Examples that an intent needs to be looked at by a model: one for each fold."""
EXAMPLES_SHOWN = 2
LEAST_ACCURACY = 0.5
"""Where the model is wrong more often than right, what it doubts says nothing of the labels."""


def validate(
    target: Annotated[
        Path | None,
        typer.Argument(
            help="A pack's folder, or a file of examples, JSONL or CSV (default: PACK).",
            metavar="[PACK|FILE]",
        ),
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="With a file: one of tests, to be kept apart from it.")
    ] = None,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Mend what is safe: repeats, garbled characters, spaces, line ends, training rows "
            "that are in the test. Labels are left to you.",
        ),
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out what needs a model: it takes seconds.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Check a pack, or a file of examples.

    Answers, buttons and rules; repeats, texts under two labels, garbled characters, intents that
    are too small or too alike, labels that look wrong, and test texts that are trained on. The
    exit code is 1 where there are errors; warnings don't count.
    """
    from desk.validation import Mending

    settings = load_settings()
    place = target or settings.pack_dir
    checked = _check(place, test)
    mending = Mending(*checked.files)
    if fix:
        try:
            mending.write()
        except OSError as error:
            raise CommandError(f"{place} can't be mended: {error}") from None
        checked = _check(place, test)
    skipped = "--quick was given" if quick else _ask_model(checked, settings)
    if skipped and not quick:
        notices().print(
            f"Not looked for: labels that look wrong, and intents that are too alike ({skipped}).",
            markup=False,
        )
    _report(place, checked, mending.changes, fix, skipped, json_)


def _check(place: Path, test: Path | None) -> Checked:
    from desk.validation import check_files, check_pack

    if {".yml", ".yaml"} & {file.suffix.lower() for file in (place, test) if file is not None}:
        raise MisconfiguredError(
            "validate takes a pack's folder, or a file of examples in JSONL or CSV. Of Rasa's "
            "nlu.yml `frontdesk export` makes one."
        )
    if place.is_file() or place.suffix.lower() in {".jsonl", ".csv"}:
        checked = check_files(place, test)
    elif test is None:
        checked = check_pack(place)
    else:
        raise MisconfiguredError(f"{place} is a pack and has its own test.jsonl: leave out --test.")
    paths = [data.path for data in checked.files if data.path.exists()]
    if len(paths) > 1 and paths[0].samefile(paths[1]):
        raise MisconfiguredError(f"{paths[0]} and {paths[1]} are the same file; name another test.")
    return checked


def _ask_model(checked: Checked, settings: Settings) -> str | None:
    """Add what a model finds to the findings; returns why it was not asked, where it was not."""
    if any(importlib.util.find_spec(name) is None for name in ("torch", "numpy", "tokenizers")):
        return "torch is not installed here"
    rows = [(data, row) for data in checked.files for row in data.rows if row.intent]
    counts = Counter(row.intent for _, row in rows)
    rows = [(data, row) for data, row in rows if counts[row.intent] >= FEWEST]
    if len({row.intent for _, row in rows}) < 2:
        return f"that takes two intents with {FEWEST} examples each"
    notices().print("Looking for labels that look wrong, and intents that are too alike …")
    from classifier.base import BaseModelError
    from classifier.data import DataError, Example
    from classifier.probe import out_of_fold

    try:
        intents, probabilities = out_of_fold(
            [Example(row.text, row.intent) for _, row in rows],
            base=settings.base_model,
            device=settings.device,
        )
    except (BaseModelError, DataError) as error:
        return str(error)
    except ValueError as error:  # the device is not there
        raise MisconfiguredError(str(error)) from None
    return _doubt(checked, rows, intents, probabilities)


def _doubt(
    checked: Checked,
    rows: list[tuple[DataFile, Row]],
    intents: tuple[str, ...],
    probabilities: Float64,
) -> str | None:
    import numpy as np

    from classifier.label_errors import alike, label_errors
    from classifier.vocabulary import OUT_OF_SCOPE
    from desk.validation import Kind

    given = np.array([intents.index(row.intent or "") for _, row in rows])
    right = float(np.mean(probabilities.argmax(axis=1) == given))
    if right < LEAST_ACCURACY:
        return f"the base model tells only {right:.0%} of the texts' intents"
    for suspect in label_errors(probabilities, given):
        data, row = rows[suspect.row]
        data.warn(
            Kind.LABEL_ERROR,
            row.line,
            f"{row.text!r} is labelled {row.intent}, but looks like {intents[suspect.suggested]} "
            f"({suspect.suggested_probability:.0%}); is the label right?",
        )
    for pair in alike(probabilities, given):
        one, other = intents[pair.one], intents[pair.other]
        if {one, other} & OUT_OF_SCOPE:
            continue  # it is the rest of the world: no description tells it from all else
        shown = [rows[number] for number in pair.rows[:EXAMPLES_SHOWN]]
        texts = " and ".join(f"{r.text!r} ({r.intent}, {d.name}:{r.line})" for d, r in shown)
        checked.train.warn(
            Kind.ALIKE,
            None,
            f"intents {one} and {other} are hard to tell apart: {pair.share:.0%} of their texts "
            f"are taken for the other, such as {texts}; sharpen their descriptions and label "
            "these texts by them, or make the two one",
        )
    return None


def _report(
    place: Path,
    checked: Checked,
    changes: list[Change],
    fixed: bool,
    skipped: str | None,
    json_: bool,
) -> None:
    findings = checked.findings
    errors = sum(str(finding.severity) == "error" for finding in findings)
    if json_:
        print_json(
            {
                "ok": not errors,
                "pack" if place.is_dir() else "data": str(place),
                "findings": [_plain(finding) for finding in findings],
                "fixed" if fixed else "fixable": [_plain(change) for change in changes],
                "skipped": skipped,
            }
        )
    else:
        console = results()
        for change in changes if fixed else ():
            console.print("[green]fixed[/] ", end="")
            console.print(str(change), markup=False)
        for finding in findings:
            at = f"{finding.file}:{finding.line}" if finding.line else finding.file
            colour = "red" if str(finding.severity) == "error" else "yellow"
            console.print(f"[{colour}]{finding.severity}[/] ", end="")
            console.print(f"{at}: {finding.message}", markup=False)
        verdict = f"{errors} errors, {len(findings) - errors} warnings" if findings else "clean"
        if changes:
            verdict += f", {len(changes)} changes made" if fixed else ""
        console.print(f"{place}: {verdict}", markup=False)
        if changes and not fixed:
            console.print(f"--fix would make {len(changes)} changes that decide nothing.")
    if errors:
        raise typer.Exit(FAILED)


def _plain(record: Finding | Change) -> dict[str, Any]:
    plain = asdict(record)
    return {k: v if v is None or isinstance(v, int) else str(v) for k, v in plain.items()}
