"""The rules of advice: each takes what is known of the job and answers with a value, its reason and who says so.

They follow published sweeps for models of half a billion parameters and more, and say so where a tiny model needs
something else.  A rule never looks at what fits; that is `search`'s part.  `RULES` says in sentences what they do.
"""

from __future__ import annotations

from ftui.planner.rules.adapter import ALPHA, alpha, dropout, objective, rank, rewards, rslora, targets
from ftui.planner.rules.data import loss_on, max_length, packing, validation
from ftui.planner.rules.job import TINY, Job, plain_choice
from ftui.planner.rules.learning import (
    cadence,
    clipping,
    effective_batch,
    epochs,
    learning_rate,
    patience,
    schedule,
    warmup,
    weight_decay,
)
from ftui.planner.rules.machine import attention, dtype, gpus, strategy, threads
from ftui.planner.rules.sources import CHECKPOINTING, EIGHT_BIT, FTUI, LORA, MEMORY, QLORA
from ftui.planner.rules.table import RULES, Rule, rule

__all__ = [
    "ALPHA", "CHECKPOINTING", "EIGHT_BIT", "FTUI", "LORA", "MEMORY", "QLORA", "RULES", "TINY", "Job", "Rule", "alpha",
    "attention", "cadence", "clipping", "dropout", "dtype", "effective_batch", "epochs", "gpus", "learning_rate",
    "loss_on", "max_length", "objective", "packing", "patience", "plain_choice", "rank", "rewards", "rslora", "rule",
    "schedule", "strategy", "targets", "threads", "validation", "warmup", "weight_decay",
]
