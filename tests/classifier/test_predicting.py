from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from classifier import predicting
from classifier.calibration import Calibration
from classifier.predicting import RANKED, Outputs, familiarity, predictions, strangeness
from classifier.scope import Scope
from classifier.vocabulary import Labels, Neighbour, Prediction

LABELS = Labels(("out_of_scope", "pay", "ship"), ("negative", "positive"))
SCOPE = Scope(offset=(0.0,), scale=(1.0,), threshold=0.02)
ENGLISH, GERMAN = "where has my parcel gone?", "wo ist denn mein Paket geblieben?"


def predicted(
    texts: Sequence[str] = (ENGLISH,),
    *,
    intent: list[list[float]] | None = None,
    sentiment: list[list[float]] | None = None,
    near: list[float] | None = None,
    labels: Labels = LABELS,
    calibration: Calibration | None = None,
    scope: Scope = SCOPE,
    neighbours: Sequence[tuple[Neighbour, ...]] = (),
) -> list[Prediction]:
    outputs = Outputs(
        None if intent is None else np.array(intent),
        None if sentiment is None else np.array(sentiment),
        None if near is None else np.array(near)[:, None],
        neighbours,
    )
    return predictions(texts, outputs, labels, calibration or Calibration(), scope, "v1")


def test_logits_become_ranked_probabilities_at_each_heads_temperature() -> None:
    calibration = Calibration(intent_temperature=2.0, sentiment_temperature=0.5)
    (found,) = predicted(intent=[[0.0, 2.0, 4.0]], sentiment=[[0.5, 0.0]], calibration=calibration)
    assert [scored.name for scored in found.intent_ranking] == ["ship", "pay", "out_of_scope"]
    assert found.intent == found.intent_ranking[0]
    expected = np.exp([2.0, 1.0, 0.0]) / np.exp([2.0, 1.0, 0.0]).sum()
    assert [s.confidence for s in found.intent_ranking] == pytest.approx(expected.tolist())
    assert found.sentiment is not None
    assert found.sentiment.name == "negative"
    assert found.sentiment.confidence == pytest.approx(np.e / (np.e + 1))
    assert (found.text, found.model) == (ENGLISH, "v1")


def test_a_ranking_ends_where_nobody_reads_on() -> None:
    labels = Labels(tuple(f"i{number:02}" for number in range(30)), ())
    (found,) = predicted(intent=[np.arange(30.0).tolist()], labels=labels)
    assert len(found.intent_ranking) == RANKED
    assert found.intent_ranking[0].name == "i29"


def test_many_texts_are_ranked_block_by_block_each_by_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(predicting, "AT_ONCE", 2)
    labels = Labels(("a", "b", "c"), ())
    logits = [[3.0, 2.0, 1.0], [1.0, 3.0, 2.0], [2.0, 1.0, 3.0], [3.0, 1.0, 2.0], [1.0, 2.0, 3.0]]
    found = predicted(["text"] * 5, intent=logits, labels=labels)
    names = ["".join(scored.name for scored in each.intent_ranking) for each in found]
    assert names == ["abc", "bca", "cab", "acb", "cba"]


def test_the_threshold_is_that_of_the_first_intent() -> None:
    calibration = Calibration(threshold=0.7, thresholds={"ship": 0.95})
    one, other = predicted(["a", "b"], intent=[[0, 0, 5.0], [0, 5.0, 0]], calibration=calibration)
    assert (one.threshold, other.threshold) == (0.95, 0.7)


def test_a_head_that_the_model_lacks_is_absent() -> None:
    (found,) = predicted(sentiment=[[0.0, 1.0]], labels=Labels((), LABELS.sentiments))
    assert (found.intent, found.intent_ranking, found.threshold, found.scope) == (
        None,
        (),
        None,
        None,
    )
    (found,) = predicted(intent=[[0.0, 1.0, 0.0]], labels=Labels(LABELS.intents, ()))
    assert found.sentiment is None


