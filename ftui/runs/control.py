"""Starting, stopping, resuming, deleting and waiting for a run's worker: by files and signals, from any process."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ftui.errors import Refused
from ftui.runs import heartbeat, inbox, trash
from ftui.runs.document import Event, JobKind
from ftui.runs.folder import Run, create
from ftui.runs.follow import follow
from ftui.runs.heartbeat import Heartbeat
from ftui.runs.logout import survival
from ftui.runs.on_end import wants_guard
from ftui.runs.owner import require_own, require_plain
from ftui.runs.process import Identity, identify, whereabouts
from ftui.runs.status import RunStatus, status
from ftui.runs.writer import RunWriter

WORKER = (sys.executable, "-m", "ftui.worker")
"""The command line of a worker, less its run folder."""

ENDS_WITH = "FTUI_ENDS_WITH"
"""In the environment of a worker that another one started: the process with which it ends."""

ENDING_SECONDS = 10.0
"""How long a resume waits for the process of an attempt that has written its end: it still holds the GPU."""
GRACE_SECONDS = 10.0
"""How long `stop(now=True)` leaves a worker to save before it is killed."""

_one_thread = threading.Lock()
"""Locks on files are a process's: its own threads would all have them."""


def start(run: Run, *, beside: bool = False) -> None:
    """Start the worker of `run`, detached from this terminal, session and process; with `beside`, as a child of this
    process that ends with it.

    Raises Refused where it has one already, is somebody else's, or the folder can't be written.
    """
    require_own(run)
    require_plain(run.path)
    with _starting(run):
        now, beat = status(run), heartbeat.read(run.heartbeat)
        # A new run is "queued" too: nobody has it until a heartbeat names a worker.
        if now.live and beat is not None:
            raise Refused(f"The run {run.id} is {now.state} already.", f"Watch it: ftui watch {run.id}")
        if beat is not None and not _gone(beat.worker, ENDING_SECONDS):
            raise Refused(f"The run {run.id} is {now.state}, but its worker is still busy ending.", "Try again soon.")
        inbox.clear(run.path)
        worker = _spawn(run, now.attempt + 1, beside=beside)
        # Until the worker's own first beat this one says who it is: if it dies before, the run shows as crashed.
        heartbeat.write(run.heartbeat, Heartbeat(worker, now.attempt + 1, time.time()))


def start_job(
    kind: JobKind, args: dict[str, Any], name: str, *, parent: str | None = None, command: str = ""
) -> Run:
    """Make and start a run that is not a training; `args` is what the job works on, in JSON's types."""
    run = create(kind, name, args=args, parent=parent, command=command)
    start(run)
    return run


def resume(run: Run, *, force: bool = False, queued: bool = False) -> None:
    """Start a new attempt that goes on from the last checkpoint; with `queued` once its turn has come and a device is
    free.

    Refused while a worker has the run, once it has finished, and where it may still run on another host, unless
    `force` says that that host is gone.
    """
    require_own(run)
    now = status(run)
    if now.live:
        raise Refused(f"The run {run.id} is {now.state}: there is nothing to resume.", f"Watch it: ftui watch {run.id}")
    if now.state == "finished":
        raise Refused(
            f"The run {run.id} has finished.",
            f"Train on by a new run from its recipe: ftui launch {run.path / 'recipe.yaml'} --set train.epochs=...",
        )
    if now.state == "unreachable" and not force:
        raise Refused(now.text, now.hint)
    if not queued:
        start(run)
        return
    if run.info.kind == "stages" or run.is_stage:
        raise Refused("A recipe with stages can't wait in the queue.", f"Resume it at once: ftui runs resume {run.id}")
    from ftui.runs import queue

    queue.enter(run)
    try:
        start(run)
    except Refused:
        queue.leave(run.id)
        raise


def stop(run: Run, *, now: bool = False, grace: float = GRACE_SECONDS) -> RunStatus:
    """Ask the worker to save and stop at the next step; with `now`, kill it if it hasn't within `grace` seconds.

    Returns the status after that.  Refused where nothing runs, or `now` is asked for on another host's worker.
    """
    require_own(run)
    before = status(run)
    if not before.live and before.state != "unreachable":
        raise Refused(f"The run {run.id} is not running ({before.state}).", f"ftui runs show {run.id}")
    try:
        inbox.send(run, "stop")
    except Refused:
        # A signal needs no room on a disk.
        if not now:
            raise
    if not now:
        return status(run)
    beat = heartbeat.read(run.heartbeat)
    if beat is None or whereabouts(beat.worker) == "unknown":
        raise Refused(
            f"The worker of {run.id} is not on this machine"
            + (f" but on {beat.worker.host}." if beat else ": it hasn't started yet."),
            "It was asked to save and stop; to kill it, do this on its machine.",
        )
    _kill(beat.worker, grace)
    _close(run, before)
    return status(run)


def delete(run: Run, *, force: bool = False) -> int:
    """Remove the run's folder with its checkpoints and output for good; returns the bytes on the disk that this frees.

    With a run that leads stages they go, too.  Refused while a worker has it, or may have it on another host (unless
    `force`).
    """
    aside = set_aside([run], force=force)
    try:
        trash.discard([aside])
        trash.empty()
    except OSError as error:
        raise _unmovable(error, run) from error
    return aside.size


