"""`frontdesk validate`: what is wrong with a pack, or with a file of examples, and mending it."""

from __future__ import annotations

import importlib.util
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.compose import read_model_settings
from cli.errors import FAILED, CommandError, MisconfiguredError
from cli.options import named_pack
from cli.screen import JsonOption, notices, print_json, results, shown

if TYPE_CHECKING:
    from classifier.arrays import Float64
    from classifier.label_errors import Alike
    from desk.settings import ModelSettings
    from desk.validation import Change, Checked, Finding
    from desk.validation.rows import DataFile, Row

FEWEST = 5
"""Examples that a label needs to be looked at by a model: one for each fold."""
EXAMPLES_SHOWN = 2
LEAST_ACCURACY = 0.5
"""Where the model is wrong more often than right, what it doubts says nothing of the labels."""
SENTIMENTS_DOUBTED = 0.01
"""The most sentiments that are doubted, of all: where one ends and the next begins is a matter of
taste, and of 10,086 tweets to airlines label_errors doubts 703."""
LOOKED_FOR = {
    "intent": "intents that look wrong or are too alike",
    "sentiment": "sentiments that look wrong",
}


def validate(
    target: Annotated[
        Path | None,
        typer.Argument(
            help="A pack's folder, or a file of examples, JSONL, CSV or nlu.yml (default: PACK).",
            metavar="[PACK|FILE]",
            parser=named_pack,
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

    Answers, buttons and rules; repeats, texts under two labels, garbled characters, labels that
    have few examples or look wrong, intents that are too alike, and test texts that are trained
    on. The exit code is 1 where there are errors; warnings don't count.
    """
    from desk.validation import Mending

    settings = read_model_settings()
    place = settings.pack_dir if target is None else target
    if target is not None:
        _refuse_no_pack(place)
    if test is not None:
        _refuse_missing(test)
    if fix:
        _refuse_streams(place, test)
    checked = _check(place, test)
    mending = Mending(*checked.files)
    if fix and any(data.nlu for data in checked.files):
        raise MisconfiguredError(
            "--fix mends JSONL and CSV, not Rasa's nlu.yml: leave it out, and mend by hand what is "
            "told. `frontdesk export NAME.jsonl --from FILE.yml --format jsonl` writes it as JSONL."
        )
    if fix:
        try:
            mending.write()
        except OSError as error:
            raise CommandError(f"{place} can't be mended: {error}") from None
        checked = _check(place, test)
    reasons = {} if quick else _ask_model(checked, settings)
    for kind, reason in reasons.items():
        notices().print(f"Not looked for: {LOOKED_FOR[kind]} ({reason}).", markup=False)
    skipped = "--quick was given" if quick else "; ".join(dict.fromkeys(reasons.values())) or None
    _report(place, checked, mending.changes, fix, skipped, json_)


def _refuse_no_pack(target: Path) -> None:
    _refuse_missing(target)
    within = [str(path.parent) for path in sorted(target.glob("*/pack.yml"))]
    if within and not (target / "pack.yml").exists():
        raise MisconfiguredError(
            f"{target} is no pack, but holds some: name {' or '.join(within)}."
        )


def _refuse_missing(path: Path) -> None:
    if not path.exists():
        what = "file" if path.suffix else "folder; name a pack's, such as packs/retail, or a file"
        raise MisconfiguredError(f"{path}: there is no such {what} of examples.")


def _refuse_streams(*paths: Path | None) -> None:
    """What can be read once only can't be mended: mending reads a second time and writes."""
    for path in paths:
        if path is not None and path.exists() and not path.is_file() and not path.is_dir():
            raise MisconfiguredError(
                f"{path} is a pipe or a device, which can't be mended: leave out --fix, or save "
                "it as a file."
            )


def _check(place: Path, test: Path | None) -> Checked:
    from desk.validation import check_files, check_pack

    if not place.is_dir() and (place.exists() or place.suffix):
        checked = check_files(place, test)
    elif test is None:
        checked = check_pack(place)
    else:
        raise MisconfiguredError(f"{place} is a pack and has its own test.jsonl: leave out --test.")
    paths = [data.path for data in checked.files if data.path.exists()]
    if len(paths) > 1 and paths[0].samefile(paths[1]):
        raise MisconfiguredError(f"{paths[0]} and {paths[1]} are the same file; name another test.")
    return checked


def _ask_model(checked: Checked, settings: ModelSettings) -> dict[str, str]:
    """Add what a model finds to the findings; returns, by kind of label, why it was not asked."""
    rows = [(data, row) for data in checked.files for row in data.rows]
    asked, reasons = _answerable(rows)
    if any(importlib.util.find_spec(name) is None for name in ("torch", "numpy", "tokenizers")):
        return dict.fromkeys((*asked, *reasons), "torch is not installed here")
    unread = _warn_of_unread(checked, settings.base_model)
    if not asked:
        if unread is None:
            return reasons
        return {kind: f"{reason}; {unread}" for kind, reason in reasons.items()}
    notices().print(f"Looking for {', and '.join(LOOKED_FOR[kind] for kind in asked)} …")
    from classifier.base import BaseModelError
    from classifier.data import DataError
    from classifier.probe import embed, out_of_fold

    try:
        vectors = embed(
            [row.text for _, row in rows], base=settings.base_model, device=settings.device
        )
    except BaseModelError as error:
        return reasons | dict.fromkeys(asked, str(error))
    except ValueError as error:  # the device is not there
        raise MisconfiguredError(str(error)) from None
    for kind, labels in asked.items():
        texts = [rows[number][1].text for number in labels]
        try:
            names, probabilities = out_of_fold(texts, [*labels.values()], vectors[[*labels]])
        except DataError as error:
            reasons[kind] = str(error)
            continue
        labelled = [(*rows[number], label) for number, label in labels.items()]
        reason = _doubt(checked, kind, labelled, names, probabilities)
        if reason is not None:
            reasons[kind] = reason
    return reasons


def _warn_of_unread(checked: Checked, base: str) -> str | None:
    """Add to the findings of each file what the base model can't read of it; returns why it can't
    be asked."""
    from classifier.base import BaseModelError, find_base, load_tokenizer
    from classifier.data import Example
    from classifier.unread import unread
    from desk.validation import Kind

    try:
        tokenizer = load_tokenizer(find_base(base))
    except BaseModelError as error:
        return str(error)
    for data in checked.files:
        missing = unread(tokenizer, [Example(row.text, row.intent) for row in data.rows])
        if (sentence := missing.sentence(base)) is not None:
            data.warn(Kind.UNREAD, None, sentence)
    return None


def _answerable(
    rows: list[tuple[DataFile, Row]],
) -> tuple[dict[str, dict[int, str]], dict[str, str]]:
    """What a model can be asked: by kind of label, the rows' numbers with their labels; and why
    not of a kind that is there."""
    asked: dict[str, dict[int, str]] = {}
    reasons: dict[str, str] = {}
    for kind, given in {
        "intent": [row.intent for _, row in rows],
        "sentiment": [row.sentiment for _, row in rows],
    }.items():
        counts = Counter(given)
        labels = {n: label for n, label in enumerate(given) if label and counts[label] >= FEWEST}
        if len(set(labels.values())) > 1:
            asked[kind] = labels
        elif any(given):
            reasons[kind] = f"that takes two {kind}s with {FEWEST} examples each"
    return asked, reasons


def _doubt(
    checked: Checked,
    kind: str,
    rows: list[tuple[DataFile, Row, str]],
    names: tuple[str, ...],
    probabilities: Float64,
) -> str | None:
    """Add doubts about the rows' labels to the findings; returns why there can be none."""
    import numpy as np

    from classifier.label_errors import alike, label_errors
    from desk.validation import Kind

    given = np.array([names.index(label) for _, _, label in rows])
    right = float(np.mean(probabilities.argmax(axis=1) == given))
    commonest = float(np.bincount(given).max() / len(given))
    # Who always guesses the commonest label has learned nothing.
    if right < LEAST_ACCURACY or right <= commonest:
        return f"the base model tells only {right:.0%} of the texts' {kind}s"
    suspects = label_errors(probabilities, given)
    if kind == "sentiment":
        suspects = suspects[: max(FEWEST, round(SENTIMENTS_DOUBTED * len(rows)))]
    for suspect in suspects:
        data, row, label = rows[suspect.row]
        data.warn(
            Kind.LABEL_ERROR,
            row.line,
            f"{row.text!r} is labelled {label}, but looks like {names[suspect.suggested]} "
            f"({suspect.suggested_probability:.0%}); is the label right?",
        )
    if kind == "intent":  # all sentiments are hard to tell apart somewhere
        _alike(checked, rows, names, alike(probabilities, given))
    return None


def _alike(
    checked: Checked,
    rows: list[tuple[DataFile, Row, str]],
    intents: tuple[str, ...],
    pairs: list[Alike],
) -> None:
    from classifier.vocabulary import OUT_OF_SCOPE
    from desk.validation import Kind

    for pair in pairs:
        one, other = intents[pair.one], intents[pair.other]
        if {one, other} & OUT_OF_SCOPE:
            continue  # it is the rest of the world: no description tells it from all else
        some = [rows[number] for number in pair.rows[:EXAMPLES_SHOWN]]
        texts = " and ".join(f"{r.text!r} ({label}, {d.name}:{r.line})" for d, r, label in some)
        checked.train.warn(
            Kind.ALIKE,
            None,
            f"intents {one} and {other} are hard to tell apart: {pair.share:.0%} of their texts "
            f"are taken for the other, such as {texts}; sharpen their descriptions and label "
            "these texts by them, or make the two one",
        )


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
            console.print(shown(str(change)), markup=False)
        for finding in findings:
            at = f"{finding.file}:{finding.line}" if finding.line else finding.file
            colour = "red" if str(finding.severity) == "error" else "yellow"
            console.print(f"[{colour}]{finding.severity}[/] ", end="")
            console.print(shown(f"{at}: {finding.message}"), markup=False)
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
