"""Standing by a run from the command line: a bar on a terminal, lines elsewhere; an interrupt leaves the run alone."""

from __future__ import annotations

import sys

from ftui import bell
from ftui.cli import lines
from ftui.cli.output import print_json
from ftui.runs.control import wait
from ftui.runs.document import Event
from ftui.runs.folder import Run
from ftui.runs.follow import follow
from ftui.runs.status import RunStatus, status
from ftui.units import plain


def summary(run: Run, now: RunStatus | None = None) -> dict[str, object]:
    """What scripts lean on: run, status, folder, output, metrics."""
    now = now or status(run)
    output = now.output or (str(run.output) if run.output.exists() else None)
    return {
        "run": run.id, "status": now.state, "folder": str(run.path), "output": output, "metrics": now.metrics,
    }


def stand_by(run: Run, *, as_json: bool) -> int:
    """Wait for the end of `run`, showing its progress on stderr, and print how it ended on stdout.

    Returns the exit code: 0 if it finished or was stopped, 1 if it failed or crashed, 130 if the waiting was
    interrupted: the run goes on.
    """
    try:
        last = _with_bar(run) if sys.stderr.isatty() else _with_lines(run, quiet=as_json)
    except KeyboardInterrupt:
        print(
            f"\nftui: no longer waiting; the run goes on in the background.\n"
            f"      Watch it: ftui watch {run.id}   Stop it: ftui runs stop {run.id}",
            file=sys.stderr,
        )
        if as_json:
            print_json(summary(run))
        return 130
    report(run, last, as_json=as_json)
    return 0 if last.state in ("finished", "stopped") else 1


def report(run: Run, now: RunStatus, *, as_json: bool) -> None:
    """Print how `run` stands: the fixed document, or a few lines."""
    if as_json:
        print_json(summary(run, now))
        if now.state in ("failed", "crashed"):
            print(f"ftui: {plain(now.text)}" + (f"\n      {plain(now.hint)}" if now.hint else ""), file=sys.stderr)
        return
    print(f"{run.id}: {now.state}. {plain(now.text)}")
    if now.hint:
        print(f"  {plain(now.hint)}")
    if words := lines.numbers(now.metrics):
        print(f"  {words}")
    document = summary(run, now)
    print(f"  folder  {document['folder']}")
    if document["output"]:
        print(f"  output  {document['output']}")


def _with_lines(run: Run, *, quiet: bool) -> RunStatus:
    def show(event: Event) -> None:
        if not quiet and event.kind != "end" and (words := lines.line(event)):
            print(words, file=sys.stderr, flush=True)

    return wait(run, show)


def _with_bar(run: Run) -> RunStatus:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=24), TextColumn("{task.fields[at]}"))
    last = status(run)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Starting", total=None, at="")
        for item in follow(run):
            if isinstance(item, RunStatus):
                if bell.calls(last, item) and bell.wanted():
                    print(bell.BELL, end="", file=sys.stderr, flush=True)
                last = item
                known = item.step is not None and item.total is not None and item.state == "running"
                bar.update(
                    task, description=plain(item.doing or item.text)[:40], at=lines.progress(item),
                    total=item.total if known else None if item.done is None else 1.0,
                    completed=(item.step or 0) if known else (item.done or 0),
                )
            elif item.kind in ("warning", "diagnosis", "recovery") and (words := lines.line(item)):
                console.print(words, markup=False, highlight=False)
    return last
