"""Another process takes the GPU's memory: who it is, waiting for it, and what is changed where it stays."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from ftui import hardware
from ftui.hardware.document import Gpu, GpuProcess
from ftui.hardware.holders import said
from ftui.hardware.nvml import Nvml
from ftui.planner.document import MemoryEstimate, MemoryParts
from ftui.runs.folder import Run
from ftui.units import GiB
from ftui.worker import neighbours
from ftui.worker.jobs import train as job
from ftui.worker.neighbours import Card

TOTAL = 24 * GiB
NEEDS = 10 * GiB


@pytest.fixture
def neighbour() -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours that stands for another's training."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """NVML shows one card of 24 GiB with these processes (pid, bytes) on it, and so much of it in use."""

    def show(*processes: tuple[int, int | None], used: int) -> None:
        def refuse(*_: object) -> None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

        functions: dict[str, Callable[..., Any]] = {
            name: refuse for name in dir(pynvml) if name.startswith(("nvmlDeviceGet", "nvmlSystemGet"))
        }
        functions |= {
            "nvmlInit": lambda: None, "nvmlShutdown": lambda: None, "nvmlDeviceGetCount": lambda: 1,
            "nvmlSystemGetDriverVersion": lambda: "550.90.07",
            "nvmlDeviceGetHandleByIndex": lambda index: index, "nvmlDeviceGetName": lambda handle: "RTX 4090",
            "nvmlDeviceGetUUID": lambda handle: "GPU-1",
            "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(total=TOTAL, used=used, free=TOTAL - used),
            "nvmlDeviceGetComputeRunningProcesses": lambda handle: [
                SimpleNamespace(pid=pid, usedGpuMemory=held) for pid, held in processes
            ],
        }
        for name, function in functions.items():
            monkeypatch.setattr(pynvml, name, function)

    return show


def look() -> Card:
    found = neighbours.look("cuda", Nvml())
    assert found is not None
    return found


# --- who ------------------------------------------------------------------------------------------------------------


def test_nvml_tells_who_holds_how_much_since_when(
    nvml: Callable[..., None], neighbour: subprocess.Popen[bytes]
) -> None:
    nvml((os.getpid(), 5 * GiB), (neighbour.pid, 12 * GiB), used=17 * GiB)
    card = look()
    assert (card.own, card.room, card.taken) == (5 * GiB, 12 * GiB, 12 * GiB)
    found = card.in_the_way(14 * GiB)
    assert found is not None
    assert found.startswith(f"process {neighbour.pid} (python")
    assert ", user " in found
    assert "holds 12.0 GiB of the card since " in found


def test_a_plan_that_was_wrong_by_itself_is_nobody_else_s_fault(
    nvml: Callable[..., None], neighbour: subprocess.Popen[bytes]
) -> None:
    nvml((os.getpid(), 20 * GiB), (neighbour.pid, 100 << 20), used=20 * GiB + (100 << 20))
    assert look().in_the_way(NEEDS) is None, "there was room for all that was planned"
    assert look().in_the_way(TOTAL - 1) is None, "a screen's 100 MiB make no difference"
    nvml((neighbour.pid, 12 * GiB), used=12 * GiB)
    assert look().in_the_way(TOTAL + 1) is None, "not even the empty card would do"
    assert look().in_the_way(NEEDS) is None


def test_where_a_container_hides_the_processes_what_they_hold_is_still_known(
    nvml: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    nvml(used=20 * GiB)
    assert look().in_the_way(NEEDS) == "other processes, which can't be seen from here, hold 20.0 GiB of the card"
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 8 * GiB)
    assert look().own == 8 * GiB + neighbours.CONTEXT_BYTES


def test_where_nvml_is_missing_cuda_itself_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def full() -> tuple[int, int]:
        raise torch.OutOfMemoryError("CUDA error: out of memory")

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "RTX 4090")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (4 * GiB, TOTAL))
    without = hardware.probe().model_copy(update={"gpus": ()})
    monkeypatch.setattr(hardware, "probe", lambda driver=None: without)
    card = neighbours.look("cuda")
    assert card is not None
    assert (card.room, card.taken) == (4 * GiB, 20 * GiB)
    monkeypatch.setattr(torch.cuda, "mem_get_info", full)
    assert neighbours.look("cuda") is None
    assert neighbours.look("cpu") is None


def test_the_two_that_hold_most_are_named_and_the_rest_counted() -> None:
    processes = tuple(GpuProcess(pid=pid, name="vllm", user="ann", used_bytes=pid * GiB) for pid in (1, 2, 3, 4))
    words = said(gpu(10 * GiB, processes), 10 * GiB)
    assert words == (
        "process 4 (vllm, user ann) holds 4.0 GiB of the card and process 3 (vllm, user ann) holds 3.0 GiB of the card "
        "and 2 more"
    )
    named = GpuProcess(pid=7, name="\x1b[31mred", user=None, used_bytes=None)
    assert "\x1b" not in said(gpu(10 * GiB, (named,)), 10 * GiB)


# --- waiting --------------------------------------------------------------------------------------------------------


def gpu(used: int, processes: tuple[GpuProcess, ...] = ()) -> Gpu:
    return Gpu(index=0, name="RTX 4090", total_bytes=TOTAL, used_bytes=used, free_bytes=TOTAL - used,
               processes=processes)


TAKEN = gpu(17 * GiB, (GpuProcess(pid=4711, name=None, user="ann", used_bytes=17 * GiB),))
HELD = "process 4711 (user ann) holds 17.0 GiB of the card"


class Shared:
    """A card on which somebody else comes and goes; a training runs out of memory while they are there."""

    def __init__(self) -> None:
        self.taken = False
        self.looks = 0
        self.leaves_after: int | None = None
        """Looks from now on after which the neighbour is gone."""
        self.stop: Callable[[], None] | None = None

    def look(self, device: str) -> Card:
        self.looks += 1
        if self.taken and self.leaves_after is not None and self.looks > self.leaves_after:
            self.taken = False
        return Card(TAKEN if self.taken else gpu(0), 0)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Shared:
    import torch

    from ftui.worker.objectives.sft import SftTrainer

    card = Shared()
    expected = MemoryEstimate(
        parts=MemoryParts(), allocated_bytes=NEEDS, reserved_bytes=NEEDS, process_bytes=NEEDS, low_bytes=NEEDS,
        high_bytes=NEEDS, phase="",
    )
    plain = SftTrainer.compute_loss

    def compute_loss(self: Any, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if model.training and card.taken and len(inputs["input_ids"]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return plain(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(SftTrainer, "compute_loss", compute_loss)
    monkeypatch.setattr(neighbours, "look", card.look)
    monkeypatch.setattr(neighbours, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(job, "peak", lambda run, recipe: expected)
    return card


def taken_at(shared: Shared, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The neighbour comes once, while `step` is done."""
    from ftui.worker.session import Session

    plain, came = Session.on_step_begin, []

    def on_step_begin(self: Any, args: Any, state: Any, *rest: Any, **named: Any) -> None:
        plain(self, args, state, *rest, **named)
        if state.global_step == step - 1 and not came:
            came.append(step)
            shared.taken = True

    monkeypatch.setattr(Session, "on_step_begin", on_step_begin)


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.xdist_group("worker")
def test_memory_that_others_took_and_give_back_is_waited_for_and_nothing_is_changed(
    train: Callable[..., Any], shared: Shared, random_demo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = train()
    taken_at(shared, 5, monkeypatch)
    shared.leaves_after = shared.looks + 5
    ran = train()
    assert ran.end["status"] == "finished", ran.end
    [recovery] = ran.of("recovery")
    assert recovery.data["change"] == {}
    assert recovery.data["needs_bytes"] == NEEDS
    assert recovery.data["text"].startswith(f"Out of memory because {HELD}; nothing is changed")
    paused = [event.data["text"] for event in ran.of("status") if event.data["state"] == "paused"]
    assert len(paused) == 1
    assert paused[0].startswith(f"Waiting for the GPU: {HELD}, and 7.0 GiB of the 10.0 GiB that it takes are left.")
    assert ran.losses == plain.losses, "to the bit: the batch is what it was"


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.xdist_group("worker")
def test_memory_that_others_keep_costs_the_batch_after_the_time_that_the_recipe_gives(
    train: Callable[..., Any], shared: Shared, random_demo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_at(shared, 2, monkeypatch)
    ran = train(recovery__wait_minutes=0.001)
    assert ran.end["status"] == "finished", ran.end
    assert [event.data["change"] for event in ran.of("recovery")] == [{}, {"train.micro_batch": 2}]
    assert f"and {HELD}" in ran.of("recovery")[1].data["text"]
    warnings = [event.data["text"] for event in ran.of("warning")]
    assert any(text.startswith(f"P{HELD[1:]}, still after 0.001 minutes: 7.0 GiB") for text in warnings)


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.xdist_group("worker")
def test_a_recipe_that_never_waits_has_the_batch_halved_at_once_and_is_told_who_it_was(
    train: Callable[..., Any], shared: Shared, random_demo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_at(shared, 2, monkeypatch)
    ran = train(recovery__wait_minutes=0)
    assert [event.data["change"] for event in ran.of("recovery")] == [{"train.micro_batch": 2}]
    said = ran.of("recovery")[0].data
    assert HELD in said["text"]
    assert "(planned 10.0 GiB)" in said["text"]
    assert said["expected_bytes"] == NEEDS
    assert said["measured_bytes"] > 0
    assert not [event for event in ran.of("status") if event.data["state"] == "paused"]


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.xdist_group("worker")
def test_a_card_that_is_full_at_the_start_is_waited_for_before_the_model_is_loaded(
    train: Callable[..., Any], shared: Shared, random_demo: Any
) -> None:
    shared.taken, shared.leaves_after = True, 4
    ran = train(train__max_steps=2)
    assert ran.end["status"] == "finished"
    assert not ran.of("recovery")
    said = [event.data["text"] for event in ran.of("status")]
    waiting = next(at for at, text in enumerate(said) if text.startswith("Waiting for the GPU"))
    assert said[waiting + 1] == "The GPU has room again."
    assert said[waiting + 2].startswith("Loading the base model")


@pytest.mark.torch
def test_a_stop_ends_the_waiting(
    make: Callable[..., Run], work: Callable[..., Any], shared: Shared, random_demo: Any
) -> None:
    shared.taken = True

    def stopped(context: Any) -> None:
        plain = shared.look

        def look(device: str) -> Card:
            if shared.looks == 2:
                context.ask_stop("it was asked to")
            return plain(device)

        neighbours.look = look  # type: ignore[assignment]  # the fixture puts it back
        job.run(context)

    ran = work(make(), stopped)
    assert ran.end["status"] == "stopped"
    assert ran.end["text"] == "Stopped before the first step; nothing more was trained."


@pytest.mark.torch
def test_a_neighbour_that_comes_and_goes_is_not_waited_for_for_ever(make: Callable[..., Run]) -> None:
    from ftui.runs.writer import RunWriter
    from ftui.worker.context import JobContext

    run = make()
    with RunWriter(run.path) as writer:
        context = JobContext(run, writer)
        for waited in range(neighbours.MOST_WAITS):
            assert neighbours.may_wait(context, context.recipe()), waited
            context.emit("recovery", text="Out of memory.", change={}, needs_bytes=NEEDS)
        assert not neighbours.may_wait(context, context.recipe())


@pytest.mark.torch
def test_a_result_that_finds_no_memory_waits_for_it_and_says_so(
    make: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from ftui.runs.follow import history
    from ftui.runs.writer import RunWriter
    from ftui.worker import room
    from ftui.worker.context import JobContext

    monkeypatch.setattr(room, "AGAIN_SECONDS", 0.0)
    tries = []

    def write() -> None:
        tries.append(1)
        if len(tries) < 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    run = make()
    with RunWriter(run.path) as writer:
        room.when_there_is_room(JobContext(run, writer), run.path, write)
    said = [(event.data["state"], event.data["text"]) for event in history(run)]
    assert [state for state, _ in said] == ["paused", "running"], "each wait is two tries, with the cache given back"
    assert "Memory ran out while the result was saved" in said[0][1]
    monkeypatch.setattr(room, "WAIT_SECONDS", 0.0)
    tries.clear()
    with RunWriter(run.path, same_attempt=True) as writer, pytest.raises(torch.OutOfMemoryError):
        room.when_there_is_room(JobContext(run, writer), run.path, write)
