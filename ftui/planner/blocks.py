"""The parts of a decoder layer as operations on a tape: linear modules with their adapters, norms, MLPs.

Each function writes down what transformers, peft, bitsandbytes and autocast do to a tensor, in their order, so that
number formats, casts and what autograd saves follow from the code of the versions in `stack`, not from a fit.
"""

from __future__ import annotations

from dataclasses import dataclass

from ftui.methods import AdapterOptions
from ftui.planner import adapted
from ftui.planner.geometry import Geometry, Target
from ftui.planner.tape import Storage, Tape, Value


@dataclass(frozen=True)
class Manner:
    """How a layer trains: everything of a `Setup` that its operations depend on.  Widths are bytes per element."""

    geometry: Geometry
    full: bool
    quantization: str
    weight: int
    compute: int
    autocast: bool
    residual: int
    """Of the hidden states that pass from layer to layer."""
    norm: int
    """Of the norms' weights."""
    adapter: int
    rank: int
    targets: tuple[Target, ...]
    dropout: bool
    dora: bool
    attention: str
    masked: int
    """Length of the rows where fused attention gets a mask, 0 where it needs none."""
    scores: int
    """Length of the rows where the attention scores are held, 0 where they are not."""
    cuda: bool
    checkpointed: bool
    clings: bool = False
    """Products with 4-bit weights hold on to their inputs."""
    prefix: float = 0.0
    """Trained keys and values before a row's own, for each of its tokens."""
    options: AdapterOptions | None = None
    """Those of an adapter other than LoRA; see `adapted`."""

    own: frozenset[str] = frozenset()
    """Linear modules whose own weights train while others are frozen."""

    @property
    def trains_norms(self) -> bool:
        """Whether the norms' weights train: with all others, or as the adapter."""
        return self.full or (self.options is not None and self.options.kind == "ln_tuning")


