"""The closed form of peak memory: the largest of the moments of one training step, part by part.

peak = what stays (weights, adapter, optimizer states) + the most that gradients, activations, logits and work buffers
take together at any moment: load, forward, loss, its backward, the last layer's backward, the first layer's, the
embedding's, the optimizer step, evaluation.  Microseconds, standard library only.
"""

from __future__ import annotations

from typing import NamedTuple

from ftui.planner import allocator
from ftui.planner.activations import Layer, holds_scores, layer
from ftui.planner.document import MemoryEstimate, MemoryParts
from ftui.planner.losses import Loss, loss_of
from ftui.planner.setup import Setup
from ftui.planner.states import (
    adapter_bytes,
    gradient_bytes,
    optimizer_bytes,
    optimizer_workspace,
    weight_bytes,
)


class Moment(NamedTuple):
    """What one moment holds beyond the weights, the adapter and the optimizer states, in bytes."""

    phase: str
    gradients: float = 0.0
    activations: float = 0.0
    logits: float = 0.0
    workspace: float = 0.0
    optimizer: bool = True
    """Whether the optimizer's states exist by then."""

    def total(self, states: int) -> float:
        """The moment's bytes, `states` being those of the optimizer."""
        return self.gradients + self.activations + self.logits + self.workspace + (states if self.optimizer else 0)


def memory(setup: Setup) -> MemoryEstimate:
    """The predicted peak of this setup with its parts and its interval."""
    weights, adapter = weight_bytes(setup), adapter_bytes(setup)
    states = optimizer_bytes(setup)
    peak = max(moments(setup), key=lambda moment: moment.total(states))
    states = states if peak.optimizer else 0
    workspace = peak.workspace + allocator.library_workspace(setup)
    dynamic = peak.gradients + peak.activations + peak.logits + workspace
    allocated = int(weights + adapter + states + dynamic)
    slack = allocator.slack(setup, weights + adapter + states, dynamic)
    context = allocator.context(setup)
    gradients, activations, logits = int(peak.gradients), int(peak.activations), int(peak.logits)
    parts = MemoryParts.model_construct(
        weights=weights, adapter=adapter, gradients=gradients, optimizer=states, activations=activations, logits=logits,
        workspace=allocated - weights - adapter - states - gradients - activations - logits,
        context=context, slack=slack,
    )
    process = allocated + slack + context
    low, high = allocator.interval(setup, weights + adapter + states, dynamic, slack, context)
    return MemoryEstimate.model_construct(
        parts=parts, allocated_bytes=allocated, reserved_bytes=allocated + slack, process_bytes=process,
        low_bytes=min(low, process), high_bytes=max(high, process), phase=peak.phase, badge="estimate",
        notes=allocator.notes(setup),
    )


def process_bytes(setup: Setup) -> tuple[int, int]:
    """The process peak and the high end of its interval alone: the enumeration's short way through `memory`."""
    states = optimizer_bytes(setup)
    peak = max(moments(setup), key=lambda moment: moment.total(states))
    stays = weight_bytes(setup) + adapter_bytes(setup) + (states if peak.optimizer else 0)
    dynamic = peak.total(0) + allocator.library_workspace(setup)
    slack, context = allocator.slack(setup, stays, dynamic), allocator.context(setup)
    process = int(stays + dynamic) + slack + context
    return process, max(process, allocator.interval(setup, stays, dynamic, slack, context)[1])


def moments(setup: Setup) -> list[Moment]:
    """Every moment of a step that can be the peak, in the order in which they pass."""
    sizes, tokens = setup.geometry, setup.tokens
    one = layer(setup)
    all_gradients = float(gradient_bytes(setup))
    # With accumulation the gradients of earlier micro-batches are there from the start.
    resident = all_gradients if setup.accumulation > 1 else 0.0
    fresh = setup.full and not resident
    residual = setup.weight_bytes * sizes.hidden * tokens
    stored = residual * (sizes.layers + 1) if setup.checkpointing else 0.0
    final = _final_norm(setup) + _positions(setup)
    per_layer = tokens * one.kept + one.fixed + one.scores
    kept = (stored if setup.checkpointing else per_layer * sizes.layers) + final
    dequantized = _dequantized(setup)
    loss = loss_of(setup)
    head = float(sizes.embedding * setup.weight_bytes) if fresh else 0.0
    layer_gradients = float(sizes.layer_weights * setup.weight_bytes) if fresh else 0.0
    backward = _backward_moments(setup, one, per_layer, stored, kept, head, layer_gradients, resident, all_gradients)
    forward = [
        Moment("load", workspace=_dequantized(setup), optimizer=False),
        Moment("forward", resident, kept + (per_layer if setup.checkpointing else tokens * 2 * one.transient / 3),
               workspace=dequantized),
        Moment("loss forward", resident, kept, loss.forward),
        Moment("loss backward", resident, kept, loss.backward),
        Moment("head backward", resident + head, kept, loss.left),
    ]
    step = Moment("optimizer step", all_gradients, workspace=float(optimizer_workspace(setup)))
    return [*forward, *backward, step, _evaluation(setup, one, loss)]