def set_aside(runs: Sequence[Run], *, force: bool = False) -> trash.Aside:
    """Take runs out of the list so that `trash.restore` can bring them back, each with the stages that it leads.

    Refused, and then for all of them, where `delete` is.
    """
    whole = {each.id: each for run in runs for each in (run, *(run.stages() if run.info.kind == "stages" else ()))}
    for each in whole.values():
        require_own(each)
        now = status(each)
        if now.live:
            raise Refused(f"The run {each.id} is {now.state}.", f"Stop it first: ftui runs stop {each.id}")
        if now.state == "unreachable" and not force:
            raise Refused(now.text, f"If that machine is gone: ftui runs delete {each.id} --force")
    try:
        with _alone(*whole.values()):
            if started := next((each for each in whole.values() if status(each).live), None):
                raise Refused(f"The run {started.id} has just been started.", f"Stop it: ftui runs stop {started.id}")
            return trash.put_aside(list(whole.values()), runs)
    except OSError as error:
        raise _unmovable(error, runs[0]) from error


def _unmovable(error: OSError, run: Run) -> Refused:
    where = error.filename or run.path
    remedy = "Check its permissions."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = f"To make room, delete it for good: ftui runs delete {run.id}"
    return Refused(f"{where} can't be removed: {error.strerror}.", remedy)


def wait(run: Run, on_event: Callable[[Event], None] | None = None, *, interval: float = 0.5) -> RunStatus:
    """Wait until `run` is over and return its last status; every event since its first is handed to `on_event`.

    An interrupt ends the waiting, never the run.
    """
    last = status(run)
    for item in follow(run, interval=interval):
        if isinstance(item, RunStatus):
            last = item
        elif on_event:
            on_event(item)
    return last


def _spawn(run: Run, attempt: int, *, beside: bool) -> Identity:
    prefix, environment = () if beside else survival().prefix, _environment(run)
    if beside:
        environment[ENDS_WITH] = str(os.getpid())
    log = os.open(run.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(log, f"=== attempt {attempt}, {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
        pid = _detached([*prefix, *WORKER, str(run.path)], log, environment, session=not beside)
        worker = identify(pid) or Identity(pid, -1.0, *_here())
        if wants_guard(run):
            said = json.dumps(worker.as_dict())
            guard = (sys.executable, "-m", "ftui.runs.on_end", str(run.path), said, str(attempt))
            _detached([*prefix, *guard], log, environment)
    finally:
        os.close(log)
    return worker


def _detached(command: list[str], log: int, environment: dict[str, str], *, session: bool = True) -> int:
    """Start a process, mostly of its own session, that holds nothing of ours; returns its pid."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=session, cwd="/", env=environment
    )
    # Collects the exit code when it ends while this process lives, so that no zombie stays.
    threading.Thread(target=process.wait, name=f"reap-{process.pid}", daemon=True).start()
    return process.pid


def _here() -> tuple[str, str, str]:
    me = identify()
    assert me is not None, "this process is alive"
    return me.host, me.boot, me.namespace


def _environment(run: Run) -> dict[str, str]:
    """Ours, with what must stand before torch is imported.  Tokens travel in it as they do to every child, and no
    further: huggingface_hub reads its own login file, and nothing of it is an argument, a file or an event."""
    inherited = {name: value for name, value in os.environ.items() if name != ENDS_WITH}
    environment = {**inherited, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8:backslashreplace"}
    recipe = run.recipe()
    if recipe is not None and isinstance(recipe.compute.threads, int):
        environment["OMP_NUM_THREADS"] = str(recipe.compute.threads)
    return environment


@contextlib.contextmanager
def _starting(run: Run) -> Iterator[None]:
    """Only one process, and one thread of it, starts a worker at a time, so that two resumes at once can't hide each
    other's."""
    try:
        with _alone(run):
            yield
    except OSError as error:
        raise Refused(
            f"The worker of {run.id} can't be started: {error.strerror} ({error.filename or run.path}).",
            "Free some space or give write permission, then resume the run.",
        ) from error


@contextlib.contextmanager
def _alone(*runs: Run) -> Iterator[None]:
    """Meanwhile nobody else starts a worker of these, or takes them out of the list."""
    with _one_thread, contextlib.ExitStack() as held:
        # In one order everywhere, so that two who want the same never wait for each other.
        for run in sorted(runs, key=lambda run: run.id):
            file = held.enter_context(open(run.path / ".starting", "w"))
            with contextlib.suppress(OSError):
                # Where the filesystem has no locks, the worker's own lock still sees to it that only one works.
                fcntl.lockf(file, fcntl.LOCK_EX)
        yield


def _kill(worker: Identity, grace: float) -> None:
    """SIGTERM, which saves; after `grace` seconds SIGKILL to its whole process group.  Each time by its identity."""
    _signal(worker, signal.SIGTERM)
    if not _gone(worker, grace):
        _signal(worker, signal.SIGKILL)
        _gone(worker, 5)


def _gone(worker: Identity, seconds: float) -> bool:
    """Whether that process ends within `seconds`."""
    until = time.monotonic() + seconds
    while whereabouts(worker) == "alive":
        if time.monotonic() >= until:
            return False
        time.sleep(0.02)
    return True


def _signal(worker: Identity, number: signal.Signals) -> None:
    if whereabouts(worker) != "alive":
        return
    with contextlib.suppress(ProcessLookupError):
        # It ended just now: all the better.
        if number == signal.SIGKILL and os.getpgid(worker.pid) == worker.pid:
            os.killpg(worker.pid, number)
        else:
            os.kill(worker.pid, number)


def _close(run: Run, before: RunStatus) -> None:
    """Write the `end` that a killed worker couldn't."""
    if status(run).state != "crashed":
        return
    at = f" at step {before.step:,}" if before.step is not None else ""
    # Where even this can't be written, "crashed" stays, which is true as well.
    with contextlib.suppress(Refused), RunWriter(run.path, same_attempt=True) as writer:
        writer.emit(
            "end", status="stopped", text=f"Stopped at once{at}, without saving.",
            hint=f"Go on from the last checkpoint: ftui runs resume {run.id}", metrics={}, output=None,
        )
