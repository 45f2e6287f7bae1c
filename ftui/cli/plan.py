"""`ftui plan`: what fits this machine, what to pick, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from ftui.cli.output import print_json


def command(
    reference: str = typer.Argument(None, metavar="[PRESET_OR_RECIPE]", help="A preset's name or a YAML file."),
    recipe: str = typer.Option(None, "--recipe", "-r", help="The same, as an option."),
    model: str = typer.Option(None, "--model", "-m", help="Base model: a hub id, a folder, a config.json, or demo."),
    data: list[str] = typer.Option([], "--data", "-d", help="A file or hub dataset; may be given several times."),
    goal: str = typer.Option(None, "--goal", help="chat, instruct, classify, domain, code or reasoning."),
    hardware: Path = typer.Option(
        None, "--hardware", metavar="BOX.json", help="Plan for this machine (`ftui probe --record` makes one)."
    ),
    settings: list[str] = typer.Option([], "--set", metavar="SECTION.SETTING=VALUE", help="Fix one setting."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Say what fits, what to pick and why.  What a recipe or --set fixes is kept; the rest is planned."""
    from ftui import hardware as room
    from ftui import planner
    from ftui.errors import BadInput
    from ftui.models import describe
    from ftui.runs.command import ask

    if reference and recipe:
        raise BadInput(f"Both {reference} and --recipe {recipe} name a recipe.", "Give one of them.")
    flags = {"model.base": model, "goal.task": goal}
    draft = ask(reference or recipe, data=data, settings=settings, flags=flags).recipe
    if not draft.model.base:
        raise BadInput("No base model to plan for.", "Add --model MODEL: a hub id, a folder, a config.json, or demo.")
    box = room.load(hardware) if hardware else room.probe()
    shape = describe(draft.model.base, draft.model.revision)
    profile = None
    if draft.data.sources:
        from ftui.data import profile as read_profile

        profile = read_profile(draft.data.sources, shape)
    plan = planner.plan(box, shape, profile, draft)
    resolved = planner.resolve(draft, plan)
    estimate = planner.estimate(resolved, box, shape, profile)
    if as_json:
        found: dict[str, Any] = plan.as_dict()
        found |= {"recipe": resolved.as_dict(), **estimate.as_dict()}
        print_json(found)
        return
    from ftui.cli.plan_text import show

    show(plan, estimate, resolved, shape, profile)

