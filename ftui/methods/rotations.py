"""Adapters that turn weights or features instead of adding to them: orthogonal and Householder maps."""

from __future__ import annotations

from typing import Literal

from ftui.methods.options import Targeted, kind, rank, switch, whole
from ftui.methods.row import AdapterRow, Compared
from ftui.settings import setting


class OftOptions(Targeted):
    """Block-diagonal rotations of the input."""

    kind: Literal["oft"] = kind("oft", "OFT rotates each module's input in blocks.", "OFT")
    block_size: int = whole(
        32, "Block size", "Width of a rotated block; the nearest that divides the input is taken.",
        "Larger blocks can learn more.", least=2, most=65_536,
    )
    block_share: bool = switch(
        False, "Share blocks", "All blocks of a module use the same rotation.", "It trains next to nothing.",
    )


class BoftOptions(Targeted):
    """Rotations of the weight in blocks, with its outputs scaled; one factor, which needs no compiled extension."""

    kind: Literal["boft"] = kind("boft", "BOFT rotates each weight in small blocks and scales its outputs.", "BOFT")
    block_size: int = whole(
        4, "Block size", "Width of a rotated block; it must divide the input.", "Larger blocks can learn more.",
        least=2, most=65_536,
    )


class HraOptions(Targeted):
    """A chain of reflections of the weight."""

    kind: Literal["hra"] = kind("hra", "HRA reflects each weight along a few trained directions.", "HRA")
    rank: int = rank(8, "How many reflections are chained.")
    gram_schmidt: bool = switch(
        False, "Orthogonal directions", "Keeps the directions orthogonal.", "Steadier, and slower.",
    )


class RoadOptions(Targeted):
    """Rotations of pairs of outputs."""

    kind: Literal["road"] = kind("road", "RoAd rotates and scales pairs of each module's outputs.", "RoAd")
    variant: Literal["road_1", "road_2", "road_4"] = setting(
        "road_1", title="Variant", help="How many angles and scales a pair of outputs has: one, two or four.",
        why="More can learn more; all of them are tiny.", advanced=True,
    )
    group_size: int = whole(
        64, "Group size", "Outputs are paired within groups of this width; it must divide the output.",
        "Only where 64 doesn't divide.", least=2, most=65_536,
    )


class PsoftOptions(Targeted):
    """A rotation inside the weight's principal subspace."""

    kind: Literal["psoft"] = kind("psoft", "PSOFT rotates what the weight's strongest directions carry.", "PSOFT")
    rank: int = rank(32, "How many principal directions are rotated.")


Options = OftOptions | BoftOptions | HraOptions | RoadOptions | PsoftOptions

ROWS = (
    AdapterRow(
        kind="oft", title="OFT", mergeable=True, on_nf4=True, on_int8=True,
        when="The model should keep what it knows: rotations preserve the angles between neurons.",
        formula="d_in·(b − 1)/2 per module, b the block size; b·(b − 1)/2 with shared blocks",
        inference="none once merged", variants="one rotation for all blocks (block_share)",
        requantizes=True,
        options=OftOptions, source="https://arxiv.org/abs/2306.07280",
        compared=Compared(0.491, 8_171_520, "block size 32"),
    ),
    AdapterRow(
        kind="boft", title="BOFT", mergeable=True, on_nf4=True, on_int8=True,
        when="Small models: it holds a square matrix as wide as the input for every adapted module.",
        formula="b·d_in + d_out per module, b the block size",
        inference="none once merged",
        requantizes=True,
        options=BoftOptions, source="https://arxiv.org/abs/2311.06243",
        compared=Compared(0.343, 802_816),
    ),
    AdapterRow(
        kind="hra", title="HRA", mergeable=True, on_nf4=False, on_int8=False,
        when="Small models on a 16-bit base: it multiplies square matrices as wide as the input, rank times over.",
        formula="r·d_in per module",
        inference="none once merged", variants="orthogonal directions (gram_schmidt)",
        options=HraOptions, source="https://arxiv.org/abs/2405.17484",
    ),
    AdapterRow(
        kind="road", title="RoAd", mergeable=True, on_nf4=True, on_int8=True,
        when="Many adapters are to be served at once: each is a few vectors.",
        formula="d_out per module; 2·d_out or 4·d_out in the variants",
        inference="none once merged", variants="road_2 and road_4, with more angles",
        requantizes=True,
        options=RoadOptions, source="https://arxiv.org/abs/2409.00119",
        compared=Compared(0.385, 229_376, rate=1e-3),
    ),
    AdapterRow(
        kind="psoft", title="PSOFT", mergeable=True, on_nf4=False, on_int8=False,
        when="A 16-bit base that should keep its knowledge, with few parameters.",
        formula="r·(r − 1)/2 + 2r per module",
        inference="none once merged",
        options=PsoftOptions, source="https://openreview.net/forum?id=FSHrinMArK",
        compared=Compared(0.450, 1_856_512, "rank 256"),
    ),
)
