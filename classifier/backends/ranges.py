"""What the values that enter a product look like."""

from __future__ import annotations

from dataclasses import dataclass

from classifier.backends import Array


@dataclass(frozen=True, slots=True)
class Range:
    """The least and largest value of each input channel of a product, (channels,) each."""

    low: Array
    high: Array
