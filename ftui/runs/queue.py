"""The queue: runs whose workers wait, without torch, for a device to be free, in the order of their tickets.

There is no daemon.  A queued run's worker is started at once and waits as a process of its own, so that it outlives
the app and the connection; its ticket, a file in `$FTUI_HOME/queue`, says which turn is whose.  Whoever starts holds a
lease on its device, a lock that the kernel gives back however the process ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ftui.errors import Refused
from ftui.files import make_folder, write_atomic
from ftui.hardware.document import Gpu, Hardware
from ftui.paths import home, runs_dir
from ftui.runs.folder import Run
from ftui.runs.status import START_SECONDS, status
from ftui.units import gib

ENDED = ("finished", "stopped", "failed")
CPU = "cpu"
"""The name of the one place that isn't a GPU."""


@dataclass(frozen=True)
class Ticket:
    """Whose turn it is when: the smallest `place` first.  `needs` are bytes on the device, as planned."""

    place: int
    run: str
    needs: int
    on_gpu: bool
    held: bool = False

    @property
    def path(self) -> Path:
        """Its file; the name orders, the content says the rest."""
        return _folder() / f"{self.place:08d}-{self.run}.json"


@dataclass(frozen=True)
class Place:
    """A device to train on: a GPU by its UUID, or the CPU."""

    name: str
    shown: str


def enter(run: Run) -> Ticket:
    """Put `run` at the end of the queue; one that waited before its worker was killed keeps its place."""
    recipe, plan = run.recipe(), run.plan()
    needs = plan.recommendation.memory.process_bytes if plan else 0
    with _order() as tickets:
        if own := next((ticket for ticket in tickets if ticket.run == run.id), None):
            return own
        place = max((ticket.place for ticket in tickets), default=0) + 1
        ticket = Ticket(place, run.id, needs, on_gpu=recipe is None or recipe.compute.gpus != 0)
        _write(ticket)
    return ticket


def leave(run_id: str) -> None:
    """Take a run out of the queue, if it is in it."""
    with _order() as tickets:
        for ticket in tickets:
            if ticket.run == run_id:
                ticket.path.unlink(missing_ok=True)


def waiting() -> list[Ticket]:
    """The tickets of runs whose workers wait, first turn first; what ended or vanished is left out."""
    return [ticket for ticket in _tickets() if status(Run(runs_dir() / ticket.run)).live]


def find(run_id: str) -> Ticket | None:
    """The ticket of a run, None where it is not queued."""
    return next((ticket for ticket in _tickets() if ticket.run == run_id), None)


def hold(run: Run, held: bool = True) -> Ticket:
    """Let a queued run wait until it is released, or release it; the others pass it meanwhile."""
    with _order() as tickets:
        ticket = replace(_own(tickets, run), held=held)
        _write(ticket)
    return ticket


def move(run: Run, to: int) -> list[Ticket]:
    """Give a queued run the turn `to`, counted from 1; the order afterwards."""
    with _order() as tickets:
        own = _own(tickets, run)
        others = [ticket for ticket in tickets if ticket.run != run.id]
        others.insert(min(max(to, 1), len(tickets)) - 1, own)
        for ticket in tickets:
            ticket.path.unlink(missing_ok=True)
        ordered = [replace(ticket, place=place) for place, ticket in enumerate(others, 1)]
        for ticket in ordered:
            _write(ticket)
    return ordered


def in_the_way(ticket: Ticket, hardware: Hardware) -> str | Place:
    """Why a queued run can't start now, as a sentence; or the place where it can."""
    if ticket.held:
        return f"Held until it is released: ftui runs hold {ticket.run} --release"
    before = [other for other in waiting() if other.place < ticket.place and not other.held]
    ahead = [other for other in before if other.on_gpu == ticket.on_gpu]
    if ahead:
        return f"Waiting for its turn: {len(ahead)} before it, {ahead[-1].run} the last of them."
    if ticket.on_gpu and hardware.gpus:
        return _free_gpu(ticket, hardware)
    return _free_cpu(ticket, hardware)


