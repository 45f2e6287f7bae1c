"""`ftui data rate` and `ftui data agree`: preference data made by people, and how far they agree."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ftui.errors import Refused

File = Annotated[str, typer.Argument(metavar="FILE", help="Questions with two or more answers each.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Where the pairs go (default: FILE-RATER.jsonl here).")]
Rater = Annotated[str | None, typer.Option("--rater", help="Whose verdicts these are (default: your login name).")]
Seed = Annotated[int, typer.Option("--seed", help="Which answer is shown on which side follows from it.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Rate only the first so many.")]
First = Annotated[Path, typer.Argument(metavar="RATINGS", help="One rater's file, NAME.ratings.jsonl.")]
Second = Annotated[Path, typer.Argument(metavar="RATINGS", help="The other rater's.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def rate(file: File, out: Out = None, rater: Rater = None, seed: Seed = 17, limit: Limit = None) -> None:
    """Say which of two answers is better, side by side and blind: rows that DPO trains on as they are.

    Every verdict is on disk at once; the same command goes on where you left.
    """
    from ftui.cli.app import open_app
    from ftui.data.rating import open_rating

    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") == "dumb":
        raise Refused("Answers are rated by keys on a terminal, and this is none.", "Start it from a terminal.")
    with open_rating(file, pairs=out, rater=rater, seed=seed, limit=limit) as rating:
        sys.exit(open_app(rating=rating))


def agree(first: First, second: Second, json: Json = False) -> None:
    """How far two raters agree on what both have rated: Cohen's kappa, and where they differ."""
    from rich.console import Console
    from rich.table import Table

    from ftui.cli.output import print_json
    from ftui.data.agreement import VERDICTS, agreement
    from ftui.units import plain

    found = agreement(first, second)
    if json:
        print_json(found.as_dict() | {"strength": found.strength})
        return
    console = Console(highlight=False, markup=False)
    one, two = map(plain, found.raters)
    kappa = "undefined: both gave the same verdict each time" if found.kappa is None else f"{found.kappa:.2f}"
    strength = f" ({found.strength})" if found.kappa is not None else ""
    share = f"{found.same} of them ({found.same / found.items:.0%})"
    console.print(f"{one} and {two} rated {found.items} in common and agree on {share}.")
    console.print(f"Cohen's kappa: {kappa}{strength}")
    table = Table(f"{one} \\ {two}", *VERDICTS, box=None, padding=(0, 2, 0, 0))
    for mine in VERDICTS:
        table.add_row(mine, *(str(found.table[mine][yours]) for yours in VERDICTS))
    console.print(table)
