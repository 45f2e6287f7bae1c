"""Tuning of a part of the model's own weights (`ftui.methods.freezing`): what trains, which layers have gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ftui.planner.geometry import Geometry, Target, chosen

Tensors = Iterator[tuple[int, int, int]]
"""(rows, columns, how many) of tensors that train."""


def in_place(options: Any) -> bool:
    """Whether these options train weights of the model itself, so that nothing is put beside them."""
    return options is not None and options.kind in PARTIAL


def trained_layers(options: Any, sizes: Geometry) -> int:
    """How many layers freeze tuning trains."""
    return min(options.layers or sizes.layers, sizes.layers)


def own_weights(options: Any, sizes: Geometry) -> tuple[Target, ...]:
    """The kinds of linear module whose weights train in those layers."""
    if options is None or options.kind != "freeze":
        return ()
    plain = "all-linear" if options.modules == "all" else options.modules
    if isinstance(plain, str) and plain != "all-linear":
        plain = tuple(name.strip() for name in plain.split(","))
    return tuple(t for t in sizes.targets if t.packed and plain == "all-linear") + chosen(sizes, plain, lora=False)


def reaches(options: Any, sizes: Geometry) -> int:
    """How many layers have a backward pass: none below the last ones, where those train."""
    if options is not None and options.kind == "freeze" and options.end == "last":
        return trained_layers(options, sizes)
    return sizes.layers


def trained_share(options: Any, sizes: Geometry) -> float:
    """The share of the linear weights that train themselves under an adapter's `options`."""
    if options is None or options.kind != "freeze":
        return 0.0
    whole = sum(t.weights * t.count for t in sizes.targets)
    own = sum(t.weights * t.count for t in own_weights(options, sizes))
    return own / whole * trained_layers(options, sizes) / sizes.layers


def _freeze(o: Any, targets: tuple[Target, ...], sizes: Geometry) -> Tensors:
    layers, left = trained_layers(o, sizes), 0
    if o.modules == "all":
        each = sizes.layer_parameters
        left = sum(each[-layers:] if o.end == "last" else each[:layers])
    for t in own_weights(o, sizes):
        count = t.count * layers // sizes.layers
        yield t.outputs, t.inputs, count
        left -= t.weights * count
        if o.modules != "all" and t.bias:
            yield 1, t.outputs, count
    if left > 0:
        # Norms and biases: vectors about as wide as the model.
        whole, rest = divmod(left, sizes.hidden)
        yield 1, sizes.hidden, whole
        yield 1, rest, 1


def _bitfit(o: Any, targets: tuple[Target, ...], sizes: Geometry) -> Tensors:
    left = sizes.biases
    for t in sizes.targets:
        if t.bias and not t.packed:
            yield 1, t.outputs, t.count
            left -= t.outputs * t.count
    if left > 0:
        yield 1, left, 1


PARTIAL: Mapping[str, Callable[[Any, tuple[Target, ...], Geometry], Tensors]] = {"freeze": _freeze, "bitfit": _bitfit}
"""What each kind trains in the whole model."""
