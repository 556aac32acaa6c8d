"""What counts as the champion of another pack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cli.another_pack import another_pack
from desk.pack import load

FLORIST = load(Path(__file__).parents[1] / "packs/florist")


def test_intents_that_were_renamed_since_are_the_packs_own() -> None:
    renamed = {
        name: intent.model_copy(update={"formerly": (f"old_{name}",)})
        for name, intent in FLORIST.intents.items()
    }
    pack = FLORIST.model_copy(update={"intents": renamed})
    manifest: dict[str, Any] = {"data": {"intents": [f"old_{name}" for name in renamed]}}
    assert another_pack(pack, manifest) is None
    found = another_pack(FLORIST, manifest)
    assert found is not None
    assert found[0].startswith("knows 0 of the")
