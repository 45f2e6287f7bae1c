"""Adapters that train little and take the rest from frozen matrices or vectors that all modules share."""

from __future__ import annotations

from typing import Literal

from ftui.methods.options import Targeted, kind, rank, whole
from ftui.methods.row import AdapterRow, Compared
from ftui.settings import setting


class VeraOptions(Targeted):
    """Two trained vectors around shared random matrices."""

    kind: Literal["vera"] = kind("vera", "VeRA trains two vectors per module around shared random matrices.", "VeRA")
    rank: int = rank(256, "The inner width of the shared random matrices.")


class PveraOptions(Targeted):
    """VeRA with noise in the middle."""

    kind: Literal["pvera"] = kind("pvera", "PVeRA is VeRA with a sampled, not a fixed, middle.", "PVeRA")
    rank: int = rank(256, "The inner width of the shared random matrices.")


class RandloraOptions(Targeted):
    """A full-rank sum of shared random products."""

    kind: Literal["randlora"] = kind("randlora", "RandLoRA weighs shared random matrices into a full-rank update.",
                                     "RandLoRA")
    rank: int = rank(32, "The rank of each random matrix: a lower one means more of them, and more parameters.")


class VbloraOptions(Targeted):
    """LoRA whose matrices are put together from a bank of vectors."""

    kind: Literal["vblora"] = kind("vblora", "VB-LoRA composes LoRA's matrices from a shared bank of vectors.",
                                   "VB-LoRA")
    rank: int = rank(4)
    vectors: int = whole(
        256, "Vectors", "How many vectors the bank holds.", "More can learn more.", least=2, most=65_536,
    )
    vector_length: int = whole(
        256, "Vector length", "Their length; it must divide every adapted width.", "Only where 256 doesn't divide.",
        most=65_536,
    )


class UniloraOptions(Targeted):
    """LoRA whose matrices repeat the entries of one vector."""

    kind: Literal["unilora"] = kind("unilora", "Uni-LoRA fills all LoRA matrices from a single trained vector.",
                                    "Uni-LoRA")
    rank: int = rank(4)
    length: int = whole(256, "Vector length", "Entries of the one trained vector.", "More can learn more.")


class TinyloraOptions(Targeted):
    """A handful of trained numbers per module, or for all."""

    kind: Literal["tinylora"] = kind("tinylora", "TinyLoRA trains a few numbers that weigh fixed directions.",
                                     "TinyLoRA")
    rank: int = rank(2, "How many of the weight's principal directions are reached.")
    length: int = whole(64, "Numbers", "Trained numbers of each module, or group of modules.", "More can learn more.")
    tying: float = setting(
        0.0, title="Weight tying", help="How far modules share their numbers: 0 not at all, 1 all of them.",
        why="1 makes an adapter of that many numbers in all.", advanced=True, ge=0, le=1,
    )


class FrodOptions(Targeted):
    """Sparse changes in a basis that a kind of module shares."""

    kind: Literal["frod"] = kind("frod", "FRoD trains sparse entries in a basis that all layers share.", "FRoD")
    sparse_rate: float = setting(
        0.01, title="Sparse rate", help="Share of the basis's off-diagonal entries that train.",
        why="Raise it to let the adapter learn more.", ge=0, le=1,
    )


Options = (
    VeraOptions | PveraOptions | RandloraOptions | VbloraOptions | UniloraOptions | TinyloraOptions | FrodOptions
)

ROWS = (
    AdapterRow(
        kind="vera", title="VeRA", mergeable=True, on_nf4=True, on_int8=True,
        when="Adapter files must be tiny; the task is simple.",
        formula="r + d_out per module",
        inference="none once merged",
        requantizes=True,
        options=VeraOptions, source="https://arxiv.org/abs/2310.11454", compared=Compared(0.354, 129_024, rate=1e-3),
    ),
    AdapterRow(
        kind="pvera", title="PVeRA", mergeable=True, on_nf4=True, on_int8=True,
        when="As VeRA, and answers should show how unsure they are.",
        formula="2r + d_out per module",
        inference="none once merged",
        options=PveraOptions, source="https://arxiv.org/abs/2512.07703",
        compared=Compared(0.356, 121_856, "rank 64", rate=3e-3),
    ),
    AdapterRow(
        kind="randlora", title="RandLoRA", mergeable=True, on_nf4=True, on_int8=True,
        when="LoRA's low rank is the limit, and parameters must stay few.",
        formula="n·(r + min(d_in, d_out)) per module, n = ⌈min(d_in, d_out)/r⌉",
        inference="none once merged",
        options=RandloraOptions, source="https://arxiv.org/abs/2502.00987", compared=Compared(0.478, 9_289_728),
    ),
    AdapterRow(
        kind="vblora", title="VB-LoRA", mergeable=True, on_nf4=True, on_int8=True,
        when="Thousands of adapters are to be stored.",
        formula="v·l for the bank of v vectors of length l, and v·r·(d_in + d_out)/l per module",
        inference="none once merged",
        options=VbloraOptions, source="https://arxiv.org/abs/2405.15179", compared=Compared(0.334, 1_212_416),
    ),
    AdapterRow(
        kind="unilora", title="Uni-LoRA", mergeable=True, on_nf4=False, on_int8=False,
        when="One wants to see how few parameters suffice.",
        formula="the vector's length, once",
        inference="none once merged",
        options=UniloraOptions, source="https://arxiv.org/abs/2506.00799",
        compared=Compared(0.002, 256, "rank 32"),
    ),
    AdapterRow(
        kind="tinylora", title="TinyLoRA", mergeable=True, on_nf4=False, on_int8=False,
        when="Reinforcement learning with next to no parameters.",
        formula="its numbers per module, or per group of modules that are tied",
        inference="none once merged", variants="tied modules",
        options=TinyloraOptions, source="https://arxiv.org/abs/2602.04118", compared=Compared(0.012, 3_584, rate=1e-3),
    ),
    AdapterRow(
        kind="frod", title="FRoD", mergeable=True, on_nf4=False, on_int8=False,
        when="A 16-bit base and a full-rank update; the start takes long, and each module keeps a square matrix.",
        formula="d_in + s·d_in² per module, s the sparse rate",
        inference="none once merged",
        options=FrodOptions, source="https://doi.org/10.1609/aaai.v40i31.39813", compared=Compared(0.509, 5_456_808),
    ),
)
