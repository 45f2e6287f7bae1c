"""Runs without torch: jobs that count, folders written by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.cli.main import main
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


@pytest.fixture
def ftui_(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: (exit code, stdout, stderr)."""

    def call(*words: str) -> tuple[int, str, str]:
        code = 0
        try:
            main(words)
        except SystemExit as leave:
            code = int(leave.code or 0)
        out = capfd.readouterr()
        return code, out.out, out.err

    return call
