"""The recipe's `compute.on_end`: a command run once the worker is gone, however it ended.

A guard process of its own waits for that, so that also a killed worker switches the rented machine off, and what the
command starts finds the GPU's memory free: `python -m ftui.runs.on_end RUN_FOLDER WORKER`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ftui.errors import FtuiError
from ftui.runs.folder import Run
from ftui.runs.process import Identity, whereabouts
from ftui.runs.status import status
from ftui.runs.writer import RunWriter

LOOK_SECONDS = 1.0
SETTLE_SECONDS = 1.0
"""Left to whoever killed the worker to write why."""


def guard(run: Run, worker: Identity) -> None:
    """Wait until `worker` is gone, then run the command, unless another attempt has begun meanwhile."""
    while whereabouts(worker) == "alive":
        time.sleep(LOOK_SECONDS)
    time.sleep(SETTLE_SECONDS)
    now = status(run)
    if now.over:
        execute(run, now.state)


def execute(run: Run, state: str) -> None:
    """Run the command with FTUI_RUN, FTUI_STATUS and FTUI_FOLDER set; a failure becomes a warning among the events."""
    recipe = run.recipe()
    if recipe is None or not recipe.compute.on_end:
        return
    environment = {**os.environ, "FTUI_RUN": run.id, "FTUI_STATUS": state, "FTUI_FOLDER": str(run.path)}
    code = subprocess.run(
        recipe.compute.on_end, shell=True, env=environment, stdin=subprocess.DEVNULL, check=False
    ).returncode
    if code:
        with RunWriter(run.path, same_attempt=True) as writer:
            writer.emit(
                "warning", text=f"The command at the end failed with exit code {code}: {recipe.compute.on_end}",
                hint=f"Its output: ftui runs log {run.id}",
            )


def main(folder: str, worker: str) -> int:
    """What the module does as a command; `worker` is an identity as JSON."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    identity = Identity.from_dict(json.loads(worker))
    if identity is None:
        return 2
    try:
        guard(Run(Path(folder)), identity)
    except FtuiError as error:
        print(f"ftui: the command at the end: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
