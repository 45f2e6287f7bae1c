"""Adapters whose update is a product that has full rank: LyCORIS's Hadamard and Kronecker products."""

from __future__ import annotations

from typing import Literal

from ftui.methods.options import Targeted, kind, rank, switch
from ftui.methods.row import AdapterRow, Compared
from ftui.settings import setting


class LohaOptions(Targeted):
    """The element-wise product of two thin products."""

    kind: Literal["loha"] = kind("loha", "LoHa multiplies two LoRA updates element by element.", "LoHa")
    rank: int = rank(8)


class LokrOptions(Targeted):
    """A Kronecker product."""

    kind: Literal["lokr"] = kind("lokr", "LoKr builds the update as a Kronecker product of small matrices.", "LoKr")
    rank: int = rank(8)
    decompose_both: bool = switch(
        False, "Decompose both", "Makes the first factor thin, too.", "At very low ranks it trains fewer parameters.",
    )
    factor: int = setting(
        -1, title="Factor", help="The first factor's width; -1 takes the one nearest to the square root.",
        why="Smaller means a larger second factor, which can learn more.", advanced=True, ge=-1, le=65_536,
    )


Options = LohaOptions | LokrOptions

ROWS = (
    AdapterRow(
        kind="loha", title="LoHa", mergeable=True, on_nf4=False, on_int8=True,
        when="A full-rank update from few parameters; it rebuilds each weight in every step.",
        formula="2r·(d_in + d_out) per module",
        inference="none once merged",
        options=LohaOptions, source="https://arxiv.org/abs/2108.06098",
        compared=Compared(0.393, 18_350_080, "rank 32"),
    ),
    AdapterRow(
        kind="lokr", title="LoKr", mergeable=True, on_nf4=False, on_int8=True,
        when="Very small adapter files; it rebuilds each weight in every step.",
        formula="a·c + r·(b + d) per module, where d_out = a·b and d_in = c·d; b·d where that is less",
        inference="none once merged", variants="both factors thin (decompose_both)",
        options=LokrOptions, source="https://arxiv.org/abs/2309.14859",
        compared=Compared(0.466, 2_294_656, "rank 32, factor 4", rate=3e-3),
    ),
)
