"""`ftui runs compare`: several runs beside each other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from ftui.cli.output import print_json

if TYPE_CHECKING:
    from ftui.runs.alignment import Axis
    from ftui.runs.comparing import Comparison


def compare(
    run_ids: list[str] = typer.Argument(..., metavar="RUN RUN ...", help="From two to eight runs."),
    curve: str = typer.Option("", "--curve", help="The number to lay beside each other; else the validation loss."),
    by: str = typer.Option("step", "--by", help="What the curves are laid over: step, tokens or time."),
    tui: bool = typer.Option(False, "--tui", help="Draw the curves over each other in the app, live."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Show what differs in the recipes of several runs, what came of it, and their curves beside each other."""
    from ftui.runs.comparing import check_number, not_measured
    from ftui.runs.comparing import compare as examine
    from ftui.runs.folder import find

    axis = axis_named(by)
    runs = [find(run_id) for run_id in run_ids]
    if tui:
        from ftui.cli.app import open_app

        check_number(runs)
        sys.exit(open_app(compare=[run.id for run in runs]))
    found = examine(runs)
    name = curve or ("eval_loss" if all("eval_loss" in side.curves for side in found.sides) else "loss")
    aligned = found.aligned(name, axis)
    if curve and not aligned:
        raise not_measured(curve, found.sides)
    states = [run.status().state for run in runs]
    if as_json:
        print_json({
            "runs": [
                {"run": side.run.id, "status": state, **side.facts}
                for side, state in zip(found.sides, states, strict=True)
            ],
            "settings": {path: list(values) for path, values in found.settings.values.items()},
            "notes": list(found.settings.notes),
            "curve": {"name": name, "by": axis, "points": [{"x": x, "values": values} for x, values in aligned]},
        })
        return
    _print(found, states, name, axis, aligned)


def axis_named(by: str) -> Axis:
    """The axis that `--by` names; BadInput where there is none such."""
    from ftui.errors import BadInput
    from ftui.runs.alignment import AXES

    if by not in AXES:
        raise BadInput(f"--by {by}: curves are laid over {', '.join(AXES)}.", "The step is the usual one.")
    return by


def _print(
    found: Comparison, states: Sequence[str], name: str, by: str, aligned: list[tuple[float, list[float | None]]]
) -> None:
    from ftui.runs.comparing import FACTS, LETTERS, said, told

    for letter, side, state in zip(LETTERS, found.sides, states, strict=False):
        print(f"{letter}  {side.run.id}  {state}")
    letters = list(LETTERS[: len(found.sides)])
    facts = [side.facts for side in found.sides]
    table = [["", *letters]]
    table += [[title, *(said(key, each[key]) for each in facts)] for key, title in FACTS.items()]
    if found.settings.values:
        table += [["what differs", *([""] * len(letters))]]
        table += [[f"  {path}", *map(told, values)] for path, values in found.settings.values.items()]
    if aligned:
        table += [[f"{name} by {by}", *([""] * len(letters))]]
        table += [[f"  {_place(by, x)}", *(said("loss", value) for value in values)] for x, values in aligned]
    widths = [max(len(row[at]) for row in table) for at in range(len(letters) + 1)]
    print()
    for row in table:
        line = f"{row[0]:<{widths[0]}}" + "".join(f"  {c:>{w}}" for c, w in zip(row[1:], widths[1:], strict=True))
        print(line.rstrip())
    for note in found.settings.notes:
        print(note)


def _place(by: str, x: float) -> str:
    from ftui.units import clock, count

    return clock(x) if by == "time" else count(x) if by == "tokens" else f"{x:,.0f}"
