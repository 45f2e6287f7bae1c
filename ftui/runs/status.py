"""What state a run is in: derived at this moment from its last events, its heartbeat and its process, never stored."""

from __future__ import annotations

import itertools
import os
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ftui.documents import Document
from ftui.errors import BadInput
from ftui.runs import heartbeat
from ftui.runs.document import Event, State
from ftui.runs.folder import Run
from ftui.runs.heartbeat import Heartbeat
from ftui.runs.lines import CHUNK, backwards, parse_line
from ftui.runs.process import same_machine, whereabouts
from ftui.runs.vanished import why

OVER: frozenset[State] = frozenset({"finished", "stopped", "failed", "crashed"})
"""Nobody works on it, and nobody will unless it is resumed."""
LIVE: frozenset[State] = frozenset({"queued", "preparing", "running", "paused"})

START_SECONDS = 30.0
"""How long a new run may be without a worker: its launcher is about to start one."""
TAIL_EVENTS = 2000
RATE_EVENTS = 200
ENDED_EVENTS = 30
"""How many of the newest events are read at most, at least for a pace, and for the last numbers of an ended run."""


class RunStatus(Document):
    """The truth about a run now.  Times are seconds since the epoch, durations seconds; `step` counts optimizer steps.

    `text` and `hint` are sentences for people; `metrics` the newest value of each logged number, of the final ones
    where the run has ended.
    """

    state: State
    text: str
    hint: str | None = None
    attempt: int = 0
    step: int | None = None
    total: int | None = None
    doing: str | None = None
    """What the newest progress bar is about, such as "Tokenizing"."""
    done: float | None = None
    """How far that bar is, in 0..1."""
    since: float | None = None
    """When this state began, where the newest events tell."""
    updated: float | None = None
    """The time of the newest event."""
    progressed: float | None = None
    """When the worker last got on: old while it is running means that a step hangs."""
    eta_seconds: float | None = None
    metrics: dict[str, Any] = {}
    output: str | None = None
    pid: int | None = None
    """The worker's process, while it lives on this machine."""
    host: str | None = None

    @property
    def over(self) -> bool:
        """Whether the run has come to an end, good or bad."""
        return self.state in OVER

    @property
    def live(self) -> bool:
        """Whether a worker has it, or is about to."""
        return self.state in LIVE


def status(run: Run) -> RunStatus:
    """The status of `run`; reads only the end of its events.  Never raises for what a damaged folder holds."""
    beat = heartbeat.read(run.heartbeat)
    # The heartbeat first: a worker that ends in between leaves its `end` event to be read after it.
    tail = _Tail.of(run)
    attempt = max(tail.attempt, beat.attempt if beat else 0)
    common = tail.common() | {
        "attempt": attempt, "progressed": beat.progressed if beat else None, "host": beat.worker.host if beat else None,
    }
    if tail.end and tail.attempt == attempt:
        return as_ended(tail.end, common)
    if beat is None:
        return _unattended(run, tail, common)
    where = whereabouts(beat.worker)
    if where == "alive" or (where == "unknown" and beat.fresh):
        return _living(run, beat, tail, where, common)
    if where == "unknown" and not same_machine(beat.worker):
        return RunStatus(
            state="unreachable",
            text=f"It was started on {beat.worker.host}, which has not been heard of since "
            f"{time.strftime('%Y-%m-%d %H:%M', time.localtime(_clamp(beat.time)))}.",
            hint=f"If that machine is gone: ftui runs resume {run.id} --force",
            **common,
        )
    return _crashed(run, beat, tail, attempt, common)


def as_ended(end: Event, common: dict[str, Any]) -> RunStatus:
    """The status that the event `end` left; `common` are the fields that every state shares."""
    state = _text(end.data.get("status"))
    final = end.data.get("metrics")
    output = end.data.get("output")
    return RunStatus(
        state=state if state in OVER else "failed",
        text=str(end.data.get("text") or "It ended without saying why."),
        hint=_text(end.data.get("hint")),
        since=end.time,
        output=_text(output),
        **common | {"metrics": common["metrics"] | (final if isinstance(final, dict) else {})},
    )


