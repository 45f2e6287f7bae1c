"""Weights that are not what a plain config says: stored quantized, or in towers that can't be counted."""

from __future__ import annotations

from collections.abc import Iterator

from ftui.planner.setup import Setup

TOWERS = 700_000_000
"""Parameters that the parts around a language model have at most, usually: Whisper's encoder, a large SigLIP."""
OWN = ("nf4", "fp4", "int8")
"""bitsandbytes' formats, whose steps the formula follows operation by operation."""
UNKNOWN = 0.5
"""How far off the quantized weights of an unknown format may be: 4 bits are assumed, where 3 to 6 are usual."""


def weight_bytes(setup: Setup) -> int:
    """The base model as its checkpoint holds it: quantized modules by their format, all else in the recipe's dtype."""
    sizes, how = setup.geometry, setup.geometry.stored
    assert how is not None
    bits, converted = 0.0, 0
    for target in sizes.targets:
        if (how.experts if target.packed else how.modules) and target.name not in how.kept:
            bits += target.count * how.weight_bits(target.inputs, target.outputs)
            converted += target.count * target.weights
    if how.towers:
        bits += how.bits * sizes.beside
        converted += sizes.beside
    return int(bits / 8) + (sizes.parameters + sizes.beside - converted) * setup.weight_bytes


def foreign(setup: Setup) -> str | None:
    """The format of a base that is not bitsandbytes' own, while an adapter trains on it."""
    kind = setup.geometry.quantized
    return kind if kind and not setup.full and kind not in OWN else None


def weights_doubt(setup: Setup) -> float:
    """Bytes by which the weights may be off: of a format that ftui can't read, and of towers that it can't count."""
    sizes = setup.geometry
    towers = 0.0 if sizes.beside_known else min(TOWERS, 0.3 * sizes.parameters) * setup.weight_bytes
    return towers + (UNKNOWN * sizes.linear_weights / 2 if foreign(setup) and sizes.stored is None else 0.0)


def doubt(setup: Setup) -> float:
    """How much wider the interval of what comes and goes is than on a base that bitsandbytes quantized."""
    return 0.12 if foreign(setup) else 0.0


def notes(setup: Setup) -> Iterator[str]:
    """Where the formula is weak for such a base, in sentences."""
    if not setup.geometry.beside_known:
        yield "The parts for pictures or sound can't be counted from this config: their weights come on top."
    if kind := foreign(setup):
        if setup.geometry.stored is None:
            yield f"How {kind} stores weights is not known to ftui: 4 bits are assumed, and the interval is wide."
        yield f"What {kind}'s kernels keep of a step is taken from bitsandbytes': the interval is wider."
