"""What the values that enter a product look like."""

from __future__ import annotations

from dataclasses import dataclass

from classifier.arrays import Float32


@dataclass(frozen=True, slots=True)
class Range:
    """The least and largest value of each input channel of a product, (channels,) each."""

    low: Float32
    high: Float32
