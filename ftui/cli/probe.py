"""`ftui probe`: what this machine has, and what to do about what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import typer

from ftui.cli.output import print_json


def command(
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
    record: Path = typer.Option(
        None, "--record", metavar="FILE", help="Also write this machine to FILE as data, to be played again."
    ),
    hardware: Path = typer.Option(
        None, "--hardware", metavar="FILE", help="Show the machine in FILE (made by --record or --json) instead."
    ),
) -> None:
    """Show GPUs, memory, disks and torch, and say what keeps them from working together."""
    from ftui import hardware as room
    from ftui.errors import BadInput

    if record and hardware:
        raise BadInput("--record and --hardware exclude each other.", "A machine in a file is recorded already.")
    found = room.load(hardware) if hardware else room.record(record) if record else room.probe()
    if as_json:
        print_json(found)
        return
    from ftui.cli.probe_text import show

    show(found)
    if record:
        print(f"\nWritten to {record}; play it again with `ftui probe --hardware {record}`.")
