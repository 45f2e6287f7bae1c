"""One process per run: `python -m ftui.worker RUN_FOLDER`.

Whatever a job throws, the run gets one `end` event that says in a sentence what happened and what to do.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from ftui.errors import BadInput, FtuiError
from ftui.paths import cache_dir
from ftui.redaction import Shielded
from ftui.runs import inbox
from ftui.runs.control import ENDS_WITH
from ftui.runs.folder import Run
from ftui.runs.writer import RunWriter
from ftui.worker import turn
from ftui.worker.context import BEGAN, JobContext, Outcome, StartAgain
from ftui.worker.ending import explain
from ftui.worker.leaving import leave

Job = Callable[[JobContext], None]

AGAIN = 75
"""What `main` returns where the job asks for a fresh process (sysexits.h's word for "try again")."""
PR_SET_PDEATHSIG = 1
"""Linux's word for "signal me when my parent dies" (`man prctl`)."""

QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    "BITSANDBYTES_NOWELCOME": "1",
}


def main(folder: str | Path, job: Job | None = None) -> int:
    """Do the run in `folder` and return the exit code: 0 finished or stopped, 1 failed, 2 refused, `AGAIN`.

    `job` replaces the one that run.json names.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    # Where transformers copies a model's own code before it imports it: its default, the hub's cache, may be shared.
    os.environ["HF_MODULES_CACHE"] = str(cache_dir() / "code" / "modules")
    # What libraries deprecate among themselves is nothing to a reader of worker.log.
    for category in (FutureWarning, DeprecationWarning):
        warnings.simplefilter("ignore", category)
    # bitsandbytes says of each product with 8-bit weights what is meant.
    warnings.filterwarnings("ignore", message="MatMul8bitLt: inputs will be cast")
    faulthandler.enable()
    # A closing terminal must not reach us, also where a launcher in between has armed it again.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _end_with_parent()
    run = Run(Path(folder).absolute())
    try:
        with RunWriter(run.path) as writer:
            context = JobContext(run, writer)
            status = _work(context, writer, job)
            if status == "again":
                os.environ[BEGAN] = str(context.began)
                return AGAIN
            inbox.clear(run.path)
            if writer.unwritten:
                print(f"{writer.unwritten} events could not be written.", file=sys.stderr)
    except FtuiError as error:
        print(f"ftui worker: {error}", file=sys.stderr)
        return 2
    return 1 if status == "failed" else 0


def _work(context: JobContext, writer: RunWriter, job: Job | None) -> str:
    """Run the job and write its end; returns the status, "again" for a job that has not come to an end."""
    _listen(context)
    writer.emit("status", state="preparing", text="Starting." if context.attempt == 1 else "Resuming.")
    try:
        if turn.wait(context):
            context.limit_hours(_max_hours(context))
            (job or _find_job(context.info.kind))(context)
    except StartAgain:
        _deafen()
        return "again"
    except BaseException as error:  # noqa: BLE001  (whatever it is, the run must end with a sentence)
        traceback.print_exc()
        _deafen()
        ending = explain(error, context.run.id)
        status: str = ending.status
        metrics = context.outcome.metrics if context.outcome else {}
        writer.emit("end", status=status, text=ending.text, hint=ending.hint, metrics=metrics, output=None)
    else:
        _deafen()
        outcome = context.outcome or Outcome("Stopped." if context.stop_seen else "Done.")
        status = outcome.status or ("stopped" if context.stop_seen else "finished")
        hint = outcome.hint or (f"Go on from there: ftui runs resume {context.run.id}" if status == "stopped" else None)
        writer.emit(
            "end", status=status, text=outcome.text, hint=hint, metrics=outcome.metrics, output=outcome.output
        )
    return status


def _end_with_parent() -> None:
    """Where another worker has started us: have the kernel ask us to save and stop as soon as that one is gone.

    Where there is no such kernel, we train on, and are found by the next attempt.
    """
    leader = os.environ.pop(ENDS_WITH, None)
    if leader is None:
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != int(leader):
        # It went before the kernel knew.
        os.kill(os.getpid(), signal.SIGTERM)


def _find_job(kind: str) -> Job:
    name = f"ftui.worker.jobs.{kind}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise BadInput(f"This ftui has no job {kind!r}.", "The run was made by another version of ftui.") from error
    job: Job = module.run
    return job


def _max_hours(context: JobContext) -> float | None:
    recipe = context.run.recipe()
    return recipe.compute.max_hours if recipe else None


def _listen(context: JobContext) -> None:
    """SIGTERM and SIGINT ask for a stop that saves; a second SIGINT is meant at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and context.stop_reason is not None:
            raise KeyboardInterrupt
        context.ask_stop(f"it received {signal.Signals(number).name}")

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def _deafen() -> None:
    """From here on only the end is written: no signal may come in between."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m ftui.worker RUN_FOLDER")
    # What is printed ends in worker.log, and libraries print what they like.
    sys.stdout, sys.stderr = Shielded(sys.stdout), Shielded(sys.stderr)
    code = main(sys.argv[1])
    if code == AGAIN:
        # The same process to everybody else: its launcher, its guard, the kernel.
        os.execv(sys.executable, [sys.executable, "-m", "ftui.worker", sys.argv[1]])
    leave(code)
