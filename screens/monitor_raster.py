"""Curves as braille: every cell holds 2 × 4 dots.  Pure: series in, rows of (text, style name) out.

Own code rather than textual-plot 0.10.1, by figures (benchmarks/monitor.py prints them anew): see `widgets/chart.py`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .monitor_axes import Axis, labels, step_marks, ticks
from .monitor_series import Series

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of the braille pattern for a dot, by its row and column in the cell (Unicode 15, block 2800)."""

SIGN_APART = 20
"""Columns between two signs of one dense curve."""
ROOM_ENOUGH = 8
"""Columns to a point from which on each point of a curve among others has its sign; nearer than that it is no line."""

Run = tuple[str, str]
"""Text and the name of its style: "raw", "line", "second", "limit", "axis", "gap", "old", one of a run, or ""."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A series to draw in a style; `marks` puts its sign on each point while they are few enough to be told apart.

    Where they aren't, `among` (place, number of curves that are told apart by their signs) puts it here and there, for
    each curve in columns of its own, so that curves which lie on each other still show who they are.
    """

    series: Series
    style: str
    marks: bool = False
    sign: str = "●"
    among: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A value to hold the curves against, drawn as a dashed line with its name."""

    value: float
    label: str


@dataclass(frozen=True)
class Frame:
    """What is drawn: later curves cover earlier ones, cell by cell, so that two lines never blur into a third.

    `left`..`right` are steps, `low`..`high` values.  `scale` turns values into what the axis says (bytes into GiB).
    """

    curves: Sequence[Curve]
    left: float
    right: float
    low: float
    high: float
    log: bool = False
    limits: Sequence[Limit] = ()
    scale: float = 1.0
    say_step: Callable[[float], str | None] | None = None
    """What stands under the plot for a step, where it isn't the step's own number (time, epoch)."""
    marks_along: Callable[[Axis, int], list[tuple[float, str]]] = step_marks
    """The ticks under the plot, about so many, and their texts; for curves that are drawn over something else."""


def visible_bounds(
    curves: Iterable[Curve], left: float, right: float, log: bool, floor: float | None = None,
    limits: Sequence[Limit] = (),
) -> tuple[float, float]:
    """The value axis that shows all that lies between two steps, with a little air; `floor` is included, and limits."""
    lows, highs = [], []
    for curve in curves:
        for series in (curve.series, curve.series.superseded):
            if series is not None and (extent := series.bounds(left, right)) is not None:
                low, high = extent
                if log and low <= 0:
                    above = series.smallest_above_zero(left, right)
                    if above is None:
                        continue
                    low = above
                lows.append(low)
                highs.append(high)
    lows += [limit.value for limit in limits]
    highs += [limit.value for limit in limits]
    if not lows:
        return (0.1, 1.0) if log else (0.0, 1.0)
    low, high = min(lows), max(highs)
    if log:
        low, high = (low * 0.9, high * 1.1) if high < low * 1.01 else (low / (high / low) ** 0.04, high)
        return low, high * (high / low) ** 0.04
    if floor is not None:
        low = min(low, floor)
    if high - low < 1e-12 * max(abs(high), 1e-300) or high == low:
        air = abs(high) * 0.1 or 1.0
        return (low if floor is not None and low == floor else low - air), high + air
    air = (high - low) * 0.04
    return (low if low == floor else low - air), high + air


def draw(frame: Frame, width: int, height: int) -> list[list[Run]]:
    """The frame as `height` rows of `width` cells: the plot with its value axis, ticks below, a row of step labels.

    Fewer than 12 × 4 cells hold no axes: the bare curves are drawn.
    """
    if width < 1 or height < 1:
        return []
    if width < 12 or height < 4:
        return _plot(frame, width, height)
    rows = height - 2
    vertical = Axis(frame.low * frame.scale, frame.high * frame.scale, rows, frame.log)
    # Denser than every second or third row they can't be read.
    marks = ticks(vertical, max(2, round(rows / 2.5)))
    said: dict[int, str] = {}
    for value, text in zip(marks, labels(marks), strict=True):
        said.setdefault(rows - 1 - round(vertical.place(value)), text)
    margin = max((len(text) for text in said.values()), default=1) + 1
    plot = _plot(frame, width - margin - 1, rows)
    result: list[list[Run]] = []
    for row in range(rows):
        text = said.get(row, "")
        result.append([(f"{text:>{margin - 1}} {'┤' if text else '│'}", "axis"), *plot[row]])
    return result + _step_axis(frame, width, margin)


def spark(series: Series, width: int, floor: float | None = None) -> str:
    """The whole of a series in one row of `width` cells, bare; `floor` is a value that the foot stands for."""
    if not series.steps:
        return " " * width
    left, right = float(series.steps[0]), float(series.steps[-1])
    low, high = visible_bounds([Curve(series, "line")], left, right, False, floor)
    return "".join(text for text, _ in _plot(Frame([Curve(series, "line")], left, right, low, high), width, 1)[0])


def _plot(frame: Frame, width: int, height: int) -> list[list[Run]]:
    """The inside of the axes."""
    across = width * 2
    axis = Axis(frame.low, frame.high, height * 4, frame.log)
    layers: list[tuple[str, bytearray]] = []
    for curve in frame.curves:
        if (old := curve.series.superseded) is not None:
            layers.append(("old", _dots(old, frame, axis, width, height)))
        layers.append((curve.style, _dots(curve.series, frame, axis, width, height)))
    cells = [[" "] * width for _ in range(height)]
    styles = [[""] * width for _ in range(height)]
    for limit in frame.limits:
        _rule(limit, axis, cells, styles)
    for style, mask in layers:
        for row in range(height):
            line = mask[row * width : (row + 1) * width]
            if any(line):
                for column, bits in enumerate(line):
                    if bits:
                        cells[row][column], styles[row][column] = chr(0x2800 + bits), style
    for limit in frame.limits:
        # A curve may cover the line, which is as it should be, but never the name.
        _name(limit, axis, cells, styles)
    for curve in frame.curves:
        if curve.marks:
            _mark(curve, frame, axis, cells, styles)
        # What a gap in the line says softly, the foot of the plot says aloud: one missing step in 100,000 shows, too.
        for column in curve.series.gap_columns(frame.left, frame.right, across):
            cells[-1][column // 2], styles[-1][column // 2] = "×", "gap"
    return [_runs(*pair) for pair in zip(cells, styles, strict=True)]


def _dots(series: Series, frame: Frame, axis: Axis, width: int, height: int) -> bytearray:
    """The series' dots as one braille mask per cell, row by row."""
    across, down = width * 2, height * 4
    mask = bytearray(width * height)
    span = (frame.right - frame.left) or 1.0

    def vertical(low: int, high: int, x: int) -> None:
        for y in range(max(low, 0), min(high, down - 1) + 1):
            mask[(y >> 2) * width + (x >> 1)] |= DOTS[y & 3][x & 1]

    def place(value: float) -> int:
        return down - 1 - round(axis.place(value))

    def join(x0: int, y0: int, x1: int, y1: int) -> None:
        """The dots between two points, by columns: each column gets the stretch of the line that lies in it."""
        slope = (y1 - y0) / (x1 - x0)
        for x in range(max(x0, 0), min(x1, across - 1) + 1):
            begin = y0 + slope * (max(x - 0.5, x0) - x0)
            end = y0 + slope * (min(x + 0.5, x1) - x0)
            vertical(round(min(begin, end)), round(max(begin, end)), x)

    before, after = series.neighbours(frame.left, frame.right)
    previous: tuple[int, int] | None = None
    if before is not None:
        previous = int((before[0] - frame.left) / span * across), place(before[1])
    for column in series.columns(frame.left, frame.right, across):
        x = column.index
        if previous is not None and not column.broken and x > previous[0]:
            join(*previous, x, place(column.first))
        vertical(place(column.high), place(column.low), x)
        previous = x, place(column.last)
    if after is not None and previous is not None:
        join(*previous, max(int((after[0] - frame.left) / span * across), previous[0] + 1), place(after[1]))
    return mask


