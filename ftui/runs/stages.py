"""Launching a recipe with stages: all are planned before the first starts, and each becomes a run below one parent."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ftui.errors import BadInput, Refused
from ftui.hardware.document import Hardware
from ftui.methods import ADAPTERS, LoraOptions
from ftui.methods.lora import as_saved
from ftui.methods.rewards import with_paths
from ftui.planner.document import Estimate
from ftui.recipe import asked, assign, write
from ftui.recipe.document import Recipe
from ftui.recipe.stages import STAGE, Stage, stages_of
from ftui.recipe.start_combinations import TRAINING
from ftui.runs import data_files
from ftui.runs.absolute import with_absolute_paths
from ftui.runs.control import start
from ftui.runs.folder import Run, create
from ftui.runs.launch import Layout, lay_out, refreshed
from ftui.runs.obstacles import never, obstacles
from ftui.runs.on_end import SILENT


@dataclass(frozen=True)
class StageLayout:
    """A stage and what it means here; what other stages leave stands in its recipe as stage:NAME."""

    stage: Stage
    layout: Layout


def lay_out_stages(
    recipe: Recipe, *, asked_text: str | None = None, preset: str | None = None, hardware: Hardware | None = None
) -> Layout:
    """What each stage of `recipe` means on this machine: the layout of the heaviest one, with the recipe of the first,
    the time and disk of all, and all of them as its `stages`.

    Raises what `lay_out` raises, with the name of the stage.
    """
    laid: list[StageLayout] = []
    for stage in stages_of(recipe):
        last = None if stage.after is None else laid[stage.after].layout
        with _naming(stage):
            draft = with_absolute_paths(stage.recipe)
            laid.append(StageLayout(stage, _laid(stage, draft, last, laid, hardware)))
        hardware = laid[0].layout.hardware
    if not laid:
        raise Refused("The recipe names no data.", "Add --data FILE, once for each task.")
    heaviest = max((each.layout for each in laid), key=lambda layout: layout.estimate.memory.process_bytes)
    draft = with_absolute_paths(recipe)
    first = laid[0].layout.recipe.model_copy(update={"name": draft.name, "stages": draft.stages})
    return replace(
        heaviest, asked=draft, asked_text=asked_text or write(draft, only=asked(draft)), recipe=first, preset=preset,
        estimate=_whole(heaviest.estimate, [each.layout.estimate for each in laid]), stages=tuple(laid),
        risks=tuple(dict.fromkeys(risk for each in laid for risk in each.layout.risks)),
    )


def launch_stages(layout: Layout, *, command: str, force: bool = False) -> Run:
    """Make the parent's folder and one for each stage, and start the parent's worker, which leads them one by one.

    Raises Refused where one of them would fail for a reason that can be seen now.
    """
    for each in layout.stages:
        if reason := never(each.layout):
            raise Refused(f"Stage {each.stage.name}: {reason[0]}", reason[1])
    layout = replace(layout, stages=tuple(replace(each, layout=refreshed(each.layout)) for each in layout.stages))
    if not force and (found := next(obstacles(layout), None)):
        raise Refused(found.what, f"{found.hint} (--force launches all the same.)")
    parent = create(
        "stages", layout.asked.name, command=command, recipe=layout.asked, asked_text=layout.asked_text,
        plan=layout.plan, preset=layout.preset,
    )
    made = [parent]
    try:
        trained: dict[int, Run] = {}
        for number, each in enumerate(layout.stages):
            recipe = _placed(each, layout, trained, made, parent)
            trained[number] = create(
                "train", recipe.name, command=command, recipe=recipe, plan=each.layout.plan, parent=parent.id,
                asked_text=each.layout.asked_text, args={"stage": len(made), "name": each.stage.name},
            )
            made.append(trained[number])
            data_files.remember(trained[number], recipe)
        start(parent)
    except BaseException:
        # Whatever comes between, an interrupt too: runs that nobody leads must not stay, and it goes on as it came.
        for run in made:
            shutil.rmtree(run.path, ignore_errors=True)
        raise
    return parent


def _laid(
    stage: Stage, draft: Recipe, last: Layout | None, laid: list[StageLayout], hardware: Hardware | None
) -> Layout:
    """The layout of one stage, after `last` if it starts from that one's result."""
    settings: dict[str, Any] = {}
    if stage.start == "merged" and last and last.shape.remote_code:
        raise Refused(
            "It starts from a whole model that brings code of its own, to which nobody can agree before it is there.",
            "Start it from the adapter, or launch one training after the other.",
        )
    if stage.start == "adapter" and last:
        draft = draft.model_copy(update={"adapter": _going_on(draft, last.recipe)})
        # What the adapter was trained on is what it goes on with.
        for name in ("quantization", "dtype"):
            if getattr(draft.model, name) == "auto":
                settings[f"model.{name}"] = getattr(last.recipe.model, name)
    if stage.start == "merged" and getattr(draft.adapter, "start_from", None) is not None:
        settings["adapter.start_from"] = None
    if stage.rewards and not getattr(draft.objective, "reward_parameters", 1):
        scorer = laid[stage.rewards[0]].layout.shape
        settings["objective.reward_parameters"] = scorer.parameters / 1e9
    draft = assign(draft, settings) if settings else draft
    shape = last.shape if last else None
    return lay_out(draft, hardware=hardware, shape=shape)


