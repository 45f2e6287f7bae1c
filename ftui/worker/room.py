"""Waiting for room on a full disk, or in a full memory, where giving up would throw away what was trained."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

from ftui.units import gib
from ftui.worker.context import JobContext
from ftui.worker.memory import give_back, without_cache
from ftui.worker.recovery import MAY_BE_MEMORY, is_out_of_memory

WAIT_SECONDS = 3600.0
"""After so long the run fails all the same: a GPU that waits costs money, and the last checkpoint is still there."""
LOOK_SECONDS = 2.0
AGAIN_SECONDS = 60.0
FULL = (errno.ENOSPC, errno.EDQUOT)


def when_there_is_room(context: JobContext, folder: Path, write: Callable[[], None]) -> None:
    """Call `write`; while it meets a full disk say so, wait until something on the disk of `folder` was freed, and call
    it again; while it meets a full memory, again after a while.  After `WAIT_SECONDS` its error is raised."""
    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            without_cache(write)
            return
        except OSError as error:
            if error.errno not in FULL or time.monotonic() >= until:
                raise
        except MAY_BE_MEMORY as error:
            if not is_out_of_memory(error) or time.monotonic() >= until:
                raise
            _wait_for_memory(context)
            continue
        free = _free(folder)
        context.emit(
            "status", state="paused",
            text=f"The disk is full ({gib(free)} free): the result waits in memory. Free some space, and it goes on.",
        )
        while _free(folder) <= free and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
        context.emit("status", state="running", text="Saving the result.")


def _wait_for_memory(context: JobContext) -> None:
    give_back()
    context.emit(
        "status", state="paused",
        text="Memory ran out while the result was saved: it waits, and is tried again every minute. Close what else "
        "fills the memory.",
    )
    time.sleep(AGAIN_SECONDS)
    context.emit("status", state="running", text="Saving the result.")


def _free(folder: Path) -> int:
    """Bytes that this user may still write there."""
    facts = os.statvfs(folder)
    return facts.f_bavail * facts.f_frsize