class Writer:
    """Writes a layer's operations onto a tape in the given manner."""

    def __init__(self, manner: Manner):
        self.manner = manner
        self.tape = Tape()
        self._adapted = {(target.name, target.packed) for target in manner.targets}

    def adapts(self, target: Target) -> bool:
        """Whether such modules carry an adapter: fused experts are told apart from modules of the same name."""
        return (target.name, target.packed) in self._adapted

    def hidden(self, needs: bool, outside: bool) -> Value:
        """The layer's input."""
        size = complex(self.manner.residual * self.manner.geometry.hidden)
        return Value(size, self.manner.residual, needs, storage=Storage(size, outside=outside))

    def weight(self, elements: int, width: int, trains: bool) -> Value:
        """A parameter: counted with the weights, its gradient with what the step makes."""
        size = complex(0, elements * width)
        return Value(size, width, trains, leaf=trains, storage=Storage(size, outside=True))

    def linear(self, x: Value, target: Target, wide: float = 1.0) -> Value:
        """`target` applied to `x`, with its adapter; `wide` is how many rows of `x` a token has."""
        options = self.manner.options
        if options is not None and self.adapts(target):
            return adapted.forward(self, x, target, options, wide, lambda given: self.plain(given, target, wide))
        return self.plain(x, target, wide)

    def plain(self, x: Value, target: Target, wide: float = 1.0) -> Value:
        """`target` applied to `x`, with LoRA where it has one."""
        manner = self.manner
        elements = target.weights
        if manner.quantization in ("nf4", "fp4"):
            y = self._four_bits(x, elements, wide * target.outputs)
        elif manner.quantization == "int8":
            # The 8-bit product keeps its 16-bit input, and its backward turns the whole weight into 16 bits.
            y = self.tape.op((x,), wide * target.outputs * x.width, x.width, (x,), complex(0, elements * x.width))
        else:
            trains = manner.full or target.name in manner.own
            y = self.product(x, self.weight(elements, manner.weight, trains), wide * target.outputs)
        if self.adapts(target) and manner.options is None:
            y = self._lora(x, y, target, wide)
        self.tape.hold(x)
        return y

    def product(self, x: Value, weight: Value, outputs: float) -> Value:
        """torch's linear: autocast casts both sides; the input is saved for the weight's gradient and vice versa."""
        compute = self.manner.compute
        if self.manner.autocast:
            x, weight = self.tape.cast(x, compute), self.tape.cast(weight, compute)
        saves = [saved for saved, other in ((x, weight), (weight, x)) if other.needs]
        return self.tape.op((x, weight), complex(outputs * x.width), x.width, saves)

    def _four_bits(self, x: Value, elements: int, outputs: float) -> Value:
        """bitsandbytes' Linear4bit: the backward turns the weight into 16 bits once more and keeps nothing."""
        compute = self.manner.compute
        whole = complex(0, elements * compute)
        scales = complex(0, elements / 16)
        given = self.tape.cast(x, compute)
        y = self.tape.op((given,), complex(outputs * compute), compute, work=whole, ahead=whole + scales,
                         clings=(given,) if self.manner.clings else ())
        return self.tape.cast(y, x.width)

    def _lora(self, x: Value, y: Value, target: Target, wide: float) -> Value:
        """peft's LoRA beside a linear module (peft/tuners/lora/layer.py and bnb.py, `forward`)."""
        manner, tape = self.manner, self.tape
        quantized = manner.quantization != "none"
        if not (quantized and manner.autocast):
            x = tape.cast(x, manner.adapter)
        x = self.dropout(x) if manner.dropout else x
        rank = manner.rank * target.ranks
        middle = self.product(x, self.weight(rank * target.inputs, manner.adapter, True), wide * rank)
        out = self.product(middle, self.weight(rank * target.outputs, manner.adapter, True), wide * target.outputs)
        if manner.dora:
            return adapted.dora(self, x, y, out, target, wide)
        scaled = tape.op((out,), out.size, out.width)
        if quantized and not manner.autocast:
            scaled = tape.cast(scaled, y.width)
        tape.hold(x, y)
        return tape.cast(tape.add(y, scaled), y.width)

    def dropout(self, x: Value) -> Value:
        """CUDA's fused dropout keeps a mask of one byte per element; a CPU's has the input's own format."""
        mask = x.size / x.width if self.manner.cuda else x.size
        return self.tape.op((x,), x.size, x.width, (self.tape.fresh(mask, 1),))

    def norm(self, x: Value, width: int, rows: int = 1) -> Value:
        """A norm over `width` elements per token, in `rows` groups."""
        manner, tape = self.manner, self.tape
        if not manner.geometry.rms:
            return self._layer_norm(x)
        weight = self.weight(width // rows, manner.norm, manner.trains_norms)
        x32 = tape.cast(x, 4)
        scale = tape.fresh(complex(4 * rows), 4)
        # Backward: gradients of both factors, of the mean and of the square; at worst five such tensors in float32.
        y = tape.op((x32,), x32.size, 4, (x32, scale), work=3 * x32.size)
        if manner.geometry.float_norms:
            return tape.cast(self._scaled(y, weight), x.width)
        return self._scaled(tape.cast(y, x.width), weight)

    def _scaled(self, y: Value, weight: Value) -> Value:
        """The norm's weight times the normalized value, which is kept where that weight trains."""
        width = max(y.width, weight.width)
        size = y.size * width / y.width
        return self.tape.op((y, weight), size, width, (y,) if weight.needs else (),
                            work=size if weight.needs else 0)

    def _layer_norm(self, x: Value) -> Value:
        """torch's own layer norm: keeps its input; autocast runs it in float32."""
        x = self.tape.cast(x, 4) if self.manner.autocast else x
        weight = self.weight(self.manner.geometry.hidden, self.manner.norm, self.manner.trains_norms)
        statistics = self.tape.fresh(complex(8), 4)
        return self.tape.op((x, weight), x.size, x.width, (x, statistics))

    def activation(self, x: Value) -> Value:
        """A function of each element that keeps its input."""
        return self._new_gelu(x) if self.manner.geometry.new_gelu else self.tape.op((x,), x.size, x.width, (x,))

    def _new_gelu(self, x: Value) -> Value:
        """½x · (1 + tanh(c · (x + 0.044715 x³))), operation by operation, as transformers' NewGELUActivation does it.

        CUDA's autocast takes the power in float32, and all that follows from it.
        """
        tape = self.tape
        half = tape.op((x,), x.size, x.width)
        single = tape.cast(x, 4) if self.manner.autocast else x
        cube = tape.op((single,), single.size, single.width, (single,), work=2 * single.size)
        inner = tape.add(x, tape.op((cube,), cube.size, cube.width))
        inner = tape.op((inner,), inner.size, inner.width)
        tanh = tape.op((inner,), inner.size, inner.width, saves_result=True)
        return self.times(half, tape.op((tanh,), tanh.size, tanh.width, made=(None,)))

    def times(self, a: Value, b: Value) -> Value:
        """An element-wise product: each factor is kept for the other one's gradient.

        The gradient of a factor in fewer bits is made in the product's format first.
        """
        width = max(a.width, b.width)
        saves = [one for one, other in ((a, b), (b, a)) if other.needs]
        size = max(a.size * width / a.width, b.size * width / b.width, key=abs)
        narrow = sum(one.size for one in (a, b) if one.width < width and one.needs)
        # What a checkpoint made again is let go before that gradient is cast.
        work = size - (narrow if self.manner.checkpointed else 0) if narrow else 0
        return self.tape.op((a, b), size, width, saves, work=work)
