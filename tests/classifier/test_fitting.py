from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tokenizers import Tokenizer

from classifier import fitting
from classifier.base import BaseModel, find_base, load_encoder, load_tokenizer
from classifier.batching import Ids, Mask, pad
from classifier.data import Example
from classifier.fitting import (
    IGNORE,
    _Average,
    batches,
    climbed,
    contrastive,
    cut,
    encode,
    fit,
    name_examples,
    steps_of,
)
from classifier.model import TwoHeadedBert
from classifier.recipe import SettledRecipe
from classifier.tokenising import Sequences
from classifier.training import find_labels
from classifier.vocabulary import Labels
from tests.classifier.tiny import TINY, make_examples

CPU = torch.device("cpu")
SHORT = replace(TINY, epochs=1, dropout=0.1).settle(24)
ROWS = make_examples(each=6)
LABELS = find_labels(ROWS)


@pytest.fixture(scope="module")
def base(tiny_base: Path) -> BaseModel:
    return find_base(str(tiny_base))


@pytest.fixture(scope="module")
def tokenizer(base: BaseModel) -> Tokenizer:
    tokenizer = load_tokenizer(base)
    tokenizer.enable_truncation(32)
    return tokenizer


def fitted(
    base: BaseModel,
    tokenizer: Tokenizer,
    recipe: SettledRecipe = SHORT,
    rows: list[Example] = ROWS,
    losses: list[float] | None = None,
) -> TwoHeadedBert:
    def report(_epoch: int, loss: float) -> None:
        if losses is not None:
            losses.append(loss)

    return fit(rows, find_labels(rows), base, tokenizer, recipe, CPU, report)


def same(one: TwoHeadedBert, other: TwoHeadedBert) -> bool:
    theirs = other.tensors()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in one.tensors().items())


@pytest.mark.parametrize(
    ("intent", "text"),
    [
        ("card_not_working", "card not working"),
        ("Refund_not_showing_up", "refund not showing up"),
        ("trackOrder", "track order"),
        ("faq/opening-hours", "faq opening hours"),
        ("退款申请", "退款申请"),
    ],
)
def test_an_intents_name_is_an_example_of_it(intent: str, text: str) -> None:
    assert name_examples([intent]) == [Example(text, intent)]


@pytest.mark.parametrize("intent", ["out_of_scope", "oos", "42", "a_1", "q7", "__", ""])
def test_a_name_that_says_nothing_is_no_example(intent: str) -> None:
    assert name_examples([intent]) == []


def test_names_are_trained_on_where_the_recipe_says_so(
    base: BaseModel, tokenizer: Tokenizer
) -> None:
    named = replace(SHORT, names=True, batch_size=1)
    without: list[float] = []
    losses: list[float] = []
    plain = fitted(base, tokenizer, replace(named, names=False), losses=without)
    assert not same(plain, fitted(base, tokenizer, named, losses=losses))
    # refund, thanks and where: out_of_scope says nothing about a text.
    assert len(losses) == len(without) + 3


@pytest.mark.parametrize("names", [False, True])
@pytest.mark.parametrize("batch_size", [4, 5, 100])
def test_a_fit_reports_as_many_steps_as_were_foretold(
    base: BaseModel, tokenizer: Tokenizer, names: bool, batch_size: int
) -> None:
    recipe = replace(SHORT, names=names, batch_size=batch_size, epochs=2, views=2)
    losses: list[float] = []
    fitted(base, tokenizer, recipe, losses=losses)
    assert len(losses) == steps_of(len(ROWS), LABELS, recipe)
    assert all(0 < loss < 20 for loss in losses)


def slow_contrastive(mean: torch.Tensor, intents: list[int], temperature: float) -> float:
    """The loss of Khosla et al. 2020 as their equation 2 has it, term by term."""
    rows = [row for row, intent in enumerate(intents) if intent >= 0]
    unit = [mean[row] / mean[row].norm() for row in range(len(intents))]
    terms = []
    for i in rows:
        alike = [p for p in rows if p != i and intents[p] == intents[i]]
        if not alike:
            continue
        total = sum(math.exp(float(unit[i] @ unit[a]) / temperature) for a in rows if a != i)
        each = [math.exp(float(unit[i] @ unit[p]) / temperature) / total for p in alike]
        terms.append(-sum(map(math.log, each)) / len(alike))
    return sum(terms) / len(terms)


