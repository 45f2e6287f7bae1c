"""Other processes on the card that trains: who they are, whether memory ran out because of them, and waiting for what
they took."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftui.hardware.document import Gpu
from ftui.hardware.holders import NOTEWORTHY, said
from ftui.runs.follow import each
from ftui.units import gib
from ftui.worker.context import JobContext

if TYPE_CHECKING:
    from ftui.hardware.driver import Driver
    from ftui.recipe.document import Recipe

LOOK_SECONDS = 5.0
"""Between two looks at the card, each of which asks the driver."""
CONTEXT_BYTES = 600 << 20
"""What a CUDA context takes at most, where the driver doesn't tell: nobody else must be blamed for it."""
MOST_WAITS = 3
"""So often a run waits after it ran out of memory: a neighbour that comes and goes would keep it from training."""


@dataclass(frozen=True)
class Card:
    """The card that trains, at one moment; `own` are the bytes that this process holds of it."""

    gpu: Gpu
    own: int

    @property
    def room(self) -> int:
        """Bytes that this process could have by now: what is free and what it has."""
        return self.gpu.free_bytes + self.own

    @property
    def taken(self) -> int:
        """Bytes that others hold."""
        return self.gpu.total_bytes - self.room

    def in_the_way(self, needs: int) -> str | None:
        """Who holds so much that `needs` bytes have no room, where they had it on an empty card; else None."""
        if self.taken < NOTEWORTHY or not self.room < needs <= self.gpu.total_bytes:
            return None
        return said(self.gpu, self.taken, os.getpid())


def look(device: str, driver: Driver | None = None) -> Card | None:
    """The card now, by NVML, or by CUDA itself where that doesn't work; None on a CPU, or where nobody tells."""
    if device != "cuda":
        return None
    from ftui import hardware

    gpu = hardware.probe(driver).gpu or _by_cuda()
    if gpu is None:
        return None
    mine = sum(one.used_bytes or 0 for one in gpu.processes if one.pid == os.getpid())
    return Card(gpu, mine or _own_bytes())


def wait_for_room(context: JobContext, recipe: Recipe, device: str, least: int | None) -> bool:
    """Wait, as long as `recovery.wait_minutes` says, until what others hold leaves room; True if it did not.

    After an attempt that ran out of memory because of others the room is what that one needed, else `least`: bytes
    below which the training surely doesn't fit.
    """
    needs = _needed(context) or least
    began, who = time.monotonic(), None
    until = began + 60 * recipe.recovery.wait_minutes
    while needs is not None and (card := look(device)) and (found := card.in_the_way(needs)):
        if context.stop_asked:
            return False
        if time.monotonic() >= until:
            still = f", still after {recipe.recovery.wait_minutes:g} minutes" if who else ""
            context.warn(
                f"{found[0].upper()}{found[1:]}{still}: {gib(card.room)} of the {gib(needs)} that it takes are left.",
                "It tries all the same; recovery.wait_minutes says how long to wait.",
            )
            return True
        if found != who:
            who = found
            left = time.strftime("%H:%M", time.localtime(time.time() + until - time.monotonic()))
            context.emit(
                "status", state="paused",
                text=f"Waiting for the GPU: {found}, and {gib(card.room)} of the {gib(needs)} that it takes are left. "
                f"At {left} it tries all the same.",
            )
        time.sleep(LOOK_SECONDS)
    if who:
        context.emit("status", state="preparing", text="The GPU has room again.")
    return False


def may_wait(context: JobContext, recipe: Recipe) -> bool:
    """Whether the recipe and what happened before leave a wait for others, in place of a change."""
    before = sum(1 for event in each(context.run) if event.kind == "recovery" and event.data.get("needs_bytes"))
    return recipe.recovery.wait_minutes > 0 and before < MOST_WAITS


def _needed(context: JobContext) -> int | None:
    """What the attempt before this one waits for, where it ended for that."""
    newest = None
    for event in each(context.run):
        if event.kind == "recovery" and event.attempt == context.attempt - 1:
            newest = event
    return newest.data.get("needs_bytes") if newest else None


def _own_bytes() -> int:
    """What torch holds of the card with the CUDA context; nothing before it has begun there."""
    import torch

    return int(torch.cuda.memory_reserved()) + CONTEXT_BYTES if torch.cuda.is_initialized() else 0


def _by_cuda() -> Gpu | None:
    """The card as CUDA sees it, which knows no processes."""
    import torch

    try:
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
    except RuntimeError:
        # On a card that is full to the last byte even the question finds no room.
        return None
    return Gpu(index=0, name=name, total_bytes=total, used_bytes=total - free, free_bytes=free)
