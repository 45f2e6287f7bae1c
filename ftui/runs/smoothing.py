"""Smoothing of curves: the debiased exponential moving average, and how much of it suits a curve."""

from __future__ import annotations

from collections.abc import Sequence

LEVELS: Sequence[float] = (0.0, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998)
"""Smoothing weights that the keys step through."""


class Average:
    """s ← weight·s + (1 − weight)·x, told as s / (1 − weightⁿ), so that the first values aren't pulled towards zero
    (as in Adam: Kingma & Ba 2015, §3)."""

    def __init__(self, weight: float, held: float = 0.0, count: int = 0) -> None:
        """`held` is what another one of this weight held after `count` values, to go on from there."""
        if not 0 <= weight < 1:
            raise ValueError(f"a smoothing weight lies in [0, 1), not {weight}")
        self.weight = weight
        self.held, self._bias = held, weight**count

    def add(self, value: float) -> float:
        """The average with this value taken in."""
        self.held = self.weight * self.held + (1 - self.weight) * value
        self._bias *= self.weight
        return self.held / (1 - self._bias)

    def add_mean(self, mean: float, count: int) -> float:
        """The average with `count` values taken in at once, of which only their mean is known."""
        weight = self.weight**count
        self.held = weight * self.held + (1 - weight) * mean
        self._bias *= weight
        return self.held / (1 - self._bias)


def suited_level(points: int) -> int:
    """The index in LEVELS whose average spans about a fortieth of `points` values: smooth, yet true to the bends."""
    span = points / 40
    if span <= 1.5:
        return 0
    wanted = 1 - 1 / span
    return min(range(len(LEVELS)), key=lambda index: abs(LEVELS[index] - wanted))
