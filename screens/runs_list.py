"""`RunsList`: every run of this home, cheaply: what hasn't changed isn't read again.  Pure."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ftui.paths import runs_dir
from ftui.runs import notes, trash
from ftui.runs.facts import Depth, Facts, Memory
from ftui.runs.folder import Run, list_runs
from ftui.runs.trash import Aside

BATCH = 20
"""Runs that one look reads besides those in sight: a long list becomes known bit by bit."""
CHECKED = 50
"""Known runs out of sight whose files one look holds against what was read of them."""
HURRY_SECONDS = 0.2
"""How long one look goes on reading what the filter or the order waits for."""
LIVE_SECONDS = 2.0
"""A live run's status holds for so long: it follows from a process, too, which no file tells of."""

Signature = tuple[float, int, float, float]


@dataclass
class _Held:
    """The facts of a run, and when and by which files they were found."""

    facts: Facts
    signature: Signature | None = None
    time: float = 0.0
    files: tuple[str, str, str] = ("", "", "")
    """The paths of what changes: the events, the heartbeat and the notes."""

    @classmethod
    def of(cls, run: Run) -> _Held:
        """Nothing is known of `run` so far."""
        return cls(Facts(run), files=(str(run.events), str(run.heartbeat), str(run.path / notes.FILE)))

    @property
    def settled(self) -> bool:
        """Whether only its files can change how it stands."""
        status = self.facts.status
        return status is not None and not status.live and status.state != "unreachable"


class RunsList:
    """What the list shows.  `look()` belongs into a thread; `runs` is replaced as a whole, never changed."""

    def __init__(self) -> None:
        self.runs: tuple[Facts, ...] = ()
        """The newest first."""
        self.asides: tuple[Aside, ...] = ()
        """The deletions that can be undone here, the last first."""
        self.more = False
        """Whether something is still unread that the filter, the order or a line in sight waits for."""
        self._held: dict[str, _Held] = {}
        self._unknown: list[_Held] = []
        """Those that nobody has looked into."""
        self._unsettled: list[_Held] = []
        """Those that were live when they were looked into last."""
        self._known: list[_Held] = []
        self._listed: float | None = None
        self._memory = Memory()
        self._next = 0

    def look(self, seen: Iterable[str] = (), depth: Depth = Depth.LISTED) -> bool:
        """Find out what has changed: first of the runs with the ids in `seen`, then of those not known to `depth`.

        Whether anything changed.
        """
        changed = self._list() | self._look_aside()
        in_sight = [self._held[run_id] for run_id in seen if run_id in self._held]
        for held in in_sight:
            changed |= self._update(held, Depth.LOOKED)
        until = time.monotonic() + HURRY_SECONDS
        awaited = list(self._awaited(in_sight, depth))
        for held, wanted in awaited:
            changed |= self._update(held, wanted)
            if time.monotonic() > until:
                break
        else:
            changed |= self._go_on()
        self.more = any(held.facts.depth < wanted for held, wanted in awaited)
        self._memory.save(self._held, least=200 if self.more else 1)
        if changed:
            self._sort_out()
        return changed

    def forget(self, run_ids: Iterable[str]) -> None:
        """Read these runs anew at the next look: something was just asked of them."""
        for run_id in run_ids:
            if run_id in self._held:
                self._held[run_id].signature = None

    def unread(self, depth: Depth) -> int:
        """How many runs are not known to that depth."""
        return sum(facts.depth < depth for facts in self.runs)

    def _sort_out(self) -> None:
        self.runs = tuple(held.facts for held in self._held.values())
        self._known = [held for held in self._held.values() if held.facts.status is not None]
        self._unknown = [held for held in self._held.values() if held.facts.status is None]
        self._unsettled = [held for held in self._known if not held.settled]

    def _list(self) -> bool:
        try:
            modified = runs_dir().stat().st_mtime
        except FileNotFoundError:
            gone, self._held, self._listed = bool(self._held), {}, None
            return gone
        if modified == self._listed:
            return False
        self._held = {run.id: self._held.get(run.id) or _Held.of(run) for run in list_runs()}
        self._listed = modified
        self._sort_out()
        return True

    def _look_aside(self) -> bool:
        before, self.asides = self.asides, tuple(trash.undoable())
        return before != self.asides

    @staticmethod
    def _deeper(held: Iterable[_Held], depth: Depth) -> Iterator[tuple[_Held, Depth]]:
        return ((each, depth) for each in held if each.facts.depth < depth)

    def _awaited(self, in_sight: Iterable[_Held], depth: Depth) -> Iterator[tuple[_Held, Depth]]:
        """What somebody waits for, the lines in sight first."""
        yield from self._deeper(in_sight, Depth.READ)
        if depth == Depth.LOOKED:
            yield from ((held, depth) for held in self._unknown)
        elif depth == Depth.READ:
            yield from self._deeper(self._held.values(), depth)

    def _go_on(self) -> bool:
        """Read some of what nobody waits for, and see whether runs out of sight have changed."""
        # Of those that were unknown when they were sorted out, a line in sight has been read meanwhile.
        unknown = itertools.islice((held for held in self._unknown if held.facts.status is None), BATCH)
        begin, self._next = self._next, self._next + CHECKED if self._next + CHECKED < len(self._known) else 0
        changed = False
        for held in [*unknown, *self._unsettled, *self._known[begin : begin + CHECKED]]:
            changed |= self._update(held, Depth.LOOKED)
        return changed

    def _update(self, held: _Held, depth: Depth) -> bool:
        """Read the run anew if its files have changed, if its process may have, or if it isn't known so far."""
        before = held.facts
        signature = _signature(held.files)
        fresh = held.settled or time.monotonic() - held.time < LIVE_SECONDS
        if before.depth >= depth and signature == held.signature and fresh:
            return False
        held.facts = self._memory.look(before.run, depth, before)
        held.signature, held.time = signature, time.monotonic()
        return before != held.facts


def _signature(files: tuple[str, str, str]) -> Signature:
    """What changes whenever the run's files do: time and size of its events, time of its heartbeat and its notes."""
    events, heartbeat, noted = files
    return (*_times(events), _times(heartbeat)[0], _times(noted)[0])


def _times(path: str) -> tuple[float, int]:
    try:
        facts = os.stat(path)
    except OSError:
        return 0.0, 0
    return facts.st_mtime, facts.st_size
