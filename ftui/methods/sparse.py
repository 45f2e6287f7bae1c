"""Adapters that train a part of the weights themselves: chosen entries or the weakest directions."""

from __future__ import annotations

from typing import Literal

from ftui.methods.options import Targeted, kind, rank
from ftui.methods.row import AdapterRow, Compared
from ftui.settings import setting


class ShiraOptions(Targeted):
    """As many single weights as LoRA of that rank would train."""

    kind: Literal["shira"] = kind("shira", "SHiRA trains a scattered one or two percent of each weight.", "SHiRA")
    rank: int = rank(32, "As many entries train as LoRA of this rank would have.")


class SupertuningOptions(Targeted):
    """The weights that matter most."""

    kind: Literal["supertuning"] = kind("supertuning", "Supertuning trains the entries that matter most.",
                                        "supertuning")
    sparsity: float = setting(
        0.99, title="Sparsity", help="Share of each weight's entries that stay frozen.",
        why="Lower it to let more train.", ge=0, lt=1,
    )


class OsfOptions(Targeted):
    """Full tuning outside the directions that carry the old knowledge."""

    kind: Literal["osf"] = kind("osf", "OSF trains each weight's weak directions and freezes the strong.", "OSF")
    frozen_rank: int | None = setting(
        None, title="Frozen rank", help="How many of the strongest directions stay; empty for half of them.",
        why="Higher keeps more of what the model knows, and trains less.", ge=1, le=1 << 20,
    )


Options = ShiraOptions | SupertuningOptions | OsfOptions

ROWS = (
    AdapterRow(
        kind="shira", title="SHiRA", mergeable=True, on_nf4=True, on_int8=True,
        when="Adapters are switched often or mixed: the change is sparse, and it keeps no adapter input.",
        formula="r·(d_in + d_out) per module",
        inference="none once merged",
        requantizes=True,
        options=ShiraOptions, source="https://arxiv.org/abs/2406.13175", compared=Compared(0.510, 9_175_040, rate=3e-4),
    ),
    AdapterRow(
        kind="supertuning", title="Supertuning", mergeable=True, on_nf4=False, on_int8=False,
        when="A 16-bit base, and the change should touch as few weights as possible.",
        formula="(1 − s)·d_in·d_out per module, s the sparsity",
        inference="none once merged",
        options=SupertuningOptions, source="https://arxiv.org/abs/2607.09287",
    ),
    AdapterRow(
        kind="osf", title="OSF", mergeable=True, on_nf4=False, on_int8=False,
        when="Continual learning, with the memory of full fine-tuning at hand.",
        formula="k·(d_in + d_out + 1) per module, k = min(d_in, d_out) − frozen rank",
        inference="none once merged",
        options=OsfOptions, source="https://arxiv.org/abs/2504.07097",
        compared=Compared(0.427, 194_535_936, "128 directions train", rate=5e-5),
    ),
)
