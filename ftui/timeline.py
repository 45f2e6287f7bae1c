"""A traced step as a picture in characters: memory by part over the step's allocations, for screens and commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ftui.planner.document import MemoryParts, Trace, TracePoint

MARKS = {
    "weights": "█", "adapter": "▙", "gradients": "▓", "optimizer": "▒", "activations": "▚", "logits": "▞",
    "workspace": "░", "context": "▖", "slack": "▫",
}
"""One character for each part, so that parts are told apart without colour."""
OTHER = "▤"
"""For a part that has no character of its own."""


def parts_of(parts: MemoryParts) -> dict[str, int]:
    """Bytes by part in the order in which they are stacked: those of `MARKS`, then any other."""
    values = dict(parts)
    known = {name: values.pop(name) for name in MARKS if name in values}
    return {**known, **values}


@dataclass(frozen=True)
class Timeline:
    """`rows` from the top down, each a list of part names ("" for air), one per column.

    `top_bytes` is what the top edge stands for; `peak_column` is where the peak is; `phases` are the phases with the
    columns at which they begin.
    """

    rows: tuple[tuple[str, ...], ...]
    top_bytes: int
    peak_column: int
    phases: tuple[tuple[int, str], ...]


def timeline(trace: Trace, width: int, height: int) -> Timeline:
    """The timeline of `trace` in `width` × `height` characters; each column shows its fullest moment."""
    points = _fullest(trace.timeline, width)
    top = max((p.allocated_bytes for p in points), default=0) or 1
    columns = [_column(point, top, height) for point in points]
    phases: list[tuple[int, str]] = []
    for at, point in enumerate(points):
        if not phases or phases[-1][1] != point.phase:
            phases.append((at, point.phase))
    peak = max(range(len(points)), key=lambda at: points[at].allocated_bytes, default=0)
    rows = tuple(tuple(column[level] for column in columns) for level in range(height - 1, -1, -1))
    return Timeline(rows, top, peak, tuple(phases))


def phase_line(phases: Sequence[tuple[int, str]], width: int) -> str:
    """The phases' names under their first columns, as far as each has room."""
    line = ""
    for index, (at, name) in enumerate(phases):
        end = phases[index + 1][0] if index + 1 < len(phases) else width
        room = end - at - 1
        word = f"╵{name}"[:room] if room >= 3 else "╵"[:max(0, end - at)]
        line = line.ljust(at) + word
    return line[:width].ljust(width)


def _fullest(points: Sequence[TracePoint], width: int) -> list[TracePoint]:
    """One point for each of `width` columns of the step's events: that of most memory in it, or the last one before."""
    if not points:
        return []
    last = max(points[-1].event, 1)
    columns: list[TracePoint | None] = [None] * width
    for point in points:
        at = min(width - 1, point.event * width // (last + 1))
        held = columns[at]
        if held is None or point.allocated_bytes > held.allocated_bytes:
            columns[at] = point
    filled: list[TracePoint] = []
    before = points[0]
    for found in columns:
        before = found or before
        filled.append(before)
    return filled


def _column(point: TracePoint, top: int, height: int) -> list[str]:
    """The part at each level, from the bottom up; cells that are at least half full are drawn."""
    cells: list[str] = []
    reached = 0.0
    for name, size in parts_of(point.parts).items():
        if name in ("context", "slack"):
            continue  # outside of what is allocated
        reached += size * height / top
        cells += [name] * (min(round(reached), height) - len(cells))
    return cells + [""] * (height - len(cells))
