"""The files that Rasa users know from `rasa test nlu`, in Rasa's formats.

The reports are those of scikit-learn's `classification_report`, as a dict, to which Rasa adds
`confused_with`; the plots show what Rasa's show, made so that many intents can be read.
"""

from __future__ import annotations

import io
import json
import warnings
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from classifier.evaluate import Outcomes, label_table
from classifier.report.svg import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

CONFUSED_WITH = 3
"""Of an intent's three most frequent predictions, its own among them, Rasa lists the wrong ones."""
HIT, MISS = "#009292", "#920000"
DOTS_PER_INCH = 110
MOST_NAMED = 160
"""Beyond so many labels no name can be read in a picture that fits in memory and on a screen."""


def rasa_files(outcomes: Outcomes) -> dict[str, bytes]:
    """File names and contents for the intents of an evaluation; the same input, the same bytes."""
    return {
        "intent_report.json": _json(intent_report(outcomes)),
        "intent_errors.json": _json(intent_errors(outcomes)),
        "intent_confusion_matrix.png": _confusion_matrix(outcomes),
        "intent_histogram.png": _histogram(outcomes),
    }


def intent_report(outcomes: Outcomes) -> dict[str, Any]:
    """By intent `precision`, `recall`, `f1-score`, `support` and `confused_with` (counts); then
    `accuracy`, `micro avg`, `macro avg` and `weighted avg`.

    As in Rasa's `get_evaluation_metrics` only intents that a text really has are in it, and in its
    averages: `macro avg` is not the macro-F1 of `evaluate`, which counts wrongly predicted ones.
    """
    table = {name: row for name, row in label_table(outcomes).items() if row["support"]}
    predicted: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for true, first in zip(outcomes.truth, outcomes.first, strict=True):
        predicted[true][first] += 1
    report: dict[str, Any] = {}
    for name, row in table.items():
        most = sorted((-n, first) for first, n in predicted[name].items())
        report[name] = {
            "precision": row["precision"],
            "recall": row["recall"],
            "f1-score": row["f1"],
            "support": row["support"],
            "confused_with": {first: -n for n, first in most[:CONFUSED_WITH] if first != name},
        }
    rows = list(report.values())
    support = [row["support"] for row in rows]
    report["accuracy"] = float(outcomes.correct.mean())
    hits, taken = int(outcomes.correct.sum()), sum(int(row["predicted"]) for row in table.values())
    report["micro avg"] = {
        "precision": hits / taken if taken else 0.0,
        "recall": hits / sum(support),
        "f1-score": 2 * hits / (taken + sum(support)),
        "support": sum(support),
    }
    for average, weights in (("macro avg", [1] * len(rows)), ("weighted avg", support)):
        report[average] = {
            figure: float(np.average([row[figure] for row in rows], weights=weights))
            for figure in ("precision", "recall", "f1-score")
        } | {"support": sum(support)}
    return report


def intent_errors(outcomes: Outcomes) -> list[dict[str, Any]]:
    """The texts whose first intent is wrong, in their order."""
    rows = zip(outcomes.texts, outcomes.truth, outcomes.first, outcomes.confidence, strict=True)
    return [
        {
            "text": text,
            "intent": true,
            "intent_prediction": {"name": first, "confidence": float(confidence)},
        }
        for text, true, first, confidence in rows
        if true != first
    ]


def _confusion_matrix(outcomes: Outcomes) -> bytes:
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    labels = sorted({*outcomes.truth, *outcomes.first})
    place = {label: number for number, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), dtype=int)
    for true, first in zip(outcomes.truth, outcomes.first, strict=True):
        counts[place[true], place[first]] += 1
    named = len(labels) <= MOST_NAMED
    # A quarter of an inch a label, so that the names fit beside each other.
    side = 3.5 + 0.25 * max(len(labels), 12) if named else 20
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    # Where no number stands in it, a cell of one text must not be nearly white.
    norm = LogNorm(vmin=1 if named else 0.1, vmax=max(int(counts.max()), 2))
    axes.imshow(np.ma.masked_equal(counts, 0), cmap="Blues", norm=norm)
    if named:
        _name(axes, labels, counts, norm)
    else:
        axes.set(xticks=[], yticks=[])
    axes.set(title="Intent Confusion matrix", xlabel="Predicted label", ylabel="True label")
    return _png(figure)


def _name(axes: Axes, labels: list[str], counts: npt.NDArray[np.int_], norm: Normalize) -> None:
    """Write the labels beside a matrix, and its counts into it."""
    for true, first in np.argwhere(counts):
        dark = norm(counts[true, first]) > 0.6
        axes.text(
            *(first, true, str(counts[true, first])),
            ha="center",
            va="center",
            fontsize=7,
            color="white" if dark else "black",
        )
    ticks = np.arange(len(labels))
    # A dollar sign in a name would begin a formula.
    names = [shorten(label).replace("$", r"\$") for label in labels]
    axes.set_xticks(ticks, names, rotation=90, fontsize=8)
    axes.set_yticks(ticks, names, fontsize=8)
    axes.set_xticks(ticks[:-1] + 0.5, minor=True)
    axes.set_yticks(ticks[:-1] + 0.5, minor=True)
    axes.grid(which="minor", color="#e4e4e4", linewidth=0.5)
    axes.tick_params(which="minor", length=0)


def _histogram(outcomes: Outcomes) -> bytes:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    correct, confidence = outcomes.correct, outcomes.confidence
    bins = np.linspace(0, 1, 21)
    figure = Figure(figsize=(10, 8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    # Each side has its own scale: beside the many hits the misses would not be seen.
    for axes, values, color, name in (
        (left, confidence[correct], HIT, "Correct"),
        (right, confidence[~correct], MISS, "Wrong"),
    ):
        axes.hist(values, bins=list(bins), orientation="horizontal", color=color, rwidth=0.9)
        axes.set(title=f"{name} ({len(values):,})", xlabel="Number of samples")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.spines[["top", "right"]].set_visible(False)
    left.invert_xaxis()
    left.set(ylabel="Confidence", ylim=(0, 1), yticks=bins)
    figure.suptitle("Intent Prediction Confidence Distribution")
    return _png(figure)


def _png(figure: Figure) -> bytes:
    # Its own canvas and no pyplot: no window, and no state that the whole process shares.
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    out = io.BytesIO()
    with warnings.catch_warnings():
        # Its font has no Chinese: such names are boxes here, and themselves in the page.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(out, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return out.getvalue()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "replace")
