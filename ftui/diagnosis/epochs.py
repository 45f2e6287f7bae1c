"""`Epochs`: the losses of the last two epochs by their place in it: whether the order of the rows shows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

BINS = 12


@dataclass
class Bin:
    """Losses at one place of an epoch."""

    values: list[float] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """Their mean."""
        return math.fsum(self.values) / len(self.values)


class Epochs:
    """Losses by twelfths of the epoch under way, and of the two that were whole before it."""

    def __init__(self) -> None:
        self.number = 0
        self.whole: list[list[Bin]] = []
        """The bins of the last two whole epochs, older first."""
        self._bins = [Bin() for _ in range(BINS)]
        self._from_start = False

    def add(self, epoch: object, loss: object) -> None:
        """Take in the loss of a step that ends at `epoch`, counted from 0."""
        if not isinstance(epoch, int | float) or not isinstance(loss, int | float) or not math.isfinite(loss):
            return
        # A step that ends an epoch says the next one's number.
        number = math.ceil(epoch) - 1 if epoch > 0 else 0
        if number != self.number:
            if self._from_start and all(one.values for one in self._bins):
                self.whole = [*self.whole[-1:], self._bins]
            else:
                self.whole = []
            self.number, self._bins = number, [Bin() for _ in range(BINS)]
            self._from_start = True
        elif epoch - number < 1 / BINS:
            self._from_start = True
        self._bins[min(int((epoch - number) * BINS - 1e-9), BINS - 1)].values.append(float(loss))
