"""The guard of a run that is to be heard of: the recipe's `compute.on_end`, a command, and `compute.webhook`.

A process of its own waits until the worker is gone, however it ended, so that also a killed one switches the rented
machine off, and what the command starts finds the GPU's memory free.  Meanwhile it listens for what a person should see
to.  `python -m ftui.runs.on_end RUN_FOLDER WORKER ATTEMPT`.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ftui.errors import FtuiError, Refused
from ftui.runs import heartbeat
from ftui.runs.folder import Run
from ftui.runs.lines import backwards
from ftui.runs.notice import Attention, Notice, about, at_end
from ftui.runs.process import Identity, whereabouts
from ftui.runs.status import RunStatus, as_ended, status
from ftui.runs.writer import RunWriter

LOOK_SECONDS = 1.0
SETTLE_SECONDS = 1.0
"""Left to whoever killed the worker to write why."""
LOOKED_BACK = 20_000
"""Events of a next attempt among which the end of this one is looked for."""
SILENT: dict[str, object] = {"compute.on_end": None, "compute.webhook": None}
"""What to assign to a recipe of which a part only is run, or which others lead."""


def wants_guard(run: Run) -> bool:
    """Whether anybody is to hear of the end of `run`."""
    recipe = run.recipe()
    return recipe is not None and bool(recipe.compute.on_end or recipe.compute.webhook)


def guard(run: Run, worker: Identity, attempt: int) -> None:
    """Stand by `worker`, which began with `attempt`, and say what there is to say: each attempt's end once."""
    began, failures = time.time(), list[FtuiError]()
    attention = Attention(run)
    while whereabouts(worker) == "alive":
        time.sleep(LOOK_SECONDS)
        for notice in attention.poll():
            failures += _send(run, notice)
    time.sleep(SETTLE_SECONDS)
    beat = heartbeat.read(run.heartbeat)
    if beat is None or beat.worker == worker:
        now = status(run)
        if now.over:
            execute(run, now, began=began, failures=failures)
    elif (before := _before(run, attempt, beat.attempt)) is not None:
        # Somebody has resumed it meanwhile: the message still holds, while the command would end what goes on.
        _warn(run, [*failures, *_send(run, at_end(run, before, began))])


def _before(run: Run, attempt: int, later: int) -> RunStatus | None:
    """How an attempt ended that another one, `later`, has followed already; None where it could not say so."""
    for event in itertools.islice(backwards(run.events), LOOKED_BACK):
        if event.attempt < attempt:
            return None
        if event.kind == "end" and event.attempt < later:
            return as_ended(event, {"metrics": {}})
    return None


def execute(
    run: Run, now: RunStatus, *, began: float | None = None, failures: Sequence[FtuiError] = ()
) -> None:
    """Send the message, then run the command with FTUI_RUN, FTUI_STATUS and FTUI_FOLDER set, which may switch the
    machine off; each failure, those before (`failures`) too, becomes a warning among the events."""
    recipe = run.recipe()
    if recipe is None:
        return
    _warn(run, [*failures, *_send(run, at_end(run, now, began))])
    if not recipe.compute.on_end:
        return
    environment = {**os.environ, "FTUI_RUN": run.id, "FTUI_STATUS": now.state, "FTUI_FOLDER": str(run.path)}
    code = subprocess.run(
        recipe.compute.on_end, shell=True, env=environment, stdin=subprocess.DEVNULL, check=False
    ).returncode
    if code:
        text = f"The command at the end failed with exit code {code}: {recipe.compute.on_end}"
        _warn(run, [Refused(text, f"Its output: ftui runs log {run.id}")])


def _send(run: Run, notice: Notice) -> list[FtuiError]:
    """Send `notice`, if anybody wants it; what went wrong."""
    recipe = run.recipe()
    if recipe is None or recipe.compute.webhook is None:
        return []
    # Whoever starts a run imports this module, and needs no HTTP for it.
    from ftui.runs import webhook

    try:
        webhook.send(webhook.address(recipe.compute.webhook), notice.message(about(run)))
    except FtuiError as error:
        return [error]
    return []


def _warn(run: Run, errors: Sequence[FtuiError]) -> None:
    """Write each of `errors` once, as a warning; where the run can't be written, into its log."""
    told = dict.fromkeys((error.what, error.hint) for error in errors)
    if not told:
        return
    try:
        with RunWriter(run.path, same_attempt=True) as writer:
            for what, hint in told:
                writer.emit("warning", text=what, hint=hint)
    except FtuiError:
        # Another attempt has the run, or the disk is full: our stderr is worker.log.
        for what, _ in told:
            print(f"ftui: {what}", file=sys.stderr)


def main(folder: str, worker: str, attempt: str) -> int:
    """What the module does as a command; `worker` is an identity as JSON."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    identity = Identity.from_dict(json.loads(worker))
    if identity is None:
        return 2
    try:
        guard(Run(Path(folder)), identity, int(attempt))
    except FtuiError as error:
        print(f"ftui: at the end: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
