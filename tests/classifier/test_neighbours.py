from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from classifier import neighbours
from classifier.neighbours import SHOWN, Neighbours
from classifier.vocabulary import Neighbour


def fan(*degrees: float) -> np.ndarray:
    """Pooled states in these directions of the plane, of various lengths."""
    angles = np.radians(np.array(degrees))
    lengths = 1 + np.arange(len(degrees))
    found = np.stack([np.cos(angles), np.sin(angles)], axis=1) * lengths[:, None]
    return found.astype(np.float32)


@pytest.fixture
def known() -> Neighbours:
    return Neighbours.of(
        ["pay a", "pay b", "ship a", "thanks"],
        ["pay", "pay", "ship", "thank"],
        fan(0, 10, 45, 90),
    )


def test_the_nearest_examples_come_first_with_their_cosine(known: Neighbours) -> None:
    ship, pay = known.nearest(fan(40, 2))
    assert [neighbour.text for neighbour in ship] == ["ship a", "pay b", "pay a"]
    assert [neighbour.text for neighbour in pay] == ["pay a", "pay b", "ship a"]
    cosines = np.cos(np.radians([5, 30, 40])).tolist()
    assert [neighbour.similarity for neighbour in ship] == pytest.approx(cosines, abs=1e-6)
    assert ship[0] == Neighbour("ship a", "ship", ship[0].similarity)


def test_many_texts_are_looked_up_in_parts_with_the_same_result(
    known: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = fan(*range(0, 90, 9))
    whole = known.nearest(asked)
    monkeypatch.setattr(neighbours, "AT_ONCE", 3)
    assert known.nearest(asked) == whole


def test_the_nearest_are_those_of_a_plain_search_through_all() -> None:
    rng = np.random.default_rng(0)
    pooled = rng.normal(size=(500, 8)).astype(np.float32)
    many = Neighbours.of([str(n) for n in range(500)], ["pay"] * 500, pooled)
    asked = rng.normal(size=(7, 8)).astype(np.float32)
    cosines = (asked @ pooled.T) / np.linalg.norm(pooled, axis=1)
    found = [[int(neighbour.text) for neighbour in own] for own in many.nearest(asked)]
    assert found == np.argsort(-cosines, axis=1)[:, :SHOWN].tolist()


def test_fewer_examples_than_are_shown_are_all_shown(known: Neighbours) -> None:
    two = Neighbours(known.texts[:2], known.intents[:2], known.directions[:2])
    assert [len(own) for own in two.nearest(fan(0, 90))] == [2, 2]


def test_too_many_examples_are_shared_out_among_the_intents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neighbours, "KEPT", 100)
    intents = ["big"] * 500 + ["middle"] * 60 + ["small"] * 7
    texts = [f"{intent} {number}" for number, intent in enumerate(intents)]
    pooled = np.arange(1, 568, dtype=np.float32)[:, None] * np.array([[1.0, 1.0]], dtype=np.float32)
    kept = Neighbours.of(texts, intents, pooled)
    counts = Counter(kept.intents)
    assert counts["small"] == 7
    assert counts["big"] == counts["middle"] == 46
    assert len(kept.directions) == len(kept.texts) <= 100
    assert all(
        text.startswith(intent) for text, intent in zip(kept.texts, kept.intents, strict=True)
    )
    # From all over the examples, not the first of them.
    assert int(kept.texts[45].split()[1]) > 480


def test_more_intents_than_room_keep_one_example_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "KEPT", 10)
    intents = [f"intent{number % 15}" for number in range(45)]
    kept = Neighbours.of(intents, intents, np.ones((45, 2), dtype=np.float32))
    assert sorted(kept.intents) == sorted(set(intents))


def test_few_examples_are_all_kept_in_their_order(known: Neighbours) -> None:
    assert known.texts == ("pay a", "pay b", "ship a", "thanks")


def test_an_example_without_any_direction_is_near_to_nothing() -> None:
    known = Neighbours.of(["a", "b"], ["pay", "ship"], np.zeros((2, 2), dtype=np.float32))
    assert [neighbour.similarity for neighbour in known.nearest(fan(30))[0]] == [0.0, 0.0]


def test_no_texts_have_no_neighbours(known: Neighbours) -> None:
    assert known.nearest(np.empty((0, 2), dtype=np.float32)) == []


def test_examples_survive_being_saved(known: Neighbours) -> None:
    texts = ["a\u2028b\x85c\nd", '"quoted" \\ 退款 🙂', "plain", "\t\0"]
    saved = Neighbours(tuple(texts), known.intents, known.directions)
    again = Neighbours.from_parts(saved.as_lines(), saved.directions.astype(np.float16))
    assert (again.texts, again.intents) == (saved.texts, saved.intents)
    assert again.directions.dtype == np.float32
    assert again.directions == pytest.approx(saved.directions, abs=1e-3)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (b"", "0 examples with"),
        (b'{"text": "a", "intent": "b"}\n', "1 examples with"),
        (b'{"text": "a"}\n{"text": "b"}\n', "lacks or garbles 'intent'"),
        (b"[]\n[]\n", "lacks or garbles"),
        (b"no json\n", "Expecting value"),
        (b"\xff\n", "can't decode"),
    ],
)
def test_damaged_examples_are_refused(lines: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Neighbours.from_parts(lines, np.zeros((2, 4), dtype=np.float32))
    with pytest.raises(ValueError, match="2 examples with"):
        Neighbours.from_parts(b'{"text": "a", "intent": "b"}\n' * 2, np.zeros(2, dtype=np.float32))
