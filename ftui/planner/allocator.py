"""From allocated bytes to what the card must have: the allocator's slack, the CUDA context, and the interval.

`reserved` is what the caching allocator holds from the driver; archived runs on a T4 and an RTX 4080 show it 2–12 %
above the allocated peak with fused attention in 16 bits, up to 20 % with a 4-bit base, and up to 43 % with eager
attention (79 and 11 runs, see docs/plan.md).  What stays (weights, optimizer states) and what a forward pass leaves
behind is packed densely.  What fragments is what comes and goes: a layer's tensors, and the logits, for which a layer's
freed blocks are too small.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ftui.methods.lora import pattern_of
from ftui.planner import objectives, sharding, stored
from ftui.planner.activations import holds_scores
from ftui.planner.geometry import chosen
from ftui.planner.moment import Moment
from ftui.planner.setup import Setup
from ftui.planner.stack import CURRENT
from ftui.planner.states import gradient_bytes

CONTEXTS = (((7, 5), 150), ((8, 0), 420), ((8, 6), 300), ((8, 9), 330), ((9, 0), 560), ((12, 0), 600))
"""Compute capability → MiB of CUDA context and libraries.  141 MiB was measured on a T4; the others are guesses within
the 100–600 MiB that cards and drivers show, and the interval carries the doubt."""


class Shares(NamedTuple):
    """Reserved beyond allocated: bytes in any case, and shares of what comes and goes in a layer, of what the loss
    makes, of what is kept for the backward pass, and of full tuning's gradients."""

    fixed: int
    layer: float
    loss: float
    kept: float
    gradients: float


NATIVE = Shares(50 << 20, 0.25, 0.18, 0.02, 0.09)
EXPANDABLE = Shares(30 << 20, 0.12, 0.16, 0.01, 0.03)
"""Fitted to replays of 139 traced steps (benchmarks/planner/trace.py); replays met archived runs within 3 %.  With LoRA
they are met within 0.7 and 0.5 % of the peak at the median, 3.3 and 2.5 % in nine of ten steps."""

LOSS_PHASES = ("loss forward", "loss backward", "head backward")
BESIDE_STEP = ("load", "optimizer step", "evaluation", "saving")

LOADING_DOUBT = 0.05
"""What a base that is quantized while it is loaded may leave in pieces, of what stays: archived 4-bit runs on a T4."""

PICTURED = 0.05
"""What is added where rows have images, for the vision tower's forward, which is not in the formula."""
FOREIGN = 0.10
FOREIGN_STAYS = 0.02
"""How far off what comes and goes, and what stays, may be in another training loop or with other libraries than those
that were traced: so wide that the interval holds nine of ten published runs whose settings are all stated."""
UNSEEN = 0.2
"""How much less may come and go where nobody has seen the rows: max_length bounds the widest micro-batch, and PEFT's
comparison, whose texts are cut off at 1,300 characters, stays a tenth below it."""

MIXED = 0.3
"""What X-LoRA's finished adapters keep for the gate's gradient, which was not traced."""
FLOAT8 = 0.05
"""Products in 8-bit floats cast both factors anew each time, which was read in torchao and not traced."""

VARIED_ACTIVATIONS = 1.5
VARIED_LOGITS = 4.0
"""What torch's native allocator reserves where micro-batches differ in width, in times of the widest one's bytes: what
was cached for a narrower one is too narrow for the next.  Layers' tensors are alike and many and find a place in each
other's; logits are few and large, and nearly each new widest one takes fresh segments.  The medians of replays of
traced steps with 250 random lengths (benchmarks/planner/varied.py): together ×1.5 without checkpointing, ×2.8 with it
and a vocabulary of 32,000, ×3.8 with 152,000; single runs lie between half and one and a half times that."""


def library_workspace(setup: Setup) -> int:
    """cuBLAS' workspaces, which the caching allocator counts as allocated."""
    if setup.device == "cpu":
        return 0
    hopper = setup.compute_capability is not None and setup.compute_capability >= (9, 0)
    return setup.stack.cublas_bytes_hopper if hopper else setup.stack.cublas_bytes


def context(setup: Setup) -> int:
    """Memory of the process that no allocator of torch's sees; on a CPU the interpreter with its libraries."""
    if setup.device == "cpu":
        return setup.stack.process_bytes_cpu
    capability = setup.compute_capability or (8, 0)
    return max((mib for known, mib in CONTEXTS if known <= capability), default=150) << 20


def slack(setup: Setup, stays: float, dynamic: float, step: Sequence[Moment] = ()) -> int:
    """Reserved minus allocated: a share of what comes and goes in `step`, whose moments a GPU needs.

    On a CPU it is what glibc's heaps keep between aligned blocks: 40–90 % in measured LoRA steps of a model of 100 M
    parameters (after `malloc_trim` it is gone).
    """
    plain = _plain_slack(setup, stays, dynamic, step)
    if not setup.varied or setup.expandable:
        return plain
    # Gradients of full tuning have one size in every step; the rest of the peak finds a place in what is cached.
    fixed = min(dynamic, gradient_bytes(setup)) if setup.full else 0.0
    pool = max((VARIED_ACTIVATIONS * one.activations + VARIED_LOGITS * one.logits for one in step), default=0.0)
    cached = max(0.0, fixed + pool - dynamic - plain)
    left = setup.room - stays - dynamic - plain - context(setup)
    # Before memory runs out the cache is given back.
    return plain + int(max(0.0, min(cached, left)) if setup.room else cached)


