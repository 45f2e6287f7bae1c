"""`ftui try`: ask the tuned and the base model the same thing."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ftui.cli.output import print_json
from ftui.errors import Refused, RunFailed
from ftui.units import plain

if TYPE_CHECKING:
    from ftui.runs.folder import Run

SHOWN_LABELS = 5
"""Of a classifier's labels the likeliest."""


def command(
    run: str = typer.Argument(..., metavar="RUN", help="The run whose result is asked, or last."),
    prompts: list[str] = typer.Argument(None, metavar="[PROMPT]...", help="What to ask; else the run's own samples."),
    max_new_tokens: int = typer.Option(128, "--max-new-tokens", min=1, max=8192, help="Longest answer, in tokens."),
    task: str = typer.Option(None, "--task", metavar="NAME", help="Of several tasks the one to ask for; else each is."),
    images: list[str] = typer.Option(None, "--image", metavar="PATH", help="An image that the prompt is about."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Answer each prompt with the tuned model and with its base, side by side; a classifier says label and share."""
    from ftui.methods import OBJECTIVES
    from ftui.runs.control import start_job, wait
    from ftui.runs.document import Event
    from ftui.runs.folder import find

    trained, wanted = find(run), task or None
    if trained.info.kind == "stages" and (stages := trained.stages()):
        trained, wanted = _stage(trained, stages, task)
    if trained.info.kind != "train":
        raise Refused(f"The run {trained.id} trained nothing that could be asked.", "Name a training: ftui runs list")
    if not trained.output.is_dir():
        raise Refused(f"The run {trained.id} has no result yet.", f"See its state: ftui runs show {trained.id}")
    recipe = trained.recipe()
    sorts = recipe is not None and recipe.objective.kind == "classify"
    if recipe is not None and OBJECTIVES[recipe.objective.kind].head == "scores" and not sorts:
        raise Refused(f"The model of the run {trained.id} gives scores, and writes no answers.",
                      f"Python that asks it stands in {trained.report}.")
    files = [_image(path) for path in images or ()]
    asked = [(prompt, files) for prompt in prompts or ()] or _samples(trained, files)
    more = [*(["--task", wanted] if wanted else []), *(part for file in files for part in ("--image", file))]
    line = shlex.join(["ftui", "try", trained.id, *(prompt for prompt, _ in asked), *more])
    args = {
        "run": trained.id, "prompts": [prompt for prompt, _ in asked], "max_new_tokens": max_new_tokens,
        **({"task": wanted} if wanted else {}),
        **({"images": [files for _, files in asked]} if any(files for _, files in asked) else {}),
    }
    job = start_job("generate", args, f"try-{trained.info.name}", parent=trained.id, command=line)
    shown = ""

    def tell(event: Event) -> None:
        nonlocal shown
        if event.kind == "progress" and event.data["text"] != shown and not as_json:
            shown = event.data["text"]
            print(f"{shown} ...", file=sys.stderr)

    status = wait(job, tell)
    if status.state != "finished":
        raise RunFailed(f"{job.id}: {status.text}", f"Its log: ftui runs log {job.id}")
    answers = json.loads((job.output / "answers.json").read_text(encoding="utf-8"))
    if as_json:
        print_json({"run": trained.id, "job": job.id, "answers": answers})
        return
    _show(answers)


def _stage(parent: Run, stages: list[Run], task: str | None) -> tuple[Run, str | None]:
    """The stage that is asked, and the task of it: the last one, or of tasks that trained apart the wanted one's."""
    recipe = parent.recipe()
    if recipe is None or recipe.data.tasks != "apart":
        return stages[-1], task
    by_name = {str(stage.info.args["name"]): stage for stage in stages}
    if task not in by_name:
        said = f"has no task {plain(task)}" if task else "has an adapter for each task"
        raise Refused(f"The run {parent.id} {said}.", f"Name one: --task {' or --task '.join(map(plain, by_name))}")
    return by_name[task], None


def _image(path: str) -> str:
    """The absolute path of an image; Refused where there is no such file."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise Refused(f"There is no image {plain(path)}.", "Name a JPEG, PNG, WebP, GIF, BMP or TIFF file.")
    return str(file.absolute())


def _samples(run: Any, files: list[str]) -> list[tuple[str, list[str]]]:
    """The prompts that the training answered at its evaluations, with their images, or with `files` in place of those.
    """
    from ftui.runs.follow import history

    samples = [event.data for event in history(run) if event.kind == "sample"]
    found = {sample["prompt"]: files or list(sample.get("images", ())) for sample in samples}
    if not found:
        raise Refused(f"The run {run.id} has no sample prompts of its own.", f'Give one: ftui try {run.id} "Hello!"')
    return list(found.items())


def _show(answers: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for item in answers:
        title = Text(plain((f"[{item['task']}] " if "task" in item else "") + item["prompt"]))
        if "labels" in item:
            console.print(title)
            table = Table("label")
            table.add_column("probability", justify="right")
            for label, share in list(item["labels"].items())[:SHOWN_LABELS]:
                table.add_row(Text(plain(label)), f"{share:.1%}")
        else:
            table = Table(title=title, title_justify="left", expand=True, show_lines=False)
            for name in ("base", "tuned"):
                table.add_column(name, ratio=1, overflow="fold")
            table.add_row(Text(plain(item["base"])), Text(plain(item["tuned"])))
        console.print(table)
