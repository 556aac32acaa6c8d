"""`frontdesk compare`: two models on the same texts, and whether the difference is chance."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.errors import wrong_argument
from cli.options import (
    DeviceOption,
    load_model,
    read_asked,
    settings_for,
    tell_repeats,
    warn_of,
)
from cli.screen import JsonOption, escape, percent, print_json, results, shown

LABELS_SHOWN = 10
TEXTS_SHOWN = 10
LONGEST_TEXT = 200
CHANCE = 0.05
KINDS = (
    ("gained", "only B is right"),
    ("lost", "only A is right"),
    ("other", "both are wrong, each in its own way"),
)
Model = Annotated[
    str, typer.Argument(help="A model folder, or a version, champion or candidate of MODELS_DIR.")
]


def compare(
    a: Model,
    b: Model,
    data: Annotated[
        Path | None,
        typer.Option(help="Labelled JSONL, CSV or nlu.yml (default: the pack's test)."),
    ] = None,
    device: DeviceOption = None,
    json_: JsonOption = False,
) -> None:
    """Compare two models on the same labelled data.

    Differences with their 95 % intervals, an exact McNemar test, the intents that changed, and the
    texts whose prediction changed (all of them with --json).
    """
    settings = settings_for(device)
    from classifier.compare import compare as differences

    source, examples = read_asked(settings, data)
    texts = [example.text for example in examples]
    # Both are loaded before either predicts: a wrong name is told at once.
    first, second = (load_model(settings, name) for name in (a, b))
    for model in (first, second):
        warn_of(model, examples, source)
    repeats = tell_repeats(examples, source, "these figures count")
    with wrong_argument():
        found = differences(first(texts), second(texts), examples)
    if json_:
        versions = {"a": first.version, "b": second.version}
        print_json({**versions, "data": str(source), **found, **repeats})
        return
    results().print(
        f"A {first.version} and B {second.version} on {len(examples):,} examples of {source}",
        markup=False,
    )
    for head in ("intents", "sentiments"):
        if head in found:
            _print_head(head, found[head])


def _print_head(head: str, found: dict[str, Any]) -> None:
    from rich.table import Column, Table

    console = results()
    table = Table(f"[bold]{head}[/]", "A", "B", "B - A, points", "95 % interval", box=None)
    for name in ("accuracy", "macro_f1"):
        row = found[name]
        low, high = row["interval"]
        table.add_row(
            name,
            percent(row["a"]),
            percent(row["b"]),
            f"{100 * row['difference']:+.1f}",
            f"{100 * low:+.1f} to {100 * high:+.1f}",
        )
    console.print(table)
    verdict = "chance may explain it" if found["p"] >= CHANCE else "more than chance"
    console.print(
        f"  Only A is right {found['lost']} times, only B {found['gained']} times: "
        f"p = {found['p']:.2g} (McNemar, exact), {verdict}"
    )
    changed = sorted(
        ((_shift(row), name) for name, row in found["labels"].items()), key=lambda r: (-r[0], r[1])
    )
    # In a pipe of 80 columns a name is folded, not cut.
    names = Column("most changed", overflow="fold")
    table = Table(names, "texts", "right", "predicted", "precision", "recall", box=None)
    for shift, name in changed[:LABELS_SHOWN]:
        if shift:
            row = found["labels"][name]
            steps = [f"{row['a'][key]} → {row['b'][key]}" for key in ("right", "predicted")]
            rates = [
                f"{percent(row['a'][key])} → {percent(row['b'][key])}"
                for key in ("precision", "recall")
            ]
            table.add_row(escape(shown(name)), str(row["support"]), *steps, *rates)
    if table.row_count:
        console.print(table)
    for kind, meaning in KINDS:
        rows = [row for row in found["changed"] if row["kind"] == kind]
        if rows:
            console.print(f"  {kind} ({len(rows)}): {meaning}")
        for row in rows[:TEXTS_SHOWN]:
            step = f"{row['a']['name']} → {row['b']['name']}"
            true = f" (is {row['true']})" if kind == "other" else ""
            console.print(shown(f"    {step}{true}: {row['text'][:LONGEST_TEXT]}"), markup=False)
        if len(rows) > TEXTS_SHOWN:
            console.print(f"    and {len(rows) - TEXTS_SHOWN} more: see --json")


def _shift(row: dict[str, Any]) -> int:
    return sum(abs(row["a"][key] - row["b"][key]) for key in ("right", "predicted"))
