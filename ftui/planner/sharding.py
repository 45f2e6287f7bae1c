"""Several devices: what each of them holds, and what comes and goes while they share a step.

FSDP2 is laid out as accelerate 1.15 does it (`fsdp2_prepare_model`: a unit per decoder layer, one for the embedding,
one for final norm and head, which stays gathered; trained shards in float32 under mixed precision, gathering and
reducing in 16 bits), and its moments were held against traced steps over a fake process group of 2 to 8 devices
(`tests/planner/traced_sharding.json`).

ZeRO is DeepSpeed's partition as its paper states it (https://arxiv.org/abs/1910.02054 §5: gradients and 16-bit weights
take 2 bytes per parameter, master weights and Adam's states 12, and each stage divides one more of them), with the
buffers of its configuration (https://www.deepspeed.ai/docs/config-json/).  It was not traced, and its interval is
wider.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from ftui.hardware.document import Hardware
from ftui.planner.moment import Moment
from ftui.planner.objectives import BESIDE, GENERATED, second_model_bytes
from ftui.planner.setup import Setup
from ftui.planner.states import (
    adapter_bytes,
    gradient_bytes,
    optimizer_bytes,
    optimizer_workspace,
    trainable_parameters,
    weight_bytes,
)

NCCL_BYTES = 256 << 20
"""Buffers and channels of the communicators, outside the allocator: a guess within the 100–500 MiB that cards show."""
LIVE_ELEMENTS = 1_000_000_000
"""DeepSpeed's `stage3_max_live_parameters` and `stage3_max_reuse_distance`: as much stays gathered for the next use."""
BUCKET_ELEMENTS = 500_000_000
"""DeepSpeed's default `reduce_bucket_size`; where a configuration says "auto", as ftui's does, it is hidden²
(`transformers.integrations.deepspeed`)."""
SUBGROUP_ELEMENTS = 1_000_000_000
"""DeepSpeed's `sub_group_size`: so many elements take an optimizer step at once under ZeRO-3."""


class Held(NamedTuple):
    """Bytes that stay on one device from step to step."""

    weights: int
    adapter: int
    optimizer: int
    reference: int

    @property
    def total(self) -> int:
        return sum(self)


def held(setup: Setup) -> Held:
    """What one device holds; on a single one, or with a copy on each, everything."""
    if setup.strategy in ("single", "ddp"):
        return Held(weight_bytes(setup), adapter_bytes(setup), optimizer_bytes(setup), second_model_bytes(setup))
    if setup.strategy == "fsdp":
        return _held_by_fsdp(setup)
    return _held_by_zero(setup)


def local(setup: Setup) -> Setup:
    """The model as its layers compute it on one device, of which `placed` takes the activations.

    FSDP2 gathers every weight in the number format of the products; DeepSpeed turns the whole model into it.
    """
    if setup.strategy == "single":
        return setup
    alone = replace(setup, strategy="single", devices=1, offload="none")
    if setup.strategy == "ddp":
        return alone
    width = setup.compute_bytes
    alone = replace(alone, weight_bytes=width) if setup.full else replace(alone, adapter_bytes=width)
    # Gradients that wait for the rest of their batch are counted in `placed`.
    return replace(alone, accumulation=1)


def placed(setup: Setup, found: list[Moment]) -> list[Moment]:
    """The moments of one device of several, from those of `local(setup)`."""
    match setup.strategy:
        case "single":
            return found
        case "ddp":
            # DistributedDataParallel reduces copies of the gradients, in buckets that are made once.
            buckets = float(gradient_bytes(setup))
            return [m._replace(gradients=m.gradients + (buckets if m.phase != "load" else 0.0)) for m in found]
        case "fsdp":
            return _fsdp_moments(setup, found)
        case _:
            return [_zero_moment(setup, moment) for moment in found]


def communication_context(setup: Setup) -> int:
    """Memory of NCCL's communicators on each device."""
    return NCCL_BYTES if setup.devices > 1 and setup.device == "cuda" else 0


