"""The report as one HTML page that needs nothing else: no server, no network, no other file."""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from importlib import resources
from typing import Any

import numpy as np

from classifier.calibration import reliability
from classifier.data import Example
from classifier.evaluate import (
    WORST_CONFUSIONS,
    IntentOutcomes,
    Outcomes,
    confusions,
    evaluate,
    intent_outcomes,
    label_table,
    risk_coverage,
    sentiment_outcomes,
)
from classifier.report import svg
from classifier.rounding import rounded_up, shown_threshold
from classifier.thresholds import NEVER
from classifier.vocabulary import Prediction

TEXTS_SHOWN = 6
LONGEST_TEXT = 300
TILES = (
    ("accuracy", "Accuracy", "first intent is the true one"),
    ("in_scope_accuracy", "In-scope accuracy", "the same, without out-of-scope texts"),
    ("macro_f1", "Macro-F1", "mean over the intents"),
    ("weighted_f1", "Weighted F1", "mean weighted by their texts"),
    ("ece", "Calibration error", "mean distance of confidence from accuracy"),
    ("coverage", "Coverage", "could be answered without a person"),
    ("coverage_error", "Wrong among these", "at most {bound}, with 95 % confidence"),
    ("aurc", "AURC", "area under the risk-coverage curve; lower is better"),
    ("ood_auroc", "Out-of-scope AUROC", "telling in-scope texts from others"),
    ("ood_fpr95", "Out-of-scope FPR 95", "pass where 95 % of in-scope texts do"),
    ("ood_answered", "Out of scope, answered", "of these texts, answered without a person"),
    ("sentiment_accuracy", "Sentiment accuracy", ""),
    ("sentiment_macro_f1", "Sentiment macro-F1", "mean over the sentiments"),
    ("sentiment_ece", "Sentiment calibration error", ""),
)
AREAS = frozenset({"aurc", "ood_auroc"})


def html_report(
    predictions: Sequence[Prediction],
    examples: Sequence[Example],
    title: str,
    *,
    remarks: Sequence[str] = (),
    cross_validation: Mapping[str, Any] | None = None,
) -> bytes:
    """An HTML page (UTF-8) about `predictions` for `examples`, in the same order.

    `remarks` are sentences below the title; `cross_validation` is what `cross_validate` returns
    under that name. All text is escaped, and the page's own policy forbids any script but its own.
    The same input gives the same bytes. It shows texts of the examples.
    """
    measures = evaluate(predictions, examples)
    body = [f"<h1>{escape(title)}</h1>", *(f"<p>{escape(remark)}</p>" for remark in remarks)]
    body.append(_tiles(measures))
    if cross_validation:
        body.append(_fold_table(cross_validation))
    if intents := intent_outcomes(predictions, examples):
        body += ["<h2>Confidence</h2>", _plots(intents, measures), *_confusion(intents, "intent")]
        body += ["<h2>Intents</h2>", _intent_table(intents)]
    if sentiments := sentiment_outcomes(predictions, examples):
        body += ["<h2>Sentiment</h2>", _plots(sentiments, measures)]
        body += [*_confusion(sentiments, "sentiment"), _label_rows(sentiments)]
    style, script = _resource("page.css"), _resource("sort.js")
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + f"\n<script>{script}</script>\n</body>\n</html>\n"
    )
    return page.encode("utf-8", "replace")


def _tiles(measures: Mapping[str, Any]) -> str:
    tiles = [_tile("Texts", f"{measures['examples']:,}", "with an intent, a sentiment or both")]
    bound = _share(rounded_up(measures.get("coverage_error_bound", 1.0), 3))
    for name, label, told in TILES:
        if measures.get(name) is not None:
            tiles.append(_tile(label, _shown(name, measures[name]), told.format(bound=bound)))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _tile(label: str, value: str, told: str) -> str:
    return (
        f'<div class="tile"><b>{escape(value)}</b><span class="name">{escape(label)}</span>'
        f"<span>{escape(told)}</span></div>"
    )


def _fold_table(found: Mapping[str, Any]) -> str:
    names = [(name, label) for name, label, _ in TILES if name in found["mean"]]
    rows = []
    for name, label in names:
        each = " · ".join(
            _shown(name, fold[name]) if name in fold else "–" for fold in found["each"]
        )
        spread = " ± ".join(_shown(name, found[figure][name]) for figure in ("mean", "sd"))
        rows.append([_cell(label), _number(found["mean"][name], spread), _cell(each)])
    return (
        f"<h2>Cross-validation</h2><p>{found['folds']} models, each measured on the fold that it "
        "was not trained on: mean and standard deviation over the folds. All other figures here "
        "are of all folds together.</p>"
        + _table(["measure", "#mean ± sd", "folds"], rows, sortable=False)
    )


def _plots(outcomes: Outcomes, measures: Mapping[str, Any]) -> str:
    shown = np.full(len(outcomes.truth), True)
    if isinstance(outcomes, IntentOutcomes) and outcomes.in_scope.any():
        shown = outcomes.in_scope
    correct, confidence = outcomes.correct, outcomes.confidence
    plots = [
        _plot(
            "How sure it was",
            "Confidence of right and of wrong answers, each with its own scale.",
            svg.histogram(confidence[correct], confidence[~correct]),
        ),
        _plot(
            "Whether the confidence can be believed",
            "On the dashed line it means what it says. A dot's area is its number of texts.",
            svg.reliability(reliability(confidence[shown], correct[shown])),
        ),
    ]
    if isinstance(outcomes, IntentOutcomes):
        plots.append(_coverage_plot(outcomes, measures))
    return f'<div class="plots">{"".join(plots)}</div>'


