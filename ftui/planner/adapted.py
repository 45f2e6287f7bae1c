"""What each kind of adapter does to a linear module, as operations on a tape: the forward functions of peft 0.21.

Every function below is one `forward` of `peft/tuners/<kind>/layer.py`, operation by operation: casts, what autograd
saves, and weight-sized tensors that are made anew in every step (LoHa, LoKr, HiRA and others build a whole update;
BOFT and HRA a square matrix as wide as the input), which is what such adapters cost most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ftui.planner.adapters import bases, kronecker, oft_block, osf_ranks
from ftui.planner.geometry import Target
from ftui.planner.tape import Value

if TYPE_CHECKING:
    from ftui.planner.blocks import Writer

Forward = Callable[["Module", Value], Value]


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


def _low_rank(m: Module, x: Value) -> Value:
    """A LoRA without dropout whose matrices come from somewhere: DeLoRA, VB-LoRA, Uni-LoRA."""
    y, x = m.base(x), m.like_adapter(x)
    middle = m.product(x, m.trained(m.options.rank * m.inputs), m.options.rank)
    return m.beside(y, m.times(m.product(m.times(middle), m.trained(m.options.rank * m.outputs), m.outputs)))


def _lora(m: Module, x: Value) -> Value:
    """The LoRA in a hybrid, without dropout: on a quantized base autocast alone casts its input."""
    rank = m.options.rank
    y = m.base(x)
    if not (m.writer.manner.quantization != "none" and m.writer.manner.autocast):
        x = m.like_adapter(x)
    middle = m.product(x, m.trained(rank * m.inputs), rank)
    return m.beside(y, m.times(m.product(middle, m.trained(rank * m.outputs), m.outputs)))


def _adalora(m: Module, x: Value) -> Value:
    rank = m.options.rank
    y, x = m.base(x), m.tape.cast(x, m.width)
    middle = m.product(x, m.trained(rank * m.inputs), rank)
    out = m.times(m.product(middle, m.trained(rank * m.outputs), m.outputs))
    # The division by `ranknum`, a float32 tensor, gives float32.
    divided = m.tape.op((out,), out.size * 4 / out.width, 4, work=out.size * 4 / out.width)
    return m.beside(y, divided)


def _delora(m: Module, x: Value) -> Value:
    y, x = m.base(x), m.like_adapter(x)
    normed = m.tape.op((x,), x.size, x.width)  # times the weight's column norms, which don't train
    rank = m.options.rank
    middle = m.product(normed, m.trained(rank * m.inputs), rank)
    scaled = m.tape.op((middle,), middle.size, middle.width, (middle,))
    return m.beside(y, m.product(scaled, m.trained(rank * m.outputs), m.outputs))


def _hira(m: Module, x: Value) -> Value:
    rank = m.options.rank
    y, x = m.base(x), m.like_adapter(x)
    thin = m.update((m.trained(rank * m.inputs), m.trained(rank * m.outputs)), m.compute)
    return m.beside(y, m.product(x, m.update((thin,), m.compute), m.outputs))


def _gralora(m: Module, x: Value) -> Value:
    rank, blocks = m.options.rank, m.options.blocks
    y, x = m.base(x), m.tape.cast(x, m.width)
    middle = m.times(m.product(x, m.trained(rank * m.inputs), rank * blocks))
    return m.beside(y, m.times(m.times(m.product(middle, m.trained(rank * m.outputs), m.outputs))))


def _lily(m: Module, x: Value) -> Value:
    rank, shared = m.options.rank, m.options.shared
    y, x = m.base(x), m.like_adapter(x)
    middle = m.product(x, m.trained(rank * m.inputs), rank)
    mixed = m.update((m.trained(shared * rank * m.outputs),), m.compute, elements=rank * m.outputs,
                     saves=(m.update((), m.compute, elements=shared * rank * m.outputs),))
    return m.beside(y, m.times(m.product(middle, mixed, m.outputs)))


def _poly(m: Module, x: Value) -> Value:
    """Each row's own two matrices, mixed from the skills', in the format of products."""
    rank, skills = m.options.rank, m.options.skills
    y, x = m.base(x), m.tape.cast(x, m.compute)
    down, up = (
        m.update((m.trained(skills * rank * side),), m.compute, elements=rank * side,
                 saves=(m.update((), m.compute, elements=skills * rank * side),))
        for side in (m.inputs, m.outputs)
    )
    return m.beside(y, m.times(m.product(m.product(x, down, rank), up, m.outputs)))


def _miss(m: Module, x: Value) -> Value:
    rank = m.options.rank
    if m.options.variant == "bat":
        # The weight in the adapter's format, its rearranged copy, and the product's rearranged result.
        delta = m.update((m.trained(rank * m.outputs),), m.compute, saves=(m.update((), m.compute),), work=m.compute)
        changed = m.update((delta,), max(m.width, m.compute), ahead=2 * m.width)
        return m.tape.cast(m.product(m.tape.cast(x, changed.width), changed, m.outputs), x.width)
    y, x = m.base(x), m.like_adapter(x)
    folded = m.tape.op((x,), complex(m.wide * rank * x.width), x.width)
    return m.beside(y, m.product(folded, m.trained(rank * m.outputs), m.outputs))


def _glora(m: Module, x: Value) -> Value:
    rank = m.options.rank
    pairs = [
        m.update((m.trained(rank * m.inputs), m.trained(rank * m.outputs)), m.compute) for _ in range(2)
    ]
    y = m.base(x)
    changed = m.update(tuple(pairs), m.compute, ahead=2 * m.compute)
    changed_output = m.product(x, changed, m.outputs)
    whole = m.tape.add(y, changed_output)
    m.held += [y, changed_output, whole]
    return m.tape.op((whole, m.times(y)), y.size, y.width, made=(None, y.size))


def _deft(m: Module, x: Value) -> Value:
    rank, tape = m.options.rank, m.tape
    plain = m.base(x)
    y, single = tape.cast(plain, 4), tape.cast(x, 4)
    m.held += [plain, y, single]
    projection = m.trained(rank * m.outputs)
    removed = m.product(m.product(y, projection, rank), projection, m.outputs)
    result = tape.add(y, removed)
    if not m.options.para:
        m.held.append(result)
        middle = m.product(single, m.trained(rank * m.inputs), rank)
        result = tape.add(result, m.product(middle, projection, m.outputs))
    return tape.cast(result, x.width)


def _peanut(m: Module, x: Value) -> Value:
    rank = m.options.rank
    y = m.base(x)
    turned = m.update((), m.compute, ahead=m.width)
    hidden = m.tape.op((m.trained(rank * m.outputs),), complex(0, rank * m.inputs * m.compute), m.compute, (turned,))
    delta = m.update((hidden, m.trained(rank * m.outputs)), m.compute, saves=(hidden,))
    return m.beside(y, m.product(x, m.update((delta,), m.compute), m.outputs))


def _loha(m: Module, x: Value) -> Value:
    rank = m.options.rank
    y = m.base(x)
    four = tuple(m.trained(rank * side) for side in (m.inputs, m.outputs) * 2)
    # Its own backward multiplies the gradient with either product, in float32.
    delta = m.update(four, m.compute, work=2 * 4 + m.width)
    return m.beside(y, m.product(m.tape.cast(x, m.compute), delta, m.outputs))


def _lokr(m: Module, x: Value) -> Value:
    left, right = kronecker(m.options, m.target)
    width = m.compute if len(left) == len(right) == 2 else m.width
    sides = tuple(m.trained(rows * columns) for rows, columns in (*left, *right))
    product = m.update(sides, width, work=2 * width)
    delta = m.update((product,), width)
    y = m.base(x)
    return m.beside(y, m.product(m.tape.cast(x, width), delta, m.outputs))


def _oft(m: Module, x: Value) -> Value:
    block = oft_block(m.inputs, m.options.block_size)
    squares = m.inputs * block
    skewed = m.trained(squares // 2)
    # Cayley's transform as a series of five products, each of which keeps both factors.
    powers = tuple(m.update((), m.compute, elements=squares) for _ in range(6))
    rotation = m.update((skewed,), m.width, elements=squares, saves=powers, work=4 * m.width)
    turned = m.product(m.times(m.tape.cast(x, m.width)), rotation, m.inputs)
    return m.base(m.tape.cast(m.times(m.tape.cast(turned, m.width)), x.width))


def _boft(m: Module, x: Value) -> Value:
    square = m.inputs * m.inputs
    place, eye = (m.update((), x.width, elements=square) for _ in range(2))
    blocks = m.update((m.trained(m.inputs * m.options.block_size),), int(x.width), elements=square, ahead=4)
    once = m.update((blocks,), int(x.width), elements=square, saves=(place,))
    rotation = m.update((m.update((once,), int(x.width), elements=square, saves=(place,)),), int(x.width),
                        elements=square, saves=(eye,))
    y = m.base(m.product(x, rotation, m.inputs))
    return m.tape.cast(m.scaled(y, m.outputs), y.width)


def _hra(m: Module, x: Value) -> Value:
    square, directions = m.inputs * m.inputs, m.trained(m.inputs * m.options.rank)
    saved = () if m.options.gram_schmidt else (m.update((), m.compute, elements=square),)
    chain = m.update((directions,), m.width, elements=square, saves=saved)
    for _ in range(1 if m.options.gram_schmidt else m.options.rank):
        factor = m.tape.cast(chain, m.compute)
        chain = m.update((factor, directions), m.width, elements=square, saves=(factor,), work=m.width)
    changed = m.update((m.tape.cast(chain, m.compute),), m.compute)
    return m.tape.cast(m.product(m.tape.cast(x, m.compute), changed, m.outputs), x.width)


def _road(m: Module, x: Value) -> Value:
    y = m.base(x)
    single = m.like_adapter(y)
    half = m.tape.op((single,), single.size, single.width)
    return m.tape.cast(m.tape.add(m.scaled(single, m.outputs), m.scaled(half, m.outputs)), y.width)


def _psoft(m: Module, x: Value) -> Value:
    rank = min(m.options.rank, m.inputs, m.outputs)
    y, x = m.base(x), m.like_adapter(x)
    down = m.product(x, m.frozen(rank * m.inputs), rank)
    turned = m.product(down, m.trained(rank * rank), rank)
    moved = m.tape.op((turned, down), turned.size, turned.width)
    return m.beside(y, m.times(m.product(moved, m.frozen(rank * m.outputs), m.outputs)))


def _vera(m: Module, x: Value) -> Value:
    rank = m.options.rank
    y, x = m.base(x), m.like_adapter(x)
    middle = m.scaled(m.product(x, m.frozen(rank * m.inputs), rank), rank)
    return m.beside(y, m.scaled(m.product(middle, m.frozen(rank * m.outputs), m.outputs), m.outputs))


def _pvera(m: Module, x: Value) -> Value:
    rank = m.options.rank
    y, x = m.base(x), m.like_adapter(x)
    both = m.scaled(m.product(x, m.frozen(2 * rank * m.inputs), 2 * rank), 2 * rank)
    noise = tuple(m.tape.fresh(complex(m.wide * rank * both.width), both.width) for _ in range(2))
    drawn = m.tape.op((both,), complex(m.wide * rank * both.width), both.width, noise)
    return m.beside(y, m.scaled(m.product(drawn, m.frozen(rank * m.outputs), m.outputs), m.outputs))


def _randlora(m: Module, x: Value) -> Value:
    number, rank = bases(m.options, m.target), m.options.rank
    inner, least = number * rank, min(m.inputs, m.outputs)
    y, x = m.base(x), m.like_adapter(x)
    weighed = m.update((m.trained(inner), m.trained(number * least)), m.width, elements=inner * least)
    other = m.frozen(inner * max(m.inputs, m.outputs))
    first, second = (weighed, other) if m.inputs <= m.outputs else (other, weighed)
    return m.beside(y, m.times(m.product(m.product(x, first, inner), second, m.outputs)))


def _tinylora(m: Module, x: Value) -> Value:
    rank = m.options.rank
    y, x = m.base(x), m.like_adapter(x)
    down = m.product(x, m.frozen(rank * m.inputs), rank)
    turned = m.product(down, m.trained(rank * rank), rank)
    return m.beside(y, m.times(m.product(turned, m.frozen(rank * m.outputs), m.outputs)))


def _frod(m: Module, x: Value) -> Value:
    """The base module isn't run: its weight is made again from the bases.  The sparse part is made dense."""
    square = m.inputs * m.inputs
    z = m.product(x, m.writer.weight(square, int(x.width), False), m.inputs)
    dense = m.update((m.trained(m.inputs),), int(x.width), elements=square, work=int(x.width))
    sparse = m.product(z, dense, m.inputs)
    both = m.tape.add(sparse, m.tape.cast(m.scaled(z, m.inputs), z.width))
    return m.tape.cast(m.product(both, m.writer.weight(m.elements, int(x.width), False), m.outputs), x.width)


