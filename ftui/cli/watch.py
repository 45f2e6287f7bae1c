"""`ftui watch`: draw a run live, or print it line by line."""

from __future__ import annotations

import sys

import typer


def command(
    run_id: str = typer.Argument("last", metavar="[RUN]", help="The run's id, a part of it, or its name."),
    plain: bool = typer.Option(False, "--plain", help="Print lines, from the run's beginning to its end."),
) -> None:
    """Open the monitor on a run; without a terminal, or with --plain, print what happens until the run ends."""
    from ftui.runs.folder import find

    run = find(run_id)
    if not plain and sys.stdin.isatty() and sys.stdout.isatty():
        from ftui.cli.app import open_app

        sys.exit(open_app(run.id))
    from ftui import bell
    from ftui.cli.lines import line
    from ftui.runs.follow import follow
    from ftui.runs.status import RunStatus

    last: RunStatus | None = None
    rings = sys.stdout.isatty() and bell.wanted()
    for item in follow(run):
        if isinstance(item, RunStatus):
            if rings and bell.calls(last, item):
                print(bell.BELL, end="", flush=True)
            last = item
        elif words := line(item):
            print(words, flush=True)
    if last is not None and last.state == "crashed":
        # It left no event that says so.
        print(f"{last.state}: {last.text}" + (f" {last.hint}" if last.hint else ""), flush=True)
    sys.exit(0 if last is not None and last.state in ("finished", "stopped") else 1)
