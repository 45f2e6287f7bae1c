"""From an asked recipe to a started run, left to right: machine, model, data, plan, checks, folder, worker."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ftui.data.document import DataProfile
from ftui.errors import FtuiError, Refused
from ftui.hardware.document import Hardware
from ftui.installed import noted
from ftui.models.document import ModelShape
from ftui.planner.document import Estimate, Plan, Risk
from ftui.recipe.document import Recipe
from ftui.recipe.stages import has_stages
from ftui.runs import data_files
from ftui.runs.absolute import with_absolute_paths
from ftui.runs.added_tokens import with_added_tokens
from ftui.runs.agreed_code import with_agreed_code, with_agreed_commit
from ftui.runs.companions import with_judge_size
from ftui.runs.continuing import continued
from ftui.runs.control import start
from ftui.runs.folder import Run, create, list_runs
from ftui.runs.obstacles import Obstacle, never, obstacles
from ftui.runs.token_free import require_no_token

if TYPE_CHECKING:

    from ftui.runs.stages import StageLayout

RECENT = 50
"""So many of the newest runs are looked at for one that does the same."""
FRESH_SECONDS = 5.0
"""Memory that was free longer ago than this is looked at again before a launch."""


@dataclass(frozen=True)
class Layout:
    """All that is known before a run starts.  `asked` is what was written, with absolute paths; `recipe` the whole."""

    asked: Recipe
    asked_text: str
    recipe: Recipe
    hardware: Hardware
    shape: ModelShape
    profile: DataProfile
    plan: Plan
    estimate: Estimate
    risks: tuple[Risk, ...]
    preset: str | None = None
    stages: tuple[StageLayout, ...] = ()
    """Of a recipe with stages each of them; the rest is then the heaviest one's, and `recipe` the first one's."""


def lay_out(
    asked: Recipe,
    *,
    asked_text: str | None = None,
    preset: str | None = None,
    hardware: Hardware | None = None,
    shape: ModelShape | None = None,
    profile: DataProfile | None = None,
) -> Layout:
    """Find out what `asked` means on this machine; what is known already can be handed in.

    `asked_text` is the recipe's file, verbatim.  Raises BadInput for a model or data that can't be used.
    """
    from ftui import data, models, planner, trust
    from ftui import hardware as machine
    from ftui.calibration import calibration
    from ftui.recipe import asked as asked_paths
    from ftui.recipe import write

    require_no_token(asked, asked_text)
    if has_stages(asked):
        from ftui.runs.stages import lay_out_stages

        return lay_out_stages(asked, asked_text=asked_text, preset=preset, hardware=hardware)
    draft = with_added_tokens(with_agreed_commit(with_judge_size(continued(with_absolute_paths(asked)))))
    if not draft.model.base:
        raise Refused("The recipe names no base model.", "Add --model MODEL: a hub id, a folder, or demo.")
    if not draft.data.sources:
        raise Refused("The recipe names no data.", "Add --data FILE.")
    hardware = hardware or machine.probe()
    shape = shape or models.describe(draft.model.base, draft.model.revision)
    draft = with_agreed_code(draft, shape)
    profile = profile or data.profile(
        draft.data.sources, shape, template=draft.data.template, loss_on=draft.objective.loss_on,
        repairs=data.repairs_of(draft),
    )  # fmt: skip
    known = calibration()
    found = planner.plan(hardware, shape, profile, draft, known)
    found = noted(found, draft.compute.stack)
    recipe = planner.resolve(draft, found)
    return Layout(
        asked=draft,
        asked_text=asked_text or write(draft, only=asked_paths(draft)),
        recipe=recipe,
        hardware=hardware,
        shape=shape,
        profile=profile,
        plan=found,
        estimate=trust.estimate(recipe, hardware, shape, profile, known),
        risks=tuple(planner.risks(recipe, hardware, shape, profile)),
        preset=preset,
    )


def launch(layout: Layout, *, command: str, force: bool = False, queued: bool = False) -> Run:
    """Write the run's folder, start its worker detached, and return at once.

    With `queued` the worker waits for its turn and for its device to be free; `layout` must then be one for the machine
    as it will be (`ftui.runs.queue.emptied`).

    `command` is the command line that makes the run again.  Raises Refused where the run would fail for a reason that
    can be seen now; `force` launches all the same, unless there is nothing that could train.
    """
    if layout.stages:
        from ftui.runs.stages import launch_stages

        if queued:
            raise Refused("A recipe with stages can't wait in the queue.", "Launch it once the device is free.")
        return launch_stages(layout, command=command, force=force)
    if reason := never(layout):
        raise Refused(*reason)
    layout = layout if queued else refreshed(layout)
    if not force and (found := next(obstacles(layout), None) or (None if queued else _twin(layout))):
        raise Refused(found.what, f"{found.hint} (--force launches all the same.)")
    run = create(
        "train", layout.recipe.name, command=command, recipe=layout.recipe, asked_text=layout.asked_text,
        plan=layout.plan, preset=layout.preset,
    )
    data_files.remember(run, layout.recipe)
    if queued:
        from ftui.runs import queue

        queue.enter(run)
    start(run)
    return run


def _twin(layout: Layout) -> Obstacle | None:
    """Somebody has just launched the very same: a key that was pressed twice, another terminal."""
    for run in list_runs()[:RECENT]:
        if run.info.kind != "train" or run.info.name != layout.recipe.name or run.info.parent or not run.status().live:
            continue
        try:
            same = run.recipe() == layout.recipe
        except FtuiError:
            # Another version's recipe is no twin.
            continue
        if same:
            return Obstacle(f"{run.id} is training exactly this recipe already.", f"Watch it: ftui watch {run.id}")
    return None


def refreshed(layout: Layout) -> Layout:
    """`layout` with the memory that is free now: minutes may lie between a plan and its launch."""
    if abs(time.time() - layout.hardware.time) < FRESH_SECONDS:
        return layout
    from ftui import hardware as machine
    from ftui import trust
    from ftui.calibration import calibration

    hardware = machine.probe()
    estimate = trust.estimate(layout.recipe, hardware, layout.shape, layout.profile, calibration())
    return replace(layout, hardware=hardware, estimate=estimate)
