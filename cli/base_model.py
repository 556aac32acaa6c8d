"""Whether the base model that a training starts from is here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cli.findings import Finding, Status

if TYPE_CHECKING:
    from desk.settings import Settings


def base_model(settings: Settings) -> Iterator[Finding]:
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
