"""The catalogue: every objective and adapter, as data.  A new one is a module here and a builder in worker/."""

from __future__ import annotations

from ftui.methods import (
    bottleneck,
    classify,
    cpo,
    distill,
    dpo,
    freezing,
    full,
    grpo,
    kto,
    lora,
    lowrank,
    mixtures,
    online_dpo,
    orpo,
    ppo,
    products,
    prompts,
    reward,
    rloo,
    rotations,
    scaling,
    sft,
    shared,
    sparse,
    spectral,
)
from ftui.methods.classify import ClassifyOptions
from ftui.methods.cpo import CpoOptions
from ftui.methods.distill import DistillOptions
from ftui.methods.dpo import DpoOptions
from ftui.methods.full import NoAdapterOptions
from ftui.methods.grpo import GrpoOptions
from ftui.methods.kto import KtoOptions
from ftui.methods.lora import LoraOptions
from ftui.methods.online_dpo import OnlineDpoOptions
from ftui.methods.options import AdapterOptions, Targeted
from ftui.methods.orpo import OrpoOptions
from ftui.methods.ppo import PpoOptions
from ftui.methods.reward import RewardOptions
from ftui.methods.rloo import RlooOptions
from ftui.methods.row import COMPARISON, AdapterRow, ObjectiveRow
from ftui.methods.sft import SftOptions

OBJECTIVES: dict[str, ObjectiveRow] = {
    row.kind: row for row in (
        sft.ROW, classify.ROW, dpo.ROW, kto.ROW, orpo.ROW, cpo.ROW, reward.ROW, grpo.ROW, rloo.ROW, online_dpo.ROW,
        ppo.ROW, distill.ROW,
    )
}
ADAPTERS: dict[str, AdapterRow] = {
    row.kind: row for row in (
        lora.ROW, full.ROW, *lowrank.ROWS, *products.ROWS, *rotations.ROWS, *shared.ROWS, *spectral.ROWS,
        *sparse.ROWS, *scaling.ROWS, *prompts.ROWS, *mixtures.ROWS, *bottleneck.ROWS, *freezing.ROWS,
    )
}

__all__ = [
    "ADAPTERS", "COMPARISON", "OBJECTIVES", "AdapterOptions", "AdapterRow", "ClassifyOptions", "CpoOptions",
    "DistillOptions", "DpoOptions", "GrpoOptions", "KtoOptions", "LoraOptions", "NoAdapterOptions", "ObjectiveRow",
    "OnlineDpoOptions", "OrpoOptions", "PpoOptions", "RewardOptions", "RlooOptions", "SftOptions", "Targeted",
]
