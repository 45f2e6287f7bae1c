"""From an asked recipe to a started run, left to right: machine, model, data, plan, checks, folder, worker."""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ftui.data.document import DataProfile
from ftui.errors import FtuiError, Refused
from ftui.hardware.document import Hardware
from ftui.installed import noted
from ftui.methods import LoraOptions, Targeted
from ftui.methods.judges import with_paths as judge_with_paths
from ftui.methods.rewards import with_paths
from ftui.models.document import ModelShape
from ftui.paths import hub_cache_dir, runs_dir
from ftui.planner.document import Estimate, Plan, Risk
from ftui.recipe.document import DataSource, Recipe
from ftui.recipe.picture_combinations import wrong_pictures
from ftui.recipe.stages import has_stages
from ftui.recipe.trainable import missing, planned_only
from ftui.recipe.webhooks import FILE
from ftui.runs import data_files
from ftui.runs.added_tokens import untrained_tokens, with_added_tokens
from ftui.runs.agreed_code import untrusted_code, with_agreed_code, with_agreed_commit
from ftui.runs.companions import unfetchable, with_judge_size, wrong_companions
from ftui.runs.continuing import continued
from ftui.runs.control import start
from ftui.runs.folder import Run, create, list_runs
from ftui.runs.token_free import require_no_token
from ftui.units import gib

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ftui.runs.stages import StageLayout

RECENT = 50
"""So many of the newest runs are looked at for one that does the same."""
FRESH_SECONDS = 5.0
"""Memory that was free longer ago than this is looked at again before a launch."""
EMBEDDINGS = ("embed_tokens", "lm_head", "wte", "embed_in", "embed_out")
"""What peft can put an adapter on beside the linear modules of the layers."""
NAMED = frozenset({"demo", "auto"})
"""Values that name something of ftui's own, even where a file of that name lies about."""


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


@dataclass(frozen=True)
class Obstacle:
    """Why the run would fail: a sentence, and what to do about it."""

    what: str
    hint: str


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


def refuses(layout: Layout, found: Sequence[Obstacle], *, force: bool) -> bool:
    """Whether `launch` would refuse `layout`, in whose way these obstacles were found."""
    layouts = [each.layout for each in layout.stages] or [layout]
    return bool(found) if not force else any(never(each) for each in layouts)


def never(layout: Layout) -> tuple[str, str] | None:
    """Why not even `force` launches this, and what to do: nothing could train, or a stranger's code would run."""
    return planned_only(layout.recipe) or untrusted_code(layout.recipe, layout.shape)


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


def obstacles(layout: Layout) -> Iterator[Obstacle]:
    """Everything that speaks against launching now, the gravest first; of stages each's, the first stage's first."""
    if layout.stages:
        for each in layout.stages:
            for obstacle in obstacles(each.layout):
                yield Obstacle(f"Stage {each.stage.name}: {obstacle.what}", obstacle.hint)
        return
    if untrainable := planned_only(layout.recipe):
        yield Obstacle(*untrainable)
    gpu = layout.hardware.gpu if layout.recipe.compute.gpus != 0 else None
    if found := missing(layout.recipe, gpu=gpu is not None, fp8=gpu is not None and gpu.fp8):
        yield Obstacle(*found)
    yield from _torch_obstacles(layout)
    yield from _data_obstacles(layout)
    yield from _model_obstacles(layout)
    yield from (Obstacle(*wrong) for wrong in wrong_companions(layout.recipe, layout.shape))
    verdict = layout.estimate.verdict
    if verdict.fit == "no":
        # Where each is enough by itself, the first costs least.
        needed = verdict.changes if verdict.together else verdict.changes[:1]
        changes = " ".join(f"--set {change.path}={change.text}" for change in needed)
        advice = f"Try {changes}." if changes else "Choose a smaller model or another method."
        yield Obstacle(verdict.text, f"{advice}{_neighbours(layout)}")
    yield from _disk_obstacles(layout)
    yield from _webhook_obstacles(layout)


def _neighbours(layout: Layout) -> str:
    """Who else is on the card, where it would have room without them."""
    from ftui.hardware.holders import NOTEWORTHY, said

    gpu = layout.hardware.gpu if layout.recipe.compute.gpus != 0 else None
    if gpu is None or gpu.used_bytes < NOTEWORTHY or layout.estimate.memory.high_bytes > gpu.total_bytes:
        return ""
    words = said(gpu, gpu.used_bytes)
    return f" {words[0].upper()}{words[1:]}: --queue waits until it is free."