def communication_bytes(setup: Setup, passes: int | None = None) -> float:
    """Bytes that one device sends for one optimizer step, by rings: divide by the link's rate for the time it takes.

    `passes` are the micro-batches of the step on one device, by default as many as are accumulated.  A ring sends
    (N - 1) / N of what it gathers or scatters, and twice that for a sum that all get.  Sharded weights are gathered for
    the forward and again for the backward pass of every micro-batch (ZeRO §7).
    """
    if setup.strategy == "single":
        return 0.0
    share, passes = (setup.devices - 1) / setup.devices, passes or setup.accumulation
    gradients = float(trainable_parameters(setup) * setup.compute_bytes)
    weights = float(weight_bytes(local(setup)) + adapter_bytes(local(setup)))
    match setup.strategy:
        case "ddp":
            return 2 * share * gradient_bytes(setup)
        case "zero1":
            return 2 * share * gradients
        case "zero2":
            return share * gradients * (passes + 1)
        case "zero3":
            return share * passes * (2 * weights + gradients)
        case "fsdp":
            return share * (passes * 2 * weights + gradients)


def notes(setup: Setup) -> Iterable[str]:
    """Where the formula of several devices is weak, or what a person would not expect, in sentences."""
    if setup.strategy == "single":
        return
    if setup.strategy.startswith("zero"):
        yield "DeepSpeed's partition and buffers are taken from its documentation, not traced: the interval is wider."
    if setup.strategy == "fsdp" and setup.accumulation > 1:
        yield (
            "With gradient accumulation FSDP2 keeps whole gradients between micro-batches (Trainer's no_sync); "
            "sync_each_batch spares them for more communication."
        )
    if setup.quantization in ("nf4", "fp4") and setup.strategy in ("fsdp", "zero3"):
        yield "4-bit weights are shared out only if they are stored as 16-bit numbers (bnb_4bit_quant_storage)."
    if setup.quantization == "int8" and setup.strategy in ("fsdp", "zero3"):
        yield "bitsandbytes' 8-bit weights can't be shared out: each device holds them whole."


def doubt(setup: Setup) -> float:
    """How much wider the interval of what comes and goes is than on one device."""
    if setup.strategy in ("single", "ddp"):
        return 0.0
    return 0.03 if setup.strategy == "fsdp" else 0.15


def weakest(hardware: Hardware, count: int) -> Hardware:
    """`hardware` as the least of `count` cards sees it, the roomiest ones being taken: all devices hold the same."""
    cards = hardware.usable_gpus[:count]
    return hardware.model_copy(update={"gpus": (cards[-1],)}) if count > 1 and cards else hardware


def _trained_width(setup: Setup) -> int:
    """Bytes of a trained element's shard: accelerate makes it float32 under mixed precision, DeepSpeed its master."""
    if setup.strategy == "fsdp" and not setup.autocast:
        return setup.weight_bytes if setup.full else setup.adapter_bytes
    return 4


def _with_width(setup: Setup, width: int) -> Setup:
    return replace(setup, weight_bytes=width) if setup.full else replace(setup, adapter_bytes=width)


def _divisible(setup: Setup) -> bool:
    """Whether the base's weights can be shared out: bitsandbytes' 8-bit ones can't."""
    return setup.quantization != "int8"


def _held_by_fsdp(setup: Setup) -> Held:
    devices, whole = setup.devices, _with_width(setup, _trained_width(setup))
    divided = devices if _divisible(setup) else 1
    reference = _up(second_model_bytes(setup), devices)
    if setup.offload == "all":
        return Held(0 if _divisible(setup) else weight_bytes(setup), 0, 0, reference)
    return Held(
        _up(weight_bytes(whole), divided), _up(adapter_bytes(whole), devices), _up(optimizer_bytes(whole), devices),
        reference,
    )