def _going_on(draft: Recipe, last: Recipe) -> Any:
    """The adapter of `last` as it will lie there, with what `draft` says of how it trains."""
    found: Any = as_saved(last.adapter) if isinstance(last.adapter, LoraOptions) else last.adapter
    here = type(found).model_fields
    training = {name: getattr(draft.adapter, name) for name in TRAINING if name in here and name != "kind"}
    return found.model_copy(update={**training, "start_from": f"{STAGE}{last.name}"})


def _placed(
    each: StageLayout, layout: Layout, trained: dict[int, Run], made: list[Run], parent: Run
) -> Recipe:
    """A stage's recipe with the folders that the results of other stages will have; merging is a run of its own."""
    stage, recipe = each.stage, each.layout.recipe
    # The parent keeps to its time, and says when all has ended.
    settings: dict[str, Any] = {"compute.max_hours": None, **SILENT}
    if stage.after is not None and stage.start == "adapter":
        settings["adapter.start_from"] = str(trained[stage.after].output)
    if stage.after is not None and stage.start == "merged":
        last = layout.stages[stage.after]
        folder = trained[stage.after].output
        if ADAPTERS[last.layout.recipe.adapter.kind].saved == "adapter":
            merging = create(
                "merge", f"{last.layout.recipe.name}-merged", command=parent.info.command, parent=parent.id,
                args={"stage": len(made), "name": f"merge of {last.stage.name}", "run": trained[stage.after].id},
            )
            made.append(merging)
            folder = merging.output
        settings |= {"model.base": str(folder), "model.revision": None}
    if stage.rewards:
        names = {f"{STAGE}{layout.stages[number].stage.name}": str(trained[number].output) for number in stage.rewards}
        rewards: Any = recipe.objective
        settings["objective.rewards"] = [
            with_paths(text, lambda path: names.get(path, path)) for text in rewards.rewards
        ]
    return assign(recipe, settings)


def _whole(heaviest: Estimate, all_of_them: list[Estimate]) -> Estimate:
    """The memory of the heaviest stage, the time and disk of all."""
    times = [estimate.time for estimate in all_of_them]
    time = heaviest.time.model_copy(update={
        "steps": sum(time.steps for time in times),
        "total_seconds": sum(time.total_seconds for time in times),
        "low_seconds": sum(time.low_seconds for time in times),
        "high_seconds": sum(time.high_seconds for time in times),
    })
    disk = sum(estimate.disk_bytes for estimate in all_of_them)
    return heaviest.model_copy(update={"time": time, "disk_bytes": disk})


@contextlib.contextmanager
def _naming(stage: Stage) -> Iterator[None]:
    """Around what may refuse a stage: its name stands before the reason."""
    try:
        yield
    except (BadInput, Refused) as error:
        raise type(error)(f"Stage {stage.name}: {error.what}", error.hint) from error

