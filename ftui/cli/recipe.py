"""`ftui recipe`: the one document a run is made from: its schema, its mistakes, its differences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ftui.cli.output import print_json, tell_translation
from ftui.units import plain

if TYPE_CHECKING:
    from ftui.recipe import Recipe

app = typer.Typer(
    no_args_is_help=True, help="The one document a run is made from: schema, check, diff, show, translate."
)

JSON = typer.Option(False, "--json", help="Print one JSON document.")
SETTINGS = typer.Option([], "--set", metavar="SECTION.SETTING=VALUE", help="Change one setting; may be repeated.")
REFERENCE = typer.Argument(..., metavar="PRESET_OR_FILE", help="A preset's name or a YAML file.")


@app.command()
def schema() -> None:
    """Print the recipe's JSON Schema, for editors that complete and check YAML."""
    from ftui.recipe import json_schema

    print_json(json_schema())


@app.command()
def check(reference: str = REFERENCE, settings: list[str] = SETTINGS, as_json: bool = JSON) -> None:
    """Say whether a recipe can be used, and everything that is wrong with it where not (exit code 2)."""
    from ftui.recipe import asked

    recipe = _recipe(reference, settings)
    open_points = _open_points(recipe)
    if as_json:
        print_json({"ok": True, "asked": sorted(asked(recipe)), "missing": open_points})
        return
    print(f"{plain(reference)} is a recipe: {len(asked(recipe))} settings are fixed, the planner fills the rest.")
    for path in open_points:
        print(f"  {path} is still open; it can be given at launch.")


@app.command()
def diff(
    before: str = typer.Argument(..., metavar="BEFORE", help="A preset's name or a YAML file."),
    after: str = typer.Argument(..., metavar="AFTER", help="Another."),
    as_json: bool = JSON,
) -> None:
    """List every setting in which two recipes differ."""
    from ftui.recipe import differences

    found = differences(_found(before), _found(after))
    if as_json:
        print_json([{"path": one.path, "before": one.before, "after": one.after} for one in found])
        return
    if not found:
        print("The two say the same.")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in ("setting", plain(before), plain(after)):
        table.add_column(Text(title), overflow="fold")
    for one in found:
        table.add_row(one.path, Text(_shown(one.before)), Text(_shown(one.after)))
    Console(highlight=False).print(table)


@app.command()
def show(
    reference: str = REFERENCE,
    settings: list[str] = SETTINGS,
    whole: bool = typer.Option(False, "--whole", help="Also what is left at its default."),
    as_json: bool = JSON,
) -> None:
    """Print a preset or a file as YAML, with changes; the output is a recipe of its own."""
    from ftui.recipe import asked, write

    recipe = _recipe(reference, settings)
    if as_json:
        print_json(recipe)
    else:
        print(write(recipe, only=None if whole else asked(recipe)), end="")


@app.command()
def translate(
    path: Path = typer.Argument(..., metavar="OLD.yaml", help="A configuration of another tool."),
    as_json: bool = JSON,
) -> None:
    """Print a configuration of transformers, trl, peft, LLaMA-Factory or axolotl as a recipe; say how on stderr."""
    from ftui.errors import BadInput
    from ftui.recipe import asked, write
    from ftui.recipe.translation import translated

    found = translated(path)
    if found is None:
        raise BadInput(f"{path} is no configuration of another tool that ftui knows.",
                       f"If it is a recipe already, use it as it is: ftui recipe check {path}")
    if as_json:
        print_json({"tool": found.tool, "recipe": found.recipe, "said": list(found.said)})
        return
    tell_translation(found.said)
    print(write(found.recipe, only=asked(found.recipe)), end="")


def _found(reference: str) -> Recipe:
    """The recipe of a preset or file; a configuration of another tool is translated, and said."""
    from ftui.recipe import find
    from ftui.recipe.translation import translated

    if Path(reference).expanduser().is_file() and (other := translated(reference)):
        tell_translation(other.said)
        return other.recipe
    return find(reference)


def _recipe(reference: str, settings: list[str]) -> Recipe:
    from ftui.recipe import assign, assignments

    recipe = _found(reference)
    return assign(recipe, assignments(settings), where="--set") if settings else recipe


def _open_points(recipe: Recipe) -> list[str]:
    """What a launch needs and the recipe leaves out."""
    needs = (("model.base", bool(recipe.model.base)), ("data.sources", bool(recipe.data.sources)))
    return [path for path, given in needs if not given]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_shown(one["path"] if isinstance(one, dict) and "path" in one else one) for one in value)
    return "-" if value is None else plain(str(value)).replace("\n", "\\n")
