"""`ftui runs compare`: several runs beside each other."""

from __future__ import annotations

from typing import Any

import typer

from ftui.cli.output import print_json

AXES = ("step", "tokens", "time")
ROWS: dict[str, str] = {
    "best": "best", "at": "at step", "loss": "last loss", "tokens_per_second": "tokens/s", "peak_bytes": "peak",
    "seconds": "took", "steps": "steps",
}


def compare(
    run_ids: list[str] = typer.Argument(..., metavar="RUN RUN ...", help="From two to eight runs."),
    curve: str = typer.Option("", "--curve", help="The number to lay beside each other; else the validation loss."),
    by: str = typer.Option("step", "--by", help="What the curves are laid over: step, tokens or time."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Show what differs in the recipes of several runs, what came of it, and their curves beside each other."""
    from ftui.errors import BadInput
    from ftui.runs.comparing import compare as examine
    from ftui.runs.folder import find

    if by not in AXES:
        raise BadInput(f"--by {by}: curves are laid over {', '.join(AXES)}.", "The step is the usual one.")
    found = examine([find(run_id) for run_id in run_ids])
    name = curve or ("eval_loss" if all("eval_loss" in each.curves for each in found.runs) else "loss")
    aligned = found.aligned(name, by)  # type: ignore[arg-type]  # one of AXES
    if curve and not aligned:
        known = sorted(set().union(*(each.curves for each in found.runs)))
        raise BadInput(f"None of these runs has measured {curve}.", f"They have {', '.join(known)}.")
    if as_json:
        print_json({
            "runs": [{"run": each.run.id, "status": each.state, **each.facts} for each in found.runs],
            "settings": {path: list(values) for path, values in found.settings.items()},
            "curve": {"name": name, "by": by, "points": [{"x": x, "values": values} for x, values in aligned]},
        })
        return
    _print(found, name, by, aligned)


def _print(found: Any, name: str, by: str, aligned: list[tuple[float, list[float | None]]]) -> None:
    from ftui.units import plain

    for letter, each in zip("ABCDEFGH", found.runs, strict=False):
        print(f"{letter}  {each.run.id}  {each.state}")
    letters = list("ABCDEFGH"[: len(found.runs)])
    table = [["", *letters]]
    table += [[title, *(_shown(key, each.facts[key]) for each in found.runs)] for key, title in ROWS.items()]
    if found.settings:
        table += [["what differs", *([""] * len(letters))]]
        table += [[f"  {path}", *(plain(_value(one)) for one in values)] for path, values in found.settings.items()]
    if aligned:
        table += [[f"{name} by {by}", *([""] * len(letters))]]
        table += [[f"  {_place(by, x)}", *(_shown("loss", value) for value in values)] for x, values in aligned]
    widths = [max(len(row[at]) for row in table) for at in range(len(letters) + 1)]
    print()
    for row in table:
        line = f"{row[0]:<{widths[0]}}" + "".join(f"  {c:>{w}}" for c, w in zip(row[1:], widths[1:], strict=True))
        print(line.rstrip())


def _shown(key: str, value: float | None) -> str:
    from ftui.units import clock, count, gib

    if value is None:
        return "–"
    match key:
        case "peak_bytes":
            return gib(value)
        case "seconds":
            return clock(value)
        case "tokens_per_second":
            return count(value)
        case "at" | "steps":
            return f"{value:,.0f}"
    return f"{value:.4g}"


def _place(by: str, x: float) -> str:
    from ftui.units import clock, count

    return clock(x) if by == "time" else count(x) if by == "tokens" else f"{x:,.0f}"


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        text = ", ".join(str(one.get("path", one)) if isinstance(one, dict) else str(one) for one in value)
    else:
        text = "–" if value is None else str(value)
    return text if len(text) <= 28 else f"…{text[-27:]}"