def test_the_contrastive_loss_is_that_of_the_paper() -> None:
    torch.manual_seed(0)
    mean = torch.randn(9, 5) * torch.arange(1, 10)[:, None]
    intents = [0, 1, 0, 2, 1, 0, IGNORE, IGNORE, 3]
    for temperature in (0.07, 0.5, 2.0):
        found = contrastive(mean, torch.tensor(intents), temperature)
        expected = slow_contrastive(mean, intents, temperature)
        assert found.item() == pytest.approx(expected, rel=1e-4)


def test_the_contrastive_loss_is_computed_in_fp32_where_the_encoder_is_not(
    base: BaseModel, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    products: list[torch.dtype] = []

    def spy(mean: torch.Tensor, intents: torch.Tensor, temperature: float) -> torch.Tensor:
        products.append((mean @ mean.T).dtype)
        return contrastive(mean, intents, temperature)

    monkeypatch.setattr(fitting, "fast_dtype", lambda device: torch.bfloat16)
    monkeypatch.setattr(fitting, "contrastive", spy)
    fitted(base, tokenizer, replace(SHORT, contrast=1.0))
    assert set(products) == {torch.float32}


@pytest.mark.parametrize("intents", [[IGNORE] * 3, [IGNORE, 1, IGNORE], [0, 1, 2]])
def test_a_batch_without_a_pair_has_no_contrastive_loss(intents: list[int]) -> None:
    mean = torch.randn(3, 4, requires_grad=True)
    assert contrastive(mean, torch.tensor(intents), 0.07).item() == 0


def test_the_contrastive_loss_draws_texts_of_one_intent_together() -> None:
    torch.manual_seed(0)
    mean = torch.randn(4, 3, requires_grad=True)
    intents = torch.tensor([0, 0, 1, IGNORE])
    contrastive(mean, intents, 0.5).backward()  # type: ignore[no-untyped-call]
    assert mean.grad is not None
    assert mean.grad.isfinite().all()
    assert (mean.grad[3] == 0).all()

    def alike(states: torch.Tensor) -> float:
        return float(torch.cosine_similarity(states[0], states[1], dim=0))

    assert alike(mean.detach() - 0.1 * mean.grad) > alike(mean.detach())


def test_the_average_is_that_of_the_weights_after_the_steps_from_its_start_on() -> None:
    model = torch.nn.Linear(2, 2)
    average = _Average(model, start=2)  # type: ignore[arg-type]
    for step in range(1, 6):
        with torch.no_grad():
            model.weight.fill_(float(step))
        average.update(step)
    average.put_in_place()
    assert model.weight.tolist() == [[4.0, 4.0], [4.0, 4.0]]


def test_nothing_is_averaged_before_the_start() -> None:
    model = torch.nn.Linear(2, 2)
    before = model.weight.clone()
    average = _Average(model, start=9)  # type: ignore[arg-type]
    average.update(9)
    average.put_in_place()
    assert torch.equal(model.weight, before)


def test_a_climb_goes_up_the_gradient_by_the_radius_and_comes_back() -> None:
    model = torch.nn.Linear(3, 2)
    untouched = torch.nn.Linear(2, 2)
    both = torch.nn.ModuleList([model, untouched])
    before = [parameter.detach().clone() for parameter in both.parameters()]
    (model(torch.tensor([[1.0, -2.0, 4.0]])) ** 2).sum().backward()
    assert model.weight.grad is not None
    slope = model.weight.grad.clone()
    with climbed(both, 0.5):
        ways = [p.detach() - b for p, b in zip(both.parameters(), before, strict=True)]
        assert all(parameter.grad is None for parameter in both.parameters())
    length = float(torch.cat([way.flatten() for way in ways]).norm())
    assert length == pytest.approx(0.5, rel=1e-4)
    assert torch.cosine_similarity(ways[0].flatten(), slope.flatten(), dim=0) > 0.999
    assert all(
        torch.allclose(p, b, atol=1e-6) for p, b in zip(both.parameters(), before, strict=True)
    )


def test_a_radius_changes_where_steps_lead_but_is_no_step_itself(
    base: BaseModel, tokenizer: Tokenizer
) -> None:
    def way(recipe: SettledRecipe) -> float:
        plain, around = (
            fitted(base, tokenizer, replace(recipe, radius=radius)) for radius in (0.0, 0.5)
        )
        pairs = zip(plain.parameters(), around.parameters(), strict=True)
        return max(float((mine - own).detach().abs().max()) for mine, own in pairs)

    assert way(SHORT) > 1e-3
    assert way(replace(SHORT, encoder_rate=1e-12, head_rate=1e-12)) < 1e-5


def test_averaging_changes_the_weights_of_a_fit(base: BaseModel, tokenizer: Tokenizer) -> None:
    plain = fitted(base, tokenizer, replace(SHORT, averaged=0.0))
    assert not same(plain, fitted(base, tokenizer, replace(SHORT, averaged=0.9)))


@pytest.mark.parametrize(
    "changes", [{}, {"views": 2, "contrast": 1.0, "names": True}, {"radius": 0.05, "dropout": 0.1}]
)
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    base: BaseModel, tokenizer: Tokenizer, changes: dict[str, bool]
) -> None:
    recipe = replace(SHORT, **changes)  # type: ignore[arg-type]
    first = fitted(base, tokenizer, recipe)
    torch.rand(7)
    random.seed(7)
    assert same(first, fitted(base, tokenizer, recipe))
    assert not same(first, fitted(base, tokenizer, replace(recipe, seed=2)))


