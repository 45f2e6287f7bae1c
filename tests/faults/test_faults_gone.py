"""Workers that are gone: who has ended them is said where the machine tells, and left open where it doesn't."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ftui.hardware import oom
from ftui.runs import control, heartbeat
from ftui.runs.folder import Run
from ftui.runs.follow import curve, history
from ftui.runs.status import RunStatus, status

Reach = Callable[..., RunStatus]


def kill(run: Run, reach: Reach) -> RunStatus:
    beat = heartbeat.read(run.heartbeat)
    assert beat is not None
    os.kill(beat.worker.pid, signal.SIGKILL)
    return reach(run, lambda now: now.state == "crashed")


def rewrite(run: Run, **changes: Any) -> None:
    """Change the last heartbeat."""
    beat = heartbeat.read(run.heartbeat)
    assert beat is not None
    heartbeat.write(run.heartbeat, replace(beat, **changes))


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A memory group of 128 MiB of this machine's kernel; removed, with whatever lives in it, after the test."""
    group = Path(f"/sys/fs/cgroup/memory/ftui-test-{os.getpid()}")
    limits = {"memory.limit_in_bytes": 128 << 20, "memory.memsw.limit_in_bytes": 128 << 20}
    if not group.parent.is_dir():
        group = Path(f"/sys/fs/cgroup/ftui-test-{os.getpid()}")
        limits = {"memory.max": 128 << 20, "memory.swap.max": 0}
    try:
        group.mkdir()
        for name, value in limits.items():
            (group / name).write_text(str(value))
    except OSError as error:
        group.is_dir() and group.rmdir()
        pytest.skip(f"making a memory group takes rights that this user lacks ({error})")
    yield group
    for _ in range(100):
        try:
            group.rmdir()
            return
        except OSError:
            time.sleep(0.05)


@pytest.mark.slow
def test_a_worker_that_the_kernel_ended_for_want_of_memory_is_known_as_such(
    memory_group: Path, started: Callable[..., Run], reach: Reach
) -> None:
    run = started(until=2, steps=400, seconds=0.05, eat=120)
    beat = heartbeat.read(run.heartbeat)
    assert beat is not None
    (memory_group / "cgroup.procs").write_text(str(beat.worker.pid))
    reach(run, lambda now: any(memory_group.name in path for path in heartbeat.read(run.heartbeat).oom_kills))
    now = reach(run, lambda now: now.over, 30)
    assert now.state == "crashed"
    assert "the kernel ended it for want of RAM (its memory group counts a kill" in now.text
    assert "Close what else fills the RAM" in (now.hint or "")
    assert f"ftui runs resume {run.id}" in (now.hint or "")
    control.resume(run)
    reach(run, lambda now: now.state == "running" and now.attempt == 2)


def test_a_kill_that_the_machine_counts_since_the_last_heartbeat_is_called_likely(
    started: Callable[..., Run], reach: Reach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = tmp_path / "vmstat"
    counter.write_text("nr_free_pages 7\noom_kill 4\n")
    monkeypatch.setattr(oom, "MACHINE", counter)
    run = started()
    kill(run, reach)
    rewrite(run, oom_kills={str(counter): 4}, free_bytes=200 << 20)
    assert "the kernel's OOM killer has not struck since" in status(run).text
    counter.write_text("nr_free_pages 7\noom_kill 5\n")
    assert "most likely the kernel ended it for want of RAM" in status(run).text
    assert "when 0.2 GiB of RAM were free" in status(run).text


def test_without_counters_little_memory_is_a_perhaps_and_enough_of_it_no_word(
    started: Callable[..., Run], reach: Reach
) -> None:
    run = started()
    kill(run, reach)
    rewrite(run, oom_kills={}, free_bytes=1 << 30, total_bytes=64 << 30)
    assert "perhaps ended by the kernel for want of RAM: 1.0 GiB were free" in status(run).text
    rewrite(run, oom_kills={}, free_bytes=8 << 30, total_bytes=64 << 30)
    assert "killed by hand, by the kernel for want of RAM, or by a library's crash" in status(run).text
    rewrite(run, oom_kills={}, free_bytes=None, total_bytes=None)
    assert "killed by hand" in status(run).text


def test_a_machine_that_was_started_again_is_said(started: Callable[..., Run], reach: Reach) -> None:
    run = started(until=6, steps=30)
    kill(run, reach)
    beat = heartbeat.read(run.heartbeat)
    assert beat is not None
    rewrite(run, worker=replace(beat.worker, boot="another"))
    assert "started again, or lost its power" in status(run).text
    control.resume(run)
    assert control.wait(run).state == "finished"
    assert list(curve(history(run), "loss").steps) == list(range(1, 31))


def test_a_heartbeat_of_an_ftui_that_counted_nothing_is_read(started: Callable[..., Run], reach: Reach) -> None:
    run = started()
    kill(run, reach)
    beat = json.loads(run.heartbeat.read_text())
    for name in ("free_bytes", "total_bytes", "oom_kills"):
        del beat[name]
    run.heartbeat.write_text(json.dumps(beat))
    assert status(run).state == "crashed"
    assert "killed by hand" in status(run).text


def test_the_counters_of_this_machine_are_read() -> None:
    assert all(number >= 0 for number in oom.counters().values())
    assert oom.kills(Path("/nonexistent")) is None
