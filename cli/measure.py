"""`frontdesk evaluate` and `frontdesk classify`: what a model is worth, and what it says."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.compose import load_settings
from cli.errors import MisconfiguredError
from cli.screen import JsonOption, percent, print_json, results

if TYPE_CHECKING:
    from classifier import Classifier, Prediction
    from desk.settings import Settings

LINES_AT_ONCE = 256
MEASURES = (
    ("accuracy", "of all intents"),
    ("in_scope_accuracy", "of in-scope intents"),
    ("macro_f1", "of intents"),
    ("ece", "calibration error of the confidence"),
    ("coverage", "answered without a person"),
    ("coverage_error", "of these, wrong"),
    ("ood_auroc", "telling out-of-scope texts"),
    ("sentiment_accuracy", ""),
    ("sentiment_macro_f1", ""),
)

ModelOption = Annotated[
    Path | None, typer.Option(help="Model folder (default: the champion of MODELS_DIR).")
]
DeviceOption = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")]


def evaluate(
    model: ModelOption = None,
    data: Annotated[
        Path | None, typer.Option(help="Labelled JSONL or CSV (default: the pack's test.jsonl).")
    ] = None,
    device: DeviceOption = None,
    json_: JsonOption = False,
) -> None:
    """Measure a model on labelled data: accuracy, F1, calibration, coverage, sentiment."""
    settings = _settings(device)
    from classifier.data import read_examples
    from classifier.evaluate import evaluate as measure

    source = data or settings.pack_dir / "test.jsonl"
    examples = read_examples(source)
    classifier = _load(settings, model)
    measures = measure(classifier([example.text for example in examples]), examples)
    if json_:
        print_json({"model": classifier.version, "data": str(source), **measures})
    else:
        _print_measures(classifier.version, source, measures)


def classify(
    texts: Annotated[
        list[str], typer.Argument(metavar="TEXT...", help="Texts; - reads lines from stdin.")
    ],
    model: ModelOption = None,
    device: DeviceOption = None,
    json_: JsonOption = False,
) -> None:
    """Classify texts with a model alone: no bot, no queue, no policy.

    With --json: an object for one text, a list for several, and for - an object a line.
    """
    settings = _settings(device)
    streamed = texts == ["-"]
    classifier = _load(settings, model)
    if streamed:
        for batch in _lines():
            for prediction in classifier(batch):
                if json_:
                    print(json.dumps(prediction.as_dict(), ensure_ascii=False), flush=True)
                else:
                    print(_line(prediction), flush=True)
        return
    predictions = classifier(texts)
    if not json_:
        for prediction in predictions:
            print(_line(prediction))
    else:
        found = [prediction.as_dict() for prediction in predictions]
        print_json(found[0] if len(found) == 1 else found)


def _settings(device: str | None) -> Settings:
    return load_settings() if device is None else load_settings(device=device)


def _load(settings: Settings, model: Path | None) -> Classifier:
    from classifier.data import DataError
    from classifier.engine import Classifier
    from classifier.registry import ModelError

    path = model or settings.models_dir / "champion"
    if model is None and not path.is_symlink():
        raise ModelError(
            f"There is no model in {settings.models_dir} yet. Run: frontdesk train "
            "(or name one with --model)"
        )
    try:
        return Classifier.load(path, settings.device)
    except DataError:
        raise
    except ValueError as error:
        raise MisconfiguredError(str(error)) from None


def _lines() -> Iterator[list[str]]:
    """Lines of standard input: many at once from a file, one at a time from a person."""
    sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    at_once = 1 if sys.stdin.isatty() else LINES_AT_ONCE
    batch: list[str] = []
    for line in sys.stdin:
        batch.append(line.rstrip("\n"))
        if len(batch) >= at_once:
            yield batch
            batch = []
    if batch:
        yield batch


def _line(prediction: Prediction) -> str:
    intent, sentiment = prediction.intent, prediction.sentiment
    parts = [
        f"{intent.name} {intent.confidence:.2f}" if intent else "–",
        f"{sentiment.name} {sentiment.confidence:.2f}" if sentiment else "–",
        prediction.text,
    ]
    return "\t".join(parts)


def _print_measures(version: str, source: Path, measures: dict[str, Any]) -> None:
    from rich.table import Table

    console = results()
    console.print(f"Model {version} on {measures['examples']:,} examples of {source}")
    for name, meaning in MEASURES:
        if name in measures:
            remark = f"[dim]{meaning}[/]" if meaning else ""
            console.print(f"  {name:<20} {percent(measures[name]):>7}  {remark}")
    if "intents" in measures:
        worst = sorted(measures["intents"].items(), key=lambda item: item[1]["f1"])[:5]
        table = Table("weakest intents", "F1", "precision", "recall", "support", box=None)
        for name, row in worst:
            shown = (percent(row[key]) for key in ("f1", "precision", "recall"))
            table.add_row(name, *shown, str(row["support"]))
        console.print(table)
    for row in measures.get("confusions", [])[:5]:
        console.print(f"  {row['count']} × {row['true']} taken for {row['predicted']}")