def _fourierft(m: Module, x: Value) -> Value:
    """The update by an inverse transform: complex numbers of eight bytes, twice over in the backward pass."""
    y = m.base(x)
    places = m.update((), 16, elements=m.options.frequencies)
    delta = m.update((m.trained(m.options.frequencies),), m.width, saves=(places,), work=12, ahead=12)
    return m.beside(y, m.product(m.like_adapter(x), delta, m.outputs))


def _waveft(m: Module, x: Value) -> Value:
    y = m.base(x)
    places = m.update((), 17, elements=m.options.frequencies)  # and which of them lie within the weight
    bands = m.update((m.trained(m.options.frequencies),), m.compute, saves=(places,), ahead=4, work=4)
    delta = m.update((bands,), m.compute, saves=(bands,), work=12)
    return m.beside(y, m.product(m.tape.cast(x, m.compute), delta, m.outputs))


def _c3a(m: Module, x: Value) -> Value:
    """Circular convolution by transforms of float32, with complex numbers of eight bytes in between."""
    y, single = m.base(x), m.tape.cast(x, 4)
    inputs, outputs = m.wide * m.inputs, m.wide * m.outputs
    kernel = m.trained(m.elements // m.options.block_size)
    made = m.tape.op((single, kernel), complex(4 * outputs), 4, (single,), ahead=complex(12 * outputs),
                     work=complex(8 * outputs + 8 * inputs))
    return m.beside(y, m.tape.cast(m.times(made), y.width))


def _changed_weight(m: Module, x: Value) -> Value:
    """SHiRA and supertuning: the weight with its changed entries, made anew and kept."""
    places = m.options.rank * (m.inputs + m.outputs) if m.options.kind == "shira" else (
        int(m.elements * (1 - m.options.sparsity))
    )
    quantized = m.writer.manner.quantization != "none"
    y = m.base(x) if quantized else None
    changed = m.update((m.trained(places),), int(x.width), work=int(x.width) if m.options.kind == "shira" else 0)
    result = m.product(x, changed, m.outputs)
    return m.beside(y, result) if y is not None else m.tape.cast(result, x.width)


def _osf(m: Module, x: Value) -> Value:
    low = osf_ranks(m.options, m.target)[1]
    y, x = m.base(x), m.like_adapter(x)
    down = m.update((m.trained(low * m.inputs),), m.width, elements=2 * low * m.inputs)
    up = m.update((m.trained(low * m.outputs),), m.width, elements=2 * low * m.outputs, ahead=m.width)
    return m.beside(y, m.tape.cast(m.product(m.product(x, down, 2 * low), up, m.outputs), y.width))


def _ia3(m: Module, x: Value) -> Value:
    if m.target.place.startswith("mlp"):
        return m.base(m.tape.cast(m.scaled(m.like_adapter(x), m.inputs), x.width))
    y = m.base(x)
    return m.tape.cast(m.scaled(y, m.outputs), y.width)


def _beft(m: Module, x: Value) -> Value:
    y, bias = m.base(x), m.trained(m.outputs)
    m.held.append(y)
    width = max(y.width, bias.width)
    size = y.size * width / y.width
    return m.tape.cast(m.tape.op((y, bias), size, width, made=(None if width == y.width else y.size, bias.size)),
                       y.width)


FORWARDS: Mapping[str, Forward] = {
    "adalora": _adalora, "delora": _delora, "hira": _hira, "gralora": _gralora, "lily": _lily, "miss": _miss,
    "glora": _glora, "deft": _deft, "peanut": _peanut, "loha": _loha, "lokr": _lokr, "oft": _oft, "boft": _boft,
    "hra": _hra, "road": _road, "psoft": _psoft, "vera": _vera, "pvera": _pvera, "randlora": _randlora,
    "vblora": _low_rank, "unilora": _low_rank, "tinylora": _tinylora, "frod": _frod, "fourierft": _fourierft,
    "waveft": _waveft, "c3a": _c3a, "shira": _changed_weight, "supertuning": _changed_weight, "osf": _osf,
    "ia3": _ia3, "beft": _beft, "poly": _poly, "lora_bottleneck": _lora, "lora_prompt": _lora,
}
