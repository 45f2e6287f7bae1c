"""Whose turn it is, and what stands in its way: by tickets and recorded machines, without workers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ftui import hardware
from ftui.errors import Refused
from ftui.hardware.document import Hardware
from ftui.runs import queue
from ftui.runs.folder import Run, create
from ftui.runs.queue import Place, Ticket
from ftui.runs.writer import RunWriter
from ftui.units import GiB

BOXES = Path(__file__).parents[1] / "hardware" / "boxes"


@pytest.fixture
def runs(own_home: Path) -> list[Run]:
    """Three queued runs that are about to start."""
    made = [create("count", name, command="x") for name in ("a", "b", "c")]
    for run in made:
        queue.enter(run)
    return made


def names() -> list[str]:
    return [ticket.run.split("-")[3] for ticket in queue.waiting()]


def box(name: str, *free: int) -> Hardware:
    """A recorded machine whose GPUs have so many GiB free."""
    machine = hardware.load(BOXES / f"{name}.json")
    gpus = tuple(
        gpu.model_copy(update={"free_bytes": room * GiB}) for gpu, room in zip(machine.gpus, free, strict=False)
    )
    return machine.model_copy(update={"gpus": gpus})


def test_turns_are_taken_in_the_order_of_entering_and_can_be_changed(runs: list[Run]) -> None:
    assert names() == ["a", "b", "c"]
    queue.move(runs[2], 1)
    assert names() == ["c", "a", "b"]
    queue.move(runs[2], 99)
    assert names() == ["a", "b", "c"]
    queue.leave(runs[0].id)
    assert names() == ["b", "c"]
    with pytest.raises(Refused, match="is not in the queue"):
        queue.hold(runs[0])


def test_a_run_that_ended_keeps_the_ticket_with_which_it_is_resumed_until_its_worker_is_there(own_home: Path) -> None:
    run = create("count", "d", command="x")
    with RunWriter(run.path) as writer:
        writer.emit("end", status="stopped", text="Stopped.", hint=None, metrics={}, output=None)
    ticket = queue.enter(run)
    assert queue.enter(run) == ticket, "it has one place, however often it is asked for"
    queue.leave("nobody")
    assert queue.find(run.id) == ticket
    os.utime(ticket.path, (0, 0))
    queue.leave("nobody")
    assert queue.find(run.id) is None, "what ended for good is thrown away"


def test_a_gpu_is_taken_where_there_is_room_the_freest_first(runs: list[Run]) -> None:
    ticket = Ticket(1, runs[0].id, 30 * GiB, on_gpu=True)
    found = queue.in_the_way(ticket, box("4xa100", 10, 35, 70, 20))
    assert isinstance(found, Place)
    assert found.shown.startswith("GPU 2, ")
    why = queue.in_the_way(ticket, box("4xa100", 10, 12, 7, 20))
    assert "needs 30.0 GiB" in str(why)
    assert "20.0 GiB free" in str(why)


def test_a_leased_gpu_is_left_to_its_run_until_that_ends(runs: list[Run]) -> None:
    ticket = Ticket(1, runs[0].id, 30 * GiB, on_gpu=True)
    machine = box("4xa100", 70, 60, 5, 5)
    first = queue.in_the_way(ticket, machine)
    assert isinstance(first, Place)
    lease = queue.lease(first)
    assert lease is not None
    assert queue.lease(first) is None
    second = queue.in_the_way(ticket, machine)
    assert isinstance(second, Place)
    assert second != first
    os.close(lease)
    assert queue.in_the_way(ticket, machine) == first


def test_who_is_behind_waits_and_who_is_held_lets_the_others_pass(runs: list[Run]) -> None:
    first, second, _ = queue.waiting()
    machine = box("4xa100", 70, 70, 70, 70)
    assert "1 before it" in str(queue.in_the_way(second, machine))
    queue.hold(runs[0])
    assert isinstance(queue.in_the_way(second, machine), Place)
    held = queue.find(first.run)
    assert held is not None
    assert "--release" in str(queue.in_the_way(held, machine))
    queue.hold(runs[0], held=False)
    assert "1 before it" in str(queue.in_the_way(second, machine))


def test_a_torn_ticket_is_no_turn(runs: list[Run], own_home: Path) -> None:
    (own_home / "queue" / "00000000-x.json").write_text('{"run": ')
    assert names() == ["a", "b", "c"]


def test_a_queued_run_is_planned_for_the_machine_as_it_will_be() -> None:
    machine = queue.emptied(hardware.load(BOXES / "half-full.json"))
    assert all(gpu.free_bytes == gpu.total_bytes and not gpu.processes for gpu in machine.gpus)