def test_a_fit_leaves_the_callers_random_state_alone(base: BaseModel, tokenizer: Tokenizer) -> None:
    before, python = torch.random.get_rng_state(), random.getstate()
    fitted(base, tokenizer)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert random.getstate() == python


@pytest.mark.parametrize("change", [{"views": 2}, {"contrast": 1.0}, {"sentiment_weight": 0.1}])
def test_the_recipes_losses_count(
    base: BaseModel, tokenizer: Tokenizer, change: dict[str, float]
) -> None:
    changed = replace(SHORT, **change)  # type: ignore[arg-type]
    assert not same(fitted(base, tokenizer), fitted(base, tokenizer, changed))


@pytest.mark.parametrize(("kind", "counts"), [("intent", True), ("sentiment", False)])
def test_labels_are_smoothed_for_intents_and_not_for_sentiments(
    base: BaseModel, tokenizer: Tokenizer, kind: str, counts: bool
) -> None:
    rows = [Example(e.text, **{kind: getattr(e, kind)}) for e in ROWS]
    plain = fitted(base, tokenizer, replace(SHORT, label_smoothing=0.0), rows)
    smoothed = fitted(base, tokenizer, replace(SHORT, label_smoothing=0.3), rows)
    assert same(plain, smoothed) is not counts


def test_words_that_never_occur_keep_their_pretrained_weights(
    base: BaseModel, tokenizer: Tokenizer
) -> None:
    rows = [Example("refund", "a"), Example("thanks", "b")] * 8
    model = fitted(base, tokenizer, rows=rows)
    name = "embeddings.word_embeddings.weight"
    before = load_encoder(base, tokenizer, 0.0).words.weight.data
    after = model.tensors()["bert." + name]
    occurring = {i for row in rows for i in tokenizer.encode(row.text).ids}
    assert after.shape == before.shape
    assert set((before != after).any(dim=1).nonzero().flatten().tolist()) == occurring


def test_biases_and_norms_do_not_decay(base: BaseModel, tokenizer: Tokenizer) -> None:
    # With rates so low that the gradients move nothing, only decay would.
    recipe = replace(SHORT, encoder_rate=1e-12, weight_decay=1e8, averaged=0.0)
    start = safetensors.torch.load_file(base.path / "model.safetensors")
    end = fitted(base, tokenizer, recipe).tensors()
    for name, moves in (
        ("encoder.layer.0.output.LayerNorm.weight", False),
        ("encoder.layer.0.output.dense.weight", True),
    ):
        change = (end["bert." + name] - start[name]).abs().max() / start[name].abs().max()
        assert (change > 1e-5) == moves


