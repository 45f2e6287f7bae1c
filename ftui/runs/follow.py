"""Reading a run's events while they are written: by byte offset, by any number of readers, from the first on."""

from __future__ import annotations

import math
import os
import time
from array import array
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from ftui.runs.document import Event
from ftui.runs.folder import Run
from ftui.runs.index_pages import PageFile, Pages
from ftui.runs.lines import parse_line
from ftui.runs.status import RunStatus, status

if TYPE_CHECKING:
    from ftui.runs.stretch import Reader, Stretch

LIMIT_BYTES = 1 << 63
PIECE_BYTES = 1 << 22
"""Some thousand events, which take ten times that in memory."""


class Follower:
    """Reads each event of a run once.  `garbage` counts the lines that were none; `restarts` how often the file was cut
    or replaced under the reader, which then begins anew: what was drawn before must be forgotten."""

    def __init__(self, run: Run, *, from_end: bool = False) -> None:
        """With `from_end` what is there already is passed over."""
        self.run = run
        self.garbage = 0
        self.restarts = 0
        self.behind = False
        """Whether the last `poll` left something unread because of its limit."""
        self.offset = run.events.stat().st_size if from_end and run.events.exists() else 0
        """How many bytes of events.jsonl were taken in."""
        self.size = 0
        """How many it had at the last look."""
        self._reader: Reader | None = None
        self._inode: int | None = None

    def restart(self) -> None:
        """Begin anew, as if the file had been replaced."""
        self.offset = self.garbage = 0
        self._reader = None
        self.restarts += 1

    def poll(self, limit_bytes: int = LIMIT_BYTES) -> list[Event]:
        """The events that came in since the last call, in their order; a last line without its end is left for later.

        `limit_bytes` bounds what one call reads, so that a screen can draw in between.
        """
        events = []
        for line in self._read(limit_bytes).split(b"\n"):
            if event := parse_line(line):
                events.append(event)
            elif line:
                self.garbage += 1
        return events

    def take(self, limit_bytes: int = LIMIT_BYTES) -> list[Event | Stretch]:
        """As `poll`, with metrics that look alike gathered into columns: a tenth of the time."""
        # Imported here: only who draws curves needs it.
        from ftui.runs.stretch import Reader

        data = self._read(limit_bytes)
        if self._reader is None:
            self._reader = Reader()
        before = self._reader.garbage
        found = self._reader.items(data)
        self.garbage += self._reader.garbage - before
        return found

    def skip(self, offset: int) -> None:
        """Begin behind the first `offset` bytes, which are whole lines that are known already."""
        self.offset = offset

    def _read(self, limit_bytes: int) -> bytes:
        """The whole lines that came in since the last time."""
        try:
            file = open(self.run.events, "rb")  # noqa: SIM115  (a missing file is no error, a failing read is)
        except FileNotFoundError:
            return b""
        with file:
            facts = os.fstat(file.fileno())
            if facts.st_size < self.offset or self._inode not in (None, facts.st_ino):
                self.restart()
            self._inode, self.size = facts.st_ino, facts.st_size
            if facts.st_size == self.offset:
                self.behind = False
                return b""
            file.seek(self.offset)
            data = file.read(min(facts.st_size - self.offset, limit_bytes))
            if b"\n" not in data and len(data) == limit_bytes:
                # One line larger than the limit: it must be taken whole or never.
                data += file.readline()
        whole = data[: data.rfind(b"\n") + 1]
        self.offset += len(whole)
        self.behind = len(data) >= limit_bytes
        return whole


def each(run: Run) -> Iterator[Event]:
    """Every event so far, of all attempts, one by one: a run of a million steps need not be in memory whole."""
    follower = Follower(run)
    while True:
        yield from follower.poll(PIECE_BYTES)
        if not follower.behind:
            return


def history(run: Run) -> list[Event]:
    """Every event so far, of all attempts."""
    return Follower(run).poll()


def follow(run: Run, *, interval: float = 0.5) -> Iterator[Event | RunStatus]:
    """Every event from the first on, as it comes, and the status after each look, until the run is over.

    The last thing yielded is the status that ended it.
    """
    follower = Follower(run)
    while True:
        now = status(run)
        # Read after the status, so that nothing that was written before an end is missed.
        yield from follower.poll()
        yield now
        if now.over:
            return
        time.sleep(interval)


class Series:
    """One number over the steps: `values[i]` at `steps[i]`, NaN where it was not finite, written at `times[i]`.

    With a file most of it will lie there.
    """

    def __init__(self, file: PageFile | None = None) -> None:
        self.steps, self.values, self.times = Pages("q", file), Pages("d", file), Pages("d", file)
        self.attempt = 0
        self.rewinds = 0
        """Grows whenever points were taken back or changed: whoever derived something from them starts over."""

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        return zip(self.steps, self.values, strict=True)

    def put(self, step: int, value: float, when: float, attempt: int) -> None:
        """Add a point.  A newer attempt undoes all from its first step on; within one, a step's last value counts."""
        if attempt < self.attempt:
            return
        if len(self) and step <= self.steps[-1]:
            at = self.steps.bisect_left(step)
            same = attempt == self.attempt
            # Of one attempt what is there of this very step, of an older one all from it on.
            stop = at + (self.steps[at] == step) if same else len(self)
            for held, new in ((self.steps, step), (self.values, value), (self.times, when)):
                held.drop(at, stop)
                held.insert(at, new)
            self.rewinds += 1
        else:
            self.steps.append(step)
            self.values.append(value)
            self.times.append(when)
        self.attempt = attempt

    def extend(self, steps: array[int], values: array[float], times: array[float], attempt: int) -> None:
        """As `put` of each point, in the order of their steps."""
        if attempt == self.attempt and (not len(self) or steps[0] > self.steps[-1]):
            self.steps.extend(steps)
            self.values.extend(values)
            self.times.extend(times)
            return
        for step, value, when in zip(steps, values, times, strict=True):
            self.put(step, value, when, attempt)


class Curves(dict[str, Series]):
    """Every number of a run's metrics and evaluations as a series, fed event by event.

    Those named in `without` are left out; with a file most of the numbers will lie there.
    """

    def __init__(self, without: Collection[str] = (), file: PageFile | None = None) -> None:
        super().__init__()
        self._without = without
        self._file = file

    def add(self, event: Event) -> None:
        """Take in one event; those that carry no numbers are left out."""
        if event.kind not in ("metric", "evaluation") or event.step is None or not 0 <= event.step < 1 << 63:
            return
        for name, value in event.measured.items():
            number = _value(value)
            if number is not None and name not in self._without:
                self._of(name).put(event.step, number, event.time, event.attempt)

    def add_stretch(self, stretch: Stretch) -> None:
        """Take in many metrics at once."""
        for name, values in stretch.columns.items():
            if name not in self._without:
                self._of(name).extend(stretch.steps, values, stretch.times, stretch.attempt)

    def _of(self, name: str) -> Series:
        if name not in self:
            self[name] = Series(self._file)
        return self[name]

    def extend(self, events: Iterable[Event]) -> None:
        """Take in several."""
        for event in events:
            self.add(event)


def curve(events: Iterable[Event], name: str) -> Series:
    """The series of one number, empty where no event has it."""
    curves = Curves()
    curves.extend(events)
    return curves.get(name, Series())


def _value(value: object) -> float | None:
    """A number as a float, null as NaN (it was not finite), None for what is no number."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return math.nan
    return number if math.isfinite(number) else math.nan
