"""What an adapter trains: every trained tensor of every kind.

Shapes are those of peft 0.21's layers (`peft/tuners/<kind>/layer.py`), read off the modules that `get_peft_model` puts
on and tested against them.  `frozen` holds what a kind brings along untrained, `adapted` what it does to activations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ftui.planner.geometry import Geometry, Target
from ftui.planner.partial import PARTIAL
from ftui.planner.surrounding import SURROUNDING


@dataclass(frozen=True, slots=True)
class Trained:
    """`count` trained tensors of `rows` × `columns` elements each; a vector has one row."""

    rows: int
    columns: int
    count: int = 1

    @property
    def elements(self) -> int:
        """How many parameters one of them has."""
        return self.rows * self.columns


Sides = tuple[tuple[int, int], ...]
"""(rows, columns) of the tensors that one module gets."""


def trained(kind: str, options: Any, targets: tuple[Target, ...], sizes: Geometry) -> tuple[Trained, ...]:
    """Every tensor that the adapter trains in the whole model; `options` are the recipe's own for that kind."""
    if each := PER_MODULE.get(kind):
        return tuple(Trained(*side, target.count) for target in targets for side in each(options, target))
    if whole := SURROUNDING.get(kind) or PARTIAL.get(kind):
        return tuple(Trained(*tensor) for tensor in whole(options, targets, sizes))
    return tuple(PER_MODEL[kind](options, targets, sizes))


def parameters(kind: str, options: Any, targets: tuple[Target, ...], sizes: Geometry) -> int:
    """How many parameters train: what peft's `get_nb_trainable_parameters` returns first."""
    return sum(one.elements * one.count for one in trained(kind, options, targets, sizes))


def unfit(kind: str, options: Any, targets: tuple[Target, ...]) -> str | None:
    """Why peft would refuse these options on one of the targets; None where it wouldn't."""
    for t in targets:
        for width, divisor, setting in DIVIDES[kind](options, t) if kind in DIVIDES else ():
            if width % divisor:
                return f"adapter.{setting} {divisor} does not divide {width:,}, a width of {t.name}"
        if kind == "miss" and options.rank > t.inputs:
            return f"adapter.rank {options.rank} is more than {t.name}'s {t.inputs:,} inputs"
        if kind in ("shira", "fourierft", "waveft") and PER_MODULE[kind](options, t)[0][1] > t.weights:
            return f"{t.name} has only {t.weights:,} weights, and more of them are to train"
    return None


Divisors = tuple[tuple[int, int, str], ...]
"""(width, what must divide it, the setting that says so)."""


def _miss_divisors(o: Any, t: Target) -> Divisors:
    if o.variant == "mini":
        return ((t.outputs, o.mini_rank, "mini_rank"),)
    return ((t.inputs, o.rank, "rank"), (t.outputs, o.rank, "rank")) if o.variant == "bat" else ()


DIVIDES: Mapping[str, Callable[[Any, Target], Divisors]] = {
    "gralora": lambda o, t: ((t.inputs, o.blocks, "blocks"), (t.outputs, o.blocks, "blocks"),
                             (o.rank, o.blocks, "blocks")),
    "c3a": lambda o, t: ((t.inputs, o.block_size, "block_size"), (t.outputs, o.block_size, "block_size")),
    "vblora": lambda o, t: tuple((side, o.vector_length, "vector_length") for side in (t.inputs, t.outputs)),
    "road": lambda o, t: ((t.outputs, o.group_size, "group_size"),),
    "boft": lambda o, t: ((t.inputs, o.block_size, "block_size"),),
    "miss": _miss_divisors,
    "poly": lambda o, t: ((t.inputs, o.splits, "splits"), (t.outputs, o.splits, "splits")),
}


LENGTHENING = frozenset({"prompt_tuning", "multitask_prompt_tuning", "p_tuning", "cpt", "lora_prompt"})
"""Kinds whose trained vectors pass through all layers like a row's own tokens."""


def virtual_tokens(options: Any) -> int:
    """Trained vectors that an adapter puts before every row, which lengthen it for all layers and the loss."""
    lengthens = options is not None and options.kind in LENGTHENING
    return int(options.virtual_tokens) if lengthens else 0


