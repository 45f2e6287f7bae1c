"""What speaks against a launch now: each as a sentence with what to do about it, the gravest first."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ftui.errors import FtuiError
from ftui.methods import LoraOptions, Targeted
from ftui.paths import hub_cache_dir, runs_dir
from ftui.recipe.picture_combinations import wrong_pictures
from ftui.recipe.trackers import untracked
from ftui.recipe.trainable import missing, planned_only
from ftui.runs.absolute import NAMED
from ftui.runs.added_tokens import untrained_tokens
from ftui.runs.agreed_code import untrusted_code
from ftui.runs.companions import unfetchable, wrong_companions
from ftui.units import gib

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ftui.runs.launch import Layout

EMBEDDINGS = ("embed_tokens", "lm_head", "wte", "embed_in", "embed_out")
"""What peft can put an adapter on beside the linear modules of the layers."""


@dataclass(frozen=True)
class Obstacle:
    """Why the run would fail: a sentence, and what to do about it."""

    what: str
    hint: str


def refuses(layout: Layout, found: Sequence[Obstacle], *, force: bool) -> bool:
    """Whether `launch` would refuse `layout`, in whose way these obstacles were found."""
    layouts = [each.layout for each in layout.stages] or [layout]
    return bool(found) if not force else any(never(each) for each in layouts)


def never(layout: Layout) -> tuple[str, str] | None:
    """Why not even `force` launches this, and what to do: nothing could train, or a stranger's code would run."""
    return planned_only(layout.recipe) or untrusted_code(layout.recipe, layout.shape)


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
    if found := untracked(layout.recipe):
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
