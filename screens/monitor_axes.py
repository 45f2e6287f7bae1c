"""Where a value stands on a chart, where its ticks go and how they are said.  Pure: no Textual, no numpy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from ftui.units import clock


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis from `low` to `high` over `size` dots; logarithmic if `log` (then both ends are above zero)."""

    low: float
    high: float
    size: int
    log: bool = False

    def place(self, value: float) -> float:
        """The dot (a fraction, unclipped) at which `value` stands, 0 for `low`, `size` - 1 for `high`."""
        if self.log:
            if value <= 0:
                return -1.0
            share = math.log(value / self.low) / (math.log(self.high / self.low) or 1.0)
        else:
            share = (value - self.low) / ((self.high - self.low) or 1.0)
        return share * (self.size - 1)


def nice_step(span: float, count: int) -> float:
    """The smallest of 1, 2, 5 × 10ⁿ that cuts `span` into at most `count` parts."""
    rough = max(span, 1e-300) / max(count, 1)
    magnitude = 10.0 ** math.floor(math.log10(rough))
    return next((m * magnitude for m in (1, 2, 5) if m * magnitude >= rough * 0.9999), 10 * magnitude)


def ticks(axis: Axis, count: int) -> list[float]:
    """About `count` round values within the axis, ascending; on a long logarithmic one 1, 2, 5 or powers of ten."""
    if axis.log and axis.high / axis.low >= 8:
        first, last = math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high))
        for multiples in ((1, 2, 5), (1, 3), (1,)):
            found = [m * 10.0**e for e in range(first, last + 1) for m in multiples]
            found = [v for v in found if axis.low * 0.999 <= v <= axis.high * 1.001]
            if len(found) <= count + 1:
                return found
        return found[:: math.ceil(len(found) / max(count, 1))]
    step = nice_step(axis.high - axis.low, count)
    first = math.ceil(axis.low / step - 1e-9)
    # Multiples of the step, never sums of it: sums drift and end in 0.30000000000000004.
    return [n * step for n in range(first, math.floor(axis.high / step + 1e-9) + 1)]


def step_marks(axis: Axis, count: int) -> list[tuple[float, str]]:
    """Ticks of an axis of steps, or of tokens, and their texts: there is no half of either."""
    marks = [mark for mark in ticks(axis, count) if abs(mark - round(mark)) < 1e-6]
    return list(zip(marks, [f"{mark:.0f}" for mark in marks] if axis.high < 10_000 else labels(marks), strict=True))


def time_marks(axis: Axis, count: int) -> list[tuple[float, str]]:
    """Ticks of an axis of milliseconds at round seconds, minutes, hours or days, and their texts."""
    rough = (axis.high - axis.low) / 1000 / max(count, 1)
    step = next((one for one in ROUND_SECONDS if one >= rough * 0.9999), nice_step(rough, 1)) * 1000
    if rough < 0.5:
        step = nice_step(rough * 1000, 1)
    first = math.ceil(axis.low / step - 1e-9)
    marks = [n * step for n in range(first, math.floor(axis.high / step + 1e-9) + 1)]
    if step < 1000:
        return [(mark, f"{mark / 1000:g} s") for mark in marks]
    return [(mark, elapsed(mark / 1000)) for mark in marks]


ROUND_SECONDS = tuple(n * unit for unit, times in (
    (1, (1, 2, 5, 10, 20, 30)), (60, (1, 2, 5, 10, 20, 30)), (3600, (1, 2, 3, 6, 12)), (86400, (1, 2, 5, 10)),
) for n in times)


def labels(values: list[float]) -> list[str]:
    """The ticks' texts, all with the same number of decimals, thousands as k, very small ones as powers of ten."""
    largest = max((abs(v) for v in values), default=0.0)
    if not largest:
        return ["0" for _ in values]
    if len(values) > 2 and min((v for v in values if v > 0), default=largest) * 9 < largest:
        return [short(v) for v in values]
    gap = min((b - a for a, b in pairwise(values)), default=largest)
    if largest < 0.01:
        digits = max(0, math.floor(math.log10(largest)) - math.floor(math.log10(gap) + 1e-9))
        return [_powers(v, digits) for v in values]
    scale, suffix = next(((s, t) for s, t in ((1e9, "B"), (1e6, "M"), (1e4, "k")) if largest >= s), (1.0, ""))
    if suffix == "k":
        scale = 1e3
    digits = max(0, min(9, -math.floor(math.log10(gap / scale) + 1e-9)))
    return [f"{v / scale:.{digits}f}{suffix}" if v else "0" for v in values]


def short(value: float | None) -> str:
    """A number in at most seven characters: "1.832", "0.0432", "2.0e-4", "12.3k"; "–" where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value)
    if size == 0:
        return "0"
    if size < 0.001:
        return _powers(value, 1).replace(".0e", "e")
    for scale, suffix in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if size >= scale:
            return f"{value / (1e3 if suffix == 'k' else scale):.3g}{suffix}"
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.4f}".rstrip("0").rstrip(".") if size < 0.1 else f"{value:.3f}"


def _powers(value: float, digits: int) -> str:
    """Such as "2.0e-4"."""
    if not value:
        return "0"
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def elapsed(seconds: float | None) -> str:
    """Time since the start for a tick: "8:05" (m:ss) below an hour, then "1:08 h", then "2 d 4 h"."""
    if seconds is None:
        return "–"
    if seconds < 3600:
        return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
    return clock(seconds)
