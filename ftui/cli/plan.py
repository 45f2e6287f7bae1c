"""`ftui plan`: what fits this machine, what to pick, and why."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

import typer

from ftui.cli.output import print_json, tell_translation


class Size(StrEnum):
    """What `--largest` asks for."""

    MICRO_BATCH = "micro_batch"
    MAX_LENGTH = "max_length"
    RANK = "rank"
    MODEL = "model"


def command(
    reference: str = typer.Argument(None, metavar="[PRESET_OR_RECIPE]", help="A preset's name or a YAML file."),
    recipe: str = typer.Option(None, "--recipe", "-r", help="The same, as an option."),
    model: str = typer.Option(None, "--model", "-m", help="Base model: a hub id, a folder, a config.json, or demo."),
    data: list[str] = typer.Option([], "--data", "-d", help="A file or hub dataset; may be given several times."),
    goal: str = typer.Option(None, "--goal", help="What it is for, such as chat (`ftui methods goals` lists them)."),
    hardware: Path = typer.Option(
        None, "--hardware", metavar="BOX.json", help="Plan for this machine (`ftui probe --record` makes one)."
    ),
    settings: list[str] = typer.Option([], "--set", metavar="SECTION.SETTING=VALUE", help="Fix one setting."),
    largest: list[Size] = typer.Option(
        [], "--largest", help="The largest that fits with all else as planned; may be given several times."
    ),
    why_not: list[str] = typer.Option(
        [], "--why-not", metavar="SECTION.SETTING[=VALUE]",
        help="What another value would change; without a value, all there are. May be given several times.",
    ),
    trace: bool = typer.Option(
        False, "--trace", help="Trace one training step in the training libraries themselves: exact, in seconds."
    ),
    full: bool = typer.Option(False, "--full", help="With --trace: every layer, not a pattern of them."),
    measure: bool = typer.Option(
        False, "--measure", help="Take two steps on this device with the real model and the longest rows; keep nothing."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Say what fits, what to pick and why.  What a recipe or --set fixes is kept; the rest is planned."""
    from ftui import hardware as room
    from ftui import planner, trust
    from ftui.calibration import calibration
    from ftui.errors import BadInput
    from ftui.installed import noted
    from ftui.models import describe
    from ftui.recipe.stages import has_stages
    from ftui.runs.command import ask

    if reference and recipe:
        raise BadInput(f"Both {reference} and --recipe {recipe} name a recipe.", "Give one of them.")
    flags = {"model.base": model, "goal.task": goal}
    asked = ask(reference or recipe, data=data, settings=settings, flags=flags)
    tell_translation(asked.said)
    draft = asked.recipe
    if has_stages(draft):
        raise BadInput("This recipe has stages, each with a plan of its own.", "Add --dry-run: ftui launch plans them.")
    if not draft.model.base:
        raise BadInput("No base model to plan for.", "Add --model MODEL: a hub id, a folder, a config.json, or demo.")
    box = room.load(hardware) if hardware else room.probe()
    shape = describe(draft.model.base, draft.model.revision)
    profile = None
    if draft.data.sources:
        from ftui.data import profile as read_profile
        from ftui.data import repairs_of

        profile = read_profile(
            draft.data.sources, shape, template=draft.data.template, loss_on=draft.objective.loss_on,
            repairs=repairs_of(draft),
        )  # fmt: skip
    known = calibration()
    plan = planner.plan(box, shape, profile, draft, known)
    if not hardware:
        plan = noted(plan, draft.compute.stack)
    resolved = planner.resolve(draft, plan)
    estimate = trust.estimate(resolved, box, shape, profile, known)
    largest_found = [planner.largest(resolved, box, shape, profile, size.value) for size in largest]
    compared = [planner.compare(plan, resolved, box, shape, profile, text) for text in why_not]
    traced = None
    if trace or full:
        from ftui.cli.plan_trace import show_trace
        from ftui.cli.plan_trace import traced as traced_now

        traced = traced_now(resolved, shape, box, profile, full=full)
        judgement = planner.judge(traced.memory, resolved, box, shape, profile)
    measured = None
    if measure:
        from ftui.cli.plan_measure import measured as measured_now
        from ftui.cli.plan_measure import show_measured

        measured = measured_now(draft, shape, box, profile, elsewhere=hardware is not None, quiet=as_json)
        predicted = planner.estimate(resolved, box, shape, profile, known).memory
    if as_json:
        found: dict[str, Any] = plan.as_dict()
        found |= {"recipe": resolved.as_dict(), **estimate.as_dict()}
        if traced is not None:
            # The trace knows better; what was estimated stands beside it.
            found |= {"estimated_memory": found["memory"], "trace": traced.as_dict(), "memory": traced.memory.as_dict()}
            found["verdict"] = judgement.as_dict()
        if measured is not None:
            found |= {"estimated_memory": predicted.as_dict(), "memory": measured.as_dict()}
        if largest:
            found["largest"] = [one.as_dict() for one in largest_found]
        if why_not:
            found["why_not"] = [one.as_dict() for several in compared for one in several]
        print_json(found)
        return
    if largest or why_not:
        from ftui.cli.plan_answers import show_answers

        show_answers(largest_found, compared)
        return
    from ftui.cli.plan_text import show

    show(plan, estimate, resolved, shape, profile)
    if traced is not None:
        show_trace(traced, estimate.memory, judgement)
    if measured is not None:
        show_measured(measured, predicted)