def _held_by_zero(setup: Setup) -> Held:
    """16-bit weights, whole or divided, and each device's part of the master weights and the optimizer's states."""
    devices, alone = setup.devices, local(setup)
    master = optimizer_bytes(_with_width(setup, 4)) + 4 * trainable_parameters(setup)
    states = 0 if setup.offload != "none" else _up(master, devices)
    weights, reference = weight_bytes(alone), second_model_bytes(setup)
    if setup.strategy == "zero3":
        reference = _up(reference, devices)
        if _divisible(setup):
            weights = 0 if setup.offload == "all" else _up(weights, devices)
    # Adapters' matrices are below the size from which ZeRO-3 divides a tensor (stage3_param_persistence_threshold).
    return Held(weights, adapter_bytes(alone), states, reference)


def _zero_moment(setup: Setup, moment: Moment) -> Moment:
    """One moment under DeepSpeed: gradients by its stage, the bucket they are reduced in, gathered weights."""
    if moment.phase == "load":
        return moment
    sizes, width, devices = setup.geometry, setup.compute_bytes, setup.devices
    gradients, workspace = moment.gradients, moment.workspace
    accumulated = float(trainable_parameters(setup) * width)
    if setup.strategy == "zero1":
        # Whole gradients wait for the last micro-batch.
        gradients = max(gradients, accumulated) if setup.accumulation > 1 and moment.optimizer else gradients
    else:
        # A gradient is copied into the bucket, reduced, and kept by its owner; one tensor's at a time is whole.
        largest = float(max(sizes.embedding, sizes.largest_linear) * width) if setup.full else 0.0
        parts = accumulated if setup.accumulation > 1 or setup.strategy == "zero3" else gradients
        kept = 0.0 if setup.offload != "none" else parts / devices
        gradients = kept + min(gradients, largest)
    if moment.phase == "optimizer step":
        # The gradients' float32 copy, of a group of parameters at a time under ZeRO-3.
        part = trainable_parameters(setup) / devices
        part = min(part, float(SUBGROUP_ELEMENTS)) if setup.strategy == "zero3" else part
        workspace = workspace / devices + (4 * part if setup.offload == "none" else 0.0)
    elif moment.phase != "evaluation":
        elements = sizes.hidden**2 if setup.trainer == "ftui" else BUCKET_ELEMENTS
        workspace += elements * width
    if setup.strategy == "zero3" and _divisible(setup) and moment.phase != "optimizer step":
        whole = weight_bytes(local(setup))
        workspace += whole * min(1.0, LIVE_ELEMENTS / sizes.parameters)
    return moment._replace(gradients=gradients, workspace=workspace)


