"""Of a long curve the points that a picture can show: a spike of one step and a missing value stay.  Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

COLUMNS = 800
"""Finer than a line is wide on a page."""


def thinned(xs: Sequence[float], ys: Sequence[float], columns: int = COLUMNS) -> tuple[list[float], list[float]]:
    """The first, smallest, largest and last point of each of so many columns, in their order; NaN parts the line.

    A line through them covers what a line through all would.  Source: Jugel et al., "M4: A Visualization-Oriented Time
    Series Data Aggregation", VLDB 2014.
    """
    if len(xs) <= columns * 2:
        return list(xs), list(ys)
    kept_x: list[float] = []
    kept_y: list[float] = []
    for start, stop in _pieces(xs, ys, columns):
        if math.isnan(ys[start]):
            if not kept_y or not math.isnan(kept_y[-1]):
                kept_x.append(xs[start])
                kept_y.append(math.nan)
            continue
        inside = range(start, stop)
        least, most = min(inside, key=ys.__getitem__), max(inside, key=ys.__getitem__)
        for place in sorted({start, least, most, stop - 1}):
            kept_x.append(xs[place])
            kept_y.append(ys[place])
    return kept_x, kept_y


def gap_places(xs: Sequence[float], ys: Sequence[float], columns: int = COLUMNS // 4) -> list[float]:
    """Where values are missing, once for each of so many columns."""
    width = (xs[-1] - xs[0]) / columns or 1.0
    found: dict[int, float] = {}
    for x, y in zip(xs, ys, strict=True):
        if not math.isfinite(y):
            found.setdefault(int((x - xs[0]) / width), x)
    return list(found.values())


def _pieces(xs: Sequence[float], ys: Sequence[float], columns: int) -> Iterator[tuple[int, int]]:
    """Stretches of points that lie in one column and are all numbers, or all none."""
    width = (xs[-1] - xs[0]) / columns or 1.0
    start, column, missing = 0, 0, math.isnan(ys[0])
    for place in range(1, len(xs)):
        at, none = int((xs[place] - xs[0]) / width), math.isnan(ys[place])
        if at != column or none != missing:
            yield start, place
            start, column, missing = place, at, none
    yield start, len(xs)
