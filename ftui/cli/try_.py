"""`ftui try`: ask the tuned and the base model the same thing."""

from __future__ import annotations

import json
import sys
from typing import Any

import typer

from ftui.cli.output import print_json
from ftui.errors import RunFailed
from ftui.units import plain

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
    from ftui.runs.asking import question
    from ftui.runs.control import wait
    from ftui.runs.document import Event
    from ftui.runs.folder import find

    asked = question(find(run), prompts or (), task=task or None, images=images or (), max_new_tokens=max_new_tokens)
    job = asked.ask()
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
        print_json({"run": asked.run.id, "job": job.id, "answers": answers})
        return
    _show(answers)


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
