"""The adapters in families, for lists that a person chooses from: the common ones first, then by what they change."""

from __future__ import annotations

from ftui.methods import (
    bottleneck,
    freezing,
    lowrank,
    mixtures,
    products,
    prompts,
    rotations,
    scaling,
    shared,
    sparse,
    spectral,
)

COMMON = ("lora", "none", "freeze", "miss", "oft", "ia3", "vera", "prefix_tuning", "bottleneck")
"""What most people choose among: one of each sort, each of them well tried."""

FAMILIES: dict[str, tuple[str, ...]] = {"Common": COMMON} | {
    title: tuple(row.kind for row in rows if row.kind not in COMMON)
    for title, rows in (
        ("Low-rank updates", lowrank.ROWS),
        ("Products of matrices", products.ROWS),
        ("Rotations and reflections", rotations.ROWS),
        ("Shared or frozen matrices, few parameters", shared.ROWS),
        ("Frequencies and wavelets", spectral.ROWS),
        ("Sparse changes", sparse.ROWS),
        ("Vectors that scale", scaling.ROWS),
        ("Learned prompts and prefixes", prompts.ROWS),
        ("Several tasks, several adapters", mixtures.ROWS),
        ("Blocks of their own, and hybrids", bottleneck.ROWS),
        ("A part of the model's own weights", freezing.ROWS),
    )
}
"""Family → its adapters; every adapter stands in exactly one."""
