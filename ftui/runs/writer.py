"""The one writer of a run folder: its lock, its events, its heartbeat."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
import threading
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ftui import redaction
from ftui.errors import BadInput, Refused
from ftui.files import sync_folder
from ftui.runs import heartbeat
from ftui.runs.document import EventKind
from ftui.runs.heartbeat import Pulse
from ftui.runs.lines import backwards
from ftui.runs.owner import require_plain
from ftui.runs.process import Identity, identify, whereabouts

RESERVE_BYTES = 1 << 16
"""Kept on the disk while a worker runs, and freed so that even a full disk takes the `end` event."""
DYING_SECONDS = 3.0
"""How long a killed process may keep its lock: the kernel closes its files after it counts as ended."""
DURABLE: frozenset[EventKind] = frozenset({"checkpoint", "recovery", "end"})
"""Kinds that are synced to the disk: what they report must not be lost by a power cut."""
PENDING_LINES = 100_000

_held: set[Path] = set()
"""Run folders that this process holds: POSIX locks don't keep a process from taking, and so losing, its own."""


class RunWriter:
    """Held by the one process that may write to the run in `folder`, as a context manager.

    Entering takes the lock (Refused if another process has it), repairs a torn last line, and begins the attempt after
    the last one; `same_attempt` goes on with that one instead, for closing what a killed worker left.

    An event that can't be written (disk full, server away) is kept in memory and written later, in order: the
    training goes on.
    """

    def __init__(self, folder: Path, *, same_attempt: bool = False) -> None:
        self.folder = folder
        self.attempt = 0
        self._same_attempt = same_attempt
        self._lock = RunLock(folder)
        self._events = -1
        self._pending: deque[bytes] = deque()
        self._torn = False
        self._guard = threading.RLock()

    def __enter__(self) -> Self:
        require_plain(self.folder)
        me = self._lock.take()
        try:
            last = next(backwards(self.folder / "events.jsonl"), None)
            self._seq = last.seq if last else 0
            self.attempt = self._next_attempt(me, last.attempt if last else 0)
            self._events = os.open(self.folder / "events.jsonl", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            # Without its name in a synced folder a power cut would take the file with all that was synced in it.
            sync_folder(self.folder)
            self._torn = _is_torn(self._events)
            self._reserve = self.folder / ".reserve"
            _fill(self._reserve)
            self._pulse = Pulse(self.folder / "heartbeat", me, self.attempt)
            if not self._same_attempt:
                self._pulse.start()
        except BaseException as error:
            # Whatever comes between, an interrupt too: the lock must not outlive who asked for it.
            if self._events >= 0:
                os.close(self._events)
            self._lock.release()
            if isinstance(error, OSError):
                raise _unwritable(self.folder, error) from error
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._same_attempt:
            self._pulse.stop()
        self._reserve.unlink(missing_ok=True)
        with self._guard:
            self._write_out()
            os.close(self._events)
        self._lock.release()

    def _next_attempt(self, me: Identity, last: int) -> int:
        """The attempt after the last one that left an event or, killed before it could, a heartbeat only."""
        beat = heartbeat.read(self.folder / "heartbeat")
        if beat and beat.worker == me and beat.attempt > last:
            # Our launcher has written it, and counted us already.
            return beat.attempt
        return max(last, beat.attempt if beat else 0) + (0 if self._same_attempt else 1) or 1

    def emit(self, kind: EventKind, step: int | None = None, **data: Any) -> None:
        """Append one event; floats that are not finite become null, numbers of other libraries plain ones."""
        with self._guard:
            self._seq += 1
            record = {
                "v": 1, "seq": self._seq, "attempt": self.attempt, "time": time.time(), "kind": kind, "step": step,
                "data": data,
            }
            if len(self._pending) >= PENDING_LINES:
                self._pending.popleft()
            self._pending.append(_encode(record))
            if kind == "end":
                self._reserve.unlink(missing_ok=True)
            written = self._write_out()
            if kind == "end" and not written:
                # There was room for the last word only; the gap in `seq` shows what is missing.
                self._pending = deque([self._pending[-1]])
                written = self._write_out()
            if written and kind in DURABLE:
                _sync(self._events)

    def sync(self) -> None:
        """Have everything that was written so far survive a power cut, as events of kinds in `DURABLE` do anyway."""
        with self._guard:
            if self._write_out():
                _sync(self._events)

    def progressed(self) -> None:
        """Tell the heartbeat that a step was done."""
        self._pulse.progressed()

    @property
    def unwritten(self) -> int:
        """How many events wait for the disk to take them."""
        return len(self._pending)

    def _write_out(self) -> bool:
        """Write what waits; False where the disk refuses some of it for now."""
        while self._pending:
            line = (b"\n" if self._torn else b"") + self._pending[0]
            try:
                written = os.write(self._events, line)
            except OSError:
                return False
            if written < len(line):
                # Half a line on the disk: it is ended by the next write, and written again whole.
                self._torn = True
                continue
            self._torn = False
            self._pending.popleft()
        return True


class RunLock:
    """The file `lock` of a run folder: a POSIX lock, which NFS serves too, and in it who holds it.

    The content is what counts where the filesystem has no locks, or keeps them to each host.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None

    def take(self) -> Identity:
        """Take it and return who we are; Refused where another live process has it."""
        me = identify()
        assert me is not None, "this process is alive"
        if not (self._folder / "run.json").is_file():
            raise BadInput(f"{self._folder} is no run folder: it has no run.json.", "`ftui runs` lists the runs.")
        if self._folder.resolve() in _held:
            raise Refused(f"This process already writes the run {self._folder.name}.")
        try:
            file = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _unwritable(self._folder, error) from error
        try:
            locked, holder = _lock(file), _holder(file)
            until = time.monotonic() + DYING_SECONDS
            while locked is False and holder and whereabouts(holder) == "dead" and time.monotonic() < until:
                time.sleep(0.02)
                locked = _lock(file)
            if locked is False or (holder and holder != me and self._lives(holder, bool(locked))):
                raise Refused(
                    f"The run {self._folder.name} already has a worker"
                    + (f" (process {holder.pid} on {holder.host})." if holder else "."),
                    f"Watch it: ftui watch {self._folder.name}",
                )
            os.ftruncate(file, 0)
            os.pwrite(file, json.dumps(me.as_dict()).encode(), 0)
            os.fsync(file)
        except Refused:
            os.close(file)
            raise
        except OSError as error:
            os.close(file)
            raise _unwritable(self._folder, error) from error
        self._file = file
        _held.add(self._folder.resolve())
        return me

    def release(self) -> None:
        """Give it back, empty: an orderly end leaves no name in it."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            # On a disk that refuses even this the name stays; the lock itself is given back all the same.
            os.ftruncate(self._file, 0)
        os.close(self._file)
        self._file = None
        _held.discard(self._folder.resolve())

    def _lives(self, holder: Identity, locked: bool) -> bool:
        """Whether the process that wrote its name into the lock still works."""
        where = whereabouts(holder)
        if where != "unknown":
            # On this machine a lock that we hold proves that it died, a process that lives proves the opposite only
            # where the filesystem has no locks at all.
            return where == "alive" and not locked
        return _beats(self._folder / "heartbeat")


def _unwritable(folder: Path, error: OSError) -> Refused:
    return Refused(
        f"The run folder {folder} can't be written: {error.strerror}.",
        "Free some space or give write permission, then resume the run.",
    )


def _beats(path: Path) -> bool:
    """Whether a heartbeat changes while one looks: independent of the clocks of two hosts."""
    first, until = heartbeat.read(path), time.monotonic() + 3 * heartbeat.INTERVAL
    while first is not None and time.monotonic() < until:
        time.sleep(heartbeat.INTERVAL / 4)
        if heartbeat.read(path) != first:
            return True
    return False


def _lock(file: int) -> bool | None:
    """True: locked; False: another process has it; None: this filesystem has no locks."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL):
            return None
        raise
    return True


def _holder(file: int) -> Identity | None:
    try:
        return Identity.from_dict(json.loads(os.pread(file, 4096, 0)))
    except (ValueError, RecursionError):
        return None


def _is_torn(file: int) -> bool:
    size = os.fstat(file).st_size
    return size > 0 and os.pread(file, 1, size - 1) != b"\n"


def _fill(path: Path) -> None:
    """Claim the reserve; without room for it the run isn't worth starting."""
    with open(path, "wb") as file:
        file.write(os.urandom(RESERVE_BYTES))


def _sync(file: int) -> None:
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EINVAL):
            raise


def _encode(record: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        text = json.dumps(_finite(record), ensure_ascii=False, allow_nan=False)
    text = redaction.hide(text)
    # A lone surrogate (from a broken file name or a truncated text) can't be written as UTF-8.
    return text.encode("utf-8", "replace") + b"\n"


def _finite(value: Any) -> Any:
    """`value` in JSON's own types: what isn't finite as None, tensors and numpy's as numbers, the rest as text."""
    if isinstance(value, bool) or value is None or isinstance(value, (int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_finite(item) for item in value]
    if callable(plain := getattr(value, "tolist", None)):
        return _finite(plain())
    return str(value)
