"""The command at the end: run once the worker is gone, however it ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.runs import control, heartbeat
from ftui.runs.folder import Run, create
from ftui.runs.follow import history
from ftui.runs.on_end import execute
from ftui.runs.status import status
from ftui.runs.writer import RunWriter

NOTE = 'echo "$FTUI_RUN $FTUI_STATUS" >> "$FTUI_FOLDER/ended"'


def made(command: str) -> Run:
    recipe = assign(Recipe(), {"model.base": "demo", "compute.on_end": command})
    return create("train", "x", recipe=recipe, args={"steps": 500, "seconds": 0.01}, command="")


def noted(run: Run, seconds: float = 10) -> str:
    until = time.monotonic() + seconds
    while not (run.path / "ended").exists() and time.monotonic() < until:
        time.sleep(0.05)
    return (run.path / "ended").read_text()


def killed(run: Run) -> None:
    beat = heartbeat.read(run.heartbeat)
    assert beat is not None
    os.kill(beat.worker.pid, signal.SIGKILL)


@pytest.mark.usefixtures("counting")
@pytest.mark.parametrize(
    ("end", "state"),
    [(control.stop, "stopped"), (lambda run: control.stop(run, now=True, grace=0), "stopped"), (killed, "crashed")],
    ids=["stop", "stop now", "killed"],
)
def test_it_runs_once_the_worker_is_gone_however_it_ended(end: Callable[[Run], object], state: str) -> None:
    run = made(NOTE)
    control.start(run)
    while status(run).state != "running":
        time.sleep(0.02)
    end(run)
    assert noted(run) == f"{run.id} {state}\n"


def test_one_that_fails_is_a_warning_and_the_state_stays() -> None:
    run = made("exit 7")
    with RunWriter(run.path) as writer:
        writer.emit("end", status="finished", text="Done.", hint=None, metrics={}, output=None)
    execute(run, status(run))
    assert status(run).state == "finished"
    assert "exit code 7" in history(run)[-1].data["text"]


def test_a_run_without_one_runs_nothing() -> None:
    run = create("count", "x", command="")
    execute(run, status(run))
    assert history(run) == []
