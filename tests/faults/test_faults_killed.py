"""A training whose worker is killed, or whose machine loses its power, at every named point: nothing is lost, the
status is the truth, and the same command goes on, to the same result to the bit."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from ftui.errors import Refused
from ftui.runs import control, heartbeat
from ftui.runs.folder import Run
from ftui.runs.follow import history
from ftui.runs.process import whereabouts
from ftui.runs.status import RunStatus, status
from ftui.worker.checkpoints import Checkpoint

from .conftest import Outcome, Trainings, outcome
from .fault import ORDER, Fault

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("faults-killed")]
Reach = Callable[..., RunStatus]

START = {
    "start": "ftui.runs.writer:RunWriter.__enter__",
    "the first word": "ftui.worker.__main__:_work",
    "data preparation": "ftui.data.filling:Filling.fill",
    "model loading": "ftui.worker.jobs.train:load_model",
    "step": "ftui.worker.session:Session.on_step_end",
}
LATER = {
    "evaluation": "ftui.worker.objectives.sft:SftTrainer.judge_batch",
    "writing a checkpoint": "ftui.worker.trainer:RunTrainer.keep_rest",
    "naming a checkpoint": "ftui.worker.checkpoints:sync_folder",
    "between checkpoint and event": "ftui.worker.session:Session.saved",
    "between event and pruning": "ftui.worker.checkpoints:prune",
    "saving the result": "ftui.worker.output:model_card",
    "the report": "ftui.worker.report:write",
    "the end": "ftui.worker.__main__:_deafen",
}
"""Points on the way of a training -> a function that is called there."""


@pytest.fixture(scope="module")
def whole() -> dict[str, Outcome]:
    """The unbroken training, once it was done."""
    return {}


def unbroken(trainings: Trainings, whole: dict[str, Outcome]) -> Outcome:
    if not whole:
        whole["it"] = trainings.finish(trainings.make(), ORDER)
    return whole["it"]


def dead(run: Run, reach: Reach) -> RunStatus:
    """Wait until the worker is gone; the status must say so within ten seconds."""
    reach(run, lambda now: (beat := heartbeat.read(run.heartbeat)) is None or whereabouts(beat.worker) == "dead", 60)
    return reach(run, lambda now: now.state == "crashed", 10)


def nothing_is_lost(run: Run) -> None:
    """Of the checkpoints that were reported, those that are to be kept are there and sound."""
    told = [event for event in history(run) if event.kind == "checkpoint"]
    kept = told[-2:] + [event for event in told if event.data["best"]][-1:]
    for event in kept:
        assert Checkpoint(run.path / event.data["path"], event.step or 0).problem() is None, event


def test_a_worker_killed_at_every_point_of_its_way_goes_on_to_the_same_result(
    trainings: Trainings, reach: Reach, whole: dict[str, Outcome]
) -> None:
    run = trainings.make()
    for point, target in (START | LATER).items():
        trainings.begin(run, ORDER, Fault(target, "kill", nth=2 if point in ("step", "evaluation") else 1))
        now = dead(run, reach)
        assert "ftui runs" in (now.hint or ""), point
        nothing_is_lost(run)
    assert trainings.finish(run, ORDER) == unbroken(trainings, whole)
    assert len({event.attempt for event in history(run)}) >= len(LATER)


def test_a_worker_killed_after_its_last_word_has_finished(trainings: Trainings, reach: Reach) -> None:
    run = trainings.make(train__max_steps=1)
    trainings.begin(run, Fault("ftui.runs.inbox:clear", "kill"))
    assert reach(run, lambda now: now.over, 60).state == "finished"
    assert run.report.exists()


def test_a_training_outlives_a_hangup_its_terminal_and_its_launcher(
    trainings: Trainings, reach: Reach, whole: dict[str, Outcome]
) -> None:
    run = trainings.make()
    code = (
        "import sys, time; from pathlib import Path; from ftui.runs import control; from ftui.runs.folder import Run\n"
        "control.start(Run(Path(sys.argv[1])))\nprint('started', flush=True)\ntime.sleep(600)"
    )
    ours, theirs = pty.openpty()
    launcher = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-c", code, str(run.path)], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said = b""
    while b"started" not in said:
        said += os.read(ours, 1000)
    reach(run, lambda now: now.pid is not None and now.attempt == 1 and run.events.exists(), 60)
    worker = status(run).pid
    assert worker is not None
    os.kill(worker, signal.SIGHUP)
    os.kill(launcher.pid, signal.SIGKILL)
    launcher.wait()
    os.close(ours)
    assert status(run).live
    assert reach(run, lambda now: now.over, 120).state == "finished", run.log.read_text()
    assert replace(outcome(run), order={}) == replace(unbroken(trainings, whole), order={})


def test_events_that_are_cut_and_littered_cost_no_trained_step(
    trainings: Trainings, reach: Reach, whole: dict[str, Outcome]
) -> None:
    run = trainings.make()
    trainings.begin(run, Fault("ftui.worker.session:Session.on_step_end", "kill", nth=8))
    dead(run, reach)
    os.truncate(run.events, run.events.stat().st_size * 2 // 3)
    with run.events.open("ab") as file:
        file.write(b"\x00" * 5000 + b"\n[]\ngarbage")
    assert status(run).state == "crashed"
    now, then = trainings.finish(run), unbroken(trainings, whole)
    assert (now.weights, now.end) == (then.weights, then.end)
    assert now.losses.items() <= then.losses.items()
    assert max(now.losses) == 12


def test_of_two_resumes_of_a_training_at_once_one_goes_on_and_the_other_is_told(
    trainings: Trainings, reach: Reach, whole: dict[str, Outcome]
) -> None:
    run = trainings.make()
    trainings.begin(run, ORDER, Fault("ftui.worker.session:Session.on_step_end", "kill", nth=8))
    dead(run, reach)
    trainings.faults = (ORDER,)
    with ThreadPoolExecutor(2) as pool:
        errors = [each.exception() for each in [pool.submit(control.resume, run) for _ in range(2)]]
    assert sorted(map(type, errors), key=str) == [type(None), Refused]
    reach(run, lambda now: now.over, 60)
    assert outcome(run) == unbroken(trainings, whole)
    assert max(event.attempt for event in history(run)) == 2


def test_a_power_cut_at_every_point_leaves_what_was_reported_and_goes_on_to_the_same_result(
    trainings: Trainings, reach: Reach, whole: dict[str, Outcome]
) -> None:
    run = trainings.make()
    for point, target in LATER.items():
        left = run.path.with_name(f".{run.id}.left")
        trainings.begin(run, Fault(target, "power"))
        dead(run, reach)
        reported = {event.step for event in history(run) if event.kind == "checkpoint"}
        shutil.rmtree(run.path)
        left.rename(run.path)
        assert status(run).state == "crashed", point
        assert {event.step for event in history(run) if event.kind == "checkpoint"} == reported, point
        nothing_is_lost(run)
    assert replace(trainings.finish(run), order={}) == replace(unbroken(trainings, whole), order={})
