"""The queue with real workers: in order, one at a time on one device, whoever is killed meanwhile."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ftui.cli.main import main
from ftui.runs import control, heartbeat, queue
from ftui.runs.folder import Run, create
from ftui.runs.follow import history
from ftui.runs.status import RunStatus, status

Reach = Callable[..., RunStatus]
pytestmark = pytest.mark.slow


def queued(steps: int = 20) -> Run:
    run = create("count", "count", args={"steps": steps, "seconds": 0.02}, command="x")
    queue.enter(run)
    control.start(run)
    return run


def began(run: Run) -> float:
    return next(event.time for event in history(run) if event.kind == "metric")


def ended(run: Run) -> float:
    return history(run)[-1].time


def test_runs_take_turns_and_each_has_the_device_for_itself(own_home: Path, reach: Reach) -> None:
    runs = [queued() for _ in range(3)]
    for run in runs:
        assert reach(run, lambda now: now.over, 120).state == "finished"
    for before, after in itertools.pairwise(runs):
        assert ended(before) <= began(after)
    assert queue.waiting() == []


def test_a_run_that_is_killed_gives_its_device_back(own_home: Path, reach: Reach) -> None:
    first, second = queued(steps=100_000), queued()
    reach(first, lambda now: (now.step or 0) > 3, 60)
    waits = reach(second, lambda now: now.state == "queued" and "CPU" in now.text, 60)
    assert waits.text == "Waiting for the CPU: it is training a run of this queue."
    beat = heartbeat.read(first.heartbeat)
    assert beat is not None
    os.kill(beat.worker.pid, signal.SIGKILL)
    assert reach(second, lambda now: now.over, 60).state == "finished"


def test_one_is_held_one_moved_one_taken_out(
    own_home: Path, reach: Reach, capsys: pytest.CaptureFixture[str]
) -> None:
    running, held, last = queued(steps=100_000), queued(), queued()
    reach(running, lambda now: (now.step or 0) > 3, 60)
    assert tell("move", last.id, "1")[0]["run"] == last.id
    assert [ticket["held"] for ticket in tell("hold", held.id)] == [False, True]
    reach(held, lambda now: now.text.startswith("Held"), 60)
    control.stop(running)
    assert reach(last, lambda now: now.over, 60).state == "finished"
    assert status(held).state == "queued"
    control.stop(held)
    now = reach(held, lambda now: now.over, 30)
    assert (now.state, now.text) == ("stopped", "Taken out of the queue before its turn; nothing was trained.")
    capsys.readouterr()
    assert tell("queue") == []


def test_a_waiting_worker_that_was_killed_lets_the_others_pass_and_is_resumed_into_the_queue(
    own_home: Path, reach: Reach
) -> None:
    running, killed, last = queued(steps=100_000), queued(), queued()
    reach(running, lambda now: (now.step or 0) > 3, 60)
    reach(killed, lambda now: now.text.startswith("Waiting for the CPU"), 60)
    beat = heartbeat.read(killed.heartbeat)
    assert beat is not None
    os.kill(beat.worker.pid, signal.SIGKILL)
    reach(killed, lambda now: now.state == "crashed", 60)
    control.stop(running)
    assert reach(last, lambda now: now.over, 60).state == "finished"
    control.resume(killed)
    assert reach(killed, lambda now: now.over, 60).state == "finished"


def test_a_run_that_ended_is_resumed_into_the_queue_and_waits_for_its_turn(own_home: Path, reach: Reach) -> None:
    stopped = queued(steps=100_000)
    reach(stopped, lambda now: (now.step or 0) > 3, 60)
    control.stop(stopped)
    reach(stopped, lambda now: now.state == "stopped", 60)
    running = queued(steps=100_000)
    reach(running, lambda now: (now.step or 0) > 3, 60)
    with pytest.raises(SystemExit) as left:
        main(["runs", "resume", stopped.id, "--queue"])
    assert left.value.code == 0
    waits = reach(stopped, lambda now: now.state == "queued" and "CPU" in now.text, 60)
    assert waits.attempt == 2
    assert [ticket.run for ticket in queue.waiting()] == [stopped.id]
    done = status(stopped).step
    control.stop(running)
    goes_on = reach(stopped, lambda now: now.state == "running" and (now.step or 0) > (done or 0) + 3, 60)
    assert goes_on.attempt == 2
    control.stop(stopped)
    assert reach(stopped, lambda now: now.over, 60).state == "stopped"


def tell(*words: str) -> list[dict[str, object]]:
    """What a command of the queue prints as JSON."""
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit) as left:
        main(["runs", *words, "--json"])
    assert left.value.code == 0
    found: list[dict[str, object]] = json.loads(out.getvalue())
    return found
