"""The `stages` job: leads the runs of a recipe's stages, one after the other, each a worker of its own.

It imports no torch.  A stage that has finished stays as it is when the run is resumed; one that was stopped or has
crashed goes on from its last checkpoint.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ftui.errors import BadInput, RunFailed
from ftui.files import write_atomic
from ftui.methods import ADAPTERS
from ftui.runs import heartbeat, inbox
from ftui.runs.control import start
from ftui.runs.folder import Run
from ftui.runs.status import RunStatus, status
from ftui.worker.checkpoints import aside
from ftui.worker.context import JobContext

LOOK_SECONDS = 0.3


def run(context: JobContext) -> None:
    """Lead every stage that hasn't finished; the last one's result becomes this run's, or those of all where each
    trained a task of its own."""
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
    last, apart = stages[-1], context.recipe().data.tasks == "apart"
    _publish({_name(stage): stage.output for stage in stages} if apart else {"": last.output}, context.output)
    _report(context, stages, apart=apart)
    if apart:
        context.finish(f"All {len(stages)} tasks are trained: {', '.join(map(_name, stages))}.")
        return
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


def _publish(results: Mapping[str, Path], target: Path) -> None:
    """Stages' results under the parent's name, too, each in the folder that it stands under here: the same files, where
    the disk can name one twice."""
    with aside(target) as folder:
        for name, result in results.items():
            shutil.copytree(result, folder / name, copy_function=_linked, dirs_exist_ok=True)


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        # A filesystem without hard links.
        shutil.copy2(source, target)


def _report(context: JobContext, stages: Sequence[Run], *, apart: bool) -> None:
    """report.md: how each stage ended, and then how the result is used: what the report of the last says, or of tasks
    that trained apart the Python that switches between their adapters."""
    lines = [f"- **{_name(stage)}** ([{stage.id}]({stage.path})): {status(stage).text}" for stage in stages]
    last = stages[-1].report
    rest = _switching(context, stages) if apart else last.read_text(encoding="utf-8") if last.exists() else ""
    what = "tasks" if apart else "stages"
    text = f"# {context.info.name}: {len(stages)} {what}\n\n" + "\n".join(lines) + f"\n\n{rest}"
    write_atomic(context.run.report, text)


def _switching(context: JobContext, stages: Sequence[Run]) -> str:
    """How the tasks' results are used: adapters on one base, or whole models."""
    folder, names = context.output, [_name(stage) for stage in stages]
    recipe = stages[0].recipe()
    if recipe is None or ADAPTERS[recipe.adapter.kind].saved == "model":
        return f"Each task's model is a folder of {folder}.\n"
    lines = [
        f'model = PeftModel.from_pretrained(base, "{folder}/{names[0]}", adapter_name="{names[0]}")',
        *(f'model.load_adapter("{folder}/{name}", adapter_name="{name}")' for name in names[1:]),
        f'model.set_adapter("{names[-1]}")  # the task that is asked next',
    ]
    code = "\n".join(lines)
    return f"One base, and an adapter for each task; each task's own report has the rest.\n\n```python\n{code}\n```\n"


def _name(stage: Run) -> str:
    return str(stage.info.args["name"])


def _lower(title: str) -> str:
    return title[0].lower() + title[1:]
