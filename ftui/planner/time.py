"""How long a run takes: the work of one step over the rates of its device, times the steps.

Products, traffic and kernels hardly overlap in eager PyTorch, so their seconds add; only the reading of weights hides
behind the product that needs it.  Tensors that stay in the card's cache between two operations move faster, and small
products leave a part of the card idle.  Rows of a padded micro-batch cost what the longest of them costs, by the
dataset's own length distribution, and attention what its square costs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ftui.data.document import DataProfile
from ftui.planner.calibration import FEW
from ftui.planner.cost import cost
from ftui.planner.devices import Rate
from ftui.planner.document import TimeEstimate
from ftui.planner.lengths import expected_longest, mean_length
from ftui.planner.setup import Setup
from ftui.planner.sharding import communication_bytes
from ftui.planner.states import trainable_parameters, trained_bytes
from ftui.planner.work import Batch, Work, evaluation_work, parts, step_work, total

START_SECONDS = 20.0
"""Imports, loading and the first step's warming up."""
UNKNOWN_ROWS = 1000
"""Rows assumed where no data has been read yet."""
PACKING_WASTE = 1.03
"""Sequences that packing makes over those that a perfect fit would."""
LINK = 20.0
"""GB/s between devices, and to host memory: PCIe 4.0 ×16 less its overhead."""
EVALUATION_LOSS = 0.6
"""An evaluation in the same micro-batches reaches so much of a training step's rate: its passes are short."""


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
    """Mean tokens of a sequence as it is computed, padding included; of what is read, where the model writes more."""
    real: float
    """Mean tokens of a sequence without padding."""
    evaluations: int
    square: float = 0.0
    """Mean square of a sequence's tokens as it is computed: what attention under a mask costs."""
    own: float = 0.0
    """The same where a packed row attends to itself only: what a kernel costs that knows of the rows' ends."""
    scored: float = 1.0
    """Share of the real tokens that the loss looks at."""


def schedule(
    profile: DataProfile | None, *, max_length: int, packing: bool, micro_batch: int, effective_batch: int,
    epochs: float, max_steps: int | None, validation: float | int | str, eval_steps: int, answers: int = 1,
) -> Schedule:
    """The steps of a run; rows held out for validation don't train.

    A row is trained on `answers` times in an epoch, where the model writes several for it.
    """
    total = profile.rows if profile else UNKNOWN_ROWS
    held = held_out(total, validation)
    rows = max(1, total - held)
    mean = mean_length(profile, max_length)
    row_square = expected_longest(profile, max_length, 1, power=2)
    if packing:
        sequences = max(1, math.ceil(rows * mean / max_length * PACKING_WASTE))
        padded = real = min(float(max_length), rows * mean / sequences)
        square, own = padded**2, padded * row_square / max(mean, 1.0)
    else:
        sequences, real = rows, mean
        padded = expected_longest(profile, max_length, micro_batch)
        square = own = expected_longest(profile, max_length, micro_batch, power=2)
    sequences *= answers
    per_epoch = max(1, math.ceil(sequences / effective_batch))
    steps = max(1, math.ceil(per_epoch * epochs))
    steps = min(steps, max_steps) if max_steps else steps
    return Schedule(
        rows, held, sequences, steps, min(effective_batch, sequences), padded, real,
        math.ceil(steps / max(1, eval_steps)) if held else 0, square, own,
        profile.lengths.trained_share if profile and profile.lengths else 1.0,
    )


def held_out(rows: int, validation: float | int | str) -> int:
    """Rows kept from training: a share, a number, or none where validation is a file of its own."""
    if isinstance(validation, str):
        return 0
    if 0 < validation < 1:
        return min(rows - 1, max(1, round(rows * validation))) if rows > 1 else 0
    return max(0, min(int(validation), rows - 1))


def batch(setup: Setup, plan: Schedule) -> Batch:
    """What one optimizer step puts through the model on one device."""
    sequences = plan.step_sequences / setup.devices * setup.sequences
    passes = math.ceil(plan.step_sequences / setup.devices / setup.rows)
    each, pairs = plan.padded, plan.square or plan.padded**2
    if setup.padding == "max_length":
        each, pairs = float(setup.length), float(setup.length) ** 2
    elif setup.padding == "free":
        # One sequence of all rows: only a kernel that knows of their ends leaves out pairs across them.
        each = plan.real
        pairs = each**2 * setup.rows * setup.sequences
    if setup.attention == "flash_attention_2":
        pairs = plan.own or pairs
    scored = plan.scored * plan.real if setup.objective == "sft" else plan.real
    if setup.completion:
        # A micro-batch is as wide as its longest prompt and its longest answer, taken to be as long as allowed.
        pairs += setup.completion * (2 * each + setup.completion)
        each, scored = each + setup.completion, float(setup.completion)
    return Batch(sequences * each, sequences * pairs, sequences * scored, passes)


