"""Reward modelling: the objective's options and its row.  Names and defaults are trl 1.16's."""

from __future__ import annotations

from typing import Literal

from ftui.methods.row import ObjectiveRow
from ftui.methods.scoring import CompletionOptions
from ftui.settings import setting


class RewardOptions(CompletionOptions):
    """A model that gives an answer one number, learned from pairs."""

    kind: Literal["reward"] = setting(
        "reward",
        title="Objective",
        help="Reward modelling: the model learns to score answers so that the chosen one scores higher.",
        why="Its result judges: it can rank samples, filter data, or lead GRPO.",
        term="reward model",
    )
    center_rewards_coefficient: float | None = setting(
        None,
        title="Centre the scores",
        help="Weight of a term that pulls the mean score to zero; empty for none.",
        why="0.01 keeps scores of several runs comparable.",
        advanced=True,
        ge=0,
        le=10,
    )


ROW = ObjectiveRow(
    kind="reward",
    title="Reward modelling",
    when="You want a judge that scores answers, and have pairs of a better and a worse one.",
    data=("preference",),
    form="pair",
    head="scores",
    options=RewardOptions,
    source="https://arxiv.org/abs/2203.02155",
    best="accuracy",
)
