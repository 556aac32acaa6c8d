"""The MODEL_CARD.md of a version: what it is, what it was trained on, what to expect of it."""

from __future__ import annotations

from typing import Any

from classifier.calibration import Calibration
from classifier.rounding import shown_threshold

_MEASURES = (
    ("accuracy", "Intent accuracy"),
    ("in_scope_accuracy", "Intent accuracy, in-scope rows"),
    ("macro_f1", "Intent macro-F1"),
    ("ece", "Expected calibration error"),
    ("coverage", "Answered automatically"),
    ("coverage_error", "Wrong among these"),
    ("ood_auroc", "Out-of-scope AUROC"),
    ("sentiment_accuracy", "Sentiment accuracy"),
    ("sentiment_macro_f1", "Sentiment macro-F1"),
)


def model_card(
    about: dict[str, Any],
    metrics: dict[str, Any],
    calibration: Calibration,
    warning: str | None = None,
) -> str:
    """Markdown from a version's manifest entries, metrics, calibration, and what was warned of."""
    data, test = about["data"], metrics["test"] or {}
    validation = metrics["validation"]
    rows = "\n".join(
        f"| {title} | {_figure(validation.get(name))} | {_figure(test.get(name))} |"
        for name, title in _MEASURES
        if name in validation or name in test
    )
    heads = [f"{len(data[kind])} {kind}" for kind in ("intents", "sentiments") if data[kind]]
    recipe = about["recipe"]
    remarks = "\n\n".join(held_out_remarks(metrics["held_out"], calibration))
    return f"""# Model {about["version"]}

A BERT that says what a customer's message is about and in what mood it was written
({" and ".join(heads)}), made by Frontdesk on {about["created"]}.

- Base model: {about["base"]["name"]} (sha256 {about["base"]["sha256"]})
- Trained on {data["examples"]} examples (content hash {data["hash"]})
- {recipe["epochs"]} epochs in batches of {recipe["batch_size"]}, seed {recipe["seed"]};
  all settings are in manifest.json
- Texts are cut to {recipe["max_tokens"]} tokens

## Measured

| | {metrics["held_out"]} held-out examples | test set |
| --- | --- | --- |
{rows}

{remarks}
Threshold where an intent has none of its own: {shown_threshold(calibration.threshold)}.

## Limits

It knows the languages of its base model and examples only, and sees one message at a time, without
the conversation before it. Of texts like its examples it takes some for strangers: about one in
fifty where there are hundreds of them, more where there are few.
{f"{chr(10)}{warning}{chr(10)}" if warning else ""}"""


def held_out_remarks(held_out: int, calibration: Calibration) -> tuple[str, str]:
    """(how the figures on that many held-out examples came about, what is proven by them)."""
    how = (
        "The held-out examples were predicted by models that were trained without them; this one "
        "was trained on all. Temperature and thresholds were chosen on them, so their calibration "
        "and coverage are a little flattering there."
        if held_out
        else "Too few of the examples may measure a model for any to be held out."
    )
    if calibration.held_out < held_out:
        repeats = held_out - calibration.held_out
        how += f" {repeats} of them repeat a text, which proves once under each label."
    return how, calibration.promise or (
        "The held-out examples prove no promise, so nothing is answered automatically."
    )


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
