"""What looks wrong in a resolved recipe, each with what to do about it."""

from __future__ import annotations

import math

from ftui.data.document import DataProfile
from ftui.hardware.document import Hardware
from ftui.methods import LoraOptions
from ftui.models.document import ModelShape
from ftui.planner.disk import disk_bytes
from ftui.planner.document import Risk
from ftui.planner.lengths import cut
from ftui.planner.setup import device_of, setup_of
from ftui.planner.time import held_out
from ftui.recipe.document import Recipe
from ftui.units import count, gib

HIGH_RATE = 5e-4
LARGE = 7_000_000_000
SHARED = 0.05
"""A card of which others hold more than this share is not ours alone."""


def risks(
    recipe: Recipe, hardware: Hardware, shape: ModelShape, profile: DataProfile | None
) -> tuple[Risk, ...]:
    """Every risk that shows before the start, gravest room first: data, training, model, machine."""
    found = [*_data(recipe, shape, profile), *_training(recipe, shape, profile), *_model(recipe, shape, profile)]
    return (*found, *_machine(recipe, hardware, shape, profile))


def _data(recipe: Recipe, shape: ModelShape, profile: DataProfile | None) -> list[Risk]:
    found = []
    length = recipe.data.max_length
    if isinstance(length, int) and length > shape.context_length:
        found.append(Risk(
            path="data.max_length",
            text=f"{length:,} tokens exceed the model's context of {shape.context_length:,}.",
            hint=f"Set it to {shape.context_length} or less.",
        ))
    if profile is None:
        return found
    if profile.lengths is not None and isinstance(length, int) and not (recipe.data.packing and profile.kind == "text"):
        over, lost = cut(profile.lengths, length)
        if over > 0.10:
            found.append(Risk(
                path="data.max_length",
                text=f"{over:.0%} of the rows are longer than {length:,} tokens and lose {lost:.0%} of all tokens.",
                hint=f"Raise it (99 % of rows have at most {profile.lengths.p99:,} tokens), or leave those rows out.",
            ))
    if not recipe.data.validation:
        found.append(Risk(
            path="data.validation",
            text="Nothing is held out, so over-fitting can't be seen and no best checkpoint is chosen.",
            hint="Hold out 5 % or a few hundred rows.",
        ))
    elif not isinstance(recipe.data.validation, str) and held_out(profile.rows, recipe.data.validation) < 8:
        held = held_out(profile.rows, recipe.data.validation)
        found.append(Risk(
            path="data.validation",
            text=f"Only {held} {'row is' if held == 1 else 'rows are'} held out: the validation loss will be noise.",
            hint="Hold out more rows, or read the samples rather than the loss.",
        ))
    if profile.duplicate_rows > 0.1 * profile.rows:
        found.append(Risk(
            path="data.prepare", text=f"{profile.duplicate_rows:,} of {profile.rows:,} rows are exact duplicates.",
            hint="Leave them out: they are learnt by heart, and leak into the held-out rows.",
        ))
    return found


def _training(recipe: Recipe, shape: ModelShape, profile: DataProfile | None) -> list[Risk]:
    found = []
    train = recipe.train
    rate = train.learning_rate
    small = shape.parameters < 300_000_000
    if isinstance(rate, float) and rate > HIGH_RATE and train.warmup <= 0:
        found.append(Risk(
            path="train.warmup", text=f"A learning rate of {rate:g} without warm-up often diverges in the first steps.",
            hint="Set a warm-up of 0.03 or more, or lower the rate.",
        ))
    if isinstance(rate, float) and recipe.adapter.kind == "none" and rate > 1e-4 and not small:
        found.append(Risk(
            path="train.learning_rate",
            text=f"{rate:g} is high for full tuning of {count(shape.parameters)} parameters.",
            hint="1e-5 to 5e-5 is usual; LoRA takes about ten times as much.",
        ))
    elif isinstance(rate, float) and rate > 2e-3 and not small:
        found.append(Risk(
            path="train.learning_rate", text=f"{rate:g} is above what published runs use (1e-4 to 1e-3).",
            hint="Lower it, or watch the first hundred steps.",
        ))
    if profile is None:
        return found
    rows = max(1, profile.rows - held_out(profile.rows, recipe.data.validation))
    if isinstance(train.effective_batch, int) and train.effective_batch >= rows and not train.max_steps:
        found.append(Risk(
            path="train.effective_batch",
            text=f"One step takes {train.effective_batch} rows and only {rows} train: an epoch is one step.",
            hint="Lower the effective batch, so that an epoch has at least ten steps.",
        ))
    passes = train.epochs
    if train.max_steps and isinstance(train.effective_batch, int):
        passes = min(passes, train.max_steps * train.effective_batch / rows)
    if passes > 10 and rows < 5000:
        found.append(Risk(
            path="train.epochs", text=f"{passes:g} passes over {rows:,} rows will be learnt by heart.",
            hint="1–3 passes for instructions; set a patience, so that it stops when the validation loss rises.",
        ))
    adapter = recipe.adapter
    if isinstance(adapter, LoraOptions) and isinstance(adapter.rank, int):
        fed = _fed_rank(rows)
        if adapter.rank > fed:
            found.append(Risk(
                path="adapter.rank", text=f"{rows:,} rows can't feed a rank of {adapter.rank}.",
                hint=f"{fed} or less learns as much from so few rows, and over-fits later.",
            ))
        starved = isinstance(adapter.alpha, float) and adapter.alpha < adapter.rank and not adapter.rslora
        if adapter.rank >= 64 and starved:
            found.append(Risk(
                path="adapter.alpha", text=f"alpha {adapter.alpha:g} at rank {adapter.rank} scales the update down.",
                hint="Take twice the rank, or rank-stabilized scaling.",
            ))
    return found