def _coverage_plot(intents: IntentOutcomes, measures: Mapping[str, Any]) -> str:
    left_out = ""
    # The dot answers none of these rows: a curve that did would be about other texts than the dot.
    answering = intents.threshold < NEVER
    if answering.any() and not answering.all():
        intents = replace(intents, answerable=intents.answerable & answering)
        left_out = "; texts that go to people however sure the model is are not answered here"
    return _plot(
        "Coverage against risk",
        f"If one threshold for all intents were lowered{left_out}. "
        "The dot: the model's own thresholds.",
        svg.risk_coverage(risk_coverage(intents), measures["coverage"], measures["coverage_error"]),
    )


def _plot(title: str, told: str, drawing: str) -> str:
    return f'<div class="plot"><h3>{escape(title)}</h3><p>{escape(told)}</p>{drawing}</div>'


def _confusion(outcomes: Outcomes, kind: str) -> list[str]:
    texts: dict[tuple[str, str], list[tuple[float, str]]] = defaultdict(list)
    rows = zip(outcomes.truth, outcomes.first, outcomes.confidence, outcomes.texts, strict=True)
    for true, first, confidence, text in rows:
        if true != first:
            texts[true, first].append((float(confidence), text))
    head = "h2" if kind == "intent" else "h3"
    found = [
        f"<{head}>Confusion matrix</{head}>",
        f"<p>Rows are the true {kind}s, columns the predicted ones.",
        "The deeper a cell, the larger its share of the row; point at one to see its names.</p>",
        f'<div class="wide">{svg.confusion_matrix(outcomes)}</div>',
    ]
    worst = confusions(outcomes)[:WORST_CONFUSIONS]
    if worst:
        lines = [
            [_cell(pair[0]), _cell(pair[1]), _number(count, f"{count:,}"), _texts(texts[pair])]
            for pair, count in worst
        ]
        found += [
            f"<{head}>Worst confusions</{head}>",
            f"<p>The most frequent ones, each with its surest texts, up to {TEXTS_SHOWN}.",
            "A sure error may be a wrong label.</p>",
            _table([f"true {kind}", "taken for", "#texts", "for example"], lines),
        ]
    return found


def _texts(texts: Sequence[tuple[float, str]]) -> str:
    surest = sorted(texts, key=lambda each: (-each[0], each[1]))[:TEXTS_SHOWN]
    items = "".join(
        # A text may be written from right to left, or hold marks that turn the line around.
        f"<li><bdi>{escape(_cut(text))}</bdi> <small>{confidence:.2f}</small></li>"
        for confidence, text in surest
    )
    return f'<td><ul class="texts">{items}</ul></td>'


def _intent_table(intents: IntentOutcomes) -> str:
    table, correct, answered = label_table(intents), intents.correct, intents.answered
    taken_for = {true: f"{first} ({n})" for (true, first), n in reversed(confusions(intents))}
    first = np.array(intents.first, dtype=object)
    rows = []
    for name, row in table.items():
        mine = first == name
        answers = int((mine & answered).sum())
        wrong = int((mine & answered & ~correct).sum())
        threshold = float(intents.threshold[mine][0]) if mine.any() else -1.0
        rows.append(
            [
                _cell(name),
                *_figures(row),
                _number(threshold, shown_threshold(threshold) if mine.any() else "–"),
                _number(answers, f"{answers:,}"),
                _number(wrong, f"{wrong:,}"),
                _cell(taken_for.get(name, "")),
            ]
        )
    return (
        "<p>Press a column's head to sort by it. Threshold, answered and wrong are of the texts "
        "that were taken for the intent.</p>"
        + _table(
            [
                *("intent", "#F1", "#precision", "#recall", "#texts", "#predicted"),
                *("#threshold", "#answered", "#wrong", "mostly taken for"),
            ],
            rows,
        )
    )


def _label_rows(outcomes: Outcomes) -> str:
    rows = [[_cell(name), *_figures(row)] for name, row in label_table(outcomes).items()]
    return _table(["sentiment", "#F1", "#precision", "#recall", "#texts", "#predicted"], rows)


def _figures(row: Mapping[str, float]) -> list[str]:
    shares = [_number(row[key], _share(row[key])) for key in ("f1", "precision", "recall")]
    counts = [_number(row[key], f"{row[key]:,}") for key in ("support", "predicted")]
    return shares + counts


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], sortable: bool = True) -> str:
    """A table of ready cells; a head that begins with # is of a column of numbers."""
    cells = []
    for head in heads:
        name = escape(head.removeprefix("#"))
        numeric = ' class="number"' if head.startswith("#") else ""
        pressed = f'<button type="button">{name}</button>' if sortable else name
        cells.append(f'<th scope="col"{numeric}>{pressed}</th>')
    lines = "\n".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return (
        f'<div class="wide"><table{" class=sortable" if sortable else ""}>'
        f"<thead><tr>{''.join(cells)}</tr></thead>\n<tbody>{lines}</tbody></table></div>"
    )


def _cell(text: str) -> str:
    # A name of several words may go on in another line, though not within a word.
    return f"<td>{escape(text).replace('_', '_<wbr>')}</td>"


def _number(value: float, shown: str) -> str:
    return f'<td class="number" data-value="{value:.6g}">{escape(shown)}</td>'


def _shown(name: str, value: float) -> str:
    return f"{value:.4f}" if name in AREAS else _share(value)


def _share(value: float) -> str:
    return f"{100 * value:.1f}\N{NO-BREAK SPACE}%"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def _resource(name: str) -> str:
    return resources.files("classifier.report").joinpath(name).read_text(encoding="utf-8")


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
