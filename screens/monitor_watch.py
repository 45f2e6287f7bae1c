"""Reading one run for the monitor: its events in pieces, its status, its log, and its documents once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ftui.planner.document import Plan
from ftui.runs.document import Event
from ftui.runs.folder import Run, find
from ftui.runs.follow import Follower
from ftui.runs.status import RunStatus, status

from .monitor_raster import Limit
from .monitor_tail import Tail

PIECE_BYTES = 1 << 20
"""Events read at a time: a long past comes in pieces, so that the first curve stands at once and keys are heard."""
STATUS_SECONDS = 2.0
"""A status reads the last 2,000 events, and only a worker that dies without a word changes it unseen by the others."""


class StageSeen(NamedTuple):
    """A run that the watched one leads: its id, its name among the stages, and how it is."""

    run: str
    name: str
    status: RunStatus


@dataclass(frozen=True)
class Look:
    """What one look at the run found.  `behind`: more of the past waits; `restarts`: begin anew if it has grown."""

    events: Sequence[Event]
    status: RunStatus
    behind: bool
    restarts: int
    log_grew: bool
    stages: tuple[StageSeen, ...] = ()


class Watch:
    """One viewer's place in a run's files.  `look()` belongs into a thread; nothing here writes to the run."""

    def __init__(self, run_id: str) -> None:
        self._id = run_id
        self.run: Run | None = None
        self.plan: Plan | None = None
        self.recipe_text: str | None = None
        self._status: RunStatus | None = None
        self._status_time = 0.0
        self._stages: tuple[StageSeen, ...] = ()

    def open(self) -> Run:
        """Find the run and read what doesn't change; BadInput where there is no such run."""
        run = find(self._id)
        self._follower, self.tail = Follower(run), Tail(run.log)
        try:
            self.plan = run.plan()
        except ValueError:
            # A plan of another version or half of one: the run itself can be watched all the same.
            self.plan = None
        path = run.path / "recipe.yaml"
        self.recipe_text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else None
        self.run = run
        return run

    def look(self) -> Look:
        """What is new since the last look."""
        run = self.run or self.open()
        now = time.monotonic()
        # The status before the events, so that no event that came before an end is missed.
        if self._status is None or (now - self._status_time >= STATUS_SECONDS and not self._follower.behind):
            self._status, self._status_time = status(run), now
            if run.info.kind == "stages":
                self._stages = tuple(
                    StageSeen(each.id, str(each.info.args["name"]), each.status()) for each in run.stages()
                )
        events = self._follower.poll(PIECE_BYTES)
        if any(event.kind in ("status", "end") for event in events):
            self.forget_status()
        follower, grew = self._follower, self.tail.read()
        return Look(events, self._status, follower.behind, follower.restarts, grew, self._stages)

    def forget_status(self) -> None:
        """Derive the status anew at the next look: something was just asked of the run."""
        self._status_time = -STATUS_SECONDS


def memory_limits(plan: Plan | None, total_bytes: float | None) -> dict[str, Sequence[Limit]]:
    """What memory is held against, by panel: the plan's expected peak, and the card's size where it is known."""
    limits: list[Limit] = []
    if plan is not None:
        limits.append(Limit(plan.recommendation.memory.reserved_bytes, "plan"))
    if total_bytes:
        return {"gpu_memory": [*limits, Limit(total_bytes, "card")]}
    host = [Limit(plan.recommendation.memory.process_bytes, "plan")] if plan is not None else []
    return {"rss": host, "gpu_memory": limits}