def test_no_texts_have_no_predictions() -> None:
    outputs = Outputs(np.empty((0, 3)), np.empty((0, 2)), np.empty((0, 1)))
    assert predictions([], outputs, LABELS, Calibration(), SCOPE, "v1") == []


def test_a_text_below_the_scopes_threshold_is_out_of_scope() -> None:
    near, far = predicted(["a", "b"], intent=[[0, 9.0, 0]] * 2, near=[0.0, -5.0])
    assert near.in_scope
    assert not far.in_scope
    assert near.scope == pytest.approx(0.5)
    assert near.scope_threshold == far.scope_threshold == 0.02


def test_without_a_scope_nothing_is_refused() -> None:
    for scope, near in ((Scope(), [-9.0]), (SCOPE, None)):
        (found,) = predicted(intent=[[0, 9.0, 0]], near=near, scope=scope)
        assert (found.scope, found.scope_threshold, found.in_scope) == (None, None, True)


def test_what_the_model_takes_for_out_of_scope_lowers_the_score() -> None:
    scope = Scope(offset=(0.0,), scale=(1.0,), weights=(1.0, 0.5, 0.0))
    known, strange = predicted(
        ["a", "b"], intent=[[0, 9.0, 0], [9.0, 0, 0]], near=[0.0, 0.0], scope=scope
    )
    assert known.scope is not None
    assert strange.scope is not None
    assert strange.scope < 0.1 < 0.9 < known.scope


def test_all_out_of_scope_labels_count_together() -> None:
    labels = Labels(("oos", "out_of_scope", "pay"), ())
    found = strangeness(np.array([[0.2, 0.3, 0.5]]), labels)
    assert found == pytest.approx([0.5])
    assert strangeness(np.array([[0.2, 0.3, 0.5]]), Labels(("a", "b", "c"), ())) == [0.0]


def test_there_is_no_familiarity_without_probabilities_or_nearness() -> None:
    probabilities, near = np.full((1, 3), 1 / 3), np.zeros((1, 1))
    assert familiarity(None, near, LABELS, SCOPE) is None
    assert familiarity(probabilities, None, LABELS, SCOPE) is None
    assert familiarity(probabilities, near, LABELS, Scope()) is None
    assert familiarity(probabilities, near, LABELS, SCOPE) == pytest.approx([0.5])


def test_another_language_is_told_where_the_text_also_looks_unfamiliar() -> None:
    texts, logits = [GERMAN, GERMAN, ENGLISH], [[0, 9.0, 0]] * 3
    english = Calibration(languages=("en",))
    found = predicted(texts, intent=logits, near=[-0.5, 0.5, -0.5], calibration=english)
    assert [p.language for p in found] == ["de", None, None]
    assert [p.in_scope for p in found] == [False, True, True]
    both = Calibration(languages=("de", "en"))
    found = predicted(texts, intent=logits, near=[-0.5] * 3, calibration=both)
    assert [p.language for p in found] == [None] * 3


def test_a_letter_that_english_does_not_write_is_reason_enough_to_ask() -> None:
    texts, logits = ["cancelación", "my café order, please", "cancel"], [[0, 9.0, 0]] * 3
    english = Calibration(languages=("en",))
    found = predicted(texts, intent=logits, near=[0.5] * 3, calibration=english)
    assert [p.language for p in found] == ["es", None, None]
    # Where the model's own language has such letters, its texts are judged as others are.
    german = Calibration(languages=("de",))
    found = predicted(texts, intent=logits, near=[0.5] * 3, calibration=german)
    assert [p.language for p in found] == [None] * 3


def test_where_the_examples_languages_are_unknown_none_is_foreign() -> None:
    (found,) = predicted([GERMAN], intent=[[0, 9.0, 0]], near=[-0.5])
    assert found.language is None


def test_each_text_keeps_its_own_neighbours() -> None:
    near = [(Neighbour("pay", "pay", 0.9),), (Neighbour("ship", "ship", 0.8),)]
    found = predicted(["a", "b"], intent=[[0, 9.0, 0]] * 2, neighbours=near)
    assert [p.neighbours for p in found] == near
