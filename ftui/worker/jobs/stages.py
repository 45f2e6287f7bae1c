"""The `stages` job: leads the runs of a recipe's stages, one after the other, each a worker of its own.

It imports no torch.  A stage that has finished stays as it is when the run is resumed; one that was stopped or has
crashed goes on from its last checkpoint.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from ftui.errors import BadInput, RunFailed
from ftui.files import write_atomic
from ftui.runs import heartbeat, inbox
from ftui.runs.control import start
from ftui.runs.folder import Run
from ftui.runs.status import RunStatus, status
from ftui.worker.checkpoints import aside
from ftui.worker.context import JobContext

LOOK_SECONDS = 0.3


def run(context: JobContext) -> None:
    """Lead every stage that hasn't finished; the last one's result becomes this run's."""
    stages = context.run.stages()
    if not stages:
        raise BadInput(f"The stages of the run {context.run.id} are gone.", "Launch it anew from its recipe.")
    for number, stage in enumerate(stages):
        if status(stage).state == "finished":
            continue
        title = f"Stage {number + 1} of {len(stages)}, {_name(stage)}"
        if context.stop_asked:
            context.finish(f"Stopped before {_lower(title)}.")
            return
        context.emit("status", state="running", text=f"{title}: {stage.id}.")
        ended = _lead(context, stage, title)
        if ended.state == "stopped":
            context.finish(f"{title}: {ended.text}", ended.metrics, status="stopped",
                           hint=f"Go on from there: ftui runs resume {context.run.id}")  # fmt: skip
            return
        if ended.state != "finished":
            hint = ended.hint if ended.state == "failed" and ended.hint else f"Read why: ftui runs log {stage.id}"
            raise RunFailed(f"{title}: {ended.text}", f"{hint} Then go on: ftui runs resume {context.run.id}")
    context.progress("Saving the result", 0, None, unit="row")
    last = stages[-1]
    _publish(last.output, context.output)
    _report(context, stages)
    context.finish(f"All {len(stages)} stages are done. {_name(last)}: {status(last).text}", status(last).metrics)


def _lead(context: JobContext, stage: Run, title: str) -> RunStatus:
    """Start the worker of a stage, hand on what this run is told, and return how it ended."""
    if not status(stage).live or heartbeat.read(stage.heartbeat) is None:
        start(stage, beside=True)
    # Otherwise its worker has outlived that of an earlier attempt of ours, and is only waited for.
    told, shown = False, None
    while not (now := status(stage)).over:
        if now.state == "unreachable":
            raise RunFailed(f"{title}: {now.text}", now.hint)
        for command in context.commands():
            if command.name != "stop":
                inbox.send(stage, command.name, **command.args)
        if context.stop_asked and not told:
            inbox.send(stage, "stop")
            told = True
        if (seen := (now.doing, now.text, now.step, now.done)) != shown:
            # Said only when it moves: a stage that hangs shows as a run that hangs.
            shown = seen
            _show(context, now, title)
        time.sleep(LOOK_SECONDS)
    return now


def _show(context: JobContext, now: RunStatus, title: str) -> None:
    text = f"{title}: {now.doing or now.text}"
    if now.state == "running" and now.step is not None and now.total:
        context.progress(text, now.step, now.total)
    else:
        context.progress(text, now.done or 0, 1 if now.done is not None else None, unit="row")


def _publish(result: Path, target: Path) -> None:
    """The last stage's result under the parent's name, too: the same files, where the disk can name one twice."""
    with aside(target) as folder:
        shutil.copytree(result, folder, copy_function=_linked, dirs_exist_ok=True)


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        # A filesystem without hard links.
        shutil.copy2(source, target)


def _report(context: JobContext, stages: Sequence[Run]) -> None:
    """report.md: how each stage ended, and then the report of the last, which says how the result is used."""
    lines = [f"- **{_name(stage)}** ([{stage.id}]({stage.path})): {status(stage).text}" for stage in stages]
    last = stages[-1].report
    rest = last.read_text(encoding="utf-8") if last.exists() else ""
    text = f"# {context.info.name}: {len(stages)} stages\n\n" + "\n".join(lines) + f"\n\n{rest}"
    write_atomic(context.run.report, text)


def _name(stage: Run) -> str:
    return str(stage.info.args["name"])


def _lower(title: str) -> str:
    return title[0].lower() + title[1:]
