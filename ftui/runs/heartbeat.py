"""The heartbeat: who works on a run, and when it last got on."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from ftui.hardware import cgroup, oom
from ftui.runs.process import Identity

INTERVAL = 2.0
"""Seconds between beats."""
STALE = 10.0
"""Seconds after which a worker that can't be looked at counts as silent."""


@dataclass(frozen=True)
class Heartbeat:
    """One beat: the worker, its attempt, when it beat, and when the last step was done (epoch seconds)."""

    worker: Identity
    attempt: int
    time: float
    progressed: float | None = None
    free_bytes: int | None = None
    """RAM that was to be had at the beat, and all there is, as far as this process may use it."""
    total_bytes: int | None = None
    oom_kills: dict[str, int] = field(default_factory=dict)
    """See `ftui.hardware.oom`: a count that has risen since says who ended the worker."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types, flat."""
        return {
            **self.worker.as_dict(), "attempt": self.attempt, "time": self.time, "progressed": self.progressed,
            "free_bytes": self.free_bytes, "total_bytes": self.total_bytes, "oom_kills": self.oom_kills,
        }

    @property
    def fresh(self) -> bool:
        """Whether it was written just now, by clocks that may differ a little."""
        return abs(time.time() - self.time) < STALE


def read(path: Path) -> Heartbeat | None:
    """The last beat; None where there is none or it is damaged."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    worker = Identity.from_dict(data)
    if worker is None:
        return None
    try:
        progressed, free, total = data.get("progressed"), data.get("free_bytes"), data.get("total_bytes")
        return Heartbeat(
            worker, int(data.get("attempt", 0)), float(data["time"]), None if progressed is None else float(progressed),
            None if free is None else int(free), None if total is None else int(total),
            {str(path): int(number) for path, number in data.get("oom_kills", {}).items()},
        )
    except (TypeError, ValueError, KeyError, OverflowError, AttributeError):
        return None


def write(path: Path, beat: Heartbeat) -> None:
    """Replace the heartbeat.  Not synced: after a power cut it is worth nothing, and on NFS syncing costs a lot."""
    text = json.dumps(beat.as_dict())
    temporary = path.with_name(f".{path.name}.{beat.worker.pid}")
    try:
        temporary.write_text(text)
        os.replace(temporary, path)
    except OSError:
        # A full disk refuses the new file but often takes a few bytes in the old one's place.
        temporary.unlink(missing_ok=True)
        path.write_text(text)


class Pulse:
    """A thread that writes the heartbeat every two seconds until `stop()`."""

    def __init__(self, path: Path, worker: Identity, attempt: int) -> None:
        self._path, self._worker, self._attempt = path, worker, attempt
        self._progressed: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ftui-heartbeat", daemon=True)

    def start(self) -> None:
        """Beat once at once, so that the caller knows that it can be done, then go on in the thread."""
        self._beat()
        self._thread.start()

    def progressed(self) -> None:
        """Note that a step was done now; written with the next beat."""
        self._progressed = time.time()

    def stop(self) -> None:
        """Beat no more; the last beat stays, and says which attempt it belonged to."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(INTERVAL):
            try:
                self._beat()
            except OSError:
                # A missed beat (disk full, NFS server away) is made up for by the next one.
                continue

    def _beat(self) -> None:
        free, total = _memory()
        write(self._path, Heartbeat(
            self._worker, self._attempt, time.time(), self._progressed, free, total, oom.counters()
        ))


def _memory() -> tuple[int | None, int | None]:
    """(free, all) bytes of RAM within the limits of this process's memory group; None where it can't be told."""
    try:
        memory, limits = psutil.virtual_memory(), cgroup.limits()
    except (OSError, psutil.Error, ValueError):
        return None, None
    if limits.memory is None or limits.memory >= memory.total:
        return memory.available, memory.total
    return min(memory.available, max(limits.memory - (limits.memory_used or 0), 0)), limits.memory
