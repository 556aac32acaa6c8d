"""The gate: whether a candidate may take the champion's place.

Both predict the pack's frozen test set, and labels of operators that no model has trained on.
Training is noisy, so a candidate that errs on a text or two more is not thereby worse. What is
paired text by text is asked by an exact one-sided McNemar test (McNemar 1947; Dietterich 1998,
"Approximate statistical tests", for comparing classifiers) whether chance explains the losses:
the right intents, the wrong answers, and the labels set aside. A mean of F1 has no such test; its
loss is asked by resampled rows (percentile bootstrap, Efron and Tibshirani 1993). These ask of
rows that are right or wrong independently, so of rows that repeat a text under one label the first
alone counts; the shares that a verdict tells are of all rows.

Accuracy alone would promote a model that answers nothing, so what the bot would answer counts,
too: by each model's own thresholds and scope. Where what people asked for has changed, such as
the share of answers that may be wrong, a change of the answers is their wish and no reason.

Nor may gains elsewhere outweigh what people must not miss: the same test is asked of the rows that
always get a person, and of those among them that can't wait.

So that many small losses don't add up over many runs, a candidate is also held to what does not
move with the champion: to the earlier model that was the most accurate, to the one that answered
most, and for wrong answers to its own promise. The best of many is the luckiest of them, so the
more there are, the less the comparison with it may say by chance (Bonferroni).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from classifier.arrays import Bools, Float64
from classifier.bounds import chance_of_at_least
from classifier.calibration import Calibration
from classifier.compare import chance_of_losing, intervals_of_difference
from classifier.evaluate import Outcomes, label_table, mean_f1

LARGEST_LOSS_TO_BEST = 0.02
LARGEST_LOSS_OF_COVERAGE = 0.10
LARGEST_LOSS_TO_BEST_COVERAGE = 0.15
LARGEST_SENTIMENT_LOSS = 0.02
MOST_FALLEN, LEAST_FALL = 3, 3
"""So many intents are named that fell most, each by so many rows at least: fewer are chance."""
SIGNIFICANCE = 0.05
NOISE = 2.0
"""Standard deviations of a difference that chance explains, however many points it is: in a small
test one text is more than a point."""


def _none() -> Bools:
    return np.zeros(0, dtype=bool)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a model makes of the test's rows that have an intent, in their order, and of gold.

    `right` (rows,): its first intent is the true one. `answered` (rows,): it would answer without
    a person. `allowed` (rows,): the share of the answers with its first intent that may be wrong,
    by `calibration`. `once` (rows,): no row before has the same text and intent (`seen_first`).
    `truth` has each row's true intent; `urgent` (rows,): that one can't wait. `handed` (rows,): it
    always gets a person, and by the model's first intent gets one as soon, be it the true one or
    another.
    `sentiments`: of the test's rows that have one, None where there is none to measure.
    `gold` (labels,): right, of the labels set aside; empty where there are none, or where the model
    may have trained on them.
    """

    right: Bools
    answered: Bools
    allowed: Float64
    once: Bools
    truth: Sequence[str]
    urgent: Bools
    handed: Bools
    calibration: Calibration = field(default_factory=Calibration)
    sentiments: Outcomes | None = None
    gold: Bools = field(default_factory=_none)

    @property
    def wrong(self) -> Bools:
        """(rows,) it would answer, and wrongly."""
        return self.answered & ~self.right

    @property
    def may_be_wrong(self) -> float:
        """How many of its answers may be wrong by what was asked for."""
        return float(self.allowed[self.answered].sum())

    @property
    def sentiment(self) -> float | None:
        """Macro-F1 of the sentiments that the test has."""
        return None if self.sentiments is None else _macro_f1(self.sentiments)

    @property
    def promise(self) -> dict[str, Any]:
        """What people asked of its answers, ready for JSON."""
        asked = self.calibration
        return {
            "target_error": asked.target_error,
            "target_errors": dict(asked.target_errors),
            "never_answered": sorted(asked.never_answered),
        }

    def each_once(self) -> Measured:
        """Without the rows that repeat one before them."""
        rows = self.once
        return replace(
            self,
            right=self.right[rows],
            answered=self.answered[rows],
            allowed=self.allowed[rows],
            once=rows[rows],
            truth=[self.truth[row] for row in np.flatnonzero(rows).tolist()],
            urgent=self.urgent[rows],
            handed=self.handed[rows],
        )


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a report kept of a model: the numbers of the rows that it had wrong, and of those that
    it would answer, and its `Measured.promise`."""

    missed: Sequence[int]
    answered: Sequence[int]
    promise: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Paired:
    """Of `rows` texts, those that only the new model gets right (or answers), or the old one."""

    gained: int
    lost: int
    rows: int

    @classmethod
    def of(cls, new: Bools, old: Bools) -> Paired:
        return cls(int((new & ~old).sum()), int((old & ~new).sum()), len(new))

    @property
    def p_worse(self) -> float:
        """The chance of so many losses or more if both were as good."""
        return chance_of_losing(self.gained, self.lost)

    def below(self, share: float) -> bool:
        """Whether the new one is below by more than that share of the texts, and than noise.

        Of two equally good models the difference has a variance of one for each text on which they
        differ.
        """
        noise = NOISE * math.sqrt(self.gained + self.lost)
        # In texts, not shares: those don't subtract exactly.
        return self.lost - self.gained > max(share * self.rows, noise)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's word and what it rests on.

    Accuracy and coverage (what would be answered without a person) are shares of the frozen test,
    `…_wrong` counts its wrong answers; `…_missed` and `…_answered` have the numbers of the rows
    with a wrong intent and of those that would be answered, `…_promise` what was asked for. The
    sentiment figures are macro-F1. Of `gold` labels set aside each model has so many right.
    `only_…_right` and `p_worse` count a text once under each intent. `fell` has the intents that
    lost most (`MOST_FALLEN`), each with its `rows` and how many of them each model has right.

    `reason` says why a candidate was rejected: its `accuracy` against the champion's or against
    the `best` so far, what always gets a `person`, `wrong` answers, `coverage` against the
    champion's or against the best so far (`best_coverage`), `gold` labels or `sentiment`. It is
    `held` where the gate would let it through and an act by hand does not.
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
    best_coverage: float | None = None
    candidate_wrong: int | None = None
    champion_wrong: int | None = None
    candidate_missed: tuple[int, ...] | None = None
    champion_missed: tuple[int, ...] | None = None
    candidate_answered: tuple[int, ...] | None = None
    champion_answered: tuple[int, ...] | None = None
    candidate_promise: dict[str, Any] | None = None
    champion_promise: dict[str, Any] | None = None
    gold: int | None = None
    candidate_gold: int | None = None
    champion_gold: int | None = None
    fell: Sequence[Mapping[str, Any]] = ()
    candidate_sentiment: float | None = None
    champion_sentiment: float | None = None
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def judge(
    candidate: Measured, champion: Measured | None, earlier: Sequence[Earlier] = ()
) -> Verdict:
    """Compare two models on the same texts; without a champion all is promoted.

    `earlier` has the models beside the champion that the candidate is held to.

    Raises ValueError for an empty test set: nothing may be promoted unseen.
    """
    rows = len(candidate.right)
    if not rows:
        raise ValueError("the frozen test set is empty: nothing can be judged on it")
    figures: dict[str, Any] = _figures("candidate", candidate)
    if champion is None:
        return Verdict(True, champion_accuracy=None, **figures)
    new, old = candidate.each_once(), champion.each_once()
    paired = Paired.of(new.right, old.right)
    figures |= _figures("champion", champion) | {
        "only_candidate_right": paired.gained,
        "only_champion_right": paired.lost,
        "p_worse": paired.p_worse,
        "fell": _fell_most(candidate, champion),
    }
    reasons = {"accuracy": paired.p_worse < SIGNIFICANCE}
    if earlier:
        best = min(earlier, key=lambda model: len(model.missed))
        figures["best_accuracy"] = 1 - len(best.missed) / rows
        to_best = Paired.of(new.right, ~_flags(best.missed, rows)[candidate.once])
        lucky = len({tuple(model.missed) for model in earlier})
        reasons["best"] = (
            to_best.below(LARGEST_LOSS_TO_BEST) or to_best.p_worse * lucky < SIGNIFICANCE
        )
    reasons["person"] = any(
        Paired.of(new.handed[rows], old.handed[rows]).p_worse < SIGNIFICANCE
        for rows in (np.ones(len(new.urgent), dtype=bool), new.urgent)
    )
    asked_alike = candidate.promise == champion.promise
    reasons["wrong"] = _breaks_promise(new, old) or (asked_alike and _answers_worse(new, old))
    reasons["coverage"] = asked_alike and Paired.of(new.answered, old.answered).below(
        LARGEST_LOSS_OF_COVERAGE
    )
    if alike := [model for model in earlier if model.promise == candidate.promise]:
        widest = max(alike, key=lambda model: len(model.answered))
        figures["best_coverage"] = len(widest.answered) / rows
        to_widest = Paired.of(new.answered, _flags(widest.answered, rows)[candidate.once])
        reasons["best_coverage"] = to_widest.below(LARGEST_LOSS_TO_BEST_COVERAGE)
    if len(candidate.gold) and len(champion.gold):
        figures |= {
            "gold": len(champion.gold),
            "candidate_gold": int(candidate.gold.sum()),
            "champion_gold": int(champion.gold.sum()),
        }
        reasons["gold"] = Paired.of(candidate.gold, champion.gold).p_worse < SIGNIFICANCE
    reasons["sentiment"] = _fell(candidate, champion)
    reason = next((name for name, rejects in reasons.items() if rejects), None)
    return Verdict(reason is None, reason=reason, **figures)


def _figures(whose: str, model: Measured) -> dict[str, Any]:
    return {
        f"{whose}_accuracy": float(model.right.mean()),
        f"{whose}_coverage": float(model.answered.mean()),
        f"{whose}_wrong": int(model.wrong.sum()),
        f"{whose}_missed": _numbers(~model.right),
        f"{whose}_answered": _numbers(model.answered),
        f"{whose}_promise": model.promise,
        f"{whose}_sentiment": model.sentiment,
    }


def _fell_most(candidate: Measured, champion: Measured) -> tuple[Mapping[str, Any], ...]:
    """What `Verdict.fell` has, the largest loss first."""
    rows = Counter(candidate.truth)
    new, old = (
        Counter(intent for intent, right in zip(model.truth, model.right, strict=True) if right)
        for model in (candidate, champion)
    )
    lost = {name: old[name] - new[name] for name in rows if old[name] - new[name] >= LEAST_FALL}
    return tuple(
        {"intent": name, "rows": rows[name], "candidate": new[name], "champion": old[name]}
        for name in sorted(lost, key=lambda name: (-lost[name], name))[:MOST_FALLEN]
    )


def _numbers(flags: Bools) -> tuple[int, ...]:
    return tuple(np.flatnonzero(flags).tolist())


def _flags(numbers: Sequence[int], rows: int) -> Bools:
    flags = np.zeros(rows, dtype=bool)
    flags[list(numbers)] = True
    return flags


def _breaks_promise(candidate: Measured, champion: Measured) -> bool:
    """Whether significantly more of its answers are wrong than people asked for.

    One that has no more of them than the champion does no harm: where texts of the test are harder
    than those that thresholds were proved on, nothing would ever be promoted.
    """
    wrong = int(candidate.wrong.sum())
    return wrong > int(champion.wrong.sum()) and _exceeds(wrong, candidate.may_be_wrong, candidate)


def _answers_worse(candidate: Measured, champion: Measured) -> bool:
    """Whether it answers significantly more texts wrongly than the champion does.

    One that answers more may have as many more wrong as the promise gives to those answers: a model
    that answers nothing could never be replaced otherwise.
    """
    paired = Paired.of(~candidate.wrong, ~champion.wrong)
    more = max(0.0, candidate.may_be_wrong - champion.may_be_wrong)
    return paired.p_worse < SIGNIFICANCE and _exceeds(paired.lost - paired.gained, more, candidate)


def _exceeds(wrong: int, allowed: float, candidate: Measured) -> bool:
    """Whether so many wrong answers are significantly more than `allowed` of the candidate's.

    By the exact binomial tail at the mean share allowed: where intents are allowed different
    shares, their sum varies less than that (Hoeffding 1956).
    """
    answers = int(candidate.answered.sum())
    # Without answers none is wrong.
    return wrong > 0 and chance_of_at_least(wrong, answers, allowed / answers) < SIGNIFICANCE


def _fell(candidate: Measured, champion: Measured) -> bool:
    """Whether the macro-F1 of its sentiments is below by more than the limit, and by more than
    chance explains."""
    if candidate.sentiments is None or champion.sentiments is None:
        return False
    new, old = candidate.sentiments.each_once(), champion.sentiments.each_once()
    if _macro_f1(old) - _macro_f1(new) <= LARGEST_SENTIMENT_LOSS + 1e-9:
        return False
    _, (_, highest) = intervals_of_difference(old, new, true_only=True)
    return highest < 0


def _macro_f1(outcomes: Outcomes) -> float:
    """The mean of the labels that the test has: one that it lacks would weigh as much as each of
    these as soon as it is predicted once, and never be right."""
    table = label_table(outcomes)
    return mean_f1({label: row for label, row in table.items() if row["support"]})
