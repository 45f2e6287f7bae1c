"""`RunsList`: every run of this home, cheaply: what hasn't changed isn't read again.  Pure."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass

from ftui.paths import runs_dir
from ftui.runs.folder import Run, list_runs
from ftui.runs.status import RunStatus, status

BATCH = 20
"""Statuses that one look derives besides those in sight: a long list becomes known bit by bit."""
LIVE_SECONDS = 2.0
"""A live run's status holds for so long: it follows from a process, too, which no file tells of."""

Signature = tuple[float, int, float]


@dataclass
class Known:
    """What is known of one run, and when and by which files that was found."""

    run: Run
    status: RunStatus | None = None
    signature: Signature | None = None
    time: float = 0.0

    def matches(self, words: Iterable[str]) -> bool:
        """Whether every word is in its name, id, kind, preset or state."""
        info, state = self.run.info, self.status.state if self.status else ""
        told = f"{info.id} {info.name} {info.kind} {info.preset or ''} {state}".lower()
        return all(word in told for word in words)


class RunsList:
    """What the list shows.  `look()` belongs into a thread; `runs` is replaced as a whole, never changed."""

    def __init__(self) -> None:
        self.runs: tuple[Known, ...] = ()
        self._listed: float | None = None

    def look(self, seen: Iterable[str] = ()) -> bool:
        """Find out what has changed; statuses of the runs with the ids in `seen` first.  Whether anything changed."""
        changed = self._list()
        in_sight = set(seen)
        waiting = [known for known in self.runs if known.run.id in in_sight]
        waiting += [known for known in self.runs if known.status is None and known.run.id not in in_sight][:BATCH]
        for known in waiting:
            changed |= self._update(known)
        return changed

    def forget(self, run_id: str) -> None:
        """Derive a run's status anew at the next look: something was just asked of it."""
        for known in self.runs:
            if known.run.id == run_id:
                known.signature = None

    def _list(self) -> bool:
        try:
            modified = runs_dir().stat().st_mtime
        except FileNotFoundError:
            gone, self.runs, self._listed = bool(self.runs), (), None
            return gone
        if modified == self._listed:
            return False
        held = {known.run.id: known for known in self.runs}
        self.runs = tuple(held.get(run.id) or Known(run) for run in list_runs())
        self._listed = modified
        return True

    def _update(self, known: Known) -> bool:
        """Derive the status anew if its files have changed, or if its process may have."""
        signature = _signature(known.run)
        settled = known.status is not None and not known.status.live and known.status.state != "unreachable"
        fresh = settled or time.monotonic() - known.time < LIVE_SECONDS
        if known.status is not None and signature == known.signature and fresh:
            return False
        before, known.status = known.status, status(known.run)
        known.signature, known.time = signature, time.monotonic()
        return before != known.status


def _signature(run: Run) -> Signature:
    """What changes whenever the run's files do: time and size of its events, time of its heartbeat."""
    return (*_times(run.events), _times(run.heartbeat)[0])


def _times(path: os.PathLike[str]) -> tuple[float, int]:
    try:
        facts = os.stat(path)
    except OSError:
        return 0.0, 0
    return facts.st_mtime, facts.st_size
