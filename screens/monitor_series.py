"""A run's curves as they grow: append in O(1), the newest attempt wins, a spike never vanishes, NaN is a gap.

Pure Python (`array`, no numpy): the monitor must attach to a run of 200,000 steps and stay small while it follows.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

BLOCK = 64
"""Points per block of the min/max index: a column of a chart reads whole blocks, and points at its two edges only."""


@dataclass(frozen=True, slots=True)
class Column:
    """The points that fall into one column of a chart: enough to draw the very line that all of them would (M4).

    `broken` says that a gap lies between the column before (or inside this one) and this one's first point.
    Source: Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation", VLDB 2014.
    """

    index: int
    first: float
    low: float
    high: float
    last: float
    broken: bool


class Series:
    """One metric over the steps of a run: finite values in order of their steps, and where values were missing.

    A resumed run counts its steps again from the checkpoint.  What the earlier attempt wrote beyond the newest step
    stays readable in `superseded` until the newest attempt gets there, step for step.
    """

    def __init__(self) -> None:
        self.steps = array("q")
        self.values = array("d")
        self.gaps = array("q")
        """Steps whose value was null, NaN or infinite, ascending."""
        self.superseded: Series | None = None
        self.rewinds = 0
        """Grows whenever points were taken back or changed: whoever derived something from them starts over."""
        self.since = -math.inf
        """Points up to this step don't count any more (a newer attempt has them); dropping them would cost O(n)."""
        self.last_step: int | None = None
        """The newest step that was written, with a value or without one."""
        self._attempt = 0
        self._lows = array("d")
        self._highs = array("d")

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        return zip(self.steps, self.values, strict=True)

    @property
    def last(self) -> float | None:
        """The newest value; None where there is none, or where the newest one is missing (NaN)."""
        if not self.steps or (self.gaps and self.gaps[-1] > self.steps[-1]):
            return None
        return self.values[-1]

    def append(self, step: int, value: float | None, attempt: int = 1) -> None:
        """Take one value in; `None` and non-finite ones are gaps.

        A step that isn't beyond the newest one replaces it: in the same attempt that value alone, in a newer attempt
        everything from there on.
        """
        newest = self.last_step
        if newest is None or step > newest:
            self.last_step = step
        elif attempt > self._attempt:
            self._rewind(step)
        else:
            self._forget(step)
        if attempt > self._attempt:
            self._attempt = attempt
        if value is None or not math.isfinite(value):
            _insert(self.gaps, step)
        elif not self.steps or step > self.steps[-1]:
            self.steps.append(step)
            self.values.append(value)
        else:
            where = bisect_left(self.steps, step)
            self.steps.insert(where, step)
            self.values.insert(where, value)
            self._changed_from(where)
        if self.superseded is not None:
            self.superseded.since = step
            if not self.superseded.steps or self.superseded.steps[-1] <= step:
                self.superseded = None

    def bounds(self, left: float = -math.inf, right: float = math.inf) -> tuple[float, float] | None:
        """The smallest and largest value with `left` <= step <= `right`; None without any."""
        start, end = self._span(left, right)
        return self._extent(start, end) if start < end else None

    def columns(self, left: float, right: float, count: int) -> Iterator[Column]:
        """The points with `left` <= step <= `right`, gathered into `count` columns; empty columns are left out.

        Each column carries its smallest and largest value, so that a single step's spike is in whatever is drawn.
        """
        width = (right - left) / count or 1.0
        start, stop = self._span(left, right)
        while start < stop:
            index = min(int((self.steps[start] - left) / width), count - 1)
            end = stop if index == count - 1 else bisect_left(self.steps, left + (index + 1) * width, start, stop)
            end = max(end, start + 1)
            low, high = self._extent(start, end)
            broken = start > 0 and self._parted(start)
            yield Column(index, self.values[start], low, high, self.values[end - 1], broken)
            start = end

    def gap_columns(self, left: float, right: float, count: int) -> set[int]:
        """The columns (of `count` between the two steps) in which a value is missing."""
        width = (right - left) / count or 1.0
        start, stop = bisect_left(self.gaps, left), bisect_right(self.gaps, right)
        return {min(int((step - left) / width), count - 1) for step in self.gaps[start:stop]}

    def neighbours(self, left: float, right: float) -> tuple[tuple[int, float] | None, tuple[int, float] | None]:
        """The points just outside of both steps, where no gap parts them from the inside: lines go on to the frame."""
        start, stop = self._span(left, right)
        before, after = None, None
        if 0 < start < len(self.steps) and not self._parted(start) and self.steps[start - 1] > self.since:
            before = self.steps[start - 1], self.values[start - 1]
        if 0 < stop < len(self.steps) and not self._parted(stop):
            after = self.steps[stop], self.values[stop]
        return before, after

    def _span(self, left: float, right: float) -> tuple[int, int]:
        """The indices of the points with left <= step <= right, as a half-open range."""
        start = bisect_right(self.steps, self.since) if self.since >= left else bisect_left(self.steps, left)
        return start, max(start, bisect_right(self.steps, right))

    def _parted(self, index: int) -> bool:
        """Whether a value is missing between point `index` and the one before it."""
        return bisect_left(self.gaps, self.steps[index - 1]) < bisect_left(self.gaps, self.steps[index])

    def _extent(self, start: int, end: int) -> tuple[float, float]:
        """Smallest and largest of values[start:end], by whole blocks where there are any."""
        first, last = -(-start // BLOCK), end // BLOCK
        if last - first < 2:
            part = self.values[start:end]
            return min(part), max(part)
        # Indexed when looked at, not when appended: a long past is taken in twice as fast.
        for begin in range(len(self._lows) * BLOCK, last * BLOCK, BLOCK):
            part = self.values[begin : begin + BLOCK]
            self._lows.append(min(part))
            self._highs.append(max(part))
        low, high = min(self._lows[first:last]), max(self._highs[first:last])
        for part in (self.values[start : first * BLOCK], self.values[last * BLOCK : end]):
            if part:
                low, high = min(low, min(part)), max(high, max(part))
        return low, high

    def _changed_from(self, start: int) -> None:
        """Forget what was derived from point `start` on."""
        del self._lows[start // BLOCK :], self._highs[start // BLOCK :]
        self.rewinds += 1

    def _rewind(self, step: int) -> None:
        """Take back everything from `step` on; what goes becomes `superseded`, before what was so already."""
        where, gap = bisect_left(self.steps, step), bisect_left(self.gaps, step)
        taken = Series()
        taken.steps, taken.values, taken.gaps = self.steps[where:], self.values[where:], self.gaps[gap:]
        if (older := self.superseded) is not None:
            start = bisect_right(older.steps, older.since)
            taken.steps += older.steps[start:]
            taken.values += older.values[start:]
            taken.gaps += older.gaps[bisect_right(older.gaps, older.since) :]
        taken.last_step = max((held[-1] for held in (taken.steps, taken.gaps) if held), default=None)
        self.superseded = taken
        del self.steps[where:], self.values[where:], self.gaps[gap:]
        self.last_step = step
        self._changed_from(where)

    def _forget(self, step: int) -> None:
        """Take back the one value, or gap, of `step`."""
        for held in (self.steps, self.gaps):
            where = bisect_left(held, step)
            if where < len(held) and held[where] == step:
                del held[where]
                if held is self.steps:
                    del self.values[where]
                    self._changed_from(where)


class Smoothed:
    """The exponential moving average of a series, debiased, kept up as the series grows.

    s ← weight·s + (1 − weight)·x, shown as s / (1 − weightⁿ), so that the first values aren't pulled towards zero
    (as in Adam: Kingma & Ba 2015, §3).  A gap stays a gap; the average goes on after it.
    """

    def __init__(self, source: Series, weight: float) -> None:
        if not 0 <= weight < 1:
            raise ValueError(f"a smoothing weight lies in [0, 1), not {weight}")
        self.source = source
        self.weight = weight
        self._series = Series()
        self._sum, self._bias = 0.0, 1.0
        self._rewinds = source.rewinds

    def series(self) -> Series:
        """The average so far, brought up to date first."""
        if self.weight == 0:
            return self.source
        if self._rewinds != self.source.rewinds:
            self._start_over()
        source, target = self.source, self._series
        steps, values = source.steps, source.values
        for index in range(len(target.steps), len(steps)):
            self._sum = self.weight * self._sum + (1 - self.weight) * values[index]
            self._bias *= self.weight
            target.steps.append(steps[index])
            target.values.append(self._sum / (1 - self._bias))
        target.gaps = source.gaps
        return target

    def _start_over(self) -> None:
        self._series = Series()
        self._sum, self._bias = 0.0, 1.0
        self._rewinds = self.source.rewinds


LEVELS: Sequence[float] = (0.0, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998)
"""Smoothing weights that the keys step through."""


def suited_level(points: int) -> int:
    """The index in LEVELS whose average spans about a fortieth of `points` values: smooth, yet true to the bends."""
    span = points / 40
    if span <= 1.5:
        return 0
    wanted = 1 - 1 / span
    return min(range(len(LEVELS)), key=lambda index: abs(LEVELS[index] - wanted))


def _insert(held: array[int], step: int) -> None:
    if not held or step > held[-1]:
        held.append(step)
    else:
        held.insert(bisect_left(held, step), step)