def test_a_batch_that_lacks_one_label_altogether_does_not_spoil_the_weights(
    base: BaseModel, tokenizer: Tokenizer
) -> None:
    rows = [Example(e.text, e.intent) for e in ROWS] + [
        Example(e.text, None, e.sentiment) for e in ROWS
    ]
    losses: list[float] = []
    recipe = replace(SHORT, batch_size=1, contrast=1.0)
    model = fitted(base, tokenizer, recipe, rows, losses)
    assert all(0 < loss < 10 for loss in losses)
    assert all(tensor.isfinite().all() for tensor in model.tensors().values())


def test_labels_become_indices_and_those_unknown_are_left_out(tokenizer: Tokenizer) -> None:
    labels = Labels(("a", "b"), ("negative", "neutral"))
    rows = [Example("refund", "b"), Example("", None, "neutral"), Example("x", "c", "positive")]
    found = encode(rows, labels, tokenizer)
    assert found.intents == [1, IGNORE, IGNORE]
    assert found.sentiments == [IGNORE, 1, IGNORE]
    assert all(found.ids)


def test_a_cut_text_lacks_about_that_share_of_its_tokens_and_keeps_its_ends_and_order() -> None:
    rng = random.Random(1)
    ids = list(range(100, 140))
    found = [cut(ids, 0.25, rng) for _ in range(200)]
    assert all(one[0] == 100 and one[-1] == 139 and one == sorted(set(one)) for one in found)
    assert sum(map(len, found)) / len(found) == pytest.approx(2 + 0.75 * 38, abs=1)
    assert len(set(map(tuple, found))) > 100


@pytest.mark.parametrize("ids", [[7], [7, 8], [7, 8, 9]])
def test_a_text_that_would_be_cut_to_nothing_stays_whole(ids: list[int]) -> None:
    assert cut(ids, 0.999, random.Random(1)) == ids


@pytest.mark.parametrize("views", [1, 3])
def test_only_views_after_the_first_are_cut(
    base: BaseModel, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, views: int
) -> None:
    batch: list[list[int]] = []

    def spy(sequences: Sequences) -> tuple[Ids, Mask]:
        batch[:] = sequences.lists()
        return pad(sequences)

    monkeypatch.setattr(fitting, "pad", spy)
    fitted(base, tokenizer, replace(SHORT, batch_size=100, views=views, cutoff=0.5))
    first, others = batch[: len(ROWS)], batch[len(ROWS) :]
    whole = sum(len(tokenizer.encode(row.text).ids) for row in ROWS)
    assert sum(map(len, first)) == whole
    assert len(others) == (views - 1) * len(ROWS)
    assert sum(map(len, others)) <= 0.8 * (views - 1) * whole


@pytest.mark.parametrize("group", [1, 3, 100])
def test_batches_hold_every_row_once_in_an_order_of_their_own(group: int) -> None:
    intents = [number % 3 - 1 for number in range(50)]
    found = list(batches(intents, 16, group, random.Random(2)))
    assert [len(batch) for batch in found] == [16, 16, 16, 2]
    assert sorted(row for batch in found for row in batch) == list(range(50))
    assert found != list(batches(intents, 16, group, random.Random(3)))


def test_examples_of_one_intent_come_in_groups_and_those_without_one_alone() -> None:
    intents = [IGNORE] * 40 + [0] * 12 + [1] * 12
    (order,) = batches(intents, 64, 4, random.Random(1))
    runs = [(intent, len(list(rows))) for intent, rows in groupby(intents[row] for row in order)]
    assert all(length % 4 == 0 for intent, length in runs if intent != IGNORE)
    assert sum(intent == IGNORE for intent, _ in runs) > 3


def test_names_that_differ_by_numbers_alone_are_no_examples() -> None:
    intents = ["label_1", "label_2", "class 12", "class 13", "covid_19", "top_up_failed"]
    assert [example.text for example in name_examples(intents)] == ["covid 19", "top up failed"]
