"""A run's curves as they grow: append in O(1), the newest attempt wins, a spike never vanishes, NaN is a gap.

Pure Python (no numpy): the monitor must attach to a run of a million steps and stay small while it follows.  So the
numbers are `Pages`, most of which lie in a file, and a chart reads of them what it can show (`BLOCK`).
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ftui.runs.index_pages import PAGE, PageFile, Pages
from ftui.runs.smoothing import Average

BLOCK = 128
"""Points per block, of which the smallest, the largest and the mean are held: a column of a chart reads whole blocks,
and points at its two edges only."""
EXACT = 50_000
"""Up to so many points in sight are smoothed one by one, more of them block by block: no chart has as many columns."""


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

    def __init__(self, file: PageFile | None = None) -> None:
        """With a file most of it will lie there."""
        self._file = file
        self.steps = Pages("q", file)
        self.values = Pages("d", file)
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
        self._means = array("d")
        self._floors = array("d")
        """Of each block the smallest value above zero, infinite without one: where a logarithmic axis begins."""

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
            where = self.steps.bisect_left(step)
            self.steps.insert(where, step)
            self.values.insert(where, value)
            self._changed_from(where)
        if self.superseded is not None:
            self.superseded.since = step
            if not self.superseded.steps or self.superseded.steps[-1] <= step:
                self.superseded = None

    def extend(self, steps: array[int], values: array[float], attempt: int = 1, *, gaps: bool = True) -> None:
        """Take several in, in the order of their steps; NaN is a gap, of which there may be none without `gaps`."""
        beyond = self.last_step is None or steps[0] > self.last_step
        if not beyond or attempt != self._attempt or self.superseded is not None or gaps:
            for step, value in zip(steps, values, strict=True):
                self.append(step, value, attempt)
            return
        self.last_step = steps[-1]
        self.steps.extend(steps)
        self.values.extend(values)
        if len(self.values) - len(self._lows) * BLOCK >= PAGE:
            self._index(len(self.values) // BLOCK)

    def bounds(self, left: float = -math.inf, right: float = math.inf) -> tuple[float, float] | None:
        """The smallest and largest value with `left` <= step <= `right`; None without any."""
        start, end = self.span(left, right)
        return self._extent(start, end) if start < end else None

    def smallest_above_zero(self, left: float, right: float) -> float | None:
        """Where a logarithmic axis over these steps may begin; None where no value is above zero."""
        start, end = self.span(left, right)
        first, last = -(-start // BLOCK), end // BLOCK
        self._index(last)
        edges = (start, end, end, end) if first >= last else (start, first * BLOCK, last * BLOCK, end)
        found = [v for part in (self.values[edges[0] : edges[1]], self.values[edges[2] : edges[3]]) for v in part]
        found += self._floors[first:last]
        least = min((value for value in found if value > 0), default=math.inf)
        return least if math.isfinite(least) else None

    def use(self, file: PageFile) -> None:
        """Put most of it into `file` from now on."""
        self._file = file
        self.steps.use(file)
        self.values.use(file)
        if self.superseded is not None:
            self.superseded.use(file)

    def state(self) -> dict[str, Any]:
        """All of it for `restored`."""
        self._index(len(self.values) // BLOCK)
        return {
            "steps": self.steps.state(), "values": self.values.state(), "gaps": self.gaps, "since": self.since,
            "last_step": self.last_step, "attempt": self._attempt, "lows": self._lows, "highs": self._highs,
            "means": self._means, "floors": self._floors,
            "superseded": self.superseded.state() if self.superseded is not None else None,
        }

    @classmethod
    def restored(cls, state: dict[str, Any], file: PageFile) -> Series:
        """The series with this state, most of which lies in `file`."""
        made = cls(file)
        made.steps, made.values = Pages.restored(state["steps"], file), Pages.restored(state["values"], file)
        made.gaps, made.since, made.last_step = state["gaps"], state["since"], state["last_step"]
        made._attempt, made._lows, made._highs = state["attempt"], state["lows"], state["highs"]
        made._means, made._floors = state["means"], state["floors"]
        made.superseded = cls.restored(state["superseded"], file) if state["superseded"] is not None else None
        return made

    def means(self, first: int) -> tuple[array[int], array[float]]:
        """The last steps and the means of the whole blocks, from the one with this number on."""
        blocks = len(self.values) // BLOCK
        self._index(blocks)
        return self.steps[(first + 1) * BLOCK - 1 : blocks * BLOCK : BLOCK], self._means[first:blocks]

    def columns(self, left: float, right: float, count: int) -> Iterator[Column]:
        """The points with `left` <= step <= `right`, gathered into `count` columns; empty columns are left out.

        Each column carries its smallest and largest value, so that a single step's spike is in whatever is drawn.
        """
        width = (right - left) / count or 1.0
        start, stop = self.span(left, right)
        if stop - start <= EXACT:
            yield from self._columns_of_few(left, width, count, start, stop)
            return
        while start < stop:
            index = min(int((self.steps[start] - left) / width), count - 1)
            end = stop if index == count - 1 else min(self.steps.bisect_left(left + (index + 1) * width), stop)
            end = max(end, start + 1)
            low, high = self._extent(start, end)
            broken = start > 0 and self._parted(start)
            yield Column(index, self.values[start], low, high, self.values[end - 1], broken)
            start = end

    def _columns_of_few(self, left: float, width: float, count: int, start: int, stop: int) -> Iterator[Column]:
        """The columns of points that are looked at one by one faster than found in the index."""
        steps, values = self.steps[start:stop], self.values[start:stop]
        size, at, gaps = stop - start, 0, self.gaps
        while at < size:
            index = min(int((steps[at] - left) / width), count - 1)
            end = size if index == count - 1 else bisect_left(steps, left + (index + 1) * width, at, size)
            end = max(end, at + 1)
            broken = bool(gaps) and start + at > 0 and self._parted(start + at)
            if end - at > 1:
                part = values[at:end]
                yield Column(index, part[0], min(part), max(part), part[-1], broken)
            else:
                yield Column(index, values[at], values[at], values[at], values[at], broken)
            at = end

    def gap_columns(self, left: float, right: float, count: int) -> set[int]:
        """The columns (of `count` between the two steps) in which a value is missing."""
        width = (right - left) / count or 1.0
        start, stop = bisect_left(self.gaps, left), bisect_right(self.gaps, right)
        found = set()
        while start < stop:
            column = min(int((self.gaps[start] - left) / width), count - 1)
            found.add(column)
            start = max(bisect_left(self.gaps, left + (column + 1) * width, start, stop), start + 1)
            if column == count - 1:
                break
        return found

    def neighbours(self, left: float, right: float) -> tuple[tuple[int, float] | None, tuple[int, float] | None]:
        """The points just outside of both steps, where no gap parts them from the inside: lines go on to the frame."""
        start, stop = self.span(left, right)
        before, after = None, None
        if 0 < start < len(self.steps) and not self._parted(start) and self.steps[start - 1] > self.since:
            before = self.steps[start - 1], self.values[start - 1]
        if 0 < stop < len(self.steps) and not self._parted(stop):
            after = self.steps[stop], self.values[stop]
        return before, after

    def span(self, left: float, right: float) -> tuple[int, int]:
        """The indices of the points with left <= step <= right, as a half-open range."""
        start = self.steps.bisect_right(self.since) if self.since >= left else self.steps.bisect_left(left)
        return start, max(start, self.steps.bisect_right(right))

    def _parted(self, index: int) -> bool:
        """Whether a value is missing between point `index` and the one before it."""
        return bisect_left(self.gaps, self.steps[index - 1]) < bisect_left(self.gaps, self.steps[index])

    def _extent(self, start: int, end: int) -> tuple[float, float]:
        """Smallest and largest of values[start:end], by whole blocks where there are any."""
        first, last = -(-start // BLOCK), end // BLOCK
        if last - first < 2:
            part = self.values[start:end]
            return min(part), max(part)
        self._index(last)
        low, high = min(self._lows[first:last]), max(self._highs[first:last])
        for part in (self.values[start : first * BLOCK], self.values[last * BLOCK : end]):
            if part:
                low, high = min(low, min(part)), max(high, max(part))
        return low, high

    def _index(self, blocks: int) -> None:
        """Know the first so many blocks: what is appended is looked at when it fills a page, or when it is drawn."""
        for begin in range(len(self._lows) * BLOCK, blocks * BLOCK, PAGE):
            numbers = self.values[begin : min(begin + PAGE, blocks * BLOCK)]
            for place in range(0, len(numbers), BLOCK):
                part = numbers[place : place + BLOCK]
                low = min(part)
                self._lows.append(low)
                self._highs.append(max(part))
                self._means.append(sum(part) / BLOCK)
                self._floors.append(low if low > 0 else min((v for v in part if v > 0), default=math.inf))

    def _changed_from(self, start: int) -> None:
        """Forget what was derived from point `start` on."""
        for held in (self._lows, self._highs, self._means, self._floors):
            del held[start // BLOCK :]
        self.rewinds += 1

    def _rewind(self, step: int) -> None:
        """Take back everything from `step` on; what goes becomes `superseded`, before what was so already."""
        where, gap = self.steps.bisect_left(step), bisect_left(self.gaps, step)
        taken = Series(self._file)
        taken.steps.extend(self.steps[where:])
        taken.values.extend(self.values[where:])
        taken.gaps = self.gaps[gap:]
        if (older := self.superseded) is not None:
            start = older.steps.bisect_right(older.since)
            taken.steps.extend(older.steps[start:])
            taken.values.extend(older.values[start:])
            taken.gaps += older.gaps[bisect_right(older.gaps, older.since) :]
        taken.last_step = max((held[-1] for held in (taken.steps, taken.gaps) if held), default=None)
        self.superseded = taken
        self.steps.drop(where)
        self.values.drop(where)
        del self.gaps[gap:]
        self.last_step = step
        self._changed_from(where)

    def _forget(self, step: int) -> None:
        """Take back the one value, or gap, of `step`."""
        where = bisect_left(self.gaps, step)
        if where < len(self.gaps) and self.gaps[where] == step:
            del self.gaps[where]
        where = self.steps.bisect_left(step)
        if where < len(self.steps) and self.steps[where] == step:
            self.steps.drop(where, where + 1)
            self.values.drop(where, where + 1)
            self._changed_from(where)


class Smoothed:
    """The exponential moving average of a series, kept up as the series grows.

    A gap stays a gap; the average goes on after it.  Of more than `EXACT` points in sight the average takes in a
    block's mean at a time, with the weight of the block's points: a point for each block, as fine as anybody can see.
    """

    def __init__(self, source: Series, weight: float) -> None:
        self.source = source
        self.weight = weight
        self._start_over()

    def series(self, left: float = -math.inf, right: float = math.inf) -> Series:
        """The average from step `left` to `right` at least."""
        source = self.source
        if self.weight == 0:
            return source
        if self._rewinds != source.rewinds:
            self._start_over()
        if len(source) <= EXACT:
            self._go_on(self._whole, self._average, 0, len(source))
            return self._whole
        steps, means = source.means(len(self._held))
        if steps:
            values = array("d")
            for mean in means:
                values.append(self._block_average.add_mean(mean, BLOCK))
                self._held.append(self._block_average.held)
            self._blocks.extend(steps, values, gaps=False)
        self._blocks.gaps = source.gaps
        start, stop = source.span(left, right)
        if stop - start > EXACT:
            return self._blocks
        # A little more on both sides, lest the line end before the chart does.
        block = max(start // BLOCK - 1, 0)
        average = Average(self.weight, self._held[block - 1], block * BLOCK) if block else Average(self.weight)
        near = Series()
        self._go_on(near, average, block * BLOCK, stop + 1)
        return near

    def _go_on(self, target: Series, average: Average, begin: int, stop: int) -> None:
        """Bring `target`, whose first point is the source's at `begin`, up to the source's point before `stop`."""
        begin += len(target)
        target.steps.extend(self.source.steps[begin:stop])
        target.values.extend(array("d", map(average.add, self.source.values[begin:stop])))
        target.gaps = self.source.gaps

    def _start_over(self) -> None:
        self._whole, self._blocks = Series(), Series()
        self._average, self._block_average = Average(self.weight), Average(self.weight)
        self._held = array("d")
        """What the average held after each block, from which it goes on where one looks nearer."""
        self._rewinds = self.source.rewinds


def _insert(held: array[int], step: int) -> None:
    if not held or step > held[-1]:
        held.append(step)
    else:
        held.insert(bisect_left(held, step), step)
