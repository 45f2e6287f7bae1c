"""One adapted module on a tape: what the forward functions of all adapters are written with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ftui.planner.geometry import Target
from ftui.planner.tape import Value

if TYPE_CHECKING:
    from ftui.planner.blocks import Writer

Forward = Callable[["Module", Value], Value]
"""One `forward` of `peft/tuners/<kind>/layer.py`, operation by operation."""


class Module:
    """One adapted module: its writer, its target, the adapter's options, and how many rows a token has (`wide`)."""

    def __init__(self, writer: Writer, target: Target, options: Any, wide: float, base: Callable[[Value], Value]):
        self.writer, self.tape, self.options, self.wide, self.base = writer, writer.tape, options, wide, base
        self.inputs, self.outputs, self.elements = target.inputs, target.outputs, target.weights
        self.target = target
        self.held: list[Value] = []
        self.width: int = writer.manner.adapter
        """Bytes per element of the adapter's own tensors."""
        self.compute: int = writer.manner.compute if writer.manner.autocast else writer.manner.adapter
        """What matrix products come out in."""

    def trained(self, elements: int) -> Value:
        """A trained tensor of the adapter."""
        return self.writer.weight(elements, self.width, True)

    def frozen(self, elements: int) -> Value:
        """One of its frozen float32 tensors."""
        return self.writer.weight(elements, 4, False)

    def product(self, x: Value, weight: Value, outputs: float) -> Value:
        """torch's linear with `outputs` columns."""
        return self.writer.product(x, weight, self.wide * outputs)

    def like_adapter(self, x: Value) -> Value:
        """peft's `_cast_input_dtype`; the module's frame holds the cast input until it returns."""
        cast = self.tape.cast(x, self.width)
        self.held.append(cast)
        return cast

    def update(self, inputs: tuple[Value, ...], width: float, *, work: float = 0, ahead: float = 0,
               saves: tuple[Value, ...] = (), elements: int | None = None) -> Value:
        """A weight-sized tensor made anew; `work` and `ahead` in bytes per element of it."""
        size = self.elements if elements is None else elements
        return self.tape.op(inputs, complex(0, size * width), width, saves, work=complex(0, size * work),
                            ahead=complex(0, size * ahead))

    def scaled(self, y: Value, elements: int) -> Value:
        """`y` times a trained vector: kept for the vector's gradient, which sums a product as large as `y`."""
        tape, vector = self.tape, self.trained(elements)
        width = max(y.width, self.width)
        size = y.size * width / y.width
        return tape.op((y, vector), size, width, (y,), work=size * (1 if width == y.width else 2))

    def times(self, y: Value) -> Value:
        """`y` times a number."""
        return self.tape.op((y,), y.size, y.width)

    def beside(self, y: Value, delta: Value) -> Value:
        """The base's output plus the adapter's, in the base's number format."""
        return self.tape.cast(self.tape.add(y, delta), y.width)
