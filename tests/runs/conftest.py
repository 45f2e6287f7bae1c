"""Runs without torch: jobs that count, folders written by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.runs import control
from ftui.runs.folder import Run, create

COUNTING = Path(__file__).parents[1] / "faults" / "counting_worker.py"


@pytest.fixture
def make_run() -> Callable[..., Run]:
    """Make the folder of a run that counts; nothing is started."""

    def make(name: str = "count", **args: Any) -> Run:
        return create("count", name, args=args, command="ftui launch count")

    return make


@pytest.fixture
def run(make_run: Callable[..., Run]) -> Run:
    """One run that is not started."""
    return make_run()


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that are started are real processes with the counting job."""
    monkeypatch.setattr(control, "WORKER", (sys.executable, str(COUNTING)))
