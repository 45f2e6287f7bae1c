"""The closed form of peak memory: the largest of the moments of one training step, part by part.

peak = what stays (weights, adapter, optimizer states) + the most that gradients, activations, logits and work buffers
take together at any moment: load, forward, loss, its backward, the last layer's backward, the first layer's, the
embedding's, the optimizer step, evaluation, saving.  Microseconds, standard library only.
"""

from __future__ import annotations

from ftui.planner import allocator, objectives, prefixes, sharding
from ftui.planner.activations import Kind, Layer, at, layers_of, peak, residual_bytes
from ftui.planner.document import MemoryEstimate, MemoryParts
from ftui.planner.losses import Loss
from ftui.planner.moment import Moment
from ftui.planner.partial import reaches
from ftui.planner.setup import Setup
from ftui.planner.states import gradient_bytes, optimizer_workspace, weight_bytes
from ftui.planner.tape import Size


def memory(setup: Setup) -> MemoryEstimate:
    """The predicted peak of this setup with its parts and its interval."""
    weights, adapter, states, reference = sharding.held(setup)
    stays = weights + reference + adapter
    found = moments(setup)
    libraries = allocator.library_workspace(setup)
    phases = {moment.phase: int(stays + moment.total(states) + libraries) for moment in found}
    peak = max(found, key=lambda moment: moment.total(states))
    states = states if peak.optimizer else 0
    workspace = peak.workspace + libraries
    dynamic = peak.gradients + peak.activations + peak.logits + workspace
    stays += states
    allocated = int(stays + dynamic)
    slack = allocator.slack(setup, stays, dynamic, found)
    context = allocator.context(setup) + sharding.communication_context(setup)
    gradients, activations, logits = int(peak.gradients), int(peak.activations), int(peak.logits)
    parts = MemoryParts.model_construct(
        weights=weights, reference=reference, adapter=adapter, gradients=gradients, optimizer=states,
        activations=activations, logits=logits, workspace=allocated - stays - gradients - activations - logits,
        context=context, slack=slack,
    )
    process = allocated + slack + context
    low, high = allocator.interval(setup, stays, dynamic, slack, context, found)
    return MemoryEstimate.model_construct(
        parts=parts, allocated_bytes=allocated, reserved_bytes=allocated + slack, process_bytes=process,
        low_bytes=min(low, process), high_bytes=max(high, process), phase=peak.phase, phases=phases, badge="estimate",
        notes=(*allocator.notes(setup), *objectives.notes(setup), *sharding.notes(setup)),
    )


def process_bytes(setup: Setup) -> tuple[int, int]:
    """The process peak and the high end of its interval alone: the enumeration's short way through `memory`."""
    held = sharding.held(setup)
    found = moments(setup)
    peak = max(found, key=lambda moment: moment.total(held.optimizer))
    stays = held.total - (0 if peak.optimizer else held.optimizer)
    dynamic = peak.total(0) + allocator.library_workspace(setup)
    slack = allocator.slack(setup, stays, dynamic, found)
    context = allocator.context(setup) + sharding.communication_context(setup)
    process = int(stays + dynamic) + slack + context
    return process, max(process, allocator.interval(setup, stays, dynamic, slack, context, found)[1])


def least_bytes(setup: Setup) -> int:
    """What the process takes at the least, without a tape: a quick no to what is far too large.

    What stays, with all gradients at the optimizer step, or with checkpoints at the loss.
    """
    stays = sharding.held(setup)
    if setup.strategy != "single":
        return stays.total
    inputs = 0
    if setup.checkpointing and not setup.activation_offload:
        inputs = residual_bytes(setup) * setup.geometry.hidden * setup.tokens * setup.layers_again
    at_loss = stays.total - stays.optimizer + inputs + objectives.loss(setup).forward
    return int(max(stays.total + gradient_bytes(setup), at_loss))


def fits(setup: Setup, room: int) -> bool:
    """Whether even the high end of the interval goes into `room`."""
    return least_bytes(setup) <= room and process_bytes(setup)[1] <= room


def moments(setup: Setup) -> list[Moment]:
    """Every moment of a step that can be the peak, in the order in which they pass; of one device of several."""
    if setup.strategy == "single":
        return _moments(setup)
    return sharding.placed(setup, _moments(sharding.local(setup)))


def _rounded(setup: Setup) -> float:
    """The rounded copies of the linear weights in quantization-aware tuning: of checkpointed layers one's at a time."""
    copies = float(setup.geometry.linear_weights * setup.compute_bytes) if setup.rounded else 0.0
    layers = setup.geometry.layers
    return copies * max(1, layers - setup.layers_again) / layers


