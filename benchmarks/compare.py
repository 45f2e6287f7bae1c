"""What a comparison of long runs costs: CPU until all of their past is there, a redraw on each axis, memory, a picture.

    python benchmarks/compare.py [--runs 8] [--steps 100000]

The runs are recorded, without a worker.  Prints one JSON document.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import recorded

SIZES = ((80, 24), (120, 40))
REDRAWS = 20


def record(home: Path, runs: int, steps: int) -> list[str]:
    """The ids of so many runs with different curves."""
    from ftui.runs.folder import create

    os.environ["FTUI_HOME"] = str(home)
    ids = []
    for number in range(runs):
        run = create("train", f"run {number}", command="x")
        began, drawn = time.time(), random.Random(number)
        with run.events.open("w") as file:
            for step, data in enumerate(recorded.metrics(steps, steps, seed=number), 1):
                data["loss"] += 0.02 * number
                event = {"v": 1, "seq": step, "attempt": 1, "time": began + 2.3 * step, "kind": "metric", "step": step}
                file.write(json.dumps(event | {"data": data}) + "\n")
                if step % (steps // 10) == 0:
                    value = {"eval_loss": data["loss"] + drawn.random() / 10, "best": True}
                    file.write(json.dumps(event | {"kind": "evaluation", "data": value}) + "\n")
        ids.append(run.id)
    return ids


def read(ids: Sequence[str]) -> tuple[Any, float]:
    """The lanes with all of their past, and the seconds of CPU that it took."""
    from ftui.screens.compare_lanes import open_lanes

    begin, behind = time.process_time(), True
    lanes, _ = open_lanes(ids)
    while behind:
        behind = False
        for lane in lanes:
            found = lane.look()
            lane.fold(found)
            behind |= found.behind
    return lanes, time.process_time() - begin


async def redraws(lanes: Any) -> dict[str, float]:
    """Milliseconds of CPU for a redraw, by axis and size, once the curves are laid."""
    from textual.app import App, ComposeResult

    from ftui.runs.alignment import AXES
    from ftui.screens.compare_chart import Overlay

    found = {}
    for size in SIZES:
        chart = Overlay()
        chart.lanes = lanes

        class Bench(App[None]):
            def compose(self) -> ComposeResult:
                yield chart  # noqa: B023  # the app is gone before the next chart is made

        async with Bench().run_test(size=size) as pilot:
            for chart.axis in AXES:
                chart.redraw()
                await pilot.pause()
                begin = time.process_time()
                for _ in range(REDRAWS):
                    chart.redraw()
                    await pilot.pause()
                name = f"{chart.axis} {size[0]}x{size[1]}"
                found[name] = round((time.process_time() - begin) / REDRAWS * 1e3, 1)
    return found


def picture(ids: Sequence[str], folder: Path) -> dict[str, float]:
    """Seconds for an SVG and a PNG of all runs by the command, and their sizes."""
    from ftui.runs.charting_apart import chart_apart

    begin = time.monotonic()
    files = chart_apart(ids, folder, curves=["loss", "eval_loss"], axis="tokens", log=False, weight=0.9)
    sizes = {f"{file.suffix[1:]}_kib": file.stat().st_size >> 10 for file in files}
    return {"seconds": round(time.monotonic() - begin, 1), **sizes}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--steps", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        names = record(Path(made), options.runs, options.steps)
        sides, spent = read(names)
        told = {
            "runs": options.runs, "steps": options.steps, "read_cpu_s": round(spent, 1),
            "redraw_cpu_ms": asyncio.run(redraws(sides)),
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
            "picture": picture(names, Path(made)),
        }
    print(json.dumps(told, indent=2))
