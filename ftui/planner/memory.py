"""The closed form of peak memory: the largest of the moments of one training step, part by part.

peak = what stays (weights, adapter, optimizer states) + the most that gradients, activations, logits and work buffers
take together at any moment: load, forward, loss, its backward, the last layer's backward, the first layer's, the
embedding's, the optimizer step, evaluation.  Microseconds, standard library only.
"""

from __future__ import annotations

from ftui.planner import allocator, objectives, sharding
from ftui.planner.activations import Layer, at, layers_of, peak, residual_bytes
from ftui.planner.document import MemoryEstimate, MemoryParts
from ftui.planner.losses import Loss
from ftui.planner.moment import Moment
from ftui.planner.setup import Setup
from ftui.planner.states import gradient_bytes, optimizer_workspace


def memory(setup: Setup) -> MemoryEstimate:
    """The predicted peak of this setup with its parts and its interval."""
    weights, adapter, states, reference = sharding.held(setup)
    stays = weights + reference + adapter
    found = moments(setup)
    peak = max(found, key=lambda moment: moment.total(states))
    states = states if peak.optimizer else 0
    workspace = peak.workspace + allocator.library_workspace(setup)
    dynamic = peak.gradients + peak.activations + peak.logits + workspace
    stays += states
    allocated = int(stays + dynamic)
    slack = allocator.slack(setup, stays, dynamic, _moving(found))
    context = allocator.context(setup) + sharding.communication_context(setup)
    gradients, activations, logits = int(peak.gradients), int(peak.activations), int(peak.logits)
    parts = MemoryParts.model_construct(
        weights=weights, reference=reference, adapter=adapter, gradients=gradients, optimizer=states,
        activations=activations, logits=logits, workspace=allocated - stays - gradients - activations - logits,
        context=context, slack=slack,
    )
    process = allocated + slack + context
    low, high = allocator.interval(setup, stays, dynamic, slack, context)
    return MemoryEstimate.model_construct(
        parts=parts, allocated_bytes=allocated, reserved_bytes=allocated + slack, process_bytes=process,
        low_bytes=min(low, process), high_bytes=max(high, process), phase=peak.phase, badge="estimate",
        notes=(*allocator.notes(setup), *objectives.notes(setup), *sharding.notes(setup)),
    )


def process_bytes(setup: Setup) -> tuple[int, int]:
    """The process peak and the high end of its interval alone: the enumeration's short way through `memory`."""
    held = sharding.held(setup)
    found = moments(setup)
    peak = max(found, key=lambda moment: moment.total(held.optimizer))
    stays = held.total - (0 if peak.optimizer else held.optimizer)
    dynamic = peak.total(0) + allocator.library_workspace(setup)
    slack = allocator.slack(setup, stays, dynamic, _moving(found))
    context = allocator.context(setup) + sharding.communication_context(setup)
    process = int(stays + dynamic) + slack + context
    return process, max(process, allocator.interval(setup, stays, dynamic, slack, context)[1])


def _moving(found: list[Moment]) -> float:
    """The most that what depends on the rows takes at any moment."""
    return max(moment.activations + moment.logits for moment in found)


def moments(setup: Setup) -> list[Moment]:
    """Every moment of a step that can be the peak, in the order in which they pass; of one device of several."""
    if setup.strategy == "single":
        return _moments(setup)
    return sharding.placed(setup, _moments(sharding.local(setup)))


