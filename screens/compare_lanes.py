"""The runs of a comparison as the screen follows them: read beside the loop, folded in it, laid over one axis."""

from __future__ import annotations

import shutil
import tempfile
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from operator import lt
from pathlib import Path

from ftui.runs.alignment import Axis
from ftui.runs.comparing import LETTERS, Settings, Side, check_number, colours, differing, labels
from ftui.runs.document import Event
from ftui.runs.folder import Run, find, list_runs
from ftui.runs.follow import Follower
from ftui.runs.index_pages import PageFile
from ftui.runs.status import RunStatus, status
from ftui.runs.stretch import Stretch
from ftui.units import plain

from .monitor_series import Series

PIECE_BYTES = 1 << 20
STATUS_SECONDS = 2.0
UNSEEN = frozenset({
    "epoch", "tokens", "step_seconds", "gpu_allocated_bytes", "gpu_total_bytes", "gpu_temperature_c", "gpu_power_w",
    "gpu_utilization", "seconds", "input_seconds",
})
"""Curves that tell more of a machine than of a choice; eight long runs must stay small in memory."""
OFFERED = 50
"""Runs to choose from for one more."""


class Laid:
    """A curve of one run over an axis, kept up as the run grows: in steps, in tokens, or in milliseconds."""

    def __init__(self, side: Side, name: str, axis: Axis) -> None:
        self._side, self._name, self._axis = side, name, axis
        self._series = Series()
        self._taken = 0
        """How many of the measured points are laid."""
        self._from = (0, 0)
        """The rewinds of what they were taken from."""

    def series(self) -> Series:
        """The curve so far; empty where the run has no such curve, or no such axis."""
        source = self._side.curves.get(self._name)
        if source is None:
            return self._series
        if self._from != (now := (source.rewinds, self._side.places.rewinds)):
            self._series, self._taken, self._from = Series(), 0, now
        steps, values = source.steps[self._taken :], source.values[self._taken :]
        places = self._side.places.of(steps, self._axis)
        scale = 1000 if self._axis == "time" else 1
        if places:
            at = array("q", (int(place * scale) for place in places))
            if all(map(lt, at, at[1:])):
                self._series.extend(at, values)
            else:
                for place, value in zip(at, values, strict=True):
                    self._series.append(place, value)
        self._taken += len(places)
        return self._series


@dataclass(frozen=True)
class Found:
    """What one look at a run has brought."""

    items: Sequence[Event | Stretch]
    behind: bool
    restarts: int


class Lane:
    """One run of the comparison.  `look()` belongs into a thread; `fold()` into the loop."""

    def __init__(self, run: Run, letter: str, label: str, colour: int, file: PageFile | None = None) -> None:
        """With a file most of what is read lies there."""
        self.run, self.letter, self.label, self._file = run, letter, label, file
        self.style = f"run{colour}"
        self.hidden = False
        self.status: RunStatus | None = None
        self._status_time = 0.0
        self._follower = Follower(run)
        self._restarts = 0
        self._facts: tuple[int, dict[str, float | None]] | None = None
        self._begin()

    def _begin(self) -> None:
        self.side = Side(self.run, UNSEEN, self._file)
        self._laid: dict[tuple[str, Axis], Laid] = {}

    def look(self) -> Found:
        """What is new since the last look."""
        now = time.monotonic()
        over = self.status is not None and self.status.over
        due = self.status is None or now - self._status_time > STATUS_SECONDS * (1 + over)
        if due and not self._follower.behind:
            self.status, self._status_time = status(self.run), now
        items = self._follower.take(PIECE_BYTES)
        return Found(items, self._follower.behind, self._follower.restarts)

    def fold(self, found: Found) -> None:
        """Take in what a look has brought."""
        if found.restarts > self._restarts:
            self._restarts = found.restarts
            self._begin()
        self.side.take(found.items)

    def curve(self, name: str, axis: Axis) -> Series:
        """This run's curve over the axis."""
        if (name, axis) not in self._laid:
            # One at a time: of a curve that isn't looked at any more nothing is held.
            self._laid = {(name, axis): Laid(self.side, name, axis)}
        return self._laid[name, axis].series()

    @property
    def facts(self) -> dict[str, float | None]:
        """What came of the run so far."""
        if self._facts is None or self._facts[0] != self.side.taken:
            self._facts = self.side.taken, self.side.facts
        return self._facts[1]

    @property
    def live(self) -> bool:
        """Whether it goes on."""
        return self.status is not None and self.status.live

    @property
    def measured(self) -> set[str]:
        """The curves that hold anything."""
        return {name for name, series in self.side.curves.items() if len(series)}


def open_lanes(run_ids: Sequence[str]) -> tuple[list[Lane], Settings]:
    """The runs with these ids, and what differs between their recipes; BadInput where they can't be compared."""
    runs = [find(run_id) for run_id in run_ids]
    check_number(runs)
    names = zip(runs, LETTERS, labels(runs), colours([run.id for run in runs]), strict=False)
    file = _unnamed_file()
    return [Lane(run, letter, label[2:], colour, file) for run, letter, label, colour in names], differing(runs)


def _unnamed_file() -> PageFile | None:
    """A file that is gone with this process; None where there is no place for one, and memory has to do."""
    try:
        folder = tempfile.mkdtemp(prefix="ftui-")
        try:
            return PageFile(Path(folder) / "curves", new=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return None


def others(run_ids: Sequence[str]) -> dict[str, str]:
    """Runs that these could be compared with, and what they are: the one that the first came from, then the newest."""
    runs = list_runs()
    first = next((run for run in runs if run.id == run_ids[0]), None)
    mine = [run for run in runs if run.info.kind == "train" and run.id not in run_ids]
    parent = first.info.parent if first is not None else None
    mine.sort(key=lambda run: run.id != parent)
    return {
        run.id: "the run that it came from" if run.id == parent else plain(run.info.name).replace("\n", " ")
        for run in mine[:OFFERED]
    }