def _fsdp_moments(setup: Setup, found: list[Moment]) -> list[Moment]:
    """The moments of a step under FSDP2, and those of gathering and reducing between them.

    A gathered unit stands twice while it is copied out of the collective's buffer, which lives until the next unit's is
    copied out; going backward the next unit is gathered ahead, and the last one's reduction holds its input.
    """
    sizes, width, devices = setup.geometry, setup.compute_bytes, setup.devices
    at = {moment.phase: moment for moment in found}
    alone = local(setup)
    table = float(sizes.embedding * alone.weight_bytes)
    own = weight_bytes(alone) - table * (1 if sizes.tied else 2)
    unit = own / sizes.layers if _divisible(setup) else 0.0
    unit += setup.adapter_parameters * width / sizes.layers
    # The tied table is gathered from beginning to end; apart, each of the two is gathered where it is used.
    tied, apart = (table, 0.0) if sizes.tied else (0.0, table)
    shard = 0.0 if setup.offload == "all" else _trained_width(setup) / width / devices
    head = table if setup.full else 0.0
    layers = (own if setup.full else setup.adapter_parameters * width) / sizes.layers
    last_head = head * (shard if apart else 1.0)
    # Whole gradients of earlier micro-batches wait until their unit is reduced; what is new is added to them.
    accumulates = setup.accumulation > 1
    waiting = float(trainable_parameters(setup) * width) if accumulates else 0.0
    embedding = head if accumulates and apart else 0.0
    new = float(sizes.largest_linear * width)

    def during(phase: str, name: str = "", *, gradients: float, workspace: float, waits: float = waiting) -> Moment:
        moment = at[phase]
        return moment._replace(
            phase=name or phase, gradients=waits + gradients, workspace=moment.workspace + tied + workspace
        )

    kept = at["loss forward"]._replace(logits=0.0)
    at["gathering"] = kept._replace(workspace=0.0)
    at["nothing"] = Moment("nothing")
    first = at.get("first layer backward", at["last layer backward"])
    done = last_head + layers * (sizes.layers - 1) * shard
    highest = _own(at["last layer backward"], alone, head)
    lowest = _own(first, alone, head + layers * (sizes.layers - 1))
    highest, lowest = (min(new, highest), min(new, lowest)) if accumulates else (highest, lowest)
    everything = shard * (head * (2 if apart else 1) + layers * sizes.layers)
    moments = [
        at["load"],
        during("nothing", "gathering the embedding", gradients=0.0, workspace=table + apart),
        during("nothing", "gathering the first layer", gradients=0.0, workspace=table + 2 * unit),
        during("forward", gradients=0.0, workspace=2 * unit),
        during("gathering", "gathering a layer", gradients=0.0, workspace=3 * unit),
        during("gathering", "gathering the head", gradients=0.0, workspace=unit + 2 * apart),
        during("loss forward", gradients=0.0, workspace=2 * apart),
        during("loss backward", gradients=0.0, workspace=apart + unit),
        during("head backward", gradients=head, workspace=apart + unit),
        during("last layer backward", gradients=highest + (last_head if apart or not accumulates else 0.0),
               workspace=(head if apart else 0.0) + 2 * unit, waits=max(0.0, waiting - (head if apart else 0.0))),
        during(first.phase, gradients=done + lowest, workspace=layers + unit + apart,
               waits=layers + embedding if accumulates else 0.0),
    ]
    if sizes.layers > 2:
        moments.append(during(first.phase, "inner layer backward", gradients=done - layers * shard + lowest,
                              workspace=layers + 2 * unit, waits=2 * layers + embedding if accumulates else 0.0))
    if setup.full:
        moments += [
            during("gathering", "reducing the head", gradients=head * (1 + shard) if apart else head,
                   workspace=unit + head * (1 + 1 / devices) if apart else unit,
                   waits=max(0.0, waiting - head)),
            during("embedding backward", gradients=everything + table, workspace=table + layers, waits=embedding),
            during("nothing", "reducing the embedding", gradients=everything + table,
                   workspace=table * (1 + 1 / devices) - tied, waits=0.0),
        ]
    elif apart:
        moments.append(during("nothing", "gathering the embedding again", gradients=everything, workspace=2 * table,
                              waits=0.0))
    step = at["optimizer step"]
    moments.append(step._replace(gradients=everything, workspace=optimizer_workspace(setup) / devices))
    scoring = at["evaluation"].logits > 0
    moments.append(during("evaluation", gradients=0.0, workspace=2 * (apart if scoring else unit), waits=0.0))
    # What an objective runs beside its step gathers layer by layer, and the head, as every forward pass does; beside a
    # graph that waits for its backward pass the gradients of earlier micro-batches wait, too.
    moments += [
        during(moment.phase, gradients=0.0, workspace=max(2 * apart, 3 * unit),
               waits=0.0 if moment.phase in GENERATED else waiting)
        for moment in found if moment.phase in BESIDE
    ]
    return moments


def _own(moment: Moment, alone: Setup, before: float) -> float:
    """The weight gradients that a layer has made by its highest moment, still whole; `before` it came the others'."""
    return max(0.0, moment.gradients - before) if alone.full else 0.0


def _up(size: int, parts: int) -> int:
    """One of `parts` even shards of `size` bytes, rounded up."""
    return -(-size // parts)
