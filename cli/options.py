"""What verbs have in common: how a pack is named, which model, on which device."""

from __future__ import annotations

import math
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.compose import read_model_settings
from cli.errors import MisconfiguredError, wrong_argument, wrong_settings
from cli.screen import notices

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from classifier import Classifier
    from classifier.data import Example
    from desk.settings import ModelSettings, PackSettings

ModelOption = Annotated[
    str | None,
    typer.Option(
        help="Model folder, or a version, champion or candidate of MODELS_DIR "
        "(default: the champion)."
    ),
]
DeviceOption = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")]


def named_pack(named: str) -> Path:
    """What an argument names, as it was written: a pack as `pack_folder` has it, else what is there
    under that name, or may come to be there."""
    from desk.settings import pack_folder

    path, folder = Path(named), pack_folder(named)
    # A new `retail` beside packs/retail would be what PACK=retail means from then on.
    is_pack = path.name == "pack.yml" or (not path.exists() and folder.is_dir())
    return folder if is_pack else path


def finite(value: float) -> float:
    """An option's number; of one that is none, or has no end, a wait would have none either."""
    if not math.isfinite(value):
        raise typer.BadParameter("write a number, such as 30.")
    return value


def settings_for(device: str | None) -> ModelSettings:
    """The settings that say which model, on another device where one is given."""
    return read_model_settings() if device is None else read_model_settings(device=device)


def load_model(settings: ModelSettings, model: str | None) -> Classifier:
    """The model of a folder as it is written, else what is called so in MODELS_DIR; the champion
    where none is named.

    Raises `MisconfiguredError` where what is named is no sound model, `ModelError` for the
    champion.
    """
    from classifier import artifact, registry
    from classifier.engine import Classifier

    path = settings.models_dir / (model or registry.CHAMPION)
    if model and (Path(model).exists() or not path.exists()):
        path = Path(model)
    if model is None and registry.champion(settings.models_dir) is None:
        raise artifact.ModelError(
            f"There is no model in {settings.models_dir} yet. Run: frontdesk train "
            "(or name one with --model)"
        )
    with wrong_settings(), nullcontext() if model is None else wrong_argument():
        return Classifier.load(path, settings.device)


def read_labelled(path: Path) -> list[Example]:
    """The examples of a file that an argument names. Raises `MisconfiguredError`."""
    from classifier.data import read_examples

    if path.is_dir():
        raise MisconfiguredError(
            f"{path} is a folder: name its examples.jsonl (or test.jsonl), or set PACK to it and "
            "name no file."
        )
    with wrong_argument():
        return read_examples(path)


def read_asked(settings: PackSettings, data: Path | None) -> tuple[Path, list[Example]]:
    """What a model is asked about, and where it is from: those of a file that may measure one, or
    else the pack's test."""
    if data is not None:
        return data, measuring(read_labelled(data), data)
    source = settings.pack_dir / "test.jsonl"
    return source, read_labelled(source)


def warn_of(model: Classifier, examples: list[Example], source: Path) -> dict[str, int]:
    """Say so where a model knows the examples, or not their labels; returns these (as
    `unknown_labels`)."""
    warn_of_training_data(model, examples, source)
    return unknown_labels(f"Model {model.version}", model.labels.intents, examples, source)


def warn_of_training_data(classifier: Classifier, examples: list[Example], source: Path) -> None:
    """Say so where a model is measured on examples that it learned, as far as it shows."""
    from classifier.data import content_hash
    from desk.validation import exact_key

    if classifier.manifest.get("data", {}).get("hash") == content_hash(examples):
        said = f"Model {classifier.version} was trained on {source}"
    else:
        kept = classifier.neighbours.texts if classifier.neighbours else ()
        known = {exact_key(text) for text in kept}
        seen = sum(exact_key(e.text) in known for e in examples)
        if not seen:
            return
        said = (
            f"{seen:,} of the {len(examples):,} texts of {source} are among the training examples "
            f"of model {classifier.version} (of {len(kept):,} that it keeps)"
        )
    notices().print(
        f"{said}: these figures flatter it. Take data that it has not seen.", markup=False
    )


