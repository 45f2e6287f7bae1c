"""What each kind of adapter does to a linear module, as operations on a tape: the forward functions of peft 0.21.

They stand in `adapted_thin` and `adapted_weights`, operation by operation: casts, what autograd saves, and what is made
anew in every step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ftui.planner.adapted_module import Forward, Module
from ftui.planner.adapted_thin import THIN
from ftui.planner.adapted_weights import WEIGHT_SIZED
from ftui.planner.geometry import Target
from ftui.planner.tape import Value

if TYPE_CHECKING:
    from ftui.planner.blocks import Writer

FORWARDS: Mapping[str, Forward] = {**THIN, **WEIGHT_SIZED}


def forward(
    writer: Writer, x: Value, target: Target, options: Any, wide: float, base: Callable[[Value], Value]
) -> Value:
    """`target` with its adapter applied to `x`; `base` is the module without it."""
    module = Module(writer, target, options, wide, base)
    result = FORWARDS[options.kind](module, x)
    writer.tape.hold(x, *module.held)
    return result


def dora(writer: Writer, x: Value, y: Value, out: Value, target: Target, wide: float) -> Value:
    """DoRA's end of LoRA (`peft/tuners/lora/dora.py`): base output and LoRA's, each times magnitude over norm.

    `x` is LoRA's input, `y` the base's output, `out` LoRA's before its scaling.  The changed weight's norm is taken in
    float32 and gets no gradient; with dropout the base's output is made again from the dropped input.
    """
    m = Module(writer, target, None, wide, lambda given: given)
    norm = m.tape.op((), complex(0, 4 * m.outputs), 4, ahead=complex(0, 8 * m.elements))
    base = m.product(x, writer.weight(m.elements, writer.manner.weight, False), m.outputs) if (
        writer.manner.dropout) else y
    both = m.tape.add(m.scaled(base, m.outputs), m.times(m.scaled(out, m.outputs)))
    m.tape.hold(x, y, out, norm)
    return m.tape.cast(m.tape.add(y, both), y.width)