def _fed_rank(rows: int) -> int:
    """The highest rank that so many rows can feed: 16 up to 500, then doubled with each fourfold number of rows."""
    return 16 if rows < 500 else 2 ** (5 + max(0, math.floor(math.log(rows / 500, 4))))


def _model(recipe: Recipe, shape: ModelShape, profile: DataProfile | None) -> list[Risk]:
    found = []
    if recipe.adapter.kind == "none" and shape.parameters > LARGE:
        found.append(Risk(
            path="adapter.kind",
            text=f"Full tuning of {count(shape.parameters)} parameters on one card is slow, its checkpoints large.",
            hint="LoRA reaches nearly the same on data of usual size.",
        ))
    if recipe.adapter.kind == "none" and recipe.model.dtype == "float16":
        found.append(Risk(
            path="model.dtype", text="float16 has a narrow range: full tuning in it can end in infinities.",
            hint="bfloat16 where the card has it, else LoRA.",
        ))
    talks = profile is not None and profile.kind == "conversation" and recipe.goal.task == "chat"
    if talks and shape.chat_template_known and not shape.chat_template and recipe.data.template == "auto":
        found.append(Risk(
            path="data.template",
            text=f"{shape.name} is a base model without a chat template: it has to learn the marks of ChatML.",
            hint="Take the instruct version of the model, or set the template that you will serve it with.",
        ))
    if shape.gated and not shape.path:
        found.append(Risk(
            path="model.base", text=f"{shape.ref} is gated: it can't be downloaded before its licence is accepted.",
            hint=f"Accept it on https://huggingface.co/{shape.ref}, then run `ftui login`.",
        ))
    if shape.remote_code:
        found.append(Risk(
            path="model.base",
            text=f"{shape.name} needs code of its own from the hub, which ftui does not run unasked.",
            hint="Take a model whose architecture transformers knows.",
        ))
    if not shape.exact:
        found.append(Risk(
            path="model.base", text=shape.inexact_reason or "The parameter count is an estimate, and so is the memory.",
            hint="Leave more room than usual; the first minute of the run tries the longest rows.",
        ))
    return found


def _machine(recipe: Recipe, hardware: Hardware, shape: ModelShape, profile: DataProfile | None) -> list[Risk]:
    found = []
    gpu = hardware.gpu if device_of(recipe, hardware) == "cuda" else None
    if gpu is not None and gpu.used_bytes > SHARED * gpu.total_bytes:
        holders = ", ".join(sorted({process.name or f"process {process.pid}" for process in gpu.processes}))
        found.append(Risk(
            path="compute.gpus",
            text=f"{gib(gpu.used_bytes)} of {gpu.name} are held by others{f' ({holders})' if holders else ''}.",
            hint="What they take later is missing here: agree with them, or wait.",
        ))
    if hardware.torch.problem:
        found.append(Risk(
            path="compute.gpus", text=hardware.torch.problem, hint=hardware.torch.advice or "See `ftui probe`.",
        ))
    disk = next((d for d in hardware.disks if d.purpose == "runs"), None)
    if disk is not None:
        needed = disk_bytes(setup_of(recipe, hardware, shape, profile), recipe.train.keep_checkpoints)
        if needed > disk.free_bytes:
            found.append(Risk(
                path="train.keep_checkpoints",
                text=f"The run needs about {gib(needed)} on {disk.path}, where {gib(disk.free_bytes)} are free.",
                hint="Keep fewer checkpoints, free some space, or set FTUI_HOME to a larger disk.",
            ))
        if disk.volatile:
            found.append(Risk(
                path="name", text=f"{disk.path} vanishes with this machine or container.",
                hint="Set FTUI_HOME to a disk that stays, or copy the result away when the run ends.",
            ))
    cache = next((d for d in hardware.disks if d.purpose == "hub cache"), None)
    if cache is not None and not shape.path and shape.weight_bytes and shape.weight_bytes > cache.free_bytes:
        found.append(Risk(
            path="model.base",
            text=f"The download takes {gib(shape.weight_bytes)}, and {gib(cache.free_bytes)} are free on {cache.path}.",
            hint="Free some space, or set HF_HOME to a larger disk.",
        ))
    return found