def _moments(setup: Setup) -> list[Moment]:
    sizes, tokens = setup.geometry, setup.tokens
    all_gradients = float(gradient_bytes(setup))
    # With accumulation the gradients of earlier micro-batches are there from the start.
    resident = all_gradients if setup.accumulation > 1 else 0.0
    one, start, end = layers_of(setup)
    around = _positions(setup)
    stored = float(residual_bytes(setup) * sizes.hidden * tokens) if setup.checkpointing else 0.0
    if setup.checkpointing:
        below = stored * sizes.layers
        kept = below
    else:
        below = at(start.kept, tokens) + (sizes.layers - 2) * at(one.kept, tokens) if sizes.layers > 1 else 0.0
        kept = below + at(one.kept if sizes.layers > 1 else start.kept, tokens)
    below, kept = below + around, kept + around
    loss = objectives.loss(setup)
    fresh = setup.full and not resident
    head = float(sizes.embedding * setup.weight_bytes) if fresh and setup.objective != "reward" else 0.0
    norm = at(end.kept, tokens)
    passed = resident + head
    found = [
        Moment("load", workspace=_dequantized(setup), optimizer=False),
        _forward(setup, one, resident, below),
        Moment("loss forward", resident, kept + norm, loss.forward),
        Moment("loss backward", resident, kept + norm, loss.backward),
        Moment("head backward", passed, kept + norm, loss.left),
        Moment("final norm backward", passed, kept + peak(end.points, tokens)),
        _layer_moment("last layer backward", one, setup, passed, below),
    ]
    last = 0.0 if resident else all_gradients - head
    if fresh and not sizes.tied:
        last -= sizes.embedding * setup.weight_bytes
    if sizes.layers > 1:
        others = (sizes.layers - 1) / sizes.layers * last
        found.append(_layer_moment("first layer backward", start, setup, passed + others, around + stored))
    if setup.full:
        # The table's dense gradient stands beside what it is added to: the tied head's, or earlier micro-batches'.
        table = sizes.embedding * setup.weight_bytes
        extra = table * ((0 if resident else 1) + 1 if sizes.tied else (1 if resident else 0))
        found.append(Moment("embedding backward", all_gradients + extra,
                            around + float(tokens * residual_bytes(setup) * sizes.hidden)))
    step = Moment("optimizer step", all_gradients, workspace=float(optimizer_workspace(setup)))
    found += [step, _evaluation(setup, one, loss)]
    return found if setup.objective == "sft" else [*found, *objectives.beside(setup, found)]


def _forward(setup: Setup, one: Layer, gradients: float, below: float) -> Moment:
    """The last layer's forward pass on top of what the others left."""
    points = one.alone if setup.checkpointing else one.forward
    return Moment("forward", gradients, below + peak(points, setup.tokens))


def _layer_moment(phase: str, one: Layer, setup: Setup, gradients: float, around: float) -> Moment:
    """The highest moment of one layer's backward pass: what it kept, its gradients so far, and what comes and goes."""
    point = max(one.points, key=lambda size: at(size, setup.tokens))
    fixed = max(0.0, point.imag - one.kept.imag)
    rest = at(point, setup.tokens) - fixed
    if setup.full:
        return Moment(phase, gradients + fixed, around + rest)
    return Moment(phase, gradients, around + rest, workspace=fixed)


def _positions(setup: Setup) -> float:
    """Rotary tables, token ids, labels and positions; with padding or packing also the mask, one byte per pair, which
    eager attention wants as a number; the logits that the training loop itself does not let go of."""
    mask = 0
    if setup.attention == "eager":
        mask = setup.weight_bytes * setup.length * (setup.tokens if setup.padded else setup.length)
    elif setup.padded and setup.attention != "flash_attention_2":
        mask = setup.tokens * setup.length
    held = setup.stack.logits_held * setup.tokens * setup.geometry.vocab if setup.loss == "full" else 0.0
    held += _experts_in_16_bits(setup)
    return 2 * setup.length * setup.geometry.head_dim * setup.weight_bytes + setup.tokens * 24 + mask + held


def _experts_in_16_bits(setup: Setup) -> float:
    """One layer's fused experts for its products, where the stack quantizes them."""
    if setup.quantization == "none" or not setup.stack.quantizes_experts:
        return 0.0
    return float(setup.compute_bytes * max(setup.geometry.packed_weights // setup.geometry.layers, 0))


def _dequantized(setup: Setup) -> float:
    """The largest weight of a quantized base, turned into 16 bits for one matrix product."""
    return float(setup.geometry.largest_linear * setup.compute_bytes) if setup.quantization != "none" else 0.0


def _evaluation(setup: Setup, one: Layer, loss: Loss) -> Moment:
    """A forward pass that keeps nothing: one layer's work, then the loss of the last hidden states."""
    hidden = float(setup.tokens * residual_bytes(setup) * setup.geometry.hidden)
    work = _positions(setup) + hidden
    layers = peak(one.alone, setup.tokens)
    if layers > loss.evaluation:
        return Moment("evaluation", 0.0, work + layers)
    return Moment("evaluation", 0.0, work, loss.evaluation)
