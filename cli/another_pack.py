"""Whether the champion was trained for another pack than the one in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from desk.pack import Pack


def another_pack(pack: Pack, manifest: dict[str, Any]) -> tuple[str, str] | None:
    """(what is wrong, what to do) where the model of a manifest knows fewer than half of the pack's
    intents: it can answer little of what the pack is for. None where it knows more, or the manifest
    does not say."""
    try:
        names = pack.names()
        known = {names[name] for name in manifest["data"]["intents"] if name in names}
    except (KeyError, TypeError):
        return None
    if 2 * len(known) >= len(pack.intents):
        return None
    name = pack.name
    wrong = (
        f"knows {len(known)} of the {len(pack.intents)} intents of {name}: it was trained for "
        "another pack"
    )
    mend = (
        f"Each wants a MODELS_DIR of its own, such as models-{name}; the first start there trains "
        "one"
    )
    return wrong, mend
