"""Asking what a finished training made: which result, for which task, about which images."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftui.errors import Refused
from ftui.methods import OBJECTIVES
from ftui.paths import METADATA
from ftui.runs import control
from ftui.runs.folder import Run
from ftui.runs.follow import history
from ftui.units import plain

PROCESSORS = ("processor_config.json", "preprocessor_config.json")
"""What an image processor is loaded from; one of them is in the folder of every vision model."""
NEW_TOKENS = 128


@dataclass(frozen=True)
class Question:
    """What is asked of whom; `command` is the command line that asks the same."""

    run: Run
    args: dict[str, Any]
    command: str

    def ask(self) -> Run:
        """Start the job that answers."""
        name = f"try-{self.run.info.name}"
        return control.start_job("generate", self.args, name, parent=self.run.id, command=self.command)


def question(
    run: Run, prompts: Sequence[str] = (), *, task: str | None = None, images: Sequence[str] = (),
    max_new_tokens: int = NEW_TOKENS,
) -> Question:
    """What `run` is to be asked: each prompt, about all of `images`; without prompts its own samples.

    Raises Refused where it has made nothing that answers, where a file is missing, or a task isn't named that must be.
    """
    asked, task = answering(run, task)
    files = [_image(path) for path in images]
    pairs = [(prompt, files) for prompt in prompts] or _samples(asked, files)
    more = [*(["--task", task] if task else []), *(word for file in files for word in ("--image", file)),
            *(["--max-new-tokens", str(max_new_tokens)] if max_new_tokens != NEW_TOKENS else [])]  # fmt: skip
    args: dict[str, Any] = {
        "run": asked.id, "prompts": [prompt for prompt, _ in pairs], "max_new_tokens": max_new_tokens,
        **({"task": task} if task else {}),
        **({"images": [each for _, each in pairs]} if any(each for _, each in pairs) else {}),
    }
    return Question(asked, args, shlex.join(["ftui", "try", asked.id, *args["prompts"], *more]))


def answering(run: Run, task: str | None = None) -> tuple[Run, str | None]:
    """The training that answers, and the task that it is asked for: of a run with stages one of these.

    Raises Refused where there is none.
    """
    if run.info.kind == "stages" and (stages := run.stages()):
        run, task = _stage(run, stages, task)
    if run.info.kind != "train":
        raise Refused(f"The run {run.id} trained nothing that could be asked.", "Name a training: ftui runs list")
    if not run.output.is_dir():
        raise Refused(f"The run {run.id} has no result yet.", f"See its state: ftui runs show {run.id}")
    recipe = run.recipe()
    kind = recipe.objective.kind if recipe else "sft"
    if kind != "classify" and OBJECTIVES[kind].head == "scores":
        raise Refused(f"The model of the run {run.id} gives scores, and writes no answers.",
                      f"Python that asks it stands in {run.report}.")
    return run, task


def tasks_of(run: Run) -> tuple[str, ...]:
    """The tasks that its result tells apart, or that have an adapter each; none of a training of one task."""
    if run.info.kind == "stages":
        recipe = run.recipe()
        apart = recipe is not None and recipe.data.tasks == "apart"
        return tuple(str(stage.info.args["name"]) for stage in run.stages()) if apart else ()
    return tasks_in(run.output)


def tasks_in(folder: Path) -> tuple[str, ...]:
    """The names of the tasks of the adapter in `folder` by their number; none where it knows none."""
    try:
        known = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    return tuple(known.get("tasks", ()))


def sees(folder: Path) -> bool:
    """Whether the result in `folder` was trained on images: then the image processor lies there."""
    return any((folder / name).is_file() for name in PROCESSORS)


def _stage(parent: Run, stages: list[Run], task: str | None) -> tuple[Run, str | None]:
    """The stage that is asked, and the task of it: the last one, or of tasks that trained apart the wanted one's."""
    by_name = {str(stage.info.args["name"]): stage for stage in stages}
    if not (apart := tasks_of(parent)):
        return stages[-1], task
    if task not in by_name:
        said = f"has no task {plain(task)}" if task else "has an adapter for each task"
        raise Refused(f"The run {parent.id} {said}.", f"Name one: --task {' or --task '.join(map(plain, apart))}")
    return by_name[task], None


def _image(path: str) -> str:
    """The absolute path of an image; Refused where there is no such file."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise Refused(f"There is no image {plain(path)}.", "Name a JPEG, PNG, WebP, GIF, BMP or TIFF file.")
    return str(file.absolute())


def _samples(run: Run, files: list[str]) -> list[tuple[str, list[str]]]:
    """The prompts that the training answered at its evaluations, with their images, or with `files` in place of those.
    """
    samples = [event.data for event in history(run) if event.kind == "sample"]
    found = {sample["prompt"]: files or list(sample.get("images", ())) for sample in samples}
    if not found:
        raise Refused(f"The run {run.id} has no sample prompts of its own.", f'Give one: ftui try {run.id} "Hello!"')
    return list(found.items())
