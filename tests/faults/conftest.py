"""Real workers with the counting job, and everything they leave behind ended after each test."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ftui.runs import control, heartbeat
from ftui.runs.folder import Run, create, list_runs
from ftui.runs.process import whereabouts
from ftui.runs.status import RunStatus, status

COUNTING = Path(__file__).with_name("counting_worker.py")


@pytest.fixture(autouse=True)
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Workers are real processes with the counting job; none outlives its test."""
    monkeypatch.setattr(control, "WORKER", (sys.executable, str(COUNTING)))
    yield
    for run in list_runs():
        beat = heartbeat.read(run.heartbeat)
        if beat and whereabouts(beat.worker) == "alive":
            os.kill(beat.worker.pid, signal.SIGKILL)


@pytest.fixture
def started() -> Callable[..., Run]:
    """Make a run, start it, and return once it has counted to `until`."""

    def start(until: int = 3, **args: Any) -> Run:
        run = create("count", "count", args={"steps": 10_000, "seconds": 0.02, **args}, command="ftui launch count")
        control.start(run)
        reach(run, lambda now: (now.step or 0) >= until)
        return run

    return start


def reach(run: Run, condition: Callable[[RunStatus], bool], seconds: float = 20.0) -> RunStatus:
    """Wait until the status fulfils `condition`; fails, with the last one, if it doesn't in time."""
    deadline = time.monotonic() + seconds
    while not condition(now := status(run)):
        assert time.monotonic() < deadline, f"still {now!r}; log: {run.log.read_text() if run.log.exists() else None}"
        time.sleep(0.02)
    return now


@pytest.fixture(name="reach")
def reach_fixture() -> Callable[..., RunStatus]:
    """`reach`, for tests."""
    return reach
