"""`frontdesk thresholds`: what a threshold would mean, before it is set."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.errors import MisconfiguredError, wrong_argument
from cli.options import (
    DeviceOption,
    ModelOption,
    evidence_sentence,
    load_model,
    read_asked,
    settings_for,
    tell_repeats,
    warn_of,
)
from cli.screen import (
    JsonOption,
    escape,
    percent,
    percent_at_most,
    print_json,
    results,
    shown,
)


def _share(low: float, high: float) -> Callable[[str], float]:
    def share(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if low <= value <= high:
            return value
        percent_meant = f"; for {value:g} % write {value / 100:g}" if 1 < value < 100 else ""
        raise typer.BadParameter(f"{text!r} is not between {low:g} and {high:g}{percent_meant}.")

    return share


def thresholds(
    model: ModelOption = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Labelled JSONL, CSV or nlu.yml that the model was not trained on "
            "(default: the pack's test.jsonl)."
        ),
    ] = None,
    target: Annotated[
        float | None,
        typer.Option(
            parser=_share(0.0001, 0.9999),
            metavar="SHARE",
            help="Share of automatic answers that may be wrong (default: the model's own target).",
        ),
    ] = None,
    intent: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only texts that are taken for this intent.")
    ] = None,
    at: Annotated[
        float | None,
        typer.Option(
            parser=_share(0, 1),
            metavar="SHARE",
            help="One more threshold to preview, beside the usual ones.",
        ),
    ] = None,
    device: DeviceOption = None,
    json_: JsonOption = False,
) -> None:
    """Preview thresholds: how much would be answered automatically, and how much of it wrong.

    For each threshold, the share of texts that reach it, the share of these that is wrong, and
    what that share is at most on other texts of the same kind, with 95 % confidence.
    """
    settings = settings_for(device)
    from classifier.evaluate import intent_outcomes
    from classifier.preview import preview

    source, examples = read_asked(settings, data)
    classifier = load_model(settings, model)
    warn_of(classifier, examples, source)
    repeats = tell_repeats(examples, source, "bounds count")
    outcomes = intent_outcomes(classifier([example.text for example in examples]), examples)
    if outcomes is None:
        raise MisconfiguredError(
            f"The model and {source} have no intents in common: thresholds are of intents. "
            "Take data with intents, and a model that was trained on some."
        )
    promised = classifier.calibration
    own = promised.target_errors.get(intent or "", promised.target_error)
    wanted = own if target is None else target
    with wrong_argument():
        found = preview(outcomes, wanted, intent, at, promised.never_answered)
    if json_:
        scope = {"intent": intent} if intent else {}
        print_json({"model": classifier.version, "data": str(source), **scope, **found, **repeats})
    else:
        title = f"Model {classifier.version} on {found['rows']:,} texts of {source}"
        # What was proven is of all intents, and of the target that it was trained for.
        proven = promised.held_out if promised.promise and not intent and wanted >= own else 0
        _print(title, found, intent, proven)


def _print(title: str, found: dict[str, Any], intent: str | None, proven_on: int) -> None:
    """`proven_on`: on how many held-out examples training proved the target; 0 where it did not."""
    from rich.table import Column, Table

    from classifier.rounding import shown_threshold

    console = results()
    taken = f" that are taken for {intent}" if intent else ""
    console.print(f"{title}{taken}", markup=False)
    console.print("[bold]One threshold for all[/]")
    for row in found["thresholds"]:
        console.print(f"  {_sentence(row)}")
    console.print("[bold]The model's own[/]")
    console.print(f"  {_sentence(found['own'])}")
    if not intent:
        table = Table(
            Column("intent", overflow="fold"),
            "threshold",
            "automated",
            "answered",
            "wrong",
            "bound",
            box=None,
        )
        for row in found["intents"]:
            table.add_row(
                escape(shown(row["intent"])),
                shown_threshold(row["threshold"]),
                percent(row["coverage"]),
                str(row["answered"]),
                str(row["wrong"]),
                percent_at_most(row["bound"]) if row["answered"] else "–",
            )
        console.print(table)
    console.print(f"[bold]For at most {percent(found['target'])} wrong[/]")
    if found["chosen"] is None:
        evidence = found["evidence"]
        why = evidence_sentence(evidence, "answers to these texts")
        if proven_on:
            few = evidence["answers"] < evidence["needed"]
            against = "these texts alone are too few to" if few else "these texts alone don't"
            why += (
                f". The training proved it for the model's own thresholds, on {proven_on:,} "
                f"held-out examples; {against} prove it again"
            )
        console.print(
            f"  no threshold promises it: {why}. More texts may "
            "change that, or a model of more examples, or a higher target_error (--target); an "
            "intent's own threshold in pack.yml answers at your own risk"
        )
    else:
        console.print(f"  {_sentence(found['chosen'])}")


def _sentence(row: dict[str, Any]) -> str:
    from classifier.rounding import shown_threshold

    threshold = row["threshold"]
    at = "each at its own" if threshold is None else f"at {shown_threshold(threshold)}"
    if not row["answered"]:
        return f"{at}: nothing automated"
    return (
        f"{at}: {percent(row['coverage'])} automated, {percent(row['error'])} wrong "
        f"(95 % bound {percent_at_most(row['bound'])}; {row['wrong']} of {row['answered']})"
    )
