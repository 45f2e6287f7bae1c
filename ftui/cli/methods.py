"""`ftui methods`: the objectives and adapters that a recipe can name, a card of each, and what leads to which."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from ftui.cli.output import print_json

if TYPE_CHECKING:
    from ftui.methods import AdapterRow
    from ftui.recipe.cards import Card

app = typer.Typer(help="The objectives and adapters of a recipe: what each is for, needs and costs.")

JSON = typer.Option(False, "--json", help="Print one JSON document.")
WIDTH = 80


@app.callback(invoke_without_command=True)
def bare(context: typer.Context, as_json: bool = JSON) -> None:
    """List the methods when nothing else is asked."""
    if context.invoked_subcommand is None:
        list_(as_json)


@app.command("list")
def list_(as_json: bool = JSON) -> None:
    """List every objective and every adapter, the common ones first."""
    from ftui.methods import ADAPTERS, OBJECTIVES
    from ftui.methods.families import FAMILIES

    if as_json:
        from ftui.recipe.cards import card

        families = {kind: family for family, kinds in FAMILIES.items() for kind in kinds}
        print_json({
            "objectives": [_document(card("objective", kind)) for kind in OBJECTIVES],
            "adapters": [_document(card("adapter", kind)) | {"family": families[kind]} for kind in ADAPTERS],
        })
        return
    objectives = [(row.kind, " ".join(row.data), _planned(row.title, row.trains)) for row in OBJECTIVES.values()]
    _table(("objective", "rows", "what"), [(None, objectives)], gap=1)
    print()
    families_shown = [
        (family, [_adapter_line(ADAPTERS[kind]) for kind in kinds]) for family, kinds in FAMILIES.items() if kinds
    ]
    _table(("adapter", "nf4", "int8", "merged", "GSM8K", "what"), families_shown)
    print("\n`ftui methods show NAME` says more of each; GSM8K is PEFT's own comparison.")


@app.command()
def show(name: str = typer.Argument(..., metavar="NAME", help="Such as dpo or lora."), as_json: bool = JSON) -> None:
    """Show one method's card: when to take it, what it needs, trains and costs, and its settings."""
    from ftui.recipe.cards import find_card

    found = find_card(name)
    if as_json:
        print_json(_document(found))
        return
    print(f"{found.title} ({found.section}.kind: {found.kind})\n")
    print(textwrap.fill(found.when, WIDTH) + "\n")
    for label, text in found.facts:
        print(textwrap.fill(text, WIDTH, initial_indent=f"{label:<11}", subsequent_indent=" " * 11))
    print(f"{'source':<11}{found.source}")
    if found.settings:
        print("\nSettings")
    for setting in found.settings:
        print(textwrap.fill(f"{setting.help} Takes {setting.limits}.", WIDTH, initial_indent=f"  {setting.path}: ",
                            subsequent_indent="    ", break_long_words=False, break_on_hyphens=False))


@app.command()
def goals(as_json: bool = JSON) -> None:
    """Which objective serves which goal, by the kind of rows that there are."""
    from ftui.planner.rules.goals import KINDS, WISHES, ways

    if as_json:
        print_json([
            {"goal": wish.task, "title": wish.title, "about": wish.about, "rows": {
                kind: [{"objective": way.objective, "fit": way.fit, "reason": way.reason, "needs": way.needs or None}
                       for way in ways(wish.task, kind)] for kind in KINDS
            }} for wish in WISHES.values()
        ])
        return
    rows = [
        (wish.task, *(ways(wish.task, kind)[0].objective for kind in KINDS), wish.title)
        for wish in WISHES.values()
    ]
    _table(("goal", *KINDS, "what"), [(None, rows)])
    print("\nEach column is a kind of rows, with the objective to which it leads: `ftui plan --goal GOAL --data FILE`.")


def _adapter_line(row: AdapterRow) -> tuple[str, ...]:
    measured = f"{row.compared.accuracy:.1%}" if row.compared else "–"
    marks = ("yes" if works else "no" for works in (row.on_nf4, row.on_int8, row.mergeable))
    return row.kind, *marks, measured, _planned(row.title, row.trains)


def _planned(title: str, trains: bool) -> str:
    return title if trains else f"{title} (planned only)"


def _document(card: Card) -> dict[str, Any]:
    return {
        "section": card.section, "kind": card.kind, "title": card.title, "when": card.when, "source": card.source,
        "facts": dict(card.facts),
        "settings": [
            {"path": each.path, "title": each.title, "help": each.help, "why": each.why, "takes": each.limits,
             "default": list(each.default) if isinstance(each.default, tuple) else each.default}
            for each in card.settings
        ],
    }


def _table(
    titles: tuple[str, ...], groups: Sequence[tuple[str | None, Sequence[tuple[str, ...]]]], gap: int = 2
) -> None:
    """Columns as wide as their widest cell, the last one as it is; a heading above each group that has one."""
    rows = [row for _, group in groups for row in group]
    widths = [max(len(row[at]) for row in [titles, *rows]) for at in range(len(titles) - 1)]

    def line(cells: tuple[str, ...]) -> str:
        return (" " * gap).join([f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=False)] + [cells[-1]])

    print(line(titles))
    for heading, group in groups:
        if heading:
            print(f"\n{heading}")
        for row in group:
            print(line(row))
