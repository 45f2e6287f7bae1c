"""`ftui runs export`: a run's numbers for other programs."""

from __future__ import annotations

from pathlib import Path

import typer

from ftui.cli.output import print_json


def export(
    run_id: str = typer.Argument(..., metavar="RUN", help="The run's id, a part of it, its name, or 'last'."),
    path: Path = typer.Argument(..., metavar="FILE", help="Ends in .csv, .json, .jsonl or .parquet."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Write a run's numbers, a row for each step, into a table."""
    from ftui.runs.export import export as write
    from ftui.runs.folder import find

    run = find(run_id)
    rows = write(run, path.expanduser())
    if as_json:
        print_json({"run": run.id, "file": str(path), "rows": rows})
    else:
        print(f"Wrote {rows:,} rows into {path}.")
