from __future__ import annotations

from pathlib import Path

import pytest
import torch

from classifier.base import find_base, load_encoder, load_tokenizer
from classifier.batching import pad
from classifier.bert import BertEncoder, Dropout
from classifier.model import IntentHead, TwoHeadedBert, mean_pool
from classifier.tokenising import Sequences
from classifier.vocabulary import Labels

TEXTS = [[2, 17, 45, 9, 3], [2, 3], [2, *range(20, 50), 3], [7], [2, 8, 3]]


@pytest.fixture
def encoder(tiny_base: Path) -> BertEncoder:
    base = find_base(str(tiny_base))
    return load_encoder(base, load_tokenizer(base), 0.0).eval()


def padded(texts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    ids, mask = pad(Sequences.of(texts))
    return torch.from_numpy(ids), torch.from_numpy(mask)


def test_the_intent_head_starts_as_the_nearest_mean_direction() -> None:
    means = torch.tensor([[2.0, 0.1], [9.0, -0.2], [0.1, 1.0], [-5.0, 0.0]])
    head = IntentHead(2, 2)
    head.start(means, torch.tensor([0, 0, 1, -100]))
    assert head(means[:3]).argmax(dim=1).tolist() == [0, 0, 1]
    expected = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert torch.allclose(head.weight, expected, atol=0.15)


def test_padding_has_no_part_in_the_mean() -> None:
    ids, mask = padded([[1, 2, 3], [4]])
    assert ids.tolist() == [[1, 2, 3], [4, 0, 0]]
    states = ids[:, :, None].float() + torch.where(mask, 0.0, 1000.0)[:, :, None]
    assert mean_pool(states, mask).squeeze(-1).tolist() == [2.0, 4.0]


def test_the_packed_encoder_computes_both_last_layers_as_transformers_does(
    tiny_base: Path, encoder: BertEncoder
) -> None:
    from transformers import BertModel

    theirs = BertModel.from_pretrained(tiny_base, add_pooling_layer=False).train(False)
    ids, mask = padded(TEXTS)
    with torch.no_grad():
        before, last = encoder.last_two(ids, mask)
        states = theirs(ids, attention_mask=mask.long(), output_hidden_states=True).hidden_states
        assert torch.equal(encoder(ids, mask), last)
    assert torch.allclose(before[mask], states[-2][mask], atol=1e-5)
    assert torch.allclose(last[mask], states[-1][mask], atol=1e-5)
    assert not before[~mask].any()
    assert not last[~mask].any()


def test_a_text_is_computed_in_a_batch_as_alone(encoder: BertEncoder) -> None:
    ids, mask = padded(TEXTS)
    with torch.no_grad():
        together = encoder(ids, mask)
        for row, text in enumerate(TEXTS):
            alone = encoder(*padded([text]))[0]
            assert torch.allclose(together[row, : len(text)], alone, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_takes_its_share_and_keeps_the_mean(dtype: torch.dtype) -> None:
    dropout = Dropout(0.3)
    x = torch.ones(1001, 33, dtype=dtype, requires_grad=True)
    torch.manual_seed(5)
    out = dropout(x)
    assert float((out == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(out.detach().float().mean()) == pytest.approx(1.0, abs=0.02)
    out.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, out.detach())
    torch.manual_seed(5)
    assert torch.equal(dropout(x), out)
    assert not torch.equal(dropout(x), out)


def test_what_is_dropped_in_one_place_says_nothing_of_the_next() -> None:
    torch.manual_seed(6)
    kept = (Dropout(0.5)(torch.ones(400_000)) > 0).float()
    for distance in (1, 2, 3, 4, 5, 8):
        both = torch.stack([kept[:-distance], kept[distance:]])
        assert abs(float(torch.corrcoef(both)[0, 1])) < 0.01


def test_nothing_is_dropped_in_use_or_where_the_share_is_nothing() -> None:
    x = torch.randn(7, 5)
    assert torch.equal(Dropout(0.3).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)


def test_padding_gives_no_gradient(encoder: BertEncoder) -> None:
    def gradient(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        encoder.zero_grad()
        (encoder(ids, mask) ** 3).sum().backward()
        found = encoder.words.weight.grad
        assert found is not None
        return found.clone()

    ids, mask = padded([[2, 5, 3], [2, 9, 8, 7, 3]])
    other = torch.where(mask, ids, 33)
    assert torch.allclose(gradient(ids, mask), gradient(other, mask))
    assert not gradient(other, mask)[33].any()


def test_the_mean_that_training_contrasts_is_what_the_intent_head_reads(
    encoder: BertEncoder,
) -> None:
    model = TwoHeadedBert(encoder, Labels(("a", "b"), ("negative", "positive"))).eval()
    ids, mask = padded(TEXTS)
    with torch.no_grad():
        logits, mean = model.with_mean(ids, mask)
        assert torch.equal(mean, mean_pool(encoder(ids, mask), mask))
        assert model.intent is not None
        assert logits.intent is not None
        assert torch.equal(logits.intent, model.intent(mean))
        again = model(ids, mask)
    for one, other in zip(again, logits, strict=True):
        assert one is not None
        assert other is not None
        assert torch.equal(one, other)


def test_a_model_without_a_head_says_nothing_of_it(encoder: BertEncoder) -> None:
    logits = TwoHeadedBert(encoder, Labels((), ("negative", "positive")))(*padded(TEXTS))
    assert logits.intent is None
    assert TwoHeadedBert(encoder, Labels(("a", "b"), ()))(*padded(TEXTS)).sentiment is None