def time(
    setup: Setup, rate: Rate, plan: Schedule, *, price: float | None = None, by_part: bool = False
) -> TimeEstimate:
    """Seconds of a step and of the whole, and what they cost in energy and, at a `price` per hour, in money.

    `by_part` adds the step's floating-point operations by part.
    """
    done = batch(setup, plan)
    work = parts(setup, done)
    raw = work_seconds(total(work), done, setup, rate) + sharing_seconds(setup, done)
    factor, doubt, source = corrected(rate)
    step = raw * factor
    evaluation = _evaluation_seconds(setup, rate, plan, done) * factor
    whole = plan.steps * step + plan.evaluations * evaluation
    if setup.reference == "precomputed":
        whole += plan.sequences / plan.step_sequences * evaluation_seconds(setup, rate, done) * factor
    seconds = (whole + START_SECONDS, whole / doubt + START_SECONDS / 2, whole * doubt + 2 * START_SECONDS)
    return TimeEstimate.model_construct(
        steps=plan.steps, step_seconds=step,
        tokens_per_second=plan.step_sequences * (plan.real + setup.completion) / step,
        total_seconds=seconds[0], low_seconds=seconds[1], high_seconds=seconds[2], source=source, device=rate.name,
        basis=rate.basis, factor=factor, **cost(seconds, watts=rate.watts, devices=setup.devices, price=price),
        flops={name: part.products for name, part in work.items()} if by_part else {},
    )


def corrected(rate: Rate) -> tuple[float, float, str]:
    """Measured over predicted seconds on this device, the interval's factor either way, and both in words."""
    learned = rate.learned
    if learned is None or not learned.runs:
        return 1.0, rate.doubt, rate.source
    trust = 1.0 if learned.runs >= FEW else 0.5
    factor = learned.step**trust
    doubt = max(1.08, learned.step_spread) if learned.runs >= FEW else max(1.08, rate.doubt**0.7, learned.step_spread)
    runs = "1 finished run" if learned.runs == 1 else f"{learned.runs} finished runs"
    return factor, doubt, f"{runs} on this device (×{factor:.2f} of: {rate.source})"


def step_seconds(setup: Setup, rate: Rate, plan: Schedule) -> float:
    """Seconds of one optimizer step, before what finished runs say of it."""
    done = batch(setup, plan)
    return work_seconds(step_work(setup, done), done, setup, rate) + sharing_seconds(setup, done)


def work_seconds(work: Work, done: Batch, setup: Setup, rate: Rate) -> float:
    """Seconds that `work` takes at these rates, `done` being what it was counted for."""
    tokens = done.tokens / max(1, done.passes)
    busy = tokens / (tokens + rate.fill)
    bandwidth = rate.bandwidth * 1e9
    products = (work.half / rate.half + work.single / rate.single) / 1e12 / busy
    codes = work.codes / ((rate.dequantization or rate.bandwidth) * 1e9)
    # A tensor of a pass, three bytes wide on average, and its successor must both find room to be read from the cache.
    tensor = 3.0 * tokens * setup.geometry.hidden
    faster = 1.0 + min(1.0, rate.cache * 1e6 / max(1.0, 2 * tensor))
    passing = max(0.0, work.moved - work.weights - work.stream - work.codes)
    traffic = (passing / faster + work.stream) / bandwidth
    return max(products, work.weights / bandwidth) + codes + traffic + work.kernels * rate.launch


def sharing_seconds(setup: Setup, done: Batch) -> float:
    """Seconds that devices spend on gradients, weights and states that travel; nothing of it is taken to overlap."""
    seconds = communication_bytes(setup, done.passes) / (LINK * 1e9)
    if setup.offload != "none":
        # Gradients go down and weights come back, once per step; the rest is updated where it lies.
        moved = 2.0 * trainable_parameters(setup) * trained_bytes(setup)
        seconds += moved / setup.devices / (LINK * 1e9)
    return seconds


def evaluation_seconds(setup: Setup, rate: Rate, done: Batch) -> float:
    """A forward pass over what one optimizer step puts through the model."""
    return work_seconds(evaluation_work(setup, done), done, setup, rate) / EVALUATION_LOSS


def _evaluation_seconds(setup: Setup, rate: Rate, plan: Schedule, done: Batch) -> float:
    """One evaluation of all that is held out."""
    if not plan.evaluations:
        return 0.0
    rows = plan.held_out * plan.sequences / max(1, plan.rows)
    return rows / plan.step_sequences * evaluation_seconds(setup, rate, done)