def _backward_moments(
    setup: Setup, one: Layer, per_layer: float, stored: float, kept: float, head: float, layer_gradients: float,
    resident: float, all_gradients: float,
) -> list[Moment]:
    sizes, tokens, width = setup.geometry, setup.tokens, setup.weight_bytes
    transient = tokens * one.transient
    # Half of what comes and goes is gone when a weight is dequantized for its product.
    dequantized = max(0.0, _dequantized(setup) - transient / 2) + one.expert_gradient
    scores = _score_workspace(setup)
    moments = []
    if setup.checkpointing:
        moments.append(
            Moment("last layer backward", resident + head + one.gradient_share * layer_gradients,
                   stored + per_layer + transient, workspace=dequantized)
        )
        moments.append(
            Moment("last layer attention backward", resident + head + 0.7 * layer_gradients,
                   stored + per_layer - tokens * one.mlp_kept
                   + tokens * (3 * width * sizes.hidden + setup.compute_bytes * (sizes.query + 2 * sizes.key)),
                   workspace=_attention_workspace(setup) + scores + dequantized)
        )
    else:
        norm = tokens * sizes.hidden * (13.4 if width == 2 else 12.0)
        last = 2 * setup.compute_bytes * sizes.mlp + 4 * sizes.hidden if setup.full else (
            one.transient - 4 * sizes.hidden
        )
        moments.append(Moment("final norm backward", resident + head, kept + norm))
        moments.append(
            Moment("last layer backward", resident + head, kept + max(0.0, tokens * last), workspace=dequantized)
        )
        if scores:
            moments.append(Moment("last layer attention backward", resident + head, kept, workspace=scores))
    if setup.full and not resident:
        embedding = float(sizes.embedding * width)
        rest = (1 - one.gradient_share) * layer_gradients
        late = all_gradients - rest - (0.0 if sizes.tied else embedding)
        moments.append(
            Moment("first layer backward", max(0.0, late),
                   per_layer + transient + tokens * (2 + width) * sizes.hidden, workspace=scores)
        )
    if not setup.full and not resident:
        held = tokens * (2 + width) * sizes.hidden
        moments.append(
            Moment("first layer backward", all_gradients * (1 - 1 / sizes.layers), per_layer + transient + held,
                   workspace=dequantized + scores)
        )
    if setup.full:
        # The table's dense gradient stands beside what it is added to: the tied head's, or earlier micro-batches'.
        extra = sizes.embedding * width * ((0 if resident else 1) + 1 if sizes.tied else (1 if resident else 0))
        moments.append(Moment("embedding backward", all_gradients + extra, float(tokens * width * sizes.hidden)))
    return moments


def _final_norm(setup: Setup) -> float:
    sizes, tokens = setup.geometry, setup.tokens
    kept = tokens * 4 * sizes.hidden if setup.weight_bytes == 2 else 0
    return float(kept + (tokens * 2 * setup.compute_bytes * sizes.hidden if setup.full else 0))


def _positions(setup: Setup) -> float:
    """Rotary tables, token ids, labels and positions; with padding or packing also the mask, one byte per pair."""
    mask = setup.rows * setup.length * setup.length if setup.padded and setup.attention != "flash_attention_2" else 0
    return float(2 * setup.length * setup.geometry.head_dim * setup.weight_bytes + setup.tokens * 24 + mask)


def _dequantized(setup: Setup) -> float:
    """The largest weight of a quantized base, turned into 16 bits for one matrix product."""
    return float(setup.geometry.largest_linear * setup.compute_bytes) if setup.quantization != "none" else 0.0


def _attention_workspace(setup: Setup) -> float:
    """Fused attention's backward on CUDA: a float32 accumulator of the query gradient, and expanded key gradients."""
    sizes, tokens = setup.geometry, setup.tokens
    if setup.device == "cpu" or holds_scores(setup):
        return 0.0
    expanded = 2 * tokens * sizes.query * setup.compute_bytes if sizes.key != sizes.query else 0
    return float(tokens * (4 * sizes.query + 4 * sizes.heads) + expanded)


def _score_workspace(setup: Setup) -> float:
    """Gradients of kept scores in float32 and in the products' format, and softmax's product of the two."""
    if not holds_scores(setup):
        return 0.0
    return (4.0 + 4.0) * setup.geometry.heads * setup.tokens * setup.length


def _evaluation(setup: Setup, one: Layer, loss: Loss) -> Moment:
    """A forward pass that keeps nothing: one layer's work and a tile of the loss; gradients are gone by then."""
    sizes, tokens = setup.geometry, setup.tokens
    work = tokens * (one.kept / 2 + 2 * setup.weight_bytes * sizes.hidden) + _positions(setup) + one.scores
    return Moment("evaluation", 0.0, work, loss.evaluation, _dequantized(setup))
