from __future__ import annotations

import numpy as np

from classifier.agreement import Unread, add_up, judge

TEN = Unread(texts=10, same=9, right=8, lost=1, won=0)


def test_labels_gained_and_lost_are_counted_among_the_labelled_texts() -> None:
    fp32 = np.array([[2.0, 1.0], [2.0, 1.0], [1.0, 2.0], [1.0, 2.0], [2.0, 1.0]])
    int8 = np.array([[2.0, 1.0], [1.0, 2.0], [2.0, 1.0], [1.0, 2.0], [1.0, 2.0]])
    truth = np.array([0, 0, 0, 0, -1])
    assert Unread.of(fp32, int8, truth) == Unread(texts=4, same=2, right=2, lost=1, won=1)


def test_the_counts_of_several_models_add_up_by_head() -> None:
    parts = [{"intent": TEN, "sentiment": TEN}, {"intent": TEN}, {}]
    assert add_up(parts) == {"intent": Unread(20, 18, 16, 2, 0), "sentiment": TEN}


def test_metrics_have_the_accuracy_of_both_forms() -> None:
    told = Unread(texts=1000, same=980, right=900, lost=12, won=7).as_dict()
    assert told == {"texts": 1000, "agreement": 0.98, "fp32": 0.9, "int8": 0.895}


def test_labels_that_change_to_the_better_as_often_as_to_the_worse_are_no_loss() -> None:
    assert not Unread(texts=1000, same=940, right=900, lost=30, won=28).loses
    assert Unread(texts=1000, same=960, right=900, lost=35, won=5).loses


def test_a_few_texts_that_chance_explains_are_no_loss() -> None:
    assert not Unread(texts=75, same=73, right=60, lost=2, won=0).loses
    assert Unread(texts=75, same=65, right=60, lost=10, won=0).loses


def test_the_first_failing_is_told_with_its_figures() -> None:
    bad = Unread(texts=1000, same=900, right=900, lost=90, won=10)
    assert judge({"intent": 1.0}, {"intent": 0.001}, {"intent": TEN}) is None
    assert judge({"intent": 0.99}, {}, {"intent": bad}) == (
        "only 99.00% of the intent labels agree with fp32"
    )
    assert judge({"intent": 1.0}, {"intent": 0.001}, {"intent": bad}) == (
        "of 1000 texts that a model has not read, 90 get a wrong intent label and had the right "
        "one in fp32, 10 the other way round"
    )
