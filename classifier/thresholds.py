"""From a promise to a threshold: the lowest confidence that keeps errors within a target, proven.

The promise: among the texts of the same kind that are answered automatically, at most the share
`target` gets a wrong answer. For one threshold fixed beforehand, an exact binomial bound on
held-out predictions would prove that (Clopper and Pearson 1934). Here the threshold is chosen on
the same predictions, and choosing the best of many flatters. So the thresholds are tested in an
order fixed beforehand, from high to low, and the walk ends at the first that fails: whatever is
passed on the way is proven, all together, with the same confidence (fixed sequence testing, as in
Angelopoulos, Bates, Candès, Jordan and Lei 2021, "Learn then Test"). Where the walk starts decides
much: too early, and one error ends it; too late, and the errors are too many. So two walks start at
different places and share the chance of being wrong, unequally: the second is for the data of which
only the surest predictions can be trusted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from classifier.arrays import Bools, Float64, Indices
from classifier.bounds import binomial_upper_bound
from classifier.vocabulary import OUT_OF_SCOPE

CONFIDENCE = 0.95
"""The chance, at least, that a proven promise holds."""
RISK = 1 - CONFIDENCE
WALKS = ((1 / 3, 0.8), (1 / 6, 0.2))
"""Where each walk starts, as a share of the predictions, the most confident first (or at the fewest
that could prove the target, where that is later); and its share of the risk. Measured against
others in benchmarks/RESULTS.md."""
LOWEST_THRESHOLD = 0.5
"""Below it an answer is as likely wrong as right, whatever a small held-out set says."""
NEVER = 1.0
"""The threshold that no softmax reaches: a person answers."""


def fewest(target: float, risk: float = RISK) -> int:
    """How many predictions it takes to prove a target at all, if every one of them is right.

    `target` and `risk` are between 0 and 1."""
    return min(_flawless(target, part * risk) for _, part in WALKS)


def _flawless(target: float, risk: float) -> int:
    """How many answers without an error prove a target by one bound at that risk."""
    return math.ceil(math.log(risk) / math.log1p(-target))


def _beginnings(predictions: int, target: float, risk: float) -> list[tuple[int, float]]:
    """Of each walk: at how many of the most confident predictions it begins, its share of the risk.

    The place depends on the number of predictions alone, not on what they got right.
    """
    return [
        (max(math.ceil(begin * predictions), _flawless(target, part * risk)), part)
        for begin, part in WALKS
    ]


def evidence(
    confidence: Float64, correct: Bools, target: float, risk: float = RISK
) -> dict[str, int]:
    """What held-out texts there are to prove a target by; arguments as `proven_threshold` takes.

    `answers`: how many are sure enough to be answered at all; `wrong`: how many of these are;
    `needed`: how many without an error could prove it. That grows with the texts, since the walks
    begin at a share of them.
    """
    sure = confidence >= LOWEST_THRESHOLD
    return {
        "answers": int(sure.sum()),
        "wrong": int((sure & ~correct).sum()),
        "needed": min(begin for begin, _ in _beginnings(len(correct), target, risk)),
    }


def proven_threshold(
    confidence: Float64, correct: Bools, target: float, risk: float = RISK
) -> float | None:
    """The lowest threshold that is proven to keep errors within `target`; None where none is.

    `confidence` and `correct` (predictions,) are of held-out texts. With a chance of at least
    1 - `risk` over such held-out sets, at most the share `target` of the texts that reach the
    threshold is wrong. Never below `LOWEST_THRESHOLD`.
    """
    confidences, answered, wrong = falling_threshold(confidence, correct)
    allowed = int((confidences >= LOWEST_THRESHOLD).sum())
    best: int | None = None
    for rows, part in _beginnings(len(correct), target, risk):
        for place in range(int(np.searchsorted(answered, rows)), allowed):
            bound = binomial_upper_bound(int(wrong[place]), int(answered[place]), 1 - part * risk)
            if bound > target:
                break
            best = place if best is None else max(best, place)
    return None if best is None else float(confidences[best])


def falling_threshold(confidence: Float64, correct: Bools) -> tuple[Float64, Indices, Indices]:
    """(thresholds, rows that reach each, wrong ones of these), each (thresholds,).

    The thresholds are the confidences that occur, from the highest on.
    """
    order = np.argsort(-confidence, kind="stable")
    confidence, wrong = confidence[order], np.cumsum(~correct[order], dtype=np.int64)
    # A threshold lets all equal confidences in: it cuts behind the last of them.
    last = np.flatnonzero(np.append(confidence[1:] < confidence[:-1], True)[: len(confidence)])
    answered: Indices = last + 1
    return confidence[last], answered, wrong[last]


def choose_thresholds(
    confidence: Float64,
    first: Sequence[str],
    correct: Bools,
    target: float,
    targets: Mapping[str, float],
    never: Collection[str] = (),
) -> tuple[float, dict[str, float]]:
    """(threshold for all, thresholds of single intents).

    `confidence`, `first` (the intent predicted) and `correct`, each (predictions,), are of held-out
    texts that passed as familiar. An intent in `targets` is held to its own target by its own
    predictions, and to a person where that can't be proven. An intent with predictions enough for
    a proof of its own gets its own threshold; all others are taken together. All proofs share the
    risk, so they hold together with a chance of `CONFIDENCE`. Where nothing is proven, too few
    predictions or too many wrong, the threshold is `NEVER`. So it is for an intent among the others
    that is wrong more often than `target` for certain, lest the others' proof speak for it: without
    one that is worse than all of them together, they can only be better. What is predicted as out
    of scope, or as an intent of `never`, is not counted, neither right nor wrong: the promise
    is about the others.
    """
    names = np.array(first, dtype=object)
    unanswered = OUT_OF_SCOPE.union(never)
    rest = np.array([name not in unanswered for name in first], dtype=bool)
    own: dict[str, float] = {}
    targets = {intent: aim for intent, aim in targets.items() if intent not in never}
    alone, risk = _alone(Counter(names[rest].tolist()), target, targets)
    for intent in sorted({*alone, *targets}):
        mine = rest & (names == intent)
        aim = targets.get(intent, target)
        found = (
            proven_threshold(confidence[mine], correct[mine], aim, risk)
            if intent in alone
            else None
        )
        if found is not None:
            own[intent] = found
        elif intent in targets:
            own[intent] = NEVER
        if intent in own:
            rest &= ~mine
    # An intent that failed alone is among these, which makes passing harder, never easier.
    overall = proven_threshold(confidence[rest], correct[rest], target, risk)
    if overall is None:
        return NEVER, own
    reached = rest & (confidence >= overall)
    for intent, answered in Counter(names[reached].tolist()).items():
        right = int(correct[reached & (names == intent)].sum())
        if 1 - binomial_upper_bound(right, answered) > target:
            own[intent] = NEVER
    return overall, own


def taken_together(
    first: Sequence[str], target: float, targets: Mapping[str, float], never: Collection[str] = ()
) -> tuple[Bools, float]:
    """(predictions,) those whose intents have no target of their own, and what the proof for all of
    them together may risk; arguments as `choose_thresholds` takes."""
    unanswered = OUT_OF_SCOPE.union(never)
    counted = [name for name in first if name not in unanswered]
    targets = {intent: aim for intent, aim in targets.items() if intent not in never}
    _, risk = _alone(Counter(counted), target, targets)
    apart = unanswered.union(targets)
    return np.array([name not in apart for name in first], dtype=bool), risk


def _alone(
    counts: Mapping[str, int], target: float, targets: Mapping[str, float]
) -> tuple[set[str], float]:
    """(intents that get a proof of their own, what each proof may risk).

    Chosen by the numbers of predictions alone, not by what they got right; the more proofs there
    are, the less may each risk, and the more predictions it takes (Bonferroni). One proof is for
    all others together. Of the intents with a target of their own as many get one as can prove
    theirs at the risk that is left, those first that have the most for what they need: who can't
    prove anything takes no share. The others get theirs as far as that takes none of these away:
    they lose less, since they are proven together as well.
    """
    special = sorted(
        targets, key=lambda name: (counts.get(name, 0) * math.log1p(-targets[name]), name)
    )
    others = sorted(set(counts) - set(targets), key=lambda intent: (-counts[intent], intent))

    def provable(own: Sequence[str], number: int) -> bool:
        """Whether these and the first `number` of the others could all prove their targets."""
        risk = RISK / (len(own) + number + 1)
        return all(counts.get(name, 0) >= fewest(targets[name], risk) for name in own) and (
            number == 0 or counts[others[number - 1]] >= fewest(target, risk)
        )

    while not provable(special, 0):
        special.pop()
    number = next(n for n in range(len(others), -1, -1) if provable(special, n))
    return {*special, *others[:number]}, RISK / (len(special) + number + 1)
