"""A worker with the house's frame around a job that counts: `python counting_worker.py RUN_FOLDER`.

The job goes by run.json's args: `steps`, `seconds` per step, `save` every so many steps, `raise` an exception by name
at step `at`, take 256 MiB at step `eat`.  Its loss is 1/step; what it has saved is a number in a file, written aside
and renamed.
"""

from __future__ import annotations

import os
import sys
import time

from ftui.runs.folder import Run
from ftui.worker.__main__ import main
from ftui.worker.context import JobContext

hoard: list[bytearray] = []
"""What the job has eaten."""


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


FAULTS = {
    "memory": MemoryError(),
    "gpu": OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore"),
    "disk": OSError(28, "No space left on device", "/run/checkpoint"),
    "defect": ZeroDivisionError("division by zero"),
    "exit": SystemExit(3),
    "import": ModuleNotFoundError("No module named 'trl'", name="trl"),
}


def count(context: JobContext) -> None:
    """Count to `steps`, from what was saved last."""
    args = context.info.args
    steps, seconds, save = args.get("steps", 10), args.get("seconds", 0.0), args.get("save", 5)
    saved = Run(context.folder).checkpoints / "last"
    saved.parent.mkdir(exist_ok=True)
    done = int(saved.read_text()) if saved.exists() else 0
    context.emit("status", state="running", text="Counting.", began_at=done)
    for step in range(done + 1, steps + 1):
        time.sleep(seconds)
        if step == args.get("at") and context.attempt == 1:
            raise FAULTS[args["raise"]]
        if step == args.get("eat") and context.attempt == 1:
            hoard.append(bytearray(b"x" * (256 << 20)))
        context.emit("metric", step, loss=1 / step)
        context.progress("Counting", step, steps)
        commands = {command.name for command in context.commands()}
        if "evaluate" in commands:
            context.emit("evaluation", step, eval_loss=2 / step)
        if step % save == 0 or "checkpoint" in commands or context.stop_asked:
            _save(context, step)
        if context.stop_asked:
            context.finish(f"Stopped at step {step}, because {context.stop_reason}.", {"train_loss": 1 / step})
            return
    context.output.mkdir(exist_ok=True)
    context.finish(f"Counted to {steps}.", {"train_loss": 1 / steps})


def _save(context: JobContext, step: int) -> None:
    path = Run(context.folder).checkpoints / "last"
    path.with_name(".new").write_text(str(step))
    os.replace(path.with_name(".new"), path)
    context.emit("checkpoint", step, path="checkpoints/last", bytes=8, best=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], count))
