"""`ftui runs chart`: the curves of one to eight runs as a picture."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from ftui.cli.compare import axis_named
from ftui.cli.output import print_json


def chart(
    run_ids: list[str] = typer.Argument(..., metavar="RUN [RUN ...]", help="One run, or up to eight over each other."),
    out: list[Path] = typer.Option(..., "--out", metavar="FILE", help="Ends in .svg or .png; may be given twice."),
    curves: str = typer.Option("", "--curves", metavar="A,B,...", help="Numbers to draw; else loss,eval_loss."),
    by: str = typer.Option("step", "--by", help="What the curves are laid over: step, tokens or time."),
    log: bool = typer.Option(False, "--log", help="A logarithmic value axis."),
    smooth: str = typer.Option("auto", "--smooth", metavar="WEIGHT", help="From 0 (not at all) to below 1, or auto."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Draw curves of runs into a picture for a paper: evaluations and the best of them marked, a legend with names."""
    from ftui.runs.charting import chart as draw
    from ftui.runs.folder import find

    names = [name.strip() for name in curves.split(",") if name.strip()]
    drawn = draw(
        [find(run_id) for run_id in run_ids], [file.expanduser() for file in out], curves=names, axis=axis_named(by),
        log=log, weight=_weight(smooth),
    )
    if as_json:
        print_json({"files": [str(file) for file in drawn.files], "notes": list(drawn.notes)})
        return
    for file in drawn.files:
        print(f"Wrote {file}.")
    for note in drawn.notes:
        print(f"ftui: {note}", file=sys.stderr)


def _weight(smooth: str) -> float | None:
    from ftui.errors import BadInput

    if smooth == "auto":
        return None
    try:
        weight = float(smooth)
    except ValueError:
        weight = -1.0
    if not 0 <= weight < 1:
        raise BadInput(f"--smooth {smooth}: a smoothing weight lies in [0, 1).", "0 draws each step, 0.9 is smooth.")
    return weight
