"""`ftui presets`: the recipes that ship with ftui, and whether they fit this machine."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ftui.cli.output import print_json
from ftui.units import gib, plain

if TYPE_CHECKING:
    from ftui.fitting import Fitting
    from ftui.hardware.document import Hardware
    from ftui.recipe import Preset

app = typer.Typer(help="Recipes that ship with ftui, and whether they fit this machine.")

JSON = typer.Option(False, "--json", help="Print one JSON document.")
HARDWARE = typer.Option(None, "--hardware", metavar="FILE", help="Judge for the machine in FILE instead of this one.")


@app.callback(invoke_without_command=True)
def bare(context: typer.Context, as_json: bool = JSON, hardware: Path = HARDWARE) -> None:
    """List the presets when nothing else is asked."""
    if context.invoked_subcommand is None:
        list_(as_json, hardware)


@app.command("list")
def list_(as_json: bool = JSON, hardware: Path = HARDWARE) -> None:
    """List the presets with whether they fit."""
    from ftui.fitting import fitting
    from ftui.recipe import presets

    machine = _machine(hardware)
    judged = [(preset, fitting(preset.recipe, machine)) for preset in presets()]
    if as_json:
        print_json([_document(preset, fit) for preset, fit in judged])
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in ("preset", "here", "what"):
        table.add_column(title, overflow="fold", no_wrap=title != "what")
    for preset, fit in judged:
        table.add_row(preset.name, Text(fit.text), Text(preset.title))
    Console(highlight=False).print(table)
    print(f"\nJudged for {plain(machine.device_name)}, {gib(machine.budget_bytes)} free. "
          "`ftui presets show NAME` says more.")


@app.command()
def show(
    name: str = typer.Argument(..., metavar="NAME", help="A preset's name."), as_json: bool = JSON,
    hardware: Path = HARDWARE,
) -> None:
    """Show one preset: what it is for, what it needs and costs, how to run it, and its YAML."""
    from ftui.fitting import fitting
    from ftui.recipe import preset

    found = preset(name)
    fit = fitting(found.recipe, _machine(hardware))
    if as_json:
        print_json(_document(found, fit) | {"recipe": found.recipe.as_dict()})
        return
    print(f"{found.title}\n")
    yaml = found.path.read_text(encoding="utf-8")
    for label, text in (("For", found.purpose), ("Needs", found.needs), ("Costs", found.cost),
                        ("Here", f"{fit.text}: {fit.reason}"), ("Run", found.command)):
        # A command stays on one line, whole, to be copied.
        lines = [text] if label == "Run" else textwrap.wrap(text, 80 - 7)
        print("\n".join(f"{label if number == 0 else '':<7}{line}" for number, line in enumerate(lines)))
    print("\n" + "".join(line for line in yaml.splitlines(keepends=True) if not line.startswith("#")), end="")


def _machine(path: Path | None) -> Hardware:
    from ftui import hardware

    return hardware.load(path) if path else hardware.probe()


def _document(preset: Preset, fit: Fitting) -> dict[str, Any]:
    return {
        "name": preset.name, "title": preset.title, "purpose": preset.purpose, "needs": preset.needs,
        "cost": preset.cost, "command": preset.command, "path": str(preset.path), "model": preset.recipe.model.base,
        **asdict(fit),
    }
