"""`ftui plan --trace`: start the trace or find it, stand by, and show it beside the estimate."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from ftui import tracing
from ftui.planner.document import MemoryEstimate, Trace, Verdict
from ftui.timeline import AXIS, MARKS, OTHER, side_line, timeline
from ftui.units import clock, gib, plain

if TYPE_CHECKING:
    from ftui.data.document import DataProfile
    from ftui.hardware.document import Hardware
    from ftui.models.document import ModelShape
    from ftui.recipe.document import Recipe
    from ftui.runs.folder import Run

WIDTH, HEIGHT = 64, 10
"""Cells of the timeline, so that it stays within 80 columns with its axis."""


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


def show_trace(found: Trace, estimate: MemoryEstimate, judgement: Verdict) -> None:
    """Print what was traced beside what was estimated, where the peak stands, and the step's timeline by part."""
    console = Console(highlight=False, soft_wrap=False)
    libraries = ", ".join(f"{name} {found.versions[name]}" for name in ("torch", "transformers", "trl", "peft")
                          if name in found.versions)  # fmt: skip
    console.print(Text(plain(f"\nTraced: {found.depth} in {clock(found.seconds)}, {libraries}"), "bold"))
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
    if found.timeline:
        _draw(console, found)
    for note in found.notes:
        console.print(Text(plain(f"Note: {note}")))


def _draw(console: Console, found: Trace) -> None:
    picture = timeline(found.timeline, WIDTH, HEIGHT)
    for label, row in picture.rows:
        console.print(Text(f"{label:>{AXIS}} " + "".join(MARKS.get(part, OTHER) if part else " " for part in row)))
    console.print(Text(f"{gib(picture.base_bytes):>{AXIS}} {side_line(picture.sides, WIDTH)}".rstrip()))
    console.print(Text(" " * AXIS + "".join(f" {MARKS.get(part, OTHER)} {part}" for part in picture.parts)))


def _apart(estimate: int, traced: int) -> str:
    """How far the estimate is from the trace, in percent of the trace."""
    return f"{100 * (estimate - traced) / traced:+.1f} %" if traced else ""
