"""Trainings on a disk that is full at one of their writes, or slow, and free again later."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ftui.runs import control
from ftui.runs.follow import history
from ftui.runs.status import RunStatus

from .conftest import Trainings
from .fault import Fault

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("faults-killed")]
Reach = Callable[..., RunStatus]

STEP = "ftui.worker.session:Session.on_step_begin"
WRITES = {
    "the adapter": "peft.peft_model:safe_save_file",
    "the optimizer": "torch:save",
    "the manifest": "ftui.worker.checkpoints:write_atomic",
    "the sync": "ftui.worker.checkpoints:_sync",
}
"""What a checkpoint consists of -> a function that writes it."""


@pytest.fixture
def small_disk(own_home: Path) -> Iterator[Path]:
    """The runs' folder on a disk of 24 MiB."""
    folder = own_home / "runs"
    folder.mkdir(parents=True)
    if not shutil.which("mount") or subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True
    ).returncode:
        pytest.skip("mounting a small disk takes rights that this user lacks")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=False)


def test_a_disk_that_is_full_for_some_checkpoints_costs_only_these(
    small_disk: Path, trainings: Trainings
) -> None:
    whole = trainings.finish(trainings.make())
    run = trainings.make()
    assert trainings.finish(run, Fault(STEP, "fill", nth=3), Fault(STEP, "free", nth=8)) == whole
    kept = [event.step for event in history(run) if event.kind == "checkpoint"]
    assert kept[0] == 8, "those of steps 3, 4 and 6 found no room"
    warnings = [event for event in history(run) if event.kind == "warning"]
    assert [event.step for event in warnings] == [3, 4, 6]
    assert "No space left on device" in warnings[0].data["text"]
    assert [event.seq for event in history(run)] == list(range(1, len(history(run)) + 1)), "no event is missing"


def test_a_result_that_finds_no_room_waits_for_it(small_disk: Path, trainings: Trainings, reach: Reach) -> None:
    run = trainings.make()
    trainings.begin(run, Fault("ftui.worker.output:save", "fill"))
    waiting = reach(run, lambda now: now.state == "paused", 60)
    assert "waits in memory" in waiting.text
    assert waiting.live
    (small_disk / ".filler").unlink()
    assert reach(run, lambda now: now.over, 60).state == "finished"
    assert (run.output / "adapter_model.safetensors").exists()
    assert run.report.exists()


def test_a_worker_killed_while_it_waits_for_room_goes_on_from_its_last_checkpoint(
    small_disk: Path, trainings: Trainings, reach: Reach
) -> None:
    run = trainings.make(train__max_steps=5)
    trainings.begin(run, Fault("ftui.worker.output:save", "fill"))
    reach(run, lambda now: now.state == "paused", 60)
    control.stop(run, now=True, grace=0)
    (small_disk / ".filler").unlink()
    assert trainings.work(run).state == "finished"


@pytest.mark.parametrize("write", WRITES)
def test_a_checkpoint_that_one_of_its_writes_refuses_is_none_and_the_training_goes_on(
    write: str, trainings: Trainings
) -> None:
    run = trainings.make(train__max_steps=4, data__validation=0, train__save_steps=1, train__keep_checkpoints=9)
    assert trainings.work(run, Fault(WRITES[write], "full", nth=2)).state == "finished"
    told = [event for event in history(run) if event.kind in ("checkpoint", "warning")]
    assert [event.kind for event in told].count("warning") == 1
    assert {path.name for path in run.checkpoints.iterdir()} == {
        f"checkpoint-{event.step}" for event in told if event.kind == "checkpoint"
    }


def test_a_slow_disk_slows_the_training_and_changes_nothing(trainings: Trainings) -> None:
    settings = {"train__max_steps": 4}
    whole = trainings.finish(trainings.make(**settings))
    slow = Fault("os:fsync", "slow", lasting=True), Fault("ftui.runs.heartbeat:write", "slow", lasting=True)
    assert trainings.finish(trainings.make(**settings), *slow) == whole
