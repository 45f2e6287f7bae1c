"""`ftui runs queue`, `hold` and `move`: whose turn it is, and changing that."""

from __future__ import annotations

import typer

from ftui.cli.output import print_json

ID = typer.Argument(..., metavar="RUN", help="The run's id, a part of it, its name, or 'last'.")
JSON = typer.Option(False, "--json", help="Print one JSON document.")


def queue(as_json: bool = JSON) -> None:
    """List the runs that wait for a device, first turn first."""
    _show(as_json)


def hold(
    run_id: str = ID,
    release: bool = typer.Option(False, "--release", help="Let it take its turn again."),
    as_json: bool = JSON,
) -> None:
    """Keep a queued run from starting; those behind it pass."""
    from ftui.runs import queue
    from ftui.runs.folder import find

    queue.hold(find(run_id), not release)
    _show(as_json)


def move(
    run_id: str = ID,
    to: int = typer.Argument(..., metavar="TURN", min=1, help="Its turn from now on; 1 is the next."),
    as_json: bool = JSON,
) -> None:
    """Give a queued run another turn."""
    from ftui.runs import queue
    from ftui.runs.folder import find

    queue.move(find(run_id), to)
    _show(as_json)


def _show(as_json: bool) -> None:
    from ftui.paths import runs_dir
    from ftui.runs import queue
    from ftui.runs.folder import Run
    from ftui.units import gib, plain

    tickets = queue.waiting()
    said = {ticket.run: Run(runs_dir() / ticket.run).status().text for ticket in tickets}
    if as_json:
        print_json([
            {"turn": turn, "run": ticket.run, "held": ticket.held, "needs_bytes": ticket.needs,
             "device": "gpu" if ticket.on_gpu else "cpu", "text": said[ticket.run]}
            for turn, ticket in enumerate(tickets, 1)
        ])
        return
    if not tickets:
        print("Nothing is queued. Queue a run: ftui launch PRESET --queue")
    for turn, ticket in enumerate(tickets, 1):
        needs = f"{gib(ticket.needs)} on {'a GPU' if ticket.on_gpu else 'the CPU'}"
        print(f"{turn:>3}  {ticket.run}  {needs}{'  held' if ticket.held else ''}\n     {plain(said[ticket.run])}")