def prefix_tokens(options: Any) -> int:
    """Trained keys and values that stand before those of every row, in each layer."""
    return int(options.virtual_tokens) if options is not None and options.kind in PREFIXES else 0


PREFIXES = frozenset({"prefix_tuning", "cartridge"})
"""Kinds that train keys and values; peft refuses them under gradient checkpointing, which drops the cache they are in.
"""


def trains_inputs(options: Any) -> bool:
    """Whether what enters the first layer gets a gradient: vectors before the rows, or rows of the table, train.

    With BitFit the first layer's own first tensors begin the graph, which comes to the same.
    """
    return options is not None and options.kind in LENGTHENING | {"trainable_tokens", "bitfit"}


# One function per kind that is put on single modules.


def _adalora(o: Any, t: Target) -> Sides:
    return (o.rank, t.inputs), (t.outputs, o.rank), (o.rank, 1)


def _delora(o: Any, t: Target) -> Sides:
    return (o.rank, t.inputs), (t.outputs, o.rank), (1, 1)


def _two_sides(o: Any, t: Target) -> Sides:
    return (o.rank, t.inputs), (t.outputs, o.rank)


def _gralora(o: Any, t: Target) -> Sides:
    k = o.blocks
    return ((t.inputs // k, o.rank),) * k + ((o.rank, t.outputs // k),) * k


def _miss(o: Any, t: Target) -> Sides:
    match o.variant:
        case "bat":
            return ((t.outputs // o.rank * o.rank, o.rank),)
        case "mini":
            return ((o.rank, o.mini_rank),)
        case _:
            return ((o.rank, t.outputs),)


def _glora(o: Any, t: Target) -> Sides:
    paths: Sides = ((t.outputs, o.rank), (o.rank, t.inputs)) * 2
    # Where the module has a bias: a thin map from the input to it, and a scale and a shift.
    return (*paths, (t.inputs, o.rank), (o.rank, 1), (1, 1), (1, 1)) if t.bias else paths


def _deft(o: Any, t: Target) -> Sides:
    rank = min(o.rank, t.outputs)
    return ((t.outputs, rank),) if o.para else ((t.outputs, rank), (rank, t.inputs))


def _peanut(o: Any, t: Target) -> Sides:
    return (o.rank, t.outputs), (t.outputs, o.rank), *(((o.rank, o.rank),) * (2 * o.depth))


def _loha(o: Any, t: Target) -> Sides:
    return ((t.outputs, o.rank), (o.rank, t.inputs)) * 2


def _lokr(o: Any, t: Target) -> Sides:
    left, right = kronecker(o, t)
    return (*left, *right)


def kronecker(o: Any, t: Target) -> tuple[Sides, Sides]:
    """LoKr's two factors, each whole or as a thin product."""
    (a, b), (c, d) = factorization(t.outputs, o.factor), factorization(t.inputs, o.factor)
    thin_left = o.decompose_both and o.rank < max(a, c) / 2
    thin_right = o.rank < max(b, d) / 2
    return (
        ((a, o.rank), (o.rank, c)) if thin_left else ((a, c),),
        ((b, o.rank), (o.rank, d)) if thin_right else ((b, d),),
    )


def factorization(dimension: int, factor: int = -1) -> tuple[int, int]:
    """Two whole numbers, the smaller first, whose product is `dimension` (LyCORIS's rule, `lokr/layer.py`)."""
    if factor > 0 and dimension % factor == 0:
        return factor, dimension // factor
    most = dimension if factor == -1 else factor
    m, n = 1, dimension
    length = m + n
    while m < n:
        wider = m + 1
        while dimension % wider:
            wider += 1
        if wider + dimension // wider > length or wider > most:
            break
        m, n = wider, dimension // wider
    return min(m, n), max(m, n)


def oft_block(inputs: int, wanted: int) -> int:
    """The width of OFT's blocks: the wanted one, or the nearest that divides the input (`adjust_oft_parameters`)."""
    if wanted >= inputs:
        return inputs
    higher = next(size for size in range(wanted, inputs + 1) if inputs % size == 0)
    lower = next(size for size in range(wanted, 0, -1) if inputs % size == 0)
    return lower if wanted - lower <= higher - wanted else higher


def _oft(o: Any, t: Target) -> Sides:
    block = oft_block(t.inputs, o.block_size)
    return ((1 if o.block_share else t.inputs // block, block * (block - 1) // 2),)


def _boft(o: Any, t: Target) -> Sides:
    return (t.inputs // o.block_size * o.block_size, o.block_size), (t.outputs, 1)


def _hra(o: Any, t: Target) -> Sides:
    return ((t.inputs, o.rank),)


def _road(o: Any, t: Target) -> Sides:
    size = {"road_1": t.outputs // 2, "road_2": t.outputs, "road_4": 2 * t.outputs}[o.variant]
    return (1, size), (1, size)


def _psoft(o: Any, t: Target) -> Sides:
    rank = min(o.rank, t.inputs, t.outputs)
    return (1, rank * (rank - 1) // 2), (1, rank), (1, rank)


def _vera(o: Any, t: Target) -> Sides:
    return (1, t.outputs), (1, o.rank)


def _pvera(o: Any, t: Target) -> Sides:
    return (1, t.outputs), (1, 2 * o.rank)


def bases(o: Any, t: Target) -> int:
    """How many random products RandLoRA needs for full rank."""
    return -(-min(t.inputs, t.outputs) // o.rank)


def _randlora(o: Any, t: Target) -> Sides:
    return (o.rank, bases(o, t)), (bases(o, t), min(t.inputs, t.outputs))


def _frod(o: Any, t: Target) -> Sides:
    entries = min(int(t.inputs * t.inputs * o.sparse_rate), t.inputs * (t.inputs - 1))
    if o.sparse_rate > 0 and t.inputs > 1:
        entries = max(1, entries)
    return (1, t.inputs), (1, entries)


def _spectrum(o: Any, t: Target) -> Sides:
    return ((1, o.frequencies),)


def _c3a(o: Any, t: Target) -> Sides:
    return ((t.outputs // o.block_size * (t.inputs // o.block_size), o.block_size),)


def _shira(o: Any, t: Target) -> Sides:
    return ((1, o.rank * (t.inputs + t.outputs)),)


def _supertuning(o: Any, t: Target) -> Sides:
    return ((1, int(t.weights * (1 - o.sparsity))),)


def osf_ranks(o: Any, t: Target) -> tuple[int, int]:
    """How many of a weight's directions OSF freezes and how many train."""
    least = min(t.inputs, t.outputs)
    frozen = min(o.frozen_rank or least // 2, least)
    return frozen, least - frozen


def _osf(o: Any, t: Target) -> Sides:
    low = osf_ranks(o, t)[1]
    return (t.outputs, low), (1, low), (low, t.inputs)


def _poly(o: Any, t: Target) -> Sides:
    return (o.skills * o.rank, t.inputs), (t.outputs, o.skills * o.rank), (o.tasks, o.splits * o.skills)


def _ia3(o: Any, t: Target) -> Sides:
    return ((1, t.inputs if t.place.startswith("mlp") else t.outputs),)


def _beft(o: Any, t: Target) -> Sides:
    return ((1, t.outputs),)


PER_MODULE: Mapping[str, Callable[[Any, Target], Sides]] = {
    "adalora": _adalora, "delora": _delora, "hira": _two_sides, "gralora": _gralora, "miss": _miss, "glora": _glora,
    "deft": _deft, "peanut": _peanut, "loha": _loha, "lokr": _lokr, "oft": _oft, "boft": _boft, "hra": _hra,
    "road": _road, "psoft": _psoft, "vera": _vera, "pvera": _pvera, "randlora": _randlora, "frod": _frod,
    "fourierft": _spectrum, "waveft": _spectrum, "c3a": _c3a, "shira": _shira, "supertuning": _supertuning,
    "osf": _osf, "ia3": _ia3, "beft": _beft, "poly": _poly,
}


# Kinds whose tensors belong to the whole model.


def _lily(o: Any, targets: tuple[Target, ...], sizes: Geometry) -> Iterator[Trained]:
    """Upward matrices shared by all layers, downward ones by `stride` neighbours, a router for every module."""
    for t in targets:
        yield Trained(o.rank, t.inputs, -(-t.count // o.stride))
        yield Trained(o.shared * o.rank, t.outputs)
        yield Trained(o.shared, o.rank, t.count)


def _vblora(o: Any, targets: tuple[Target, ...], sizes: Geometry) -> Iterator[Trained]:
    yield Trained(o.vectors, o.vector_length)
    for t in targets:
        yield Trained(o.rank * (t.inputs // o.vector_length), o.vectors, t.count)
        yield Trained(t.outputs // o.vector_length * o.rank, o.vectors, t.count)


def _unilora(o: Any, targets: tuple[Target, ...], sizes: Geometry) -> Iterator[Trained]:
    yield Trained(1, o.length)


def _tinylora(o: Any, targets: tuple[Target, ...], sizes: Geometry) -> Iterator[Trained]:
    yield Trained(1, o.length, max(1, round(sum(t.count for t in targets) * (1.0 - o.tying))))


def _ln_tuning(o: Any, targets: tuple[Target, ...], sizes: Geometry) -> Iterator[Trained]:
    """The norms over the hidden width: those of the layers and the last one."""
    yield Trained(1, sizes.hidden, (sizes.norms * sizes.layers + 1) * (1 if sizes.rms else 2))


def _prompt_tuning(o: Any, targets: tuple[Target, ...], sizes: Geometry) -> Iterator[Trained]:
    yield Trained(o.virtual_tokens, sizes.hidden)


def _p_tuning(o: Any, targets: tuple[Target, ...], sizes: Geometry) -> Iterator[Trained]:
    width = o.encoder_width or sizes.hidden
    yield Trained(o.virtual_tokens, sizes.hidden)
    for inputs, outputs in ((sizes.hidden, width), (width, width), (width, sizes.hidden)):
        yield Trained(outputs, inputs)
        yield Trained(1, outputs)


def _prefix_tuning(o: Any, targets: tuple[Target, ...], sizes: Geometry) -> Iterator[Trained]:
    """A key and a value per layer and virtual token; by a network as wide as they are, where projected."""
    pairs = sizes.layers * 2 * sizes.key
    if not o.projection:
        yield Trained(o.virtual_tokens, pairs)
        return
    yield Trained(o.virtual_tokens, sizes.key)
    for inputs, outputs in ((sizes.key, sizes.key), (sizes.key, pairs)):
        yield Trained(outputs, inputs)
        yield Trained(1, outputs)


def _adaption_prompt(o: Any, targets: tuple[Target, ...], sizes: Geometry) -> Iterator[Trained]:
    layers = min(o.top_layers, sizes.layers)
    yield Trained(o.virtual_tokens, sizes.hidden, layers)
    yield Trained(1, 1, layers)


def _trainable_tokens(o: Any, targets: tuple[Target, ...], sizes: Geometry) -> Iterator[Trained]:
    yield Trained(o.count, sizes.hidden)


def _multitask(o: Any, targets: tuple[Target, ...], sizes: Geometry) -> Iterator[Trained]:
    yield Trained(o.virtual_tokens, sizes.hidden)
    yield Trained(o.virtual_tokens, o.rank, o.tasks)
    yield Trained(o.rank, sizes.hidden, o.tasks)


def _cartridge(o: Any, targets: tuple[Target, ...], sizes: Geometry) -> Iterator[Trained]:
    yield Trained(o.virtual_tokens - o.frozen_tokens, sizes.layers * 2 * sizes.key)


def _xlora(o: Any, targets: tuple[Target, ...], sizes: Geometry) -> Iterator[Trained]:
    """The gate's layers; the adapters that it mixes stay as they are."""
    inputs = sizes.hidden
    for outputs in (*((o.width,) * (o.depth - 1)), len(o.adapters)):
        yield Trained(outputs, inputs)
        yield Trained(1, outputs)
        inputs = outputs


PER_MODEL: Mapping[str, Callable[[Any, tuple[Target, ...], Geometry], Iterator[Trained]]] = {
    "lily": _lily, "vblora": _vblora, "unilora": _unilora, "tinylora": _tinylora, "ln_tuning": _ln_tuning,
    "prompt_tuning": _prompt_tuning, "p_tuning": _p_tuning, "prefix_tuning": _prefix_tuning,
    "adaption_prompt": _adaption_prompt, "trainable_tokens": _trainable_tokens, "cpt": _prompt_tuning,
    "multitask_prompt_tuning": _multitask, "cartridge": _cartridge, "xlora": _xlora,
}