def _plain_slack(setup: Setup, stays: float, dynamic: float, step: Sequence[Moment]) -> int:
    """The slack of a run whose micro-batches are alike."""
    if setup.device == "cpu":
        return int(0.01 * stays + 0.60 * dynamic)
    if holds_scores(setup):
        return int(0.01 * stays + 0.20 * dynamic)
    kept = layer = loss = gradients = 0.0
    for phase, made, activations, logits, workspace, _ in step:
        held = activations + logits + workspace
        if phase in LOSS_PHASES:
            kept = activations
            if held > loss:
                loss = held
        elif held > layer and phase not in BESIDE_STEP:
            layer = held
        if made > gradients:
            gradients = made
    share = EXPANDABLE if setup.expandable else NATIVE
    found = share.layer * max(0.0, layer - kept) + share.loss * max(0.0, loss - kept) + share.kept * kept
    return share.fixed + int(found + (share.gradients * gradients if setup.full else 0.0))


def interval(
    setup: Setup, stays: float, dynamic: float, slack_bytes: int, context_bytes: int, step: Sequence[Moment] = ()
) -> tuple[int, int]:
    """Low and high end of the process peak: the slack may be nothing or twice as much, the formula off by its doubt,
    and the rows narrower than max_length where nobody has seen them.
    """
    doubt = formula_doubt(setup) * dynamic + stored.weights_doubt(setup)
    doubt += FOREIGN_STAYS * stays if foreign(setup) else 0.0
    plain = _plain_slack(setup, stays, dynamic, step) if setup.varied and not setup.expandable else slack_bytes
    cached = slack_bytes - plain
    low = stays + dynamic - doubt + 0.1 * plain + 0.2 * cached + 0.6 * context_bytes
    if setup.unseen:
        low -= UNSEEN * dynamic
    low -= _untouched(setup) * dynamic
    high = stays + dynamic + doubt + 1.7 * plain + 1.3 * context_bytes
    if setup.quantization != "none":
        high += LOADING_DOUBT * stays
    # Where the room is short the cache is given back, so it never decides whether a run fits.
    high = max(high, min(high + 2 * cached, float(setup.room))) if setup.room else high + 2 * cached
    return int(low), int(high)


def _untouched(setup: Setup) -> float:
    """The share of the layers that LoRA leaves as they are, for which the formula takes what adapted ones keep: below
    the first adapted layer nothing is kept at all."""
    lora = setup.lora
    if lora is None or not (lora.layers or pattern_of(lora)):
        return 0.0
    whole = sum(target.count for target in chosen(setup.geometry, "all-linear"))
    return 1.0 - min(1.0, sum(target.count for target in setup.targets) / whole) if whole else 0.0


def foreign(setup: Setup) -> bool:
    """Whether somebody else's training loop or library versions are asked for, which were read and not traced."""
    return setup.trainer == "transformers" or setup.stack is not CURRENT


def formula_doubt(setup: Setup) -> float:
    """How far off the activations and gradients may be: 2 % where traced, more for what was not."""
    doubt = 0.02 if setup.geometry.known else 0.08
    if foreign(setup):
        doubt += FOREIGN
    if setup.pictured:
        doubt += PICTURED
    if setup.geometry.experts_per_token and not setup.geometry.known:
        doubt += 0.07
    if setup.quantization == "int8":
        doubt += 0.12
    if setup.dropout or setup.dora:
        doubt += 0.02
    if setup.float8:
        doubt += FLOAT8
    if setup.adapter == "xlora":
        doubt += MIXED
    if setup.device == "cpu":
        doubt += 0.08
    return doubt + objectives.doubt(setup) + sharding.doubt(setup) + stored.doubt(setup)


def notes(setup: Setup) -> tuple[str, ...]:
    """Where the formula is weak for this setup, in sentences."""
    said = []
    if setup.geometry.experts_per_token:
        if not setup.geometry.known:
            said.append("This mixture of experts was not held against a trace: the interval is wide.")
        if setup.quantization != "none" and setup.geometry.packed_weights:
            said.append("The fused expert tensors are not linear modules: quantization leaves them in 16 bits.")
    elif not setup.geometry.known:
        said.append("This family's layers were not held against a trace: the interval is wider.")
    if foreign(setup):
        said.append("This training loop, or these library versions, were read and not traced: the interval is wider.")
    if setup.quantization == "int8":
        said.append("8-bit products make temporaries that the formula only estimates.")
    if _untouched(setup):
        said.append("Activations are counted as if every layer were adapted: fewer take less, down to the interval's "
                    "low end.")
    if setup.lora is not None and setup.lora.rank_pattern:
        said.append("Activations are counted at the common rank; the pattern's ranks count in weights and states.")
    if setup.adapter == "xlora":
        said.append("X-LoRA's finished adapters count among the weights; what they keep for the backward pass and the "
                    "gate's own pass are not in the formula: the interval is wider.")
    if setup.float8:
        said.append("Products in 8-bit floats were not measured on a card: the time they save is not counted, and the "
                    "interval is wider.")
    if setup.device == "cpu":
        said.append("In CPU mode this is resident memory of the training process.")
    return (*said, *stored.notes(setup))
