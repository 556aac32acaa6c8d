from __future__ import annotations

import torch

from classifier.model import IntentHead, mean_pool, pad


def test_the_intent_head_starts_as_the_nearest_mean_direction() -> None:
    means = torch.tensor([[2.0, 0.1], [9.0, -0.2], [0.1, 1.0], [-5.0, 0.0]])
    head = IntentHead(2, 2)
    head.start(means, torch.tensor([0, 0, 1, -100]))
    assert head(means[:3]).argmax(dim=1).tolist() == [0, 0, 1]
    expected = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert torch.allclose(head.weight, expected, atol=0.15)


def test_padding_has_no_part_in_the_mean() -> None:
    ids, mask = pad([[1, 2, 3], [4]])
    assert ids.tolist() == [[1, 2, 3], [4, 0, 0]]
    states = ids[:, :, None].float() + torch.where(mask, 0.0, 1000.0)[:, :, None]
    assert mean_pool(states, mask).squeeze(-1).tolist() == [2.0, 4.0]
