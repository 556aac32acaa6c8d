"""What a run trains on, of the pack's examples and of what people taught."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from classifier.data import Example
from classifier.held_out import plan_rounds
from classifier.recipe import Recipe
from classifier.thresholds import choose_thresholds
from desk.domain import FeedbackKind
from desk.flow.lessons import Learned, resolve_conflicts
from tests.conftest import Clock
from tests.desk.acting import OLGA
from workers.training_data import examples_hash, training_examples

CUSTOMERS = [FeedbackKind.THUMB_UP, FeedbackKind.CLARIFIED]


def learned(
    text: str, intent: str, clock: Clock, kind: FeedbackKind = FeedbackKind.RELABEL
) -> Learned:
    return Learned(text, intent, kind, clock(), OLGA, 1)


def mood(text: str, sentiment: str, clock: Clock) -> Learned:
    return Learned(text, None, FeedbackKind.MOOD, clock(), OLGA, 1, sentiment)


def new(text: str, intent: str, kind: FeedbackKind) -> Example:
    return Example(text, intent, private=True, measures=kind is not FeedbackKind.THUMB_UP)


def test_an_operators_word_replaces_the_packs_label_and_new_texts_join(clock: Clock) -> None:
    pack = [Example("Where is it", "order_status", "negative"), Example("hi", "greeting", None)]
    taught = [learned("where  is it", "refund", clock), learned("open today?", "hours", clock)]
    assert training_examples(pack, taught, []) == [
        Example("Where is it", "refund", "negative"),
        Example("hi", "greeting", None),
        Example("open today?", "hours", private=True),
    ]


def test_a_customers_words_in_the_pack_stay_private_whatever_an_operator_says(clock: Clock) -> None:
    pack = [Example("where is it", "order_status", private=True)]
    taught = [learned("where is it", "refund", clock)]
    assert training_examples(pack, taught, []) == [Example("where is it", "refund", private=True)]


def test_what_an_operator_labelled_measures_though_customers_liked_it_before(clock: Clock) -> None:
    liked = Example("where is it", "order_status", "neutral", private=True, measures=False)
    [labelled] = training_examples([liked], [learned("where is it", "order_status", clock)], [])
    assert labelled.measures
    # Their mood says nothing of the intent.
    said = training_examples([liked], [mood("where is it", "neutral", clock)], [])
    assert said == [liked]


def test_texts_that_differ_by_what_means_something_are_taught_apart(clock: Clock) -> None:
    pack = [Example("thanks :)", "thanks", "positive"), Example("thanks :(", "thanks")]
    said = (("thanks :(", "complaint"), ("c#", "hours"), ("c", "thanks"))
    taught = resolve_conflicts(learned(*each, clock) for each in said)
    assert training_examples(pack, taught, []) == [
        Example("thanks :)", "thanks", "positive"),
        Example("thanks :(", "complaint"),
        Example("c#", "hours", private=True),
        Example("c", "thanks", private=True),
    ]


@pytest.mark.parametrize("kind", CUSTOMERS)
def test_a_customers_word_does_not_replace_the_packs_label(
    clock: Clock, kind: FeedbackKind
) -> None:
    pack = [Example("Where is it", "order_status", "negative")]
    taught = [learned("where is it", "refund", clock, kind), learned("hm?", "hours", clock, kind)]
    assert training_examples(pack, taught, []) == [*pack, new("hm?", "hours", kind)]


def test_texts_of_the_frozen_test_set_are_never_trained_on(clock: Clock) -> None:
    test = [Example("Open today?", "hours", None)]
    taught = [learned("open today", "hours", clock), learned("OPEN today??", "refund", clock)]
    pack = [Example("open today!", "hours"), Example("and tomorrow", "hours")]
    assert training_examples(pack, taught, test) == [Example("and tomorrow", "hours")]


def test_an_operators_word_replaces_the_label_of_each_of_the_packs_rows_of_that_text(
    clock: Clock,
) -> None:
    pack = [Example("Hi", "order_status"), Example("hi!", "order_status")]
    found = training_examples(pack, [learned("hi", "greeting", clock)], [])
    assert [example.intent for example in found] == ["greeting", "greeting"]


@pytest.mark.parametrize("kind", CUSTOMERS)
@pytest.mark.parametrize(
    ("text", "variant"),
    [("where is my order?", "where is my order"), ("Hi", "hi?!"), ("??", "?? !")],
)
@pytest.mark.parametrize("intent", ["order_status", "refund"])
def test_a_customers_word_teaches_nothing_of_a_text_that_the_pack_has_with_other_punctuation(
    clock: Clock, kind: FeedbackKind, text: str, variant: str, intent: str
) -> None:
    pack = [Example(text, "order_status", "neutral")]
    taught = [learned(variant, intent, clock, kind), learned("hm?", "hours", clock, kind)]
    assert training_examples(pack, taught, []) == [*pack, new("hm?", "hours", kind)]


def test_a_customers_word_teaches_nothing_of_a_text_that_an_operator_labelled(
    clock: Clock,
) -> None:
    taught = [
        learned("where is my order", "refund", clock, FeedbackKind.CLARIFIED),
        learned("Where is my order?", "order_status", clock),
    ]
    assert training_examples([], taught, []) == [
        Example("Where is my order?", "order_status", private=True)
    ]


def test_an_operators_word_stands_beside_the_packs_label_of_a_text_with_other_punctuation(
    clock: Clock,
) -> None:
    pack = [Example("where is my order?", "order_status")]
    assert training_examples(pack, [learned("where is my order", "refund", clock)], []) == [
        *pack,
        Example("where is my order", "refund", private=True),
    ]


def test_the_hash_of_what_a_run_trains_on_changes_with_that_and_with_no_more(
    clock: Clock,
) -> None:
    pack, test = [Example("hi", "greeting")], [Example("Open today?", "hours")]
    taught = [learned("hm?", "hours", clock), learned("oh", "refund", clock)]

    def found(pack: list[Example], taught: list[Learned]) -> str:
        return examples_hash(training_examples(pack, taught, test))

    known = found(pack, taught)
    clock.move(days=1)
    again = [learned("Oh!", "refund", clock), learned("hm?", "hours", clock)]
    nothing = [
        learned("open today", "refund", clock),
        learned("hi?", "refund", clock, FeedbackKind.CLARIFIED),
        learned("hi", "greeting", clock),
    ]
    assert found(pack, again + nothing) == known
    for other in (
        taught[:1],
        [taught[0], learned("oh", "greeting", clock)],
        [*taught, learned("hi", "refund", clock)],
    ):
        assert found(pack, other) != known
    for changed in (
        [Example("Hi", "greeting")],
        [Example("hi", "refund")],
        [Example("hi", "greeting", "positive")],
        [*pack, Example("oh no", "refund")],
    ):
        assert found(changed, taught) != known


def test_a_thumb_up_that_becomes_a_choice_changes_what_a_run_trains_on(clock: Clock) -> None:
    found = {
        examples_hash(training_examples([], [learned("hm?", "hours", clock, kind)], []))
        for kind in (FeedbackKind.THUMB_UP, FeedbackKind.CLARIFIED, FeedbackKind.RELABEL)
    }
    assert len(found) == 2, "what measures models is another run's, who said so is none"


def test_thumbs_up_prove_no_thresholds_that_break_the_promise(clock: Clock) -> None:
    """There is a thumb only for what was answered, above the threshold, and rightly."""
    recipe, target = Recipe(folds=5, rounds=5).settle(1500, 2), 0.05
    broken = dict.fromkeys(CUSTOMERS, 0)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        confidence = 1 - rng.random(20_000) ** 2 / 2
        right = rng.random(len(confidence)) < confidence
        # A text's number is its place there: so what a model says of it is known.
        pack = [Example(f"{row}", "ab"[row % 2]) for row in range(1000)]
        liked = 1000 + np.flatnonzero((confidence >= 0.88)[1000:] & right[1000:])[:500]
        for kind in CUSTOMERS:
            taught = [learned(f"{row}", "a", clock, kind) for row in liked]
            rounds = plan_rounds(training_examples(pack, taught, []), recipe)
            asked = [int(example.text) for _, asked in rounds for example in asked]
            _, own = choose_thresholds(
                confidence[asked], ["a"] * len(asked), right[asked], target, {}
            )
            threshold = own["a"]
            broken[kind] += bool((1 - confidence[confidence >= threshold]).mean() > target)
    assert broken[FeedbackKind.THUMB_UP] == 0
    # Taken for choices, the same texts "prove" thresholds that break it nearly every time.
    assert broken[FeedbackKind.CLARIFIED] >= 8


def test_taps_that_confirm_what_a_sure_model_suggested_prove_no_thresholds(clock: Clock) -> None:
    """Who is upset gets a person though the model is sure: where it is right one tap labels the
    message, where it is wrong the operator writes, and no label comes of it."""
    recipe, target = Recipe(folds=5, rounds=5).settle(1500, 2), 0.05
    broken = dict.fromkeys((True, False), 0)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        confidence = 1 - rng.random(20_000) ** 2 / 2
        right = rng.random(len(confidence)) < confidence
        pack = [Example(f"{row}", "ab"[row % 2]) for row in range(1000)]
        tapped = 1000 + np.flatnonzero(right[1000:])[:500]
        for by_outcome in broken:
            one_tap = learned("", "a", clock, FeedbackKind.ONE_TAP_ANSWER)
            taught = [replace(one_tap, text=f"{row}", by_outcome=by_outcome) for row in tapped]
            rounds = plan_rounds(training_examples(pack, taught, []), recipe)
            asked = [int(example.text) for _, asked in rounds for example in asked]
            _, own = choose_thresholds(
                confidence[asked], ["a"] * len(asked), right[asked], target, {}
            )
            surer = confidence >= own["a"]
            broken[by_outcome] += bool((1 - confidence[surer]).mean() > target)
    assert broken[True] == 0
    assert broken[False] >= 4


def test_a_tap_that_confirms_takes_no_packs_example_from_what_measures(clock: Clock) -> None:
    tap = replace(
        learned("where is it", "order_status", clock, FeedbackKind.ONE_TAP_ANSWER), by_outcome=True
    )
    measuring = Example("where is it", "order_status", "neutral")
    liked = replace(measuring, measures=False)
    assert training_examples([measuring], [tap], []) == [measuring]
    assert training_examples([liked], [tap], []) == [liked]


PACK = [Example("Where is it", "order_status", "negative"), Example("hi", "greeting", "neutral")]


def test_a_mood_replaces_the_packs_sentiment_of_that_text_and_not_its_intent(clock: Clock) -> None:
    taught = [mood("where is it!", "neutral", clock), learned("hi", "thanks", clock)]
    assert training_examples(PACK, taught, []) == [
        Example("Where is it", "order_status", "neutral"),
        Example("hi", "thanks", "neutral"),
    ]


def test_a_mood_joins_what_was_learned_of_the_same_text_and_else_trains_the_sentiment_alone(
    clock: Clock,
) -> None:
    taught = [
        mood("open today!", "neutral", clock),
        learned("Open today", "hours", clock, FeedbackKind.THUMB_UP),
        mood("well then", "negative", clock),
    ]
    assert sorted(training_examples(PACK, taught, [])[2:], key=repr) == [
        Example("Open today", "hours", "neutral", private=True, measures=False),
        Example("well then", None, "negative", private=True),
    ]


def test_a_mood_does_not_silence_what_a_customer_chose(clock: Clock) -> None:
    taught = [
        mood("open today?", "neutral", clock),
        learned("open today", "hours", clock, FeedbackKind.CLARIFIED),
    ]
    found = training_examples(PACK, taught, [])[2:]
    assert [example.intent for example in found if example.intent] == ["hours"]


def test_a_mood_teaches_nothing_of_a_text_of_the_test_nor_what_the_pack_has_no_example_of(
    clock: Clock,
) -> None:
    test = [Example("Open today?", "hours", "negative")]
    taught = [mood("open today", "neutral", clock), mood("hi", "positive", clock)]
    assert training_examples(PACK, taught, test) == PACK
    intents_alone = [Example("where is it", "order_status"), Example("hi", "greeting")]
    taught = [mood("well then", "negative", clock), mood("hi", "neutral", clock)]
    assert training_examples(intents_alone, taught, test) == intents_alone


def test_a_mood_changes_the_hash_of_what_a_run_trains_on_unless_it_says_what_is_known(
    clock: Clock,
) -> None:
    def found(*taught: Learned) -> str:
        return examples_hash(training_examples(PACK, taught, []))

    hm = mood("hm", "negative", clock)
    hashes = [found(), found(hm), found(mood("hm", "neutral", clock))]
    hashes += [found(hm, learned("hm", "hours", clock)), found(mood("hi", "negative", clock))]
    assert len(set(hashes)) == len(hashes)
    assert found(mood("Hi!", "neutral", clock)) == found()
