"""How a pack wants its models trained."""

from __future__ import annotations

from classifier.recipe import Recipe
from desk.pack import Pack


def recipe_of(pack: Pack, *, seed: int = 1, epochs: int | None = None) -> Recipe:
    """The default recipe with the pack's word on its automatic answers: how many may be wrong,
    which intents get none, and who is too upset for one. `seed` and `epochs` as in `Recipe`."""
    target_error, target_errors = pack.targets()
    return Recipe(
        seed=seed,
        epochs=epochs,
        target_error=target_error,
        target_errors=target_errors,
        never_answered=pack.never_answered(),
        negative_confidence=pack.policy.negative_confidence,
    )
