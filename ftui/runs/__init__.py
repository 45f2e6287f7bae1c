"""A run: its folder, its events, its process.  Everything about it is read from files, by anyone, at any time."""

from __future__ import annotations

from ftui.runs.control import delete, resume, start_job, stop, wait
from ftui.runs.document import Event, RunInfo, State
from ftui.runs.folder import Run, create, find, list_runs
from ftui.runs.follow import Curves, Follower, Series, curve, follow, history
from ftui.runs.inbox import send
from ftui.runs.launch import Layout, launch, lay_out
from ftui.runs.status import LIVE, OVER, RunStatus, status

__all__ = [
    "LIVE", "OVER", "Curves", "Event", "Follower", "Layout", "Run", "RunInfo", "RunStatus", "Series", "State", "create",
    "curve", "delete", "find", "follow", "history", "launch", "lay_out", "list_runs", "resume", "send", "start_job",
    "status", "stop", "wait",
]
