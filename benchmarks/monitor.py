"""What the monitor costs: CPU while runs are followed, opening a run of a million steps, a redraw of all its points.

    python benchmarks/monitor.py [--seconds 30] [--steps 1000000] [--only follow fifty opening redraw]

The app runs in a pseudo-terminal of 120 × 40 as it would over SSH; what it writes is read and counted.  A plain reader
takes in the same events line by line beside it.  The redraw is measured beside textual-plot with tsdownsample on the
same points, where these are installed.  Prints one JSON document, with the machine's load beside each part.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import recorded

SIZE = (40, 120)

REDRAW = """
import asyncio, json, math, random, resource, sys, time
which, points = sys.argv[1], int(sys.argv[2])
cpu = time.process_time()
from textual.app import App
if which == "ftui":
    from ftui.screens.widgets.chart import Chart
else:
    import numpy as np
    from textual_plot import HiResMode, PlotWidget
    from tsdownsample import MinMaxLTTBDownsampler
imports = time.process_time() - cpu
rng = random.Random(1)
losses = [0.9 + 1.5 * math.exp(-4 * n / points) + rng.gauss(0, 0.08) for n in range(points)]
evaluations = [(n * points // 8, 1.0 + 1.5 * math.exp(-n / 2)) for n in range(1, 9)]
if which == "ftui":
    from ftui.screens.monitor_panels import PANELS, View
    from ftui.screens.monitor_picture import Picture
    from ftui.screens.monitor_series import Series
    picture = Picture(series={"loss": Series(), "eval_loss": Series()})
    for step, loss in enumerate(losses): picture.series["loss"].append(step, loss)
    for step, loss in evaluations: picture.series["eval_loss"].append(step, loss)
    widget = Chart(PANELS[0])
    views = {"whole": View(), "log": View(log=True), "unsmoothed": View(level=0),
             "a tenth": View(left=points * 0.4, right=points * 0.5),
             "400 steps": View(left=points / 2, right=points / 2 + 400)}
    def redraw(name): widget.show(picture, views[name])
else:
    widget = PlotWidget()
    x, y = np.arange(points, dtype=float), np.array(losses)
    views = {"whole": None}
    def redraw(name):
        widget.clear()
        for style in ("bright_black", "cyan"):
            kept = MinMaxLTTBDownsampler().downsample(x, y, n_out=800)
            widget.plot(x[kept], y[kept], style, HiResMode.BRAILLE)
        widget.plot(*zip(*evaluations), "yellow", HiResMode.BRAILLE)
class Bench(App):
    def compose(self): yield widget
async def main():
    app = Bench()
    async with app.run_test(size=(120, 30)) as pilot:
        spent = {}
        for name in views:
            redraw(name); await pilot.pause()
            cpu = time.process_time()
            for _ in range(10):
                redraw(name); await pilot.pause()
            spent[name] = round((time.process_time() - cpu) * 100, 1)
    print(json.dumps({"imports_cpu_s": round(imports, 3), "redraw_cpu_ms": spent,
                      "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
asyncio.run(main())
"""


PLAIN = """
import json, resource, sys, time
from pathlib import Path
from ftui.runs.folder import Run
from ftui.runs.follow import Follower
from ftui.screens.monitor_picture import Picture
cpu, begin, picture, follower = time.process_time(), time.monotonic(), Picture(), Follower(Run(Path(sys.argv[1])))
while follower.offset < int(sys.argv[2]): picture.take(follower.poll(1 << 20))
print(json.dumps({"steps": len(picture.series["loss"]), "seconds": round(time.monotonic() - begin, 2),
                  "cpu_s": round(time.process_time() - cpu, 2)}))
"""
PLAIN_BYTES = 60 << 20
"""So much of the events is enough to know the plain reader's pace."""


class Terminal:
    """The app in a pseudo-terminal, on one run or at home; `written` counts the bytes that it sends."""

    def __init__(self, home: Path, run: str | None = None) -> None:
        self.written = 0
        self.screen = b""
        pid, self._file = pty.fork()
        if pid == 0:
            os.environ |= {"FTUI_HOME": str(home), "TERM": "xterm-256color", "HF_HUB_OFFLINE": "1"}
            code = f"from ftui.screens.app import FtuiApp; FtuiApp(open_run={run!r}).run()"
            os.execv(sys.executable, [sys.executable, "-c", code])
        fcntl.ioctl(self._file, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
        self.process = psutil.Process(pid)
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self) -> None:
        while True:
            try:
                select.select([self._file], [], [])
                data = os.read(self._file, 1 << 16)
            except OSError:
                return
            self.written += len(data)
            self.screen = (self.screen + data)[-200_000:]

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        times = self.process.cpu_times()
        return times.user + times.system

    def rss_mb(self) -> int:
        """Resident memory now."""
        return self.process.memory_info().rss >> 20

    def wait_for(self, text: str, seconds: float = 120) -> float:
        """Seconds until `text` was written."""
        begin = time.monotonic()
        while text.encode() not in self.screen:
            if time.monotonic() - begin > seconds:
                raise TimeoutError(text)
            time.sleep(0.02)
        return time.monotonic() - begin

    def press(self, key: str) -> None:
        """Press a key."""
        os.write(self._file, key.encode())

    def close(self) -> None:
        """Leave as a user would."""
        os.write(self._file, b"\x11")
        os.waitpid(self.process.pid, 0)


def follow(seconds: float, rate: float = 10.0) -> dict[str, Any]:
    """CPU share and terminal traffic while a run of a few thousand steps writes `rate` events per second."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        run = recorded.healthy(home, 5_000, 20_000, samples=False)
        terminal = Terminal(home, run.folder.name)
        terminal.wait_for("5,000 / 20,000")
        time.sleep(2)
        cpu, written, begin = terminal.cpu(), terminal.written, time.monotonic()
        ahead = iter(recorded.metrics(20_000, 20_000, start=5_001))
        for step in range(5_001, 5_001 + int(seconds * rate)):
            run.train([next(ahead)], first=step, samples=False)
            run.live()
            time.sleep(max(begin + (step - 5_000) / rate - time.monotonic(), 0))
        spent = time.monotonic() - begin
        result = {
            "events_per_second": rate, "cpu_share": round((terminal.cpu() - cpu) / spent, 4),
            "kib_per_second": round((terminal.written - written) / spent / 1024, 1), "rss_mb": terminal.rss_mb(),
        }
        terminal.close()
    return result


def follow_many(count: int, seconds: float, rate: float = 10.0) -> dict[str, Any]:
    """The same of the list of runs while `count` of them write `rate` events per second each."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        runs = []
        for number in range(count):
            run = recorded.Recording(home, f"run-{number}", id=f"2026-11-22-run-{number:02d}", total=20_000)
            run.start()
            run.train(recorded.metrics(300, 20_000, gpu=False), samples=False)
            run.live()
            runs.append(run)
        terminal = Terminal(home)
        terminal.wait_for("Runs")
        terminal.press("r")
        terminal.wait_for(f"{count} live")
        time.sleep(3)
        ahead = list(recorded.metrics(300 + int(seconds * rate), 20_000, gpu=False, start=301))
        cpu, written, begin = terminal.cpu(), terminal.written, time.monotonic()
        for place, data in enumerate(ahead):
            for run in runs:
                run.emit("metric", 301 + place, **data)
                run.flush()
                if place % 20 == 0:
                    run.live()
            time.sleep(max(begin + (place + 1) / rate - time.monotonic(), 0))
        spent = time.monotonic() - begin
        result = {
            "runs": count, "events_per_second": round(len(ahead) * count / spent, 1),
            "cpu_share": round((terminal.cpu() - cpu) / spent, 4),
            "kib_per_second": round((terminal.written - written) / spent / 1024, 1), "rss_mb": terminal.rss_mb(),
        }
        terminal.close()
    return result


def opening(steps: int) -> dict[str, Any]:
    """Seconds until the first curve and the whole of a long run stand: without an index, and with the one this made.

    The app's own start, which comes before, is measured on a run of a hundred steps.
    """
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        run = recorded.healthy(home, steps, steps + 1, samples=False)
        size = (run.folder / "events.jsonl").stat().st_size
        small = recorded.Recording(home, "short", total=100)
        small.start()
        small.train(recorded.metrics(100, 100), samples=False)
        found: dict[str, Any] = {"steps": steps, "events_mb": size >> 20}
        found["plain_reader"] = _plain(run.folder, size)
        found["start"] = _opened(home, small.folder.name, "100 / 100")
        for name in ("first_time", "again"):
            found[name] = _opened(home, run.folder.name, f"{steps:,} / {steps + 1:,}", run.folder / "cache" / "index")
            found[name]["beyond_start_s"] = round(found[name]["whole_s"] - found["start"]["whole_s"], 2)
        found["index_mb"] = sum(path.stat().st_size for path in (run.folder / "cache").iterdir()) >> 20
        expected = found["plain_reader"]["cpu_s"] * steps / found["plain_reader"]["steps"]
        # Of the second opening there is next to nothing beyond the app's start to be held against it.
        spent = max(found["first_time"]["cpu_s"] - found["start"]["cpu_s"], 0.01)
        found["first_time"]["times_less_cpu_than_plain"] = round(expected / spent, 1)
    return found


def _plain(folder: Path, size: int) -> dict[str, Any]:
    command = [sys.executable, "-c", PLAIN, str(folder), str(min(PLAIN_BYTES, size))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _opened(home: Path, run: str, whole: str, index: Path | None = None) -> dict[str, Any]:
    """How long the app takes from its start until `whole` is written; it is left once there is an index."""
    terminal = Terminal(home, run)
    first = terminal.wait_for("learning rate")
    until = first + terminal.wait_for(whole)
    cpu = terminal.cpu()
    while index is not None and not index.exists():
        time.sleep(0.05)
    time.sleep(1)
    result = {"first_curve_s": round(first, 2), "whole_s": round(until, 2), "cpu_s": round(cpu, 2),
              "rss_mb": terminal.rss_mb()}
    terminal.close()
    return result


def redraw(points: int) -> dict[str, Any]:
    """One chart of a raw, a smoothed and an evaluation curve, by ftui and by textual-plot."""
    found = {}
    for which in ("ftui", "textual-plot"):
        done = subprocess.run([sys.executable, "-c", REDRAW, which, str(points)], capture_output=True, text=True)
        found[which] = json.loads(done.stdout) if done.returncode == 0 else done.stderr.strip().rsplit("\n", 1)[-1]
    return {"points": points, **found}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--only", nargs="*", default=["follow", "fifty", "opening", "redraw"])
    options = parser.parse_args()
    parts = {
        "follow": lambda: follow(options.seconds), "fifty": lambda: follow_many(50, options.seconds),
        "opening": lambda: opening(options.steps), "redraw": lambda: redraw(options.steps),
    }
    print(json.dumps(
        {name: {"load": round(os.getloadavg()[0], 1), **parts[name]()} for name in options.only}, indent=2
    ))
