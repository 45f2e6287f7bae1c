"""`ftui launch`: start a run in the background from a preset, a recipe, or a few options."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer

from ftui.cli.output import print_json, tell_translation
from ftui.units import clock, gib


def command(
    reference: str = typer.Argument(None, metavar="[PRESET_OR_RECIPE]", help="A preset's name or a YAML file."),
    model: str = typer.Option(None, "--model", "-m", help="Base model: a hub id, a local folder, or demo."),
    data: list[str] = typer.Option([], "--data", "-d", help="A file or hub dataset; may be given several times."),
    settings: list[str] = typer.Option([], "--set", metavar="SECTION.SETTING=VALUE", help="Change one setting."),
    name: str = typer.Option(None, "--name", help="A name by which to find the run again."),
    max_hours: float = typer.Option(None, "--max-hours", help="Stop with a checkpoint after so many hours."),
    on_end: str = typer.Option(None, "--on-end", metavar="CMD", help="A shell command run when the run has ended."),
    queued: bool = typer.Option(False, "--queue", help="Wait in the queue until a device is free for it."),
    wait: bool = typer.Option(False, "--wait", help="Show the progress and return when the run has ended."),
    dry_run: bool = typer.Option(
        False, "--dry-run",
        help="Say what would be run, what it takes and what is in the way (exit code 2); start nothing.",
    ),
    force: bool = typer.Option(False, "--force", help="Launch even where it looks as if it would fail."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Plan what the recipe leaves open, check that it fits, and start it in a process that outlives this terminal."""
    from ftui.errors import Refused
    from ftui.runs.command import ask, launch_command
    from ftui.runs.launch import launch, lay_out
    from ftui.runs.logout import survival
    from ftui.runs.obstacles import obstacles, refuses

    flags: dict[str, Any] = {
        "model.base": model, "name": name, "compute.max_hours": max_hours, "compute.on_end": on_end
    }
    asked = ask(reference, data=data, settings=settings, flags=flags)
    tell_translation(asked.said)
    if (hash := asked.recipe.model.trust_code) and any(text.startswith("model.trust_code=") for text in settings):
        # Typed here and now by the one as whom it would run: a recipe that says it was written by anyone.
        from ftui.models.trusted import agree

        agree(asked.recipe.model.base, asked.recipe.model.revision, hash)
    layout = lay_out(
        asked.recipe, asked_text=asked.text, preset=asked.preset, hardware=_later() if queued else None,
    )
    line = launch_command(layout.asked, reference=reference)
    if dry_run:
        found = list(obstacles(layout))
        _show(layout, line, found, as_json=as_json)
        sys.exit(Refused.exit_code if refuses(layout, found, force=force) else 0)
    run = launch(layout, command=line, force=force, queued=queued)
    for risk in layout.risks:
        print(f"ftui: {risk.path}: {risk.text}\n      {risk.hint}", file=sys.stderr)
    if warning := (outlives := survival()).warning:
        print(f"ftui: {warning}" + (f"\n      {outlives.hint}" if outlives.hint else ""), file=sys.stderr)
    if wait:
        from ftui.cli.waiting import stand_by

        if not as_json:
            print(f"Started {run.id}", file=sys.stderr)
        sys.exit(stand_by(run, as_json=as_json))
    if as_json:
        from ftui.cli.waiting import summary

        print_json(summary(run))
        return
    estimate = layout.estimate
    print(f"{'Queued' if queued else 'Started'} {run.id} in the background: {estimate.time.steps:,} steps, "
          f"about {clock(estimate.time.total_seconds)}, {gib(estimate.memory.process_bytes)} expected.")
    print(f"  watch   ftui watch {run.id}")
    if queued:
        print("  queue   ftui runs queue")
    print(f"  stop    ftui runs stop {run.id}")
    print(f"  folder  {run.path}")


def _later() -> Any:
    """The machine as a queued run will find it."""
    from ftui import hardware
    from ftui.runs.queue import emptied

    return emptied(hardware.probe())


def _show(layout: Any, line: str, found: Sequence[Any], *, as_json: bool) -> None:
    """What would be run: the resolved recipe with each reason, the estimate, and what was `found` in the way."""
    from ftui.recipe import write

    if as_json:
        print_json({
            "recipe": layout.recipe, "choices": list(layout.plan.choices), "estimate": layout.estimate,
            "risks": list(layout.risks), "obstacles": [{"what": o.what, "hint": o.hint} for o in found],
            "command": line, **({"stages": [_stage(each) for each in layout.stages]} if layout.stages else {}),
        })
        return
    for each in layout.stages or (None,):
        shown = each.layout if each else layout
        if each:
            size = f"{shown.estimate.time.steps:,} steps, {gib(shown.estimate.memory.process_bytes)}"
            print(f"# Stage {each.stage.name}, from {_start(each, layout)}: {size}")
        print(write(shown.recipe, comments={choice.path: choice.reason for choice in shown.plan.choices}))
    estimate = layout.estimate
    print(estimate.verdict.text)
    print(f"{estimate.time.steps:,} steps, about {clock(estimate.time.total_seconds)} "
          f"({clock(estimate.time.low_seconds)} to {clock(estimate.time.high_seconds)}); "
          f"{gib(estimate.disk_bytes)} of disk.")
    for risk in layout.risks:
        print(f"Risk: {risk.path}: {risk.text} {risk.hint}")
    for obstacle in found:
        print(f"In the way: {obstacle.what} {obstacle.hint}")
    print(f"\n{line}")


def _start(each: Any, layout: Any) -> str:
    """What a stage starts from, in words."""
    if each.stage.after is None:
        return "the base model"
    name = layout.stages[each.stage.after].stage.name
    return f"the adapter of {name}" if each.stage.start == "adapter" else f"the model of {name}"


def _stage(each: Any) -> dict[str, Any]:
    """A stage as the JSON shows it."""
    layout = each.layout
    return {
        "name": each.stage.name, "from": each.stage.start, "recipe": layout.recipe, "estimate": layout.estimate,
        "choices": list(layout.plan.choices),
    }
