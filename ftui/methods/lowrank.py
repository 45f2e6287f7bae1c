"""Relatives of LoRA: thin matrices beside the weights, wired in other ways.  Defaults are peft 0.21's."""

from __future__ import annotations

from typing import Literal

from ftui.methods.options import Targeted, kind, rank, switch, whole
from ftui.methods.row import AdapterRow, Compared
from ftui.settings import setting


class AdaLoraOptions(Targeted):
    """LoRA whose rank is spent where it helps."""

    kind: Literal["adalora"] = kind("adalora", "AdaLoRA moves rank to the modules that use it.", "AdaLoRA")
    rank: int = rank(12, "The rank that each module starts with.")
    target_rank: int | None = setting(
        None, title="Final rank", help="The mean rank that is left at the end; empty takes two thirds of the first.",
        why="Lower it to spend the rank on fewer modules.", term="rank", ge=1, le=4096,
    )

    @property
    def final_rank(self) -> int:
        """The mean rank of a module at the end."""
        return self.target_rank or max(1, round(self.rank * 2 / 3))


class DeloraOptions(Targeted):
    """LoRA with the update's length held apart from its direction."""

    kind: Literal["delora"] = kind("delora", "DeLoRA bounds how far the update may move a weight.", "DeLoRA")
    rank: int = rank(8)


class HiraOptions(Targeted):
    """A thin update that multiplies the weight element by element."""

    kind: Literal["hira"] = kind("hira", "HiRA scales every weight by a thin map: the update has full rank.", "HiRA")
    rank: int = rank(32)


class GraloraOptions(Targeted):
    """LoRA in blocks."""

    kind: Literal["gralora"] = kind("gralora", "GraLoRA cuts each weight into blocks with a LoRA for each.", "GraLoRA")
    rank: int = rank(32)
    blocks: int = whole(
        2, "Blocks", "Each weight is cut into this many blocks along either side.",
        "More for high ranks; the rank must be a multiple of it.", most=64,
    )


class LilyOptions(Targeted):
    """LoRA with matrices that layers share."""

    kind: Literal["lily"] = kind("lily", "Lily mixes upward matrices that all layers share, token by token.", "Lily")
    rank: int = rank(32)
    stride: int = whole(
        1, "Stride", "This many neighbouring layers share one downward matrix.",
        "Raise it to train less at the same rank.", most=1024,
    )
    shared: int = whole(
        2, "Shared matrices", "How many upward matrices all layers mix.",
        "Raise it where layers should learn differing things.", least=2, most=1024,
    )


class MissOptions(Targeted):
    """One matrix per module, applied to the folded input."""

    kind: Literal["miss"] = kind("miss", "MiSS trains one matrix per module, fed with the input folded up.", "MiSS")
    rank: int = rank(64)
    variant: Literal["standard", "bat", "mini"] = setting(
        "standard", title="Variant", help="'bat' also reads the weight's own blocks, 'mini' repeats a narrower matrix.",
        why="'bat' may learn more, at a copy of each weight; 'mini' trains next to nothing.", advanced=True,
    )
    mini_rank: int = whole(
        1, "Width of mini", "Columns of the matrix that the variant 'mini' repeats.",
        "Raise it to let 'mini' learn more; it must divide the output width.", most=65_536,
    )


class GloraOptions(Targeted):
    """Thin maps on the weight and beside it."""

    kind: Literal["glora"] = kind("glora", "GLoRA changes the weight by a product and a sum of thin maps.", "GLoRA")
    rank: int = rank(8)


class DeftOptions(Targeted):
    """Projects a part of the output away and puts a trained one in its place."""

    kind: Literal["deft"] = kind("deft", "DEFT replaces what a trained subspace of each output holds.", "DEFT")
    rank: int = rank(8)
    para: bool = switch(
        False, "PaRa only", "Trains the projection alone, which only takes away.",
        "Where removing is enough, it needs fewer parameters.",
    )


class PeanutOptions(Targeted):
    """An update computed from the weight itself."""

    kind: Literal["peanut"] = kind("peanut", "PEANuT makes the update by a small network that reads the weight.",
                                   "PEANuT")
    rank: int = rank(32)
    depth: int = whole(
        0, "Depth", "Further pairs of layers between the first and the last.", "Raise it for a deeper network.",
        least=0, most=32,
    )


Options = (
    AdaLoraOptions | DeloraOptions | HiraOptions | GraloraOptions | LilyOptions | MissOptions | GloraOptions
    | DeftOptions | PeanutOptions
)

