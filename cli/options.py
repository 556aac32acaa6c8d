"""What the verbs that ask a model have in common: which model, on which device."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.compose import load_settings
from cli.errors import CommandError, wrong_settings
from cli.screen import notices

if TYPE_CHECKING:
    from classifier import Classifier
    from classifier.data import Example
    from desk.settings import Settings

ModelOption = Annotated[
    Path | None, typer.Option(help="Model folder (default: the champion of MODELS_DIR).")
]
DeviceOption = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")]


def settings_for(device: str | None) -> Settings:
    """The settings in force, on another device where one is given."""
    return load_settings() if device is None else load_settings(device=device)


def load_model(settings: Settings, model: Path | None) -> Classifier:
    """The model in a folder, or the champion. Raises `ModelError`, `MisconfiguredError`."""
    from classifier import registry
    from classifier.engine import Classifier

    path = model or settings.models_dir / registry.CHAMPION
    if model is None and registry.champion(settings.models_dir) is None:
        raise registry.ModelError(
            f"There is no model in {settings.models_dir} yet. Run: frontdesk train "
            "(or name one with --model)"
        )
    with wrong_settings():
        return Classifier.load(path, settings.device)


def warn_of_training_data(classifier: Classifier, examples: list[Example], source: Path) -> None:
    """Say so where a model is measured on the very examples that it learned."""
    from classifier.data import content_hash

    if classifier.manifest.get("data", {}).get("hash") == content_hash(examples):
        notices().print(
            f"Model {classifier.version} was trained on {source}: these figures flatter it. "
            "Take data that it has not seen.",
            markup=False,
        )


def unknown_labels(classifier: Classifier, examples: list[Example], source: Path) -> dict[str, int]:
    """Intents of the examples that the model never says, with their rows; they are told, too.

    Raises `CommandError` where it knows none of them: that measures names, not the model.
    """
    from classifier.vocabulary import OUT_OF_SCOPE

    asked = Counter(e.intent for e in examples if e.intent and e.intent not in OUT_OF_SCOPE)
    known = classifier.labels.intents
    unknown = {intent: rows for intent, rows in asked.most_common() if intent not in known}
    if not unknown or not known:
        return {}
    few = ", ".join(list(unknown)[:5]) + (", …" if len(unknown) > 5 else "")
    if len(unknown) == len(asked):
        own = ", ".join(known[:5]) + (", …" if len(known) > 5 else "")
        raise CommandError(
            f"Model {classifier.version} knows none of the intents of {source} ({few}); its own "
            f"are {own}. Rename the labels, or take another model."
        )
    notices().print(
        f"Model {classifier.version} does not know {len(unknown)} of the {len(asked)} intents of "
        f"{source} ({few}): their {sum(unknown.values()):,} rows all count as wrong.",
        markup=False,
    )
    return unknown
