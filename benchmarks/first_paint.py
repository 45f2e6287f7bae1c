"""First paint of `ftui` held against a trivial Textual app: CPU-seconds, wall seconds and resident memory.

    python benchmarks/first_paint.py [--rounds 5] [--size 120x40]

Both start in turn in the same tmux server at the same size; each is measured at the moment its text stands on the
screen, and once more when its CPU has come to rest (`settled`), so that work pushed behind the first paint shows.
The first start in a new home judges the presets; later ones find that kept (`ftui/preset_fits.py`).
Targets: CPU at first paint at most 2.3 times the trivial app's, and 60 MB resident when settled.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

TRIVIAL = """
from textual.app import App
from textual.widgets import Static

class Trivial(App):
    def compose(self):
        yield Static("first paint is here")

Trivial().run()
"""
TICKS = os.sysconf("SC_CLK_TCK")
TARGET_RATIO, TARGET_MB = 2.3, 60.0
SERVER = "ftui-first-paint"


@dataclass(frozen=True)
class Measured:
    """Seconds and megabytes (10^6 bytes) of one start."""

    wall: float
    cpu: float
    rss: float
    settled_cpu: float
    settled_rss: float


def tmux(*arguments: str) -> str:
    return subprocess.run(["tmux", "-L", SERVER, *arguments], capture_output=True, text=True, check=True).stdout


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def start(command: str, marker: str, size: str, timeout: float = 30.0) -> Measured:
    """Start `command` in a pane, wait until `marker` is painted, measure, and end it."""
    width, height = size.split("x")
    begun = time.monotonic()
    tmux("-f", "/dev/null", "new-session", "-d", "-s", "paint", "-x", width, "-y", height, f"exec {command}")
    try:
        pid = int(tmux("display-message", "-p", "-t", "paint", "#{pane_pid}"))
        while marker not in tmux("capture-pane", "-p", "-t", "paint"):
            if time.monotonic() - begun > timeout:
                raise SystemExit(f"{command!r} did not show {marker!r} within {timeout:.0f} s")
            time.sleep(0.01)
        wall, cpu, rss = time.monotonic() - begun, cpu_seconds(pid), resident_mb(pid)
        last, settled = -1.0, cpu
        while settled - last > 0.02:
            time.sleep(0.7)
            last, settled = settled, cpu_seconds(pid)
        return Measured(wall, cpu, rss, settled, resident_mb(pid))
    finally:
        tmux("kill-server")
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", default="120x40")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trivial = Path(folder, "trivial.py")
        trivial.write_text(TRIVIAL)
        ftui = Path(sys.executable).with_name("ftui")
        environment = f"env FTUI_HOME={folder}/home HF_HUB_OFFLINE=1"
        programs = {
            "trivial": (f"{sys.executable} {trivial}", "first paint is here"),
            "ftui": (f"{environment} {ftui}", "New run"),
            "ftui, first start": (f"env FTUI_HOME=$(mktemp -dp {folder}) HF_HUB_OFFLINE=1 {ftui}", "New run"),
        }
        measured: dict[str, list[Measured]] = {name: [] for name in programs}
        for _ in range(asked.rounds):
            for name, (command, marker) in programs.items():
                measured[name].append(start(command, marker, asked.size))
    print(f"best of {asked.rounds} at {asked.size} in tmux   wall s   CPU s   RSS MB   settled CPU s   settled RSS MB")
    best = {}
    for name, rounds in measured.items():
        best[name] = Measured(*(min(getattr(each, field) for each in rounds) for field in Measured.__annotations__))
        b = best[name]
        print(f"{name:<32}{b.wall:8.2f}{b.cpu:8.2f}{b.rss:9.1f}{b.settled_cpu:16.2f}{b.settled_rss:17.1f}")
    ratio = best["ftui"].cpu / best["trivial"].cpu
    print(f"CPU ratio at first paint {ratio:.2f} (target {TARGET_RATIO}), resident {best['ftui'].settled_rss:.0f} MB "
          f"(target {TARGET_MB:.0f})")
    sys.exit(0 if ratio <= TARGET_RATIO and best["ftui"].settled_rss <= TARGET_MB else 1)


if __name__ == "__main__":
    main()
