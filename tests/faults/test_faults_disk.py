"""Faults of disks: full, read-only, torn, cut, full of garbage.  What was reported stays; the status stays true."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ftui.errors import Refused
from ftui.runs import control, heartbeat
from ftui.runs.folder import Run, create
from ftui.runs.follow import Follower, curve, history
from ftui.runs.status import RunStatus, status

Reach = Callable[..., RunStatus]
COUNTING = Path(__file__).with_name("counting_worker.py")
pytestmark = pytest.mark.slow


def kill(run: Run, reach: Reach) -> None:
    beat = heartbeat.read(run.heartbeat)
    assert beat is not None
    os.kill(beat.worker.pid, signal.SIGKILL)
    reach(run, lambda now: now.state == "crashed")


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """FTUI_HOME on a disk of one MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True
    ).returncode == 0
    if not mounted:
        pytest.skip("mounting a small disk takes rights that this user lacks")
    monkeypatch.setenv("FTUI_HOME", str(folder))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=False)


def remount(folder: Path, how: str) -> None:
    """Make the disk read-only or writable; what a killed process has open there takes a moment to close."""
    for _ in range(100):
        if subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], capture_output=True).returncode == 0:
            return
        time.sleep(0.05)
    raise AssertionError(f"{folder} can't be mounted {how}")


def fill(folder: Path) -> Path:
    """Take all the room that is left."""
    with open(folder / "filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    return folder / "filler"


@pytest.mark.parametrize(
    "damage", [b"\x00" * 5000, b'{"seq": 1, "att', b"\xff\xfe garbage\n\n{}\n[]\n", b"x" * 200_000],
    ids=["zeros", "torn", "lines", "long"],
)
def test_garbage_at_the_end_of_the_events_hides_nothing(
    started: Callable[..., Run], reach: Reach, damage: bytes
) -> None:
    run = started(until=6, steps=30)
    kill(run, reach)
    before = history(run)
    with run.events.open("ab") as file:
        file.write(damage)
    assert history(run) == before
    assert status(run).state == "crashed"
    assert status(run).step == before[-1].step
    control.resume(run)
    assert control.wait(run).state == "finished"
    assert list(curve(history(run), "loss").steps) == list(range(1, 31))


def test_events_that_were_cut_off_are_said_by_the_reader_and_resume_goes_on(
    started: Callable[..., Run], reach: Reach
) -> None:
    run = started(until=6, steps=30)
    kill(run, reach)
    follower = Follower(run)
    follower.poll()
    os.truncate(run.events, run.events.stat().st_size // 2)
    follower.poll()
    assert follower.restarts == 1
    control.resume(run)
    assert control.wait(run).state == "finished"
    assert status(run).step == 30


def test_lost_events_lose_no_checkpoint(started: Callable[..., Run], reach: Reach) -> None:
    run = started(until=6, steps=30)
    kill(run, reach)
    run.events.unlink()
    assert status(run).state == "crashed"
    control.resume(run)
    assert control.wait(run).state == "finished"
    assert next(iter(curve(history(run), "loss").steps)) > 5, "it went on from the checkpoint"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes into read-only folders")
def test_a_folder_that_became_read_only_refuses_a_resume_in_one_sentence(
    started: Callable[..., Run], reach: Reach
) -> None:
    run = started()
    kill(run, reach)
    run.path.chmod(0o500)
    try:
        with pytest.raises(Refused, match="Permission denied"):
            control.resume(run)
        assert status(run).state == "crashed"
    finally:
        run.path.chmod(0o700)


def test_a_read_only_disk_refuses_a_resume_and_is_still_read(
    small_disk: Path, started: Callable[..., Run], reach: Reach
) -> None:
    run = started()
    kill(run, reach)
    remount(small_disk, "ro")
    with pytest.raises(Refused, match="Read-only"):
        control.resume(run)
    with pytest.raises(Refused, match="Read-only"):
        control.delete(run)
    with pytest.raises(Refused, match="Read-only"):
        create("count", "another", command="x")
    assert status(run).state == "crashed"
    assert history(run)
    remount(small_disk, "rw")
    control.resume(run)
    reach(run, lambda now: now.state == "running")
    control.stop(run, now=True, grace=5)


def test_a_disk_that_fills_up_ends_the_run_with_a_sentence_and_resume_goes_on_once_it_is_freed(
    small_disk: Path, started: Callable[..., Run], reach: Reach
) -> None:
    run = started(until=6, steps=60, save=10)
    filler = fill(small_disk)
    last = control.wait(run)
    # The checkpoint can't be written: the job fails, and the reserve takes the sentence that says so.
    assert last.state == "failed"
    assert "disk is full" in last.text
    assert "Free some space" in (last.hint or "")
    filler.unlink()
    control.resume(run)
    assert control.wait(run).state == "finished"
    assert list(curve(history(run), "loss").steps)[-1] == 60


def test_a_disk_that_is_full_for_a_while_costs_no_event(
    small_disk: Path, started: Callable[..., Run], reach: Reach
) -> None:
    run = started(until=3, steps=300, save=1000, seconds=0.01)
    filler = fill(small_disk)
    beat = heartbeat.read(run.heartbeat)
    reach(run, lambda now: heartbeat.read(run.heartbeat) != beat, 10)
    filler.unlink()
    assert control.wait(run).state == "finished"
    events = history(run)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert list(curve(events, "loss").steps) == list(range(1, 301))


def test_a_full_disk_takes_no_command_and_keeps_nobody_from_killing_the_worker(
    small_disk: Path, started: Callable[..., Run]
) -> None:
    run = started(save=10_000)
    filler = fill(small_disk)
    with pytest.raises(Refused, match="can't be told: No space left"):
        control.stop(run)
    assert status(run).live
    assert control.stop(run, now=True, grace=0).over
    filler.unlink()
    control.resume(run)
    control.stop(run, now=True, grace=0)


def test_a_full_disk_at_the_start_is_refused_in_one_sentence(small_disk: Path) -> None:
    run = create("count", "count", args={}, command="x")
    fill(small_disk)
    with pytest.raises(Refused, match="No space left"):
        control.start(run)
    with pytest.raises(Refused, match="No space left"):
        create("count", "another", command="x")


def test_a_worker_script_without_a_run_is_refused() -> None:
    done = subprocess.run([sys.executable, str(COUNTING), "/nonexistent"], capture_output=True, text=True)
    assert (done.returncode, "no run folder" in done.stderr) == (2, True)
