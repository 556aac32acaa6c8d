"""Confident learning: on probabilities that are worked out by hand, and on planted errors."""

from __future__ import annotations

import numpy as np
import pytest

from classifier.label_errors import Alike, Suspect, alike, confident_joint, label_errors


def test_the_confident_joint_counts_those_above_their_labels_mean_and_scales_to_its_rows() -> None:
    probabilities = np.array(
        [
            [0.9, 0.1],  # label 0: the mean of its own is 0.6
            [0.7, 0.3],
            [0.2, 0.8],
            [0.4, 0.6],  # label 1: the mean of its own is 0.7
            [0.2, 0.8],
            [0.3, 0.7],
        ]
    )
    given = np.array([0, 0, 0, 1, 1, 1])
    # Surely 0: the first two. Surely 1: the third, and two of label 1; the fourth is neither.
    assert confident_joint(probabilities, given).tolist() == [[2.0, 1.0], [0.0, 3.0]]


def test_a_label_without_examples_and_one_that_is_never_sure_have_no_errors() -> None:
    # Label 1's only example is surely label 0; label 2 has none at all.
    probabilities = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.1, 0.0, 0.9]])
    joint = confident_joint(probabilities, np.array([0, 0, 0]))
    assert joint.tolist() == [[3.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    assert label_errors(probabilities, np.array([0, 0, 0])) == []


def test_a_wrong_label_is_found_with_the_right_one_and_both_probabilities() -> None:
    probabilities = np.array([[0.95, 0.05]] * 5 + [[0.05, 0.95]] * 5)
    given = np.array([0] * 5 + [1] * 4 + [0])
    assert label_errors(probabilities, given) == [Suspect(9, 1, 0.95)]


def test_hard_texts_are_not_doubted_where_their_label_is_still_likely() -> None:
    # The last has another label first, but its own is no surprise.
    probabilities = np.array([[0.95, 0.05]] * 5 + [[0.05, 0.95]] * 4 + [[0.4, 0.6]])
    given = np.array([0] * 5 + [1] * 4 + [0])
    assert label_errors(probabilities, given) == []


def test_the_least_likely_label_comes_first() -> None:
    sure = [[0.9, 0.05, 0.05]] * 6 + [[0.05, 0.9, 0.05]] * 6 + [[0.05, 0.05, 0.9]] * 6
    odd = [[0.05, 0.9, 0.05], [0.01, 0.01, 0.98]]
    given = [*np.repeat([0, 1, 2], 6).tolist(), 0, 0]
    found = label_errors(np.array(sure + odd), np.array(given))
    assert [(suspect.row, suspect.suggested) for suspect in found] == [(19, 2), (18, 1)]


def test_planted_errors_are_found_among_noisy_probabilities() -> None:
    rng = np.random.default_rng(5)
    labels, each = 10, 60
    truth = np.repeat(np.arange(labels), each)
    logits = rng.normal(0, 1.2, (labels * each, labels))
    logits[np.arange(truth.size), truth] += 4.0
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    planted = rng.choice(truth.size, 30, replace=False)
    given = truth.copy()
    given[planted] = (truth[planted] + rng.integers(1, labels, 30)) % labels
    found = label_errors(probabilities, given)
    hits = [suspect for suspect in found if suspect.row in planted]
    assert len(hits) >= 18
    assert len(hits) / len(found) >= 0.8
    assert sum(truth[suspect.row] == suspect.suggested for suspect in hits) / len(hits) >= 0.9


def _confused(counts: dict[tuple[int, int], int]) -> tuple[np.ndarray, np.ndarray]:
    rows = [pair for pair, count in counts.items() for _ in range(count)]
    probabilities = np.full((len(rows), 3), 0.1)
    for row, (_, best) in enumerate(rows):
        probabilities[row, best] = 0.5 + row / 1000
    return probabilities, np.array([given for given, _ in rows])


def test_labels_that_are_taken_for_each_other_are_alike_with_share_and_clearest_rows() -> None:
    probabilities, given = _confused({(0, 0): 16, (0, 1): 4, (1, 1): 24, (1, 0): 6, (2, 2): 20})
    [pair] = alike(probabilities, given)
    rows = [*range(44, 50), *range(16, 20)][::-1]
    assert pair == Alike(0, 1, pytest.approx(10 / 50), tuple(sorted(rows, reverse=True)))


@pytest.mark.parametrize(
    "counts",
    [
        {(0, 0): 10, (0, 1): 10, (1, 1): 20, (2, 2): 20},  # in one direction only
        {(0, 0): 8, (0, 1): 2, (1, 1): 8, (1, 0): 2, (2, 2): 9},  # too few to say so
        {(0, 0): 97, (0, 1): 3, (1, 1): 97, (1, 0): 3, (2, 2): 9},  # too small a share
    ],
)
def test_labels_that_are_seldom_or_one_sidedly_confused_are_not_alike(
    counts: dict[tuple[int, int], int],
) -> None:
    assert alike(*_confused(counts)) == []
