"""Whether the base model that a training starts from is here, and what it can't read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli.findings import Finding, Status

if TYPE_CHECKING:
    from desk.settings import PackSettings

PLACES = 3
"""Places that are shown of texts that it can't read."""


def base_model(settings: PackSettings) -> Iterator[Finding]:
    """Say so where a training would look for BASE_MODEL in the hub, or in vain."""
    try:
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        from classifier.base import PACKAGED
    except ImportError:
        return  # nothing can be trained here: `torch` tells it
    name = settings.base_model
    if name in PACKAGED or Path(name).is_dir():
        return
    detail = f"BASE_MODEL {name} is neither minilm nor a folder here"
    try:
        cached = try_to_load_from_cache(name, "config.json")
    except HFValidationError:
        hint = "Set BASE_MODEL to minilm, to a folder, or to a model of the hub"
        yield Finding("base", Status.WARN, f"{detail}, nor a name of the hub's", hint)
        return
    if not isinstance(cached, str):
        hint = "The next training looks for it in the hub; is that its name there?"
        yield Finding("base", Status.WARN, f"{detail}, and was not downloaded yet", hint)


def unread(settings: PackSettings) -> Iterator[Finding]:
    """Say so where the pack has examples of which a model of BASE_MODEL learns nothing."""
    from classifier.data import DataError, read_placed

    try:
        rows = read_placed(settings.pack_dir / "examples.jsonl")
    except DataError:
        return  # told by validate
    detail = unreadable(settings.base_model, [(where, e.text, e.intent) for where, e in rows])
    if detail is not None:
        from classifier.unread import FOR_EXAMPLE

        hint = f"Set BASE_MODEL to one that knows their language, such as {FOR_EXAMPLE}"
        yield Finding("base", Status.WARN, detail, hint)


def unreadable(base: str, rows: Sequence[tuple[str, str, str | None]]) -> str | None:
    """How many examples, by their places, texts and intents, a base model can't read, and where the
    first of them stand; None where that is none, or where the base can't be asked here: it is not
    downloaded for that."""
    from classifier.vocabulary import OUT_OF_SCOPE

    # A base has the letters of English in any case, so that most desks need not wait for the look;
    # and what is out of scope may well be in a language that the model does not know.
    foreign = [
        (where, text)
        for where, text, intent in rows
        if not text.isascii() and intent not in OUT_OF_SCOPE
    ]
    if not foreign:
        return None
    try:
        from classifier.base import PACKAGED, BaseModelError, find_base, load_tokenizer
        from classifier.unread import unreadable as unreadable_rows
    except ImportError:
        return None
    if base not in PACKAGED and not Path(base).is_dir():
        return None
    try:
        tokenizer = load_tokenizer(find_base(base))
    except BaseModelError:
        return None
    found = [foreign[n][0] for n in unreadable_rows(tokenizer, [text for _, text in foreign])]
    if not found:
        return None
    few = ", ".join(found[:PLACES]) + (", …" if len(found) > PLACES else "")
    return f"the base model {base} can't read {len(found):,} of the {len(rows):,} examples ({few})"
