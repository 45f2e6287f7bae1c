"""What a traced step leaves: every allocation and free in order, and where in the model each was made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

PARTS = ("weights", "reference", "adapter", "gradients", "optimizer", "activations", "logits", "workspace", "host")
"""What bytes are held for, as in `ftui.planner.document.MemoryParts`; "host" is memory off the device."""


class Event(NamedTuple):
    """`size` bytes were allocated for the tensor `id`; a negative size frees it."""

    id: int
    size: int
    phase: str
    layer: int | None
    """The decoder layer it belongs to: of the module at work, in the optimizer's step of the parameter at work."""
    where: str
    """The module at work and the operation: "model.layers.3.mlp.down_proj aten.mm"."""


@dataclass
class Work:
    """What a stretch of a step computes: products by number format, bytes read and written, kernels launched."""

    flops_half: float = 0.0
    flops_single: float = 0.0
    bytes_moved: float = 0.0
    operations: int = 0

    def add(self, other: Work, times: int = 1) -> None:
        """Add `times` as much as `other`."""
        self.flops_half += times * other.flops_half
        self.flops_single += times * other.flops_single
        self.bytes_moved += times * other.bytes_moved
        self.operations += times * other.operations


@dataclass
class Log:
    """The events of a step in order, what each allocation is held for, and the work by phase and layer."""

    events: list[Event] = field(default_factory=list)
    parts: dict[int, str] = field(default_factory=dict)
    """Tensor id -> one of PARTS; what a tensor turns out to be, such as a gradient, it is from its beginning."""
    work: dict[tuple[str, int | None], Work] = field(default_factory=lambda: defaultdict(Work))
    layers_at: str = ""
    """What the layers' modules are called before their number: "model.layers."."""

    def on_device(self) -> list[Event]:
        """The events of the device's memory."""
        host = {id for id, part in self.parts.items() if part == "host"}
        return [event for event in self.events if event.id not in host]

    def training(self) -> tuple[list[tuple[int, int]], int]:
        """A training's first two steps as (id, bytes), as `ftui.planner.caching.replay` takes them, and where in that
        list the traced step begins.

        The weights are loaded, one step goes forward and back without the optimizer's states, they are made, and the
        traced step follows: what it is given is what the first one has left in the allocator's cache.
        """
        events = self.on_device()
        further = max((event.id for event in events), default=0)
        begun = [(event.id, event.size) for event in events if event.phase == "load"]
        live: dict[int, int] = {}
        for event in events:
            if event.phase in ("load", "setup", "optimizer step"):
                continue
            id = event.id + further
            if event.size > 0:
                live[id] = event.size
            elif live.pop(id, None) is None:
                continue
            begun.append((id, event.size))
        begun += [
            (event.id, event.size)
            for event in events
            if event.phase == "setup" and self.parts[event.id] != "gradients"
        ]
        begun += [(id, -size) for id, size in live.items()]
        at = len(begun)
        begun += [(event.id, event.size) for event in events if event.phase not in ("load", "setup")]
        return begun, at


class Moment(NamedTuple):
    """The state after an event: bytes by part."""

    at: int
    """Index of the event."""
    event: Event
    total: int
    parts: dict[str, int]


@dataclass
class Peaks:
    """The fullest moment of the whole and of each phase, in the order in which the phases came."""

    whole: Moment
    phases: dict[str, Moment]
    static: int
    """Bytes held before the step began: weights, adapter, optimizer states."""


def moments(log: Log) -> Iterator[tuple[int, Event, int, dict[str, int]]]:
    """(index, event, total, bytes by part) after each event on the device; the dictionary is one and the same."""
    held: dict[str, int] = dict.fromkeys(PARTS, 0)
    total = 0
    for index, event in enumerate(log.events):
        part = log.parts[event.id]
        if part == "host":
            continue
        held[part] += event.size
        total += event.size
        yield index, event, total, held


def peaks(log: Log, *, outside: Iterable[str] = ("load", "setup")) -> Peaks:
    """Where the step is fullest; the phases named in `outside` come before it."""
    before, static = set(outside), 0
    found: dict[str, Moment] = {}
    for index, event, total, held in moments(log):
        if event.phase in before:
            static = total
            continue
        known = found.get(event.phase)
        if known is None or total > known.total:
            found[event.phase] = Moment(index, event, total, dict(held))
    if not found:
        raise ValueError("nothing was traced after the setup")
    return Peaks(max(found.values(), key=lambda moment: moment.total), found, static)
