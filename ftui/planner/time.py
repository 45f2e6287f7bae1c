"""How long a run takes: matrix products, memory traffic and kernel launches of one step, times the steps.

Per token and matrix parameter, full tuning does 6 operations (2 forward, 2 for the input's gradient, 2 for the
weight's), LoRA 4, and checkpointing 2 more for the layers it computes again.  Attention adds its share that grows with
the length.
Rows of a padded micro-batch cost what the longest of them costs, by the dataset's own length distribution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ftui.data.document import DataProfile
from ftui.planner.activations import token_mlp
from ftui.planner.devices import Rate
from ftui.planner.document import TimeEstimate
from ftui.planner.lengths import expected_longest, mean_length
from ftui.planner.setup import Setup
from ftui.planner.states import weight_bytes

DEQUANTIZE = {"nf4": 1.33, "fp4": 1.33, "int8": 1.8}
"""Factor on the matrix products of a quantized base on CUDA: QLoRA is about a third slower, 8 bits more so."""
DEQUANTIZE_CPU = {"nf4": 2.3, "fp4": 2.3, "int8": 7.5}
"""The same in CPU mode: a 48 M-parameter LoRA step took 0.65 s in float32, 1.5 in nf4, 5 in int8."""
KERNELS_PER_LAYER = 90
"""Kernel launches of one layer, forward and backward, with adapters on it."""
START_SECONDS = 20.0
"""Imports, loading and the first step's warming up."""
UNKNOWN_ROWS = 1000
"""Rows assumed where no data has been read yet."""


@dataclass(frozen=True)
class Schedule:
    """How much is trained: `sequences` go through the model per epoch, `steps` optimizer steps in all."""

    rows: int
    held_out: int
    sequences: int
    steps: int
    step_sequences: int
    """Sequences of one optimizer step."""
    padded: float
    """Mean tokens of a sequence as it is computed, padding included."""
    real: float
    """Mean tokens of a sequence without padding."""
    evaluations: int


def schedule(
    profile: DataProfile | None, *, max_length: int, packing: bool, micro_batch: int, effective_batch: int,
    epochs: float, max_steps: int | None, validation: float | int | str, eval_steps: int,
) -> Schedule:
    """The steps of a run; rows held out for validation don't train."""
    total = profile.rows if profile else UNKNOWN_ROWS
    held = held_out(total, validation)
    rows = max(1, total - held)
    mean = mean_length(profile, max_length)
    if packing:
        sequences = max(1, math.ceil(rows * mean / max_length * 1.03))
        padded = real = min(float(max_length), rows * mean / sequences)
    else:
        sequences, real = rows, mean
        padded = expected_longest(profile, max_length, micro_batch)
    per_epoch = max(1, math.ceil(sequences / effective_batch))
    steps = max(1, math.ceil(per_epoch * epochs))
    steps = min(steps, max_steps) if max_steps else steps
    return Schedule(
        rows, held, sequences, steps, min(effective_batch, sequences), padded, real,
        math.ceil(steps / max(1, eval_steps)) if held else 0,
    )


def held_out(rows: int, validation: float | int | str) -> int:
    """Rows kept from training: a share, a number, or none where validation is a file of its own."""
    if isinstance(validation, str):
        return 0
    if 0 < validation < 1:
        return min(rows - 1, max(1, round(rows * validation))) if rows > 1 else 0
    return max(0, min(int(validation), rows - 1))


def time(setup: Setup, rate: Rate, plan: Schedule, factor: float | None = None) -> TimeEstimate:
    """Seconds of a step and of the whole; `factor` is measured over predicted seconds of runs on this device."""
    step = step_seconds(setup, rate, plan)
    doubt = rate.doubt
    source = rate.source
    if factor:
        step, doubt, source = step * factor, 1.15, f"finished runs on this device (×{factor:.2f} of: {rate.source})"
    evaluation = plan.evaluations * plan.held_out * plan.padded / max(1.0, plan.step_sequences * plan.padded) * step / 3
    whole = plan.steps * step + evaluation
    return TimeEstimate.model_construct(
        steps=plan.steps, step_seconds=step, tokens_per_second=plan.step_sequences * plan.real / step,
        total_seconds=whole + START_SECONDS, low_seconds=whole / doubt + START_SECONDS / 2,
        high_seconds=whole * doubt + 2 * START_SECONDS, source=source,
    )


def step_seconds(setup: Setup, rate: Rate, plan: Schedule) -> float:
    """Seconds of one optimizer step: products, traffic and launches hardly overlap in eager PyTorch, so they add."""
    tokens = plan.step_sequences * plan.padded
    passes = math.ceil(plan.step_sequences / setup.rows)
    tflops = rate.half if setup.compute_bytes == 2 else rate.single
    slower = (DEQUANTIZE_CPU if setup.device == "cpu" else DEQUANTIZE).get(setup.quantization, 1.0)
    products = flops_per_token(setup, plan.padded) * tokens * slower / (tflops * 1e12)
    traffic = _traffic(setup, tokens, passes) / (rate.bandwidth * 1e9)
    launches = KERNELS_PER_LAYER * setup.geometry.layers * passes * rate.launch * (1.3 if setup.checkpointing else 1.0)
    return products + traffic + launches


def flops_per_token(setup: Setup, length: float) -> float:
    """Floating-point operations of training per token of a row of `length` tokens."""
    sizes = setup.geometry
    active = sizes.linear_weights
    if sizes.experts_per_token:
        plain = sum(t.weights * t.count for t in sizes.targets if t.per_layer == 1 and not t.packed)
        active = plain + _routed(setup)
    head = sizes.vocab * sizes.hidden
    per_weight = 6 if setup.full else 4
    attention = 2 * sizes.query * length * sizes.layers
    work = per_weight * (active + head) + 6 * setup.adapter_parameters + 3.5 * attention
    if setup.checkpointing:
        work += 2 * active + attention
    return float(work + (2 * head if setup.loss == "tiled" else 0))


def _routed(setup: Setup) -> int:
    sizes = setup.geometry
    return (3 if sizes.gated else 2) * sizes.hidden * token_mlp(setup) * sizes.layers


def _traffic(setup: Setup, tokens: float, passes: int) -> float:
    """Bytes moved: the weights for each pass, activations written and read a few times, optimizer states once."""
    sizes = setup.geometry
    reads = 4 if setup.checkpointing else 3
    activations = tokens * sizes.layers * setup.compute_bytes * (30 * sizes.hidden + 12 * token_mlp(setup))
    states = 0 if not setup.full else sizes.parameters * setup.weight_bytes * 6
    return float(weight_bytes(setup) * reads * passes + activations * (reads / 3) + states)
