"""Why a worker is gone that could not say so itself: what the machine's own counters tell, and no more than that."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ftui.hardware import faults, oom
from ftui.runs.heartbeat import Heartbeat
from ftui.runs.process import boot_id
from ftui.units import gib

LESS_MEMORY = "Close what else fills the RAM, or lower train.micro_batch or data.max_length in a new run."
LOG_BYTES = 1 << 16
"""So much of the log's end is read for a library's last words."""
ABORTED = "Fatal Python error: Aborted"
"""faulthandler's line; without it what stands in a log need not have ended anything."""
LITTLE = 0.05
"""A share of the RAM: where less was free at the last heartbeat, the want of it is worth a word."""


def why(beat: Heartbeat, log: Path) -> tuple[str, str | None]:
    """(how the worker of `beat` ended, as a clause after "Its worker vanished at step 7: "; what to do besides a
    resume).  Only for a process that is known to be dead on this machine; `log` is what it has written."""
    if beat.worker.boot != boot_id():
        return "the machine was started again, or lost its power, while it worked", None
    if fault := faults.find(_last_words(log)):
        # NCCL's watchdog and CUDA's own checks abort the process from a thread that Python never hears of.
        return f"{fault.text[0].lower()}{fault.text[1:]}", fault.hint
    struck = [path for path, before in beat.oom_kills.items() if (oom.kills(Path(path)) or 0) > before]
    since = time.strftime("%H:%M:%S", time.localtime(beat.time if 0 <= beat.time < 1e11 else 0))
    free = f", when {gib(beat.free_bytes)} of RAM were free" if beat.free_bytes is not None else ""
    if any(path != str(oom.MACHINE) for path in struck):
        return f"the kernel ended it for want of RAM (its memory group counts a kill since {since}{free})", LESS_MEMORY
    if struck:
        return (
            f"most likely the kernel ended it for want of RAM (its OOM killer has struck since {since}{free})",
            LESS_MEMORY,
        )
    if beat.oom_kills:
        return "killed by hand, or by a library's crash; the kernel's OOM killer has not struck since", None
    if beat.free_bytes is not None and beat.total_bytes and beat.free_bytes < LITTLE * beat.total_bytes:
        return f"perhaps ended by the kernel for want of RAM: {gib(beat.free_bytes)} were free at {since}", LESS_MEMORY
    return "killed by hand, by the kernel for want of RAM, or by a library's crash", None


def _last_words(log: Path) -> str:
    """What the newest attempt has written into its log, where it ended by aborting itself."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_BYTES))
            words = file.read().decode(errors="replace").rpartition("=== attempt ")[2]
    except OSError:
        return ""
    return words if ABORTED in words else ""