def _torch_obstacles(layout: Layout) -> Iterator[Obstacle]:
    """A plan for the GPU with a torch that can't use it would train on the CPU, a hundred times slower."""
    torch = layout.hardware.torch
    if layout.hardware.gpu and layout.recipe.compute.gpus != 0 and torch.problem:
        advice = f"Install the right one: {torch.advice}; or train on the CPU: --set compute.gpus=0"
        yield Obstacle(torch.problem, advice if torch.advice else "Or train on the CPU: --set compute.gpus=0")


def _data_obstacles(layout: Layout) -> Iterator[Obstacle]:
    from ftui.data.mapping import mapping_hint
    from ftui.methods import OBJECTIVES

    sources = " ".join(source.path for source in layout.recipe.data.sources)
    if layout.profile.rows == 0:
        yield Obstacle("No row of the data can be trained on.", f"See why: ftui data check {sources}")
    objective = OBJECTIVES[layout.recipe.objective.kind]
    if layout.profile.kind not in objective.data:
        hints = (mapping_hint(source, at, objective.data) for at, source in enumerate(layout.profile.sources))
        yield Obstacle(
            f"The data holds {layout.profile.kind} rows; {objective.title.lower()} trains on "
            f"{' or '.join(objective.data)} rows.",
            next(filter(None, hints), None) or f"See what is in it: ftui data show {sources}",
        )
    yield from _template_obstacles(layout)
    yield from _validation_obstacles(layout)
    yield from _held_out_obstacles(layout)
    if layout.profile.images:
        yield from _image_obstacles(layout)


def _image_obstacles(layout: Layout) -> Iterator[Obstacle]:
    """Images where the model sees none, where they can't be opened, or beside settings that don't go with them."""
    from ftui.data import load_tokenizer

    for found in wrong_pictures(layout.recipe):
        yield Obstacle(*found)
    try:
        sees = load_tokenizer(layout.shape).image is not None
    except FtuiError:
        # Told of elsewhere, with its own reason.
        return
    if not sees:
        yield Obstacle(
            f"{layout.profile.images:,} rows of the data have images, on which {layout.recipe.model.base} can't be "
            "trained.", "Take a LLaVA 1.5 model, such as llava-hf/llava-1.5-7b-hf, or rows without images.",
        )
    elif importlib.util.find_spec("PIL") is None:
        yield Obstacle("The data has images, and Pillow, which opens them, is not installed.",
                       "Install it: pip install 'ftui[vision]'")


def _template_obstacles(layout: Layout) -> Iterator[Obstacle]:
    """A chat template that would have the wrong words trained."""
    if layout.profile.faults:
        from ftui.data.mask_check import MEND_MASK

        yield from (Obstacle(fault, MEND_MASK) for fault in layout.profile.faults)


def _validation_obstacles(layout: Layout) -> Iterator[Obstacle]:
    from ftui.data import load, validation_source

    wanted, rows = layout.recipe.data.validation, layout.profile.rows
    if isinstance(wanted, int) and 0 < rows <= wanted:
        yield Obstacle(
            f"data.validation holds out {wanted:,} rows, but there are only {rows:,}.",
            "Hold out fewer, or a share: 0.05.",
        )
    try:
        if (file := validation_source(layout.recipe)) is not None:
            load(file)
    except FtuiError as error:
        yield Obstacle(f"data.validation: {error.what}", error.hint or "Name another file, or a share: 0.05.")


def _held_out_obstacles(layout: Layout) -> Iterator[Obstacle]:
    """A source without the column by which rows are to be held out."""
    from ftui.data import held_out_by, load

    if (by := held_out_by(layout.recipe)) is None:
        return
    for source in layout.recipe.data.sources:
        try:
            load(source, hold_out=by)
        except FtuiError as error:
            yield Obstacle(error.what, str(error.hint))


def _model_obstacles(layout: Layout) -> Iterator[Obstacle]:
    from ftui import models

    base = layout.recipe.model.base
    yield from _target_obstacles(layout)
    if untrained := untrained_tokens(layout.recipe):
        yield Obstacle(*untrained)
    if reason := untrusted_code(layout.recipe, layout.shape):
        yield Obstacle(*reason)
    if base in NAMED or models.locate(base, layout.recipe.model.revision):
        return
    if wrong := unfetchable(base, layout.recipe.model.revision):
        yield Obstacle(*wrong)
    room = _free(hub_cache_dir())
    if layout.shape.weight_bytes and room is not None and room < layout.shape.weight_bytes:
        yield Obstacle(
            f"{base} takes {gib(layout.shape.weight_bytes)} to download, and {hub_cache_dir()} has {gib(room)} free.",
            "Free some space, or point HF_HOME at a larger disk.",
        )