def _unattended(run: Run, tail: _Tail, common: dict[str, Any]) -> RunStatus:
    """No worker has left a heartbeat: it is about to start, or it never will."""
    try:
        created, parent = run.info.created, run.info.parent if run.is_stage else None
    except BadInput as error:
        return RunStatus(state="crashed", text=error.what, hint=error.hint, **common)
    if parent is not None and tail.newest is None:
        return _next_stage(run, parent, common)
    # A heartbeat that is there and can't be read is what a power cut leaves of one.
    if tail.newest is None and abs(time.time() - created) < START_SECONDS and not run.heartbeat.exists():
        return RunStatus(state="queued", text="Waiting for its worker to start.", since=created, **common)
    never = tail.newest is None and not run.heartbeat.exists()
    text = "It was never started." if never else "Its worker is gone and left no trace."
    return RunStatus(state="crashed", text=text, hint=f"Start it: ftui runs resume {run.id}", **common)


def _next_stage(run: Run, parent: str, common: dict[str, Any]) -> RunStatus:
    """A stage that nobody has begun: its turn comes while its parent lives."""
    whole = Run(run.path.with_name(parent))
    if (whole.path / "run.json").exists() and status(whole).live:
        return RunStatus(state="queued", text="Waiting for the stages before it.", since=run.info.created, **common)
    text, hint = "Its turn has not come: the run that leads it has ended.", f"Go on: ftui runs resume {parent}"
    return RunStatus(state="crashed", text=text, hint=hint, **common)


def _living(run: Run, beat: Heartbeat, tail: _Tail, where: str, common: dict[str, Any]) -> RunStatus:
    pid = beat.worker.pid if where == "alive" else None
    if tail.attempt < beat.attempt:
        text = "Starting." if beat.attempt <= 1 else "Starting again."
        return RunStatus(state="preparing", text=text, since=beat.time, pid=pid, **common)
    said = _text(tail.said.data.get("state")) if tail.said else "running"
    state: State = said if said in LIVE else "running"
    return RunStatus(
        state=state,
        text=tail.sentence(),
        since=tail.said.time if tail.said else None,
        eta_seconds=tail.eta() if state == "running" else None,
        pid=pid,
        **common,
    )


def _crashed(run: Run, beat: Heartbeat, tail: _Tail, attempt: int, common: dict[str, Any]) -> RunStatus:
    if tail.attempt < attempt:
        text = "Its worker ended before it could say a word."
        hint = f"Read why: ftui runs log {run.id}"
    else:
        at = f" at step {tail.step:,}" if tail.step is not None else ""
        how, besides = why(beat, run.log)
        text = f"Its worker vanished{at}: {how}."
        what = "Go on from the last checkpoint" if run.info.kind in ("train", "stages") else "Start it again"
        hint = " ".join(filter(None, (besides, f"{what}: ftui runs resume {run.id}")))
    return RunStatus(state="crashed", text=text, hint=hint, since=common["updated"], **common)


_tails: OrderedDict[Path, _Tail] = OrderedDict()
"""What the last events of runs that go on said, by their events files: who looks every second reads only what is new.

A training says that it runs once, before thousands of metrics; that need not be looked for each time, either.
"""
KNOWN_RUNS = 256
NEW_BYTES = 1 << 20
"""After more than so much that is new a reader begins anew, from the end."""
WITNESS_BYTES = 64


