"""The gate: whether a candidate may take the champion's place.

Both predict the pack's frozen test set, and labels of operators that no model has trained on.
Training is noisy, so a candidate that errs on a text or two more is not thereby worse. What is
paired text by text is asked by an exact one-sided McNemar test (McNemar 1947; Dietterich 1998,
"Approximate statistical tests", for comparing classifiers) whether chance explains the losses:
the right intents, the wrong answers, and the labels set aside.

Accuracy alone would promote a model that answers nothing, so what the bot would answer counts,
too: by each model's own thresholds and scope. Where what people asked for has changed, such as
the share of answers that may be wrong, a change of the answers is their wish and no reason.

So that many small losses don't add up over many runs, a candidate is also held to the best earlier
model. The best of many is the luckiest of them, so the more there are, the less that comparison
may say by chance (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from classifier.arrays import Bools
from classifier.calibration import Calibration
from classifier.compare import chance_of_losing

LARGEST_LOSS = 0.01
LARGEST_LOSS_TO_BEST = 0.02
LARGEST_LOSS_OF_COVERAGE = 0.10
LARGEST_SENTIMENT_LOSS = 0.02
SIGNIFICANCE = 0.05


def _none() -> Bools:
    return np.zeros(0, dtype=bool)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a model makes of the test's rows that have an intent, in their order, and of gold.

    `right` (rows,): its first intent is the true one. `answered` (rows,): it would answer without
    a person. `sentiment`: macro-F1 over the test, None where there is none to measure. `gold`
    (labels,): right, of the labels set aside; empty where there are none, or where the model may
    have trained on them.
    """

    right: Bools
    answered: Bools
    calibration: Calibration = field(default_factory=Calibration)
    sentiment: float | None = None
    gold: Bools = field(default_factory=_none)

    @property
    def wrong(self) -> Bools:
        """(rows,) it would answer, and wrongly."""
        return self.answered & ~self.right

    @property
    def missed(self) -> tuple[int, ...]:
        """The numbers of the rows whose intent it has wrong."""
        return tuple(np.flatnonzero(~self.right).tolist())


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's word and what it rests on.

    Accuracy and coverage (what would be answered without a person) are shares of the frozen test,
    `…_wrong` counts its wrong answers, `…_missed` has the numbers of the rows with a wrong intent.
    The sentiment figures are macro-F1. Of `gold` labels set aside each model has so many right.

    `reason` says why a candidate was rejected: its `accuracy` against the champion's or against
    the `best` so far, `wrong` answers, `coverage`, `gold` labels or `sentiment`. It is `held` where
    the gate would let it through and an act by hand does not.
    """

    promoted: bool
    candidate_accuracy: float
    champion_accuracy: float | None
    only_candidate_right: int = 0
    only_champion_right: int = 0
    p_worse: float | None = None
    best_accuracy: float | None = None
    candidate_coverage: float | None = None
    champion_coverage: float | None = None
    candidate_wrong: int | None = None
    champion_wrong: int | None = None
    candidate_missed: tuple[int, ...] | None = None
    champion_missed: tuple[int, ...] | None = None
    gold: int | None = None
    candidate_gold: int | None = None
    champion_gold: int | None = None
    candidate_sentiment: float | None = None
    champion_sentiment: float | None = None
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def judge(
    candidate: Measured, champion: Measured | None, earlier: Sequence[Sequence[int]] = ()
) -> Verdict:
    """Compare two models on the same texts; without a champion all is promoted.

    `earlier` has the missed rows of each earlier model that the candidate is held to.

    Raises ValueError for an empty test set: nothing may be promoted unseen.
    """
    rows = len(candidate.right)
    if not rows:
        raise ValueError("the frozen test set is empty: nothing can be judged on it")
    figures: dict[str, Any] = _figures("candidate", candidate)
    if champion is None:
        return Verdict(True, champion_accuracy=None, **figures)
    gained, lost, p_worse = _paired(candidate.right, champion.right)
    figures |= _figures("champion", champion) | {
        "only_candidate_right": gained,
        "only_champion_right": lost,
        "p_worse": p_worse,
    }
    best = min(earlier, key=len, default=None)
    if best is not None:
        figures["best_accuracy"] = 1 - len(best) / rows
    if _compares(candidate, champion):
        figures |= {
            "gold": len(champion.gold),
            "candidate_gold": int(candidate.gold.sum()),
            "champion_gold": int(champion.gold.sum()),
        }
    reason = _reason(candidate, champion, earlier)
    return Verdict(reason is None, reason=reason, **figures)


def _figures(whose: str, model: Measured) -> dict[str, Any]:
    return {
        f"{whose}_accuracy": float(model.right.mean()),
        f"{whose}_coverage": float(model.answered.mean()),
        f"{whose}_wrong": int(model.wrong.sum()),
        f"{whose}_missed": model.missed,
        f"{whose}_sentiment": model.sentiment,
    }


def _reason(
    candidate: Measured, champion: Measured, earlier: Sequence[Sequence[int]]
) -> str | None:
    rows = len(candidate.right)
    gained, lost, p_worse = _paired(candidate.right, champion.right)
    # In texts, not shares: those don't subtract exactly.
    if lost - gained > LARGEST_LOSS * rows or p_worse < SIGNIFICANCE:
        return "accuracy"
    if _below_the_best(candidate, earlier):
        return "best"
    if _promise(candidate) == _promise(champion):
        if _answers_worse(candidate, champion):
            return "wrong"
        if _answers_more(champion, candidate) > LARGEST_LOSS_OF_COVERAGE * rows:
            return "coverage"
    if _compares(candidate, champion):
        *_, p_worse = _paired(candidate.gold, champion.gold)
        if p_worse < SIGNIFICANCE:
            return "gold"
    return "sentiment" if _fell(candidate.sentiment, champion.sentiment) else None


def _paired(new: Bools, old: Bools) -> tuple[int, int, float]:
    """How many texts only the new model has right, only the old one, and the chance of that."""
    gained, lost = int((new & ~old).sum()), int((old & ~new).sum())
    return gained, lost, chance_of_losing(gained, lost)


def _below_the_best(candidate: Measured, earlier: Sequence[Sequence[int]]) -> bool:
    if not earlier:
        return False
    best, missed = {*min(earlier, key=len)}, {*candidate.missed}
    gained, lost = len(best - missed), len(missed - best)
    return (
        lost - gained > LARGEST_LOSS_TO_BEST * len(candidate.right)
        or chance_of_losing(gained, lost) * len(earlier) < SIGNIFICANCE
    )


def _promise(model: Measured) -> tuple[float, dict[str, float], set[str]]:
    asked = model.calibration
    return asked.target_error, dict(asked.target_errors), set(asked.never_answered)


def _answers_more(a: Measured, b: Measured) -> int:
    return int(a.answered.sum()) - int(b.answered.sum())


def _answers_worse(candidate: Measured, champion: Measured) -> bool:
    """Whether it answers significantly more texts wrongly than the champion does.

    One that answers more may have as many more wrong as the promise gives to those answers: a model
    that answers nothing could never be replaced otherwise.
    """
    gained, lost, p_worse = _paired(~candidate.wrong, ~champion.wrong)
    more = max(0, _answers_more(candidate, champion))
    return p_worse < SIGNIFICANCE and lost - gained > candidate.calibration.target_error * more


def _compares(candidate: Measured, champion: Measured) -> bool:
    return len(candidate.gold) > 0 and len(champion.gold) > 0


def _fell(candidate: float | None, champion: float | None) -> bool:
    if candidate is None or champion is None:
        return False
    return champion - candidate > LARGEST_SENTIMENT_LOSS + 1e-9