ROWS = (
    AdapterRow(
        kind="adalora", title="AdaLoRA", mergeable=True, on_nf4=True, on_int8=True,
        when="The budget of parameters is tight, and rank should go where it helps.",
        formula="r·(d_in + d_out + 1) per module",
        inference="none once merged", variants="the rank that is left at the end; no DoRA",
        options=AdaLoraOptions, source="https://arxiv.org/abs/2303.10512",
        compared=Compared(0.373, 18_353_664, "rank 64"),
    ),
    AdapterRow(
        kind="delora", title="DeLoRA", mergeable=True, on_nf4=False, on_int8=False,
        when="High learning rates must stay safe: the update's length is bounded.",
        formula="r·(d_in + d_out) + 1 per module",
        inference="none once merged", variants="the bound on the update's length is its own",
        options=DeloraOptions, source="https://arxiv.org/abs/2503.18225",
        compared=Compared(0.468, 9_175_096, "rank 32", rate=1e-3),
    ),
    AdapterRow(
        kind="hira", title="HiRA", mergeable=True, on_nf4=True, on_int8=True,
        when="LoRA's low rank is the limit, and there is memory for a second copy of the adapted weights.",
        formula="r·(d_in + d_out) per module",
        inference="none once merged",
        requantizes=True,
        options=HiraOptions, source="https://openreview.net/pdf?id=TwJrTz9cRS",
        compared=Compared(0.513, 9_175_040, rate=4.5e-3),
    ),
    AdapterRow(
        kind="gralora", title="GraLoRA", mergeable=True, on_nf4=True, on_int8=True,
        when="The rank is 64 or more, where plain LoRA stops gaining.",
        formula="r·(d_in + d_out) per module",
        inference="none once merged", variants="more or fewer blocks",
        options=GraloraOptions, source="https://arxiv.org/abs/2505.20355",
        compared=Compared(0.495, 9_175_040, rate=2e-4),
    ),
    AdapterRow(
        kind="lily", title="Lily", mergeable=False, on_nf4=True, on_int8=True,
        when="A few million parameters must do much: the comparison's best score. It can't be merged.",
        formula="r·d_in per stride layers of each kind of module, shared·r·d_out per kind, shared·r per module",
        inference="a router and two thin products per module, for ever",
        options=LilyOptions, source="https://arxiv.org/abs/2407.09946",
        compared=Compared(0.526, 9_485_280, "rank 140 on the MLP"),
    ),
    AdapterRow(
        kind="miss", title="MiSS", mergeable=True, on_nf4=True, on_int8=True,
        when="Memory is short: it keeps no adapter input, and the comparison's leanest good row is its.",
        formula="r·d_out per module; r·mini_rank in the variant mini",
        inference="none once merged", variants="bat, which reads the weight; mini, which repeats a narrow matrix",
        requantizes=True,
        options=MissOptions, source="https://arxiv.org/abs/2409.15371",
        compared=Compared(0.504, 7_340_032, "variant bat"),
    ),
    AdapterRow(
        kind="glora", title="GLoRA", mergeable=True, on_nf4=False, on_int8=False,
        when="A 16-bit base, and one adapter for changes of weights and of features.",
        formula="2r·(d_in + d_out) per module; r·(d_in + 1) + 2 more where it has a bias",
        inference="none once merged",
        options=GloraOptions, source="https://arxiv.org/abs/2306.07967",
        compared=Compared(0.418, 4_587_520),
    ),
    AdapterRow(
        kind="deft", title="DEFT", mergeable=True, on_nf4=False, on_int8=False,
        when="Old knowledge should be replaced rather than added to.",
        formula="r·(d_in + d_out) per module; r·d_out with para",
        inference="none once merged", variants="PaRa, which only takes away",
        options=DeftOptions, source="https://github.com/huggingface/peft/tree/main/src/peft/tuners/deft",
        compared=Compared(0.482, 9_175_040, "rank 32"),
    ),
    AdapterRow(
        kind="peanut", title="PEANuT", mergeable=True, on_nf4=False, on_int8=False,
        when="A 16-bit base, and an update that depends on the weight in a nonlinear way.",
        formula="2r·d_out + 2·depth·r² per module",
        inference="none once merged", variants="a deeper network",
        options=PeanutOptions, source="https://arxiv.org/abs/2410.01870",
        compared=Compared(0.449, 7_340_032),
    ),
)