def _moments(setup: Setup) -> list[Moment]:
    sizes, tokens = setup.geometry, setup.tokens
    all_gradients = float(gradient_bytes(setup))
    # With accumulation the gradients of earlier micro-batches are there from the start.
    resident = all_gradients if setup.accumulation > 1 else 0.0
    kinds, layers = layers_of(setup), reaches(setup.options, sizes)
    again = tuple(kind for kind in kinds if kind.checkpointed)
    plain = tuple(kind for kind in kinds if not kind.checkpointed)
    last_ones, first_ones = plain or again, again or plain
    # The forward pass builds the masks, and checkpoints keep them to build the layers again.
    masks = _masks(setup)
    around = _positions(setup) + (masks if again else 0.0) + _rounded(setup)
    stored = float(residual_bytes(setup) * sizes.hidden * tokens) if again else 0.0
    clung = _clung(setup, plain)
    if again:
        # Where positions are added, the embeddings, made to need gradients, stay beside the first layer's input.
        around += _clung(setup, again) + (stored if sizes.rotary == "none" and not setup.full else 0.0)
    # Inputs of frozen checkpointed layers stay, too: these hold on to them until Python looks for cycles.
    kept = around + stored * setup.layers_again
    kept += sum(kind.layers * at(kind.parts.layer.kept, tokens) for kind in plain)
    if not again:
        before = kinds[0].parts
        kept += at(before.first.kept, tokens) - at(before.layer.kept, tokens)
        kept += prefixes.encoder_bytes(setup)
    if setup.activation_offload:
        kept = min(kept, around + _still_here(kinds, stored, tokens))
    end = kinds[0].parts.norm
    loss = objectives.loss(setup)
    fresh = setup.full and not resident
    head = float(sizes.embedding * setup.weight_bytes) if fresh and not setup.scores else 0.0
    norm = at(end.kept, tokens)
    passed = resident + head
    # Layers without checkpoints have saved them anyhow, and counted them.
    casts = _cached_casts(setup) * setup.layers_again / sizes.layers
    cache = prefixes.cache_bytes(setup)
    found = [
        Moment("load", workspace=_loading(setup), optimizer=False),
        _forward(setup, last_ones, resident, kept + cache + (casts if again else masks)),
        Moment("loss forward", resident, kept + cache + norm + casts, loss.forward),
        Moment("loss backward", resident, kept + norm, loss.backward),
        Moment("head backward", passed, kept + norm, loss.left),
        Moment("final norm backward", passed, kept + peak(_points(setup, end), tokens)),
        _highest("last layer backward", setup, [kind.parts.layer for kind in last_ones], passed, kept,
                 own=bool(plain)),
    ]
    last = 0.0 if resident else all_gradients - head
    if fresh and not sizes.tied:
        last -= sizes.embedding * setup.weight_bytes
    if layers > 1:
        others = (layers - 1) / layers * last
        first = [kind.parts.first for kind in first_ones]
        around += clung
        waiting = prefixes.waiting_bytes(setup)
        if again and plain:
            share = 1 - setup.layers_again / sizes.layers
            found.append(_highest("checkpointed layer backward", setup, [kind.parts.layer for kind in again],
                                  passed + share * last, around + stored * setup.layers_again))
        found.append(_highest("first layer backward", setup, first, passed + others, around + stored + waiting))
    if setup.full:
        # The table's dense gradient stands beside what it is added to: the tied head's, or earlier micro-batches'.
        table = sizes.embedding * setup.weight_bytes
        extra = table * ((0 if resident else 1) + 1 if sizes.tied else (1 if resident else 0))
        found.append(Moment("embedding backward", all_gradients + extra,
                            around + float(tokens * residual_bytes(setup) * sizes.hidden)))
    step = Moment("optimizer step", all_gradients, workspace=float(optimizer_workspace(setup)))
    # A checkpoint is copied to the host tensor by tensor: saving takes nothing besides what stays.
    found += [step, _evaluation(setup, kinds, loss), Moment("saving")]
    return found if setup.objective == "sft" else [*found, *objectives.beside(setup, found)]


def _clung(setup: Setup, kinds: tuple[Kind, ...]) -> float:
    """What the operations of `kinds` hold on to past their own backward pass: of checkpointed layers only where the
    checkpoint builds no graph anew, but hooks into what operations save, which a plain attribute escapes.
    """
    return sum(
        kind.layers * at(kind.parts.layer.clung, setup.tokens) for kind in kinds
        if not (kind.checkpointed and setup.stack.reentrant)
    )


def _still_here(kinds: tuple[Kind, ...], stored: float, tokens: int) -> float:
    """What is kept on the device where activations are offloaded: the last five saved tensors are on their way to the
    host while the next is made (trl 1.16, models/activation_offloading.py, `max_fwd_stash_size`); going backward a
    layer's own come back together, at worst.
    """
    return 6 * stored if stored else max(at(kind.parts.layer.kept, tokens) for kind in kinds)


