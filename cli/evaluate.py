"""`frontdesk evaluate`: what a model, or the recipe, is worth on labelled texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.compose import load_pack
from cli.errors import MisconfiguredError, ended_in_order, wrong_argument, wrong_settings
from cli.options import (
    DeviceOption,
    ModelOption,
    load_model,
    measuring,
    read_labelled,
    settings_for,
    tell_repeats,
    warn_of,
)
from cli.screen import (
    JsonOption,
    escape,
    notices,
    percent,
    percent_at_most,
    print_json,
    results,
    shown,
    training_progress,
)

if TYPE_CHECKING:
    from classifier import Prediction
    from classifier.data import Example
    from classifier.recipe import Recipe
    from desk.settings import ModelSettings

MEASURES = (
    ("accuracy", "of all intents"),
    ("in_scope_accuracy", "of in-scope intents"),
    ("macro_f1", "of intents"),
    ("weighted_f1", "of intents, by their texts"),
    ("ece", "calibration error of the confidence"),
    ("coverage", "answered without a person"),
    ("coverage_error", "of these, wrong"),
    ("coverage_error_bound", "of these, wrong at most (95 % confidence)"),
    ("aurc", "area under the risk-coverage curve"),
    ("ood_auroc", "telling out-of-scope texts"),
    ("ood_fpr95", "out-of-scope texts that pass where 95 % of the others do"),
    ("ood_recall", "out-of-scope texts that are taken for such"),
    ("ood_false_alarms", "in-scope texts that are taken for out of scope"),
    ("ood_answered", "out-of-scope texts that would be answered"),
    ("sentiment_accuracy", ""),
    ("sentiment_macro_f1", ""),
    ("sentiment_ece", "calibration error of the sentiment's confidence"),
)


def evaluate(
    model: ModelOption = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Labelled JSONL, CSV or nlu.yml (default: the pack's test.jsonl; "
            "with --cross-validate its examples.jsonl)."
        ),
    ] = None,
    cross_validate: Annotated[
        int | None,
        typer.Option(
            min=2, metavar="K", help="Measure no model but the recipe: train K on K folds of data."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for a report: a page with plots, and the files that Rasa users know. "
            "New, empty, or holding an earlier report, which is replaced.",
        ),
    ] = None,
    device: DeviceOption = None,
    json_: JsonOption = False,
) -> None:
    """Measure a model on labelled data.

    Accuracy, F1, calibration, coverage against risk, out-of-scope texts, sentiment. With
    --cross-validate, each text is predicted by a model that was trained on the other folds.
    """
    if cross_validate and model:
        raise MisconfiguredError(
            "--cross-validate trains its own models: leave out --model, or --cross-validate."
        )
    settings = settings_for(device)
    source = data or settings.pack_dir / ("examples.jsonl" if cross_validate else "test.jsonl")
    rows = read_labelled(source)
    examples = measuring(rows, source) if data or cross_validate else rows
    if out is not None:
        from classifier.report import check_report_target

        # Before minutes of training, not after.
        with wrong_argument():
            check_report_target(out)
    repeats = tell_repeats(examples, source, "bounds count")
    version = None
    if cross_validate:
        from classifier.recipe import Recipe
        from workers.recipe import recipe_of

        # As `train`: a file says nothing of the errors that answers may have.
        recipe = Recipe() if data else recipe_of(load_pack(settings))
        predictions, measures = _cross_validate(settings, rows, source, cross_validate, recipe)
        title = f"Cross-validation, {cross_validate} folds"
    else:
        version, predictions, measures = _measure(settings, model, examples, source)
        title = f"Model {version}"
    measures |= repeats
    files = []
    try:
        if out is not None:
            from classifier.report import write_report

            told = [f"{n:,} of them repeat a text: bounds count it once." for n in repeats.values()]
            told += [f"{said}." for said in _upset(measures)]
            files = write_report(
                out,
                predictions,
                examples,
                title,
                remarks=[f"Measured on {len(examples):,} texts of {source}.", *told],
                cross_validation=measures.get("cross_validation"),
            )
    finally:  # The figures may have cost hours: they are told without a report, too.
        if json_:
            report = {"report": str(out)} if files else {}
            print_json({"model": version, "data": str(source), **report, **measures})
        else:
            _print_measures(title, source, measures)
    if files and not json_:
        results().print(f"Report: {files[0]}", markup=False)


def _measure(
    settings: ModelSettings, model: str | None, examples: list[Example], source: Path
) -> tuple[str, list[Prediction], dict[str, Any]]:
    """(the model's version, what it says of the examples, measures)."""
    from classifier.evaluate import evaluate as measure

    classifier = load_model(settings, model)
    unknown = warn_of(classifier, examples, source)
    predictions = classifier([example.text for example in examples])
    measures = measure(predictions, examples, _negative_confidence(settings))
    if measures.keys() <= {"examples"}:
        raise MisconfiguredError(
            f"There is nothing to measure: the model and {source} have neither intents nor "
            "sentiments in common. Take data with labels that the model was trained on."
        )
    if unknown:
        measures["unknown_labels"] = unknown
    return classifier.version, predictions, measures


def _negative_confidence(settings: ModelSettings) -> float:
    """From where the pack takes a customer for upset; where it can't be read, from where one does
    that says nothing of it: a model can be measured without a pack."""
    from classifier.upset import NEGATIVE_CONFIDENCE
    from desk.pack import PackError, load

    try:
        return load(settings.pack_dir).policy.negative_confidence
    except PackError:
        return NEGATIVE_CONFIDENCE


def _cross_validate(
    settings: ModelSettings,
    examples: list[Example],
    source: Path,
    count: int,
    recipe: Recipe,
) -> tuple[list[Prediction], dict[str, Any]]:
    from classifier.folds import cross_validate

    with wrong_settings(), ended_in_order():
        predictions, measures = cross_validate(
            examples,
            count,
            base=settings.base_model,
            recipe=recipe,
            device=settings.device,
            progress=lambda number: training_progress(f"Fold {number} of {count}"),
        )
    if unknown := measures.get("unknown_labels"):
        few = ", ".join(list(unknown)[:5]) + (", …" if len(unknown) > 5 else "")
        notices().print(
            f"{len(unknown)} of the intents of {source} ({few}) are in one fold only, so that no "
            f"model there knows them: their {sum(unknown.values()):,} rows all count as wrong.",
            markup=False,
        )
    return predictions, measures


def _upset(measures: dict[str, Any]) -> list[str]:
    """How many upset texts would be noticed, and how many from other confidences on."""
    from classifier.upset import upset_sentence

    found = measures.get("upset")
    if found is None:
        return []
    steps = [row for row in found["at"] if row["confidence"] != found["confidence"]]
    others = ", ".join(f"{r['confidence']:g}: {r['seen']:,} and {r['mistaken']:,}" for r in steps)
    said = upset_sentence(found)
    return [said[:1].upper() + said[1:], f"With another negative_confidence: {others}"]


def _print_measures(title: str, source: Path, measures: dict[str, Any]) -> None:
    from rich.table import Column, Table

    console = results()
    console.print(f"{title} on {measures['examples']:,} examples of {source}", markup=False)
    folds = measures.get("cross_validation")
    for name, meaning in MEASURES:
        # What is said of the answers has no meaning where nothing was answered.
        silent = name.startswith("coverage_") and not measures.get("coverage")
        if name in measures and not silent:
            spread = ""
            if folds and name in folds["mean"]:
                figures = (_shown(name, folds[kind][name]) for kind in ("mean", "sd"))
                spread = " ± ".join(figures)
            remark = f"[dim]{meaning}[/]" if meaning else ""
            spread = f"{spread:>16}  " if folds else ""
            console.print(f"  {name:<20} {_shown(name, measures[name]):>7}  {spread}{remark}")
    for said in _upset(measures):
        console.print(f"  {said}", markup=False)
    if folds:
        console.print(
            "[dim]  First of all folds together; then mean ± standard deviation of the folds.[/]"
        )
    if "intents" in measures:
        worst = sorted(measures["intents"].items(), key=lambda item: item[1]["f1"])[:5]
        table = Table(
            Column("weakest intents", overflow="fold"),
            "F1",
            "precision",
            "recall",
            "support",
            box=None,
        )
        for name, row in worst:
            rates = (percent(row[key]) for key in ("f1", "precision", "recall"))
            table.add_row(escape(shown(name)), *rates, str(row["support"]))
        console.print(table)
    for row in measures.get("confusions", [])[:5]:
        pair = f"{row['true']} taken for {row['predicted']}"
        console.print(shown(f"  {row['count']} × {pair}"), markup=False)


def _shown(name: str, value: float) -> str:
    if name == "coverage_error_bound":
        return percent_at_most(value)
    return f"{value:.4f}" if name == "aurc" else percent(value)