def _mark(curve: Curve, frame: Frame, axis: Axis, cells: list[list[str]], styles: list[list[str]]) -> None:
    """The curve's sign on each point, unless they would touch."""
    height, width = len(cells), len(cells[0])
    columns = list(curve.series.columns(frame.left, frame.right, width))
    if len(columns) * (3 if curve.among is None else ROOM_ENOUGH) > width:
        if curve.among is None:
            return
        place, count = curve.among
        apart = max(SIGN_APART, count * 2)
        wanted = range(columns[0].index + apart * place // count, width, apart)
        found = [bisect_left(columns, index, key=lambda column: column.index) for index in wanted]
        columns = [columns[at] for at in found if at < len(columns)]
    for column in columns:
        row = height - 1 - round(axis.place(column.last)) // 4
        if 0 <= row < height:
            cells[row][column.index], styles[row][column.index] = curve.sign, curve.style


def _rule(limit: Limit, axis: Axis, cells: list[list[str]], styles: list[list[str]]) -> None:
    """A dashed line over the whole width."""
    height, width = len(cells), len(cells[0])
    row = height - 1 - round(axis.place(limit.value)) // 4
    if 0 <= row < height:
        cells[row][:] = ["╌"] * width
        styles[row][:] = ["limit"] * width


def _name(limit: Limit, axis: Axis, cells: list[list[str]], styles: list[list[str]]) -> None:
    """What the line stands for, near its left end."""
    height, width = len(cells), len(cells[0])
    row = height - 1 - round(axis.place(limit.value)) // 4
    text = f" {limit.label} "
    if 0 <= row < height and len(text) + 4 <= width:
        cells[row][1 : 1 + len(text)] = list(text)
        styles[row][1 : 1 + len(text)] = ["limit"] * len(text)


def _step_axis(frame: Frame, width: int, margin: int) -> list[list[Run]]:
    """The line under the plot and the steps under that."""
    inside = width - margin - 1
    axis = Axis(frame.left, frame.right, inside)
    marks = frame.marks_along(axis, max(2, inside // 8))
    line, text = ["─"] * inside, [" "] * (width + 1)
    end = 0
    for value, label in marks:
        column = round(axis.place(value))
        label = (frame.say_step(value) if frame.say_step else None) or label
        start = max(0, min(margin + 1 + column - len(label) // 2, width - len(label)))
        if start < end or not 0 <= column < inside:
            continue
        line[column] = "┬"
        text[start : start + len(label)] = label
        end = start + len(label) + 1
    return [[(" " * margin + "└" + "".join(line), "axis")], [("".join(text)[:width], "axis")]]


def _runs(cells: list[str], styles: list[str]) -> list[Run]:
    """Neighbours of one style joined."""
    runs: list[Run] = []
    start = 0
    for index in range(1, len(cells) + 1):
        if index == len(cells) or styles[index] != styles[start]:
            runs.append(("".join(cells[start:index]), styles[start]))
            start = index
    return runs