def _forward(setup: Setup, kinds: tuple[Kind, ...], gradients: float, kept: float) -> Moment:
    """The last layer's forward pass, which is one of `kinds`, on top of what the others left."""
    tokens = setup.tokens
    if kinds[0].checkpointed:
        return Moment("forward", gradients, kept + max(peak(kind.parts.layer.alone, tokens) for kind in kinds))
    rise = max(peak(kind.parts.layer.forward, tokens) - at(kind.parts.layer.kept, tokens) for kind in kinds)
    return Moment("forward", gradients, kept + rise)


def _highest(
    phase: str, setup: Setup, layers: list[Layer], gradients: float, around: float, *, own: bool = False
) -> Moment:
    """The highest moment of one layer's backward pass, of whichever kind takes most: its gradients so far, what it
    kept, and what comes and goes.  `own` says that `around` holds what the layer itself keeps.
    """
    found = []
    for one in layers:
        point = max(_points(setup, one), key=lambda size: at(size, setup.tokens))
        fixed = max(0.0, point.imag - one.kept.imag)
        rest = at(point, setup.tokens) - fixed - (at(one.kept, setup.tokens) if own else 0.0)
        found.append(Moment(phase, gradients + (fixed if setup.full else 0.0), around + rest,
                            workspace=0.0 if setup.full else fixed))
    return max(found, key=lambda moment: moment.total(0))


def _points(setup: Setup, layer: Layer) -> tuple[Size, ...]:
    """The highest moments of the layer's backward pass: with accumulation its gradients are there already."""
    return layer.again if setup.accumulation > 1 else layer.points


def _positions(setup: Setup) -> float:
    """Rotary tables, token ids, labels and positions; the logits that the training loop itself does not let go of."""
    held = setup.stack.logits_held * setup.tokens * setup.geometry.vocab if setup.loss == "full" else 0.0
    held += _experts_in_16_bits(setup)
    return 2 * setup.length * setup.geometry.head_dim * setup.weight_bytes + setup.tokens * 24 + held


def _cached_casts(setup: Setup) -> float:
    """Copies in 16 bits that autocast keeps of the float32 weights that train until the forward pass is over, the loss
    included (`cached_cast` in ATen/autocast_mode.cpp)."""
    if not setup.autocast or setup.compute_bytes == 4:
        return 0.0
    if setup.full:
        sizes = setup.geometry
        return 2.0 * (sizes.linear_weights + sizes.packed_weights) if setup.weight_bytes == 4 else 0.0
    return 2.0 * setup.adapter_parameters if setup.adapter_bytes == 4 else 0.0


def _masks(setup: Setup) -> float:
    """The attention masks of a micro-batch, one byte per pair of tokens, or for eager attention a number."""
    sizes = setup.geometry
    pairs = float(setup.keys * (setup.tokens if setup.padded else setup.length))
    mixed = 2 if 0 < sizes.sliding_layers < sizes.layers else 1
    if setup.attention == "eager":
        return setup.weight_bytes * pairs * mixed
    if setup.attention != "sdpa":
        return 0.0
    slides = bool(sizes.sliding_layers) and setup.length >= sizes.window
    return pairs * (mixed if slides else 1) if setup.padded else pairs if slides else 0.0


def _experts_in_16_bits(setup: Setup) -> float:
    """One layer's fused experts for its products, where the stack quantizes them."""
    if setup.quantization == "none" or not setup.stack.quantizes_experts:
        return 0.0
    return float(setup.compute_bytes * max(setup.geometry.packed_weights // setup.geometry.layers, 0))


def _loading(setup: Setup) -> float:
    """What loading a quantized base takes besides: its largest weight in 16 bits, or all of them where the stack's
    threads run ahead."""
    if setup.quantization == "none":
        return 0.0
    if setup.stack.loads_ahead:
        sizes = setup.geometry
        return float((sizes.parameters + sizes.beside) * setup.compute_bytes - weight_bytes(setup))
    return float(setup.geometry.largest_linear * setup.compute_bytes)


def _evaluation(setup: Setup, kinds: tuple[Kind, ...], loss: Loss) -> Moment:
    """A forward pass that keeps nothing: one layer's work, then the loss of the last hidden states."""
    hidden = float(setup.tokens * residual_bytes(setup) * setup.geometry.hidden)
    work = _positions(setup) + _masks(setup) + hidden
    layers = max(peak(kind.parts.layer.alone, setup.tokens) for kind in kinds)
    if layers > loss.evaluation:
        return Moment("evaluation", 0.0, work + layers)
    return Moment("evaluation", 0.0, work, loss.evaluation)