class _Tail:
    """What the last events say, taken in one after the other."""

    def __init__(self) -> None:
        self.newest: Event | None = None
        self.end: Event | None = None
        self.said: Event | None = None
        self.bar: Event | None = None
        self.steps: Event | None = None
        self.step: int | None = None
        self.metrics: dict[str, Any] = {}
        self._pace: deque[tuple[int, float]] = deque(maxlen=RATE_EVENTS)
        self._offset = 0
        self._inode = 0
        self._witness = b""
        """The bytes before `_offset`: they tell whether the file is still the one that was read."""

    @classmethod
    def of(cls, run: Run) -> _Tail:
        """Brought up to date, or read from the end of the events, no further back than needed."""
        known = _tails.pop(run.events, None)
        if known is None or not known._go_on(run.events):
            known = cls()
            known._begin(run.events)
        if known._witness and known.end is None:
            _tails[run.events] = known
            if len(_tails) > KNOWN_RUNS:
                _tails.popitem(last=False)
        return known

    def _begin(self, path: Path) -> None:
        try:
            with open(path, "rb") as file:
                self._inode, size = os.fstat(file.fileno()).st_ino, file.seek(0, os.SEEK_END)
                start = max(size - CHUNK, 0)
                file.seek(start)
                data = file.read(size - start)
        except OSError:
            return
        end = data.rfind(b"\n") + 1
        # Without a newline in sight the last line is a long one: it is read each time.
        self._offset, self._witness = (start + end, data[max(end - WITNESS_BYTES, 0) : end]) if end else (size, b"")
        self._take(_needed(backwards(path, self._offset))[::-1])

    def _go_on(self, path: Path) -> bool:
        """Take in what is new; False where this is another file by now."""
        try:
            with open(path, "rb") as file:
                facts = os.fstat(file.fileno())
                new = facts.st_size - self._offset
                if facts.st_ino != self._inode or not 0 <= new <= NEW_BYTES:
                    return False
                file.seek(self._offset - len(self._witness))
                data = file.read(len(self._witness) + new)
        except OSError:
            return False
        if not data.startswith(self._witness):
            return False
        end = data.rfind(b"\n") + 1
        self._take([event for line in data[len(self._witness) : end].split(b"\n") if (event := parse_line(line))])
        self._offset += end - len(self._witness)
        self._witness = data[max(end - WITNESS_BYTES, 0) : end]
        return True

    @property
    def attempt(self) -> int:
        """The newest attempt that has an event; 0 without any."""
        return self.newest.attempt if self.newest else 0

    def _take(self, events: list[Event]) -> None:
        """Take in what came after the others, oldest first."""
        newest: dict[str, Any] = {}
        for event in reversed(events):
            if event.kind in ("metric", "evaluation"):
                for name, value in event.measured.items():
                    if name not in newest and _number(value) is not None:
                        newest[name] = value
        self.metrics |= newest
        for event in events:
            self._take_one(event)

    def _take_one(self, event: Event) -> None:
        if event.attempt != self.attempt:
            self.end = self.said = self.bar = None
            self._pace.clear()
        self.newest = event
        if event.kind == "end":
            self.end = event
        elif event.kind == "status":
            self.said = event
        elif event.kind == "progress":
            self.bar = event
            if event.data.get("unit", "step") == "step":
                self.steps = event
        if event.step is not None and event.kind in ("metric", "progress"):
            self.step = event.step
            self._pace.append((event.step, event.time))

    def common(self) -> dict[str, Any]:
        """The fields that every state shares."""
        total = _number(self.steps.data.get("total")) if self.steps else None
        bar = self.bar.data if self.bar else {}
        done, whole = _number(bar.get("done")), _number(bar.get("total"))
        return {
            "step": self.step, "total": None if total is None else int(total), "metrics": self.metrics,
            "updated": self.newest.time if self.newest else None, "doing": _text(bar.get("text")),
            "done": min(max(done / whole, 0.0), 1.0) if done is not None and whole else None,
        }

    def sentence(self) -> str:
        """What goes on: the newest of the status' and the bar's texts."""
        newest = max((e for e in (self.said, self.bar) if e), key=lambda event: event.seq, default=None)
        return str(newest.data.get("text") or "Running.") if newest else "Running."

    def eta(self) -> float | None:
        """Seconds until the last step at the pace of the newest events."""
        total = self.common()["total"]
        if total is None or len(self._pace) < 2:
            return None
        (first, began), (last, ended) = self._pace[0], self._pace[-1]
        steps, seconds = last - first, ended - began
        if steps <= 0 or seconds <= 0:
            return None
        remaining = max(total - last, 0) * seconds / steps
        return max(remaining - max(time.time() - ended, 0.0), 0.0)


def _needed(newest_first: Iterator[Event]) -> list[Event]:
    """Those of the last events that are needed to know how a run stands, the newest first."""
    found: list[Event] = []
    ended = said = counted = False
    for event in itertools.islice(newest_first, TAIL_EVENTS):
        current = not found or event.attempt == found[0].attempt
        if not current and (ended or said):
            break
        found.append(event)
        ended |= current and event.kind == "end"
        said |= current and event.kind == "status"
        counted |= event.kind == "progress" and event.data.get("unit", "step") == "step"
        if counted and ((said and len(found) > RATE_EVENTS) or (ended and len(found) > ENDED_EVENTS)):
            break
    return found


def _number(value: Any) -> float | None:
    """`value` as a finite float; None for everything else, a bool included."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if abs(number) < float("inf") else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _clamp(when: float) -> float:
    """A time that the calendar can show, whatever a damaged heartbeat holds."""
    return when if 0 <= when < 1e11 else 0.0