def lease(place: Place) -> int | None:
    """Take `place` until this process ends, through an exec too: a file descriptor, None where it is taken."""
    path = _made() / f"lease-{place.name}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.set_inheritable(descriptor, True)
    return descriptor


def emptied(hardware: Hardware) -> Hardware:
    """The machine as it will be when a queued run's turn has come: what others hold on its GPUs now is free then."""
    return hardware.model_copy(update={"gpus": tuple(
        gpu.model_copy(update={"free_bytes": gpu.total_bytes, "used_bytes": 0, "processes": ()})
        for gpu in hardware.gpus
    )})


def _free_gpu(ticket: Ticket, hardware: Hardware) -> str | Place:
    cards = [gpu for gpu in hardware.gpus if gpu.visible and gpu.uuid and not _leased(_place(gpu))]
    room = [gpu for gpu in cards if gpu.free_bytes >= ticket.needs]
    if room:
        return _place(max(room, key=lambda gpu: gpu.free_bytes))
    if not cards:
        return "Waiting for a GPU: each is training a run of this queue."
    most = max(cards, key=lambda gpu: gpu.free_bytes)
    return f"Waiting for a GPU: it needs {gib(ticket.needs)}, and {most.name} has {gib(most.free_bytes)} free."


def _free_cpu(ticket: Ticket, hardware: Hardware) -> str | Place:
    place = Place(CPU, "the CPU")
    if _leased(place):
        return "Waiting for the CPU: it is training a run of this queue."
    if hardware.ram.available_bytes < ticket.needs:
        available = gib(hardware.ram.available_bytes)
        return f"Waiting for memory: it needs {gib(ticket.needs)}, and {available} are available."
    return place


def _place(gpu: Gpu) -> Place:
    return Place(str(gpu.uuid), f"GPU {gpu.index}, {gpu.name}")


def _leased(place: Place) -> bool:
    """Whether a living process has the place."""
    try:
        descriptor = os.open(_folder() / f"lease-{place.name}", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _own(tickets: list[Ticket], run: Run) -> Ticket:
    own = next((ticket for ticket in tickets if ticket.run == run.id), None)
    if own is None:
        raise Refused(f"{run.id} is not in the queue.", "See who is: ftui runs queue")
    return own


def _tickets() -> list[Ticket]:
    found = (_read(path) for path in sorted(_folder().glob("*.json")))
    return [ticket for ticket in found if ticket is not None]


def _read(path: Path) -> Ticket | None:
    """The ticket in a file; None for one that was taken away just now, or isn't one."""
    try:
        data: Any = json.loads(path.read_bytes())
        return Ticket(
            int(path.name.partition("-")[0]), str(data["run"]), int(data["needs"]), bool(data["on_gpu"]),
            bool(data["held"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(ticket: Ticket) -> None:
    write_atomic(ticket.path, json.dumps({k: v for k, v in asdict(ticket).items() if k != "place"}))


@contextlib.contextmanager
def _order() -> Iterator[list[Ticket]]:
    """The tickets, while nobody else changes them; those of runs that have ended are thrown away.

    One whose waiting worker was killed keeps its place until it is resumed; nobody waits for it meanwhile.  A run that
    has ended and is resumed into the queue has a ticket before it has a worker.
    """
    with open(_made() / ".order", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        tickets = _tickets()
        for ticket in tickets:
            run = Run(runs_dir() / ticket.run)
            if not run.path.exists() or (status(run).state in ENDED and not _about_to_start(ticket)):
                ticket.path.unlink(missing_ok=True)
        yield [ticket for ticket in tickets if ticket.path.exists()]


def _about_to_start(ticket: Ticket) -> bool:
    try:
        return abs(time.time() - ticket.path.stat().st_mtime) < START_SECONDS
    except FileNotFoundError:
        return False


def _folder() -> Path:
    return home() / "queue"


def _made() -> Path:
    """The folder, which only who queues something needs."""
    make_folder(_folder())
    return _folder()
