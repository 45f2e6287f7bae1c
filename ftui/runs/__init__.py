"""A run: its folder, its events, its process.  Everything about it is read from files, by anyone, at any time."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ftui.runs.control import delete, resume, start_job, stop, wait
from ftui.runs.document import Event, RunInfo, State
from ftui.runs.folder import Run, create, find, list_runs
from ftui.runs.follow import Curves, Follower, Series, curve, follow, history
from ftui.runs.inbox import send
from ftui.runs.status import LIVE, OVER, RunStatus, status

if TYPE_CHECKING:
    from ftui.runs.launch import Layout, lay_out

LATE = ("Layout", "lay_out")
"""What brings the planner along, which lists of runs don't need.  `launch` is the module, and its function there."""

__all__ = [
    "LIVE", "OVER", "Curves", "Event", "Follower", "Layout", "Run", "RunInfo", "RunStatus", "Series", "State", "create",
    "curve", "delete", "find", "follow", "history", "lay_out", "list_runs", "resume", "send", "start_job",
    "status", "stop", "wait",
]


def __getattr__(name: str) -> Any:
    if name in LATE:
        return getattr(import_module("ftui.runs.launch"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
