"""What looks wrong in a resolved recipe, each with what to do about it."""

from __future__ import annotations

from ftui.data.document import DataProfile
from ftui.hardware.document import Hardware
from ftui.methods import OBJECTIVES
from ftui.models.document import ModelShape
from ftui.planner.disk import disk_bytes
from ftui.planner.document import Risk
from ftui.planner.guardrails import method, training
from ftui.planner.lengths import cut, read_lengths
from ftui.planner.rules import sources
from ftui.planner.setup import device_of, devices_of, setup_of
from ftui.planner.time import held_out
from ftui.recipe.document import Recipe
from ftui.units import count, gib

LARGE = 7_000_000_000
SHARED = 0.05
"""A card of which others hold more than this share is not ours alone."""
BUSY = 0.25
"""A share of the time: a neighbour that works less hardly slows a training down."""


def risks(
    recipe: Recipe, hardware: Hardware, shape: ModelShape, profile: DataProfile | None
) -> tuple[Risk, ...]:
    """Every risk that shows before the start, gravest room first: data, training, model, machine."""
    found = [*_data(recipe, shape, profile), *training(recipe, shape, profile), *method(recipe, shape, profile)]
    found += _model(recipe, shape, profile)
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
    lengths = read_lengths(profile, recipe.objective.kind)
    if lengths is not None and isinstance(length, int) and not (recipe.data.packing and profile.kind == "text"):
        over, lost = cut(lengths, length)
        if over > 0.10 and OBJECTIVES[recipe.objective.kind].form == "prompt":
            found.append(Risk(
                path="data.max_length",
                text=f"{over:.0%} of the prompts are longer than {length:,} tokens, and their rows are left out.",
                hint=f"Raise it: 99 % of the prompts have at most {lengths.p99:,} tokens.",
            ))
        elif over > 0.10:
            found.append(Risk(
                path="data.max_length",
                text=f"{over:.0%} of the rows are longer than {length:,} tokens and lose {lost:.0%} of all tokens.",
                hint=f"Raise it (99 % of rows have at most {lengths.p99:,} tokens), or leave those rows out.",
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
            source=sources.DUPLICATES,
        ))
    return found


def _model(recipe: Recipe, shape: ModelShape, profile: DataProfile | None) -> list[Risk]:
    found = []
    if recipe.adapter.kind == "none" and shape.parameters > LARGE:
        found.append(Risk(
            path="adapter.kind",
            text=f"Full tuning of {count(shape.parameters)} parameters on one card is slow, its checkpoints large.",
            hint="LoRA reaches nearly the same on data of usual size.", source=sources.WITHOUT_REGRET,
        ))
    if recipe.adapter.kind == "none" and recipe.model.dtype == "float16":
        found.append(Risk(
            path="model.dtype", text="float16 has a narrow range: full tuning in it can end in infinities.",
            hint="bfloat16 where the card has it, else LoRA.", source=sources.MIXED_PRECISION,
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
    if shape.remote_code and recipe.model.trust_code is None:
        found.append(Risk(
            path="model.base",
            text=f"{shape.name} needs code of its own, which would run as you.",
            hint=f"Read it before you trust it: ftui models code {shape.ref}",
        ))
    if shape.stored is not None and not shape.stored.trains and recipe.adapter.kind != "none":
        found.append(Risk(
            path="model.base",
            text=f"{shape.name} is stored in {shape.quantization}, on which transformers can't train.",
            hint="Take the unquantized model, or one in nf4, gptq or awq.",
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
    busy = gpu is not None and bool(gpu.processes) and (gpu.utilization or 0.0) > BUSY
    if gpu is not None and (busy or gpu.used_bytes > SHARED * gpu.total_bytes):
        holders = ", ".join(sorted({process.name or f"process {process.pid}" for process in gpu.processes}))
        found.append(Risk(
            path="compute.gpus",
            text=f"{gib(gpu.used_bytes)} of {gpu.name} are held by others{f' ({holders})' if holders else ''}"
            + (f", and it is {gpu.utilization:.0%} busy with that." if busy else "."),
            hint="The plan counts what is free; what they take later is missing here"
            + (", and steps take longer than planned" if busy else "") + ". `--queue` waits for a free card.",
        ))
    wanted, there = devices_of(recipe), len(hardware.usable_gpus)
    if wanted > max(there, 1):
        cards = "1 usable GPU" if there == 1 else f"{there} usable GPUs"
        found.append(Risk(
            path="compute.gpus", text=f"{wanted} GPUs are asked for, and this machine has {cards}.",
            hint="The figures hold if the missing ones are like the least of those; else set compute.gpus.",
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
