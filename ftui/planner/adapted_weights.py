"""Adapters that make something as large as a weight anew in every step: what each does to activations.

LoHa, LoKr, HiRA and others build a whole update; BOFT and HRA a square matrix as wide as the input, which is what such
adapters cost most.
"""

from __future__ import annotations

from collections.abc import Mapping

from ftui.planner.adapted_module import Forward, Module
from ftui.planner.adapters import kronecker, oft_block, osf_ranks
from ftui.planner.tape import Value


def _hira(m: Module, x: Value) -> Value:
    rank = m.options.rank
    y, x = m.base(x), m.like_adapter(x)
    thin = m.update((m.trained(rank * m.inputs), m.trained(rank * m.outputs)), m.compute)
    return m.beside(y, m.product(x, m.update((thin,), m.compute), m.outputs))


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


WEIGHT_SIZED: Mapping[str, Forward] = {
    "hira": _hira, "glora": _glora, "deft": _deft, "peanut": _peanut, "loha": _loha, "lokr": _lokr, "oft": _oft,
    "boft": _boft, "hra": _hra, "frod": _frod, "fourierft": _fourierft, "waveft": _waveft, "c3a": _c3a,
    "shira": _changed_weight, "supertuning": _changed_weight, "osf": _osf,
}
"""Each kind's forward function."""
