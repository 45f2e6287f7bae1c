"""Adapters around whole blocks and their hybrids with LoRA (`ftui.tuners`): what they train and do to activations.

Shapes and operations are those of `ftui/tuners/bottleneck.py`, and tested against the modules that it makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ftui.planner.geometry import Geometry, Target
from ftui.planner.tape import Value

if TYPE_CHECKING:
    from ftui.planner.blocks import Writer

Tensors = Iterator[tuple[int, int, int]]
"""(rows, columns, how many) of tensors that train."""


def _bottleneck(o: Any, targets: tuple[Target, ...], sizes: Geometry) -> Tensors:
    adapters = _places(o) * sizes.layers
    for outputs, inputs in ((o.width, sizes.hidden), (sizes.hidden, o.width)):
        yield outputs, inputs, adapters
        yield 1, outputs, adapters


def _compacter(o: Any, targets: tuple[Target, ...], sizes: Geometry) -> Tensors:
    """The whole model's factors, and for each matrix two thin ones per product and a bias."""
    adapters, n = _places(o) * sizes.layers, o.products
    yield n * n, n, 1
    for outputs, inputs in ((o.width, sizes.hidden), (sizes.hidden, o.width)):
        yield n * (inputs // n), o.rank, adapters
        yield n * o.rank, outputs // n, adapters
        yield 1, outputs, adapters


def _lora(o: Any, targets: tuple[Target, ...]) -> Tensors:
    for t in targets:
        yield o.rank, t.inputs, t.count
        yield t.outputs, o.rank, t.count


def _lora_bottleneck(o: Any, targets: tuple[Target, ...], sizes: Geometry) -> Tensors:
    yield from _lora(o, targets)
    yield from _bottleneck(o, targets, sizes)


def _lora_prompt(o: Any, targets: tuple[Target, ...], sizes: Geometry) -> Tensors:
    yield from _lora(o, targets)
    yield o.virtual_tokens, sizes.hidden, 1


SURROUNDING: Mapping[str, Callable[[Any, tuple[Target, ...], Geometry], Tensors]] = {
    "bottleneck": _bottleneck, "compacter": _compacter, "lora_bottleneck": _lora_bottleneck,
    "lora_prompt": _lora_prompt,
}
"""What each kind trains in the whole model."""


def _places(o: Any) -> int:
    return 2 if o.placement == "houlsby" else 1


def around(writer: Writer, block: str, x: Value, y: Value) -> Value:
    """`y`, what the block ("attention" or "mlp") made of `x`, with the adapter behind or beside it, if there is one."""
    options: Any = writer.manner.options
    if options is None or not hasattr(options, "placement"):
        return y
    if block == "attention" and options.placement != "houlsby":
        return y
    tape, manner = writer.tape, writer.manner
    given = tape.cast(x if options.placement == "parallel" else y, manner.adapter)
    middle = _linear(writer, given, options, manner.geometry.hidden, options.width)
    match options.activation:
        case "relu" | "tanh":  # keep what comes out
            active = tape.op((middle,), middle.size, middle.width, saves_result=True)
        case _:
            active = tape.op((middle,), middle.size, middle.width, (middle,))
    change = _linear(writer, active, options, options.width, manner.geometry.hidden)
    if options.scale != 1.0:
        change = tape.op((change,), change.size, change.width)
    tape.hold(x, y, given)
    return tape.add(y, tape.cast(change, y.width))


def _linear(writer: Writer, x: Value, options: Any, inputs: int, outputs: int) -> Value:
    manner = writer.manner
    if options.kind != "compacter":
        weight = writer.weight(inputs * outputs, manner.adapter, True)
    else:
        # Both of torch's products keep both factors; autocast takes them in 16 bits.
        n, width = options.products, manner.compute if manner.autocast else manner.adapter
        thin = writer.weight(options.rank * (inputs + outputs), manner.adapter, True)
        blocks = writer.tape.op((thin,), complex(0, inputs * outputs / n * width), width)
        rule = writer.weight(n * n * n, manner.adapter, True)
        weight = writer.tape.op((blocks, rule), complex(0, inputs * outputs * width), width, (blocks,))
        # Put in order for the product, which makes a copy.
        weight = writer.tape.op((weight,), weight.size, width)
    return writer.product(x, weight, outputs)
