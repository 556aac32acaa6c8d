"""Which labels are likely wrong, and which two labels are hardly told apart.

Both are read from out-of-fold probabilities, in which no text was predicted by a model that had
seen its label. Confident learning: Northcutt, Jiang and Chuang 2021, "Confident Learning:
Estimating Uncertainty in Dataset Labels" (Journal of Artificial Intelligence Research 70).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from classifier.arrays import Float64, Indices

SHARE_OF_CHANCE = 0.5
"""A label is doubted only where it is given less than this part of a blind guess's probability.

Without this bound the estimate counts the model's own confusions as wrong labels too: of the
1,993 retail examples it doubted 293, most of them hard and right; with it 25.
"""
ALIKE = 0.1
"""The share of either label's texts that go to the other, from which two labels are alike."""
FEWEST_CONFUSED = 3


@dataclass(frozen=True, slots=True)
class Suspect:
    """An example whose label is likely wrong.

    `row` is its index, `suggested` the label that is most probable, with what probability.
    """

    row: int
    suggested: int
    suggested_probability: float


@dataclass(frozen=True, slots=True)
class Alike:
    """Two labels that are taken for each other, `one` < `other`.

    `share` (0 to 1) is the part of both labels' examples that are; `rows` are these examples'
    indices, the ones that are most surely taken for the other label first.
    """

    one: int
    other: int
    share: float
    rows: tuple[int, ...]


def label_errors(probabilities: Float64, given: Indices) -> list[Suspect]:
    """The examples whose label is likely wrong, the likeliest first.

    `probabilities` (examples, labels) out of fold, `given` (examples,) label indices. How many
    labels of each kind are wrong is estimated from the confident joint, and so many of its
    examples are doubted in which it is the least probable (in the paper "prune by class"); of
    these, the ones below `SHARE_OF_CHANCE`. They are ranked by the probability of the given label.
    The paper's other ranking, by the margin to the largest probability, put 12 to 17 of 40
    planted errors among the first 40, where this one put 28 to 32: labels that are much alike rule
    it.
    """
    count, labels = probabilities.shape
    own = probabilities[np.arange(count), given]
    best = probabilities.argmax(axis=1)
    right = np.diagonal(confident_joint(probabilities, given))
    doubted: list[int] = []
    for label in range(labels):
        rows = np.flatnonzero(given == label)
        wrong = round(len(rows) - float(right[label]))
        doubted += rows[np.argsort(own[rows], kind="stable")][:wrong].tolist()
    chance = SHARE_OF_CHANCE / labels
    return [
        Suspect(row, int(best[row]), float(probabilities[row, best[row]]))
        for row in sorted(doubted, key=lambda row: (own[row], row))
        if own[row] < chance and best[row] != given[row]
    ]


def confident_joint(probabilities: Float64, given: Indices) -> Float64:
    """How many examples with label i (rows) are truly of label j (columns), by estimate.

    An example is counted for the most probable of those labels whose probability is at least the
    mean that the label has among its own examples. Rows are then scaled to the labels' counts.
    """
    labels = probabilities.shape[1]
    counts = np.bincount(given, minlength=labels)
    means = np.full(labels, np.inf)
    for label in np.flatnonzero(counts):
        means[label] = probabilities[given == label, label].mean()
    confident = np.where(probabilities >= means, probabilities, -1.0)
    sure = confident.max(axis=1) >= 0
    joint = np.zeros((labels, labels))
    np.add.at(joint, (given[sure], confident[sure].argmax(axis=1)), 1.0)
    # A label that no example surely has says nothing of its errors: none are assumed.
    joint[np.diag_indices(labels)] += joint.sum(axis=1) == 0
    scaled: Float64 = joint / joint.sum(axis=1, keepdims=True) * counts[:, None]
    return scaled


def alike(probabilities: Float64, given: Indices) -> list[Alike]:
    """Pairs of labels that are taken for each other in both directions, the worst pair first.

    `probabilities` and `given` are as in `label_errors`. A pair counts where, either way, at least
    the share `ALIKE` of the label's examples and `FEWEST_CONFUSED` of them are taken for the other.
    """
    count, labels = probabilities.shape
    best = probabilities.argmax(axis=1)
    confused = np.zeros((labels, labels), dtype=np.int64)
    np.add.at(confused, (given, best), 1)
    counts = np.bincount(given, minlength=labels)
    often = (confused >= FEWEST_CONFUSED) & (confused >= ALIKE * counts[:, None])
    pairs = []
    for one, other in np.argwhere(np.triu(often & often.T, 1)).tolist():
        taken = ((given == one) & (best == other)) | ((given == other) & (best == one))
        margins = probabilities.max(axis=1) - probabilities[np.arange(count), given]
        rows = sorted(np.flatnonzero(taken).tolist(), key=lambda row: -margins[row])
        pairs.append(Alike(one, other, len(rows) / float(counts[one] + counts[other]), tuple(rows)))
    return sorted(pairs, key=lambda pair: -pair.share)
