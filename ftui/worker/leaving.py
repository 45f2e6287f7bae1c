"""The end of the worker's process, which nothing that hangs may hold up."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

_closers: list[Callable[[bool], bool]] = []


def before_leaving(close: Callable[[bool], bool]) -> None:
    """Have `close` called at the end of the process, with whether the run went well; it returns whether it got through
    in its time."""
    _closers.append(close)


def leave(code: int) -> None:
    """End this process: by Python's own way, or where something hangs, at once.

    Winding Python up would run that library's own hooks, which wait for the same; all that counts is written by now.
    """
    through = [close(code == 0) for close in _closers]
    if not all(through):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
