"""`ftui plan --trace`: start the trace or find it, stand by, and show it beside the estimate."""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from ftui import tracing
from ftui.planner.document import MemoryEstimate, Trace, TracePoint, Verdict
from ftui.units import clock, gib, plain

if TYPE_CHECKING:
    from ftui.data.document import DataProfile
    from ftui.hardware.document import Hardware
    from ftui.models.document import ModelShape
    from ftui.recipe.document import Recipe
    from ftui.runs.folder import Run

WIDTH, HEIGHT = 64, 10
"""Cells of the timeline, so that it stays within 80 columns with its axis."""
BANDS = (
    ("█", "weights", ("weights",)),
    ("▓", "adapter, gradients, optimizer", ("adapter", "gradients", "optimizer")),
    ("▒", "activations, logits, workspace", ("activations", "logits", "workspace")),
    ("░", "reserved", ("slack",)),
)
"""What the timeline stacks, from below: by shape, so that it reads without colours."""
SIDES = (("forward", "forward"), ("loss", "loss"), ("backward", "backward"), ("step", "optimizer step"))
FLAT = 0.5
"""Where what stays is more than this share of the peak, the axis begins beneath it instead of at nothing."""


def traced(
    recipe: Recipe, shape: ModelShape, hardware: Hardware, profile: DataProfile | None, *, full: bool
) -> Trace:
    """The trace of a resolved recipe, made now unless it is known.  An interrupt stops the job before it goes on."""
    found = tracing.cached(recipe, shape, hardware, profile, full=full)
    if found is not None:
        return found
    run = tracing.start(recipe, shape, hardware, profile, full=full)
    try:
        _stand_by(run)
    except KeyboardInterrupt:
        from ftui.runs.control import stop

        stop(run, now=True, grace=0.5)
        raise
    return tracing.finished(run)


def _stand_by(run: Run) -> None:
    """Wait for the end; a line that moves on a terminal, nothing elsewhere."""
    from ftui.runs.follow import follow
    from ftui.runs.status import RunStatus

    if not sys.stderr.isatty():
        for _ in follow(run, interval=0.25):
            pass
        return
    console = Console(stderr=True)
    with console.status("Starting the trace") as line:
        for item in follow(run, interval=0.25):
            if isinstance(item, RunStatus):
                line.update(Text(plain(item.text or item.doing or "Tracing")))


def judged(
    found: Trace, recipe: Recipe, hardware: Hardware, shape: ModelShape, profile: DataProfile | None
) -> Verdict:
    """Whether what was traced fits what is free now."""
    from ftui.planner.setup import setup_of
    from ftui.planner.verdict import verdict

    return verdict(found.memory, setup_of(recipe, hardware, shape, profile), hardware)


def show_trace(found: Trace, estimate: MemoryEstimate, judgement: Verdict) -> None:
    """Print what was traced beside what was estimated, where the peak stands, and the step's timeline by part."""
    console = Console(highlight=False, soft_wrap=False)
    libraries = ", ".join(f"{name} {found.versions[name]}" for name in ("torch", "transformers", "trl", "peft")
                          if name in found.versions)  # fmt: skip
    depth = "every layer" if found.traced_layers == (found.layers,) else (
        f"{', '.join(map(str, found.traced_layers))} of {found.layers} layers"
    )
    console.print(Text(plain(f"\nTraced: {depth} in {clock(found.seconds)}, {libraries}"), "bold"))
    memory = found.memory
    for title, is_, was in (
        ("tensors", memory.allocated_bytes, estimate.allocated_bytes),
        ("reserved", memory.reserved_bytes, estimate.reserved_bytes),
        ("whole process", memory.process_bytes, estimate.process_bytes),
    ):
        console.print(Text(f"  {title:14s} {gib(is_, 2):>10s}   estimated {gib(was, 2):>10s}   {_apart(was, is_)}"))
    console.print(Text(f"  {'interval':14s} {gib(memory.low_bytes, 2)} to {gib(memory.high_bytes, 2)}"))
    console.print(Text(plain(f"  Peak: {memory.phase}, in {found.where}.")))
    console.print(Text(plain(judgement.text), "bold"))
    console.print()
    for row in timeline(found.timeline):
        console.print(Text(row))
    for pair in (BANDS[:2], BANDS[2:]):
        console.print(Text("".join(f"  {mark} {title:32s}" for mark, title, _ in pair).rstrip()))
    for note in found.notes:
        console.print(Text(plain(f"Note: {note}")))


def _apart(estimate: int, traced: int) -> str:
    """How far the estimate is from the trace, in percent of the trace."""
    return f"{100 * (estimate - traced) / traced:+.1f} %" if traced else ""


@dataclass(frozen=True)
class _Column:
    point: TracePoint
    stacked: tuple[int, ...]
    """Bytes up to the top of each band."""


def timeline(points: tuple[TracePoint, ...], width: int = WIDTH, height: int = HEIGHT) -> list[str]:
    """The step from left to right as a stacked area of `height` rows, at most 80 columns with its axis."""
    if not points:
        return []
    columns = [_column(points[start:end]) for start, end in _cuts(len(points), min(width, len(points)))]
    top = max(column.stacked[-1] for column in columns)
    stays = min(column.point.allocated_bytes for column in columns)
    base = 0.95 * stays if stays > FLAT * top else 0.0
    per_row = (top - base) / height or 1.0
    rows = []
    for row in range(height - 1, -1, -1):
        middle = base + (row + 0.5) * per_row
        label = gib(round(base + (row + 1) * per_row), 1) if row in (height - 1, height // 2) else ""
        cells = "".join(_mark(column, middle) for column in columns)
        rows.append(f"{label:>10s} ┤{cells}")
    rows.append(f"{gib(round(base), 1):>10s} └{'─' * len(columns)}")
    rows.append(f"{'':11s} {_sides(columns)}".rstrip())
    return rows


def _cuts(count: int, pieces: int) -> list[tuple[int, int]]:
    edges = [round(index * count / pieces) for index in range(pieces + 1)]
    return list(itertools.pairwise(edges))


def _column(points: tuple[TracePoint, ...]) -> _Column:
    fullest = max(points, key=lambda point: point.allocated_bytes)
    total, stacked = 0, []
    for _, _, names in BANDS:
        total += sum(getattr(fullest.parts, name) for name in names)
        stacked.append(total)
    return _Column(fullest, tuple(stacked))


def _mark(column: _Column, level: float) -> str:
    return next((band[0] for band, top in zip(BANDS, column.stacked, strict=True) if level <= top), " ")


def _sides(columns: list[_Column]) -> str:
    """The names of the step's parts under their columns, where there is room."""
    sides = [next((i for i, (_, end) in enumerate(SIDES) if column.point.phase.endswith(end)), 1) for column in columns]
    sides = [1 if column.point.phase.startswith("loss") else side for column, side in zip(columns, sides, strict=True)]
    text, start = "", 0
    for index in range(1, len(sides) + 1):
        if index == len(sides) or sides[index] != sides[start]:
            room, name = index - start, SIDES[sides[start]][0]
            text += ("│" + (name if len(name) < room else name[: room - 1])).ljust(room)
            start = index
    return text
