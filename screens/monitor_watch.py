"""Reading one run for the monitor: its events in pieces, its status, its log, and its documents once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ftui.planner.document import Plan
from ftui.runs.document import Event
from ftui.runs.folder import Run, find
from ftui.runs.follow import Follower
from ftui.runs.index import LEAST_BYTES, Index
from ftui.runs.index_pages import PageFile
from ftui.runs.status import RunStatus, status
from ftui.runs.stretch import Stretch

from .monitor_picture import Picture
from .monitor_raster import Limit
from .monitor_tail import Tail

PIECE_BYTES = 1 << 21
"""Events read at a time: a long past comes in pieces, so that the first curve stands at once and keys are heard."""
SAVE_BEHIND_BYTES = 1 << 28
"""While the past is still being read it goes into the index so often: who leaves meanwhile need not begin anew."""
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

    events: Sequence[Event | Stretch]
    status: RunStatus
    behind: bool
    restarts: int
    log_grew: bool
    stages: tuple[StageSeen, ...] = ()


class Watch:
    """One viewer's place in a run's files.  `look()` belongs into a thread; all that is written is the index in the
    run's cache."""

    def __init__(self, run_id: str) -> None:
        self._id = run_id
        self.run: Run | None = None
        self.plan: Plan | None = None
        self.recipe_text: str | None = None
        self._status: RunStatus | None = None
        self._status_time = 0.0
        self._stages: tuple[StageSeen, ...] = ()
        self.picture = Picture()
        """What the events that were looked at have told; whoever looks folds them in."""
        self._pages: PageFile | None = None
        """Where the numbers of a long run go that has no index yet."""
        self._unsafe = False
        """Whether such a file was lost while it was in use: the numbers stay in memory then."""
        self._saved = 0
        """Up to which byte the events are in the index, or could not be put there."""

    def open(self) -> Run:
        """Find the run and read what doesn't change; BadInput where there is no such run."""
        run = find(self._id)
        self._follower, self.tail, self._index = Follower(run), Tail(run.log), Index(run)
        self._restore()
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
        if self.picture.file is not None and self.picture.file.lost and not self._unsafe:
            self._unsafe = True
            self._follower.restart()
        # The status before the events, so that no event that came before an end is missed.
        if self._status is None or (now - self._status_time >= STATUS_SECONDS and not self._follower.behind):
            self._status, self._status_time = status(run), now
            if run.info.kind == "stages":
                self._stages = tuple(
                    StageSeen(each.id, str(each.info.args["name"]), each.status()) for each in run.stages()
                )
        events = self._follower.take(PIECE_BYTES)
        without = self._pages is None and self.picture.file is None and not self._unsafe
        if without and self._follower.size >= LEAST_BYTES:
            self._pages = self._index.begin()
        if any(isinstance(event, Event) and event.kind in ("status", "end") for event in events):
            self.forget_status()
        follower, grew = self._follower, self.tail.read()
        return Look(events, self._status, follower.behind, follower.restarts, grew, self._stages)

    def fold(self, look: Look) -> None:
        """Take into the picture what a look found."""
        if look.restarts > self.picture.restarts:
            self.picture, self._pages, self._saved = Picture(restarts=look.restarts), None, 0
        if self._pages is not None and self.picture.file is None:
            self.picture.use(self._pages)
        self.picture.take(look.events)

    @property
    def worth_saving(self) -> bool:
        """Whether so much was read that the next one to open the run should find it in the index."""
        new = self._follower.offset - self._saved
        return new >= (SAVE_BEHIND_BYTES if self._follower.behind else LEAST_BYTES)

    def save(self, state: dict[str, Any]) -> None:
        """Put the picture, whose state this is, into the index.  Belongs into a thread, while nobody folds."""
        offset, self._saved = self._follower.offset, self._follower.offset
        if self.picture.file is not None and self.picture.file.writable:
            self._index.save(offset, state, self.picture.file)

    def _restore(self) -> None:
        saved = self._index.load()
        if saved is not None:
            self.picture = Picture.restored(saved.state, saved.file)
            self._follower.skip(saved.offset)
            self._saved = saved.offset

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