def _target_obstacles(layout: Layout) -> Iterator[Obstacle]:
    """Names of modules that the model has none of: the worker would refuse them, or pass over one of several."""
    from ftui.recipe.names import nearest

    adapter, linears = layout.recipe.adapter, [linear.name for linear in layout.shape.linears]
    if not isinstance(adapter, LoraOptions | Targeted) or adapter.targets == "all-linear" or not linears:
        return
    wanted = adapter.targets.split(",") if isinstance(adapter.targets, str) else adapter.targets
    names = [path.strip().rpartition(".")[2] for path in wanted]
    if unknown := [name for name in names if name not in (*linears, *EMBEDDINGS)]:
        near, known = nearest(unknown[0], linears), ", ".join(dict.fromkeys(linears))
        yield Obstacle(
            f"adapter.targets names {', '.join(unknown)}, and {layout.recipe.model.base} has no such module.",
            (f"Did you mean {near}? " if near else "") + f"It has {known}; all-linear is all of them.",
        )


def _disk_obstacles(layout: Layout) -> Iterator[Obstacle]:
    room = _free(runs_dir())
    if room is not None and room < layout.estimate.disk_bytes:
        yield Obstacle(
            f"The run needs {gib(layout.estimate.disk_bytes)} of disk for checkpoints and output, and {runs_dir()} has "
            f"{gib(room)} free.",
            "Free some space, point FTUI_HOME at a larger disk, or keep fewer checkpoints: "
            "--set train.keep_checkpoints=1",
        )


def _webhook_obstacles(layout: Layout) -> Iterator[Obstacle]:
    """An address that nobody can tell now won't be known in hours either."""
    if layout.recipe.compute.webhook is not None:
        from ftui.runs.webhook import address

        try:
            address(layout.recipe.compute.webhook)
        except FtuiError as error:
            yield Obstacle(error.what, error.hint or "Or leave compute.webhook out.")


def _free(folder: Path) -> int | None:
    """Bytes free where `folder` lies or would lie; None where that can't be told."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def with_absolute_paths(recipe: Recipe) -> Recipe:
    """`recipe` with every file that exists here named absolutely: the worker's folder is another."""
    sources = tuple(_source(source) for source in recipe.data.sources)
    data: dict[str, object] = {"sources": sources} if sources != recipe.data.sources else {}
    for name in ("template", "validation"):
        value = getattr(recipe.data, name)
        if isinstance(value, str) and _absolute(value) != value:
            data[name] = _absolute(value)
    if recipe.data.prepare:
        from ftui.data.repairs import with_files

        data["prepare"] = tuple(with_files(entry, _absolute) for entry in recipe.data.prepare)
    changed: dict[str, object] = {"data": recipe.data.model_copy(update=data)} if data else {}
    if recipe.continual.remember and (old := _absolute(recipe.continual.remember)) != recipe.continual.remember:
        changed["continual"] = recipe.continual.model_copy(update={"remember": old})
    if (base := _absolute(recipe.model.base)) != recipe.model.base:
        changed["model"] = recipe.model.model_copy(update={"base": base})
    if (webhook := recipe.compute.webhook) and webhook.startswith(FILE):
        path = f"{FILE}{_absolute(webhook.removeprefix(FILE).strip())}"
        changed["compute"] = recipe.compute.model_copy(update={"webhook": path})
    if objective := _objective(recipe):
        changed["objective"] = recipe.objective.model_copy(update=objective)
    return recipe.model_copy(update=changed) if changed else recipe


def _objective(recipe: Recipe) -> dict[str, object]:
    """What an objective names on this disk, absolutely, where it doesn't yet: rewards, judges, a teacher."""
    objective = recipe.objective
    rewards, teacher = getattr(objective, "rewards", ()), getattr(objective, "teacher", "")
    absolute = {
        "rewards": tuple(with_paths(text, _absolute) for text in rewards), "teacher": _absolute(teacher),
        "judge": tuple(judge_with_paths(text, _absolute) for text in getattr(objective, "judge", ())),
    }
    return {name: value for name, value in absolute.items() if value != getattr(objective, name, value)}


def _source(source: DataSource) -> DataSource:
    from ftui.data.folders import is_pattern
    from ftui.data.own_loader import is_loader

    own = os.path.expanduser(source.path)
    path = os.path.abspath(own) if is_pattern(own) or (is_loader(own) and ".py:" in own) else _absolute(source.path)
    return source if path == source.path else source.model_copy(update={"path": path})


def _absolute(path: str) -> str:
    if not path or path in NAMED:
        return path
    try:
        found = Path(path).expanduser().absolute()
        if not found.exists():
            return path
        # Without its dots, unless a link on the way makes them mean another place.
        short = Path(os.path.normpath(found))
        return str(short if short.exists() and short.samefile(found) else found)
    except (OSError, RuntimeError, ValueError):
        # No path at all: a template's text, a name that no filesystem takes.
        return path
