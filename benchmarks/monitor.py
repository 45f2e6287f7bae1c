"""What the monitor costs: CPU while a run is followed, time to attach to a long past, a redraw of 100,000 points.

    python benchmarks/monitor.py [--seconds 30] [--steps 200000]

The app runs in a pseudo-terminal of 120 × 40 as it would over SSH; what it writes is read and counted.  The redraw is
measured beside textual-plot with tsdownsample on the same points, where these are installed.  Prints one JSON document.
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
    def redraw(): widget.show(picture, View())
else:
    widget = PlotWidget()
    x, y = np.arange(points, dtype=float), np.array(losses)
    def redraw():
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
        redraw(); await pilot.pause()
        cpu = time.process_time()
        for _ in range(20):
            redraw(); await pilot.pause()
        spent = (time.process_time() - cpu) / 20
    print(json.dumps({"imports_cpu_s": round(imports, 3), "redraw_cpu_ms": round(spent * 1e3, 1),
                      "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
asyncio.run(main())
"""


class Terminal:
    """The app on one run in a pseudo-terminal; `written` counts the bytes that it sends."""

    def __init__(self, home: Path, run: str) -> None:
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


def attach(steps: int) -> dict[str, Any]:
    """Seconds until the first curve and until the whole past of a long run stands, with CPU and memory then."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        run = recorded.healthy(home, steps, steps + 1, samples=False)
        size = (run.folder / "events.jsonl").stat().st_size
        terminal = Terminal(home, run.folder.name)
        first = terminal.wait_for("each step")
        whole = first + terminal.wait_for(f"{steps:,} / {steps + 1:,}")
        result = {
            "steps": steps, "events_mb": size >> 20, "first_curve_s": round(first, 2), "whole_past_s": round(whole, 2),
            "cpu_s": round(terminal.cpu(), 2), "rss_mb": terminal.rss_mb(),
        }
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
    parser.add_argument("--steps", type=int, default=200_000)
    options = parser.parse_args()
    print(json.dumps(
        {"follow": follow(options.seconds), "attach": attach(options.steps), "redraw": redraw(100_000)}, indent=2
    ))
