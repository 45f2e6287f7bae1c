"""Adapters that put thin products, or vectors, beside a linear module: what each does to activations."""

from __future__ import annotations

from collections.abc import Mapping

from ftui.planner.adapted_module import Forward, Module
from ftui.planner.adapters import bases
from ftui.planner.tape import Value


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


THIN: Mapping[str, Forward] = {
    "adalora": _adalora, "delora": _delora, "gralora": _gralora, "lily": _lily, "miss": _miss, "road": _road,
    "psoft": _psoft, "vera": _vera, "pvera": _pvera, "randlora": _randlora, "vblora": _low_rank, "unilora": _low_rank,
    "tinylora": _tinylora, "ia3": _ia3, "beft": _beft, "poly": _poly, "lora_bottleneck": _lora, "lora_prompt": _lora,
}
"""Each kind's forward function."""
