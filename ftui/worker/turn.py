"""A queued run's worker before its turn: it waits, without torch, and says what for."""

from __future__ import annotations

import os
import time

from ftui.runs import queue
from ftui.worker.context import JobContext

LOOK_SECONDS = 2.0
"""Between two looks at the queue."""
SETTLE_SECONDS = 10.0
"""How long a GPU must stay free before it is taken: what starts there just now has not asked for its memory yet."""


def wait(context: JobContext) -> bool:
    """Wait until this run's turn has come and its device is free, and take that; at once where it isn't queued.

    The device is then the only one that torch sees.  False where the run was stopped before its turn.
    """
    from ftui import hardware

    said, free_since = "", None
    while ticket := queue.find(context.info.id):
        if context.stop_asked:
            queue.leave(context.info.id)
            context.finish("Taken out of the queue before its turn; nothing was trained.")
            return False
        found = queue.in_the_way(ticket, hardware.probe())
        if isinstance(found, str):
            free_since = None
            if found != said:
                said = found
                context.emit("status", state="queued", text=found)
            time.sleep(LOOK_SECONDS)
            continue
        free_since = free_since or time.monotonic()
        if found.name != queue.CPU and time.monotonic() - free_since < SETTLE_SECONDS:
            time.sleep(LOOK_SECONDS)
        elif queue.lease(found) is not None:
            # The lease is a file descriptor that nobody closes: it ends with the process.
            os.environ["CUDA_VISIBLE_DEVICES"] = "" if found.name == queue.CPU else found.name
            queue.leave(context.info.id)
            context.emit("status", state="preparing", text=f"Its turn has come: {found.shown} is free.")
            context.begin()
    return True
