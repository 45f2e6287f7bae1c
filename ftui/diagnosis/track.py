"""`Track`: one value's history in bounded memory, the newest and the first as they came, the rest as means."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from statistics import median

FIRST, NEWEST, STRETCHES = 32, 128, 256
"""Values kept from the beginning and from the end, and means kept of all that lies between."""


class Stretch:
    """The values of some consecutive steps, as their number, sum and sum of squares."""

    __slots__ = ("count", "first", "last", "squares", "total")

    def __init__(self, step: int, value: float) -> None:
        self.first = self.last = step
        self.count, self.total, self.squares = 1, value, value * value

    def take(self, other: Stretch) -> None:
        """Let `other`, which comes after this one, become a part of it."""
        self.last = other.last
        self.count += other.count
        self.total += other.total
        self.squares += other.squares

    @property
    def mean(self) -> float:
        """The mean of its values."""
        return self.total / self.count


class Track:
    """A value by step, in the order of the steps.  What is not finite is left out."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[float] = []
        self._newest: deque[tuple[int, float]] = deque(maxlen=NEWEST)
        self._stretches: list[Stretch] = []
        self._width = 1

    def add(self, step: int, value: float | None) -> None:
        """Take in the value of a step that comes after those before."""
        if value is None or not math.isfinite(value):
            return
        self.count += 1
        if len(self._first) < FIRST:
            self._first.append(value)
        self._newest.append((step, value))
        fresh = Stretch(step, value)
        if self._stretches and self._stretches[-1].count < self._width:
            self._stretches[-1].take(fresh)
            return
        self._stretches.append(fresh)
        if len(self._stretches) >= STRETCHES:
            self._halve()

    def _halve(self) -> None:
        pairs = self._stretches[::2]
        for kept, taken in zip(pairs, self._stretches[1::2], strict=False):
            kept.take(taken)
        self._stretches, self._width = pairs, self._width * 2

    def newest(self, count: int) -> list[float]:
        """The last values, at most `count` and at most as many as are kept."""
        return [value for _, value in islice(self._newest, max(len(self._newest) - count, 0), None)]

    def steps(self, count: int) -> list[int]:
        """The steps of `newest(count)`."""
        return [step for step, _ in islice(self._newest, max(len(self._newest) - count, 0), None)]

    def first(self, count: int) -> list[float]:
        """The first values, at most `count`."""
        return self._first[:count]

    def start(self, count: int = 8) -> float:
        """The median of the first values."""
        return median(self._first[:count])

    def now(self, count: int = 8) -> float:
        """The median of the newest values."""
        return median(self.newest(count))

    def stretches(self, since: float = -math.inf) -> list[Stretch]:
        """The means kept, of the stretches that begin at or after the step `since`."""
        return [stretch for stretch in self._stretches if stretch.first >= since]

    def mean(self, first: float, last: float) -> float | None:
        """The mean over the stretches that lie within these steps, by what is kept of them; None where none does."""
        inside = [s for s in self._stretches if s.last >= first and s.first <= last]
        count = sum(stretch.count for stretch in inside)
        return sum(stretch.total for stretch in inside) / count if count else None


def spread(values: Sequence[float]) -> float:
    """The standard deviation as the median absolute deviation tells it, which a few outliers don't move."""
    middle = median(values)
    return 1.4826 * median(abs(value - middle) for value in values)


def slope(points: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """(slope, its standard error) of a least-squares line; (0, inf) where there are fewer than three points."""
    pairs = list(points)
    if len(pairs) < 3:
        return 0.0, math.inf
    middle_x = math.fsum(x for x, _ in pairs) / len(pairs)
    middle_y = math.fsum(y for _, y in pairs) / len(pairs)
    across = math.fsum((x - middle_x) ** 2 for x, _ in pairs)
    if not across:
        return 0.0, math.inf
    steep = math.fsum((x - middle_x) * (y - middle_y) for x, y in pairs) / across
    rest = math.fsum((y - middle_y - steep * (x - middle_x)) ** 2 for x, y in pairs)
    return steep, math.sqrt(rest / (len(pairs) - 2) / across)
