"""A mixture of experts as operations on a tape: the router, tokens sorted by expert, grouped products.

As in transformers' `grouped_mm_experts_forward` (integrations/moe.py), which CUDA takes in 16 bits.  peft adapts
fused experts by adding the adapter to the whole weight anew in each pass (peft/tuners/lora/layer.py, ParamWrapper), so
adapted experts cost one more copy of themselves per layer, which is kept, and a gradient as large.
"""

from __future__ import annotations

from ftui.planner.blocks import Writer
from ftui.planner.geometry import ROUTER, Target
from ftui.planner.tape import Value


def experts(writer: Writer, x: Value, packed: list[Target]) -> Value:
    """The routed experts' part of the MLP: `packed` are the fused first and last product."""
    sizes, tape = writer.manner.geometry, writer.tape
    chosen = sizes.experts_per_token
    first, last = packed[0], packed[-1]
    weights = _router(writer, x, first.per_layer)
    # Backward: zeros as large as the tokens, into which the gradients are put.
    states = tape.op((x,), chosen * x.size, x.width, work=x.size)
    wide = _product(writer, states, first, chosen)
    if sizes.gated:
        gate, up = tape.split(wide, (wide.size / 2, wide.size / 2))
        wide = writer.times(writer.activation(gate), up)
    else:
        wide = writer.activation(wide)
    out = writer.times(_product(writer, wide, last, chosen), weights)
    size = chosen * sizes.hidden * out.width
    unsorted = tape.op((out,), complex(size), out.width, work=complex(size))
    return tape.cast(tape.op((unsorted,), out.size / chosen, out.width), x.width)


def _router(writer: Writer, x: Value, count: int) -> Value:
    """Each token's float32 weights for its experts, from a softmax over all of them."""
    manner, tape = writer.manner, writer.tape
    sizes = manner.geometry
    weight = writer.weight(count * sizes.hidden, manner.weight, manner.full)
    if any(target.packed and target.name == ROUTER for target in manner.targets):
        # peft adapts the router as it does its experts, so that its input is kept for its weight's gradient.
        both = [writer.weight(manner.rank * side, manner.adapter, True) for side in (sizes.hidden, count)]
        weight = tape.op(both, weight.size, weight.width, both)
    scores = writer.product(x, weight, count)
    scores = tape.cast(scores, 4)
    shares = tape.op((scores,), scores.size, 4, saves_result=True)
    return tape.op((shares,), complex(4 * sizes.experts_per_token), 4, saves_result=True)


def _product(writer: Writer, x: Value, target: Target, chosen: int) -> Value:
    """Every token's row times its expert's matrix."""
    manner, tape = writer.manner, writer.tape
    elements = target.weights * target.per_layer
    weight = writer.weight(elements, manner.weight, manner.full)
    if writer.adapts(target) and manner.rank:
        rank = manner.rank * target.ranks * target.per_layer
        a = writer.weight(rank * target.inputs, manner.adapter, True)
        b = writer.weight(rank * target.outputs, manner.adapter, True)
        compute = manner.compute if manner.autocast else manner.adapter
        a, b = tape.cast(a, compute), tape.cast(b, compute)
        weight = tape.op((a, b), complex(0, elements * manner.weight), manner.weight, (a, b))
    return writer.product(x, weight, chosen * target.outputs)