def check_test(examples: list[Example], source: Path, test: list[Example], where: Path) -> None:
    """Say so where the figures of a test would mislead, before a model is trained for them.

    Raises `MisconfiguredError` where the test has intents and none is the examples', or has none of
    their labels at all.
    """
    from classifier.likeness import normalised
    from classifier.vocabulary import OUT_OF_SCOPE
    from desk.validation.near import NearTexts

    known = sorted({e.intent for e in examples if e.intent})
    # Of the texts of a test that are out of scope is counted how many would be answered.
    is_scope = bool(known) and any(e.intent in OUT_OF_SCOPE for e in test)
    if not is_scope and not _labels(examples) & _labels(test):
        raise MisconfiguredError(
            f"{where} has none of the labels of {source}, so it measures nothing. "
            "Rename the labels, or take another test."
        )
    unknown_labels(f"A model of {source}", known, test, where, instead="test")
    # As `validate` compares them, so that both say the same of the same files.
    near = NearTexts([normalised(e.text) for e in examples])
    seen = sum(bool(near.near(normalised(e.text))) for e in test)
    if seen:
        notices().print(
            f"{seen:,} of the {len(test):,} texts of {where} are in {source} too, or nearly so: "
            "the figures of this test flatter the model. `frontdesk validate` names them.",
            markup=False,
        )


def measuring(examples: list[Example], source: Path) -> list[Example]:
    """The examples that a model may be measured by; says how many are left out.

    Raises `MisconfiguredError` where there is none.
    """
    kept = [example for example in examples if example.measures]
    if not kept:
        raise MisconfiguredError(
            f'None of the {len(examples):,} rows of {source} may measure a model ("measures": '
            "false): each has its label because a model was right about it. Take data that people "
            "labelled."
        )
    if left := len(examples) - len(kept):
        notices().print(
            f"{left:,} of the {len(examples):,} rows of {source} measure no model "
            '("measures": false): these figures leave them out.',
            markup=False,
        )
    return kept


def tell_repeats(examples: list[Example], source: Path | str, what: str) -> dict[str, int]:
    """Say how many rows have a text that one before them has, and `what` counts it once; their
    number as `repeats`, nothing where there is none."""
    from classifier.likeness import normalised

    repeats = len(examples) - len({normalised(e.text) for e in examples})
    if not repeats:
        return {}
    notices().print(
        f"{repeats:,} of the {len(examples):,} rows of {source} repeat a text (case, spaces and "
        f"punctuation aside): {what} it once under each label.",
        markup=False,
    )
    return {"repeats": repeats}


def evidence_sentence(evidence: dict[str, int], kind: str = "held-out answers") -> str:
    """Why a target is not proven: how much of that kind is there to prove it by, and how much it
    takes."""
    answers, needed = evidence["answers"], evidence["needed"]
    if answers < needed:
        return f"{answers:,} {kind} could prove it; {needed:,} without an error are needed"
    return f"of {answers:,} {kind} that could prove it, {evidence['wrong']:,} are wrong"


def _labels(examples: list[Example]) -> set[str]:
    """Intents, either name of out of scope with the other, and sentiments."""
    from classifier.vocabulary import one_label

    intents = {f"intent {one_label(e.intent)}" for e in examples if e.intent}
    return intents | {f"sentiment {e.sentiment}" for e in examples if e.sentiment}


def unknown_labels(
    model: str,
    known: Collection[str],
    examples: list[Example],
    source: Path,
    instead: str = "model",
) -> dict[str, int]:
    """Intents of the examples that a model, which knows some, never says, with their rows; they
    are told, too. `model` is what it is called, `instead` what one might take another of.

    Raises `MisconfiguredError` where it knows none of them: that measures names, not the model.
    """
    from classifier.vocabulary import OUT_OF_SCOPE

    asked = Counter(e.intent for e in examples if e.intent and e.intent not in OUT_OF_SCOPE)
    unknown = {intent: rows for intent, rows in asked.most_common() if intent not in known}
    if not unknown or not known:
        return {}
    few, renamed = _few(unknown), _renamed(unknown, known, source)
    if len(unknown) == len(asked):
        mend = renamed or f"Rename the labels, or take another {instead}."
        raise MisconfiguredError(
            f"{model} knows none of the intents of {source} ({few}); its own "
            f"are {_few(known)}. {mend}"
        )
    notices().print(
        f"{model} does not know {len(unknown)} of the {len(asked)} intents of "
        f"{source} ({few}): their {sum(unknown.values()):,} rows all count as wrong. "
        f"{renamed}".rstrip(),
        markup=False,
    )
    return unknown


def _renamed(unknown: Iterable[str], known: Collection[str], source: Path) -> str:
    """What to do about those of them that a model knows by the names that an import made."""
    from desk.exchange.names import slug

    named = [f"{label} is {name}" for label in unknown if (name := slug(label)) in known]
    if not named:
        return ""
    return (
        f"It knows {len(named)} of them by the names that `frontdesk import` gives "
        f"({_few(named)}): rename them in {source}, too, or import it as the pack's test "
        "(--test)."
    )


def _few(names: Collection[str]) -> str:
    return ", ".join(list(names)[:5]) + (", …" if len(names) > 5 else "")
