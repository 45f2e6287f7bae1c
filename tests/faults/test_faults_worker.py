"""Faults of processes: whoever is killed, the run goes on or says so, and one command takes it up again."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ftui.errors import Refused
from ftui.runs import control, heartbeat
from ftui.runs.folder import Run, create, list_runs
from ftui.runs.follow import Follower, curve, history
from ftui.runs.process import identify
from ftui.runs.status import RunStatus, status

Reach = Callable[..., RunStatus]
COUNTING = Path(__file__).with_name("counting_worker.py")

LAUNCHER = f"""
import signal, sys, time
# Under nohup, or a service, a hangup is ignored from birth; in a terminal it isn't.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from ftui.runs import control
from ftui.runs.folder import create
control.WORKER = (sys.executable, {str(COUNTING)!r})
run = create("count", "count", args={{"steps": 10_000, "seconds": 0.02}}, command="x")
control.start(run)
print(run.id, flush=True)
time.sleep(60)
"""


def worker_pid(run: Run) -> int:
    beat = heartbeat.read(run.heartbeat)
    assert beat is not None
    return beat.worker.pid


def still_counts(run: Run, reach: Reach) -> None:
    """The run is running and gets on."""
    before = status(run)
    assert before.state == "running"
    reach(run, lambda now: (now.step or 0) > (before.step or 0) + 5)


def steps(run: Run) -> list[int]:
    return list(curve(history(run), "loss").steps)


def test_a_launcher_killed_at_once_leaves_its_run_untouched(reach: Reach) -> None:
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER], stdout=subprocess.PIPE, start_new_session=True)
    assert launcher.stdout is not None
    launcher.stdout.readline()
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    (run,) = list_runs()
    reach(run, lambda now: now.state == "running")
    still_counts(run, reach)


@pytest.mark.slow
def test_a_hangup_to_everything_leaves_the_run_untouched(reach: Reach) -> None:
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER], stdout=subprocess.PIPE, start_new_session=True)
    assert launcher.stdout is not None
    launcher.stdout.readline()
    (run,) = list_runs()
    reach(run, lambda now: now.state == "running")
    os.killpg(launcher.pid, signal.SIGHUP)
    os.kill(worker_pid(run), signal.SIGHUP)
    launcher.wait()
    still_counts(run, reach)


@pytest.mark.slow
def test_a_terminal_that_closes_leaves_the_run_untouched(reach: Reach) -> None:
    ours, theirs = pty.openpty()
    launcher = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-c", LAUNCHER], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    os.read(ours, 100)
    os.close(ours)
    launcher.wait(timeout=10)
    (run,) = list_runs()
    reach(run, lambda now: now.state == "running")
    still_counts(run, reach)
    assert os.getsid(worker_pid(run)) == worker_pid(run)


def test_a_killed_worker_shows_as_crashed_at_once_and_resume_goes_on(started: Callable[..., Run], reach: Reach) -> None:
    run = started(until=8, steps=40)
    os.kill(worker_pid(run), signal.SIGKILL)
    began = time.monotonic()
    now = reach(run, lambda now: now.state == "crashed", 10)
    assert time.monotonic() - began < 2
    assert "ftui runs resume" in (now.hint or "")
    saved = int((run.checkpoints / "last").read_text())
    control.resume(run)
    assert status(run).live
    assert control.wait(run).state == "finished"
    assert steps(run) == list(range(1, 41)), "an unbroken curve"
    second = [event.step for event in history(run) if event.attempt == 2 and event.kind == "metric"]
    assert second[0] == saved + 1


@pytest.mark.slow
def test_a_worker_killed_while_it_starts_is_crashed_and_not_queued_for_ever(reach: Reach) -> None:
    run = create("count", "count", args={}, command="x")
    control.start(run)
    os.kill(worker_pid(run), signal.SIGKILL)
    now = reach(run, lambda now: now.state == "crashed", 5)
    assert now.hint
    control.resume(run)
    assert control.wait(run).state == "finished"


@pytest.mark.slow
def test_a_worker_that_cannot_even_start_is_crashed_and_its_log_says_why(
    reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "WORKER", (sys.executable, "-c", "import a_library_that_is_missing"))
    run = create("count", "count", args={}, command="x")
    control.start(run)
    now = reach(run, lambda now: now.state == "crashed", 5)
    assert "ftui runs log" in (now.hint or "")
    assert "a_library_that_is_missing" in run.log.read_text()


def test_of_two_resumes_at_once_one_works_and_the_other_is_told(started: Callable[..., Run], reach: Reach) -> None:
    run = started()
    os.kill(worker_pid(run), signal.SIGKILL)
    reach(run, lambda now: now.state == "crashed")
    told: list[Refused] = []

    def resume() -> None:
        code = (
            "import sys; from ftui.runs import control; from ftui.runs.folder import find\n"
            f"control.WORKER = (sys.executable, {str(COUNTING)!r})\n"
            "control.resume(find('last'))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        if done.returncode:
            told.append(Refused(done.stderr.splitlines()[-1]))

    threads = [threading.Thread(target=resume) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 2
    assert all("Refused" in refused.what for refused in told)
    reach(run, lambda now: now.state == "running")
    still_counts(run, reach)
    assert max(event.attempt for event in history(run)) == 2


@pytest.mark.slow
def test_a_worker_started_by_hand_beside_a_living_one_changes_nothing(
    started: Callable[..., Run], reach: Reach
) -> None:
    run = started()
    other = subprocess.run([sys.executable, str(COUNTING), str(run.path)], capture_output=True, text=True)
    assert other.returncode == 2
    assert "already has a worker" in other.stderr
    still_counts(run, reach)
    assert {event.attempt for event in history(run)} == {1}


@pytest.mark.slow
def test_a_reused_pid_is_neither_believed_nor_killed(started: Callable[..., Run], reach: Reach) -> None:
    run = started()
    pid = worker_pid(run)
    os.kill(pid, signal.SIGKILL)
    reach(run, lambda now: now.state == "crashed")
    beat = heartbeat.read(run.heartbeat)
    assert beat is not None
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    heartbeat.write(run.heartbeat, heartbeat.Heartbeat(
        type(beat.worker)(**beat.worker.as_dict() | {"pid": bystander.pid}), beat.attempt, beat.time
    ))
    assert status(run).state == "crashed"
    with pytest.raises(Refused):
        control.stop(run, now=True)
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_stop_saves_first(started: Callable[..., Run]) -> None:
    run = started(until=7)
    control.stop(run)
    last = control.wait(run)
    assert last.state == "stopped"
    assert int((run.checkpoints / "last").read_text()) == steps(run)[-1]


def test_stop_now_ends_a_hung_step_and_says_so(started: Callable[..., Run], reach: Reach) -> None:
    run = started()
    os.kill(worker_pid(run), signal.SIGSTOP)
    now = control.stop(run, now=True, grace=0.5)
    assert now.state == "stopped"
    assert "without saving" in now.text
    assert [event.kind for event in history(run)].count("end") == 1
    control.resume(run)
    reach(run, lambda now: now.state == "running" and now.attempt == 2)


def test_stop_now_while_a_resume_is_still_starting_is_a_stop(started: Callable[..., Run], reach: Reach) -> None:
    run = started()
    control.stop(run)
    control.wait(run)
    control.resume(run)
    os.kill(worker_pid(run), signal.SIGSTOP)
    now = control.stop(run, now=True, grace=0)
    assert (now.state, now.attempt) == ("stopped", 2)
    control.resume(run)
    reach(run, lambda now: now.state == "running" and now.attempt == 3)


@pytest.mark.slow
def test_stop_now_takes_the_workers_children_with_it(
    started: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import runpy, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(tmp_path / 'child')!r}, 'w').write(str(child.pid))\n"
        f"runpy.run_path({str(COUNTING)!r}, run_name='__main__')\n"
    )
    monkeypatch.setattr(control, "WORKER", (sys.executable, str(script)))
    run = started()
    os.kill(worker_pid(run), signal.SIGSTOP)
    control.stop(run, now=True, grace=0.2)
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        if identify(child) is None:
            return
        time.sleep(0.02)
    raise AssertionError("the worker's child lives on")


@pytest.mark.slow
def test_two_readers_see_the_same_whole_past(started: Callable[..., Run]) -> None:
    run = started(until=5, steps=60, seconds=0.005)
    first, second = Follower(run), Follower(run)
    seen = first.poll()
    assert control.wait(run).state == "finished"
    seen += first.poll()
    assert seen == second.poll() == history(run)
    assert [event.seq for event in seen] == list(range(1, len(seen) + 1))


@pytest.mark.slow
def test_a_live_run_is_not_deleted_and_a_dead_one_is_at_once(started: Callable[..., Run], reach: Reach) -> None:
    run = started()
    with pytest.raises(Refused, match="Stop it first"):
        control.delete(run)
    os.kill(worker_pid(run), signal.SIGKILL)
    reach(run, lambda now: now.state == "crashed")
    control.delete(run)
    assert not run.path.exists()
    assert list_runs() == []
    assert list(run.path.parent.iterdir()) == []


@pytest.mark.slow
def test_a_command_sent_to_the_dead_does_not_reach_the_next_attempt(started: Callable[..., Run], reach: Reach) -> None:
    run = started(until=6, steps=100)
    os.kill(worker_pid(run), signal.SIGSTOP)
    control.stop(run)
    os.kill(worker_pid(run), signal.SIGKILL)
    reach(run, lambda now: now.state == "crashed")
    control.resume(run)
    assert control.wait(run).state == "finished"


@pytest.mark.slow
def test_a_worker_does_not_keep_the_launchers_terminal_or_pipes_open(reach: Reach) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER.replace("time.sleep(60)", "")], stdout=subprocess.PIPE, timeout=20
    )
    # run() returned: the pipe's end came although the worker lives on.
    assert done.returncode == 0
    (run,) = list_runs()
    reach(run, lambda now: now.state == "running")
    files = {os.readlink(f"/proc/{worker_pid(run)}/fd/{number}") for number in (0, 1, 2)}
    assert files == {"/dev/null", str(run.log)}
