"""Writing the chart that is looked at into files, and saying where they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textual.screen import Screen

from ftui.runs.alignment import Axis
from ftui.runs.charting_apart import chart_apart
from ftui.units import plain

from .background import Problem, attempt


async def write_chart(
    screen: Screen[Any], run_ids: Sequence[str], *, curves: Sequence[str], axis: Axis, log: bool, weight: float
) -> None:
    """Draw these curves as SVG and PNG into the folder that the app was started in."""
    screen.notify("Drawing the chart …", timeout=3)
    options = {"curves": curves, "axis": axis, "log": log, "weight": weight}
    files = await attempt(chart_apart, run_ids, Path.cwd(), **options)  # type: ignore[arg-type]  # as they are above
    if not screen.app.is_running:
        return
    if isinstance(files, Problem):
        screen.notify(files.hint, title=files.what, severity="error", timeout=8, markup=False)
    else:
        svg, png = files
        where = plain(f"{png.name} and {svg.suffix} in {png.parent}")
        screen.notify(where, title="The chart is drawn", timeout=8, markup=False)
