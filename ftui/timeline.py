"""A traced step as a picture in characters: memory by part over the step's allocations, for screens and commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ftui.planner.document import MemoryParts, TracePoint
from ftui.units import gib

MARKS = {
    "weights": "█", "adapter": "▙", "gradients": "▓", "optimizer": "▒", "activations": "▚", "logits": "▞",
    "workspace": "░", "context": "▖", "slack": "▫",
}
"""One character for each part, so that parts are told apart without colour."""
OTHER = "▤"
"""For a part that has no character of its own."""
MOVING = ("gradients", "activations", "logits")
"""Parts that come and go within a step: stacked over those that stay, so that an axis cut off below shows them."""
OUTSIDE = ("context", "slack")
"""Parts that no allocation of the step makes."""
FLAT = 0.5
"""Where what stays is more than this share of the peak, the axis begins beneath it instead of at nothing."""
AXIS = 10
"""Columns of the memory axis' labels."""


def parts_of(parts: MemoryParts) -> dict[str, int]:
    """Bytes by part in the order in which they are stacked: those of `MARKS`, then any other."""
    values = dict(parts)
    known = {name: values.pop(name) for name in MARKS if name in values}
    return {**known, **values}


@dataclass(frozen=True)
class Timeline:
    """`rows` from the top down: the axis' label, and a part's name ("" for air) for each column.

    `base_bytes` and `top_bytes` are what the edges stand for; `peak_column` is where the peak is; `sides` are the sides
    of the step (forward, loss, backward, step) with the columns at which they begin.
    """

    rows: tuple[tuple[str, tuple[str, ...]], ...]
    base_bytes: int
    top_bytes: int
    peak_column: int
    sides: tuple[tuple[int, str], ...]

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are seen, from the bottom up: what a legend explains."""
        seen = {name for _, row in self.rows for name in row if name}
        return tuple(name for name in (*MARKS, *sorted(seen - MARKS.keys())) if name in seen)


def timeline(points: Sequence[TracePoint], width: int, height: int) -> Timeline:
    """The step in `width` × `height` characters; each column shows its fullest moment."""
    columns = _fullest(points, width)
    top = max((point.allocated_bytes for point in columns), default=0)
    stays = min((point.allocated_bytes for point in columns), default=0)
    base = 0.95 * stays if stays > FLAT * top else 0.0
    per_row = (top - base) / height or 1.0
    rows = []
    for row in range(height - 1, -1, -1):
        label = gib(round(base + (row + 1) * per_row), 1) if row in (height - 1, height // 2) else ""
        rows.append((label, tuple(_part_at(point, base + (row + 0.5) * per_row) for point in columns)))
    peak = max(range(len(columns)), key=lambda at: columns[at].allocated_bytes, default=0)
    return Timeline(tuple(rows), round(base), top, peak, _sides(columns))


def side_line(sides: Sequence[tuple[int, str]], width: int) -> str:
    """The sides' names under their first columns, as far as each has room."""
    line = ""
    for index, (at, name) in enumerate(sides):
        end = sides[index + 1][0] if index + 1 < len(sides) else width
        room = end - at - 1
        line += ("╵" + (name if len(name) < room else name[: max(0, room - 1)])).ljust(end - at)
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


def _part_at(point: TracePoint, level: float) -> str:
    """The part whose bytes reach over `level`, stacked from what stays up; "" above them all."""
    reached = 0
    for name, size in sorted(parts_of(point.parts).items(), key=lambda part: part[0] in MOVING):
        reached += 0 if name in OUTSIDE else size
        if level <= reached and size:
            return name
    return ""


def _sides(columns: Sequence[TracePoint]) -> tuple[tuple[int, str], ...]:
    found: list[tuple[int, str]] = []
    for at, point in enumerate(columns):
        side = _side(point.phase)
        if not found or found[-1][1] != side:
            found.append((at, side))
    return tuple(found)


def _side(phase: str) -> str:
    """Forward, loss, backward or step: a phase such as "last layer backward" in a word that fits under few columns."""
    if phase.startswith("loss"):
        return "loss"
    return "backward" if phase.endswith("backward") else "step" if phase == "optimizer step" else phase
