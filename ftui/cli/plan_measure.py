"""`ftui plan --measure`: two steps on the device itself, and the result beside the estimate."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from ftui import calibration
from ftui.errors import BadInput
from ftui.planner.document import MemoryEstimate
from ftui.units import gib, plain

if TYPE_CHECKING:
    from ftui.data.document import DataProfile
    from ftui.hardware.document import Hardware
    from ftui.models.document import ModelShape
    from ftui.recipe.document import Recipe
    from ftui.runs.document import Event


def measured(
    draft: Recipe, shape: ModelShape, hardware: Hardware, profile: DataProfile | None, *, elsewhere: bool,
    quiet: bool = False,
) -> MemoryEstimate:
    """The peak of what the plan recommends, measured now.  An interrupt stops the job before it goes on.

    `elsewhere` says that the plan is for another machine than this one.
    """
    from ftui.runs.command import plan_command
    from ftui.runs.control import stop, wait
    from ftui.runs.launch import lay_out

    if elsewhere:
        raise BadInput("--measure measures this machine, and --hardware names another.", "Leave one of them out.")
    if profile is None:
        raise BadInput("Measuring takes the longest rows, and no data is named.", "Add --data FILE.")
    layout = lay_out(draft, hardware=hardware, shape=shape, profile=profile)
    run = calibration.start_measure(layout, command=f"{plan_command(draft)} --measure")

    shown = ""

    def tell(event: Event) -> None:
        nonlocal shown
        text = event.data.get("text", "")
        if not quiet and event.kind in ("status", "progress", "warning") and text != shown:
            shown = text
            print(plain(text), file=sys.stderr, flush=True)

    try:
        wait(run, tell)
    except KeyboardInterrupt:
        stop(run, now=True, grace=0.5)
        raise
    return calibration.finished_measure(run)


def show_measured(found: MemoryEstimate, estimate: MemoryEstimate) -> None:
    """Print what was measured beside what was estimated."""
    console = Console(highlight=False, soft_wrap=False)
    apart = 100 * (estimate.process_bytes - found.process_bytes) / found.process_bytes
    console.print(Text("\nMeasured: two steps on the longest rows, on this device", "bold"))
    console.print(Text(plain(
        f"  whole process  {gib(found.process_bytes, 2)}   estimated {gib(estimate.process_bytes, 2)}   {apart:+.1f} %"
    )))
    inside = estimate.low_bytes <= found.process_bytes <= estimate.high_bytes
    between = f"{gib(estimate.low_bytes, 2)} to {gib(estimate.high_bytes, 2)}"
    console.print(Text(f"  {'within' if inside else 'outside'} the interval of {between}"))
